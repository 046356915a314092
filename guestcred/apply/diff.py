"""What is wanted below run/, and what is there -> what has to change; refuses to touch what guestcred did not write."""

from __future__ import annotations

import os
import stat

from guestcred.apply.dirfd import Folder
from guestcred.apply.plan import Directory
from guestcred.apply.wanted import Wanted
from guestcred.c_modules import compare_digest
from guestcred.guest.credstores import is_rescued
from guestcred.record import Record

# below run/guestcred: UNIT links to .current/UNIT, and .current to one of the two generations
GENERATIONS = (".generation-a", ".generation-b")
CURRENT, NEXT, REPORT = ".current", ".next", "report.json"
FOREIGN = "guestcred did not put it there"
MOVE = "look at it, and move it away by hand"
AGAIN = "run it again: it came while apply ran"  # what was there before is a finding, and not written over
# only root needs to list the services, so others may enter the folder but not read it
GENERATION_MODE, FOLDER_MODE, FILE_MODE, REPORT_MODE = 0o711, 0o500, 0o400, 0o444


class Changes(Record):
    """What a run has to do, by name.

    In run/credstore, `rescue` are new files, `renew` replace older ones of ours, and `retract` are to be removed.
    `generation` is the one to write, or None where the current one is right; `links` to it are to be made, and the
    `dropped` ones removed. `leftovers` are what a killed run left.
    """

    rescue: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    retract: tuple[str, ...] = ()
    generation: str | None = None
    links: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return self != Changes()


def find_changes(home: Folder | None, store: Folder | None, wanted: Wanted) -> Changes:
    """Compare what is wanted with what is in run/guestcred (`home`) and run/credstore (`store`); None: no such folder.

    Raises GuestcredError for a file in the way that guestcred did not write.
    """
    rescue, renew, retract = _rescues(store, wanted)
    if not wanted.report:
        return Changes(rescue=rescue, renew=renew, retract=retract)
    links, dropped = _links(home, wanted)
    generation, leftovers = _generation(home, wanted)
    return Changes(
        rescue=rescue,
        renew=renew,
        retract=retract,
        generation=generation,
        links=links,
        dropped=dropped,
        leftovers=leftovers,
    )


def _rescues(store: Folder | None, wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    values = {file.name: wanted.values[file.place] for file in wanted.plan.rescues}
    if store is None:
        return tuple(values), (), ()
    rescue, renew = [], []
    for name, value in values.items():
        status = store.status(name)
        if status is None:
            rescue.append(name)
        elif not _holds(store, name, value, (*store.owner, FILE_MODE)):
            if not is_rescued(name, status, wanted.copied):
                raise store.refused(name, FOREIGN, AGAIN)
            renew.append(name)
    others = ((name, store.status(name)) for name in store.names() if name not in values)
    retract = tuple(name for name, status in others if status is not None and is_rescued(name, status, wanted.copied))
    return tuple(rescue), tuple(renew), retract


def _links(home: Folder | None, wanted: Wanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(links to make, links to remove)."""
    names = [*(directory.unit for directory in wanted.plan.directories), REPORT]
    if home is None:
        return tuple(names), ()
    for name in names:
        if home.status(name) is not None and home.target(name) != f"{CURRENT}/{name}":
            raise home.refused(name, FOREIGN, MOVE)
    there = [name for name in home.names() if home.target(name) == f"{CURRENT}/{name}"]
    return tuple(name for name in names if name not in there), tuple(name for name in there if name not in names)


def _generation(home: Folder | None, wanted: Wanted) -> tuple[str | None, tuple[str, ...]]:
    """(generation to write or None, what a killed run left)."""
    if home is None:
        return GENERATIONS[0], ()
    current = home.target(CURRENT)
    if current not in GENERATIONS and home.status(CURRENT) is not None:
        raise home.refused(CURRENT, FOREIGN, MOVE)
    leftovers = []
    for name, is_kind in ((GENERATIONS[0], stat.S_ISDIR), (GENERATIONS[1], stat.S_ISDIR), (NEXT, stat.S_ISLNK)):
        status = home.status(name)
        if status is None:
            continue
        if not is_kind(status.st_mode) or status.st_uid != home.owner[0]:
            raise home.refused(name, FOREIGN, MOVE)
        if name != current:
            leftovers.append(name)
    if current is not None and home.status(current) is not None:
        with home.open(current) as generation:
            if _is_as_wanted(generation, wanted):
                return None, tuple(leftovers)
    return GENERATIONS[current == GENERATIONS[0]], tuple(leftovers)


def _is_as_wanted(generation: Folder, wanted: Wanted) -> bool:
    directories, (uid, gid) = wanted.plan.directories, generation.owner
    if generation.names() != sorted([REPORT, *(directory.unit for directory in directories)]):
        return False
    return (
        _is_owned(generation.status(), uid, gid, stat.S_IFDIR | GENERATION_MODE)
        and _holds(generation, REPORT, wanted.report, (uid, gid, REPORT_MODE))
        and all(_is_delivered(generation, directory, wanted.values) for directory in directories)
    )


def _is_delivered(generation: Folder, directory: Directory, values: dict[str, bytes]) -> bool:
    if not _is_owned(generation.status(directory.unit), directory.uid, 0, stat.S_IFDIR | FOLDER_MODE):
        return False
    owned = (directory.uid, 0, FILE_MODE)
    with generation.open(directory.unit) as below:
        return below.names() == sorted(file.name for file in directory.files) and all(
            _holds(below, file.name, values[file.place], owned) for file in directory.files
        )


def _is_owned(status: os.stat_result | None, uid: int, gid: int, mode: int) -> bool:
    return status is not None and (status.st_uid, status.st_gid, status.st_mode) == (uid, gid, mode)


def _holds(folder: Folder, name: str, data: bytes, owned: tuple[int, int, int]) -> bool:
    """Whether a regular file with only this name holds these bytes, and has that (uid, gid, mode)."""
    found = folder.read(name, len(data) + 1)
    if found is None:
        return False
    status, there = found
    uid, gid, mode = owned
    return _is_owned(status, uid, gid, stat.S_IFREG | mode) and status.st_nlink == 1 and compare_digest(there, data)
