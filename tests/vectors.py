"""Conformance vectors: small tables, each with what it says and one sentence of what it tests.

`.venv/bin/python tests/vectors.py` writes fixtures/smbios again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from guestcred.smbios import library
from guestcred.smbios.layout import build_structure
from guestcred.smbios.types import TYPES
from guestcred.smbios.values import StringNumber

FOLDER = Path(__file__).parent.parent / "fixtures/smbios"
STRINGS = [b"first", b"second", b"third"]
END = build_structure(127, 0xFEFF)

# DSP0134 7: how long a structure is from a version on
BOUNDARIES: dict[int, dict[str, int]] = {
    0: {"2.0": 0x12, "2.1": 0x13, "2.3": 0x14, "2.4": 0x18, "3.1": 0x1A},
    1: {"2.0": 0x08, "2.1": 0x19, "2.4": 0x1B},
    2: {"2.0": 0x08, "2.1": 0x0F},
    3: {"2.0": 0x09, "2.1": 0x0D, "2.3": 0x15, "2.7": 0x16, "3.9": 0x18},
    4: {"2.0": 0x1A, "2.1": 0x20, "2.3": 0x23, "2.5": 0x28, "2.6": 0x2A, "3.0": 0x30, "3.6": 0x32, "3.8": 0x33},
    5: {"2.0": 0x0F, "2.1": 0x10},
    7: {"2.0": 0x0F, "2.1": 0x13, "3.1": 0x1B},
    9: {"2.0": 0x0C, "2.1": 0x0D, "2.6": 0x11, "3.2": 0x13, "3.4": 0x17, "3.5": 0x18},
    15: {"2.0": 0x14, "2.1": 0x17},
    16: {"2.1": 0x0F, "2.7": 0x17},
    17: {"2.1": 0x15, "2.3": 0x1B, "2.6": 0x1C, "2.7": 0x22, "2.8": 0x28, "3.2": 0x54, "3.3": 0x5C, "3.7": 0x64},
    19: {"2.1": 0x0F, "2.7": 0x1F},
    20: {"2.1": 0x13, "2.7": 0x23},
    22: {"2.1": 0x10, "2.2": 0x1A},
    26: {"2.0": 0x14, "2.2": 0x16},
    27: {"2.0": 0x0C, "2.2": 0x0E, "2.7": 0x0F},
    28: {"2.0": 0x14, "2.2": 0x16},
    29: {"2.0": 0x14, "2.2": 0x16},
    38: {"2.0": 0x10, "2.3": 0x12},
    39: {"2.0": 0x10, "2.3": 0x16},
}
GROUPS = {
    2: 3,
    3: 9,
    5: 7,
    9: 12,
    10: 6,
    14: 9,
    15: 9,
    37: 9,
    40: 14,
    42: 12,
    44: 5,
    45: 6,
}  # bytes behind the fixed ones


def structure(number: int, length: int, handle: int = 0x10) -> bytes:
    """A structure of so many bytes, with small numbers in its fields, so that there is room for what they count."""
    chance = random.Random(f"{number} {length}")
    area = bytes(chance.choice((1, 2, 3)) for _ in range(length - 4))
    if number == 40 and len(area) > 1:
        area = bytes([2, 6, 0x10, 0, 4, 1, 9, 7, 0x10, 0, 5, 2, 8, 9])
    return bytes([number, 4 + len(area)]) + handle.to_bytes(2, "little") + area + b"\0".join(STRINGS) + b"\0\0"


def vectors() -> Iterator[tuple[str, str, bytes]]:
    """(name, sentence, table) of each."""
    for number, layout in TYPES.items():
        newest = len(build_structure(number, 1)) - 2 + GROUPS.get(number, 0)
        if number == 127:
            continue
        yield f"type-{number}", f"type {number}, {layout.title}, with all its fields", structure(number, newest) + END
        for version, length in BOUNDARIES.get(number, {}).items():
            told = f"type {number} as long as in SMBIOS {version}: later fields are absent"
            yield f"type-{number}-{version}", told, structure(number, length) + END
            told = f"type {number}, a byte shorter than in SMBIOS {version}: what is cut is absent"
            yield f"type-{number}-below-{version}", told, structure(number, length - 1) + END
    yield "type-200", "a maker's own type: bytes and strings, no fields", structure(200, 20) + END
    whole, long = structure(1, 27), structure(17, 100, 0x11)
    yield "empty", "no bytes at all", b""
    yield "no-end", "no End-of-Table: all structures are there", whole + long
    yield "trailing", "bytes behind End-of-Table are no structures", whole + END + b"\x01\x02behind"
    yield "zero-length", "a length of 0: no structure can be found behind it", whole + b"\x11\0\x11\0" + long + END
    yield "short-length", "a length of 3, less than a header", whole + b"\x11\3\x11\0" + long + END
    yield "cut-header", "the table ends inside a header", whole + long[:3]
    yield "cut-fields", "the table ends inside the fields: those that are whole stay", whole + long[:30]
    yield "cut-strings", "the table ends inside a string", whole + long[:-8]
    yield "cut-last-nul", "only the last NUL is missing", whole + long[:-1]
    yield "no-strings", "two NULs where there are no strings", bytes([1, 8, 1, 0, 0, 0, 0, 0, 0, 0]) + END
    yield (
        "string-out-of-range",
        "a field names a string that is not there",
        bytes([1, 8, 1, 0, 1, 9, 255, 2]) + b"a\0b\0\0" + END,
    )
    yield (
        "count-wrapped",
        "300 strings under a count byte of 44",
        build_structure(11, 1, [b"s%d" % n for n in range(300)]) + END,
    )
    yield "same-handle", "two structures with one handle", whole + structure(2, 15) + END
    yield (
        "group-cut",
        "fewer contained handles than are counted: what is there stays",
        bytes([2, 19, 1, 0]) + bytes(10) + b"\5" + bytes(4) + b"\0\0" + END,
    )
    yield (
        "records-of-no-bytes",
        "contained elements of no bytes each",
        bytes([3, 0x18, 1, 0]) + bytes(15) + b"\4\0\1\1\2" + b"\0\0" + END,
    )
    yield (
        "record-too-long",
        "a protocol record longer than its structure",
        bytes([42, 12, 1, 0, 0x40, 0, 2, 4, 1, 9, 4, 200]) + b"\0\0" + END,
    )
    yield "out-of-spec", "values outside every table", bytes([17, 0x15, 1, 0]) + b"\xee" * 17 + b"\0\0" + END
    yield (
        "not-ascii",
        "a string in UTF-8 and one of no encoding",
        bytes([1, 8, 1, 0, 1, 2, 0, 0]) + "Zürich".encode() + b"\0\xff\xfe\0\0" + END,
    )


def plain(value: object) -> object:
    """A value as JSON has it: strings as text, bytes in hexadecimal, all else as numbers."""
    match value:
        case StringNumber():
            return None if value.text is None else value.text.decode("utf-8", "backslashreplace")
        case bytes():
            return value.hex()
        case dict():
            return {name: plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
    return value


def decoded(table: bytes) -> dict[str, object]:
    """What a parser finds in a table."""
    parsed = library.parse(table)
    return {
        "ended": None if parsed.ended is None else {"offset": parsed.ended.offset, "reason": parsed.ended.reason},
        "structures": [
            {
                "type": one.type,
                "handle": one.handle,
                "length": one.formatted[1],
                "complete": one.complete,
                "strings": [plain(StringNumber(1, text)) for text in one.strings],
                "fields": plain(one.fields),
                "says": {
                    row.label: row.text if row.text is not None else list(row.items)
                    for section in one.describe()
                    for row in section.rows
                },
            }
            for one in parsed
        ],
    }


def files() -> Iterator[tuple[Path, bytes]]:
    """Each file, and what is in it."""
    for name, sentence, table in vectors():
        yield FOLDER / f"{name}.bin", table
        document = {"tests": sentence, **decoded(table)}
        yield FOLDER / f"{name}.json", (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    for path in FOLDER.glob("*.*n"):
        path.unlink()
    for path, data in files():
        path.write_bytes(data)
