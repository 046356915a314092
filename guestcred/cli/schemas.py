"""What `schema` does: print the JSON Schema of a document, or list those that there are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from guestcred.errors import USAGE, GuestcredError
from guestcred.show.lines import LEFT, columns
from guestcred.systemd.nearest import nearest
from guestcred.text import visible

SCHEMAS = Path(__file__).parent.parent / "schemas"


def print_schema(name: str | None) -> int:
    """Print the schema of that name as it is shipped; without one a line for each. Raises GuestcredError (exit status 2)."""
    there = {path.stem: path for path in sorted(SCHEMAS.glob("*.json"), key=lambda path: path.stem)}
    if name is None:
        told = [json.loads(path.read_text()) for path in there.values()]
        rows = [
            (stem, one["title"], re.split(r"[.:;](?:\s|$)", one["description"])[0]) for stem, one in zip(there, told)
        ]
        sys.stdout.write("".join(f"{line}\n" for line in columns(rows, LEFT, LEFT, indent="")))
        return 0
    if name not in there:
        near = nearest(name, list(there))
        raise GuestcredError(
            f"there is no schema {visible(name)}",
            f"did you mean {near}?" if near else "see all of them with 'guestcred schema'",
            status=USAGE,
        )
    sys.stdout.write(there[name].read_text())
    return 0
