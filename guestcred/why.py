"""One credential's way, stage by stage, up to where it was lost."""

from __future__ import annotations

from guestcred.causes import Evidence
from guestcred.compare import Comparison, Finding, loss
from guestcred.guest import ENTRIES, SYSTEM, TABLE, Guest
from guestcred.offered import REASONS, Accepted, Unrelated, Verdict
from guestcred.records import Record


class Stage(Record):
    """One station on a credential's way: its word, whether the credential passed it, and what shows that."""

    name: str
    passed: bool
    evidence: str


def trace(
    name: str, comparison: Comparison, guest: Guest, offered: tuple[Verdict, ...], evidence: Evidence
) -> tuple[str, str | None, tuple[Stage, ...], Finding | None]:
    """One credential's way as (status, cause, stages, finding); it stops at the stage where the credential was lost."""
    one = next((c for c in comparison.credentials if c.name == name), None)
    refused = next((r for r in comparison.rejected if r.name == name), None)
    at = (guest.root.rstrip("/") or "") + "/"
    if one is not None and one.status == "foreign":
        stage = Stage("imported", True, f"{at}{SYSTEM}/{name}, {one.size} bytes, not from SMBIOS but from {one.cause}")
        return (
            "foreign",
            one.cause,
            (Stage("offered", True, f"no OEM string of that name; source {one.cause}"), stage),
            None,
        )
    if one is None and refused is not None:
        where = f"{at}{TABLE}, handle {refused.handle:#06x}, string {refused.index}"
        finding = next(f for f in comparison.findings if f.code == refused.reason)
        return (
            "rejected",
            refused.reason,
            (Stage("offered", True, where), Stage("accepted", False, f"{refused.reason}: {REASONS[refused.reason]}")),
            finding,
        )
    if one is None:
        seen = [v for v in offered if isinstance(v, Unrelated) and v.hint]
        hint = (
            seen[0].hint
            if seen and seen[0].hint
            else f"pass it on the host as 'io.systemd.credential:{name}=...', and see what arrived with 'guestcred dump'"
        )
        finding = Finding("not-offered", f"no OEM string and no other source offers {name}", hint)
        return "not-offered", None, (Stage("offered", False, f"no string of that name in {at}{TABLE}"),), finding
    place = next(v for v in offered if isinstance(v, Accepted) and v.name == name)
    stages = [
        Stage("offered", True, f"{at}{TABLE}, handle {place.handle:#06x}, string {place.index}, {place.encoding}"),
        Stage("accepted", True, f"{len(place.value)} bytes by the rules of systemd {guest.systemd or '(newest)'}"),
    ]
    entry = evidence.place(place)
    if guest.entries is None:
        stages.append(Stage("entry", one.status == "imported", f"{at}{ENTRIES} does not exist"))
    elif entry is not None:
        cut = one.cause == "cut-read"
        stages.append(Stage("entry", not cut, f"{at}{entry.entry.path}, bytes {entry.start} to {entry.end}"))
    if one.cause != "cut-read" and (guest.entries is not None or one.status == "imported"):
        arrived = (
            f"{at}{SYSTEM}/{name}, {one.size} bytes"
            if one.status != "missing"
            else f"{at}{SYSTEM}/{name} does not exist"
        )
        stages.append(Stage("imported", one.status == "imported", arrived))
    lost: Finding | None = None
    if one.status != "imported":
        lost = loss(one.status, one.cause or "unknown", [name])
    return one.status, one.cause, tuple(stages), lost
