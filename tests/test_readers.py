"""Stories of well-known credentials: who reads them in this guest, in `why`, `status` and `services`."""

from __future__ import annotations

import json
import os
import re

import pytest
from conftest import Build
from test_cli import run
from test_services import codes, consumer, imports, load
from test_status import document, table

from guestcred.guest.credstores import rescue_mark
from guestcred.guest.deliveries import Consumer

TEXT = b"io.systemd.credential:"
SYSCTL = consumer(imports("sysctl.*"), name="systemd-sysctl.service", running=False)


def why(tree: Build, name: str, *units: Consumer, systemd: int = 257, options: tuple[str, ...] = ()) -> str:
    """What `why` prints of a credential that arrived in a guest with these units."""
    root = tree([TEXT + name.encode() + b"=x"], {name: b"x"}, units=list(units), systemd=systemd)
    return run("--root", root, "why", name, *options)


def test_why_ends_with_who_reads_it(tree: Build) -> None:
    said = why(tree, "sysctl.extra", SYSCTL)
    *_, requested, reader = said.splitlines()
    assert re.fullmatch(r"ok +requested +systemd-sysctl.service will have it as sysctl.extra, from .*", requested)
    assert re.fullmatch(
        r"ok +reader +read by systemd-sysctl.service at boot, only where /proc/sys may be written", reader
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("system.machine_id", "PID 1 at boot, only where /etc/machine-id is missing, empty or 'uninitialized', and D-Bus has no ID of its own"),
        ("ssh.listen", "systemd-ssh-generator at boot, only where sshd is installed"),
    ],
)  # fmt: skip
def test_what_no_unit_has_to_request(tree: Build, name: str, told: str) -> None:
    said = why(tree, name)
    assert said.splitlines()[-1].endswith(f"  read by {told}") and "warning" not in said


def test_a_systemd_that_is_too_old(tree: Build) -> None:
    said = why(tree, "ssh.listen", systemd=252)
    told = "read by nobody here: this systemd is 252, and it came with 256"
    assert f"LOST  reader    {told}\n      it got as far as: imported\n" in said
    assert f"ssh.listen is {told}" in said and "hint: it takes a guest with systemd 256 or later" in said


def test_a_unit_that_does_not_request_it(tree: Build) -> None:
    serial = consumer(imports("agetty.*"), name="serial-getty@ttyS0.service", running=False)
    name = "tty.serial.ttyS0.login.noauth"
    assert f"{name} is read by nobody here: serial-getty@.service would read it" in why(tree, name, serial)
    theirs = consumer(imports("tty.serial.ttyS0.login.*", "login."), name="serial-getty@ttyS0.service", running=False)
    assert "read by login in serial-getty@ttyS0.service at boot, only where" in why(tree, name, theirs)


def test_a_unit_of_ones_own_has_it_though_systemd_is_too_old(tree: Build) -> None:
    said = why(tree, "ssh.listen", consumer(load("listen", "ssh.listen"), running=False), systemd=252)
    assert "demo.service will have it as listen" in said and "reader" not in said and "warning" not in said


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("firstboot.hostname", "read by nobody here: this systemd is 257, and it came with 261"),
        ("firstboot.locale-message", "read by nobody: what is read is firstboot.locale-messages"),
    ],
)
def test_a_unit_imports_what_its_program_does_not_know(tree: Build, name: str, told: str) -> None:
    firstboot = consumer(imports("firstboot.*"), name="systemd-firstboot.service", running=False)
    said = why(tree, name, firstboot)
    assert f"systemd-firstboot.service will have it as {name}" in said
    assert re.search(rf"LOST +reader +{told}\n", said) and f"{name} is {told}" in said
    mine = consumer(load("mine", name), running=False)
    assert "reader" not in why(tree, name, firstboot, mine)


def test_a_near_miss(tree: Build) -> None:
    said = why(tree, "ssh.authorized-keys.root", SYSCTL)
    assert "no loaded unit requests ssh.authorized-keys.root, which is offered" in said
    assert "hint: did you mean ssh.authorized_keys.root? systemd reads that by itself" in said


def test_it_is_in_the_documents(tree: Build) -> None:
    found = json.loads(why(tree, "vmm.notify_socket", options=("--json",)))
    assert found["stages"][-1] == {"stage": "reader", "passed": True, "evidence": "read by PID 1 at boot"}
    assert found["reached"] == "reader" and found["warnings"] == []
    found = json.loads(why(tree, "getty.auto", options=("--json",)))
    assert found["stages"][-1]["passed"] is False and [one["code"] for one in found["warnings"]] == ["unread"]


def test_a_name_that_may_be_a_secret_is_looked_up_nowhere(tree: Build) -> None:
    name = "network.wireguard.Zm9vYmFyYmF6cXV4"
    root = tree([TEXT + name.encode()], {name: b""})
    assert "read by" not in run("--root", root, "why", "11-0:1", status=None)


def test_status_has_it(tree: Build) -> None:
    names = ("vmm.notify_socket", "getty.auto", "sysctl.extra", "MINE")
    root = tree(
        [TEXT + name.encode() + b"=x" for name in names],
        dict.fromkeys(names, b"x"),
        units=[SYSCTL, consumer(load("MINE", "MINE"), running=False)],
    )
    readers = {row["name"]: row["reader"] for row in document(root)["credentials"]}
    assert readers == {
        "vmm.notify_socket": "read by PID 1 at boot",
        "getty.auto": "read by nobody here: this systemd is 257, and it came with 258",
        "sysctl.extra": "read by systemd-sysctl.service at boot, only where /proc/sys may be written",
        "MINE": None,
    }
    assert {name: cells[3] for name, cells in table(root, "-v").items()} == {
        "vmm.notify_socket": "systemd",
        "getty.auto": "0",
        "sysctl.extra": "1",
        "MINE": "1",
    }
    assert "\n    read by PID 1 at boot\n" in run("--root", root, "status", "-v")


def test_what_systemd_reads_by_itself_is_not_idle(tree: Build) -> None:
    names = ("vconsole.keymap", "system.hostname", "wol.password")
    root = tree([TEXT + name.encode() + b"=x" for name in names], units=[SYSCTL])
    assert "no loaded unit requests wol.password, which is offered" in run("--root", root, "services", status=1)
    misspelt = tree([TEXT + b"tmpfile.extra=x", TEXT + b"IDLE=x"], units=[SYSCTL], root="misspelt")
    said = run("--root", misspelt, "services", status=1)
    assert "no loaded unit requests tmpfile.extra" in said and "did you mean tmpfiles.extra?" in said
    assert codes(misspelt) == ["unrequested", "unrequested"]


def test_a_near_miss_of_a_name_that_may_be_a_secret_is_not_told(tree: Build) -> None:
    name = "passwd.hashed_password.Zm9vYmFyYmF6cXV4Zm9v"
    root = tree([TEXT + name.encode() + b"="], {name: b""}, units=[SYSCTL])
    for command in (["services"], ["status"], ["why", "11-0:1"]):
        assert "Zm9v" not in run("--root", root, *command, status=None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vmm.notify_socket", "read by nobody here: PID 1 looked at boot, before it was rescued"),
        ("sysctl.extra", "read by systemd-sysctl.service at boot, only where /proc/sys may be written"),
    ],
)
def test_a_rescue_is_too_late_for_pid_1(tree: Build, name: str, told: str) -> None:
    store = f"run/credstore/{name}"
    root = tree([TEXT + name.encode() + b"=x"], {}, entries=False, units=[SYSCTL], files={store: b"x"})
    os.utime(root / store, ns=(rescue_mark(name), rescue_mark(name)))
    assert f"  {told}\n" in run("--root", root, "why", name)
