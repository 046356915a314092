"""Offered against imported, with the facts: a status and a cause, by evidence, for every credential."""

from __future__ import annotations

import os
from itertools import pairwise

from guestcred.c_modules import compare_digest
from guestcred.diagnose.findings import (
    NO_TABLE,
    Finding,
    altered,
    length_cut_finding,
    loss,
    refusals,
    suspicions,
    table_warnings,
    trailing_warning,
)
from guestcred.guest.snapshot import Guest, other_sources
from guestcred.manifest import FRAME
from guestcred.record import Record
from guestcred.smbios.walk import Table
from guestcred.systemd.offered import Accepted, Place, Rejected, Unrelated, Verdict
from guestcred.systemd.rules import SYSTEM, name_is_valid
from guestcred.systemd.shown import shown
from guestcred.text import shown_root, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.evidence import Evidence
    from guestcred.diagnose.findings import Loss
    from guestcred.diagnose.meant import Frame
    from guestcred.guest.credstores import Found
    from guestcred.guest.snapshot import Origin
    from guestcred.smbios.entry_point import EntryPoint

    Status = Literal["imported", "foreign", "rescued", Loss]


GUESSED = 8  # names of which each is compared with all others; who misses more has not misspelt them


class Credential(Record):
    """One credential's verdict; `size` in bytes of what was imported, else of what was offered, else meant.

    `name` is raw, as the file is called; `shown` is what people and programs see. `place` is None for a foreign one,
    whose `origin` is None where it cannot be seen, and for one that was only meant. What was lost has its `loss` and the
    `cause` of that. `meant` is the size in bytes that the host meant it to have, None where no manifest says so.
    `found` is where units find one that is missing, `not_rescued` why `apply` does not rescue it, in words.
    """

    name: str
    shown: str
    size: int
    place: Place | None = None
    loss: Loss | None = None
    cause: Cause | None = None
    origin: Origin | None = None
    meant: int | None = None
    found: Found | None = None
    not_rescued: str | None = None

    @property
    def is_rescued(self) -> bool:
        """Whether it is missing, and units find it all the same."""
        return self.found is not None

    @property
    def status(self) -> Status:
        """Its loss in one word, "rescued" where that does no harm; "imported" or "foreign" where there is none."""
        if self.is_rescued:
            return "rescued"
        return self.loss or ("imported" if self.place else "foreign")


class Comparison(Record):
    """All of `check`: credentials in table order, then foreign ones by name.

    A finding says that something was lost, a warning that something looks wrong although nothing was. `doubts` has the
    warnings about each credential, by its name. `fronts` has the names of those in whose string the table stops.
    `frame` is what the host meant, None where no manifest that can be trusted says so. `rescued` tells of the losses
    that were made good: their causes are still there.
    """

    systemd: int | None
    credentials: tuple[Credential, ...]
    rejected: tuple[Rejected, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    doubts: dict[str, tuple[Finding, ...]]
    fronts: frozenset[str]
    frame: Frame | None
    rescued: tuple[Finding, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to fix; there may still be warnings."""
        return not self.findings

    @property
    def verdict(self) -> Literal["agrees", "fixed", "findings"]:
        """Whether something is wrong, something was and is fixed, or nothing was; there may still be warnings."""
        return "findings" if self.findings else "fixed" if self.rescued else "agrees"


def by_what_is_shown(foreign: list[Credential]) -> list[Credential]:
    """Foreign credentials in order: not by the name itself, which would say something of one that is hidden."""
    return sorted(foreign, key=lambda foreign: (foreign.shown, foreign.size, foreign.origin or ""))


def needs_facts(offered: tuple[Verdict, ...], guest: Guest) -> bool:
    """Whether the facts behind a refusal are worth asking for: something was offered and did not arrive unchanged."""
    if guest.table is None:
        return True  # in a container that is as it should be
    system = guest.system or {}
    for verdict in offered:
        if isinstance(verdict, Accepted):
            imported = system.get(verdict.name)
            if imported is None or not compare_digest(imported, verdict.value):
                return True
    return any(values.keys() - system.keys() for _, values in other_sources(guest)) or bool(unexplained(offered, guest))


def unexplained(offered: tuple[Verdict, ...], guest: Guest) -> frozenset[str]:
    """The names in `@system` whose bytes no source has that can be seen."""
    accepted = {verdict.name: verdict.value for verdict in offered if isinstance(verdict, Accepted)}
    sources = (accepted, *(values for _, values in other_sources(guest)))
    return frozenset(
        name
        for name, imported in (guest.system or {}).items()
        if not any(name in values and compare_digest(values[name], imported) for values in sources)
    )


def compare(
    guest: Guest,
    table: Table,
    offered: tuple[Verdict, ...],
    evidence: Callable[[], Evidence],
    point: EntryPoint | None,
    require: tuple[str, ...],
) -> Comparison:
    """Decide a status and a cause for every credential.

    `evidence` is called only where something differs. `point` is the entry point, needed only for a table that ended
    badly; `require` has names that must arrive.
    """
    system = guest.system or {}
    accepted = [verdict for verdict in offered if isinstance(verdict, Accepted)]
    cut, last = None, None
    if table.ended is not None:
        from guestcred.diagnose.cut import cut_offset, last_string

        cut = cut_offset(table, point.table_length if point else None)
        last = last_string(table, cut)
    fronts = frozenset(offer.name for offer in accepted if offer.place.key == last)
    frame: Frame | None = None
    doubted: list[Finding] = []
    if any(offer.name in FRAME for offer in accepted):
        from guestcred.diagnose.meant import read_frame

        frame, doubted = read_frame(offered, fronts)
    changed = frame.altered if frame else frozenset()
    sizes = frame.sizes if frame else {}
    credentials = []
    for offer in accepted:
        imported = system.get(offer.name)
        lost: Loss | None = None
        cause: Cause | None = None
        if imported is None:
            lost, cause = "missing", evidence().missing(offer)
        elif not compare_digest(imported, offer.value):
            lost, cause = evidence().differing(offer, imported)
        elif cut is not None and offer.name in fronts:
            lost, cause = "truncated", "cut-by-kernel"
        elif offer.name in changed:
            lost = "truncated" if len(offer.value) < sizes[offer.name] else "differs"
            cause = "altered"
        size = len(offer.value if imported is None else imported)
        credentials.append(
            Credential(
                name=offer.name,
                shown=offer.shown,
                size=size,
                place=offer.place,
                loss=lost,
                cause=cause,
                meant=sizes.get(offer.name),
            )
        )
    if frame is not None:
        cause = "lost-on-the-way" if cut is None else "cut-by-kernel"
        credentials += [
            Credential(
                name=name,
                shown=shown(name, sizes[name]),
                size=sizes[name],
                loss="not-offered",
                cause=cause,
                meant=sizes[name],
            )
            for name in frame.lost
            if name not in system  # what came from elsewhere is there
        ]
    doubted += [
        altered(entry.shown, offer.place, len(offer.value), sizes[entry.name])
        for entry, offer in zip(credentials, accepted)
        if entry.name in changed and entry.loss in ("missing", "differs") and entry.cause != "altered"
    ]
    foreign = []
    for name in system.keys() - {offer.name for offer in accepted}:
        origin = evidence().origin(name, system[name])
        told = shown(name, system[name])
        foreign.append(Credential(name=name, shown=told, size=len(system[name]), origin=origin, meant=sizes.get(name)))
    credentials += by_what_is_shown(foreign)
    rejected = tuple(verdict for verdict in offered if isinstance(verdict, Rejected))
    cut_off = length_cut_finding(cut, point) if cut is not None and point else None
    findings = [
        *doubted,
        *_losses(credentials),
        *([cut_off] if cut_off else []),
        *_unreadable(guest, credentials),
        *refusals(rejected),
        *(_near_miss(verdict, verdict.hint) for verdict in offered if isinstance(verdict, Unrelated) and verdict.hint),
    ]
    listed = {name for credential in credentials for name in (credential.name, credential.shown)}
    findings += _required([name for name in require if name not in listed], guest, offered, evidence, cut_off, frame)
    warnings = [] if cut_off else table_warnings(table, point)
    if guest.table is None and not evidence().in_container:
        warnings.append(NO_TABLE)
    if (
        guest.entry_point is None
        and table.trailing
        and any(credential.place is None and credential.origin is None for credential in credentials)
    ):
        # how far the kernel read stands in the entry point
        warnings.append(trailing_warning(table, "and PID 1 may have read them"))
    doubts = {}
    for verdict, after in pairwise((*offered, None)):
        if isinstance(verdict, Accepted):
            following = None if after and after.place.key == last else after
            doubts[verdict.name] = tuple(suspicions(verdict, following))
            warnings += doubts[verdict.name]
    return Comparison(
        systemd=guest.systemd,
        credentials=tuple(credentials),
        rejected=rejected,
        findings=tuple(findings),
        warnings=tuple(warnings),
        doubts=doubts,
        fronts=fronts,
        frame=frame,
    )


def _required(
    absent: list[str],
    guest: Guest,
    offered: tuple[Verdict, ...],
    evidence: Callable[[], Evidence],
    cut_off: Finding | None,
    frame: Frame | None,
) -> list[Finding]:
    """The findings for names that must arrive and did not; what was refused, or lost, has a finding already."""
    if not absent:
        return []
    from guestcred.diagnose.names import Names, absence

    findings: list[Finding] = []
    names = Names(offered, guest)
    for known in map(names.look_up, absent):
        if not known.strings:
            near = names.near(known.name) if len(findings) < GUESSED else None
            _, clause, fix = absence(known, evidence(), cut_off.message if cut_off else None, frame, near)
            findings.append(Finding("required", f"{known.shown} is required, and {clause}", fix, names=(known.shown,)))
    return findings


def _unreadable(guest: Guest, credentials: list[Credential]) -> list[Finding]:
    """A finding for each place of a credential that holds no readable file, unless a loss reports it already."""
    reported = {f"{SYSTEM}/{credential.name}" for credential in credentials}
    others = {path: reason for path, reason in guest.unreadable.items() if path not in reported}
    if not others:
        return []
    from guestcred.diagnose.causes import CAUSES

    at, fix = shown_root(guest.root), CAUSES["unreadable"][1]
    findings = []
    for path, reason in others.items():
        folder, _, name = path.rpartition("/")
        told = shown(name, b"") if name_is_valid(os.fsencode(name)) else visible(name)
        findings.append(Finding("unreadable", f"{at}{folder}/{told} cannot be read: {reason}", fix))
    return sorted(findings, key=lambda finding: finding.message)  # in no order of hidden names


def _losses(credentials: list[Credential]) -> list[Finding]:
    """A finding for each cause of a loss, with the names of all credentials lost by it."""
    losses: dict[tuple[Loss, Cause], list[str]] = {}
    for credential in credentials:
        if credential.loss is not None:
            assert credential.cause is not None
            losses.setdefault((credential.loss, credential.cause), []).append(credential.shown)
    return [loss(*key, names) for key, names in losses.items()]


def _near_miss(string: Unrelated, hint: str) -> Finding:
    from guestcred.systemd.unrelated import near_key

    is_key = near_key(string.text) is not None
    told = (
        "is read by nobody: it is nearly a key of systemd's boot loader and stub" if is_key else "is not a credential"
    )
    return Finding("near-miss", f"{string.place} {told}", hint)
