"""OEM strings -> a running VM: QEMU by exec with sealed memory files, cloud-hypervisor over its API socket."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import socket
from typing import NoReturn

from guestcred import forms
from guestcred.errors import FINDINGS, GuestcredError

API = "/api/v1/"
ANSWER_MAX = 64 * 1024  # bytes


def exec_qemu(texts: tuple[bytes, ...], command: tuple[str, ...]) -> NoReturn:
    """Become `command` (QEMU and its arguments), each string behind one `-smbios type=11,path=/dev/fd/N`.

    QEMU opens each descriptor anew and reads it to its end (save_opt_one() in its hw/smbios/smbios.c). Raises
    GuestcredError where it cannot be run.
    """
    try:
        paths = [f"/dev/fd/{_sealed(text)}" for text in texts]
        os.execvp(command[0], [*command, *forms.qemu(paths)])
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise GuestcredError(f"cannot run {command[0]}: {reason}", status=FINDINGS) from None


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


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Refused(Exception):
    """The API answered, with this status and no success."""


_FAILURES = (OSError, http.client.HTTPException, _Refused)


def boot_cloud_hypervisor(path: str, config: bytes, names: list[str], timeout: float) -> None:
    """Create and boot a VM from `config` by the API socket at `path` of a running cloud-hypervisor.

    Where that fails no VM of ours remains, and one that was there before is left alone. Raises GuestcredError
    that repeats nothing of an answer: cloud-hypervisor quotes what it could not parse. `timeout` in seconds.
    """

    def call(method: str, action: str, body: bytes | None = None) -> None:
        _call(path, timeout, method, action, body)

    def exists() -> bool:
        try:
            call("GET", "vm.info")
        except _Refused:
            return False
        return True

    def failed(error: Exception, *hints: str) -> GuestcredError:
        sent = f"nothing of {', '.join(names)} reached a guest" if names else "no guest was started"
        return GuestcredError(f"{step} failed at {path}: {_reason(error, timeout)}", *hints, sent, status=FINDINGS)

    step = "vm.info"
    try:
        if exists():
            raise GuestcredError(
                f"there is a VM already at {path}", "one cloud-hypervisor runs one VM: shut it down", status=FINDINGS
            )
    except _FAILURES as error:
        raise failed(error, "start 'cloud-hypervisor --api-socket' first, as a user who shares it") from None
    try:
        step = "vm.create"
        call("PUT", step, config)
        step = "vm.boot"
        call("PUT", step)
    except BaseException as error:
        hints = ["cloud-hypervisor's own log says why; not with -v, which would log the strings"]
        try:
            # also where vm.create failed: cloud-hypervisor keeps the config before it opens the console
            with contextlib.suppress(_Refused):
                call("PUT", "vm.delete")
            remains = exists()
        except _FAILURES:
            remains = True
        if remains:
            hints.append("a VM remains, since vm.delete failed as well: end this cloud-hypervisor")
        if isinstance(error, _FAILURES):
            raise failed(error, *hints) from None
        raise


def _reason(error: Exception, timeout: float) -> str:
    match error:
        case _Refused():
            return f"it answered {error}"
        case TimeoutError():
            return f"no answer within {timeout:g} seconds"
        case OSError():
            return (error.strerror or str(error)).lower()
    return "the answer is not HTTP"


def _call(path: str, timeout: float, method: str, action: str, body: bytes | None) -> None:
    """One request; raises one of _FAILURES."""
    connection = _UnixConnection(path, timeout)
    try:
        headers = {"Accept": "*/*"} | ({"Content-Type": "application/json"} if body is not None else {})
        connection.request(method, API + action, body, headers)
        answer = connection.getresponse()
        answer.read(ANSWER_MAX)
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise _Refused(f"{answer.status} {http.client.responses.get(answer.status, '')}".rstrip())
