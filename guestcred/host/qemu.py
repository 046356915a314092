"""OEM strings -> a running QEMU: this process becomes it, with each string in a sealed memory file."""

from __future__ import annotations

import fcntl
import os
import re
from typing import NoReturn

from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.host import hypervisors
from guestcred.host.program import become


def exec_qemu(texts: tuple[bytes, ...], command: tuple[str, ...]) -> NoReturn:
    """Become `command` (QEMU and its arguments), with one more `-smbios type=11,path=/dev/fd/N` for each string.

    QEMU opens each descriptor again and reads it to its end (save_opt_one() in its hw/smbios/smbios.c). Raises
    GuestcredError if it cannot be run.
    """
    try:
        paths = [f"/dev/fd/{_sealed(text)}" for text in texts]
    except OSError as error:
        raise GuestcredError(
            f"cannot make {len(texts)} memory files for the strings: {reason(error)}", status=FINDINGS
        ) from None
    become([*command, *hypervisors.qemu(paths)])


def guest_cid(command: tuple[str, ...]) -> int:
    """The vsock address of the guest in QEMU's command line. Raises GuestcredError."""
    found = re.search(r"(?:^|,)guest-cid=([0-9]{1,9})(?:,|$)", "\n".join(command), re.MULTILINE)
    if found is None:
        raise GuestcredError(
            "--notify guest needs the guest's vsock",
            "add -device vhost-vsock-pci,guest-cid=3 to the command line",
            status=USAGE,
        )
    return int(found[1])


def _sealed(text: bytes) -> int:
    """A memory file that nobody can change any more, and that QEMU inherits."""
    fd = os.memfd_create("oem-string", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(fd, 0o400)  # it is made 0777
    while text:
        text = text[os.write(fd, text) :]
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    os.set_inheritable(fd, True)
    return fd
