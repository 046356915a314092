"""Comparison, configuration and what is there -> what `apply` shall write; by name and place, never by value."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import LOSSES, Finding, loss, refusals
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.config import Service
from guestcred.guest.users import User
from guestcred.record import Record
from guestcred.systemd.rules import SIZE_MAX, TOTAL_SIZE_MAX
from guestcred.systemd.search_path import RESCUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.findings import Loss

# where systemd takes nothing because somebody decided so, guestcred does not overrule it
DECISIONS: frozenset[Cause] = frozenset({"container", "confidential-vm", "import-disabled"})


class File(Record):
    """A credential to write: its name, its size in bytes, and the place that its value is from."""

    name: str
    size: int
    place: str


class Directory(Record):
    """A service's directory: its files, and the ids that no source had."""

    unit: str
    user: str
    uid: int
    files: tuple[File, ...]
    skipped: tuple[str, ...]


class Delivery(Record):
    """What a service is to get: each id that has a source, with the place of that and its size in bytes."""

    service: Service
    user: User
    found: dict[str, tuple[str, int]]


class Plan(Record):
    """All that shall stand when `apply` is done, and what is left to fix for somebody else.

    `present` was missing, and others put it where a rescue would go or before it.
    """

    comparison: Comparison
    rescues: tuple[File, ...]
    present: tuple[File, ...]
    directories: tuple[Directory, ...]
    left: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """One of "findings" where something is left, "fixed" and "agrees"."""
        return "findings" if self.left else "fixed" if self.rescues or self.present else "agrees"


class Rescues(Record):
    """Of the missing credentials: those that go to run/credstore, those that are there already, and what is left to fix."""

    made: tuple[File, ...]
    present: tuple[File, ...]
    left: tuple[Finding, ...]


def plan_rescues(comparison: Comparison, others: dict[str, tuple[str, bool]], undecided: bool) -> Rescues:
    """Which missing credentials are rescued.

    `others` has the path of another's file in the way of one, and whether it holds the same bytes; `undecided` says
    that systemd's refusal may be a decision, and that it could not be asked.
    """
    made: list[File] = []
    present: list[File] = []
    blocked = {name: path for name, (path, same) in others.items() if not same}
    lost: dict[tuple[Loss, Cause, str], list[str]] = {}
    for credential in comparison.credentials:
        if credential.loss is None:
            continue
        cause: Cause = credential.cause or "unknown"
        if undecided and credential.loss == "missing" and cause not in DECISIONS:
            cause = "undecided"
        why_not = _why_not(credential, cause, comparison.fronts, blocked)
        if why_not is not None:
            lost.setdefault((credential.loss, cause, why_not), []).append(credential.shown)
        elif credential.name in others:
            present.append(File(credential.name, credential.size, others[credential.name][0]))
        else:
            made.append(File(credential.name, credential.size, f"{RESCUE}/{credential.name}"))
    left = [loss(status, cause, names, why_not) for (status, cause, why_not), names in lost.items()]
    left += refusals(comparison.rejected)
    left += [finding for finding in comparison.findings if finding not in left and finding.code not in LOSSES]
    return Rescues(tuple(made), tuple(present), tuple(left))


def _why_not(credential: Credential, cause: Cause, fronts: frozenset[str], blocked: dict[str, str]) -> str | None:
    """Why a lost credential is not rescued, in words for its finding; None where it is."""
    if credential.loss != "missing":
        return "what was imported is not written over"
    if cause in DECISIONS:
        return "that is a decision, and guestcred does not overrule it"
    if cause == "undecided":
        return "that may be a decision, and guestcred overrules none"
    if cause == "unreadable":
        return "systemd looks there first, and would still not find it"
    if credential.shown != credential.name:
        return "NAME= is missing before it, and a file of that name would show the secret"
    if credential.name in fronts:
        return "the table stops in it, so that its value may be only the front"
    if credential.name in blocked:
        return f"another credential is at {blocked[credential.name]} already"
    return None


def plan_directories(deliveries: list[Delivery], shown: Callable[[str], str]) -> tuple[Directory, ...]:
    """The services' directories. Raises one GuestcredError for all that is required and has no source.

    `shown` makes a path below the root one that a person would type.
    """
    missing: list[str] = []
    names: list[str] = []
    for delivery in deliveries:
        service = delivery.service
        for identifier in service.required:
            if identifier not in delivery.found:
                missing.append(f"{identifier} ({service.unit}, {shown(service.path)})")
                names.append(dict(service.load).get(identifier, identifier))
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise GuestcredError(
            f"{', '.join(missing)} {verb} required and nowhere to be found",
            f"make the file {shown(names[0][1:])}" if names[0][0] == "/" else f"follow it: guestcred why {names[0]}",
            status=FINDINGS,
        )
    return tuple(map(_directory, deliveries))


def _directory(delivery: Delivery) -> Directory:
    service, found = delivery.service, delivery.found
    sizes = [size for _, size in found.values()]
    if max(sizes, default=0) > SIZE_MAX or sum(sizes) > TOTAL_SIZE_MAX:
        # CREDENTIAL_SIZE_MAX and CREDENTIALS_TOTAL_SIZE_MAX in systemd src/shared/creds-util.h
        raise GuestcredError(f"the credentials of {service.unit} are larger than 1 MiB", status=FINDINGS)
    return Directory(
        unit=service.unit,
        user=delivery.user.name,
        uid=delivery.user.uid,
        files=tuple(File(identifier, size, place) for identifier, (place, size) in found.items()),
        skipped=tuple(dict.fromkeys(identifier for identifier, _ in service.load if identifier not in found)),
    )


def unknown_user(service: Service, path: str) -> GuestcredError:
    """The error for a service whose user does not exist; `path` is the file that names it, as a person would type it."""
    return GuestcredError(
        f"{path}: services.{service.unit.removesuffix('.service')}.user: there is no user {service.user!r}",
        "create it before guestcred.service runs, by sysusers.d(5) for instance",
        status=FINDINGS,
    )
