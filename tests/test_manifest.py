"""The manifest: what the host meant is what the guest says, whatever is lost or lied about on the way."""

from __future__ import annotations

import hmac
import json
from pathlib import Path

import pytest
from applying import apply, offer
from conftest import Build
from hypothesis import given
from hypothesis import strategies as st
from test_cli import KEY, SECRET, run
from test_encode import NAMES, OTHERS
from test_services import consumer, load

from guestcred.diagnose.survey import Survey, survey
from guestcred.guest.facts import Facts
from guestcred.guest.snapshot import Guest, Parameters
from guestcred.host.encode import check_limits, encode, framed, limits
from guestcred.host.secret import Secret
from guestcred.manifest import END, FRAME, MANIFEST, digest, end_value, manifest_value, read_manifest
from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge

VALUES = st.dictionaries(
    NAMES.filter(lambda name: name not in FRAME),
    st.binary(max_size=60) | st.from_regex(rb"[ -~]{0,60}", fullmatch=True),
    min_size=1,
    max_size=8,
)
SALT = bytes(range(16))


def strings_of(values: dict[str, bytes]) -> list[bytes]:
    """The OEM strings of a host that sends these."""
    secrets = tuple(Secret(name, value, False) for name, value in values.items())
    encoded = encode(framed(secrets))
    check_limits(limits(encoded, "qemu", reserve=2048), encoded)
    return [credential.text for credential in encoded]


def look(table: bytes, systemd: int | None = 257) -> Survey:
    """The survey of a guest with that table, in which PID 1 imported all that it could."""
    offered = judge(parse(table).structures, systemd)
    system = {verdict.name: verdict.value for verdict in offered if isinstance(verdict, Accepted)}
    guest = Guest(
        root="/nowhere",
        table=table,
        entry_point=None,
        entries=(),
        system=system,
        initrd=None,
        fw_cfg=None,
        parameters=Parameters({}, False),
        systemd=systemd,
        unreadable={},
    )
    return survey(guest, Facts())


def table_of(strings: list[bytes]) -> bytes:
    return OTHERS + build_structure(11, 3, strings) + build_structure(127, 4)


@given(VALUES)
def test_what_was_meant_agrees_with_what_arrives(values: dict[str, bytes]) -> None:
    strings = strings_of(values)
    for systemd in (252, 254, 257, 262, None):
        comparison = look(table_of(strings), systemd).comparison
        assert comparison.agrees and comparison.frame is not None and comparison.frame.whole
        assert comparison.frame.sizes == {
            **{name: len(value) for name, value in values.items()},
            END: len(end_value(len(values))),
        }
        assert [credential.name for credential in comparison.credentials] == [MANIFEST, *values, END]
        assert all(
            credential.meant == credential.size for credential in comparison.credentials if credential.name != MANIFEST
        )


@given(VALUES, st.integers(0))
def test_what_is_said_to_be_lost_is_exactly_what_is_lost(values: dict[str, bytes], chance: int) -> None:
    strings = strings_of(values)
    table = table_of(strings)
    start = len(OTHERS) + 5
    cut = start + chance % (len(table) - start + 1)
    ends = {}
    at = start
    for name, string in zip((MANIFEST, *values, END), strings):
        ends[name] = at + len(string)
        at += len(string) + 1
    lost = {name for name, end in ends.items() if end > cut}
    comparison = look(table[:cut]).comparison
    said = {entry.name for entry in comparison.credentials if entry.cause in ("altered", "lost-on-the-way")}
    refused = {entry.raw_name.decode("latin-1") for entry in comparison.rejected}
    if cut < start + len(b"io.systemd.credential:guestcred.manifest="):
        assert comparison.frame is None and not said
    elif cut <= ends[MANIFEST] + 1:
        # it may be all that is here, and may have been longer
        assert not comparison.agrees and said <= lost | {END}
        assert comparison.frame is None or not comparison.frame.whole
    else:
        assert comparison.frame is not None and comparison.frame.whole
        assert said | (refused & lost) == lost
        assert comparison.agrees == (not lost)


def test_a_digest_is_the_one_that_the_specification_says() -> None:
    told = hmac.digest(SALT, b"KEY\0value", "sha256")[:8].hex()
    assert digest(SALT, b"KEY", b"value") == told.encode()
    expected = f"1/000102030405060708090a0b0c0d0e0f/KEY:5:{told}"
    assert manifest_value(SALT, [(b"KEY", b"value")]) == expected.encode()
    assert end_value(12) == b"1/12"


@given(st.binary(max_size=200) | st.from_regex(rb"1/[0-9a-f]{32}(/[A-Z:]{1,3}:[0-9]{1,3}:[0-9a-f]{16})*"))
def test_any_bytes_are_a_manifest_or_none(value: bytes) -> None:
    manifest = read_manifest(value)
    if manifest is not None:
        rebuilt = [b"%b:%d:%b" % (meant.name, meant.size, meant.digest) for meant in manifest.meant]
        assert value == b"/".join([b"1", manifest.salt.hex().encode(), *rebuilt])


GOOD = [(b"A", b"one"), (b"B", b"two")]
HERE = [b"io.systemd.credential:A=one", b"io.systemd.credential:B=two"]
FRONT = b"io.systemd.credential:guestcred.manifest=" + manifest_value(SALT, GOOD)
BACK = b"io.systemd.credential:guestcred.end=1/2"


def fronted(text: bytes) -> list[bytes]:
    return [b"io.systemd.credential:guestcred.manifest=" + text, *HERE, BACK]


@pytest.mark.parametrize(
    ("strings", "reason"),
    [
        ([*HERE, BACK], "no manifest is in front of it"),
        ([FRONT, FRONT, *HERE, BACK], "it is there 2 times (handle 0x0003, string 1 and handle 0x0003, string 2)"),
        ([FRONT, *HERE, BACK, BACK], "it is there 2 times"),
        ([FRONT, *HERE, b"io.systemd.credential:guestcred.end=1/3"], "does not count the 2 credentials"),
        ([FRONT, *HERE, b"io.systemd.credential:guestcred.end=0/2"], "does not count the 2 credentials"),
        ([FRONT, *HERE, b"io.systemd.credential:C=three", BACK], "C (handle 0x0003, string 4) stands behind it"),
        ([FRONT, HERE[1], HERE[0], BACK], "A (handle 0x0003, string 3) is not in its order"),
        ([HERE[0], FRONT, HERE[1], BACK], "A (handle 0x0003, string 1), which it names, does not stand between"),
        ([FRONT, HERE[0], BACK, HERE[1]], "B (handle 0x0003, string 4), which it names, does not stand between"),
        ([BACK, FRONT, *HERE], "A (handle 0x0003, string 3), which it names, does not stand between"),
        (fronted(b""), "not of the form"),
        (fronted(b"2" + manifest_value(SALT, GOOD)[1:]), "not of the form"),
        (fronted(b"1/" + b"0" * 31), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/A:3"), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/A:03:0123456789abcdef"), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/A:3:0123456789abcdeg"), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/A:99999999:0123456789abcdef"), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/A:3:0123456789abcdef/A:3:0123456789abcdef"), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/A\xff:3:0123456789abcdef"), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/guestcred.end:3:0123456789abcdef"), "not of the form"),
        (fronted(b"1/" + b"0" * 32 + b"/" * 65536), "not of the form"),
    ],
)
def test_a_manifest_that_does_not_fit_is_told_and_not_believed(strings: list[bytes], reason: str) -> None:
    survey = look(table_of(strings))
    assert survey.comparison.frame is None
    findings = [finding for finding in survey.comparison.findings if finding.code == "manifest"]
    assert len(findings) == 1 and reason in findings[0].message and "is not believed" in findings[0].message
    assert {credential.loss for credential in survey.comparison.credentials} == {None}


def test_a_lying_digest_is_told_and_changes_nothing_that_is_written(folder: Path) -> None:
    lie = manifest_value(SALT, [(b"A", b"other"), (b"B", b"other")]).decode()
    honest, hostile = folder / "honest", folder / "hostile"
    offer(honest, {"A": "one", "B": "two"}, imported=["A"])
    offer(hostile, {MANIFEST: lie, "A": "one", "B": "two", END: "1/2"}, imported=[MANIFEST, "A", END])
    plans = [json.loads(apply(root, "--dry-run", "--format", "json").stdout) for root in (honest, hostile)]
    assert plans[0]["rescued"] == plans[1]["rescued"] and [file["name"] for file in plans[0]["rescued"]] == ["B"]
    assert plans[0]["findings"] == []
    assert [finding["status"] for finding in plans[1]["findings"]] == ["truncated", "altered"]
    told = run("--root", hostile, "check", status=1)
    assert "A was imported shortened: the host's manifest tells of other bytes" in told
    assert "B (handle 0x0e00, string 3) has 3 bytes that are not the 5 that the host meant" in told


def test_what_was_meant_and_lost_is_told_by_name(tree: Build) -> None:
    root = tree([FRONT, HERE[0]], {MANIFEST: manifest_value(SALT, GOOD), "A": b"one"})
    told = run("--root", root, "check", "--require", "B", "--require", "C", status=1)
    assert "  not-offered  B                    3 bytes                           lost-on-the-way\n" in told
    assert "B and guestcred.end were meant by the host and not offered: the host's manifest names" in told
    assert "required: C is required, and the host's unit does not name it.\n" in told and "B is required" not in told
    assert run("--root", root, "why", "B", status=1).startswith(
        f"ok    meant     3 bytes, by the manifest in {root}/sys/firmware/dmi/tables/DMI, handle 0x0e00, string 1\n"
        f"LOST  offered   no string of that name in {root}/sys/firmware/dmi/tables/DMI\n"
    )
    assert run("--root", root, "why", "A").startswith("ok    meant     3 bytes, by the manifest in ")
    lost = run("--root", root, "why", "C", status=1)
    assert lost.startswith(
        f"LOST  meant     the manifest in {root}/sys/firmware/dmi/tables/DMI, handle 0x0e00, string 1,"
    )
    assert "not-offered: C did not arrive: the host's unit does not name it.\n" in lost
    documents = json.loads(run("--root", root, "check", "--format", "json", status=1))["credentials"]
    assert [(entry["name"], entry["meant"], entry["handle"]) for entry in documents] == [
        (MANIFEST, None, 0x0E00),
        ("A", 3, 0x0E00),
        ("B", 3, None),
        (END, 3, None),
    ]


def test_what_came_from_elsewhere_is_not_lost(tree: Build) -> None:
    root = tree([FRONT, HERE[0], BACK], {MANIFEST: manifest_value(SALT, GOOD), "A": b"one", "B": b"two", END: b"1/2"})
    told = json.loads(run("--root", root, "check", "--format", "json"))["credentials"]
    assert [(entry["status"], entry["meant"]) for entry in told if entry["name"] == "B"] == [("foreign", 3)]


@pytest.mark.parametrize("name", FRAME)
def test_the_frames_own_names_are_refused_on_the_host(name: str) -> None:
    told = run("encode", "--for", "json", "--set", f"{name}=x", status=2)
    assert told.startswith(f"guestcred: error: {name} is a name of guestcred's own")


def test_what_encode_prints_is_framed() -> None:
    strings = json.loads(run("encode", "--for", "json", "--set", "A=one", "--set", "B=two"))
    assert look(table_of([string.encode() for string in strings])).comparison.agrees
    assert [string.partition("=")[0].rpartition(":")[2] for string in strings] == [MANIFEST, "A", "B", END]
    bare = run("encode", "--for", "json", "--no-manifest", "--set", "A=one", "--set", "B=two")
    assert json.loads(bare) == strings[1:-1]
    first = json.loads(run("encode", "--for", "json", "--set", "A=one", "--set", "B=two"))[0]
    assert first != strings[0]  # another salt


def test_a_manifest_that_was_imported_shortened_is_so_in_a_capture(tree: Build, tmp_path: Path) -> None:
    """systemd before 257 reads 4096 bytes of the structure, and a manifest of many credentials is longer."""
    strings = strings_of({f"NAME_{number:04}": b"v" for number in range(200)})
    raw = build_structure(11, 0x0E00, strings)
    imported = raw[5:4096].partition(b"=")[2]
    assert b"\0" not in imported
    root = tree(strings, {MANIFEST: imported}, systemd="systemd 252 (252.39-1~deb12u2)")
    found = run("--root", root, "check", "--format", "json", status=1)
    (first,) = (one for one in json.loads(found)["credentials"] if one["name"] == MANIFEST)
    assert (first["status"], first["size"]) == ("truncated", len(imported))
    assert "report that too" not in run("--root", root, "capture", tmp_path / "capture")
    assert run("--root", tmp_path / "capture", "check", "--format", "json", status=1) == found


@pytest.mark.parametrize("sent", ["framed", "bare", "cut"])
def test_what_a_unit_wants_and_the_host_does_not_name(tree: Build, sent: str) -> None:
    front = b"io.systemd.credential:guestcred.manifest=" + manifest_value(bytes(16), [(b"KEY", SECRET)])
    strings = [front, KEY, b"io.systemd.credential:guestcred.end=1/1"] if sent != "bare" else [KEY]
    table = table_of(strings) if sent != "cut" else table_of(strings)[:-8]
    root = tree(strings, {"KEY": SECRET}, table=table, units=[consumer(load("none", "NONE"), delivered=())])
    said = run("--root", root, "services", "demo", status=1)
    assert ("without NONE: the host's unit does not name it, and systemd skips it" in said) == (sent != "bare")
    assert ("fix: name it there: NONE=FILE for 'guestcred launch'" in said) == (sent != "bare")
    assert ("without NONE: no source has it" in said) == (sent == "bare")
