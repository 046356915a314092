"""Offered against imported, with the facts: a status and a cause, by evidence, for every credential."""

from __future__ import annotations

import hmac

from guestcred.causes import CAUSES, Evidence, kernel_cut
from guestcred.credential import printable
from guestcred.guest import Guest
from guestcred.offered import REASONS, Accepted, Rejected, Unrelated, Verdict
from guestcred.records import Record
from guestcred.smbios import Table

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
    """All of `check`: credentials in table order, then foreign ones by name."""

    systemd: int | None
    credentials: tuple[Credential, ...]
    rejected: tuple[Rejected, ...]
    findings: tuple[Finding, ...]

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
    declared: int | None,
    require: tuple[str, ...],
) -> Comparison:
    """Decide a status and a cause for every credential.

    `declared` is the table length in bytes that the entry point names (None: unknown); `require` names that must arrive.
    """
    system = guest.system or {}
    accepted = [verdict for verdict in offered if isinstance(verdict, Accepted)]
    cut = kernel_cut(table, declared)
    credentials = []
    for one in accepted:
        imported = system.get(one.name)
        status, cause = "imported", None
        if imported is None:
            status, cause = "missing", evidence.missing(one)
        elif not hmac.compare_digest(imported, one.value):
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
        *([_kernel_cut_finding(table, declared)] if cut else []),
        *map(_refusal, rejected),
        *(_near_miss(one) for one in offered if isinstance(one, Unrelated) and one.hint),
        *(_required(name) for name in require if name not in {one.name for one in credentials}),
    ]
    return Comparison(guest.systemd, tuple(credentials), rejected, tuple(findings))


def _is_last_string(one: Accepted, table: Table) -> bool:
    last = table.structures[-1]
    return (one.handle, one.index) == (last.handle, len(last.strings))


def _source(name: str, value: bytes, guest: Guest) -> str:
    sources = (
        ("fw-cfg", (guest.fw_cfg or {}).get(name)),
        ("cmdline", guest.parameters.credentials.get(name, (None, None))[1]),
        ("initrd", (guest.initrd or {}).get(name)),
    )
    for source, offered in sources:
        if offered is not None and hmac.compare_digest(offered, value):
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
    return Finding(status, f"{_listed(names)} {STATUS_SENTENCES[status]}: {sentence}", mend)


def _kernel_cut_finding(table: Table, declared: int | None) -> Finding:
    sentence, mend = CAUSES["cut-by-kernel"]
    return Finding(
        "cut-by-kernel", f"the table is {declared} bytes long and {table.size} of them are here: {sentence}", mend
    )


def _refusal(one: Rejected) -> Finding:
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


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    if len(names) <= 6:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names[:5]) + f" and {len(names) - 5} more"
