"""Options that several commands have, and how the help of each ends."""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from guestcred.cli.commands import View

# click's ParamType is generic since 8.2; Debian 12 has 8.1
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
            self.fail(f"{value!r} is not a systemd version; write it like 257", param, ctx)
        return int(digits)


FORM_OPTIONS = (
    click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        help="For people, or one JSON document.  [default: text]",
    ),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print only what is wrong.")
VIEW_OPTIONS = (
    click.option("--root", metavar="DIR", help="Look at a captured tree below DIR instead of the live system."),
    click.option(
        "--systemd",
        type=SystemdVersion(),
        metavar="VERSION",
        help="Use the rules of this systemd, such as 252, instead of the version found.",
    ),
    *FORM_OPTIONS,
)


def _with(options: tuple[Any, ...], function: Any) -> Any:
    for option in reversed(options):
        function = option(function)
    return function


def asked(view: View, options: dict[str, Any]) -> View:
    """The view, changed by those of its options that were given; takes them out of `options`."""
    given = {field: options.pop(field) for field in ("root", "systemd", "form")}
    if options.pop("as_json"):
        given["form"] = "json"
    changed = {field: value for field, value in given.items() if value is not None}
    return view.replace(**changed, quiet=options.pop("quiet", False) or view.quiet)


def view_options(function: Any) -> Any:
    """Give a command the options that it may have before its name too, and call it with the view that they make."""
    return _viewed((*VIEW_OPTIONS, QUIET), function)


def view_options_but_quiet(function: Any) -> Any:
    """The same without -q."""
    return _viewed(VIEW_OPTIONS, function)


def _viewed(options: tuple[Any, ...], function: Any) -> Any:
    @click.pass_context
    def command(context: click.Context, /, **rest: Any) -> int:
        # -q of the command's own means something else
        own = {} if QUIET in options else {"quiet": rest.pop("quiet", None)}
        view = asked(context.obj, rest)
        return int(function(view, **rest, **{name: value for name, value in own.items() if value is not None}))

    return _with(options, update_wrapper(command, function))


def view_group_options(function: Any) -> Any:
    """The same options before the command."""
    return _with((*VIEW_OPTIONS, QUIET), function)


def form_options(function: Any) -> Any:
    """--format and --json for a command that looks at no guest: both come as `form`."""

    def command(*values: Any, form: str | None, as_json: bool, **rest: Any) -> Any:
        before: View = click.get_current_context().obj
        return function(*values, form="json" if as_json else form or before.form, **rest)

    return _with(FORM_OPTIONS, update_wrapper(command, function))


strict_option = click.option("--strict", is_flag=True, help="Exit with 1 also for what was lost and rescued.")


def ending(*told: str) -> str:
    """How the help of a command ends: examples, and last its exit statuses."""
    *examples, statuses = told
    return "\b\nExamples:" + "".join(f"\n  {example}" for example in examples) + f"\n\nExit status: {statuses}"
