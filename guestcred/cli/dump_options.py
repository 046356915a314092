"""The options of `dump`: those of dmidecode, or the sentence that says what to type instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from guestcred.cli.options import ending, view_options_but_quiet
from guestcred.errors import USAGE, GuestcredError
from guestcred.show.keywords import INSTEAD, STRING_KEYWORDS, TYPE_KEYWORDS, handle_of, types_of

if TYPE_CHECKING:
    from guestcred.cli.commands import View


# click's ParamType is generic since 8.2; Debian 12 has 8.1
if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType


class _Choice(_ParamType):
    """A word that a function understands."""

    def __init__(self, name: str, read: Callable[[str], Any], hint: str) -> None:
        self.name, self.read, self.hint = name, read, hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the function makes of it."""
        if not isinstance(value, str):
            return value
        try:
            return (self.read(value),)
        except ValueError:
            return self.fail(f"{value!r} is no {self.name}: {self.hint}", param, ctx)


_TYPES = _Choice("type", types_of, f"take a number, {', '.join(TYPE_KEYWORDS)}, a name such as 'memory device', or all")
_HANDLE = _Choice("handle", handle_of, "take a number such as 0x0011")


def _union(_: click.Context, __: click.Parameter, given: Any) -> Any:
    """The types of all --type together, as dmidecode takes them (dmidecode(8))."""
    sets = [kinds for (kinds,) in given]
    return ((None if None in sets else frozenset().union(*sets)),) if sets else None


def _refuse(_: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        name = param.opts[0]
        raise GuestcredError(f"dump has no {name}", INSTEAD[name], status=USAGE)


def _instead(command: Any) -> Any:
    """Options that dmidecode has alone, so that nobody is left with an error that says nothing."""
    valued = {"--oem-string", "--dev-mem"}
    short = {"--dump": "-u", "--dev-mem": "-d", "--version": "-V"}
    for name in INSTEAD:
        names = [name, short[name]] if name in short else [name]
        flag = name not in valued
        command = click.option(*names, is_flag=flag, hidden=True, expose_value=False, callback=_refuse)(command)
    return command


@click.command(
    epilog=ending(
        "guestcred dump",
        "guestcred dump --type memory FILE",
        "0 printed, 2 usage, 3 there is no table, or no structure in it.",
    )
)
@click.argument("path", required=False, metavar="[FILE or DIR]")
@click.option(
    "-t",
    "--type",
    "kinds",
    type=_TYPES,
    metavar="TYPE",
    multiple=True,
    callback=_union,
    help="Only these types: 17, memory, 'memory device', all.",
)
@click.option("-H", "--handle", type=_HANDLE, metavar="HANDLE", help="Only the structure of this handle.")
@click.option(
    "-s",
    "--string",
    "keyword",
    type=click.Choice(list(STRING_KEYWORDS), case_sensitive=False),
    metavar="KEYWORD",
    help="One value.",
)
@click.option("--all", "everything", is_flag=True, help="The same as --type all.")
@click.option("-q", "--quiet", is_flag=True, help="Less: no handles, no types of makers.")
@click.option("--reveal", is_flag=True, help="Print the values of credentials too.")
@click.option("--dump-bin", "target", metavar="FILE", help="Save the table as dmidecode does; needs --reveal.")
@click.option("--from-dump", "saved", metavar="FILE", help="The same as FILE.")
@click.option("--list-types", is_flag=True, help="Print the words that --type takes.")
@click.option("--list-strings", is_flag=True, help="Print the words that --string takes.")
@_instead
@view_options_but_quiet
def dump(view: View, list_types: bool, list_strings: bool, **options: Any) -> int:
    """Decode a DMI table: the live one, a raw table, a `dmidecode --dump-bin` file or a folder like sysfs.

    FILE may also be Windows' RawSMBIOSData or what `dmidecode -u` prints; a link or a pipe; `-` is standard input.
    Without --type you see the OEM strings as credentials.
    """
    if list_types or list_strings:
        click.echo("\n".join(TYPE_KEYWORDS if list_types else STRING_KEYWORDS))
        return 0
    from guestcred.cli.dump import run

    return run(view, **options)
