"""What the units of user managers request and get: each judged by a process of its user's, of whose words nothing is trusted."""

from __future__ import annotations

import time

from guestcred.c_modules import json_text, parse_json
from guestcred.diagnose.findings import Finding
from guestcred.diagnose.outcomes import Outcome
from guestcred.diagnose.services import Service, Services, judge_services, only
from guestcred.errors import GuestcredError
from guestcred.guest.as_user import SECONDS, as_user
from guestcred.guest.rootfs import Tree
from guestcred.guest.user_manager import manager_of, read_user_consumers, user_of
from guestcred.guest.users import User
from guestcred.record import from_json, to_json

ALL_SECONDS = 30.0  # for all user managers together


def user_services(
    tree: Tree, user: User, systemd: int | None, name: str | None = None, seconds: float = SECONDS
) -> Services:
    """What the units of one user's manager request and get, or only that of this name.

    Raises GuestcredError (exit status 3) where they cannot be looked at, 2 where there is no such unit.
    """

    def work() -> bytes:
        look, rules = read_user_consumers(tree, user, name, systemd)
        judged = judge_services(tree, look if name is None else only(look, name), None, systemd, rules)
        lacking = [service in judged.lacking for service in judged.services]
        told = {"services": judged.services, "findings": judged.findings}
        return json_text({"lacking": lacking, **{key: [*map(to_json, kept)] for key, kept in told.items()}}).encode()

    said = as_user(user, work, seconds)
    try:
        told = parse_json(said.decode())
        if not isinstance(told, dict):
            raise ValueError("no object")
        services = [from_json(Service, service, credentials=Outcome) for service in told["services"]]
        findings = [from_json(Finding, finding) for finding in told["findings"]]
        lacking = [service for service, lacks in zip(services, told["lacking"], strict=True) if lacks is True]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise GuestcredError(
            f"could not look at the units of {user.name}: what they are called cannot be printed",
            f"as {user.name}, type: systemctl --user list-units",
        ) from None
    return Services(
        systemd=systemd,
        services=tuple(services),
        findings=tuple(findings),
        managers=(),
        lacking=tuple(lacking),
        lost={},
    )


def all_users(tree: Tree, managers: tuple[str, ...], systemd: int | None) -> tuple[list[Services], dict[str, str]]:
    """The same of all these user managers, and of those that could not be looked at why."""
    asked, why = [], {}
    deadline = time.monotonic() + ALL_SECONDS
    for manager in managers:
        user = user_of(tree, manager)
        left = deadline - time.monotonic()
        if user is None or manager_of(user) != manager:
            why[manager] = "nobody is known by that number"
        elif left <= 0:
            why[manager] = f"all took more than {ALL_SECONDS:.0f} seconds"
        else:
            try:
                asked.append(user_services(tree, user, systemd, seconds=min(SECONDS, left)))
            except GuestcredError as error:
                why[manager] = error.problem
    return asked, why


def together(services: Services, users: list[Services]) -> Services:
    """PID 1's units and those of users as one."""
    every = [services, *users]
    return services.replace(
        services=tuple(service for one in every for service in one.services),
        findings=tuple(finding for one in every for finding in one.findings),
        lacking=tuple(service for one in every for service in one.lacking),
    )
