"""Plan and values -> files, whole or not at all; the writing edge of `apply`.

/run/guestcred/UNIT leads to .current/UNIT, and .current to one of two generations: the other one is written
whole, one rename switches, and only then the old one goes.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from guestcred.credential import compare_digest
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.folders import Folder, open_root, refuse_disk, refuse_untrusted
from guestcred.plan import Plan
from guestcred.records import Record
from guestcred.stores import NEXT_RESCUE, is_rescued, rescue_mark
from guestcred.tree import Tree
from guestcred.users import find_user

HOME, STORE = "guestcred", "credstore"  # below run/
GENERATIONS = (".generation-a", ".generation-b")
CURRENT, NEXT, REPORT = ".current", ".next", "report.json"
LOCK_SECONDS = 10.0
# 0711: who is not root needs no list of the services, and without the right to read cannot take the lock
HOME_MODE, STORE_MODE, GENERATION_MODE = 0o711, 0o700, 0o711
FOLDER_MODE, FILE_MODE, REPORT_MODE = 0o500, 0o400, 0o444


class Changes(Record):
    """What a run has to do, by name: `generation` is the one to write, or None where the current one is as wanted."""

    rescue: tuple[str, ...]
    replace: tuple[str, ...]
    retract: tuple[str, ...]
    generation: str | None
    links: tuple[str, ...]
    dropped: tuple[str, ...]
    leftovers: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return self != NOTHING


NOTHING = Changes((), (), (), None, (), (), ())


def forbid_core_dumps() -> None:
    """prctl(PR_SET_DUMPABLE, 0): no core dump, and nobody but root looks into this process."""
    import _ctypes  # what `ctypes` is made of, at a fifth of its cost and without the memory both writable and executable

    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None is this program itself, as in ctypes.CDLL(None)
    _ctypes.call_function(_ctypes.dlsym(library, "prctl"), (4, 0, 0, 0, 0))


class Installation:
    """The two folders below run/ that `apply` writes to, checked; either is None while it does not exist."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._root = open_root(tree.root)
        refuse_untrusted(self._root, self._root)
        if self._root.status("run") is None:
            raise self._root.refused("run", "there is no such folder")
        self._run = self._checked(self._root, "run")
        refuse_disk(self._run)
        self._home = self._existing(HOME)
        self._store = self._existing(STORE)

    def _checked(self, parent: Folder, name: str) -> Folder:
        status = parent.status(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            raise parent.refused(name, "it is no folder")
        folder = parent.open(name)
        refuse_untrusted(folder, self._root)
        return folder

    def _existing(self, name: str) -> Folder | None:
        if self._run.status(name) is None:
            return None
        folder = self._checked(self._run, name)
        refuse_disk(folder)
        return folder

    def _made(self, name: str, mode: int) -> Folder:
        try:
            self._run.make(name).own(os.geteuid(), os.getegid(), mode)
        except GuestcredError:
            if self._run.status(name) is None:
                raise
        return self._checked(self._run, name)

    def changes(self, plan: Plan, values: dict[str, bytes], report: bytes) -> Changes:
        """Compare what is wanted with what is there; refuses what guestcred did not put there."""
        rescue, replace, retract = self._rescues(plan, values)
        return Changes(rescue, replace, retract, *self._generation(plan, values, report))

    def install(self, plan: Plan, values: dict[str, bytes], report: bytes) -> Changes:
        """Make what is there what is wanted, and say what that took. Raises GuestcredError, with the old state intact."""
        self._refuse_vanished(plan)
        if self._home is None:
            self._home = self._made(HOME, HOME_MODE)
        _lock(self._home)
        status = self._home.status()
        if status is not None and stat.S_IMODE(status.st_mode) != HOME_MODE:
            self._home.own(os.geteuid(), os.getegid(), HOME_MODE)
        if self._store is None:
            self._store = self._existing(STORE)  # of a run that had the lock before this one
        changes = self.changes(plan, values, report)
        if changes.rescue and self._store is None:
            self._store = self._made(STORE, STORE_MODE)
        if changes.any:
            self._write(self._home, changes, plan, values, report)
        return changes

    def _refuse_vanished(self, plan: Plan) -> None:
        """Files must not go to a number that has become nobody's, or somebody else's, since the plan was made."""
        for folder in plan.folders:
            user = find_user(self._tree, folder.user)
            if user is None or user.uid != folder.uid:
                raise GuestcredError(
                    f"the user {folder.user} of {folder.unit} has vanished while apply ran",
                    "run it again",
                    status=FINDINGS,
                )

    def _rescues(
        self, plan: Plan, values: dict[str, bytes]
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """(to write, to write over an older one of ours, to remove)."""
        wanted = {file.name: values[file.place] for file in plan.rescues}
        if self._store is None:
            return tuple(wanted), (), ()
        missing, other, retract = [], [], []
        for name, value in wanted.items():
            status = self._store.status(name)
            if status is None:
                missing.append(name)
            elif not _holds(self._store, name, value, None):
                if not is_rescued(name, status):
                    raise self._store.refused(name, "it is there already, and guestcred did not put it there")
                other.append(name)
        for name in self._store.names():
            status = self._store.status(name)
            if name not in wanted and status is not None and is_rescued(name, status):
                retract.append(name)
        return tuple(missing), tuple(other), tuple(retract)

    def _generation(
        self, plan: Plan, values: dict[str, bytes], report: bytes
    ) -> tuple[str | None, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """(generation to write or None, links to make, links to remove, left-overs of killed runs)."""
        wanted = [*(folder.unit for folder in plan.folders), REPORT]
        if self._home is None:
            return GENERATIONS[0], tuple(wanted), (), ()
        current = self._home.target(CURRENT)
        if current not in GENERATIONS and self._home.status(CURRENT) is not None:
            raise self._home.refused(CURRENT, "guestcred did not put it there")
        links, dropped, leftovers = [], [], []
        for name in wanted:
            if self._home.status(name) is None:
                links.append(name)
            elif self._home.target(name) != f"{CURRENT}/{name}":
                raise self._home.refused(name, "guestcred did not put it there")
        for name in self._home.names():
            if name in GENERATIONS or name == NEXT:
                status = self._home.status(name)
                kind = stat.S_ISLNK if name == NEXT else stat.S_ISDIR
                if status is None or not kind(status.st_mode) or status.st_uid != os.geteuid():
                    raise self._home.refused(name, "guestcred did not put it there")
                if name != current:
                    leftovers.append(name)
            elif name not in wanted and self._home.target(name) == f"{CURRENT}/{name}":
                dropped.append(name)
        generation = None
        if current is None or not _is_as_wanted(self._home, current, plan, values, report):
            generation = GENERATIONS[current == GENERATIONS[0]]
        return generation, tuple(links), tuple(dropped), tuple(leftovers)

    def _write(self, home: Folder, changes: Changes, plan: Plan, values: dict[str, bytes], report: bytes) -> None:
        store, uid, gid = self._store, os.geteuid(), os.getegid()
        places = {file.name: file.place for file in plan.rescues}
        made: list[tuple[Folder, str]] = []
        current = home.target(CURRENT)
        for name in changes.leftovers:
            home.remove(name) if name == NEXT else home.remove_folder(name)
        if store is not None and NEXT_RESCUE in changes.retract:
            store.remove(NEXT_RESCUE)
        try:
            for name in changes.rescue:
                assert store is not None
                made.append((store, name))
                store.publish(name, values[places[name]], uid, gid, FILE_MODE, rescue_mark(name))
            if changes.generation is not None:
                made.append((home, changes.generation))
                _write_generation(home, changes.generation, plan, values, report)
            for name in changes.links:
                made.append((home, name))
                home.link(name, f"{CURRENT}/{name}")
            for name in changes.replace:
                assert store is not None
                made.append((store, NEXT_RESCUE))
                store.publish(NEXT_RESCUE, values[places[name]], uid, gid, FILE_MODE, rescue_mark(name))
                store.rename(NEXT_RESCUE, name)
            if changes.generation is not None:
                made.append((home, NEXT))
                home.link(NEXT, changes.generation)
                home.rename(NEXT, CURRENT)
        except BaseException:
            for folder, name in reversed(made):
                _take_back(folder, name, folder is store)
            raise
        for name in changes.dropped:
            home.remove(name)
        if changes.generation is not None and current is not None and home.status(current) is not None:
            home.remove_folder(current)
        for name in changes.retract:
            if store is not None and name != NEXT_RESCUE:
                store.remove(name)


def _write_generation(home: Folder, name: str, plan: Plan, values: dict[str, bytes], report: bytes) -> None:
    uid, gid = os.geteuid(), os.getegid()
    with home.make(name) as generation:
        for folder in plan.folders:
            with generation.make(folder.unit) as below:
                for file in folder.files:
                    below.write(file.name, values[file.place], folder.uid, 0, FILE_MODE)
                below.own(folder.uid, 0, FOLDER_MODE)
        generation.write(REPORT, report, uid, gid, REPORT_MODE)
        generation.own(uid, gid, GENERATION_MODE)


def _is_as_wanted(home: Folder, current: str, plan: Plan, values: dict[str, bytes], report: bytes) -> bool:
    if home.status(current) is None:
        return False
    uid, gid = os.geteuid(), os.getegid()
    with home.open(current) as generation:
        if generation.names() != sorted([REPORT, *(folder.unit for folder in plan.folders)]):
            return False
        if not _is_folder_of(generation, uid, gid, GENERATION_MODE):
            return False
        for folder in plan.folders:
            status = generation.status(folder.unit)
            if status is None or not stat.S_ISDIR(status.st_mode):
                return False
            with generation.open(folder.unit) as below:
                if not _is_folder_of(below, folder.uid, 0, FOLDER_MODE):
                    return False
                if below.names() != sorted(file.name for file in folder.files):
                    return False
                owned = (folder.uid, 0, FILE_MODE)
                if not all(_holds(below, file.name, values[file.place], owned) for file in folder.files):
                    return False
        return _holds(generation, REPORT, report, (uid, gid, REPORT_MODE))


def _is_folder_of(folder: Folder, uid: int, gid: int, mode: int) -> bool:
    status = folder.status()
    return status is not None and (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, mode)


def _holds(folder: Folder, name: str, data: bytes, owned: tuple[int, int, int] | None) -> bool:
    """Whether a regular file with no other name holds these bytes, for that (uid, gid, mode) where it matters."""
    found = folder.read(name, len(data) + 1)
    if found is None:
        return False
    status, there = found
    if status.st_nlink != 1 or owned not in (None, (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))):
        return False
    return compare_digest(there, data)


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
            raise GuestcredError(
                f"cannot lock {home.path}: {os.strerror(error.errno or 0).lower()}", status=FINDINGS
            ) from None


def _take_back(folder: Folder, name: str, rescue: bool) -> None:
    """Remove what a failing run made, and nothing that another put there in its place."""
    try:
        status = folder.status(name)
        if status is None or (rescue and not is_rescued(name, status)):
            return
        folder.remove_folder(name) if stat.S_ISDIR(status.st_mode) else folder.remove(name)
    except GuestcredError:
        pass  # the failure itself is what must be told, and the next run clears what is left
