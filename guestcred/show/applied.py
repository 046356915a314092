"""Plan -> text, and the document that stays as report.json: what is to be in place, not what one run did."""

from __future__ import annotations

from guestcred.apply.plan import File, Plan
from guestcred.show.lines import LEFT, Column, columns, finding_lines, problems
from guestcred.show.report import check_json
from guestcred.text import count, shown_root, size, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.show.documents import ApplyDocument, FileJson, PlannedJson, ReportDocument


def report_json(plan: Plan) -> ReportDocument:
    """The document `guestcred.report/1`."""
    return {"schema": "guestcred.report/1", **_planned(plan)}


def apply_json(plan: Plan, *, dry_run: bool, changed: bool) -> ApplyDocument:
    """The document `guestcred.apply/1`."""
    return {"schema": "guestcred.apply/1", "dry_run": dry_run, "changed": changed, **_planned(plan)}


def _planned(plan: Plan) -> PlannedJson:
    told = check_json(plan.comparison)
    return {
        "verdict": plan.verdict,
        "systemd": told["systemd"],
        "credentials": told["credentials"],
        "rescued": [_file(file) for file in plan.rescues],
        "present": [_file(file) for file in plan.present],
        "services": [
            {
                "unit": directory.unit,
                "user": directory.user,
                "credentials": [
                    {"id": file.name, "size": file.size, "source": f"/{file.place}"} for file in directory.files
                ],
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


def _file(file: File) -> FileJson:
    return {"name": file.name, "size": file.size, "path": f"/{file.place}"}


def headline(plan: Plan, is_done: bool = True) -> str:
    """The verdict and the counts, in one line without colour; where it is not done yet, what is to do."""
    counts = []
    waiting = 0 if is_done else sum(file.name not in plan.standing for file in plan.rescues)
    if len(plan.rescues) > waiting:
        counts.append(f"{count(len(plan.rescues) - waiting, 'credential')} rescued")
    if waiting:
        counts.append(f"{count(waiting, 'credential')} to rescue")
    if plan.present:
        counts.append(f"{count(len(plan.present), 'credential')} already there, not written by guestcred")
    if plan.directories:
        directories = "service directory" if len(plan.directories) == 1 else "service directories"
        counts.append(f"{len(plan.directories)} {directories}{'' if is_done else ' to write'}")
    if plan.left:
        counts.append(f"{count(len(plan.left), 'finding')} left to fix")
    verdict = "would be fixed" if plan.verdict == "fixed" and waiting else plan.verdict
    return f"{verdict}: {', '.join(counts) or 'nothing to fix'}"


def plan_text(
    plan: Plan, root: str, colour: bool, quiet: bool = False, *, changed: bool = True, dry_run: bool = False
) -> str:
    """The verdict, then a line for each credential that is written or skipped, then what is left to fix.

    `changed` says whether this run had something to write; `root` is put before each path. `quiet` has only what is left.
    """
    to_do = changed and dry_run
    did = "nothing to change" if not changed else "nothing was written" if dry_run else "written"
    if quiet:
        return problems(plan.left, colour)
    at = shown_root(root)
    rows = [
        _row("rescue" if to_do and file.name not in plan.standing else "rescued", file, at) for file in plan.rescues
    ]
    rows += [_row("there", file, at) for file in plan.present]
    below = []
    for directory in plan.directories:
        below.append(len(rows))
        rows += [_row("  give" if to_do else "  given", file, at) for file in directory.files]
        rows += [("  skipped", name, "no source has it") for name in directory.skipped]
    lines = columns(rows, Column(least=9), LEFT, Column(least=10, right=True))
    for number, directory in zip(reversed(below), reversed(plan.directories)):
        lines.insert(number, f"  {at}run/guestcred/{directory.unit} for {visible(directory.user)}:")
    lines.insert(0, f"{headline(plan, not to_do)}; {did}")
    for left in plan.left:
        lines += finding_lines(left, colour)
    return "\n".join(lines) + "\n"


def _row(word: str, file: File, at: str) -> tuple[str, ...]:
    return word, file.name, size(file.size), f"{at}{visible(file.place)}"
