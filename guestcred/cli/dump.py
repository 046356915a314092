"""What `dump` does: a table from the guest, a file or a folder, decoded."""

from __future__ import annotations

import os
import sys

from guestcred.cli.commands import View, print_json
from guestcred.descriptor import read_to_end
from guestcred.diagnose.findings import REPORT, Finding, table_warnings
from guestcred.diagnose.survey import no_structure
from guestcred.errors import GuestcredError, reason
from guestcred.guest.facts import read_systemd
from guestcred.guest.rootfs import FILE_MAX, Tree
from guestcred.guest.snapshot import parse_table, read_table, refuse_large
from guestcred.show import dump as showing
from guestcred.smbios.entry_point import DUMP_TABLE, SIZE_64, parse_entry_point
from guestcred.smbios.walk import OEM_STRINGS
from guestcred.systemd.offered import judge


def dump(
    view: View,
    path: str | None = None,
    *,
    kind: int | None = OEM_STRINGS,
    typed: bool = False,
    reveal: bool = False,
) -> int:
    """Decode a table from the guest, or from the file or folder `path`, and print it; `kind` None shows all types.

    Raises GuestcredError if there is no table, and after printing if there is no structure in it.
    """
    systemd = view.systemd
    if path is None:
        tree = Tree(view.root)
        data, entry = read_table(tree)
        systemd = read_systemd(tree) if systemd is None else systemd
    else:
        data, entry = _read_file(path)
        refuse_large(len(data), "standard input" if path == "-" else path)
    point = parse_entry_point(entry) if entry is not None else None
    table = parse_table(data, entry)
    warnings = table_warnings(table, point)
    if entry is not None and point is None:
        warnings.insert(0, Finding("entry-point", "the entry point is not one that SMBIOS knows", REPORT))
    shown = showing.Dump(
        table=table,
        version=point.version if point else None,
        verdicts=judge(table.structures, systemd),
        warnings=tuple(warnings),
        kind=kind,
        typed=typed,
        reveal=reveal,
    )
    if view.form == "json":
        print_json(showing.dump_json(shown))
    else:
        sys.stdout.write(showing.dump_text(shown))
    if not table.holds_anything:
        raise no_structure(path or "the table")
    return 0


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
            data = read_to_end(file.fileno(), FILE_MAX) or b""
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            hint = "give a raw DMI table, a 'dmidecode --dump-bin' file, or a folder like /sys/firmware/dmi/tables"
            raise GuestcredError(f"there is no file {path}", hint) from None
        raise GuestcredError(f"cannot read {path}: {reason(error)}") from None
    if len(data) > FILE_MAX:
        raise GuestcredError(f"cannot read {path}: larger than {FILE_MAX >> 20} MiB")
    return data


def _split_dump(path: str, data: bytes) -> tuple[bytes, bytes | None]:
    """A `dmidecode --dump-bin` file is an entry point at 0 and its table at the address in it, 0x20."""
    point = parse_entry_point(data)
    if point is None:
        return data, None
    if len(data) <= DUMP_TABLE:
        raise GuestcredError(
            f"{path} is an entry point, not a table",
            "give the file DMI next to it, their folder, or a 'dmidecode --dump-bin' file, which has both",
        )
    start = point.address if SIZE_64 <= point.address < len(data) else DUMP_TABLE
    return data[start : start + point.table_length], data[:DUMP_TABLE]
