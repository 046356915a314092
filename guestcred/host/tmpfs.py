"""Files with values, in a private folder that is never on a disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from guestcred.descriptor import is_in_memory
from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.outcome import done_or_undone, unbroken


def fill_private_folder(folder: str, files: dict[str, bytes], use: Callable[[list[str]], object]) -> None:
    """Make the new folder (0700) on tmpfs or ramfs, write the files (0400) into it, and call `use` with their paths.

    All or nothing: if a failure or a signal comes before `use` is done, the folder is removed again. Raises
    GuestcredError.
    """
    folder = os.path.abspath(folder)
    parent, name = os.path.split(folder)
    at = inside = -1
    made = False

    def write() -> None:
        nonlocal at, inside, made
        at = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not is_in_memory(at):
            raise GuestcredError(
                f"{parent} is on a disk, where secrets would remain",
                "choose a folder below /run, for example in the unit's RuntimeDirectory=",
                status=USAGE,
            )
        with unbroken():
            os.mkdir(name, 0o700, dir_fd=at)
            made = True
        inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        for file, data in files.items():
            _write(inside, file, data)

    def write_and_use() -> None:
        try:
            write()
        except OSError as error:
            hints = ["choose a new folder: guestcred makes it itself"] if isinstance(error, FileExistsError) else []
            raise GuestcredError(
                f"cannot write the secrets into {folder}: {reason(error)}", *hints, status=FINDINGS
            ) from None
        use([os.path.join(folder, file) for file in files])

    def remove(_error: BaseException) -> None:
        if made:
            _remove(at, name, inside, files)

    try:
        done_or_undone(write_and_use, remove)
    finally:
        for fd in (inside, at):
            if fd >= 0:
                os.close(fd)


def _write(folder: int, name: str, data: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400, dir_fd=folder)
    with open(fd, "wb", buffering=0) as file:
        while data:
            data = data[file.write(data) :]


def _remove(at: int, name: str, inside: int, files: dict[str, bytes]) -> None:
    """Remove what can be removed; the first failure is the one to report."""
    for file in files if inside >= 0 else ():
        with contextlib.suppress(OSError):
            os.unlink(file, dir_fd=inside)
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=at)
