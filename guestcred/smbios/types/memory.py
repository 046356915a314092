"""Memory: arrays, devices and channels (DSP0134 7.17, 7.18, 7.38)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, DWORD, HANDLE, QWORD, STRING, WORD, Field, Formatted, bits, enumerated, flags
from guestcred.smbios.groups import Repeated
from guestcred.smbios.text import About, Row, flat, memory_size
from guestcred.smbios.types import memory_words as said
from guestcred.smbios.values import Bits, Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.smbios.text import Show

_DDR5 = (0x22, 0x23)  # memory types whose PMIC and RCD have a revision in parts; DSP0134 7.18.16


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


def _loads(devices: list[dict[str, int]], _: About) -> list[Row]:
    rows = []
    for place, device in enumerate(devices, 1):
        handle = device["memory_device_handle"]
        rows.append(Row(f"Device {place} Load", str(device["memory_device_load"])))
        rows.append(Row(f"Device {place} Handle", f"0x{handle:04X}", handle=int(handle), verbose=True))
    return rows


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
    37: Formatted(
        "Memory Channel",
        Field("channel_type", enumerated(BYTE, said.CHANNEL_TYPES), "Type"),
        Field("maximum_channel_load", BYTE, "Maximal Load"),
        Field("memory_device_count", BYTE, "Devices"),
        Field(
            "memory_devices",
            Repeated(
                Formatted("Device", Field("memory_device_load", BYTE), Field("memory_device_handle", HANDLE)),
                "memory_device_count",
            ),
            "Device",
            _loads,
        ),
    ),
}
