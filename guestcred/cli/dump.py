"""What `dump` does: a table from the guest, a file or a folder, decoded."""

from __future__ import annotations

import os
import sys

from guestcred.cli.commands import View, print_json
from guestcred.descriptor import read_to_end
from guestcred.diagnose.findings import REPORT, Finding, table_warnings
from guestcred.diagnose.survey import no_structure
from guestcred.errors import USAGE, GuestcredError, reason
from guestcred.guest.facts import read_systemd
from guestcred.guest.rootfs import FILE_MAX, Tree
from guestcred.guest.snapshot import parse_table, read_table, refuse_large
from guestcred.show.dump import dump_json, dump_text
from guestcred.show.keywords import STRING_KEYWORDS
from guestcred.show.redacted import Dump
from guestcred.smbios.entry_point import parse_entry_point
from guestcred.smbios.sources import Source, from_memory, split
from guestcred.smbios.walk import OEM_STRINGS
from guestcred.systemd.offered import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.show.documents import DumpValueDocument

_CREDENTIALS = frozenset({OEM_STRINGS})


def run(
    view: View,
    *,
    path: str | None = None,
    saved: str | None = None,
    kinds: tuple[frozenset[int] | None] | None = None,
    handle: tuple[int] | None = None,
    keyword: str | None = None,
    everything: bool = False,
    quiet: bool = False,
    reveal: bool = False,
    target: str | None = None,
) -> int:
    """What the options ask for; of them None is one that was not given. Raises GuestcredError where they contradict."""
    ways = {"--all": everything, "--type": kinds, "--handle": handle, "--string": keyword, "--dump-bin": target}
    given = [name for name, value in ways.items() if value]
    if len(given) > 1:
        raise _contradiction(f"{' and '.join(given)} cannot be used together")
    if saved and path:
        raise _contradiction("give one FILE, with or without --from-dump")
    path = saved if path is None else path
    if target:
        return save(view, path, target, reveal=reveal)
    if keyword:
        return one_value(view, path, keyword, reveal=reveal)
    if not given:
        return dump(view, path, reveal=reveal)
    chosen = kinds[0] if kinds else None
    number = handle[0] if handle else None
    return dump(view, path, kinds=chosen, handle=number, typed=True, quiet=quiet, reveal=reveal)


def _contradiction(problem: str) -> GuestcredError:
    return GuestcredError(problem, "see 'guestcred dump --help'", status=USAGE)


def dump(
    view: View,
    path: str | None = None,
    *,
    kinds: frozenset[int] | None = _CREDENTIALS,
    handle: int | None = None,
    typed: bool = False,
    quiet: bool = False,
    reveal: bool = False,
) -> int:
    """Decode a table from the guest, or from the file or folder `path`, and print it; `kinds` None shows all types.

    Raises GuestcredError if there is no table, or no structure in it.
    """
    shown = decoded(view, path, kinds=kinds, typed=typed, reveal=reveal).replace(handle=handle, quiet=quiet)
    if not shown.table.holds_anything:
        raise no_structure(path or "the table")
    if view.form == "json":
        print_json(dump_json(shown))
    else:
        sys.stdout.write(dump_text(shown))
    return 0


def one_value(view: View, path: str | None, keyword: str, *, reveal: bool) -> int:
    """Print one value of each structure that has it, as `dmidecode --string` does."""
    from guestcred.show.structures import sections_of

    kind, label = STRING_KEYWORDS[keyword]
    shown = decoded(view, path, kinds=frozenset({kind}), typed=True, reveal=reveal)
    rows = [
        row for structure in shown.structures() for section in sections_of(structure, shown) for row in section.rows
    ]
    values = [row.text for row in rows if row.label == label and row.text is not None]
    if view.form == "json":
        told: DumpValueDocument = {"schema": "guestcred.dump-value/1", "keyword": keyword, "values": values}
        print_json(told)
    else:
        sys.stdout.write("".join(f"{value}\n" for value in values))
    if not values:
        raise GuestcredError(f"nothing in this table says {keyword}", "guestcred dump --type all shows what it says")
    return 0


def save(view: View, path: str | None, target: str, *, reveal: bool) -> int:
    """Write the table into a new file as `dmidecode --dump-bin` does, for root alone since its strings are in clear."""
    if not reveal:
        raise GuestcredError(
            "--dump-bin writes the values of credentials too",
            "add --reveal if you want that; 'guestcred capture DIR' saves a guest without them",
            status=USAGE,
        )
    from guestcred.smbios.library import Table

    source = _read(view, path)
    point = parse_entry_point(source.entry) if source.entry is not None else None
    data = Table(source.table, source.version, point).dump_bin()
    try:
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(made, "wb") as file:
            file.write(data)
    except OSError as error:
        raise GuestcredError(f"cannot write {target}: {reason(error)}") from None
    return 0


def decoded(view: View, path: str | None, *, kinds: frozenset[int] | None, typed: bool, reveal: bool) -> Dump:
    """The table from the guest or from `path`, ready to be shown. Raises GuestcredError if there is none."""
    source = _read(view, path)
    systemd = view.systemd
    if path is None and systemd is None:
        systemd = read_systemd(Tree(view.at))
    point = parse_entry_point(source.entry) if source.entry is not None else None
    table = parse_table(source.table, source.entry)
    warnings = table_warnings(table, point)
    if source.entry is not None and point is None:
        warnings.insert(0, Finding("entry-point", "the entry point is not one that SMBIOS knows", REPORT))
    return Dump(
        table=table,
        version=point.version if point else source.version,
        verdicts=judge(table.structures, systemd),
        warnings=tuple(warnings),
        kinds=kinds,
        typed=typed,
        reveal=reveal,
    )


def _read(view: View, path: str | None) -> Source:
    if path is None:
        return _read_guest(view)
    source = _read_file(path)
    refuse_large(len(source.table), "standard input" if path == "-" else path)
    return source


def _read_guest(view: View) -> Source:
    """The guest's own table; where the kernel has no file of it, from memory, as EFI says where."""
    tree = Tree(view.at)
    try:
        table, entry = read_table(tree)
    except GuestcredError:
        found = from_memory() if view.root == "/" and tree.read("sys/firmware/dmi/tables/DMI") is None else None
        if found is None:
            raise
        refuse_large(len(found.table), "the table in memory")
        return found
    return Source(table, entry)


def _read_file(path: str) -> Source:
    """The table of a file in any form, or of a sysfs-like folder."""
    if os.path.isdir(path):
        tree = Tree(path)
        for below in ("", "tables/", "sys/firmware/dmi/tables/"):
            table = tree.read(below + "DMI")
            if table is not None:
                return Source(table, tree.read(below + "smbios_entry_point"))
        raise GuestcredError(
            f"there is no DMI table in the folder {path}",
            "it should hold DMI and smbios_entry_point, as /sys/firmware/dmi/tables does",
        )
    return split(_read_any(path), path)


def _read_any(path: str) -> bytes:
    """The bytes of a file, a link to one, a pipe, or of standard input for `-`."""
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            data = read_to_end(file.fileno(), FILE_MAX) or b""
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            hint = "give a raw DMI table, a 'dmidecode --dump-bin' file, or a folder like /sys/firmware/dmi/tables"
            raise GuestcredError(f"there is no file {path}", hint) from None
        raise GuestcredError(f"cannot read {path}: {reason(error)}") from None
    if len(data) > FILE_MAX:
        raise GuestcredError(f"cannot read {path}: larger than {FILE_MAX >> 20} MiB")
    return data
