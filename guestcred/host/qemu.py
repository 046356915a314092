"""OEM strings -> a running QEMU: this process becomes it, with each string in a sealed memory file."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from typing import NoReturn

from guestcred.errors import FINDINGS, GuestcredError, reason
from guestcred.host import hypervisors


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
    try:
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and QEMU would inherit that
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
    """A memory file that nobody can change any more, and that QEMU inherits."""
    fd = os.memfd_create("oem-string", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(fd, 0o400)  # it is made 0777
    while text:
        text = text[os.write(fd, text) :]
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    os.set_inheritable(fd, True)
    return fd
