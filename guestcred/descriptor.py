"""Reads an open file, up to a limit and until a deadline; says whether it is in memory, and who may change it."""

from __future__ import annotations

import os
import stat
import sys
import time

MEMORY = (b"tmpfs", b"ramfs")
_PART = 1 << 20  # bytes of one read(2)


def read_to_end(fd: int, limit: int, deadline: float | None = None) -> bytes | None:
    """All bytes of `fd`; of more than `limit` bytes only enough to show that. Raises OSError, for a folder for example.

    None where `deadline` (seconds of the monotonic clock) came first: a pipe may never end.
    """
    parts, size = [], 0
    while size <= limit:
        if deadline is not None and not is_ready(fd, deadline):
            return None
        part = os.read(fd, _PART)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def is_ready(fd: int, deadline: float) -> bool:
    """Whether `fd` can be read, or has ended, before `deadline` (seconds of the monotonic clock)."""
    import select

    return bool(select.select([fd], [], [], max(0, deadline - time.monotonic()))[0])


def distrusted(status: os.stat_result, owner: int) -> tuple[str, str] | None:
    """(what is wrong, the command to type) where anybody but root and `owner` may change a file or folder."""
    if status.st_uid not in (0, owner):
        return "not owned by root", "chown root"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "may be written by others than its owner", "chmod go-w"
    return None


def is_in_memory(fd: int) -> bool:
    """Whether the file or folder is on tmpfs or ramfs, where no disk keeps what is written. Raises OSError."""
    device = os.fstat(fd).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}".encode()
    # not open(), which passes over a failure of fstat(2)
    mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    try:
        listed = read_to_end(mounts, sys.maxsize) or b""
    finally:
        os.close(mounts)
    # proc(5): ID, parent, major:minor, root, place, options, " - ", file system type, ...
    for line in listed.splitlines():
        mount, _, kind = line.partition(b" - ")
        if mount.split(b" ")[2] == wanted and kind.split(b" ")[0] in MEMORY:
            return True
    return False
