"""The fixed parts of SMBIOS, described once with construct: entry points, header, formatted areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from construct import (
    Array,
    Bytes,
    Const,
    Construct,
    ConstructError,
    Default,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Padding,
    Struct,
)

from guestcred.record import Record
from guestcred.smbios.walk import Structure


class EntryPoint(Record):
    """An SMBIOS entry point: `anchor` is `_SM_` or `_SM3_`, lengths in bytes, `address` physical.

    `table_length` is exact under `_SM_` and a maximum under `_SM3_`; `count` is None there.
    `defects` says in words which checksum or length does not hold.
    """

    anchor: str
    version: str
    table_length: int
    address: int
    count: int | None
    defects: tuple[str, ...]


# DSP0134 5.2.1, the 32-bit entry point: 31 bytes, the intermediate anchor at 0x10.
EntryPoint32 = Struct(
    "anchor" / Const(b"_SM_"),
    "checksum" / Default(Int8ul, 0),
    "length" / Default(Int8ul, 0x1F),
    "major" / Int8ul,
    "minor" / Int8ul,
    "maximum_structure_size" / Default(Int16ul, 0),
    "revision" / Default(Int8ul, 0),
    "formatted_area" / Default(Bytes(5), bytes(5)),
    "intermediate_anchor" / Const(b"_DMI_"),
    "intermediate_checksum" / Default(Int8ul, 0),
    "table_length" / Int16ul,
    "address" / Int32ul,
    "count" / Int16ul,
    "bcd_revision" / Default(Int8ul, 0),
)

# DSP0134 5.2.2, the 64-bit entry point: 24 bytes.
EntryPoint64 = Struct(
    "anchor" / Const(b"_SM3_"),
    "checksum" / Default(Int8ul, 0),
    "length" / Default(Int8ul, 0x18),
    "major" / Int8ul,
    "minor" / Int8ul,
    "docrev" / Default(Int8ul, 0),
    "revision" / Default(Int8ul, 1),
    "reserved" / Padding(1),
    "table_length" / Int32ul,
    "address" / Int64ul,
)

# DSP0134 6.1.2
Header = Struct("type" / Int8ul, "length" / Int8ul, "handle" / Int16ul)


class StringNumber(int):
    """A number of a string in the structure's own set, 0 for none (DSP0134 6.1.3)."""


class Uuid(bytes):
    """The 16 bytes of a UUID."""

    def text(self, little_endian: bool) -> str:
        """As people write it, and as the kernel shows product_uuid; DSP0134 7.2.1 has the first three parts turned round."""
        parts = [self[:4], self[4:6], self[6:8], self[8:10], self[10:]]
        return "-".join((part[::-1] if little_endian and n < 3 else part).hex() for n, part in enumerate(parts))


_byte, _word, _dword, _qword = Int8ul, Int16ul, Int32ul, Int64ul
_string = "string"


def _handles(before: Mapping[str, Any]) -> Construct[Any, Any]:
    return Array(before["number_of_contained_object_handles"], Int16ul)


def _elements(before: Mapping[str, Any]) -> Construct[Any, Any]:
    return Bytes(before["contained_element_count"] * before["contained_element_record_length"])


# Field names and order from DSP0134 7.1 (type 0) to 7.46 (type 127). A structure of an older
# version of the specification is shorter: its later fields are absent, never invented. Where the
# width of a field hangs on fields before it, a function of these gives its construct.
FIELDS: dict[int, tuple[str, Sequence[tuple[str, Any]]]] = {
    0: (
        "BIOS Information",
        (
            ("vendor", _string),
            ("bios_version", _string),
            ("bios_starting_address_segment", _word),
            ("bios_release_date", _string),
            ("bios_rom_size", _byte),
            ("bios_characteristics", _qword),
            ("bios_characteristics_extension_byte_1", _byte),
            ("bios_characteristics_extension_byte_2", _byte),
            ("system_bios_major_release", _byte),
            ("system_bios_minor_release", _byte),
            ("embedded_controller_firmware_major_release", _byte),
            ("embedded_controller_firmware_minor_release", _byte),
            ("extended_bios_rom_size", _word),
        ),
    ),
    1: (
        "System Information",
        (
            ("manufacturer", _string),
            ("product_name", _string),
            ("version", _string),
            ("serial_number", _string),
            ("uuid", Bytes(16)),
            ("wake_up_type", _byte),
            ("sku_number", _string),
            ("family", _string),
        ),
    ),
    2: (
        "Baseboard Information",
        (
            ("manufacturer", _string),
            ("product", _string),
            ("version", _string),
            ("serial_number", _string),
            ("asset_tag", _string),
            ("feature_flags", _byte),
            ("location_in_chassis", _string),
            ("chassis_handle", _word),
            ("board_type", _byte),
            ("number_of_contained_object_handles", _byte),
            ("contained_object_handles", _handles),
        ),
    ),
    3: (
        "System Enclosure or Chassis",
        (
            ("manufacturer", _string),
            ("type", _byte),
            ("version", _string),
            ("serial_number", _string),
            ("asset_tag_number", _string),
            ("boot_up_state", _byte),
            ("power_supply_state", _byte),
            ("thermal_state", _byte),
            ("security_status", _byte),
            ("oem_defined", _dword),
            ("height", _byte),
            ("number_of_power_cords", _byte),
            ("contained_element_count", _byte),
            ("contained_element_record_length", _byte),
            ("contained_elements", _elements),
            ("sku_number", _string),
            ("rack_type", _byte),
            ("rack_height", _byte),
        ),
    ),
    4: (
        "Processor Information",
        (
            ("socket_designation", _string),
            ("processor_type", _byte),
            ("processor_family", _byte),
            ("processor_manufacturer", _string),
            ("processor_id", Bytes(8)),
            ("processor_version", _string),
            ("voltage", _byte),
            ("external_clock", _word),
            ("max_speed", _word),
            ("current_speed", _word),
            ("status", _byte),
            ("processor_upgrade", _byte),
            ("l1_cache_handle", _word),
            ("l2_cache_handle", _word),
            ("l3_cache_handle", _word),
            ("serial_number", _string),
            ("asset_tag", _string),
            ("part_number", _string),
            ("core_count", _byte),
            ("core_enabled", _byte),
            ("thread_count", _byte),
            ("processor_characteristics", _word),
            ("processor_family_2", _word),
            ("core_count_2", _word),
            ("core_enabled_2", _word),
            ("thread_count_2", _word),
            ("thread_enabled", _word),
            ("socket_type", _string),
        ),
    ),
    11: ("OEM Strings", (("count", _byte),)),
    16: (
        "Physical Memory Array",
        (
            ("location", _byte),
            ("use", _byte),
            ("memory_error_correction", _byte),
            ("maximum_capacity", _dword),
            ("memory_error_information_handle", _word),
            ("number_of_memory_devices", _word),
            ("extended_maximum_capacity", _qword),
        ),
    ),
    17: (
        "Memory Device",
        (
            ("physical_memory_array_handle", _word),
            ("memory_error_information_handle", _word),
            ("total_width", _word),
            ("data_width", _word),
            ("size", _word),
            ("form_factor", _byte),
            ("device_set", _byte),
            ("device_locator", _string),
            ("bank_locator", _string),
            ("memory_type", _byte),
            ("type_detail", _word),
            ("speed", _word),
            ("manufacturer", _string),
            ("serial_number", _string),
            ("asset_tag", _string),
            ("part_number", _string),
            ("attributes", _byte),
            ("extended_size", _dword),
            ("configured_memory_speed", _word),
            ("minimum_voltage", _word),
            ("maximum_voltage", _word),
            ("configured_voltage", _word),
            ("memory_technology", _byte),
            ("memory_operating_mode_capability", _word),
            ("firmware_version", _string),
            ("module_manufacturer_id", _word),
            ("module_product_id", _word),
            ("memory_subsystem_controller_manufacturer_id", _word),
            ("memory_subsystem_controller_product_id", _word),
            ("non_volatile_size", _qword),
            ("volatile_size", _qword),
            ("cache_size", _qword),
            ("logical_size", _qword),
            ("extended_speed", _dword),
            ("extended_configured_memory_speed", _dword),
            ("pmic0_manufacturer_id", _word),
            ("pmic0_revision_number", _word),
            ("rcd_manufacturer_id", _word),
            ("rcd_revision_number", _word),
        ),
    ),
    19: (
        "Memory Array Mapped Address",
        (
            ("starting_address", _dword),
            ("ending_address", _dword),
            ("memory_array_handle", _word),
            ("partition_width", _byte),
            ("extended_starting_address", _qword),
            ("extended_ending_address", _qword),
        ),
    ),
    32: ("System Boot Information", (("reserved", Bytes(6)), ("boot_status", _byte))),
    127: ("End-of-Table", ()),
}


def _layout(kind: Any, before: Mapping[str, Any]) -> Construct[Any, Any]:
    if kind is _string:
        return Int8ul
    return kind if isinstance(kind, Construct) else kind(before)


def parse_entry_point(data: bytes) -> EntryPoint | None:
    """Decode an entry point at the front of `data` (DSP0134 5.2); None where there is none or it is cut."""
    layout, size = (EntryPoint64, 24) if data.startswith(b"_SM3_") else (EntryPoint32, 31)
    try:
        found = layout.parse(data)
    except ConstructError:
        return None
    defects = []
    length = found.length
    # SMBIOS 2.1 let 0x1E stand for 0x1F (DSP0134 5.2.1, table 1)
    if not (length == size or (size == 31 and length == 30)):
        defects.append(f"the entry point's length is {length}, not {size}")
    elif sum(data[:length]) % 256:
        defects.append("the entry point's checksum does not hold")
    if size == 31 and sum(data[16:31]) % 256:
        defects.append("the entry point's intermediate checksum does not hold")
    version = f"{found.major}.{found.minor}" + (f".{found.docrev}" if size == 24 else "")
    anchor = found.anchor.decode("ascii")
    return EntryPoint(anchor, version, found.table_length, found.address, found.get("count"), tuple(defects))


def build_entry_point(
    table_length: int, *, major: int = 2, minor: int = 8, address: int = 0x20, count: int = 0, long: bool = False
) -> bytes:
    """Build an entry point, `_SM3_` where `long`, with checksums that hold; the inverse of `parse_entry_point`."""
    fields = {"major": major, "minor": minor, "table_length": table_length, "address": address, "count": count}
    data = bytearray((EntryPoint64 if long else EntryPoint32).build(fields))
    if not long:
        data[0x15] = -sum(data[16:31]) % 256
    data[5 if long else 4] = -sum(data) % 256
    return bytes(data)


def build_structure(
    number: int, handle: int, strings: Sequence[bytes] = (), fields: Mapping[str, Any] | None = None
) -> bytes:
    """Build one structure of any type; for the typed ones `fields` by their names, `rest` for the bytes behind.

    A Type 11 count byte is the number of strings, wrapped at 256 as QEMU and cloud-hypervisor do.
    """
    given = dict(fields or {})
    if number == 11:
        given.setdefault("count", len(strings) % 256)
    area = bytearray()
    for name, kind in FIELDS[number][1] if number in FIELDS else ():
        layout = _layout(kind, given)
        area += layout.build(given.setdefault(name, layout.parse(bytes(layout.sizeof()))))
    area += given.get("rest", b"")
    header = Header.build({"type": number, "length": HEADER_BYTES + len(area), "handle": handle})
    tail = b"".join(text + b"\0" for text in strings) if strings else b"\0"
    return bytes(header + area + tail + b"\0")


HEADER_BYTES = int(Header.sizeof())


def type_name(number: int) -> str:
    """The name of a structure type from DSP0134 7, or `Type N`."""
    if number in FIELDS:
        return FIELDS[number][0]
    return "OEM-specific" if number >= 128 else f"Type {number}"


def fields_of(structure: Structure) -> dict[str, int | bytes | list[int]]:
    """The typed view: fields of the formatted area in order, numbers of strings as `StringNumber`.

    Bytes that no field covers come as `rest`. Fields that the structure is too short for are absent.
    """
    area = structure.formatted[HEADER_BYTES:]
    view: dict[str, int | bytes | list[int]] = {}
    at = 0
    for name, kind in FIELDS[structure.type][1] if structure.type in FIELDS else ():
        layout = _layout(kind, view)
        end = at + int(layout.sizeof())
        if end > len(area):
            break
        value = layout.parse(area[at:end])
        if kind is _string:
            value = StringNumber(value)
        elif name == "uuid":
            value = Uuid(value)
        view[name] = list(value) if isinstance(value, list) else value
        at = end
    if at < len(area):
        view["rest"] = area[at:]
    return view
