"""An answer of cloud-hypervisor's that is no success -> its reason in one line, without anything of the config."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable

from guestcred.text import visible

PIECE = 8  # bytes of a secret in a row that are not shown
READ_MAX, SHOWN_MAX = 4096, 300  # characters of a reason
HIDDEN = "[hidden]"
QUOTES_CONFIG = "its reason quotes the VM config, and is not shown"
# what serde and Rust's {:?} quote; a path is what a reason is most often about
_QUOTED = re.compile(r'"((?:[^"\\]|\\.?)*)(?:"|$)|`([^`]*)(?:`|$)', re.DOTALL)
_PATH = re.compile(r"/[\w./+@:-]+")


def reason_in(said: bytes, config: bytes, values: Iterable[bytes]) -> str:
    """The reason in the body `said`, to be shown: "" if there is none, QUOTES_CONFIG if nothing else is left of it.

    `config` is the VM config that was sent, in JSON, and `values` are the secrets in it.
    """
    text = _chain(said)
    if "oem_strings" in text or "{" in text:
        return QUOTES_CONFIG
    text = _QUOTED.sub(_without_quoted, text[:READ_MAX])
    text = _scrubbed(text, [*_strings_of(config), *_forms(values)])
    text = visible(" ".join(text.split()))
    if len(text) > SHOWN_MAX:
        text = f"{text[:SHOWN_MAX]}..."
    return text if not text or re.search(r"\w", text.replace(HIDDEN, "")) else QUOTES_CONFIG


def _chain(said: bytes) -> str:
    """error_response() in cloud-hypervisor's vmm/src/api/http/mod.rs answers a list of causes; older ones one text."""
    try:
        parts = json.loads(said)
    except (ValueError, RecursionError):
        parts = None
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
        return ": ".join(part for part in parts if part != "Error from API")
    return said.decode("utf-8", "replace")


def _without_quoted(match: re.Match[str]) -> str:
    mark = match[0][0]
    return match[0] if _PATH.fullmatch(match[1] or match[2] or "") else f"{mark}{HIDDEN}{mark}"


def _strings_of(config: bytes) -> list[str]:
    """All strings in a config but its paths; an OEM string, or what a kernel's command line sets, may be a secret."""
    found = []
    left: list[tuple[object, bool]] = [(json.loads(config), False)]
    while left:
        value, in_oem_strings = left.pop()
        match value:
            case dict():
                left += [(below, key == "oem_strings") for key, below in value.items()]
            case list():
                left += [(below, in_oem_strings) for below in value]
            case str() if in_oem_strings or not _PATH.fullmatch(value):
                found.append(value)
    return found


def _forms(values: Iterable[bytes]) -> list[str]:
    return [form.decode("latin-1") for value in values for form in (value, binascii.b2a_base64(value, newline=False))]


def _scrubbed(text: str, hidden: list[str]) -> str:
    """`text` with HIDDEN for each run that is made of pieces of a hidden string; a shorter string is one piece."""
    cover = bytearray(len(text))
    whole = [string for string in hidden if len(string) >= PIECE]
    for string in hidden:
        if 0 < len(string) < PIECE:
            for match in re.finditer(re.escape(string), text):
                cover[match.start() : match.end()] = b"\1" * len(string)
    for start in range(len(text) - PIECE + 1):
        piece = text[start : start + PIECE]
        if any(piece in string for string in whole):
            cover[start : start + PIECE] = b"\1" * PIECE
    kept = (HIDDEN if run[0] else text[start:end] for run, start, end in _runs(cover))
    return "".join(kept)


def _runs(cover: bytearray) -> list[tuple[bytes, int, int]]:
    return [(match[0], *match.span()) for match in re.finditer(rb"\x00+|\x01+", bytes(cover))]
