"""The reading edge of `services`: units and what each was given, live from PID 1 or below a root from `units.json`."""

from __future__ import annotations

import os
import stat

from guestcred.c_modules import parse_json
from guestcred.errors import GuestcredError
from guestcred.guest.config_files import config_files
from guestcred.guest.facts import read_kernel
from guestcred.guest.rootfs import Tree
from guestcred.guest.sources import Observed
from guestcred.guest.users import READ, SEARCH, Access, User, find_user, may
from guestcred.record import Record, from_json, to_json
from guestcred.systemd.delivery import KINDS, PROBLEMS, rules_of
from guestcred.systemd.requests import CONFIGURED, Request, Unit
from guestcred.systemd.rules import name_is_valid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypedDict

    from guestcred.record import JsonOf
    from guestcred.systemd.delivery import Kind, Problem

    class UnitsDocument(TypedDict):
        """What `guestcred capture` saves in units.json: what units request, and what they have, by folder.

        `outside` has sizes in bytes of what units name by an absolute path, `odd` what is no regular file, `sealed` the
        sizes of what was decrypted, or why it cannot be, by `ID:PLACE`.
        """

        schema: Literal["guestcred.units/1"]
        units: list[JsonOf[Unit]]
        delivered: dict[str, list[JsonOf[Delivered]]]
        others: list[str]
        aliases: dict[str, str]
        unusable: dict[str, str]
        managers: list[str]
        outside: dict[str, int | None]
        odd: dict[str, Kind]
        sealed: dict[str, int | Problem]


UNITS = "units.json"  # of a captured tree
SCHEMA: Literal["guestcred.units/1"] = "guestcred.units/1"
OWN = "run/guestcred"  # where `apply` delivers


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

    `others` are the loaded units that request nothing; `aliases`, `unusable` and `managers` as PID 1 has them.
    """

    consumers: tuple[Consumer, ...]
    others: tuple[str, ...]
    observed: Observed
    aliases: dict[str, str] = {}  # noqa: RUF012  # nobody changes it
    unusable: dict[str, str] = {}  # noqa: RUF012
    managers: tuple[str, ...] = ()


def read_consumers(tree: Tree, name: str | None = None, systemd: int | None = None) -> Look:
    """All units that request credentials, and the unit `name` even where systemd has not loaded it yet.

    Those that guestcred's own configuration names come after systemd's; a captured tree has them already.
    Raises GuestcredError (exit status 3) where PID 1 cannot be asked, or the captured tree has no units.
    """
    if not tree.live:
        return _captured(tree)
    from guestcred.guest.journal import credentials_failure
    from guestcred.guest.observe import observe
    from guestcred.systemd.bus import read_units

    loaded = read_units(name)
    units = tuple(
        unit if unit.failure is None else unit.replace(failure=credentials_failure(unit.name))
        for unit in (*(unit for unit in loaded.units if unit.requests), *configured(tree))
    )
    rules = rules_of(systemd, read_kernel(tree))
    return Look(
        consumers=tuple(Consumer(unit, delivered(tree, unit)) for unit in units),
        others=tuple(unit.name for unit in loaded.units if not unit.requests),
        observed=observe(tree, units, loaded.values, systemd, rules),
        aliases=loaded.aliases,
        unusable=loaded.unusable,
        managers=loaded.managers,
    )


def configured(tree: Tree) -> tuple[Unit, ...]:
    """The services of guestcred's configuration as units: `apply` delivers to them, whether they run or not."""
    if not config_files(tree):
        return ()
    from guestcred.guest.config import read_services

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


def delivered(tree: Tree, unit: Unit) -> tuple[Delivered, ...] | None:
    """The files in a unit's folder, None where it has no folder."""
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


def consumers_json(look: Look, renamed: Callable[[str, int], str] = lambda name, _: name) -> UnitsDocument:
    """The document `units.json` of a capture; it has no values to hide.

    `renamed` gives the name for that of a file which no setting has, and its size in bytes.
    """
    asked = {
        word
        for consumer in look.consumers
        for request in consumer.unit.requests
        for word in (request.id, request.source)
    }
    observed = look.observed

    def told(path: str, size: int = 0) -> str:
        folder, slash, name = path.rpartition("/")
        if not name or not asked.isdisjoint((name, path, f"/{path}")):
            return path
        return f"{folder}{slash}{_as_valid(renamed(name, size), name)}"

    return {
        "schema": SCHEMA,
        "units": [to_json(consumer.unit) for consumer in look.consumers],
        "delivered": {
            consumer.unit.folder: [
                to_json(file.replace(name=file.name if file.name in asked else renamed(file.name, file.size)))
                for file in consumer.delivered
            ]
            for consumer in look.consumers
            if consumer.delivered is not None
        },
        "others": list(look.others),
        "aliases": look.aliases,
        "unusable": look.unusable,
        "managers": list(look.managers),
        "outside": {told(path, size or 0): size for path, size in observed.outside.items()},
        "odd": {told(path): kind for path, kind in observed.odd.items()},
        "sealed": {_told_sealed(key, told): verdict for key, verdict in observed.sealed.items()},
    }


def _as_valid(noise: str, name: str) -> str:
    """The noise for a name, with a ":" wherever the name has what systemd allows in none."""
    pairs = zip(os.fsencode(name), noise)
    return "".join(char if 0x20 <= byte < 0x7F and byte not in b"/:" else ":" for byte, char in pairs)


def _told_sealed(key: str, told: Callable[[str, int], str]) -> str:
    identifier, _, place = key.partition(":")
    return f"{told(identifier, 0)}:{told(place, 0)}"


def _captured(tree: Tree) -> Look:
    data = tree.read(UNITS)
    if data is None:
        raise GuestcredError(
            f"there is no {tree.shown(UNITS)}: this tree does not say what its units request",
            "capture the guest again, as root on the guest itself: 'guestcred capture DIR' asks PID 1 for its units",
        )
    try:
        saved: Any = parse_json(data.decode())
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
        # an older guestcred did not look at these
        saved = {"aliases": {}, "unusable": {}, "managers": [], "odd": {}, "sealed": {}} | saved
        aliases, unusable = _checked(saved, "aliases", dict), _checked(saved, "unusable", dict)
        odd, sealed = _checked(saved, "odd", dict), _checked(saved, "sealed", dict)
        managers = tuple(_checked(saved, "managers", list))
        texts = [*others, *managers, *aliases.values(), *unusable.values()]
        if not all(type(text) is str for text in texts):
            raise ValueError("wrong name")
        if not set(odd.values()) <= KINDS or not all(type(told) is int or told in PROBLEMS for told in sealed.values()):
            raise ValueError("wrong word in odd or sealed")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise GuestcredError(f"cannot read {tree.shown(UNITS)}: it is not {SCHEMA} ({error})") from None
    if not all(text.isprintable() for text in (*outside, *odd, *sealed, *aliases, *unusable, *texts)):
        raise GuestcredError(f"cannot read {tree.shown(UNITS)}: it is not {SCHEMA} (unprintable text)")
    return Look(
        consumers=tuple(Consumer(unit, delivered.get(unit.folder)) for unit in units),
        others=others,
        observed=Observed(outside, odd, sealed),
        aliases=aliases,
        unusable=unusable,
        managers=managers,
    )


def _checked(saved: dict[str, Any], key: str, kind: type) -> Any:
    value = saved[key]
    if type(value) is not kind:
        raise ValueError(f"wrong {key}")
    return value
