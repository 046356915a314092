"""Looks at what systemd would read for units: their paths, what is no file in the places searched, what it decrypts."""

from __future__ import annotations

import base64
import stat

from guestcred.errors import GuestcredError
from guestcred.guest.rootfs import NotAFileError, Tree
from guestcred.guest.sealed import unseal
from guestcred.guest.sources import Observed, Sources, kind_of, named_path
from guestcred.systemd.delivery import Rules, as_executed
from guestcred.systemd.requests import IMPORT, SET_ENCRYPTED, Request, Unit
from guestcred.systemd.rules import SIZE_MAX
from guestcred.systemd.search_path import search_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guestcred.systemd.delivery import Kind, Problem

_ACCEPTS = 0x10000  # __SO_ACCEPTON, in the column of flags
_STREAM = "0001"


def observe(
    tree: Tree,
    units: tuple[Unit, ...],
    values: Mapping[str, Mapping[str, bytes]],
    systemd: int | None,
    rules: Rules,
) -> Observed:
    """What these units of a live system name. `values` has those of SetCredentialEncrypted=, by unit and id."""
    outside: dict[str, int | None] = {}
    odd: dict[str, Kind] = {}
    for request in (request for unit in units for request in _executed(unit, rules)):
        if request.source[:1] == "/":
            path = named_path(request.source)
            if rules.of_user and tree.is_locked(tree.follow(path)):
                odd[path] = "locked"
            else:
                _add_outside(tree, tree.follow(path), path, outside, odd)
    for folder in (*rules.places.plain, *rules.places.encrypted):
        if rules.of_user and tree.is_locked(tree.follow(folder)):
            odd[folder] = "locked"
            continue
        for name in tree.names(tree.follow(folder)) or ():
            path = f"{folder}/{name}"
            kind = "locked" if rules.of_user and tree.is_locked(tree.follow(path)) else _kind(tree, path)
            if kind != "file":
                odd[path] = kind
    observed = Observed(outside, odd)
    sealed: dict[str, int | Problem] = {}
    for unit in units:
        for identifier, place, text in _encrypted(tree, unit, values.get(unit.name, {}), observed, systemd, rules):
            key = f"{identifier}:{place}"
            if key not in sealed and (told := _unsealed(text, identifier, rules)) is not None:
                sealed[key] = told
    return observed.replace(sealed=sealed)


def _unsealed(text: bytes, identifier: str, rules: Rules) -> int | Problem | None:
    if not rules.decrypts:
        # whatever systemd-creds says: since 256 it asks a service that is root, as user managers do later
        return "undecryptable"
    return unseal(text, identifier, for_user=rules.of_user)


def _executed(unit: Unit, rules: Rules) -> list[Request]:
    if unit.is_configured:
        return list(unit.requests)
    return [executed for request in unit.requests if (executed := as_executed(request, rules)) is not None]


def _add_outside(tree: Tree, real: str, path: str, outside: dict[str, int | None], odd: dict[str, Kind]) -> None:
    status = tree.status(real)
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        outside[f"{path}/"] = None
        for name in tree.names(real) or ():
            # load_cred_recurse_dir_cb() in systemd src/core/exec-credential.c passes over the links of a folder
            below = f"{real}/{name}"
            if name[0] != "." and (at := tree.status(below)) is not None and not stat.S_ISLNK(at.st_mode):
                _add_outside(tree, below, f"{path}/{name}", outside, odd)
    elif stat.S_ISLNK(status.st_mode):
        odd[path] = "loop"
    elif stat.S_ISREG(status.st_mode):
        # files of the kernel's, in /proc and /sys, do not say how long they are
        outside[path] = status.st_size if status.st_blocks else tree.length(real, SIZE_MAX)
    else:
        outside[path] = None
        kind = kind_of(status.st_mode)
        odd[path] = "deaf" if kind == "socket" and not _listens(tree, path, real) else kind


def _kind(tree: Tree, path: str) -> Kind:
    status = tree.status(tree.follow(path))
    if status is None:
        return "dangling"
    if stat.S_ISLNK(status.st_mode):
        return "loop"
    return "file" if stat.S_ISREG(status.st_mode) else kind_of(status.st_mode)


def _listens(tree: Tree, path: str, real: str) -> bool:
    """Whether somebody accepts connections at the socket, in whatever network namespace.

    The path is the one that was given to bind(2): it may be relative, and another mount namespace may have another one.
    There the last part of it has to do, so that nobody is told to be deaf who is not.
    """
    own = ("/" + path.lstrip("/"), "/" + real)
    name = path.rpartition("/")[2]
    for is_own, bound in _bound(tree):
        if bound in own or ((not is_own or bound[0] != "/") and bound.rpartition("/")[2] == name):
            return True
    return False


def _bound(tree: Tree) -> Iterator[tuple[bool, str]]:
    """(whether it is in PID 1's network namespace, the path) of each stream socket that somebody listens on."""
    spaces: set[str] = set()
    for pid in ["1", *(name for name in tree.names("proc") or () if name.isdecimal())]:
        space = tree.resolve(f"proc/{pid}/ns/net").rpartition("/")[2]
        if space in spaces:
            continue
        try:
            listed = tree.read(f"proc/{pid}/net/unix") or b""
        except GuestcredError:
            continue  # it has ended in the meantime
        spaces.add(space)
        for line in listed.decode("utf-8", "surrogateescape").splitlines()[1:]:
            # Num RefCount Protocol Flags Type St Inode Path
            fields = line.split(None, 7)
            if len(fields) == 8 and fields[4] == _STREAM and int(fields[3], 16) & _ACCEPTS:
                yield len(spaces) == 1, fields[7]


def _encrypted(
    tree: Tree, unit: Unit, values: Mapping[str, bytes], observed: Observed, systemd: int | None, rules: Rules
) -> Iterator[tuple[str, str, bytes]]:
    """(id, place, text) of each encrypted credential that systemd would decrypt for the unit."""
    if unit.is_configured:
        return
    sources = Sources(tree, observed=observed, rules=rules)
    for request in _executed(unit, rules):
        if request.setting == SET_ENCRYPTED:
            if request.id in values:
                yield request.id, unit.name, base64.b64encode(values[request.id])
            continue
        if not request.encrypted and request.setting != IMPORT:
            continue
        for source in sources.resolve(request, search_path(request, systemd, rules.places)):
            reads_all = rules.imports_overwrite and request.setting == IMPORT
            for path in source.paths if reads_all else source.paths[:1]:
                decrypts = request.encrypted or path.rpartition("/")[0] in rules.places.encrypted
                try:
                    text = tree.read(tree.follow(path)) if decrypts and not source.problem else None
                except NotAFileError:
                    text = None
                if text is not None:
                    yield source.id, path, text
