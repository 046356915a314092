"""OEM strings without an exact prefix: where one was meant, what is said of it, and what of the string is shown."""

from __future__ import annotations

import pytest

from guestcred.systemd.unrelated import (
    HEAD,
    KEYS,
    MANUAL_KEY,
    mentions_credential,
    near,
    near_assignment,
    near_key,
    near_miss,
    shown_string,
)

HALF = b"io.systemd.cred"  # enough by itself
FAR = b"v" * HEAD  # so much that what is behind it is not looked at
LAST = b"-" * (HEAD - 10)  # in front of ten letters that are the last ones of the head


@pytest.mark.parametrize(
    ("before", "prefix", "after"),
    [
        # an exact one, with something before it; the first counts, of either encoding that of text
        (b"'", b"io.systemd.credential:", b"A=v"),
        (b"", b"io.systemd.credential:", b"A=v"),
        (b"\xff" * 100, b"io.systemd.credential.binary:", b"A=v"),
        (b" ", b"io.systemd.credential:", b"A=io.systemd.credential:"),
        (b"io.systemd.credential.binary:A=", b"io.systemd.credential:", b"B="),
        # two letters wrong, where one part alone is whole
        (b"", b"credemtixl", b":A=v"),
        (b"", b"cxedentixl", b":A=v"),
        (b"", b"cxedemtial", b":A=v"),
        (b"", b"systemxcrxd", b":A=v"),
        (b"", b"sxstemdcrxd", b":A=v"),
        (b"", b"sxstexdcred", b":A=v"),
        # what is no letter divides nothing, and is no letter wrong
        (b"x ", b"cred-e\xffm_tixl", b":A=v"),
        # only what is in front of the first '=' counts, and without one only what is in front of the last ':'
        (b"", b"credemtixl", b"=v"),
        (b"", b"credemtixl", b":v"),
        (b"", b"credemtixl", b":credential"),
        (b"a:", b"credemtixl", b":v"),
        (b"a:", b"credemtixl", b"=b:v"),
        (b"", b"credemtixl", b"." + FAR + b"="),
        (LAST, b"credemtixl", FAR + b"="),
        # the first half of an exact one needs neither
        (b"io.", b"systemd.cred", b""),
        (b"a:io.", b"systemd.cred", b""),
        (b"'io.", b"systemd.cred", b"ential"),
        # no word of its own
        (b"", b"io.systemd", b":A=v"),
        (b"", b"io.systemd", b":A:v"),
        (b"", b"io-sxstemd", b":A=v"),
        (b"", b"iosystem", b":A"),
        (b"", b"io.systemd1", b":A=v"),
    ],
)
def test_where_a_prefix_was_meant(before: bytes, prefix: bytes, after: bytes) -> None:
    assert near(before + prefix + after) == (len(before), len(before + prefix))
    assert near_miss(before + prefix + after) and mentions_credential(before + prefix + after)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"credemxixl:A=v",
        b"systexdcrxx:A=v",
        b"credemtixl",
        b"=credemtixl:",
        b"=" + HALF,
        b"credemxia:l" + FAR + b"=",
        b"-" + LAST + b"credemtixl" + FAR + b"=",
        b"io.systemd",
        b"io.systemd=A",
        b"io.systemd12:A=v",
        b"io.syste:A=v",
        b"io.sxstexd:A=v",
        b"a:io.systemd:v",
    ],
)
def test_where_none_was_meant(text: bytes) -> None:
    assert near(text) is None and near_miss(text) is None and near_assignment(text) == (b"", None)


def test_whatever_mentions_a_credential_may_hold_one() -> None:
    assert mentions_credential(b"no CREDENTIALS here") and not mentions_credential(b"credit")


BEFORE = "a space or quote or other text comes before the prefix: remove it where the hypervisor is given the string"
EXACTLY = "the prefix must be exactly 'io.systemd.credential:' or 'io.systemd.credential.binary:'"
PLURAL, LOWER = "the prefix has an 's' too many: write '{}'", "the prefix must be in lower case: write '{}'"
TEXT, BINARY = "io.systemd.credential:", "io.systemd.credential.binary:"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"'io.systemd.credential:A=v", BEFORE),
        (b"'io.systemd.credential.binary:A=v", BEFORE),
        (b"io.systemd.credentials:A=.binary=", PLURAL.format(TEXT)),
        (b"io.systemd.credentials.binary:A=v", PLURAL.format(BINARY)),
        (b"io.systemd.credentials:IO.systemd.credential:A=v", PLURAL.format(TEXT)),
        (b"IO.systemd.credential:A=.binary=", LOWER.format(TEXT)),
        (b"io.systemd.Credential.Binary:A=v", LOWER.format(BINARY)),
        (b"io.system.credential:A=io.systemd.credentials", EXACTLY),
    ],
)
def test_what_is_wrong_with_it(text: bytes, told: str) -> None:
    assert near_miss(text) == told


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        (b"io.systemd.crendential:K=a=b", b"K", b"a=b"),
        (b"a:crendential:K:x=v", b"K:x", b"v"),
        (b"'io.systemd.credential.binary:K=", b"K", b""),
        (b"io.systemd.crendential:hunter2", b"hunter2", None),
        (b"crendential=v", b"", None),
        (b"io.systemd:K=v", b"K", b"v"),
    ],
)
def test_what_may_have_been_meant_by_it(text: bytes, name: bytes, value: bytes | None) -> None:
    assert near_assignment(text) == (name, value)


@pytest.mark.parametrize(
    ("spelt", "key"),
    [
        # four letters in one place, whatever is there; one letter more is another word
        ("io.systemd.stub.loglevel=", "io.systemd.boot.loglevel="),
        ("io.systemd.hello.timeout=", None),
        ("io.systemd.boot.timeoutmore=", "io.systemd.boot.timeout="),
        ("io.systemd.boot.timeoutmores=", None),
        ("systemd.boot-timeout:", "io.systemd.boot.timeout="),
        ("boot.timeout=", None),
        # five at the end of what is right so far
        ("io.systemd.stub.kernel-cmdline=", "io.systemd.stub.kernel-cmdline-extra="),
        ("io.systemd.stub.kernel-cmdlin=", None),
        ("io.systemd.boot.entries=", "io.systemd.boot.entries-extra:"),
        ("io.systemd.bootentries.extra:", "io.systemd.boot.entries-extra:"),
        ("boot.entries-extra:", None),
        # the nearest of several
        ("io.systemd.boot.kernel-cmdline-extra:", "io.systemd.boot.kernel-cmdline-extra="),
        ("io.systemd.stub.kernel-cmdline-extra:", "io.systemd.stub.kernel-cmdline-extra="),
        ("IO_SYSTEMD_STOOT_KERNEL_CMDLINE_EXTRA=", "io.systemd.boot.kernel-cmdline-extra="),
        # what has nothing behind it, and what is one
        ("io.systemd.boot.timeout", None),
        ("io.systemd.boot.timeoutx", None),
        ("io.systemd.boot.timeout=", None),
        ("=", None),
        ("", None),
    ],
)
def test_which_key_of_the_boot_loader_was_meant(spelt: str, key: str | None) -> None:
    rest = b"x=io.systemd.boot.loglevel=" if spelt.endswith(("=", ":")) else b""
    assert near_key(spelt.encode() + rest) == (key and (key.encode(), len(spelt)))
    assert near_miss(spelt.encode() + rest) == (key and f"write exactly '{key}'")


def test_the_manual_page_has_one_key_otherwise() -> None:
    told = "write exactly 'io.systemd.boot.entries-extra:', though the manual page has it otherwise"
    assert near_miss(b"io.systemd.boot-entries.extra:a=b") == told


@pytest.mark.parametrize("key", [key.decode() for key in (*KEYS, MANUAL_KEY)])
def test_of_what_the_boot_loader_reads_the_key_is_shown(key: str) -> None:
    assert key.startswith("io.systemd.")
    for value, told in (("hunter2", "[7 characters hidden]"), ("", "[0 characters hidden]")):
        for meant in (False, True):
            assert shown_string(f"{key}{value}".encode(), meant, True) == key + told
    for value, named in (("debug", "loglevel="), ("menu-force", "timeout="), ("12345", "timeout="), ("123456", "")):
        told = value if named and key.endswith(named) else f"[{len(value)} characters hidden]"
        assert shown_string(f"{key}{value}".encode(), False, False) == key + told


@pytest.mark.parametrize(
    "text",
    [
        *("OEM String 1", "To Be Filled By O.E.M.", "n/a", "12", "OEM 12"),
        *("org.vendor:", "vendor=shown", "max=shown", "mode:on", "site=eu-1", "a=", "hello", "wg0"),
    ],
)
def test_what_is_shown_whole(text: str) -> None:
    assert shown_string(text.encode(), False, False) == text
    assert shown_string(text.encode(), False, True).startswith(f"[{len(text)} characters hidden, looks like ")
    assert shown_string(text.encode(), True, False).endswith("hidden, looks like a misspelt credential]")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # a word that is none of a filler's, or a number that is no small one
        ("OEM 123", "[7 characters hidden, looks like text]"),
        ("OEM ab", "[6 characters hidden, looks like text]"),
        ("OEM hunter2", "[11 characters hidden, looks like text]"),
        # a key is shown where it reads like a name, and a value where it does too, is short, and no secret's
        ("org.vendor:hunter2", "org.vendor:[7 characters hidden]"),
        ("org.vendor:a=b", "org.vendor:[3 characters hidden]"),
        ("site=hunter", "site=[6 characters hidden]"),
        ("site=environment", "site=[11 characters hidden]"),
        ("site=hu-7x", "site=[5 characters hidden]"),
        ("site=a:b", "site=[3 characters hidden]"),
        ("db-password=short", "db-password=[5 characters hidden]"),
        ("API_KEY=short", "API_KEY=[5 characters hidden]"),
        ("the.key:short", "the.key:[5 characters hidden]"),
        ("hunter2=short", "[13 characters hidden, looks like base64]"),
        (":hello", "[6 characters hidden, looks like text]"),
        ("=hello", "[6 characters hidden, looks like base64]"),
        # by itself, however short
        ("environment", "[11 characters hidden, looks like base64]"),
        ("hunter", "[6 characters hidden, looks like base64]"),
        ("hu7er", "[5 characters hidden, looks like base64]"),
        # what it looks like
        ("deadbeef DEADBEEF\r\n\t0", "[21 characters hidden, looks like hexadecimal]"),
        ("xdeadbeefdeadbeef", "[17 characters hidden, looks like base64]"),
        (" c2Vj/cmV+0\tLW-9_uZQ==\r\n", "[24 characters hidden, looks like base64]"),
        ("correct horse", "[13 characters hidden, looks like text]"),
        ("correct, horse~\t\r\n", "[18 characters hidden, looks like text]"),
        ("correct,\x1fhorse", "[14 characters hidden, looks like bytes]"),
        ("correct,\x7fhorse", "[14 characters hidden, looks like bytes]"),
    ],
)
def test_what_is_not(text: str, told: str) -> None:
    assert shown_string(text.encode("latin-1"), False, False) == told


def test_a_key_is_looked_for_in_the_head_only() -> None:
    assert HEAD == 64
    front = "environment." * 6
    for length, whole in ((HEAD - 1, True), (HEAD, False)):
        key = front[:length].rstrip(".")
        key += "x" * (length - len(key))
        told = shown_string(f"{key}=short".encode(), False, False)
        assert told == (f"{key}=short" if whole else f"[{length + 6} characters hidden, looks like text]")
