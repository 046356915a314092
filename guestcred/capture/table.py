"""A DMI table -> the same with noise for everything that may be secret or tells one machine from others."""

from __future__ import annotations

import re
from collections.abc import Callable

from guestcred.capture.noise import Replace
from guestcred.smbios.layout import field_place, fields_of
from guestcred.smbios.values import StringNumber
from guestcred.smbios.walk import HEADER_SIZE, OEM_STRINGS, OEM_STRINGS_SIZE, Structure, parse
from guestcred.systemd.offered import split_prefix
from guestcred.systemd.rules import base64_decode, name_is_valid
from guestcred.systemd.shown import may_be_shown
from guestcred.systemd.unrelated import mentions_credential, near

Hides = Callable[[bytes, bytes], bool]
"""Whether a name with that value is one to replace."""

_OEM_SPECIFIC = 128  # structure types from here on hold what only their maker knows; DSP0134 6.1.2
_IDENTIFYING = {"serial_number", "asset_tag", "asset_tag_number"}  # strings that name one machine
_UUID = field_place(1, "uuid")  # in System Information; DSP0134 7.2
_OWN_WORDS = re.compile(rb"io\.systemd\.cred(?:entials?(?:\.binary)?)?[:=]?|credential|\.binary", re.IGNORECASE)


def may_be_secret(name: bytes, value: bytes) -> bool:
    """Whether a name is hidden by itself."""
    return not may_be_shown(name, value)


def hide_table(data: bytes, replace: Replace, hides: Hides = may_be_secret) -> bytes:
    """A DMI table, or one entry of it, with everything replaced that may be secret or identifies the machine.

    The result has the same length and the same structures. Any bytes are accepted.
    """
    table = parse(data)
    out = bytearray()
    for structure in table.structures:
        out += data[len(out) : structure.offset]
        out += _hide_formatted(structure, replace)
        out += b"\0".join(
            _hide_string(structure, number, text, replace, hides) for number, text in enumerate(structure.strings, 1)
        )
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


def _hide_string(structure: Structure, number: int, text: bytes, replace: Replace, hides: Hides) -> bytes:
    if structure.type == OEM_STRINGS:
        return _hide_oem(text, replace, hides)
    numbers = {
        value
        for name, value in fields_of(structure).items()
        if name in _IDENTIFYING and isinstance(value, StringNumber)
    }
    secret = structure.type >= _OEM_SPECIFIC or number in numbers or mentions_credential(text)
    return replace("text", text) if secret else text


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
    name = replace("name" if hides(name, value if decoded is None else decoded) else "kept", name)
    return prefix + name + b"=" + (replace("binary" if encoding == "binary" else "value", value) if value else b"")


def _hide_loose(text: bytes, replace: Replace) -> bytes:
    """A string without an exact prefix; what makes it a near miss is kept."""
    spans = [match.span() for match in _OWN_WORDS.finditer(text)]
    found = near(text)
    if found is not None:
        spans.append(found)
    out, end = b"", 0
    for start, stop in sorted(spans):
        if stop > end:
            out += replace("text", text[end : max(start, end)]) + text[max(start, end) : stop]
            end = stop
    return out + replace("text", text[end:])
