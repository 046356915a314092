"""Everything known about one name: the strings that have it, other sources that hold it, and near misses."""

from __future__ import annotations

import os

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.evidence import Evidence
from guestcred.guest.snapshot import Guest, other_sources
from guestcred.record import Record
from guestcred.systemd.offered import REASONS, Accepted, Rejected, Unrelated, Verdict, near_name
from guestcred.systemd.rules import name_is_valid, shown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.causes import Cause
    from guestcred.guest.snapshot import Origin

ORIGINS: dict[Origin | None, str] = {
    "fw-cfg": "QEMU's fw_cfg",
    "cmdline": "the kernel command line",
    "initrd": "the initrd (/run/credentials/@initrd)",
    None: "a source that cannot be seen from here",
}


class Known(Record):
    """`name` raw and `shown`; `strings` in table order; the other `origins` that have it; near misses of that name."""

    name: str
    shown: str
    strings: tuple[Accepted | Rejected, ...]
    origins: tuple[Origin, ...]
    similar: tuple[Unrelated, ...]

    @property
    def accepted(self) -> Accepted | None:
        """The string that PID 1 takes, if there is one."""
        return next((string for string in self.strings if isinstance(string, Accepted)), None)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The strings that PID 1 refuses."""
        return tuple(string for string in self.strings if isinstance(string, Rejected))


def look_up(name: str, offered: tuple[Verdict, ...], guest: Guest) -> Known:
    """Everything known about a name; one that is shown shortened or with escapes may be given as it is shown."""
    raw = os.fsencode(name)
    strings = tuple(
        verdict
        for verdict in offered
        if (isinstance(verdict, Accepted) and name in (verdict.name, verdict.shown))
        or (isinstance(verdict, Rejected) and (raw == verdict.raw_name or name == verdict.name))
    )
    known = next((string for string in strings if isinstance(string, Accepted)), None)
    return Known(
        name=name if known is None else known.name,
        shown=shown_name(name) if known is None else known.shown,
        strings=strings,
        origins=tuple(origin for origin, values in other_sources(guest) if name in values),
        similar=tuple(
            verdict
            for verdict in offered
            if isinstance(verdict, Unrelated) and verdict.hint and near_name(verdict.text) == raw
        ),
    )


def absence(known: Known, evidence: Evidence, cut: str | None) -> tuple[Cause | None, str, str]:
    """(cause, clause about `it`, fix) for a name that did not arrive and was neither accepted nor refused in the table.

    `cut` is the sentence that says how much of the table Linux cut off, if it did.
    """
    if not name_is_valid(os.fsencode(known.name)):
        return None, f"systemd takes no such name: {REASONS['invalid-name']}", "give the credential another name"
    for origin in known.origins:
        cause = evidence.not_imported(origin)
        sentence, fix = CAUSES[cause]
        return cause, f"{ORIGINS[origin]} offers it, and it was not imported: {sentence}", fix
    for string in known.similar:
        hint = f"{string.place} looks like it: {string.hint}"
        return None, "no OEM string and no other source offers it", hint
    if cut is not None:
        return "cut-by-kernel", f"no OEM string that is here offers it, and {cut}", CAUSES["cut-by-kernel"][1]
    return (
        None,
        "no OEM string and no other source offers it",
        f"pass it on the host as 'io.systemd.credential:{known.shown}=...', and see what arrived with 'guestcred dump'",
    )
