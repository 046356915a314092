"""The way of credentials as lines over the stages, in inline SVG: across in parts of the width, down in pixels."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from guestcred.diagnose.matrix import IS_THERE, Row, Use
from guestcred.manifest import FRAME
from guestcred.record import Record
from guestcred.show.markup import Markup, element, joined
from guestcred.text import count, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    Kind = Literal["passed", "lost", "changed", "rescued", "elsewhere", "absent", "unknown"]

LANES = (
    ("meant", "by the host"),
    ("offered", "in the table"),
    ("imported", "by PID 1"),
    ("rescued", "to a credstore"),
    ("requested", "by units"),
    ("delivered", "to units"),
)
MEANT, OFFERED, IMPORTED, RESCUED, REQUESTED, DELIVERED = range(6)

# what each kind of mark means, in the order of the legend
KINDS: dict[Kind, str] = {
    "passed": "passed",
    "lost": "lost here",
    "changed": "cut or changed",
    "rescued": "rescued",
    "elsewhere": "not from SMBIOS",
    "absent": "nobody asks, or nobody offers",
    "unknown": "not known",
}
LINE = 22  # pixels from the top of a track to its line
BELOW = 30  # pixels under the last line, for words
BRANCH = 40  # pixels from one unit to the next: two lines of text
UNITS_MAX = 6  # units that a track is drawn to
LANE_LINES = element("use", href="#lanes")


class Mark(Record):
    """What happened in a lane, and a short word for it; `told` is the same for who cannot see it."""

    lane: int
    kind: Kind
    word: str
    told: str


def marks(row: Row) -> tuple[Mark, ...]:
    """The marks of a credential up to what requests it, in the order of the lanes."""
    found = []
    if row.meant is not None:
        found.append(Mark(lane=MEANT, kind="passed", word=_short(row.meant), told=f"meant, {size(row.meant)}"))
    if row.offered:
        found.append(Mark(lane=OFFERED, kind="passed", word=_offered_size(row), told="offered"))
    elif row.status == "not-offered":
        found.append(Mark(lane=OFFERED, kind="lost", word="lost", told="lost before it was offered"))
    elif row.status is None:
        found.append(Mark(lane=OFFERED, kind="absent", word="nobody", told="offered by nobody"))
    if row.status == "foreign":
        told = f"imported from elsewhere: {row.cause or 'unknown'}"
        found.append(Mark(lane=IMPORTED, kind="elsewhere", word="elsewhere", told=told))
    elif row.status in ("differs", "truncated"):
        word = "cut" if row.status == "truncated" else "differs"
        found.append(Mark(lane=IMPORTED, kind="changed", word=word, told=f"imported, {word}, {size(row.size or 0)}"))
    elif row.imported and row.status is not None:
        found.append(Mark(lane=IMPORTED, kind="passed", word=_short(row.size), told=f"imported, {size(row.size or 0)}"))
    elif row.offered:
        found.append(Mark(lane=IMPORTED, kind="lost", word="lost", told="lost at the import"))
    if row.rescued:
        found.append(Mark(lane=RESCUED, kind="rescued", word="rescued", told="rescued"))
    if row.units is None:
        found.append(Mark(lane=REQUESTED, kind="unknown", word="not asked", told="units were not asked"))
    elif row.units:
        many = count(len(row.units), "unit")
        found.append(Mark(lane=REQUESTED, kind="passed", word=many, told=f"requested by {many}"))
    elif row.is_read:
        found.append(Mark(lane=REQUESTED, kind="passed", word="systemd", told=row.reader or ""))
    elif row.name not in FRAME and (row.status not in ("missing", "not-offered") or row.rescued):
        found.append(Mark(lane=REQUESTED, kind="absent", word="no unit", told="requested by no unit"))
    return tuple(found)


def _offered_size(row: Row) -> str:
    """Of what was imported with other bytes, the size that was offered is not known here."""
    return "" if row.status in ("differs", "truncated") else _short(row.size)


def _short(number: int | None) -> str:
    if number is None:
        return ""
    if number < 1000:
        return f"{number} B"
    return f"{number / 1024:.1f} KiB" if number < 1000 * 1024 else f"{number / 1024 / 1024:.1f} MiB"


def drawn_units(row: Row) -> tuple[Use, ...]:
    """The units that a track ends at, those without it first."""
    units = sorted(row.units or (), key=lambda use: use.state in IS_THERE)
    return tuple(units[:UNITS_MAX])


def track(row: Row) -> Markup:
    """One credential's line, with a branch to each of its units."""
    units = drawn_units(row)
    stations = marks(row)
    ends = [(LINE + BRANCH * number, use.state in IS_THERE) for number, use in enumerate(units)]
    told = [mark.told for mark in stations]
    told += [f"{use.unit}: {use.state}" for use in units]
    drawn = [
        LANE_LINES,
        *_ways(stations),
        *_branches(ends),
        *(_station(mark) for mark in stations),
        *(_mark(DELIVERED, y, "passed" if there else "lost") for y, there in ends),
    ]
    return _svg(LINE + BELOW + BRANCH * max(0, len(units) - 1), "; ".join(told), drawn)


def bundle(rows: Sequence[Row]) -> Markup:
    """The lines of several credentials as one, with how many come through each lane.

    Where their marks in a lane differ, that of most stands for all of them.
    """
    through: list[Counter[Kind]] = [Counter() for _ in LANES]
    for row in rows:
        for mark in marks(row):
            through[mark.lane][mark.kind] += 1
        if row.units:
            through[DELIVERED]["passed" if row.has_arrived == len(row.units) else "lost"] += 1
    stations = []
    for lane, kinds in enumerate(through):
        if len(kinds) > 1:
            del kinds["absent"]  # some are requested
        if kinds:
            [(kind, _)] = kinds.most_common(1)
            many, word = kinds.total(), "no unit" if kind == "absent" else str(kinds.total())
            stations.append(Mark(lane=lane, kind=kind, word=word, told=f"{LANES[lane][0]}: {many} {KINDS[kind]}"))
    drawn = [LANE_LINES, *_ways(tuple(stations)), *(_station(mark) for mark in stations)]
    return _svg(LINE + BELOW, "; ".join(mark.told for mark in stations), drawn, "track bundle")


def symbols() -> Markup:
    """The marks, defined once for a page and drawn around their middle; each kind has a shape of its own."""
    cross = element("path", d="M-5.5-5.5 5.5 5.5M5.5-5.5-5.5 5.5", class_="stroke")
    shapes: dict[Kind, tuple[Markup, ...]] = {
        "passed": (element("circle", r=6, class_="full"),),
        "lost": (element("circle", r=10, class_="paper"), cross),
        "changed": (
            element("circle", r=7, class_="paper"),
            element("circle", r="6.5", class_="thin"),
            element("path", d="M0-6.5A6.5 6.5 0 0 0 0 6.5Z", class_="full"),
        ),
        "rescued": (element("path", d="M0-8.5 8.5 0 0 8.5-8.5 0Z", class_="full"),),
        "elsewhere": (element("path", d="M-6-7.5 8 0-6 7.5Z", class_="full"),),
        "absent": (element("circle", r=5, class_="paper thin"),),
        "unknown": (
            element("circle", r=9, class_="paper"),
            element("path", d="M-3-3.5A3 3 0 1 1 0 .5V2.5M0 5.4V5.6", class_="thin"),
        ),
    }
    drawn = [element("g", *shape, id=f"mark-{kind}") for kind, shape in shapes.items()]
    lanes = [element("line", x1=x, x2=x, y1="0", y2="100%", class_="lane") for x in map(_x, range(len(LANES)))]
    drawn.append(element("g", *lanes, id="lanes"))
    return element("svg", *drawn, class_="symbols", width=0, height=0, aria_hidden="true")


def icon(kind: Kind) -> Markup:
    """A mark beside a word that says the same."""
    used = element("use", href=f"#mark-{kind}", class_=f"mark {kind}")
    return element("svg", used, viewBox="-11 -11 22 22", class_="icon", aria_hidden="true")


def _svg(height: int, told: str, drawn: list[Markup], kind: str = "track") -> Markup:
    return element("svg", *drawn, class_=kind, height=height, role="img", aria_label=told)


def _x(lane: float) -> str:
    """The middle of a lane, in parts of the width; between two lanes for a half."""
    return f"{(lane + 0.5) * 100 / len(LANES):.2f}%"


def _line(start: float, end: float, kind: str, *, y: int = LINE, to: int | None = None) -> Markup:
    return element("line", x1=_x(start), x2=_x(end), y1=y, y2=y if to is None else to, class_=f"way {kind}")


def _ways(stations: tuple[Mark, ...]) -> list[Markup]:
    """The lines between the marks: none behind a loss, unless something was rescued there."""
    ways = []
    for before, after in pairwise(stations):
        if before.kind == "lost" and after.kind != "rescued":
            continue
        if before.kind in ("absent", "unknown"):
            continue
        if after.kind == "lost":
            kind = "faint" if after.lane == DELIVERED else "lost"
        elif "rescued" in (before.kind, after.kind):
            kind = "rescue" if after.kind == "rescued" else "rescued"
        else:
            kind = "faint" if after.kind in ("absent", "unknown") else "passed"
        ways.append(_line(before.lane, after.lane, kind))
    return ways


def _branches(ends: list[tuple[int, bool]]) -> list[Markup]:
    """The lines from what requests a credential to each unit: dotted, and below the others, where it has it not."""
    fork = REQUESTED + 0.5
    drawn = []
    for kind, has_it in (("faint", False), ("passed", True)):
        heights = [y for y, there in ends if there == has_it]
        if heights:
            drawn += [_line(REQUESTED, fork, kind), _line(fork, fork, kind, to=max(heights))]
            drawn += [_line(fork, DELIVERED, kind, y=y) for y in heights]
    return drawn


def _mark(lane: int, y: int, kind: Kind) -> Markup:
    return element("use", href=f"#mark-{kind}", x=_x(lane), y=y, class_=f"mark {kind}")


def _station(mark: Mark) -> Markup:
    word = element("text", mark.word, x=_x(mark.lane), y=LINE + 22, class_=f"word {mark.kind}") if mark.word else ""
    return joined(_mark(mark.lane, LINE, mark.kind), word)
