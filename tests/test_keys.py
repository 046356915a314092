"""Stories of Type 11 strings that boot loader and stub read: `dump` and `check` name their reader, near misses are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Build, table_of
from hypothesis import given
from hypothesis import strategies as st
from test_capture import hidden
from test_cli import KEY, SECRET, run

from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.atlas_data import ENTRIES
from guestcred.systemd.unrelated import KEYS, MANUAL_KEY, near_key, near_miss, shown_string

STUB = b"io.systemd.stub.kernel-cmdline-extra="
LOGLEVEL = b"io.systemd.boot.loglevel="
ENTRY = b"io.systemd.boot.entries-extra:"
FIRST = "only in the first Type 11 structure, and never in a confidential VM"


def checked(root: Path, *, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--root", root, "check", "--json", status=status))
    return found


def test_the_keys_are_those_of_the_atlas() -> None:
    known = {row[0] for row in ENTRIES if row[0].startswith("io.systemd.") and not row[0].startswith("io.systemd.cred")}
    assert known == {key.decode() for key in (*KEYS, MANUAL_KEY)}
    assert {row[0]: row[4] for row in ENTRIES if row[4]}[MANUAL_KEY.decode()] == ENTRY.decode()


def test_check_names_the_reader(tree: Build) -> None:
    root = tree([KEY, STUB + SECRET, LOGLEVEL + b"debug"], {"KEY": SECRET}, systemd=257)
    said = run("--root", root, "check")
    assert (
        "  other      io.systemd.stub.kernel-cmdline-extra=            handle 0x0e00 string 2   read by systemd-stub before"
        in said
    )
    assert [(one["key"], one["index"], one["read"], one["reader"]) for one in checked(root)["strings"]] == [
        (
            STUB.decode(),
            2,
            True,
            f"read by systemd-stub before the kernel, only where a unified kernel image is booted, {FIRST}",
        ),
        (LOGLEVEL.decode(), 3, False, "read by nobody here: this systemd is 257, and it came with 259"),
    ]
    assert checked(root)["verdict"] == "agrees"
    newer = tree([LOGLEVEL + b"debug"], systemd=262, root="newer")
    assert checked(newer)["strings"][0]["reader"] == (
        f"read by systemd-boot before the kernel, {FIRST}; and by systemd-stub before the kernel, {FIRST}"
    )


def test_what_boot_loader_and_stub_pass_over(tree: Build) -> None:
    root = tree([STUB + b"a", STUB + b"b", ENTRY + b"x=1", ENTRY + b"y=2"], systemd=262)
    assert [one["read"] for one in checked(root)["strings"]] == [True, False, True, True]
    assert "the first of this key is taken" in checked(root)["strings"][1]["reader"]
    first = [build_structure(11, 0x0E00, [KEY]), build_structure(11, 0x0E01, [STUB + b"a"])]
    root = tree([], {"KEY": SECRET}, table=b"".join(first) + build_structure(127, 1), entries=first, root="second")
    (string,) = checked(root)["strings"]
    assert string["reader"] == "read by nobody: of several Type 11 structures only the first is looked at"


def test_dump_names_the_reader(tree: Build) -> None:
    root = tree([STUB + SECRET, b"io.systemd.boot.timeout=menu-force", b"hello"])
    said = run("--root", root, "dump")
    assert (
        "io.systemd.stub.kernel-cmdline-extra=[14 characters hidden]  since systemd 254 read by systemd-stub before"
        in said
    )
    assert "io.systemd.boot.timeout=menu-force  since systemd 260 read by systemd-boot before the kernel" in said
    found = json.loads(run("--root", root, "dump", "--json"))["oem_strings"]
    assert [one.get("reader", "")[:28] for one in found] == [
        "since systemd 254 read by sy",
        "since systemd 260 read by sy",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"io.systemd.boot-entries.extra:a=b", ENTRY),
        (b"io.systemd.boot.entries-extra=a", ENTRY),
        (b"io.systemd.stub.kernel-cmdline=quiet", STUB),
        (b"io.systemd.stub.kernel-cmdline-extras=quiet", STUB),
        (b"io.systemd.stub.kernel-cmdline-extra:quiet", STUB),
        (b"io.systemd.boot.kernel-cmdline-extra:quiet", b"io.systemd.boot.kernel-cmdline-extra="),
        (b"io.systemd.stub.loglevel=debug", LOGLEVEL),
        (b"io.systemd.boot.log-level=debug", LOGLEVEL),
        (b"io.systemd.boot.logelvel=debug", LOGLEVEL),
        (b"io.sytemd.boot.loglevel=debug", LOGLEVEL),
        (b"IO.systemd.Boot.Timeout=5", b"io.systemd.boot.timeout="),
    ],
)
def test_near_misses(tree: Build, text: bytes, key: bytes) -> None:
    assert near_key(text) is not None and (near_key(text) or (b"", 0))[0] == key
    (finding,) = checked(tree([text]), status=1)["findings"]
    assert finding["code"] == "near-miss" and f"write exactly '{key.decode()}'" in finding["hint"]
    assert "is read by nobody: it is nearly a key" in finding["message"]


def test_the_manual_page_is_told_to_be_wrong() -> None:
    assert (near_miss(MANUAL_KEY + b"a=b") or "").endswith("though the manual page has it otherwise")


@pytest.mark.parametrize(
    "text",
    [
        *KEYS,
        b"org.example.timeout=5",
        b"io.systemd.boot=x",
        b"io.systemd.stub",
        b"timeout=5",
        b"",
        b"=",
        b":",
        b"a" * 70 + b"=",
    ],
)
def test_what_is_no_near_miss(text: bytes) -> None:
    assert near_key(text) is None and near_miss(text) is None


def test_why_does_not_take_their_values_for_names(tree: Build) -> None:
    root = tree([b"io.systemd.boot-entries.extra:" + SECRET + b"=" + SECRET])
    said = run("--root", root, "why", SECRET.decode(), status=1)
    assert "looks like it" not in said


@pytest.mark.parametrize("value", [b"debug", b"hunter2", b"5", b"123456", b"menu-hidden", b"menu-hunter2"])
def test_only_what_is_no_secret_is_shown(value: bytes) -> None:
    for key in (LOGLEVEL, b"io.systemd.boot.timeout="):
        told = shown_string(key + value, False, False)
        harmless = value == b"debug" if key == LOGLEVEL else value in (b"5", b"menu-hidden")
        assert told.startswith(key.decode()) and (value.decode() in told) == harmless


@given(
    st.sampled_from([*KEYS, MANUAL_KEY, b"io.systemd.stub.loglevel=", b"IO.systemd.boot.timeout:"]),
    st.binary(max_size=9),
)
def test_a_capture_keeps_them(front: bytes, value: bytes) -> None:
    text = front + value.replace(b"\0", b"!")
    (kept,) = parse(hidden(table_of(text))[0]).structures[0].strings
    assert len(kept) == len(text) and near_key(kept) == near_key(text) and kept.startswith(front)
