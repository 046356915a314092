"""The evidence that decides which cause a loss has."""

from __future__ import annotations

from guestcred.c_modules import compare_digest
from guestcred.guest.facts import Facts
from guestcred.guest.snapshot import Entry, Guest, other_sources
from guestcred.record import Record
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, Verdict, judge
from guestcred.systemd.rules import (
    EXTRA_SYSTEM_SINCE,
    IMPORTS_SMBIOS_SINCE,
    INITRD_SINCE,
    READ_CUT,
    READ_WHOLE_SINCE,
    STORE_PAGES,
    SYSTEM,
    pages,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.findings import Loss
    from guestcred.guest.snapshot import Origin


class Span(Record):
    """Where a string is in its `entries/11-N/raw`: `start` and `end` in bytes."""

    entry: Entry
    start: int
    end: int


def spans(entries: tuple[Entry, ...]) -> dict[tuple[int, int], Span]:
    """(instance, string number) to its place, for every string that PID 1 could read."""
    places: dict[tuple[int, int], Span] = {}
    for entry in entries:
        for structure in parse(entry.data).structures[:1]:
            start = structure.length
            for index, text in enumerate(structure.strings, 1):
                places[entry.instance, index] = Span(entry, start, start + len(text))
                start += len(text) + 1
    return places


class Evidence:
    """What can be known about the losses of one guest, worked out once for all its credentials."""

    def __init__(self, guest: Guest, facts: Facts | None, accepted: tuple[Accepted, ...]) -> None:
        self._guest = guest
        self._facts = facts
        self._system = guest.system or {}
        self._stages = (facts.stages if facts is not None else None) or {}
        self._sources = other_sources(guest)
        self.spans = spans(guest.entries or ())
        # what another source offers with the same bytes says nothing about SMBIOS
        self._arrived = {
            offer.name
            for offer in accepted
            if offer.name in self._system and self.source(offer.name, self._system[offer.name]) is None
        }
        reads_all = guest.systemd is None or guest.systemd >= READ_WHOLE_SINCE
        self._cut_at_4096 = not reads_all and all(self._fits_cut(offer) for offer in accepted)
        self._store_full = self._is_store_full(accepted)

    @property
    def in_container(self) -> bool:
        """Whether PID 1 reads nothing of the machine."""
        return self._facts is not None and self._facts.container is not None

    @property
    def _was_handed_over(self) -> bool:
        """Whether PID 1 was handed its credentials, and so imports none."""
        return self._facts is not None and self._facts.earlier_stage

    def span(self, offer: Accepted) -> Span | None:
        """Where `offer` is in what PID 1 reads, or None where it is not there."""
        return self.spans.get(offer.place.key)

    def differing(self, offer: Accepted, imported: bytes) -> tuple[Loss, Cause]:
        """(status, cause) of a credential that was imported with other bytes than were offered."""
        source = self.source(offer.name, imported)
        if source == "fw-cfg":
            return "differs", "shadowed-by-fw-cfg"
        if source is not None:
            # it comes after SMBIOS, so SMBIOS did not give this one
            return "differs", self.missing(offer)
        read = self._as_read(offer)
        if read is not None and compare_digest(imported, read):
            return "truncated", "cut-read"
        if compare_digest(imported, offer.value[: len(imported)]):
            return "truncated", "unknown"
        return "differs", "shadowed-by-initrd" if self._brought_by_initrd(offer.name) else "unknown"

    def _brought_by_initrd(self, name: str) -> bool:
        """Whether the initrd's PID 1 took it from /.extra/system_credentials: its only source that is gone by now."""
        version = self._guest.systemd
        return self._stages.get(name) == "initrd" and (version is None or version >= EXTRA_SYSTEM_SINCE)

    def missing(self, offer: Accepted) -> Cause:
        """The cause of a credential that was not imported."""
        refusal = self._refusal()
        # what is there now may have come later, and must not hide that systemd refused on purpose
        if f"{SYSTEM}/{offer.name}" in self._guest.unreadable and refusal in (None, "systemd-too-old"):
            return "unreadable"
        if refusal is not None:
            return refusal
        if not self._arrived and self._was_handed_over:
            return self._earlier_stage()
        if not self._guest.entries:
            return "dmi-sysfs-absent"
        span = self.span(offer)
        if self._cut_at_4096 and span is not None and span.end > READ_CUT:
            return "cut-read"
        return "store-full" if self._store_full else "unknown"

    def source(self, name: str, imported: bytes) -> Origin | None:
        """The other source that offers these bytes under that name, or None."""
        for source, values in self._sources:
            if name in values and compare_digest(values[name], imported):
                return source
        return None

    def origin(self, name: str, imported: bytes) -> Origin | None:
        """Where a foreign credential came from: a source that is still there, or who imported it; None if neither."""
        # then it is a folder outside of the container, to which @system leads, and PID 1 imports nothing into it
        if self.in_container and self._was_handed_over:
            return "container-manager"
        stage, source = self._stages.get(name), self.source(name, imported)
        if source is not None or stage is None:
            return source
        if stage == "initrd":
            return "earlier-stage"
        # PID 1 removes @initrd once it took it; no other source of its own goes
        version = self._guest.systemd
        has_initrd = not self.in_container and (version is None or version >= INITRD_SINCE)
        return "initrd" if has_initrd else None

    def not_imported(self, source: Origin) -> Cause:
        """Why `@system` lacks what another source holds (systemd src/core/import-creds.c)."""
        facts = self._facts
        if self.in_container and (source == "fw-cfg" or self._was_handed_over):
            return "container"
        if self._guest.parameters.import_disabled:
            return "import-disabled"
        if source == "fw-cfg" and facts is not None and facts.distrusts(self._guest.systemd):
            return "confidential-vm"
        return self._earlier_stage() if self._was_handed_over else "unknown"

    def _earlier_stage(self) -> Cause:
        return "lost-at-switch-root" if self._guest.system is None else "earlier-stage"

    def _refusal(self) -> Cause | None:
        """Why this PID 1 takes nothing at all from SMBIOS, or None (systemd src/core/import-creds.c)."""
        version, facts = self._guest.systemd, self._facts
        if self.in_container:
            return "container"
        if self._guest.parameters.import_disabled:
            return "import-disabled"
        if version is not None and version < IMPORTS_SMBIOS_SINCE:
            return "systemd-too-old"
        return "confidential-vm" if facts is not None and facts.distrusts(version) else None

    def _as_read(self, offer: Accepted) -> bytes | None:
        """What the first 4096 bytes of the entry make of this string; None where they do not cut it."""
        span = self.span(offer)
        if span is None or not span.start < READ_CUT < span.end:
            return None
        verdicts = judge(parse(span.entry.data[:READ_CUT]).structures, self._guest.systemd)
        fronts = (verdict for verdict in verdicts if isinstance(verdict, Accepted))
        return next((front.value for front in fronts if front.place.index == offer.place.index), None)

    def _fits_cut(self, offer: Accepted) -> bool:
        """Whether a reader of 4096 bytes explains that this credential is here, or that it is not."""
        span = self.span(offer)
        if span is None or (offer.name in self._system and offer.name not in self._arrived):
            return True
        return (
            offer.name in self._arrived
            if span.end <= READ_CUT
            else span.start < READ_CUT or offer.name not in self._arrived
        )

    def _is_store_full(self, accepted: tuple[Accepted, ...]) -> bool:
        """Whether all before some credential are here, none from it on, and it did not fit in any more."""
        arrived = [offer.name in self._system for offer in accepted]
        if all(arrived):
            return False
        first = arrived.index(False)
        used = sum(pages(len(value)) for value in self._system.values())
        return used + pages(len(accepted[first].value)) > STORE_PAGES and not any(arrived[first:])


def gather(guest: Guest, facts: Facts | None, offered: tuple[Verdict, ...]) -> Evidence:
    """The evidence of a guest; `facts` is None where they were not asked for."""
    return Evidence(guest, facts, tuple(verdict for verdict in offered if isinstance(verdict, Accepted)))
