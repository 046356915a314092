"""A comparison, and the path of one credential -> text or JSON."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import Finding
from guestcred.show.lines import RIGHT, Column, columns, finding_lines, problems, verdict, warning_lines
from guestcred.systemd.offered import REASONS, Place
from guestcred.text import count, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.keys import Key
    from guestcred.diagnose.trace import Trace
    from guestcred.guest.snapshot import Origin
    from guestcred.show.documents import CheckDocument, FindingJson, WhyDocument

NAME_COLUMN = 40
ROWS_MAX = 20  # of what is well, where something else is not
SPOILT = {"truncated": "CUT", "differs": "DIFF"}  # what arrived, but not as it was offered


def _place(place: Place | None) -> str:
    return "" if place is None else f"handle {place.handle:#06x} string {place.index}"


def _cause(credential: Credential) -> Cause | Origin | Literal["unknown"] | None:
    """The cause of a loss, or where a foreign credential came from."""
    return credential.cause if credential.place or credential.loss else credential.origin or "unknown"


def check_json(comparison: Comparison, keys: tuple[Key, ...] = ()) -> CheckDocument:
    """The document `guestcred.check/1`."""
    return {
        "schema": "guestcred.check/1",
        "verdict": comparison.verdict,
        "systemd": comparison.systemd,
        "credentials": [
            {
                "name": credential.shown,
                "status": credential.status,
                "size": credential.size,
                "handle": None if credential.place is None else credential.place.handle,
                "index": None if credential.place is None else credential.place.index,
                "cause": _cause(credential),
                "meant": credential.meant,
            }
            for credential in comparison.credentials
        ],
        "rejected": [
            {
                "name": rejected.name,
                "handle": rejected.place.handle,
                "index": rejected.place.index,
                "reason": rejected.reason,
            }
            for rejected in comparison.rejected
        ],
        "strings": [
            {
                "key": key.key,
                "handle": key.place.handle,
                "index": key.place.index,
                "read": key.is_read,
                "reader": key.reader,
            }
            for key in keys
        ],
        "findings": [finding_json(finding) for finding in comparison.findings],
        "rescued": [finding_json(finding) for finding in comparison.rescued],
        "warnings": [finding_json(warning) for warning in comparison.warnings],
    }


def finding_json(finding: Finding) -> FindingJson:
    """A finding or warning, for programs."""
    return {"code": finding.code, "message": finding.message, "hint": finding.fix}


def check_text(comparison: Comparison, colour: bool, quiet: bool = False, keys: tuple[Key, ...] = ()) -> str:
    """The verdict, a line for each credential, then for each problem its cause and its fix; `quiet` has only these.

    Many credentials that were imported are only counted where others were not.
    """
    if quiet:
        return problems(comparison.findings, colour)
    well = sum(credential.status == "imported" for credential in comparison.credentials)
    folds = well > ROWS_MAX and comparison.verdict != "agrees"
    rows: list[tuple[str, ...]] = [
        (credential.status, credential.shown, size(credential.size), _place(credential.place), _cause(credential) or "")
        for credential in comparison.credentials
        if not (folds and credential.status == "imported")
    ]
    rows += [
        ("rejected", rejected.name or "-", "", _place(rejected.place), rejected.reason)
        for rejected in comparison.rejected
    ]
    rows += [("other", key.key, "", _place(key.place), key.reader) for key in keys]
    # a name has up to 255 bytes, and a long one must not push away the columns of all the others
    layout = Column(least=9), Column(most=NAME_COLUMN), RIGHT, Column(least=23)
    counts: dict[str, int] = {}
    for credential in comparison.credentials:
        counts[credential.status] = counts.get(credential.status, 0) + 1
    if comparison.rejected:
        counts["rejected"] = len(comparison.rejected)
    told = ", ".join(f"{many} {status}" for status, many in counts.items()) or "nothing was offered"
    lines = [verdict(comparison.verdict, told, comparison.systemd, colour), *columns(rows, *layout, colour=colour)]
    if folds:
        lines.append(f"  {count(well, 'credential')} were imported: 'guestcred status -v' shows them")
    for finding in (*comparison.findings, *comparison.rescued):
        lines += finding_lines(finding, colour)
    for warning in comparison.warnings:
        lines += warning_lines(warning, colour)
    return "\n".join(lines) + "\n"


def why_text(trace: Trace, colour: bool, quiet: bool = False) -> str:
    """The path of one credential, a line for each stage, up to where it was lost; `quiet` has only what is wrong."""
    found = (*((trace.finding,) if trace.finding else ()), *trace.of_units)
    if quiet:
        return "" if trace.agrees else problems(found, colour)
    bad = SPOILT.get(trace.status, "LOST")
    rows = [("ok" if stage.passed else bad, stage.name, stage.evidence) for stage in trace.stages]
    lines = columns(rows, Column(least=4), Column(least=8), colour=colour, indent="")
    if not trace.stages[-1].passed and trace.reached is not None:
        lines.append(f"      it got as far as: {trace.reached}")
    lines += [
        f"also  at {rejected.place}: refused: {rejected.reason}: {REASONS[rejected.reason]}" for rejected in trace.also
    ]
    lines += [f"said  by PID 1: {words}" for words in trace.said]
    for finding in found:
        lines += finding_lines(finding, colour)
    for warning in trace.warnings:
        lines += warning_lines(warning, colour)
    return "\n".join(lines) + "\n"


def why_json(trace: Trace) -> WhyDocument:
    """The document `guestcred.why/1`."""
    return {
        "schema": "guestcred.why/1",
        "name": trace.name,
        "status": trace.status,
        "cause": trace.cause,
        "stages": [{"stage": stage.name, "passed": stage.passed, "evidence": stage.evidence} for stage in trace.stages],
        "reached": trace.reached,
        "also": [
            {"handle": rejected.place.handle, "index": rejected.place.index, "reason": rejected.reason}
            for rejected in trace.also
        ],
        "said": list(trace.said),
        "finding": None if trace.finding is None else finding_json(trace.finding),
        "units": [finding_json(finding) for finding in trace.of_units],
        "warnings": [finding_json(warning) for warning in trace.warnings],
    }
