"""Type 11 strings for systemd-boot and systemd-stub: which are in the table, and whether they read them."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.systemd.offered import Place, Unrelated, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FRONT = b"io.systemd."
NOT_FIRST = "read by nobody: of several Type 11 structures only the first is looked at"
REPEATED = "read by nobody: the first of this key is taken"


class Key(Record):
    """A string that is no credential and has a reader: its `key` without the value, and `since` which systemd it is known.

    `reader` says in a clause who reads it, or that nobody does and why.
    """

    key: str
    place: Place
    since: int
    reader: str

    @property
    def is_read(self) -> bool:
        """Whether somebody reads it."""
        return not self.reader.startswith("read by nobody")


def keys(offered: Iterable[Verdict], systemd: int | None) -> tuple[Key, ...]:
    """Those strings of the table, in order; `systemd` is the version that boot loader and stub are taken to have.

    smbios_find_oem_string() in systemd src/boot/smbios.c looks at the first structure and takes the first string with the
    key; only config_load_smbios_entries() goes on to the others.
    """
    strings = [verdict for verdict in offered if isinstance(verdict, Unrelated) and verdict.text.startswith(FRONT)]
    if not strings:
        return ()
    from guestcred.systemd.atlas import oem_string, reading

    found: list[Key] = []
    for verdict in strings:
        entry = oem_string(verdict.text)
        if entry is None:
            continue
        told = reading(entry, entry.name, systemd).text
        if verdict.place.instance:
            told = NOT_FIRST
        elif entry.name.endswith("=") and any(key.key == entry.name for key in found):
            told = REPEATED
        found.append(Key(key=entry.name, place=verdict.place, since=entry.since, reader=told))
    return tuple(found)
