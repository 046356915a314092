"""A process apart that can only compute, for what reads bytes from firmware: it has nothing but memory and one pipe.

It is a fork, so it has what was read before. Its seccomp filter lets it write to that pipe, have memory, and end; every
other system call fails, so it can import nothing either.
"""

from __future__ import annotations

import gc
import os
import sys

from guestcred.c_modules import (
    PR_GET_NO_NEW_PRIVS,
    PR_SET_NO_NEW_PRIVS,
    drop_capabilities,
    filter_system_calls,
    lower_limit,
    prctl,
)
from guestcred.descriptor import read_to_end
from guestcred.errors import GuestcredError
from guestcred.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

SECONDS = 20  # that it may compute; it can do nothing else, so nobody needs a clock to wait for it. 1 MiB of strings takes well under one
MEMORY = 1 << 29  # bytes that it may have

# its first byte: what follows is an answer or an expected failure, or why there is none
ANSWER, ERROR, LACKS_MODULE, UNCONFINED, FAILED = b"a", b"e", b"m", b"c", b"x"

_TOO_LONG = 24, 9  # SIGXCPU and SIGKILL, at the soft and the hard RLIMIT_CPU: getrlimit(2)

# Of each machine the kernel's AUDIT_ARCH_*; the numbers of exit_group, brk, munmap, mremap, madvise and rt_sigreturn; of
# write; of mmap and mprotect; of socket; and of what makes sockets in another way. All have their low bytes first.
# include/uapi/linux/audit.h and each machine's unistd.h; newer ones share include/uapi/asm-generic/unistd.h.
_GENERIC = (94, 214, 215, 216, 233, 139), 64, (222, 226), 198, (425,)
_MACHINES = {
    "x86_64": (0xC000003E, (231, 12, 11, 25, 28, 15), 1, (9, 10), 41, (425,)),
    "i686": (0x40000003, (252, 45, 91, 163, 219, 173), 4, (192, 125), 359, (425, 102)),
    "aarch64": (0xC00000B7, *_GENERIC),
    "riscv64": (0xC00000F3, *_GENERIC),
    "loongarch64": (0xC0000102, *_GENERIC),
}
_X32 = 0x40000000  # set in the numbers of x86-64's other ABI, which are no others otherwise

# classic BPF (include/uapi/linux/bpf_common.h) on struct seccomp_data (include/uapi/linux/seccomp.h)
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _MACHINE, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32  # the last three are the low halves of arguments
_ALLOWED, _REFUSED = 0x7FFF0000, 0x00050001  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_PROT_EXEC, _AF_UNIX, _SOCK_DGRAM, _SOCK_KIND = 4, 1, 2, 0xF


class BrokenError(GuestcredError):
    """The process apart did not do what it should; `what` it did instead, in words."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the process that reads the table {what}; nothing was written",
            "guestcred has a bug, or the table was made to attack it: report it as SECURITY.md says",
        )


class NeedsError(Exception):
    """What the work raises where something has to be read first: `kind` is the byte that it then says."""

    def __init__(self, kind: bytes) -> None:
        super().__init__()
        self.kind = kind


class Apart:
    """A process apart that does `work`. `kind` is its first byte; of the rest nothing was read yet.

    Raises GuestcredError where it cannot be confined, BrokenError where it ends without a word.
    """

    def __init__(self, work: Callable[[], bytes], seconds: int = SECONDS) -> None:
        import resource  # noqa: F401  as the next line: nothing can be loaded after the fork

        prctl(PR_GET_NO_NEW_PRIVS, 0)
        self._seconds = seconds
        self._fd, theirs = os.pipe()
        program = _compute_only(theirs)  # here, where no page has to be copied for it
        self._pid = os.fork()
        if self._pid == 0:
            _work(work, theirs, program, seconds)
        os.close(theirs)
        self.kind = os.read(self._fd, 1)
        if self.kind in (b"", UNCONFINED, FAILED):
            why = self.rest(200)
            if self.kind == UNCONFINED:
                raise GuestcredError(
                    f"cannot confine the process that reads the table: {printable(why)}",
                    "does this kernel have seccomp filters (CONFIG_SECCOMP_FILTER), and does a container allow them?",
                )
            raise BrokenError(f"failed: {printable(why)}")

    def rest(self, limit: int) -> bytes:
        """All that follows the first byte, and its end. Raises BrokenError for more than `limit` bytes, or a bad end."""
        data = read_to_end(self._fd, limit) or b""
        os.close(self._fd)
        if len(data) > limit:
            raise BrokenError(f"gave an answer of more than {limit} bytes")  # its next write to the pipe ends it
        # it cannot close the pipe but by ending
        _, status = os.waitpid(self._pid, 0)
        if status:
            code = os.waitstatus_to_exitcode(status)
            if -code in _TOO_LONG:
                raise BrokenError(
                    f"was ended with signal {-code}, as when it computes for more than {self._seconds} seconds"
                )
            raise BrokenError(f"ended with {f'signal {-code}' if code < 0 else f'status {code}'}")
        return data


def _work(work: Callable[[], bytes], fd: int, program: bytes, seconds: int) -> NoReturn:
    """All that the process apart does."""
    status = 1
    try:
        try:
            _confine(fd, program, seconds)
        except Exception as error:  # noqa: BLE001  whatever it is, the work may not be done
            answer = UNCONFINED + f"{type(error).__name__}: {error}".encode()
        else:
            sys.meta_path[:] = [_NoImports]
            gc.disable()  # it would write to all memory, and so have all of it copied
            answer = _answer(work)
        rest = memoryview(answer)
        while rest:
            rest = rest[os.write(fd, rest) :]
        status = 0
    finally:
        os._exit(status)


def _answer(work: Callable[[], bytes]) -> bytes:
    try:
        return work()
    except NeedsError as need:
        return need.kind
    except _LacksModuleError as lacks:
        return LACKS_MODULE + str(lacks).encode()
    except BaseException as error:  # noqa: BLE001  this is the end of the process
        # where and what, but not its message, which may show bytes of the table
        trace, where = error.__traceback__, "nowhere"
        while trace is not None:
            where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
            trace = trace.tb_next
        return FAILED + f"{type(error).__name__} at {where}".encode()


class _LacksModuleError(Exception):
    """A module would have to be imported."""


class _NoImports:
    """Stands in for all that finds modules, since none can be opened."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        raise _LacksModuleError(name)


def _confine(fd: int, program: bytes, seconds: int) -> None:
    """Give up everything but memory and writing to `fd`. Raises OSError where a step fails."""
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(0, fd)
    os.closerange(fd + 1, most)
    for limit, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        lower_limit(limit, value)
    if drop_capabilities():
        raise OSError("its capabilities stay")
    _filter(program)


def give_up_connections() -> None:
    """From here on this process makes no sockets but those for datagrams, to the journal and to notify PID 1.

    Whoever is root and can connect to PID 1, or to other services, has them do anything. Raises GuestcredError.
    """
    try:
        _filter(_datagrams_only())
    except OSError as error:
        raise GuestcredError(f"cannot give up connections to services: {error}") from None


def _filter(program: bytes) -> None:
    if prctl(PR_SET_NO_NEW_PRIVS, 1) or filter_system_calls(program):
        raise OSError("the kernel takes no seccomp filter")


def _machine() -> tuple[int, tuple[int, ...], int, tuple[int, ...], int, tuple[int, ...]]:
    name = os.uname().machine
    if name == "x86_64" and sys.maxsize < 1 << 32:
        name = "i686"
    if name not in _MACHINES:
        raise GuestcredError(
            f"cannot confine the process that reads the table on {name}",
            f"guestcred knows the system calls of {', '.join(_MACHINES)}",
        )
    return _MACHINES[name]


Step = tuple[int, int, str, str]  # instruction, its number, and the label to go to where it holds and where not; "": on


def _compute_only(fd: int) -> bytes:
    machine, harmless, write, memory, *_ = _machine()
    return _assembled(
        machine,
        {
            "": [
                *((_EQUAL, number, "allow", "") for number in harmless),
                *((_EQUAL, number, "memory", "") for number in memory),
                (_EQUAL, write, "", "refuse"),
                (_LOAD, _FIRST, "", ""),
                (_EQUAL, fd, "allow", "refuse"),
            ],
            "memory": [(_LOAD, _THIRD, "", ""), (_HAS_BITS, _PROT_EXEC, "refuse", "allow")],
        },
    )


def _datagrams_only() -> bytes:
    machine, _, _, _, socket, others = _machine()
    return _assembled(
        machine,
        {
            "": [
                (_AT_LEAST, _X32, "refuse", ""),
                *((_EQUAL, number, "refuse", "") for number in others),
                (_EQUAL, socket, "", "allow"),
                (_LOAD, _FIRST, "", ""),
                (_EQUAL, _AF_UNIX, "", "refuse"),
                (_LOAD, _SECOND, "", ""),
                (_AND, _SOCK_KIND, "", ""),
                (_EQUAL, _SOCK_DGRAM, "allow", "refuse"),
            ]
        },
    )


def _assembled(machine: int, parts: dict[str, list[Step]]) -> bytes:
    """The program: it refuses another machine's calls and loads the number of one of this, for the parts by label, in
    order; two ends are called "refuse" and "allow"."""
    steps: list[Step] = [(_LOAD, _MACHINE, "", ""), (_EQUAL, machine, "", "refuse"), (_LOAD, _NUMBER, "", "")]
    starts = {}
    for label, part in {
        **parts,
        "refuse": [(_RETURN, _REFUSED, "", "")],
        "allow": [(_RETURN, _ALLOWED, "", "")],
    }.items():
        starts[label] = len(steps)
        steps += part
    program = []
    for number, (code, operand, holds, fails) in enumerate(steps, 1):
        yes, no = starts[holds] - number if holds else 0, starts[fails] - number if fails else 0
        # struct sock_filter: u16 code, u8 where it holds, u8 where not, u32 operand
        program.append((code | yes << 16 | no << 24 | operand << 32).to_bytes(8, "little"))
    return b"".join(program)
