"""What stands in the folders where systemd looks for credentials, and which of it guestcred put there."""

from __future__ import annotations

import binascii
import os
import stat

from guestcred.c_modules import compare_digest
from guestcred.guest.rootfs import NotAFileError, Tree
from guestcred.systemd.search_path import CREDSTORES, RESCUE

# A rescued credential is known by its time of change: a second in 2001 that no clock shows again, and in it
# the nanosecond that its name hashes to. Whoever writes into it or copies it under another name makes it theirs.
RESCUED_SECOND = 1_000_000_000
NEXT_RESCUE = ".guestcred-next-"  # and a number: a rescued credential on its way over an older one of its name


def rescue_mark(name: str) -> int:
    """The time of change, in nanoseconds, by which a rescued credential of that name is known."""
    return RESCUED_SECOND * 10**9 + binascii.crc32(name.encode()) % 10**9


def is_rescued(name: str, status: os.stat_result) -> bool:
    """Whether guestcred put the file there that has this name and `status`."""
    if not stat.S_ISREG(status.st_mode):
        return False
    if name.startswith(NEXT_RESCUE):
        return status.st_mtime_ns // 10**9 == RESCUED_SECOND
    return status.st_mtime_ns == rescue_mark(name)


def find_other(tree: Tree, name: str, value: bytes) -> tuple[str, bool] | None:
    """The path of another's file that would win over a rescue of that name or stands in its place, and whether it
    holds the same bytes, so that nothing is lacking."""
    for folder in CREDSTORES[: CREDSTORES.index(RESCUE) + 1]:
        path = f"{folder}/{name}"
        status = tree.status(f"{tree.resolve(folder)}/{name}")
        if status is None or (folder == RESCUE and is_rescued(name, status)):
            continue
        try:
            there = tree.read(tree.follow(path))
        except NotAFileError:
            there = None
        return path, there is not None and compare_digest(there, value)
    return None


def rescued_names(tree: Tree) -> tuple[str, ...]:
    """The names in run/credstore that guestcred put there, sorted."""
    found = ((name, tree.status(f"{RESCUE}/{name}")) for name in tree.names(RESCUE) or ())
    return tuple(name for name, status in found if status is not None and is_rescued(name, status))
