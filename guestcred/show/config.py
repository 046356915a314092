"""What is wrong with TOML files -> text or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestcred.diagnose.findings import Finding
from guestcred.guest.lint import Linted
from guestcred.guest.toml_file import Mistake
from guestcred.show.lines import COLOURS, RED, finding_lines, painted, problems, warning_lines
from guestcred.text import count, visible

if TYPE_CHECKING:
    from guestcred.diagnose.findings import Code
    from guestcred.show.documents import ConfigDocument, MistakeJson


def _finding(code: Code, mistake: Mistake) -> Finding:
    return Finding(code, visible(mistake.problem), "; ".join(mistake.hints) or "correct it there")


def config_text(linted: Linted, colour: bool, quiet: bool = False) -> str:
    """The verdict, a line for each file with its services, then for each mistake its fix; `quiet` has only these."""
    findings = [_finding("mistake", mistake) for mistake in linted.mistakes]
    if quiet:
        return problems(findings, colour)
    word = "findings" if findings else "agrees"
    services = sum(map(len, linted.services.values()))
    told = f"{count(len(linted.services), 'file')} with {count(services, 'service')}"
    if findings:
        told += f", {count(len(findings), 'mistake')}"
    lines = [f"{painted(word, COLOURS.get(word, RED), colour)}: {told}"]
    for path, units in linted.services.items():
        lines.append(f"  {visible(path)}  {', '.join(units) or 'no service'}")
    for finding in findings:
        lines += finding_lines(finding, colour)
    for doubt in linted.doubts:
        lines += warning_lines(_finding("no-user", doubt), colour)
    return "\n".join(lines) + "\n"


def config_json(linted: Linted) -> ConfigDocument:
    """The document `guestcred.config/1`."""
    return {
        "schema": "guestcred.config/1",
        "verdict": "findings" if linted.mistakes else "agrees",
        "files": [{"path": path, "services": list(units)} for path, units in linted.services.items()],
        "findings": [_mistake("mistake", mistake) for mistake in linted.mistakes],
        "warnings": [_mistake("no-user", doubt) for doubt in linted.doubts],
    }


def _mistake(code: Code, mistake: Mistake) -> MistakeJson:
    finding = _finding(code, mistake)
    return {
        "code": code,
        "message": finding.message,
        "hint": finding.fix,
        "path": mistake.path,
        "line": mistake.line,
        "key": mistake.key,
    }
