"""Where tables come from: the forms that files have, the kernel's own files, and the machine's memory."""

from __future__ import annotations

import os
import re

from guestcred.errors import GuestcredError, reason
from guestcred.record import Record
from guestcred.smbios.entry_point import DUMP_TABLE, SIZE_64, parse_entry_point

TABLES = "/sys/firmware/dmi/tables"
SYSTAB, MEMORY, LOCKDOWN = "/sys/firmware/efi/systab", "/dev/mem", "/sys/kernel/security/lockdown"
TABLE_MAX = 16 << 20  # bytes
_RAW_HEADER = 8  # Windows' RawSMBIOSData: calling method, major, minor, revision, length
_HANDLE = re.compile(r"Handle 0x([0-9A-Fa-f]{4}), DMI type (\d+), (\d+) bytes")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2} )*[0-9A-Fa-f]{2}")
_VERSION = re.compile(r"SMBIOS (\d+)\.(\d+)(?:\.\d+)? present")
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
        return _from_text(data.decode("latin-1"), name)
    return Source(data)


def _from_text(text: str, name: str) -> Source:
    """What `dmidecode -u` printed: each structure's bytes, and each string as bytes and again as text."""
    out, lines = bytearray(), iter(text.splitlines())
    where, strings = "", 0
    version = _VERSION.search(text)
    begun = False
    for line in lines:
        told = line.strip()
        if _HANDLE.fullmatch(told):
            if begun:
                out += b"\0" if strings else b"\0\0"
            begun, where, strings = True, "", 0
        elif told in ("Header and Data:", "Strings:"):
            where = told
        elif begun and where and _HEX.fullmatch(told):
            data = bytes.fromhex(told)
            out += data
            if where == "Strings:" and data.endswith(b"\0"):
                strings += 1
                next(lines, "")  # the same string as text, which may look like bytes
    if not begun:
        raise GuestcredError(f"there is no structure in the text of {name}", "give what 'dmidecode -u' prints")
    out += b"\0" if strings else b"\0\0"
    return Source(bytes(out), version=f"{version[1]}.{version[2]}" if version else None)


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
    places = dict(re.findall(r"^(SMBIOS3?)=(0x[0-9a-fA-F]+)$", told, re.MULTILINE))
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
        chosen = re.search(rb"\[(\w+)\]", _read(lockdown))
    except OSError:
        return ""
    return "" if chosen is None or chosen[1] == b"none" else f" (the kernel is locked down: {chosen[1].decode()})"
