"""A capture is written whole or not at all, and nowhere else: ended at every system call, failing, and moved by a neighbour."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Count
from needs import need

from guestcred.apply import dirfd
from guestcred.capture.writing import write_tree
from guestcred.errors import GuestcredError
from guestcred.outcome import ENDING

FILES: dict[str, bytes | None] = {"a/b": b"one", "a/c/d": b"two", "e/f": None, "g": b"three"}
STEPS = "mkdir", "open", "close", "fstat", "stat", "listdir", "write", "fchown", "fchmod", "rename"
ALONE = (
    f"import sys; from guestcred.capture.writing import write_tree; write_tree(sys.argv[1], {FILES!r}); print('done')"
)


def tree(path: Path) -> dict[str, bytes | None]:
    """What is below a path, links not followed."""
    found: dict[str, bytes | None] = {}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            place = Path(folder, name)
            is_file = place.is_file() and not place.is_symlink()
            found[str(place.relative_to(path))] = place.read_bytes() if is_file else None
    return found


WHOLE = {**FILES, "a": None, "a/c": None, "e": None}


def traced(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [need("strace"), "-qq", *options, sys.executable, "-c", ALONE, str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """(name, which of its name) of every system call from the look at the folder around it to the end of an undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert traced(folder / "out", "-o", str(folder / "trace")).stdout == "done\n"
    assert tree(folder / "out") == WHOLE
    counts: Counter[str] = Counter()
    found = []
    writing = False
    for line in (folder / "trace").read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if match:
            counts[match[1]] += 1
            writing = writing or f'"{folder}"' in line
            if writing and match[1] != "exit_group":
                found.append((match[1], counts[match[1]]))
    assert {"mkdirat", "openat", "write", "fchmod", "renameat", "rt_sigaction"} <= {call for call, _ in found}
    return found


@pytest.mark.parametrize("kind", ["TERM", "KILL", "others"])
def test_ended_at_every_system_call(
    calls: list[tuple[str, int]], tmp_path: Path, kind: str, record_count: Count, pytestconfig: pytest.Config
) -> None:
    numbers = {"TERM": [signal.SIGTERM], "KILL": [signal.SIGKILL], "others": sorted(ENDING)}[kind]
    outcomes = Counter[str]()
    every = 1 if kind == "TERM" or pytestconfig.getoption("exhaustive") else 3
    for point, (call, when) in enumerate(calls[::every]):
        # by number: RTMIN is another one for strace
        number = int(numbers[point % len(numbers)])
        around = tmp_path / str(point)
        around.mkdir()
        options = "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal={number}:when={when}"
        done = traced(around / "out", *options)
        told = f"{number} at {call} {when}: {done}"
        left = sorted(path.name for path in around.iterdir())
        if "out" in left:
            assert tree(around / "out") == WHOLE, told
        if kind == "KILL":
            # nothing runs after it, and what was begun has a name that says so
            assert all(entry == "out" or re.fullmatch(r"out\.[0-9a-f]{16}\.tmp", entry) for entry in left), told
        else:
            assert left in ([], ["out"]) and (done.returncode == 0) == (left == ["out"]), told
        outcomes["whole" if "out" in left else "nothing"] += 1
    assert outcomes.keys() == {"whole", "nothing"}
    record_count(f"captures ended by {kind}", outcomes)


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> Callable[[], bool]:
    """Act once, before step `number` of those by which files are written; whether that step came."""
    taken = 0

    def stepping(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            nonlocal taken
            taken += 1
            if taken - 1 == number:
                act()
            return real(*arguments, **options)

        return step

    class Os:
        def __getattr__(self, name: str) -> object:
            real = getattr(os, name)
            return stepping(real) if name in STEPS else real

    monkeypatch.setattr(dirfd, "os", Os())
    return lambda: taken > number


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_every_step_fails_once(tmp_path: Path, code: int, record_count: Count) -> None:
    outcomes = Counter[str]()
    for number in range(1000):
        around = tmp_path / str(number)
        around.mkdir()

        def fail() -> None:
            raise OSError(code, os.strerror(code))

        with pytest.MonkeyPatch.context() as patch:
            came = at_step(patch, number, fail)
            try:
                write_tree(str(around / "out"), FILES)
                outcomes["whole"] += 1
                assert tree(around / "out") == WHOLE
            except GuestcredError:
                outcomes["nothing"] += 1
                # only the last step of all, closing the folder around it, comes too late
                assert not list(around.iterdir()) or not came_before(around), number
        if not came():
            break
    assert outcomes["nothing"] > 30
    record_count("captures with a failure", outcomes)


def came_before(around: Path) -> bool:
    """Whether the tree there is not the whole one."""
    return [path.name for path in around.iterdir()] != ["out"] or tree(around / "out") != WHOLE


@pytest.mark.root
@pytest.mark.parametrize("bait", ["link", "folder of a user", "folder of root with files", "link to the folder itself"])
def test_a_neighbour_who_swaps_the_tree_gets_nothing(tmp_path: Path, bait: str, record_count: Count) -> None:
    outcomes = Counter[str]()
    for number in range(1000):
        home, victim = tmp_path / f"{number}-home", tmp_path / f"{number}-victim"
        home.mkdir()
        victim.mkdir()
        os.chown(home, 1000, 1000)
        (victim / "precious").write_bytes(b"precious")
        swapped: list[Path] = []

        def swap(home: Path = home, victim: Path = victim, swapped: list[Path] = swapped) -> None:
            """Put something else wherever the tree is."""
            for path in list(home.iterdir()):
                path.rename(home / "moved")
                swapped.append(path)
                if bait == "link":
                    path.symlink_to(victim)
                elif bait == "link to the folder itself":
                    path.symlink_to("moved")
                else:
                    path.mkdir(0o700)
                    (path / "precious").write_bytes(b"precious")
                    if bait == "folder of a user":
                        os.chown(path, 1000, 1000)

        with pytest.MonkeyPatch.context() as patch:
            came = at_step(patch, number, swap)
            try:
                write_tree(str(home / "out"), FILES)
                outcome = "whole"
            except GuestcredError as error:
                outcome = "refused"
                assert "cannot write" in error.problem, number
        assert tree(victim) == {"precious": b"precious"}, number
        if not swapped:
            assert outcome == "whole" and tree(home / "out") == WHOLE
        elif outcome == "refused":
            # what the neighbour put there is still there, and the files are nowhere
            assert tree(home / "moved") == {} if (home / "moved").exists() else True, number
            baits = [path for path in home.iterdir() if path.name != "moved"]
            assert len(baits) <= 1 and all(tree(path) in ({}, {"precious": b"precious"}) for path in baits), number
        else:
            # it came after the tree was whole in its place
            assert tree(home / "moved") == WHOLE, number
        outcomes[outcome if swapped else "undisturbed"] += 1
        if not came():
            break
    assert outcomes["refused"] > 20
    record_count(f"captures swapped for a {bait}", outcomes)


@pytest.mark.parametrize("path", ["/", ".", "..", "there", "there/"])
def test_what_is_there_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GuestcredError, match="already exists"):
        write_tree(path, FILES)
    assert tree(tmp_path) == {"there": None}


def test_a_path_of_one_name_and_one_with_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    for path in ("one", "link/two/"):
        write_tree(path, FILES)
    assert tree(tmp_path / "one") == tree(tmp_path / "real/two") == WHOLE
    modes = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "one").rglob("*")}
    assert modes == {"0o700", "0o600"} and (tmp_path / "one").stat().st_mode & 0o777 == 0o700
