"""Options that several commands have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

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


format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or one JSON document.",
)

strict_option = click.option("--strict", is_flag=True, help="Exit with 1 also for what was lost and rescued.")
