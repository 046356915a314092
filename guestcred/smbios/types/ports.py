"""What can be plugged in and what is on the board (DSP0134 7.9 to 7.11, 7.22, 7.42)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, STRING, WORD, Field, Formatted, bits, enumerated, flags
from guestcred.smbios.groups import Repeated
from guestcred.smbios.text import About, Row, Section, string, word
from guestcred.smbios.types import ports_words as said
from guestcred.smbios.values import Bits, Flags, Word, Words

_PCI = {0x06, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, *range(0x14, 0x29), 0x30, *range(0xA5, 0xB7), *range(0xB8, 0xC7)}
_PCI_EXPRESS = {0x1F, 0x20, 0x21, 0x22, 0x23, *range(0xA5, 0xB7), *range(0xB8, 0xC5)}


def place(segment: int, bus: int, device: int) -> str:
    """A PCI address as Linux writes it."""
    return f"{segment:04x}:{bus:02x}:{device >> 3:02x}.{device & 7:x}"


def _address(segment: int, about: About) -> str | None:
    bus, device = about.get("bus_number"), about.get("device_function_number")
    if device is None or (segment, bus, device) == (0xFFFF, 0xFF, 0xFF):
        return None
    return place(segment, bus, device)


def _slot_id(value: int, about: About) -> str | None:
    """What the number means hangs on the kind of slot (DSP0134 7.10.5)."""
    kind = about.get("slot_type")
    if kind == 0x07:
        return f"Adapter {value & 0xFF}, Socket {value >> 8}"
    return str(value & 0xFF) if kind in (0x04, 0x05) or kind in _PCI else None


def _slot_characteristics(first: Flags, about: About) -> Row:
    second = about.get("slot_characteristics_2")
    if first & 1:
        return Row("Characteristics", "Unknown")
    told = first.words + (second.words if second is not None else ())
    return Row("Characteristics", None if told else "None", told)


def _peers(groups: list[dict[str, int]], _: About) -> list[Row]:
    return [
        Row(
            f"Peer Device {number}",
            f"{place(peer['segment_group_number'], peer['bus_number'], peer['device_function_number'])} "
            f"(Width {peer['data_bus_width']})",
        )
        for number, peer in enumerate(groups, 1)
    ]


def _generation(value: int, about: About) -> str | None:
    return str(value) if value and about.get("slot_type") in _PCI_EXPRESS else None


def _physical_width(value: Word, _: About) -> str | None:
    return word(value) if value else None


def _pitch(value: int, _: About) -> str | None:
    return f"{value // 100}.{value % 100:02} mm" if value else None


def _device_type(value: Bits, _: About) -> list[Row]:
    return [Row("Type", word(value.type)), Row("Status", "Enabled" if value.enabled else "Disabled")]


def _devices(about: About) -> list[Section]:
    """A heading for each device."""
    devices = about.get("devices", [])
    return [
        Section(
            "On Board Device Information" if len(devices) == 1 else f"On Board Device {number} Information",
            (*_device_type(device["device_type"], about), Row("Description", string(device["description_string"]))),
        )
        for number, device in enumerate(devices, 1)
    ]


_DEVICE_TYPE = bits(BYTE, type=(0, 7, Words(said.DEVICE_TYPES)), enabled=(7, 1, None))

TYPES: dict[int, Formatted] = {
    8: Formatted(
        "Port Connector Information",
        Field("internal_reference_designator", STRING, "Internal Reference Designator"),
        Field("internal_connector_type", enumerated(BYTE, said.CONNECTORS), "Internal Connector Type"),
        Field("external_reference_designator", STRING, "External Reference Designator"),
        Field("external_connector_type", enumerated(BYTE, said.CONNECTORS), "External Connector Type"),
        Field("port_type", enumerated(BYTE, said.PORTS), "Port Type"),
    ),
    9: Formatted(
        "System Slots",
        Field("slot_designation", STRING, "Designation"),
        Field("slot_type", enumerated(BYTE, said.SLOTS), "Type"),
        Field("slot_data_bus_width", enumerated(BYTE, said.SLOT_WIDTHS), "Data Bus Width"),
        Field("current_usage", enumerated(BYTE, said.SLOT_USAGE), "Current Usage"),
        Field("slot_length", enumerated(BYTE, said.SLOT_LENGTHS), "Length"),
        Field("slot_id", WORD, "ID", _slot_id),
        Field(
            "slot_characteristics_1", flags(BYTE, said.SLOT_CHARACTERISTICS_1), "Characteristics", _slot_characteristics
        ),
        Field("slot_characteristics_2", flags(BYTE, said.SLOT_CHARACTERISTICS_2)),
        Field("segment_group_number", WORD, "Bus Address", _address),
        Field("bus_number", BYTE),
        Field("device_function_number", BYTE),
        Field("data_bus_width", BYTE, "Data Bus Width (Base)"),
        Field("peer_grouping_count", BYTE, "Peer Devices"),
        Field(
            "peer_groups",
            Repeated(
                Formatted(
                    "Peer",
                    Field("segment_group_number", WORD),
                    Field("bus_number", BYTE),
                    Field("device_function_number", BYTE),
                    Field("data_bus_width", BYTE),
                ),
                "peer_grouping_count",
            ),
            "Peer Device",
            _peers,
        ),
        Field("slot_information", BYTE, "PCI Express Generation", _generation),
        Field("slot_physical_width", enumerated(BYTE, said.SLOT_WIDTHS), "Slot Physical Width", _physical_width),
        Field("slot_pitch", WORD, "Pitch", _pitch),
        Field("slot_height", enumerated(BYTE, said.SLOT_HEIGHTS), "Height"),
        heading="System Slot Information",
    ),
    10: Formatted(
        "On Board Devices Information",
        Field(
            "devices",
            Repeated(Formatted("Device", Field("device_type", _DEVICE_TYPE), Field("description_string", STRING))),
        ),
        sections=_devices,
    ),
    21: Formatted(
        "Built-in Pointing Device",
        Field("type", enumerated(BYTE, said.POINTING_DEVICES), "Type"),
        Field("interface", enumerated(BYTE, said.POINTING_INTERFACES), "Interface"),
        Field("number_of_buttons", BYTE, "Buttons"),
    ),
    41: Formatted(
        "Onboard Devices Extended Information",
        Field("reference_designation", STRING, "Reference Designation"),
        Field("device_type", _DEVICE_TYPE, "Type", _device_type),
        Field("device_type_instance", BYTE, "Type Instance"),
        Field("segment_group_number", WORD, "Bus Address", _address),
        Field("bus_number", BYTE),
        Field("device_function_number", BYTE),
        heading="Onboard Device",
    ),
}
