"""What the guest's PID 1 says of itself over vsock -> the host's service manager; a guest is nobody to be trusted."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import time
from collections.abc import Iterable

from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.host import service_manager
from guestcred.host.command_line import NOTIFY
from guestcred.outcome import unbroken

PORT = 8888  # the one that microvm.nix has
HOST_CID = 2  # VMADDR_CID_HOST
WAIT = 0.005  # seconds for more of a message that has begun: it goes as one packet
PATIENCE = 1.0  # seconds for its first byte
CONNECTIONS = 16
MESSAGE_MAX = 8192  # bytes
PER_SECOND = 20  # messages handed on
RETRY = 0.05  # seconds
# what else there is would let a guest move the unit: MAINPID=, FDSTORE=, STOPPING=1, WATCHDOG=trigger
_STATUS = re.compile(r"0|[1-9][0-9]{0,2}")


def address(strings: Iterable[str]) -> int | None:
    """The port that an OEM string tells the guest's PID 1, None where none does. Raises GuestcredError."""
    for string in strings:
        found = re.fullmatch(rf"io\.systemd\.credential:{re.escape(NOTIFY)}=(.*)", string)
        if found:
            port = re.fullmatch(rf"vsock-stream:{HOST_CID}:([0-9]{{1,9}})", found[1])
            if port is None:
                raise GuestcredError(
                    f"--notify guest cannot listen where {NOTIFY} sends the guest",
                    f"it takes vsock-stream:{HOST_CID}:PORT; without that string it adds its own",
                    status=USAGE,
                )
            return int(port[1])
    return None


class Listener:
    """Where the guest's PID 1 connects to; `address` is what tells it so, and `fd` is readable when it does."""

    def __init__(self, made: socket.socket, port: int, path: str = "", cid: int | None = None) -> None:
        self._socket = made
        self._path = path
        self._cid = cid
        self.fd = made.fileno()
        self.address = f"vsock-stream:{HOST_CID}:{port}"
        self._open: dict[int, tuple[socket.socket, bytes, float]] = {}
        self._waiting: dict[str, str] = {}  # lines by their names
        self._told: dict[str, str] = {}
        self._budget, self._since = float(PER_SECOND), time.monotonic()

    @classmethod
    def beside(cls, vsock: str, port: int) -> Listener:
        """cloud-hypervisor connects a guest that asks for `port` to the socket VSOCK_PORT. Raises GuestcredError.

        Whoever listens there, as a relay that microvm.nix starts, gets nothing more.
        """
        path = f"{vsock}_{port}"
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with unbroken(), contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            made.bind(path)
            made.listen()
        except OSError as error:
            raise GuestcredError(f"cannot listen at {path} for the guest: {reason(error)}", status=FINDINGS) from None
        return cls(made, port, path)

    @classmethod
    def on_vsock(cls, cid: int) -> Listener:
        """The host's own vsock, for a guest with that CID. Raises GuestcredError."""
        try:
            made = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            made.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
            made.listen()
        except OSError as error:
            raise GuestcredError(
                f"cannot listen on vsock for the guest: {reason(error)}",
                "the host needs the module vhost_vsock",
                status=FINDINGS,
            ) from None
        return cls(made, made.getsockname()[1], cid=cid)

    def serve(self, vmm: int) -> None:
        """Hand on what comes, until the process with this pidfd has ended."""
        while True:
            waiting = select.poll()
            for fd in (vmm, self.fd, *self._open):
                waiting.register(fd, select.POLLIN)
            ends = [end for _, _, end in self._open.values()]
            ends += [time.monotonic() + RETRY] if self._waiting else []
            timeout = None if not ends else max(0.0, min(ends) - time.monotonic()) * 1000
            ready = {fd for fd, _ in waiting.poll(timeout)}
            if vmm in ready:
                return
            for fd in list(self._open):
                self._take(fd, fd in ready)
            if self.fd in ready:
                self._accept()
            self._hand_on()

    def leave(self) -> None:
        """Leave it to another process, which has it too."""
        self._socket.close()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        for connection, _, _ in self._open.values():
            connection.close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, peer = self._socket.accept()
            stranger = self._cid is not None and peer[0] != self._cid
            if stranger or len(self._open) >= CONNECTIONS:
                connection.close()
                return
            connection.setblocking(False)
            self._open[connection.fileno()] = (connection, b"", time.monotonic() + PATIENCE)

    def _take(self, fd: int, ready: bool) -> None:
        """Read from one connection; close it when the message has ended: systemd from 256 on waits for that."""
        connection, said, end = self._open[fd]
        more = None
        if ready:
            try:
                more = connection.recv(MESSAGE_MAX)
            except OSError:
                more = b""
        if more:
            said = (said + more)[:MESSAGE_MAX]
            end = time.monotonic() + WAIT
        if more == b"" or time.monotonic() >= end or len(said) == MESSAGE_MAX:
            del self._open[fd]
            connection.close()
            self._heard(said)
        else:
            self._open[fd] = (connection, said, end)

    def _heard(self, said: bytes) -> None:
        """Keep what is to be handed on: of each kind the latest, and nothing twice."""
        for line in said.decode("utf-8", "replace").splitlines():
            name, _, value = line.partition("=")
            match name:
                case "READY" if value == "1":
                    new = line
                case "STATUS":
                    new = service_manager.status(f"guest: {value}")
                case "EXIT_STATUS" if _STATUS.fullmatch(value) and int(value) < 256:
                    new = line
                case _:
                    continue
            if self._told.get(name) != new:
                self._waiting[name] = new

    def _hand_on(self) -> None:
        """Tell it, PER_SECOND times at most; a manager that reads nothing must not hold the guest up."""
        now = time.monotonic()
        self._budget = min(float(PER_SECOND), self._budget + (now - self._since) * PER_SECOND)
        self._since = now
        if self._waiting and self._budget >= 1 and service_manager.tell(*self._waiting.values()):
            self._budget -= 1
            self._told |= self._waiting
            self._waiting = {}
