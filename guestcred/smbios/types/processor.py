"""Processors and caches (DSP0134 7.5, 7.8, 7.45)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, DWORD, HANDLE, STRING, WORD, Field, Formatted, bits, enumerated, flags, octets
from guestcred.smbios.groups import Data, Repeated
from guestcred.smbios.processor_id import identity
from guestcred.smbios.text import About, Row, flat, hexadecimal, memory_size, unit, word
from guestcred.smbios.types import processor_words as said
from guestcred.smbios.values import Bits, Handle, Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.smbios.text import Show


def family(about: About) -> str:
    """The processor's family; two values mean one thing or another, as the manufacturer is."""
    value = about.get("processor_family")
    manufacturer = about.get("processor_manufacturer")
    maker = (getattr(manufacturer, "text", None) or b"").lower()
    if about.version == (2, 0) and value == 0x30 and b"intel" in maker:
        return "Pentium Pro"
    if value == 0xFE and about.get("processor_family_2") is not None:
        value = about.get("processor_family_2")
    if value == 0xBE:
        return "Core 2" if b"intel" in maker else "K7" if b"amd" in maker else "Core 2 or K7"
    return word(value)


def voltage(value: int, _: About) -> str | None:
    """DSP0134 7.5.4: tenths of a volt, or a bit field."""
    if value & 0x80:
        return f"{(value & 0x7F) / 10:.1f} V"
    told = [name for bit, name in enumerate(("5.0 V", "3.3 V", "2.9 V")) if value >> bit & 1]
    return " ".join(told) if told else "Unknown" if not value & 0x07 else None


def _status(value: Bits, _: About) -> str:
    return f"Populated, {word(value.status)}" if value.populated else "Unpopulated"


def _cache(level: int) -> Show:
    def show(handle: Handle, about: About) -> Row:
        label = f"L{level} Cache Handle"
        if handle == 0xFFFF:
            told = "Not Provided" if about.version >= (2, 3) else f"No L{level} Cache"
            return Row(label, told, verbose=True)
        return Row(label, f"0x{handle:04X}", handle=int(handle), verbose=True)

    return show


def _count(second: str) -> Show:
    """A count of cores or threads: 0 is unknown, 0xFF says that the wider field has it (DSP0134 7.5.6 to 7.5.8)."""

    def show(value: int, about: About) -> str | None:
        wide = about.get(second)
        return str(wide if value == 0xFF and wide is not None else value) if value else None

    return show


def _cache_configuration(value: Bits, _: About) -> list[Row]:
    told = ("Enabled" if value.enabled else "Disabled", "Socketed" if value.socketed else "Not Socketed")
    return [
        Row("Configuration", f"{told[0]}, {told[1]}, Level {value.level + 1}"),
        Row("Operational Mode", word(value.operational_mode)),
        Row("Location", word(value.location)),
    ]


def _cache_size(second: str) -> Show:
    """Sizes in KiB or in 64 KiB, by the highest bit; the wider field says it where it is there (DSP0134 7.8.1)."""

    def show(value: int, about: About) -> str:
        wide = about.get(second)
        if wide is None:
            wide = (value & 0x8000) << 16 | value & 0x7FFF
        return memory_size((wide & 0x7FFFFFFF) * (64 if wide >> 31 else 1), 1)

    return show


TYPES: dict[int, Formatted] = {
    4: Formatted(
        "Processor Information",
        Field("socket_designation", STRING, "Socket Designation"),
        Field("processor_type", enumerated(BYTE, said.PROCESSOR_TYPES), "Type"),
        Field("processor_family", enumerated(BYTE, said.FAMILIES), "Family", lambda _, about: family(about)),
        Field("processor_manufacturer", STRING, "Manufacturer"),
        Field("processor_id", octets(8), "ID", lambda value, about: identity(value, about)),
        Field("processor_version", STRING, "Version"),
        Field("voltage", BYTE, "Voltage", voltage),
        Field("external_clock", WORD, "External Clock", unit("MHz", unknown=0)),
        Field("max_speed", WORD, "Max Speed", unit("MHz", unknown=0)),
        Field("current_speed", WORD, "Current Speed", unit("MHz", unknown=0)),
        Field(
            "status", bits(BYTE, status=(0, 3, Words(said.PROCESSOR_STATUS)), populated=(6, 1, None)), "Status", _status
        ),
        Field("processor_upgrade", enumerated(BYTE, said.UPGRADES), "Upgrade"),
        Field("l1_cache_handle", HANDLE, "L1 Cache Handle", _cache(1)),
        Field("l2_cache_handle", HANDLE, "L2 Cache Handle", _cache(2)),
        Field("l3_cache_handle", HANDLE, "L3 Cache Handle", _cache(3)),
        Field("serial_number", STRING, "Serial Number"),
        Field("asset_tag", STRING, "Asset Tag"),
        Field("part_number", STRING, "Part Number"),
        Field("core_count", BYTE, "Core Count", _count("core_count_2")),
        Field("core_enabled", BYTE, "Core Enabled", _count("core_enabled_2")),
        Field("thread_count", BYTE, "Thread Count", _count("thread_count_2")),
        Field("processor_characteristics", flags(WORD, said.CHARACTERISTICS), "Characteristics"),
        Field("processor_family_2", enumerated(WORD, said.FAMILIES)),
        Field("core_count_2", WORD),
        Field("core_enabled_2", WORD),
        Field("thread_count_2", WORD),
        Field("thread_enabled", WORD, "Thread Enabled", lambda value, _: str(value) if value else None),
        Field("socket_type", STRING, "Socket Type"),
    ),
    7: Formatted(
        "Cache Information",
        Field("socket_designation", STRING, "Socket Designation"),
        Field(
            "cache_configuration",
            bits(
                WORD,
                level=(0, 3, None),
                socketed=(3, 1, None),
                location=(5, 2, Words(said.CACHE_LOCATIONS)),
                enabled=(7, 1, None),
                operational_mode=(8, 2, Words(said.CACHE_MODES)),
            ),
            "Configuration",
            _cache_configuration,
        ),
        Field("maximum_cache_size", WORD, "Maximum Size", _cache_size("maximum_cache_size_2")),
        Field("installed_size", WORD, "Installed Size", _cache_size("installed_cache_size_2")),
        Field("supported_sram_type", flags(WORD, said.SRAM_TYPES), "Supported SRAM Types"),
        Field("current_sram_type", flags(WORD, said.SRAM_TYPES), "Installed SRAM Type", flat),
        Field("cache_speed", BYTE, "Speed", unit("ns", unknown=0)),
        Field("error_correction_type", enumerated(BYTE, said.CACHE_ERROR_CORRECTION), "Error Correction Type"),
        Field("system_cache_type", enumerated(BYTE, said.CACHE_TYPES), "System Type"),
        Field("associativity", enumerated(BYTE, said.ASSOCIATIVITY), "Associativity"),
        Field("maximum_cache_size_2", DWORD),
        Field("installed_cache_size_2", DWORD),
    ),
    44: Formatted(
        "Processor Additional Information",
        Field("referenced_handle", HANDLE, "Referenced Handle"),
        Field(
            "processor_specific_block",
            Repeated(
                Formatted(
                    "Processor-Specific Block",
                    Field("block_length", BYTE),
                    Field("processor_type", enumerated(BYTE, said.ARCHITECTURES)),
                    Field("processor_specific_data", Data("block_length")),
                ),
            ),
            "Processor-Specific Block",
            lambda blocks, _: [
                row
                for block in blocks
                for row in (
                    Row("Processor Architecture", word(block["processor_type"])),
                    Row("Processor-Specific Data", hexadecimal(block["processor_specific_data"]) or "None"),
                )
            ],
        ),
    ),
}
