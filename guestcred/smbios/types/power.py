"""Batteries, probes, fans and power supplies (DSP0134 7.23, 7.27 to 7.30, 7.40)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, DWORD, HANDLE, SIGNED, STRING, WORD, Field, Formatted, bits, enumerated
from guestcred.smbios.text import About, Row, digits, scaled, string, unit, unless, word
from guestcred.smbios.values import Bits, StringNumber, Word, Words, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.smbios.text import Show

# 7.23.1
_CHEMISTRY = words(
    1, "Other; Unknown; Lead Acid; Nickel Cadmium; Nickel Metal Hydride; Lithium Ion; Zinc Air; Lithium Polymer"
)
# 7.27.1, 7.29.1
_LOCATIONS = words(
    1,
    "Other; Unknown; Processor; Disk; Peripheral Bay; System Management Module; Motherboard; Memory Module; "
    "Processor Module; Power Unit; Add-in Card",
)
_TEMPERATURE_LOCATIONS = _LOCATIONS | words(
    12, "Front Panel Board; Back Panel Board; Power System Board; Drive Back Plane"
)
_STATUS = words(1, "Other; Unknown; OK; Non-critical; Critical; Non-recoverable")
# 7.28.1
_COOLING = words(
    1,
    "Other; Unknown; Fan; Centrifugal Blower; Chip Fan; Cabinet Fan; Power Supply Fan; Heat Pipe; "
    "Integrated Refrigeration",
) | words(0x10, "Active Cooling; Passive Cooling")
# 7.40.1
_SUPPLIES = words(1, "Other; Unknown; Linear; Switching; Battery; UPS; Converter; Regulator")
_SUPPLY_STATUS = words(1, "Other; Unknown; OK; Non-critical; Critical")
_SWITCHING = words(1, "Other; Unknown; Manual; Auto-switch; Wide Range; N/A")

_OEM = Field("oem_defined", DWORD, "OEM-specific Information", digits("0x{:08X}"))


def _smart(about: About) -> bool:
    """Whether the battery has the fields of a Smart Battery, which stand for those that say nothing (DSP0134 7.23)."""
    return about.get("oem_specific") is not None


def _unless_smart(value: StringNumber, about: About) -> str | None:
    return None if value == 0 and _smart(about) else string(value)


def _chemistry(value: Word, about: About) -> str | None:
    return None if value == 2 and _smart(about) else word(value)


def _capacity(value: int, about: About) -> str:
    return f"{value * about.get('design_capacity_multiplier', 1)} mWh" if value else "Unknown"


def _smart_serial(value: int, about: About) -> str | None:
    return f"{value:04X}" if about.get("serial_number") == 0 and _smart(about) else None


def _smart_date(value: int, about: About) -> str | None:
    if about.get("manufacture_date") or not _smart(about):
        return None
    return f"{1980 + (value >> 9)}-{value >> 5 & 0xF:02}-{value & 0x1F:02}"


def _smart_chemistry(value: StringNumber, about: About) -> str | None:
    return string(value) if about.get("device_chemistry") == 2 and _smart(about) else None


def _split(kind: str) -> Show:
    """Two parts of one byte, each on its line."""

    def show(value: Bits, _: About) -> list[Row]:
        return [Row(kind, word(getattr(value, kind.lower()))), Row("Status", word(value.status))]

    return show


def _probe(title: str, locations: dict[int, str], value: Show, resolution: Show) -> Formatted:
    """The three types of probes differ in units alone."""
    where = bits(BYTE, location=(0, 5, Words(locations)), status=(5, 3, Words(_STATUS)))
    return Formatted(
        title,
        Field("description", STRING, "Description"),
        Field("location_and_status", where, "Location", _split("Location")),
        Field("maximum_value", SIGNED, "Maximum Value", value),
        Field("minimum_value", SIGNED, "Minimum Value", value),
        Field("resolution", WORD, "Resolution", resolution),
        Field("tolerance", SIGNED, "Tolerance", value),
        Field("accuracy", WORD, "Accuracy", scaled(100, 2, "%", unknown=0x8000)),
        _OEM,
        Field("nominal_value", SIGNED, "Nominal Value", value),
    )


def _supply(value: Bits, _: About) -> list[Row]:
    status = f"Present, {word(value.status)}" if value.present else "Not Present"
    return [
        Row("Status", status),
        Row("Type", word(value.type)),
        Row("Input Voltage Range Switching", word(value.input_voltage_range_switching)),
        Row("Plugged", "No" if value.unplugged else "Yes"),
        Row("Hot Replaceable", "Yes" if value.hot_replaceable else "No"),
    ]


def _pointed(label: str) -> Show:
    return lambda value, _: None if value == 0xFFFF else Row(label, f"0x{value:04X}", handle=int(value), verbose=True)


TYPES: dict[int, Formatted] = {
    22: Formatted(
        "Portable Battery",
        Field("location", STRING, "Location"),
        Field("manufacturer", STRING, "Manufacturer"),
        Field("manufacture_date", STRING, "Manufacture Date", _unless_smart),
        Field("serial_number", STRING, "Serial Number", _unless_smart),
        Field("device_name", STRING, "Name"),
        Field("device_chemistry", enumerated(BYTE, _CHEMISTRY), "Chemistry", _chemistry),
        Field("design_capacity", WORD, "Design Capacity", _capacity),
        Field("design_voltage", WORD, "Design Voltage", unit("mV", unknown=0)),
        Field("sbds_version_number", STRING, "SBDS Version"),
        Field(
            "maximum_error_in_battery_data",
            BYTE,
            "Maximum Error",
            lambda value, _: "Unknown" if value == 0xFF else f"{value}%",
        ),
        Field("sbds_serial_number", WORD, "SBDS Serial Number", _smart_serial),
        Field("sbds_manufacture_date", WORD, "SBDS Manufacture Date", _smart_date),
        Field("sbds_device_chemistry", STRING, "SBDS Chemistry", _smart_chemistry),
        Field("design_capacity_multiplier", BYTE),
        Field("oem_specific", DWORD, "OEM-specific Information", digits("0x{:08X}")),
    ),
    26: _probe("Voltage Probe", _LOCATIONS, scaled(1000, 3, "V"), scaled(10, 1, "mV", unknown=0x8000)),
    27: Formatted(
        "Cooling Device",
        Field("temperature_probe_handle", HANDLE, "Temperature Probe Handle", _pointed("Temperature Probe Handle")),
        Field(
            "device_type_and_status",
            bits(BYTE, type=(0, 5, Words(_COOLING)), status=(5, 3, Words(_STATUS))),
            "Type",
            _split("Type"),
        ),
        Field("cooling_unit_group", BYTE, "Cooling Unit Group", unless(0)),
        _OEM,
        Field("nominal_speed", WORD, "Nominal Speed", unit("rpm", unknown=0x8000, what="Unknown Or Non-rotating")),
        Field("description", STRING, "Description"),
    ),
    28: _probe(
        "Temperature Probe",
        _TEMPERATURE_LOCATIONS,
        scaled(10, 1, "deg C"),
        scaled(1000, 3, "deg C", unknown=0x8000),
    ),
    29: _probe("Electrical Current Probe", _LOCATIONS, scaled(1000, 3, "A"), scaled(10, 1, "mA", unknown=0x8000)),
    39: Formatted(
        "System Power Supply",
        Field("power_unit_group", BYTE, "Power Unit Group", unless(0)),
        Field("location", STRING, "Location"),
        Field("device_name", STRING, "Name"),
        Field("manufacturer", STRING, "Manufacturer"),
        Field("serial_number", STRING, "Serial Number"),
        Field("asset_tag_number", STRING, "Asset Tag"),
        Field("model_part_number", STRING, "Model Part Number"),
        Field("revision_level", STRING, "Revision"),
        Field("max_power_capacity", WORD, "Max Power Capacity", unit("W", unknown=0x8000)),
        Field(
            "power_supply_characteristics",
            bits(
                WORD,
                hot_replaceable=(0, 1, None),
                present=(1, 1, None),
                unplugged=(2, 1, None),
                input_voltage_range_switching=(3, 4, Words(_SWITCHING)),
                status=(7, 3, Words(_SUPPLY_STATUS)),
                type=(10, 4, Words(_SUPPLIES)),
            ),
            "Status",
            _supply,
        ),
        Field(
            "input_voltage_probe_handle", HANDLE, "Input Voltage Probe Handle", _pointed("Input Voltage Probe Handle")
        ),
        Field("cooling_device_handle", HANDLE, "Cooling Device Handle", _pointed("Cooling Device Handle")),
        Field(
            "input_current_probe_handle", HANDLE, "Input Current Probe Handle", _pointed("Input Current Probe Handle")
        ),
    ),
}
