"""What can be done to an open folder, and what is refused."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import memory

from guestcred.apply.dirfd import Folder, open_root, refuse_disk, refuse_untrusted
from guestcred.errors import GuestcredError


@pytest.fixture
def top() -> Iterator[Folder]:
    with memory() as made, open_root(str(made), live=False) as folder:
        yield folder


def at(folder: Folder, name: str) -> Path:
    return Path(folder.path, name)


ME = os.geteuid(), os.getegid()


def test_a_file_is_new_or_an_error(top: Folder) -> None:
    top.write("a", b"one", *ME, 0o440)
    status = at(top, "a").stat()
    assert at(top, "a").read_bytes() == b"one" and stat.S_IMODE(status.st_mode) == 0o440
    for is_link in (False, True):
        if is_link:
            at(top, "a").unlink()
            at(top, "a").symlink_to("b")
        for publish in (False, True):
            with pytest.raises(GuestcredError, match=f"^cannot write {top.path}/a: file exists$") as caught:
                if publish:
                    top.publish("a", b"two", *ME, 0o400, 0)
                else:
                    top.write("a", b"two", *ME, 0o400)
            assert caught.value.status == 1 and caught.value.hints == ()
    assert not at(top, "b").exists()


def test_all_of_a_large_value(top: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    top.write("a", b"0123456789", *ME, 0o400)
    top.publish("b", b"", *ME, 0o400, 10**9)
    assert at(top, "a").read_bytes() == b"0123456789" and at(top, "b").stat().st_mtime_ns == 10**9


@pytest.mark.parametrize("kind", ["link", "fifo", "socket", "folder", "nothing"])
def test_what_is_no_file_is_not_read_nor_waited_for(top: Folder, kind: str) -> None:
    match kind:
        case "link":
            at(top, "to").write_bytes(b"x")
            at(top, "a").symlink_to("to")
        case "fifo":
            os.mkfifo(at(top, "a"))
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(at(top, "a")))
        case "folder":
            at(top, "a").mkdir()
    assert top.read("a", 10) is None
    assert top.target("a") == ("to" if kind == "link" else None)
    assert (top.status("a") is None) is (kind == "nothing")


@pytest.mark.parametrize("number", ["ENOENT", "ELOOP", "ENXIO", "EWOULDBLOCK"])
def test_no_file_by_whatever_the_kernel_calls_that(top: Folder, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one: the owner of a file, who may be a service's user, has a lease on it."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(getattr(errno, number), "no")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fail)
        assert top.read("a", 1) is None


def test_what_cannot_be_looked_at_is_no_nothing(top: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "no")

    looks: list[Callable[[], object]] = [
        lambda: top.target("a"),
        lambda: top.read("a", 1),
        lambda: top.status("a"),
        top.names,
        lambda: top.find("a"),
    ]
    with monkeypatch.context() as patched:
        for name in ("readlink", "open", "stat", "listdir"):
            patched.setattr(os, name, fail)
        for look in looks:
            with pytest.raises(GuestcredError, match=f"^cannot write {top.path}"):
                look()


def test_a_file_is_read_up_to_a_size(top: Folder) -> None:
    top.write("a", b"0123456789", *ME, 0o400)
    found = top.read("a", 4)
    assert found is not None and found[1] == b"0123" and found[0].st_size == 10


def test_folders(top: Folder) -> None:
    with top.make("a") as made:
        assert stat.S_IMODE(os.fstat(made.fd).st_mode) == 0o700 and made.path == f"{top.path}/a"
        made.own(*ME, 0o511)
    assert stat.S_IMODE(at(top, "a").stat().st_mode) == 0o511
    with top.open("a") as opened:
        assert opened.status() == at(top, "a").stat()
    assert top.make_new("a") is None and top.find("b") is None
    new = top.make_new("b")
    assert new is not None and stat.S_IMODE(os.fstat(new.fd).st_mode) == 0o700
    found = top.find("b")
    assert found is not None and found.status() == new.status() and top.names() == ["a", "b"]
    at(top, "link").symlink_to("a")
    at(top, "file").touch()
    for name in ("link", "file"):
        for look in (top.open, top.find):
            with pytest.raises(GuestcredError, match=f"^cannot write {top.path}/{name}: "):
                look(name)
    with pytest.raises(GuestcredError):
        top.open("nothing")
    with pytest.raises(GuestcredError):
        top.make("a")


def test_no_descriptor_is_inherited_or_left(top: Folder) -> None:
    before = os.listdir("/proc/self/fd")
    with top.make("a") as made, open_root(f"{top.path}/a", live=False) as root:
        assert not os.get_inheritable(made.fd) and not os.get_inheritable(root.fd)
    top.write("b", b"x", *ME, 0o400)
    top.publish("c", b"x", *ME, 0o400, 0)
    top.read("b", 1)
    top.remove_folder("a")
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(GuestcredError):
        made.names()


def test_entries_are_linked_moved_and_removed(top: Folder) -> None:
    top.link("a", "target")
    top.rename("a", "b")
    with top.make("below") as below:
        top.rename("b", "c", below)
        assert top.names() == ["below"] and below.target("c") == "target"
        below.remove("c")
        assert below.names() == []
    with pytest.raises(GuestcredError, match=f"^cannot write {top.path}/below: "):
        top.remove("below")


@pytest.mark.root
def test_a_folder_goes_with_all_in_it_and_each_is_taken_back_first(
    top: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that its owner can put nothing into a folder while it is emptied."""
    for path in ("a/b/c/d", "a/b/e", "a/.0/.1"):
        at(top, path).mkdir(parents=True)
    for path in ("a/b/c/d/file", "a/b/file", "a/file"):
        at(top, path).touch()
    for folder, _, _ in os.walk(at(top, "a")):
        os.chown(folder, 901, 901)
    owned = []

    def watched(call: Callable[..., None]) -> Callable[..., None]:
        def run(*names: str, **named: int) -> None:
            fd = named.get("dir_fd", named.get("src_dir_fd", top.fd))
            if fd != top.fd:
                status = os.fstat(fd)
                owned.append((status.st_uid, stat.S_IMODE(status.st_mode)))
            call(*names, **named)

        return run

    with monkeypatch.context() as patched:
        for name in ("unlink", "rmdir", "rename"):
            patched.setattr(os, name, watched(getattr(os, name)))
        top.remove_folder("a")
    assert (
        not at(top, "a").exists() and set(owned) == {(0, 0o700)} and len(owned) == 13
    )  # three files, six folders, and four moved up


def test_what_vanishes_while_a_folder_is_emptied_is_a_failure(top: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    top.make("a")
    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", lambda _: ["gone"])
        with pytest.raises(GuestcredError, match=f"^cannot write {top.path}/a/gone: "):
            top.remove_folder("a")


def test_a_link_in_the_place_of_a_folder_to_remove_is_not_followed(top: Folder) -> None:
    with top.make("kept") as kept:
        kept.write("file", b"x", *ME, 0o400)
    top.link("a", "kept")
    with pytest.raises(GuestcredError):
        top.remove_folder("a")
    with top.make("b") as below:
        below.link("to", f"{top.path}/kept")
    top.remove_folder("b")
    assert at(top, "kept/file").exists()


@pytest.mark.parametrize(("uid", "mode", "problem"), [
    (0, 0o755, None),
    (901, 0o755, "not owned by root"),
    (0, 0o775, "may be written by others than its owner"),
    (0, 0o757, "may be written by others than its owner"),
])  # fmt: skip
@pytest.mark.root
def test_whose_folder_is_trusted(top: Folder, uid: int, mode: int, problem: str | None) -> None:
    with top.make("a") as folder:
        folder.own(uid, 0, mode)
        if problem is None:
            refuse_untrusted(folder, top)
            return
        with pytest.raises(GuestcredError, match=f"^refusing to write {folder.path}: {problem}$") as caught:
            refuse_untrusted(folder, top)
        assert caught.value.status == 1
        top.own(901, 0, 0o700)  # a tree of that user's own
        if uid:
            refuse_untrusted(folder, top)


def test_only_memory_keeps_no_secret(top: Folder, tmp_path: Path) -> None:
    refuse_disk(top)
    with (
        open_root(str(tmp_path), live=False) as disk,
        pytest.raises(GuestcredError, match=f"^refusing to write {tmp_path}: it is not in memory") as caught,
    ):
        refuse_disk(disk)
    assert caught.value.status == 1


@pytest.mark.parametrize("number", ["EACCES", "EPERM", "EIO", "ENOSPC", "EDQUOT"])
def test_what_to_do_about_a_failure(top: Folder, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(getattr(errno, number), "no")

    monkeypatch.setattr(os, "symlink", fail)
    hints = {}
    for uid in (0, 901):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        with pytest.raises(GuestcredError) as caught:
            top.link("a", "b")
        assert caught.value.problem.startswith(f"cannot write {top.path}/a: ") and caught.value.status == 1
        hints[uid] = caught.value.hints
    room = ("see what fills it: df -h /dev/shm; df -i /dev/shm",)
    by_root: tuple[str, ...] = room if number in ("ENOSPC", "EDQUOT") else ()
    assert hints == {0: by_root, 901: ("run it as root",) if number in ("EACCES", "EPERM") else by_root}


def test_the_root_may_be_a_link(top: Folder) -> None:
    top.make("a")
    top.link("to", "a")
    with open_root(str(at(top, "to")), live=False) as root:
        assert root.status() == at(top, "a").stat() and root.path == f"{top.path}/to"
    at(top, "file").touch()
    for name in ("nothing", "file"):
        with pytest.raises(GuestcredError, match=f"^cannot write {top.path}/{name}: "):
            open_root(str(at(top, name)), live=False)


def test_what_is_written_live_is_root_s_and_of_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The units' sandbox is in another group; elsewhere it is of whoever writes it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 65534)
    assert open_root(str(tmp_path), live=True).owner == (0, 0)
    assert open_root(str(tmp_path), live=False).owner == (1000, 65534)
