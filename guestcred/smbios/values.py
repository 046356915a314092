"""Values of fields that are more than a number or bytes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Word(int):
    """A value of an enumeration; `word` is what it means, None where it is out of the specification."""

    word: str | None

    def __new__(cls, number: int, word: str | None = None) -> Word:
        made = super().__new__(cls, number)
        made.word = word
        return made


class Words:
    """What the values of an enumeration mean, in the specification's words; `ranges` has (first, last, word)."""

    def __init__(self, meanings: Mapping[int, str], *ranges: tuple[int, int, str]) -> None:
        self.meanings, self.ranges = meanings, ranges
        self._made: dict[int, Word] = {}

    def __getitem__(self, number: int) -> Word:
        made = self._made.get(number)
        if made is None:
            made = self._made[number] = Word(number, self._word(number))
        return made

    def _word(self, number: int) -> str | None:
        found = self.meanings.get(number)
        if found is None:
            found = next((word for first, last, word in self.ranges if first <= number <= last), None)
        return found

    def number(self, value: int | str) -> int:
        """The value of a word. Raises KeyError."""
        if isinstance(value, str):
            return {word: number for number, word in self.meanings.items()}[value]
        return int(value)


def words(first: int, listed: str) -> dict[int, str]:
    """Numbers from `first` on with words that are separated by `; `; `-` leaves a number out."""
    return {number: word for number, word in enumerate(listed.split("; "), first) if word != "-"}


class StringNumber(int):
    """A number of a string in the structure's own set, 0 for none (DSP0134 6.1.3); `text` is that string, if it is there."""

    text: bytes | None

    def __new__(cls, number: int, text: bytes | None = None) -> StringNumber:
        made = super().__new__(cls, number)
        made.text = text
        return made


class Handle(int):
    """The handle of another structure, or 0xFFFF and 0xFFFE for none and unknown (DSP0134 7)."""


class Flags(int):
    """A field of which each bit has a meaning of its own."""

    meanings: Mapping[int, str]

    def __new__(cls, number: int, meanings: Mapping[int, str]) -> Flags:
        made = super().__new__(cls, number)
        made.meanings = meanings
        return made

    @property
    def words(self) -> tuple[str, ...]:
        """What the bits that are set mean, from bit 0 on; bits without a meaning are left out."""
        return tuple(word for bit, word in sorted(self.meanings.items()) if self >> bit & 1)


Part = tuple[int, int, "Words | None"]
"""The lowest bit of a part of a bit field, its width in bits, and the words of its values."""


class Bits(int):
    """A field with several numbers in it: `parts` by their names, also as attributes."""

    layout: Mapping[str, Part]

    def __new__(cls, number: int, layout: Mapping[str, Part]) -> Bits:
        made = super().__new__(cls, number)
        made.layout = layout
        return made

    @property
    def parts(self) -> dict[str, int]:
        """The numbers by name; `Word` where the specification has words for them."""
        return {name: getattr(self, name) for name in self.layout}

    def __getattr__(self, name: str) -> int:
        try:
            low, width, meanings = self.layout[name]
        except KeyError:
            raise AttributeError(f"no part {name}: {', '.join(self.layout)}") from None
        number = self >> low & (1 << width) - 1
        return number if meanings is None else meanings[number]


class Uuid(bytes):
    """The 16 bytes of a UUID."""

    def text(self, little_endian: bool) -> str:
        """As people write it, and as the kernel shows product_uuid; DSP0134 7.2.1 has the first three parts little-endian."""
        parts = [self[:4], self[4:6], self[6:8], self[8:10], self[10:]]
        return "-".join((part[::-1] if little_endian and n < 3 else part).hex() for n, part in enumerate(parts))
