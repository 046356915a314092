"""The program as a process: as people start it, or, where a change to the code is tried, as a fork that starts much sooner."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Sequence

import schemas
from mutants import FORK


def run_program(
    command: Sequence[str], arguments: Sequence[str], given: bytes = b"", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `command` with `arguments`, with `given` on its standard input; in a fork, `command` is not looked at.

    What it prints is held against its schema, where it is a document.
    """
    if FORK not in os.environ:
        done = subprocess.run(
            [*command, *arguments], input=given, env=environment, capture_output=True, check=False, timeout=60
        )
        schemas.hold(done.stdout)
        return done
    files = [os.memfd_create(name) for name in ("in", "out", "err")]
    os.write(files[0], given)
    os.lseek(files[0], 0, os.SEEK_SET)
    pid = os.fork()
    if pid == 0:
        _become(files, arguments, os.environ if environment is None else environment)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    told = []
    for file in files[1:]:
        os.lseek(file, 0, os.SEEK_SET)
        with open(file, "rb") as opened:
            told.append(opened.read())
    os.close(files[0])
    schemas.hold(told[0])
    return subprocess.CompletedProcess([*command, *arguments], status, *told)


def _become(files: list[int], arguments: Sequence[str], environment: dict[str, str] | os._Environ[str]) -> None:
    status = 1
    try:
        for fd, file in enumerate(files):
            os.dup2(file, fd)
        sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        sys.argv = ["guestcred", *arguments]
        kept = dict(environment)
        os.environ.clear()
        os.environ.update(kept)
        from guestcred.__main__ import main

        status = main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the process ends here, as the program would
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
