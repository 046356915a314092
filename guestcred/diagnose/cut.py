"""Where a table stops too early: cut to the low 16 bits of its length, or in the middle of a string."""

from __future__ import annotations

from guestcred.smbios.walk import OEM_STRINGS, Table

LENGTH_CUT = 0x10000  # bytes; SeaBIOS places as many as the low 16 bits of the table's length say, seen with 1.16
STRUCTURE_MAX = 255 + 2  # bytes of a formatted area and two NULs


def cut_offset(table: Table, declared: int | None) -> int | None:
    """The offset (bytes) from which on the table was cut to the low 16 bits of its length, or None where it was not.

    `declared` is the length in bytes that the entry point gives. After the cut, memory holds zeros: Linux takes those
    for the end of the structure that was cut, and keeps the table up to there (dmi_decode_table() in dmi_scan.c).
    """
    if table.ended is None or declared is None or declared <= table.size:
        return None
    offset = declared % LENGTH_CUT
    return offset if offset <= table.size <= offset + STRUCTURE_MAX else None


def last_string(table: Table, cut: int | None) -> tuple[int, int] | None:
    """(instance, number) of the OEM string in which the table stops or was cut at `cut` (bytes): maybe only its front."""
    *others, last = table.structures
    if last.type != OEM_STRINGS:
        return None
    end = last.offset + len(last.formatted) + len(last.string_set)
    stops = not last.complete if cut is None else end >= cut
    instance = sum(other.type == OEM_STRINGS for other in others)
    return (instance, len(last.strings)) if stops else None
