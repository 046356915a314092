"""The matrix of all credentials over all stages -> text or JSON."""

from __future__ import annotations

from itertools import groupby

from guestcred.diagnose.matrix import Matrix, Row, Use
from guestcred.record import to_json
from guestcred.show.lines import BOLD, YELLOW, finding_lines, painted, problems, verdict, warning_lines
from guestcred.show.report import finding_json
from guestcred.text import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.show.documents import StatusDocument

HEADINGS = "meant", "offered", "imported", "rescued", "requested", "delivered"
NAME_LEAST = 16  # characters, however narrow the terminal
STATE = 11  # of a unit: "undelivered"
ALIKE_MAX = 8  # rows of one fate after each other that are still shown one by one
WORDS = {"differs": "differs", "truncated": "cut"}


def status_text(matrix: Matrix, colour: bool, width: int, *, verbose: bool = False, quiet: bool = False) -> str:
    """The verdict, a row for each credential that is not well, then for each problem cause and fix.

    Many rows that are alike are one. `width` is that of the terminal in characters; `verbose` shows every row, and the
    units of each; `quiet` has only causes and fixes.
    """
    if quiet:
        return problems(matrix.findings, colour)
    comparison = matrix.comparison
    rows = [row for row in matrix.rows if verbose or row.rank < 2]
    well = len(matrix.rows) - sum(row.rank < 2 for row in matrix.rows)
    counts = {"with a problem": 0, "rescued": 1, "well": 2}
    ranks = [row.rank for row in matrix.rows]
    told = ", ".join(f"{ranks.count(rank)} {word}" for word, rank in counts.items() if rank in ranks)
    lines = [verdict(matrix.verdict, told or "nothing was offered", comparison.systemd, colour)]
    # without a manifest, nothing says what was meant
    first = 0 if any(row.meant is not None for row in matrix.rows) else 1
    headings = HEADINGS[first:]
    room = width - sum(2 + len(heading) for heading in headings)
    groups = [[row] for row in rows] if verbose else _folded(rows)
    names = max([len("credential"), *(len(_name(group)) for group in groups)])
    name_width = max(NAME_LEAST, min(names, room))
    if rows:
        lines.append(painted(_line("credential", headings, headings, name_width), BOLD, colour))
    for group in groups:
        row = group[0]
        lines.append(_line(_name(group, name_width), cells(row)[first:], headings, name_width))
        if verbose:
            lines += [_use(use, width) for use in row.units or ()]
            lines += [f"    {row.reader}"] if row.reader else []
    if well and not verbose:
        lines.append(hidden(well, "well"))
    if matrix.rows and all(row.units is None for row in matrix.rows):
        lines.append(f"{painted('not looked at', YELLOW, colour)}: what units request, since they could not be asked")
    for finding in (*matrix.findings, *comparison.rescued):
        lines += finding_lines(finding, colour)
    for warning in comparison.warnings:
        lines += warning_lines(warning, colour)
    return "\n".join(lines) + "\n"


def _folded(rows: list[Row]) -> list[list[Row]]:
    """The rows in groups: more than ALIKE_MAX that follow each other and say the same are one."""
    groups: list[list[Row]] = []
    for _, following in groupby(rows, cells):
        alike = list(following)
        groups += [alike] if len(alike) > ALIKE_MAX else [[row] for row in alike]
    return groups


def _name(group: list[Row], width: int | None = None) -> str:
    """The name of a row, of several the first and the last and how many they are; in `width` characters if given."""
    first, last = group[0].name, group[-1].name
    if len(group) == 1:
        return first if width is None else shortened(first, width)
    many = f" ({len(group)})"
    if width is not None:
        return shortened(f"{first} ... {last}", width - len(many)) + many
    return f"{first} ... {last}{many}"


def hidden(number: int, are: str) -> str:
    """The line in place of so many rows that are well."""
    is_one = number == 1
    told = f"{count(number, 'credential')} {'is' if is_one else 'are'} {are}"
    return f"{told}: 'guestcred status -v' shows {'it' if is_one else 'them'}"


def _line(name: str, cells: tuple[str, ...], headings: tuple[str, ...], width: int) -> str:
    padded = [f"{cell:<{len(heading)}}" for cell, heading in zip(cells, headings)]
    return "  ".join([f"{name:<{width}}", *padded]).rstrip()


def _use(use: Use, width: int) -> str:
    """What a unit has of it, in a line of the terminal."""
    room = max(2 * NAME_LEAST, width - STATE - len("    ") - len("  ") - len(" as "))
    unit, identifier = use.unit, use.id
    if len(unit) + len(identifier) > room:
        identifier = shortened(identifier, max(NAME_LEAST, room - len(unit)))
        unit = shortened(unit, max(NAME_LEAST, room - len(identifier)))
    return f"    {use.state:<{STATE}}  {unit} as {identifier}"


def shortened(name: str, width: int) -> str:
    """A name without its middle where it is longer than `width`: names differ at their ends."""
    if len(name) <= width:
        return name
    front = (width - 3) // 2
    return f"{name[:front]}...{name[len(name) - (width - 3 - front) :]}"


def cells(row: Row) -> tuple[str, ...]:
    """A word for each stage: it passed (yes), it was lost there (LOST) or did not have to pass (-)."""
    offered = "yes" if row.offered else "LOST" if row.status == "not-offered" else "no"
    imported = WORDS.get(row.status or "", "yes") if row.imported else "LOST" if row.offered else "-"
    if row.units is None:
        requested, delivered = "?", "?"
    else:
        # PID 1 and generators read theirs without a unit
        requested = "systemd" if row.is_read and not row.units else str(len(row.units))
        delivered = f"{row.has_arrived} of {len(row.units)}" if row.units else "-"
    return ("-" if row.meant is None else "yes", offered, imported, "yes" if row.rescued else "-", requested, delivered)


def status_json(matrix: Matrix) -> StatusDocument:
    """The document `guestcred.status/1`; every field of a row is in it unchanged."""
    comparison = matrix.comparison
    return {
        "schema": "guestcred.status/1",
        "verdict": matrix.verdict,
        "systemd": comparison.systemd,
        "credentials": [to_json(row) for row in matrix.rows],
        "findings": [finding_json(finding) for finding in matrix.findings],
        "rescued": [finding_json(finding) for finding in comparison.rescued],
        "warnings": [finding_json(warning) for warning in comparison.warnings],
    }
