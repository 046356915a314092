"""The folders below run/: made, checked and locked for one run, and taken back where it fails."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_diff import wanting

from guestcred.apply import install
from guestcred.apply.diff import Changes
from guestcred.apply.dirfd import Folder
from guestcred.apply.install import Installation
from guestcred.apply.wanted import Wanted
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.rootfs import Tree

pytestmark = pytest.mark.root
WANTED = wanting({"KEY": b"value"}, {"a.service": {"x": b"one"}})
ONLY_SERVICES = wanting({}, {"a.service": {"x": b"one"}})
EARLY = wanting({"KEY": b"value"}, {}, b"")


@pytest.fixture
def root(folder: Path) -> Path:
    (folder / "run").mkdir()
    return folder


@contextlib.contextmanager
def installed(root: Path) -> Iterator[Installation]:
    """One run; its end gives the lock back, as the end of its process does."""
    with Installation(Tree(str(root))) as installation:
        try:
            yield installation
        finally:
            assert installation._home is not None
            os.close(installation._home.fd)


def run(root: Path, wanted: Wanted = WANTED) -> Changes:
    with installed(root) as installation:
        return installation.install(wanted)


def below(root: Path) -> list[str]:
    return sorted(os.listdir(root / "run"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_missing_is_made(root: Path) -> None:
    assert Installation(Tree(str(root))).changes(WANTED).any and below(root) == []
    assert run(root).rescue == ("KEY",) and below(root) == ["credstore", "guestcred"]
    assert (mode(root / "run/guestcred"), mode(root / "run/credstore")) == (0o711, 0o700)
    assert (root / "run/credstore/KEY").read_bytes() == b"value"
    assert (root / "run/guestcred/a.service/x").read_bytes() == b"one"
    assert Installation(Tree(str(root))).changes(WANTED) == run(root) == Changes()


def test_what_is_there_is_used(root: Path) -> None:
    (root / "run/guestcred").mkdir(0o711)
    (root / "run/credstore").mkdir(0o700)
    before = [(root / "run" / name).stat().st_ino for name in below(root)]
    run(root)
    assert [(root / "run" / name).stat().st_ino for name in below(root)] == before


def test_a_store_is_made_for_rescues_only(root: Path) -> None:
    run(root, ONLY_SERVICES)
    assert below(root) == ["guestcred"]
    run(root, EARLY)
    assert below(root) == ["credstore", "guestcred"]


def test_a_folder_with_another_mode_is_closed_again(root: Path) -> None:
    run(root)
    home = root / "run/guestcred"
    before = home.stat().st_ctime_ns
    assert run(root) == Changes() and home.stat().st_ctime_ns == before
    home.chmod(0o755)
    assert run(root) == Changes() and mode(home) == 0o711


@pytest.mark.parametrize("wanted", [WANTED, ONLY_SERVICES, EARLY])
def test_a_run_that_fails_takes_its_folders_back(root: Path, wanted: Wanted) -> None:
    with pytest.raises(GuestcredError, match=r"^no$"), installed(root) as installation:
        installation._make("credstore", 0o700)
        raise GuestcredError("no")
    assert below(root) == []
    run(root, wanted)
    before = below(root)
    with pytest.raises(GuestcredError, match=r"^no$"), installed(root):
        raise GuestcredError("no")
    assert below(root) == before


def test_and_leaves_them_where_others_put_something(root: Path) -> None:
    with pytest.raises(GuestcredError, match=r"^no$"), installed(root) as installation:
        installation._make("credstore", 0o700)
        (root / "run/credstore/MINE").touch()
        raise GuestcredError("no")
    assert below(root) == ["credstore"]


def test_a_folder_that_it_cannot_own_is_taken_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Folder.own

    def refuse(folder: Folder, *owned: int) -> None:
        if folder.path.endswith("credstore"):
            raise GuestcredError("no")
        own(folder, *owned)

    monkeypatch.setattr(Folder, "own", refuse)
    with pytest.raises(GuestcredError, match=r"^no$"):
        run(root)
    assert below(root) == []


@pytest.mark.parametrize("fault", ["lock", "store"])
def test_a_run_that_cannot_begin_takes_its_folder_back(root: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        if fault == "store":
            (root / "run/credstore").write_text("in the way")
        else:
            raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    assert refused(root).problem.startswith("refusing" if fault == "store" else "cannot lock")
    assert "guestcred" not in below(root)
    (root / "run/guestcred").mkdir()
    refused(root)
    assert "guestcred" in below(root)  # it is not this run's


def refused(root: Path) -> GuestcredError:
    with pytest.raises(GuestcredError) as caught:
        run(root)
    assert caught.value.status == FINDINGS
    return caught.value


def test_without_run_there_is_nowhere_to_write(root: Path) -> None:
    (root / "run").rmdir()
    error = refused(root)
    assert error.problem == f"there is no folder {root}/run"
    assert error.hints == ("guestcred writes there: make one in memory",)


NOT_FOLLOWED = "make it a folder in memory; links are not followed here"
MOVE, PUT = (
    "look at it, and move it away by hand",
    "look at it, and put a folder there: systemd looks for credentials in it",
)


@pytest.mark.parametrize(("place", "fix"), [("run", NOT_FOLLOWED), ("run/guestcred", MOVE), ("run/credstore", PUT)])
def test_what_is_no_folder_is_refused(root: Path, place: str, fix: str) -> None:
    if place == "run":
        (root / "run").rmdir()
    (root / place).symlink_to("/nonexistent")
    error = refused(root)
    assert error.problem == f"refusing to write {root}/{place}: it is not a folder" and error.hints == (fix,)


@pytest.mark.parametrize("place", ["", "run", "run/guestcred", "run/credstore"])
def test_a_folder_that_others_may_change_is_refused(root: Path, place: str) -> None:
    (root / place).mkdir(exist_ok=True)
    (root / place).chmod(0o777)
    path = f"{root}/{place}".rstrip("/")
    assert refused(root).problem == f"refusing to write {path}: may be written by others than its owner"


@pytest.mark.parametrize("place", ["run", "run/guestcred", "run/credstore"])
def test_a_folder_that_is_not_in_memory_is_refused(root: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / place).mkdir(exist_ok=True)

    def refuse(folder: Folder) -> None:
        if folder.path == f"{root}/{place}":
            raise GuestcredError("a disk", status=FINDINGS)

    monkeypatch.setattr(install, "refuse_disk", refuse)
    assert refused(root).problem == "a disk"
    (root / place).chmod(0o777)  # which is worse
    assert "by others" in refused(root).problem


def held(home: Path) -> int:
    """A descriptor by which another run has the lock."""
    home.mkdir(exist_ok=True)
    fd = os.open(home, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def test_the_lock_is_for_one_run(root: Path) -> None:
    with installed(root) as installation:
        with pytest.raises(BlockingIOError):
            held(root / "run/guestcred")
        installation.install(WANTED)
        with pytest.raises(BlockingIOError):
            held(root / "run/guestcred")


def test_another_run_is_waited_for_and_not_for_ever(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = held(root / "run/guestcred")
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(install, "LOCK_SECONDS", -0.4)
    error = refused(root)
    assert error.problem == f"another run has kept {root}/run/guestcred locked for -0 seconds" and slept == []
    assert error.hints == ("see which process that is: lslocks -o PID,COMMAND,PATH",)
    monkeypatch.setattr(install, "LOCK_SECONDS", 100)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(other))
    assert run(root).any


@pytest.mark.parametrize("again", [True, False])
def test_a_lock_on_what_was_removed_is_worth_nothing(root: Path, again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    home = root / "run/guestcred"
    others = [held(home)]
    moved = root / "moved"

    def wait(_: float) -> None:
        if not moved.exists():
            home.rename(moved)  # and not removed: so its number is not given again
            if again:
                others.append(held(home))
            os.close(others[0])
        else:
            os.close(others[1])

    monkeypatch.setattr(time, "sleep", wait)
    run(root)
    assert (home / "a.service/x").read_bytes() == b"one" and not os.listdir(moved)


def test_what_it_waited_for_is_what_it_finds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = root / "run/guestcred"
    other = held(home)

    def wait(_: float) -> None:
        os.close(other)
        monkeypatch.undo()
        run(root)

    monkeypatch.setattr(time, "sleep", wait)
    assert run(root) == Changes()


def test_a_folder_that_another_run_made_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_new = Folder.make_new

    def too_late(folder: Folder, name: str) -> Folder | None:
        made = make_new(folder, name)
        assert made is not None
        made.own(0, 0, 0o711 if name == "guestcred" else 0o700)
        return make_new(folder, name)

    monkeypatch.setattr(Folder, "make_new", too_late)
    assert run(root).any and (root / "run/credstore/KEY").exists()


def test_a_lock_that_the_kernel_refuses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    assert refused(root).problem == f"cannot lock {root}/run/guestcred: no locks available"
