"""Tables and structures as others use them: typed, and decoded when they are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from guestcred.errors import GuestcredError
from guestcred.smbios import sources, walk
from guestcred.smbios.entry_point import DUMP_TABLE, EntryPoint, parse_entry_point
from guestcred.smbios.values import StringNumber

if TYPE_CHECKING:
    from guestcred.smbios.text import Section
    from guestcred.smbios.views import OfType

NEWEST = "3.9"


class Fields:
    """The fields of a structure as attributes by their names in the specification, strings as text.

    None is what the structure is too short for, and a string that it does not name.
    """

    def __init__(self, structure: Structure) -> None:
        self._structure = structure

    if not TYPE_CHECKING:  # mypy knows the fields of each type, and is to find those that are misspelt

        def __getattr__(self, name: str) -> Any:
            value = self._structure.fields.get(name)
            if value is None and name not in self:
                raise AttributeError(f"{self._structure.name} has no field {name}: {', '.join(self)}")
            if isinstance(value, StringNumber):
                return None if value.text is None else value.text.decode("utf-8", "replace")
            return value

    def __iter__(self) -> Iterator[str]:
        """The names of all fields that the type has in the newest specification."""
        from guestcred.smbios.typed import field_names

        return iter(field_names(self._structure.type))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


class Structure:
    """One structure; nothing of it is decoded before it is asked for."""

    def __init__(self, walked: walk.Structure, version: str = NEWEST) -> None:
        self._walked, self._version = walked, version

    @property
    def type(self) -> int:
        """The number of its type."""
        return self._walked.type

    @property
    def handle(self) -> int:
        """The number by which other structures point to it."""
        return self._walked.handle

    @property
    def formatted(self) -> bytes:
        """Its header and fields as they stand in the table."""
        return self._walked.formatted

    @property
    def strings(self) -> tuple[bytes, ...]:
        """Its strings, in order; fields count them from 1."""
        return self._walked.strings

    @property
    def complete(self) -> bool:
        """False where the table ends inside it."""
        return self._walked.complete

    @property
    def name(self) -> str:
        """The specification's name of its type."""
        from guestcred.smbios.typed import type_name

        return type_name(self.type)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields that are there, in order; bytes that no field covers are `rest`."""
        from guestcred.smbios.typed import fields_of

        return fields_of(self._walked)

    @cached_property
    def field(self) -> Any:
        """The same as attributes: `structure.field.speed`."""
        return Fields(self)

    def describe(self) -> list[Section]:
        """What it says in words and units, as `guestcred dump` prints it."""
        from guestcred.smbios.typed import describe

        major, minor = map(int, self._version.split(".")[:2])
        return describe(self._walked, (major, minor))

    def build(self) -> bytes:
        """Its bytes, with its strings."""
        text = self._walked.string_set
        return self.formatted + text + (b"\0\0" if self.complete else b"")

    def __repr__(self) -> str:
        return f"<Structure {self.handle:#06x} of type {self.type}>"


class Table:
    """The structures of a table in order, and how it ended: None by its End-of-Table, else where and why."""

    def __init__(self, data: bytes, version: str | None = None, entry_point: EntryPoint | None = None) -> None:
        self._data, self.entry_point = data, entry_point
        self.version = version or (entry_point.version if entry_point else NEWEST)
        walked = walk.parse(data)
        self.ended = walked.ended
        self.structures = tuple(Structure(structure, self.version) for structure in walked.structures)

    def __iter__(self) -> Iterator[Structure]:
        return iter(self.structures)

    def __len__(self) -> int:
        return len(self.structures)

    if TYPE_CHECKING:

        @property
        def of_type(self) -> OfType:
            """The structures of a type."""

    else:

        def of_type(self, number: int) -> tuple[Structure, ...]:
            """The structures of a type."""
            return tuple(structure for structure in self.structures if structure.type == number)

    def by_handle(self, handle: int) -> Structure | None:
        """The first structure of that handle."""
        return next((structure for structure in self.structures if structure.handle == handle), None)

    def build(self) -> bytes:
        """The table as it was, with all that stands behind its end."""
        return self._data

    def build_entry_point(self, address: int = DUMP_TABLE) -> bytes:
        """An entry point for the table at that address: of 64 bits from SMBIOS 3.0 on, and where it is too long for 32."""
        from guestcred.smbios.layout import build_entry_point

        major, minor = map(int, self.version.split(".")[:2])
        return build_entry_point(
            len(self._data),
            major=major,
            minor=minor,
            address=address,
            count=len(self) & 0xFFFF,
            largest=max((len(structure.build()) for structure in self), default=0) & 0xFFFF,
            long=major >= 3 or len(self._data) > 0xFFFF,
        )

    def dump_bin(self) -> bytes:
        """The table with an entry point, as a `dmidecode --dump-bin` file has it."""
        return self.build_entry_point().ljust(DUMP_TABLE, b"\0") + self._data

    @classmethod
    def of(cls, *structures: Structure, version: str = NEWEST) -> Table:
        """A new table of these structures; an End-of-Table is put behind them where it is missing."""
        data = b"".join(structure.build() for structure in structures)
        if not structures or structures[-1].type != walk.END_OF_TABLE:
            last = max((structure.handle for structure in structures), default=-1)
            data += build(walk.END_OF_TABLE, last + 1 & 0xFFFF).build()
        return cls(data, version)


def parse(data: bytes) -> Table:
    """A table in any form that `guestcred dump` reads. Any bytes are a table; how it ended is in `ended`."""
    return _table(sources.split(data))


def read(folder: str = sources.TABLES) -> Table:
    """This machine's table, or that of a folder like `/sys/firmware/dmi/tables`.

    Raises GuestcredError where there is none, and PermissionError for those who may not read it.
    """
    found = sources.from_folder(folder) or (sources.from_memory() if folder == sources.TABLES else None)
    if found is None:
        raise GuestcredError(f"there is no DMI table in {folder}", "give the folder of a saved one")
    return _table(found)


def _table(source: sources.Source) -> Table:
    point = None if source.entry is None else parse_entry_point(source.entry)
    return Table(source.table, source.version, point)


def build(
    number: int, handle: int, strings: Sequence[bytes] = (), *, length: int | None = None, **fields: Any
) -> Structure:
    """A structure of a type, with the fields that are given and 0 in all others, also where None is given.

    Text stands for a string, which is added to `strings`, and for the value of an enumeration that has this word; a
    list of words for bits. `length` is that of an older specification, in bytes with the header. Raises ConstructError
    for what does not fit and for fields that the type does not have.
    """
    from guestcred.smbios.layout import build_structure
    from guestcred.smbios.typed import string_fields

    texts, values = list(strings), {name: value for name, value in fields.items() if value is not None}
    for name in string_fields(number):
        text = values.get(name)
        if isinstance(text, (str, bytes)):
            texts.append(text.encode() if isinstance(text, str) else text)
            values[name] = len(texts)
    data = build_structure(number, handle, texts, values, length)
    return Structure(walk.parse(data).structures[0])
