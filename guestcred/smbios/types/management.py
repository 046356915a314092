"""Management of the machine from outside, and its firmware (DSP0134 7.31, 7.32, 7.35 to 7.37, 7.39, 7.43, 7.44, 7.46)."""

from __future__ import annotations

from guestcred.smbios.fields import (
    BYTE,
    DWORD,
    HANDLE,
    QWORD,
    SIGNED,
    STRING,
    WORD,
    Field,
    Formatted,
    bits,
    enumerated,
    flags,
    octets,
)
from guestcred.smbios.groups import Data, Repeated
from guestcred.smbios.text import About, Row, digits, memory_size, number, printable, word
from guestcred.smbios.types import management_words as said
from guestcred.smbios.types.host_interface import device_rows, protocol_rows
from guestcred.smbios.values import Bits, Flags, Words

_SSIF = 4  # an IPMI interface over SMBus, which has no registers in memory


def _connections(value: Bits, _: About) -> list[Row]:
    return [
        Row("Inbound Connection", "Enabled" if value.inbound else "Disabled"),
        Row("Outbound Connection", "Enabled" if value.outbound else "Disabled"),
    ]


def _checksum(_: int, about: About) -> str:
    return "Invalid" if sum(about.formatted) % 256 else "OK"


def _threshold(handle: int, _: About) -> Row | None:
    return None if handle == 0xFFFF else Row("Threshold Handle", f"0x{handle:04X}", handle=int(handle), verbose=True)


def _ipmi_base(base: int, about: About) -> str:
    """The lowest bit says in which space; the lowest of the address itself stands in the modifier (IPMI 2.0, C1)."""
    if about.get("interface_type") == _SSIF:
        return f"0x{(base & 0xFF) >> 1:02X} (SMBus)"
    modifier = about.get("base_address_modifier")
    low = modifier.address_low_bit if modifier is not None else 0
    return f"0x{base & ~1 | low:016X} ({'I/O' if base & 1 else 'Memory-mapped'})"


def _ipmi_modifier(value: Bits, about: About) -> list[Row]:
    if about.get("interface_type") == _SSIF or about.get("interrupt_number") is None:
        return []
    rows = [Row("Register Spacing", word(value.register_spacing))]
    if value.interrupt_specified:
        rows.append(Row("Interrupt Polarity", f"Active {'High' if value.interrupt_active_high else 'Low'}"))
        rows.append(Row("Interrupt Trigger Mode", "Level" if value.interrupt_level else "Edge"))
    return rows


def _ipmi_storage(value: int, _: About) -> Row:
    if value == 0xFF:
        return Row("NV Storage Device", "Not Present")
    return Row("NV Storage Device Address", str(value))


def _host_type(value: int, about: About) -> Row:
    """Before 3.2 what followed had no length, and so cannot be told apart (DSP0134 7.43)."""
    return Row("Host Interface Type" if about.version >= (3, 2) else "Interface Type", word(value))


def _vendor(value: bytes, _: About) -> str:
    return printable(value.partition(b"\0")[0])


def _tpm_version(major: int, about: About) -> str | None:
    minor = about.get("minor_spec_version")
    return None if minor is None else f"{major}.{minor}"


def _tpm_firmware(value: int, about: About) -> str | None:
    match about.get("major_spec_version"):
        case 1:
            return f"{value >> 16 & 0xFF}.{value >> 24}"
        case 2:
            return f"{value >> 16}.{value & 0xFFFF}"
    return None


def _tpm_characteristics(value: Flags, _: About) -> tuple[str, ...]:
    return ("TPM Device characteristics not supported",) if value >> 2 & 1 else value.words


def _updatable(value: Flags, _: About) -> tuple[str, ...]:
    return tuple(f"{name}: {'Yes' if value >> bit & 1 else 'No'}" for bit, name in value.meanings.items())


def _image_size(value: int, _: About) -> str:
    return "Unknown" if value == (1 << 64) - 1 else memory_size(value) if value else "None"


_LIMIT = number(-0x8000, None)

TYPES: dict[int, Formatted] = {
    30: Formatted(
        "Out-of-Band Remote Access",
        Field("manufacturer_name", STRING, "Manufacturer Name"),
        Field(
            "connections", bits(BYTE, inbound=(0, 1, None), outbound=(1, 1, None)), "Inbound Connection", _connections
        ),
        heading="Out-of-band Remote Access",
    ),
    31: Formatted(
        "Boot Integrity Services (BIS) Entry Point",
        Field("checksum", BYTE, "Checksum", _checksum),
        Field("reserved_1", BYTE),
        Field("reserved_2", WORD),
        Field(
            "bis_entry_16",
            DWORD,
            "16-bit Entry Point Address",
            lambda value, _: f"{value >> 16:04X}:{value & 0xFFFF:04X}",
        ),
        Field("bis_entry_32", DWORD, "32-bit Entry Point Address", digits("0x{:08X}")),
        Field("reserved_3", QWORD),
        Field("reserved_4", DWORD),
        heading="Boot Integrity Services Entry Point",
    ),
    34: Formatted(
        "Management Device",
        Field("description", STRING, "Description"),
        Field("type", enumerated(BYTE, said.MANAGEMENT_DEVICES), "Type"),
        Field("address", DWORD, "Address", digits("0x{:08X}")),
        Field("address_type", enumerated(BYTE, said.ADDRESS_TYPES), "Address Type"),
    ),
    35: Formatted(
        "Management Device Component",
        Field("description", STRING, "Description"),
        Field("management_device_handle", HANDLE, "Management Device Handle"),
        Field("component_handle", HANDLE, "Component Handle"),
        Field("threshold_handle", HANDLE, "Threshold Handle", _threshold),
    ),
    36: Formatted(
        "Management Device Threshold Data",
        Field("lower_threshold_non_critical", SIGNED, "Lower Non-critical Threshold", _LIMIT),
        Field("upper_threshold_non_critical", SIGNED, "Upper Non-critical Threshold", _LIMIT),
        Field("lower_threshold_critical", SIGNED, "Lower Critical Threshold", _LIMIT),
        Field("upper_threshold_critical", SIGNED, "Upper Critical Threshold", _LIMIT),
        Field("lower_threshold_non_recoverable", SIGNED, "Lower Non-recoverable Threshold", _LIMIT),
        Field("upper_threshold_non_recoverable", SIGNED, "Upper Non-recoverable Threshold", _LIMIT),
    ),
    38: Formatted(
        "IPMI Device Information",
        Field("interface_type", enumerated(BYTE, said.IPMI_INTERFACES), "Interface Type"),
        Field(
            "ipmi_specification_revision",
            bits(BYTE, minor=(0, 4, None), major=(4, 4, None)),
            "Specification Version",
            lambda value, _: f"{value.major}.{value.minor}",
        ),
        Field("i2c_target_address", BYTE, "I2C Slave Address", lambda value, _: f"0x{value >> 1:02x}"),
        Field("nv_storage_device_address", BYTE, "NV Storage Device Address", _ipmi_storage),
        Field("base_address", QWORD, "Base Address", _ipmi_base),
        Field(
            "base_address_modifier",
            bits(
                BYTE,
                interrupt_level=(0, 1, None),
                interrupt_active_high=(1, 1, None),
                interrupt_specified=(3, 1, None),
                address_low_bit=(4, 1, None),
                register_spacing=(6, 2, Words(said.REGISTER_SPACINGS)),
            ),
            "Register Spacing",
            _ipmi_modifier,
        ),
        Field("interrupt_number", BYTE, "Interrupt Number", number(0, None)),
    ),
    42: Formatted(
        "Management Controller Host Interface",
        Field(
            "interface_type",
            enumerated(BYTE, said.HOST_INTERFACES, (0, 0x3F, "MCTP")),
            "Host Interface Type",
            _host_type,
        ),
        Field("interface_type_specific_data_length", BYTE),
        Field(
            "interface_type_specific_data",
            Data("interface_type_specific_data_length"),
            "Device Type",
            device_rows,
        ),
        Field("number_of_protocol_records", BYTE),
        Field(
            "protocol_records",
            Repeated(
                Formatted(
                    "Protocol Record",
                    Field("protocol_type", enumerated(BYTE, said.PROTOCOLS)),
                    Field("protocol_type_specific_data_length", BYTE),
                    Field("protocol_type_specific_data", Data("protocol_type_specific_data_length")),
                ),
                "number_of_protocol_records",
            ),
            "Protocol ID",
            protocol_rows,
        ),
    ),
    43: Formatted(
        "TPM Device",
        Field("vendor_id", octets(4), "Vendor ID", _vendor),
        Field("major_spec_version", BYTE, "Specification Version", _tpm_version),
        Field("minor_spec_version", BYTE),
        Field("firmware_version_1", DWORD, "Firmware Revision", _tpm_firmware),
        Field("firmware_version_2", DWORD),
        Field("description", STRING, "Description"),
        Field("characteristics", flags(QWORD, said.TPM_CHARACTERISTICS), "Characteristics", _tpm_characteristics),
        Field("oem_defined", DWORD, "OEM-specific Information", digits("0x{:08X}")),
    ),
    45: Formatted(
        "Firmware Inventory Information",
        Field("firmware_component_name", STRING, "Firmware Component Name"),
        Field("firmware_version", STRING, "Firmware Version"),
        Field("version_format", enumerated(BYTE, said.VERSION_FORMATS, (0x80, 0xFF, "Vendor-specific"))),
        Field("firmware_id", STRING, "Firmware ID"),
        Field("firmware_id_format", enumerated(BYTE, said.FIRMWARE_ID_FORMATS, (0x80, 0xFF, "Vendor-specific"))),
        Field("release_date", STRING, "Release Date"),
        Field("manufacturer", STRING, "Manufacturer"),
        Field("lowest_supported_firmware_version", STRING, "Lowest Supported Firmware Version"),
        Field("image_size", QWORD, "Image Size", _image_size),
        Field("characteristics", flags(WORD, said.FIRMWARE_CHARACTERISTICS), "Characteristics", _updatable),
        Field("state", enumerated(BYTE, said.FIRMWARE_STATES), "State"),
        Field("number_of_associated_components", BYTE),
        Field(
            "associated_component_handles",
            Repeated(HANDLE, "number_of_associated_components"),
            "Associated Components",
        ),
    ),
}
