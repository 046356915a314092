"""The reading edge of `services --user`: the units of a user manager and what each was given, for a process of its user's."""

from __future__ import annotations

import os

from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.deliveries import Consumer, Look, delivered
from guestcred.guest.facts import read_kernel
from guestcred.guest.rootfs import Tree
from guestcred.guest.users import User, find_user
from guestcred.systemd.delivery import Rules, rules_of_user
from guestcred.systemd.search_path import places_of_user


def manager_of(user: User) -> str:
    """The unit of PID 1's that is the user's manager."""
    return f"user@{user.uid}.service"


def named_user(tree: Tree, word: str) -> User:
    """The user of that name or number. Raises GuestcredError (exit status 2) where there is none."""
    user = find_user(tree, word)
    if user is None:
        raise GuestcredError(f"there is no user {word}", "give a user's name or number, as 'id' shows it", status=USAGE)
    return user


def user_of(tree: Tree, manager: str) -> User | None:
    """The user whose manager that unit is, None where it is nobody's that is known."""
    number = manager.removeprefix("user@").removesuffix(".service")
    return find_user(tree, number) if number.isdecimal() else None


def read_user_consumers(
    tree: Tree, user: User, name: str | None = None, systemd: int | None = None
) -> tuple[Look, Rules]:
    """All units of the user's manager that request credentials, as `read_consumers` has those of PID 1, and its rules.

    Raises GuestcredError (exit status 3) where it cannot be asked.
    """
    from guestcred.guest.journal import credentials_failure
    from guestcred.guest.observe import observe
    from guestcred.systemd.bus import read_user_units

    manager = manager_of(user)
    runtime = f"run/user/{user.uid}"
    loaded = read_user_units(tree.shown(runtime), name)
    environment = _environment(tree, loaded.pid) or {
        "HOME": os.path.expanduser(f"~{user.name}"),
        "CREDENTIALS_DIRECTORY": f"/run/credentials/{manager}",
    }
    given, home = environment.get("CREDENTIALS_DIRECTORY"), environment.get("HOME", "/")
    config = environment.get("XDG_CONFIG_HOME", "")
    own = (config if config.startswith("/") else f"{home}/.config", runtime, f"{home}/.local/lib")
    places = places_of_user(systemd, None if given is None else _below_root(given), tuple(map(_below_root, own)))
    rules = rules_of_user(systemd, read_kernel(tree), places, user.uid)
    units = tuple(
        unit.replace(
            user=user.name,
            uid=user.uid,
            folder=f"{runtime}/credentials/{unit.name}",
            failure=None if unit.failure is None else credentials_failure(unit.name, user.uid),
            manager=manager,
        )
        for unit in loaded.units
        if unit.requests
    )
    look = Look(
        consumers=tuple(Consumer(unit, delivered(tree, unit)) for unit in units),
        others=tuple(unit.name for unit in loaded.units if not unit.requests),
        observed=observe(tree, units, loaded.values, systemd, rules),
        aliases=loaded.aliases,
        unusable=loaded.unusable,
    )
    return look, rules


def _environment(tree: Tree, pid: int) -> dict[str, str]:
    """What the manager was started with, which its search for credentials goes by; empty where that cannot be seen."""
    try:
        data = tree.read(f"proc/{pid}/environ") if pid else None
    except GuestcredError:
        return {}
    entries = (entry.partition("=") for entry in os.fsdecode(data or b"").split("\0"))
    return {key: value for key, equals, value in entries if equals}


def _below_root(path: str) -> str:
    return os.path.normpath(f"/{path}").lstrip("/")
