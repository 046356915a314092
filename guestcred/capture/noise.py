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
from guestcred.systemd.offered import split_prefix
from guestcred.systemd.rules import base64_decode, name_is_valid
from guestcred.systemd.shown import may_be_shown, reads_like_a_name
from guestcred.systemd.unrelated import mentions_credential, near

Replace = Callable[[str, bytes], bytes]
"""From a kind and bytes to the bytes that replace them. Kinds: "value"; "binary", a value in base64; "name", one that
may be a secret; "text", where punctuation stays because it decides what is wrong with an OEM string."""

Hides = Callable[[bytes, bytes], bool]
"""Whether a name with that value is one to replace."""

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
_ANY = bytes(set(range(1, 0x100)) - {0x0A})  # no NUL, which would end a string; newlines stay for the warning
_WHOLE_DIGITS = {0: b"", 1: b"AEIMQUYcgkosw048", 2: b"AQgw", 3: b""}  # base64 digits without spare bits, by padding
_TRIES = 100


class Disguise:
    """Collects secrets in a first run over the data, and gives their noise in a second."""

    def __init__(self) -> None:
        self._secrets: dict[str, set[bytes]] = {"binary": set(), "value": set(), "name": set(), "text": set()}
        self._url_safe: set[bytes] = set()  # values that were in URL-safe base64, which systemd before 255 refuses
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
        if kind == "name":
            return not reads_like_a_name(noise)
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
    if kind == "name":
        # what starts with a digit never reads like a name, and so stays hidden
        first, *others = os.urandom(len(secret))
        return bytes([b"0123456789"[first % 10], *(_ALNUM[chance % len(_ALNUM)] for chance in others)])
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
    return bytes(
        members[chance % len(members)] if members else byte
        for byte, members, chance in zip(secret, classes, os.urandom(len(secret)))
    )


_OEM_SPECIFIC = 128  # structure types from here on hold what only their maker knows; DSP0134 6.1.2
_IDENTIFYING = {"serial_number", "asset_tag", "asset_tag_number"}  # strings that name one machine
_UUID = field_place(1, "uuid")  # in System Information; DSP0134 7.2
_OWN_WORDS = re.compile(rb"io\.systemd\.cred(?:entials?(?:\.binary)?)?[:=]?|credential|\.binary", re.IGNORECASE)


def may_be_secret(name: bytes, value: bytes) -> bool:
    """Whether a name is hidden by itself."""
    return not may_be_shown(name, value)


def hide_table(data: bytes, replace: Replace, hides: Hides = may_be_secret, count: int = 0) -> bytes:
    """A DMI table, or one entry of it, with everything replaced that may be secret or identifies the machine.

    The result has the same length and the same structures; `count` is that of `parse`. Any bytes are accepted.
    """
    table = parse(data, count)
    out = bytearray()
    for structure in table.structures:
        out += data[len(out) : structure.offset]
        out += _hide_formatted(structure, replace)
        out += b"\0".join(_hide_strings(structure, replace, hides))
    if table.ended is None:
        seen = table.size - table.trailing
    elif table.structures and not table.structures[-1].complete:
        seen = table.size
    else:
        seen = table.ended.offset + HEADER_SIZE  # the header of a structure that the walk could not enter
    return bytes(out) + data[len(out) : seen] + replace("text", data[seen:])


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


def _hide_strings(structure: Structure, replace: Replace, hides: Hides) -> list[bytes]:
    if structure.type == OEM_STRINGS:
        return [_hide_oem(text, replace, hides) for text in structure.strings]
    identifying = {
        value
        for name, value in fields_of(structure).items()
        if name in _IDENTIFYING and isinstance(value, StringNumber)
    }
    own = structure.type >= _OEM_SPECIFIC
    return [
        replace("text", text) if own or number in identifying or mentions_credential(text) else text
        for number, text in enumerate(structure.strings, 1)
    ]


def _hide_oem(text: bytes, replace: Replace, hides: Hides) -> bytes:
    split = split_prefix(text)
    if split is None:
        return _hide_loose(text, replace)
    encoding, rest = split
    prefix = text[: len(text) - len(rest)]
    name, equals, value = rest.partition(b"=")
    if not equals or not name_is_valid(name):
        return prefix + replace("text", rest)
    decoded = base64_decode(value, None) if encoding == "binary" else value
    if hides(name, value if decoded is None else decoded):
        name = replace("name", name)
    return prefix + name + b"=" + (replace("binary" if encoding == "binary" else "value", value) if value else b"")


def _hide_loose(text: bytes, replace: Replace) -> bytes:
    """A string without an exact prefix; what makes it a near miss is kept."""
    spans = [match.span() for match in _OWN_WORDS.finditer(text)]
    found = near(text)
    if found is not None:
        spans.append(found)
    out, end = bytearray(), 0
    for start, stop in sorted(spans):
        if stop > end:
            out += replace("text", text[end : max(start, end)]) + text[max(start, end) : stop]
            end = stop
    return bytes(out + replace("text", text[end:]))
