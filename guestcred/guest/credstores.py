"""The files in the folders where systemd looks for credentials, and which of them guestcred put there."""

from __future__ import annotations

import binascii
import os
import stat

from guestcred.c_modules import compare_digest
from guestcred.guest.facts import read_capture
from guestcred.guest.rootfs import NotAFileError, Tree
from guestcred.systemd.search_path import CREDSTORES, RESCUE
from guestcred.systemd.shown import REST_MAX, shown

# A rescued credential is known by its time of change: a second in 2001 that no clock shows again, and in it
# the nanosecond that its name hashes to. Once written to, or copied under another name, it is not one.
RESCUED_SECOND = 1_000_000_000
NEXT_RESCUE = ".guestcred-next-"  # and a number: a rescued credential that is about to replace an older one of its name


def rescue_mark(name: str) -> int:
    """The time of change, in nanoseconds, by which a rescued credential of that name is known."""
    return RESCUED_SECOND * 10**9 + binascii.crc32(name.encode()) % 10**9


def is_rescued(name: str, status: os.stat_result) -> bool:
    """Whether guestcred made the file with this name and `status`."""
    if not stat.S_ISREG(status.st_mode):
        return False
    if name.startswith(NEXT_RESCUE):
        return status.st_mtime_ns // 10**9 == RESCUED_SECOND
    return status.st_mtime_ns == rescue_mark(name)


def find_other(tree: Tree, name: str, value: bytes) -> tuple[str, bool] | None:
    """(path, whether it holds the same bytes) of a file that guestcred did not make, and that systemd would find before
    a rescued credential of that name or in its place; None where there is none."""
    for folder in CREDSTORES[: CREDSTORES.index(RESCUE) + 1]:
        path = f"{folder}/{name}"
        status = tree.status(f"{tree.resolve(folder)}/{name}")
        if status is None or (folder == RESCUE and is_rescued(name, status)):
            continue
        try:
            data = tree.read(tree.follow(path))
        except NotAFileError:
            data = None
        return path, data is not None and compare_digest(data, value)
    return None


def rescued_names(tree: Tree) -> tuple[str, ...]:
    """The names in run/credstore that guestcred put there, sorted."""
    files = ((name, tree.status(f"{RESCUE}/{name}")) for name in tree.names(RESCUE) or ())
    return tuple(name for name, status in files if status is not None and is_rescued(name, status))


def rescues(tree: Tree) -> frozenset[str]:
    """The names in run/credstore that guestcred put there; of a captured tree also those that its capture.json names,
    since a copy of a file has another time."""
    told = None if tree.live else read_capture(tree).get("rescued")
    copied = frozenset(name for name in told if isinstance(name, str)) if isinstance(told, list) else frozenset()
    return frozenset(rescued_names(tree)) | (copied & frozenset(tree.names(RESCUE) or ()))


def rescued_among(tree: Tree, missing: dict[str, bytes]) -> frozenset[str]:
    """Those of the `missing` credentials, name to offered bytes, that guestcred put into run/credstore as they are."""
    found = set()
    for name in rescues(tree) & missing.keys():
        try:
            data = tree.read(f"{RESCUE}/{name}")
        except NotAFileError:
            continue
        if data is not None and compare_digest(data, missing[name]):
            found.add(name)
    return frozenset(found)


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
    except NotAFileError:
        return shown(name, b"")
