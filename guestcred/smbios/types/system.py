"""The machine as a whole: system, board and chassis, strings of its maker, and groups (DSP0134 7.2 to 7.4, 7.12, 7.13, 7.15)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, DWORD, HANDLE, STRING, UUID, Field, Formatted, bits, enumerated, flags
from guestcred.smbios.groups import Repeated
from guestcred.smbios.names import structure_name
from guestcred.smbios.text import OUT_OF_SPEC, About, Row, digits, number, string, word
from guestcred.smbios.types import system_words as said
from guestcred.smbios.values import Bits, Words
from guestcred.smbios.walk import OEM_STRINGS_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.smbios.text import Show


def _contained(elements: list[dict[str, int]], _: About) -> Row:
    told = []
    for element in elements:
        if "maximum" in element:
            kind, low, high = element["type"], element["minimum"], element["maximum"]
            name = structure_name(kind & 0x7F) if kind & 0x80 else Words(said.BOARD_TYPES)[kind].word or OUT_OF_SPEC
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


def _items(items: list[dict[str, int]], _: About) -> Row:
    told = tuple(f"0x{item['item_handle']:04X} ({structure_name(item['item_type'])})" for item in items)
    return Row("Items", str(len(items)), told)


TYPES: dict[int, Formatted] = {
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
            Repeated(HANDLE, "number_of_contained_object_handles"),
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
                "contained_element_count",
                size="contained_element_record_length",
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
    14: Formatted(
        "Group Associations",
        Field("group_name", STRING, "Name"),
        Field(
            "items",
            Repeated(Formatted("Item", Field("item_type", BYTE), Field("item_handle", HANDLE))),
            "Items",
            _items,
        ),
    ),
}
