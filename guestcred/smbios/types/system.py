"""The system as a whole: firmware, board, chassis, strings, event log, power and boot (DSP0134 7.1 to 7.4, 7.12 to 7.16, 7.24 to 7.26, 7.33)."""

from __future__ import annotations

from construct import Bytes, this

from guestcred.smbios.fields import (
    BYTE,
    DWORD,
    HANDLE,
    QWORD,
    STRING,
    UUID,
    WORD,
    Field,
    Formatted,
    bits,
    enumerated,
    flags,
)
from guestcred.smbios.groups import Repeated
from guestcred.smbios.names import structure_name
from guestcred.smbios.text import OUT_OF_SPEC, About, Row, Show, digits, memory_size, number, string, unit, word
from guestcred.smbios.types import system_words as said
from guestcred.smbios.values import Bits, Flags, Words
from guestcred.smbios.walk import OEM_STRINGS_NAME


def _runtime_size(segment: int, _: About) -> list[Row] | None:
    if segment == 0:  # where the firmware is UEFI there is no such address
        return None
    size = 0x10000 - segment << 4
    told = f"{size} bytes" if size & 0x3FF else f"{size >> 10} kB"
    return [Row("Address", f"0x{segment:04X}0"), Row("Runtime Size", told)]


def _rom_size(size: int, about: About) -> str:
    if size != 0xFF:
        return memory_size((size + 1) * 64, 1)
    extended = about.get("extended_bios_rom_size", 16)  # DSP0134 7.1: 16 MiB or more
    return f"{extended & 0x3FFF} {('MB', 'GB', OUT_OF_SPEC, OUT_OF_SPEC)[extended >> 14]}"


def _characteristics(value: Flags, about: About) -> Row:
    told = ("BIOS characteristics not supported",) if value >> 3 & 1 else value.words
    for name in ("bios_characteristics_extension_byte_1", "bios_characteristics_extension_byte_2"):
        told += getattr(about.get(name), "words", ())
    return Row("Characteristics", None, told)


def _release(label: str, minor: str) -> Show:
    def show(major: int, about: About) -> Row | None:
        second = about.get(minor)
        return None if second is None or 0xFF in (major, second) else Row(label, f"{major}.{second}")

    return show


def _contained(elements: list[dict[str, int]], _: About) -> Row:
    told = []
    for element in elements:
        if "maximum" in element:
            kind, low, high = element["type"], element["minimum"], element["maximum"]
            name = structure_name(kind & 0x7F) if kind & 0x80 else Words(said.BOARD_TYPES).word(kind) or OUT_OF_SPEC
            told.append(f"{name} ({low})" if low == high else f"{name} ({low}-{high})")
    return Row("Contained Elements", str(len(elements)), tuple(told))


def _chassis_type(value: Bits, _: About) -> list[Row]:
    return [Row("Type", word(value.type)), Row("Lock", "Present" if value.lock else "Not Present")]


def _height(value: int, about: About) -> str | None:
    if value == 0xFF and about.get("rack_height") is not None:  # DSP0134 3.9, 7.4: see Rack Height
        return None
    return f"{value} U" if value else "Unspecified"


def _strings(label: str) -> Show:
    """`count` strings, of those that there are at least; the count byte of long lists has wrapped."""
    return lambda count, about: [
        Row(f"{label} {place}", string(number))
        for place, number in enumerate(about.numbered(max(count, len(about.strings))), 1)
    ]


def _languages(count: int, about: About) -> Row:
    return Row("Installable Languages", str(count), tuple(string(number) for number in about.numbered(count)))


def _items(items: list[dict[str, int]], _: About) -> Row:
    told = tuple(f"0x{item['item_handle']:04X} ({structure_name(item['item_type'])})" for item in items)
    return Row("Items", str(len(items)), told)


def _header_length(start: int, about: About) -> list[Row]:
    rows, data = [Row("Header Start Offset", f"0x{start:04X}")], about.get("log_data_start_offset")
    if data is not None and data - start:
        rows.append(Row("Header Length", f"{data - start} byte{'s' if data - start > 1 else ''}"))
    return rows


def _log_address(address: bytes, about: About) -> str:
    first, second = int.from_bytes(address[:2], "little"), int.from_bytes(address[2:], "little")
    match about.get("access_method"):
        case 0 | 1 | 2:
            return f"Index 0x{first:04X}, Data 0x{second:04X}"
        case 3:
            return f"0x{second << 16 | first:08X}"
        case 4:
            return f"0x{first:04X}"
    return "Unknown"


def _descriptors(records: list[dict[str, int]], _: About) -> list[Row]:
    rows = []
    for place, record in enumerate(records, 1):
        if "data_format" in record:
            rows.append(Row(f"Descriptor {place}", word(record["log_type"])))
            rows.append(Row(f"Data Format {place}", word(record["data_format"])))
    return rows


def _two(first: str, second: str, low: int) -> Show:
    return lambda value, _: f"{second if value >> low & 1 else first}"


def _power_on(_: int, about: About) -> str | None:
    ranges = (
        ("month", 1, 0x12),
        ("day_of_month", 1, 0x31),
        ("hour", 0, 0x23),
        ("minute", 0, 0x59),
        ("second", 0, 0x59),
    )
    values = {name: about.get(f"next_scheduled_power_on_{name}") for name, _, _ in ranges}
    if None in values.values():
        return None
    told = {
        name: f"{values[name]:02X}" if values[name] & 0xF <= 9 and low <= values[name] <= high else "*"
        for name, low, high in ranges
    }
    return f"{told['month']}-{told['day_of_month']} {told['hour']}:{told['minute']}:{told['second']}"


def _watchdog(name: str, about: About) -> bool:
    return name not in ("capabilities",) and not about.get("capabilities").watchdog_timer


def _reset(value: Bits, _: About) -> list[Row]:
    rows = [Row("Status", "Enabled" if value.status else "Disabled")]
    rows.append(Row("Watchdog Timer", "Present" if value.watchdog_timer else "Not Present"))
    if value.watchdog_timer:
        rows += [
            Row("Boot Option", word(value.boot_option)),
            Row("Boot Option On Limit", word(value.boot_option_on_limit)),
        ]
    return rows


def _security(value: Bits, _: About) -> list[Row]:
    labels = ("Power-On Password", "Keyboard Password", "Administrator Password", "Front Panel Reset")
    names = ("power_on_password", "keyboard_password", "administrator_password", "front_panel_reset")
    return [Row(f"{label} Status", word(getattr(value, name))) for label, name in zip(labels, names)]


_COUNT = number(0xFFFF)

TYPES: dict[int, Formatted] = {
    0: Formatted(
        "BIOS Information",
        Field("vendor", STRING, "Vendor"),
        Field("bios_version", STRING, "Version"),
        Field("bios_starting_address_segment", WORD, "Address", _runtime_size),
        Field("bios_release_date", STRING, "Release Date"),
        Field("bios_rom_size", BYTE, "ROM Size", _rom_size),
        Field("bios_characteristics", flags(QWORD, said.BIOS_CHARACTERISTICS), "Characteristics", _characteristics),
        Field("bios_characteristics_extension_byte_1", flags(BYTE, said.BIOS_EXTENSION_1)),
        Field("bios_characteristics_extension_byte_2", flags(BYTE, said.BIOS_EXTENSION_2)),
        Field(
            "system_bios_major_release", BYTE, "BIOS Revision", _release("BIOS Revision", "system_bios_minor_release")
        ),
        Field("system_bios_minor_release", BYTE),
        Field(
            "embedded_controller_firmware_major_release",
            BYTE,
            "Firmware Revision",
            _release("Firmware Revision", "embedded_controller_firmware_minor_release"),
        ),
        Field("embedded_controller_firmware_minor_release", BYTE),
        Field("extended_bios_rom_size", WORD),
    ),
    1: Formatted(
        "System Information",
        Field("manufacturer", STRING, "Manufacturer"),
        Field("product_name", STRING, "Product Name"),
        Field("version", STRING, "Version"),
        Field("serial_number", STRING, "Serial Number"),
        Field("uuid", UUID, "UUID"),
        Field("wake_up_type", enumerated(BYTE, said.WAKE_UP_TYPES), "Wake-up Type"),
        Field("sku_number", STRING, "SKU Number"),
        Field("family", STRING, "Family"),
    ),
    2: Formatted(
        "Baseboard Information",
        Field("manufacturer", STRING, "Manufacturer"),
        Field("product", STRING, "Product Name"),
        Field("version", STRING, "Version"),
        Field("serial_number", STRING, "Serial Number"),
        Field("asset_tag", STRING, "Asset Tag"),
        Field("feature_flags", flags(BYTE, said.BOARD_FEATURES), "Features"),
        Field("location_in_chassis", STRING, "Location In Chassis"),
        Field("chassis_handle", HANDLE, "Chassis Handle"),
        Field("board_type", enumerated(BYTE, said.BOARD_TYPES), "Type"),
        Field("number_of_contained_object_handles", BYTE),
        Field(
            "contained_object_handles",
            Repeated(HANDLE, this.number_of_contained_object_handles),
            "Contained Object Handles",
        ),
        heading="Base Board Information",
    ),
    3: Formatted(
        "System Enclosure or Chassis",
        Field("manufacturer", STRING, "Manufacturer"),
        Field("type", bits(BYTE, type=(0, 7, Words(said.CHASSIS_TYPES)), lock=(7, 1, None)), "Type", _chassis_type),
        Field("version", STRING, "Version"),
        Field("serial_number", STRING, "Serial Number"),
        Field("asset_tag_number", STRING, "Asset Tag"),
        Field("boot_up_state", enumerated(BYTE, said.CHASSIS_STATES), "Boot-up State"),
        Field("power_supply_state", enumerated(BYTE, said.CHASSIS_STATES), "Power Supply State"),
        Field("thermal_state", enumerated(BYTE, said.CHASSIS_STATES), "Thermal State"),
        Field("security_status", enumerated(BYTE, said.CHASSIS_SECURITY), "Security Status"),
        Field("oem_defined", DWORD, "OEM Information", digits("0x{:08X}")),
        Field("height", BYTE, "Height", _height),
        Field("number_of_power_cords", BYTE, "Number Of Power Cords", number(0, "Unspecified")),
        Field("contained_element_count", BYTE),
        Field("contained_element_record_length", BYTE),
        Field(
            "contained_elements",
            Repeated(
                Formatted("Contained Element", Field("type", BYTE), Field("minimum", BYTE), Field("maximum", BYTE)),
                this.contained_element_count,
                size=this.contained_element_record_length,
            ),
            "Contained Elements",
            _contained,
        ),
        Field("sku_number", STRING, "SKU Number"),
        Field("rack_type", enumerated(BYTE, said.RACK_TYPES), "Rack Type"),
        Field("rack_height", BYTE, "Rack Height"),
        heading="Chassis Information",
    ),
    11: Formatted(OEM_STRINGS_NAME, Field("count", BYTE, "String", _strings("String"))),
    12: Formatted("System Configuration Options", Field("count", BYTE, "Option", _strings("Option"))),
    13: Formatted(
        "BIOS Language Information",
        Field("installable_languages", BYTE, "Installable Languages", _languages),
        Field("flags", bits(BYTE, format=(0, 1, None)), "Language Description Format", _two("Long", "Abbreviated", 0)),
        Field("reserved", Bytes(15)),
        Field("current_language", STRING, "Currently Installed Language"),
    ),
    14: Formatted(
        "Group Associations",
        Field("group_name", STRING, "Name"),
        Field(
            "items",
            Repeated(Formatted("Item", Field("item_type", BYTE), Field("item_handle", HANDLE)), size=lambda _: 3),
            "Items",
            _items,
        ),
    ),
    15: Formatted(
        "System Event Log",
        Field("log_area_length", WORD, "Area Length", unit("bytes")),
        Field("log_header_start_offset", WORD, "Header Start Offset", _header_length),
        Field("log_data_start_offset", WORD, "Data Start Offset", digits("0x{:04X}")),
        Field(
            "access_method", enumerated(BYTE, said.LOG_ACCESS_METHODS, (0x80, 0xFF, "OEM-specific")), "Access Method"
        ),
        Field(
            "log_status",
            bits(BYTE, valid=(0, 1, None), full=(1, 1, None)),
            "Status",
            lambda value, _: f"{'Valid' if value.valid else 'Invalid'}, {'Full' if value.full else 'Not Full'}",
        ),
        Field("log_change_token", DWORD, "Change Token", digits("0x{:08X}")),
        Field("access_method_address", Bytes(4), "Access Address", _log_address),
        Field(
            "log_header_format",
            enumerated(BYTE, {0: "No Header", 1: "Type 1"}, (0x80, 0xFF, "OEM-specific")),
            "Header Format",
        ),
        Field("number_of_supported_log_type_descriptors", BYTE, "Supported Log Type Descriptors"),
        Field("length_of_each_log_type_descriptor", BYTE),
        Field(
            "list_of_supported_event_log_type_descriptors",
            Repeated(
                Formatted(
                    "Event Log Type Descriptor",
                    Field(
                        "log_type",
                        enumerated(BYTE, said.LOG_TYPES, (0x80, 0xFE, "OEM-specific"), (0xFF, 0xFF, "End of log")),
                    ),
                    Field("data_format", enumerated(BYTE, said.LOG_DATA_FORMATS, (0x80, 0xFF, "OEM-specific"))),
                ),
                this.number_of_supported_log_type_descriptors,
                size=this.length_of_each_log_type_descriptor,
            ),
            "Descriptor",
            _descriptors,
        ),
    ),
    23: Formatted(
        "System Reset",
        Field(
            "capabilities",
            bits(
                BYTE,
                status=(0, 1, None),
                boot_option=(1, 2, Words(said.RESET_OPTIONS)),
                boot_option_on_limit=(3, 2, Words(said.RESET_OPTIONS)),
                watchdog_timer=(5, 1, None),
            ),
            "Status",
            _reset,
        ),
        Field("reset_count", WORD, "Reset Count", _COUNT),
        Field("reset_limit", WORD, "Reset Limit", _COUNT),
        Field("timer_interval", WORD, "Timer Interval", unit("min", unknown=0xFFFF)),
        Field("timeout", WORD, "Timeout", unit("min", unknown=0xFFFF)),
        irrelevant=_watchdog,
    ),
    24: Formatted(
        "Hardware Security",
        Field(
            "hardware_security_settings",
            bits(
                BYTE,
                front_panel_reset=(0, 2, Words(said.SECURITY_STATUS)),
                administrator_password=(2, 2, Words(said.SECURITY_STATUS)),
                keyboard_password=(4, 2, Words(said.SECURITY_STATUS)),
                power_on_password=(6, 2, Words(said.SECURITY_STATUS)),
            ),
            "Power-On Password Status",
            _security,
        ),
    ),
    25: Formatted(
        "System Power Controls",
        Field("next_scheduled_power_on_month", BYTE, "Next Scheduled Power-on", _power_on),
        Field("next_scheduled_power_on_day_of_month", BYTE),
        Field("next_scheduled_power_on_hour", BYTE),
        Field("next_scheduled_power_on_minute", BYTE),
        Field("next_scheduled_power_on_second", BYTE),
    ),
    32: Formatted(
        "System Boot Information",
        Field("reserved", Bytes(6)),
        Field(
            "boot_status",
            enumerated(BYTE, said.BOOT_STATUS, (128, 191, "OEM-specific"), (192, 255, "Product-specific")),
            "Status",
        ),
    ),
}
