"""Where a value that nobody may see can be found: arguments, environments, the journal, files."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

SHORTEST = 8  # bytes; anything shorter is found everywhere by chance


def needles(secrets: dict[str, bytes]) -> dict[str, list[bytes]]:
    """What to look for, by name: the value, and its base64 as far as nothing behind it changes that."""
    return {
        name: [value, base64.b64encode(value[: len(value) // 3 * 3])]
        for name, value in secrets.items()
        if len(value) >= SHORTEST
    }


def found_in(data: bytes, wanted: dict[str, list[bytes]]) -> list[str]:
    """The names whose value is in `data`."""
    return [name for name, forms in wanted.items() if any(form in data for form in forms)]


def processes(kind: str) -> Iterator[tuple[str, bytes]]:
    """`cmdline` or `environ` of all processes, each with its place; one that ends meanwhile is skipped."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                yield f"/proc/{entry}/{kind}", Path("/proc", entry, kind).read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue


def journal() -> Iterator[tuple[str, bytes]]:
    """Every field of every entry, as it was logged."""
    subprocess.run(["journalctl", "--sync"], check=True)
    command = ["journalctl", "--output=export", "--all", "--no-pager"]
    yield "journal", subprocess.run(command, capture_output=True, check=True).stdout


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every regular file below a folder, and the names of all files."""
    for parent, folders, names in os.walk(folder):
        yield parent, "\n".join(folders + names).encode("utf-8", "surrogateescape")
        for name in names:
            path = Path(parent, name)
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    yield str(path), path.read_bytes()
            except FileNotFoundError:
                continue


def search(places: Iterator[tuple[str, bytes]], wanted: dict[str, list[bytes]]) -> tuple[int, dict[str, list[str]]]:
    """How many places were looked at, and where each name's value was found."""
    count, found = 0, {}
    for place, data in places:
        count += 1
        if names := found_in(data, wanted):
            found[place] = names
    return count, found
