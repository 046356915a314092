"""Work that ends in one of two ways, whatever signal comes meanwhile: all done, or undone."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

# signal(7): no program can catch the first two; the next four are its own faults, to which Python could only return;
# the rest does not end a program
_LEFT = {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"}
_LEFT |= {"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGTSTP", "SIGTTIN", "SIGTTOU"}
ENDING = frozenset(signal.valid_signals() - {getattr(signal, name) for name in _LEFT})


def done_or_undone(do: Callable[[], T], undo: Callable[[BaseException], None]) -> T:
    """What `do` returns; where it fails, or a signal of ENDING comes before it is done, `undo` is called and it raises.

    A signal ends `do` by SystemExit(128 + number). It counts for nothing while `undo` runs, and, until the program
    ends, for nothing after `do`: what is done stays done. One that is ignored, as SIGHUP under nohup, stays ignored.
    """
    counts = True

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal counts
        if counts:
            counts = False
            raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in ENDING}
    before = {number: kept for number, kept in before.items() if kept in (signal.SIG_DFL, signal.default_int_handler)}
    try:
        try:
            for number in before:
                signal.signal(number, end)
            done = do()
        finally:
            # a signal may still come before this: that is caught below, and there comes no second
            counts = False
    except BaseException as error:
        undo(error)
        with unbroken():
            for number, handler in before.items():
                signal.signal(number, handler)
        raise
    # held back to the end of the program, before which Python takes its handlers away
    signal.pthread_sigmask(signal.SIG_BLOCK, before)
    return done


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Hold signals back, so that none comes between an action inside of `do` and the note that it was done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
