"""The reading edge of `services`: units and what each was given, live from PID 1 or below a root from `units.json`."""

from __future__ import annotations

import stat

from guestcred.errors import GuestcredError
from guestcred.guest.config import read_services
from guestcred.guest.rootfs import Tree
from guestcred.guest.users import READ, SEARCH, Access, User, find_user, may
from guestcred.record import Record, from_json, to_json
from guestcred.systemd.offered import shown_file
from guestcred.systemd.requests import Request, Unit
from guestcred.systemd.rules import name_is_valid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNITS = "units.json"  # of a captured tree
SCHEMA = "guestcred.units/1"
OWN = "run/guestcred"  # where `apply` delivers
CONFIGURED = "configured"  # as the state of a unit from guestcred's own configuration


class Delivered(Record):
    """A file in a unit's folder: `size` in bytes, `owner` a uid; `readable` by the unit's user, None if that is unknown."""

    name: str
    size: int
    mode: int
    owner: int
    readable: bool | None


class Consumer(Record):
    """A unit that requests credentials, and what is in its folder: None where it has no folder."""

    unit: Unit
    delivered: tuple[Delivered, ...] | None


class Look(Record):
    """One look at the consumers of a guest.

    `others` are the loaded units that request nothing. `outside` has every absolute path that a unit names and that
    exists, with its size in bytes, or None for what is not a regular file; a folder is there as `PATH/` and its files.
    """

    consumers: tuple[Consumer, ...]
    others: tuple[str, ...]
    outside: dict[str, int | None]


def read_consumers(tree: Tree, name: str | None = None) -> Look:
    """All units that request credentials, and the unit `name` even where systemd has not loaded it yet.

    Those that guestcred's own configuration names come after systemd's; a captured tree has them already.
    Raises GuestcredError (exit status 3) where PID 1 cannot be asked, or the captured tree has no units.
    """
    if not tree.live:
        return _captured(tree)
    from guestcred.systemd.bus import read_units

    units = read_units(name)
    consumers = (*(unit for unit in units if unit.requests), *configured(tree))
    return _look(tree, consumers, tuple(unit.name for unit in units if not unit.requests))


def configured(tree: Tree) -> tuple[Unit, ...]:
    """The services of guestcred's configuration as units: `apply` delivers to them, whether they run or not."""
    return tuple(
        Unit(
            name=service.unit,
            state=CONFIGURED,
            running=True,
            user=service.user,
            uid=None,
            folder=f"{OWN}/{service.unit}",
            only_stops=False,
            requests=service.requests,
        )
        for service in read_services(tree)
    )


def _look(tree: Tree, units: tuple[Unit, ...], others: tuple[str, ...]) -> Look:
    outside: dict[str, int | None] = {}
    for unit in units:
        for request in unit.requests:
            if request.source[:1] == "/":
                _add_outside(tree, tree.follow(request.source), request.source, outside)
    return Look(tuple(Consumer(unit, _delivered(tree, unit)) for unit in units), others, outside)


def _add_outside(tree: Tree, real: str, path: str, outside: dict[str, int | None]) -> None:
    status = tree.status(real)
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        outside[f"{path}/"] = None
        for name in tree.names(real) or ():
            if name[0] != ".":
                _add_outside(tree, f"{real}/{name}", f"{path}/{name}", outside)
    elif not stat.S_ISLNK(status.st_mode):
        # load_cred_recurse_dir_cb() in systemd src/core/exec-credential.c passes over the links of a folder too
        outside[path] = status.st_size if stat.S_ISREG(status.st_mode) else None


def _delivered(tree: Tree, unit: Unit) -> tuple[Delivered, ...] | None:
    folder = tree.follow(unit.folder)
    names = tree.names(folder)
    if names is None:
        return None
    user = _user(tree, unit)
    enters = None if user is None else may(user, _access(tree, folder), SEARCH)
    files = []
    for name in names:
        path = tree.follow(f"{folder}/{name}")
        status = tree.status(path)
        if status is not None and name_is_valid(name.encode("utf-8", "surrogateescape")):
            readable = None if user is None else bool(enters) and may(user, _access(tree, path), READ)
            mode = stat.S_IMODE(status.st_mode)
            files.append(Delivered(name=name, size=status.st_size, mode=mode, owner=status.st_uid, readable=readable))
    return tuple(files)


def _user(tree: Tree, unit: Unit) -> User | None:
    if unit.uid is None:
        return find_user(tree, unit.user or "root")
    # a dynamic user is in no file, and the number that PID 1 gave it is all that counts
    return find_user(tree, str(unit.uid)) or User(name=unit.user, uid=unit.uid, gid=unit.uid, groups=(unit.uid,))


def _access(tree: Tree, path: str) -> Access:
    status = tree.status(path)
    if status is None:
        return Access(mode=0, uid=0, gid=0, acl=None)
    return Access(mode=stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid, acl=tree.acl(path))


def consumers_json(look: Look) -> dict[str, object]:
    """The document `units.json` of a capture; it has no values to hide."""
    return {
        "schema": SCHEMA,
        "units": [to_json(consumer.unit) for consumer in look.consumers],
        "delivered": {
            consumer.unit.folder: [
                to_json(file) | {"name": shown_file(file.name, file.size)} for file in consumer.delivered
            ]
            for consumer in look.consumers
            if consumer.delivered is not None
        },
        "others": list(look.others),
        "outside": look.outside,
    }


def _captured(tree: Tree) -> Look:
    import json

    data = tree.read(UNITS)
    if data is None:
        raise GuestcredError(
            f"there is no {tree.shown(UNITS)}: this tree does not say what its units request",
            "capture the guest again, as root on the guest itself: 'guestcred capture DIR' asks PID 1 for its units",
        )
    try:
        saved = json.loads(data)
        if saved["schema"] != SCHEMA:
            raise ValueError(f"its schema is {str(saved['schema'])!r}")
        units = [from_json(Unit, unit, requests=Request) for unit in _checked(saved, "units", list)]
        delivered = {
            folder: tuple(from_json(Delivered, file) for file in files)
            for folder, files in _checked(saved, "delivered", dict).items()
        }
        outside, others = _checked(saved, "outside", dict), tuple(_checked(saved, "others", list))
        if not all(size is None or type(size) is int for size in outside.values()):
            raise ValueError("wrong size in outside")
        if not all(type(name) is str for name in others):
            raise ValueError("wrong name in others")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise GuestcredError(f"cannot read {tree.shown(UNITS)}: it is not {SCHEMA} ({error})") from None
    if not all(text.isprintable() for text in (*outside, *others)):
        raise GuestcredError(f"cannot read {tree.shown(UNITS)}: it is not {SCHEMA} (unprintable text)")
    return Look(tuple(Consumer(unit, delivered.get(unit.folder)) for unit in units), others, outside)


def _checked(saved: dict[str, Any], key: str, kind: type) -> Any:
    value = saved[key]
    if type(value) is not kind:
        raise ValueError(f"wrong {key}")
    return value
