"""Files below a root directory, opened component by component, so no link leads out of it."""

from __future__ import annotations

import errno
import os
import stat

from guestcred.descriptor import read_to_end
from guestcred.errors import GuestcredError, reason

FILE_MAX = 16 * 1024 * 1024  # bytes; a DMI table from Linux is under 64 KiB, a credential under 1 MiB
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
        try:
            self._fd = os.open(_seen_by_pid1() if self.live else root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
        *folders, last = path.split("/")
        at = self._fd
        try:
            for folder in folders:
                below = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                if at != self._fd:
                    os.close(at)
                at = below
            return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=at)
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
        # a link, or a file on which its owner has a lease: fcntl(2)
        if error.errno in (errno.ELOOP, errno.EWOULDBLOCK):
            return NotAFileError(self.shown(path), reason(error))
        if error.errno in (errno.EACCES, errno.EPERM):
            hints = ("run it as root: credentials and the DMI table are for root only",)
        return GuestcredError(f"cannot read {self.shown(path)}: {reason(error)}", *hints)

    def read(self, path: str) -> bytes | None:
        """The bytes of a regular file, or None where it does not exist. Raises GuestcredError, NotAFileError too."""
        try:
            fd = self._open(path, os.O_RDONLY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise self._refused(path, error) from None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise NotAFileError(self.shown(path), "not a regular file")
            data = read_to_end(fd, FILE_MAX)
            if data is not None and len(data) > FILE_MAX:
                raise NotAFileError(self.shown(path), f"larger than {FILE_MAX >> 20} MiB")
            return data
        except OSError as error:
            raise self._refused(path, error) from None
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
        try:
            fd = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise self._refused(path, error) from None
        try:
            return sorted(os.listdir(fd))
        except OSError as error:
            raise self._refused(path, error) from None
        finally:
            os.close(fd)

    def read_all(self, path: str, file: str = "", refused: dict[str, str] | None = None) -> dict[str, bytes] | None:
        """Name to bytes for a directory of files (or of directories that hold `file`), without those that vanish.

        What cannot be read as a file raises NotAFileError, or goes into `refused`, name to reason.
        """
        names = self.names(path)
        if names is None:
            return None
        contents: dict[str, bytes] = {}
        for name in names:
            try:
                data = self.read(self.resolve(f"{path}/{name}") + file)
            except NotAFileError as error:
                if refused is None:
                    raise
                refused[name] = error.reason
                continue
            if data is not None:
                contents[name] = data
        return contents


def _seen_by_pid1() -> str:
    """The live system's root as PID 1 sees it: a unit with its own mount namespace, such as a sandbox, sees only its
    own part of /run/credentials (setup_namespace() in systemd src/core/namespace.c).
    """
    try:
        apart = os.readlink("/proc/self/ns/mnt") != os.readlink("/proc/1/ns/mnt")
    except OSError:  # not root, and only root can read credentials anyway; or there is no /proc
        apart = False
    # if PID 1 does not let root look, it did not boot this system
    return "/proc/1/root/" if apart and os.access("/proc/1/root/", os.X_OK) else "/"
