"""Folders to write into: opened without following links, owned by root, in memory; every failure names its path."""

from __future__ import annotations

import errno
import os
import stat
from itertools import count

from guestcred.descriptor import distrusted, is_in_memory
from guestcred.errors import FINDINGS, GuestcredError, reason
from guestcred.text import typed

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Failing:
    """Turns an OSError into a GuestcredError that names the path and keeps the kernel's reason."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, OSError):
            hints: tuple[str, ...] = ()
            if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid():
                hints = ("run it as root",)
            elif error.errno in (errno.ENOSPC, errno.EDQUOT):
                at = typed(_mount_point(self._path))
                hints = (f"see what fills it: df -h {at}; df -i {at}",)
            raise GuestcredError(f"cannot write {self._path}: {reason(error)}", *hints, status=FINDINGS) from None


class Folder:
    """An open directory; everything is done relative to its descriptor. `owner` has the uid and gid of what is ours.

    Every method raises GuestcredError with the path where the kernel refuses. Owners are numbers, modes are bits.
    """

    def __init__(self, fd: int, path: str, owner: tuple[int, int]) -> None:
        self.fd = fd
        self.path = path
        self.owner = owner

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        with _Failing(self.path):
            os.close(self.fd)

    def _at(self, name: str) -> _Failing:
        return _Failing(self.shown(name))

    def shown(self, name: str) -> str:
        """The path of an entry as a person would type it."""
        return os.path.join(self.path, name)

    def refused(self, name: str, why: str, fix: str) -> GuestcredError:
        """The error for something in the place where guestcred wants to write; "" is the folder itself."""
        return GuestcredError(
            f"refusing to write {self.shown(name) if name else self.path}: {why}", fix, status=FINDINGS
        )

    def names(self) -> list[str]:
        """The names of all entries, sorted."""
        with _Failing(self.path):
            return sorted(os.listdir(self.fd))

    def status(self, name: str = "") -> os.stat_result | None:
        """The status of an entry (of a link itself), or of this folder without a name; None where there is nothing."""
        with self._at(name):
            if not name:
                return os.fstat(self.fd)
            try:
                return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def target(self, name: str) -> str | None:
        """Where the link points to; None where there is nothing, or something that is not a link."""
        with self._at(name):
            try:
                return os.readlink(name, dir_fd=self.fd)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINVAL):
                    return None
                raise

    def read(self, name: str, size: int) -> tuple[os.stat_result, bytes] | None:
        """A regular file's status and first `size` bytes; None where there is none or it cannot be read."""
        with self._at(name):
            try:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
            except OSError as error:
                # nothing there; a link, FIFO or socket; or its owner, the service's user, holds a lease on it: fcntl(2)
                if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EWOULDBLOCK):
                    return None
                raise
            try:
                status = os.fstat(fd)
                return (status, os.read(fd, size)) if stat.S_ISREG(status.st_mode) else None
            finally:
                os.close(fd)

    def open(self, name: str) -> Folder:
        """The folder of that name in this one; a link is an error."""
        with self._at(name):
            return Folder(os.open(name, _OPEN, dir_fd=self.fd), self.shown(name), self.owner)

    def find(self, name: str) -> Folder | None:
        """As `open`, but None where there is nothing."""
        with self._at(name):
            try:
                return Folder(os.open(name, _OPEN, dir_fd=self.fd), self.shown(name), self.owner)
            except FileNotFoundError:
                return None

    def make(self, name: str) -> Folder:
        """A new folder, 0700 until `own` says otherwise."""
        with self._at(name):
            os.mkdir(name, 0o700, dir_fd=self.fd)
        return self.open(name)

    def make_new(self, name: str) -> Folder | None:
        """As `make`, but None where there is something."""
        with self._at(name):
            try:
                os.mkdir(name, 0o700, dir_fd=self.fd)
            except FileExistsError:
                return None
        return self.open(name)

    def own(self, uid: int, gid: int, mode: int) -> None:
        """Set the owner, then the mode, of this folder."""
        with _Failing(self.path):
            os.fchown(self.fd, uid, gid)
            os.fchmod(self.fd, mode)

    def write(self, name: str, data: bytes, uid: int, gid: int, mode: int) -> None:
        """A new file, whole, with its owner and then its mode."""
        with self._at(name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, 0o600, dir_fd=self.fd)
            try:
                _fill(fd, data, uid, gid, mode)
            finally:
                os.close(fd)

    def publish(self, name: str, data: bytes, uid: int, gid: int, mode: int, changed: int) -> None:
        """A new file that has no name until it is whole; `changed` is its modification time in nanoseconds."""
        with self._at(name):
            fd = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
            try:
                _fill(fd, data, uid, gid, mode)
                os.utime(fd, ns=(changed, changed))
                os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=self.fd)
            finally:
                os.close(fd)

    def link(self, name: str, target: str) -> None:
        """A new symbolic link."""
        with self._at(name):
            os.symlink(target, name, dir_fd=self.fd)

    def rename(self, name: str, new: str, into: Folder | None = None) -> None:
        """Move an entry over `new`, here or in another folder, in one step."""
        with self._at(new):
            os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=(into or self).fd)

    def remove(self, name: str) -> None:
        """Remove an entry that is not a folder."""
        with self._at(name):
            os.unlink(name, dir_fd=self.fd)

    def remove_folder(self, name: str) -> None:
        """Remove a folder of ours with everything that others may have put below it, however deep."""
        with self.open(name) as top:
            top.empty()
        self.remove_empty(name)

    def remove_empty(self, name: str) -> None:
        """Remove a folder that has nothing in it."""
        with self._at(name):
            os.rmdir(name, dir_fd=self.fd)

    def empty(self) -> None:
        """Remove everything in this folder of ours, however deep."""
        self.own(*self.owner, 0o700)
        todo = self.names()
        for entry in todo:  # grows: folders found further down are moved up, so no depth is a problem
            if not _is_folder(self, entry):
                self.remove(entry)
                continue
            with self.open(entry) as below:
                below.own(*self.owner, 0o700)  # from here on nobody else can add to it
                for inner in below.names():
                    if _is_folder(below, inner):
                        up = next(free for n in count(len(todo)) if self.status(free := f".{n}") is None)
                        below.rename(inner, up, self)
                        todo.append(up)
                    else:
                        below.remove(inner)
            self.remove_empty(entry)


def _fill(fd: int, data: bytes, uid: int, gid: int, mode: int) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.fchown(fd, uid, gid)
    os.fchmod(fd, mode)


def _is_folder(folder: Folder, name: str) -> bool:
    status = folder.status(name)
    return status is not None and stat.S_ISDIR(status.st_mode)


def open_root(path: str, live: bool) -> Folder:
    """The folder below which everything is written; the path may be a link. Live, what is written is root's and of
    root's group, in which the sandbox of guestcred's units is not."""
    owner = (0, 0) if live else (os.geteuid(), os.getegid())
    with _Failing(path):
        return Folder(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path, owner)


def refuse_untrusted(folder: Folder, root: Folder) -> None:
    """Refuse a folder that anybody but root, or the owner of the tree, could change while we write."""
    status, top = folder.status(), root.status()
    assert status is not None and top is not None
    wrong = distrusted(status, top.st_uid)
    if wrong is not None:
        problem, command = wrong
        # whoever could change it may have done so
        raise folder.refused("", problem, f"look at what is in it, then type: {command} {typed(folder.path)}")


def refuse_disk(folder: Folder) -> None:
    """Refuse a folder that is not in memory: what is written there could later be found on a disk."""
    with _Failing(folder.path):
        if is_in_memory(folder.fd):
            return
    raise folder.refused(
        "",
        "it is not in memory (tmpfs or ramfs), and a disk would keep the credentials",
        f"see what is mounted there: findmnt -T {typed(folder.path)}",
    )


def _mount_point(path: str) -> str:
    """Where the file system is mounted that has, or had, a file; this is there even if the file's folder is not any more."""
    path = os.path.abspath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path
