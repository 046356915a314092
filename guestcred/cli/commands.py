"""What each command does, wired from the modules; knows no option parser, so the boot path need not import one."""

from __future__ import annotations

import os
import sys

from guestcred.diagnose.compare import Comparison, compare, needs_facts
from guestcred.diagnose.evidence import Evidence
from guestcred.diagnose.findings import REPORT, Finding
from guestcred.diagnose.warnings import table_warnings
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.facts import Facts, read_facts, read_systemd
from guestcred.guest.rootfs import FILE_MAX, Tree
from guestcred.guest.snapshot import TABLE, Guest, read_guest, read_table
from guestcred.smbios.walk import OEM_STRINGS, Table, parse
from guestcred.systemd.offered import Accepted, Verdict, judge
from guestcred.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.apply.plan import Plan
    from guestcred.guest.config import Service
    from guestcred.smbios.entry_point import EntryPoint

CAPTURE_TRIES = 10  # noise is random and may, rarely, look like another mistake than the one it hides


def show_error(error: GuestcredError) -> int:
    """Print an expected failure in its one form and return its exit status."""
    print(f"guestcred: error: {visible(error.problem)}", file=sys.stderr)
    for hint in error.hints:
        print(f"guestcred: hint: {visible(hint)}", file=sys.stderr)
    return error.status


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _print_json(document: dict[str, object]) -> None:
    import json

    print(json.dumps(document, indent=2))


def _survey(
    root: str, systemd: int | None, require: tuple[str, ...]
) -> tuple[Guest, tuple[Verdict, ...], Evidence, Comparison]:
    guest = read_guest(root, systemd)
    return guest, *_judged(guest, None, require)


def _judged(
    guest: Guest, facts: Facts | None, require: tuple[str, ...] = ()
) -> tuple[tuple[Verdict, ...], Evidence, Comparison]:
    """Everything worked out from one look; facts are asked for where they matter and were not given."""
    table = parse(guest.table)
    if not table.holds_anything:
        raise _no_structure(Tree(guest.root).shown(TABLE))
    offered = judge(table.structures, guest.systemd)
    if facts is None and needs_facts(offered, guest):
        facts = read_facts(guest.root)
    evidence = Evidence(guest, facts, tuple(one for one in offered if isinstance(one, Accepted)))
    return offered, evidence, compare(guest, table, offered, evidence, _point(guest, table), require)


def _point(guest: Guest, table: Table) -> EntryPoint | None:
    """The entry point; looked at only for a table that ended badly."""
    if table.ended is None or guest.entry_point is None:
        return None
    from guestcred.smbios.entry_point import parse_entry_point

    return parse_entry_point(guest.entry_point)


def check(root: str = "/", systemd: int | None = None, form: str = "text", require: tuple[str, ...] = ()) -> int:
    """Compare offered with imported; 0 where they agree, 1 with findings."""
    *_, comparison = _survey(root, systemd, require)
    from guestcred.show import report

    if form == "json":
        _print_json(report.check_json(comparison))
    else:
        sys.stdout.write(report.check_text(comparison, _colour()))
    return 0 if comparison.agrees else FINDINGS


def apply(root: str = "/", systemd: int | None = None, form: str = "text", dry_run: bool = False) -> int:
    """Write what is missing; 0 where nothing is left to mend, 1 with findings that are."""
    from guestcred.apply import notify
    from guestcred.apply.diff import Wanted
    from guestcred.apply.install import Installation
    from guestcred.guest.config import read_services
    from guestcred.show import applied

    tree = Tree(root)
    installation = Installation(tree)  # first, since it refuses a /run/guestcred that is no folder to read from either

    def want() -> Wanted:
        services = read_services(tree)
        plan, values = _plan(tree, services, _look(tree, systemd, services))
        return Wanted(plan, values, applied.json_text(applied.report_json(plan)).encode() + b"\n")

    if dry_run:
        wanted = want()
        changed = installation.changes(wanted).any
    else:
        with installation:
            wanted = want()
            changed = installation.install(wanted).any
    plan = wanted.plan
    if form == "json":
        told = {"schema": "guestcred.apply/1", "dry_run": dry_run, "changed": changed}
        document = applied.report_json(plan) | told
        print(applied.json_text(document))
    else:
        did = ("would be written" if dry_run else "written") if changed else "nothing to change"
        sys.stdout.write(applied.plan_text(plan, did, root, _colour()))
    if not dry_run and not notify.tell(plan, applied.headline(plan)):
        print(
            "guestcred: warning: systemd and its journal were not told: the Python module systemd is missing\n"
            "guestcred: hint: apt-get install python3-systemd",
            file=sys.stderr,
        )
    return FINDINGS if plan.left else 0


def _look(tree: Tree, systemd: int | None, services: tuple[Service, ...]) -> Guest:
    """The guest; where it has no table, the services that now go without are named."""
    try:
        return read_guest(tree.root, systemd)
    except GuestcredError as error:
        units = ", ".join(service.unit for service in services)
        told = (f"so the directories of {units} stay as they were",) if units else ()
        raise GuestcredError(error.problem, *told, *error.hints, status=error.status) from None


def _plan(tree: Tree, services: tuple[Service, ...], guest: Guest) -> tuple[Plan, dict[str, bytes]]:
    """What `apply` shall write, by name, and the values for its last step, by place."""
    from guestcred.apply import plan as planning
    from guestcred.apply.resolve import find_sources
    from guestcred.guest.credstores import find_other, rescued_names
    from guestcred.guest.users import find_user
    from guestcred.systemd.search_path import RESCUE

    offered, evidence, comparison = _judged(guest, None)
    missing = {one.name for one in comparison.credentials if one.status == "missing"}
    accepted = {one.name: one for one in offered if isinstance(one, Accepted) and one.name in missing}
    others = {name: other for name, one in accepted.items() if (other := find_other(tree, name, one.value))}
    rescues, present, left = planning.plan_rescues(comparison, others, evidence.undecided)
    changed: dict[str, bytes | None] = dict.fromkeys(rescued_names(tree)) | {
        one.name: accepted[one.name].value for one in rescues
    }
    wanted = []
    for service in services:
        user = find_user(tree, service.user)
        if user is None:
            raise planning.unknown_user(service, tree.shown(service.path))
        wanted.append((service, user, find_sources(tree, service, changed)))
    values = {one.place: one.value for *_, sources in wanted for one in sources}
    values |= {f"{RESCUE}/{one.name}": accepted[one.name].value for one in rescues}
    return planning.Plan(comparison, rescues, present, planning.plan_directories(wanted, tree.shown), left), values


def why(name: str, root: str = "/", systemd: int | None = None, form: str = "text") -> int:
    """Tell one credential's way; 0 where it was imported, 1 where it was lost."""
    from guestcred.diagnose.trace import trace
    from guestcred.show import report

    guest, offered, evidence, comparison = _survey(root, systemd, ())
    traced = trace(name, comparison, guest, offered, evidence)
    if form == "json":
        _print_json(report.why_json(traced))
    else:
        sys.stdout.write(report.why_text(traced, _colour()))
    return 0 if traced.finding is None else FINDINGS


def capture(path: str, root: str = "/", systemd: int | None = None, form: str = "text") -> int:
    """Save the guest below the new folder `path`, with noise for every secret."""
    from guestcred.capture.tree import disguised, read_stores, tree_of, write_tree
    from guestcred.guest.deliveries import consumers_json, read_consumers
    from guestcred.show import report

    guest = read_guest(root, systemd)
    facts = read_facts(root)
    tree = Tree(root)
    held = read_stores(tree)
    verdict = report.check_json(_judged(guest, facts)[-1])
    for _ in range(CAPTURE_TRIES):
        safe, stores = disguised(guest, held)
        if report.check_json(_judged(safe, facts)[-1]) == verdict:
            break
    else:
        raise GuestcredError(
            "cannot hide the credentials of this guest without changing what 'check' says of it",
            "that is a bug: report it with what 'guestcred check' prints",
        )
    try:
        units = consumers_json(read_consumers(tree))
    except GuestcredError:
        units = None  # no systemd runs here, and the rest is worth saving
    files = tree_of(safe, facts, stores, units)
    write_tree(path, files)
    count = sum(data is not None for data in files.values())
    if form == "json":
        _print_json({"schema": "guestcred.capture/1", "path": path, "files": count})
    else:
        print(f"captured {count} files into {path}; every secret in them is noise of the same length")
    return 0


def services(unit: str | None = None, root: str = "/", systemd: int | None = None, form: str = "text") -> int:
    """Tell what every unit (or one) requests and gets; 0 where nothing is wrong, 1 with findings."""
    from guestcred.diagnose.services import judge_services, only
    from guestcred.guest.deliveries import read_consumers
    from guestcred.show import report
    from guestcred.systemd.requests import full_name

    tree = Tree(root)
    name = None if unit is None else full_name(unit)
    look = read_consumers(tree, name)
    version = read_systemd(tree) if systemd is None else systemd
    offered = None
    if name is not None:
        look = only(look, name)
    else:
        table = tree.read(TABLE) or b""
        verdicts = judge(parse(table).structures, version)
        offered = {one.name: one.shown for one in verdicts if isinstance(one, Accepted)}
    judged = judge_services(tree, look, offered, version)
    if form == "json":
        _print_json(report.services_json(judged))
    else:
        sys.stdout.write(report.services_text(judged, _colour()))
    return FINDINGS if judged.findings else 0


def dump(
    path: str | None = None,
    root: str = "/",
    systemd: int | None = None,
    form: str = "text",
    kind: int | None = OEM_STRINGS,
    typed: bool = False,
    reveal: bool = False,
) -> int:
    """Decode a table from the guest, a file or a folder and print it."""
    from guestcred.show import dump as dumping
    from guestcred.smbios.entry_point import parse_entry_point

    if path is None:
        tree = Tree(root)
        data, entry = read_table(tree)
        systemd = read_systemd(tree) if systemd is None else systemd
    else:
        data, entry = _read_file(path)
    point = parse_entry_point(entry) if entry is not None else None
    table = parse(data)
    warnings = table_warnings(table, point)
    if entry is not None and point is None:
        warnings.insert(0, Finding("entry-point", "the entry point is not one that SMBIOS knows", REPORT))
    version = point.version if point else None
    result = dumping.Dump(table, version, judge(table.structures, systemd), tuple(warnings), kind, typed, reveal)
    if form == "json":
        _print_json(dumping.dump_json(result))
    else:
        sys.stdout.write(dumping.dump_text(result))
    if not table.holds_anything:
        raise _no_structure(path or "the table")
    return 0


def _no_structure(path: str) -> GuestcredError:
    return GuestcredError(f"no structure could be read from {path}", "is this a DMI table, from its first byte on?")


def _read_file(path: str) -> tuple[bytes, bytes | None]:
    """(table, entry point or None) from a raw table, a `dmidecode --dump-bin` file or a sysfs-like folder."""
    if os.path.isdir(path):
        tree = Tree(path)
        for below in ("", "tables/", "sys/firmware/dmi/tables/"):
            table = tree.read(below + "DMI")
            if table is not None:
                return table, tree.read(below + "smbios_entry_point")
        raise GuestcredError(
            f"there is no DMI table in the folder {path}",
            "it should hold DMI and smbios_entry_point, as /sys/firmware/dmi/tables does",
        )
    return _split_dump(path, _read_any(path))


def _read_any(path: str) -> bytes:
    """The bytes of a file, a link to one, a pipe, or of standard input for `-`."""
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            hint = "give a raw DMI table, a 'dmidecode --dump-bin' file, or a folder like /sys/firmware/dmi/tables"
            raise GuestcredError(f"there is no file {path}", hint) from None
        raise GuestcredError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    if len(data) > FILE_MAX:
        raise GuestcredError(f"cannot read {path}: larger than {FILE_MAX >> 20} MiB")
    return data


def _split_dump(path: str, data: bytes) -> tuple[bytes, bytes | None]:
    """A `dmidecode --dump-bin` file is an entry point at 0 and its table at the address in it."""
    from guestcred.smbios.entry_point import DUMP_TABLE, SIZE_64, parse_entry_point

    point = parse_entry_point(data)
    if point is None:
        return data, None
    if len(data) <= DUMP_TABLE:
        raise GuestcredError(
            f"{path} is an entry point, not a table",
            "give the file DMI beside it, or their folder, or a 'dmidecode --dump-bin' file, which has both",
        )
    start = point.address if SIZE_64 <= point.address < len(data) else DUMP_TABLE
    return data[start : start + point.table_length], data[:DUMP_TABLE]
