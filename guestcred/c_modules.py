"""The private C modules behind six public ones, for the boot path.

Each public module imports several others, and costs from a quarter to all of a bare interpreter's start. The private
ones may change with Python or python-systemd, so nothing else of the package imports them, and a test holds each
function here to its public twin.
"""

from __future__ import annotations

import _operator
import sys

compare_digest = _operator._compare_digest
"""`hmac.compare_digest`: whether two byte strings are equal, in constant time. `hmac` imports OpenSSL."""


def quoted(text: str) -> str:
    """A string as JSON in ASCII, as `json.dumps` writes it."""
    from _json import encode_basestring_ascii

    return encode_basestring_ascii(text)


def parse_json(text: str) -> object:
    """The value of a JSON text, as `json.loads` gives it. Raises ValueError."""
    from _json import make_scanner

    start = len(text) - len(text.lstrip(_JSON_SPACE))
    try:
        value, end = make_scanner(_Decoder)(text, start)  # type: ignore[arg-type]  # typeshed knows no context
    except StopIteration as stop:
        raise ValueError(f"no value at character {stop.value}") from None
    if text[end:].strip(_JSON_SPACE):
        raise ValueError(f"more than one value, the second at character {end}")
    return value


_JSON_SPACE = " \t\n\r"


class _Decoder:
    """The defaults of `json.JSONDecoder`, for the scanner."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> float:
        return float(name.replace("Infinity", "inf"))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """`hmac.digest(key, message, "sha256")` for keys of up to 64 bytes (RFC 2104); `hmac` and `hashlib` import OpenSSL."""
    if sys.version_info >= (3, 12):
        from _sha2 import sha256
    else:
        from _sha256 import sha256  # type: ignore[import-not-found]  # typeshed does not have it
    assert len(key) <= 64
    block = key.ljust(64, b"\0")
    inner = sha256(block.translate(_INNER) + message).digest()
    return bytes(sha256(block.translate(_OUTER) + inner).digest())


_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))


def prctl(option: int, argument: int) -> int:
    """prctl(2), -1 for a failure; `ctypes.CDLL(None).prctl` also needs memory that is writable and executable."""
    import _ctypes

    # None is this program itself, as in ctypes.CDLL(None)
    program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    return int(_ctypes.call_function(_ctypes.dlsym(program, "prctl"), (option, argument, 0, 0, 0)))


def journal_send(*fields: str) -> None:
    """Write `NAME=value` fields to the journal, like `systemd.journal.sendv`. Raises ImportError without python-systemd."""
    from systemd._journal import sendv

    sendv(*fields)


def notify(state: str) -> None:
    """Send `state` to the service manager, like `systemd.daemon.notify`. Raises ImportError without python-systemd."""
    from systemd._daemon import notify

    notify(state)
