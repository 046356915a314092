"""A capture says what the guest says, and holds nothing of its secrets."""

from __future__ import annotations

import base64
import json
import os
import random
from pathlib import Path

import pytest
from conftest import CAPTURES, Build, table_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_cli import run

from guestcred.capture.noise import Disguise, hide_table
from guestcred.capture.tree import write_tree
from guestcred.diagnose.findings import suspicions
from guestcred.errors import GuestcredError
from guestcred.guest.snapshot import read_guest
from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, Rejected, Unrelated, judge


def hidden(*tables: bytes) -> list[bytes]:
    disguise = Disguise()
    for table in tables:
        assert hide_table(table, disguise.collect) == table
    disguise.settle()
    return [hide_table(table, disguise.replace) for table in tables]


prefixes = st.sampled_from(
    [b"io.systemd.credential:", b"io.systemd.credential.binary:", b"io.systemd.credentials:", b" io.systemd.credential:", b""]
)  # fmt: skip
names = st.sampled_from([b"A", b"B", b"a/b", b"a:b", b"", b".", b"x" * 256, b"\xc3\xa9"])
values = st.sampled_from(
    [
        b"QQ",
        b"QQ==",
        b"QQ==QQ==",
        b"QUI=QUJD",
        b"QQ==A",
        b"QUE=",
        b"QR==",
        b"Q Q\n==",
        b"-_-_",
        b"====",
        b"v\n",
        b"",
        b"a=b",
        b"x,y",
    ]
)
any_value = st.binary(max_size=12).map(lambda data: data.replace(b"\0", b"!"))
oem_string = st.builds(
    lambda p, n, e, v: p + n + e + v, prefixes, names, st.sampled_from([b"=", b""]), values | any_value
)


# base64 that is the front of refused base64, with its padding inside that
@example(
    [b"io.systemd.credential.binary:" + text for text in (b"A=QQ==", b"B=QQ==QQ==", b"x=QUI=", b"y=QUI=QUJD", b"z=QQ")]
)
@settings(max_examples=300)
@given(st.lists(oem_string.filter(bool), max_size=8))
def test_every_string_keeps_its_verdict(strings: list[bytes]) -> None:
    table = table_of(*strings)
    (noise,) = hidden(table)
    for systemd in (252, 257, None):
        for real, fake in zip(
            judge(parse(table).structures, systemd), judge(parse(noise).structures, systemd), strict=True
        ):
            match real, fake:
                case (Accepted(), Accepted()):
                    assert (real.name, real.encoding, len(real.value)) == (fake.name, fake.encoding, len(fake.value))
                    assert suspicions(real, None) == suspicions(fake, None)
                case (Rejected(), Rejected()):
                    assert (real.name, real.reason, real.hint) == (fake.name, fake.reason, fake.hint)
                case (Unrelated(), Unrelated()):
                    assert real.hint == fake.hint
                case _:
                    pytest.fail(f"{real} became {fake}")


@given(st.binary(max_size=300))
def test_any_bytes_keep_their_shape(data: bytes) -> None:
    (noise,) = hidden(data)
    shapes = [
        [
            (structure.type, structure.length, structure.offset, [len(text) for text in structure.strings])
            for structure in parse(table).structures
        ]
        for table in (data, noise)
    ]
    assert len(noise) == len(data) and shapes[0] == shapes[1]
    assert parse(noise).ended == parse(data).ended


def test_equal_stays_equal_and_a_front_stays_a_front() -> None:
    secret = random.Random(1).randbytes(48)
    text = base64.b64encode(secret)
    spaced = b"\n".join([text[:9], text[9:40], text[40:]])
    strings = [
        b"io.systemd.credential.binary:A=" + text,
        b"io.systemd.credential.binary:B=" + spaced,
        b"io.systemd.credential.binary:C=" + text.replace(b"+", b"-").replace(b"/", b"_"),
        b"io.systemd.credential:D=" + text,
        b"io.systemd.credential:E=" + text[:30],
        b"io.systemd.credential:F=other",
    ]
    table = table_of(*strings)
    noise, cut = hidden(table, table[:60])
    found = {
        verdict.name: verdict.value for verdict in judge(parse(noise).structures, 257) if isinstance(verdict, Accepted)
    }
    assert found["A"] == found["B"] == found["C"] != secret
    assert found["D"].startswith(found["E"]) and found["F"] != b"other"
    assert noise.startswith(cut)
    base64.b64decode(found["D"], validate=True)


def survivors(folder: Path, secrets: list[bytes]) -> list[tuple[Path, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [(path, secret) for path in files for secret in secrets if secret in path.read_bytes()]


def guests(tree: Build) -> dict[str, Path]:
    """A guest of every kind of loss, each with the value S3CRET... planted everywhere it could stand."""
    value = b"S3CRETvalue-of-one"
    key = b"io.systemd.credential:KEY=" + value
    binary = b"io.systemd.credential.binary:BIN=" + base64.b64encode(value)
    long = b"io.systemd.credential:LONG=" + value * 300
    return {
        "agrees": tree([key, binary], {"KEY": value, "BIN": value}, root="agrees"),
        "refused": tree(
            [key + b",", value + b" rest", b"io.systemd.credential:a/b=" + value, b"io.systemd.credential:" + value],
            {"KEY": value},
            root="refused",
        ),
        "near": tree([b"io.systemd.credentials:K=" + value, b"'" + key, b"io.systemd.credential" + value], root="near"),
        "sources": tree(
            [key],
            {"KEY": value * 2, "CMD": value, "BOOT": value},
            fw_cfg={"KEY": value * 2},
            initrd={"BOOT": value},
            cmdline=b'quiet x=y "systemd.set_credential=CMD:' + value + b'" systemd.set_credential=BAD/:' + value,
            root="sources",
        ),
        "disabled": tree([key], {}, cmdline=b"systemd.import_credentials=no", root="disabled"),
        "absent": tree([key], {}, entries=False, root="absent"),
        "cut": tree(
            [long, key],
            {"LONG": (value * 300)[: 4096 - 5 - 27]},
            systemd="systemd 252 (252.39)",
            root="cut",
        ),
        "defect": tree(table=table_of(key) + b"\0" + key, entries=[], system={"KEY": value}, root="trailing"),
        "broken": tree(table=build_structure(11, 1, [key]) + b"\x0b\x02ab" + key, system=None, root="broken"),
        "others": tree(
            table=build_structure(1, 1, [value], {"serial_number": 1, "uuid": value[:16]})
            + build_structure(200, 2, [value], {"rest": value})
            + table_of(key),
            system={"KEY": value},
            container="systemd-nspawn",
            root="others",
        ),
    }


def test_a_capture_says_the_same_and_holds_no_secret(tree: Build, tmp_path: Path) -> None:
    value = b"S3CRETvalue-of-one"
    spots = [value, value[:9], value[-9:], base64.b64encode(value)[:12], value.hex().encode()]
    for name, root in guests(tree).items():
        # everything in a near miss is hidden, also its name
        why = [["why", "KEY"]] if name != "near" else []
        out = tmp_path / "captures" / name
        out.parent.mkdir(exist_ok=True)
        status = int(json.loads(run("--root", root, "check", "--format", "json", status=None))["verdict"] == "findings")
        run("--root", root, "capture", out)
        for arguments in (["check"], ["check", "--format", "json"], *why):
            told = [run("--root", where, *arguments, status=None).replace(str(where), "") for where in (root, out)]
            assert told[0] == told[1], name
        run("--root", out, "check", status=status)
        assert not survivors(out, spots), name


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_captured_guests_captured_again(capture: Path, tmp_path: Path) -> None:
    guest = read_guest(str(capture))
    printed = run("--root", capture, "capture", tmp_path / "out")
    assert "noise" in printed
    again = read_guest(str(tmp_path / "out"))
    sizes = [{name: len(value) for name, value in (look.system or {}).items()} for look in (guest, again)]
    assert sizes[0] == sizes[1]
    assert not survivors(tmp_path / "out", [value for value in (guest.system or {}).values() if len(set(value)) > 11])


def test_noise_for_a_value_in_both_forms_fits_both() -> None:
    value = b"S3CRETvalue-of-one"
    table = table_of(b"io.systemd.credential:A=" + value, b"io.systemd.credential.binary:B=" + base64.b64encode(value))
    for _ in range(200):
        first, second = judge(parse(hidden(table)[0]).structures, 257)
        assert isinstance(first, Accepted) and isinstance(second, Accepted)
        assert first.value == second.value and not first.value.endswith(b"\n")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"'systemd.set_credential=a\"b c:v'", 0),
        (b'"systemd.set_credential=a\'b":v', 0),
        (b"\"systemd.set_credential=a'b\"'\"':v", 3),
    ],
)
def test_quotes_in_a_name_of_the_command_line(tree: Build, tmp_path: Path, line: bytes, status: int) -> None:
    root = tree([], {}, cmdline=line + b"\n")
    run("--root", root, "capture", tmp_path / "out", status=status)
    if not status:
        names = [read_guest(str(where)).parameters.credentials.keys() for where in (root, tmp_path / "out")]
        assert names[0] == names[1] != set()


def test_nothing_is_written_over_or_left_half(tree: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree([b"io.systemd.credential:KEY=v"], {})
    (tmp_path / "there").mkdir()
    assert "already exists" in run("--root", root, "capture", tmp_path / "there", status=2)
    assert "no such file" in run("--root", root, "capture", tmp_path / "no/where", status=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(GuestcredError, match="no space left"):
        write_tree(str(tmp_path / "new"), {"a/b": b"c", "d": None})
    assert not list(tmp_path.glob("new*"))
