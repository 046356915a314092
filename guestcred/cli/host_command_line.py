"""The command line of `encode` and `launch`, the commands on the host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from guestcred.cli.options import SystemdVersion, ending, form_options
from guestcred.errors import USAGE, GuestcredError, reason
from guestcred.host.encode import RESERVE
from guestcred.host.hypervisors import HYPERVISORS
from guestcred.text import visible

if TYPE_CHECKING:
    from guestcred.cli.commands import Form
    from guestcred.cli.launch import Notify
    from guestcred.host.prepare import Request


def _number(_context: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    if value is not None and value != value:  # a range does not catch nan, since every comparison with it is false
        raise click.BadParameter("nan is not a number of seconds")
    return value


HOST_OPTIONS = (
    click.option(
        "--set",
        "literals",
        multiple=True,
        metavar="NAME=VALUE",
        help="A credential that is not secret: other users of this host can read it in the arguments.",
    ),
    click.option("--keep-newline", is_flag=True, help="Keep the newline at the end of a file."),
    click.option("--allow-empty", is_flag=True, help="Take an empty file as an empty value."),
    click.option(
        "--guest-systemd",
        type=SystemdVersion(),
        metavar="VERSION",
        help="Also keep the limits of this systemd in the guest; before 257 it reads only 4096 bytes.",
    ),
    click.option(
        "--reserve",
        type=click.IntRange(0, 0xFFFF),
        default=RESERVE,
        show_default=True,
        metavar="BYTES",
        help="Room in the table for structures of other types; they need more with many sockets or memory modules.",
    ),
    click.option(
        "--no-manifest", is_flag=True, help="Leave out the two strings by which the guest knows what it was sent."
    ),
    click.option("--config", metavar="FILE", help="The VM config in JSON, for cloud-hypervisor and crosvm."),
)


def host_options(function: Any) -> Any:
    """Add the options and the argument that `encode` and `launch` share."""
    for option in reversed(HOST_OPTIONS):
        function = option(function)
    return click.argument("files", nargs=-1, metavar="NAME=FILE ...")(function)


def _asked(context: click.Context) -> Request:
    """What both `encode` and `launch` are asked: the parameters that have the names of Request's fields."""
    from guestcred.host.prepare import Request

    return Request(**{field: context.params[field] for field in Request.__match_args__})


@click.command(
    epilog=ending(
        "guestcred encode --for qemu --folder /run/oem KEY=/run/key",
        "guestcred encode --for qemu --dry-run KEY=/run/secrets/key",
        "0 done, 1 a limit or an empty secret, 2 usage, 3 a secret could not be read.",
    )
)
@click.option(
    "--for",
    "hypervisor",
    required=True,
    type=click.Choice(list(HYPERVISORS)),
    help="The program to print the strings for.",
)
@host_options
@click.option("--folder", metavar="DIR", help="qemu: the new folder, on tmpfs or ramfs, for one file per string.")
@click.option(
    "--allow-arguments", is_flag=True, help="libvirt: print secrets although they end up in QEMU's arguments."
)
@click.option("--dry-run", is_flag=True, help="Print how much of each limit is used, and no value.")
@form_options
@click.pass_context
def encode(
    context: click.Context,
    /,
    config: str | None,
    folder: str | None,
    allow_arguments: bool,
    dry_run: bool,
    form: Form,
    **_: object,
) -> int:
    """On the host: turn secrets into OEM strings, in the form that a hypervisor takes.

    FILE is a path with a / in it, a plain name in $CREDENTIALS_DIRECTORY, or - for standard input. One newline at its end
    is removed. Whatever could be damaged on the way goes as base64, and nothing is printed unless every limit holds.

    \b
    cloud-hypervisor  the VM config from --config or standard input, with platform.oem_strings, for vm.create
    qemu              arguments that read one file per string, quoted for a shell, or with --format json a list
    libvirt           the <sysinfo> element; refused for secrets, since libvirt puts them into QEMU's arguments
    crosvm            a config for 'crosvm run --cfg'
    json              the strings as a list

    Except for qemu, the output contains the secrets: pipe it where it belongs, never into a file on a disk.
    """
    from guestcred.cli.host import run_encode

    return run_encode(
        _asked(context),
        config,
        dry_run=dry_run,
        form=form,
        folder=folder,
        allow_arguments=allow_arguments,
    )


PROGRAMS = re.compile(r"\.?(?:(qemu)-(?:system-|kvm)|(cloud-hypervisor))")
LINES_MAX = 1 << 20  # bytes of a file of arguments


class _Launch(click.Command):
    """Keeps what comes after `--` apart, since click itself forgets where it was; reads arguments from files."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        mine = list(_expanded(args[:cut]))
        command: tuple[str, ...] | None = tuple(args[cut + 1 :]) if "--" in args else None
        for before, word in zip(["", *mine], mine if command is None else ()):
            if PROGRAMS.match(os.path.basename(word)) and "=" not in word and before != "--for":
                raise GuestcredError(
                    f"there is no '--' before {visible(word)}",
                    "the hypervisor's own command line stands behind it: guestcred launch ... -- PROGRAM ARGUMENT ...",
                    status=USAGE,
                )
        given = _value_of("--command", mine)
        if given is not None:
            if command is not None:
                raise GuestcredError("--command and '--' are two command lines", "leave one of them", status=USAGE)
            command = tuple(_lines(given))
        ctx.meta["guestcred.command"] = command
        if _value_of("--for", mine) is None:
            named = [found for word in command or () if (found := PROGRAMS.match(os.path.basename(word)))]
            if command and not named:
                raise GuestcredError(
                    f"{visible(command[0])} does not say which hypervisor it is", "name it with --for", status=USAGE
                )
            mine += ["--for", named[0][1] or named[0][2]] if named else []
        return super().parse_args(ctx, mine)


def _value_of(option: str, args: list[str]) -> str | None:
    for word, after in zip(args, [*args[1:], None]):
        if word == option:
            return after
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _expanded(args: list[str]) -> Iterator[str]:
    """The arguments, with those of a file in place of each `--from FILE`."""
    left = iter(args)
    for word in left:
        if word == "--from" or word.startswith("--from="):
            path = word.partition("=")[2] or next(left, "")
            lines = _lines(path)
            if any(line.partition("=")[0] in ("--", "--from", "--command") for line in lines):
                problem = f"{visible(path)} has a line that is neither NAME=FILE nor an option for secrets"
                raise GuestcredError(problem, "the command line has a file of its own: --command", status=USAGE)
            yield from lines
        else:
            yield word


def _lines(path: str) -> list[str]:
    """One argument a line, exactly as it is; a line that is empty or begins with '#' is none. Raises GuestcredError."""
    try:
        with open(path, "rb") as file:
            data = file.read(LINES_MAX + 1)
    except OSError as error:
        raise GuestcredError(f"cannot read {visible(path) or 'a file without a name'}: {reason(error)}") from None
    if len(data) > LINES_MAX:
        raise GuestcredError(f"{visible(path)} is larger than {LINES_MAX >> 20} MiB", status=USAGE)
    return [line for line in os.fsdecode(data).split("\n") if line and not line.startswith("#")]


@click.command(
    cls=_Launch,
    epilog=ending(
        "guestcred launch KEY=/run/secrets/key -- cloud-hypervisor --kernel ...",
        "guestcred launch KEY=/run/secrets/key -- qemu-system-x86_64 ...",
        "the hypervisor's own, and 137 (SIGKILL) for a cloud-hypervisor whose VM could not be started; before it is there, "
        "and for one that runs: 0 booted, 1 a limit, an empty secret or a VM that could not be started, 2 usage, 3 a secret "
        "could not be read.",
    ),
)
@click.option(
    "--for",
    "hypervisor",
    required=True,
    type=click.Choice([name for name, takes in HYPERVISORS.items() if takes.launched_by]),
    help="The hypervisor to start the VM with; not needed where its program's name says it.",
)
@click.option("--from", expose_value=False, metavar="FILE", help="NAME=FILE and options from FILE, one a line.")
@click.option(
    "--command",
    expose_value=False,
    metavar="FILE",
    help="The command line from FILE, one argument a line, in place of '--'.",
)
@host_options
@click.option("--api-socket", metavar="PATH", help="cloud-hypervisor: the API socket of a VMM that runs already.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    callback=_number,
    metavar="SECONDS",
    help="cloud-hypervisor: how long each call of the API may take in total.  [default: 30.0]",
)
@click.option(
    "--allow-log", is_flag=True, help="cloud-hypervisor: take its -v, though it then logs the secrets in clear."
)
@click.option(
    "--notify",
    type=click.Choice(["vm", "guest", "none"]),
    help="Whose start is that of a Type=notify unit: the VM's boot, or what the guest's PID 1 says over vsock.",
)
@click.pass_context
def launch(
    context: click.Context,
    /,
    config: str | None,
    api_socket: str | None,
    timeout: float | None,
    allow_log: bool,
    notify: Notify | None,
    **_: object,
) -> int:
    """On the host: start a VM that is offered the secrets, without an argument or a file that shows them.

    \b
    guestcred launch NAME=FILE ... -- cloud-hypervisor --kernel ...
      becomes that cloud-hypervisor, and creates and boots its VM over the API; if that fails, it ends
    guestcred launch NAME=FILE ... -- qemu-system-x86_64 ...
      becomes QEMU, with each string in a sealed memory file
    guestcred launch --for cloud-hypervisor --api-socket PATH --config vm.json NAME=FILE ...
      creates and boots the VM in a cloud-hypervisor that runs; if that fails, no VM remains

    FILE and the limits are as in 'guestcred encode'.
    """
    from guestcred.cli.launch import Launch, run_launch

    command = context.meta["guestcred.command"]
    how = Launch(
        command=command, config=config, api_socket=api_socket, timeout=timeout, allow_log=allow_log, notify=notify
    )
    return run_launch(_asked(context), how)


@click.command(
    epilog=ending(
        "guestcred stop /run/vm/api.sock",
        "guestcred stop /run/vm/qmp.sock --timeout 10",
        "0 off, 1 not off by then, 2 usage.",
    )
)
@click.argument("socket", metavar="SOCKET")
@click.option(
    "--timeout",
    type=click.FloatRange(0, 86400),
    callback=_number,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the guest may take to switch itself off.",
)
def stop(socket: str, timeout: float) -> int:
    """On the host: press a VM's power button, and wait until it is off.

    SOCKET is cloud-hypervisor's --api-socket, or that of QEMU's -qmp unix:SOCKET,server=on,wait=off.
    """
    from guestcred.host.power import power_off

    power_off(socket, timeout)
    return 0
