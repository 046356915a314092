"""Who reads a well-known credential in this guest, for `why` and `status`."""

from __future__ import annotations

from guestcred.diagnose.findings import Finding
from guestcred.systemd.atlas import Reading, credential, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


def read_by(name: str, systemd: int | None, requesting: Collection[str] | None, *, late: bool) -> Reading | None:
    """Who reads it, None for a name that systemd does not know; the parameters are those of `systemd/atlas.py::reading`."""
    entry = credential(name)
    return None if entry is None else reading(entry, name, systemd, requesting, late=late)


def unread(name: str, nobody: Reading) -> Finding:
    """The warning for a well-known credential that arrived, and that nobody here reads."""
    return Finding("unread", f"{name} is {nobody.text}", nobody.fix, names=(name,))
