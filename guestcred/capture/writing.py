"""Writes the tree of a capture: whole or not at all, by open folders, wherever others may move them."""

from __future__ import annotations

import contextlib
import os
import stat

from guestcred.apply.dirfd import Folder, open_root
from guestcred.errors import FINDINGS, USAGE, GuestcredError
from guestcred.outcome import done_or_undone


def write_tree(path: str, files: dict[str, bytes | None]) -> None:
    """Write the whole tree under a new name beside `path`, then rename it; raises GuestcredError if `path` exists.

    `files` has relative paths; None is a folder. Only the folder around `path` is looked up by its path. Where a
    failure or a signal comes before the end, all is removed again.
    """
    around, name = os.path.split(path.rstrip("/"))
    with open_root(around or ".", live=False) as at:
        if at.status(name) is not None:
            raise GuestcredError(f"cannot capture into {path}: it already exists", "name a new folder", status=USAGE)
        _Writing(at, name, path).write(files)


class _Writing:
    def __init__(self, at: Folder, name: str, path: str) -> None:
        self._at, self._name, self._path = at, name, path
        self._temporary = f"{name[:200]}.{os.urandom(8).hex()}.tmp"
        self._made: Folder | None = None
        self._ours: Folder | None = None  # the same, as soon as nobody else can change what is in it

    def write(self, files: dict[str, bytes | None]) -> None:
        try:
            done_or_undone(lambda: self._write(files), self._undo)
        finally:
            if self._made is not None:
                with contextlib.suppress(OSError):
                    os.close(self._made.fd)

    def _write(self, files: dict[str, bytes | None]) -> None:
        self._made = top = self._at.make(self._temporary)
        status = top.status()
        assert status is not None
        # whoever owns the folder around it may have put another in its place before it was opened
        others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid != os.geteuid() or others_write or top.names():
            raise self._changed()
        self._ours = top  # wherever they may move it
        _fill(top, files)
        self._at.rename(self._temporary, self._name)
        if not self._is_at(self._name, top):
            raise self._changed()

    def _changed(self) -> GuestcredError:
        return GuestcredError(
            f"cannot write the capture to {self._path}: another user changed that folder meanwhile",
            "capture into a folder that only root may write to, such as /root",
            status=FINDINGS,
        )

    def _is_at(self, name: str, folder: Folder) -> bool:
        status = self._at.status(name)
        return status is not None and os.path.samestat(status, os.fstat(folder.fd))

    def _undo(self, _error: BaseException) -> None:
        """Remove what was made, and nothing that others put into its place; the first failure is the one to report."""
        names = [self._temporary]
        if self._ours is not None:
            ours = self._ours
            with contextlib.suppress(GuestcredError):
                ours.empty()
            names = [name for name in (self._temporary, self._name) if self._is_at(name, ours)]
        for name in names:
            with contextlib.suppress(GuestcredError):
                self._at.remove_empty(name)


def _fill(folder: Folder, files: dict[str, bytes | None]) -> None:
    below: dict[str, dict[str, bytes | None]] = {}
    for path, data in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = data
        elif data is None:
            below.setdefault(name, {})
        else:
            folder.write(name, data, os.geteuid(), os.getegid(), 0o600)
    for name, inner in below.items():
        with folder.make(name) as made:
            _fill(made, inner)
