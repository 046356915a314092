"""How much PID 1 of a version reads and keeps: what it imports of a Type 11 structure, before anything is lost elsewhere."""

from __future__ import annotations

from guestcred.smbios.walk import Structure, parse
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import (
    IMPORTS_SMBIOS_SINCE,
    READ_CUT,
    READ_WHOLE_SINCE,
    STORE_PAGES,
    STORE_SINCE,
    URL_SAFE_SINCE,
    pages,
)

# the versions from which on an import differs from that of the one before
CHANGES = (IMPORTS_SMBIOS_SINCE, STORE_SINCE, URL_SAFE_SINCE, READ_WHOLE_SINCE)


def read_entry(entry: bytes, systemd: int | None) -> tuple[Structure, ...]:
    """The structure in the bytes of `entries/11-N/raw` as that systemd reads it; None is the newest."""
    cut = READ_CUT if systemd is not None and systemd < READ_WHOLE_SINCE else None
    return parse(entry[:cut]).structures[:1]


def keep(wanted: dict[str, bytes]) -> dict[str, bytes]:
    """What a tmpfs of 256 pages keeps of credentials in their order: the import stops at the first without room."""
    kept = {}
    free = STORE_PAGES
    for name, value in wanted.items():
        free -= pages(len(value))
        if free < 0:
            break
        kept[name] = value
    return kept


def imports(entry: bytes, systemd: int) -> dict[str, bytes]:
    """Name to bytes of all that this systemd imports of one entry, on Linux 6.4 or later and where nothing forbids it."""
    if systemd < IMPORTS_SMBIOS_SINCE:
        return {}
    verdicts = judge(read_entry(entry, systemd), systemd)
    taken = {verdict.name: verdict.value for verdict in verdicts if isinstance(verdict, Accepted)}
    return keep(taken) if systemd >= STORE_SINCE else taken
