"""This process becomes another program: same PID, same standard streams, same environment."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from errno import ENOENT
from typing import NoReturn

from guestcred.errors import FINDINGS, GuestcredError, reason


def find(program: str) -> None:
    """Raise GuestcredError where there is no such program."""
    if shutil.which(program) is None:
        exists = os.path.exists(program)
        raise _refused(
            program, PermissionError(13, os.strerror(13)) if exists else OSError(ENOENT, os.strerror(ENOENT))
        )


def become(command: list[str]) -> NoReturn:
    """Become `command`. Raises GuestcredError if it cannot be run."""
    try:
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and the program would inherit that
            signal.signal(ignored, signal.SIG_DFL)
        os.execvpe(command[0], command, _environment())
    except OSError as error:
        raise _refused(command[0], error) from None


def _refused(program: str, error: OSError) -> GuestcredError:
    return GuestcredError(f"cannot run {program}: {reason(error)}", status=FINDINGS)


def _environment() -> dict[str, str]:
    """The environment without what Python itself put there: in the C locale it sets LC_CTYPE (PEP 538)."""
    environment = dict(os.environ)
    # the UTF-8 mode comes with that locale, and not with an LC_CTYPE that asks for UTF-8 (PEP 540)
    if sys.flags.utf8_mode and environment.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        del environment["LC_CTYPE"]
    return environment
