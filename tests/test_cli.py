"""Stories: a guest's tree, a command, its exit status and exactly what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CAPTURES, REFERENCE, Build, table_of
from vm.fixtures import expected

from guestcred.__main__ import plain_form
from guestcred.layout import build_structure

KEY = b"io.systemd.credential:KEY=hunter2hunter2"
SECRET = b"hunter2hunter2"


def run(*arguments: object, status: int | None = 0) -> str:
    """Run the program; its standard output, after checking the exit status, that no value and no traceback is shown.

    A `status` of None is 0 or 1: it agrees, or has findings.
    """
    done = subprocess.run([sys.executable, "-m", "guestcred", *map(str, arguments)], capture_output=True, check=False)
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
        run("--root", capture, "check", "--format", "json", status=0 if wanted["verdict"] == "agrees" else 1)
    )
    dump = json.loads(run("--root", capture, "dump", "--format", "json"))
    assert expected(check, dump) == wanted


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_fixtures_show_no_value(capture: Path) -> None:
    system = capture / "run/credentials/@system"
    values = [one.read_bytes() for one in system.iterdir()] if system.exists() else []
    shown = [value.decode("latin-1") for value in values if len(value) > 11]
    imported = [path.name for path in system.iterdir()][:3] if system.exists() else []
    for arguments in (["check"], ["dump"], ["dump", "--all"], *(["why", name] for name in imported)):
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
        "  mend: build the kernel with CONFIG_DMI_SYSFS=y, or put the module dmi-sysfs into the initrd and load it before systemd.\n"
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


def test_cut_at_4096(tree: Build) -> None:
    long = b"io.systemd.credential:LONG=" + b"y" * 5000
    behind = b"io.systemd.credential:BEHIND=z"
    shortened = b"y" * (4096 - 5 - len(b"io.systemd.credential:LONG="))
    root = tree([long, behind], {"LONG": shortened}, systemd="systemd 252 (252.39)")
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [(one["status"], one["cause"]) for one in document["credentials"]] == [
        ("truncated", "cut-read"),
        ("missing", "cut-read"),
    ]


def test_cut_by_kernel(tree: Build) -> None:
    whole = table_of(KEY, b"io.systemd.credential:CUT=" + b"y" * 1000, b"io.systemd.credential:GONE=" + b"z" * 70000)
    kept = whole[: len(whole) & 0xFFFF]
    last = kept.rsplit(b"=", 1)[1]
    root = tree(
        table=kept, declared=len(whole), entries=[kept], system={"KEY": SECRET, "CUT": b"y" * 1000, "GONE": last}
    )
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [one["status"] for one in document["credentials"]] == ["imported", "imported", "truncated"]
    assert "cut-by-kernel" in [one["code"] for one in document["findings"]]


def test_store_full(tree: Build) -> None:
    names = [f"N{number:03}" for number in range(300)]
    root = tree([f"io.systemd.credential:{name}=v".encode() for name in names], dict.fromkeys(names[:256], b"v"))
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    assert [one["cause"] for one in document["credentials"]] == [None] * 256 + ["store-full"] * 44


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"fw_cfg": {"F": b"v"}}, "fw-cfg"),
        ({"cmdline": b"systemd.set_credential=F:v"}, "cmdline"),
        ({"initrd": {"F": b"v"}}, "initrd"),
        ({}, "unknown"),
    ],
)
def test_foreign_names_its_source(tree: Build, sources: dict[str, object], expected: str) -> None:
    document = json.loads(run("--root", tree([], {"F": b"v"}, **sources), "check", "--format", "json"))
    assert [(one["status"], one["cause"]) for one in document["credentials"]] == [("foreign", expected)]


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
    assert [one["code"] for one in document["findings"]] == [reason]
    assert hint in document["findings"][0]["hint"]
    run("--root", root, "dump")
    run("--root", root, "dump", "--all", "--format", "json")


def test_a_fragment_behind_a_comma(tree: Build) -> None:
    root = tree([b"io.systemd.credential:KEY=front", SECRET], {"KEY": b"front"})
    for command in (["check"], ["why", "KEY"]):
        assert "comma" in run("--root", root, *command)
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
        assert [one["code"] for one in document["warnings"]] == ([code] if code else [])


def test_a_table_that_ends_badly_is_warned_of(tree: Build) -> None:
    root = tree(table=table_of(KEY)[:-6], system={"KEY": SECRET}, entries=[table_of(KEY)[:-6]])
    document = json.loads(run("--root", root, "check", "--format", "json"))
    assert [one["code"] for one in document["warnings"]] == ["no-end-of-table"]


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


def test_no_table(tmp_path: Path) -> None:
    printed = run("--root", tmp_path, "check", status=3)
    assert printed.startswith("guestcred: error: there is no DMI table at ")
    assert "guestcred: hint: " in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["--root", "/nonexistent", "check"],
        ["chek"],
        ["dump", "--all", "--type", "1"],
        ["--systemd", "x", "check"],
        ["why"],
    ],
)
def test_usage(arguments: list[str]) -> None:
    assert run(*arguments, status=2).startswith("guestcred: error: ")


def test_a_folder_in_place_of_a_file(tree: Build) -> None:
    root = tree([KEY], {})
    (root / "run/credentials/@system/KEY").mkdir()
    assert "not a regular file" in run("--root", root, "check", status=3)


def test_names_that_are_not_utf8(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET})
    Path(os.fsdecode(os.fsencode(root / "run/credentials/@system") + b"/\xff\x1b[31m")).write_bytes(b"x")
    printed = run("--root", root, "check")
    assert "\x1b" not in printed and "\\xff\\x1b[31m" in printed


def test_dump_reads_every_form(tmp_path: Path) -> None:
    from guestcred.layout import build_entry_point

    table = table_of(KEY)
    (tmp_path / "raw").write_bytes(table)
    (tmp_path / "bin").write_bytes(build_entry_point(len(table)).ljust(32, b"\0") + table)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/DMI").write_bytes(table)
    for path in ("raw", "bin", "tables", "."):
        document = json.loads(run("dump", tmp_path / path, "--format", "json"))
        assert document["oem_strings"] == [
            {"handle": 0x0E00, "index": 1, "name": "KEY", "encoding": "text", "size": 14}
        ]
    assert "hunter2" in run("dump", tmp_path / "raw", "--reveal")
    run("dump", tmp_path / "absent", status=3)


def test_structures_may_share_a_handle(tree: Build) -> None:
    first, second = b"io.systemd.credential:A=1", b"io.systemd.credential:B=" + SECRET
    raws = [build_structure(11, 7, [first]), build_structure(11, 7, [b"x", second])]
    root = tree(table=b"".join(raws) + build_structure(127, 8), entries=raws, system={"A": b"1", "B": SECRET})
    document = json.loads(run("--root", root, "dump", "--format", "json"))
    assert [one.get("name") for one in document["oem_strings"]] == ["A", None, "B"]
    assert "B  text" in run("--root", root, "dump")
    assert "entries/11-1/raw, bytes 7 to 45" in run("--root", root, "why", "B")


def test_the_plain_form_is_only_a_short_cut() -> None:
    assert plain_form(["--root", "x", "check", "--format", "json"]) == ("check", "x", "json")
    for arguments in (
        ["check", "--help"],
        ["check", "--require", "A"],
        ["--root"],
        ["--root", "x"],
        ["apply", "--dry-run"],
        [],
    ):
        assert plain_form(arguments) is None
