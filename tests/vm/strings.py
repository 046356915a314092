"""OEM strings that try every rule of systemd's: a fixed hundred, and random ones from a seed."""

from __future__ import annotations

import base64
import random

from guestcred.smbios.layout import build_structure

TEXT, BINARY = b"io.systemd.credential:", b"io.systemd.credential.binary:"
ENTRY = 4000  # bytes; below what systemd before 257 reads of one Type 11

PREFIXES = [
    TEXT, TEXT, TEXT, BINARY, BINARY, BINARY, BINARY,
    b"io.systemd.credentials:", b"IO.systemd.credential:", b" io.systemd.credential:", b"io.systemd.credential.binary.:",
    b"io.systemd.credential", b"io.systemd.credential.", b"io.systemd.credential.text:", b'"io.systemd.credential:',
]  # fmt: skip
BASE64 = [
    b"", b"QQ==", b"QUI=", b"QUJD", b"QQ", b"QQ=", b"QUJD=", b"QUJD==", b"QUJD====", b"====", b"=", b"Q", b"Q===", b"Q=Q=",
    b"QQ==QQ==", b"QUI=QUJD", b"QR==", b"QUF=", b"QUL=", b"Q Q==", b"QQ= =", b"QQ==\n", b"\tQUJD", b"QU\r\nJD", b"QUJD ", b" ", b"\n",
    b"QU\vJD", b"QU\fJD", b"-_-_", b"+/+/", b"QUJD!", b"Q\x80JD", b"QUJDQ===", b"QUJDQQ==", b"QUJDQQ", b"AAAA", b"//79",
    b"QQ==A", b"=QQ=", b"Q\xc3\xa9==",
]  # fmt: skip
NAMES = [
    b"A", b"a.b", b"a b", b" a", b"a ", b"...", b".", b"..", b"", b".hidden", b"a/b", b"/a", b"a:b", b"a\tb", b"a\x7fb", b"a\x1fb",
    b"\xc3\xa9", b"\xff", b"~", b"!", b"'q'", b'"q"', b"a\\b", b"%n", b"$HOME", b"-a", b"a*", b"a?", b"x" * 255, b"y" * 256, b"z" * 254,
    b"@system", b"a\nb", b"io.systemd.credential:n",
]  # fmt: skip
VALUES = [
    b"",
    b"=",
    b"==",
    b"a=b",
    b"v\n",
    b"\n",
    b" v ",
    b"\xff\xfe",
    b"\x01",
    b"a,b",
    b"'",
    b'"',
    b"\\0",
    b"%s",
    b"v" * 300,
]


def hostile() -> list[bytes]:
    """Every name, value and base64 form once, every prefix, and the ways to go without `=`."""
    strings = [TEXT + name + b"=value of it" for name in NAMES]
    strings += [TEXT + b"V%d=" % number + value for number, value in enumerate(VALUES)]
    strings += [BINARY + b"B%d=" % number + text for number, text in enumerate(BASE64)]
    strings += [prefix + b"P%d=QUJD" % number for number, prefix in enumerate(PREFIXES)]
    strings += [TEXT, BINARY, TEXT + b"=", TEXT + b"no equals", BINARY + b"none", b"=", b"io.systemd.credential"]
    strings += [
        TEXT + b"DUP=first",
        TEXT + b"DUP=second",
        BINARY + b"DUP=QUJD",
        BINARY + b"LATE=!",
        TEXT + b"LATE=wins",
    ]
    return strings


def chance(seed: int, count: int) -> list[bytes]:
    """`count` random strings, near the rules rather than far from them."""
    dice = random.Random(seed)

    def any_bytes(most: int) -> bytes:
        return bytes(dice.randrange(1, 256) for _ in range(dice.randrange(most)))

    def mutated(text: bytes) -> bytes:
        data = bytearray(text)
        for _ in range(dice.randrange(3)):
            at = dice.randrange(len(data) + 1)
            match dice.randrange(3):
                case 0:
                    data.insert(at, dice.choice(b"= \n\t\r:/.-_+A\x0b\x7f\x80\xff"))
                case 1 if at < len(data):
                    del data[at]
                case _ if at < len(data):
                    data[at] = dice.randrange(1, 256)
        return bytes(data)

    def any_string(number: int) -> bytes:
        prefix = dice.choice(PREFIXES) if dice.random() < 0.9 else mutated(TEXT)
        name = b"R%d" % number if dice.random() < 0.6 else mutated(dice.choice(NAMES))
        if prefix == BINARY:
            value = base64.b64encode(any_bytes(9)) if dice.random() < 0.5 else dice.choice(BASE64)
            value = mutated(value)
        else:
            value = dice.choice(VALUES[:-1]) if dice.random() < 0.5 else any_bytes(12)
        return prefix + name + dice.choice([b"=", b"=", b"=", b"=", b"", b" = "]) + value

    return [any_string(number) for number in range(count)]


def structures(strings: list[bytes], limit: int = ENTRY, handle: int = 0x0E80) -> tuple[bytes, ...]:
    """The strings as Type 11 structures of at most `limit` bytes each, in order."""
    groups: list[list[bytes]] = [[]]
    size = 0
    for text in filter(None, strings):
        if size + len(text) + 1 > limit - 8:
            groups.append([])
            size = 0
        groups[-1].append(text)
        size += len(text) + 1
    return tuple(build_structure(11, handle + number, group) for number, group in enumerate(groups))
