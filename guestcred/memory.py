"""Files with values, in a private folder that no disk holds."""

from __future__ import annotations

import ctypes
import os

from guestcred.errors import FINDINGS, USAGE, GuestcredError

MEMORY_BACKED = {0x01021994: "tmpfs", 0x858458F6: "ramfs"}  # statfs(2), f_type

_libc = ctypes.CDLL(None, use_errno=True)


def _is_memory_backed(fd: int) -> bool:
    # struct statfs begins with f_type, a long wherever there is SMBIOS; Python's os.statvfs leaves it out
    buffer = (ctypes.c_ulong * 32)()
    if _libc.fstatfs(fd, ctypes.byref(buffer)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return buffer[0] & 0xFFFFFFFF in MEMORY_BACKED


def write_private(folder: str, files: dict[str, bytes]) -> list[str]:
    """Make the new folder (0700) on tmpfs or ramfs and write the files (0400) into it; returns their absolute paths.

    All or nothing: after a failure, or when interrupted, the folder is gone again. Raises GuestcredError.
    """
    folder = os.path.abspath(folder)
    parent, name = os.path.split(folder)
    made = False
    try:
        at = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not _is_memory_backed(at):
                raise GuestcredError(
                    f"{parent} is on a disk, where secrets would remain",
                    "name a folder below /run, such as one of the unit's RuntimeDirectory=",
                    status=USAGE,
                )
            os.mkdir(name, 0o700, dir_fd=at)
            made = True
            inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            try:
                _write_all(inside, files)
            finally:
                os.close(inside)
        except BaseException:
            if made:
                os.rmdir(name, dir_fd=at)
            raise
        finally:
            os.close(at)
    except OSError as error:
        hints = ["name a new folder: this one is made and filled whole"] if isinstance(error, FileExistsError) else []
        reason = (error.strerror or str(error)).lower()
        raise GuestcredError(f"cannot write the secrets into {folder}: {reason}", *hints, status=FINDINGS) from None
    return [os.path.join(folder, file) for file in files]


def _write_all(folder: int, files: dict[str, bytes]) -> None:
    written = []
    try:
        for name, data in files.items():
            fd = os.open(
                name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400, dir_fd=folder
            )
            written.append(name)
            with open(fd, "wb", buffering=0) as file:
                while data:
                    data = data[file.write(data) :]
    except BaseException:
        for name in written:
            os.unlink(name, dir_fd=folder)
        raise
