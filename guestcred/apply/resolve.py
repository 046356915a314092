"""What a service's settings resolve to: by systemd's search order, with the planned rescues as if they were there."""

from __future__ import annotations

from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.config import Service
from guestcred.guest.rootfs import NotAFileError, Tree
from guestcred.record import Record
from guestcred.systemd.offered import is_secret_file
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.search_path import RESCUE, SEARCH_PATH, glob_matches

Rescues = dict[str, "bytes | None"]
"""What run/credstore will differ in: name to value, or to None for what an earlier run put there and this one removes."""


class Source(Record):
    """A value for one id of a service, and the place it is from: a path below the root, or the file that sets it."""

    id: str
    place: str
    value: bytes


def find_sources(tree: Tree, service: Service, rescues: Rescues) -> tuple[Source, ...]:
    """One source for each id that has any, in the order load, import, set; the first wins (systemd.exec(5))."""
    found: dict[str, Source] = {}
    for identifier, path in service.load:
        try:
            place_value = _load(tree, path, rescues)
        except NotAFileError as error:
            raise GuestcredError(
                f"{tree.shown(service.path)}: services.{service.unit.removesuffix('.service')}.load: "
                f"{identifier!r}: {error.problem}",
                "put a regular file there, or name another source",
                status=FINDINGS,
            ) from None
        if identifier not in found and place_value is not None:
            found[identifier] = Source(identifier, *place_value)
    for pattern in service.imports:
        for name in _names(tree, rescues):
            if (
                not glob_matches(pattern, name)
                or name in found
                or (place_value := _import(tree, name, rescues)) is None
            ):
                continue
            # a name that may be the secret itself helps no service, and would be told of in the report
            if not is_secret_file(name, len(place_value[1])):
                found[name] = Source(name, *place_value)
    for identifier, value in service.defaults:
        found.setdefault(identifier, Source(identifier, f"{service.path} ({service.unit}, set {identifier})", value))
    return tuple(found.values())


def _load(tree: Tree, path: str, rescues: Rescues) -> tuple[str, bytes] | None:
    """(place, value) of an absolute path, or of a name in the first of the places that has it."""
    if path.startswith("/"):
        value = tree.read(tree.follow(path))
        return None if value is None else (path[1:], value)
    for folder in SEARCH_PATH:
        value = _read(tree, folder, path, rescues)
        if value is not None:
            return f"{folder}/{path}", value
    return None


def _import(tree: Tree, name: str, rescues: Rescues) -> tuple[str, bytes] | None:
    """(place, value) of a name in the first of the places that has a file of it: a pattern may match what is none."""
    for folder in SEARCH_PATH:
        try:
            value = _read(tree, folder, name, rescues)
        except NotAFileError:
            continue
        if value is not None:
            return f"{folder}/{name}", value
    return None


def _read(tree: Tree, folder: str, name: str, rescues: Rescues) -> bytes | None:
    if folder == RESCUE and name in rescues:
        return rescues[name]
    return tree.read(tree.follow(f"{folder}/{name}"))  # through links, as systemd opens it


def _names(tree: Tree, rescues: Rescues) -> list[str]:
    """Every name in any of the places that a credential may have."""
    names = set(rescues)
    for folder in SEARCH_PATH:
        names.update(tree.names(tree.follow(folder)) or ())
    return sorted(name for name in names if name_is_valid(name.encode("utf-8", "surrogateescape")))
