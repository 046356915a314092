"""The command line: options, help and exit statuses of every command in the guest."""

from __future__ import annotations

from typing import Any

import click

from guestcred import __version__
from guestcred.cli import commands, dump_options, host_command_line
from guestcred.cli.commands import View
from guestcred.cli.options import asked, ending, strict_option, view_group_options, view_options
from guestcred.errors import USAGE, GuestcredError
from guestcred.systemd.nearest import nearest
from guestcred.text import visible


def _credential_name(_context: click.Context, _param: click.Parameter, value: Any) -> Any:
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.BadParameter("a credential's name cannot be empty")
    return value


SENTENCE_MAX = 200  # characters


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
        every = f"see all of them with '{ctx.command_path} --help'"
        if near:
            hints = [f"did you mean {near}?"]
        elif ctx.parent is None:
            hints = [f"if that is a credential, type: guestcred why {visible(word)}", every]
        else:
            hints = [every]
        raise GuestcredError(f"there is no command {visible(word)}", *hints, status=USAGE)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it, with each command's whole first sentence."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(SENTENCE_MAX)) for name, command in commands if command]
            )


LOOKED = "2 usage, 3 could not look (no table, no permission)."


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog=ending(
        "guestcred --root DIR",
        "guestcred check",
        "guestcred why API_KEY",
        "guestcred services",
        f"0 agrees, 1 findings, {LOOKED}",
    ),
)
@click.version_option(__version__, "-V", "--version", prog_name="guestcred")
@view_group_options
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Find out where a credential got lost between the hypervisor and the guest.

    A hypervisor offers credentials as SMBIOS Type 11 OEM strings, and systemd imports them into
    /run/credentials/@system. guestcred compares the two, says why they differ, and shows what each unit gets.
    It prints no values. The options below may stand behind a command of the guest too. Without a command, root in a
    guest that was handed credentials sees its status; so does everyone with --root.
    """
    context.obj = asked(View(), options)
    if context.invoked_subcommand is None:
        if context.obj.root != "/" or commands.has_credentials():
            context.exit(commands.status(context.obj))
        click.echo(context.get_help(), err=True)
        context.exit(2)


@main.command(
    epilog=ending(
        "guestcred check",
        "guestcred check --require API_KEY --json",
        f"0 agrees or all is rescued, 1 findings, {LOOKED}",
    )
)
@click.option(
    "--require",
    multiple=True,
    metavar="NAME",
    callback=_credential_name,
    help="Report a finding if NAME did not arrive; can be repeated.",
)
@strict_option
@click.option(
    "--metrics", metavar="FILE", help="Write FILE in OpenMetrics too, for node_exporter's textfile collector."
)
@click.option("--nagios", is_flag=True, help="Print one line, and exit, as a Nagios plugin does.")
@view_options
def check(view: View, require: tuple[str, ...], strict: bool, metrics: str | None, nagios: bool) -> int:
    """Compare what was offered with what was imported.

    What guestcred rescued is fixed, unless a unit that requests it runs without it; its cause is still named.
    With --nagios it exits with 0 OK, 1 WARNING for what was rescued, 2 CRITICAL for findings, 3 UNKNOWN.
    """
    if metrics is None and not nagios:
        return commands.check(view, require=require, strict=strict)
    if nagios and view.form == "json":
        raise click.UsageError("--nagios prints a line, and no JSON")
    from guestcred.cli.monitor import watch

    return watch(view, require=require, strict=strict, metrics=metrics, nagios=nagios)


@main.command(
    epilog=ending(
        "guestcred apply --dry-run",
        "guestcred apply --root DIR",
        "0 nothing is left to fix, 1 something is or it could not be written, 2 usage or a mistake in a TOML file, "
        "3 could not look.",
    )
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--early", is_flag=True, help="Only /run/credstore: no directories of services, and no report.")
@view_options
def apply(view: View, dry_run: bool, early: bool) -> int:
    """Write what is missing: credentials that PID 1 did not import, and the directories of services.

    What was offered but not imported goes to /run/credstore, where systemd finds it for LoadCredential=. The
    services in /etc/guestcred/*.toml get their credentials in /run/guestcred.
    """
    return commands.apply(view, dry_run=dry_run, early=early)


@main.command(
    epilog=ending(
        "guestcred why API_KEY",
        "guestcred why API_KEY --root DIR",
        f"0 each unit that requests it has it or will, 1 it was lost or one has it not, {LOOKED}",
    )
)
@click.argument("name", callback=_credential_name)
@strict_option
@view_options
def why(view: View, name: str, strict: bool) -> int:
    """Follow one credential to the units that request it, and show where it was lost."""
    return commands.why(view, name=name, strict=strict)


@main.command(
    epilog=ending(
        "guestcred services",
        "guestcred services nginx --json",
        f"0 nothing is wrong, 1 findings, {LOOKED}",
    )
)
@click.argument("unit", required=False)
@click.option(
    "--user", metavar="USER", help="Only the units of this user's manager (systemctl --user), by name or UID."
)
@view_options
def services(view: View, unit: str | None, user: str | None) -> int:
    """Show which credentials each unit requests, where they come from, and whether its user can read them.

    UNIT is the name of one unit, such as nginx or nginx.service; without it, all units that systemd has loaded, and
    those of the user managers that run. --user shows root those of any user, and everybody else their own.
    """
    return commands.services(view, unit=unit, user=user)


@main.command(
    epilog=ending(
        "guestcred capture /root/report",
        "guestcred check --root /root/report",
        "0 saved, 2 usage, 3 could not look or could not write.",
    )
)
@click.argument("path", metavar="DIR")
@view_options
def capture(view: View, path: str) -> int:
    """Save this guest below the new folder DIR, for a bug report.

    Look at the result with --root: it says the same as this guest. Every secret in it is noise of the same length.
    """
    return commands.capture(view, path)


@main.command(
    epilog=ending(
        "guestcred status", "guestcred status --html status.html", f"0 nothing is left to fix, 1 findings, {LOOKED}"
    )
)
@click.option("-v", "--verbose", is_flag=True, help="Show also what is well, and the units of each credential.")
@click.option(
    "--html", "page", metavar="FILE", help="Also write it to FILE as a page, for a ticket; - is standard output."
)
@click.option(
    "--from",
    "source",
    metavar="FILE",
    help="On the host: what a guest would import, by a VM config of cloud-hypervisor or crosvm, or a folder of encode "
    "--for qemu.",
)
@view_options
def status(view: View, verbose: bool, page: str | None, source: str | None) -> int:
    """Show every credential at every stage, from what the host meant to what units got; problems first.

    The page of --html draws the way of each credential, with causes, fixes and what shows them. It is one file with no
    value, script or link to elsewhere.

    --from needs no guest: it reads the OEM strings that a VM is to have, and shows what PID 1 of each systemd whose rules
    differ, or of that of --systemd, would import of them, and how much of each limit they use.
    """
    if source is None:
        return commands.status(view, verbose=verbose, page=page)
    if page is not None or view.root != "/":
        raise click.UsageError("--from looks at no guest, so it goes with neither --root nor --html")
    from guestcred.cli.host import run_forecast

    return run_forecast(view, source, commands.terminal_width(), verbose=verbose)


_CONFIG = ending(
    "guestcred config check",
    "guestcred config check --root DIR guestcred.toml",
    "0 no mistake, 1 mistakes, 2 usage or there is no such FILE, 3 a file could not be read.",
)


@main.group(cls=_Commands, invoke_without_command=True, epilog=_CONFIG)
@click.pass_context
def config(context: click.Context) -> None:
    """Look at the TOML files that name services: see guestcred config check."""
    if context.invoked_subcommand is None:
        raise GuestcredError("config needs a command behind it", "guestcred config check", status=USAGE)


@config.command("check", epilog=_CONFIG)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@view_options
def config_check(view: View, files: tuple[str, ...]) -> int:
    """Find every mistake in FILE, or in the files of /etc, /run and /usr/lib/guestcred, with its line and key.

    It looks at nothing else of the guest. Where the users are known, live or from etc/passwd below DIR, one that does not
    exist is a mistake; of a FILE alone it is a warning.
    """
    return commands.config_check(view, files)


@main.command(
    epilog=ending("guestcred schema", "guestcred schema check", "0 printed, 2 usage."),
)
@click.argument("document", required=False)
def schema(document: str | None) -> int:
    """Print the JSON Schema of DOCUMENT, such as check or status; without it, list them all.

    A later version may add keys and words to a document; its number changes when a key goes or means something else.
    """
    from guestcred.cli.schemas import print_schema

    return print_schema(document)


SHELLS = "bash", "zsh", "fish"


@main.command(
    epilog=ending(
        "guestcred completion bash >/etc/bash_completion.d/guestcred",
        "guestcred completion fish | source",
        "0 printed, 2 usage.",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print what makes a shell complete commands and options: bash, zsh or fish."""
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    # not bash's own source(): it starts a bash to ask for its version
    click.echo(ShellComplete.source(kind(main, {}, "guestcred", "_GUESTCRED_COMPLETE")))
    return 0


main.add_command(dump_options.dump)
main.add_command(host_command_line.encode)
main.add_command(host_command_line.launch)
main.add_command(host_command_line.stop)


def run(arguments: list[str]) -> int:
    """Parse `arguments` and run the command; returns the exit status. Raises GuestcredError.

    With --nagios what was typed wrong is a plugin's line: to Nagios, 2 is CRITICAL.
    """
    try:
        return _parsed(arguments)
    except GuestcredError as error:
        if "--nagios" not in arguments:
            raise
        from guestcred.show.metrics import nagios_unknown

        status, line = nagios_unknown(error.problem)
        print(line)
        return status


def _parsed(arguments: list[str]) -> int:
    try:
        return int(main.main(arguments, prog_name="guestcred", standalone_mode=False) or 0)
    except click.UsageError as error:
        told = error.format_message().rstrip(".")
        path = error.ctx.command_path if error.ctx else "guestcred"
        raise GuestcredError(f"{told[:1].lower()}{told[1:]}", f"see '{path} --help'", status=USAGE) from None
    except click.exceptions.Exit as error:
        return error.exit_code
