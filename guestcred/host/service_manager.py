"""What is told to the service manager, by sd_notify(3)'s protocol."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator

from guestcred.text import visible

BARRIER_SECONDS = 5.0
STATUS_MAX = 300  # characters


def listens() -> bool:
    """Whether a service manager waits for notifications."""
    return "NOTIFY_SOCKET" in os.environ


def status(text: str) -> str:
    """The line that puts a text into `systemctl status`."""
    return f"STATUS={visible(' '.join(text.split()))[:STATUS_MAX]}"


def tell(*lines: str, wait: bool = False) -> bool:
    """Send some lines; False where there is no room for them now, and a later try may be worth it."""
    with _socket() as to:
        if to is not None:
            try:
                to.send("\n".join(lines).encode(), 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except OSError:
                pass  # nobody is there: nothing to be done about it
    return True


def tell_and_wait(*lines: str) -> None:
    """Send some lines, and wait until they were read: a message of a process that is gone counts for no unit."""
    tell(*lines, wait=True)
    with _socket() as to:
        if to is None:
            return
        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):
                # sd_notify_barrier(): the reader closes the descriptor that it is sent
                socket.send_fds(to, [b"BARRIER=1"], [write])
                os.close(write)
                write = -1
                waiting = select.poll()
                waiting.register(read, 0)
                waiting.poll(BARRIER_SECONDS * 1000)
        finally:
            os.close(read)
            if write >= 0:
                os.close(write)


@contextlib.contextmanager
def _socket() -> Iterator[socket.socket | None]:
    """A socket to the service manager; None where there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    made = None
    if address[:1] in ("/", "@"):
        with contextlib.suppress(OSError):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            made.connect("\0" + address[1:] if address[0] == "@" else address)
    try:
        yield made
    finally:
        if made is not None:
            made.close()
