"""A guest and its configuration -> the plan, and the values that it refers to by place; reads, and writes nothing."""

from __future__ import annotations

from guestcred.apart import give_up_connections
from guestcred.apply.heard import hear
from guestcred.apply.plan import Delivery, Plan, plan_directories, plan_rescues, unknown_user
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.config import Service, read_services
from guestcred.guest.credstores import find_other, rescued_names
from guestcred.guest.rootfs import NotAFileError, Tree
from guestcred.guest.snapshot import Unparsed, read_unparsed
from guestcred.guest.sources import Source, Sources
from guestcred.guest.users import User, find_user
from guestcred.record import Record
from guestcred.systemd.requests import Request
from guestcred.systemd.search_path import RESCUE, SEARCH_PATH
from guestcred.systemd.shown import shown


class Wanted(Record):
    """The plan, its values by place (File.place), and the bytes of report.json; empty: nothing in run/guestcred changes."""

    plan: Plan
    values: dict[str, bytes]
    report: bytes = b""


def want(tree: Tree, systemd: int | None, *, early: bool = False) -> Wanted:
    """What `apply` has to write, by the rules of that systemd (None: the guest's own), without a report.

    `early` is for a boot that has neither users nor all file systems yet: only rescues, and no configuration is read.

    Raises GuestcredError if the guest or its configuration cannot be read, or something required is missing.
    """
    services = () if early else read_services(tree)
    look = _look(tree, systemd, services)
    users: list[User] = []

    def last_questions() -> None:
        # a directory of users may be asked over a connection, and whoever was asked before it may have kept us waiting
        users.extend(_user(tree, service) for service in services)
        give_up_connections()

    heard = hear(look, last_questions)
    missing, facts = heard.values, heard.facts
    others = {name: other for name, value in missing.items() if (other := find_other(tree, name, value))}
    undecided = facts is not None and facts.undecided(look.guest.systemd)
    rescues = plan_rescues(heard.comparison, others, undecided)
    rescued = {file.name: missing[file.name] for file in rescues.made}
    sources = Sources(tree, planned=dict.fromkeys(rescued_names(tree)) | rescued)
    values = {f"{RESCUE}/{name}": value for name, value in rescued.items()}
    deliveries = []
    for service, user in zip(services, users):
        found = _find(tree, service, sources)
        values |= dict(found.values())
        sizes = {identifier: (place, len(value)) for identifier, (place, value) in found.items()}
        deliveries.append(Delivery(service, user, sizes))
    comparison = heard.comparison
    if rescued:
        from guestcred.diagnose.rescued import with_rescues

        comparison = with_rescues(comparison, frozenset(rescued))
    plan = Plan(
        comparison=comparison,
        rescues=rescues.made,
        present=rescues.present,
        directories=plan_directories(deliveries, tree.shown),
        left=rescues.left,
    )
    return Wanted(plan, values)


def _user(tree: Tree, service: Service) -> User:
    user = find_user(tree, service.user)
    if user is None:
        raise unknown_user(service, tree.shown(service.path))
    return user


def _look(tree: Tree, systemd: int | None, services: tuple[Service, ...]) -> Unparsed:
    """Look at the guest; an error also names the services whose directories stay as they were."""
    try:
        return read_unparsed(tree, systemd)
    except GuestcredError as error:
        units = ", ".join(service.unit for service in services)
        told = (f"the directories of {units} stay as they were",) if units else ()
        raise GuestcredError(error.problem, *told, *error.hints, status=error.status) from None


def _find(tree: Tree, service: Service, sources: Sources) -> dict[str, tuple[str, bytes]]:
    """Id to (place, value) for each id with a source, in the order load, import, set; first wins (systemd.exec(5))."""
    found: dict[str, tuple[str, bytes]] = {}
    defaults = dict(service.defaults)
    for request in service.requests:
        for source in sources.resolve(request, SEARCH_PATH, only_files=True):
            if source.id in found:
                continue
            value = _value(tree, service, request, source, sources)
            if value is None and source.id in defaults and not request.source:
                value = f"{service.path} ({service.unit}, set {source.id})", defaults[source.id]
            # a name that may be the secret itself helps no service, and the report would show it; one that the
            # configuration has is a name
            if value is None or (request.is_pattern and shown(source.name, value[1]) != source.name):
                continue
            found[source.id] = value
    return found


def _value(
    tree: Tree, service: Service, request: Request, source: Source, sources: Sources
) -> tuple[str, bytes] | None:
    try:
        return sources.value(source)
    except NotAFileError as error:
        raise GuestcredError(
            f"{tree.shown(service.path)}: services.{service.unit.removesuffix('.service')}.load: "
            f"{request.id!r}: {error.problem}",
            "put a regular file there, or give another source",
            status=FINDINGS,
        ) from None
