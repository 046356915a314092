"""Names and base64, against systemd's own words."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestcred.systemd.rules import (
    ARGUMENTS_SINCE,
    CMDLINE_BINARY_SINCE,
    CONFIDENTIAL_VM_SINCE,
    EXTRA_SYSTEM_SINCE,
    IMPORTS_SMBIOS_SINCE,
    INITRD_SINCE,
    PAGE,
    READ_CUT,
    READ_WHOLE_SINCE,
    SIZE_MAX,
    STORE_PAGES,
    STORE_SINCE,
    SYSTEM,
    SYSTEMD_OWN,
    TDX_TRUSTED_SINCE,
    TOTAL_SIZE_MAX,
    base64_decode,
    is_whole_base64,
    name_is_valid,
    pages,
)


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


def test_who_takes_what_since_when() -> None:
    """As the sources and the booted guests say that the constants name."""
    assert (SYSTEM, READ_CUT, STORE_PAGES * PAGE) == ("run/credentials/@system", 4096, SIZE_MAX)
    assert (SIZE_MAX, TOTAL_SIZE_MAX) == (1 << 20, 1 << 20)
    assert (IMPORTS_SMBIOS_SINCE, CONFIDENTIAL_VM_SINCE, CMDLINE_BINARY_SINCE, TDX_TRUSTED_SINCE) == (
        252,
        254,
        254,
        262,
    )
    assert (READ_WHOLE_SINCE, STORE_SINCE, INITRD_SINCE, EXTRA_SYSTEM_SINCE) == (257, 254, 254, 262)
    assert ARGUMENTS_SINCE == 254
    assert base64_decode(b"-_-_", 254) is None and base64_decode(b"-_-_", 255) == b"\xfb\xff\xbf"


# one for each prefix, by the manual pages of systemd.system-credentials(7) and of the programs that read them
CREDENTIALS = (
    "agetty.autologin bootctl.data cryptsetup.passphrase firstboot.locale fsck.mode fstab.extra getty.auto home.create.data "
    "import.pull imds.data journal.forward_to_socket login.issue network.hosts passwd.hashed-password.root quotacheck.mode "
    "resolve.dns shell.prompt.prefix ssh.ephemeral-authorized_keys-all sysctl.extra system.machine_id "
    "systemd.extra-unit.data sysusers.extra tmpfiles.extra tty.console.rows udev.rules.data userdb.user.data "
    "vconsole.keymap veritysetup.data vmm.notify_socket"
)


def test_a_prefix_of_systemd_s_own_for_each_of_its_credentials() -> None:
    own = [[prefix for prefix in SYSTEMD_OWN if name.startswith(prefix)] for name in CREDENTIALS.split()]
    assert all(len(prefixes) == 1 for prefixes in own)
    assert [*itertools.chain(*own)] == list(SYSTEMD_OWN)


@pytest.mark.parametrize("size", [0, 15, 16, 17])
def test_base64_as_tools_encode_a_secret(size: int) -> None:
    text = base64.b64encode(b"\xfb" * size)
    assert is_whole_base64(text) is (size >= 16)
    assert not is_whole_base64(base64.urlsafe_b64encode(b"\xfb" * 16))


@pytest.mark.parametrize(
    "text",
    [
        b"QQ", b"QQ=", b"QUJD=", b"====", b"=", b"Q===", b"QQ==QQ==", b"QQ==A", b"QR==", b"QE==", b"QUF=", b"Q", b"QUJD\x0b", b"QUJ!",
    ],
)  # fmt: skip
def test_what_systemd_refuses(text: bytes) -> None:
    assert base64_decode(text, 257) is None


def test_digits_at_the_end_are_no_padding() -> None:
    assert base64_decode(b"QUJx", 252) == b"ABq" and base64_decode(b"QUJw", 252) == b"ABp"


@pytest.mark.parametrize(("size", "taken"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (8192, 2), (1 << 20, 256)])
def test_pages(size: int, taken: int) -> None:
    assert pages(size) == taken


def test_url_safe_characters_are_new() -> None:
    assert base64_decode(b"-_-_", 252) is base64_decode(b"-_-_", 254) is None
    assert base64_decode(b"-_-_", 255) == base64_decode(b"-_-_", 257) == base64_decode(b"-_-_", None) == b"\xfb\xff\xbf"


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
