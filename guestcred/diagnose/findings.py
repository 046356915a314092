"""What a person must know, in words: losses and refusals, those of one cause together."""

from __future__ import annotations

from guestcred.diagnose.causes import CAUSES
from guestcred.record import Record
from guestcred.systemd.offered import REASONS, Rejected
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

REPORT = "if this is the whole table, tell the makers of the firmware or hypervisor, with 'guestcred dump --all'"

STATUS_SENTENCES = {
    "missing": "offered but not imported",
    "differs": "imported with other bytes than were offered",
    "truncated": "imported shortened",
}


class Finding(Record):
    """Something a person must know: a code, one sentence about it and one about its mend."""

    code: str
    message: str
    hint: str


def loss(status: str, cause: str, names: list[str]) -> Finding:
    """The finding for credentials that were lost for one cause: its sentence and its mend."""
    sentence, mend = CAUSES[cause]
    return Finding(status, f"{listed(names)} {_was(names)} {STATUS_SENTENCES[status]}: {sentence}", mend)


def _was(names: list[str]) -> str:
    return "was" if len(names) == 1 else "were"


def refusals(rejected: tuple[Rejected, ...]) -> list[Finding]:
    """The findings for OEM strings that PID 1 refuses, those for one reason with one mend in one."""
    groups: dict[tuple[str, str | None], list[Rejected]] = {}
    for one in rejected:
        groups.setdefault((one.reason, one.hint), []).append(one)
    return [refusal(same[0]) if len(same) == 1 else _refusal_of_many(same) for same in groups.values()]


def _refusal_of_many(same: list[Rejected]) -> Finding:
    places = [f"{one.name or 'a string'} (handle {one.handle:#06x}, string {one.index})" for one in same]
    return Finding(same[0].reason, f"{listed(places)} are refused: {REASONS[same[0].reason]}", same[0].hint or "")


def refusal(one: Rejected) -> Finding:
    """The finding for an OEM string that PID 1 refuses."""
    named = one.name or "a string"
    message = f"{named} (handle {one.handle:#06x}, string {one.index}) is refused: {REASONS[one.reason]}"
    return Finding(one.reason, message, one.hint or "")
