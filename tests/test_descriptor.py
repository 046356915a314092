"""Reading an open file within limits, whether it is in memory, and who may change it."""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path

import pytest
from needs import memory, mounted_tmpfs, need

from guestcred import descriptor
from guestcred.descriptor import distrusted, is_in_memory, read_to_end


@pytest.mark.parametrize("part", [1, 3, 1 << 20])
@pytest.mark.parametrize(("size", "limit", "got"), [(0, 0, 0), (0, 5, 0), (4, 5, 4), (5, 5, 5), (9, 5, 6), (9, 0, 1)])
def test_up_to_a_limit_and_one_more_to_show_it(
    tmp_path: Path, part: int, size: int, limit: int, got: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptor, "_PART", part)
    data = b"0123456789"[:size]
    (tmp_path / "a").write_bytes(data)
    with open(tmp_path / "a", "rb", buffering=0) as file:
        read = read_to_end(file.fileno(), limit)
        assert read is not None and data.startswith(read) and len(read) >= got
        assert (len(read) > limit) == (size > limit)
        assert len(read) - limit <= part


def test_a_pipe_that_never_ends_is_given_up() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    begun = time.monotonic()
    assert read_to_end(reading, 10, begun + 0.2) is None
    assert 0.2 <= time.monotonic() - begun < 30
    os.close(writing)
    os.close(reading)


def test_a_pipe_that_ends_in_time_is_read_whole() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    os.close(writing)
    assert read_to_end(reading, 10, time.monotonic() - 1) == b"abc"  # what is there takes no time
    os.close(reading)


@pytest.mark.parametrize(("left", "waits"), [(-5.0, 0.0), (5.0, 5.0)])
def test_it_waits_until_the_deadline(left: float, waits: float, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[tuple[object, ...]] = []

    def wait(*given: object) -> tuple[list[int], list[int], list[int]]:
        waited.append(given)
        return [], [], []

    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(select, "select", wait)
    assert read_to_end(0, 10, 100 + left) is None
    assert waited == [([0], [], [], waits)]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        read_to_end(fd, 10)
    os.close(fd)


@pytest.mark.parametrize(
    ("uid", "mode", "told"),
    [
        (0, 0o755, None),
        (7, 0o700, None),
        (8, 0o700, ("not owned by root", "chown root")),
        (8, 0o777, ("not owned by root", "chown root")),
        (0, 0o720, ("may be written by others than its owner", "chmod go-w")),
        (7, 0o1702, ("may be written by others than its owner", "chmod go-w")),
    ],
)
def test_who_may_change_it(uid: int, mode: int, told: tuple[str, str] | None) -> None:
    status = os.stat_result((0o40000 | mode, 1, 1, 2, uid, 0, 0, 0, 0, 0))
    assert distrusted(status, 7) == told


def in_memory(path: Path | str) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return is_in_memory(fd)
    finally:
        os.close(fd)


def test_what_is_in_memory(tmp_path: Path) -> None:
    opened = os.listdir("/proc/self/fd")
    with memory() as folder:
        assert in_memory(folder)
    assert not in_memory(tmp_path) and not in_memory("/proc")
    assert os.listdir("/proc/self/fd") == opened


@pytest.mark.mounts
def test_ramfs_is_memory_too(tmp_path: Path) -> None:
    subprocess.run([need("mount"), "-t", "ramfs", "ramfs", tmp_path], check=True)
    try:
        assert in_memory(tmp_path)
    finally:
        subprocess.run([need("umount", "mount"), tmp_path], check=True)
    with mounted_tmpfs(tmp_path):
        assert in_memory(tmp_path)


def test_the_kind_is_the_file_system_s_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called tmpfs, a device of that name, and the optional fields before the dash change nothing."""
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = tmp_path / "mountinfo"
    places = {"/proc/self/mountinfo": table}
    for line, memory_ in (
        (f"36 35 {number} / /tmpfs rw,tmpfs - ext4 tmpfs rw", False),
        (f"36 35 {number} / / rw shared:1 master:2 - tmpfs none rw", True),
        (f"36 35 {number} / / rw - tmpfsx none rw", False),
        (f"36 {number} 9:9 / / rw - tmpfs none rw", False),
        ("36 35 9:9 / / rw - tmpfs none rw", False),
        (f"36 35 {number} / / rw - ramfs", True),
        (f"36 35 {number} / / rw - tmpfs - rw", True),
        ("", False),
    ):
        table.write_text(f"1 1 9:9 / / rw - tmpfs t rw\n{line}\n" if line else "")
        monkeypatch.setattr("os.open", lambda path, *args, real=os.open: real(places.get(path, path), *args))
        assert in_memory(tmp_path) is memory_, line
        monkeypatch.undo()
