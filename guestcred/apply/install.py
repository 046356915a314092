"""The folders below run/ that `apply` writes to: opened, checked, and locked for one run."""

from __future__ import annotations

import fcntl
import os
import stat
import time

from guestcred.apply.diff import MOVE, Changes, find_changes
from guestcred.apply.dirfd import Folder, open_root, refuse_disk, refuse_untrusted
from guestcred.apply.wanted import Wanted
from guestcred.apply.writing import Writing
from guestcred.errors import FINDINGS, GuestcredError, reason
from guestcred.guest.rootfs import Tree

HOME, STORE = "guestcred", "credstore"  # below run/
HOME_MODE, STORE_MODE = 0o711, 0o700  # others cannot read the folder, so they cannot lock it either
LOCK_SECONDS = 10.0


NO_FOLDER = {  # what to do about something else in its place, by the name below the root or below run/
    "run": "make it a folder in memory; links are not followed here",
    HOME: MOVE,
    STORE: "look at it, and put a folder there: systemd looks for credentials in it",
}


class Installation:
    """The two folders below run/ that `apply` writes to, opened and checked; one that does not exist yet is made later.

    As a context it takes the lock, which lasts until the process ends: nothing changes between the look that a plan is
    made from and the writing. Raises GuestcredError for a folder that others may change or that is not in memory.
    """

    def __init__(self, tree: Tree) -> None:
        self._root = open_root(tree.root, tree.live)
        refuse_untrusted(self._root, self._root)
        run = self._existing(self._root, "run")
        if run is None:
            raise GuestcredError(
                f"there is no folder {self._root.shown('run')}",
                "guestcred writes there: make one in memory",
                status=FINDINGS,
            )
        self._run = run
        self._home = self._existing(run, HOME)
        self._store = self._existing(run, STORE)
        self._made: list[str] = []  # below run/, for this run: to remove again if it fails

    def __enter__(self) -> Installation:
        try:
            self._home = self._locked()
            self._store = self._existing(self._run, STORE)  # as the run left it that had the lock before this one
        except BaseException:
            self._take_back()  # nobody calls __exit__ of what was not entered
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._take_back()

    def _take_back(self) -> None:
        """Remove the folders that this run made."""
        from contextlib import suppress

        for name in reversed(self._made):
            with suppress(OSError):  # it is not empty; and the first failure is the one to report
                os.rmdir(name, dir_fd=self._run.fd)

    def _existing(self, parent: Folder, name: str) -> Folder | None:
        status = parent.status(name)
        if status is None:
            return None
        if not stat.S_ISDIR(status.st_mode):
            raise parent.refused(name, "it is not a folder", NO_FOLDER[name])
        folder = parent.find(name)
        if folder is not None:
            refuse_untrusted(folder, self._root)
            refuse_disk(folder)
        return folder

    def _make(self, name: str, mode: int) -> Folder | None:
        folder = self._run.make_new(name)
        if folder is not None:
            self._made.append(name)
            folder.own(*folder.owner, mode)
        return folder

    def _locked(self) -> Folder:
        """run/guestcred, which is made if need be, and locked.

        A run that fails removes what it made, while another may wait for the lock on it. So the lock counts only if its
        folder is still the one of that name.
        """
        end = time.monotonic() + LOCK_SECONDS
        while True:
            home = self._existing(self._run, HOME) or self._make(HOME, HOME_MODE)
            if home is not None:
                _lock(home, end)
                there = self._run.status(HOME)
                if there is not None and os.path.samestat(os.fstat(home.fd), there):
                    return home

    def changes(self, wanted: Wanted) -> Changes:
        """What `install` would do; changes nothing."""
        return find_changes(self._home, self._store, wanted)

    def install(self, wanted: Wanted) -> Changes:
        """Write what is wanted, and return what had to change. Raises GuestcredError; then the old state is intact.

        Only to be called inside the context, which has the lock.
        """
        home = self._home
        assert home is not None
        status = home.status()
        if status is None or stat.S_IMODE(status.st_mode) != HOME_MODE:
            home.own(*home.owner, HOME_MODE)
        changes = self.changes(wanted)
        if changes.any:
            if changes.rescue:
                self._store = self._make(STORE, STORE_MODE) or self._existing(self._run, STORE)
            Writing(home, self._store, changes, wanted).run()
        return changes


def _lock(home: Folder, end: float) -> None:
    """Lock the folder, and wait until `end` (monotonic seconds) for another run; the kernel drops the lock however this one ends."""
    while True:
        try:
            fcntl.flock(home.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise GuestcredError(
                    f"another run has kept {home.path} locked for {LOCK_SECONDS:.0f} seconds",
                    "see which process that is: lslocks -o PID,COMMAND,PATH",
                    status=FINDINGS,
                ) from None
            time.sleep(0.05)
        except OSError as error:
            raise GuestcredError(f"cannot lock {home.path}: {reason(error)}", status=FINDINGS) from None
