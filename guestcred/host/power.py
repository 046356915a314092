"""The power button of a running VM, by the socket of its hypervisor, and the wait until it is off."""

from __future__ import annotations

import json
import os
import socket
import time

from guestcred.c_modules import listener
from guestcred.errors import FINDINGS, GuestcredError, reason
from guestcred.host.channel import ended
from guestcred.host.vmm_api import ApiError, Vmm

GREETING = 0.5  # seconds in which QEMU greets; cloud-hypervisor waits for a request
ANSWER = 10.0  # seconds for each answer


def power_off(path: str, seconds: float) -> None:
    """Press it, and wait until the process that listens at `path` has ended. Raises GuestcredError if it has not.

    `path` is cloud-hypervisor's --api-socket, or a QMP socket of QEMU (`-qmp unix:PATH,server=on,wait=off`).
    """
    deadline = time.monotonic() + seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
            connected.connect(path)
            process = os.pidfd_open(listener(connected)[0])
            connected.settimeout(GREETING)
            try:
                greeting = connected.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                greeting = b""
            if greeting:
                _ask_qemu(connected)
            else:
                Vmm(path, ANSWER, connected).press_power_button()
    except ApiError as error:
        raise GuestcredError(f"{error.action} failed at {path}: {error}", status=FINDINGS) from None
    except OSError as error:
        raise GuestcredError(f"cannot press the power button at {path}: {reason(error)}", status=FINDINGS) from None
    if not ended(process, max(0.0, deadline - time.monotonic())):
        raise GuestcredError(f"the VM at {path} is not off after {seconds:g} seconds", status=FINDINGS)


def _ask_qemu(connected: socket.socket) -> None:
    """QEMU's docs/interop/qmp-spec.rst: a greeting, then each command with an answer, between events."""
    connected.settimeout(ANSWER)
    with connected.makefile("rwb", buffering=0) as lines:
        lines.readline()
        for command in ("qmp_capabilities", "system_powerdown"):
            lines.write(json.dumps({"execute": command}).encode() + b"\n")
            while True:
                answer = lines.readline()
                if not answer:
                    raise ConnectionError(0, "qemu hung up")
                if b'"return"' in answer:
                    break
                if b'"error"' in answer:
                    raise ConnectionError(0, f"qemu refuses {command}")
