"""Structures -> what PID 1 should take from them, string by string, and what it refuses and why."""

from __future__ import annotations

from guestcred.errors import GuestcredError
from guestcred.record import Record
from guestcred.smbios.walk import OEM_STRINGS, OEM_STRINGS_SIZE, Structure
from guestcred.systemd.rules import (
    BINARY_PREFIX,
    SIZE_MAX,
    TEXT_PREFIX,
    TOTAL_SIZE_MAX,
    URL_SAFE_SINCE,
    base64_decode,
    name_is_valid,
)
from guestcred.systemd.shown import shown

STRINGS_MAX = 4096  # OEM strings of a table that are looked at; PID 1 has room for 256 credentials
FORMATTED_SIZE = OEM_STRINGS_SIZE  # what PID 1 insists on: offsetof(struct dmi_field_header, contents) in systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Encoding = Literal["text", "binary"]
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
    like the N of `entries/11-N`. Only these two tell strings apart: firmware may give structures the same `handle`."""

    handle: int
    index: int
    instance: int

    @property
    def key(self) -> tuple[int, int]:
        """(instance, number): no other string of the table has the same."""
        return self.instance, self.index

    @property
    def short(self) -> str:
        """The string by entry and number, in the form in which it may stand in for a name, since no name has a ':'."""
        return f"{OEM_STRINGS}-{self.instance}:{self.index}"

    def __str__(self) -> str:
        return f"handle {self.handle:#06x}, string {self.index}"


class Accepted(Record):
    """An OEM string that is a credential; `value` decoded."""

    name: str
    encoding: Encoding
    value: bytes
    place: Place

    @property
    def shown(self) -> str:
        """The name for people and programs."""
        return shown(self.name, self.value)


class Rejected(Record):
    """An OEM string with a credential prefix that PID 1 refuses.

    `raw_name` is all from the prefix to the first '=', or to the end; `shown` is that for people and programs, and
    `name` the same, but None where it is no name.
    """

    name: str | None
    place: Place
    reason: Reason
    hint: str
    raw_name: bytes
    shown: str


class Unrelated(Record):
    """Another OEM string; `text` is raw, `hint` says which near miss it looks like, if any."""

    text: bytes
    place: Place
    hint: str | None


Verdict = Accepted | Rejected | Unrelated


def split_prefix(text: bytes) -> tuple[Encoding, bytes] | None:
    """("text" or "binary", what follows the prefix), or None for a string without an exact prefix."""
    if text.startswith(TEXT_PREFIX):
        return "text", text[len(TEXT_PREFIX) :]
    if text.startswith(BINARY_PREFIX):
        return "binary", text[len(BINARY_PREFIX) :]
    return None


def _rejection_hint(reason: Reason, name: bytes, value: bytes) -> str:
    match reason:
        case "no-equals":
            return "write NAME=VALUE behind the prefix"
        case "invalid-name" if b"/" in name:
            return "'/' cannot stand in a name: use '.', '-' or '_'"
        case "invalid-name" if b":" in name:
            return "':' cannot stand in a name: use '.', '-' or '_', and '=' between name and value"
        case "invalid-name":
            return "rename the credential on the host"
        case "bad-base64" if base64_decode(value, None) is not None:
            return f"systemd before {URL_SAFE_SINCE} knows no URL-safe base64 ('-' and '_'): encode with the standard alphabet"
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
        self._taken: dict[str, Accepted] = {}  # by name
        self._total = 0  # bytes of all values taken
        self._ended = False

    def take(self, structure: Structure, instance: int) -> list[Verdict]:
        """The verdicts on the strings of Type 11 structure number `instance`; empty ones are skipped, as PID 1 does."""
        self._ended = self._ended or structure.length != FORMATTED_SIZE
        handle = structure.handle
        return [
            self._judge(text, Place(handle=handle, index=index, instance=instance))
            for index, text in enumerate(structure.strings, 1)
            if text
        ]

    def _judge(self, text: bytes, place: Place) -> Verdict:
        split = split_prefix(text)
        if split is None:
            from guestcred.systemd.unrelated import near_miss

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
            taken = Accepted(name=name, encoding=encoding, value=value, place=place)
            self._taken[name] = taken
            self._total += len(value)
            return taken
        # what is hidden once is hidden here too
        first = None if name is None else self._taken.get(name)
        told = shown(raw_name, raw_value) if first is None else first.shown
        return Rejected(
            name=told if name is not None else None,
            place=place,
            reason=reason,
            hint=_rejection_hint(reason, raw_name, raw_value),
            raw_name=raw_name,
            shown=told,
        )


def judge(structures: tuple[Structure, ...], systemd: int | None) -> tuple[Verdict, ...]:
    """Judge every string of every Type 11 structure in table order; `systemd` is the same as for `Importer`.

    Raises GuestcredError (exit status 3) for more than STRINGS_MAX of them.
    """
    oem = [structure for structure in structures if structure.type == OEM_STRINGS]
    strings = sum(structure.string_set.count(b"\0") + 1 for structure in oem if structure.string_set)
    if strings > STRINGS_MAX:
        raise GuestcredError(
            f"the table has {strings} OEM strings, more than the {STRINGS_MAX} that guestcred looks at",
            "see who makes the table: PID 1 has room for 256 credentials, and no hypervisor needs so many strings",
        )
    importer = Importer(systemd)
    return tuple([verdict for number, structure in enumerate(oem) for verdict in importer.take(structure, number)])
