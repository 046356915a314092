"""The stations on a credential's way, and of the last one what units got, or what else a name may mean to them."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.systemd.nearest import nearest
from guestcred.systemd.requests import full_name
from guestcred.systemd.rules import SYSTEM
from guestcred.systemd.search_path import ENCRYPTED, RESCUE, glob_matches
from guestcred.systemd.shown import shown
from guestcred.text import shown_root, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.diagnose.outcomes import Outcome
    from guestcred.diagnose.services import Service, Services
    from guestcred.guest.credstores import Stored

    Station = Literal[
        "meant", "offered", "accepted", "entry", "imported", "rescued", "stored", "requested", "delivered", "reader"
    ]


class Stage(Record):
    """One station on a credential's way: its word, whether the credential passed it, and what shows that."""

    name: Station
    passed: bool
    evidence: str


def received(name: str, service: Service, outcome: Outcome, root: str) -> Stage | None:
    """What a unit got for its request of a credential; None where it requests another one."""
    if outcome.name not in (name, f"/{SYSTEM}/{name}", f"/{RESCUE}/{name}"):
        return None
    at = shown_root(root)
    passed = outcome.state in ("delivered", "ready")
    told = {
        "delivered": f"{service.unit} has it as {at}run/credentials/{service.unit}/{outcome.id}, readable by {service.user}",
        "ready": f"{service.unit} will have it as {outcome.id}, from {outcome.source}",
        "undelivered": f"{service.unit} runs without {outcome.id}",
        "skipped": f"{service.unit} {'runs' if service.running else 'starts'} without {outcome.id}",
        "unreadable": f"{service.unit} has it as {outcome.id}, and {service.user} cannot read it",
        "fatal": f"{service.unit} cannot start with {outcome.id}",
    }.get(outcome.state, f"{service.unit} starts without {outcome.id}")
    return Stage("delivered" if outcome.state != "ready" else "requested", passed, told)


def kept(stored: Stored, root: str) -> Stage:
    """Where a credential lies that did not come to PID 1."""
    at = shown_root(root)
    by = ", written by guestcred" if stored.is_ours else ""
    if stored.is_encrypted:
        by = ", encrypted"
    if stored.path.startswith(f"{ENCRYPTED}/"):
        by += ", brought by the boot loader"  # /.extra/credentials and /.extra/global_credentials of systemd-stub
    return Stage("stored", True, f"{at}{stored.path}, {size(stored.size)}{by}")


def takes(name: str, outcome: Outcome) -> bool:
    """Whether a pattern that found nothing so far would take a credential of that name."""
    return outcome.state == "nothing" and glob_matches(outcome.name, name)


def requested_like(name: str, services: Services) -> tuple[str, str] | None:
    """The name that units request and that is nearly this one, and how many do, in words; None where there is none."""
    asked: dict[str, set[str]] = {}
    for service in services.services:
        for outcome in service.credentials:
            named = outcome.name[:1] != "/" and outcome.state != "nothing" and outcome.setting is not None
            if named and shown(outcome.name, outcome.size or 0) == outcome.name:
                asked.setdefault(outcome.name, set()).add(service.unit)
    near = nearest(name, sorted(asked))
    if near is None:
        return None
    units = sorted(asked[near])
    return near, f"{units[0]} requests" if len(units) == 1 else f"{len(units)} units request"


def other_meaning(name: str, services: Services) -> str | None:
    """What to type if this is no credential's name, but a unit's, or what a unit calls a credential."""
    if full_name(name) in {service.unit for service in services.services}:
        return f"that is a unit; type: guestcred services {name}"
    for service in services.services:
        for outcome in service.credentials:
            if outcome.id == name and outcome.setting is not None and outcome.state != "nothing":
                meant = outcome.name.removeprefix(f"/{SYSTEM}/").removeprefix(f"/{RESCUE}/")
                look = f"guestcred services {service.unit}" if meant[:1] == "/" else f"guestcred why {meant}"
                return f"{service.unit} has {meant} as {name}: did you mean that? type: {look}"
    return None
