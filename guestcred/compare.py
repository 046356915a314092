"""Offered against imported, with the facts: a status and a cause, by evidence, for every credential."""

from __future__ import annotations

from itertools import pairwise

from guestcred.causes import CAUSES, Evidence, kernel_cut
from guestcred.credential import compare_digest, printable
from guestcred.guest import Guest
from guestcred.offered import REASONS, Accepted, Rejected, Unrelated, Verdict
from guestcred.records import Record
from guestcred.smbios import REASONS as ENDINGS
from guestcred.smbios import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.layout import EntryPoint

REPORT = "if this is the whole table, tell the makers of the firmware or hypervisor, with 'guestcred dump --all'"
COMMA = (
    "if the value has a comma, the hypervisor's option parser split it there: "
    "hand it over as base64 with 'io.systemd.credential.binary:', or by the hypervisor's API"
)

STATUS_SENTENCES = {
    "missing": "was offered but not imported",
    "differs": "was imported with other bytes than were offered",
    "truncated": "was imported shortened",
}


class Credential(Record):
    """One credential's verdict; `size` in bytes of what was imported, else of what was offered; the place is None if not from SMBIOS."""

    name: str
    status: str
    size: int
    handle: int | None
    index: int | None
    cause: str | None


class Finding(Record):
    """Something a person must know: a code, one sentence about it and one about its mend."""

    code: str
    message: str
    hint: str


class Comparison(Record):
    """All of `check`: credentials in table order, then foreign ones by name.

    A finding says that something was lost; a warning what looks wrong although nothing was.
    """

    systemd: int | None
    credentials: tuple[Credential, ...]
    rejected: tuple[Rejected, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        return not self.findings


def needs_facts(offered: tuple[Verdict, ...], guest: Guest) -> bool:
    """Whether something was offered and did not arrive, so that the facts behind a refusal are worth asking for."""
    system = guest.system or {}
    return any(isinstance(verdict, Accepted) and verdict.name not in system for verdict in offered)


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
    cut = kernel_cut(table, point.table_length if point else None)
    credentials = []
    for one in accepted:
        imported = system.get(one.name)
        status, cause = "imported", None
        if imported is None:
            status, cause = "missing", evidence.missing(one)
        elif not compare_digest(imported, one.value):
            status, cause = evidence.differing(one, imported)
        elif cut and _is_last_string(one, table):
            status, cause = "truncated", "cut-by-kernel"
        size = len(one.value if imported is None else imported)
        credentials.append(Credential(one.name, status, size, one.handle, one.index, cause))
    for name in sorted(system.keys() - {one.name for one in accepted}):
        source = _source(name, system[name], guest)
        shown = printable(name.encode("utf-8", "surrogateescape"))
        credentials.append(Credential(shown, "foreign", len(system[name]), None, None, source))
    rejected = tuple(verdict for verdict in offered if isinstance(verdict, Rejected))
    findings = [
        *_losses(credentials),
        *([_kernel_cut_finding(table, point)] if cut and point else []),
        *map(refusal, rejected),
        *(_near_miss(one) for one in offered if isinstance(one, Unrelated) and one.hint),
        *(_required(name) for name in require if name not in {one.name for one in credentials}),
    ]
    warnings = [] if cut else table_warnings(table, point)
    for verdict, after in pairwise((*offered, None)):
        if isinstance(verdict, Accepted):
            warnings += suspicions(verdict, after)
    return Comparison(guest.systemd, tuple(credentials), rejected, tuple(findings), tuple(warnings))


def _is_last_string(one: Accepted, table: Table) -> bool:
    last = table.structures[-1]
    return not last.complete and (one.handle, one.index) == (last.handle, len(last.strings))


def _source(name: str, value: bytes, guest: Guest) -> str:
    sources = (
        ("fw-cfg", (guest.fw_cfg or {}).get(name)),
        ("cmdline", guest.parameters.credentials.get(name, (None, None))[1]),
        ("initrd", (guest.initrd or {}).get(name)),
    )
    for source, offered in sources:
        if offered is not None and compare_digest(offered, value):
            return source
    return "unknown"


def _losses(credentials: list[Credential]) -> list[Finding]:
    """A finding for each cause of a loss, with the names of all that it took."""
    losses: dict[tuple[str, str], list[str]] = {}
    for one in credentials:
        if one.status in STATUS_SENTENCES:
            losses.setdefault((one.status, one.cause or "unknown"), []).append(one.name)
    return [loss(status, cause, names) for (status, cause), names in losses.items()]


def loss(status: str, cause: str, names: list[str]) -> Finding:
    """The finding for credentials that were lost for one cause: its sentence and its mend."""
    sentence, mend = CAUSES[cause]
    return Finding(status, f"{listed(names)} {STATUS_SENTENCES[status]}: {sentence}", mend)


def _kernel_cut_finding(table: Table, point: EntryPoint) -> Finding:
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
    if kernel_cut(table, point.table_length):
        return [*warnings, _kernel_cut_finding(table, point)]
    exact = point.anchor == "_SM_"  # the 64-bit entry point gives a maximum; DSP0134 5.2.2
    short = table.size < point.table_length and (exact or table.ended is not None)
    if short or (exact and table.size > point.table_length):
        message = f"the entry point says {point.table_length} bytes, and the table here has {table.size}"
        warnings.append(Finding("length-differs", message, REPORT))
    if exact and table.trailing:
        message = f"{table.trailing} bytes stand behind the End-of-Table structure"
        warnings.append(Finding("trailing-bytes", message, REPORT))
    return warnings


def suspicions(one: Accepted, after: Verdict | None) -> list[Finding]:
    """What looks wrong about a value that was taken as it is; `after` is the OEM string behind it."""
    at = f"{one.name} (handle {one.handle:#06x}, string {one.index})"
    found = []
    if not one.value:
        found.append(Finding("empty", f"{at} was offered empty", "see whether the secret's file on the host is empty"))
    elif one.value.find(b"\n") == len(one.value) - 1:
        hint = "if a password fails for it, write the secret's file on the host with 'printf %s', not 'echo'"
        found.append(Finding("trailing-newline", f"{at} ends in a newline, and programs get that too", hint))
    if isinstance(after, Unrelated) and after.instance == one.instance and b":" not in after.text.partition(b"=")[0]:
        message = f"{at} is followed by string {after.index}, which has no prefix and may be the rest of it"
        found.append(Finding("fragment", message, COMMA))
    return found


def refusal(one: Rejected) -> Finding:
    """The finding for an OEM string that PID 1 refuses."""
    named = f"{one.name} " if one.name else ""
    message = f"{named}(handle {one.handle:#06x}, string {one.index}) is refused: {REASONS[one.reason]}"
    return Finding(one.reason, message, one.hint or "")


def _near_miss(one: Unrelated) -> Finding:
    return Finding("near-miss", f"handle {one.handle:#06x}, string {one.index} is not a credential", one.hint or "")


def _required(name: str) -> Finding:
    return Finding(
        "required",
        f"{name} is required, and no source offers it",
        f"pass it on the host as 'io.systemd.credential:{name}=...'",
    )


def listed(names: list[str]) -> str:
    """Names in a sentence: all of up to six, and of more the first five."""
    if len(names) == 1:
        return names[0]
    if len(names) <= 6:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names[:5]) + f" and {len(names) - 5} more"
