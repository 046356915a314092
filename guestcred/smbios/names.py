"""Names of the structure types and words for several at once, without their declarations."""

from __future__ import annotations

from guestcred.smbios.values import words

# DSP0134 7, as short as in lists of structures
STRUCTURE_NAMES = words(
    0,
    "BIOS; System; Base Board; Chassis; Processor; Memory Controller; Memory Module; Cache; Port Connector; "
    "System Slots; On Board Devices; OEM Strings; System Configuration Options; BIOS Language; Group Associations; "
    "System Event Log; Physical Memory Array; Memory Device; 32-bit Memory Error; Memory Array Mapped Address; "
    "Memory Device Mapped Address; Built-in Pointing Device; Portable Battery; System Reset; Hardware Security; "
    "System Power Controls; Voltage Probe; Cooling Device; Temperature Probe; Electrical Current Probe; "
    "Out-of-band Remote Access; Boot Integrity Services; System Boot; 64-bit Memory Error; Management Device; "
    "Management Device Component; Management Device Threshold Data; Memory Channel; IPMI Device; Power Supply; "
    "Additional Information; Onboard Device; Management Controller Host Interface; TPM Device; Processor; Firmware; "
    "String Property",
)
OEM_SPECIFIC = 128  # types from here on hold what only their maker knows; DSP0134 6.1.2


def structure_name(number: int) -> str:
    """The short name of a structure type."""
    return "OEM-specific" if number >= OEM_SPECIFIC else STRUCTURE_NAMES.get(number, "<OUT OF SPEC>")
