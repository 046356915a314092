"""The private C modules behind five public ones, for the boot path.

Each public module imports several others, and costs from a quarter to all of a bare interpreter's start. The private
ones may change with Python or python-systemd, so nothing else of the package imports them, and a test holds each
function here to its public twin.
"""

from __future__ import annotations

import _operator

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
