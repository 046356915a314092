"""What `launch` does: start a VM that is offered the secrets."""

from __future__ import annotations

import json
import sys
from typing import Literal, NoReturn

from guestcred.cli.commands import show_error
from guestcred.cli.host import show_doubts
from guestcred.errors import USAGE, GuestcredError
from guestcred.host import guest_ready, service_manager
from guestcred.host.channel import Channel
from guestcred.host.command_line import (
    NOTIFY,
    CommandLine,
    check_needs,
    exposed,
    only_asks,
    read_command_line,
)
from guestcred.host.encode import check_limits, request_limit
from guestcred.host.guest_ready import Listener
from guestcred.host.hypervisors import HYPERVISORS, Config
from guestcred.host.launch import Offer, boot_vm
from guestcred.host.prepare import Prepared, Request, prepare
from guestcred.host.program import become, find
from guestcred.host.qemu import exec_qemu, guest_cid
from guestcred.host.vmm_api import Vmm
from guestcred.host.vmm_process import Guard, create
from guestcred.record import Record

Notify = Literal["vm", "guest", "none"]
TIMEOUT = 30.0  # seconds


class Launch(Record):
    """How to start the VM: `command` is what stands behind `--`; None is what was not given."""

    command: tuple[str, ...] | None
    config: str | None = None
    api_socket: str | None = None
    timeout: float | None = None
    allow_log: bool = False
    notify: Notify | None = None


def run_launch(asked: Request, how: Launch) -> int:
    """Start a VM that is offered the credentials; with a command line this process becomes it and does not return."""
    match HYPERVISORS[asked.hypervisor].launched_by:
        case "command":
            return _qemu(asked, how)
        case "api" if how.command is None:
            return _running(asked, how)
        case "api":
            return _cloud_hypervisor(asked, how)
        case None:
            raise GuestcredError(f"launch starts no VM of {asked.hypervisor}", "see 'guestcred encode'", status=USAGE)


def _wrong(problem: str, *hints: str) -> GuestcredError:
    return GuestcredError(problem, *hints, status=USAGE)


def _check_command(how: Launch, example: str) -> tuple[str, ...]:
    """The command line. Raises GuestcredError for what does not go with one."""
    if how.command is None:
        raise _wrong("the hypervisor's command line is missing", f"it stands behind '--': {example}")
    if not how.command:
        raise _wrong("nothing stands behind '--'", f"the hypervisor's command line does: {example}")
    if how.config is not None:
        raise _wrong(
            "--config does not go with a command line",
            "the VM is either in the command line, or in a file for --api-socket",
        )
    return how.command


def _qemu(asked: Request, how: Launch) -> NoReturn:
    command = _check_command(how, "guestcred launch --for qemu NAME=FILE ... -- qemu-system-x86_64 ...")
    for option, given in (("--api-socket", how.api_socket), ("--timeout", how.timeout), ("--allow-log", how.allow_log)):
        if given:
            raise _wrong(f"{option} is for cloud-hypervisor; QEMU is started by its own command line alone")
    find(command[0])
    listener = None
    if how.notify == "guest":
        listener = Listener.on_vsock(guest_cid(command))
        asked = _told(asked, listener)
    if how.notify == "guest" or (how.notify != "none" and service_manager.listens()):
        Guard(show_error, None, listener)
    prepared = prepare(asked, None)
    show_doubts(prepared)
    check_limits(prepared.limits, prepared.encoded)
    exec_qemu(tuple(credential.text for credential in prepared.encoded), command)


def _cloud_hypervisor(asked: Request, how: Launch) -> NoReturn:
    command = _check_command(how, "guestcred launch --for cloud-hypervisor NAME=FILE ... -- cloud-hypervisor ...")
    if how.api_socket is not None:
        raise _wrong(
            "--api-socket stands before '--'",
            "behind it, it is cloud-hypervisor's own; before it, it is for a VMM that runs, and there is no '--' then",
        )
    if only_asks(command):
        become(list(command))
    line = read_command_line(command, allow_log=how.allow_log)
    find(command[0])
    for name in exposed(line):
        told = f"the value of {name} stands in --platform oem_strings, where every user of the host could read it"
        print(f"guestcred: warning: {told}: send it as {name}=FILE", file=sys.stderr)
    listener = _listener(line, how.notify)
    if listener is not None and not line.notifies:
        asked = _told(asked, listener)
    channel = Channel(line.socket)
    guard = Guard(show_error, channel, listener)
    config = Config(json.dumps(line.config).encode("ascii"), asked.hypervisor)
    prepared = prepare(asked, None, base=config)
    show_doubts(prepared)
    check_limits(prepared.limits, prepared.encoded)
    offer = _offer(prepared)

    def check(version: int, features: tuple[str, ...] | None) -> None:
        check_needs(line.needs, version, features)
        check_limits((request_limit(asked.hypervisor, len(offer.config), version),), prepared.encoded)

    # where the guest says itself that it is up, be it to us or to another, the VM is not yet what the unit waits for
    says_ready = how.notify in (None, "vm") and not (how.notify is None and line.notifies) and listener is None
    timeout = TIMEOUT if how.timeout is None else how.timeout
    guard.create(lambda: create(guard, channel, offer, timeout, check, show_error, says_ready))
    become([*line.command, "--api-socket", channel.argument])


def _listener(line: CommandLine, notify: Notify | None) -> Listener | None:
    if notify != "guest":
        return None
    if line.vsock is None:
        raise _wrong("--notify guest needs the guest's vsock", "add --vsock cid=3,socket=PATH to the command line")
    port = guest_ready.address(line.strings)
    return Listener.beside(line.vsock, guest_ready.PORT if port is None else port)


def _told(asked: Request, listener: Listener) -> Request:
    """With the credential that tells the guest's PID 1 where to say that it is up."""
    return asked.replace(literals=(*asked.literals, f"{NOTIFY}={listener.address}"))


def _offer(prepared: Prepared) -> Offer:
    document = prepared.document
    assert document is not None  # there is a config
    values = tuple(secret.value for secret in prepared.secrets if not secret.literal)
    return Offer(document, prepared.encoded, values)


def _running(asked: Request, how: Launch) -> int:
    """Create and boot the VM in a cloud-hypervisor that runs already."""
    example = "guestcred launch --for cloud-hypervisor --api-socket PATH --config vm.json NAME=FILE ..."
    if how.api_socket is None and how.config is None:
        raise _wrong(
            "there is neither a command line nor a running cloud-hypervisor",
            "guestcred launch --for cloud-hypervisor NAME=FILE ... -- cloud-hypervisor ...",
            f"or for one that runs: {example}",
        )
    if how.api_socket is None:
        raise _wrong("--api-socket is missing: that of the running cloud-hypervisor", example)
    if how.config is None:
        raise _wrong("--config is missing: the VM in JSON, as PUT /api/v1/vm.create takes it", example)
    for option, given in (("--allow-log", how.allow_log), ("--notify", how.notify)):
        if given:
            raise _wrong(f"{option} is for a cloud-hypervisor that is started here, by its command line behind '--'")
    prepared = prepare(asked, how.config)
    show_doubts(prepared)
    check_limits(prepared.limits, prepared.encoded)
    offer = _offer(prepared)

    def check_version(version: int) -> None:
        check_limits((request_limit(asked.hypervisor, len(offer.config), version),), prepared.encoded)

    boot_vm(Vmm(how.api_socket, TIMEOUT if how.timeout is None else how.timeout), offer, check_version)
    return 0
