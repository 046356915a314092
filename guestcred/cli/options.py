"""Options, help and exit statuses; the only module that knows click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from guestcred import __version__
from guestcred.cli import commands
from guestcred.smbios.walk import OEM_STRINGS

# generic in click's types since 8.2, and not in the 8.1 that Debian 12 has
if TYPE_CHECKING:
    _ParamType = click.ParamType[int]
else:
    _ParamType = click.ParamType


class SystemdVersion(_ParamType):
    """A systemd version as people write it: 257, v257 or 257.13-1."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        digits = str(value).removeprefix("v").split(".", 1)[0].split("-", 1)[0].split("~", 1)[0]
        if not digits.isdecimal() or not 1 <= int(digits) <= 9999:
            self.fail(f"{value!r} is no systemd version; write 257", param, ctx)
        return int(digits)


def _credential_name(_context: click.Context, _param: click.Parameter, value: Any) -> Any:
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.BadParameter("a credential's name is not empty")
    return value


def _number(_context: click.Context, _param: click.Parameter, value: float) -> float:
    if value != value:  # a range compares, and every comparison with nan is false
        raise click.BadParameter("nan is not a number of seconds")
    return value


format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or one JSON document.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="guestcred")
@click.option(
    "--root", default="/", metavar="DIR", help="Look at a captured tree below DIR in place of the live system."
)
@click.option(
    "--systemd",
    type=SystemdVersion(),
    metavar="VERSION",
    help="Use the rules of this systemd, such as 252, where it cannot be seen.",
)
@click.pass_context
def main(context: click.Context, root: str, systemd: int | None) -> None:
    """See where a credential got lost between the hypervisor and the guest.

    A hypervisor offers credentials as SMBIOS Type 11 OEM strings, and systemd imports them into
    /run/credentials/@system. guestcred compares the two, says why they differ, and tells what each unit gets of them.
    It prints no values.

    Exit status: 0 agrees, 1 findings, 2 usage, 3 could not look (no table, no permission).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)
    context.obj = {"root": root, "systemd": systemd}


@main.command()
@click.option(
    "--require",
    multiple=True,
    metavar="NAME",
    callback=_credential_name,
    help="A finding if NAME did not arrive; may be given again.",
)
@format_option
@click.pass_obj
def check(where: dict[str, Any], require: tuple[str, ...], form: str) -> int:
    """Compare what was offered with what was imported."""
    return commands.check(form=form, require=require, **where)


@main.command()
@click.option("--dry-run", is_flag=True, help="Show what would stand where, and write nothing.")
@format_option
@click.pass_obj
def apply(where: dict[str, Any], dry_run: bool, form: str) -> int:
    """Write what is missing: credentials that PID 1 did not import, and the directories of services.

    What was offered and not imported goes to /run/credstore, where systemd finds it for LoadCredential=. The
    services of /etc/guestcred/*.toml get their credentials in /run/guestcred. Exit status: 0 nothing left to mend.
    """
    return commands.apply(form=form, dry_run=dry_run, **where)


@main.command()
@click.argument("name", callback=_credential_name)
@format_option
@click.pass_obj
def why(where: dict[str, Any], name: str, form: str) -> int:
    """Tell one credential's whole way, and where it was lost."""
    return commands.why(name, form=form, **where)


@main.command()
@click.argument("unit", required=False)
@format_option
@click.pass_obj
def services(where: dict[str, Any], unit: str | None, form: str) -> int:
    """Tell which credentials each unit requests, where they come from, and whether its user can read them.

    UNIT is the name of one unit, such as nginx or nginx.service; without it, all units that systemd has loaded.
    """
    return commands.services(unit, form=form, **where)


@main.command()
@click.argument("path", metavar="DIR")
@format_option
@click.pass_obj
def capture(where: dict[str, Any], path: str, form: str) -> int:
    """Save this guest below the new folder DIR, for a bug report.

    What is written can be looked at with --root, and says the same. Every secret in it is noise of the same length.
    """
    return commands.capture(path, form=form, **where)


@main.command()
@click.argument("path", required=False, metavar="[FILE or DIR]")
@click.option(
    "--type", "kind", type=click.IntRange(0, 255), help=f"Only structures of this type.  [default: {OEM_STRINGS}]"
)
@click.option("--all", "everything", is_flag=True, help="All structures, with their fields by name.")
@click.option("--reveal", is_flag=True, help="Print the values of credentials too.")
@format_option
@click.pass_obj
def dump(where: dict[str, Any], path: str | None, kind: int | None, everything: bool, reveal: bool, form: str) -> int:
    """Decode a DMI table: the live one, a raw table, a `dmidecode --dump-bin` file or a folder like sysfs.

    FILE may be a link or a pipe, and is standard input for `-`.
    """
    if everything and kind is not None:
        raise click.UsageError("--all and --type exclude each other")
    shown = None if everything else OEM_STRINGS if kind is None else kind
    return commands.dump(path, form=form, kind=shown, typed=everything or kind is not None, reveal=reveal, **where)


HOST_OPTIONS = (
    click.option(
        "--set",
        "literals",
        multiple=True,
        metavar="NAME=VALUE",
        help="A credential that is no secret: others on this host can read it in the arguments.",
    ),
    click.option("--keep-newline", is_flag=True, help="Keep the newline at the end of a file."),
    click.option("--allow-empty", is_flag=True, help="Take an empty file as an empty value."),
    click.option(
        "--guest-systemd",
        type=SystemdVersion(),
        metavar="VERSION",
        help="Keep to the limits of this systemd in the guest too; 252 reads 4096 bytes only.",
    ),
    click.option(
        "--reserve",
        type=click.IntRange(0, 0xFFFF),
        default=2048,  # QEMU's pc with one socket takes some 400
        show_default=True,
        metavar="BYTES",
        help="What the structures of other types take in the table; more with many sockets or memory modules.",
    ),
    click.option("--config", metavar="FILE", help="The VM config in JSON, for cloud-hypervisor and crosvm."),
)


def host_options(function: Any) -> Any:
    """What `encode` and `launch` share."""
    for option in reversed(HOST_OPTIONS):
        function = option(function)
    return click.argument("files", nargs=-1, metavar="NAME=FILE ...")(function)


@main.command()
@click.option(
    "--for",
    "hypervisor",
    required=True,
    type=click.Choice(["cloud-hypervisor", "qemu", "libvirt", "crosvm", "json"]),
    help="Whose form to print.",
)
@host_options
@click.option("--folder", metavar="DIR", help="qemu: the new folder, on tmpfs or ramfs, for one file a string.")
@click.option("--allow-arguments", is_flag=True, help="libvirt: print secrets that it will put into QEMU's arguments.")
@click.option("--dry-run", is_flag=True, help="Print what is used of each limit, and no value.")
@format_option
def encode(
    hypervisor: str,
    config: str | None,
    folder: str | None,
    allow_arguments: bool,
    dry_run: bool,
    form: str,
    **options: Any,
) -> int:
    """On the host: turn secrets into OEM strings, in the form that a hypervisor takes.

    FILE is an absolute path, a plain name in $CREDENTIALS_DIRECTORY, or - for standard input. One newline at its end
    is stripped. Whatever could be damaged on the way goes as base64, and nothing is printed unless every limit holds.

    \b
    cloud-hypervisor  the VM config from --config or standard input, with platform.oem_strings, for vm.create
    qemu              arguments that read one file a string, quoted for a shell or with --format json as a list
    libvirt           the <sysinfo> element; refused for secrets, since libvirt puts them into QEMU's arguments
    crosvm            a config for 'crosvm run --cfg'
    json              the strings as a list

    What is printed holds the secrets, but for qemu: pipe it where it belongs, never into a file on a disk.

    Exit status: 0 done, 1 a limit or an empty secret, 2 usage, 3 a secret could not be read.
    """
    from guestcred.cli.host import run_encode
    from guestcred.host.prepare import Request

    return run_encode(
        Request(hypervisor=hypervisor, **options),
        config,
        dry_run=dry_run,
        form=form,
        folder=folder,
        allow_arguments=allow_arguments,
    )


class _Launch(click.Command):
    """Keeps what stands behind `--` apart: click itself forgets where it was."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta["guestcred.command"] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])


@main.command(cls=_Launch)
@click.option(
    "--for",
    "hypervisor",
    required=True,
    type=click.Choice(["cloud-hypervisor", "qemu"]),
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
    help="cloud-hypervisor: how long one call of the API may take in all.",
)
@click.pass_context
def launch(
    context: click.Context,
    /,
    hypervisor: str,
    config: str | None,
    api_socket: str | None,
    timeout: float,
    **options: Any,
) -> int:
    """On the host: start a VM that is offered the secrets, without an argument or a file that shows them.

    \b
    guestcred launch --for qemu NAME=FILE ... -- qemu-system-x86_64 ...
      becomes QEMU by exec, with each string in a sealed memory file
    guestcred launch --for cloud-hypervisor --api-socket PATH --config vm.json NAME=FILE ...
      creates and boots the VM over the API; where that fails, no VM remains

    FILE and the limits are as in 'guestcred encode'.

    Exit status: QEMU's own; or 0 booted, 1 a limit, an empty secret or a VM that could not be started, 2 usage,
    3 a secret could not be read.
    """
    from guestcred.cli.host import run_launch
    from guestcred.host.prepare import Request

    command = context.meta["guestcred.command"]
    return run_launch(
        Request(hypervisor=hypervisor, **options), config, command=command, api_socket=api_socket, timeout=timeout
    )


def run(arguments: list[str]) -> int:
    """Parse `arguments` and run the command; returns the exit status, printing usage errors in the house's form."""
    try:
        return int(main.main(arguments, prog_name="guestcred", standalone_mode=False) or 0)
    except click.UsageError as error:
        import sys

        print(
            f"guestcred: error: {error.format_message()[:1].lower()}{error.format_message()[1:].rstrip('.')}",
            file=sys.stderr,
        )
        path = error.ctx.command_path if error.ctx else "guestcred"
        print(f"guestcred: hint: see '{path} --help'", file=sys.stderr)
        return 2
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return 130
