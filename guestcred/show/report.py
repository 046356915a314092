"""A comparison, and the way of one credential -> text or JSON."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import Finding
from guestcred.show.lines import RIGHT, Column, columns, finding_lines, verdict, warning_lines
from guestcred.systemd.offered import REASONS, Place
from guestcred.text import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.trace import Trace

NAME_COLUMN = 40


def _place(place: Place | None) -> str:
    return "" if place is None else f"handle {place.handle:#06x} string {place.index}"


def _cause(one: Credential) -> str | None:
    """The cause of a loss, or where a foreign one is from."""
    return one.cause if one.place else one.origin or "unknown"


def check_json(comparison: Comparison) -> dict[str, object]:
    """The document `guestcred.check/1`."""
    return {
        "schema": "guestcred.check/1",
        "verdict": "agrees" if comparison.agrees else "findings",
        "systemd": comparison.systemd,
        "credentials": [
            {
                "name": one.shown,
                "status": one.status,
                "size": one.size,
                "handle": one.place and one.place.handle,
                "index": one.place and one.place.index,
                "cause": _cause(one),
            }
            for one in comparison.credentials
        ],
        "rejected": [
            {"name": one.name, "handle": one.place.handle, "index": one.place.index, "reason": one.reason}
            for one in comparison.rejected
        ],
        "findings": [finding_json(one) for one in comparison.findings],
        "warnings": [finding_json(one) for one in comparison.warnings],
    }


def finding_json(finding: Finding) -> dict[str, object]:
    """A finding or warning, for programs."""
    return {"code": finding.code, "message": finding.message, "hint": finding.fix}


def check_text(comparison: Comparison, colour: bool) -> str:
    """One line a credential, the verdict first; then for each problem its cause and its fix."""
    rows: list[tuple[str, ...]] = [
        (one.status, one.shown, size(one.size), _place(one.place), _cause(one) or "") for one in comparison.credentials
    ]
    rows += [("rejected", one.name or "-", "", _place(one.place), one.reason) for one in comparison.rejected]
    # a name has up to 255 bytes, and one such shall not push all others' columns away
    layout = Column(least=9), Column(most=NAME_COLUMN), RIGHT, Column(least=23)
    counts: dict[str, int] = {}
    for one in comparison.credentials:
        counts[one.status] = counts.get(one.status, 0) + 1
    if comparison.rejected:
        counts["rejected"] = len(comparison.rejected)
    told = ", ".join(f"{many} {status}" for status, many in counts.items()) or "nothing was offered"
    lines = [verdict(comparison.agrees, told, comparison.systemd, colour), *columns(rows, *layout, colour=colour)]
    for finding in comparison.findings:
        lines += finding_lines(finding, colour)
    for warning in comparison.warnings:
        lines += warning_lines(warning, colour)
    return "\n".join(lines) + "\n"


def why_text(trace: Trace, colour: bool) -> str:
    """The way of one credential, a line a stage, up to where it was lost."""
    rows = [("ok" if stage.passed else "LOST", stage.name, stage.evidence) for stage in trace.stages]
    lines = columns(rows, Column(least=4), Column(least=8), colour=colour, indent="")
    lines += [f"also  at {one.place}: refused: {one.reason}: {REASONS[one.reason]}" for one in trace.also]
    if trace.finding is not None:
        lines += finding_lines(trace.finding, colour)
    for warning in trace.warnings:
        lines += warning_lines(warning, colour)
    return "\n".join(lines) + "\n"


def why_json(trace: Trace) -> dict[str, object]:
    """The document `guestcred.why/1`."""
    return {
        "schema": "guestcred.why/1",
        "name": trace.name,
        "status": trace.status,
        "cause": trace.cause,
        "stages": [{"stage": one.name, "passed": one.passed, "evidence": one.evidence} for one in trace.stages],
        "also": [{"handle": one.place.handle, "index": one.place.index, "reason": one.reason} for one in trace.also],
        "finding": None if trace.finding is None else finding_json(trace.finding),
        "warnings": [finding_json(one) for one in trace.warnings],
    }
