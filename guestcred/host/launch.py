"""A VM config with its OEM strings -> a VM that runs in cloud-hypervisor, or no VM at all."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable

from guestcred.errors import FINDINGS, GuestcredError
from guestcred.host.answer import QUOTES_CONFIG, reason_in
from guestcred.host.encode import Encoded
from guestcred.host.vmm_api import ApiError, Dropped, Gone, NotThere, Refused, Vmm
from guestcred.manifest import FRAME
from guestcred.outcome import done_or_undone
from guestcred.record import Record

ENDING_TRIES, ENDING_PAUSE = 20, 0.1  # how often, and after how many seconds, to ask a cloud-hypervisor that dies

# what to do about the VM that is there, by the state that vm.info tells (VmState in cloud-hypervisor's vmm/src/vm.rs)
_MAKE_ROOM = {
    "Created": "it was created and not booted: 'ch-remote --api-socket {} delete' removes it",
    "Shutdown": "it was shut down, and is there until 'ch-remote --api-socket {} delete'",
}
_IN_USE = "it is in use: 'ch-remote --api-socket {0} shutdown', and then 'ch-remote --api-socket {0} delete'"


class Offer(Record):
    """What a VM is offered: the VM config with the strings of `encoded`, and the secrets' `values` among them."""

    config: bytes
    encoded: tuple[Encoded, ...]
    values: tuple[bytes, ...]

    @property
    def texts(self) -> tuple[bytes, ...]:
        """Our OEM strings."""
        return tuple(credential.text for credential in self.encoded)


def failure(vmm: Vmm, error: ApiError, offer: Offer, *hints: str) -> GuestcredError:
    """What to say of a call that failed: with cloud-hypervisor's reason, and with nothing that is of the offer."""
    said = reason_in(error.said, offer.config, offer.values) if isinstance(error, Refused) else ""
    hints = (*error.hints, *hints)
    problem = f"{error.action} failed at {vmm.path}: {error}"
    if said == QUOTES_CONFIG:
        hints = (QUOTES_CONFIG, *hints)
    elif said:
        problem += f": {said}"
    names = [credential.name for credential in offer.encoded if credential.name not in FRAME]
    sent = f"nothing of {', '.join(names)} reached a guest" if names else "no guest was started"
    return GuestcredError(problem, *hints, sent, status=FINDINGS)


def boot_vm(vmm: Vmm, offer: Offer, check_version: Callable[[int], None]) -> None:
    """Create and boot a VM from an offer, in a cloud-hypervisor without one.

    `check_version` is called with its major version (0: not told) before anything is sent, and may raise. If it fails,
    or a signal comes before it is done, our VM (known by its strings) is deleted, and a VM of somebody else is left
    alone. Raises GuestcredError.
    """
    try:
        there = vmm.info()
        version = about(vmm)[0] if there is None else 0
    except ApiError as error:
        # a refusal, or silence: something listens there
        absent = isinstance(error, Gone | NotThere)
        hints = ["start 'cloud-hypervisor --api-socket' first, as this user"] if absent else []
        raise failure(vmm, error, offer, *hints) from None
    if there is not None:
        raise GuestcredError(
            f"there is already a VM at {vmm.path}",
            f"a cloud-hypervisor has only one VM; {_MAKE_ROOM.get(_state(there), _IN_USE).format(vmm.path)}",
            status=FINDINGS,
        )
    check_version(version)
    created = False
    left: list[str] = []  # hints about the VM

    def create_and_boot() -> None:
        def sending() -> None:
            nonlocal created
            created = True

        vmm.create(offer.config, sending)
        vmm.boot()

    def undo(error: BaseException) -> None:
        if created:
            left.extend(_undo(vmm, offer.texts, error))

    try:
        done_or_undone(create_and_boot, undo)
    except ApiError as error:
        raise failure(vmm, error, offer, *left) from None


def _undo(vmm: Vmm, texts: tuple[bytes, ...], error: BaseException) -> list[str]:
    """Delete the VM if it may be ours; returns what to say if one remains, or where the whole VMM is gone."""
    refused = isinstance(error, Refused) and error.action == "vm.create"
    gone = ["this cloud-hypervisor has ended, and no VM of it remains: start it anew"]
    try:
        if refused:
            # cloud-hypervisor stores the config before it opens the console; or somebody else made a VM meanwhile
            held = vmm.info()
            if held is None:
                return []
            if not _holds(held, texts):
                return ["there is now a VM without these strings: it was left alone"]
        with contextlib.suppress(Refused):
            vmm.delete()
        if vmm.info() is None:
            return []
    except Gone:
        return gone
    except ApiError as problem:
        if isinstance(problem, Dropped) and _is_ending(vmm):
            return gone
        if refused:
            return ["a VM may remain, since vm.info failed too: stop this cloud-hypervisor"]
    return ["a VM remains, since vm.delete failed too: stop this cloud-hypervisor"]


def _is_ending(vmm: Vmm) -> bool:
    """Whether nobody listens there within a moment, after a connection was dropped."""
    for _ in range(ENDING_TRIES):
        try:
            vmm.info()
        except Gone:
            return True
        except Dropped:
            time.sleep(ENDING_PAUSE)
        except ApiError:
            break
        else:
            break
    return False


def about(vmm: Vmm) -> tuple[int, tuple[str, ...] | None]:
    """The major version and the features in its vmm.ping (VmmPingResponse in its vmm/src/api/mod.rs: "54.0.0", ["kvm"]).

    0 and None where it tells none.
    """
    try:
        told = json.loads(vmm.ping())
        major = re.match(r"v?(\d{1,4})\b", told["version"])
        features = told.get("features")
    except (Refused, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return 0, None
    known = isinstance(features, list) and all(isinstance(feature, str) for feature in features)
    return int(major[1]) if major else 0, tuple(features) if known else None


def _state(info: bytes) -> str:
    """The state of the VM in this vm.info; "" where it tells none."""
    try:
        state = json.loads(info)["state"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return state if isinstance(state, str) else ""


def _holds(info: bytes, texts: tuple[bytes, ...]) -> bool:
    """Whether the VM in this vm.info has our strings; the secrets among them are in no other VM."""
    try:
        strings = json.loads(info)["config"]["platform"]["oem_strings"]
        return bool(texts) and {text.decode("ascii") for text in texts} <= set(strings)
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
