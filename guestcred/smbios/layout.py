"""Entry points, structures and the whole table of SMBIOS, declared once with construct: what builds is what parses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, BinaryIO

from construct import (
    Bytes,
    Check,
    Computed,
    Const,
    Construct,
    Default,
    ExprAdapter,
    GreedyBytes,
    Rebuild,
    RepeatUntil,
    Select,
    SizeofError,
    StreamError,
    StringError,
    Struct,
    Tell,
    len_,
    this,
)

from guestcred.smbios import text
from guestcred.smbios.entry_point import DUMP_TABLE, parse_entry_point
from guestcred.smbios.fields import BYTE, DWORD, QWORD, STRING, WORD, Formatted, place_of
from guestcred.smbios.names import OEM_SPECIFIC
from guestcred.smbios.text import About, Row, Section, Version, hexadecimal, printable
from guestcred.smbios.types import TYPES
from guestcred.smbios.walk import END_OF_TABLE, OEM_STRINGS, Structure

__all__ = [
    "build_entry_point",
    "build_structure",
    "describe",
    "field_place",
    "fields_of",
    "fixed_places",
    "parse_entry_point",
    "type_name",
]

# DSP0134 5.2.1, the 32-bit entry point
ENTRY_POINT_32: Struct = Struct(
    "anchor_string" / Const(b"_SM_"),
    "entry_point_structure_checksum" / Default(BYTE, 0),
    "entry_point_length" / Default(BYTE, lambda _: ENTRY_POINT_32.sizeof()),
    "smbios_major_version" / BYTE,
    "smbios_minor_version" / BYTE,
    "maximum_structure_size" / Default(WORD, 0),
    "entry_point_revision" / Default(BYTE, 0),
    "formatted_area" / Default(Bytes(5), bytes(5)),
    "intermediate_anchor_string" / Const(b"_DMI_"),
    "intermediate_checksum" / Default(BYTE, 0),
    "structure_table_length" / WORD,
    "structure_table_address" / DWORD,
    "number_of_smbios_structures" / WORD,
    "smbios_bcd_revision" / Default(BYTE, 0),
)

# DSP0134 5.2.2, the 64-bit entry point
ENTRY_POINT_64: Struct = Struct(
    "anchor_string" / Const(b"_SM3_"),
    "entry_point_structure_checksum" / Default(BYTE, 0),
    "entry_point_length" / Default(BYTE, lambda _: ENTRY_POINT_64.sizeof()),
    "smbios_major_version" / BYTE,
    "smbios_minor_version" / BYTE,
    "smbios_docrev" / Default(BYTE, 0),
    "entry_point_revision" / Default(BYTE, 1),
    "reserved" / Default(BYTE, 0),
    "structure_table_maximum_size" / DWORD,
    "structure_table_address" / QWORD,
)

# DSP0134 6.1.2
HEADER = Struct("type" / BYTE, "length" / BYTE, "handle" / WORD)
HEADER_BYTES = int(HEADER.sizeof())


class StringSet(Construct):  # type: ignore[misc]  # construct ships no types
    """The strings of a structure (DSP0134 6.1.3): a NUL after each and one more after the last, two if there is none.

    `NullTerminated` takes quadratic time, and misses two NULs at an odd offset.
    """

    PIECE = 1024  # bytes read at once

    def _parse(self, stream: BinaryIO, _: Any, path: str) -> tuple[bytes, ...]:
        data, end = bytearray(), -1
        while end < 0:
            piece = stream.read(self.PIECE)
            if not piece:
                raise StreamError("the two NULs behind the strings are missing", path)
            data += piece
            end = data.find(b"\0\0", max(0, len(data) - len(piece) - 1))
        stream.seek(end + 2 - len(data), 1)
        return _split(bytes(data[:end]))

    def _build(self, strings: Sequence[bytes], stream: BinaryIO, _: Any, path: str) -> Sequence[bytes]:
        data = b"\0".join(strings) + b"\0\0"
        if _split(data[: data.find(b"\0\0")]) != tuple(strings):
            raise StringError("a string is empty or has a NUL in it", path)
        stream.write(data)
        return strings


def _split(text: bytes) -> tuple[bytes, ...]:
    return tuple(text.split(b"\0")) if text else ()


_OTHER = Formatted("a type without a declaration")


def _area(number: int) -> Formatted:
    return TYPES.get(number, _OTHER)


def _with_fields(structure: Any, _: Any) -> Any:
    structure.fields = _area(structure.type).parse(structure.area, strings=structure.strings)
    return structure


def _without_fields(structure: Mapping[str, Any], _: Any) -> dict[str, Any]:
    return {**structure, "area": _area(structure["type"]).build(structure["fields"])}


def _part(ended: str | None, *layout: Construct) -> Construct:
    """A part of a table, and how the table ended with it; without the check, `Select` could build it as another part."""
    return Struct(
        "offset" / Tell,
        Check(lambda part: part._parsing or part.get("ended") == ended),
        *layout,
        "ended" / Computed(ended),
    )


def _typed(part: Construct) -> Construct:
    """Adds `fields` beside the `area`, in a second step because the strings that they number come after them."""
    return ExprAdapter(part, _with_fields, _without_fields)


# DSP0134 6.1
STRUCTURE = _typed(
    _part(
        None,
        "type" / BYTE,
        "length" / Rebuild(BYTE, len_(this.area) + HEADER_BYTES),
        "handle" / WORD,
        "area" / Bytes(this.length - HEADER_BYTES),
        "strings" / StringSet(),
    )
)

# What a table that ends badly has instead of a structure, tried in this order; named as in `walk.REASONS`.
ENDINGS = (
    _typed(
        _part(
            "cut-strings",
            *HEADER.subcons,
            "area" / Bytes(this.length - HEADER_BYTES),
            "left" / GreedyBytes,
            "strings" / Computed(lambda part: _split(part.left.removesuffix(b"\0"))),
        )
    ),
    _typed(
        _part(
            "cut-formatted-area",
            *HEADER.subcons,
            Check(this.length >= HEADER_BYTES),
            "area" / GreedyBytes,
            "strings" / Computed(()),
        )
    ),
    _part("bad-length", *HEADER.subcons, "left" / GreedyBytes),
    _part("cut-header", "left" / GreedyBytes, Check(len_(this.left) > 0)),
    _part("no-end-of-table", Check(this._index > 0)),
    _part("empty"),
)

# Structures until End-of-Table (DSP0134 7, type 127) or until the table ends badly. Any bytes are a table, and building
# gives them back unchanged; `GreedyRange` would hide how the table ended.
TABLE = Struct(
    "structures" / RepeatUntil(lambda part, *_: part.ended or part.type == END_OF_TABLE, Select(STRUCTURE, *ENDINGS)),
    "trailing" / GreedyBytes,
)


def build_entry_point(
    table_length: int, *, major: int = 2, minor: int = 8, address: int = DUMP_TABLE, count: int = 0, long: bool = False
) -> bytes:
    """Build an entry point, `_SM3_` where `long`, with correct checksums; the inverse of `parse_entry_point`."""
    numbers = {"smbios_major_version": major, "smbios_minor_version": minor, "structure_table_address": address}
    if long:
        layout = ENTRY_POINT_64
        data = bytearray(layout.build({**numbers, "structure_table_maximum_size": table_length}))
    else:
        layout = ENTRY_POINT_32
        numbers |= {"structure_table_length": table_length, "number_of_smbios_structures": count}
        data = bytearray(layout.build(numbers))
        intermediate = data[place_of(layout, "intermediate_anchor_string").start :]
        data[place_of(layout, "intermediate_checksum")] = _checksum(intermediate)
    data[place_of(layout, "entry_point_structure_checksum")] = _checksum(data)
    return bytes(data)


def _checksum(data: bytes | bytearray) -> bytes:
    """The byte that makes the sum of all bytes 0; DSP0134 5.2.1."""
    return bytes([-sum(data) % 256])


def build_structure(
    number: int, handle: int, strings: Sequence[bytes] = (), fields: Mapping[str, Any] | None = None
) -> bytes:
    """Build one structure of any type; `fields` has the typed ones by name, and in `rest` the bytes after them.

    It has all fields of the newest specification, 0 where none is given. The count byte of a Type 11 is the number of
    strings modulo 256, as in QEMU and cloud-hypervisor. Raises ConstructError for what does not fit, for unknown
    fields, and for a string that is empty or has a NUL in it.
    """
    newest = _area(number).zeros()
    if number == OEM_STRINGS:
        newest["count"] = len(strings) % 256
    parts = {"type": number, "handle": handle, "fields": {**newest, **(fields or {})}, "strings": strings}
    return bytes(STRUCTURE.build(parts))


def type_name(number: int) -> str:
    """The name of a structure type from DSP0134 7, or `Type N`."""
    if number in TYPES:
        return str(TYPES[number].title)
    return "OEM-specific" if number >= 128 else f"Type {number}"


def field_names(number: int) -> list[str]:
    """The names of all fields that a type has in the newest specification, in order."""
    return [field.name for field in _area(number).subcons]


def string_fields(number: int) -> set[str]:
    """Those of them that have the number of a string."""
    return {field.name for field in _area(number).subcons if field.kind is STRING}


def field_place(number: int, name: str) -> slice:
    """The bytes of a field in the formatted area of a type, counted from the header. Raises KeyError."""
    return place_of(TYPES[number], name, HEADER_BYTES)


@cache
def fixed_places(number: int) -> dict[str, slice]:
    """The bytes of all fields of a type that stand at the same place in each structure, counted from the header."""
    places: dict[str, slice] = {}
    try:
        for field in _area(number).subcons:
            places[field.name] = place_of(_area(number), field.name, HEADER_BYTES)
    except SizeofError:
        pass  # what comes behind a field of no fixed size
    return places


def describe(structure: Structure, version: Version, strings: Sequence[bytes] | None = None) -> list[Section]:
    """What a structure says, as `dmidecode` words it; `strings` stand for its own where some must not be shown."""
    told = tuple(structure.strings if strings is None else strings)
    layout = TYPES.get(structure.type)
    if layout is None:
        name = "OEM-specific" if structure.type >= OEM_SPECIFIC else "Unknown"
        data = structure.formatted
        lines = tuple(hexadecimal(data[start : start + 16]) for start in range(0, len(data), 16))
        rows = [Row("Header and Data", None, lines)]
        if told:
            rows.append(Row("Strings", None, tuple(map(printable, told))))
        return [Section(f"{name} Type", tuple(rows))]
    fields = layout.decode(structure.formatted[HEADER_BYTES:], told)
    return text.describe(layout, About(fields=fields, version=version, strings=told, formatted=structure.formatted))


def fields_of(structure: Structure) -> dict[str, Any]:
    """The typed view: the fields of the formatted area in order, string numbers as `StringNumber`.

    Bytes that no field covers come as `rest`. Fields that the structure is too short for are absent.
    """
    return _area(structure.type).decode(structure.formatted[HEADER_BYTES:], structure.strings)
