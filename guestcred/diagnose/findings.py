"""What a person must know, in words: losses and refusals, those of one cause together."""

from __future__ import annotations

from guestcred.diagnose.causes import CAUSES
from guestcred.record import Record
from guestcred.systemd.offered import REASONS, Rejected
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.smbios.walk import Ending
    from guestcred.systemd.offered import Reason

    Loss = Literal["missing", "differs", "truncated"]
    Code = Literal[
        Loss, Reason, Ending,
        # of a table and its entry point
        "cut-by-kernel", "entry-point", "length-differs", "trailing-bytes",
        # of one credential
        "unreadable", "near-miss", "required", "not-offered", "not-imported",
        # of a value that looks wrong
        "name-missing", "empty", "trailing-newline", "fragment",
        # of a unit
        "no-source", "undelivered", "undecrypted", "only-stop", "unrequested",
    ]  # fmt: skip

REPORT = "if this is the whole table, tell the makers of the firmware or hypervisor, with 'guestcred dump --all'"

LOSSES: dict[Loss, str] = {
    "missing": "offered but not imported",
    "differs": "imported with other bytes than were offered",
    "truncated": "imported shortened",
}


class Finding(Record):
    """Something a person must know: a code, one sentence about it and one about its fix.

    `names` are those of the credentials that it is about, as they are shown, and `cause` is that of their loss.
    """

    code: Code
    message: str
    fix: str
    names: tuple[str, ...] = ()
    cause: Cause | Reason | None = None

    @property
    def status(self) -> str:
        """What became of the credentials that it names, in one word."""
        return "rejected" if self.code in REASONS else self.code


def loss(status: Loss, cause: Cause, names: list[str], why_not_rescued: str | None = None) -> Finding:
    """The finding for credentials that were lost for one cause: its sentence and its fix."""
    sentence, fix = CAUSES[cause]
    was = "was" if len(names) == 1 else "were"
    message = f"{listed(names)} {was} {LOSSES[status]}: {sentence}"
    if why_not_rescued is not None:
        message += f"; not rescued: {why_not_rescued}"
    return Finding(status, message, fix, names=tuple(names), cause=cause)


def refusals(rejected: tuple[Rejected, ...]) -> list[Finding]:
    """The findings for OEM strings that PID 1 refuses, those for one reason with one fix in one."""
    groups: dict[tuple[str, str], list[Rejected]] = {}
    for one in rejected:
        groups.setdefault((one.reason, one.hint), []).append(one)
    return [refusal(*same) for same in groups.values()]


def refusal(first: Rejected, *others: Rejected) -> Finding:
    """The finding for OEM strings that PID 1 refuses for one reason."""
    same = (first, *others)
    told = listed([f"{one.name or 'a string'} ({one.place})" for one in same])
    message = f"{told} {'are' if others else 'is'} refused: {REASONS[first.reason]}"
    return Finding(
        first.reason, message, first.hint, names=tuple(one.name for one in same if one.name), cause=first.reason
    )
