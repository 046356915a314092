"""Comparison, configuration and what is there -> what `apply` has to write; by name and place, never by value."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import LOSSES, Finding, loss
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.record import Record
from guestcred.systemd.rules import STORE_PAGES, TOTAL_SIZE_MAX, pages
from guestcred.systemd.search_path import RESCUE
from guestcred.systemd.shown import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.findings import Loss
    from guestcred.guest.toml_file import Service
    from guestcred.guest.users import User

# causes where systemd imports nothing on purpose; guestcred does not overrule that
DECISIONS: frozenset[Cause] = frozenset({"container", "confidential-vm", "import-disabled"})
# why what is missing by one of these causes is not rescued
_NOT_RESCUED: dict[Cause, str] = {
    **dict.fromkeys(DECISIONS, "that is on purpose, and guestcred does not overrule it"),
    "undecided": "that may be on purpose, and guestcred does not overrule it",
    "unreadable": "systemd looks there first, and would still not find it",
}
# run/credstore is in the same memory as all of /run, and gets no more of it than systemd gives @system
FULL = "what is rescued has 1 MiB of memory, at least 4 KiB for each, as in systemd's own store"


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

    In the comparison what is rescued is so already. `present` are missing credentials that others already put where systemd finds them.
    """

    comparison: Comparison
    rescues: tuple[File, ...]
    present: tuple[File, ...]
    directories: tuple[Directory, ...]
    left: tuple[Finding, ...]

    @property
    def verdict(self) -> Literal["agrees", "fixed", "findings"]:
        """Whether something is left to fix, it was all rescued or already there, or nothing was wrong."""
        return "findings" if self.left else "fixed" if self.rescues or self.present else "agrees"


class Rescues(Record):
    """What becomes of lost credentials: those that go to run/credstore, those already there, what is left to fix."""

    made: tuple[File, ...]
    present: tuple[File, ...]
    left: tuple[Finding, ...]


def plan_rescues(comparison: Comparison, others: dict[str, tuple[str, bool]], undecided: bool) -> Rescues:
    """Decide which missing credentials are rescued.

    `others` maps a name to a file that somebody else put in its place: (path, whether it holds the same bytes).
    `undecided`: systemd may import nothing on purpose, and it could not be asked.
    """
    made: list[File] = []
    present: list[File] = []
    blocked = {name: path for name, (path, same) in others.items() if not same}
    lost: dict[tuple[Loss, Cause, str], list[str]] = {}
    room = STORE_PAGES
    for credential in comparison.credentials:
        if credential.loss is None:
            continue
        cause: Cause = credential.cause or "unknown"
        if undecided and credential.loss == "missing" and cause not in DECISIONS:
            cause = "undecided"
        why_not = _why_not(credential, cause, comparison.fronts, blocked)
        if why_not is None and credential.name not in others:
            room -= pages(credential.size)
            why_not = FULL if room < 0 else None
        if why_not is not None:
            lost.setdefault((credential.loss, cause, why_not), []).append(credential.shown)
        elif credential.name in others:
            present.append(File(credential.name, credential.size, others[credential.name][0]))
        else:
            made.append(File(credential.name, credential.size, f"{RESCUE}/{credential.name}"))
    left = [loss(status, cause, names, why_not) for (status, cause, why_not), names in lost.items()]
    left += [finding for finding in comparison.findings if finding.code not in LOSSES]
    return Rescues(tuple(made), tuple(present), tuple(left))


def _why_not(credential: Credential, cause: Cause, fronts: frozenset[str], blocked: dict[str, str]) -> str | None:
    """Why a lost credential is not rescued, in words for its finding; None if it is rescued or already there."""
    if credential.loss == "not-offered":
        return "its bytes did not arrive"
    if credential.loss != "missing":
        return "what was imported is not overwritten"
    if cause in _NOT_RESCUED:
        return _NOT_RESCUED[cause]
    if credential.shown != credential.name:
        return "its name may be the secret itself, and a file of that name would show it"
    if credential.name in fronts:
        return "the table stops inside it, so its value may be cut short"
    if credential.name in blocked:
        return f"there is already another credential at {blocked[credential.name]}"
    return None


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
