"""cloud-hypervisor's option strings, `key=value,key=[value,value]`: how they are cut, and what a value means in JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address

from guestcred.record import Record
from guestcred.text import listed

_UNITS = {"K": 10, "M": 20, "G": 30}
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


class Kind(Record):
    """What a value is: `read` gives what stands in the VM config for it, or raises ValueError; `label` says it to people.

    A value that is not `raw` loses its quotes first (option_parser/src/lib.rs, `impl Parseable for T: FromStr`).
    """

    label: str
    read: Callable[[str], object]
    raw: bool = False


def split(text: str) -> list[str]:
    """Cut at the commas that are neither in brackets nor in quotes, as split_commas() there. Raises ValueError."""
    parts, current, depth, quoted = [], "", 0, False
    for char in text.strip():
        if char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char == "[") - (char == "]")
            if depth < 0:
                raise ValueError("a ']' has no '['")
            if char == "," and not depth:
                parts.append(current)
                current = ""
                continue
        current += char
    if quoted or depth:
        raise ValueError("a quote is not closed" if quoted else "a '[' is not closed")
    return [*parts, current]


def unquoted(text: str) -> str:
    """Without its quotes; a quote that opens where one closed before is kept, as dequote() there."""
    out, before, quoted = [], "", False
    for char in text:
        if char == '"':
            if before == '"' and not quoted:
                out.append('"')
            quoted = not quoted
        else:
            out.append(char)
        before = char
    return "".join(out)


def _integer(maximum: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # Rust's parse() takes a plus, and no white space or underscore
        if not re.fullmatch(r"\+?[0-9]+", text, re.ASCII) or len(text) > 30 or int(text) > maximum:
            raise ValueError
        return int(text)

    return read


def _size(text: str) -> int:
    text = text.strip()
    shift = _UNITS.get(text[-1:], 0)
    return _integer((1 << 64 - shift) - 1)(text.rstrip("KMG")) << shift


def _toggle(text: str) -> bool:
    return {"on": True, "true": True, "off": False, "false": False}[text.lower()]


def _integers(maximum: int) -> Callable[[str], list[int]]:
    number = _integer(maximum)

    def read(text: str) -> list[int]:
        found: list[int] = []
        for part in text.strip().strip("[]").split(","):
            first, dash, last = part.partition("-")
            start = number(first)
            end = number(last) if dash else start
            if (dash and end <= start) or end - start > 0xFFFF:
                raise ValueError
            found += range(start, end + 1)
        return found

    return read


def _pairs(left: str, maximum: int, right: str, inner: Callable[[str], object]) -> Callable[[str], list[object]]:
    number = _integer(maximum)

    def read(text: str) -> list[object]:
        text = text.strip()
        if not (text.startswith("[") and text.endswith("]") and len(text) > 1):
            raise ValueError
        found: list[object] = []
        for pair in split(text[1:-1]):
            first, at, second = pair.strip().partition("@")
            if not at:
                raise ValueError
            found.append({left: number(unquoted(first)), right: inner(second)})
        return found

    return read


def _mac(text: str) -> str:
    if not _MAC.fullmatch(text):
        raise ValueError
    return text


def _address(text: str) -> str:
    return str(ip_address(text))


def _topology(text: str) -> dict[str, int]:
    names = ("threads_per_core", "cores_per_die", "dies_per_package", "packages")
    return dict(zip(names, map(_integer(0xFFFF), text.split(":")), strict=True))


def _port(text: str) -> int:
    if not re.fullmatch(r"0x[0-9A-Fa-f]{1,4}", text):
        raise ValueError
    return int(text, 16)


def _access(text: str) -> str:
    if len(text) > 2:
        raise ValueError
    return text


def _features(text: str) -> dict[str, bool]:
    names = strings(text)
    if set(names) - {"amx"}:
        raise ValueError
    return dict.fromkeys(names, True)


def strings(text: str) -> list[str]:
    """The strings of `[a,b]`; brackets at both ends go, quotes stay (`impl Parseable for StringList` there)."""
    return split(text.strip().strip("[]"))


def words(*meaning: str, any_case: bool = True) -> Kind:
    """One of some words: `virtio-mem=VirtioMem` is the word and its name in the VM config."""
    pairs = dict(pair.split("=") for pair in meaning)
    return Kind(f"one of {listed(list(pairs))}", lambda text: pairs[text.lower() if any_case else text])


def integer(bits: int) -> Kind:
    """An unsigned integer of so many bits."""
    return Kind(f"a number from 0 to {(1 << bits) - 1}", _integer((1 << bits) - 1))


def integers(bits: int) -> Kind:
    """`[0,2-4]`: numbers of so many bits, and ranges of them."""
    return Kind("a list of numbers and ranges such as [0,2-4]", _integers((1 << bits) - 1), raw=True)


def cpus_of(left: str, bits: int) -> Kind:
    """`[0@[1,2]]`: for each number the host's CPUs."""
    read = _pairs(left, (1 << bits) - 1, "host_cpus", _integers((1 << 64) - 1))
    return Kind("a list of pairs such as [0@[1,2],1@[3]]", read, raw=True)


TEXT = Kind("a text", str)
SIZE = Kind("a size such as 512M", _size)
TOGGLE = Kind("on or off", _toggle, raw=True)
STRINGS = Kind("a list such as [a,b]", strings, raw=True)
MAC = Kind("a MAC address", _mac)
ADDRESS = Kind("an IP address", _address)
TOPOLOGY = Kind("four numbers such as 1:2:1:1", _topology)
PORT = Kind("a port such as 0xe9", _port)
ACCESS = Kind("r, w or rw", _access)
FEATURES = Kind("a list of CPU features; there is one, amx", _features, raw=True)
DISTANCES = Kind(
    "a list of pairs such as [1@20]", _pairs("destination", 0xFFFFFFFF, "distance", _integer(0xFF)), raw=True
)
