"""Plan -> text, and the document that stays as report.json: what is to be in place, not what one run did."""

from __future__ import annotations

from guestcred.apply.plan import File, Plan
from guestcred.text import count, size, visible


def report_json(plan: Plan) -> dict[str, object]:
    """The document `guestcred.report/1`."""
    from guestcred.show.report import check_json

    told = check_json(plan.comparison)
    return {
        "schema": "guestcred.report/1",
        "verdict": plan.verdict,
        "systemd": told["systemd"],
        "credentials": told["credentials"],
        "rescued": [{"name": file.name, "size": file.size, "path": file.place} for file in plan.rescues],
        "present": [{"name": file.name, "size": file.size, "path": file.place} for file in plan.present],
        "services": [
            {
                "unit": directory.unit,
                "user": directory.user,
                "credentials": [{"id": file.name, "size": file.size, "source": file.place} for file in directory.files],
                "skipped": list(directory.skipped),
            }
            for directory in plan.directories
        ],
        "findings": [
            {
                "names": list(finding.names),
                "status": finding.status,
                "cause": finding.cause,
                "message": finding.message,
                "hint": finding.fix,
            }
            for finding in plan.left
        ],
    }


def headline(plan: Plan) -> str:
    """The verdict and the counts, in one line without colour."""
    counts = [f"{count(len(plan.rescues), 'credential')} rescued"] if plan.rescues else []
    if plan.present:
        counts.append(f"{count(len(plan.present), 'credential')} already there")
    if plan.directories:
        counts.append(f"{len(plan.directories)} service {'directory' if len(plan.directories) == 1 else 'directories'}")
    if plan.left:
        counts.append(f"{count(len(plan.left), 'finding')} left to fix")
    return f"{plan.verdict}: {', '.join(counts) or 'nothing to fix'}"


def plan_text(plan: Plan, did: str, root: str, colour: bool, quiet: bool = False) -> str:
    """The verdict, then a line for each credential that is written or skipped, then what is left to fix.

    `did` says what this run did with the plan; `root` is put before each path. `quiet` has only what is left.
    """
    if plan.verdict == "agrees" and not plan.directories:
        return "" if quiet else f"{headline(plan)}; {did}\n"
    from guestcred.show.lines import LEFT, Column, columns, finding_lines, problems

    if quiet:
        return problems(plan.left, colour)
    at = visible(root.rstrip("/") + "/")
    rows = [_row("rescued", file, at) for file in plan.rescues]
    rows += [
        (*_row("there", file, at)[:-1], f"{at}{visible(file.place)}  which guestcred did not write")
        for file in plan.present
    ]
    below = []
    for directory in plan.directories:
        below.append(len(rows))
        rows += [_row("  given", file, at) for file in directory.files]
        rows += [("  skipped", name, "no source has it") for name in directory.skipped]
    lines = columns(rows, Column(least=9), LEFT, Column(least=10, right=True))
    for number, directory in zip(reversed(below), reversed(plan.directories)):
        lines.insert(number, f"  {at}run/guestcred/{directory.unit} for {visible(directory.user)}:")
    lines.insert(0, f"{headline(plan)}; {did}")
    for left in plan.left:
        lines += finding_lines(left, colour)
    return "\n".join(lines) + "\n"


def _row(word: str, file: File, at: str) -> tuple[str, ...]:
    return word, file.name, size(file.size), f"{at}{visible(file.place)}"
