"""The manifest, what the host meant to send: two credentials around the others, written on the host, read in the guest.

The first is `guestcred.manifest=1/SALT/NAME:SIZE:DIGEST/NAME:SIZE:DIGEST...`, the last `guestcred.end=1/COUNT`. What is
lost on the way is the tail of a table, so the first one tells what was behind it, and the last one that all is there.
"""

from __future__ import annotations

from guestcred.c_modules import hmac_sha256
from guestcred.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST = "guestcred.manifest"
END = "guestcred.end"
FRAME = (MANIFEST, END)

SALT_SIZE = 16  # bytes
DIGEST_SIZE = 8  # bytes, the first of an HMAC
_VERSION = b"1"
_HEX = b"0123456789abcdef"
_SIZE_DIGITS = 7  # of the largest credential, 1 MiB


class Meant(Record):
    """One credential as the host meant it; `size` in bytes of its value, `digest` in hex."""

    name: bytes
    size: int
    digest: bytes


class Manifest(Record):
    """What the host meant, in the order of its strings; `salt` is the key of every digest."""

    salt: bytes
    meant: tuple[Meant, ...]

    def fits(self, meant: Meant, value: bytes) -> bool:
        """Whether `value` is what was meant. A digest may lie, and so may a manifest: nothing but words hangs on it."""
        return meant.size == len(value) and meant.digest == digest(self.salt, meant.name, value)


def digest(salt: bytes, name: bytes, value: bytes) -> bytes:
    """The first 8 bytes, in hex, of HMAC-SHA256 with `salt` as key over the name, a NUL and the value."""
    return hmac_sha256(salt, name + b"\0" + value)[:DIGEST_SIZE].hex().encode("ascii")


def manifest_value(salt: bytes, values: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The value of `guestcred.manifest` for names and values in the order in which they are sent."""
    entries = [b"%b:%d:%b" % (name, len(value), digest(salt, name, value)) for name, value in values]
    return b"/".join([_VERSION, salt.hex().encode("ascii"), *entries])


def end_value(count: int) -> bytes:
    """The value of `guestcred.end` behind `count` credentials."""
    return b"%b/%d" % (_VERSION, count)


def read_manifest(value: bytes) -> Manifest | None:
    """The manifest in a value, or None where it is not of this form. Any bytes are accepted; names are not judged."""
    version, _, rest = value.partition(b"/")
    salt, *entries = rest.split(b"/")
    if version != _VERSION or not _is_hex(salt, SALT_SIZE):
        return None
    meant = []
    for entry in entries:
        name, _, rest = entry.partition(b":")
        size, _, told = rest.partition(b":")
        if not name or (number := _number(size)) is None or not _is_hex(told, DIGEST_SIZE):
            return None
        meant.append(Meant(name, number, told))
    if len({entry.name for entry in meant}) < len(meant):
        return None
    return Manifest(bytes.fromhex(salt.decode("ascii")), tuple(meant))


def _is_hex(text: bytes, size: int) -> bool:
    return len(text) == 2 * size and not text.translate(None, _HEX)


def _number(text: bytes) -> int | None:
    """A number as it is written here: digits, no zero in front."""
    if not text.isdigit() or len(text) > _SIZE_DIGITS or (text[:1] == b"0" and len(text) > 1):
        return None
    return int(text)
