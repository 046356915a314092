"""Noise for secrets: of the same length and kind, nothing of what was there, and equal where it was equal."""

from __future__ import annotations

import base64
import itertools
import os
import string

import pytest

from guestcred.capture import noise as module
from guestcred.capture.noise import Disguise
from guestcred.systemd.rules import base64_decode, is_whole_base64, name_is_valid
from guestcred.systemd.shown import REST, may_be_shown

FEW = 100  # noises of one secret: what may stand at a place is there in some of them

ALNUM = {*(string.ascii_letters + string.digits).encode()}
PUNCTUATION = {*string.punctuation.encode()}
MARKS = PUNCTUATION - {*b"+/-_="}
CONTROL = {*range(1, 0x20), 0x7F} - {*b" \t\n\r"}
OTHER = {*range(0x80, 0x100)}
PLAIN = ALNUM - {*b"iosystemdcredentialbinaryIOSYSTEMDCREDENTIALBINARY"}
ANY = {*range(1, 0x100)} - {*REST}


def hidden(*secrets: tuple[str, bytes]) -> list[bytes]:
    """The noise for each (kind, secret), all of one capture."""
    disguise = Disguise()
    assert [disguise.collect(kind, secret) for kind, secret in secrets] == [secret for _, secret in secrets]
    disguise.settle()
    return [disguise.replace(kind, secret) for kind, secret in secrets]


def drawn(kind: str, secret: bytes) -> list[set[int]]:
    """What stands at each place in some noises of a secret."""
    noises = [hidden((kind, secret))[0] for _ in range(FEW)]
    assert {len(noise) for noise in noises} == {len(secret)}
    return [set(bytes_) for bytes_ in zip(*noises)]


@pytest.mark.parametrize(
    ("kind", "secret", "allowed"),
    [
        ("string", b"S3 \xff\0.", [PLAIN] * 6),
        ("bytes", b"\0\x01\xff\0", [{*range(0x100)}] * 4),
        ("bytes", b"x\0", [{*range(0x100)}] * 2),
        ("bytes", b"\xffx", [{*range(0x100)}] * 2),
        ("bytes", b"\0\0", [{0}, {0}]),
        ("bytes", b"\xff\xff\xff", [{0xFF}] * 3),
        ("rest", b"\0a\0\xff", [{0}, {*range(1, 0x100)}, {0}, {*range(1, 0x100)}]),
        ("name", b"Ab-", [{*b"0123456789!#%+,@^~"}, ALNUM, ALNUM]),
        ("text", b"aZ9", [PLAIN] * 3),
        ("text", b"/=:. \t\n\r\0", [{byte} for byte in b"/=:. \t\n\r\0"]),
        ("text", b"!-~", [PUNCTUATION - {*b"/=:."}] * 3),
        ("text", b"\x01\x7f\x0b", [CONTROL] * 3),
        ("text", b"\x80\xff", [OTHER] * 2),
        ("value", b"aZ9+/-_!", [ALNUM, ALNUM, ALNUM, {*b"+/"}, {*b"+/"}, {*b"-_"}, {*b"-_"}, MARKS]),
        ("value", b"a = \t\n\rb", [ALNUM, MARKS, MARKS, MARKS, MARKS, MARKS, MARKS, ALNUM]),
        ("value", b"a\n", [ALNUM, {10}]),
        ("value", b"a\n\n", [ALNUM, MARKS, MARKS]),
        ("value", b"\na", [MARKS, ALNUM]),
        ("value", b"a\x1f", [ANY] * 2),
        ("value", b"a\x7f", [ANY] * 2),
        ("value", b"a\x80\n", [ANY, ANY, {10}]),
        ("value", b"~\x00", [ANY] * 2),
        ("value", b"!~", [MARKS] * 2),
        # what is no value stays: it says nothing
        ("value", b"= \t\n\r", [{byte} for byte in b"= \t\n\r"]),
        ("binary", b"QU/=", [ALNUM, ALNUM, {*b"+/"}, {*b"="}]),
        ("binary", b"QUJDx", [ALNUM] * 5),
        ("kept", b"KEY", [{byte} for byte in b"KEY"]),
    ],
)
def test_what_stands_where_something_was(kind: str, secret: bytes, allowed: list[set[int]]) -> None:
    for seen, may in zip(drawn(kind, secret), allowed, strict=True):
        expected = len(may) * (1 - (1 - 1 / len(may)) ** FEW)
        assert seen <= may and len(seen) > 0.78 * expected


def test_all_that_may_stand_there() -> None:
    """Which a few noises do not show."""
    classes = module._PLAIN, module._MARKS, module._CONTROL, module._OTHER, module._ANY, module._ALL
    assert [{*members} for members in classes] == [PLAIN, MARKS, CONTROL, OTHER, ANY, {*range(0x100)}]
    for padding, bits in ((1, 3), (2, 15)):
        digits = string.ascii_uppercase + string.ascii_lowercase + string.digits
        whole = [digit for number, digit in enumerate(digits) if not number & bits]
        assert sorted(module._WHOLE_DIGITS[padding]) == sorted("".join(whole).encode())


@pytest.mark.parametrize("kind", ["string", "bytes", "rest", "name", "text", "value", "binary", "kept"])
def test_nothing_is_hidden_by_nothing(kind: str) -> None:
    assert hidden((kind, b"")) == [b""]


def test_a_hidden_name_is_a_name_that_stays_hidden() -> None:
    for _ in range(FEW):
        (noise,) = hidden(("name", b"key"))
        assert name_is_valid(noise) and not may_be_shown(noise, b"")


def test_a_name_that_is_shown_elsewhere_stays() -> None:
    assert hidden(("kept", b"7"), ("name", b"7")) == [b"7", b"7"]
    for kind in ("value", "text", "string"):  # which says nothing of what only has the same bytes
        assert hidden(("kept", b"ENVIRONMENT"), (kind, b"ENVIRONMENT"))[1] != b"ENVIRONMENT"
    others = [b"%c" % byte for byte in b"0123456789!#%+,@^"]
    for _ in range(FEW):  # and is no noise of another
        *_, noise = hidden(*(("kept", name) for name in others), ("name", b"x"))
        assert noise == b"~"


@pytest.mark.parametrize("secret", [b"c2VjcmV0LXNlY3JldC1hYmNx", b"c2VjcmV0LXNlY3JldC1hYg==", b"c2VjcmV0LXNlY3JldC1hYmM=", b"c2VjcmV0\nLXNlY3JldC1h YmM=\n"])  # fmt: skip
def test_whole_base64_stays_whole(secret: bytes) -> None:
    assert is_whole_base64(secret)
    kept = {place for place, byte in enumerate(secret) if byte in b"= \n"}
    noises = [hidden(("value", secret))[0] for _ in range(FEW)]
    assert all(is_whole_base64(noise) for noise in noises)
    for place in range(len(secret)):
        seen = {noise[place] for noise in noises}
        assert (seen == {secret[place]}) if place in kept else (seen <= ALNUM | {*b"+/"} and len(seen) > 3)


@pytest.mark.parametrize("secret", [b"c2VjcmV0LXNlY3JldC1hYm", b"c2VjcmV0LXNlY3JldC1hYn==", b"c2Vj"])
def test_what_is_none_becomes_none(secret: bytes) -> None:
    assert not any(is_whole_base64(hidden(("value", secret))[0]) for _ in range(FEW))


@pytest.mark.parametrize(
    "text", [b"QQ==", b"QUI=", b"+UI=", b"Q+I=", b"QUJD", b"Q Q\n==", b"-_-_", b"-_8=", b"_w==", b"YWI-"]
)
def test_base64_stays_what_each_systemd_takes_or_refuses(text: bytes) -> None:
    for _ in range(FEW):
        (noise,) = hidden(("binary", text))
        assert len(noise) == len(text)
        assert [byte in b" \n=" for byte in noise] == [byte in b" \n=" for byte in text]
        for systemd in (252, 257):
            assert (base64_decode(noise, systemd) is None) == (base64_decode(text, systemd) is None)


@pytest.mark.parametrize("text", [b"QQ", b"QR==", b"Q!==", b"QQ==QQ==", b"====", b"QUJ=", b"QUx=", b"QUI=A"])
def test_what_is_refused_stays_refused_for_the_same_reason(text: bytes) -> None:
    def verdicts(text: bytes) -> list[bool]:
        padded = text + b"=" * (-len(text) % 4)
        return [base64_decode(each, None) is None for each in (text, padded)]

    for _ in range(FEW):
        assert verdicts(hidden(("binary", text))[0]) == verdicts(text)


def test_one_value_has_one_noise_in_every_form() -> None:
    value = bytes(range(200, 248))
    text = base64.b64encode(value)
    url_safe = text.replace(b"+", b"-").replace(b"/", b"_")
    spaced = b"\n".join([text[:9], text[9:40], text[40:]])
    assert text != url_safe
    noise = hidden(("value", value), ("binary", text), ("binary", url_safe), ("binary", spaced))
    assert [base64_decode(each, None) for each in noise[1:]] == [noise[0]] * 3 and noise[0] != value
    assert not {*noise[2]} & {*b"+/"} and [*map(len, noise)] == [48, 64, 64, 66]
    refused = hidden(("binary", b"Q!+/AB"), ("binary", b"Q!-_AB"), ("binary", b"Q !+/AB\n"))
    compact = [each.replace(b"-", b"+").replace(b"_", b"/").translate(None, b" \n") for each in refused]
    assert len({*compact}) == 1 and [*map(len, refused)] == [6, 6, 8]


def test_different_stays_different_and_a_front_a_front() -> None:
    secrets = [b"aaa", b"aaab", b"aaabcd", b"aaac", b"aaab12345678", b"aaab12345678x", b"b", b"bb", b"zzzzzzzzzzzz"]
    for _ in range(FEW):
        noise = dict(zip(secrets, hidden(*(("value", secret) for secret in secrets))))
        for one, other in itertools.permutations(secrets, 2):
            assert noise[other].startswith(noise[one]) == other.startswith(one), (noise, one, other)


def test_where_all_noise_is_taken_some_is_found_that_is_none_s_front() -> None:
    """Every digit and letter is a secret of one character, so each is noise for another."""
    every = [bytes([byte]) for byte in sorted(ALNUM)]
    noise = hidden(*(("value", secret) for secret in every))
    assert {*noise} == {*every} and len({*noise}) == len(every)
    longer = [secret + b"x" for secret in every[:10]]
    noise = hidden(*(("value", secret) for secret in [*every[:10], *longer]))
    for short, long in zip(noise[:10], noise[10:]):
        assert long.startswith(short)


def test_no_noise_is_another_s_secret_where_there_is_other_noise() -> None:
    secrets = [b"%c%c" % pair for pair in itertools.product(b"ab", b"abcdefghijkl")]
    for _ in range(5):
        assert not {*hidden(*(("value", secret) for secret in secrets))} & {*secrets}


def test_chance_that_finds_nothing_is_not_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it always gives the same, what is short is searched through."""
    monkeypatch.setattr(os, "urandom", bytes)
    assert hidden(("rest", b"a\0"), ("bytes", b"ab")) == [b"\1\0", b"\0\0"]
    secrets = [b"%08d" % number for number in range(40)]
    noise = hidden(*(("value", secret) for secret in secrets))
    assert len({*noise}) == 40
    assert len({*hidden(("name", b"a"), ("name", b"b"), ("name", b"c"))}) == 3
    # and what is long is hidden all the same
    assert [len(noise) for noise in hidden(("value", b"a" * 30), ("value", b"b" * 30))] == [30, 30]
