"""The files in the folders where systemd looks for credentials, and which of them guestcred put there."""

from __future__ import annotations

import binascii
import os
import stat

from guestcred.c_modules import compare_digest
from guestcred.errors import GuestcredError
from guestcred.guest.facts import read_capture
from guestcred.guest.rootfs import NotAFileError, Tree
from guestcred.record import Record
from guestcred.systemd.search_path import CREDSTORES, ENCRYPTED_PATH, RESCUE
from guestcred.systemd.shown import REST_MAX, shown

# A rescued credential is known by its time of change: a second in 2001 that no clock shows again, and in it
# the nanosecond that its name hashes to. Once written to, or copied under another name, it is not one.
RESCUED_SECOND = 1_000_000_000
NEXT_RESCUE = ".guestcred-next-"  # and a number: a rescued credential that is about to replace an older one of its name


def rescue_mark(name: str) -> int:
    """The time of change, in nanoseconds, by which a rescued credential of that name is known."""
    return RESCUED_SECOND * 10**9 + binascii.crc32(name.encode()) % 10**9


def is_rescued(name: str, status: os.stat_result, copied: frozenset[str] = frozenset()) -> bool:
    """Whether guestcred made the file in run/credstore with this name and `status`; `copied` as of `copied_rescues`."""
    if not stat.S_ISREG(status.st_mode):
        return False
    if name in copied:
        return True
    if name.startswith(NEXT_RESCUE):
        return status.st_mtime_ns // 10**9 == RESCUED_SECOND
    return status.st_mtime_ns == rescue_mark(name)


class Found(Record):
    """The file that systemd finds instead of a missing credential: its path, whether it holds the same bytes, and whether
    guestcred put it there."""

    path: str
    is_same: bool
    is_ours: bool


def find_all(tree: Tree, missing: dict[str, bytes]) -> dict[str, Found]:
    """By name, what stands where systemd would find a rescue of these credentials, name to offered bytes, or before it."""
    copied = copied_rescues(tree) if missing else frozenset()
    return {name: found for name, value in missing.items() if (found := _find(tree, name, value, copied)) is not None}


def _find(tree: Tree, name: str, value: bytes, copied: frozenset[str]) -> Found | None:
    for folder in CREDSTORES[: CREDSTORES.index(RESCUE) + 1]:
        path = f"{folder}/{name}"
        status = tree.status(f"{tree.resolve(folder)}/{name}")
        if status is None:
            continue
        try:
            data = tree.read(tree.follow(path))
        except NotAFileError:
            data = None
        is_same = data is not None and compare_digest(data, value)
        return Found(path, is_same, folder == RESCUE and is_rescued(name, status, copied))
    return None


class Stored(Record):
    """A file in which systemd finds a credential that PID 1 did not import: its path, its size in bytes, whether it is to be
    decrypted, and whether guestcred put it there."""

    path: str
    size: int
    is_encrypted: bool
    is_ours: bool


def stored(tree: Tree, name: str) -> tuple[Stored, ...]:
    """Where systemd finds a credential of that name besides `@system`, in its order; only regular files."""
    found = []
    for folder in (*CREDSTORES, *ENCRYPTED_PATH):
        status = tree.status(tree.follow(f"{folder}/{name}"))
        if status is not None and stat.S_ISREG(status.st_mode):
            ours = folder == RESCUE and is_rescued(name, status, copied_rescues(tree))
            encrypted = folder in ENCRYPTED_PATH
            found.append(Stored(path=f"{folder}/{name}", size=status.st_size, is_encrypted=encrypted, is_ours=ours))
    return tuple(found)


def rescues(tree: Tree) -> frozenset[str]:
    """The names in run/credstore that guestcred put there."""
    copied = copied_rescues(tree)
    files = ((name, tree.status(f"{RESCUE}/{name}")) for name in tree.names(RESCUE) or ())
    return frozenset(name for name, status in files if status is not None and is_rescued(name, status, copied))


def copied_rescues(tree: Tree) -> frozenset[str]:
    """The names of rescues in a captured tree, by its capture.json, since a copy of a file has another time."""
    told = None if tree.live else read_capture(tree).get("rescued")
    return frozenset(name for name in told if isinstance(name, str)) if isinstance(told, list) else frozenset()


def shown_file(tree: Tree, path: str) -> str:
    """The name of a credential's file for people and programs; a small file is read to see whether it has a value."""
    name = path.rpartition("/")[2]
    path = tree.follow(path)
    status = tree.status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return shown(name, b"")
    if status.st_size > REST_MAX:
        return shown(name, status.st_size)
    try:
        return shown(name, tree.read(path, "a credential") or b"")
    except GuestcredError:
        return shown(name, b"")
