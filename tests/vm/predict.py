"""What PID 1 should have put into `@system`, by guestcred's rules, from what it could read."""

from __future__ import annotations

from guestcred.guest.facts import read_facts
from guestcred.guest.snapshot import Guest
from guestcred.smbios.walk import Structure
from guestcred.systemd.importing import keep, read_entry
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import STORE_SINCE

NOSWAP_SINCE = (6, 4)  # mm/shmem.c of Linux


def read_structures(guest: Guest) -> tuple[Structure, ...]:
    """The Type 11 structures as this systemd reads them from the entries: those before 257 only 4096 bytes of each."""
    return tuple(structure for entry in guest.entries or () for structure in read_entry(entry.data, guest.systemd))


def predict(
    guest: Guest, first: dict[str, bytes] | None = None, last: dict[str, bytes] | None = None
) -> dict[str, bytes]:
    """Name to bytes: the sources in systemd's order, the first of a name wins, and a tmpfs has 256 pages.

    `first` and `last` are what an initrd brings, before and behind the other sources.
    """
    if guest.parameters.import_disabled:
        return {}
    smbios = {
        verdict.name: verdict.value
        for verdict in judge(read_structures(guest), guest.systemd)
        if isinstance(verdict, Accepted)
    }
    cmdline = {name: value for name, (_, value) in guest.parameters.credentials.items()}
    wanted: dict[str, bytes] = {}
    for source in (first or {}, guest.fw_cfg or {}, smbios, cmdline, last or {}):
        for name, value in source.items():
            wanted.setdefault(name, value)
    return keep(wanted) if _keeps_pages(guest) else wanted


def _keeps_pages(guest: Guest) -> bool:
    """Whether `@system` is a tmpfs: since systemd 254, where the kernel has noswap for it; otherwise it is a ramfs."""
    major, minor = (read_facts(guest.root).kernel or "0.0").split(".")[:2]
    return guest.systemd is not None and guest.systemd >= STORE_SINCE and (int(major), int(minor)) >= NOSWAP_SINCE
