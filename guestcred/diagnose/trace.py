"""One credential's way, stage by stage, up to where it was lost."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.evidence import Evidence
from guestcred.diagnose.findings import Finding, loss, refusal
from guestcred.diagnose.names import SOURCES, Known, absence, look_up
from guestcred.guest.snapshot import ENTRIES, TABLE, Guest
from guestcred.record import Record
from guestcred.systemd.offered import REASONS, Accepted, Rejected, Verdict
from guestcred.systemd.search_path import SYSTEM
from guestcred.text import size, visible


class Stage(Record):
    """One station on a credential's way: its word, whether the credential passed it, and what shows that."""

    name: str
    passed: bool
    evidence: str


class Trace(Record):
    """One credential's whole way; `finding` is None where it arrived, `also` has the strings of its name that were refused."""

    name: str
    status: str
    cause: str | None
    stages: tuple[Stage, ...]
    also: tuple[Rejected, ...]
    finding: Finding | None
    warnings: tuple[Finding, ...]


def trace(name: str, comparison: Comparison, guest: Guest, offered: tuple[Verdict, ...], evidence: Evidence) -> Trace:
    """Follow `name` from the table to `@system`; the last stage is the one where it was lost."""
    at = visible(guest.root.rstrip("/") + "/")
    known = look_up(name, offered, guest)
    credential = next((one for one in comparison.credentials if one.name == known.name), None) or next(
        (one for one in comparison.credentials if one.shown == name), None
    )
    if credential is not None and known.accepted is None:
        return _foreign(credential, known, at)
    if credential is not None and known.accepted is not None:
        doubts = comparison.doubts.get(known.name, ())
        return _offered(credential, known, known.accepted, guest, evidence, doubts, at)
    if known.rejected:
        return _rejected(known, at)
    cut = next((one.message for one in comparison.findings if one.code == "cut-by-kernel"), None)
    return _absent(known, absence(known, evidence, cut), at)


def _where(one: Verdict, at: str) -> str:
    return f"{at}{TABLE}, handle {one.handle:#06x}, string {one.index}"


def _foreign(one: Credential, known: Known, at: str) -> Trace:
    taken = "no OEM string of that name was taken" if known.rejected else "no OEM string of that name"
    stages = (
        Stage("offered", True, f"{taken}: it came from {SOURCES[one.cause or 'unknown']}"),
        Stage("imported", True, f"{at}{SYSTEM}/{one.shown}, {size(one.size)}"),
    )
    return Trace(one.shown, one.status, one.cause, stages, known.rejected, None, ())


def _rejected(known: Known, at: str) -> Trace:
    first, *others = known.rejected
    stages = (
        Stage("offered", True, _where(first, at)),
        Stage("accepted", False, f"{first.reason}: {REASONS[first.reason]}"),
    )
    return Trace(known.shown, "rejected", first.reason, stages, tuple(others), refusal(first), ())


def _absent(known: Known, why: tuple[str | None, str, str], at: str) -> Trace:
    cause, clause, mend = why
    finding = Finding("not-offered", f"{known.shown} did not arrive: {clause}", mend)
    stages = [Stage("offered", False, f"no string of that name in {at}{TABLE}")]
    if known.sources:
        finding = Finding("not-imported", finding.message, mend)
        stages = [
            Stage("offered", True, f"by {SOURCES[known.sources[0]]}"),
            Stage("imported", False, f"{at}{SYSTEM}/{known.shown} does not exist"),
        ]
    return Trace(known.shown, finding.code, cause, tuple(stages), (), finding, ())


def _offered(
    one: Credential,
    known: Known,
    source: Accepted,
    guest: Guest,
    evidence: Evidence,
    doubts: tuple[Finding, ...],
    at: str,
) -> Trace:
    rules = f"systemd {guest.systemd}" if guest.systemd is not None else "the newest systemd"
    stages = [
        Stage("offered", True, f"{_where(source, at)}, {source.encoding}"),
        Stage("accepted", True, f"{size(len(source.value))} by the rules of {rules}"),
    ]
    arrived = one.status == "imported"
    place = evidence.place(source)
    if one.cause == "dmi-sysfs-absent":
        state = "does not exist" if guest.entries is None else "has no Type 11"
        stages.append(Stage("entry", False, f"{at}{ENTRIES} {state}"))
    elif place is not None:
        readable = one.cause != "cut-read"
        stages.append(Stage("entry", readable, f"{at}{place.entry.path}, bytes {place.start} to {place.end}"))
    if stages[-1].passed:
        absent = guest.unreadable.get(f"{SYSTEM}/{one.name}", "does not exist")
        state = absent if one.status == "missing" else size(one.size)
        stages.append(Stage("imported", arrived, f"{at}{SYSTEM}/{one.shown}: {state}"))
    finding = None if arrived else loss(one.status, one.cause or "unknown", [one.shown])
    return Trace(one.shown, one.status, one.cause, tuple(stages), known.rejected, finding, doubts)
