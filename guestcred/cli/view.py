"""What every command is asked beside its own options, and how it prints."""

from __future__ import annotations

import os
import sys

from guestcred.errors import GuestcredError
from guestcred.record import Record
from guestcred.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Form = Literal["text", "json"]


class View(Record):
    """Where to look: the live system or a captured tree, by the rules of which systemd (None: as seen); and the output's form."""

    root: str = "/"
    systemd: int | None = None
    form: Form = "text"


def show_error(error: GuestcredError) -> int:
    """Print an expected failure in its one form and return its exit status."""
    print(f"guestcred: error: {visible(error.problem)}", file=sys.stderr)
    for hint in error.hints:
        print(f"guestcred: hint: {visible(hint)}", file=sys.stderr)
    return error.status


def in_colour() -> bool:
    """Whether standard output is a terminal that shows colours, and nobody asked for none."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_json(document: object) -> None:
    """One document, for programs."""
    import json

    print(json.dumps(document, indent=2))
