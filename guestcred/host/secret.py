"""Secrets of the host, `NAME=FILE` -> names and bytes: the reading edge of `encode` and `launch`."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from errno import EACCES

from guestcred.descriptor import read_to_end
from guestcred.errors import COULD_NOT_LOOK, FINDINGS, USAGE, GuestcredError, reason
from guestcred.record import Record
from guestcred.systemd.rules import SIZE_MAX, name_is_valid
from guestcred.text import printable, size

STDIN = "-"
FILES, LITERALS = "NAME=FILE", "NAME=VALUE"
READ_TIMEOUT = 30.0  # seconds that a pipe may take to its end
NAME_RULE = "a name is 1 to 255 printable ASCII characters without '/', ':' and '=', and not '.' or '..'"


class Secret(Record):
    """A secret before encoding; `literal` if its value was on the command line, and so is not secret."""

    name: str
    value: bytes
    literal: bool


def read_secrets(
    files: Iterable[str],
    literals: Iterable[str] = (),
    *,
    folder: str | None = None,
    keep_newline: bool = False,
    allow_empty: bool = False,
    timeout: float = READ_TIMEOUT,
) -> tuple[Secret, ...]:
    """Read `NAME=FILE` and take `NAME=VALUE` literals, in order; all names are checked before a file is opened.

    A FILE is a path with a `/` in it, a plain name in `folder` ($CREDENTIALS_DIRECTORY), or `-`. One newline at the end is
    removed unless `keep_newline`. A pipe may take `timeout` seconds. Raises GuestcredError that names the secret and
    never shows its value.
    """
    given = [_split(number, pair, FILES) for number, pair in enumerate(files, 1)]
    fixed = [_split(number, pair, LITERALS) for number, pair in enumerate(literals, 1)]
    names = [name for name, _ in given + fixed]
    for name in names:
        if names.count(name) > 1:
            raise GuestcredError(f"{name} is given twice", "the guest takes only the first of each name", status=USAGE)
    if [path for _, path in given].count(STDIN) > 1:
        raise GuestcredError("two secrets cannot both come from standard input", "put one in a file", status=USAGE)
    secrets = []
    for name, path in given:
        value = _read(name, path, folder, timeout)
        if not keep_newline:
            value = value.removesuffix(b"\n")
        if not value and not allow_empty:
            raise GuestcredError(
                f"the secret {name} is empty: {_shown(path, folder)}",
                "was it written yet? --allow-empty takes it as it is",
                status=FINDINGS,
            )
        secrets.append(Secret(name, value, False))
    return tuple(secrets) + tuple(Secret(name, os.fsencode(value), True) for name, value in fixed)


def _split(number: int, pair: str, form: str) -> tuple[str, str]:
    name, equals, rest = pair.partition("=")
    if not equals:
        # the argument may be a value, so it is not repeated
        raise GuestcredError(f"an argument without '=' where {form} is expected", status=USAGE)
    if form == FILES and not rest.strip("="):
        # base64 ends like this: the part before may be a value too
        raise GuestcredError(f"an argument without a FILE where {form} is expected", status=USAGE)
    if not name_is_valid(os.fsencode(name)):
        place = f"{form} number {number}: the {len(os.fsencode(name))} bytes before its first '='"
        raise GuestcredError(f"the guest accepts no credential with the name in {place}", NAME_RULE, status=USAGE)
    return name, rest


def _shown(path: str, folder: str | None) -> str:
    """What was given as a FILE, for a message; only its length unless it is one, since it may be a value."""
    if path == STDIN:
        return "standard input"
    shown = os.fsencode(path)
    return printable(shown) if _names_a_file(path, folder) else f"what was given as its FILE ({size(len(shown))})"


def _names_a_file(path: str, folder: str | None) -> bool:
    """Whether it is the path of something, or of nothing yet in a folder that is there; a value is neither."""
    if not path or "\0" in path:
        return False
    if "/" not in path:
        return folder is not None and os.path.lexists(os.path.join(folder, path))
    above = os.path.dirname(path)
    # all is below '/', a value in base64 that begins with it as well
    return os.path.lexists(path) or (above.strip("./") != "" and os.path.isdir(above))


def _refused(
    name: str, path: str, folder: str | None, reason: str, *hints: str, status: int = COULD_NOT_LOOK
) -> GuestcredError:
    problem = f"cannot read the secret {name} from {_shown(path, folder)}: {reason}"
    if path != STDIN and not _names_a_file(path, folder):
        hints = (f"a FILE is expected there, and never the value: {name}=FILE", *hints)
    return GuestcredError(problem, *hints, status=status)


def _read(name: str, path: str, folder: str | None, timeout: float) -> bytes:
    try:
        fd = 0 if path == STDIN else _open(name, path, folder)
        try:
            before = os.fstat(fd)
            regular = stat.S_ISREG(before.st_mode)
            if stat.S_ISDIR(before.st_mode):
                raise _refused(name, path, folder, "it is a folder")
            if not (regular or stat.S_ISFIFO(before.st_mode) or path == STDIN):
                raise _refused(name, path, folder, "it is neither a file nor a pipe")
            if regular and os.lseek(fd, 0, os.SEEK_CUR):
                raise _refused(name, path, folder, "something has already read the start of it", "open it again: <FILE")
            # one byte more, for the newline; a file is read only as far as it was long, however fast it grows
            limit = min(before.st_size, SIZE_MAX + 1) if regular else SIZE_MAX + 1
            value = read_to_end(fd, limit, None if regular else time.monotonic() + timeout)
            if value is None:
                raise _refused(name, path, folder, f"it did not end within {timeout:g} seconds")
            if len(value) > SIZE_MAX + 1:
                raise _refused(
                    name, path, folder, "it is larger than 1 MiB, the most that systemd takes", status=FINDINGS
                )
            if regular and value and not os.fstat(fd).st_size:
                raise _refused(
                    name, path, folder, "it does not report its size, like files in /proc", "send it through a pipe"
                )
            if regular and (len(value) != before.st_size or os.fstat(fd).st_mtime_ns != before.st_mtime_ns):
                raise _refused(
                    name,
                    path,
                    folder,
                    "it changed while it was read",
                    "write a new file and rename it over the old one",
                )
            return value
        finally:
            if fd:
                os.close(fd)
    except OSError as error:
        hints = ["only its owner may read it: a unit gets a copy with LoadCredential="] if error.errno == EACCES else []
        raise _refused(name, path, folder, reason(error), *hints) from None


def _open(name: str, path: str, folder: str | None) -> int:
    # without O_NONBLOCK, open(2) would wait for a pipe's writer
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    if "/" in path:
        return os.open(path, flags)
    if path in ("", ".", ".."):
        raise _refused(name, path, folder, "it is a folder", status=USAGE)
    if folder is None:
        raise _refused(
            name,
            path,
            folder,
            "$CREDENTIALS_DIRECTORY is not set",
            "give a path such as ./FILE, or run it in a unit with LoadCredential=",
            status=USAGE,
        )
    at = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return os.open(path, flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)
