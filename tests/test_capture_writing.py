"""A capture is written whole or not at all, and nowhere else: failing at every step, and moved by a neighbour."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Count

from guestcred.apply import dirfd
from guestcred.capture.writing import write_tree
from guestcred.errors import GuestcredError

FILES: dict[str, bytes | None] = {"a/b": b"one", "a/c/d": b"two", "e/f": None, "g": b"three"}
STEPS = "mkdir", "open", "close", "fstat", "stat", "listdir", "write", "fchown", "fchmod", "rename"


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

        def fail(around: Path = around) -> None:
            assert not (around / "out").exists() or tree(around / "out") == WHOLE, "half of it has its name"
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
@pytest.mark.parametrize(
    "bait",
    [
        *("link", "link to the folder itself", "folder of root with files", "folder of a user with files"),
        *("folder of a user", "folder of root for its group", "folder of root for all"),
    ],
)
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
                    path.chmod({"group": 0o770, "all": 0o707}.get(bait.rpartition(" ")[2], 0o700))
                    if bait.endswith("with files"):
                        (path / "precious").write_bytes(b"precious")
                    if "user" in bait:
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
            left = {"precious": b"precious"} if bait == "link" or bait.endswith("with files") else {}
            assert len(baits) in ((1,) if left else (0, 1)) and all(tree(path) == left for path in baits), number
        else:
            # it came after the tree was whole in its place
            assert tree(home / "moved") == WHOLE, number
        outcomes[outcome if swapped else "undisturbed"] += 1
        if not came():
            break
    assert outcomes["refused"] > 20
    record_count(f"captures swapped for a {bait}", outcomes)


@pytest.mark.root
def test_what_fails_leaves_nothing_of_an_ordinary_user_either(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dirfd.Folder.write

    def write(at: dirfd.Folder, name: str, *others: Any) -> None:
        if name == "d":
            raise GuestcredError("no")
        real(at, name, *others)

    os.chown(folder, 1000, 1000)
    monkeypatch.setattr(dirfd.Folder, "write", write)
    os.setegid(1000)
    os.seteuid(1000)
    try:
        with pytest.raises(GuestcredError, match=r"^no$"):
            write_tree(str(folder / "out"), FILES)
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert not list(folder.iterdir())


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
    opened = len(os.listdir("/proc/self/fd"))
    for path in ("one", "box", "link/two/"):
        write_tree(path, FILES)
    assert len(os.listdir("/proc/self/fd")) == opened
    assert tree(tmp_path / "one") == tree(tmp_path / "box") == tree(tmp_path / "real/two") == WHOLE
    modes = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "one").rglob("*")}
    assert modes == {"0o700", "0o600"} and (tmp_path / "one").stat().st_mode & 0o777 == 0o700
