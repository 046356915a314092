"""Tables of one type that have every value, for comparing with dmidecode."""

from __future__ import annotations

import random

from guestcred.smbios.fields import Kind
from guestcred.smbios.layout import build_structure
from guestcred.smbios.types import TYPES

STRINGS = [b"first", b"second", b"third"]
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF)
VERSIONS = [(2, 0), (2, 2), (2, 8), (3, 0), (3, 7)]


def structures_of(number: int, exhaustive: bool) -> bytes:
    """Structures of a type in which each byte has many values while the others are 1, and some of any bytes and lengths."""
    chance = random.Random(number)
    newest = len(build_structure(number, 1)) - 6
    out, handle = bytearray(), 0

    def put(area: bytes) -> None:
        nonlocal handle
        out.extend(bytes([number, 4 + len(area)]) + (handle % 0xFE00).to_bytes(2, "little") + area)
        out.extend(b"\0".join(STRINGS) + b"\0\0")
        handle += 1

    offset = 0
    for field in TYPES[number].fields:
        if not isinstance(field.kind, Kind):
            break
        size = field.kind.size
        many = field.kind.make is not None and size <= 2
        for place in range(offset, offset + size):
            for value in range(256) if many and (exhaustive or size == 1) else EDGES:
                area = bytearray([1] * newest)
                area[place] = value
                put(bytes(area))
        offset += size
    for _ in range(400 if exhaustive else 60):
        length = chance.choice((newest, newest, chance.randrange(newest + 1), chance.randrange(newest, 200)))
        put(bytes(chance.choice((*EDGES, chance.randrange(256))) for _ in range(length)))
    return bytes(out) + build_structure(127, 0xFEFF)
