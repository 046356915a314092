"""One credential's way, stage by stage, up to where it was lost."""

from __future__ import annotations

from contextlib import suppress

from guestcred.diagnose.compare import Credential
from guestcred.diagnose.findings import Finding, refusal
from guestcred.diagnose.names import ORIGINS, Known, Names, absence
from guestcred.diagnose.readers import read_by, unread
from guestcred.diagnose.rescued import finding_of, lacking
from guestcred.diagnose.services import Services, unrequested
from guestcred.diagnose.survey import Survey
from guestcred.errors import GuestcredError
from guestcred.guest.snapshot import ENTRIES, TABLE
from guestcred.manifest import FRAME
from guestcred.record import Record
from guestcred.systemd.offered import REASONS, Accepted, Rejected, Verdict
from guestcred.systemd.rules import SYSTEM
from guestcred.systemd.search_path import RESCUE
from guestcred.text import size, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.compare import Status
    from guestcred.diagnose.outcomes import Outcome
    from guestcred.diagnose.services import Service
    from guestcred.guest.snapshot import Origin
    from guestcred.systemd.offered import Reason

    Station = Literal[
        "meant", "offered", "accepted", "entry", "imported", "rescued", "requested", "delivered", "reader"
    ]


class Stage(Record):
    """One station on a credential's way: its word, whether the credential passed it, and what shows that."""

    name: Station
    passed: bool
    evidence: str


class Trace(Record):
    """One credential's whole way, up to where it was lost, or to the units that have it and to who reads a well-known one.

    `finding` is None where it arrived; `also` has the refused strings of its name; `of_units` is what is wrong in units
    that request it; `said` is what PID 1 wrote into the journal about it.
    """

    name: str
    status: Status | Literal["rejected", "not-offered", "not-imported"]
    cause: Cause | Origin | Reason | Literal["unknown"] | None
    stages: tuple[Stage, ...]
    also: tuple[Rejected, ...] = ()
    finding: Finding | None = None
    warnings: tuple[Finding, ...] = ()
    of_units: tuple[Finding, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to fix: it arrived or was rescued, and each unit that requests it has it or will."""
        return (self.finding is None or self.status == "rescued") and not self.of_units

    @property
    def reached(self) -> Station | None:
        """The last thing that went right."""
        return next((stage.name for stage in reversed(self.stages) if stage.passed), None)


def trace(
    name: str,
    survey: Survey,
    units: Callable[[], Services | None] = lambda: None,
    words: Callable[[str, str], tuple[str, ...]] = lambda _name, _shown: (),
) -> Trace:
    """Follow `name` from the table to `@system`, and to the `units`, asked only then; None where these are not known.

    A credential that was lost is followed no further, unless it was rescued. `words` gives PID 1's own about a name, as it
    may be shown.
    """
    names = Names(survey.offered, survey.guest)
    known = names.look_up(name)
    return _trace(name, names, survey, units).replace(said=words(known.name, known.shown))


def steps(wanted: list[str], survey: Survey, units: Callable[[], Services | None]) -> dict[str, tuple[Stage, ...]]:
    """The stages of each of these credentials, named as they are shown; none of names that stand for several."""
    names = Names(survey.offered, survey.guest)
    found = {}
    for name in wanted:
        with suppress(GuestcredError):
            found[name] = _trace(name, names, survey, units).stages
    return found


def _trace(name: str, names: Names, survey: Survey, units: Callable[[], Services | None]) -> Trace:
    known = names.look_up(name)
    traced = _to_system(known, names, survey)
    # of a name that may be a secret, no unit is looked for: what it calls it would show it
    if traced.status not in ("imported", "foreign", "rescued") or known.shown != known.name:
        return traced
    services = units()
    received = [
        (service.unit, stage)
        for service in (services.services if services else ())
        for outcome in service.credentials
        if (stage := _received(known.name, service, outcome, survey.guest.root)) is not None
    ]
    requesting = None if services is None else [unit for unit, _ in received]
    reading = read_by(known.name, survey.guest.systemd, requesting, late=traced.status == "rescued")
    stages = [stage for _, stage in received]
    idle = unrequested(known.name) if services is not None and not stages else None
    if reading is not None and (reading.by is not None or not stages):
        stages.append(Stage("reader", reading.by is not None, reading.text))
        idle = None if reading.by is not None else unread(known.name, reading)
    return traced.replace(
        stages=(*traced.stages, *sorted(stages, key=lambda stage: not stage.passed)),
        of_units=lacking(services, frozenset([known.name])) if services else (),
        warnings=(*traced.warnings, *([idle] if idle else ())),
    )


def _received(name: str, service: Service, outcome: Outcome, root: str) -> Stage | None:
    """What a unit got for its request of a credential; None where it requests another one."""
    if outcome.name not in (name, f"/{SYSTEM}/{name}", f"/{RESCUE}/{name}"):
        return None
    at = visible(root.rstrip("/") + "/")
    passed = outcome.state in ("delivered", "ready")
    told = {
        "delivered": f"{service.unit} has it as {at}run/credentials/{service.unit}/{outcome.id}, readable by {service.user}",
        "ready": f"{service.unit} will have it as {outcome.id}, from {outcome.source}",
        "undelivered": f"{service.unit} runs without {outcome.id}",
        "unreadable": f"{service.unit} has it as {outcome.id}, and {service.user} cannot read it",
        "fatal": f"{service.unit} cannot start with {outcome.id}",
    }.get(outcome.state, f"{service.unit} starts without {outcome.id}")
    return Stage("delivered" if outcome.state != "ready" else "requested", passed, told)


def _to_system(known: Known, names: Names, survey: Survey) -> Trace:
    """Follow a name from the table to `@system`; the last stage is the one where it was lost, or where it was rescued."""
    guest, comparison = survey.guest, survey.comparison
    at = visible(guest.root.rstrip("/") + "/")
    credential = next((entry for entry in comparison.credentials if entry.name == known.name), None)
    if credential is not None and credential.loss == "not-offered":
        return _only_meant(credential, known, survey, at)
    if credential is not None and known.accepted is None:
        return _foreign(credential, known, at)
    if credential is not None and known.accepted is not None:
        return _offered(credential, known, known.accepted, survey, at)
    if known.rejected:
        return _rejected(known, at)
    cut = next((finding.message for finding in comparison.findings if finding.code == "cut-by-kernel"), None)
    near = names.near(known.name) if not known.origins else None
    return _absent(known, *absence(known, survey.evidence(), cut, comparison.frame, near), survey, at)


def _where(verdict: Verdict, at: str) -> str:
    return f"{at}{TABLE}, {verdict.place}"


def _meant(name: str, survey: Survey, at: str) -> list[Stage]:
    """The stage before all others, where a manifest says what the host meant."""
    frame = survey.comparison.frame
    if frame is None or name in FRAME:
        return []
    manifest = f"the manifest in {at}{TABLE}, {frame.place}"
    if name in frame.sizes:
        return [Stage("meant", True, f"{size(frame.sizes[name])}, by {manifest}")]
    return [Stage("meant", False, f"{manifest}, does not name it")] if frame.whole else []


def _only_meant(credential: Credential, known: Known, survey: Survey, at: str) -> Trace:
    stages = (*_meant(credential.name, survey, at), Stage("offered", False, f"no string of that name in {at}{TABLE}"))
    return Trace(
        name=credential.shown,
        status=credential.status,
        cause=credential.cause,
        stages=stages,
        also=known.rejected,
        finding=finding_of(credential),
    )


def _foreign(credential: Credential, known: Known, at: str) -> Trace:
    why = "no OEM string of that name was taken" if known.rejected else "no OEM string of that name"
    stages = (
        Stage("offered", True, f"{why}: it came from {ORIGINS[credential.origin]}"),
        Stage("imported", True, f"{at}{SYSTEM}/{credential.shown}, {size(credential.size)}"),
    )
    return Trace(
        name=credential.shown,
        status=credential.status,
        cause=credential.origin or "unknown",
        stages=stages,
        also=known.rejected,
    )


def _rejected(known: Known, at: str) -> Trace:
    first, *others = known.rejected
    stages = (
        Stage("offered", True, _where(first, at)),
        Stage("accepted", False, f"{first.reason}: {REASONS[first.reason]}"),
    )
    return Trace(
        name=known.shown,
        status="rejected",
        cause=first.reason,
        stages=stages,
        also=tuple(others),
        finding=refusal(first),
    )


def _absent(known: Known, cause: Cause | None, clause: str, fix: str, survey: Survey, at: str) -> Trace:
    status: Literal["not-offered", "not-imported"] = "not-offered"
    there = survey.guest.table is not None
    nowhere = f"no string of that name in {at}{TABLE}" if there else "there is no SMBIOS table"
    stages = _meant(known.name, survey, at) or [Stage("offered", False, nowhere)]
    if known.origins:
        status = "not-imported"
        stages = [
            Stage("offered", True, f"by {ORIGINS[known.origins[0]]}"),
            Stage("imported", False, f"{at}{SYSTEM}/{known.shown} does not exist"),
        ]
    finding = Finding(status, f"{known.shown} did not arrive: {clause}", fix, names=(known.shown,))
    return Trace(name=known.shown, status=status, cause=cause, stages=tuple(stages), finding=finding)


def _offered(credential: Credential, known: Known, offer: Accepted, survey: Survey, at: str) -> Trace:
    guest = survey.guest
    rules = f"systemd {guest.systemd}" if guest.systemd is not None else "the newest systemd"
    stages = [
        *(_meant(offer.name, survey, at) if credential.meant is not None else ()),
        Stage("offered", credential.cause != "altered", f"{_where(offer, at)}, {offer.encoding}"),
        Stage("accepted", True, f"{size(len(offer.value))} by the rules of {rules}"),
    ]
    arrived = credential.loss is None
    span = survey.evidence().span(offer)
    if credential.cause == "dmi-sysfs-absent":
        state = "does not exist" if guest.entries is None else "has no Type 11"
        stages.append(Stage("entry", False, f"{at}{ENTRIES} {state}"))
    elif span is not None:
        readable = credential.cause != "cut-read"
        stages.append(Stage("entry", readable, f"{at}{span.entry.path}, bytes {span.start} to {span.end}"))
    if stages[-1].passed:
        absent = guest.unreadable.get(f"{SYSTEM}/{credential.name}", "does not exist")
        state = absent if credential.loss == "missing" else size(credential.size)
        stages.append(Stage("imported", arrived, f"{at}{SYSTEM}/{credential.shown}: {state}"))
    if credential.found is not None:
        by = "written by guestcred" if credential.found.is_ours else "which guestcred did not write"
        stages.append(Stage("rescued", True, f"{at}{credential.found.path}, {by}"))
    return Trace(
        name=credential.shown,
        status=credential.status,
        cause=credential.cause,
        stages=tuple(stages),
        also=known.rejected,
        finding=None if credential.loss is None else finding_of(credential),
        warnings=survey.comparison.doubts.get(known.name, ()),
    )
