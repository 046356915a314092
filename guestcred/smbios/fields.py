"""What formatted areas are declared with: the specification's kinds of fields, and an area that may end after any of them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from struct import calcsize, unpack_from

from guestcred.smbios.values import Bits, Flags, Handle, StringNumber, Uuid, Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from guestcred.smbios.values import Part

    Strings = Sequence[bytes]
    Taken = tuple[Any, int, bool] | None
    """A value, where it ends, and whether all of it was there; None where nothing was."""


class Kind:
    """A kind of field of a fixed size, of which `code` is the letter in the language of Python's `struct`.

    `make` turns what stands there into the value, where that is more than a number or bytes. `find` is the way back for
    what may stand for a value, such as a word of an enumeration.
    """

    words: Words
    flags: Mapping[int, str]
    parts: Mapping[str, Part]

    def __init__(
        self, code: str, make: Callable[[Any, Strings], Any] | None = None, find: Callable[[Any], Any] | None = None
    ) -> None:
        self.code, self.make, self.find = code, make, find
        self.size = calcsize("<" + code)

    @property
    def empty(self) -> Any:
        """The value of a field that nothing is said of."""
        return self.decode(bytes(self.size))

    def decode(self, data: bytes, strings: Strings = ()) -> Any:
        """The value in its bytes."""
        (raw,) = unpack_from("<" + self.code, data)
        return self.make(raw, strings) if self.make else raw

    def take(self, area: bytes, start: int, _: Mapping[str, Any], strings: Strings) -> Taken:
        """The value in `area` from `start` on."""
        stop = start + self.size
        return (self.decode(area[start:stop], strings), stop, True) if stop <= len(area) else None


def _resolve(number: int, strings: Strings) -> StringNumber:
    return StringNumber(number, strings[number - 1] if 1 <= number <= len(strings) else None)


# As DSP0134 7 calls them.
BYTE, WORD, DWORD, QWORD, SIGNED = (Kind(code) for code in "BHLQh")
STRING = Kind("B", _resolve, int)  # a number (6.1.3), resolved in the strings of the structure
HANDLE = Kind("H", lambda number, _: Handle(number), int)
UUID = Kind("16s", lambda data, _: Uuid(data), bytes)


def octets(count: int) -> Kind:
    """So many bytes."""
    return Kind(f"{count}s")


def enumerated(number: Kind, meanings: Mapping[int, str], *ranges: tuple[int, int, str]) -> Kind:
    """A number of which each value has a word; building takes the words too."""
    words = Words(meanings, *ranges)
    kind = Kind(number.code, lambda raw, _: words[raw], words.number)
    kind.words = words
    return kind


def flags(number: Kind, meanings: Mapping[int, str]) -> Kind:
    """A number of which each bit has a word; building takes a list of the words too."""

    def find(value: int | Sequence[str]) -> int:
        if isinstance(value, int):
            return int(value)
        bits = {word: 1 << bit for bit, word in meanings.items()}
        return sum(bits[word] for word in {*value})

    kind = Kind(number.code, lambda raw, _: Flags(raw, meanings), find)
    kind.flags = meanings
    return kind


def bits(number: Kind, **layout: Part) -> Kind:
    """A number with other numbers in it, each (lowest bit, width, words or None); building takes a mapping too."""

    def find(value: int | Mapping[str, int]) -> int:
        if isinstance(value, int):
            return int(value)
        if not value.keys() <= layout.keys():
            raise KeyError(*(value.keys() - layout.keys()))
        return sum(part << layout[name][0] for name, part in value.items())

    kind = Kind(number.code, lambda raw, _: Bits(raw, layout), find)
    kind.parts = layout
    return kind


class Variable:
    """A kind of field whose size hangs on the fields before it; `empty` is what it is without anything."""

    empty: Any

    def take(self, area: bytes, start: int, view: Mapping[str, Any], strings: Strings) -> Taken:
        """The value in `area` from `start` on; behind one that is cut, fields are absent."""
        raise NotImplementedError


class Field:
    """A field by its name in the specification. `label` is what `dmidecode` calls it, "" where another field tells it.

    `show` makes the text of a value, of what `smbios.text` gives it; the kind of the field does otherwise.
    """

    def __init__(
        self, name: str, kind: Kind | Variable, label: str = "", show: Callable[..., Any] | None = None
    ) -> None:
        self.name, self.kind, self.label, self.show = name, kind, label, show


class Formatted:
    """The formatted area of one structure type, behind the header; `title` is the specification's name of the type.

    A structure of an older version of the specification is shorter: its later fields are absent, never invented. Bytes
    that no field covers are `rest`, and so are those of a field that is cut. Building follows the same rules.
    `heading` is what `dmidecode` calls the type. `irrelevant` says of a field, by its name and the others, that it has
    no meaning in this structure; `sections` tells the whole where it has more than one heading.
    """

    def __init__(
        self,
        title: str,
        *fields: Field,
        heading: str = "",
        irrelevant: Callable[..., bool] | None = None,
        sections: Callable[..., Any] | None = None,
    ) -> None:
        self.title, self.fields, self.heading = title, fields, heading or title
        self.irrelevant, self.sections = irrelevant, sections
        # the fixed fields at the front, which are taken apart in one step
        count = next((place for place, field in enumerate(fields) if isinstance(field.kind, Variable)), len(fields))
        front = [(field.name, field.kind) for field in fields[:count] if isinstance(field.kind, Kind)]
        self._front = [(name, kind.make) for name, kind in front]
        self._formats = [*accumulate((kind.code for _, kind in front), initial="<")]
        self._ends = [*accumulate((kind.size for _, kind in front), initial=0)]
        self.size = self._ends[-1] if count == len(fields) else None

    def places(self, start: int) -> dict[str, slice]:
        """The bytes of the fields that stand at the same place in each structure, in what has the area at `start`."""
        ends = [start + end for end in self._ends]
        return {name: slice(*place) for (name, _), *place in zip(self._front, ends, ends[1:])}

    def decode(self, area: bytes, strings: Strings = ()) -> dict[str, Any]:
        """The fields of a formatted area in order."""
        view, end, _ = self.take(area, strings)
        if end < len(area):
            view["rest"] = area[end:]
        return view

    def take(self, area: bytes, strings: Strings) -> tuple[dict[str, Any], int, bool]:
        """The fields at the front of `area`, where they end, and whether they are all there."""
        count = bisect_right(self._ends, len(area)) - 1
        view: dict[str, Any] = {
            name: make(raw, strings) if make else raw
            for (name, make), raw in zip(self._front, unpack_from(self._formats[count], area))
        }
        end, whole = self._ends[count], count == len(self._front)
        for field in self.fields[count:] if whole else ():
            taken = field.kind.take(area, end, view, strings)
            if taken is None:
                return view, end, False
            view[field.name], end, whole = taken
            if not whole:
                break
        return view, end, whole

    def zeros(self) -> dict[str, Any]:
        """All fields of the newest specification, each 0 or empty."""
        return {field.name: field.kind.empty for field in self.fields}
