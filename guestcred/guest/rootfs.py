"""Files below a root directory, opened component by component, so no link leads out of it."""

from __future__ import annotations

import errno
import os
import stat

from guestcred.descriptor import read_to_end
from guestcred.errors import GuestcredError, reason
from guestcred.systemd.shown import shown

FILE_MAX = 16 * 1024 * 1024  # bytes; a DMI table from Linux is under 64 KiB, a credential under 1 MiB
CREDENTIALS = "run/credentials/"
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
LINKS_MAX = 256  # steps on the way through links; the kernel gives up after 40 links


class NotAFileError(GuestcredError):
    """What is at a path cannot be read as a file; `reason` says why, without the path."""

    def __init__(self, shown: str, reason: str) -> None:
        super().__init__(f"cannot read {shown}: {reason}")
        self.reason = reason


class Tree:
    """Reads below a directory, component by component, following no link."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.live = os.path.abspath(root) == "/"
        # where a sandbox shows what it has of /run/credentials, which systemd hides from it (setup_namespace() in systemd
        # src/core/namespace.c)
        self._credentials = os.environ.get("GUESTCRED_CREDENTIALS", "").strip("/") if self.live else ""
        try:
            self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise GuestcredError(
                f"cannot open the root folder {root}: {reason(error)}",
                "give --root a captured tree, the folder that holds sys/ and run/",
                status=2,
            ) from None

    def __del__(self) -> None:
        # there is none if the root folder could not be opened
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def shown(self, path: str) -> str:
        """`path` as a person would type it."""
        return os.path.join(self.root, path)

    def _open(self, path: str, flags: int) -> int:
        if self._credentials and path.startswith(CREDENTIALS):
            path = f"{self._credentials}/{path[len(CREDENTIALS) :]}"
        *folders, last = path.split("/")
        at = self._fd
        try:
            for folder in folders:
                below = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                if at != self._fd:
                    os.close(at)
                at = below
            return os.open(last, flags | _FLAGS, dir_fd=at)
        finally:
            if at != self._fd:
                os.close(at)

    def resolve(self, path: str) -> str:
        """`path`, or the target of the link at `path`, seen from the root; links further on are not followed."""
        try:
            fd = self._open(path, os.O_PATH)
        except OSError:
            return path
        try:
            target = os.readlink("", dir_fd=fd)
        except OSError:
            return path
        finally:
            os.close(fd)
        return os.path.normpath(os.path.join("/", os.path.dirname(path), target)).lstrip("/")

    def _refused(self, path: str, error: OSError) -> GuestcredError:
        hints: tuple[str, ...] = ()
        # a link, a file on which its owner has a lease (fcntl(2)), or a socket
        if error.errno in (errno.ELOOP, errno.EWOULDBLOCK, errno.ENXIO):
            return NotAFileError(self.shown(path), reason(error))
        if error.errno in (errno.EACCES, errno.EPERM):
            hints = ("run it as root: credentials and the DMI table are for root only",)
        return GuestcredError(f"cannot read {self.shown(path)}: {reason(error)}", *hints)

    def read(self, path: str, told: str | None = None) -> bytes | None:
        """The bytes of a regular file, or None where it does not exist. Raises GuestcredError, NotAFileError too.

        `told` stands for the path in errors, where that may not be shown.
        """
        try:
            fd = self._open(path, os.O_RDONLY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise self._refused(told or path, error) from None
        return self._content(fd, told or path)

    def _content(self, fd: int, told: str) -> bytes | None:
        """The bytes of an open regular file, which is closed. Raises as `read`."""
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise NotAFileError(self.shown(told), "not a regular file")
            data = read_to_end(fd, FILE_MAX)
            if data is not None and len(data) > FILE_MAX:
                raise NotAFileError(self.shown(told), f"larger than {FILE_MAX >> 20} MiB")
            return data
        except OSError as error:
            raise self._refused(told, error) from None
        finally:
            os.close(fd)

    def length(self, path: str, limit: int) -> int | None:
        """The size in bytes of a file that has to be read to know it, `limit` + 1 where it is more than that; None
        where it cannot be read now."""
        try:
            fd = self._open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            data = read_to_end(fd, limit)
            return None if data is None else min(len(data), limit + 1)
        except OSError:
            return None
        finally:
            os.close(fd)

    def status(self, path: str) -> os.stat_result | None:
        """What the kernel says about the file, folder or link at `path`, or None where there is nothing."""
        try:
            fd = self._open(path, os.O_PATH) if path else os.dup(self._fd)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise self._refused(path, error) from None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def is_locked(self, path: str) -> bool:
        """Whether there is a file or folder at `path`, or on the way to it, that this process may not read."""
        try:
            os.close(self._open(path, os.O_RDONLY))
        except OSError as error:
            return error.errno in (errno.EACCES, errno.EPERM)
        return False

    def exists(self, path: str) -> bool:
        """Whether there is anything at `path`; a link there is not followed."""
        return self.status(path) is not None

    def acl(self, path: str) -> bytes | None:
        """The POSIX ACL of a file or folder in the kernel's form, or None where it has none."""
        try:
            fd = self._open(path, os.O_RDONLY)
            try:
                return os.getxattr(fd, "system.posix_acl_access")
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT):
                return None
            raise self._refused(path, error) from None

    def follow(self, path: str) -> str:
        """`path` with every link on its way followed, seen from the root; a loop is left as it is."""
        done, rest = "", path.strip("/").split("/")
        for _ in range(LINKS_MAX):
            if not rest:
                break
            step = f"{done}/{rest[0]}".lstrip("/")
            target = self.resolve(step)
            if target == step:
                done, rest = step, rest[1:]
            else:
                done, rest = "", target.split("/") + rest[1:]
        return "/".join(filter(None, [done, *rest]))

    def names(self, path: str) -> list[str] | None:
        """The names in a directory, sorted, or None where it does not exist. Raises GuestcredError."""
        folder = self._folder(path)
        if folder is None:
            return None
        try:
            return self._listed(folder, path)
        finally:
            os.close(folder)

    def _folder(self, path: str) -> int | None:
        try:
            return self._open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise self._refused(path, error) from None

    def _listed(self, folder: int, path: str) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except OSError as error:
            raise self._refused(path, error) from None

    def read_all(self, path: str, file: str = "", refused: dict[str, str] | None = None) -> dict[str, bytes] | None:
        """Name to bytes for a directory of files (or of directories that hold `file`), without those that vanish.

        What cannot be read as a file raises NotAFileError, or goes into `refused`, name to reason.
        """
        folder = self._folder(path)
        if folder is None:
            return None
        contents: dict[str, bytes] = {}
        try:
            for name in self._listed(folder, path):
                try:
                    data = self._read_in(folder, path, name, file)
                except NotAFileError as error:
                    if refused is None:
                        raise
                    refused[name] = error.reason
                    continue
                if data is not None:
                    contents[name] = data
        finally:
            os.close(folder)
        return contents

    def _read_in(self, folder: int, path: str, name: str, file: str) -> bytes | None:
        # they are credentials, and nothing is known of this one but its name
        told = f"{path}/{shown(name, b'')}{file}"
        if not file:
            try:
                return self._content(os.open(name, os.O_RDONLY | _FLAGS, dir_fd=folder), told)
            except OSError:  # a link, most likely
                pass
        return self.read(self.resolve(f"{path}/{name}") + file, told)
