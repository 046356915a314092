"""What formatted areas are declared with: the specification's kinds of fields, and an area that may end after any of them."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from construct import (
    Adapter,
    Bytes,
    Construct,
    ConstructError,
    Container,
    FormatField,
    Int8ul,
    Int16sl,
    Int16ul,
    Int32ul,
    Int64ul,
    Renamed,
    Struct,
)

from guestcred.smbios.values import Bits, Flags, Handle, Part, StringNumber, Uuid, Word, Words

Strings = Sequence[bytes]
Make = Callable[[Any, Strings], Any]

# As DSP0134 7 calls them.
BYTE, WORD, DWORD, QWORD, SIGNED = Int8ul, Int16ul, Int32ul, Int64ul, Int16sl


class Kind(Adapter):  # type: ignore[misc]  # construct ships no types
    """A kind of field of a fixed size that is more than a number: `make` turns what stands there into the value.

    `find` is the way back for what may stand for a value, such as a word of an enumeration.
    """

    def __init__(self, subcon: Construct, make: Make, find: Callable[[Any], Any] = int) -> None:
        super().__init__(subcon)
        self.make, self.find = make, find

    def _decode(self, raw: Any, context: Any, _: str) -> Any:
        return self.make(raw, context._params.get("strings", ()))

    def _encode(self, value: Any, _: Any, path: str) -> Any:
        try:
            return self.find(value)
        except (KeyError, ValueError, TypeError) as error:
            raise ConstructError(f"{value!r} is no value of this field", path) from error


def _resolve(number: int, strings: Strings) -> StringNumber:
    return StringNumber(number, strings[number - 1] if 1 <= number <= len(strings) else None)


STRING = Kind(BYTE, _resolve)  # a number (6.1.3), resolved in the `strings` that `parse` is given
HANDLE = Kind(WORD, lambda number, _: Handle(number))
UUID = Kind(Bytes(16), lambda data, _: Uuid(data), bytes)


def enumerated(number: Construct, meanings: Mapping[int, str], *ranges: tuple[int, int, str]) -> Kind:
    """A number of which each value has a word; building takes the words too."""
    table = Words(meanings, *ranges)
    values = {value: Word(value, word) for value, word in table.items()}
    numbers = {word: value for value, word in table.items()}

    def find(value: int | str) -> int:
        return numbers[value] if isinstance(value, str) else int(value)

    kind = Kind(number, lambda raw, _: values.get(raw) or Word(raw, table.word(raw)), find)
    kind.words = table
    return kind


def flags(number: Construct, meanings: Mapping[int, str]) -> Kind:
    """A number of which each bit has a word; building takes a list of the words too."""
    bits = {word: 1 << bit for bit, word in meanings.items()}

    def find(value: int | Sequence[str]) -> int:
        return int(value) if isinstance(value, int) else sum(bits[word] for word in {*value})

    kind = Kind(number, lambda raw, _: Flags(raw, meanings), find)
    kind.flags = meanings
    return kind


def bits(number: Construct, **layout: Part) -> Kind:
    """A number with other numbers in it, each (lowest bit, width, words or None); building takes a mapping too."""
    unknown = layout.keys()

    def find(value: int | Mapping[str, int]) -> int:
        if isinstance(value, int):
            return int(value)
        if not value.keys() <= unknown:
            raise KeyError(*(value.keys() - unknown))
        return sum(part << layout[name][0] for name, part in value.items())

    kind = Kind(number, lambda raw, _: Bits(raw, layout), find)
    kind.parts = layout
    return kind


class Field(Renamed):  # type: ignore[misc]  # construct ships no types
    """A field by its name in the specification. `label` is what `dmidecode` calls it, "" where another field tells it.

    `show` makes the text of a value, of what `smbios.text` gives it; the kind of the field does otherwise.
    """

    def __init__(self, name: str, kind: Construct, label: str = "", show: Callable[..., Any] | None = None) -> None:
        super().__init__(kind, newname=name)
        self.kind, self.label, self.show = kind, label, show


def _code(kind: Construct) -> str | None:
    """A fixed field's letter in the language of Python's `struct`; None for what hangs on other fields."""
    match kind:
        case FormatField():
            return str(kind.fmtstr[1:])
        case Bytes(length=int(length)):
            return f"{length}s"
        case Kind(subcon=inner):
            return _code(inner)
    return None


Taken = tuple[Any, int, bool]
"""A value, where it ends, and whether all of it was there: behind a value that was cut, fields are absent."""


class Variable(Construct):  # type: ignore[misc]  # construct ships no types
    """A kind of field whose size hangs on the fields before it; `empty` is what it is without anything."""

    empty: Any

    def take(self, area: bytes, start: int, view: Mapping[str, Any], strings: Strings) -> Taken | None:
        """The value in `area` from `start` on, None where nothing of it is there."""
        raise NotImplementedError


def _take(kind: Construct, area: bytes, start: int, view: Mapping[str, Any], strings: Strings) -> Taken | None:
    if isinstance(kind, Variable):
        return kind.take(area, start, view, strings)
    stop = start + int(kind.sizeof())
    return (kind.parse(area[start:stop], strings=strings), stop, True) if stop <= len(area) else None


class Formatted(Struct):  # type: ignore[misc]  # construct ships no types
    """The formatted area of one structure type, behind the header; `title` is the specification's name of the type.

    A structure of an older version of the specification is shorter: its later fields are absent, never invented. Bytes
    that no field covers are `rest`, and so are those of a field that is cut. Building follows the same rules.
    `heading` is what `dmidecode` calls the type. `irrelevant` says of a field, by its name and the others, that it has
    no meaning in this structure; `sections` tells the whole where it has more than one heading. The fixed fields at the front are taken apart in one step.
    """

    def __init__(
        self,
        title: str,
        *fields: Field,
        heading: str = "",
        irrelevant: Callable[..., bool] | None = None,
        sections: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(*fields)
        self.title, self.heading = title, heading or title
        self.irrelevant, self.sections = irrelevant, sections
        codes = [_code(field.kind) for field in fields]
        fixed = codes.index(None) if None in codes else len(codes)
        self._names = [field.name for field in fields[:fixed]]
        self._makes = [field.kind.make if isinstance(field.kind, Kind) else None for field in fields[:fixed]]
        self._layouts = [struct.Struct("<" + "".join(map(str, codes[:count]))) for count in range(fixed + 1)]
        self._sizes = [layout.size for layout in self._layouts]

    def decode(self, area: bytes, strings: Strings = ()) -> dict[str, Any]:
        """The fields of a formatted area in order, as `parse` gives them."""
        count = bisect_right(self._sizes, len(area)) - 1
        layout = self._layouts[count]
        view: dict[str, Any] = {
            name: make(raw, strings) if make else raw
            for name, make, raw in zip(self._names, self._makes, layout.unpack_from(area))
        }
        end = layout.size
        if count == len(self._names):
            for field in self.subcons[count:]:
                taken = _take(field.kind, area, end, view, strings)
                if taken is None:
                    break
                view[field.name], end, whole = taken
                if not whole:
                    break
        if end < len(area):
            view["rest"] = area[end:]
        return view

    def zeros(self) -> dict[str, Any]:
        """All fields of the newest specification, each 0 or empty."""
        fixed = self.decode(bytes(self._sizes[-1]))
        behind = self.subcons[len(self._names) :]
        return fixed | {
            field.name: field.kind.empty
            if isinstance(field.kind, Variable)
            else field.kind.parse(bytes(field.sizeof()))
            for field in behind
        }

    def _parse(self, stream: BinaryIO, context: Any, _: str) -> Any:
        return Container(self.decode(stream.read(), context._params.get("strings", ())))

    def _build(self, view: Mapping[str, Any], stream: BinaryIO, context: Any, path: str) -> Any:
        names = [field.name for field in self.subcons]
        present = view.keys() - {"rest"}
        if present != {*names[: len(present)]}:
            raise ConstructError(
                f"{self.title}: the fields are {', '.join(names)}, and none without those before it", path
            )
        inside = Container(view, _params=context._params)
        for field in self.subcons[: len(present)]:
            field._build(view[field.name], stream, inside, f"{path} -> {field.name}")
        stream.write(view.get("rest", b""))
        return view


def place_of(layout: Struct, name: str, start: int = 0) -> slice:
    """The bytes of a field in a layout from `start` on; it and all before it have a fixed size. Raises KeyError."""
    for field in layout.subcons:
        stop = start + int(field.sizeof())
        if field.name == name:
            return slice(start, stop)
        start = stop
    raise KeyError(name)
