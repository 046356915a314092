"""One credential's way, stage by stage, up to where it was lost."""

from __future__ import annotations

from itertools import pairwise

from guestcred.causes import Evidence
from guestcred.compare import Comparison, Credential, Finding, loss, refusal, suspicions
from guestcred.guest import ENTRIES, SYSTEM, TABLE, Guest
from guestcred.offered import REASONS, Accepted, Rejected, Unrelated, Verdict
from guestcred.records import Record


class Stage(Record):
    """One station on a credential's way: its word, whether the credential passed it, and what shows that."""

    name: str
    passed: bool
    evidence: str


class Trace(Record):
    """One credential's whole way; `finding` is None where it arrived."""

    name: str
    status: str
    cause: str | None
    stages: tuple[Stage, ...]
    finding: Finding | None
    warnings: tuple[Finding, ...]


def trace(name: str, comparison: Comparison, guest: Guest, offered: tuple[Verdict, ...], evidence: Evidence) -> Trace:
    """Follow `name` from the table to `@system`; the last stage is the one where it was lost."""
    at = guest.root.rstrip("/") + "/"
    for one in comparison.credentials:
        if one.name == name and one.status == "foreign":
            return _foreign(one, at)
        if one.name == name:
            for source, after in pairwise((*offered, None)):
                if isinstance(source, Accepted) and source.name == name:
                    return _offered(one, source, after, guest, evidence, at)
    for rejected in comparison.rejected:
        if rejected.name == name:
            return _rejected(name, rejected, at)
    return _absent(name, offered, at)


def _where(one: Verdict, at: str) -> str:
    return f"{at}{TABLE}, handle {one.handle:#06x}, string {one.index}"


def _foreign(one: Credential, at: str) -> Trace:
    stages = (
        Stage("offered", True, f"no OEM string of that name: it came by {one.cause}"),
        Stage("imported", True, f"{at}{SYSTEM}/{one.name}, {one.size} bytes"),
    )
    return Trace(one.name, one.status, one.cause, stages, None, ())


def _rejected(name: str, one: Rejected, at: str) -> Trace:
    stages = (
        Stage("offered", True, _where(one, at)),
        Stage("accepted", False, f"{one.reason}: {REASONS[one.reason]}"),
    )
    return Trace(name, "rejected", one.reason, stages, refusal(one), ())


def _absent(name: str, offered: tuple[Verdict, ...], at: str) -> Trace:
    stage = Stage("offered", False, f"no string of that name in {at}{TABLE}")
    hint = f"pass it on the host as 'io.systemd.credential:{name}=...', and see what arrived with 'guestcred dump'"
    for one in offered:
        if isinstance(one, Unrelated) and one.hint and name.encode() in one.text:
            hint = f"handle {one.handle:#06x}, string {one.index} looks like it: {one.hint}"
    finding = Finding("not-offered", f"no OEM string and no other source offers {name}", hint)
    return Trace(name, "not-offered", None, (stage,), finding, ())


def _offered(
    one: Credential, source: Accepted, after: Verdict | None, guest: Guest, evidence: Evidence, at: str
) -> Trace:
    rules = f"systemd {guest.systemd}" if guest.systemd is not None else "the newest systemd"
    stages = [
        Stage("offered", True, f"{_where(source, at)}, {source.encoding}"),
        Stage("accepted", True, f"{len(source.value)} bytes by the rules of {rules}"),
    ]
    arrived = one.status == "imported"
    place = evidence.place(source)
    if guest.entries is None:
        stages.append(Stage("entry", arrived, f"{at}{ENTRIES} does not exist"))
    elif place is not None:
        readable = one.cause != "cut-read"
        stages.append(Stage("entry", readable, f"{at}{place.entry.path}, bytes {place.start} to {place.end}"))
    if stages[-1].passed:
        state = "does not exist" if one.status == "missing" else f"{one.size} bytes"
        stages.append(Stage("imported", arrived, f"{at}{SYSTEM}/{one.name}: {state}"))
    finding = None if arrived else loss(one.status, one.cause or "unknown", [one.name])
    return Trace(one.name, one.status, one.cause, tuple(stages), finding, tuple(suspicions(source, after)))
