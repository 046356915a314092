"""Where a requested credential comes from, by systemd's search order: for what units request and for what `apply` delivers."""

from __future__ import annotations

import stat

from guestcred.guest.rootfs import Tree
from guestcred.record import Record
from guestcred.systemd.requests import IMPORT, SET, SET_ENCRYPTED, Request
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.search_path import ENCRYPTED_PATH, RESCUE, glob_matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Outside = Mapping[str, int | None]
    Planned = Mapping[str, bytes | None]


class Source(Record):
    """Where one credential comes from: its `id` in the unit's folder, and the `name` or path that is requested.

    `paths` below the root have it, in systemd's order: the first wins. `encrypted` says whether the first is; `size` is
    that of the first in bytes, None where it is not known.
    """

    id: str
    name: str
    paths: tuple[str, ...] = ()
    encrypted: bool = False
    size: int | None = None


class Sources:
    """Looks credentials up in a tree.

    `outside` has the absolute paths that units name, as `Look` has them; without it they are looked up too.
    `planned` has the coming changes of run/credstore: name to value, or to None for what will be gone.
    """

    def __init__(self, tree: Tree, *, outside: Outside | None = None, planned: Planned | None = None) -> None:
        self._tree = tree
        self._outside = outside
        self._planned = planned or {}

    def resolve(self, request: Request, places: tuple[str, ...], *, only_files: bool = False) -> list[Source]:
        """All credentials that one request stands for, looked for in `places`; one without a path where nothing has it.

        With `only_files` a pattern skips what is not a regular file.
        """
        if request.setting in (SET, SET_ENCRYPTED):
            return [Source(id=request.id, name=request.id, encrypted=request.encrypted, size=request.size)]
        if request.setting == IMPORT:
            return self._imported(request, places, only_files)
        if request.source[:1] != "/":
            return [self._stored(request.id, request.source, places if _is_valid(request.source) else ())]
        return self._named(request)

    def value(self, source: Source) -> tuple[str, bytes] | None:
        """The path that wins and its bytes; None where nothing has it. Raises NotAFileError."""
        for path in source.paths:
            folder, _, name = path.rpartition("/")
            planned = folder == RESCUE and name in self._planned
            data = self._planned[name] if planned else self._tree.read(self._tree.follow(path))
            if data is not None:
                return path, data
        return None

    def _imported(self, request: Request, places: tuple[str, ...], only_files: bool) -> list[Source]:
        pattern, prefix = request.source, request.id
        names = {name for folder in places for name in self._tree.names(self._tree.follow(folder)) or ()}
        names |= self._planned.keys()
        front = len(pattern.removesuffix("*"))
        sources = [
            self._stored(prefix + name[front:] if prefix else name, name, places, only_files)
            for name in sorted(names)
            if glob_matches(pattern, name) and _is_valid(name)
        ]
        return [source for source in sources if source.paths] or [Source(id=prefix or pattern, name=pattern)]

    def _stored(self, identifier: str, name: str, places: tuple[str, ...], only_files: bool = False) -> Source:
        files = {path: self._seen(path) for path in (f"{folder}/{name}" for folder in places)}
        sizes = {path: file[1] for path, file in files.items() if file is not None and (file[0] or not only_files)}
        first = next(iter(sizes), None)
        return Source(
            id=identifier,
            name=name,
            paths=tuple(sizes),
            encrypted=first is not None and first.rpartition("/")[0] in ENCRYPTED_PATH,
            size=None if first is None else sizes[first],
        )

    def _seen(self, path: str) -> tuple[bool, int] | None:
        """(whether it is a regular file, its size) of what is at `path`, through links; None where there is nothing."""
        folder, _, name = path.rpartition("/")
        if folder == RESCUE and name in self._planned:
            value = self._planned[name]
            return None if value is None else (True, len(value))
        status = self._tree.status(self._tree.follow(path))
        return None if status is None else (stat.S_ISREG(status.st_mode), status.st_size)

    def _named(self, request: Request) -> list[Source]:
        """By an absolute path: a file, or every file of a folder."""
        path = request.source
        if self._outside is None:
            seen = self._seen(path[1:])
            return [Source(id=request.id, name=path, paths=() if seen is None else (path[1:],))]
        if f"{path}/" in self._outside:
            # load_cred_recurse_dir_cb() in systemd src/core/exec-credential.c: "_" for each "/" on the way to a file
            inside = [file for file in self._outside if file.startswith(f"{path}/") and file[-1] != "/"]
            return [self._file(request, request.id + file[len(path) :].replace("/", "_"), file) for file in inside]
        return [self._file(request, request.id, path)]

    def _file(self, request: Request, identifier: str, path: str) -> Source:
        assert self._outside is not None
        return Source(
            id=identifier,
            name=path,
            paths=(path[1:],) if path in self._outside else (),
            encrypted=request.encrypted,
            size=self._outside.get(path),
        )


def _is_valid(name: str) -> bool:
    return name_is_valid(name.encode("utf-8", "surrogateescape"))
