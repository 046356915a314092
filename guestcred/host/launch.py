"""A VM config with its OEM strings -> a VM that runs in cloud-hypervisor, or no VM at all."""

from __future__ import annotations

import contextlib
import json
from functools import partial

from guestcred.errors import FINDINGS, GuestcredError
from guestcred.host.vmm_api import ApiError, Refused, Vmm


def boot_vm(vmm: Vmm, config: bytes, names: list[str], texts: tuple[bytes, ...]) -> None:
    """Create and boot a VM from `config` in a cloud-hypervisor that runs without one.

    If that fails, our VM (known by its strings `texts`) is deleted, and a VM of somebody else is left alone. Raises
    GuestcredError that quotes nothing from an answer, since cloud-hypervisor repeats what it could not parse.
    """
    try:
        there = vmm.info() is not None
    except ApiError as error:
        raise _failed(
            vmm, error, names, "start 'cloud-hypervisor --api-socket' first, as a user who shares it"
        ) from None
    if there:
        raise GuestcredError(
            f"there is already a VM at {vmm.path}",
            "a cloud-hypervisor runs only one VM: shut that one down",
            status=FINDINGS,
        )
    left: list[str] = []  # hints about a VM that remains
    try:
        with contextlib.ExitStack() as undo:
            vmm.create(config, lambda: undo.push(partial(_undo, vmm, texts, left)))
            vmm.boot()
            undo.pop_all()
    except ApiError as error:
        log = "cloud-hypervisor's own log says why; do not use -v, which would log the strings"
        raise _failed(vmm, error, names, log, *left) from None


def _failed(vmm: Vmm, error: ApiError, names: list[str], *hints: str) -> GuestcredError:
    sent = f"nothing of {', '.join(names)} reached a guest" if names else "no guest was started"
    return GuestcredError(f"{error.action} failed at {vmm.path}: {error}", *hints, sent, status=FINDINGS)


def _undo(vmm: Vmm, texts: tuple[bytes, ...], left: list[str], _kind: object, error: object, _trace: object) -> None:
    """Delete the VM if it may be ours; add to `left` what to say if one remains."""
    refused = isinstance(error, Refused) and error.action == "vm.create"
    try:
        if refused:
            # cloud-hypervisor stores the config before it opens the console; or somebody else made a VM meanwhile
            held = vmm.info()
            if held is None:
                return
            if not _holds(held, texts):
                left.append("there is now a VM without these strings: it was left alone")
                return
        with contextlib.suppress(Refused):
            vmm.delete()
        if vmm.info() is None:
            return
    except ApiError:
        if refused:
            left.append("a VM may remain, since vm.info failed too: stop this cloud-hypervisor")
            return
    left.append("a VM remains, since vm.delete failed too: stop this cloud-hypervisor")


def _holds(info: bytes, texts: tuple[bytes, ...]) -> bool:
    """Whether the VM in this vm.info has our strings; the secrets among them are in no other VM."""
    try:
        strings = json.loads(info)["config"]["platform"]["oem_strings"]
        return bool(texts) and {text.decode("ascii") for text in texts} <= set(strings)
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
