"""The private C modules behind a few public ones, for the boot path.

Each public module imports several others, and costs from a quarter to all of a bare interpreter's start. The private
ones may change with Python or python-systemd, so nothing else of the package imports them, and a test holds each
function here to its public twin.
"""

from __future__ import annotations

import _operator
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

compare_digest = _operator._compare_digest
"""`hmac.compare_digest`: whether two byte strings are equal, in constant time. `hmac` imports OpenSSL."""


def quoted(text: str) -> str:
    """A string as JSON in ASCII, as `json.dumps` writes it."""
    from _json import encode_basestring_ascii

    return encode_basestring_ascii(text)


def json_text(value: object) -> str:
    """JSON on one line, of dictionaries, lists, tuples, strings, integers, booleans and None."""
    match value:
        case dict():
            return "{" + ", ".join(f"{quoted(key)}: {json_text(below)}" for key, below in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(json_text, value)) + "]"
        case str():
            return quoted(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    raise TypeError(f"no JSON of a {type(value).__name__}")


def parse_json(text: str) -> object:
    """The value of a JSON text, as `json.loads` gives it. Raises ValueError."""
    from _json import make_scanner

    start = len(text) - len(text.lstrip(_JSON_SPACE))
    try:
        value, end = make_scanner(_Decoder)(text, start)  # type: ignore[arg-type]  # typeshed knows no context
    except StopIteration as stop:
        raise ValueError(f"no value at character {stop.value}") from None
    except SystemError:  # before Python 3.12, whose scanner has no words of its own unless `json` is there
        raise ValueError("it is cut, or has a character too many") from None
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


PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 1, 4, 38, 39  # include/uapi/linux/prctl.h


def prctl(option: int, *arguments: int | bytes) -> int:
    """prctl(2), -1 for a failure; bytes are passed by address."""
    return _call("prctl", option, *arguments, *(0,) * (4 - len(arguments)))


def lower_limit(limit: int, value: int) -> None:
    """setrlimit(2) of both values of a limit; one that is lower already stays, since only some may raise it."""
    import resource

    _, hard = resource.getrlimit(limit)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (least, least))


def drop_capabilities() -> int:
    """capset(2) of none, -1 for a failure: `os` has none, and libcap is not everywhere."""
    # struct __user_cap_header_struct of version 3 for this process, and two of struct __user_cap_data_struct
    return _call("capset", (0x20080522).to_bytes(4, "little") + bytes(4), bytes(2 * 12))


def filter_system_calls(program: bytes) -> int:
    """Lay a seccomp filter of classic BPF on this process for good, -1 for a failure: seccomp(2)."""
    import _ctypes

    class Pointer(_ctypes._SimpleCData):  # type: ignore[type-arg]  # generic in typeshed only
        _type_ = "z"  # as ctypes.c_char_p

    address = bytes(Pointer(program))
    # struct sock_fprog: how many instructions of 8 bytes, and where
    count = (len(program) // 8).to_bytes(len(address), sys.byteorder)
    return prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, count + address)


_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2  # prctl(2)


def _call(name: str, *arguments: int | bytes) -> int:
    """A function of the C library; `ctypes.CDLL(None)` also needs memory that is writable and executable."""
    import _ctypes

    # None is this program itself, as in ctypes.CDLL(None)
    program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    return int(_ctypes.call_function(_ctypes.dlsym(program, name), arguments))


def end_by_sigint() -> None:
    """Let SIGINT end this process as SIGTERM does, and not by an exception; where it is ignored, it stays so.

    `signal.signal` and `signal.SIG_DFL`: its `enum` alone costs a quarter of a start.
    """
    import _signal  # type: ignore[import-not-found]  # typeshed has only the public one

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def unix_socket() -> socket:
    """`socket.socket(socket.AF_UNIX)`: with its `enum` and `selectors` that module costs most of a start."""
    from _socket import AF_UNIX, SOCK_STREAM
    from _socket import socket as plain_socket

    return plain_socket(AF_UNIX, SOCK_STREAM)  # type: ignore[return-value]  # all of it that is used is there


def listener(connected: socket) -> tuple[int, int]:
    """(pid, uid) of the process that began to listen there, listen(2); 0 for a pid of another namespace. unix(7), SO_PEERCRED."""
    from _socket import SO_PEERCRED, SOL_SOCKET
    from struct import calcsize, unpack

    pid, uid, _ = unpack("iII", connected.getsockopt(SOL_SOCKET, SO_PEERCRED, calcsize("iII")))
    return pid, uid


def journal_send(*fields: str) -> None:
    """Write `NAME=value` fields to the journal, like `systemd.journal.sendv`. Raises ImportError without python-systemd."""
    from systemd._journal import sendv

    sendv(*fields)


def notify(state: str) -> None:
    """Send `state` to the service manager, like `systemd.daemon.notify`. Raises ImportError without python-systemd."""
    from systemd._daemon import notify

    notify(state)
