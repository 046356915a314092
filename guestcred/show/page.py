"""The matrix of all credentials as one page: the way of each as a picture, what to do, and the same as a table."""

from __future__ import annotations

import base64
import hashlib

from guestcred import __version__
from guestcred.diagnose.findings import Finding
from guestcred.diagnose.matrix import Matrix
from guestcred.diagnose.stations import Stage
from guestcred.record import Record
from guestcred.show.markup import Markup, element
from guestcred.show.page_rows import NAME, groups_of, picture, tables
from guestcred.show.page_style import STYLE
from guestcred.show.picture import icon, symbols
from guestcred.show.status import shortened
from guestcred.text import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from guestcred.show.picture import Kind

STAGES_MAX = 12  # steps of one way
STEPS_MAX = 3  # credentials of one finding whose way is told step by step


class Seen(Record):
    """All that a page shows: the matrix, the stages of credentials by name, and facts about the look in words."""

    matrix: Matrix
    steps: dict[str, tuple[Stage, ...]]
    facts: tuple[tuple[str, str], ...]


def told_by_steps(matrix: Matrix) -> list[str]:
    """The names of those credentials that a page tells step by step."""
    known = {row.name for row in matrix.rows if row.status is not None}
    findings = (*matrix.findings, *matrix.comparison.rescued)
    return list(dict.fromkeys(name for finding in findings for name in finding.names[:STEPS_MAX] if name in known))


def page(seen: Seen) -> bytes:
    """The page, in ASCII; it loads nothing and runs nothing, and says so to the browser."""
    matrix = seen.matrix
    told = headline(matrix)
    allowed = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta", http_equiv="Content-Security-Policy", content=f"default-src 'none'; style-src 'sha256-{allowed}'"
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=f"guestcred {__version__}"),
        element("title", f"guestcred status: {told}"),
        element("style", Markup(STYLE)),
    )
    body = element("body", symbols(), _header(seen, told), element("main", *_sections(seen)), _footer())
    whole = f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
    return whole.encode("ascii", "xmlcharrefreplace")


def headline(matrix: Matrix) -> str:
    """How it stands, in one sentence."""
    ranks = [row.rank for row in matrix.rows]
    all_of = len(ranks)
    wrong, rescued = ranks.count(0), ranks.count(1)
    if wrong:
        what = f"{wrong} of {count(all_of, 'credential')} {'has' if wrong == 1 else 'have'} a problem"
        return f"{what}, {rescued} {'was' if rescued == 1 else 'were'} rescued" if rescued else what
    if matrix.findings:
        return f"{count(len(matrix.findings), 'problem')}, but no credential was lost"
    if rescued:
        return f"{rescued} of {count(all_of, 'credential')} {'was' if rescued == 1 else 'were'} lost and rescued"
    if not all_of:
        return "nothing was offered"
    return "the credential is well" if all_of == 1 else f"all {all_of} credentials are well"


def _header(seen: Seen, told: str) -> Markup:
    kinds: dict[str, Kind] = {"findings": "lost", "fixed": "rescued", "agrees": "passed"}
    verdict = seen.matrix.verdict
    facts = [element("div", element("dt", term), element("dd", text)) for term, text in seen.facts]
    return element(
        "header",
        element(
            "p",
            icon(kinds[verdict]),
            element("span", element("b", "guestcred status"), f": {verdict}"),
            class_=f"verdict {kinds[verdict]}",
        ),
        element("h1", f"{told[:1].upper()}{told[1:]}"),
        element("dl", *facts, class_="facts"),
    )


def _footer() -> Markup:
    text = (
        "This page holds names, sizes and places, and no value of a credential. It runs no script and loads nothing. "
        f"Made by guestcred {__version__}."
    )
    return element("footer", element("p", text))


def _sections(seen: Seen) -> list[Markup]:
    matrix = seen.matrix
    findings = (*matrix.findings, *matrix.comparison.rescued)
    groups = groups_of(matrix.rows)
    sections = []
    if matrix.rows:
        sections.append(_section("way", "The way of each credential", picture(groups, _anchors(findings))))
    if findings:
        sections.append(_section("do", "What happened, and what to do", _cards(findings, seen.steps)))
    if matrix.comparison.warnings:
        cards = [_card(warning, "absent", "Hint") for warning in matrix.comparison.warnings]
        sections.append(
            _section("warnings", "What looks wrong, though nothing was lost", element("div", *cards, class_="cards"))
        )
    if matrix.rows:
        sections.append(_section("table", "The same as a table", *tables(groups)))
    return sections


def _anchors(findings: Sequence[Finding]) -> dict[str, str]:
    """Where on the page the first finding about each credential is."""
    anchors: dict[str, str] = {}
    for number, finding in enumerate(findings, 1):
        for name in finding.names:
            anchors.setdefault(name, f"problem-{number}")
    return anchors


def _section(name: str, title: str, *inside: Markup) -> Markup:
    return element("section", element("h2", title, id=name), *inside, aria_labelledby=name)


def _cards(findings: Sequence[Finding], steps: dict[str, tuple[Stage, ...]]) -> Markup:
    """What each finding says; the way of a credential only where it is named first."""
    left = dict(steps)
    cards = []
    for number, finding in enumerate(findings, 1):
        shown = [_steps(name, left.pop(name)) for name in finding.names[:STEPS_MAX] if name in left]
        if len(shown) > 1:
            more = element("summary", f"the way of {len(shown) - 1} more")
            shown[1:] = [element("details", more, *shown[1:])]
        kind: Kind = "rescued" if finding.code == "rescued" else "lost"
        cards.append(_card(finding, kind, "Fix", shown, f"problem-{number}"))
    return element("div", *cards, class_="cards")


def _card(finding: Finding, kind: Kind, advice: str, shown: Sequence[Markup] = (), anchor: str | None = None) -> Markup:
    names = [element("code", shortened(name, NAME)) for name in finding.names[:STEPS_MAX]]
    more = len(finding.names) - len(names)
    title = (icon(kind), element("span", finding.code), *names, f"and {more} more" if more else "")
    said = (
        element("p", f"{finding.message}."),
        element("p", element("b", advice), f" {finding.fix}.", class_="fix"),
    )
    return element(
        "article",
        element("h3", *title),
        element("div", element("div", *said), element("div", *shown) if shown else "", class_="said"),
        id=anchor,
        class_=f"card {kind} wide" if shown else f"card {kind}",
    )


def _steps(name: str, stages: Sequence[Stage]) -> Markup:
    items = [_step(stage) for stage in stages]
    if len(items) > STAGES_MAX:
        more = element("li", element("span", f"and {len(items) - STAGES_MAX} more"), class_="more")
        items[STAGES_MAX // 2 : -STAGES_MAX // 2] = [more]
    title = element("h4", element("code", shortened(name, NAME)), " step by step")
    return element("div", title, element("ol", *items, class_="steps"))


def _step(stage: Stage) -> Markup:
    kind: Kind = "rescued" if stage.name == "rescued" else "passed" if stage.passed else "lost"
    lost = "" if stage.passed else element("span", "lost: ", class_="unseen")
    return element("li", icon(kind), element("b", lost, stage.name), element("span", stage.evidence), class_=kind)
