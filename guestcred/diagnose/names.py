"""Everything known about one name: the strings that have it, other sources that hold it, and near misses."""

from __future__ import annotations

import os

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.evidence import Evidence
from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.snapshot import Guest, other_sources
from guestcred.record import Record
from guestcred.systemd.offered import REASONS, Accepted, Rejected, Unrelated, Verdict
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.shown import REST, as_typed, shown
from guestcred.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.causes import Cause
    from guestcred.guest.snapshot import Origin

ORIGINS: dict[Origin | None, str] = {
    "fw-cfg": "QEMU's fw_cfg",
    "cmdline": "the kernel command line",
    "initrd": "the initrd (/run/credentials/@initrd)",
    "earlier-stage": "a source that only the initrd's PID 1 saw (as /.extra/system_credentials is, from systemd 262 on)",
    None: "a source that cannot be seen from here",
}


class Known(Record):
    """`name` raw, and `shown` for people and programs; `strings` in table order; the other `origins` that have it; near misses of that name."""

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
    """Everything known about a name, given as it is, as it is shown, or as the place of its string (`0x0e00:1`).

    Raises GuestcredError (exit status 2) for a shown form that stands for several names.
    """
    raw, place = os.fsencode(name), _place(name)
    own = [verdict for verdict in offered if not isinstance(verdict, Unrelated)]
    strings = (
        [verdict for verdict in own if raw == _raw_name(verdict)]
        or [verdict for verdict in own if verdict.place.of_structure == place]
        or [verdict for verdict in own if name == verdict.shown]
    )
    system = guest.system or {}
    files = [held for held in system if held == name] or [
        held for held, value in system.items() if shown(held, value) == name
    ]
    named = {_raw_name(string) for string in strings} | {os.fsencode(file) for file in files}
    if len(named) > 1:
        places = ", ".join(string.place.short for string in strings)
        hint = f"name it by the place of its string: {places}" if places else "see them with 'guestcred check'"
        raise GuestcredError(f"{len(named)} credentials are shown as {visible(name)}", hint, status=USAGE)
    strings = [verdict for verdict in own if _raw_name(verdict) in named]
    similar = [] if strings else _similar(raw, offered)
    known = next((string for string in strings if isinstance(string, Accepted)), None) or next(iter(strings), None)
    held = os.fsdecode(*named) if named else name
    origins = tuple((origin, values[held]) for origin, values in other_sources(guest) if held in values)
    if known is not None:
        told = known.shown
    elif held in system:
        told = shown(held, system[held])
    elif origins:
        told = shown(held, origins[0][1])
    elif any(path.endswith(f"/{held}") for path in guest.unreadable):
        told = shown(held, b"")
    elif similar:
        told = shown(raw, similar[0][1] or b"")
    else:
        told = as_typed(name)
    return Known(
        name=held,
        shown=told,
        strings=tuple(strings),
        origins=tuple(origin for origin, _ in origins),
        similar=tuple(string for string, value in similar if value is not None),
    )


def _raw_name(string: Accepted | Rejected) -> bytes:
    return string.name.encode("ascii") if isinstance(string, Accepted) else string.raw_name


def _place(name: str) -> tuple[int, int] | None:
    """(handle, number) of a string in the form `0x0e00:1`, or with a decimal handle as in JSON."""
    handle, _, number = name.partition(":")
    try:
        return int(handle, 0), int(number)
    except ValueError:
        return None


def _similar(raw: bytes, offered: tuple[Verdict, ...]) -> list[tuple[Unrelated, bytes | None]]:
    """The near misses of that name, each with its value; the value is None where it is all that the string says.

    Never a part of the value: `why` would give it away, guess by guess.
    """
    from guestcred.systemd.unrelated import near_assignment

    found: list[tuple[Unrelated, bytes | None]] = []
    bare = raw.strip(REST)
    for verdict in offered:
        if isinstance(verdict, Unrelated) and raw in verdict.text:
            name, value = near_assignment(verdict.text) if verdict.hint else (b"", None)
            if value is not None and name == raw:
                found.append((verdict, value))
                continue
            rests = verdict.text, verdict.text.partition(b":")[2], verdict.text.partition(b"=")[2], name
            if any(rest.strip(REST) == bare for rest in rests):
                found.append((verdict, None))
    return found


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
