"""The table of every word in docs/reference.md: what the program has a sentence for is taken from there, the rest is the page's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import schemas

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.names import ORIGINS
from guestcred.diagnose.refusals import REFUSALS
from guestcred.smbios.walk import REASONS as ENDINGS
from guestcred.systemd.offered import REASONS

PAGE = Path(__file__).parent.parent / "docs/reference.md"
HEAD = "| word | is | means | what to do |\n|---|---|---|---|\n"
UNTOLD = "?"

Rows = dict[tuple[str, str], tuple[str, str]]
"""(kind, word) to what it means and what to do about it."""


def told_by_the_program() -> Rows:
    """The rows whose sentences the program has."""
    words: dict[str, dict[str, tuple[str, str]]] = {
        "cause": {str(cause): told for cause, told in CAUSES.items()},
        "origin": {str(origin): (told, "") for origin, told in ORIGINS.items() if origin},
        "reason of a refused string": {str(reason): (told, "") for reason, told in REASONS.items()},
        "end of a table": {str(ending): (told, "") for ending, told in ENDINGS.items()},
        "reason of a unit": {
            str(problem): (why.format(id="ID", source="its source"), fix.format(id="ID", source="its source"))
            for problem, (why, fix) in REFUSALS.items()
        },
    }
    return {(kind, word): told for kind, below in words.items() for word, told in below.items()}


def words_of(kind: str) -> list[str]:
    """The words of a kind, in the order of the program."""
    match kind:
        case "status":
            return [*schemas.words("diagnose.compare", "Status"), "rejected", "not-imported", "stored"]
        case "cause":
            return schemas.words("diagnose.causes", "Cause")
        case "origin":
            return schemas.words("guest.snapshot", "Origin")
        case "reason of a refused string":
            return schemas.words("systemd.offered", "Reason")
        case "end of a table":
            return schemas.words("smbios.walk", "Ending")
        case "state":
            return schemas.words("diagnose.outcomes", "State")
        case "reason of a unit":
            return schemas.words("systemd.delivery", "Problem")
        case "code":
            others = {word for other in KINDS if other not in ("code", "state") for word in words_of(other)}
            return [word for word in schemas.words("diagnose.findings", "Code") if word not in others]
        case "stage":
            return schemas.words("diagnose.stations", "Station")
    raise AssertionError(kind)


KINDS = (
    *("status", "cause", "origin", "reason of a refused string", "end of a table", "state", "reason of a unit", "code"),
    "stage",
)


def cell(text: str) -> str:
    """A text as it may stand in a table: what looks like HTML or ends a cell is escaped."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def on_the_page() -> Rows:
    """The rows that the page has now."""
    rows: Rows = {}
    for line in split_page()[1].splitlines():
        word, kind, means, fix = (one.strip() for one in re.split(r"(?<!\\)\|", line)[1:-1])
        rows[kind, word.strip("`")] = means, fix
    return rows


def table() -> Iterator[str]:
    """The lines of the table as they have to be."""
    program, page = told_by_the_program(), on_the_page()
    for kind in KINDS:
        for word in words_of(kind):
            told = program.get((kind, word))
            means, fix = map(cell, told) if told else page.get((kind, word), (UNTOLD, ""))
            yield f"| `{word}` | {kind} | {means} |{f' {fix} ' if fix else ' '}|"


def split_page() -> tuple[str, str, str]:
    """The page up to the rows, the rows, and what comes after them."""
    found = re.fullmatch(rf"(.*{re.escape(HEAD)})((?:\|.*\n)*)(.*)", PAGE.read_text(), re.DOTALL)
    assert found, f"{PAGE.name} has lost the head of its table of words"
    return found[1], found[2], found[3]


def page() -> str:
    """The page as it has to be."""
    before, _, after = split_page()
    return before + "".join(f"{line}\n" for line in table()) + after
