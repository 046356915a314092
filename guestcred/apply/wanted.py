"""A guest and its configuration -> the plan, and the values that it refers to by place; reads, and writes nothing."""

from __future__ import annotations

from guestcred.apart import give_up_connections
from guestcred.apply.heard import hear
from guestcred.apply.plan import Plan, plan_directories, plan_rescues
from guestcred.errors import GuestcredError
from guestcred.guest.config_files import config_files
from guestcred.guest.credstores import Found, copied_rescues, find_all
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import Unparsed, read_unparsed
from guestcred.record import Record
from guestcred.systemd.search_path import RESCUE


class Wanted(Record):
    """The plan, its values by place (File.place), and the bytes of report.json; empty: nothing in run/guestcred changes.

    `copied` has the names in run/credstore that count as rescues whatever their time (`copied_rescues`).
    """

    plan: Plan
    values: dict[str, bytes]
    report: bytes = b""
    copied: frozenset[str] = frozenset()


def want(tree: Tree, systemd: int | None, *, early: bool = False) -> Wanted:
    """What `apply` has to write, by the rules of that systemd (None: the guest's own), without a report.

    `early` is for a boot that has neither users nor all file systems yet: only rescues, and no configuration is read.

    Raises GuestcredError if the guest or its configuration cannot be read, or something required is missing.
    """
    deliveries = None
    if not early and config_files(tree):
        from guestcred.apply.deliveries import Deliveries

        deliveries = Deliveries(tree)
    look = _look(tree, systemd, deliveries.units if deliveries else [])

    def last_questions() -> None:
        if deliveries:
            deliveries.find_users()
        give_up_connections()  # whoever was asked before it may have kept us waiting

    heard = hear(look, last_questions)
    missing, facts = heard.values, heard.facts
    found = find_all(tree, missing)
    undecided = facts is not None and facts.undecided(look.guest.systemd)
    rescues = plan_rescues(heard.comparison, found, undecided)
    rescued = {file.name: missing[file.name] for file in rescues.made}
    given, values = deliveries.resolve(rescued) if deliveries else ([], {})
    comparison = heard.comparison
    if rescued or rescues.present:
        from guestcred.diagnose.rescued import with_rescues

        done = {file.name: Found(file.place, True, file.name in rescued) for file in (*rescues.made, *rescues.present)}
        comparison = with_rescues(comparison, done, undecided)
    plan = Plan(
        comparison=comparison,
        rescues=rescues.made,
        present=rescues.present,
        directories=plan_directories(given, tree.shown),
        left=rescues.left,
        standing=frozenset(name for name in rescued if name in found and found[name].is_same),
    )
    values |= {f"{RESCUE}/{name}": value for name, value in rescued.items()}
    return Wanted(plan=plan, values=values, copied=copied_rescues(tree))


def _look(tree: Tree, systemd: int | None, units: list[str]) -> Unparsed:
    """Look at the guest; an error also names the services whose directories stay as they were."""
    try:
        return read_unparsed(tree, systemd)
    except GuestcredError as error:
        told = (f"the directories of {', '.join(units)} stay as they were",) if units else ()
        raise GuestcredError(error.problem, *told, *error.hints, status=error.status) from None
