"""The atlas: it has every name of the manual pages, packages and review agree, and a sentence for each reader."""

from __future__ import annotations

import json
import re
from typing import Any

import atlas
import pytest
from atlas import DATA, FACTS, PAGE, REVIEWED, data, named, page, problems, reviewed

from guestcred.systemd.atlas import credential, near_credential, oem_string, reading
from guestcred.systemd.atlas_data import ENTRIES

ENTRIES_REVIEWED = reviewed(REVIEWED.read_text())
SEEN: dict[str, Any] = json.loads(FACTS.read_text())
MANUAL = sorted({name for seen in SEEN.values() for name in seen["manual"]})


def test_what_is_written_is_what_facts_and_review_say() -> None:
    assert DATA.read_text() == data(ENTRIES_REVIEWED), "if this is meant: make atlas"
    assert PAGE.read_text() == page(ENTRIES_REVIEWED, SEEN), "if this is meant: make atlas"


def test_packages_and_review_agree() -> None:
    assert list(SEEN) == ["252", "254", "257", "262"]
    assert problems(ENTRIES_REVIEWED, SEEN) == []


@pytest.mark.parametrize("name", MANUAL)
def test_every_name_of_the_manual_pages_is_there(name: str) -> None:
    entry = oem_string(name.encode()) if name.startswith("io.systemd.") else credential(name)
    assert entry is not None and entry.name == name


def test_there_are_as_many_names_as_the_manual_pages_have() -> None:
    assert {version: len(seen["manual"]) for version, seen in SEEN.items()} == {
        "252": 14,
        "254": 29,
        "257": 54,
        "262": 70,
    }
    assert len({row[0] for row in ENTRIES}) == len(ENTRIES) > len(MANUAL) == 71


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda seen: seen["257"]["manual"].update({"new.name": 257}), "new.name: in the manual page of 257"),
        (lambda seen: seen["262"]["manual"].update({"getty.auto": 259}), "getty.auto: the manual page says 259"),
        (lambda seen: seen["262"]["requests"].update({"a.service": ["new.*"]}), "a.service of 262 requests new.*"),
        (lambda seen: seen["252"]["requests"].pop("systemd-sysctl.service"), "systemd-sysctl.service of 252 does not"),
        (lambda seen: seen["262"]["holds"].pop("systemd-getty-generator"), "systemd-getty-generator of 262 does not"),
        (lambda seen: seen["257"].update(holds=seen["262"]["holds"]), "getty.auto: systemd-getty-generator of 257 reads it"),
        (
            lambda seen: seen["262"]["requests"]["systemd-network-generator.service"].append("network.conf.*"),
            "network.conf.*: systemd-network-generator.service of 262 reads it",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_is_told(change: Any, told: str) -> None:
    seen = json.loads(FACTS.read_text())
    change(seen)
    assert any(told in problem for problem in problems(ENTRIES_REVIEWED, seen))


def test_a_manual_page_is_read() -> None:
    text = (
        ".SH NAME\n\\fIno\\&.name\\fR\n.PP\n\\fIa\\&.b\\-c\\fR, \\fId\\&.*\\fR\n.RS 4\nSee\n\\fIother\\&.one\\fR\\&.\n.sp\n"
        "Added in version 256\\&.\n.RE\n.PP\n\\fIio\\&.systemd\\&.x=\\fR\\fIVALUE\\fR\n.RS 4\nOld\\&.\n.RE\n"
    )
    assert named(text) == {"a.b-c": 256, "d.*": 256, "io.systemd.x=": None}


def test_what_programs_hold_is_what_was_reviewed() -> None:
    forms = {form for entry in ENTRIES_REVIEWED for form in atlas.forms(entry)}
    held = {text for seen in SEEN.values() for texts in seen["holds"].values() for text in texts}
    assert {text for text in held if not text.startswith("ImportCredential=")} <= forms


READ = [
    ("ssh.listen", 252, None, False, "nobody here: this systemd is 252, and it came with 256"),
    ("ssh.listen", 256, None, False, "systemd-ssh-generator at boot, only where sshd is installed"),
    ("getty.auto", None, (), False, "systemd-getty-generator at boot"),
    ("getty.auto", None, (), True, "nobody here: systemd-getty-generator looked at boot, before it was rescued"),
    ("vmm.notify_socket", 253, (), False, "PID 1 at boot"),
    ("sysctl.extra", 252, None, True, "systemd-sysctl.service at boot, only where /proc/sys may be written"),
    ("sysctl.extra", 252, ("systemd-sysctl.service", "mine.service"), False, "systemd-sysctl.service at boot, only where /proc/sys may be written"),
    (
        "sysctl.extra", 252, ("mine.service",), False,
        "nobody here: systemd-sysctl.service would read it, and no such unit is loaded and requests it",
    ),
    ("firstboot.locale-message", 262, None, False, "nobody: what is read is firstboot.locale-messages"),
    (
        "network.conf.a", 257, None, False,
        "nobody here: systemd-network-generator.service could read it, and does not import it",
    ),
    (
        "network.conf.a", 257, ("systemd-network-generator.service",), False,
        "systemd-network-generator.service at boot, only where it is enabled",
    ),
    (
        "tty.serial.ttyS0.agetty.autologin", 257, ("serial-getty@ttyS0.service", "getty@tty1.service"), False,
        "agetty in serial-getty@ttyS0.service at boot, only with util-linux 2.40 or later",
    ),
    (
        "tmpfiles.extra", 252, None, False,
        "systemd-tmpfiles-setup-dev.service, systemd-tmpfiles-setup.service and systemd-tmpfiles-clean.service at boot",
    ),
    (
        "tmpfiles.extra", 254, None, False,
        "systemd-tmpfiles-setup-dev-early.service at boot; and by systemd-tmpfiles-setup-dev.service, "
        "systemd-tmpfiles-setup.service and systemd-tmpfiles-clean.service at boot",
    ),
    (
        "ssh.ephemeral-authorized_keys-all", 257, (), False,
        "sshd-generated@.service at each connection, only over the AF_VSOCK and AF_UNIX sockets of systemd-ssh-generator, "
        "and only where there is no sshd@.service",
    ),
    (
        "shell.welcome", 257, ("getty@tty1.service",), False, "pam_systemd in getty@tty1.service at login",
    ),
    (
        "fsck.mode", 262, None, False,
        "systemd-fsck@.service and systemd-fsck-root.service at boot; and by systemd-fsck-usr.service at boot, only in the "
        "initrd, where /usr is a file system of its own",
    ),
    (
        "fsck.mod", 262, ("systemd-fsck-root.service",), False,
        "systemd-fsck-root.service at boot, only fsck.mode and fsck.repair",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "systemd", "requesting", "late", "told"), READ)
def test_who_reads_it(
    name: str, systemd: int | None, requesting: tuple[str, ...] | None, late: bool, told: str
) -> None:
    entry = credential(name)
    assert entry is not None
    found = reading(entry, name, systemd, requesting, late=late)
    assert found.text == f"read by {told}" and (found.by is None) == ("nobody" in told) == bool(found.fix)


@pytest.mark.parametrize("name", ["API_KEY", "hosts", "network.wireguard.", "passwd.shell", "io.systemd.boot.timeout="])
def test_what_is_not_well_known(name: str) -> None:
    assert credential(name) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ssh.authorized-keys.root", "ssh.authorized_keys.root"),
        ("ssh.authorized_key.root", "ssh.authorized_keys.root"),
        ("passwd.hashed_password.alice", "passwd.hashed-password.alice"),
        ("systemd.unit-drop-in.demo.service", "systemd.unit-dropin.demo.service"),
        ("tmpfile.extra", "tmpfiles.extra"),
        ("Network.DNS", "network.dns"),
        ("sysusers.extra", None),
        ("passwd.hashed-password.alice", None),
        ("API_KEY", None),
        ("hostname", None),
        ("shell", None),
        ("demo.extra", None),
        ("system.host", None),
        ("", None),
        (".", None),
    ],
)
def test_near_misses(name: str, meant: str | None) -> None:
    assert near_credential(name) == meant


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"io.systemd.boot.entries-extra:demo=title x", "io.systemd.boot.entries-extra:"),
        (b"io.systemd.credential.binary:a=b", "io.systemd.credential.binary:"),
        (b"io.systemd.boot.timeout", None),
        (b"fstab.extra", None),
        (b"", None),
    ],
)
def test_type_11_strings(text: bytes, name: str | None) -> None:
    found = oem_string(text)
    assert (found and found.name) == name


def test_a_sentence_can_be_made_of_every_reader() -> None:
    for row in ENTRIES:
        for *_, time, when, _ in row[5]:
            assert re.fullmatch(r"(at|before) [a-z ]+", time) and re.fullmatch(r"|(only|never) .+[^.]", when), row[0]
