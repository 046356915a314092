"""Changes -> files, whole or not at all; the writing edge of `apply`.

A new generation is written whole beside the current one, one rename of `.current` switches to it, and only then is the
old one removed. A rescued credential gets its name in run/credstore only when it is whole.
"""

from __future__ import annotations

import os
import stat

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
)
from guestcred.apply.dirfd import Folder
from guestcred.apply.wanted import Wanted
from guestcred.errors import GuestcredError
from guestcred.guest.credstores import NEXT_RESCUE, is_rescued, rescue_mark
from guestcred.systemd.rules import TOTAL_SIZE_MAX


class Writing:
    """What one run writes below run/guestcred (`home`) and run/credstore (`store`; None if nothing goes there)."""

    def __init__(self, home: Folder, store: Folder | None, changes: Changes, wanted: Wanted) -> None:
        self._home = home
        self._store = store
        self._changes = changes
        self._wanted = wanted
        self._places = {file.name: file.place for file in wanted.plan.rescues}
        self._made: list[tuple[Folder, str]] = []  # what to remove again if the run fails

    def run(self) -> None:
        """Make all changes; if one fails, the old state is intact. Raises GuestcredError."""
        self._clear()
        try:
            self._write()
        except BaseException:
            for folder, name in reversed(self._made):
                _take_back(folder, name, folder is self._store)
            raise
        self._remove_old()

    def _rescues(self) -> Folder:
        assert self._store is not None
        return self._store

    def _clear(self) -> None:
        """Remove what a killed run left, and what could take the room for the new files."""
        for name in self._changes.leftovers:
            self._home.remove(name) if name == NEXT else self._home.remove_folder(name)
        for name in self._changes.retract:
            if name.startswith(NEXT_RESCUE):
                self._rescues().remove(name)
        if self._changes.generation is not None:
            self._clear_strangers()

    def _clear_strangers(self) -> None:
        """Remove what services' users put into their folders.

        A file that guestcred wrote there has group 0, which they cannot set, only one name, and a limited size.
        """
        current = self._home.target(CURRENT)
        if current is None or self._home.status(current) is None:
            return
        with self._home.open(current) as generation:
            for unit in generation.names():
                if unit == REPORT:
                    continue
                with generation.open(unit) as folder:
                    found = {name: status for name in folder.names() if (status := folder.status(name)) is not None}
                    ours = {name: status.st_size for name, status in found.items() if _is_ours(status)}
                    keep = ours.keys() if sum(ours.values()) <= TOTAL_SIZE_MAX else ()
                    for name in found.keys() - keep:
                        _take_back(folder, name, False)

    def _write(self) -> None:
        """Write everything new, then switch to it with renames only."""
        changes = self._changes
        for name in changes.rescue:
            self._publish(name, name)
        if changes.generation is not None:
            self._made.append((self._home, changes.generation))
            self._write_generation(changes.generation)
        for name in changes.links:
            self._home.link(name, f"{CURRENT}/{name}")
            self._made.append((self._home, name))
        renewed = {name: f"{NEXT_RESCUE}{number}" for number, name in enumerate(changes.renew)}
        for name, entry in renewed.items():
            self._publish(entry, name)
        if changes.generation is not None:
            self._home.link(NEXT, changes.generation)
            self._made.append((self._home, NEXT))
        for name in changes.renew:
            self._rescues().rename(renewed[name], name)
        if changes.generation is not None:
            self._home.rename(NEXT, CURRENT)

    def _publish(self, entry: str, name: str) -> None:
        """Write the rescued credential `name` to a file called `entry`."""
        self._made.append((self._rescues(), entry))
        store = self._rescues()
        store.publish(entry, self._wanted.values[self._places[name]], *store.owner, FILE_MODE, rescue_mark(name))

    def _write_generation(self, name: str) -> None:
        with self._home.make(name) as generation:
            for directory in self._wanted.plan.directories:
                with generation.make(directory.unit) as below:
                    for file in directory.files:
                        below.write(file.name, self._wanted.values[file.place], directory.uid, 0, FILE_MODE)
                    below.own(directory.uid, 0, FOLDER_MODE)
            generation.write(REPORT, self._wanted.report, *generation.owner, REPORT_MODE)
            generation.own(*generation.owner, GENERATION_MODE)

    def _remove_old(self) -> None:
        """Remove what nobody reads any more; if this run is killed here, the next one removes the rest."""
        changes = self._changes
        for name in changes.dropped:
            self._home.remove(name)
        if changes.generation is not None:
            for name in GENERATIONS:
                if name != changes.generation and self._home.status(name) is not None:
                    self._home.remove_folder(name)
        for name in changes.retract:
            if not name.startswith(NEXT_RESCUE):
                self._rescues().remove(name)


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_gid == 0 and status.st_nlink == 1


def _take_back(folder: Folder, name: str, rescue: bool) -> None:
    """Remove what a failing run made, but nothing that somebody else put there meanwhile."""
    try:
        status = folder.status(name)
        if status is None or (rescue and not is_rescued(name, status)):
            return
        folder.remove_folder(name) if stat.S_ISDIR(status.st_mode) else folder.remove(name)
    except GuestcredError:
        pass  # the first failure is the one to report, and the next run removes what is left
