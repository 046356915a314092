"""A decoded table, and its strings as they may be shown: every value redacted unless revealed."""

from __future__ import annotations

from guestcred.diagnose.findings import Finding
from guestcred.record import Record
from guestcred.smbios.walk import OEM_STRINGS, Structure, Table
from guestcred.systemd.offered import Verdict, split_prefix
from guestcred.systemd.rules import base64_decode, name_is_valid
from guestcred.systemd.shown import hidden, shown
from guestcred.systemd.unrelated import mentions_credential, shown_string
from guestcred.text import printable


class Dump(Record):
    """A decoded table to show: the structures of `kinds` and `handle` (None: all).

    `typed` shows the fields of each, else it is their strings as credentials. `quiet` leaves out what only makes sense
    together with other structures, as `dmidecode --quiet` does.
    """

    table: Table
    version: str | None
    verdicts: tuple[Verdict, ...]
    warnings: tuple[Finding, ...]
    kinds: frozenset[int] | None
    typed: bool
    reveal: bool
    handle: int | None = None
    quiet: bool = False

    def structures(self) -> list[Structure]:
        """The structures that are shown."""
        return [
            structure
            for structure in self.table.structures
            if (self.kinds is None or structure.type in self.kinds) and self.handle in (None, structure.handle)
        ]

    @property
    def chosen(self) -> str:
        """Which structures are shown, for a sentence about there being none."""
        if self.handle is not None:
            return f" with the handle {self.handle:#06x}"
        return "" if self.kinds is None else f" of type {', '.join(map(str, sorted(self.kinds)))}"

    def strings(self, structure: Structure) -> list[str]:
        """The structure's strings; what may hold a secret is redacted unless `reveal`."""
        if self.reveal:
            return [printable(text) for text in structure.strings]
        if structure.type != OEM_STRINGS:
            return [_other(text) for text in structure.strings]
        # a comma in a value may have cut it into several strings, and nobody knows into how many
        told, behind = [], False
        for text in structure.strings:
            meant = mentions_credential(text)
            told.append(_credential(text) or shown_string(text, meant, behind))
            behind = behind or meant
        return told


def _credential(text: bytes) -> str | None:
    """A string with an exact prefix, without its value, and with its name where that may be shown; None for others."""
    split = split_prefix(text)
    if split is None:
        return None
    encoding, rest = split
    prefix = text[: len(text) - len(rest)].decode("ascii")
    name, equals, value = rest.partition(b"=")
    if not equals or not name_is_valid(name):
        return prefix + hidden(rest)
    decoded = base64_decode(value, None) if encoding == "binary" else value
    return f"{prefix}{shown(name, value if decoded is None else decoded)}={hidden(value)}"


def _other(text: bytes) -> str:
    """A string of another structure, in which nobody looks for credentials, but where one may stand by mistake."""
    return _credential(text) or (hidden(text) if mentions_credential(text) else printable(text))
