"""Comparison, configuration and what is there -> what `apply` shall write; by name and place, never by value."""

from __future__ import annotations

from guestcred.apply.resolve import Source
from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import STATUS_SENTENCES, Finding, loss, refusals
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.config import Service
from guestcred.guest.users import User
from guestcred.record import Record
from guestcred.systemd.rules import SIZE_MAX, TOTAL_SIZE_MAX
from guestcred.systemd.search_path import RESCUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# where systemd takes nothing because somebody decided so, guestcred does not overrule it
DECISIONS = {"container", "confidential-vm", "import-disabled"}


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


class Left(Record):
    """What `apply` cannot mend: the credentials it is about, their status and cause, and the finding in words."""

    names: tuple[str, ...]
    status: str
    cause: str | None
    finding: Finding


class Plan(Record):
    """All that shall stand when `apply` is done, and what is left to mend for somebody else.

    `present` was missing, and others put it where a rescue would go or before it.
    """

    comparison: Comparison
    rescues: tuple[File, ...]
    present: tuple[File, ...]
    directories: tuple[Directory, ...]
    left: tuple[Left, ...]

    @property
    def verdict(self) -> str:
        """One of "findings" where something is left, "mended" and "agrees"."""
        return "findings" if self.left else "mended" if self.rescues or self.present else "agrees"


def plan_rescues(
    comparison: Comparison, others: dict[str, tuple[str, bool]], undecided: bool
) -> tuple[tuple[File, ...], tuple[File, ...], tuple[Left, ...]]:
    """Which missing credentials go to run/credstore, which are there already, and all findings that this does not mend.

    `others` has the path of another's file in the way of one, and whether it holds the same bytes; `undecided` says
    that systemd's refusal may be a decision, and that it could not be asked.
    """
    rescues: list[File] = []
    present: list[File] = []
    blocked = {name: path for name, (path, same) in others.items() if not same}
    lost: dict[tuple[str, str, str], list[str]] = {}
    for one in comparison.credentials:
        if one.status not in STATUS_SENTENCES:
            continue
        cause = one.cause or "unknown"
        if undecided and one.status == "missing" and cause not in DECISIONS:
            cause = "undecided"
        why_not = _why_not(one, cause, comparison.fronts, blocked)
        if why_not is None and one.name in others:
            present.append(File(one.name, one.size, others[one.name][0]))
        elif why_not is None:
            rescues.append(File(one.name, one.size, f"{RESCUE}/{one.name}"))
        else:
            lost.setdefault((one.status, cause, why_not), []).append(one.shown)
    left = [_left(names, *key) for key, names in lost.items()]
    for refused in refusals(comparison.rejected):
        mine = (refused.code, refused.hint)
        names = tuple(one.name for one in comparison.rejected if one.name and (one.reason, one.hint or "") == mine)
        left.append(Left(names, "rejected", refused.code, refused))
    told = {one.finding for one in left} | {
        finding for finding in comparison.findings if finding.code in STATUS_SENTENCES
    }
    left += [Left((), finding.code, None, finding) for finding in comparison.findings if finding not in told]
    return tuple(rescues), tuple(present), tuple(left)


def _why_not(one: Credential, cause: str, fronts: frozenset[str], blocked: dict[str, str]) -> str | None:
    """Why a lost credential is not rescued, in words for its finding; None where it is."""
    if one.status != "missing":
        return "what was imported is not written over"
    if cause in DECISIONS:
        return "that is a decision, and guestcred does not overrule it"
    if cause == "undecided":
        return "that may be a decision, and guestcred overrules none"
    if cause == "unreadable":
        return "systemd looks there first, and would still not find it"
    if one.shown != one.name:
        return "NAME= is missing before it, and a file of that name would show the secret"
    if one.name in fronts:
        return "the table stops in it, so that its value may be only the front"
    if one.name in blocked:
        return f"another credential is at {blocked[one.name]} already"
    return None


def _left(names: list[str], status: str, cause: str, why_not: str) -> Left:
    told = loss(status, cause, names)
    return Left(tuple(names), status, cause, Finding(told.code, f"{told.message}; not rescued: {why_not}", told.hint))


def plan_directories(
    wanted: list[tuple[Service, User, tuple[Source, ...]]], shown: Callable[[str], str]
) -> tuple[Directory, ...]:
    """The services' directories. Raises one GuestcredError for all that is required and has no source.

    `shown` makes a path below the root one that a person would type.
    """
    missing: list[str] = []
    names: list[str] = []
    for service, _, sources in wanted:
        found = {source.id for source in sources}
        for identifier in service.required:
            if identifier not in found:
                missing.append(f"{identifier} ({service.unit}, {shown(service.path)})")
                names.append(dict(service.load).get(identifier, identifier))
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise GuestcredError(
            f"{', '.join(missing)} {verb} required and nowhere to be found",
            f"make the file {shown(names[0][1:])}" if names[0][0] == "/" else f"follow it: guestcred why {names[0]}",
            status=FINDINGS,
        )
    return tuple(_directory(service, user, sources) for service, user, sources in wanted)


def _directory(service: Service, user: User, sources: tuple[Source, ...]) -> Directory:
    sizes = [len(source.value) for source in sources]
    if max(sizes, default=0) > SIZE_MAX or sum(sizes) > TOTAL_SIZE_MAX:
        # CREDENTIAL_SIZE_MAX and CREDENTIALS_TOTAL_SIZE_MAX in systemd src/shared/creds-util.h
        raise GuestcredError(f"the credentials of {service.unit} are larger than 1 MiB", status=FINDINGS)
    files = tuple(File(source.id, len(source.value), source.place) for source in sources)
    found = {source.id for source in sources}
    skipped = dict.fromkeys(identifier for identifier, _ in service.load if identifier not in found)
    return Directory(service.unit, user.name, user.uid, files, tuple(skipped))


def unknown_user(service: Service, path: str) -> GuestcredError:
    """The error for a service whose user does not exist; `path` is the file that names it, as a person would type it."""
    return GuestcredError(
        f"{path}: services.{service.unit.removesuffix('.service')}.user: there is no user {service.user!r}",
        "create it before guestcred.service runs, by sysusers.d(5) for instance",
        status=FINDINGS,
    )
