"""OEM strings -> a running VM: QEMU by exec with sealed memory files, cloud-hypervisor over its API socket."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from guestcred.errors import FINDINGS, GuestcredError, reason
from guestcred.host import hypervisors

API = "/api/v1/"
ANSWER_MAX = 1024 * 1024  # bytes; vm.info repeats the whole config
# VmError::VmNotCreated in cloud-hypervisor's vmm/src/vm.rs, as its versions print it; it came with 500 until mid-2026
NO_VM = (b"VM is not created", b"VmNotCreated")


def exec_qemu(texts: tuple[bytes, ...], command: tuple[str, ...]) -> NoReturn:
    """Become `command` (QEMU and its arguments), each string behind one `-smbios type=11,path=/dev/fd/N`.

    QEMU opens each descriptor anew and reads it to its end (save_opt_one() in its hw/smbios/smbios.c). Raises
    GuestcredError where it cannot be run.
    """
    try:
        paths = [f"/dev/fd/{_sealed(text)}" for text in texts]
    except OSError as error:
        raise GuestcredError(
            f"cannot make {len(texts)} memory files for the strings: {reason(error)}", status=FINDINGS
        ) from None
    try:
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and exec would hand that on
            signal.signal(ignored, signal.SIG_DFL)
        os.execvpe(command[0], [*command, *hypervisors.qemu(paths)], _environment())
    except OSError as error:
        raise GuestcredError(f"cannot run {command[0]}: {reason(error)}", status=FINDINGS) from None


def _environment() -> dict[str, str]:
    """The environment without what Python itself put there: in the C locale it sets LC_CTYPE (PEP 538)."""
    environment = dict(os.environ)
    # the UTF-8 mode comes with that locale, and not with an LC_CTYPE that asks for UTF-8 (PEP 540)
    if sys.flags.utf8_mode and environment.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        del environment["LC_CTYPE"]
    return environment


def _sealed(text: bytes) -> int:
    """A memory file that nobody can change any more, inherited by what this process becomes."""
    fd = os.memfd_create("oem-string", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(fd, 0o400)  # it is made 0777
    while text:
        text = text[os.write(fd, text) :]
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    os.set_inheritable(fd, True)
    return fd


class _Socket(socket.socket):
    """A socket whose deadline is one for all that it does, however slowly the other side drips."""

    def __init__(self, timeout: float) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._deadline = time.monotonic() + timeout

    def hurry(self) -> None:
        """Leave what remains of the time to the next call."""
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
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost")
        self._path = path
        self._seconds = timeout

    def connect(self) -> None:
        self.sock = made = _Socket(self._seconds)
        made.hurry()
        made.connect(self._path)


class _Refused(Exception):
    """The API answered, with this status and no success."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {http.client.responses.get(status, '')}".rstrip())
        self.is_no_vm = status == 404 or (status == 500 and any(text in body for text in NO_VM))


_FAILURES = (OSError, http.client.HTTPException, _Refused)


def boot_cloud_hypervisor(path: str, config: bytes, names: list[str], texts: tuple[bytes, ...], timeout: float) -> None:
    """Create and boot a VM from `config` by the API socket at `path` of a running cloud-hypervisor.

    Where that fails no VM of ours remains, known by its strings `texts`, and one of another is left alone. Raises
    GuestcredError that repeats nothing of an answer: cloud-hypervisor quotes what it could not parse. `timeout` in
    seconds, for each call.
    """

    def call(method: str, action: str, body: bytes | None = None) -> bytes:
        with _connect(path, timeout) as connection:
            return _ask(connection, method, action, body)

    def info() -> bytes | None:
        try:
            return call("GET", "vm.info")
        except _Refused as refused:
            if refused.is_no_vm:
                return None
            raise

    def failed(error: Exception, *hints: str) -> GuestcredError:
        sent = f"nothing of {', '.join(names)} reached a guest" if names else "no guest was started"
        return GuestcredError(f"{step} failed at {path}: {_reason(error, timeout)}", *hints, sent, status=FINDINGS)

    def undo() -> tuple[str, ...]:
        """Delete what may be ours; returns what to say of a VM that remains."""
        try:
            if refused:
                # cloud-hypervisor keeps the config before it opens the console; or another came between
                held = info()
                if held is None:
                    return ()
                if not _holds(held, texts):
                    return ("there is a VM now that does not hold these strings: it was left alone",)
            with contextlib.suppress(_Refused):
                call("PUT", "vm.delete")
            if info() is None:
                return ()
        except _FAILURES:
            if refused:
                return ("a VM may remain, since vm.info failed as well: end this cloud-hypervisor",)
        return ("a VM remains, since vm.delete failed as well: end this cloud-hypervisor",)

    step = "vm.info"
    try:
        there = info() is not None
    except _FAILURES as error:
        raise failed(error, "start 'cloud-hypervisor --api-socket' first, as a user who shares it") from None
    if there:
        raise GuestcredError(
            f"there is a VM already at {path}", "one cloud-hypervisor runs one VM: shut it down", status=FINDINGS
        )
    sent = refused = False
    try:
        step = "vm.create"
        with _connect(path, timeout) as connection:
            sent = True
            _ask(connection, "PUT", step, config)
        step = "vm.boot"
        call("PUT", step)
    except BaseException as error:
        refused = step == "vm.create" and isinstance(error, _Refused)
        hints = undo() if sent else ()
        if isinstance(error, _FAILURES):
            log = "cloud-hypervisor's own log says why; not with -v, which would log the strings"
            raise failed(error, log, *hints) from None
        raise


def _holds(info: bytes, texts: tuple[bytes, ...]) -> bool:
    """Whether the VM of this vm.info has our strings, the secrets among them: no other could."""
    try:
        strings = json.loads(info)["config"]["platform"]["oem_strings"]
        return bool(texts) and {text.decode("ascii") for text in texts} <= set(strings)
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def _reason(error: Exception, timeout: float) -> str:
    match error:
        case _Refused():
            return f"it answered {error}"
        case TimeoutError():
            return f"no answer within {timeout:g} seconds"
        case OSError():
            return reason(error)
    return "the answer is not HTTP"


@contextlib.contextmanager
def _connect(path: str, timeout: float) -> Iterator[_UnixConnection]:
    connection = _UnixConnection(path, timeout)
    try:
        connection.connect()
        yield connection
    finally:
        connection.close()


def _ask(connection: _UnixConnection, method: str, action: str, body: bytes | None) -> bytes:
    """One request and the answer's body; raises one of _FAILURES."""
    headers = {"Accept": "*/*"} | ({"Content-Type": "application/json"} if body is not None else {})
    try:
        connection.request(method, API + action, body, headers)
        answer = connection.getresponse()
        said = answer.read(ANSWER_MAX)
    except (ValueError, OverflowError):  # http.client lets them through, for a chunk of size -1
        raise http.client.HTTPException from None
    if not 200 <= answer.status < 300:
        raise _Refused(answer.status, said)
    return said
