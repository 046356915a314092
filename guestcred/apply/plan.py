"""Comparison, configuration and what is there -> what `apply` has to write; by name and place, never by value."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison
from guestcred.diagnose.findings import LOSSES, Finding, loss
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.record import Record
from guestcred.systemd.rules import TOTAL_SIZE_MAX
from guestcred.systemd.search_path import RESCUE
from guestcred.systemd.shown import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.findings import Loss
    from guestcred.guest.credstores import Found
    from guestcred.guest.toml_file import Service
    from guestcred.guest.users import User


class File(Record):
    """A credential to write: its name, its size in bytes, and the place that its value comes from."""

    name: str
    size: int
    place: str


class Directory(Record):
    """A service's directory: its owner, its files, and the ids that were skipped because no source has them."""

    unit: str
    user: str
    uid: int
    files: tuple[File, ...]
    skipped: tuple[str, ...]


class Delivery(Record):
    """What a service gets: `found` maps each id that has a source to (place of the source, size in bytes)."""

    service: Service
    user: User
    found: dict[str, tuple[str, int]]


class Plan(Record):
    """Everything that is in place when `apply` is done, and what is left for somebody else to fix.

    In the comparison what is rescued is so already. `present` are missing credentials that others already put where
    systemd finds them, `standing` the names of rescues that an earlier run made.
    """

    comparison: Comparison
    rescues: tuple[File, ...]
    present: tuple[File, ...]
    directories: tuple[Directory, ...]
    left: tuple[Finding, ...]
    standing: frozenset[str] = frozenset()

    @property
    def verdict(self) -> Literal["agrees", "fixed", "findings"]:
        """Whether something is left to fix, it was all rescued or already there, or nothing was wrong."""
        return "findings" if self.left else "fixed" if self.rescues or self.present else "agrees"


class Rescues(Record):
    """What becomes of lost credentials: those that go to run/credstore, those already there, what is left to fix."""

    made: tuple[File, ...]
    present: tuple[File, ...]
    left: tuple[Finding, ...]


def plan_rescues(comparison: Comparison, found: dict[str, Found], undecided: bool) -> Rescues:
    """Decide which missing credentials are rescued.

    `found` maps a name to what stands in its place. `undecided`: systemd may import nothing on purpose, and it could not
    be asked.
    """
    left = [finding for finding in comparison.findings if finding.code not in LOSSES]
    lost = [credential for credential in comparison.credentials if credential.loss is not None]
    if not lost:
        return Rescues((), (), tuple(left))
    from guestcred.diagnose.rescued import decided_cause, reasons

    # an earlier rescue has to be as right as a new one
    others = {name: there for name, there in found.items() if not there.is_ours}
    why_not = reasons(comparison, others, undecided)
    made: list[File] = []
    present: list[File] = []
    kept: dict[tuple[Loss, Cause, str], list[str]] = {}
    for credential in lost:
        name = credential.name
        if name in why_not:
            assert credential.loss is not None
            group = credential.loss, decided_cause(credential, undecided), why_not[name]
            kept.setdefault(group, []).append(credential.shown)
        elif name in others:
            present.append(File(name, credential.size, others[name].path))
        else:
            made.append(File(name, credential.size, f"{RESCUE}/{name}"))
    losses = [loss(status, cause, names, words) for (status, cause, words), names in kept.items()]
    return Rescues(tuple(made), tuple(present), (*losses, *left))


def plan_directories(deliveries: list[Delivery], shown: Callable[[str], str]) -> tuple[Directory, ...]:
    """The services' directories. Raises one GuestcredError for everything that is required and has no source.

    `shown` turns a path below the root into one that a person would type.
    """
    missing = [
        (identifier, delivery.service)
        for delivery in deliveries
        for identifier in delivery.service.required
        if identifier not in delivery.found
    ]
    if missing:
        told = ", ".join(f"{identifier} ({service.unit}, {shown(service.path)})" for identifier, service in missing)
        identifier, service = missing[0]
        first = dict(service.load).get(identifier, identifier)
        raise GuestcredError(
            f"{told} {'is' if len(missing) == 1 else 'are'} required, but not found",
            f"create the file {shown(first[1:])}" if first[0] == "/" else f"find out why: guestcred why {first}",
            status=FINDINGS,
        )
    return tuple(map(_directory, deliveries))


def _directory(delivery: Delivery) -> Directory:
    service, found = delivery.service, delivery.found
    if sum(size for _, size in found.values()) > TOTAL_SIZE_MAX:  # a single one may be as large as all together
        raise GuestcredError(f"the credentials of {service.unit} are larger than 1 MiB", status=FINDINGS)
    return Directory(
        unit=service.unit,
        user=delivery.user.name,
        uid=delivery.user.uid,
        files=tuple(File(identifier, size, place) for identifier, (place, size) in found.items()),
        skipped=tuple(dict.fromkeys(identifier for identifier, _ in service.load if identifier not in found)),
    )


def unknown_user(service: Service, path: str) -> GuestcredError:
    """The error for a service whose user does not exist; `path` is the TOML file, as a person would type it."""
    return GuestcredError(
        f"{path}: services.{service.unit.removesuffix('.service')}.user: there is no user {quoted(service.user)}",
        "create it before guestcred.service runs, for example with sysusers.d(5)",
        status=FINDINGS,
    )
