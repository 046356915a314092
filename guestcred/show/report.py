"""Verdicts -> text or JSON; pure, and given no value that it could leak, except by `dump --reveal`."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import Finding
from guestcred.systemd.offered import REASONS, Place
from guestcred.text import count, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.services import Outcome, Services
    from guestcred.diagnose.trace import Trace

GREEN, YELLOW, RED, BOLD, PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[0m"
COLOURS = {"imported": GREEN, "foreign": YELLOW, "delivered": GREEN, "ready": GREEN, "nothing": YELLOW}

WITHOUT_SOURCE = {
    "skipped": "no source has {}",
    "fatal": "{} does not exist",
    "nothing": "nothing matches {}",
    "delivered": "its source is gone",
    "unreadable": "its source is gone",
}
NAME_COLUMN = 40


def _colour(text: str, colour: str, use: bool) -> str:
    return f"{colour}{text}{PLAIN}" if use else text


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
        "findings": [_finding_json(one) for one in comparison.findings],
        "warnings": [_finding_json(one) for one in comparison.warnings],
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {"code": finding.code, "message": finding.message, "hint": finding.fix}


def check_text(comparison: Comparison, colour: bool) -> str:
    """One line a credential, the verdict first; then for each problem its cause and its mend."""
    rows: list[tuple[str, ...]] = [
        (one.status, one.shown, size(one.size), _place(one.place), _cause(one) or "") for one in comparison.credentials
    ]
    rows += [("rejected", one.name or "-", "", _place(one.place), one.reason) for one in comparison.rejected]
    # a name has up to 255 bytes, and one such shall not push all others' columns away
    names = min(max((len(row[1]) for row in rows), default=0), NAME_COLUMN)
    width = max((len(row[2]) for row in rows), default=0)
    lines = [_headline(comparison, colour)]
    for status, name, told, place, cause in rows:
        mark = _colour(f"{status:<9}", COLOURS.get(status, RED), colour)
        lines.append(f"  {mark}  {name:<{names}}  {told:>{width}}  {place:<23}  {cause}".rstrip())
    for finding in comparison.findings:
        lines += ["", *finding_lines(finding, colour)]
    for warning in comparison.warnings:
        lines += ["", *warning_lines(warning, colour)]
    return "\n".join(lines) + "\n"


def finding_lines(finding: Finding, colour: bool) -> list[str]:
    """The cause in one sentence and the mend in the next."""
    return [f"{_colour(finding.code, BOLD, colour)}: {finding.message}.", f"  mend: {finding.fix}."]


def warning_lines(warning: Finding, colour: bool) -> list[str]:
    """What looks wrong, and what to do if it is."""
    return [f"{_colour('warning', YELLOW, colour)}: {warning.message}.", f"  hint: {warning.fix}."]


def _headline(comparison: Comparison, colour: bool) -> str:
    counts: dict[str, int] = {}
    for one in comparison.credentials:
        counts[one.status] = counts.get(one.status, 0) + 1
    if comparison.rejected:
        counts["rejected"] = len(comparison.rejected)
    told = ", ".join(f"{many} {status}" for status, many in counts.items()) or "nothing was offered"
    version = f"systemd {comparison.systemd}" if comparison.systemd is not None else "systemd version unknown"
    word = _colour("agrees", GREEN, colour) if comparison.agrees else _colour("findings", RED, colour)
    return f"{word}: {told} ({version})"


def why_text(trace: Trace, colour: bool) -> str:
    """The way of one credential, a line a stage, up to where it was lost."""
    lines = []
    for stage in trace.stages:
        mark = _colour("ok  ", GREEN, colour) if stage.passed else _colour("LOST", RED, colour)
        lines.append(f"{mark}  {stage.name:<8}  {stage.evidence}")
    lines += [f"also  at {one.place}: refused: {one.reason}: {REASONS[one.reason]}" for one in trace.also]
    if trace.finding is not None:
        lines += ["", *finding_lines(trace.finding, colour)]
    for warning in trace.warnings:
        lines += ["", *warning_lines(warning, colour)]
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
        "finding": None if trace.finding is None else _finding_json(trace.finding),
        "warnings": [_finding_json(one) for one in trace.warnings],
    }


def services_text(services: Services, colour: bool) -> str:
    """A line a unit and one for each credential it requests, the verdict first; then for each problem cause and mend."""
    outcomes = [one for service in services.services for one in service.credentials]
    names = max((len(one.id) for one in outcomes), default=0)
    width = max((len(_told_size(one)) for one in outcomes), default=0)
    told = f"{count(len(services.services), 'unit')} with {count(len(outcomes), 'credential')}"
    if not outcomes:
        told = "no credentials are requested"
    verdict = _colour("findings", RED, colour) if services.findings else _colour("agrees", GREEN, colour)
    version = f"systemd {services.systemd}" if services.systemd is not None else "systemd version unknown"
    lines = [f"{verdict}: {told} ({version})"]
    for service in services.services:
        lines += ["", f"{_colour(service.unit, BOLD, colour)}  {service.state}, user {service.user}"]
        for one in service.credentials:
            mark = _colour(f"{one.state:<11}", COLOURS.get(one.state, RED), colour)
            lines.append(f"  {mark}  {one.id:<{names}}  {_told_size(one):>{width}}  {_origin(one)}".rstrip())
    for finding in services.findings:
        lines += ["", *finding_lines(finding, colour)]
    return "\n".join(lines) + "\n"


def _told_size(one: Outcome) -> str:
    return "" if one.size is None else size(one.size)


def _origin(one: Outcome) -> str:
    if one.source is None:
        return WITHOUT_SOURCE[one.state].format(one.name)
    return f"{one.source}  shadows {', '.join(one.shadowed)}" if one.shadowed else one.source


def services_json(services: Services) -> dict[str, object]:
    """The document `guestcred.services/1`."""
    from guestcred.record import to_json

    return {
        "schema": "guestcred.services/1",
        "verdict": "findings" if services.findings else "agrees",
        "systemd": services.systemd,
        "services": [to_json(one) for one in services.services],
        "findings": [_finding_json(one) for one in services.findings],
    }
