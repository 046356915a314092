"""DMI table bytes -> structures, losing nothing that came before a defect."""

from __future__ import annotations

from guestcred.record import Record

# Types and sizes in bytes. These and the offsets below are declared in layout.py, and a test holds them to it.
OEM_STRINGS = 11
OEM_STRINGS_NAME = "OEM Strings"
OEM_STRINGS_SIZE = 5  # of its formatted area: header and count byte; DSP0134 7.12
OEM_STRINGS_MAX = 255  # that its count byte tells; systemd ignores it, but to whoever goes by it 256 strings are none
END_OF_TABLE = 127
HEADER_SIZE = 4  # type u8, length u8, handle u16; DSP0134 6.1.2

_WHOLE_OEM_STRINGS = bytes([OEM_STRINGS, OEM_STRINGS_SIZE])

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Ending = Literal["no-end-of-table", "cut-header", "bad-length", "cut-formatted-area", "cut-strings", "empty"]

REASONS: dict[Ending, str] = {
    "no-end-of-table": "the table stops without its End-of-Table structure (type 127)",
    "cut-header": "the table stops inside a structure's header",
    "bad-length": "a structure claims a formatted area shorter than its own header",
    "cut-formatted-area": "the table stops inside a structure's formatted area",
    "cut-strings": "the table stops inside a structure's strings",
    "empty": "the table has no bytes",
}


class Ended(Record):
    """Where (byte offset in the table) and why the walk had to stop; `reason` is a key of `REASONS`."""

    offset: int
    reason: Ending


class Structure(Record):
    """One SMBIOS structure: its formatted area with the header, and its string set without the last two NULs.

    `offset` is the byte offset in the table; `complete` is false where the table stops inside it.
    """

    offset: int
    formatted: bytes
    string_set: bytes
    complete: bool

    @property
    def strings(self) -> tuple[bytes, ...]:
        """The strings in order; DSP0134 6.1.3 counts them from 1."""
        return tuple(self.string_set.split(b"\0")) if self.string_set else ()

    @property
    def type(self) -> int:
        """The structure type, DSP0134 7."""
        return self.formatted[0]

    @property
    def length(self) -> int:
        """The length in bytes that the header claims for the formatted area."""
        return self.formatted[1]

    @property
    def handle(self) -> int:
        """The structure's handle, 16 bits."""
        return self.formatted[2] | self.formatted[3] << 8


class Table(Record):
    """The structures of a table, how it ended (None: with a type 127), its size, and how many bytes follow its end."""

    structures: tuple[Structure, ...]
    ended: Ended | None
    size: int
    trailing: int

    @property
    def holds_anything(self) -> bool:
        """Whether a structure was found: a whole one, or at least a Type 11 of the right length that stops in its strings.

        An End-of-Table alone is one if it has its length (DSP0134, type 127): every ELF file begins with its type.
        """
        return any(
            (structure.complete and (structure.type != END_OF_TABLE or structure.length == HEADER_SIZE))
            or structure.formatted[:2] == _WHOLE_OEM_STRINGS
            for structure in self.structures
        )


def parse(data: bytes, count: int = 0) -> Table:
    """Walk a DMI table (DSP0134 6.1.2, 6.1.3). Any bytes are a table; takes linear time and never raises.

    `count` is the number of structures by a 32-bit entry point: until then Linux goes on behind a type 127, and
    whatever is no whole structure there is left out (dmi_decode_table() in drivers/firmware/dmi_scan.c).
    """
    structures: list[Structure] = []
    offset, size = 0, len(data)
    behind = False  # a type 127

    def table(reason: Ending | None) -> Table:
        reason = None if behind else reason
        return Table(
            structures=tuple(structures),
            ended=Ended(offset, reason) if reason else None,
            size=size,
            trailing=0 if reason else size - offset,
        )

    while offset < size:
        if size - offset < HEADER_SIZE:
            return table("cut-header")
        kind, length = data[offset], data[offset + 1]
        if length < HEADER_SIZE:
            return table("bad-length")
        start = offset + length
        end = data.find(b"\0\0", start)
        complete = end >= 0
        if not complete:
            end = size
        text = data[start:end]
        if not complete and behind:
            return table(None)
        if not complete and text.endswith(b"\0"):
            text = text[:-1]
        structures.append(Structure(offset=offset, formatted=data[offset:start], string_set=text, complete=complete))
        if not complete:
            return table("cut-formatted-area" if start > size else "cut-strings")
        offset = end + 2
        behind = behind or kind == END_OF_TABLE
        if behind and len(structures) >= count:
            return table(None)
    return table("no-end-of-table" if structures else "empty")
