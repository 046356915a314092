"""Entry points, structures and the whole table of SMBIOS as construct has them: what builds is what parses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
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
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Rebuild,
    RepeatUntil,
    Select,
    StreamError,
    StringError,
    Struct,
    Tell,
    len_,
    this,
)

from guestcred.smbios.declaration import declared
from guestcred.smbios.entry_point import DUMP_TABLE
from guestcred.smbios.fields import Kind
from guestcred.smbios.typed import area_of
from guestcred.smbios.walk import END_OF_TABLE, OEM_STRINGS

# As DSP0134 calls them.
BYTE, WORD, DWORD, QWORD = Int8ul, Int16ul, Int32ul, Int64ul

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


def _with_fields(structure: Any, _: Any) -> Any:
    structure.fields = declared(area_of(structure.type)).parse(structure.area, strings=structure.strings)
    return structure


def _without_fields(structure: Mapping[str, Any], _: Any) -> dict[str, Any]:
    return {**structure, "area": declared(area_of(structure["type"])).build(structure["fields"])}


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
    table_length: int,
    *,
    major: int = 2,
    minor: int = 8,
    address: int = DUMP_TABLE,
    count: int = 0,
    largest: int = 0,
    long: bool = False,
) -> bytes:
    """Build an entry point, `_SM3_` where `long`, with correct checksums; the inverse of `parse_entry_point`.

    `count` structures, of which the largest has so many bytes, are told by the other one alone.
    """
    numbers = {"smbios_major_version": major, "smbios_minor_version": minor, "structure_table_address": address}
    if long:
        layout = ENTRY_POINT_64
        data = bytearray(layout.build({**numbers, "structure_table_maximum_size": table_length}))
    else:
        layout = ENTRY_POINT_32
        numbers |= {"structure_table_length": table_length, "number_of_smbios_structures": count}
        # 0 where a digit is too small for it: then only the other two say the version (DSP0134 5.2.1)
        revision = major << 4 | minor if max(major, minor) < 16 else 0
        numbers |= {"maximum_structure_size": largest, "smbios_bcd_revision": revision}
        data = bytearray(layout.build(numbers))
        intermediate = data[place_of(layout, "intermediate_anchor_string").start :]
        data[place_of(layout, "intermediate_checksum")] = _checksum(intermediate)
    data[place_of(layout, "entry_point_structure_checksum")] = _checksum(data)
    return bytes(data)


def place_of(layout: Struct, name: str) -> slice:
    """The bytes of a field in a layout; it and all before it have a fixed size. Raises KeyError."""
    start = 0
    for field in layout.subcons:
        stop = start + int(field.sizeof())
        if field.name == name:
            return slice(start, stop)
        start = stop
    raise KeyError(name)


def _checksum(data: bytes | bytearray) -> bytes:
    """The byte that makes the sum of all bytes 0; DSP0134 5.2.1."""
    return bytes([-sum(data) % 256])


def build_structure(
    number: int,
    handle: int,
    strings: Sequence[bytes] = (),
    fields: Mapping[str, Any] | None = None,
    length: int | None = None,
) -> bytes:
    """Build one structure of any type; `fields` has the typed ones by name, and in `rest` the bytes after them.

    It has all fields of the newest specification, or those in its first `length` bytes, 0 where none is given. The count
    byte of a Type 11 is the number of strings modulo 256, as in QEMU and cloud-hypervisor. Raises ConstructError for
    what does not fit, for unknown fields, and for a string that is empty or has a NUL in it.
    """
    newest = area_of(number).zeros()
    if length is not None:
        ends = accumulate(field.kind.size if isinstance(field.kind, Kind) else 0 for field in area_of(number).fields)
        newest = {name: value for (name, value), end in zip(newest.items(), ends) if HEADER_BYTES + end <= length}
    if number == OEM_STRINGS:
        newest["count"] = len(strings) % 256
    parts = {"type": number, "handle": handle, "fields": {**newest, **(fields or {})}, "strings": strings}
    return bytes(STRUCTURE.build(parts))
