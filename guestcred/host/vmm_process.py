"""This process becomes the hypervisor; beside it, for as long as that takes, one makes its VM and one sees that it ends if not.

- The *creator* has the secrets: it creates and boots the VM over the API, and is gone.
- The *guard* has none: it ends the hypervisor if the creator is gone before the VM was booted, and hands on what the
  guest says of itself. It is gone when there is nothing more to do.

Neither is a child of the hypervisor, which knows nothing of them and reaps nobody. Whatever kills one of the three,
the others see it, and no VM, no socket and no process is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from guestcred.errors import FINDINGS, GuestcredError
from guestcred.host import service_manager
from guestcred.host.channel import Channel, ended
from guestcred.host.guest_ready import Listener
from guestcred.host.launch import Offer, about, failure
from guestcred.host.vmm_api import ApiError, Dropped, Vmm

GRACE = 1.0  # seconds in which a hypervisor ends by itself, as where the service manager ends the whole unit
EXEC = 0.1  # seconds from where a process that ends closes its files to where it has ended
DONE = b"."
ENDED = "cloud-hypervisor ended before it had the VM"

Tell = Callable[[GuestcredError], object]


class Guard:
    """The guard of this process, which is about to become the hypervisor."""

    def __init__(self, tell: Tell, channel: Channel | None, listener: Listener | None) -> None:
        """Start it, before any secret is read. `channel` is None where the command line alone makes the VM."""
        self.pid = os.getpid()
        self.vmm = os.pidfd_open(self.pid)
        done, self._done = os.pipe2(os.O_CLOEXEC)
        _apart(lambda: self._watch(done, tell, channel, listener))
        os.close(done)
        if listener is not None:
            # only the guard has it, so that nobody waits there when it is gone
            listener.leave()

    def create(self, work: Callable[[], None]) -> None:
        """Start the creator, which does `work`; with its end, or its death, the guard knows."""

        def run() -> None:
            work()
            with contextlib.suppress(OSError):
                os.write(self._done, DONE)

        _apart(run)
        os.close(self._done)

    def _watch(self, done: int, tell: Tell, channel: Channel | None, listener: Listener | None) -> None:
        os.close(self._done)
        if channel is not None:
            channel.leave()
        try:
            # it ends when it was written to, or all are gone who could: the creator, and before it this process as it was
            booted = os.read(done, 1) == DONE
            if channel is None:
                # the exec closed it, unless it was the end
                booted = not ended(self.vmm, EXEC)
                if booted and listener is None:
                    service_manager.tell_and_wait("READY=1")
            elif not booted and not ended(self.vmm, GRACE):
                tell(GuestcredError(f"{ENDED}: the process that creates it was ended, and so it was too"))
                end(self.vmm, channel)
            if booted and listener is not None:
                listener.serve(self.vmm)
        finally:
            if listener is not None:
                listener.close()


def end(vmm: int, channel: Channel) -> None:
    """End the hypervisor and see that it has ended; SIGTERM it would call a success."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(vmm, signal.SIGKILL)
    while not ended(vmm, 1):
        pass
    channel.remove()


def create(
    guard: Guard,
    channel: Channel,
    offer: Offer,
    timeout: float,
    check: Callable[[int, tuple[str, ...] | None], None],
    tell: Tell,
    says_ready: bool,
) -> None:
    """Create and boot the VM in the hypervisor that `guard` watches; where that fails, tell why and end it.

    `check` is called with its version and features before anything is sent, and may raise.
    """
    try:
        _boot(guard, channel, offer, timeout, check)
    except GuestcredError as error:
        tell(error)
        service_manager.tell_and_wait(service_manager.status(error.problem))
        end(guard.vmm, channel)
        os._exit(FINDINGS)
    if says_ready:
        service_manager.tell_and_wait("READY=1", service_manager.status("the VM is booted"))


def _boot(
    guard: Guard,
    channel: Channel,
    offer: Offer,
    timeout: float,
    check: Callable[[int, tuple[str, ...] | None], None],
) -> None:
    went = GuestcredError(ENDED, "its own message says why", status=FINDINGS)
    try:
        connected = channel.connect(guard.vmm, guard.pid, timeout)
    except TimeoutError:
        raise GuestcredError(
            f"cloud-hypervisor does not listen at {channel.name} within {timeout:g} seconds", status=FINDINGS
        ) from None
    except OSError:
        raise GuestcredError(
            f"another process listens at {channel.name}, and got nothing",
            "give each VM its own --api-socket",
            status=FINDINGS,
        ) from None
    if connected is None:
        raise went
    vmm = Vmm(channel.name, timeout, connected)
    try:
        check(*about(vmm))
        vmm.create(offer.config, lambda: None)
        vmm.boot()
    except ApiError as error:
        if isinstance(error, Dropped) and ended(guard.vmm, GRACE):
            raise went from None
        raise failure(vmm, error, offer) from None


def _apart(work: Callable[[], None]) -> None:
    """Run `work` in a process that is nobody's child, in a session of its own: no key at a terminal reaches it."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    _only(lambda: _only(work) if not os.fork() else None)


def _only(work: Callable[[], object]) -> NoReturn:
    """Do `work` and be gone, whatever comes of it: what the process was before must not run on here."""
    status = 1
    try:
        with contextlib.suppress(OSError):
            os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(null, stream)
        work()
        status = 0
    finally:
        os._exit(status)
