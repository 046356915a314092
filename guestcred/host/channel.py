"""The way to the API of a cloud-hypervisor that is not there yet: its --api-socket, or a socket that nobody can find."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import tempfile
import time

from guestcred.c_modules import listener
from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.outcome import unbroken

PAUSE = 0.01  # seconds between two looks whether it listens


class Channel:
    """What `argument` cloud-hypervisor gets for its API, and how its creator comes to it."""

    def __init__(self, given: str) -> None:
        """`given` is the user's --api-socket, "" for none. Raises GuestcredError."""
        self.path = ""
        self._connected: socket.socket | None = None
        # parse_api_socket() in cloud-hypervisor's main.rs: path=PATH, fd=N, or the path alone
        name, _, value = given.partition("=")
        if not given:
            self.name = "its private socket"
            self.argument = f"fd={self._private()}"
        elif name == "fd":
            self.name = self.argument = given
            self._inherited(value)
        else:
            self.name = self.path = value if name == "path" else given
            self.argument = given

    def _private(self) -> int:
        """Listen on a socket whose name is gone when this returns, with the one connection that it will ever have."""
        at = -1
        try:
            # nothing of this may remain, and there is nothing to wait for
            with unbroken():
                folder = tempfile.mkdtemp(prefix="guestcred-")
                try:
                    at = self._listen(os.path.join(folder, "api"))
                finally:
                    with contextlib.suppress(OSError):
                        os.unlink(os.path.join(folder, "api"))
                    os.rmdir(folder)
        except OSError as error:
            raise GuestcredError(
                f"cannot make a private socket for the API: {reason(error)}",
                "set TMPDIR to a folder with a short name, or give cloud-hypervisor an --api-socket of its own",
                status=FINDINGS,
            ) from None
        return at

    def _listen(self, path: str) -> int:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(path)
        made.listen()
        self._connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connected.connect(path)
        made.set_inheritable(True)
        return made.detach()

    def _inherited(self, number: str) -> None:
        """Connect to a socket that somebody, such as the service manager, listens on for us."""
        try:
            with socket.socket(fileno=os.dup(int(number))) as theirs:
                address = theirs.getsockname()
            self._connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._connected.connect(address)
        except (OSError, ValueError, OverflowError) as error:
            why = reason(error) if isinstance(error, OSError) else "it is no number"
            raise GuestcredError(
                f"--api-socket {self.name[:20]}: {why}", "it is a socket that listens", status=USAGE
            ) from None

    def connect(self, vmm: int, pid: int, seconds: float) -> socket.socket | None:
        """A connection to the process `pid`, whose pidfd is `vmm`; None where it ends first.

        Raises TimeoutError, and PermissionError where somebody else listens there.
        """
        deadline = time.monotonic() + seconds
        while self._connected is None:
            if ended(vmm, PAUSE):
                return None
            if time.monotonic() > deadline:
                raise TimeoutError
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                made.connect(self.path)
            except (FileNotFoundError, ConnectionRefusedError):
                made.close()
                continue
            if listener(made)[0] != pid:
                raise PermissionError
            self._connected = made
        self._stop_listening()  # or an answer would be waited for of a VMM that has ended meanwhile
        return self._connected

    def leave(self) -> None:
        """Give up the way itself, and keep its name: for a process that does not ask anything there."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None
        self._stop_listening()

    def _stop_listening(self) -> None:
        """Close this process's own descriptor of a private socket; that of the VMM is another one."""
        if self.argument.startswith("fd="):
            os.close(int(self.argument.removeprefix("fd=")))

    def remove(self) -> None:
        """Remove what a cloud-hypervisor that was killed leaves of its socket."""
        if not self.path:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(self.path)
            except ConnectionRefusedError:
                if stat.S_ISSOCK(os.lstat(self.path).st_mode):
                    os.unlink(self.path)


def ended(vmm: int, seconds: float) -> bool:
    """Whether the process of that pidfd ends within so many seconds."""
    waiting = select.poll()
    waiting.register(vmm, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))
