"""Options, help and exit statuses; the only module that knows click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from guestcred import __version__, commands
from guestcred.smbios import OEM_STRINGS

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
    /run/credentials/@system. guestcred compares the two and says why they differ. It prints no values.

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
@click.argument("name", callback=_credential_name)
@format_option
@click.pass_obj
def why(where: dict[str, Any], name: str, form: str) -> int:
    """Tell one credential's whole way, and where it was lost."""
    return commands.why(name, form=form, **where)


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
