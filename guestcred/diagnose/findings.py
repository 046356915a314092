"""What a person must know, in words: losses and refusals, and what looks wrong although nothing was lost."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.smbios.walk import REASONS as ENDINGS
from guestcred.smbios.walk import Table
from guestcred.systemd.offered import REASONS, Accepted, Place, Rejected, Unrelated, Verdict
from guestcred.systemd.rules import is_whole_base64
from guestcred.text import count, listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.smbios.entry_point import EntryPoint
    from guestcred.smbios.walk import Ending
    from guestcred.systemd.offered import Reason

    Loss = Literal["missing", "differs", "truncated", "not-offered"]
    Code = Literal[
        Loss, Reason, Ending,
        # of a table and its entry point
        "cut-by-kernel", "no-table", "entry-point", "length-differs", "trailing-bytes",
        # of one credential
        "unreadable", "near-miss", "required", "not-imported", "manifest", "rescued",
        # of a value that looks wrong
        "name-missing", "empty", "trailing-newline", "fragment", "altered",
        # of a TOML file
        "mistake", "no-user",
        # of a unit
        "no-source", "undelivered", "undecrypted", "only-stop", "unrequested", "unread", "refused", "failed", "not-given",
    ]  # fmt: skip

REPORT = "if this is the whole table, tell the makers of the firmware or hypervisor, with 'guestcred dump --all'"

COMMA = (
    "if the value has a comma, the hypervisor's option parser split it there: "
    "hand it over as base64 with 'io.systemd.credential.binary:', or by the hypervisor's API"
)

LOSSES: dict[Loss, str] = {
    "missing": "offered but not imported",
    "differs": "imported with other bytes than were offered",
    "truncated": "imported shortened",
    "not-offered": "meant by the host and not offered",
}


class Finding(Record):
    """Something a person must know: a code, one sentence about it and one about its fix.

    `names` has the credentials that it is about, as they are shown, and `cause` is that of their loss.
    """

    code: Code
    message: str
    fix: str
    names: tuple[str, ...] = ()
    cause: Cause | Reason | None = None

    @property
    def status(self) -> Code | Literal["rejected"]:
        """What became of the credentials in `names`, in one word."""
        return "rejected" if self.code in REASONS else self.code


NO_TABLE = Finding(
    "no-table",
    "there is no SMBIOS table, so no OEM string of the host's arrived",
    "if the host hands any over: QEMU's microvm and Firecracker have no SMBIOS, and cloud-hypervisor places none above 65512 bytes",
)


def loss(status: Loss, cause: Cause, names: list[str], why_not_rescued: str | None = None) -> Finding:
    """The finding for credentials that were lost by one cause, with that cause's sentence and fix."""
    from guestcred.diagnose.causes import CAUSES

    sentence, fix = CAUSES[cause]
    was = "was" if len(names) == 1 else "were"
    if len(names) == 1:
        fix = fix.replace("/NAME'", f"/{names[0]}'")
    message = f"{listed(names)} {was} {LOSSES[status]}: {sentence}"
    if why_not_rescued is not None:
        message += f"; not rescued: {why_not_rescued}"
    return Finding(status, message, fix, names=tuple(names), cause=cause)


def refusals(rejected: tuple[Rejected, ...]) -> list[Finding]:
    """The findings for OEM strings that PID 1 refuses, one for all with the same reason and fix."""
    groups: dict[tuple[str, str], list[Rejected]] = {}
    for string in rejected:
        groups.setdefault((string.reason, string.hint), []).append(string)
    return [refusal(*group) for group in groups.values()]


def refusal(first: Rejected, *others: Rejected) -> Finding:
    """The finding for OEM strings that PID 1 refuses for one reason."""
    strings = (first, *others)
    subject = listed([f"{string.name or 'a string'} ({string.place})" for string in strings])
    message = f"{subject} {'are' if others else 'is'} refused: {REASONS[first.reason]}"
    return Finding(
        first.reason,
        message,
        first.hint,
        names=tuple(string.name for string in strings if string.name),
        cause=first.reason,
    )


def altered(name: str, place: Place, size: int, meant: int) -> Finding:
    """The finding for a credential that is lost anyway, and whose `size` bytes are not the `meant` ones."""
    from guestcred.diagnose.causes import CAUSES

    message = f"{name} ({place}) has {count(size, 'byte')} that are not the {meant} that the host meant"
    return Finding("altered", message, CAUSES["altered"][1], names=(name,), cause="altered")


def length_cut_finding(cut: int, point: EntryPoint) -> Finding:
    """The finding for a table that was cut to the low 16 bits of its length, which is at `cut` bytes."""
    from guestcred.diagnose.causes import CAUSES

    sentence, fix = CAUSES["cut-by-kernel"]
    message = f"the table is {point.table_length} bytes long and {cut} of them are here: {sentence}"
    return Finding("cut-by-kernel", message, fix)


def table_warnings(table: Table, point: EntryPoint | None) -> list[Finding]:
    """What a person should know about the table itself and its entry point, if there is one."""
    warnings = [Finding("entry-point", defect, REPORT) for defect in (point.defects if point else ())]
    if table.ended is not None:
        message = f"{ENDINGS[table.ended.reason]} (offset {table.ended.offset:#x} of {table.size:#x})"
        warnings.append(Finding(table.ended.reason, message, REPORT))
    if point is None:
        return warnings
    from guestcred.diagnose.cut import cut_offset

    cut = cut_offset(table, point.table_length)
    if cut is not None:  # before how the table ended, which is what that looks like
        return [length_cut_finding(cut, point), *warnings]
    exact = point.anchor == "_SM_"  # the 64-bit entry point gives a maximum; DSP0134 5.2.2
    short = table.size < point.table_length and (exact or table.ended is not None)
    if short or (exact and table.size > point.table_length):
        message = f"the entry point says {point.table_length} bytes, and the table here has {table.size}"
        warnings.append(Finding("length-differs", message, REPORT))
    if exact and table.trailing:
        warnings.append(trailing_warning(table, "and the kernel takes no structure from them"))
    return warnings


def trailing_warning(table: Table, clause: str) -> Finding:
    """The warning for bytes after the table's end; `clause` says who reads them."""
    verb = "is" if table.trailing == 1 else "are"
    message = f"{count(table.trailing, 'byte')} {verb} behind the End-of-Table structure, {clause}"
    return Finding("trailing-bytes", message, REPORT)


def suspicions(offer: Accepted, after: Verdict | None) -> list[Finding]:
    """What looks wrong about a value that was taken as it is; `after` is the OEM string after it, None for none."""
    at, names = f"{offer.shown} ({offer.place})", (offer.shown,)
    warnings = []
    if offer.shown != offer.name:
        message = f"{at} has no value: if NAME= is missing, this name is the secret itself"
        fix = "write NAME=VALUE behind the prefix, and change the secret"
        warnings.append(Finding("name-missing", message, fix, names=names))
    elif not offer.value:
        fix = "see whether the secret's file on the host is empty"
        warnings.append(Finding("empty", f"{at} was offered empty", fix, names=names))
    elif offer.value.find(b"\n") == len(offer.value) - 1:
        fix = "if a password fails for it, write the secret's file on the host with 'printf %s', not 'echo'"
        warnings.append(
            Finding("trailing-newline", f"{at} ends in a newline, and programs get that too", fix, names=names)
        )
    if (
        isinstance(after, Unrelated)
        and after.place.instance == offer.place.instance
        and _may_be_cut(offer)
        and _may_be_rest(after)
    ):
        message = f"{at} is followed by string {after.place.index}, which has no prefix and may be the rest of it"
        warnings.append(Finding("fragment", message, COMMA, names=names))
    return warnings


def _may_be_cut(offer: Accepted) -> bool:
    """Whether a comma may have cut this value: base64 has none, and padded base64 looks whole."""
    return offer.encoding == "text" and not (offer.value and is_whole_base64(offer.value))


def _may_be_rest(after: Unrelated) -> bool:
    """Whether a string may be the rest of a value: one with a key like `org.example.tool:` or `org.example=` is not."""
    key, separator, _ = after.text.replace(b":", b"=").partition(b"=")
    return not (separator and b"." in key and not any(byte in b" /" for byte in key))
