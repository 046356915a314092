"""What PID 1 should have put into `@system`, by guestcred's rules, from what it could read."""

from __future__ import annotations

from guestcred.guest.snapshot import Guest
from guestcred.smbios.walk import Structure, parse
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import IMPORTS_SMBIOS_SINCE, PAGE, READ_CUT, STORE_PAGES


def read_structures(guest: Guest) -> tuple[Structure, ...]:
    """The Type 11 structures as this systemd reads them from the entries: 252 only 4096 bytes of each."""
    cut = READ_CUT if guest.systemd == IMPORTS_SMBIOS_SINCE else None
    return tuple(structure for entry in guest.entries or () for structure in parse(entry.data[:cut]).structures[:1])


def predict(guest: Guest) -> dict[str, bytes]:
    """Name to bytes: the sources in systemd's order, the first of a name wins, and the store has 256 pages."""
    if guest.parameters.import_disabled:
        return {}
    smbios = {
        verdict.name: verdict.value
        for verdict in judge(read_structures(guest), guest.systemd)
        if isinstance(verdict, Accepted)
    }
    cmdline = {name: value for name, (_, value) in guest.parameters.credentials.items()}
    wanted: dict[str, bytes] = {}
    for source in (guest.fw_cfg or {}, smbios, cmdline):
        for name, value in source.items():
            wanted.setdefault(name, value)
    if guest.systemd == IMPORTS_SMBIOS_SINCE:
        return wanted
    kept: dict[str, bytes] = {}
    free = STORE_PAGES
    for name, value in wanted.items():
        free -= max(1, -(-len(value) // PAGE))
        if free < 0:
            break
        kept[name] = value
    return kept
