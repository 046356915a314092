"""A capture says what the guest says, and holds nothing of its secrets."""

from __future__ import annotations

import base64
import json
import os
import random
import string
import sys
from pathlib import Path

import pytest
from conftest import CAPTURES, Build, table_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_cli import run

from guestcred.capture.noise import Disguise
from guestcred.capture.table import hide_table
from guestcred.capture.tree import disguised
from guestcred.capture.writing import write_tree
from guestcred.diagnose.findings import suspicions
from guestcred.diagnose.survey import survey
from guestcred.errors import GuestcredError
from guestcred.guest.facts import Facts
from guestcred.guest.snapshot import Entry, Guest, Parameters, read_guest
from guestcred.manifest import END, MANIFEST, digest, end_value, manifest_value
from guestcred.show.report import check_json
from guestcred.smbios.layout import build_entry_point, build_structure
from guestcred.smbios.typed import fields_of, fixed_places
from guestcred.smbios.values import StringNumber
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, Rejected, Unrelated, judge


def hidden(*tables: bytes) -> list[bytes]:
    disguise = Disguise()
    for table in tables:
        assert hide_table(table, disguise.collect) == table
    disguise.settle()
    return [hide_table(table, disguise.replace) for table in tables]


PREFIXES = [
    *(b"io.systemd.credential:", b"io.systemd.credential.binary:", b"io.systemd.credentials:"),
    *(b"IO.systemd.Credential.Binary:", b"systemd.cred:", b"credential", b"io.systemd:"),
]


@st.composite
def misspelt(draw: st.DrawFn) -> bytes:
    """A prefix with some letters too many, missing or wrong."""
    text = bytearray(draw(st.sampled_from(PREFIXES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 1))] = draw(st.sampled_from([b"", b"e", b"X", b"-", b".", b":", b" ", b"="]))
    return draw(st.sampled_from([b"", b" ", b"'", b"cred "])) + bytes(text)


prefixes = st.sampled_from([*PREFIXES, b""]) | misspelt()
names = st.sampled_from([b"A", b"B", b"a/b", b"a:b", b"", b".", b"x" * 256, b"\xc3\xa9", b"7", b"!", b"Zq7x9wK"])
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
        b"=",
        b"\x0f",
        b"_w==",
        b"YWI-",
        b"c2VjcmV0LXNlY3JldA==",
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
# too little padding: with what lacks, it is whole base64 or not
@example([b"io.systemd.credential.binary:" + text for text in (b"A=QQ=", b"B=Qd=", b"C=QUI==", b"D=QUd==", b"E=QUd=")])
# a name with a value of its own, and the same with none, which alone would be taken for a secret
@example([b"io.systemd.credential:7=QQ", b"io.systemd.credential:7====="])
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
                    assert (real.shown, real.encoding, len(real.value)) == (fake.shown, fake.encoding, len(fake.value))
                    assert suspicions(real, None) == suspicions(fake, None)
                case (Rejected(), Rejected()):
                    assert (real.name, real.reason, real.hint) == (fake.name, fake.reason, fake.hint)
                case (Unrelated(), Unrelated()):
                    assert real.hint == fake.hint
                case _:
                    pytest.fail(f"{real} became {fake}")


short_values = st.sampled_from([b"", b"a", b"ab", b"abc", b"b", b"\n", b"a\n", b"\x01", b"\xff\xff", b"=", b"QQ=="])


@settings(max_examples=300)
@given(
    strings=st.lists(oem_string.filter(bool), max_size=6),
    more=st.lists(st.tuples(st.sampled_from([b"A=", b"B=", b"7=", b"Zq7x9wK="]), short_values), max_size=4),
    held=st.lists(st.dictionaries(st.sampled_from(["A", "B", "7", "Zq7x9wK", "x\xe9"]), short_values), min_size=3, max_size=3),
    systemd=st.sampled_from([252, 257, None]),
    entries=st.booleans(),
)  # fmt: skip
def test_check_says_the_same_of_a_capture(
    strings: list[bytes],
    more: list[tuple[bytes, bytes]],
    held: list[dict[str, bytes]],
    systemd: int | None,
    entries: bool,
) -> None:
    oem = [*strings, *(b"io.systemd.credential:" + name + value for name, value in more)]
    guest = Guest(
        root="/",
        table=table_of(*oem),
        entry_point=None,
        entries=(Entry("entries/11-0/raw", 0, build_structure(11, 0x0E00, oem)),) if entries else None,
        system=held[0],
        initrd=held[1] or None,
        fw_cfg=held[2] or None,
        parameters=Parameters({}, False),
        systemd=systemd,
        unreadable={"run/credentials/@system/8": "permission denied"},
    )
    safe = disguised(guest, Facts(), {}, None)[0]
    assert check_json(survey(guest, Facts()).comparison) == check_json(survey(safe, Facts()).comparison)


@pytest.mark.parametrize("encoding", ["", ".binary"])
@pytest.mark.parametrize("change", ["none", "lost", "altered", "cut", "malformed", "no end"])
def test_a_manifest_says_of_the_noise_what_it_said_of_the_secrets(change: str, encoding: str) -> None:
    sent = [(b"KEY", b"S3CRETvalue"), (b"DB", b"S3CRET\x01\xff"), (b"c2VjcmV0IHNlY3JldA", b""), (b"LAST", b"S3CRET")]
    salt = b"S3CRETsaltS3CRET"
    told = manifest_value(salt, sent)
    framed = [(MANIFEST.encode(), told[:-20] if change == "malformed" else told), *sent, (END.encode(), end_value(4))]
    if change == "no end":
        framed.pop()
    if change == "lost":
        del framed[2]
    if change == "altered":
        framed[1] = (b"KEY", b"S3CRETothers")
    prefix = b"io.systemd.credential%b:" % encoding.encode()
    oem = [prefix + name + b"=" + (base64.b64encode(value) if encoding else value) for name, value in framed]
    table = table_of(*oem)
    guest = Guest(
        root="/",
        table=table[:-60] if change == "cut" else table,
        entry_point=build_entry_point(len(table), long=False, major=3),
        entries=(Entry("entries/11-0/raw", 0, build_structure(11, 0x0E00, oem)),),
        system={name.decode(): value for name, value in framed},
        initrd=None,
        fw_cfg=None,
        parameters=Parameters({}, False),
        systemd=257,
        unreadable={},
    )
    safe = disguised(guest, Facts(), {}, None)[0]
    real, noise = (check_json(survey(one, Facts()).comparison) for one in (guest, safe))
    assert real == noise
    assert isinstance(real["findings"], list) and bool(real["findings"]) == (change != "none")
    held = (safe.table or b"") + b"".join((safe.system or {}).values())
    assert salt.hex().encode() not in held and not any(digest(salt, name, value) in held for name, value in sent), (
        "digests of real values"
    )


def test_values_that_leave_no_noise_are_hidden_all_the_same() -> None:
    every = [bytes([byte]) for byte in string.printable.encode() if byte not in b"\x0b\x0c"]
    table = table_of(*(b"io.systemd.credential:N%d=%s" % (number, value) for number, value in enumerate(every)))
    (noise,) = hidden(table)
    found = [verdict.value for verdict in judge(parse(noise).structures, 257) if isinstance(verdict, Accepted)]
    assert len({*found}) == len(every) == len(found)


@pytest.mark.parametrize("word", [b"credential", b"systemdcred", b"iosystemd", b"io.systemd.credential:K=", b"binary"])
def test_no_chance_makes_noise_look_like_a_prefix(word: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = (string.ascii_letters + string.digits).encode()
    monkeypatch.setattr(os, "urandom", lambda size: (bytes(letters.find(byte) % 62 for byte in word) * size)[:size])
    text = b"0123456789.7:56=" + b"89:0" * 20
    (noise,) = hidden(table_of(text))
    (verdict,) = judge(parse(noise).structures, 257)
    assert isinstance(verdict, Unrelated) and verdict.hint is None


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


SHOWN = {
    0: {"vendor", "bios_version", "bios_release_date"},
    1: {"manufacturer", "product_name", "version"},
    2: {"manufacturer", "product"},
    3: {"manufacturer"},
    4: {"processor_manufacturer", "processor_version"},
    17: {"manufacturer"},
}
FEW = 40  # noises of one secret: a byte that is drawn is the real one in none of them, or in a few


def leftovers(real: bytes, noises: list[bytes], kept: bytes = b"") -> set[int]:
    """The offsets at which a byte of `real` always stays."""
    assert all(len(noise) == len(real) for noise in noises)
    places = {place for place, byte in enumerate(real) if byte not in kept}
    return {place for place in places if all(noise[place] == real[place] for noise in noises)}


def areas(structure: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    (found,) = parse(structure).structures
    return found.formatted, found.strings


@pytest.mark.parametrize("number", range(256))
def test_of_other_structures_only_what_is_listed_stays(number: int) -> None:
    if number in (11, 127):
        return
    strings = [b"S3CRET-%03d" % place for place in range(30)]
    fields: dict[str, int] = {}
    for name in fixed_places(number):
        real = fields_of(parse(build_structure(number, 1, strings)).structures[0])[name]
        if isinstance(real, StringNumber):
            fields[name] = len(fields) + 1
    table = build_structure(number, 1, strings, fields)
    made = [areas(hidden(table)[0])[1] for _ in range(FEW)]
    named = {place: name for name, place in fields.items()}
    for place, text in enumerate(strings, 1):
        noises = [strings[place - 1] for strings in made]
        if named.get(place) in SHOWN.get(number, set()):
            assert {*noises} == {text}, named[place]
        else:
            assert not leftovers(text, noises), (place, named.get(place))


@pytest.mark.parametrize("field", ["serial_number", "asset_tag_number"])
def test_a_string_of_two_fields_is_hidden_for_either(field: str) -> None:
    table = build_structure(3, 1, [b"S3CRET"], {"manufacturer": 1, field: 1})
    assert not leftovers(b"S3CRET", [areas(hidden(table)[0])[1][0] for _ in range(FEW)])


@pytest.mark.parametrize(
    ("number", "place"),
    [
        (1, slice(8, 24)),  # the UUID
        (4, slice(8, 16)),  # the processor's identifier
        (3, slice(13, 17)),  # what only the maker knows
        (22, slice(4, 26)),  # a battery's serial number, in one of its numbers
        (38, slice(4, 18)),
        (42, slice(4, 60)),  # an address of the network, and a UUID
        (43, slice(4, 31)),
        (200, slice(4, 40)),
        (11, slice(5, 40)),  # behind what PID 1 reads
        (127, slice(4, 20)),
    ],
)
def test_of_numbers_only_those_of_listed_types_stay(number: int, place: slice) -> None:
    area = bytes([number, place.stop]) + bytes(range(0x41, 0x41 + place.stop - 2))
    table = area + b"\0\0"
    made = [areas(hidden(table)[0])[0] for _ in range(FEW)]
    assert not leftovers(area[place], [noise[place] for noise in made])
    assert {noise[:4] for noise in made} == {area[:4]}


def test_numbers_that_say_how_a_guest_is_made_stay() -> None:
    table = build_structure(
        17, 1, [b"QEMU", b"S3CRET"], {"manufacturer": 1, "serial_number": 2, "size": 2048, "speed": 7}
    )
    fields = fields_of(parse(hidden(table)[0]).structures[0])
    assert (fields["size"], fields["speed"], fields["manufacturer"], fields["serial_number"]) == (2048, 7, 1, 2)
    assert hidden(build_structure(1, 1))[0] == build_structure(1, 1)  # a UUID of zeros says that there is none


@pytest.mark.parametrize(
    ("front", "secret", "kept"),
    [
        (b"io.systemd.credential:KEY=", b"S3CRETvalue-of-one.and:two/three", b""),
        (b"io.systemd.credential:KEY=", b"S3CRET\x01\xff\nvalue\n\n", b""),
        (b"io.systemd.credential:KEY=", b"-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\n-----END KEY-----\n\n", b""),
        (b"io.systemd.credential:KEY=", b"correct horse battery staple = S3CRET\n", b"\n"),
        (b"io.systemd.credential:KEY=", b"c2VjcmV0IHNlY3JldCBzZWNyZXQK\nc2VjcmV0IHM=", b"\n="),
        (b"io.systemd.credential:", b"S3CRETvalue-of-one", b""),
        (b"io.systemd.credential:a/b=", b"S3CRETvalueOfOne", b""),
        (b"io.systemd.credential:", b"c2VjcmV0IHNlY3JldCBzZWNyZXQK==", b"="),
        (b"io.systemd.credential.binary:KEY=", base64.b64encode(b"S3CRETvalue-of-one"), b""),
        (b"io.systemd.credential.binary:KEY=", b"S3CRETvalue*of*one", b""),
        (b"io.systemd.credentials:KEY=", b"S3CRETvalue-of-one", b""),
        (b"io.systemd.stub.kernel-cmdline-extra=", b"S3CRETvalue-of-one", b""),
        (b"", b"S3CRETvalue-of-one", b""),
    ],
)
def test_no_character_of_an_oem_string_stays(front: bytes, secret: bytes, kept: bytes) -> None:
    table = table_of(front + secret)
    made = [parse(hidden(table)[0]).structures[0].strings[0][len(front) :] for _ in range(4 * FEW)]
    assert not leftovers(secret, made, kept)


def test_no_byte_behind_the_table_stays() -> None:
    table, behind = build_structure(127, 1), bytes(range(1, 256))
    assert not leftovers(behind, [hidden(table + behind)[0][len(table) :] for _ in range(FEW)])


def test_the_work_grows_with_the_table_and_no_faster() -> None:
    def calls(table: bytes) -> int:
        found = 0

        def count(*_: object) -> None:
            nonlocal found
            found += 1

        sys.setprofile(count)
        try:
            hidden(table)
        finally:
            sys.setprofile(None)
        return found

    for number in (1, 11, 200):
        small, large = (build_structure(number, 1, [b"%08d" % each for each in range(many)]) for many in (700, 7000))
        assert 60_000 < len(large) < 65_000
        assert calls(large) < 12 * calls(small)


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
        "stages": tree(
            [b"io.systemd.credential:hello="],
            {"KEY": value, value.decode(): b""},
            earlier_stage=True,
            stages={"KEY": "system", value.decode(): "initrd"},
            root="stages",
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
    "line",
    [
        b"'systemd.set_credential=a\"b c:v'",
        b'"systemd.set_credential=a\'b":v',
        b"\"systemd.set_credential=a'b\"'\"':v",
    ],
)
def test_quotes_in_a_name_of_the_command_line(tree: Build, tmp_path: Path, line: bytes) -> None:
    root = tree([], {}, cmdline=line + b"\n")
    run("--root", root, "capture", tmp_path / "out")
    names = [read_guest(str(where)).parameters.credentials.keys() for where in (root, tmp_path / "out")]
    assert names[0] == names[1] != set()


def test_nothing_is_written_over_or_left_half(tree: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree([b"io.systemd.credential:KEY=v"], {})
    (tmp_path / "there").mkdir()
    assert "already exists" in run("--root", root, "capture", tmp_path / "there", status=2)
    assert "no such file" in run("--root", root, "capture", tmp_path / "no/where", status=3)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(GuestcredError, match="no space left"):
        write_tree(str(tmp_path / "new"), {"a/b": b"c", "d": None})
    assert not list(tmp_path.glob("new*"))
