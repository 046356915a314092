"""cloud-hypervisor's HTTP API over its unix socket: the calls, and what the answers mean."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import socket
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from guestcred.c_modules import listener
from guestcred.errors import reason

API = "/api/v1/"
ANSWER_MAX = 1024 * 1024  # bytes; vm.info repeats the whole config
# VmError::VmNotCreated in cloud-hypervisor's vmm/src/vm.rs, as its versions print it; it came with 500 until mid-2026
NO_VM = (b"VM is not created", b"VmNotCreated")


class ApiError(Exception):
    """The call `action` failed; the text says why and quotes nothing from an answer, which may repeat the config."""

    def __init__(self, action: str, why: str, *hints: str) -> None:
        super().__init__(why)
        self.action = action
        self.hints = hints


class Untrusted(ApiError):
    """Somebody who is neither root nor our own user listens at the socket, or could; nothing was sent."""


class Refused(ApiError):
    """The API answered with an HTTP status that is not a success, and `said` why, maybe with something of the config.

    `is_no_vm` if it means that there is no VM.
    """

    def __init__(self, action: str, status: int, body: bytes) -> None:
        super().__init__(action, f"it answered {status} {http.client.responses.get(status, '')}".rstrip())
        self.said = body
        self.is_no_vm = status == 404 or (status == 500 and any(text in body for text in NO_VM))


class Gone(ApiError):
    """Nobody listens at the socket any more, and a VM is part of the process that did."""


class NotThere(ApiError):
    """There is no such socket."""


class Dropped(ApiError):
    """The connection ended without an answer: as it does where the VMM dies, a moment before it is Gone."""


class _Socket(socket.socket):
    """A socket with one deadline for everything it does, however slowly the other side sends."""

    def __init__(self, timeout: float, fd: int | None = None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fd)
        self._deadline = time.monotonic() + timeout

    def hurry(self) -> None:
        """Give the next call the time that is left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)

    def recv_into(self, *arguments: Any) -> int:
        self.hurry()
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self.hurry()
        super().sendall(*arguments)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float, connected: socket.socket | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._seconds = timeout
        self._connected = connected

    def connect(self) -> None:
        if self._connected is not None:
            # closing this one leaves theirs open, and cloud-hypervisor's micro_http keeps it from call to call
            self.sock = _Socket(self._seconds, os.dup(self._connected.fileno()))
            return
        self.sock = made = _Socket(self._seconds)
        made.hurry()
        made.connect(self._path)


def _check_place(action: str, path: str) -> None:
    """Raise Untrusted if others could put a socket of theirs, or a link to another of ours, in its place.

    The folder must be root's or ours, and no other user's to write to; a sticky one, as /tmp, may be, since there
    only its owner can replace the socket.
    """
    folder = os.path.dirname(os.path.abspath(path))
    found = os.stat(folder)
    _check_owner(action, found.st_uid, f"its folder {folder} belongs to")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        why = f"others may write to its folder {folder} (mode {stat.S_IMODE(found.st_mode):04o})"
        raise Untrusted(action, why, f"they could listen there in its place: chmod go-w {folder}")
    _check_owner(action, os.lstat(path).st_uid, "it belongs to")


def _check_peer(action: str, connected: socket.socket) -> None:
    """Raise Untrusted unless root or our own user listens."""
    _check_owner(action, listener(connected)[1], "who listens there is")


def _check_owner(action: str, uid: int, what: str) -> None:
    if uid not in (0, os.geteuid()):
        raise Untrusted(
            action,
            f"{what} {_user(uid)}, who is neither root nor the user of this program",
            "who listens there gets the secrets: let cloud-hypervisor and guestcred run as the same user",
        )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


class Vmm:
    """A running cloud-hypervisor by its API socket. Each call may take `timeout` seconds, and raises ApiError.

    With `connected`, all calls go over that connection, of which the caller knows who is at its other end; `path` is then
    only what messages name.
    """

    def __init__(self, path: str, timeout: float, connected: socket.socket | None = None) -> None:
        self.path = path
        self._timeout = timeout
        self._over = connected

    def info(self) -> bytes | None:
        """What it says about its VM, in JSON; None if it has no VM."""
        try:
            return self._call("GET", "vm.info")
        except Refused as refused:
            if refused.is_no_vm:
                return None
            raise

    def ping(self) -> bytes:
        """What it says about itself, in JSON."""
        return self._call("GET", "vmm.ping")

    def create(self, config: bytes, sending: Callable[[], object]) -> None:
        """Create the VM of that JSON config; `sending` is called just before the request, since a VM may exist then."""
        with self._connected("vm.create") as connection:
            sending()
            self._ask(connection, "PUT", "vm.create", config)

    def boot(self) -> None:
        """Boot the VM that was created."""
        self._call("PUT", "vm.boot")

    def press_power_button(self) -> None:
        """Ask the guest to switch itself off."""
        self._call("PUT", "vm.power-button")

    def delete(self) -> None:
        """Stop the VM and delete its config."""
        self._call("PUT", "vm.delete")

    def _call(self, method: str, action: str) -> bytes:
        with self._connected(action) as connection:
            return self._ask(connection, method, action, None)

    @contextlib.contextmanager
    def _connected(self, action: str) -> Iterator[_UnixConnection]:
        connection = _UnixConnection(self.path, self._timeout, self._over)
        try:
            if self._over is None:
                _check_place(action, self.path)
            connection.connect()
            if self._over is None:
                _check_peer(action, connection.sock)
            yield connection
        except TimeoutError:
            raise ApiError(action, f"no answer within {self._timeout:g} seconds") from None
        except FileNotFoundError as error:
            raise NotThere(action, reason(error)) from None
        except ConnectionRefusedError as error:
            raise Gone(action, reason(error)) from None
        except ConnectionError as error:
            raise Dropped(action, reason(error)) from None
        except OSError as error:
            raise ApiError(action, reason(error)) from None
        # http.client lets the last two through, for a chunk of size -1
        except (http.client.HTTPException, ValueError, OverflowError):
            raise ApiError(action, "the answer is not HTTP") from None
        finally:
            connection.close()

    def _ask(self, connection: _UnixConnection, method: str, action: str, body: bytes | None) -> bytes:
        headers = {"Accept": "*/*"} | ({"Content-Type": "application/json"} if body is not None else {})
        connection.request(method, API + action, body, headers)
        answer = connection.getresponse()
        said = answer.read(ANSWER_MAX)
        if not 200 <= answer.status < 300:
            raise Refused(action, answer.status, said)
        return said
