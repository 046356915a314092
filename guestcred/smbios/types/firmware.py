"""The firmware: what it is, its languages and its event log (DSP0134 7.1, 7.14, 7.16)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, DWORD, QWORD, STRING, WORD, Field, Formatted, bits, enumerated, flags, octets
from guestcred.smbios.groups import Repeated
from guestcred.smbios.text import OUT_OF_SPEC, About, Row, digits, memory_size, string, unit, word
from guestcred.smbios.types import system_words as said
from guestcred.smbios.values import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.smbios.text import Show


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


def _languages(count: int, about: About) -> Row:
    return Row("Installable Languages", str(count), tuple(string(number) for number in about.numbered(count)))


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
    13: Formatted(
        "BIOS Language Information",
        Field("installable_languages", BYTE, "Installable Languages", _languages),
        Field("flags", bits(BYTE, format=(0, 1, None)), "Language Description Format", _two("Long", "Abbreviated", 0)),
        Field("reserved", octets(15)),
        Field("current_language", STRING, "Currently Installed Language"),
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
        Field("access_method_address", octets(4), "Access Address", _log_address),
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
                "number_of_supported_log_type_descriptors",
                size="length_of_each_log_type_descriptor",
            ),
            "Descriptor",
            _descriptors,
        ),
    ),
}
