"""Lines for people: aligned columns, a verdict, findings with their fixes; in colour if asked."""

from __future__ import annotations

from guestcred.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from guestcred.diagnose.findings import Finding

GREEN, YELLOW, RED, BOLD, PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[0m"
# by the first word of a row; every word that is not here is bad news
COLOURS = {
    **dict.fromkeys(("imported", "delivered", "ready", "ok", "agrees", "fixed"), GREEN),
    **dict.fromkeys(("foreign", "nothing", "rescued", "warning"), YELLOW),
}


class Column(Record):
    """How wide a column is, in characters: at least `least`, and as wide as its cells need up to `most`."""

    least: int = 0
    most: int = 255
    right: bool = False


LEFT, RIGHT = Column(), Column(right=True)


def columns(rows: Sequence[Sequence[str]], *layout: Column, colour: bool = False, indent: str = "  ") -> list[str]:
    """Rows as lines; every cell but the last in its row is padded to its column, and `colour` paints the first one."""
    widths = [
        min(max([column.least, *(len(row[number]) for row in rows if number < len(row) - 1)]), column.most)
        for number, column in enumerate(layout)
    ]
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{width}}" if column.right else f"{cell:<{width}}"
            for cell, column, width in zip(row[:-1], layout, widths)
        ]
        if cells:
            cells[0] = painted(cells[0], COLOURS.get(row[0].strip(), RED), colour)
        lines.append(indent + "  ".join([*cells, row[-1]]).rstrip())
    return lines


def painted(text: str, colour: str, use: bool) -> str:
    """The text in that colour if `use`."""
    return f"{colour}{text}{PLAIN}" if use else text


def verdict(word: str, told: str, systemd: int | None, colour: bool) -> str:
    """The first line: whether all is well, what was counted, and which systemd's rules were used."""
    version = f"systemd {systemd}" if systemd is not None else "systemd version unknown"
    return f"{painted(word, COLOURS.get(word, RED), colour)}: {told} ({version})"


def finding_lines(finding: Finding, colour: bool) -> list[str]:
    """What happened in one sentence, and its fix in the next; lines to paste are below that, as they are."""
    fix, *to_paste = finding.fix.split("\n")
    stop = "" if to_paste else "."
    told = ["", f"{painted(finding.code, BOLD, colour)}: {finding.message}.", f"  fix: {fix}{stop}"]
    return told + [f"    {line}" for line in to_paste]


def problems(findings: Sequence[Finding], colour: bool) -> str:
    """Findings and nothing else."""
    lines = [line for finding in findings for line in finding_lines(finding, colour)]
    return "".join(f"{line}\n" for line in lines[1:])


def warning_lines(warning: Finding, colour: bool) -> list[str]:
    """What looks wrong, and what to do if it is."""
    return ["", f"{painted('warning', YELLOW, colour)}: {warning.message}.", f"  hint: {warning.fix}."]
