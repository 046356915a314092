"""The command line: options, help and exit statuses of every command in the guest."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from guestcred import __version__
from guestcred.cli import commands, dump_options, host_command_line
from guestcred.cli.commands import View
from guestcred.cli.options import SystemdVersion, format_option, strict_option
from guestcred.errors import USAGE, GuestcredError
from guestcred.systemd.nearest import nearest
from guestcred.text import visible

if TYPE_CHECKING:
    from guestcred.cli.commands import Form


def _credential_name(_context: click.Context, _param: click.Parameter, value: Any) -> Any:
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.BadParameter("a credential's name cannot be empty")
    return value


class _Commands(click.Group):
    """Says which command was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a hint of ours in place of the one that newer versions of click add."""
        word = args[0]
        if self.get_command(ctx, word) is not None or word.startswith("-"):
            return super().resolve_command(ctx, args)
        near = nearest(word, self.list_commands(ctx))
        raise GuestcredError(
            f"there is no command {visible(word)}",
            f"did you mean {near}?" if near else "see all of them with 'guestcred --help'",
            status=USAGE,
        )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="guestcred")
@click.option(
    "--root", default="/", metavar="DIR", help="Look at a captured tree below DIR instead of the live system."
)
@click.option(
    "--systemd",
    type=SystemdVersion(),
    metavar="VERSION",
    help="Use the rules of this systemd, such as 252, instead of the version found.",
)
@click.pass_context
def main(context: click.Context, root: str, systemd: int | None) -> None:
    """Find out where a credential got lost between the hypervisor and the guest.

    A hypervisor offers credentials as SMBIOS Type 11 OEM strings, and systemd imports them into
    /run/credentials/@system. guestcred compares the two, says why they differ, and shows what each unit gets.
    It prints no values.

    Exit status: 0 agrees, 1 findings, 2 usage, 3 could not look (no table, no permission).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)
    context.obj = View(root=root, systemd=systemd)


@main.command()
@click.option(
    "--require",
    multiple=True,
    metavar="NAME",
    callback=_credential_name,
    help="Report a finding if NAME did not arrive; can be repeated.",
)
@strict_option
@format_option
@click.pass_obj
def check(view: View, require: tuple[str, ...], strict: bool, form: Form) -> int:
    """Compare what was offered with what was imported.

    What guestcred rescued is fixed, unless a unit that requests it runs without it; its cause is still named.
    """
    return commands.check(view.replace(form=form), require=require, strict=strict)


@main.command()
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@format_option
@click.pass_obj
def apply(view: View, dry_run: bool, form: Form) -> int:
    """Write what is missing: credentials that PID 1 did not import, and the directories of services.

    What was offered but not imported goes to /run/credstore, where systemd finds it for LoadCredential=. The
    services in /etc/guestcred/*.toml get their credentials in /run/guestcred. Exit status: 0 nothing left to fix.
    """
    return commands.apply(view.replace(form=form), dry_run=dry_run)


@main.command()
@click.argument("name", callback=_credential_name)
@strict_option
@format_option
@click.pass_obj
def why(view: View, name: str, strict: bool, form: Form) -> int:
    """Follow one credential to the units that request it, and show where it was lost."""
    return commands.why(view.replace(form=form), name, strict=strict)


@main.command()
@click.argument("unit", required=False)
@format_option
@click.pass_obj
def services(view: View, unit: str | None, form: Form) -> int:
    """Show which credentials each unit requests, where they come from, and whether its user can read them.

    UNIT is the name of one unit, such as nginx or nginx.service; without it, all units that systemd has loaded.
    """
    return commands.services(view.replace(form=form), unit)


@main.command()
@click.argument("path", metavar="DIR")
@format_option
@click.pass_obj
def capture(view: View, path: str, form: Form) -> int:
    """Save this guest below the new folder DIR, for a bug report.

    Look at the result with --root: it says the same as this guest. Every secret in it is noise of the same length.
    """
    return commands.capture(view.replace(form=form), path)


main.add_command(dump_options.dump)
main.add_command(host_command_line.encode)
main.add_command(host_command_line.launch)
main.add_command(host_command_line.stop)


def run(arguments: list[str]) -> int:
    """Parse `arguments` and run the command; returns the exit status, prints usage errors as an error and a hint."""
    try:
        return int(main.main(arguments, prog_name="guestcred", standalone_mode=False) or 0)
    except click.UsageError as error:
        print(
            f"guestcred: error: {error.format_message()[:1].lower()}{error.format_message()[1:].rstrip('.')}",
            file=sys.stderr,
        )
        path = error.ctx.command_path if error.ctx else "guestcred"
        print(f"guestcred: hint: see '{path} --help'", file=sys.stderr)
        return 2
    except click.exceptions.Exit as error:
        return error.exit_code
