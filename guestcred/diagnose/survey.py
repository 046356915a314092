"""One look at a guest, judged: what was offered, the evidence, and the comparison with what was imported."""

from __future__ import annotations

import os

from guestcred.diagnose.compare import Comparison, compare, needs_facts, unexplained
from guestcred.errors import GuestcredError
from guestcred.guest.facts import Facts, read_facts
from guestcred.guest.snapshot import TABLE, Guest, parse_table
from guestcred.smbios.walk import Table
from guestcred.systemd.offered import Accepted, Unrelated, Verdict, judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from guestcred.diagnose.evidence import Evidence
    from guestcred.diagnose.keys import Key
    from guestcred.smbios.entry_point import EntryPoint


class Survey:
    """Everything worked out from one look at a guest; the evidence only where something asks for it."""

    def __init__(self, guest: Guest, table: Table, offered: tuple[Verdict, ...], facts: Facts | None) -> None:
        self.guest = guest
        self.table = table
        self.offered = offered
        self._facts = facts
        self._evidence: Evidence | None = None
        self.comparison: Comparison

    @property
    def undecided(self) -> bool:
        """Whether systemd may import nothing on purpose, and it could not be asked."""
        return self._facts is not None and self._facts.undecided(self.guest.systemd)

    @property
    def missing(self) -> dict[str, bytes]:
        """The offered values of what was not imported, by name."""
        names = {credential.name for credential in self.comparison.credentials if credential.loss == "missing"}
        accepted = (verdict for verdict in self.offered if isinstance(verdict, Accepted))
        return {verdict.name: verdict.value for verdict in accepted if verdict.name in names}

    @property
    def keys(self) -> tuple[Key, ...]:
        """The strings that boot loader and stub read; looked up only where the table has something like it."""
        if not any(isinstance(one, Unrelated) and one.text.startswith(b"io.systemd.") for one in self.offered):
            return ()
        from guestcred.diagnose.keys import keys

        return keys(self.offered, self.guest.systemd)

    def evidence(self) -> Evidence:
        """What can be known about the losses of this guest."""
        if self._evidence is None:
            from guestcred.diagnose.evidence import gather

            self._evidence = gather(self.guest, self._facts, self.offered)
        return self._evidence


def survey(
    guest: Guest,
    facts: Facts | None = None,
    require: tuple[str, ...] = (),
    ask: Callable[[str], Facts] = read_facts,
) -> Survey:
    """Judge a guest; if `facts` matter and are None, `ask` reads them. `require` has the names that must arrive.

    Raises GuestcredError (exit status 3) where the table has no structure.
    """
    table = parse_table(guest.table, guest.entry_point)
    if guest.table is not None and not table.holds_anything:
        raise no_structure(os.path.join(guest.root, TABLE))
    offered = judge(table.structures, guest.systemd)
    if facts is None and needs_facts(offered, guest):
        facts = ask(guest.root)
    result = Survey(guest, table, offered, facts)
    result.comparison = compare(guest, table, offered, result.evidence, _point(guest, table), require)
    return result


def facts_of(guest: Guest) -> Facts:
    """All facts about a guest, whether something is missing or not; of the stages only those that decide something."""
    facts = read_facts(guest.root)
    if facts.stages is None:
        return facts
    names = unexplained(judge(parse_table(guest.table, guest.entry_point).structures, guest.systemd), guest)
    return facts.replace(stages={name: stage for name, stage in facts.stages.items() if name in names})


def _point(guest: Guest, table: Table) -> EntryPoint | None:
    """The entry point, read only for a table that ended badly."""
    if table.ended is None or guest.entry_point is None:
        return None
    from guestcred.smbios.entry_point import parse_entry_point

    return parse_entry_point(guest.entry_point)


def no_structure(path: str) -> GuestcredError:
    """The error for bytes that are no table at all (exit status 3)."""
    return GuestcredError(f"no structure could be read from {path}", "is this a DMI table, from its first byte on?")
