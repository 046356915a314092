"""OEM strings -> a running VM: QEMU by exec with sealed memory files, cloud-hypervisor over its API socket."""

from __future__ import annotations

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
    while text:
        text = text[os.write(fd, text) :]
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    os.set_inheritable(fd, True)
    return fd


class _Refused(Exception):
    """The API answered, with this status and no success."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def boot_cloud_hypervisor(path: str, config: bytes, names: list[str], timeout: float) -> None:
    """Create and boot a VM from `config` by the API socket at `path` of a running cloud-hypervisor.

    Where that fails no VM of ours remains, and one that was there before is left alone. Raises GuestcredError
    that repeats nothing of an answer: cloud-hypervisor quotes what it could not parse. `timeout` in seconds.
    """

    def failed(step: str, error: Exception, *hints: str) -> GuestcredError:
        sent = f"nothing of {', '.join(names)} reached a guest" if names else "no guest was started"
        reason = f"it answered {error}" if isinstance(error, _Refused) else _reason(error, timeout)
        return GuestcredError(f"{step} failed at {path}: {reason}", *hints, sent, status=FINDINGS)

    log = "cloud-hypervisor's own log says why; without -v, which would log the strings"
    try:
        exists = _call(path, "GET", "vm.info", None, timeout, refused_is="none") != "none"
    except (OSError, http.client.HTTPException) as error:
        raise failed("vm.info", error, "start 'cloud-hypervisor --api-socket' first, as a user who shares it") from None
    if exists:
        raise GuestcredError(
            f"there is a VM already at {path}", "one cloud-hypervisor runs one VM: shut it down", status=FINDINGS
        )
    step = "vm.create"
    try:
        _call(path, "PUT", step, config, timeout)
        step = "vm.boot"
        _call(path, "PUT", step, None, timeout)
    except BaseException as error:
        hints = [log]
        try:
            _call(path, "PUT", "vm.delete", None, timeout, refused_is="none")
        except (OSError, http.client.HTTPException) as again:
            hints.append(f"vm.delete failed as well ({_reason(again, timeout)}): end this cloud-hypervisor")
        if isinstance(error, (OSError, http.client.HTTPException, _Refused)):
            raise failed(step, error, *hints) from None
        raise


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} seconds"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return "the answer is not HTTP"


def _call(
    path: str, method: str, action: str, body: bytes | None, timeout: float, refused_is: str | None = None
) -> str | None:
    """One request; None where it succeeded, `refused_is` (if any) where the answer was an error, else _Refused."""
    connection = _UnixConnection(path, timeout)
    try:
        headers = {"Accept": "*/*"} | ({"Content-Type": "application/json"} if body is not None else {})
        connection.request(method, API + action, body, headers)
        answer = connection.getresponse()
        answer.read(ANSWER_MAX)
    finally:
        connection.close()
    if 200 <= answer.status < 300:
        return None
    if refused_is is not None:
        return refused_is
    raise _Refused(f"{answer.status} {http.client.responses.get(answer.status, '')}".rstrip())
