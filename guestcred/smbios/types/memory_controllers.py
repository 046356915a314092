"""Memory controllers and modules, as there were before SMBIOS 2.1 (DSP0134 7.6, 7.7)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, HANDLE, STRING, WORD, Field, Formatted, bits, enumerated, flags
from guestcred.smbios.groups import Repeated
from guestcred.smbios.text import About, flat, unit
from guestcred.smbios.types import memory_words as said
from guestcred.smbios.types.processor import voltage
from guestcred.smbios.values import Bits


def _total(count: int, about: About) -> str:
    return f"{count * (1 << about.get('maximum_memory_module_size'))} MB"


def _banks(value: int, _: About) -> str:
    first, second = value >> 4, value & 0xF
    if value == 0xFF:
        return "None"
    return str(second) if first == 0xF else str(first) if second == 0xF else f"{first} {second}"


def _module_size(value: Bits, _: About) -> str:
    if value.size == 0x7F:
        return "Not Installed"
    told = {0x7D: "Not Determinable", 0x7E: "Disabled"}.get(value.size) or f"{1 << value.size} MB"
    return f"{told} ({'Double' if value.double_bank else 'Single'}-bank Connection)"


def _module_error(value: int, _: About) -> str:
    if value & 4:
        return "See Event Log"
    return ("OK", "Uncorrectable Errors", "Correctable Errors", "Correctable and Uncorrectable Errors")[value & 3]


TYPES: dict[int, Formatted] = {
    5: Formatted(
        "Memory Controller Information",
        Field("error_detecting_method", enumerated(BYTE, said.DETECTING_METHODS), "Error Detecting Method"),
        Field("error_correcting_capability", flags(BYTE, said.CORRECTING), "Error Correcting Capabilities"),
        Field("supported_interleave", enumerated(BYTE, said.INTERLEAVE), "Supported Interleave"),
        Field("current_interleave", enumerated(BYTE, said.INTERLEAVE), "Current Interleave"),
        Field("maximum_memory_module_size", BYTE, "Maximum Memory Module Size", lambda value, _: f"{1 << value} MB"),
        Field("supported_speeds", flags(WORD, said.CONTROLLER_SPEEDS), "Supported Speeds"),
        Field("supported_memory_types", flags(WORD, said.MODULE_TYPES), "Supported Memory Types"),
        Field("memory_module_voltage", BYTE, "Memory Module Voltage", voltage),
        Field("number_of_associated_memory_slots", BYTE, "Maximum Total Memory Size", _total),
        Field(
            "memory_module_configuration_handles",
            Repeated(HANDLE, "number_of_associated_memory_slots"),
            "Associated Memory Slots",
        ),
        Field(
            "enabled_error_correcting_capabilities",
            flags(BYTE, said.CORRECTING),
            "Enabled Error Correcting Capabilities",
        ),
    ),
    6: Formatted(
        "Memory Module Information",
        Field("socket_designation", STRING, "Socket Designation"),
        Field("bank_connections", BYTE, "Bank Connections", _banks),
        Field("current_speed", BYTE, "Current Speed", unit("ns", unknown=0)),
        Field("current_memory_type", flags(WORD, said.MODULE_TYPES), "Type", flat),
        Field(
            "installed_size", bits(BYTE, size=(0, 7, None), double_bank=(7, 1, None)), "Installed Size", _module_size
        ),
        Field("enabled_size", bits(BYTE, size=(0, 7, None), double_bank=(7, 1, None)), "Enabled Size", _module_size),
        Field("error_status", BYTE, "Error Status", _module_error),
    ),
}
