"""The manual pages' directives: the help of guestcred's commands, as click has it, in the pages' own form."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from guestcred.cli.command_line import main

CODE = re.compile(r"`([^`]+)`")
ENDING = re.compile(r"\x08\nExamples:\n(?P<examples>.*?)\n\nExit status: (?P<statuses>.*)", re.DOTALL)


def paragraph(text: str) -> nodes.paragraph:
    """A paragraph of help, in which backticks stand around what is typed."""
    made = nodes.paragraph()
    for number, part in enumerate(CODE.split(" ".join(text.split()))):
        made += nodes.literal(text=part) if number % 2 else nodes.Text(part)
    return made


def ending(command: click.Command) -> re.Match[str]:
    """The examples and the exit statuses at the end of a command's help."""
    found = ENDING.fullmatch(command.epilog or "")
    assert found, f"the help of {command.name} has another end than cli/options.py::ending gives it"
    return found


def examples(command: click.Command) -> nodes.literal_block:
    """What people type."""
    return nodes.literal_block(text="\n".join(line.strip() for line in ending(command)["examples"].splitlines()))


def listed(rows: list[tuple[str, list[nodes.Node]]]) -> list[nodes.Node]:
    """What is typed, and below each what it means; nothing where there are no rows."""
    made = nodes.definition_list()
    for typed, told in rows:
        made += nodes.definition_list_item(
            "", nodes.term("", "", nodes.strong(text=typed)), nodes.definition("", *told)
        )
    return [made] if rows else []


def description(command: click.Command) -> Iterator[nodes.Node]:
    """What a command does; `\b` is click's mark of lines that stay as they are, here of a word or line and what it means."""
    for part in inspect.cleandoc(command.help or "").split("\n\n"):
        if part.startswith("\b\n"):
            rows = (row.partition("  ") for row in part[2:].replace("\n  ", "  ").splitlines())
            yield from listed([(typed, [paragraph(told)]) for typed, _, told in rows])
        else:
            yield paragraph(part)


def options(command: click.Command) -> list[nodes.Node]:
    """The options of a command, without those that every command has."""
    context = click.Context(command, help_option_names=main.context_settings["help_option_names"])
    common = [] if command is main else [param.to_info_dict() for param in main.get_params(context)]
    own = [param for param in command.get_params(context) if param.to_info_dict() not in common]
    records = [
        record for param in own if isinstance(param, click.Option) and (record := param.get_help_record(context))
    ]
    return listed([(typed, [paragraph(told)]) for typed, told in records])


def usage(command: click.Command, group: str | None = None) -> str:
    """The arguments of a command, without its options; `group` is the word before it, where it has one."""
    context = click.Context(command, info_name=command.name)
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    return " ".join(["guestcred", *([group] if group else []), str(command.name), *arguments])


def statuses(command: click.Command) -> nodes.paragraph:
    """What its exit statuses mean."""
    told = ending(command)["statuses"]
    return paragraph(told[0].upper() + told[1:])


def whole(command: click.Command) -> list[nodes.Node]:
    """All of a command."""
    told = paragraph(f"Exit status: {ending(command)['statuses']}")
    return [*description(command), *options(command), paragraph("Examples:"), examples(command), told]


BODIES: dict[str, Callable[..., list[nodes.Node]]] = {
    "options": lambda command: options(command),
    "description": lambda command: list(description(command)),
    "examples": lambda command: [examples(command)],
    "statuses": lambda command: [statuses(command)],
    "commands": lambda *commands: listed(
        [
            (usage(leaf, command.name if leaf is not command else None), whole(leaf))
            for command in commands
            for leaf in (command.commands.values() if isinstance(command, click.Group) else [command])
        ]
    ),
}


class OfCommands(SphinxDirective):
    """A directive whose arguments are commands; without one, it is of guestcred itself."""

    optional_arguments = len(main.commands)

    def run(self) -> list[nodes.Node]:
        """As docutils wants it."""
        return BODIES[self.name](*([main.commands[name] for name in self.arguments] or [main]))


def setup(app: Sphinx) -> None:
    """Sphinx calls it."""
    for name in BODIES:
        app.add_directive(name, OfCommands)
