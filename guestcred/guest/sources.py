"""Where a requested credential comes from, by systemd's search order: for what units request and for what `apply` delivers."""

from __future__ import annotations

import stat

from guestcred.guest.rootfs import Tree
from guestcred.record import Record
from guestcred.systemd.delivery import Rules, refusal, rules_of
from guestcred.systemd.requests import IMPORT, Request
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.search_path import RESCUE, glob_matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from guestcred.systemd.delivery import Kind, Problem

    Planned = Mapping[str, bytes | None]

NEWEST = rules_of(None, None)


class Observed(Record):
    """What systemd's verdict on a unit's credentials rests on besides regular files, as it was seen in the guest.

    `outside` has every absolute path that a unit names and that exists, with its size in bytes, or None for what is not
    a regular file; a folder is there as `PATH/` and its files. `odd` has the paths that are no regular file, also those
    in the places that systemd searches; `sealed` the sizes of decrypted credentials, or why systemd does not decrypt
    them, by `ID:PLACE`. Absolute paths begin with a slash, and a place is a path or a unit's name.
    """

    outside: dict[str, int | None]
    odd: dict[str, Kind] = {}  # noqa: RUF012  # nobody changes it
    sealed: dict[str, int | Problem] = {}  # noqa: RUF012


class Source(Record):
    """Where one credential comes from: its `id` in the unit's folder, and the `name` or path that is requested.

    `paths` below the root have it, in systemd's order: the first wins. `encrypted` says whether the first is; `size` is
    that of the first in bytes, None where it is not known. `problem` is why systemd fails the unit here, if it does, or
    passes over the file; `written` has the sizes in bytes of all that systemd writes for it, one over the other.
    """

    id: str
    name: str
    paths: tuple[str, ...] = ()
    encrypted: bool = False
    size: int | None = None
    problem: Problem | None = None
    written: tuple[int, ...] = ()
    is_passed_over: bool = False


class Sources:
    """Looks credentials up in a tree.

    `observed` is what a look at the guest's units saw; without it absolute paths are looked up, and what is no file is
    a source like any other. `planned` has the coming changes of run/credstore: name to value, or to None for what will
    be gone.
    """

    def __init__(
        self, tree: Tree, *, observed: Observed | None = None, rules: Rules = NEWEST, planned: Planned | None = None
    ) -> None:
        self._tree = tree
        self._observed = observed
        self._rules = rules
        self._planned = planned or {}

    def resolve(self, request: Request, places: tuple[str, ...], *, only_files: bool = False) -> list[Source]:
        """All credentials that one request stands for, looked for in `places`; one without a path where nothing has it.

        With `only_files` a pattern skips what is not a regular file.
        """
        if request.setting in ("SetCredential", "SetCredentialEncrypted"):
            return [Source(id=request.id, name=request.id, encrypted=request.encrypted, size=request.size)]
        if request.setting == IMPORT:
            return self._imported(request, places, only_files)
        if request.source[:1] != "/":
            return [self._stored(request, request.id, request.source, places if _is_valid(request.source) else ())]
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
        # glob(3) passes over a folder that it may not read
        places = tuple([folder for folder in places if not self._is_locked(folder)])
        names = {name for folder in places for name in self._tree.names(self._tree.follow(folder)) or ()}
        names |= self._planned.keys()
        if self._observed is not None:
            names |= {path.rpartition("/")[2] for path in self._observed.odd if path.rpartition("/")[0] in places}
        front = len(pattern.removesuffix("*"))
        found = [(prefix + name[front:] if prefix else name, name) for name in names if glob_matches(pattern, name)]
        sources = [
            self._stored(request, identifier, name, places, only_files)
            for identifier, name in sorted(found)
            if self._rules.imports_overwrite or _is_valid(identifier)
        ]
        return [source for source in sources if source.paths] or [Source(id=prefix or pattern, name=pattern)]

    def _stored(
        self, request: Request, identifier: str, name: str, places: tuple[str, ...], only_files: bool = False
    ) -> Source:
        imported = request.setting == IMPORT
        seen = {path: at for path in (f"{folder}/{name}" for folder in places) if (at := self._at(path)) is not None}
        # a name passes over a link to nothing, a pattern stumbles over it: glob(3) finds the link itself
        seen = {path: at for path, at in seen.items() if imported or at[0] != "dangling"}
        if only_files:
            seen = {path: at for path, at in seen.items() if at[0] == "file"}
        if not imported:
            # whatever is in a folder that it may not read; the name stops there if it comes so far
            closed = [path for path in seen if self._is_locked(path.rpartition("/")[0])]
            seen = {path: at for number, (path, at) in enumerate(seen.items()) if number == 0 or path not in closed}
            if closed and closed[0] == next(iter(seen)):
                return Source(id=identifier, name=name, paths=(closed[0].rpartition("/")[0],), problem="locked")
        paths = list(seen)
        if imported and self._rules.imports_overwrite:
            paths.reverse()  # load_credential_glob() of 254 goes through all places, and the last writes last
        taken = paths if imported and self._rules.imports_overwrite else paths[:1]
        files = [self._judged(request, identifier, path, *seen[path]) for path in taken]
        first = files[0] if files else Source(id=identifier, name=name)
        return first.replace(
            name=name,
            paths=tuple(paths),
            problem=next((file.problem for file in files if file.problem), None),
            written=tuple(size for file in files for size in file.written),
        )

    def _judged(self, request: Request, identifier: str, path: str, kind: Kind, size: int | None) -> Source:
        """The one file at `path`: whether systemd takes it, and how large it is then."""
        observed = self._observed
        encrypted = path.rpartition("/")[0] in self._rules.places.encrypted
        if observed is None:
            return Source(id=identifier, name=path, paths=(path,), encrypted=encrypted, size=size)
        in_folder = request.source[:1] == "/" and path != request.source.strip("/")
        problem = refusal(kind, size, request, self._rules, in_folder=in_folder)
        written, passed_over = (size or 0,), False
        if problem is None and (request.encrypted or (encrypted and request.setting == IMPORT)):
            match observed.sealed.get(f"{identifier}:{path}"):
                case int(plain):
                    written = (plain,)
                case str(why):
                    problem = why
                    forgives = request.setting == IMPORT and self._rules.forgives_imports
                    passed_over = forgives and why != "not-base64"  # that fails in reading, not in decrypting
        return Source(
            id=identifier,
            name=path,
            paths=(path,),
            encrypted=encrypted,
            size=size,
            problem=problem,
            written=written,
            is_passed_over=passed_over,
        )

    def _at(self, path: str) -> tuple[Kind, int | None] | None:
        """The kind and size of what is at `path`, through links; None where there is nothing."""
        folder, _, name = path.rpartition("/")
        if folder == RESCUE and name in self._planned:
            value = self._planned[name]
            return None if value is None else ("file", len(value))
        if self._is_locked(folder):
            return "locked", None  # whatever is there: load_credential() goes on to the next folder only from ENOENT
        if self._observed is not None and path in self._observed.odd:
            return self._observed.odd[path], None
        status = self._tree.status(self._tree.follow(path))
        if status is None:
            return None
        return ("file", status.st_size) if stat.S_ISREG(status.st_mode) else (kind_of(status.st_mode), status.st_size)

    def _is_locked(self, folder: str) -> bool:
        return self._observed is not None and self._observed.odd.get(folder) == "locked"

    def _named(self, request: Request) -> list[Source]:
        """By an absolute path: a file, or every file of a folder."""
        path = named_path(request.source)
        if self._observed is None:
            seen = self._at(path[1:])
            return [Source(id=request.id, name=path, paths=() if seen is None else (path[1:],))]
        outside = self._observed.outside
        if f"{path}/" in outside:
            # load_cred_recurse_dir_cb() in systemd src/core/exec-credential.c: "_" for each "/" on the way to a file,
            # and nothing but files and sockets is taken
            inside = [file for file in outside if file.startswith(f"{path}/") and file[-1] != "/"]
            return [
                self._file(request, request.id + file[len(path) :].replace("/", "_"), file)
                for file in inside
                if self._observed.odd.get(file, "file") in ("file", "socket", "deaf")
            ]
        source = self._file(request, request.id, path)
        if source.paths and request.source != path:
            return [source.replace(problem="not-a-folder")]  # open(2) of a file with a slash behind it
        return [source]

    def _file(self, request: Request, identifier: str, file: str) -> Source:
        assert self._observed is not None
        outside, odd = self._observed.outside, self._observed.odd
        if file not in outside:
            if odd.get(file) == "locked":
                return Source(id=identifier, name=file, paths=(file[1:],), problem="locked")
            return Source(id=identifier, name=file, problem="loop" if odd.get(file) == "loop" else None)
        judged = self._judged(request, identifier, file[1:], odd.get(file, "file"), outside[file])
        if judged.problem is None and not _is_valid(identifier):
            judged = judged.replace(problem="invalid-id")
        return judged.replace(name=file, encrypted=request.encrypted)


def named_path(source: str) -> str:
    """An absolute path without slashes at its end; systemd keeps them, and opens the same folder."""
    return source.rstrip("/") or "/"


def kind_of(mode: int) -> Kind:
    """The kind of what is no regular file and no link, from its mode."""
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISFIFO(mode):
        return "fifo"
    return "socket" if stat.S_ISSOCK(mode) else "device"


def _is_valid(name: str) -> bool:
    return name_is_valid(name.encode("utf-8", "surrogateescape"))
