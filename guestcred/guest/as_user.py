"""A process that has become a user, for what that user's files and programs may decide: nothing of theirs is opened as root."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from guestcred.c_modules import (
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    drop_capabilities,
    lower_limit,
    prctl,
)
from guestcred.descriptor import read_to_end
from guestcred.errors import COULD_NOT_LOOK, USAGE, GuestcredError
from guestcred.guest.users import User
from guestcred.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

SECONDS = 15.0  # for all that it does
MEMORY = 1 << 29  # bytes that it may have
ANSWER_MAX = 8 << 20  # bytes
_ANSWER, _ERROR = b"a", b"e"  # the first byte of what it says


def as_user(user: User, work: Callable[[], bytes], seconds: float = SECONDS) -> bytes:
    """What `work` returns in a process of that user's, or of this one's if that is the same.

    Raises GuestcredError where `work` does, where it takes too long, too much memory or says too much, and for everybody
    but root where the user is another.
    """
    if os.geteuid() not in (0, user.uid):
        raise GuestcredError(
            f"only root and {user.name} may look at the units of {user.name}",
            f"run it as root, or as {user.name}",
        )
    ours, theirs = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _work(user, work, theirs)
    os.close(theirs)
    try:
        said = read_to_end(ours, ANSWER_MAX, time.monotonic() + seconds)
    finally:
        os.close(ours)
        _end(pid)
    if said is None:
        raise _broken(user, f"it took more than {seconds:.0f} seconds")
    if len(said) > ANSWER_MAX:
        raise _broken(user, f"it said more than {ANSWER_MAX >> 20} MiB")
    kind, rest = said[:1], said[1:]
    if kind == _ERROR:
        problem, *hints = map(visible, rest[1:].decode("utf-8", "replace").split("\n"))
        raise GuestcredError(problem, *hints, status=USAGE if rest[:1] == b"2" else COULD_NOT_LOOK)
    if kind != _ANSWER:
        raise _broken(user, "the process that did it ended without a word")
    return rest


def _broken(user: User, what: str) -> GuestcredError:
    return GuestcredError(
        f"could not look at the units of {user.name}: {what}",
        f"does {user.name}'s manager answer? as that user, type: systemctl --user",
    )


def _end(pid: int) -> None:
    """End what is left of the process, and all that it started; one that hangs in a file system is not waited for."""
    for kill in (os.killpg, os.kill):
        with suppress(OSError):  # it has ended, or has no group yet
            kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 1
    with suppress(ChildProcessError):  # whoever ignores SIGCHLD has no children to wait for
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.001)


def _work(user: User, work: Callable[[], bytes], fd: int) -> NoReturn:
    """All that the process does."""
    try:
        try:
            _become(user)
            said = _ANSWER + work()
        except GuestcredError as error:
            said = _ERROR + "\n".join((f"{error.status}{error.problem}", *error.hints)).encode("utf-8", "replace")
        except BaseException as error:  # noqa: BLE001  this is the end of the process; words of the error may have a value
            problem = f"could not look at the units of {user.name}: {type(error).__name__}"
            said = _ERROR + f"{COULD_NOT_LOOK}{problem}".encode()
        rest = memoryview(said)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os._exit(0)


def _become(user: User) -> None:
    """Be that user, for good, and end with the process that started this one. Raises OSError."""
    import resource

    parent = os.getppid()
    os.setpgid(0, 0)
    lower_limit(resource.RLIMIT_DATA, MEMORY)
    if os.geteuid() != user.uid:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        if drop_capabilities():
            raise OSError("its capabilities stay")
        if os.getresuid() != (user.uid,) * 3:
            raise OSError("it is another user")
    # only now, since another user resets the first; with the second, no process of the user's looks into this one
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != parent:
        os._exit(0)  # it ended before it could have told
