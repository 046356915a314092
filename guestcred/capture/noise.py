"""Secrets -> noise of the same length and kind; equal stays equal, different stays different, a front stays a front."""

from __future__ import annotations

import base64
import os
import re
import string
from collections.abc import Callable

from guestcred.errors import GuestcredError
from guestcred.smbios.layout import field_place, fields_of
from guestcred.smbios.values import StringNumber
from guestcred.smbios.walk import HEADER_SIZE, OEM_STRINGS, OEM_STRINGS_SIZE, Structure, parse
from guestcred.systemd.offered import SHOWN_FRONT, Accepted, is_bare_secret, judge, split_prefix
from guestcred.systemd.rules import base64_decode, name_is_valid

Replace = Callable[[str, bytes], bytes]
"""From a kind and bytes to the bytes that replace them. Kinds: "value"; "binary", a value in base64; "text", where
punctuation stays because it decides what is wrong with an OEM string."""

_WHITESPACE = b" \t\n\r"
_ALNUM = (string.ascii_letters + string.digits).encode()
_CLASSES = [
    _ALNUM,
    b"+/",
    bytes(set(string.punctuation.encode()) - set(b"+/=:.")),
    bytes({*range(1, 0x20), 0x7F} - set(_WHITESPACE)),
    bytes(range(0x80, 0x100)),
]
_CLASS_OF = {byte: members for members in _CLASSES for byte in members}  # any other byte is kept
# where a string is told by what it looks like, noise has no letter of what it may look like
_PLAIN = bytes(set(_ALNUM) - set(b"io.systemd.credential.binaryIO.SYSTEMD.CREDENTIAL.BINARY"))
_ANY = bytes(set(range(1, 0x100)) - {0x0A})  # no NUL, which would end a string; newlines stay for the warning
_WHOLE_DIGITS = {0: b"", 1: b"AEIMQUYcgkosw048", 2: b"AQgw", 3: b""}  # base64 digits without spare bits, by padding
_TRIES = 100


class Disguise:
    """Collects secrets in a first run over the data, and gives their noise in a second."""

    def __init__(self) -> None:
        self._secrets: dict[str, set[bytes]] = {"binary": set(), "value": set(), "text": set()}
        self._url_safe: set[bytes] = set()  # values that were in URL-safe base64, which systemd 252 refuses
        self._noise: dict[str, dict[bytes, bytes]] = {}

    def collect(self, kind: str, secret: bytes) -> bytes:
        """Note a secret to hide, and return it unchanged: the `Replace` of the first run."""
        value = base64_decode(secret, None) if kind == "binary" else None
        if value is not None:
            self._secrets["value"].add(value)
            if b"-" in secret or b"_" in secret:
                self._url_safe.add(value)
        else:
            self._secrets[kind].add(_compact(secret) if kind == "binary" else secret)
        return secret

    def settle(self) -> None:
        """Make the noise for everything collected. Raises GuestcredError if too many short secrets differ."""
        self._noise = {kind: self._fill(kind) for kind in self._secrets}

    def _fill(self, kind: str) -> dict[bytes, bytes]:
        """Noise for one kind. In reverse order, a secret that is the front of another comes right after that one."""
        made: dict[bytes, bytes] = {}
        used: set[bytes] = set()
        longer = b""
        for secret in sorted(self._secrets[kind], reverse=True):
            for attempt in range(_TRIES):
                front = attempt == 0 and longer and longer.startswith(secret)
                noise = made[longer][: len(secret)] if front else _noise(kind, secret)
                if noise not in used and self._does_as_well(kind, secret, noise):
                    break
            else:
                raise GuestcredError("cannot hide the credentials: too many very short values differ", "try again")
            made[secret] = noise
            used.add(noise)
            longer = secret
        return made

    def _does_as_well(self, kind: str, secret: bytes, noise: bytes) -> bool:
        """Whether systemd accepts or refuses the noise just like the secret."""
        if kind == "binary":
            padded = ((secret + padding, noise + padding) for padding in (b"", b"=", b"=="))
            return all((base64_decode(a, None) is None) == (base64_decode(b, None) is None) for a, b in padded)
        return secret not in self._url_safe or bool({*base64.b64encode(noise)} & {*b"+/"})

    def replace(self, kind: str, secret: bytes) -> bytes:
        """The noise for a collected secret, in the same shape: the `Replace` of the second run."""
        if kind != "binary":
            return self._noise[kind][secret]
        value = base64_decode(secret, None)
        text = (
            self._noise["binary"][_compact(secret)] if value is None else base64.b64encode(self._noise["value"][value])
        )
        if b"-" in secret or b"_" in secret:
            text = text.replace(b"+", b"-").replace(b"/", b"_")
        digits = iter(text)
        return bytes(byte if byte in _WHITESPACE else next(digits) for byte in secret)


def _compact(text: bytes) -> bytes:
    """Base64 without white space and in the standard alphabet, so that one value has one form."""
    return text.translate(None, _WHITESPACE).replace(b"-", b"+").replace(b"_", b"/")


def _noise(kind: str, secret: bytes) -> bytes:
    if kind == "value" and not all(byte in _WHITESPACE or 0x20 < byte < 0x7F for byte in secret):
        classes = [_ANY if byte in _ANY else b"" for byte in secret]
    else:
        kept = b"+/" if kind == "text" else b""  # "/" makes a name invalid
        classes = [b"" if byte in kept else _CLASS_OF.get(byte, b"") for byte in secret]
    digits = secret.rstrip(b"=")
    whole = _WHOLE_DIGITS[min(len(secret) - len(digits), 3) or -len(secret) % 4]
    if whole and digits and classes[len(digits) - 1] is _ALNUM:
        last = digits[-1]
        classes[len(digits) - 1] = whole if last in whole else _ALNUM.translate(None, whole)
    if kind == "text":
        classes = [_PLAIN if members is _ALNUM else members for members in classes]
    return bytes(
        members[chance % len(members)] if members else byte
        for byte, members, chance in zip(secret, classes, os.urandom(len(secret)))
    )


_OEM_SPECIFIC = 128  # structure types from here on hold what only their maker knows; DSP0134 6.1.2
_IDENTIFYING = {"serial_number", "asset_tag", "asset_tag_number"}  # strings that name one machine
_UUID = field_place(1, "uuid")  # in System Information; DSP0134 7.2
_OWN_WORDS = re.compile(rb"(io\.systemd\.cred(?:entials?(?:\.binary)?)?[:=]?|credential)", re.IGNORECASE)


def hide_table(data: bytes, replace: Replace) -> bytes:
    """A DMI table, or one entry of it, with everything replaced that may be secret or identifies the machine.

    The result has the same length and the same structures. Any bytes are accepted.
    """
    table = parse(data)
    out = bytearray()
    for structure in table.structures:
        out += data[len(out) : structure.offset]
        out += _hide_formatted(structure, replace)
        out += b"\0".join(
            _hide_string(structure, number, text, replace) for number, text in enumerate(structure.strings, 1)
        )
    if table.ended is None:
        seen = table.size - table.trailing
    elif table.structures and not table.structures[-1].complete:
        seen = table.size
    else:
        seen = table.ended.offset + HEADER_SIZE  # the header of a structure that the walk could not enter
    return bytes(out) + data[len(out) : seen] + replace("text", data[seen:])


def secret_names(data: bytes, replace: Replace) -> dict[str, str]:
    """The names in a table that may be secrets, each with the noise that `hide_table` replaces it with."""
    found: dict[str, str] = {}
    for verdict in judge(parse(data).structures, None):
        if isinstance(verdict, Accepted) and verdict.shown != verdict.name:
            noise = _hide_bare(verdict.name.encode("ascii") + b"=" + verdict.value, replace)
            found[verdict.name] = noise.partition(b"=")[0].decode("ascii")
    return found


def _hide_bare(text: bytes, replace: Replace) -> bytes:
    return text[:SHOWN_FRONT] + replace("text", text[SHOWN_FRONT:])


def _hide_formatted(structure: Structure, replace: Replace) -> bytes:
    area = structure.formatted
    if structure.type == 1:
        return area[: _UUID.start] + replace("text", area[_UUID]) + area[_UUID.stop :]
    shown = len(area)
    if structure.type >= _OEM_SPECIFIC:
        shown = HEADER_SIZE
    elif structure.type == OEM_STRINGS:
        shown = OEM_STRINGS_SIZE
    return area[:shown] + replace("text", area[shown:])


def _hide_string(structure: Structure, number: int, text: bytes, replace: Replace) -> bytes:
    if structure.type == OEM_STRINGS:
        return _hide_oem(text, replace)
    numbers = {
        value
        for name, value in fields_of(structure).items()
        if name in _IDENTIFYING and isinstance(value, StringNumber)
    }
    secret = structure.type >= _OEM_SPECIFIC or number in numbers or b"io.systemd.cred" in text.lower()
    return replace("text", text) if secret else text


def _hide_oem(text: bytes, replace: Replace) -> bytes:
    split = split_prefix(text)
    if split is not None:
        encoding, rest = split
        name, equals, value = rest.partition(b"=")
        if is_bare_secret(name, value):
            return text[: len(text) - len(rest)] + _hide_bare(rest, replace)
        if equals and name_is_valid(name):
            return text[: -len(value) or None] + replace("binary" if encoding == "binary" else "value", value)
        return text[: len(text) - len(rest)] + replace("text", rest)
    # the words that make it a near miss are kept; split() returns them as every second part
    parts = _OWN_WORDS.split(text)
    return b"".join(part if number % 2 else replace("text", part) for number, part in enumerate(parts))
