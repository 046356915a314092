"""Offered against imported, with the facts: a status and a cause, by evidence, for every credential."""

from __future__ import annotations

from itertools import pairwise

from guestcred.causes import CAUSES, Evidence, cut_offset, is_cut_off
from guestcred.credential import compare_digest, is_whole_base64, shown_name
from guestcred.guest import SYSTEM, Guest, other_sources
from guestcred.offered import REASONS, Accepted, Rejected, Unrelated, Verdict
from guestcred.records import Record
from guestcred.smbios import REASONS as ENDINGS
from guestcred.smbios import Table
from guestcred.words import count, listed, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.layout import EntryPoint

REPORT = "if this is the whole table, tell the makers of the firmware or hypervisor, with 'guestcred dump --all'"
COMMA = (
    "if the value has a comma, the hypervisor's option parser split it there: "
    "hand it over as base64 with 'io.systemd.credential.binary:', or by the hypervisor's API"
)

STATUS_SENTENCES = {
    "missing": "offered but not imported",
    "differs": "imported with other bytes than were offered",
    "truncated": "imported shortened",
}


class Credential(Record):
    """One credential's verdict; `size` in bytes of what was imported, else of what was offered; the place is None if not from SMBIOS.

    `name` is raw, as the file is called; `shown` is what people and programs get to see.
    """

    name: str
    status: str
    size: int
    handle: int | None
    index: int | None
    cause: str | None
    shown: str


class Finding(Record):
    """Something a person must know: a code, one sentence about it and one about its mend."""

    code: str
    message: str
    hint: str


class Comparison(Record):
    """All of `check`: credentials in table order, then foreign ones by name.

    A finding says that something was lost; a warning what looks wrong although nothing was, and `doubts` has those
    about one credential by its name. `fronts` names those whose string the table stops in.
    """

    systemd: int | None
    credentials: tuple[Credential, ...]
    rejected: tuple[Rejected, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    doubts: dict[str, tuple[Finding, ...]]
    fronts: frozenset[str]

    @property
    def agrees(self) -> bool:
        return not self.findings


def needs_facts(offered: tuple[Verdict, ...], guest: Guest) -> bool:
    """Whether something was offered and did not arrive as it was, so that the facts behind a refusal are worth asking for."""
    system = guest.system or {}
    for verdict in offered:
        if isinstance(verdict, Accepted):
            imported = system.get(verdict.name)
            if imported is None or not compare_digest(imported, verdict.value):
                return True
    return any(values.keys() - system.keys() for _, values in other_sources(guest))


def compare(
    guest: Guest,
    table: Table,
    offered: tuple[Verdict, ...],
    evidence: Evidence,
    point: EntryPoint | None,
    require: tuple[str, ...],
) -> Comparison:
    """Decide a status and a cause for every credential.

    `point` is the entry point where the table's end makes one look at it; `require` names that must arrive.
    """
    system = guest.system or {}
    accepted = [verdict for verdict in offered if isinstance(verdict, Accepted)]
    cut = cut_offset(table, point.table_length if point else None)
    fronts = frozenset(one.name for one in accepted if is_cut_off(one.handle, one.index, table, cut))
    credentials = []
    for one in accepted:
        imported = system.get(one.name)
        status, cause = "imported", None
        if imported is None:
            status, cause = "missing", evidence.missing(one)
        elif not compare_digest(imported, one.value):
            status, cause = evidence.differing(one, imported)
        elif cut is not None and one.name in fronts:
            status, cause = "truncated", "cut-by-kernel"
        size = len(one.value if imported is None else imported)
        credentials.append(Credential(one.name, status, size, one.handle, one.index, cause, one.shown))
    for name in sorted(system.keys() - {one.name for one in accepted}):
        source = evidence.source(name, system[name]) or "unknown"
        credentials.append(Credential(name, "foreign", len(system[name]), None, None, source, shown_name(name)))
    rejected = tuple(verdict for verdict in offered if isinstance(verdict, Rejected))
    cut_off = _length_cut_finding(table, point) if cut is not None and point else None
    findings = [
        *_losses(credentials),
        *([cut_off] if cut_off else []),
        *_unreadable(guest, credentials),
        *refusals(rejected),
        *(_near_miss(one) for one in offered if isinstance(one, Unrelated) and one.hint),
    ]
    told = {name for one in credentials for name in (one.name, one.shown)}
    findings += _required([name for name in require if name not in told], guest, offered, evidence, cut_off)
    warnings = [] if cut_off else table_warnings(table, point)
    if (
        point is None
        and table.trailing
        and any(one.cause == "unknown" for one in credentials if one.status == "foreign")
    ):
        warnings.append(_trailing_warning(table))
    doubts = {}
    for verdict, after in pairwise((*offered, None)):
        if isinstance(verdict, Accepted):
            rest = None if after and is_cut_off(after.handle, after.index, table, cut) else after
            doubts[verdict.name] = tuple(suspicions(verdict, rest))
            warnings += doubts[verdict.name]
    return Comparison(guest.systemd, tuple(credentials), rejected, tuple(findings), tuple(warnings), doubts, fronts)


def _required(
    absent: list[str], guest: Guest, offered: tuple[Verdict, ...], evidence: Evidence, cut_off: Finding | None
) -> list[Finding]:
    """The findings for names that must arrive and did not; what was refused has a finding already."""
    if not absent:
        return []
    from guestcred.lookup import absence, look_up

    findings = []
    for known in (look_up(name, offered, guest) for name in absent):
        if not known.rejected:
            _, clause, mend = absence(known, evidence, cut_off.message if cut_off else None)
            findings.append(Finding("required", f"{known.shown} is required, and {clause}", mend))
    return findings


def _unreadable(guest: Guest, credentials: list[Credential]) -> list[Finding]:
    """A finding for what stands in place of a credential and is no file, where no loss tells of it."""
    told = {f"{SYSTEM}/{one.name}" for one in credentials}
    at = visible(guest.root.rstrip("/") + "/")
    mend = CAUSES["unreadable"][1]
    return [
        Finding("unreadable", f"{at}{visible(path)} cannot be read: {reason}", mend)
        for path, reason in guest.unreadable.items()
        if path not in told
    ]


def _losses(credentials: list[Credential]) -> list[Finding]:
    """A finding for each cause of a loss, with the names of all that it took."""
    losses: dict[tuple[str, str], list[str]] = {}
    for one in credentials:
        if one.status in STATUS_SENTENCES:
            losses.setdefault((one.status, one.cause or "unknown"), []).append(one.shown)
    return [loss(status, cause, names) for (status, cause), names in losses.items()]


def loss(status: str, cause: str, names: list[str]) -> Finding:
    """The finding for credentials that were lost for one cause: its sentence and its mend."""
    sentence, mend = CAUSES[cause]
    return Finding(status, f"{listed(names)} {_was(names)} {STATUS_SENTENCES[status]}: {sentence}", mend)


def _was(names: list[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _length_cut_finding(table: Table, point: EntryPoint) -> Finding:
    sentence, mend = CAUSES["cut-by-kernel"]
    message = f"the table is {point.table_length} bytes long and {table.size} of them are here: {sentence}"
    return Finding("cut-by-kernel", message, mend)


def table_warnings(table: Table, point: EntryPoint | None) -> list[Finding]:
    """What a person should know of the table itself and of its entry point, if there is one."""
    warnings = [Finding("entry-point", defect, REPORT) for defect in (point.defects if point else ())]
    if table.ended is not None:
        message = f"{ENDINGS[table.ended.reason]} (offset {table.ended.offset:#x} of {table.size:#x})"
        warnings.append(Finding(table.ended.reason, message, REPORT))
    if point is None:
        return warnings
    if cut_offset(table, point.table_length) is not None:
        return [*warnings, _length_cut_finding(table, point)]
    exact = point.anchor == "_SM_"  # the 64-bit entry point gives a maximum; DSP0134 5.2.2
    short = table.size < point.table_length and (exact or table.ended is not None)
    if short or (exact and table.size > point.table_length):
        message = f"the entry point says {point.table_length} bytes, and the table here has {table.size}"
        warnings.append(Finding("length-differs", message, REPORT))
    if exact and table.trailing:
        warnings.append(_trailing_warning(table))
    return warnings


def _trailing_warning(table: Table) -> Finding:
    # behind a 32-bit entry point Linux goes on by the count of structures (drivers/firmware/dmi_scan.c, dmi_decode_table)
    verb = "stands" if table.trailing == 1 else "stand"
    message = f"{count(table.trailing, 'byte')} {verb} behind the End-of-Table structure, and PID 1 may have read them"
    return Finding("trailing-bytes", message, REPORT)


def suspicions(one: Accepted, after: Verdict | None) -> list[Finding]:
    """What looks wrong about a value that was taken as it is; `after` is the OEM string behind it."""
    at = f"{one.shown} (handle {one.handle:#06x}, string {one.index})"
    found = []
    if one.shown != one.name:
        message = f"{at} has no value: NAME= is missing, and this name may be the secret itself"
        found.append(Finding("name-missing", message, "write NAME=VALUE behind the prefix, and change the secret"))
    elif not one.value:
        found.append(Finding("empty", f"{at} was offered empty", "see whether the secret's file on the host is empty"))
    elif one.value.find(b"\n") == len(one.value) - 1:
        hint = "if a password fails for it, write the secret's file on the host with 'printf %s', not 'echo'"
        found.append(Finding("trailing-newline", f"{at} ends in a newline, and programs get that too", hint))
    if isinstance(after, Unrelated) and after.instance == one.instance and _may_be_cut(one) and _may_be_rest(after):
        message = f"{at} is followed by string {after.index}, which has no prefix and may be the rest of it"
        found.append(Finding("fragment", message, COMMA))
    return found


def _may_be_cut(one: Accepted) -> bool:
    """Whether a comma may have stood behind this value: base64 has none, and padded base64 looks whole."""
    return one.encoding == "text" and not (one.value and is_whole_base64(one.value))


def _may_be_rest(after: Unrelated) -> bool:
    """Whether a string may be the rest of a value: one with a key like `org.example.tool:` or `org.example=` is its own."""
    key, separator, _ = after.text.replace(b":", b"=").partition(b"=")
    return not (separator and b"." in key and not any(byte in b" /" for byte in key))


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


def _near_miss(one: Unrelated) -> Finding:
    return Finding("near-miss", f"handle {one.handle:#06x}, string {one.index} is not a credential", one.hint or "")
