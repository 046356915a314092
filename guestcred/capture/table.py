"""A DMI table -> the same with noise for everything that may be secret or tells one machine from others."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping

from guestcred.capture.noise import Replace
from guestcred.smbios.typed import fields_of, fixed_places
from guestcred.smbios.values import StringNumber
from guestcred.smbios.walk import HEADER_SIZE, OEM_STRINGS, OEM_STRINGS_SIZE, Structure, parse
from guestcred.systemd.offered import split_prefix
from guestcred.systemd.rules import base64_decode, name_is_valid
from guestcred.systemd.shown import may_be_shown
from guestcred.systemd.unrelated import KEYS, mentions_credential, near, near_key

Hides = Callable[[bytes, bytes], bool]
"""Whether a name with that value is one to replace."""

Framed = Callable[[bytes, bytes], "bytes | None"]
"""From a name and its value to what stands for that value, where it is not to be hidden as all others are."""

Fields = Mapping[str, object]

# What a bug report needs; whatever is not in these two is hidden, so that a type that is new is hidden as a whole.
# Strings that say which firmware and hypervisor a guest has:
_SHOWN_STRINGS = {
    (0, "vendor"),
    (0, "bios_version"),
    (0, "bios_release_date"),
    (1, "manufacturer"),
    (1, "product_name"),
    (1, "version"),
    (2, "manufacturer"),
    (2, "product"),
    (3, "manufacturer"),
    (4, "processor_manufacturer"),
    (4, "processor_version"),
    (17, "manufacturer"),
}
# Types whose numbers are sizes, speeds, features and handles; what is no number, such as a UUID, is hidden in them too.
_SHOWN_NUMBERS = {0, 1, 2, 4, 16, 17, 19, 32}
_OWN_WORDS = re.compile(rb"io\.systemd\.cred(?:entials?(?:\.binary)?)?[:=]?|credential|\.binary", re.IGNORECASE)


def may_be_secret(name: bytes, value: bytes) -> bool:
    """Whether a name is hidden by itself."""
    return not may_be_shown(name, value)


def _never(_name: bytes, _value: bytes) -> None:
    pass


def hide_table(
    data: bytes, replace: Replace, hides: Hides = may_be_secret, framed: Framed = _never, count: int = 0
) -> bytes:
    """A DMI table, or one entry of it, with everything replaced that may be secret or tells the machine from others.

    The result has the same length and the same structures; `count` is that of `parse`. Any bytes are accepted.
    """
    table = parse(data, count)
    out = bytearray()
    for structure in table.structures:
        out += data[len(out) : structure.offset]
        fields = fields_of(structure)
        out += _hide_formatted(structure, fields, replace)
        shown = _shown_strings(structure, fields)
        out += b"\0".join(
            _hide_oem(text, replace, hides, framed)
            if structure.type == OEM_STRINGS
            else text
            if number in shown and not mentions_credential(text)
            else replace("string", text)
            for number, text in enumerate(structure.strings, 1)
        )
    if table.ended is None:
        seen = table.size - table.trailing
    elif table.structures and not table.structures[-1].complete:
        seen = table.size
    else:
        seen = table.ended.offset + HEADER_SIZE  # the header of a structure that the walk could not enter
    return bytes(out) + data[len(out) : seen] + replace("rest", data[seen:])


def _hide_formatted(structure: Structure, fields: Fields, replace: Replace) -> bytes:
    """The formatted area with its header, the numbers of its strings, and what else may be shown."""
    area = structure.formatted
    places = fixed_places(structure.type)
    kept = [slice(0, OEM_STRINGS_SIZE if structure.type == OEM_STRINGS else HEADER_SIZE)]
    for name, value in fields.items():
        number = structure.type in _SHOWN_NUMBERS and isinstance(value, int)
        # the number of a string that is not there says something else
        of_string = isinstance(value, StringNumber) and value <= len(structure.strings)
        if name in places and (number or of_string):
            kept.append(places[name])
    out = bytearray()
    for place in kept:
        out += replace("bytes", area[len(out) : place.start]) + area[place]
    return bytes(out) + replace("bytes", area[len(out) :])


def _shown_strings(structure: Structure, fields: Fields) -> set[int]:
    """The numbers of the strings that are shown: those that no other field has too."""
    shown: set[int] = set()
    hidden: set[int] = set()
    for name, value in fields.items():
        if isinstance(value, StringNumber):
            (shown if (structure.type, name) in _SHOWN_STRINGS else hidden).add(value)
    return shown - hidden


def _hide_oem(text: bytes, replace: Replace, hides: Hides, framed: Framed) -> bytes:
    split = split_prefix(text)
    if split is None:
        return _hide_loose(text, replace)
    encoding, rest = split
    prefix = text[: len(text) - len(rest)]
    name, equals, value = rest.partition(b"=")
    if not equals or not name_is_valid(name):
        return prefix + replace("text", rest)
    decoded = base64_decode(value, None) if encoding == "binary" else value
    told = None if decoded is None else framed(name, decoded)
    if told is not None and encoding == "binary":
        told = base64.b64encode(told)
    name = replace("name" if hides(name, value if decoded is None else decoded) else "kept", name)
    if told is None or len(told) != len(value):
        told = replace("binary" if encoding == "binary" else "value", value) if value else b""
    return prefix + name + b"=" + told


def _hide_loose(text: bytes, replace: Replace) -> bytes:
    """A string without an exact prefix; what makes it a near miss is kept."""
    spans = [match.span() for match in _OWN_WORDS.finditer(text)]
    found = near(text)
    if found is not None:
        spans.append(found)
    # what boot loader and stub read, and what is nearly that
    key = next((len(key) for key in KEYS if text.startswith(key)), None)
    nearly = near_key(text) if key is None and found is None else None
    spans += [(0, end) for end in (key, nearly and nearly[1]) if end]
    out, end = bytearray(), 0
    for start, stop in sorted(spans):
        if stop > end:
            out += replace("text", text[end : max(start, end)]) + text[max(start, end) : stop]
            end = stop
    return bytes(out + replace("text", text[end:]))
