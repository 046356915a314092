"""The reading edge: what else names credentials, and files that are not what they should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Build

from guestcred.diagnose.names import ORIGINS
from guestcred.errors import GuestcredError
from guestcred.guest import facts
from guestcred.guest.cmdline import parse_cmdline
from guestcred.guest.facts import Facts, read_facts, read_systemd
from guestcred.guest.rootfs import FILE_MAX, Tree
from guestcred.guest.snapshot import (
    ARGUMENTS,
    CONTAINER,
    FW_CFG,
    Parameters,
    other_sources,
    read_guest,
    read_table,
)
from guestcred.systemd import bus
from guestcred.systemd.bus import Manager
from guestcred.systemd.rules import SYSTEM


@pytest.mark.parametrize(
    ("line", "disabled"),
    [
        (b"quiet", False),
        (b"systemd.import_credentials=no", True),
        (b"systemd.import-credentials=0 quiet", True),
        (b"systemd.import_credentials=off systemd.import_credentials=yes", False),
        (b"systemd.import_credentials", False),
        (b"'systemd.import_credentials=no'\n", True),
        (b"rd.systemd.import_credentials=no", False),
        (b"systemd.import_credentials=maybe", False),
    ],
)
def test_the_import_switch(line: bytes, disabled: bool) -> None:
    assert parse_cmdline(line, 257)[1] is disabled


def test_credentials_of_the_command_line() -> None:
    line = (
        b'systemd.set_credential="A:b c" systemd.set_credential=A:second systemd.set_credential_binary=B:UVE= '
        b"systemd.set_credential=C systemd.set_credential=x/y:z systemd.set_credential_binary=D:!"
    )
    found = parse_cmdline(line, 257)[0]
    assert {name: value for name, (_, value) in found.items()} == {"A": b"b c", "B": b"QQ"}
    assert parse_cmdline(line, 252)[0].keys() == {"A"}  # older ones know no binary form there


def test_in_a_container_pid_1_reads_its_own_arguments(tree: Build) -> None:
    arguments = [b"/usr/lib/systemd/systemd", b"systemd.set_credential=A:b  'c'", b"systemd.import-credentials=no"]
    line = b"".join(argument + b"\0" for argument in arguments)
    root = tree(cmdline=b"systemd.set_credential=OF_THE_MACHINE:x", files={ARGUMENTS: line, CONTAINER: b"lxc\n"})
    assert read_guest(str(root)).parameters == Parameters({"A": ("systemd.set_credential", b"b  'c'")}, True)
    # 252 joins them, and takes them apart as the kernel's
    assert read_guest(str(root), 252).parameters == Parameters({"A": ("systemd.set_credential", b"b")}, True)
    (root / CONTAINER).unlink()
    assert read_guest(str(root)).parameters.credentials.keys() == {"OF_THE_MACHINE"}


ANSWERS = {"container": "none", "cvm": "none", "vm": "kvm"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Manager("257.13-1", "kvm", ""), Facts(virtualization="kvm")),
        (Manager("257.13-1", "kvm", "sev-snp"), Facts(virtualization="kvm", confidential="sev-snp")),
        (Manager("252.39-1~deb12u1", "qemu", None), Facts(virtualization="qemu")),
        (Manager("257", "systemd-nspawn", ""), Facts(container="systemd-nspawn")),
        (Manager("257", "container-other", ""), Facts(container="container-other")),
        (Manager("257", "", ""), Facts()),
        (None, Facts(unasked=frozenset({"container", "confidential"}))),
    ],
)
def test_a_no_is_told_from_no_answer(monkeypatch: pytest.MonkeyPatch, answer: Manager | None, expected: Facts) -> None:
    def read_manager() -> Manager:
        if answer is None:
            raise GuestcredError("cannot ask PID 1")
        return answer

    monkeypatch.setattr(bus, "read_manager", read_manager)
    facts = read_facts("/")
    assert facts == expected.replace(kernel=os.uname().release, earlier_stage=facts.earlier_stage)


@pytest.mark.parametrize(
    ("environment", "earlier"),
    [
        (b"TERM=linux\0", False),
        (b"TERM=linux\0CREDENTIALS_DIRECTORY=/run/host/credentials\0", True),
        (b"ENCRYPTED_CREDENTIALS_DIRECTORY=/run/credentials/@encrypted\0", True),
        (b"MY_CREDENTIALS_DIRECTORY=/x\0", False),
    ],
)
def test_who_was_handed_its_credentials(monkeypatch: pytest.MonkeyPatch, environment: bytes, earlier: bool) -> None:
    monkeypatch.setattr(facts, "_environment", lambda _: environment)
    monkeypatch.setattr(bus, "read_manager", lambda: Manager("257", "kvm", ""))
    assert read_facts("/").earlier_stage is earlier


@pytest.mark.parametrize(
    ("manager", "told"), [(b"systemd-nspawn\n", "a container (systemd-nspawn)"), (None, "the kernel found no SMBIOS")]
)
def test_no_table_in_a_container(tmp_path: Path, manager: bytes | None, told: str) -> None:
    (tmp_path / "run/systemd").mkdir(parents=True)
    (tmp_path / "sys/firmware").mkdir(parents=True)
    if manager is not None:
        (tmp_path / "run/systemd/container").write_bytes(manager)
    live = Tree(str(tmp_path))
    live.live = True
    with pytest.raises(GuestcredError) as raised:
        read_table(live)
    assert told in " ".join(raised.value.hints)


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ("257.13-1", 257),
        ("252.39-1~deb12u1", 252),
        ("257~rc2", 257),
        ("systemd 262 (262-1)", 262),
        ("", None),
        ("v", None),
    ],
)
def test_versions_of_systemd(tree: Build, monkeypatch: pytest.MonkeyPatch, version: str, major: int | None) -> None:
    assert read_systemd(Tree(str(tree(systemd=version)))) == major
    monkeypatch.setattr(bus, "read_manager", lambda: Manager(version, "", ""))
    live = Tree(str(tree(root="live")))
    live.live = True
    assert read_systemd(live) == major


def test_fw_cfg_stands_behind_links_as_the_kernel_makes_them(tree: Build) -> None:
    root = tree()
    (root / FW_CFG).mkdir(parents=True)
    key = root / "sys/firmware/qemu_fw_cfg/by_key/41"
    key.mkdir(parents=True)
    (key / "raw").write_bytes(b"v")
    (root / FW_CFG / "F").symlink_to("../../../by_key/41")
    (root / FW_CFG / "LOOP").symlink_to("LOOP")
    (root / FW_CFG / "OUT").symlink_to("/../../../../etc")
    assert read_guest(str(root)).fw_cfg == {"F": b"v"}


def test_a_container_has_a_link_for_its_credentials(tree: Build) -> None:
    root = tree()
    (root / "run/host/credentials").mkdir(parents=True)
    (root / "run/host/credentials/A").write_bytes(b"v")
    (root / "run/credentials").mkdir()
    (root / SYSTEM).symlink_to("/run/host/credentials")
    assert read_guest(str(root)).system == {"A": b"v"}


def test_files_that_vanish_while_read_are_absent(tree: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree([], {"A": b"v"})
    monkeypatch.setattr(Tree, "names", lambda _, path: ["A", "GONE"] if path == SYSTEM else None)
    assert read_guest(str(root)).system == {"A": b"v"}


@pytest.mark.parametrize(
    ("plant", "problem"),
    [
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: path.open("wb").truncate(FILE_MAX + 1), "larger than 16 MiB"),
    ],
    ids=["fifo", "folder", "huge"],
)
def test_no_file_at_all(tmp_path: Path, plant: object, problem: str) -> None:
    assert callable(plant)
    plant(tmp_path / "file")
    with pytest.raises(GuestcredError, match=problem):
        Tree(str(tmp_path)).read("file")


def test_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"v")
    (tmp_path / "link").symlink_to("secret")
    (tmp_path / "folder").symlink_to(tmp_path)
    with pytest.raises(GuestcredError, match="symbolic link"):
        Tree(str(tmp_path)).read("link")
    assert Tree(str(tmp_path)).read("folder/secret") is None


@pytest.mark.parametrize("told", [b"[" * 200_000, b'{"systemd": ' + b"9" * 6000 + b"}", b"[]", b"\xff"])
def test_a_capture_that_is_no_capture(tree: Build, told: bytes) -> None:
    root = tree()
    (root / "capture.json").write_bytes(told)
    with pytest.raises(GuestcredError, match="it is not"):
        read_guest(str(root))


def test_a_version_of_systemd_has_few_digits(tree: Build) -> None:
    assert read_guest(str(tree(systemd="9" * 6000))).systemd is None


def test_a_tree_closes_its_root(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(9):
        Tree(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize(
    ("made", "hint"),
    [
        ("sys/firmware/devicetree/base/compatible", "device tree"),
        ("sys/kernel/x", "mount sysfs"),
        ("sys/firmware/acpi/x", "Firecracker"),
        ("sys/firmware/dmi/x/y", "the table was too large (cloud-hypervisor's above 65512 bytes): offer less"),
        ("sys/firmware/dmi/x/y", "or is /sys/firmware/dmi covered by a mount?"),
    ],
)
def test_a_live_guest_without_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, hint: str) -> None:
    (tmp_path / made).mkdir(parents=True)
    live = Tree(str(tmp_path))
    live.live = True
    monkeypatch.setattr("guestcred.guest.snapshot.Tree", lambda _: live)
    with pytest.raises(GuestcredError, match="there is no DMI table") as caught:
        read_guest("/")
    assert hint in caught.value.hints[0]


def test_every_other_source_has_its_words(tree: Build) -> None:
    origins = {origin for origin, _ in other_sources(read_guest(str(tree())))}
    assert ORIGINS.keys() == {*origins, "earlier-stage", "container-manager", None}
