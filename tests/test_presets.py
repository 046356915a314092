"""What is built for a hypervisor is what it builds, byte for byte."""

from __future__ import annotations

import subprocess
from math import prod
from typing import Any

import pytest
from conftest import FIXTURES
from construct import ConstructError
from needs import need
from qemu_tables import promised, table_from_qemu

from guestcred import smbios
from guestcred.errors import GuestcredError

MIB, GIB = 1 << 20, 1 << 30


def captured(name: str) -> smbios.Table:
    return smbios.read(str(FIXTURES / name / "sys/firmware/dmi/tables"))


def entry_point(name: str) -> bytes:
    return (FIXTURES / name / "sys/firmware/dmi/tables/smbios_entry_point").read_bytes()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("debian12-reference", {}),
        ("debian13-reference", {}),
        ("debian14-nothing-offered", {}),
        ("debian14-reference-pc-30", {"machine": "pc-i440fx-7.2", "version": "3.0"}),
    ],
)
def test_a_table_of_qemu_in_a_guest(name: str, options: dict[str, Any]) -> None:
    real = captured(name)
    made = smbios.qemu(
        seabios="1.16.2-debian-1.16.2-1",
        processor_id=real.of_type(4)[0].fields["processor_id"],
        oem_strings=[text for one in real.of_type(11) for text in one.strings],
        **options,
    )
    assert real.entry_point is not None
    assert (made.build(), made.build_entry_point(real.entry_point.address)) == (real.build(), entry_point(name))


Q35, I440FX, VIRT = "pc-q35-7.2", "pc-i440fx-7.2", "virt-7.2"


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("machine", "mebibytes", "topology", "version"),
    [
        (Q35, 1, (1, 1, 1), "2.8"),
        (Q35, 2815, (1, 1, 1), "3.0"),
        (Q35, 2816, (2, 3, 2), "3.0"),
        (I440FX, 3583, (1, 1, 1), "2.8"),
        (I440FX, 96 << 10, (2, 3, 2), "2.8"),
        (VIRT, 200 << 10, (4, 4, 1), "3.0"),
    ],
)
def test_a_table_as_qemu_hands_it_to_the_firmware(
    machine: str, mebibytes: int, topology: tuple[int, int, int], version: str
) -> None:
    which = "aarch64" if machine == VIRT else "x86_64"
    refuse_other_versions(which)
    kind = (
        f"{machine},gic-version=3"
        if machine == VIRT
        else f"{machine},smbios-entry-point-type={64 if version == '3.0' else 32}"
    )
    smp = "{},sockets={},cores={},threads={}".format(prod(topology), *topology)
    real = smbios.parse(
        table_from_qemu([which, "-machine", kind, "-cpu", "max", "-smp", smp, *promised(f"{mebibytes}M")])
    )
    sockets, cores, threads = topology
    made = smbios.qemu(
        machine=machine,
        memory=mebibytes * MIB,
        sockets=sockets,
        cores=cores,
        threads=threads,
        processor_id=real.of_type(4)[0].fields["processor_id"],
        version=version,
    )
    assert made.build() == real.build()


def refuse_other_versions(which: str) -> None:
    """The preset is QEMU 7.2's; others build some fields otherwise."""
    program = need(f"qemu-system-{which}", "qemu-system-arm" if which == "aarch64" else "qemu-system-x86")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if "version 7.2" not in told:
        pytest.skip(f"needs QEMU 7.2: {told.splitlines()[0]}")


def test_a_table_of_cloud_hypervisor() -> None:
    name = "cloud-hypervisor-54"
    real = captured(name)
    made = smbios.cloud_hypervisor(oem_strings=real.of_type(11)[0].strings)
    assert (made.build(), made.build_entry_point(0xF0018)) == (real.build(), entry_point(name))
    raw = FIXTURES / name / "sys/firmware/dmi/entries/11-0/raw"
    assert made.of_type(11)[0].build() == raw.read_bytes()


def test_a_table_of_crosvm() -> None:
    """By its setup_smbios(): two structures of fixed length, the strings behind each, Type 11 only where it has some."""
    made = smbios.crosvm(bios_size=2 * MIB, serial_number="S", uuid=bytes(range(16)), oem_strings=[b"one", b"two"])
    assert made.build() == b"".join(
        (
            bytes.fromhex("00 14 0100 01 02 0000 00 1f 8000000000000000 00 10") + b"crosvm\x000\0\0",
            bytes.fromhex("01 1b 0200 01 02 00 03") + bytes(range(16)) + bytes(3) + b"ChromiumOS\0crosvm\0S\0\0",
            bytes.fromhex("0b 05 0300 02") + b"one\0two\0\0",
            bytes.fromhex("7f 04 0400") + b"\0\0",
        )
    )
    assert [one.type for one in smbios.crosvm()] == [0, 1, 127]
    with pytest.raises(GuestcredError, match="at most 255"):
        smbios.crosvm(oem_strings=[b"x"] * 256)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"machine": "microvm"}, "microvm is not known"),
        ({"memory": 0}, "1 byte to 1000 GiB"),
        ({"memory": 1001 * GIB}, "1 byte to 1000 GiB"),
    ],
)
def test_what_qemu_would_build_otherwise_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(GuestcredError, match=problem):
        smbios.qemu(**options)


def test_a_structure_of_an_older_specification() -> None:
    chassis = smbios.build(3, 0x300, length=0x15, manufacturer="M")
    assert (chassis.formatted[1], list(chassis.fields)[-1]) == (0x15, "contained_elements")
    with pytest.raises(ConstructError, match="none without those before it"):
        smbios.build(3, 0x300, length=0x15, rack_height=1)


def test_strings_stand_in_the_order_of_their_fields() -> None:
    made = smbios.build(1, 1, [b"0"], family="7", sku_number="6", serial_number="4", version="3", manufacturer="1")
    assert made.strings == (b"0", b"1", b"3", b"4", b"6", b"7")
