"""Where tables come from: the forms that files have, the kernel's own files, and the machine's memory."""

from __future__ import annotations

import os

from guestcred.errors import GuestcredError, reason
from guestcred.record import Record
from guestcred.smbios.entry_point import DUMP_TABLE, SIZE_64, parse_entry_point

TABLES = "/sys/firmware/dmi/tables"
SYSTAB, MEMORY, LOCKDOWN = "/sys/firmware/efi/systab", "/dev/mem", "/sys/kernel/security/lockdown"
TABLE_MAX = 16 << 20  # bytes
_RAW_HEADER = 8  # Windows' RawSMBIOSData: calling method, major, minor, revision, length
_FORMS = "give a raw DMI table, a 'dmidecode --dump-bin' file, or a folder like /sys/firmware/dmi/tables"


class Source(Record):
    """A table, its entry point where it came with one, and its version where that is known otherwise."""

    table: bytes
    entry: bytes | None = None
    version: str | None = None


def split(data: bytes, name: str = "the file") -> Source:
    """A table in any form: raw, `dmidecode --dump-bin`, Windows' RawSMBIOSData, or the text of `dmidecode -u`.

    Raises GuestcredError for an entry point without its table, and for text that has no structure.
    """
    point = parse_entry_point(data)
    if point is not None:
        if len(data) <= DUMP_TABLE:
            raise GuestcredError(
                f"{name} is an entry point, not a table",
                "give the file DMI next to it, their folder, or a 'dmidecode --dump-bin' file, which has both",
            )
        start = point.address if SIZE_64 <= point.address < len(data) else DUMP_TABLE
        return Source(data[start : start + point.table_length], data[:DUMP_TABLE])
    # a structure of 2 or 3 bytes there cannot be, so no raw table begins like this
    if len(data) > _RAW_HEADER and data[1] in (2, 3) and int.from_bytes(data[4:8], "little") == len(data) - _RAW_HEADER:
        return Source(data[_RAW_HEADER:], version=f"{data[1]}.{data[2]}")
    if b"Header and Data:" in data:
        from guestcred.smbios.hexadecimal import table_of_text

        table, version = table_of_text(data.decode("latin-1"), name)
        return Source(table, version=version)
    return Source(data)


def from_folder(path: str) -> Source | None:
    """The table of a folder like `/sys/firmware/dmi/tables`, None where there is none."""
    try:
        table = _read(os.path.join(path, "DMI"))
    except FileNotFoundError:
        return None
    try:
        return Source(table, _read(os.path.join(path, "smbios_entry_point")))
    except OSError:
        return Source(table)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(TABLE_MAX + 1)
    if len(data) > TABLE_MAX:
        raise GuestcredError(f"cannot read {path}: larger than {TABLE_MAX >> 20} MiB")
    return data


def from_memory(systab: str = SYSTAB, memory: str = MEMORY, lockdown: str = LOCKDOWN) -> Source | None:
    """The table where EFI's system table says that it is, None without EFI.

    Raises GuestcredError where the kernel does not let even root look there.
    """
    try:
        told = _read(systab).decode("ascii", "replace")
    except OSError:
        return None
    places = dict(line.partition("=")[::2] for line in told.splitlines())
    place = places.get("SMBIOS3") or places.get("SMBIOS")
    if place is None:
        return None
    try:
        opened = os.open(memory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            entry = os.pread(opened, DUMP_TABLE, int(place, 16))
            point = parse_entry_point(entry)
            if point is None or point.table_length > TABLE_MAX:
                raise GuestcredError(f"there is no SMBIOS entry point at {place} of {memory}")
            return Source(os.pread(opened, point.table_length, point.address), entry)
        finally:
            os.close(opened)
    except OSError as error:
        raise GuestcredError(f"cannot read {memory}: {reason(error)}{_locked(lockdown)}", _FORMS) from None


def _locked(lockdown: str) -> str:
    """Why root may not, where that is known (kernel_lockdown(7))."""
    try:
        chosen = _read(lockdown).decode("ascii", "replace").partition("[")[2].partition("]")[0]
    except OSError:
        return ""
    return f" (the kernel is locked down: {chosen})" if chosen not in ("", "none") else ""
