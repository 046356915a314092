"""Where memory stands, and its errors (DSP0134 7.19 to 7.21, 7.34)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, DWORD, HANDLE, QWORD, Field, Formatted, enumerated
from guestcred.smbios.text import OUT_OF_SPEC, About, Row, memory_size, number, unless
from guestcred.smbios.types import memory_words as said


def _range(start: int, about: About) -> list[Row]:
    """Addresses in KiB, or in bytes where the first field says so (DSP0134 7.20, 7.21)."""
    end = about.get("ending_address")
    first, last = about.get("extended_starting_address"), about.get("extended_ending_address")
    if start == 0xFFFFFFFF and last is not None:
        rows = [Row("Starting Address", f"0x{first:016X}"), Row("Ending Address", f"0x{last:016X}")]
        return [*rows, Row("Range Size", "Invalid" if first == last else memory_size(last - first + 1 & (1 << 64) - 1))]
    rows = [Row("Starting Address", f"0x{start << 10:011X}")]
    if end is not None:
        size = end - start + 1 & 0xFFFFFFFF
        rows.append(Row("Ending Address", f"0x{(end << 10) + 0x3FF:011X}"))
        rows.append(Row("Range Size", memory_size(size, 1) if size else "Invalid"))
    return rows


def _row_position(value: int, _: About) -> str:
    return {0: OUT_OF_SPEC, 0xFF: "Unknown"}.get(value, str(value))


_ERROR = (
    Field("error_type", enumerated(BYTE, said.ERROR_TYPES), "Type"),
    Field("error_granularity", enumerated(BYTE, said.ERROR_GRANULARITY), "Granularity"),
    Field("error_operation", enumerated(BYTE, said.ERROR_OPERATIONS), "Operation"),
    Field("vendor_syndrome", DWORD, "Vendor Syndrome", lambda value, _: f"0x{value:08X}" if value else "Unknown"),
)


def _error_address(name: str, label: str, wide: bool = False) -> Field:
    places, unknown = (16, 1 << 63) if wide else (8, 1 << 31)
    return Field(
        name,
        QWORD if wide else DWORD,
        label,
        lambda value, _: "Unknown" if value == unknown else f"0x{value:0{places}X}",
    )


TYPES: dict[int, Formatted] = {
    18: Formatted(
        "32-bit Memory Error Information",
        *_ERROR,
        _error_address("memory_array_error_address", "Memory Array Address"),
        _error_address("device_error_address", "Device Address"),
        _error_address("error_resolution", "Resolution"),
    ),
    19: Formatted(
        "Memory Array Mapped Address",
        Field("starting_address", DWORD, "Starting Address", _range),
        Field("ending_address", DWORD),
        Field("memory_array_handle", HANDLE, "Physical Array Handle"),
        Field("partition_width", BYTE, "Partition Width"),
        Field("extended_starting_address", QWORD),
        Field("extended_ending_address", QWORD),
    ),
    20: Formatted(
        "Memory Device Mapped Address",
        Field("starting_address", DWORD, "Starting Address", _range),
        Field("ending_address", DWORD),
        Field("memory_device_handle", HANDLE, "Physical Device Handle"),
        Field("memory_array_mapped_address_handle", HANDLE, "Memory Array Mapped Address Handle"),
        Field("partition_row_position", BYTE, "Partition Row Position", _row_position),
        Field("interleave_position", BYTE, "Interleave Position", unless(0, number(0xFF))),
        Field("interleaved_data_depth", BYTE, "Interleaved Data Depth", unless(0, number(0xFF))),
        Field("extended_starting_address", QWORD),
        Field("extended_ending_address", QWORD),
    ),
    33: Formatted(
        "64-bit Memory Error Information",
        *_ERROR,
        _error_address("memory_array_error_address", "Memory Array Address", wide=True),
        _error_address("device_error_address", "Device Address", wide=True),
        _error_address("error_resolution", "Resolution"),
    ),
}
