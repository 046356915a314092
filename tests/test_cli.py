"""Stories: a guest's tree, a command, its exit status and exactly what it prints."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CAPTURES, REFERENCE, TABLES, Build, table_of
from running import run_program
from vm.fixtures import expected

from guestcred.__main__ import plain_form
from guestcred.cli import commands
from guestcred.cli import dump as dumping
from guestcred.cli.command_line import run as run_click
from guestcred.cli.commands import View
from guestcred.cli.plain import plain_dump
from guestcred.smbios.entry_point import DUMP_TABLE, SIZE_32
from guestcred.smbios.layout import build_entry_point, build_structure

KEY = b"io.systemd.credential:KEY=hunter2hunter2"
SECRET = b"hunter2hunter2"


def run(*arguments: object, status: int | None = 0) -> str:
    """Run the program; its standard output, after checking the exit status, that no value and no traceback is shown.

    A `status` of None is 0 or 1: it agrees, or has findings.
    """
    done = run_program([sys.executable, "-m", "guestcred"], [*map(str, arguments)])
    assert done.returncode in ((0, 1) if status is None else (status,)), done
    if "--reveal" not in arguments:
        assert SECRET not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr
    return (done.stdout or done.stderr).decode()


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_fixtures_say_how_they_were_made(capture: Path) -> None:
    provenance = json.loads((capture / "capture.json").read_text())
    assert {"made_by", "guest", "systemd", "kernel", "secrets"} <= provenance.keys()


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_fixtures_say_what_they_hold(capture: Path) -> None:
    wanted = json.loads((capture / "expected.json").read_text())
    check = json.loads(
        run("--root", capture, "check", "--format", "json", status=1 if wanted["verdict"] == "findings" else 0)
    )
    dump = json.loads(run("--root", capture, "dump", "--format", "json")) if capture in TABLES else None
    assert expected(check, dump) == wanted


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_fixtures_show_no_value(capture: Path) -> None:
    system = capture / "run/credentials/@system"
    values = [file.read_bytes() for file in system.iterdir()] if system.exists() else []
    shown = [value.decode("latin-1") for value in values if len(value) > 11]
    imported = [path.name for path in system.iterdir()][:3] if system.exists() else []
    dumps = [["dump"], ["dump", "--all"]] if capture in TABLES else []
    for arguments in (["check"], *dumps, *(["why", name] for name in imported)):
        for form in ("text", "json"):
            printed = run("--root", capture, *arguments, "--format", form, status=None)
            assert not [value for value in shown if value in printed]


def test_reveal_shows_values() -> None:
    value = (REFERENCE / "run/credentials/@system/API_KEY").read_text()
    assert value in run("--root", REFERENCE, "dump", "--reveal")
    assert value not in run("--root", REFERENCE, "dump", "--format", "json")


def test_check_agrees(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET})
    assert run("--root", root, "check") == (
        "agrees: 1 imported (systemd 257)\n  imported   KEY  14 bytes  handle 0x0e00 string 1\n"
    )


def test_nothing_offered_agrees(tree: Build) -> None:
    assert run("--root", tree([b"hello"], {}), "check") == "agrees: nothing was offered (systemd 257)\n"


def test_missing_without_dmi_sysfs(tree: Build) -> None:
    root = tree([KEY], {}, entries=False)
    assert run("--root", root, "check", status=1) == (
        "findings: 1 missing (systemd 257)\n"
        "  missing    KEY  14 bytes  handle 0x0e00 string 1   dmi-sysfs-absent\n"
        "\n"
        "missing: KEY was offered but not imported: PID 1 reads SMBIOS through /sys/firmware/dmi/entries, and the kernel has no dmi-sysfs there.\n"
        '  fix: apt install guestcred-initrd, or on NixOS boot.initrd.kernelModules = [ "dmi-sysfs" ]; it helps only where '
        "'modinfo dmi-sysfs' finds a module and modprobe.d has no blacklist for it, else only a kernel with CONFIG_DMI_SYSFS=y does.\n"
    )


def cause(root: Path, *arguments: str) -> tuple[str, str | None]:
    document = json.loads(run("--root", root, *arguments, "check", "--format", "json", status=1))
    assert document["findings"]
    return document["credentials"][0]["status"], document["credentials"][0]["cause"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"container": "systemd-nspawn"}, "container"),
        ({"confidential": "sev-snp"}, "confidential-vm"),
        ({"cmdline": b"systemd.import_credentials=no"}, "import-disabled"),
        ({"systemd": "systemd 249 (249.11)"}, "systemd-too-old"),
        ({"earlier_stage": True}, "earlier-stage"),
        ({}, "unknown"),
    ],
)
def test_why_nothing_was_imported(tree: Build, facts: dict[str, object], expected: str) -> None:
    assert cause(tree([KEY], {}, **facts)) == ("missing", expected)


def test_lost_at_switch_root(tree: Build) -> None:
    assert cause(tree([KEY], None, earlier_stage=True)) == ("missing", "lost-at-switch-root")


def test_shadowed_by_fw_cfg(tree: Build) -> None:
    assert cause(tree([KEY], {"KEY": b"other"}, fw_cfg={"KEY": b"other"})) == ("differs", "shadowed-by-fw-cfg")


@pytest.mark.parametrize(("systemd", "stage", "expected"), [
    ("262", "initrd", "shadowed-by-initrd"), ("257", "initrd", "unknown"), ("262", "system", "unknown"),
])  # fmt: skip
def test_shadowed_by_the_initrd(tree: Build, systemd: str, stage: str, expected: str) -> None:
    root = tree([KEY], {"KEY": b"other"}, systemd=systemd, earlier_stage=True, stages={"KEY": stage})
    assert cause(root) == ("differs", expected)


@pytest.mark.parametrize("systemd", ["252 (252.39)", "254 (254.26-1~bpo12+1)", "256"])
def test_cut_at_4096(tree: Build, systemd: str) -> None:
    long = b"io.systemd.credential:LONG=" + b"y" * 5000
    behind = b"io.systemd.credential:BEHIND=z"
    shortened = b"y" * (4096 - 5 - len(b"io.systemd.credential:LONG="))
    root = tree([long, behind], {"LONG": shortened}, systemd=f"systemd {systemd}")
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [(credential["status"], credential["cause"]) for credential in document["credentials"]] == [
        ("truncated", "cut-read"),
        ("missing", "cut-read"),
    ]


@pytest.mark.parametrize("behind", [b"", b"\0\0"], ids=["cut", "zeros behind the cut"])
def test_cut_to_the_low_16_bits(tree: Build, behind: bytes) -> None:
    whole = table_of(KEY, b"io.systemd.credential:CUT=" + b"y" * 1000, b"io.systemd.credential:GONE=" + b"z" * 70000)
    kept = whole[: len(whole) & 0xFFFF]
    last = kept.rsplit(b"=", 1)[1]
    kept += behind
    root = tree(
        table=kept, declared=len(whole), entries=[kept], system={"KEY": SECRET, "CUT": b"y" * 1000, "GONE": last}
    )
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [credential["status"] for credential in document["credentials"]] == ["imported", "imported", "truncated"]
    assert "cut-by-kernel" in [finding["code"] for finding in document["findings"]]


def test_store_full(tree: Build) -> None:
    names = [f"N{number:03}" for number in range(300)]
    root = tree([f"io.systemd.credential:{name}=v".encode() for name in names], dict.fromkeys(names[:256], b"v"))
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [credential["cause"] for credential in document["credentials"]] == [None] * 256 + ["store-full"] * 44


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"fw_cfg": {"F": b"v"}}, "fw-cfg"),
        ({"cmdline": b"systemd.set_credential=F:v"}, "cmdline"),
        ({"initrd": {"F": b"v"}}, "initrd"),
        ({"earlier_stage": True, "stages": {"F": "system"}}, "initrd"),
        ({"stages": {"F": "system"}}, "initrd"),
        ({"stages": {"F": "system"}, "systemd": "252"}, "unknown"),
        ({"earlier_stage": True, "stages": {"F": "initrd"}}, "earlier-stage"),
        ({"earlier_stage": True, "stages": {"F": "initrd"}, "cmdline": b"systemd.set_credential=F:v"}, "cmdline"),
        ({"earlier_stage": True, "stages": {"F": ["initrd"], "G": "other"}}, "unknown"),
        ({"stages": [1]}, "unknown"),
        ({"container": "lxc", "earlier_stage": True, "stages": {"F": "initrd"}}, "container-manager"),
        ({"container": "lxc", "stages": {"F": "system"}}, "unknown"),
        ({"container": "lxc", "cmdline": b"systemd.set_credential=F:v"}, "cmdline"),
        ({}, "unknown"),
    ],
)
def test_foreign_names_its_source(tree: Build, sources: dict[str, object], expected: str) -> None:
    document = json.loads(run("--root", tree([], {"F": b"v"}, **sources), "check", "--format", "json"))
    assert [(credential["status"], credential["cause"]) for credential in document["credentials"]] == [
        ("foreign", expected)
    ]


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        (b"io.systemd.credential:" + SECRET, "no-equals", "NAME=VALUE"),
        (b"io.systemd.credential:a/b=" + SECRET, "invalid-name", "'/'"),
        (b"io.systemd.credential:a:b=" + SECRET, "invalid-name", "':'"),
        (b"io.systemd.credential.binary:A=" + SECRET + b"!", "bad-base64", "base64"),
        (b"io.systemd.credentials:A=" + SECRET, "near-miss", "'s' too many"),
        (b" io.systemd.credential:A=" + SECRET, "near-miss", "space or quote"),
        (b'"io.systemd.credential:A=' + SECRET, "near-miss", "space or quote"),
    ],
)
def test_refusals_and_near_misses(tree: Build, text: bytes, reason: str, hint: str) -> None:
    root = tree([text], {})
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [finding["code"] for finding in document["findings"]] == [reason]
    assert hint in document["findings"][0]["hint"]
    run("--root", root, "dump")
    run("--root", root, "dump", "--all", "--format", "json")


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        (b"credential:KEY=front", SECRET, True),
        (b"credential:KEY=front", b"http://" + SECRET, True),
        (b"credential:KEY=user=x", b"password=" + SECRET, True),
        (b"credential:KEY=front", b"org.example.tool:" + SECRET, False),
        (b"credential:KEY=front", b"io.systemd.boot.kernel-cmdline-extra=quiet", False),
        (b"credential.binary:KEY=UVE=", SECRET, False),
        (b"credential:KEY=c2VjcmV0LWh1bnRlcjItaHVudGVyMg==", SECRET, False),
    ],
)
def test_a_fragment_behind_a_comma(tree: Build, first: bytes, second: bytes, warned: bool) -> None:
    root = tree([b"io.systemd." + first, second], {})
    for command in (["check"], ["why", "KEY"]):
        assert ("has a comma" in run("--root", root, *command, status=1)) == warned
    run("--root", root, "dump")


@pytest.mark.parametrize(
    "strings",
    [
        (b"io.systemd.credential:PW=first", b"second", SECRET),
        (b"io.system.credential:PW=" + SECRET,),
        (b"io_systemd_Credential:PW=x", SECRET),
        (b"x" * 9 + b"io.systemd.credential:PW=" + SECRET,),
        (b"io.systemd.stub.kernel-cmdline-extra=systemd.set_credential=PW:" + SECRET,),
    ],
)
def test_dump_shows_nothing_of_a_damaged_credential(tree: Build, strings: tuple[bytes, ...]) -> None:
    root = tree([b"vendor=shown", *strings])
    for arguments in (["dump"], ["dump", "--format", "json"], ["dump", "--all"], ["check"]):
        printed = run("--root", root, *arguments, status=None)
        assert ("vendor=shown" in printed) == (arguments[0] == "dump")


@pytest.mark.parametrize(
    ("value", "code"), [(SECRET + b"\n", "trailing-newline"), (b"", "empty"), (b"PEM\n" + SECRET + b"\n", None)]
)
def test_values_that_look_wrong_are_warned_of(tree: Build, value: bytes, code: str | None) -> None:
    root = tree([b"io.systemd.credential:KEY=" + value], {"KEY": value})
    for command in (["check"], ["why", "KEY"]):
        document = json.loads(run("--root", root, *command, "--format", "json"))
        assert [warning["code"] for warning in document["warnings"]] == ([code] if code else [])


def test_a_table_that_ends_badly_is_warned_of(tree: Build) -> None:
    root = tree(table=table_of(KEY)[:-6], system={"KEY": SECRET}, entries=[table_of(KEY)[:-6]])
    document = json.loads(run("--root", root, "check", "--format", "json"))
    assert [warning["code"] for warning in document["warnings"]] == ["no-end-of-table"]


def test_require(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET})
    run("--root", root, "check", "--require", "KEY")
    assert "OTHER is required" in run("--root", root, "check", "--require", "OTHER", status=1)


def test_why_stops_where_it_was_lost(tree: Build) -> None:
    root = tree([KEY], {}, entries=False)
    printed = run("--root", root, "why", "KEY", status=1)
    assert [line.split()[:2] for line in printed.splitlines()[:3]] == [
        ["ok", "offered"],
        ["ok", "accepted"],
        ["LOST", "entry"],
    ]
    assert "CONFIG_DMI_SYSFS" in printed
    assert "no OEM string" in run("--root", root, "why", "NOTHING", status=1)


BARE = b"c2VjcmV0LWh1bnRlcjItaHVudGVyMg=="
SHOWN = "[30 characters hidden]"


def test_a_forgotten_name_is_no_name(tree: Build, tmp_path: Path) -> None:
    name = BARE.rstrip(b"=").decode()
    root = tree([b"io.systemd.credential:" + BARE, b"io.systemd.credential:" + BARE], {name: b"="})
    for command in (
        ["check"],
        ["dump"],
        ["dump", "--all"],
        ["why", name],
        ["why", SHOWN],
        ["check", "--require", name],
    ):
        for form in ("text", "json"):
            printed = run("--root", root, *command, "--format", form, status=None)
            assert name not in printed and SHOWN in printed
            assert ("NAME= is missing" in printed) == (command[0] != "dump")
    assert name in run("--root", root, "dump", "--reveal")
    assert found(root, "--require", name) == ["duplicate"]
    run("--root", root, "capture", tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        assert name not in path.name and (path.is_dir() or name.encode() not in path.read_bytes())
    assert "name-missing" in run("--root", tmp_path / "out", "check", "--format", "json", status=1)


def test_an_empty_value_is_no_forgotten_name(tree: Build) -> None:
    root = tree([b"io.systemd.credential:A_NAME_THAT_IS_JUST_AS_LONG=", b"io.systemd.credential:AN.EMPTY.ONE="])
    assert "NAME= is missing" not in run("--root", root, "check", status=1)


@pytest.mark.parametrize(
    ("guest", "told"),
    [
        ({"fw_cfg": {"X": SECRET}}, "QEMU's fw_cfg offers it"),
        ({"cmdline": b"systemd.set_credential=X:" + SECRET}, "(of a container: PID 1's arguments) offers it"),
        ({"initrd": {"X": SECRET}}, "the initrd (/run/credentials/@initrd) offers it"),
    ],
)
def test_another_source_offers_what_did_not_arrive(tree: Build, guest: dict[str, object], told: str) -> None:
    cmdline = guest.pop("cmdline", b"quiet")
    assert isinstance(cmdline, bytes)
    root = tree([KEY], {}, cmdline=cmdline + b" systemd.import_credentials=no\n", **guest)
    for command in (["why", "X"], ["check", "--require", "X"]):
        printed = run("--root", root, *command, status=1)
        assert f"{told}, and it was not imported: systemd.import_credentials=no is on the kernel" in printed


@pytest.mark.parametrize(
    ("source", "facts", "expected"),
    [
        ("fw_cfg", {"confidential": "sev-snp"}, "confidential-vm"),
        ("initrd", {"confidential": "sev-snp"}, "unknown"),
        ("fw_cfg", {"container": "lxc"}, "container"),
        ("initrd", {"container": "lxc"}, "unknown"),
        ("initrd", {"container": "lxc", "earlier_stage": True}, "container"),
        ("fw_cfg", {"earlier_stage": True}, "earlier-stage"),
    ],
)
def test_why_another_source_was_not_taken(tree: Build, source: str, facts: dict[str, object], expected: str) -> None:
    root = tree([], {}, **{source: {"X": b"v"}}, **facts)
    document = json.loads(run("--root", root, "why", "X", "--format", "json", status=1))
    assert (document["status"], document["cause"]) == ("not-imported", expected)


def test_what_is_refused_is_required_once(tree: Build) -> None:
    root = tree([b"io.systemd.credential.binary:X=!"], {})
    assert found(root, "--require", "X") == ["bad-base64"]


def test_an_absent_name_may_have_been_cut_by_the_kernel(tree: Build) -> None:
    whole = table_of(KEY, b"z" * 70000)
    kept = whole[: len(whole) & 0xFFFF]
    root = tree(table=kept, declared=len(whole), entries=[kept], system={"KEY": SECRET})
    document = json.loads(run("--root", root, "check", "--require", "X", "--format", "json", status=1))
    assert [finding["code"] for finding in document["findings"]] == ["cut-by-kernel", "required"]
    assert "low 16 bits" in document["findings"][1]["message"]
    assert document["warnings"] == []
    assert (
        f"the table is {len(whole)} bytes long and {len(kept)} of them are here" in document["findings"][0]["message"]
    )
    printed = run("--root", root, "why", "X", status=1)
    assert "low 16 bits" in printed and "nothing here shows that the host offered it; if it did" in printed
    assert "fix: see on the host whether it offers X; keep the whole table" in printed
    assert json.loads(run("--root", root, "why", "X", "--json", status=1))["cause"] is None


def test_why_says_how_much_of_a_string_the_kernel_left(tree: Build) -> None:
    whole = table_of(b"io.systemd.credential:BIG=" + b"z" * 70000)
    kept = whole[: len(whole) & 0xFFFF]
    size = len(kept) - kept.index(b"z")
    root = tree(table=kept, declared=len(whole), entries=[kept], system={"BIG": b"z" * size})
    first, *others = run("--root", root, "why", "BIG", status=1).splitlines()
    assert first.startswith("CUT   offered   ")
    assert first.endswith(f": {size} bytes of it are in the table, the rest is cut off")
    assert [line.split()[:2] for line in others[:3]] == [["ok", "accepted"], ["ok", "entry"], ["ok", "imported"]]


def test_why_says_how_much_systemd_read(tree: Build) -> None:
    strings = [b"io.systemd.credential:A=" + b"a" * 2000, b"io.systemd.credential:B=" + b"b" * 3000, KEY]
    read = 4096 - len(b"\x0b\x05\0\0\0" + strings[0] + b"\0io.systemd.credential:B=")
    root = tree(strings, {"A": b"a" * 2000, "B": b"b" * read}, systemd="systemd 252")
    printed = run("--root", root, "why", "B", status=1)
    assert re.search(r"^CUT   entry     .*, and only the first 4096 are read$", printed, re.M)
    assert re.search(rf"^CUT   imported  .*: {read} of 3000 bytes$", printed, re.M)
    total = sum(len(string) + 1 for string in strings) + 6
    assert (
        f"; its structure has {total} bytes; {read} of 3000 bytes were imported; not rescued: what was imported is not overwritten.\n"
        in printed
    )
    assert "no order of them fits" in printed
    printed = run("--root", root, "why", "KEY", status=1)
    assert f"; its structure has {total} bytes.\n" in printed and "imported  " not in printed


@pytest.mark.parametrize(
    ("guest", "expected"),
    [
        ({"entries": False, "cmdline": b"systemd.set_credential=KEY:x"}, ("differs", "dmi-sysfs-absent")),
        ({"initrd": {"KEY": b"x"}, "confidential": "sev-snp"}, ("differs", "confidential-vm")),
        ({"entries": False}, ("differs", "unknown")),
    ],
)
def test_another_source_gave_other_bytes(tree: Build, guest: dict[str, object], expected: tuple[str, str]) -> None:
    assert cause(tree([KEY], {"KEY": b"x"}, **guest)) == expected


def test_what_came_from_elsewhere_is_no_evidence_of_smbios(tree: Build) -> None:
    two = [KEY, b"io.systemd.credential:TWO=2"]
    source = {"fw_cfg": {"TWO": b"2"}}
    assert cause(tree(two, {"TWO": b"2"}, entries=False, root="absent", **source)) == ("missing", "dmi-sysfs-absent")
    assert cause(tree(two, {"TWO": b"2"}, earlier_stage=True, root="stage", **source)) == ("missing", "earlier-stage")


@pytest.mark.parametrize(("string", "name"), [("a/b=v", "a/b"), ("c:d=v", "c:d"), ("NOEQUALS", "NOEQUALS")])
def test_why_finds_refused_names_that_are_none(tree: Build, string: str, name: str) -> None:
    root = tree([b"io.systemd.credential:" + string.encode()], {})
    document = json.loads(run("--root", root, "why", name, "--format", "json", status=1))
    assert (document["status"], document["stages"][0]["passed"]) == ("rejected", True)


@pytest.mark.parametrize("name", [b"a/b", b"\xff\xfe", b"\x1b[31m", b"x" * 256])
def test_why_advises_no_name_that_systemd_refuses(tree: Build, name: bytes) -> None:
    printed = run("--root", tree([KEY], {}), "why", os.fsdecode(name), status=1)
    assert "systemd takes no such name" in printed and "\x1b" not in printed
    assert "guestcred launch" not in printed


def test_why_tells_of_every_string_of_a_name(tree: Build) -> None:
    root = tree(
        [KEY, KEY, b"io.systemd.credential.binary:B=!"],
        {"KEY": SECRET, "B": b"v"},
        cmdline=b"systemd.set_credential=B:v",
    )
    assert "also  at handle 0x0e00, string 2: refused: duplicate" in run("--root", root, "why", "KEY")
    printed = run("--root", root, "why", "B")
    assert "it came from the kernel command line" in printed and "string 3: refused: bad-base64" in printed
    assert "a source that cannot be seen" in run("--root", tree([], {"F": b"v"}, root="f"), "why", "F")


def test_a_backslash_may_stand_in_a_name(tree: Build) -> None:
    root = tree([b"io.systemd.credential:a\\b=v"], {"a\\b": b"v", "c\\d": b"v"})
    run("--root", root, "check", "--require", "c\\d")
    for name in ("a\\b", "c\\d"):
        document = json.loads(run("--root", root, "why", name, "--format", "json"))
        assert document["name"] == name
        assert f"  {name}  " in run("--root", root, "check")


def test_why_is_no_oracle_for_values(tree: Build) -> None:
    root = tree([b"io.systemd.credentials:A=" + SECRET, b"io.systemd.credentials=B:" + SECRET], {})
    assert "looks like it" in run("--root", root, "why", "A", status=1)
    for guess in ("hunter", "h", "B", SECRET[:-1].decode()):
        assert "looks like it" not in run("--root", root, "why", guess, status=1)


def test_bytes_behind_the_end_may_hold_what_nobody_knows(tree: Build) -> None:
    root = tree(table=table_of(KEY) + table_of(b"io.systemd.credential:X=1"), system={"KEY": SECRET, "X": b"1"})
    (root / "sys/firmware/dmi/tables/smbios_entry_point").unlink()
    assert "behind the End-of-Table structure" in run("--root", root, "check")


def checked(root: Path, status: int = 0) -> list[dict[str, object]]:
    credentials = json.loads(run("--root", root, "check", "--format", "json", status=status))["credentials"]
    assert isinstance(credentials, list)
    return credentials


def test_linux_goes_on_behind_the_end_by_the_count_of_a_32_bit_entry_point(tree: Build, tmp_path: Path) -> None:
    behind = build_structure(11, 0x0E01, [b"io.systemd.credential:X=behind"])
    table = table_of(KEY) + behind + b"\0" * 9
    entries = [build_structure(11, 0x0E00, [KEY]), behind]
    root = tree(table=table, count=3, entries=entries, system={"KEY": SECRET, "X": b"behind"})
    assert {row["name"]: row["status"] for row in checked(root)} == {"KEY": "imported", "X": "imported"}
    assert "handle 0x0e01, string 1" in run("--root", root, "why", "X")
    assert json.loads(run("--root", root, "dump", "--format", "json"))["oem_strings"][1]["name"] == "X"
    run("--root", root, "capture", tmp_path / "out")
    assert b"behind" not in (tmp_path / "out/sys/firmware/dmi/tables/DMI").read_bytes()
    assert checked(tmp_path / "out") == checked(root)
    # told, but not taken: Linux stops at type 127 where there is no count, as under every 64-bit entry point
    root = tree(table=table, count=0, entries=entries[:1], system={"KEY": SECRET}, root="stops")
    assert [row["name"] for row in checked(root)] == ["KEY"]


def test_what_pid_1_lost_behind_the_end_is_missing(tree: Build) -> None:
    table = table_of(KEY) + build_structure(11, 0x0E01, [b"io.systemd.credential:X=1"])
    root = tree(table=table, count=3, entries=False, system={"KEY": SECRET})
    assert {row["name"]: row["status"] for row in checked(root, 1)} == {"KEY": "imported", "X": "missing"}


def test_refusals_of_one_reason_are_one_finding(tree: Build) -> None:
    area = b"\x0b\x06\x02\x00\x01\x00"
    table = area + b"\0".join(b"io.systemd.credential:N%d=v" % n for n in range(9)) + b"\0\0" + table_of()
    root = tree(table=table, system={})
    assert found(root) == ["type11-length"]
    assert "and 4 more are refused" in run("--root", root, "check", status=1)


def test_plurals_and_long_names(tree: Build) -> None:
    names = ["A", "n" * 255]
    root = tree([f"io.systemd.credential:{name}=v".encode() for name in names], {})
    printed = run("--root", root, "check", status=1)
    assert f"A and {names[1]} were offered but not imported" in printed
    assert "  missing    A" + " " * 39 + "  1 byte " in printed
    assert "1 byte by the rules" in run("--root", root, "why", "A", status=1)


def test_no_table(tmp_path: Path) -> None:
    printed = run("--root", tmp_path, "check", status=3)
    assert printed.startswith("guestcred: error: there is no DMI table at ")
    assert "guestcred: hint: " in printed


def without_smbios(root: Path) -> Path:
    shutil.rmtree(root / "sys/firmware/dmi")
    return root


def test_a_machine_without_smbios_says_what_other_sources_gave(tree: Build, tmp_path: Path) -> None:
    given = {"fw_cfg": {"FW": b"v", "LOST": b"v"}, "cmdline": b"systemd.set_credential=CMD:v"}
    root = without_smbios(tree([], {"FW": b"v", "CMD": b"v", "OTHER": b"v"}, **given))
    told = "there is no SMBIOS table, so no OEM string of the host's arrived.\n"
    printed = run("--root", root, "check")
    assert printed.startswith("agrees: 3 foreign (systemd 257)\n") and told in printed
    assert [(row["name"], row["cause"]) for row in checked(root)] == [
        ("CMD", "cmdline"), ("FW", "fw-cfg"), ("OTHER", "unknown"),
    ]  # fmt: skip
    assert "it came from QEMU's fw_cfg" in run("--root", root, "why", "FW")
    assert "not imported" in run("--root", root, "why", "LOST", status=1)
    assert "there is no SMBIOS table" in run("--root", root, "why", "NOBODY", status=1)
    assert "NOBODY is required" in run("--root", root, "check", "--require", "NOBODY", status=1)
    run("--root", root, "capture", tmp_path / "out")
    assert checked(tmp_path / "out") == checked(root)
    run("--root", root, "dump", status=3)


def test_in_a_container_no_table_is_missed(tree: Build) -> None:
    facts = {"container": "systemd-nspawn", "earlier_stage": True}
    root = without_smbios(tree([], {"GIVEN": b"v"}, **facts))
    printed = run("--root", root, "check")
    assert printed.startswith("agrees: 1 foreign (systemd 257)\n") and "SMBIOS" not in printed
    assert "it came from the manager of this container" in run("--root", root, "why", "GIVEN")


def test_without_smbios_and_any_other_source_there_is_nothing_to_look_at(tree: Build) -> None:
    assert "there is no DMI table" in run("--root", without_smbios(tree([], {})), "check", status=3)


def test_a_table_that_should_be_there_is_missed(tree: Build) -> None:
    root = tree([KEY], {"FW": b"v"}, fw_cfg={"FW": b"v"})
    (root / "sys/firmware/dmi/tables/DMI").unlink()
    assert "there is no DMI table" in run("--root", root, "check", status=3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--root", "/nonexistent", "check"],
        ["chek"],
        ["dump", "--all", "--type", "1"],
        ["--systemd", "x", "check"],
        ["why"],
        ["why", ""],
        ["check", "--require", ""],
    ],
)
def test_usage(arguments: list[str]) -> None:
    assert run(*arguments, status=2).startswith("guestcred: error: ")


def found(root: Path, *arguments: str, status: int = 1) -> list[str]:
    """The codes of all findings of `check`."""
    document = json.loads(run("--root", root, "check", *arguments, "--format", "json", status=status))
    return [finding["code"] for finding in document["findings"]]


def test_what_is_no_file_in_system_is_one_finding_and_the_rest_is_compared(tree: Build) -> None:
    root = tree([KEY, b"io.systemd.credential:OTHER=x"], {"OTHER": b"x"})
    system = root / "run/credentials/@system"
    (system / "KEY").mkdir()
    (system / "loop").symlink_to("loop")
    os.mkfifo(system / "f\x1b[31m")
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [(credential["status"], credential["cause"]) for credential in document["credentials"]] == [
        ("missing", "unreadable"),
        ("imported", None),
    ]
    printed = run("--root", root, "check", status=1)
    assert printed.count("fix: see who put it there") == 3
    assert "f\\x1b[31m cannot be read: not a regular file" in printed and "\x1b" not in printed
    assert "not a regular file" in run("--root", root, "why", "KEY", status=1)
    run("--root", root, "capture", root.parent / "out")
    assert found(root.parent / "out") == ["missing", "unreadable", "unreadable"]


@pytest.mark.parametrize("table", [b"", b"root:x:0:0:root:/root:/bin/bash\n" * 20, b"\0" * 40])
def test_a_table_of_nothing_is_not_looked_at(tree: Build, table: bytes) -> None:
    root = tree(table=table, system={"KEY": b"v"})
    for command in (["check"], ["why", "KEY"], ["dump"]):
        run("--root", root, *command, status=3)


def test_names_that_are_not_utf8(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET})
    Path(os.fsdecode(os.fsencode(root / "run/credentials/@system") + b"/\xff\x1b[31m")).write_bytes(b"x")
    printed = run("--root", root, "check")
    assert "\x1b" not in printed and "\\xff\\x1b[31m" in printed


def test_dump_reads_every_form(tmp_path: Path) -> None:
    table = table_of(KEY)
    (tmp_path / "raw").write_bytes(table)
    (tmp_path / "bin").write_bytes(build_entry_point(len(table)).ljust(DUMP_TABLE, b"\0") + table)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/DMI").write_bytes(table)
    for path in ("raw", "bin", "tables", "."):
        document = json.loads(run("dump", tmp_path / path, "--format", "json"))
        assert document["oem_strings"] == [
            {"handle": 0x0E00, "index": 1, "name": "KEY", "encoding": "text", "size": 14}
        ]
    assert "hunter2" in run("dump", tmp_path / "raw", "--reveal")
    run("dump", tmp_path / "absent", status=3)


def test_dump_reads_links_pipes_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(table_of(KEY))
    (tmp_path / "link").symlink_to("raw")
    program = f"{sys.executable} -m guestcred dump"
    for command in (f"{program} link", f"{program} - <raw", f"cat raw | {program} /dev/stdin", f"{program} <(cat raw)"):
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True, text=True)
        assert "KEY  text  14 bytes" in done.stdout
    assert "larger than 16 MiB" in run("dump", "/dev/zero", status=3)
    assert "no structure" in run("dump", "/dev/null", status=3)


def test_dump_tells_an_entry_point_from_a_table(tmp_path: Path) -> None:
    table = table_of(KEY)
    point = build_entry_point(len(table), address=0xF5A40)
    for size in (SIZE_32, DUMP_TABLE):
        (tmp_path / "point").write_bytes(point.ljust(DUMP_TABLE, b"\0")[:size])
        assert "is an entry point, not a table" in run("dump", tmp_path / "point", status=3)
    (tmp_path / "whole").write_bytes(point.ljust(DUMP_TABLE, b"\0") + table)
    assert "KEY  text  14 bytes" in run("dump", tmp_path / "whole")


def test_dump_all(tree: Build) -> None:
    prefix = b"io.systemd.credential:X="
    uuid = bytes.fromhex("33221100554477668899aabbccddeeff")
    table = (
        build_structure(1, 1, [b"maker", b"nobody's"], {"manufacturer": 1, "uuid": uuid})
        + build_structure(2, 2, [], {"number_of_contained_object_handles": 1, "contained_object_handles": [0x400]})
        + build_structure(200, 3, [], {"rest": prefix + SECRET})
        + build_structure(127, 4)
    )
    root = tree(table=table, system={})
    printed = run("--root", root, "dump", "--all")
    assert "\nHandle 0x0001, DMI type 1, 27 bytes\nSystem Information\n" in printed
    assert "\tUUID: 00112233-4455-6677-8899-aabbccddeeff\n" in printed
    assert "\tManufacturer: maker\n" in printed and "\tFurther Strings:\n\t\t2: nobody's\n" in printed
    assert "\tContained Object Handles: 1\n\t\t0x0400\n" in printed
    document = run("--root", root, "dump", "--all", "--format", "json")
    assert SECRET.hex() not in (printed + document).replace(" ", "").lower()
    revealed = run("--root", root, "dump", "--all", "--reveal")
    assert (prefix + SECRET).hex() in revealed.replace("\n\t\t", "").replace(" ", "").lower()


def test_structures_may_share_a_handle(tree: Build) -> None:
    first, second = b"io.systemd.credential:A=1", b"io.systemd.credential:B=" + SECRET
    raws = [build_structure(11, 7, [first]), build_structure(11, 7, [b"x", second])]
    root = tree(table=b"".join(raws) + build_structure(127, 8), entries=raws, system={"A": b"1", "B": SECRET})
    document = json.loads(run("--root", root, "dump", "--format", "json"))
    assert [string.get("name") for string in document["oem_strings"]] == ["A", None, "B"]
    assert "B  text" in run("--root", root, "dump")
    assert "entries/11-1/raw, bytes 7 to 45" in run("--root", root, "why", "B")


WORDS = [
    "--root",
    "x",
    "--format",
    "json",
    "text",
    "xml",
    "--systemd",
    "257",
    "--help",
    "--dry-run",
    "--early",
    "--require",
    "A",
]


def test_the_plain_form_is_what_click_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every form of these commands of up to two words before and after: the same, or left to click."""
    called: list[tuple[str, View, dict[str, object]]] = []

    def record(name: str, view: View, /, **rest: object) -> int:
        called.append((name, view, rest))
        return 0

    usual: dict[str, dict[str, object]] = {
        "check": {"require": (), "strict": False},
        "apply": {"dry_run": False, "early": False},
        "why": {"strict": False},
        "services": {"unit": None, "user": None},
        "status": {"verbose": False, "page": None},
    }
    for name in usual:
        monkeypatch.setattr(commands, name, functools.partial(record, name))
    sides = [words for length in range(3) for words in itertools.product(WORDS, repeat=length)]
    plain = 0
    for name, before, after in itertools.product(usual, sides, sides):
        arguments = [*before, name, *after]
        found = plain_form(arguments)
        if found is None:
            continue
        called.clear()
        assert run_click(arguments) == 0
        command, view, options = found
        assert called == [(command, view, {**usual[name], **options})], arguments
        plain += 1
    # no root or one of any name; of `check`, `services` and `status` no form, text or JSON; of `apply` also early; of `why`
    # and `services` a word that is no option
    words = sum(not word.startswith("-") for word in WORDS)
    assert plain == (1 + len(WORDS)) * (4 * 3 + 1 + 2 * words)


DUMP_WORDS = [
    *("--root", "--format", "--json", "json", "x", "-", "", "--", "--all", "--reveal", "--dump-bin", "--systemd"),
    *("-q", "--type", "-t", "memory", "17,4", "all", "--handle", "-H", "0x10", "--string", "-s", "system-uuid"),
    *("--from-dump", "--type=1", "--json=1", "--root=", "--format=json", "-t17", "--help", "-qt", "-5"),
]


@functools.cache
def plain_dumps() -> list[list[str]]:
    """Every plain form of `dump` of up to three words, and of up to two before and two behind the command."""
    sides = [words for length in range(3) for words in itertools.product(DUMP_WORDS, repeat=length)]
    behind = [*sides, *itertools.product(DUMP_WORDS, repeat=3)]
    every = [["dump", *after] for after in behind]
    every += [[*before, "dump", *after] for before in sides if before for after in sides]
    return [arguments for arguments in every if plain_dump(arguments) is not None]


def test_the_plain_form_of_dump_is_what_click_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[View, dict[str, object]]] = []

    def record(view: View, **rest: object) -> int:
        called.append((view, {name: value for name, value in rest.items() if value not in (None, False)}))
        return 0

    monkeypatch.setattr(dumping, "run", record)
    for arguments in plain_dumps():
        called.clear()
        assert run_click(arguments) == 0, arguments
        assert called == [plain_dump(arguments)], arguments


@pytest.mark.parametrize(
    "line",
    [
        *("", "x", "--all", "--all x", "--type all", "-t memory x", "--type 17 --json", "--handle 0x10 x", "-q --all"),
        *("-s system-uuid", "--string system-uuid x", "--format json --type 4 -", "--reveal --type 11"),
        *("x --all", "--from-dump x --all", "x --json"),
    ],
)
def test_what_people_type_is_plain(line: str) -> None:
    assert plain_dump(["dump", *line.split()]) is not None
    assert plain_dump(["--root", "x", "dump", *line.split()]) is not None


@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        ("check >&-", 0, ""),
        ("check 2>&-", 0, ""),
        ("check <&- >&- 2>&-", 0, ""),
        ("dump --all >&-", 0, ""),
        ("why NOTHING 2>&-", 1, ""),
        ("check >/dev/full", 3, "guestcred: error: cannot write the output: no space left on device\n"),
        ("dump --all >/dev/full", 3, "guestcred: error: cannot write the output: no space left on device\n"),
        ("check >/dev/full 2>&1", 3, ""),
        ("--systemd x check 2>/dev/full", 3, ""),
    ],
)
def test_streams_that_are_closed_or_full(command: str, status: int, error: str) -> None:
    program = f"{sys.executable} -m guestcred --root {REFERENCE} "
    done = subprocess.run(["bash", "-c", program + command], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (status, error)


def test_no_core_file_and_no_look_into_memory() -> None:
    code = (
        "import ctypes, resource, sys\n"
        "from guestcred.__main__ import main\n"
        "main()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "PR_GET_DUMPABLE = 3\n"
        "assert ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0"
    )
    subprocess.run([sys.executable, "-c", code, "--root", REFERENCE, "check"], capture_output=True, check=True)


def test_without_a_command_comes_the_help() -> None:
    printed = run(status=2)
    assert printed.startswith("Usage: guestcred") and "error" not in printed


def machine(tmp_path: Path) -> Path:
    """A table with a system, a board that points to its chassis, memory, a maker's type and a credential."""
    table = (
        build_structure(1, 1, [b"Maker", b"S1"], {"manufacturer": 1, "serial_number": 2, "uuid": bytes(range(16))})
        + build_structure(2, 2, [b"Board"], {"product": 1, "chassis_handle": 3})
        + build_structure(3, 3, [], {"type": 0x11})
        + build_structure(17, 0x11, [], {"size": 16384, "speed": 3200, "memory_type": 0xEE})
        + build_structure(11, 0x12, [KEY])
        + build_structure(200, 0x13, [b"theirs"], {"rest": b"\x01\x02"})
        + build_structure(127, 0x14)
    )
    path = tmp_path / "table"
    path.write_bytes(table)
    return path


@pytest.mark.parametrize(
    ("options", "there", "not_there"),
    [
        (["--type", "all"], ["System Information", "OEM-specific Type", "End Of Table"], []),
        (["-t", "17"], ["\tSize: 16 GB\n", "\tSpeed: 3200 MT/s\n", "\tType: <OUT OF SPEC> (0xee)\n"], ["System Info"]),
        (["-t", "baseboard"], ["Base Board Information", "\tChassis Handle: 0x0003\n\t\tChassis\n"], ["Memory Device"]),
        (["-t", "memory device"], ["Memory Device"], ["System Info"]),
        (["-t", "0x11,3"], ["Memory Device", "Chassis Information"], ["System Info"]),
        (["-t", "17", "-t", "3"], ["Memory Device", "Chassis Information"], ["System Info"]),
        (["-t", "17", "-t", "all"], ["Memory Device", "System Information"], []),
        (["-H", "0x0011"], ["Handle 0x0011, DMI type 17, 100 bytes\nMemory Device\n"], ["System Info"]),
        (["-H", "9"], ["no structure with the handle 0x0009 in this table"], []),
        (["--all", "-q"], ["Base Board Information"], ["Handle", "OEM-specific", "End Of Table"]),
        (["--all", "--json"], ['"points_to": {', '"label": "Size"', '"size": 16384'], ["hunter2"]),
        (["-s", "system-manufacturer"], ["Maker\n"], ["System Information"]),
        (["-s", "system-uuid"], ["03020100-0504-0706-0809-0a0b0c0d0e0f\n"], []),
        (["-s", "System-Manufacturer"], ["Maker\n"], []),
        (["-s", "chassis-type", "--json"], ['"Main Server Chassis"'], []),
        (["--list-types"], ["memory\n"], []),
        (["--list-strings"], ["system-uuid\n"], []),
    ],
)
def test_dump_has_dmidecodes_switches(
    tmp_path: Path, options: list[str], there: list[str], not_there: list[str]
) -> None:
    printed = run("dump", machine(tmp_path), *options)
    assert [text for text in there if text not in printed] == [], printed
    assert [text for text in not_there if text in printed] == []


@pytest.mark.parametrize(
    "option", [["-u"], ["--oem-string", "1"], ["--no-quirks"], ["--no-sysfs"], ["-d", "/dev/mem"], ["-V"]]
)
def test_dump_says_what_to_type_instead(option: list[str]) -> None:
    told = run("dump", *option, status=2)
    assert told.startswith("guestcred: error: dump has no --") and told.count("\nguestcred: hint: ") == 1


def test_dump_saves_a_table_for_dmidecode(tmp_path: Path) -> None:
    table, saved = machine(tmp_path), tmp_path / "saved"
    refused = run("dump", table, "--dump-bin", saved, status=2)
    assert "writes the values of credentials too" in refused and not saved.exists()
    assert run("dump", table, "--dump-bin", saved, "--reveal") == ""
    assert saved.stat().st_mode & 0o777 == 0o600
    assert saved.read_bytes()[DUMP_TABLE:] == table.read_bytes()
    assert run("dump", "--from-dump", saved, "-s", "system-serial-number") == "S1\n"
    assert "file exists" in run("dump", table, "--dump-bin", saved, "--reveal", status=3)
    assert "nothing in this table says bios-vendor" in run("dump", table, "-s", "bios-vendor", status=3)
