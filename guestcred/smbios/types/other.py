"""Structures about other structures, and those that say nothing (DSP0134 7.41, 7.47, 7.127, 7.128)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, HANDLE, STRING, WORD, Field, Formatted, enumerated
from guestcred.smbios.groups import Data, Repeated
from guestcred.smbios.text import About, Row, Section, string


def _entries(about: About) -> list[Section]:
    """A heading for each entry."""
    sections = []
    for number, entry in enumerate(about.get("entries", []), 1):
        value = entry["value"]
        size = len(value)
        told = f"0x{int.from_bytes(value, 'little'):0{2 * size}x}" if size in (1, 2, 4) else "Unexpected size"
        handle = entry["referenced_handle"]
        rows = (
            Row("Referenced Handle", f"0x{handle:04x}", handle=int(handle), verbose=True),
            Row("Referenced Offset", f"0x{entry['referenced_offset']:02x}"),
            Row("String", string(entry["string"])),
            Row("Value", told),
        )
        sections.append(Section(f"Additional Information {number}", rows))
    return sections


TYPES: dict[int, Formatted] = {
    40: Formatted(
        "Additional Information",
        Field("number_of_additional_information_entries", BYTE),
        Field(
            "entries",
            Repeated(
                Formatted(
                    "Additional Information Entry",
                    Field("entry_length", BYTE),
                    Field("referenced_handle", HANDLE),
                    Field("referenced_offset", BYTE),
                    Field("string", STRING),
                    Field("value", Data("entry_length", counted=5)),
                ),
                "number_of_additional_information_entries",
            ),
        ),
        sections=_entries,
    ),
    46: Formatted(
        "String Property",
        Field(
            "string_property_id",
            enumerated(
                WORD,
                {1: "UEFI device path"},
                (0x8000, 0xBFFF, "BIOS vendor-specific"),
                (0xC000, 0xFFFF, "OEM-specific"),
            ),
            "String Property ID",
        ),
        Field("string_property_value", STRING, "String Property Value"),
        Field("parent_handle", HANDLE, "Parent Handle"),
    ),
    126: Formatted("Inactive"),
    127: Formatted("End-of-Table", heading="End Of Table"),
}
