"""The manual pages, the examples and the completion that packages bring along."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from click import Option
from manual import MAN, ROOT, pages
from needs import need

from guestcred.cli.command_line import main
from guestcred.guest.config import read_services
from guestcred.guest.rootfs import Tree
from guestcred.guest.toml_file import KEYS

PAGES = ["guestcred-launch.1", "guestcred.1", "guestcred.service.8", "guestcred.toml.5"]
SYSTEMD = ROOT / "packaging/systemd"
EXAMPLE = ROOT / "packaging/examples/services.toml"


@cache
def shown(page: str) -> str:
    """A page as a terminal of 80 columns shows it."""
    command = [need("mandoc"), "-T", "utf8", "-O", "width=80", str(MAN / page)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(".\b", "", told)  # bold is printed twice, and underlined over a line


def test_they_are_made_of_the_help_and_docs() -> None:
    held = {path.name: path.read_text() for path in MAN.iterdir()}
    assert held == pages(), "if this is meant: .venv/bin/python tests/manual.py"
    assert sorted(held) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_they_are_clean(page: str) -> None:
    # not style, by which no line of the source is longer than 80 bytes
    command = [need("mandoc"), "-T", "lint", "-W", "warning", str(MAN / page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES)
def test_they_fit_a_terminal(page: str) -> None:
    text = shown(page)
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert all(f"\n{section}\n" in text for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"))


def test_they_have_all_commands_and_options() -> None:
    common = {option for param in main.params for option in param.opts}
    for name, command in main.commands.items():
        text = shown("guestcred-launch.1" if name == "launch" else "guestcred.1")
        assert f"guestcred {name}" in text
        shown_options = [param for param in command.params if isinstance(param, Option) and not param.hidden]
        for option in {option for param in shown_options for option in param.opts} - common:
            assert re.search(rf"^ +(-\w, )?{option}\b", text, re.MULTILINE), f"{name} {option}"


def test_they_have_all_keys_of_the_configuration() -> None:
    (section,) = re.findall(r"^KEYS\n(.*?)^EXAMPLES\n", shown("guestcred.toml.5"), re.MULTILINE | re.DOTALL)
    assert re.findall(r"^ {7}([a-z]+)(?: +[A-Z]|$)", section, re.MULTILINE) == list(KEYS)


def test_units_name_pages_that_are_there() -> None:
    for unit in [path for path in SYSTEMD.iterdir() if path.suffix in (".service", ".timer", ".mount")]:
        (named,) = re.findall(r"^Documentation=man:(\S+)\((\d)\)$", unit.read_text(), re.MULTILINE)
        assert ".".join(named) in PAGES, unit.name
        assert unit.name in shown(".".join(named)), unit.name


def test_the_preset_enables_what_can_be_enabled() -> None:
    enabled = re.findall(r"^enable (\S+)$", (SYSTEMD / "80-guestcred.preset").read_text(), re.MULTILINE)
    assert sorted(enabled) == sorted(
        path.name for path in SYSTEMD.iterdir() if path.is_file() and "\n[Install]\n" in path.read_text()
    )


def test_the_example_is_a_configuration(folder: Path) -> None:
    (folder / "etc/guestcred").mkdir(parents=True)
    shutil.copy(EXAMPLE, folder / "etc/guestcred/services.toml")
    (folder / "etc/guestcred/services.toml").chmod(0o644)
    (service,) = read_services(Tree(str(folder)))
    assert (service.unit, service.required) == ("demo-oem-credentials.service", ("api-key",))
    assert all(f"\n{key} = " in EXAMPLE.read_text() for key in KEYS)


@pytest.mark.parametrize(("shell", "file"), [("bash", "guestcred"), ("zsh", "_guestcred"), ("fish", "guestcred.fish")])
def test_completion_is_that_of_the_installed_program(shell: str, file: str) -> None:
    assert f"guestcred completion {shell}" in (ROOT / "packaging/completion" / file).read_text()
