"""What `dmidecode -u` prints, read back: each structure's bytes, and each string as bytes and again as text."""

from __future__ import annotations

import re

from guestcred.errors import GuestcredError

_HANDLE = re.compile(r"Handle 0x([0-9A-Fa-f]{4}), DMI type (\d+), (\d+) bytes")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2} )*[0-9A-Fa-f]{2}")
_VERSION = re.compile(r"SMBIOS (\d+)\.(\d+)(?:\.\d+)? present")


def table_of_text(text: str, name: str) -> tuple[bytes, str | None]:
    """The table in a text, and its version where that is told. Raises GuestcredError where there is no structure."""
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
    return bytes(out), f"{version[1]}.{version[2]}" if version else None
