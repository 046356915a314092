"""Plan and values -> files, whole or not at all; the writing edge of `apply`.

A new generation is written whole beside the current one, one rename of `.current` switches, and only then the
old one goes. What is rescued gets its name in run/credstore when it is whole.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from guestcred.apply.diff import (
    CURRENT,
    FILE_MODE,
    FOLDER_MODE,
    GENERATION_MODE,
    GENERATIONS,
    NEXT,
    REPORT,
    REPORT_MODE,
    Changes,
    Wanted,
    find_changes,
)
from guestcred.apply.dirfd import Folder, open_root, refuse_disk, refuse_untrusted
from guestcred.apply.plan import Plan
from guestcred.errors import FINDINGS, GuestcredError, reason
from guestcred.guest.credstores import NEXT_RESCUE, is_rescued, rescue_mark
from guestcred.guest.rootfs import Tree
from guestcred.guest.users import find_user
from guestcred.systemd.rules import TOTAL_SIZE_MAX

HOME, STORE = "guestcred", "credstore"  # below run/
HOME_MODE, STORE_MODE = 0o711, 0o700  # without the right to read it, others cannot take the lock on it either
LOCK_SECONDS = 10.0


class Installation:
    """The two folders below run/ that `apply` writes to, checked; either is None while it does not exist.

    As a context it takes the lock, for as long as the process lives, so that what is read for a plan is what it is
    written by.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._root = open_root(tree.root)
        refuse_untrusted(self._root, self._root)
        if self._root.status("run") is None:
            raise GuestcredError(
                f"there is no folder {self._root.shown('run')}",
                "it holds what is written: make one in memory",
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
        self._store = self._store or self._existing(STORE)  # of a run that had the lock before this one
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self._is_new:
            from contextlib import suppress

            with suppress(OSError):  # the failure itself is what must be told
                os.rmdir(HOME, dir_fd=self._run.fd)  # nothing was written, and so nothing shall be there

    def _checked(self, parent: Folder, name: str) -> Folder:
        status = parent.status(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise parent.refused(name, "it is no folder")
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
        """What `install` would do, with nothing done."""
        return find_changes(self._home, self._store, wanted)

    def install(self, wanted: Wanted) -> Changes:
        """Make what is there what is wanted, and say what that took. Raises GuestcredError, with the old state intact.

        To be called in the context only.
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
            _clear(home, self._store, changes)
            if changes.generation is not None:
                _clear_strangers(home)
            made: list[tuple[Folder, str]] = []
            try:
                _write(home, self._store, changes, wanted, made)
            except BaseException:
                for folder, name in reversed(made):
                    _take_back(folder, name, folder is self._store)
                raise
            _remove_old(home, self._store, changes)
        return changes

    def _refuse_vanished(self, plan: Plan) -> None:
        """Files must not go to a number that has become nobody's, or somebody else's, since the plan was made."""
        for one in plan.directories:
            user = find_user(self._tree, one.user)
            if user is None or user.uid != one.uid:
                raise GuestcredError(
                    f"the user {one.user} of {one.unit} has vanished while apply ran",
                    "run it again",
                    status=FINDINGS,
                )


def _clear(home: Folder, store: Folder | None, changes: Changes) -> None:
    """Remove what a killed run left."""
    for name in changes.leftovers:
        home.remove(name) if name == NEXT else home.remove_folder(name)
    for name in changes.retract:
        if store is not None and name.startswith(NEXT_RESCUE):
            store.remove(name)


def _clear_strangers(home: Folder) -> None:
    """Remove what services' users put into their folders, which may leave no room for what is to be written.

    What guestcred wrote there has group 0, which they cannot give, one name, and a limit on its size.
    """
    current = home.target(CURRENT)
    if current is None or home.status(current) is None:
        return
    with home.open(current) as generation:
        for unit in generation.names():
            if unit == REPORT:
                continue
            with generation.open(unit) as folder:
                found = {name: status for name in folder.names() if (status := folder.status(name)) is not None}
                ours = {name: one.st_size for name, one in found.items() if _is_ours(one)}
                keep = ours.keys() if sum(ours.values()) <= TOTAL_SIZE_MAX else ()
                for name in found.keys() - keep:
                    _take_back(folder, name, False)


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_gid == 0 and status.st_nlink == 1


def _write(
    home: Folder, store: Folder | None, changes: Changes, wanted: Wanted, made: list[tuple[Folder, str]]
) -> None:
    """Write all that is new, then switch to it by renames only; `made` gets what a failing run has to take back."""
    values = {file.name: wanted.values[file.place] for file in wanted.plan.rescues}
    for name in changes.rescue:
        assert store is not None
        made.append((store, name))
        _publish(store, name, values[name], rescue_mark(name))
    if changes.generation is not None:
        made.append((home, changes.generation))
        _write_generation(home, changes.generation, wanted)
    for name in changes.links:
        home.link(name, f"{CURRENT}/{name}")
        made.append((home, name))
    for number, name in enumerate(changes.replace):
        assert store is not None
        made.append((store, f"{NEXT_RESCUE}{number}"))
        _publish(store, f"{NEXT_RESCUE}{number}", values[name], rescue_mark(name))
    if changes.generation is not None:
        home.link(NEXT, changes.generation)
        made.append((home, NEXT))
    for number, name in enumerate(changes.replace):
        assert store is not None
        store.rename(f"{NEXT_RESCUE}{number}", name)
    if changes.generation is not None:
        home.rename(NEXT, CURRENT)


def _publish(store: Folder, name: str, value: bytes, mark: int) -> None:
    store.publish(name, value, os.geteuid(), os.getegid(), FILE_MODE, mark)


def _write_generation(home: Folder, name: str, wanted: Wanted) -> None:
    uid, gid = os.geteuid(), os.getegid()
    with home.make(name) as generation:
        for directory in wanted.plan.directories:
            with generation.make(directory.unit) as below:
                for file in directory.files:
                    below.write(file.name, wanted.values[file.place], directory.uid, 0, FILE_MODE)
                below.own(directory.uid, 0, FOLDER_MODE)
        generation.write(REPORT, wanted.report, uid, gid, REPORT_MODE)
        generation.own(uid, gid, GENERATION_MODE)


def _remove_old(home: Folder, store: Folder | None, changes: Changes) -> None:
    """Remove what nobody reads any more; what of it a killed run leaves, the next one finds and removes."""
    for name in changes.dropped:
        home.remove(name)
    if changes.generation is not None:
        for name in GENERATIONS:
            if name != changes.generation and home.status(name) is not None:
                home.remove_folder(name)
    for name in changes.retract:
        if store is not None and not name.startswith(NEXT_RESCUE):
            store.remove(name)


def _lock(home: Folder) -> None:
    """Keep a second run waiting, for a while; the kernel lets go of it however this one ends."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(home.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise GuestcredError(
                    f"another run has held {home.path} for {LOCK_SECONDS:.0f} seconds",
                    "see what it does: systemctl status guestcred.service",
                    status=FINDINGS,
                ) from None
            time.sleep(0.05)
        except OSError as error:
            raise GuestcredError(f"cannot lock {home.path}: {reason(error)}", status=FINDINGS) from None


def _take_back(folder: Folder, name: str, rescue: bool) -> None:
    """Remove what a failing run made, and nothing that another put there in its place."""
    try:
        status = folder.status(name)
        if status is None or (rescue and not is_rescued(name, status)):
            return
        folder.remove_folder(name) if stat.S_ISDIR(status.st_mode) else folder.remove(name)
    except GuestcredError:
        pass  # the failure to write is what must be told, and the next run clears what is left
