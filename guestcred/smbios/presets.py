"""The tables that hypervisors build, from a few words: for their authors, and for tests that need such a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from guestcred.errors import GuestcredError
from guestcred.smbios.library import Structure, Table, build

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_ROM_UNIT = 64 * _KIB


def cloud_hypervisor(
    *, serial_number: str | None = None, uuid: bytes = bytes(16), oem_strings: Sequence[bytes] = ()
) -> Table:
    """As cloud-hypervisor 54 builds it (arch/src/x86_64/smbios.rs), 24 bytes behind its entry point at 0xF0000.

    `uuid` as it stands in the table: `uuid.UUID(...).bytes_le`.
    """
    system = {"serial_number": serial_number, "uuid": uuid, "wake_up_type": 2}
    return _small("cloud-hypervisor", "0", 0, "Cloud Hypervisor", "cloud-hypervisor", system, oem_strings)


def crosvm(
    *,
    bios_vendor: str = "crosvm",
    bios_version: str = "0",
    bios_size: int = 0,
    manufacturer: str = "ChromiumOS",
    product_name: str = "crosvm",
    serial_number: str | None = None,
    uuid: bytes = bytes(16),
    oem_strings: Sequence[bytes] = (),
) -> Table:
    """As crosvm builds it (x86_64/src/smbios.rs of August 2026), 24 bytes behind its entry point at 0xF0000.

    `bios_size` is in bytes. Raises GuestcredError for more than 255 OEM strings, as crosvm does.
    """
    if len(oem_strings) > 0xFF:
        raise GuestcredError("crosvm takes at most 255 OEM strings")
    rom_size = min(max(bios_size // _ROM_UNIT - 1, 0), 0xFF)
    system = {"serial_number": serial_number, "uuid": uuid}
    return _small(bios_vendor, bios_version, rom_size, manufacturer, product_name, system, oem_strings)


def _small(
    vendor: str,
    version: str,
    rom_size: int,
    manufacturer: str,
    product: str,
    system: dict[str, Any],
    oem_strings: Sequence[bytes],
) -> Table:
    """What these two have in common: cloud-hypervisor's table was crosvm's."""
    structures = [
        build(
            0,
            1,
            length=0x14,
            vendor=vendor,
            bios_version=version,
            bios_rom_size=rom_size,
            bios_characteristics=["PCI is supported"],
            bios_characteristics_extension_byte_2=["System is a virtual machine"],
        ),
        build(1, 2, manufacturer=manufacturer, product_name=product, **system),
    ]
    if oem_strings:
        structures.append(build(11, 3, oem_strings))
    return Table.of(*structures, version="3.2")


# QEMU's machines: the product, how much memory stands below 4 GiB, and from how much on there is some above
_MACHINES = {
    "pc-q35-": ("Standard PC (Q35 + ICH9, 2009)", 2 * _GIB, 2816 * _MIB),
    "pc-i440fx-": ("Standard PC (i440FX + PIIX, 1996)", 3 * _GIB, 3584 * _MIB),
    "virt-": ("QEMU Virtual Machine", 0, 0),  # says nothing of where
}
_MODULE = 16 * _GIB  # the most that QEMU puts into one memory device
_ABOVE = 4 * _GIB  # where the memory continues that has no room below
_MOST = 1000 * _GIB  # beyond that, it hangs on the processor where memory stands


def qemu(
    *,
    machine: str = "pc-q35-7.2",
    memory: int = 512 * _MIB,
    sockets: int = 1,
    cores: int = 1,
    threads: int = 1,
    processor_id: bytes = bytes(8),
    uuid: bytes = bytes(16),
    oem_strings: Sequence[bytes] = (),
    version: str = "2.8",
    seabios: str | None = None,
) -> Table:
    """As QEMU 7.2 builds it (hw/smbios/smbios.c), for its machines pc-q35, pc-i440fx and virt.

    `memory` is in bytes; cores are those of a socket, threads those of a core. `version` is 2.8 or 3.0, as
    `smbios-entry-point-type=` is 32 or 64. `seabios` is that firmware's version, which puts its own structure before
    QEMU's. Raises GuestcredError for other machines, and for more memory than 1000 GiB.
    """
    known = next((known for front, known in _MACHINES.items() if machine.startswith(front)), None)
    if known is None:
        raise GuestcredError(f"QEMU's machine {machine} is not known here", f"take one of {', '.join(_MACHINES)}")
    product, low, whole = known
    if not 0 < memory <= _MOST:
        raise GuestcredError(f"a machine has 1 byte to {_MOST // _GIB} GiB of memory")
    names: dict[str, Any] = {"manufacturer": "QEMU", "version": machine}
    structures = [] if seabios is None else [_seabios(seabios)]
    structures.append(build(1, 0x100, product_name=product, uuid=uuid, wake_up_type="Power Switch", **names))
    structures.append(_chassis(names))
    structures += [_processor(n, cores, cores * threads, machine, processor_id, version) for n in range(sockets)]
    if oem_strings:
        structures.append(build(11, 0xE00, oem_strings))
    structures += _memory(memory)
    structures += _mapped(memory, low, whole) if low else ()
    structures += [build(32, 0x2000), build(127, 0x7F00)]
    return Table.of(*structures, version=version)


def _seabios(version: str) -> Structure:
    return build(
        0,
        0,
        length=0x18,
        vendor="SeaBIOS",
        bios_version=version,
        bios_starting_address_segment=0xE800,
        bios_release_date="04/01/2014",
        bios_characteristics=1 << 3,  # they are not supported
        bios_characteristics_extension_byte_2=["Targeted content distribution is supported"],
        embedded_controller_firmware_major_release=0xFF,
        embedded_controller_firmware_minor_release=0xFF,
    )


def _chassis(names: dict[str, Any]) -> Structure:
    states: dict[str, Any] = dict.fromkeys(("boot_up_state", "power_supply_state", "thermal_state"), "Safe")
    return build(3, 0x300, length=0x16, type={"type": 1}, security_status="Unknown", **states, **names)


def _processor(socket: int, cores: int, threads: int, machine: str, identity: bytes, version: str) -> Structure:
    wide: dict[str, Any] = (
        {} if version == "2.8" else {"core_count_2": cores, "core_enabled_2": cores, "thread_count_2": threads}
    )
    return build(
        4,
        0x400 + socket,
        length=0x30 if wide else 0x2A,
        socket_designation=f"CPU {socket}",
        processor_type="Central Processor",
        processor_family="Other",
        processor_manufacturer="QEMU",
        processor_id=identity,
        processor_version=machine,
        max_speed=2000,
        current_speed=2000,
        status={"status": 1, "populated": 1},
        processor_upgrade="Other",
        l1_cache_handle=0xFFFF,
        l2_cache_handle=0xFFFF,
        l3_cache_handle=0xFFFF,
        core_count=min(cores, 0xFF),
        core_enabled=min(cores, 0xFF),
        thread_count=min(threads, 0xFF),
        processor_characteristics=1 << 1,  # unknown
        processor_family_2="Other",
        **wide,
    )


def _memory(memory: int) -> Iterator[Structure]:
    """The array of memory, and its devices of 16 GiB each."""
    modules = [min(_MODULE, memory - start) for start in range(0, memory, _MODULE)]
    yield build(
        16,
        0x1000,
        location="Other",
        use="System Memory",
        memory_error_correction="Multi-bit ECC",
        maximum_capacity=-(-memory // _KIB),
        memory_error_information_handle=0xFFFE,
        number_of_memory_devices=len(modules),
    )
    for number, size in enumerate(modules):
        yield build(
            17,
            0x1100 + number,
            length=0x28,
            physical_memory_array_handle=0x1000,
            memory_error_information_handle=0xFFFE,
            total_width=0xFFFF,
            data_width=0xFFFF,
            size=-(-size // _MIB),
            form_factor="DIMM",
            device_locator=f"DIMM {number}",
            memory_type="RAM",
            type_detail=["Other"],
            manufacturer="QEMU",
        )


def _mapped(memory: int, low: int, whole: int) -> Iterator[Structure]:
    """Where it stands: all of it at 0, or, from `whole` bytes on, `low` of them there and the rest above 4 GiB."""
    places = [(0, memory)] if memory < whole else [(0, low), (_ABOVE, memory - low)]
    for number, (start, size) in enumerate(places):
        yield build(
            19,
            0x1300 + number,
            starting_address=start // _KIB,
            ending_address=(start + size - 1) // _KIB,
            memory_array_handle=0x1000,
            partition_width=1,
        )
