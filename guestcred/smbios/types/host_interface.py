"""What a network host interface holds: its device and its Redfish service (DSP0270 8.3, 8.4; type 42)."""

from __future__ import annotations

from guestcred.smbios.fields import BYTE, DWORD, UUID, WORD, Field, Formatted, enumerated, flags, octets
from guestcred.smbios.groups import Data
from guestcred.smbios.text import OUT_OF_SPEC, About, Row, printable, uuid, word
from guestcred.smbios.types import management_words as said
from guestcred.smbios.types.ports import place

_NETWORK = 0x40  # interface type
_REDFISH = 4  # protocol type
_WITH_ADDRESS = (1, 3)  # assignments for which the record has the address
_DEVICE = Field("device_type", enumerated(BYTE, said.NETWORK_DEVICES, (0x80, 0xFF, "OEM")))
_BEHIND = (
    Field("device_characteristics", flags(WORD, said.DEVICE_CHARACTERISTICS)),
    Field("credential_bootstrapping_handle", WORD),
)

DEVICES: dict[int, Formatted] = {
    2: Formatted("USB Network Interface", _DEVICE, Field("id_vendor", WORD), Field("id_product", WORD)),
    3: Formatted(
        "PCI/PCIe Network Interface",
        _DEVICE,
        Field("vendor_id", WORD),
        Field("device_id", WORD),
        Field("subsystem_vendor_id", WORD),
        Field("subsystem_id", WORD),
    ),
    4: Formatted(
        "USB Network Interface v2",
        _DEVICE,
        Field("length", BYTE),
        Field("id_vendor", WORD),
        Field("id_product", WORD),
        Field("serial_number", BYTE),
        Field("mac_address", octets(6)),
        *_BEHIND,
    ),
    5: Formatted(
        "PCI/PCIe Network Interface v2",
        _DEVICE,
        Field("length", BYTE),
        Field("vendor_id", WORD),
        Field("device_id", WORD),
        Field("subsystem_vendor_id", WORD),
        Field("subsystem_id", WORD),
        Field("mac_address", octets(6)),
        Field("segment_group_number", WORD),
        Field("bus_number", BYTE),
        Field("device_function_number", BYTE),
        *_BEHIND,
    ),
    0x80: Formatted("OEM Network Interface", _DEVICE, Field("vendor_iana", octets(4))),
}

REDFISH = Formatted(
    "Redfish over IP",
    Field("service_uuid", UUID),
    Field("host_ip_assignment_type", enumerated(BYTE, said.ASSIGNMENTS)),
    Field("host_ip_address_format", enumerated(BYTE, said.ADDRESS_FORMATS)),
    Field("host_ip_address", octets(16)),
    Field("host_ip_mask", octets(16)),
    Field("redfish_service_ip_discovery_type", enumerated(BYTE, said.ASSIGNMENTS)),
    Field("redfish_service_ip_address_format", enumerated(BYTE, said.ADDRESS_FORMATS)),
    Field("redfish_service_ip_address", octets(16)),
    Field("redfish_service_ip_mask", octets(16)),
    Field("redfish_service_ip_port", WORD),
    Field("redfish_service_vlan_id", DWORD),
    Field("redfish_service_hostname_length", BYTE),
    Field("redfish_service_hostname", Data("redfish_service_hostname_length")),
)
_LABELS = {
    "id_vendor": "idVendor",
    "id_product": "idProduct",
    "vendor_id": "VendorID",
    "device_id": "DeviceID",
    "subsystem_vendor_id": "SubVendorID",
    "subsystem_id": "SubDeviceID",
}


def device_rows(data: bytes, about: About) -> list[Row]:
    """The device of a network host interface; of other kinds, what follows is not this specification's."""
    if about.get("interface_type") != _NETWORK or not data or about.version < (3, 2):
        return []
    layout = DEVICES.get(min(data[0], 0x80))
    if layout is None:
        return [Row("Device Type", f"{OUT_OF_SPEC} ({data[0]:#x})")]
    fields = layout.decode(data)
    rows = [Row("Device Type", word(fields["device_type"]))]
    rows += [Row(label, f"0x{fields[name]:04x}") for name, label in _LABELS.items() if name in fields]
    if "mac_address" in fields:
        rows.append(Row("MAC Address", fields["mac_address"].hex(":")))
    if "device_function_number" in fields:
        told = place(fields["segment_group_number"], fields["bus_number"], fields["device_function_number"])
        rows.append(Row("Bus Address", told))
    if "credential_bootstrapping_handle" in fields:
        able = fields["device_characteristics"]
        rows.append(Row("Device Characteristics", None, able.words or ("None",)))
        if able & 1:
            rows.append(Row("Credential Bootstrapping Handle", f"0x{fields['credential_bootstrapping_handle']:04x}"))
    if "vendor_iana" in fields:
        rows.append(Row("Vendor ID", ":".join(f"0x{byte:02x}" for byte in fields["vendor_iana"])))
    return rows


def _ip(data: bytes, form: int) -> str:
    """An address as `inet_ntop` writes it."""
    from ipaddress import IPv4Address, IPv6Address

    return {1: lambda: str(IPv4Address(data[:4])), 2: lambda: str(IPv6Address(data))}.get(form, lambda: OUT_OF_SPEC)()


def protocol_rows(records: list[dict[str, object]], about: About) -> list[Row]:
    """The protocols that are spoken; of Redfish, where its service is."""
    rows: list[Row] = []
    for record in records:
        kind, data = record["protocol_type"], record["protocol_type_specific_data"]
        assert isinstance(kind, int) and isinstance(data, bytes)
        told = () if kind != _REDFISH else _redfish(data)
        rows.append(Row("Protocol ID", f"{kind:02x} ({word(kind)})", told))
    return rows if about.version >= (3, 2) else []


def _redfish(data: bytes) -> tuple[str, ...]:
    fields = REDFISH.decode(data)
    if "redfish_service_hostname_length" not in fields:
        return ()
    told = [f"Service UUID: {uuid(fields['service_uuid'], (3, 2))}"]
    for who, how in (("host", "Host IP Assignment"), ("redfish_service", "Redfish Service IP Discovery")):
        assigned = fields["host_ip_assignment_type" if who == "host" else "redfish_service_ip_discovery_type"]
        form = fields[f"{who}_ip_address_format"]
        name = "" if who == "host" else " Redfish Service"
        told.append(f"{how} Type: {word(assigned)}")
        told.append(f"{how.rsplit(' ', 1)[0]} Address Format: {word(form)}")
        if assigned in _WITH_ADDRESS:
            told.append(f"{word(form)}{name} Address: {_ip(fields[f'{who}_ip_address'], form)}")
            told.append(f"{word(form)}{name} Mask: {_ip(fields[f'{who}_ip_mask'], form)}")
            if who != "host":
                told.append(f"Redfish Service Port: {fields['redfish_service_ip_port']}")
                told.append(f"Redfish Service Vlan: {fields['redfish_service_vlan_id']}")
    hostname = fields.get("redfish_service_hostname")
    return (*told, f"Redfish Service Hostname: {OUT_OF_SPEC if hostname is None else printable(hostname)}")
