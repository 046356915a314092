"""The folders below run/ that `apply` writes to: opened, checked, and locked for one run."""

from __future__ import annotations

import fcntl
import os
import stat
import time

from guestcred.apply.diff import Changes, find_changes
from guestcred.apply.dirfd import Folder, open_root, refuse_disk, refuse_untrusted
from guestcred.apply.plan import Plan
from guestcred.apply.wanted import Wanted
from guestcred.apply.writing import Writing
from guestcred.errors import FINDINGS, GuestcredError, reason
from guestcred.guest.rootfs import Tree
from guestcred.guest.users import find_user

HOME, STORE = "guestcred", "credstore"  # below run/
HOME_MODE, STORE_MODE = 0o711, 0o700  # others cannot read the folder, so they cannot lock it either
LOCK_SECONDS = 10.0


class Installation:
    """The two folders below run/ that `apply` writes to, opened and checked; one that does not exist yet is made later.

    As a context it takes the lock, which lasts until the process ends: nothing changes between the look that a plan is
    made from and the writing. Raises GuestcredError for a folder that others may change or that is not in memory.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._root = open_root(tree.root)
        refuse_untrusted(self._root, self._root)
        if self._root.status("run") is None:
            raise GuestcredError(
                f"there is no folder {self._root.shown('run')}",
                "guestcred writes there: make one in memory",
                status=FINDINGS,
            )
        self._run = self._checked(self._root, "run")
        self._home = self._existing(HOME)
        self._store = self._existing(STORE)
        self._is_new = False

    def __enter__(self) -> Installation:
        self._is_new = self._home is None
        home = self._home = self._home or self._made(HOME, HOME_MODE)
        _lock(home)
        self._store = self._store or self._existing(STORE)  # made by a run that had the lock before this one
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self._is_new:
            from contextlib import suppress

            with suppress(OSError):  # the first failure is the one to report
                os.rmdir(HOME, dir_fd=self._run.fd)  # nothing was written, so leave nothing behind

    def _checked(self, parent: Folder, name: str) -> Folder:
        status = parent.status(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise parent.refused(name, "it is not a folder")
        folder = parent.open(name)
        refuse_untrusted(folder, self._root)
        refuse_disk(folder)
        return folder

    def _existing(self, name: str) -> Folder | None:
        return None if self._run.status(name) is None else self._checked(self._run, name)

    def _made(self, name: str, mode: int) -> Folder:
        try:
            folder = self._run.make(name)
        except GuestcredError:
            if self._run.status(name) is None:
                raise
            return self._checked(self._run, name)  # another run made it just now
        folder.own(os.geteuid(), os.getegid(), mode)
        return folder

    def changes(self, wanted: Wanted) -> Changes:
        """What `install` would do; changes nothing."""
        return find_changes(self._home, self._store, wanted)

    def install(self, wanted: Wanted) -> Changes:
        """Write what is wanted, and return what had to change. Raises GuestcredError; then the old state is intact.

        Only to be called inside the context, which has the lock.
        """
        self._refuse_vanished(wanted.plan)
        home = self._home
        assert home is not None
        status = home.status()
        if status is not None and stat.S_IMODE(status.st_mode) != HOME_MODE:
            home.own(os.geteuid(), os.getegid(), HOME_MODE)
        changes = self.changes(wanted)
        if changes.any:
            if changes.rescue and self._store is None:
                self._store = self._made(STORE, STORE_MODE)
            Writing(home, self._store, changes, wanted).run()
        return changes

    def _refuse_vanished(self, plan: Plan) -> None:
        """Give no file to a user id that was removed, or given to somebody else, since the plan was made."""
        for directory in plan.directories:
            user = find_user(self._tree, directory.user)
            if user is None or user.uid != directory.uid:
                raise GuestcredError(
                    f"the user {directory.user} of {directory.unit} was removed or changed while apply ran",
                    "run it again",
                    status=FINDINGS,
                )


def _lock(home: Folder) -> None:
    """Make a second run wait up to LOCK_SECONDS; the kernel drops the lock however this run ends."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(home.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise GuestcredError(
                    f"another run has kept {home.path} locked for {LOCK_SECONDS:.0f} seconds",
                    "see what it does: systemctl status guestcred.service",
                    status=FINDINGS,
                ) from None
            time.sleep(0.05)
        except OSError as error:
            raise GuestcredError(f"cannot lock {home.path}: {reason(error)}", status=FINDINGS) from None
