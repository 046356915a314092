"""All credentials over all stages: what `check` and `services` found, put beside each other."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import Finding
from guestcred.diagnose.lacks import lacks, losses_of, with_units
from guestcred.diagnose.outcomes import Outcome
from guestcred.diagnose.readers import read_by
from guestcred.diagnose.services import Services
from guestcred.record import Record
from guestcred.systemd.rules import SYSTEM
from guestcred.systemd.search_path import RESCUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.compare import Status
    from guestcred.diagnose.outcomes import State
    from guestcred.guest.snapshot import Origin

IS_THERE = frozenset({"delivered", "ready"})


class Use(Record):
    """A unit that requests a credential: under which `id`, and what became of it, in the words of `services`."""

    unit: str
    id: str
    state: State


class Row(Record):
    """One credential; `meant` in bytes, None where no manifest says so.

    `status` is None for what units request and nobody offers; it has no `size`. `size`, in bytes, `handle` and `index`
    are as in `check`. `units` is None where it is not known who requests it.
    `reader` says who reads a well-known one here, or that nobody does; it is None for any other.
    """

    name: str
    status: Status | None
    cause: Cause | Origin | None
    size: int | None
    handle: int | None
    index: int | None
    meant: int | None
    offered: bool
    imported: bool
    rescued: bool
    units: tuple[Use, ...] | None
    reader: str | None = None

    @property
    def has_arrived(self) -> int:
        """How many of the units have it or will."""
        return sum(use.state in IS_THERE for use in self.units or ())

    @property
    def is_read(self) -> bool:
        """Whether it is well known, and somebody here reads it."""
        return self.reader is not None and not self.reader.startswith("read by nobody")

    @property
    def rank(self) -> Literal[0, 1, 2]:
        """0 for a problem, 1 for what was rescued, 2 where all is well."""
        lost = self.status in ("missing", "differs", "truncated", "not-offered")
        if lost or self.has_arrived < len(self.units or ()):
            return 0
        return 1 if self.rescued else 2


class Matrix(Record):
    """All of `status`: problems first, each group in the order of `check`; a loss names the units that go without it."""

    comparison: Comparison
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Literal["agrees", "fixed", "findings"]:
        """As that of `check`, with the units counted in."""
        return "findings" if self.findings else self.comparison.verdict


def matrix(comparison: Comparison, services: Services | None) -> Matrix:
    """The rows of a comparison and of what units get; `services` is None where the units could not be asked."""
    uses: dict[str, list[Use]] = {}
    found: dict[str, Outcome] = {}
    for service in services.services if services else ():
        for outcome in service.credentials:
            if outcome.setting is None or outcome.state == "nothing" or outcome.source == "SetCredential=":
                continue
            name = outcome.name.removeprefix(f"/{SYSTEM}/").removeprefix(f"/{RESCUE}/")
            uses.setdefault(name, []).append(Use(service.unit, outcome.id, outcome.state))
            found.setdefault(name, outcome)
    rows = [_row(credential, uses, services is not None, comparison.systemd) for credential in comparison.credentials]
    listed = {credential.name for credential in comparison.credentials}
    listed |= {credential.shown for credential in comparison.credentials}
    rows += [
        Row(
            name=name,
            status=None,
            cause=None,
            size=None,
            handle=None,
            index=None,
            meant=None,
            offered=False,
            imported=False,
            rescued=outcome.rescued,
            units=tuple(uses[name]),
        )
        for name, outcome in found.items()
        if name not in listed
    ]
    told, losses = set(comparison.findings), losses_of(comparison)
    of_units = [finding for finding in (services.findings if services else ()) if finding not in told]
    lacking = services.lacking if services else ()
    of_units += lacks(lacking, comparison, losses)
    return Matrix(
        comparison=comparison,
        rows=tuple(sorted(rows, key=lambda row: row.rank)),
        findings=(*with_units(comparison.findings, lacking, losses), *of_units),
    )


def _row(credential: Credential, uses: dict[str, list[Use]], asked: bool, systemd: int | None) -> Row:
    # several names that may be secrets can be shown alike, and then it is not known which of them a unit requests
    known = asked and credential.name == credential.shown
    units = tuple(uses.get(credential.name, ())) if known else None
    requesting = None if units is None else [use.unit for use in units]
    reading = read_by(credential.name, systemd, requesting, late=credential.is_rescued)
    return Row(
        name=credential.shown,
        status=credential.status,
        cause=credential.cause if credential.place or credential.loss else credential.origin,
        size=credential.size,
        handle=credential.place.handle if credential.place else None,
        index=credential.place.index if credential.place else None,
        meant=credential.meant,
        offered=credential.place is not None,
        imported=credential.loss not in ("missing", "not-offered"),
        rescued=credential.is_rescued,
        units=units,
        reader=None if reading is None or credential.name != credential.shown else reading.text,
    )
