"""A file that somebody asked for: written whole, or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from guestcred.apply.dirfd import open_root
from guestcred.errors import USAGE, GuestcredError
from guestcred.outcome import done_or_undone


def write_whole(path: str, data: bytes, mode: int | None = None) -> None:
    """Write `data` beside `path` under another name, then rename it; what was there is replaced if it is a file.

    It has that mode, or the permissions of what was there, or those that the umask gives to any new file.

    Raises GuestcredError (exit status 3) for what cannot be written, and for a link or anything else that is no file; for
    an empty path exit status 2.
    """
    if not path:
        raise GuestcredError("the name of the file to write is empty", "name a file", status=USAGE)
    around, name = os.path.split(path)
    mask = os.umask(0o077)
    os.umask(mask)
    temporary = f".guestcred-{os.urandom(8).hex()}.tmp"
    try:
        with open_root(around or ".", live=False) as folder:
            there = folder.status(name or ".")
            if there is not None and not stat.S_ISREG(there.st_mode):
                kind = "link" if stat.S_ISLNK(there.st_mode) else "folder" if stat.S_ISDIR(there.st_mode) else "device"
                raise folder.refused(name, f"it is a {kind}", "name a file")

            usual = 0o666 & ~mask if there is None else there.st_mode & 0o777

            def write() -> None:
                folder.write(temporary, data, os.geteuid(), os.getegid(), usual if mode is None else mode)
                folder.rename(temporary, name)

            def remove(_error: BaseException) -> None:
                with suppress(GuestcredError):
                    folder.remove(temporary)

            done_or_undone(write, remove)
    except GuestcredError as error:
        raise error.as_no_finding() from None
