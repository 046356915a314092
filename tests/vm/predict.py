"""What PID 1 should have put into `@system`, by guestcred's rules, from what it could read."""

from __future__ import annotations

from guestcred.guest.facts import read_facts
from guestcred.guest.snapshot import Guest
from guestcred.smbios.walk import Structure, parse
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import PAGE, READ_CUT, READ_WHOLE_SINCE, STORE_PAGES

TMPFS_SINCE = 254  # mount_credentials_fs() in systemd src/shared/mount-util.c
NOSWAP_SINCE = (6, 4)  # mm/shmem.c of Linux


def read_structures(guest: Guest) -> tuple[Structure, ...]:
    """The Type 11 structures as this systemd reads them from the entries: those before 257 only 4096 bytes of each."""
    cut = READ_CUT if guest.systemd is not None and guest.systemd < READ_WHOLE_SINCE else None
    return tuple(structure for entry in guest.entries or () for structure in parse(entry.data[:cut]).structures[:1])


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
    if not _keeps_pages(guest):
        return wanted
    kept: dict[str, bytes] = {}
    free = STORE_PAGES
    for name, value in wanted.items():
        free -= max(1, -(-len(value) // PAGE))
        if free < 0:
            break
        kept[name] = value
    return kept


def _keeps_pages(guest: Guest) -> bool:
    """Whether `@system` is a tmpfs: since systemd 254, where the kernel has noswap for it; otherwise it is a ramfs."""
    major, minor = (read_facts(guest.root).kernel or "0.0").split(".")[:2]
    return guest.systemd is not None and guest.systemd >= TMPFS_SINCE and (int(major), int(minor)) >= NOSWAP_SINCE
