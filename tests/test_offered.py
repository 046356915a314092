"""What PID 1 takes and refuses, string by string."""

from __future__ import annotations

import pytest
from conftest import table_of

from guestcred.errors import COULD_NOT_LOOK, GuestcredError
from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import (
    REASONS,
    STRINGS_MAX,
    Accepted,
    Place,
    Rejected,
    Unrelated,
    Verdict,
    judge,
    split_prefix,
)

MIB = 1 << 20


def judged(*strings: bytes, systemd: int | None = 257) -> tuple[Verdict, ...]:
    return judge(parse(table_of(*strings)).structures, systemd)


def reasons(verdicts: tuple[Verdict, ...]) -> list[str | None]:
    return [verdict.reason if isinstance(verdict, Rejected) else None for verdict in verdicts]


def test_the_first_equals_splits() -> None:
    (verdict,) = judged(b"io.systemd.credential:A=b=c=")
    assert verdict == Accepted(name="A", encoding="text", value=b"b=c=", place=Place(0x0E00, 1, 0))


def test_a_value_may_be_empty() -> None:
    assert judged(b"io.systemd.credential:A=", b"io.systemd.credential.binary:B=") == (
        Accepted(name="A", encoding="text", value=b"", place=Place(0x0E00, 1, 0)),
        Accepted(name="B", encoding="binary", value=b"", place=Place(0x0E00, 2, 0)),
    )


def test_the_first_of_a_name_wins() -> None:
    strings = [b"io.systemd.credential.binary:A=!", b"io.systemd.credential:A=1", b"io.systemd.credential:A=2"]
    assert reasons(judged(*strings)) == ["bad-base64", None, "duplicate"]


@pytest.mark.parametrize("over", [False, True])
def test_sizes_at_and_over_the_limits(over: bool) -> None:
    text = b"io.systemd.credential:A=" + b"x" * (MIB + over)
    assert reasons(judged(text)) == (["too-large"] if over else [None])
    half = b"x" * (MIB // 2)
    two = [b"io.systemd.credential:A=" + half, b"io.systemd.credential:B=" + half + b"x" * over]
    assert reasons(judged(*two)) == ([None, "total-too-large"] if over else [None, None])


def test_what_was_too_large_takes_no_room() -> None:
    strings = [b"io.systemd.credential:A=" + b"x" * (MIB + 1), b"io.systemd.credential:A=x"]
    assert reasons(judged(*strings)) == ["too-large", None]


def test_a_wrong_type11_length_ends_the_import() -> None:
    first, second, third = (b"io.systemd.credential:" + name + b"=v" for name in (b"A", b"B", b"C"))
    longer = b"\x0b\x06\x02\x00\x01\x00" + second + b"\0\0"
    data = build_structure(11, 1, [first]) + longer + build_structure(11, 3, [third])
    assert reasons(judge(parse(data).structures, 257)) == [None, "type11-length", "type11-length"]


def test_other_types_are_not_looked_at() -> None:
    assert judge(parse(build_structure(1, 1, [b"io.systemd.credential:A=v"])).structures, 257) == ()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b"io.systemd.credentials:A=v", "an 's' too many"),
        (b"io.systemd.credentials.binary:A=v", "an 's' too many: write 'io.systemd.credential.binary:'"),
        (b"IO.systemd.Credential:A=v", "lower case"),
        (b"'io.systemd.credential:A=v'", "quote"),
        (b"\tio.systemd.credential:A=v", "space"),
        (b"io.systemd.credential=A:v", "exactly"),
        (b"io.systemd.credential.text:A=v", "exactly"),
        (b"io.system.credential:A=v", "exactly"),
        (b"io_systemd_Credential:A=v", "exactly"),
        (b"io.systemd.crendential:A=v", "exactly"),
        (b"io.systemd.crdential:A=v", "exactly"),
        (b"io.systemd.creential:v", "exactly"),
        (b"systemd.cred:A=v", "exactly"),
        (b"systemd-creds:A=v", "exactly"),
        (b"io.credential.systemd:A=v", "exactly"),
        (b"Credential:A=v", "exactly"),
        (b"iosystemdcredential=A:v", "exactly"),
        (b"io.systemd:A=v", "exactly"),
        (b"io.systemd.cerdential.binary:A=v", "exactly"),
        (b"io.systemd.crendential:" + b"v" * 60000, "exactly"),
        (b"systemd.credential:A=v", "exactly"),
        (b"IO.systemd.credential.Binary:A=v", "lower case: write 'io.systemd.credential.binary:'"),
        (b'\\"io.systemd.credential:A=v', "before the prefix"),
        (b"value=io.systemd.credential.binary:A=v", "before the prefix"),
        (b"\xef\xbb\xbfio.systemd.credential:A=v", "before the prefix"),
    ],
)
def test_near_misses(text: bytes, hint: str) -> None:
    (verdict,) = judged(text)
    assert isinstance(verdict, Unrelated) and verdict.hint is not None and hint in verdict.hint


@pytest.mark.parametrize(
    "text",
    [
        b"io.systemd.boot.kernel-cmdline-extra=systemd.import_credentials=no",
        b"hello",
        b"io.systemd",
        b"\xff",
        b"no credentials here",
        b"io.systemd.boot.entries-extra:ID=essential",
        b"org.vendor.confidential:mode=on",
        b"org.vendor:something",
        b"Standard PC (Q35 + ICH9, 2009): credit=1",
        b"v" * 60000 + b" crendential:A=v",
    ],
)
def test_other_strings_are_nobodys_mistake(text: bytes) -> None:
    (verdict,) = judged(text)
    assert isinstance(verdict, Unrelated) and verdict.hint is None


TEXT, BINARY = b"io.systemd.credential:", b"io.systemd.credential.binary:"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT + b"KEY", ("no-equals", None, b"KEY", "KEY")),
        (TEXT + b"a/b:c", ("no-equals", None, b"a/b:c", "[5 characters hidden]")),
        (TEXT + b"a/b=v=", ("invalid-name", None, b"a/b", "a/b")),
        (TEXT + b"=v", ("invalid-name", None, b"", "")),
        (TEXT + b"hunter2/=", ("invalid-name", None, b"hunter2/", "[8 characters hidden]")),
        (BINARY + b"KEY=!", ("bad-base64", "KEY", b"KEY", "KEY")),
        (BINARY + b"hunter2===", ("bad-base64", "[7 characters hidden]", b"hunter2", "[7 characters hidden]")),
    ],
)
def test_what_is_told_of_a_string_that_is_refused(text: bytes, told: tuple[str, str | None, bytes, str]) -> None:
    (refused,) = judged(text)
    assert isinstance(refused, Rejected) and refused.place == Place(0x0E00, 1, 0)
    assert (refused.reason, refused.name, refused.raw_name, refused.shown) == told


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (TEXT + b"hunter2=", TEXT + b"hunter2=value", "[7 characters hidden]"),
        (TEXT + b"hunter2=value", TEXT + b"hunter2=", "hunter2"),
    ],
)
def test_a_name_that_is_hidden_once_is_hidden_in_what_comes_again(first: bytes, second: bytes, told: str) -> None:
    taken, refused = judged(first, second)
    assert isinstance(taken, Accepted) and isinstance(refused, Rejected)
    assert (taken.shown, refused.name, refused.shown, refused.reason) == (told, told, told, "duplicate")


@pytest.mark.parametrize(
    ("text", "split"),
    [
        (TEXT + b"A=v", ("text", b"A=v")),
        (BINARY + b"A=v", ("binary", b"A=v")),
        (TEXT, ("text", b"")),
        (TEXT[:-1], None),
        (b" " + TEXT, None),
        (b"", None),
    ],
)
def test_the_exact_prefixes(text: bytes, split: tuple[str, bytes] | None) -> None:
    assert split_prefix(text) == split


def test_a_place_tells_strings_apart_and_names_them() -> None:
    place = Place(0x0E00, 7, 2)
    assert (place.key, place.short, str(place)) == ((2, 7), "11-2:7", "handle 0x0e00, string 7")


def test_as_many_strings_as_are_looked_at_and_no_more() -> None:
    def strings(first: int, second: int) -> bytes:
        parts = [build_structure(11, number, [b"OEM"] * many) for number, many in enumerate((first, 0, second), 1)]
        return b"".join(parts)

    assert STRINGS_MAX == 4096
    assert len(judge(parse(strings(4095, 1)).structures, 257)) == 4096
    for first, second, told in ((4096, 1, 4097), (4000, 4000, 8000)):
        with pytest.raises(GuestcredError, match=f"^the table has {told} OEM strings, more than the 4096 ") as caught:
            judge(parse(strings(first, second)).structures, 257)
        assert caught.value.status == COULD_NOT_LOOK and caught.value.hints


SMALLER, RENAME, DUPLICATE = (
    "make it smaller, or hand it over ",
    "rename the credential on the host",
    "give each credential one name",
)


@pytest.mark.parametrize(
    ("strings", "reason", "hint"),
    [
        ([TEXT + b"a/b:c"], "no-equals", "write NAME=VALUE behind the prefix"),
        ([TEXT + b"a:/b=v"], "invalid-name", "'/' cannot stand in a name: use '.', '-' or '_'"),
        ([TEXT + b"a:b=v"], "invalid-name", "':' cannot stand in a name: use '.', '-' or '_', and '=' between"),
        ([TEXT + b"..=a/b:c"], "invalid-name", RENAME),
        ([TEXT + b"=v"], "invalid-name", RENAME),
        ([TEXT + b"A=1", TEXT + b"A=a/b:c"], "duplicate", DUPLICATE),
        ([TEXT + b"A=" + b"x" * (MIB + 1)], "too-large", SMALLER),
        ([TEXT + b"A=" + b"x" * MIB, TEXT + b"B=x"], "total-too-large", SMALLER),
    ],
)
def test_every_reason_has_its_hint(strings: list[bytes], reason: str, hint: str) -> None:
    refused = judged(*strings)[-1]
    assert isinstance(refused, Rejected) and refused.reason == reason and reason in REASONS
    assert refused.hint.startswith(hint)


def test_a_malformed_structure_is_the_firmware_s() -> None:
    (refused,) = judge(parse(b"\x0b\x06\x02\x00\x01\x00" + TEXT + b"a/b\0\0").structures, 257)
    assert isinstance(refused, Rejected) and refused.reason == "type11-length" in REASONS
    assert refused.hint == "the firmware or hypervisor builds a malformed Type 11 structure: report it there"


@pytest.mark.parametrize(
    ("text", "systemd", "hint"),
    [
        (b"-_-_", 252, "systemd before 255 knows no URL-safe"),
        (b"-_-_", 254, "systemd before 255 knows no URL-safe"),
        (b"QQ", 257, "padding"),
        (b"QQQ", 257, "padding"),
        (b"Q", 257, "base64 -w0"),
        (b"Q!==", 257, "base64 -w0"),
    ],
)
def test_hints_for_base64(text: bytes, systemd: int, hint: str) -> None:
    (verdict,) = judged(b"io.systemd.credential.binary:A=" + text, systemd=systemd)
    assert isinstance(verdict, Rejected) and verdict.reason in REASONS and hint in verdict.hint
