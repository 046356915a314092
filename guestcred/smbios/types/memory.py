"""Memory: controllers, modules, arrays, devices, their addresses and their errors (DSP0134 7.6, 7.7, 7.17 to 7.21, 7.34, 7.38)."""

from __future__ import annotations

from construct import this

from guestcred.smbios.fields import BYTE, DWORD, HANDLE, QWORD, STRING, WORD, Field, Formatted, bits, enumerated, flags
from guestcred.smbios.groups import Repeated
from guestcred.smbios.text import OUT_OF_SPEC, About, Row, Show, flat, memory_size, number, unit, unless
from guestcred.smbios.types import memory_words as said
from guestcred.smbios.types.processor import voltage
from guestcred.smbios.values import Bits, Handle

_DDR5 = (0x22, 0x23)  # memory types whose PMIC and RCD have a revision in parts; DSP0134 7.18.16


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


def _capacity(value: int, about: About) -> str:
    if value != 0x80000000:  # that means: see the extended field
        return memory_size(value, 1)
    extended = about.get("extended_maximum_capacity")
    return "Unknown" if extended is None else memory_size(extended)


def _error_handle(value: Handle, _: About) -> Row:
    told = {0xFFFE: "Not Provided", 0xFFFF: "No Error"}.get(value)
    pointed = None if told else int(value)
    return Row("Error Information Handle", told or f"0x{value:04X}", handle=pointed, verbose=True)


def _width(value: int, _: About) -> str:
    return "Unknown" if value in (0, 0xFFFF) else f"{value} bits"


def _size(value: int, about: About) -> str:
    extended = about.get("extended_size")
    if value == 0x7FFF and extended is not None:
        mebibytes = extended & 0x7FFFFFFF
        return (
            f"{mebibytes} MB"
            if mebibytes & 0x3FF
            else f"{mebibytes >> 10} GB"
            if mebibytes & 0xFFC00
            else f"{mebibytes >> 20} TB"
        )
    if value in (0, 0xFFFF):
        return "Unknown" if value else "No Module Installed"
    return memory_size(value & 0x7FFF if value & 0x8000 else value << 10, 1)


def _device_set(value: int, _: About) -> str:
    return {0: "None", 0xFF: "Unknown"}.get(value, str(value))


def _speed(extended: str) -> Show:
    def show(value: int, about: About) -> str:
        speed = about.get(extended, 0) if value == 0xFFFF else value
        return f"{speed} MT/s" if speed else "Unknown"

    return show


def _volts(value: int, _: About) -> str:
    if not value:
        return "Unknown"
    return f"{value / 1000:g} V" if value % 100 else f"{value / 1000:.1f} V"


def _rank(value: Bits, _: About) -> str:
    return str(value.rank or "Unknown")


def _manufacturer(value: int, _: About) -> str:
    """JEP-106: the number of continuation codes with a parity bit, and the code (DSP0134 7.18.8)."""
    return f"Bank {(value & 0x7F) + 1}, Hex 0x{value >> 8:02X}" if value else "Unknown"


def _bytes(value: int, _: About) -> str:
    return "Unknown" if value == (1 << 64) - 1 else memory_size(value) if value else "None"


def _revision(part: str) -> Show:
    def show(value: int, about: About) -> list[Row]:
        if value == 0xFF00:
            return [Row(f"{part} Revision Number", "Unknown")]
        if about.get("memory_type") not in _DDR5:
            return [Row(f"{part} Revision Number", f"0x{value:04x}")]
        if not value & 0x8000:
            return [Row(f"{part} Device Type", "Not Installed")]
        revision = f"{value >> 4 & 0xF}.{value & 0xF}"
        return [Row(f"{part} Device Type", str(value >> 8 & 0xF)), Row(f"{part} Device Revision", revision)]

    return show


def _not_installed(name: str, about: About) -> bool:
    """Without a module, what follows the type says nothing."""
    return about.get("size") == 0 and name in _OF_A_MODULE


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


def _loads(devices: list[dict[str, int]], _: About) -> list[Row]:
    rows = []
    for place, device in enumerate(devices, 1):
        handle = device["memory_device_handle"]
        rows.append(Row(f"Device {place} Load", str(device["memory_device_load"])))
        rows.append(Row(f"Device {place} Handle", f"0x{handle:04X}", handle=int(handle), verbose=True))
    return rows


_ERROR = (
    Field("error_type", enumerated(BYTE, said.ERROR_TYPES), "Type"),
    Field("error_granularity", enumerated(BYTE, said.ERROR_GRANULARITY), "Granularity"),
    Field("error_operation", enumerated(BYTE, said.ERROR_OPERATIONS), "Operation"),
    Field("vendor_syndrome", DWORD, "Vendor Syndrome", lambda value, _: f"0x{value:08X}" if value else "Unknown"),
)


def _error_address(name: str, label: str, wide: bool = False) -> Field:
    places, unknown = (16, 1 << 63) if wide else (8, 1 << 31)
    show = lambda value, _: "Unknown" if value == unknown else f"0x{value:0{places}X}"  # noqa: E731
    return Field(name, QWORD if wide else DWORD, label, show)


_MODULE = (
    Field("speed", WORD, "Speed", _speed("extended_speed")),
    Field("manufacturer", STRING, "Manufacturer"),
    Field("serial_number", STRING, "Serial Number"),
    Field("asset_tag", STRING, "Asset Tag"),
    Field("part_number", STRING, "Part Number"),
    Field("attributes", bits(BYTE, rank=(0, 4, None)), "Rank", _rank),
    Field("extended_size", DWORD),
    Field("configured_memory_speed", WORD, "Configured Memory Speed", _speed("extended_configured_memory_speed")),
    Field("minimum_voltage", WORD, "Minimum Voltage", _volts),
    Field("maximum_voltage", WORD, "Maximum Voltage", _volts),
    Field("configured_voltage", WORD, "Configured Voltage", _volts),
    Field("memory_technology", enumerated(BYTE, said.TECHNOLOGIES), "Memory Technology"),
    Field(
        "memory_operating_mode_capability",
        flags(WORD, said.OPERATING_MODES),
        "Memory Operating Mode Capability",
        flat,
    ),
    Field("firmware_version", STRING, "Firmware Version"),
    Field("module_manufacturer_id", WORD, "Module Manufacturer ID", _manufacturer),
    Field("module_product_id", WORD, "Module Product ID", lambda value, _: f"0x{value:04X}" if value else "Unknown"),
    Field(
        "memory_subsystem_controller_manufacturer_id",
        WORD,
        "Memory Subsystem Controller Manufacturer ID",
        _manufacturer,
    ),
    Field(
        "memory_subsystem_controller_product_id",
        WORD,
        "Memory Subsystem Controller Product ID",
        lambda value, _: f"0x{value:04X}" if value else "Unknown",
    ),
    Field("non_volatile_size", QWORD, "Non-Volatile Size", _bytes),
    Field("volatile_size", QWORD, "Volatile Size", _bytes),
    Field("cache_size", QWORD, "Cache Size", _bytes),
    Field("logical_size", QWORD, "Logical Size", _bytes),
    Field("extended_speed", DWORD),
    Field("extended_configured_memory_speed", DWORD),
    Field("pmic0_manufacturer_id", WORD, "PMIC0 Manufacturer ID", _manufacturer),
    Field("pmic0_revision_number", WORD, "PMIC0 Revision Number", _revision("PMIC0")),
    Field("rcd_manufacturer_id", WORD, "RCD Manufacturer ID", _manufacturer),
    Field("rcd_revision_number", WORD, "RCD Revision Number", _revision("RCD")),
)
_OF_A_MODULE = {field.name for field in _MODULE}

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
            Repeated(HANDLE, this.number_of_associated_memory_slots),
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
    16: Formatted(
        "Physical Memory Array",
        Field("location", enumerated(BYTE, said.ARRAY_LOCATIONS), "Location"),
        Field("use", enumerated(BYTE, said.ARRAY_USES), "Use"),
        Field("memory_error_correction", enumerated(BYTE, said.ARRAY_CORRECTION), "Error Correction Type"),
        Field("maximum_capacity", DWORD, "Maximum Capacity", _capacity),
        Field("memory_error_information_handle", HANDLE, "Error Information Handle", _error_handle),
        Field("number_of_memory_devices", WORD, "Number Of Devices"),
        Field("extended_maximum_capacity", QWORD),
    ),
    17: Formatted(
        "Memory Device",
        Field("physical_memory_array_handle", HANDLE, "Array Handle"),
        Field("memory_error_information_handle", HANDLE, "Error Information Handle", _error_handle),
        Field("total_width", WORD, "Total Width", _width),
        Field("data_width", WORD, "Data Width", _width),
        Field("size", WORD, "Size", _size),
        Field("form_factor", enumerated(BYTE, said.FORM_FACTORS), "Form Factor"),
        Field("device_set", BYTE, "Set", _device_set),
        Field("device_locator", STRING, "Locator"),
        Field("bank_locator", STRING, "Bank Locator"),
        Field("memory_type", enumerated(BYTE, said.DEVICE_TYPES), "Type"),
        Field("type_detail", flags(WORD, said.TYPE_DETAILS), "Type Detail", flat),
        *_MODULE,
        irrelevant=_not_installed,
    ),
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
    37: Formatted(
        "Memory Channel",
        Field("channel_type", enumerated(BYTE, said.CHANNEL_TYPES), "Type"),
        Field("maximum_channel_load", BYTE, "Maximal Load"),
        Field("memory_device_count", BYTE, "Devices"),
        Field(
            "memory_devices",
            Repeated(
                Formatted("Device", Field("memory_device_load", BYTE), Field("memory_device_handle", HANDLE)),
                this.memory_device_count,
                size=lambda _: 3,
            ),
            "Device",
            _loads,
        ),
    ),
}
