"""Names and base64, against systemd's own words."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestcred.systemd.rules import base64_decode, name_is_valid


@pytest.mark.parametrize("name", [b"A", b"a b", b"x" * 255, b"...", b"~", b"'", b"a=b"])
def test_valid_names(name: bytes) -> None:
    assert name_is_valid(name)


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b"a/b", b"a:b", b"x" * 256, b"a\x7f", b"a\tb", b"\xc3\xa9", b"\x1f"]
)
def test_invalid_names(name: bytes) -> None:
    assert not name_is_valid(name)


@given(st.binary(max_size=200))
def test_standard_base64_is_decoded(value: bytes) -> None:
    assert base64_decode(base64.b64encode(value), 252) == value


@given(st.binary(max_size=200))
def test_white_space_may_stand_anywhere(value: bytes) -> None:
    spaced = b" \t\r\n".join(bytes([byte]) for byte in base64.b64encode(value))
    assert base64_decode(b"\n" + spaced + b" ", 252) == value


@pytest.mark.parametrize(
    "text",
    [
        b"QQ", b"QQ=", b"QUJD=", b"====", b"=", b"Q===", b"QQ==QQ==", b"QQ==A", b"QR==", b"QUF=", b"Q", b"QUJD\x0b", b"QUJ!",
    ],
)  # fmt: skip
def test_what_systemd_refuses(text: bytes) -> None:
    assert base64_decode(text, 257) is None


def test_url_safe_characters_are_new() -> None:
    assert base64_decode(b"-_-_", 252) is None
    assert base64_decode(b"-_-_", 257) == base64_decode(b"-_-_", None) == b"\xfb\xff\xbf"


@given(st.text("AQg/+-_= \n", max_size=12))
def test_equals_the_reference(text: str) -> None:
    assert base64_decode(text.encode(), 257) == _reference(text.encode())


def _reference(text: bytes) -> bytes | None:
    """unbase64mem_full() of systemd 257, transcribed group by group."""
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
    rest = [digits.find(b"+" if c == 45 else b"/" if c == 95 else bytes([c])) for c in text if c not in b" \t\r\n"]
    if -1 in rest:
        return None
    out = b""
    while rest:
        if len(rest) < 4:
            return None
        (a, b, c, d), rest = rest[:4], rest[4:]
        if 64 in (a, b) or (c == 64 and d != 64):
            return None
        if d == 64 and (rest or (b & 15 if c == 64 else c & 3)):
            return None
        group = bytes([(a << 2 | b >> 4) & 255, (b << 4 | (c & 63) >> 2) & 255, (c << 6 | d & 63) & 255])
        out += group[: 1 if c == 64 else 2 if d == 64 else 3]
    return out
