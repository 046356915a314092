"""Secrets -> noise of the same length and kind; equal stays equal, different stays different, a front stays a front."""

from __future__ import annotations

import base64
import os
import string
from collections.abc import Callable, Iterator
from itertools import islice, product

from guestcred.systemd.rules import base64_decode, is_whole_base64
from guestcred.systemd.shown import REST

Replace = Callable[[str, bytes], bytes]
"""From a kind and bytes to the bytes that replace them. Kinds:

"value"; "binary", a value in base64; "name", one that may be a secret; "text", an OEM string or part of one, where
punctuation stays because it decides what is wrong with it; "string", another structure's; "bytes", of a formatted area;
"rest", bytes in which structures may stand, whose NULs stay.
"""

_WHITESPACE = b" \t\n\r"
_ALNUM = (string.ascii_letters + string.digits).encode()
# no letter of 'io.systemd.credential.binary': what is drawn from these never looks like a prefix, not even a misspelt one
_PLAIN = bytes(set(_ALNUM) - set(b"iosystemdcredentialbinary" + b"iosystemdcredentialbinary".upper()))
_PUNCTUATION = set(string.punctuation.encode())
_CONTROL = bytes({*range(1, 0x20), 0x7F} - set(_WHITESPACE))
_OTHER = bytes(range(0x80, 0x100))


def _classes(*members: bytes) -> dict[int, bytes]:
    """Each byte to those that may replace it; a byte that has none is kept."""
    return {byte: others for others in members for byte in others}


# what base64 depends on stays apart
_MARKS = bytes(_PUNCTUATION - set(b"+/-_="))
_OF_VALUES = _classes(_ALNUM, b"+/", b"-_", _MARKS, _CONTROL, _OTHER)
_OF_TEXT = {
    **dict.fromkeys(_ALNUM, _PLAIN),
    **_classes(bytes(_PUNCTUATION - set(b"/=:.")), _CONTROL, _OTHER),
}
# for a value that is no text: nothing that a rule or a warning looks for, such as a newline
_ANY = bytes(set(range(1, 0x100)) - set(REST))
_ALL = bytes(range(0x100))
_WHOLE_DIGITS = {0: b"", 1: b"AEIMQUYcgkosw048", 2: b"AQgw", 3: b""}  # base64 digits without spare bits, by padding
# what begins with one of these never reads like a name, and so stays hidden
_FIRST = b"0123456789!#%+,@^~"
_TRIES = 300  # one in nine fits a value whose URL-safe base64 has a single "_"
_SHORT = 8  # bytes up to which chance may fail: to find other noise, or to be no front of other noise
_SEARCHED = 1 << 16  # at most, where chance finds none


class Disguise:
    """Collects secrets in a first run over the data, and gives their noise in a second."""

    def __init__(self) -> None:
        self._secrets: dict[str, set[bytes]] = {}
        self._url_safe: set[bytes] = set()  # values that were in URL-safe base64, which old versions of systemd refuse
        self._noise: dict[str, dict[bytes, bytes]] = {}

    def collect(self, kind: str, secret: bytes) -> bytes:
        """Note a secret to hide, and return it unchanged: the `Replace` of the first run."""
        held = secret
        if kind == "binary":
            value = base64_decode(secret, None)
            if value is None:
                held = _compact(secret)
            else:
                kind, held = "value", value
                if b"-" in secret or b"_" in secret:
                    self._url_safe.add(value)
        self._secrets.setdefault(kind, set()).add(held)
        return secret

    def settle(self) -> None:
        """Make the noise for everything collected."""
        self._noise = {kind: self._fill(kind, secrets) for kind, secrets in self._secrets.items() if kind != "kept"}

    def _fill(self, kind: str, secrets: set[bytes]) -> dict[bytes, bytes]:
        """Noise for one kind. The shortest come first, so that a front has its noise before what it is the front of."""
        fronts = _fronts(secrets)
        made: dict[bytes, bytes] = {}
        used = set(self._secrets.get("kept", ())) if kind == "name" else set()

        def does_as_well(secret: bytes, noise: bytes) -> bool:
            if noise in used or not self._decodes_alike(secret, noise):
                return False
            # no front by chance: then `check` would call a credential shortened that is another one
            ends = range(min(len(secret), _SHORT + 1)) if kind == "value" else ()
            return all((noise[:end] in used) == (secret[:end] in made) for end in ends)

        for secret in sorted(secrets, key=len):
            front = made.get(fronts[secret], b"")
            members = [*(bytes([byte]) for byte in front), *_members(kind, secret)[len(front) :]]
            second_best = None
            for noise in _drawn(members):
                if does_as_well(secret, noise):
                    if noise not in secrets:
                        break
                    second_best = noise  # what another secret is: where all others are taken
            else:
                noise = second_best or noise
            made[secret] = noise
            used.add(noise)
        return made

    def _decodes_alike(self, secret: bytes, noise: bytes) -> bool:
        """Whether each systemd decodes both or refuses both, where their bytes decide and not only their classes."""
        return secret not in self._url_safe or bool({*base64.b64encode(noise)} & {*b"+/"})

    def replace(self, kind: str, secret: bytes) -> bytes:
        """The noise for a collected secret, in the same shape: the `Replace` of the second run."""
        if kind == "kept" or (kind == "name" and secret in self._secrets.get("kept", ())):
            return secret  # a name that is shown elsewhere with a value of its own is no secret here
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


def _fronts(secrets: set[bytes]) -> dict[bytes, bytes]:
    """Each secret to the longest other one that it begins with, b"" if there is none."""
    found: dict[bytes, bytes] = {}
    open_: list[bytes] = []  # in sorted order, whatever begins with a secret comes behind it
    for secret in sorted(secrets):
        while open_ and not secret.startswith(open_[-1]):
            open_.pop()
        found[secret] = open_[-1] if open_ else b""
        open_.append(secret)
    return found


def _members(kind: str, secret: bytes) -> list[bytes]:
    """For each byte of a secret those that may replace it."""
    match kind:
        case "bytes":
            # all zeros or all ones are what stands where nobody filled anything in: DSP0134 7.2.1
            return [_ALL if secret.strip(b"\0") and secret.strip(b"\xff") else secret[:1]] * len(secret)
        case "rest":
            return [_ALL[1:] if byte else b"\0" for byte in secret]
        case "string":
            return [_PLAIN] * len(secret)
        case "name":
            return [_FIRST, *[_ALNUM] * (len(secret) - 1)] if secret else []
        case "text":
            return [_OF_TEXT.get(byte) or bytes([byte]) for byte in secret]
    if kind == "value" and secret.strip(REST) and not is_whole_base64(secret):
        is_text = all(byte in _WHITESPACE or 0x20 < byte < 0x7F for byte in secret)
        ends = secret.find(b"\n") == len(secret) - 1  # which is worth a warning
        free = [_OF_VALUES.get(byte, _MARKS) if is_text else _ANY for byte in secret[: len(secret) - ends]]
        return [*free, *[b"\n"] * ends]
    members = [_OF_VALUES.get(byte) or bytes([byte]) for byte in secret]
    places = [place for place, byte in enumerate(secret) if byte not in _WHITESPACE]
    while places and secret[places[-1]] in b"=":
        places.pop()
    whole = _WHOLE_DIGITS[-len(places) % 4]
    if places and members[places[-1]] is _ALNUM:
        last = secret[places[-1]]
        members[places[-1]] = whole if last in whole else _ALNUM.translate(None, whole)
    return members


def _drawn(members: list[bytes]) -> Iterator[bytes]:
    """Noise by chance, some times, and then, where there is not much of it, all there is."""
    for _ in range(_TRIES):
        yield bytes(others[chance % len(others)] for others, chance in zip(members, os.urandom(len(members))))
    if len(members) <= _SHORT:
        turned = [
            others[turn % len(others) :] + others[: turn % len(others)]
            for others, turn in zip(members, os.urandom(len(members)))
        ]
        yield from map(bytes, islice(product(*turned), _SEARCHED))
