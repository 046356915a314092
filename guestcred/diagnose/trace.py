"""One credential's way, stage by stage, up to where it was lost."""

from __future__ import annotations

import os

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.compare import Credential
from guestcred.diagnose.findings import Finding, refusal
from guestcred.diagnose.names import ORIGINS, Known, Names, absence
from guestcred.diagnose.readers import read_by, unread
from guestcred.diagnose.rescued import finding_of, lacking
from guestcred.diagnose.services import Services, unrequested
from guestcred.diagnose.stations import Stage, kept, other_meaning, received, requested_like, takes
from guestcred.diagnose.survey import Survey
from guestcred.errors import GuestcredError
from guestcred.guest.snapshot import ENTRIES, TABLE
from guestcred.manifest import FRAME
from guestcred.record import Record
from guestcred.systemd.offered import REASONS, Accepted, Rejected, Verdict
from guestcred.systemd.requests import LOAD, LOAD_ENCRYPTED
from guestcred.systemd.rules import READ_CUT, SYSTEM, name_is_valid
from guestcred.text import shown_root, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.compare import Status
    from guestcred.diagnose.evidence import Span
    from guestcred.diagnose.stations import Station
    from guestcred.guest.credstores import Stored
    from guestcred.guest.snapshot import Origin
    from guestcred.systemd.offered import Reason


class Trace(Record):
    """One credential's whole way, up to where it was lost, or to the units that have it and to who reads a well-known one.

    `finding` is None where it arrived; `also` has the refused strings of its name; `of_units` is what is wrong in units
    that request it; `said` is what PID 1 wrote into the journal about it.
    """

    name: str
    status: Status | Literal["rejected", "not-offered", "not-imported", "stored"]
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
    stored: Callable[[str], tuple[Stored, ...]] = lambda _: (),
) -> Trace:
    """Follow `name` from the table to `@system`, and to the `units`, asked only then; None where these are not known.

    Of one that was lost they say what they got for it; what is to be done about the loss, its own finding says. `words`
    gives PID 1's own about a name, as it may be shown; `stored` where one lies that no source of PID 1's has.
    """
    names = Names(survey.offered, survey.guest)
    known = names.look_up(name)
    return _trace(name, names, survey, units, stored).replace(said=words(known.name, known.shown))


def steps(wanted: list[str], survey: Survey, units: Callable[[], Services | None]) -> dict[str, tuple[Stage, ...]]:
    """The stages of each of these credentials, named as they are shown; none of names that stand for several."""
    names = Names(survey.offered, survey.guest)
    found = {}
    for name in wanted:
        try:
            found[name] = _trace(name, names, survey, units, lambda _: ()).stages
        except GuestcredError:
            continue
    return found


def _trace(
    name: str,
    names: Names,
    survey: Survey,
    units: Callable[[], Services | None],
    stored: Callable[[str], tuple[Stored, ...]],
) -> Trace:
    known = names.look_up(name)
    traced = _to_system(known, names, survey)
    # of a name that may be a secret, no unit and no file is looked for: what it calls it would show it
    if known.shown != known.name:
        return traced
    files: tuple[Stored, ...] = ()
    if traced.status == "not-offered" and traced.cause is None and name_is_valid(os.fsencode(known.name)):
        files = stored(known.name)
    if files:
        kept_there = [kept(file, survey.guest.root) for file in files]
        traced = Trace(name=known.shown, status="stored", cause=None, stages=(*traced.stages[:-1], *kept_there))
    services = units()
    got = [
        (service.unit, stage)
        for service in (services.services if services else ())
        for outcome in service.credentials
        if (stage := received(known.name, service, outcome, survey.guest.root)) is not None
    ]
    if traced.status not in ("imported", "foreign", "rescued", "stored"):
        near = names.near(known.name) if traced.status == "not-offered" and traced.cause is None else None
        return traced if services is None else _lost(traced, known, services, [stage for _, stage in got], near)
    requesting = None if services is None else [unit for unit, _ in got]
    reading = read_by(known.name, survey.guest.systemd, requesting, late=traced.status in ("rescued", "stored"))
    stages = [stage for _, stage in got]
    idle = _idle(known, services, files) if services is not None and not stages else None
    if reading is not None and (reading.by is not None or reading.unable.issuperset(requesting or ())):
        stages.append(Stage("reader", reading.by is not None, reading.text))
        idle = None if reading.by is not None else unread(known.name, reading)
    return traced.replace(
        stages=(*traced.stages, *sorted(stages, key=lambda stage: not stage.passed)),
        of_units=lacking(services, frozenset([known.name])) if services else (),
        warnings=(*traced.warnings, *([idle] if idle else ())),
    )


def _idle(known: Known, services: Services, files: tuple[Stored, ...]) -> Finding | None:
    """What is said of a credential that no unit requests, and that lies in these files or came to PID 1."""
    idle = unrequested(known.name)
    if idle is None:
        return None
    if files:
        setting = LOAD_ENCRYPTED if files[0].is_encrypted else LOAD
        fix = f"write {setting}={known.shown} into the unit that needs it, or remove the file"
        idle = idle.replace(message=f"no loaded unit requests {known.shown}", fix=fix)
    like = requested_like(known.name, services)
    if like is not None:
        idle = idle.replace(fix=f"{like[1]} {like[0]}: rename one of the two, on the host or in the unit")
    return idle


def _lost(traced: Trace, known: Known, services: Services, stages: list[Stage], near: str | None) -> Trace:
    """A lost credential with what units got for it, or with what was meant by a name that nobody offers or requests.

    `near` is the name that is offered and nearly this one.
    """
    if stages and traced.status == "not-offered" and traced.cause is None:
        if all(stage.passed for stage in stages):  # by a SetCredential= of the unit's own
            return Trace(name=known.shown, status="stored", cause=None, stages=tuple(stages))
        if near is not None and traced.finding is not None:
            fix = f"the host offers {near}: rename it there, or have the unit request {near}"
            traced = traced.replace(finding=traced.finding.replace(fix=fix))
    if stages:
        if traced.status in ("truncated", "differs"):  # what they have is not what was offered
            stages = [stage.replace(passed=False) for stage in stages]
        return traced.replace(stages=(*traced.stages, *stages))
    finding = traced.finding
    guess = other_meaning(known.name, services) if finding and traced.cause is None and not known.similar else None
    like = requested_like(known.name, services) if guess is None and near is None and traced.cause is None else None
    if like is not None:
        guess = f"did you mean {like[0]}, which {like[1]}? type: guestcred why {like[0]}"
    if finding is not None and guess is not None:
        return traced.replace(finding=finding.replace(fix=guess))
    idle = unrequested(known.name)
    if idle is None or any(takes(known.name, outcome) for each in services.services for outcome in each.credentials):
        return traced
    if known.accepted is None:  # then the host is not offering what nobody needs
        hint = "see what units request with 'guestcred services'"
        idle = idle.replace(message=f"no loaded unit requests {known.shown}", fix=hint)
    return traced.replace(warnings=(*traced.warnings, idle))


def _to_system(known: Known, names: Names, survey: Survey) -> Trace:
    """Follow a name from the table to `@system`; the last stage is the one where it was lost, or where it was rescued."""
    guest, comparison = survey.guest, survey.comparison
    at = shown_root(guest.root)
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
    nowhere = f"no string of that name in {at}{TABLE}" if survey.offered else f"no OEM string at all in {at}{TABLE}"
    if survey.guest.table is None:
        nowhere = "there is no SMBIOS table"
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
    # what stands in the table arrived, but it is not what the host offered
    spoilt = credential.cause in ("altered", "cut-by-kernel")
    here = ""
    if credential.cause == "cut-by-kernel":
        here = f": {size(len(offer.value))} of it are in the table, the rest is cut off"
    stages = [
        *(_meant(offer.name, survey, at) if credential.meant is not None else ()),
        Stage("offered", not spoilt, f"{_where(offer, at)}, {offer.encoding}{here}"),
        Stage("accepted", True, f"{size(len(offer.value))} by the rules of {rules}"),
    ]
    arrived = credential.loss is None or spoilt
    span = survey.evidence().span(offer)
    if credential.cause == "dmi-sysfs-absent":
        state = "does not exist" if guest.entries is None else "has no Type 11"
        stages.append(Stage("entry", False, f"{at}{ENTRIES} {state}"))
    elif span is not None:
        readable = credential.cause != "cut-read"
        cut = "" if readable else f", and only the first {READ_CUT} are read"
        stages.append(Stage("entry", readable, f"{at}{span.entry.path}, bytes {span.start} to {span.end}{cut}"))
    if stages[-1].passed or credential.loss == "truncated":
        state = _imported(credential, offer, guest.unreadable.get(f"{SYSTEM}/{credential.name}", "does not exist"))
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
        finding=_loss(credential, offer, span),
        warnings=survey.comparison.doubts.get(known.name, ()),
    )


def _imported(credential: Credential, offer: Accepted, absent: str) -> str:
    """What of an offer is in `@system`, in words."""
    if credential.loss == "missing":
        return absent
    if credential.loss == "truncated" and credential.size != len(offer.value):
        return f"{credential.size} of {size(len(offer.value))}"
    if credential.loss == "differs" and credential.cause != "altered":
        return f"{size(credential.size)}, but other ones"
    return size(credential.size)


def _loss(credential: Credential, offer: Accepted, span: Span | None) -> Finding | None:
    """The finding of one loss, with the sizes that only one has."""
    if credential.loss is None:
        return None
    cause = credential.cause or "unknown"
    found = finding_of(credential)
    told = ""
    if cause == "cut-read" and span is not None:
        told += f"; its structure has {size(len(span.entry.data))}"
    if credential.loss == "truncated" and credential.size != len(offer.value):
        told += f"; {credential.size} of {size(len(offer.value))} were imported"
    sentence = CAUSES[cause][0]
    return found.replace(message=found.message.replace(sentence, sentence + told))
