"""Values of fields that are more than a number or bytes."""

from __future__ import annotations


class StringNumber(int):
    """A number of a string in the structure's own set, 0 for none (DSP0134 6.1.3); `text` is that string, if it is there."""

    text: bytes | None

    def __new__(cls, number: int, text: bytes | None = None) -> StringNumber:
        made = super().__new__(cls, number)
        made.text = text
        return made


class Uuid(bytes):
    """The 16 bytes of a UUID."""

    def text(self, little_endian: bool) -> str:
        """As people write it, and as the kernel shows product_uuid; DSP0134 7.2.1 has the first three parts little-endian."""
        parts = [self[:4], self[4:6], self[6:8], self[8:10], self[10:]]
        return "-".join((part[::-1] if little_endian and n < 3 else part).hex() for n, part in enumerate(parts))
