"""Structures -> what PID 1 should take from them, string by string, and what it refuses and why."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.smbios.walk import OEM_STRINGS, OEM_STRINGS_SIZE, Structure
from guestcred.systemd.rules import SIZE_MAX, TOTAL_SIZE_MAX, base64_decode, is_whole_base64, name_is_valid, shown_name

TEXT_PREFIX = b"io.systemd.credential:"
BINARY_PREFIX = b"io.systemd.credential.binary:"
SHOWN_FRONT = 4  # characters of a name that may be a secret
FORMATTED_SIZE = OEM_STRINGS_SIZE  # what PID 1 insists on: offsetof(struct dmi_field_header, contents) in systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Reason = Literal[
        "no-equals", "invalid-name", "bad-base64", "too-large", "total-too-large", "duplicate", "type11-length"
    ]

REASONS: dict[Reason, str] = {
    "no-equals": "there is no '=' between name and value",
    "invalid-name": "a name is 1 to 255 printable ASCII characters without '/' and ':', and not '.' or '..'",
    "bad-base64": "the value is not base64 that this systemd decodes",
    "too-large": "the value is larger than 1 MiB",
    "total-too-large": "the credentials before it leave no room under 1 MiB in total",
    "duplicate": "an earlier string has the same name, and the first wins",
    "type11-length": "its Type 11 structure, or one before it, is not 5 bytes long, and PID 1 stops there",
}


class Place(Record):
    """Where an OEM string is: `index` counts the strings of a structure from 1, `instance` Type 11 structures from 0,
    like the N of `entries/11-N`."""

    handle: int
    index: int
    instance: int

    @property
    def of_structure(self) -> tuple[int, int]:
        """(handle, number): the string among those of its structure."""
        return self.handle, self.index

    def __str__(self) -> str:
        return f"handle {self.handle:#06x}, string {self.index}"


class Accepted(Record):
    """An OEM string that is a credential; `value` decoded, `encoding` "text" or "binary"."""

    name: str
    encoding: str
    value: bytes
    place: Place

    @property
    def shown(self) -> str:
        """The name for people and programs: only its front where it may be the secret itself."""
        return shortened(self.name) if is_bare_secret(self.name.encode("ascii"), self.value) else self.name


class Rejected(Record):
    """An OEM string with a credential prefix that PID 1 refuses; `name` is as it is shown, None where none can be read.

    `raw_name` is all from the prefix to the first '=', or to the end.
    """

    name: str | None
    place: Place
    reason: Reason
    hint: str
    raw_name: bytes


class Unrelated(Record):
    """Another OEM string; `text` is raw, `hint` says which near miss it looks like, if any."""

    text: bytes
    place: Place
    hint: str | None


Verdict = Accepted | Rejected | Unrelated


def split_prefix(text: bytes) -> tuple[str, bytes] | None:
    """("text" or "binary", what follows the prefix), or None for a string without an exact prefix."""
    if text.startswith(TEXT_PREFIX):
        return "text", text[len(TEXT_PREFIX) :]
    if text.startswith(BINARY_PREFIX):
        return "binary", text[len(BINARY_PREFIX) :]
    return None


def is_bare_secret(name: bytes, value: bytes) -> bool:
    """Whether `NAME=` may be missing before a padded base64 value: PID 1 then takes the padding for '=' and a value."""
    return value in (b"", b"=") and is_whole_base64(name + b"=" + value)


def shortened(name: str) -> str:
    """The front of a name that may be a secret."""
    return f"{name[:SHOWN_FRONT]}..."


def is_secret_file(name: str, size: int) -> bool:
    """Whether PID 1 may have made a file of `size` bytes from a bare secret: the file's name is then that secret."""
    raw = name.encode("utf-8", "surrogateescape")
    return size < 2 and any(is_bare_secret(raw, value) for value in (b"", b"="))


def shown_file(name: str, size: int) -> str:
    """The name of a credential's file for people and programs: only its front where it may be the secret itself."""
    return shortened(name) if is_secret_file(name, size) else shown_name(name)


def mentions_credential(text: bytes) -> bool:
    """Whether a string may be meant as a credential, however its prefix is spelt, and so may hold a secret."""
    lower = text.lower()
    return b"credential" in lower or b"io.systemd.cred" in lower


def near_miss(text: bytes) -> str | None:
    """What is wrong with a string that was probably meant to be a credential, or None."""
    if TEXT_PREFIX in text or BINARY_PREFIX in text:
        return (
            "a space or quote or other text comes before the prefix: remove it where the hypervisor is given the string"
        )
    lower = text.lower()
    head = lower.partition(b"=")[0]
    behind = lower[head.find(b"credential") :]
    if b"io.systemd.cred" not in head and not (b"credential" in head and (b":" in behind or b"=" in behind)):
        return None
    prefix = BINARY_PREFIX if b".binary" in head else TEXT_PREFIX
    wanted = prefix.decode("ascii")
    if b"io.systemd.credentials" in head:
        return f"the prefix has an 's' too many: write '{wanted}'"
    if prefix in lower:
        return f"the prefix must be in lower case: write '{wanted}'"
    return "the prefix must be exactly 'io.systemd.credential:' or 'io.systemd.credential.binary:'"


def near_name(text: bytes) -> bytes | None:
    """The name in a near miss, between ':' and '='; never a part of the value, which `why` would then give away."""
    behind = text[text.lower().find(b"io.systemd.cred") :].partition(b":")[2]
    name, equals, _ = behind.partition(b"=")
    return name if equals else None


def _rejection_hint(reason: Reason, name: bytes | None, value: bytes) -> str:
    match reason:
        case "no-equals":
            return "write NAME=VALUE behind the prefix"
        case "invalid-name" if name is not None and b"/" in name:
            return "'/' cannot stand in a name: use '.', '-' or '_'"
        case "invalid-name" if name is not None and b":" in name:
            return "':' cannot stand in a name: use '.', '-' or '_', and '=' between name and value"
        case "invalid-name":
            return "rename the credential on the host"
        case "bad-base64" if base64_decode(value, None) is not None:
            return "systemd before 254 knows no URL-safe base64 ('-' and '_'): encode with the standard alphabet"
        case "bad-base64" if base64_decode(value + b"=" * (-len(value) % 4), None) is not None:
            return "the '=' padding at the end is missing"
        case "bad-base64":
            return "encode the value with 'base64 -w0', or use 'io.systemd.credential:' for plain text"
        case "duplicate":
            return "give each credential one name on the host"
        case "type11-length":
            return "the firmware or hypervisor builds a malformed Type 11 structure: report it there"
    return "make it smaller, or hand it over on a disk or over vsock"


class Importer:
    """PID 1's import from SMBIOS, string by string, as import_credentials_smbios() does it.

    `systemd` is the major version, None for unknown (the newest rules).
    """

    def __init__(self, systemd: int | None) -> None:
        self._systemd = systemd
        self._taken: set[str] = set()
        self._total = 0  # bytes of all values taken
        self._ended = False

    def take(self, structure: Structure, instance: int) -> list[Verdict]:
        """The verdicts on the strings of Type 11 structure number `instance`; empty ones are skipped, as PID 1 does."""
        self._ended = self._ended or structure.length != FORMATTED_SIZE
        return [
            self._judge(text, Place(structure.handle, index, instance))
            for index, text in enumerate(structure.strings, 1)
            if text
        ]

    def _judge(self, text: bytes, place: Place) -> Verdict:
        split = split_prefix(text)
        if split is None:
            return Unrelated(text, place, near_miss(text))
        encoding, assignment = split
        raw_name, equals, raw_value = assignment.partition(b"=")
        # parse_smbios_strings() of systemd: name, then base64, then sizes, then the file that may exist already
        name = raw_name.decode("ascii") if equals and name_is_valid(raw_name) else None
        value = raw_value if encoding == "text" else base64_decode(raw_value, self._systemd)
        reason: Reason
        if self._ended:
            reason = "type11-length"
        elif not equals:
            reason = "no-equals"
        elif name is None:
            reason = "invalid-name"
        elif value is None:
            reason = "bad-base64"
        elif len(value) > SIZE_MAX:
            reason = "too-large"
        elif len(value) > TOTAL_SIZE_MAX - self._total:
            reason = "total-too-large"
        elif name in self._taken:
            reason = "duplicate"
        else:
            self._taken.add(name)
            self._total += len(value)
            return Accepted(name=name, encoding=encoding, value=value, place=place)
        return Rejected(
            name=shortened(name) if name is not None and is_bare_secret(raw_name, raw_value) else name,
            place=place,
            reason=reason,
            hint=_rejection_hint(reason, raw_name if equals else None, raw_value),
            raw_name=raw_name,
        )


def judge(structures: tuple[Structure, ...], systemd: int | None) -> tuple[Verdict, ...]:
    """Judge every string of every Type 11 structure in table order; `systemd` is the same as for `Importer`."""
    importer = Importer(systemd)
    instances = enumerate(structure for structure in structures if structure.type == OEM_STRINGS)
    return tuple([verdict for number, structure in instances for verdict in importer.take(structure, number)])
