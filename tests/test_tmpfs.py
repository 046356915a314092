"""Secrets in a private folder on the host: new, in memory, whole, and gone where something fails."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import memory

from guestcred.errors import GuestcredError
from guestcred.host.tmpfs import fill_private_folder
from guestcred.outcome import ENDING

pytestmark = pytest.mark.filterwarnings("error")  # as of a way to open a file that Python does not know

FILES = {"a": b"secret one", "b": b""}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory; what signals do, and that no descriptor is left, is as before the test."""
    handlers = {number: signal.getsignal(number) for number in ENDING}
    with memory() as made:
        before = os.listdir("/proc/self/fd")
        yield made
        assert os.listdir("/proc/self/fd") == before
    for number, handler in handlers.items():
        with contextlib.suppress(OSError, TypeError):
            signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def refused(path: Path, files: dict[str, bytes] = FILES) -> GuestcredError:
    def use(_: list[str]) -> None:
        raise AssertionError("it is used")

    with pytest.raises(GuestcredError) as caught:
        fill_private_folder(str(path), files, use)
    return caught.value


def test_the_files_are_there_when_they_are_used(folder: Path) -> None:
    seen = {}

    def use(paths: list[str]) -> None:
        for path in paths:
            seen[path] = (stat.S_IMODE(os.stat(path).st_mode), Path(path).read_bytes())

    fill_private_folder(str(folder / "new"), FILES, use)
    assert seen == {f"{folder}/new/{name}": (0o400, data) for name, data in FILES.items()}
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o700


def test_a_folder_that_is_there_is_left_alone(folder: Path) -> None:
    (folder / "new").mkdir()
    error = refused(folder / "new")
    assert (error.problem, error.status) == (f"cannot write the secrets into {folder}/new: file exists", 1)
    assert error.hints == ("choose a new folder: guestcred makes it itself",)
    assert (folder / "new").is_dir() and not list((folder / "new").iterdir())


@pytest.mark.parametrize("kind", ["nothing", "file", "fifo"])
def test_a_parent_that_is_no_folder(folder: Path, kind: str) -> None:
    if kind == "file":
        (folder / "parent").touch()
    elif kind == "fifo":
        os.mkfifo(folder / "parent")
    signal.alarm(20)  # a FIFO is not waited for
    error = refused(folder / "parent/new")
    signal.alarm(0)
    why = "no such file or directory" if kind == "nothing" else "not a directory"
    assert (error.problem, error.hints) == (f"cannot write the secrets into {folder}/parent/new: {why}", ())
    os.fstat(0)  # standard input is still open


def test_nothing_is_made_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it makes a folder")

    monkeypatch.setattr(os, "mkdir", fail)
    error = refused(tmp_path / "new")
    assert error.problem == f"{tmp_path} is on a disk, where secrets would remain" and error.status == 2
    os.fstat(0)


def as_link(path: Path, other: Path) -> None:
    path.symlink_to(other)


def as_file(path: Path, _: Path) -> None:
    path.touch()


def as_fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [as_link, as_file, as_fifo])
def test_what_takes_the_folder_s_place_gets_nothing(
    folder: Path, plant: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody could who may write to the folder above."""
    other = folder / "other"
    other.mkdir()
    monkeypatch.setattr(os, "mkdir", lambda *_, **__: plant(folder / "new", other))
    signal.alarm(20)
    assert refused(folder / "new").problem.startswith(f"cannot write the secrets into {folder}/new: ")
    signal.alarm(0)
    assert not list(other.iterdir())


def test_a_file_is_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = os.mkdir
    other = folder / "other"
    other.write_bytes(b"precious")

    def with_a_file_in_it(name: str, mode: int, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        (folder / name / "b").hardlink_to(other)

    monkeypatch.setattr(os, "mkdir", with_a_file_in_it)
    assert refused(folder / "new").problem == f"cannot write the secrets into {folder}/new: file exists"
    assert other.read_bytes() == b"precious" and not (folder / "new").exists()


def test_where_it_cannot_be_used_it_goes(folder: Path) -> None:
    def use(_: list[str]) -> None:
        raise GuestcredError("no")

    with pytest.raises(GuestcredError, match=r"^no$"):
        fill_private_folder(str(folder / "new"), FILES, use)
    assert not (folder / "new").exists()
