"""The command line of `encode` and `launch`, the commands on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from guestcred.cli.options import SystemdVersion, format_option
from guestcred.host.hypervisors import HYPERVISORS

if TYPE_CHECKING:
    from guestcred.cli.commands import Form
    from guestcred.host.prepare import Request


def _number(_context: click.Context, _param: click.Parameter, value: float) -> float:
    if value != value:  # a range does not catch nan, since every comparison with it is false
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
        default=2048,  # QEMU's pc with one socket takes some 400
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


@click.command()
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
@format_option
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

    FILE is an absolute path, a plain name in $CREDENTIALS_DIRECTORY, or - for standard input. One newline at its end
    is removed. Whatever could be damaged on the way goes as base64, and nothing is printed unless every limit holds.

    \b
    cloud-hypervisor  the VM config from --config or standard input, with platform.oem_strings, for vm.create
    qemu              arguments that read one file per string, quoted for a shell, or with --format json a list
    libvirt           the <sysinfo> element; refused for secrets, since libvirt puts them into QEMU's arguments
    crosvm            a config for 'crosvm run --cfg'
    json              the strings as a list

    Except for qemu, the output contains the secrets: pipe it where it belongs, never into a file on a disk.

    Exit status: 0 done, 1 a limit or an empty secret, 2 usage, 3 a secret could not be read.
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


class _Launch(click.Command):
    """Keeps what comes after `--` apart: click itself forgets where it was."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta["guestcred.command"] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])


@click.command(cls=_Launch)
@click.option(
    "--for",
    "hypervisor",
    required=True,
    type=click.Choice([name for name, takes in HYPERVISORS.items() if takes.launched_by]),
    help="The hypervisor to start the VM with.",
)
@host_options
@click.option("--api-socket", metavar="PATH", help="cloud-hypervisor: the API socket of the running VMM.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    callback=_number,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="cloud-hypervisor: how long each call of the API may take in total.",
)
@click.pass_context
def launch(
    context: click.Context,
    /,
    config: str | None,
    api_socket: str | None,
    timeout: float,
    **_: object,
) -> int:
    """On the host: start a VM that is offered the secrets, without an argument or a file that shows them.

    \b
    guestcred launch --for qemu NAME=FILE ... -- qemu-system-x86_64 ...
      becomes QEMU by exec, with each string in a sealed memory file
    guestcred launch --for cloud-hypervisor --api-socket PATH --config vm.json NAME=FILE ...
      creates and boots the VM over the API; if that fails, no VM remains

    FILE and the limits are as in 'guestcred encode'.

    Exit status: QEMU's own; or 0 booted, 1 a limit, an empty secret or a VM that could not be started, 2 usage,
    3 a secret could not be read.
    """
    from guestcred.cli.host import run_launch

    command = context.meta["guestcred.command"]
    return run_launch(_asked(context), config, command=command, api_socket=api_socket, timeout=timeout)
