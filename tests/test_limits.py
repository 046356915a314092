"""What is too large is refused with a clear error, by every command that reads it, and what is just not too large is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from applying import apply, offer
from conftest import Build, table_of
from needs import memory

from guestcred.cli import commands
from guestcred.cli.commands import View
from guestcred.cli.dump import dump
from guestcred.errors import GuestcredError
from guestcred.guest.snapshot import TABLE, TABLE_MAX
from guestcred.smbios.entry_point import DUMP_TABLE
from guestcred.smbios.layout import build_entry_point, build_structure
from guestcred.systemd.offered import STRINGS_MAX
from guestcred.systemd.rules import STORE_PAGES

COMMANDS: dict[str, Callable[[View, Path], object]] = {
    "check": lambda view, _: commands.check(view),
    "why": lambda view, _: commands.why(view, "A"),
    "services": lambda view, _: commands.services(view),
    "apply": lambda view, _: commands.apply(view, dry_run=True),
    "capture": lambda view, made: commands.capture(view, str(made)),
    "dump": lambda view, _: dump(view),
    "dump FILE": lambda view, _: dump(View(), f"{view.root}/{TABLE}"),
    "dump FOLDER": lambda view, _: dump(View(), view.root),
}


def sized(size: int) -> bytes:
    """A table of so many bytes, with one credential in it."""
    table = table_of(b"io.systemd.credential:A=b")
    return build_structure(130, 1, [b"x" * (size - len(table) - len(build_structure(130, 1, [b"x"])) + 1)]) + table


def counted(strings: int) -> bytes:
    """A table with so many OEM strings, in two structures, and as many others that do not count."""
    return (
        build_structure(130, 1, [b"x"] * STRINGS_MAX)
        + build_structure(11, 2, [b"io.systemd.credential:A=b"])
        + build_structure(11, 3, [b"y"] * (strings - 1))
        + build_structure(127, 4)
    )


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory, because `apply` writes nowhere else."""
    with memory() as folder:
        yield folder


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=[pytest.mark.root] if name == "apply" else []) for name in COMMANDS]
)
@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (sized(TABLE_MAX), None),
        (sized(TABLE_MAX + 1), "has 1048577 bytes, more than the 1 MiB of a table that guestcred looks at"),
        (counted(STRINGS_MAX), None),
        (counted(STRINGS_MAX + 1), "the table has 4097 OEM strings, more than the 4096 that guestcred looks at"),
    ],
    ids=["1-MiB", "larger", "4096-strings", "more"],
)
def test_tables(tree: Build, tmp_path: Path, table: bytes, problem: str | None, command: str) -> None:
    root = tree(table=table, system={"A": b"b"}, units=[], declared=0xFFFF)
    view = View(root=str(root))
    if problem is None:
        COMMANDS[command](view, tmp_path / "captured")
        return
    with pytest.raises(GuestcredError) as caught:
        COMMANDS[command](view, tmp_path / "captured")
    assert problem in caught.value.problem and caught.value.hints and caught.value.status == 3
    assert not (tmp_path / "captured").exists()


@pytest.mark.parametrize("size", [TABLE_MAX, TABLE_MAX + 1, 20 * TABLE_MAX])
@pytest.mark.parametrize("front", [b"", build_entry_point(0xFFFFFFFF, long=True).ljust(DUMP_TABLE, b"\0")])
def test_a_table_from_a_pipe(size: int, front: bytes) -> None:
    command = [sys.executable, "-m", "guestcred", "dump", "-"]
    done = subprocess.run(command, input=front + sized(size), capture_output=True, check=False)
    error = done.stderr.decode()
    assert done.returncode == (0 if size == TABLE_MAX else 3), error
    assert ("guestcred: error: " in error) == (size > TABLE_MAX) and "Traceback" not in error


def test_entries_that_are_larger_than_a_table_can_be(tree: Build) -> None:
    large = build_structure(11, 1, [b"io.systemd.credential:A=" + b"x" * 600_000])
    root = tree([b"io.systemd.credential:A=b"], entries=[large, large])
    with pytest.raises(GuestcredError, match=r"entries has 1200.* bytes, more than the 1 MiB"):
        commands.check(View(root=str(root)))


@pytest.mark.root
@pytest.mark.parametrize(("size", "taken"), [(1, STORE_PAGES), (4000, STORE_PAGES), (4097, STORE_PAGES // 2)])
def test_rescues_take_no_more_memory_than_pid_1_would(size: int, taken: int) -> None:
    names = [f"NAME_{number:03d}" for number in range(taken + 1)]
    with memory() as folder:
        root = folder / "guest"
        offer(root, dict.fromkeys(names[:taken], "v" * size))
        assert apply(root).returncode == 0
        assert len(list((root / "run/credstore").iterdir())) == taken
        offer(root, {name: "v" * min(size, 4095) for name in names[:taken]} | {names[-1]: "last"})
        done = apply(root, "--format", "json")
        told = json.loads(done.stdout)
        there = sorted(path.name for path in (root / "run/credstore").iterdir())
    if size == 4097:  # smaller now, so the last one fits too
        assert done.returncode == 0 and there == names
        return
    assert done.returncode == 1 and there == names[:taken] == [rescued["name"] for rescued in told["rescued"]]
    (finding,) = told["findings"]
    assert finding["names"] == [names[-1]] and "not rescued: what is rescued has 1 MiB of memory" in finding["message"]
