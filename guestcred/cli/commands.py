"""What each command in the guest does, by calling the rooms; no option parser, so the boot path imports none."""

from __future__ import annotations

import os
import sys

from guestcred.diagnose.survey import survey
from guestcred.errors import FINDINGS, USAGE, GuestcredError, missing
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import ENTRIES, read_guest, read_table
from guestcred.record import Record
from guestcred.systemd.rules import SYSTEM
from guestcred.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from guestcred.apply.wanted import Wanted
    from guestcred.diagnose.matrix import Matrix
    from guestcred.diagnose.services import Services
    from guestcred.diagnose.survey import Survey
    from guestcred.guest.credstores import Stored
    from guestcred.guest.facts import Facts
    from guestcred.guest.snapshot import Guest
    from guestcred.show.documents import CapturedDocument, CheckDocument

    Form = Literal["text", "json"]


class View(Record):
    """Where to look (live or a captured tree), by which systemd's rules (None: as found), and the output's form.

    `quiet` prints only what is wrong, for people; a document is always whole.
    """

    root: str = "/"
    systemd: int | None = None
    form: Form = "text"
    quiet: bool = False

    @property
    def at(self) -> str:
        """The root; in a document it is absolute, since all paths are."""
        if self.form == "text" or self.root.startswith("/"):
            return self.root
        return os.path.join(os.getcwd(), self.root)


def show_error(error: GuestcredError) -> int:
    """Print an expected failure to standard error, as an error and its hints, and return its exit status."""
    print(f"guestcred: error: {visible(error.problem)}", file=sys.stderr)
    for hint in error.hints:
        print(f"guestcred: hint: {visible(hint)}", file=sys.stderr)
    return error.status


def in_colour() -> bool:
    """Whether standard output is a terminal that shows colours, and neither $NO_COLOR nor $TERM forbids them."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_json(document: object) -> None:
    """Print one document, for programs."""
    import json

    print(json.dumps(document, indent=2))


def look(
    view: View,
    require: tuple[str, ...] = (),
    ask: Callable[[], Services | None] | None = None,
    *,
    bare: bool = False,
) -> Survey:
    """Look at the guest and judge it, what became of a loss too; `ask` asks the units, only where something was rescued."""
    looked = survey(read_guest(view.at, view.systemd, bare=bare), require=require)
    if any(credential.loss is not None for credential in looked.comparison.credentials):
        from guestcred.diagnose.rescued import with_rescues
        from guestcred.guest.credstores import find_all

        found = find_all(Tree(view.at), looked.missing)
        looked.comparison = with_rescues(looked.comparison, found, looked.undecided, ask or (lambda: units(view)))
    return looked


def _systemd(view: View, tree: Tree) -> int | None:
    """The systemd by whose rules units are judged: the view's, else the guest's."""
    from guestcred.guest.facts import read_systemd

    return read_systemd(tree) if view.systemd is None else view.systemd


def units(view: View) -> Services | None:
    """What all units request and get, None where they cannot be asked."""
    from guestcred.diagnose.services import judge_services
    from guestcred.guest.deliveries import read_consumers

    tree = Tree(view.at)
    systemd = _systemd(view, tree)
    try:
        return judge_services(tree, read_consumers(tree, systemd=systemd), None, systemd)
    except GuestcredError:
        return None  # no systemd runs here, or the captured tree does not have them


def check(view: View, *, require: tuple[str, ...] = (), strict: bool = False) -> int:
    """Compare offered with imported; 0 if they agree or what was lost is rescued, 1 with findings.

    With `strict` what was rescued is a finding too.
    """
    return print_check(view, look(view, require), strict=strict)


def print_check(view: View, looked: Survey, *, strict: bool) -> int:
    """Print what `check` found, and return its exit status."""
    comparison = looked.comparison
    from guestcred.show import report

    if view.form == "json":
        print_json(report.check_json(comparison, looked.keys))
    else:
        sys.stdout.write(report.check_text(comparison, in_colour(), view.quiet, looked.keys))
    return 0 if comparison.agrees and not (strict and comparison.rescued) else FINDINGS


def terminal_width() -> int:
    """Characters in a line of the terminal, by $COLUMNS or as it says; 80 where there is none.

    `shutil.get_terminal_size`, whose module costs as much as half an interpreter's start.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Once:
    """Calls a function when it is first asked, and gives what that returned from then on."""

    def __init__(self, ask: Callable[[], Services | None]) -> None:
        self._ask = ask
        self._told: list[Services | None] = []

    def __call__(self) -> Services | None:
        if not self._told:
            self._told.append(self._ask())
        return self._told[0]


def status(view: View, *, verbose: bool = False, page: str | None = None) -> int:
    """Show every credential at every stage; 0 if nothing is left to fix, 1 with findings.

    `page` is the file that gets the same as one page, or - for standard output, which then gets nothing else.
    """
    from guestcred.diagnose.matrix import matrix
    from guestcred.show.status import status_json, status_text

    if page == "-" and view.form == "json":
        raise GuestcredError("standard output can have the page or JSON, not both", "name a file", status=USAGE)
    ask = Once(lambda: units(view))
    looked = look(view, ask=ask)
    seen = matrix(looked.comparison, ask())
    if page is not None:
        from guestcred.cli.written import write_whole

        made = _page(view, looked, seen, ask)
        if page == "-":
            sys.stdout.write(made.decode("ascii"))
        else:
            write_whole(page, made)
    if view.form == "json":
        print_json(status_json(seen))
    elif page != "-":
        sys.stdout.write(status_text(seen, in_colour(), terminal_width(), verbose=verbose, quiet=view.quiet))
    return FINDINGS if seen.findings else 0


def _page(view: View, looked: Survey, seen: Matrix, ask: Callable[[], Services | None]) -> bytes:
    import time

    from guestcred.diagnose.trace import steps
    from guestcred.guest.facts import read_kernel
    from guestcred.show.page import Seen, page, told_by_steps

    systemd = looked.comparison.systemd
    facts = [
        ("systemd", "not known" if systemd is None else str(systemd)),
        ("Linux", read_kernel(Tree(view.root)) or "not known"),
        ("looked at", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
    ]
    if view.root != "/":
        facts.append(("captured tree", view.root))
    return page(Seen(seen, steps(told_by_steps(seen), looked, ask), tuple(facts)))


def has_credentials() -> bool:
    """Whether this is a guest that was handed credentials, and they may be read."""
    tree = Tree("/")
    return os.geteuid() == 0 and any(tree.exists(path) for path in (SYSTEM, f"{ENTRIES}/11-0"))


def apply(view: View, *, dry_run: bool = False, early: bool = False) -> int:
    """Write what is missing, `early` only to run/credstore; 0 if nothing is left to fix, 1 if something is."""
    from guestcred.apply import notify
    from guestcred.apply.install import Installation
    from guestcred.apply.wanted import want
    from guestcred.c_modules import json_text
    from guestcred.show import applied

    tree = Tree(view.at)

    def wanted_now() -> Wanted:
        wanted = want(tree, view.systemd, early=early)
        if early:
            return wanted
        report = json_text(applied.report_json(wanted.plan)).encode() + b"\n"
        return wanted.replace(report=report)

    if dry_run:
        wanted = wanted_now()
        changed = _would_change(tree, wanted)
    else:
        # first: it refuses a /run/guestcred that is not safe to read from either
        with Installation(tree) as installation:
            wanted = wanted_now()
            changed = installation.install(wanted).any
    plan = wanted.plan
    if view.form == "json":
        print(json_text(applied.apply_json(plan, dry_run=dry_run, changed=changed)))
    else:
        sys.stdout.write(applied.plan_text(plan, view.root, in_colour(), view.quiet, changed=changed, dry_run=dry_run))
    if not dry_run and not notify.tell(plan, applied.headline(plan)):
        lack = missing("systemd")
        print(
            f"guestcred: warning: could not notify systemd and its journal: {lack.problem}\n"
            f"guestcred: hint: {lack.hints[0]}",
            file=sys.stderr,
        )
    return FINDINGS if plan.left else 0


def _would_change(tree: Tree, wanted: Wanted) -> bool:
    """Whether a run that is not dry would change something; warns where it would not write at all on this machine."""
    from guestcred.apply.install import Installation

    try:
        installation = Installation(tree)
    except GuestcredError as refusal:
        print(f"guestcred: warning: not here, without --dry-run: {visible(refusal.problem)}", file=sys.stderr)
        return True
    return installation.changes(wanted).any


def why(view: View, name: str, *, strict: bool = False) -> int:
    """Follow one credential; 0 if it came to all units that request it, 1 if it was lost.

    With `strict` one that was rescued was lost too.
    """
    from guestcred.diagnose.trace import trace
    from guestcred.show import report

    def files(name: str) -> tuple[Stored, ...]:
        from guestcred.guest.credstores import stored

        return stored(tree, name)

    tree, ask = Tree(view.at), Once(lambda: units(view))
    looked = look(view, ask=ask, bare=True)
    if tree.live:
        from guestcred.guest.journal import import_words

        traced = trace(name, looked, ask, import_words, files)
    else:
        traced = trace(name, looked, ask, stored=files)
    if looked.guest.is_bare and len(traced.stages) == 1 and traced.status == "not-offered":
        read_table(tree)  # raises: no store and no unit knows the name, and there is nothing else to look at
    if view.form == "json":
        print_json(report.why_json(traced))
    else:
        sys.stdout.write(report.why_text(traced, in_colour(), view.quiet))
    return 0 if traced.agrees and not (strict and traced.status == "rescued") else FINDINGS


def capture(view: View, path: str) -> int:
    """Save the guest below the new folder `path`, with noise for every secret."""
    from guestcred.capture.tree import disguised, read_stores, tree_of
    from guestcred.capture.writing import write_tree
    from guestcred.diagnose.survey import facts_of
    from guestcred.guest.credstores import rescues
    from guestcred.guest.deliveries import read_consumers

    guest = read_guest(view.at, view.systemd)
    facts = facts_of(guest)
    tree = Tree(view.at)
    held = read_stores(tree)
    try:
        asked = read_consumers(tree, systemd=guest.systemd)
    except GuestcredError:
        asked = None  # no systemd runs here, and the rest is worth saving
    safe, known, stores, consumers = disguised(guest, facts, held, asked)
    files = tree_of(safe, known, stores, consumers, sorted(rescues(tree)))
    try:
        write_tree(path, files)
    except GuestcredError as error:
        raise error.as_no_finding() from None
    if _verdict(safe, known) != _verdict(guest, facts):
        # a capture that says something else is worth more than none
        print(
            "guestcred: warning: 'check' says something else of this capture than of the guest: "
            "report that too, with what it prints of the guest",
            file=sys.stderr,
        )
    count = sum(data is not None for data in files.values())
    if view.form == "json":
        told: CapturedDocument = {"schema": "guestcred.captured/1", "path": os.path.abspath(path), "files": count}
        print_json(told)
    elif not view.quiet:
        print(f"captured {count} files into {path}; every secret in them is noise of the same length")
    return 0


def _verdict(guest: Guest, facts: Facts) -> CheckDocument | None:
    """What `check` says as a document; None of a table in which it finds no structure."""
    from guestcred.show import report

    try:
        judged = survey(guest, facts)
        return report.check_json(judged.comparison, judged.keys)
    except GuestcredError:
        return None


def config_check(view: View, files: tuple[str, ...]) -> int:
    """Look for mistakes in TOML files, those given or the guest's; 0 if there are none, 1 if there are."""
    from guestcred.guest.lint import lint
    from guestcred.show.config import config_json, config_text

    given = tuple(map(os.path.abspath, files)) if view.form == "json" else files
    linted = lint(Tree(view.at), given)
    if view.form == "json":
        print_json(config_json(linted))
    else:
        sys.stdout.write(config_text(linted, in_colour(), view.quiet))
    return FINDINGS if linted.mistakes else 0


def services(view: View, unit: str | None = None, *, user: str | None = None) -> int:
    """Show what every unit, or only `unit`, requests and gets; 0 if nothing is wrong, 1 with findings.

    With `user`, a name or number, the units of that user's manager; without it and `unit`, those of all that run too.
    """
    from guestcred.show.services import services_json, services_text
    from guestcred.systemd.requests import full_name

    tree = Tree(view.at)
    name = None if unit is None else full_name(unit)
    systemd = _systemd(view, tree)
    judged = _of_pid_1(tree, name, systemd) if user is None else _of_user(tree, user, name, systemd)
    judged = _with_lacks(view, judged)
    if view.form == "json":
        print_json(services_json(judged))
    else:
        sys.stdout.write(services_text(judged, in_colour(), view.quiet))
    return FINDINGS if judged.findings else 0


def _of_pid_1(tree: Tree, name: str | None, systemd: int | None) -> Services:
    """What PID 1's unit of that name gets, or all of its units and those of user managers."""
    from guestcred.diagnose.services import judge_services, offered_names, only
    from guestcred.guest.deliveries import read_consumers

    asked = read_consumers(tree, name, systemd)
    if name is not None:
        return judge_services(tree, only(asked, name), None, systemd)
    if not asked.managers or not tree.live:
        return judge_services(tree, asked, offered_names(tree, systemd), systemd)
    from guestcred.diagnose.user_units import all_users, together

    users, why = all_users(tree, asked.managers, systemd)
    wanted = tuple(service for one in users for service in one.services)
    judged = judge_services(tree, asked, offered_names(tree, systemd), systemd, wanted=wanted)
    return together(judged, users).replace(managers=tuple(why), unasked=why)


def _of_user(tree: Tree, user: str, name: str | None, systemd: int | None) -> Services:
    from guestcred.diagnose.user_units import user_services
    from guestcred.guest.user_manager import named_user

    if not tree.live:
        raise GuestcredError(
            "a captured tree does not have the units of user managers", "look at them in the guest itself", status=USAGE
        )
    return user_services(tree, named_user(tree, user), systemd, name)


def _with_lacks(view: View, judged: Services) -> Services:
    """What units get, with what no source has: for that, and only for that, the table is looked at too."""
    if not judged.lacking:
        return judged
    from guestcred.diagnose.lacks import what_to_write, with_lacks
    from guestcred.systemd.requests import CONFIGURED
    from guestcred.systemd.search_path import SEARCH_PATH

    tree = Tree(view.at)
    paths: dict[str, str] = {}
    held: set[str] = set()
    if os.geteuid() == 0 and any(service.manager is not None for service in judged.lacking):
        held = {name for folder in SEARCH_PATH for name in tree.names(tree.follow(folder)) or ()}
    if any(service.state == CONFIGURED for service in judged.lacking):
        from guestcred.guest.config import read_services

        paths = {service.unit: tree.shown(service.path) for service in read_services(tree)}
    try:
        comparison = look(view, ask=lambda: judged).comparison
    except GuestcredError:
        comparison = None  # no table, or none that may be read
    return with_lacks(
        judged,
        comparison,
        lambda service, lacking: what_to_write(service, lacking, paths.get(service.unit)),
        frozenset(held),
    )
