"""Credentials on the page: in groups of one fate, each a line of the picture and a row of a table."""

from __future__ import annotations

from guestcred.diagnose.matrix import IS_THERE, Row
from guestcred.show.markup import Markup, element, joined
from guestcred.show.picture import KINDS, LANES, bundle, drawn_units, icon, marks, track
from guestcred.show.status import cells, shortened
from guestcred.text import count, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from guestcred.show.picture import Kind

NAME = 32  # characters of a name in the picture; the table has all of it
ALIKE_MAX = 8  # credentials of one fate that are still shown one by one
RANKS: tuple[Kind, ...] = ("lost", "rescued", "passed")


def groups_of(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows in order; more than ALIKE_MAX of one fate are a group, and each other one is alone.

    Of what is well all is of one fate.
    """
    fates: dict[str, list[Row]] = {}
    for row in rows:
        kinds = [mark.kind for mark in marks(row)]
        units = [(use.unit, use.state) for use in row.units or ()]
        fate = "well" if row.rank == 2 else repr((row.status, row.cause, kinds, units))
        fates.setdefault(fate, []).append(row)
    groups = []
    for alike in fates.values():
        groups += [alike] if len(alike) > ALIKE_MAX else [[row] for row in alike]
    return groups


def picture(groups: list[list[Row]], anchors: dict[str, str]) -> Markup:
    """A line for each row and each group; `anchors` has where on the page the finding about a name is."""
    lanes = [element("span", element("b", word), " ", element("small", below)) for word, below in LANES]
    head = (element("span", ""), element("div", *lanes, class_="lanes"), element("span", ""))
    lines = [_line(group[0], anchors) if len(group) == 1 else _bundle(group, anchors) for group in groups]
    rows = [row for group in groups for row in group]
    kinds = {mark.kind for row in rows for mark in marks(row)}
    kinds |= {"passed" if use.state in IS_THERE else "lost" for row in rows for use in row.units or ()}
    legend = [element("li", icon(kind), meaning) for kind, meaning in KINDS.items() if kind in kinds]
    return joined(
        element("div", *head, class_="row head", aria_hidden="true"),
        element("ol", *(element("li", line) for line in lines), class_="ways"),
        element("ul", *legend, class_="legend", aria_label="The marks"),
    )


def _line(row: Row, anchors: dict[str, str]) -> Markup:
    name = element("code", shortened(row.name, NAME))
    if row.name in anchors:
        name = element("a", name, href=f"#{anchors[row.name]}")
    units = [
        element(
            "li",
            icon("passed" if use.state in IS_THERE else "lost"),
            element("code", shortened(use.unit, NAME)),
            element("small", f"{use.state} as {shortened(use.id, NAME)}"),
        )
        for use in drawn_units(row)
    ]
    more = len(row.units or ()) - len(units)
    if more:
        units.append(element("li", element("small", f"and {count(more, 'unit')} more, in the table"), class_="more"))
    return element(
        "div",
        element("div", name, element("small", _status(row)), class_="name"),
        track(row),
        element("ul", *units, class_="units") if units else element("span", ""),
        class_=f"row {RANKS[row.rank]}",
    )


def _bundle(rows: list[Row], anchors: dict[str, str]) -> Markup:
    names = [element("code", shortened(row.name, NAME // 2)) for row in (rows[0], rows[-1])]
    summary = element(
        "summary",
        element(
            "div",
            element("b", count(len(rows), "credential")),
            element("small", _fate(rows)),
            element("small", names[0], " to ", names[1]),
            class_="name",
        ),
        bundle(rows),
        element("span", ""),
        class_=f"row {RANKS[rows[0].rank]}",
    )
    inside = element("ol", *(element("li", _line(row, anchors)) for row in rows), class_="ways")
    return element("details", summary, inside)


def _status(row: Row) -> str:
    status: str = row.status or "not offered"
    without = len(row.units or ()) - row.has_arrived
    if row.rank == 0 and status in ("imported", "foreign", "rescued"):
        status = f"{status}, {count(without, 'unit')} without it"
    return f"{status}: {row.cause}" if row.cause else status


def _fate(rows: list[Row]) -> str:
    return "well" if rows[0].rank == 2 else _status(rows[0])


COLUMNS = "status", "size", "string", "meant", "offered", "imported", "rescued", "delivered", "units"


def tables(groups: list[list[Row]]) -> list[Markup]:
    """A table of what is shown one by one, and folded ones of the groups."""
    alone = [group[0] for group in groups if len(group) == 1]
    tables = [_table(alone, "Each credential")] if alone else []
    for group in groups:
        if len(group) > 1:
            told = f"{count(len(group), 'credential')}: {_fate(group)}"
            tables.append(element("details", element("summary", told), _table(group, told)))
    return tables


def _table(rows: list[Row], caption: str) -> Markup:
    # without a manifest, nothing says what was meant
    words = [word for word in COLUMNS if word != "meant" or any(row.meant is not None for row in rows)]
    head = [element("th", word, scope="col", role="columnheader") for word in ("credential", *words)]
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *(_table_row(row, words) for row in rows), role="rowgroup"),
        role="table",
    )


def _table_row(row: Row, words: list[str]) -> Markup:
    place = "-" if row.handle is None else f"{row.handle:#06x}:{row.index}"
    units = [
        element("div", element("code", use.unit), f" {use.state} as ", element("code", use.id))
        for use in row.units or ()
    ]
    units += [element("div", row.reader)] if row.reader else []
    told = (
        _status(row),
        "-" if row.size is None else size(row.size),
        place,
        *cells(row)[:4],
        cells(row)[5],
        joined(*units) or "-",
    )
    return element(
        "tr",
        element("th", element("code", row.name), scope="row", role="rowheader"),
        *(
            element("td", text, role="cell", data_label=label, class_="none" if text == "-" else None)
            for label, text in zip(COLUMNS, told, strict=True)
            if label in words
        ),
        role="row",
    )
