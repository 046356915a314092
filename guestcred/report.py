"""Verdicts -> text or JSON; pure, and given no value that it could leak, except by `dump --reveal`."""

from __future__ import annotations

from guestcred.compare import Comparison, Finding
from guestcred.offered import REASONS
from guestcred.words import count as count
from guestcred.words import size as size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.why import Trace

GREEN, YELLOW, RED, BOLD, PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[0m"
NAME_COLUMN = 40
COLOURS = {"imported": GREEN, "foreign": YELLOW}


def _colour(text: str, colour: str, use: bool) -> str:
    return f"{colour}{text}{PLAIN}" if use else text


def _place(handle: int | None, index: int | None) -> str:
    return "" if handle is None else f"handle {handle:#06x} string {index}"


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
                "handle": one.handle,
                "index": one.index,
                "cause": one.cause,
            }
            for one in comparison.credentials
        ],
        "rejected": [
            {"name": one.name, "handle": one.handle, "index": one.index, "reason": one.reason}
            for one in comparison.rejected
        ],
        "findings": [_finding_json(one) for one in comparison.findings],
        "warnings": [_finding_json(one) for one in comparison.warnings],
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {"code": finding.code, "message": finding.message, "hint": finding.hint}


def check_text(comparison: Comparison, colour: bool) -> str:
    """One line a credential, the verdict first; then for each problem its cause and its mend."""
    rows = [
        (one.status, one.shown, size(one.size), _place(one.handle, one.index), one.cause or "")
        for one in comparison.credentials
    ]
    rows += [
        ("rejected", one.name or "-", "", _place(one.handle, one.index), one.reason) for one in comparison.rejected
    ]
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
    return [f"{_colour(finding.code, BOLD, colour)}: {finding.message}.", f"  mend: {finding.hint}."]


def warning_lines(warning: Finding, colour: bool) -> list[str]:
    """What looks wrong, and what to do if it is."""
    return [f"{_colour('warning', YELLOW, colour)}: {warning.message}.", f"  hint: {warning.hint}."]


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
    for one in trace.also:
        named = f"handle {one.handle:#06x}, string {one.index}"
        lines.append(f"also  at {named}: refused: {one.reason}: {REASONS[one.reason]}")
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
        "also": [{"handle": one.handle, "index": one.index, "reason": one.reason} for one in trace.also],
        "finding": None if trace.finding is None else _finding_json(trace.finding),
        "warnings": [_finding_json(one) for one in trace.warnings],
    }
