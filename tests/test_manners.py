"""Manners of the command line: options on either side of the command, help that ends well, quiet, completion."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REFERENCE, Build
from test_cli import KEY, SECRET, run
from test_services import consumer, load

from guestcred import __version__
from guestcred.cli.command_line import main

COMMANDS = sorted(main.commands)
GUEST = ["apply --dry-run", "capture", "check", "dump", "services", "why KEY"]


@pytest.fixture
def lost(tree: Build, folder: Path) -> Path:
    """A guest that lost KEY for good, with a unit that wants it; in memory, since apply looks at nothing else."""
    made = tree([KEY], {}, cmdline=b"systemd.import_credentials=no", units=[consumer(load("key", "KEY"), delivered=())])
    shutil.copytree(made, folder / "guest")
    return folder / "guest"


def printed(tmp_path: Path, before: list[object], command: str, after: list[object]) -> str:
    """What a command prints with options on both sides."""
    words: list[object] = [*command.split()]
    if command == "capture":
        shutil.rmtree(tmp_path / "saved", ignore_errors=True)
        words.append(tmp_path / "saved")
    return run(*before, *words, *after, status=None)


def test_a_group_alone_and_its_misspelt_command() -> None:
    assert run("config", status=2) == (
        "guestcred: error: config needs a command behind it\nguestcred: hint: guestcred config check\n"
    )
    assert "hint: did you mean check?" in run("config", "chek", status=2)
    assert "hint: see all of them with 'guestcred config --help'" in run("config", "frobnicate", status=2)


@pytest.mark.parametrize("words", [["check", "--\x1b[31m"], ["completion", "\x1b[31m"], ["check", "a\x1b[31m"]])
def test_what_was_typed_wrong_cannot_steer_a_terminal(words: list[str]) -> None:
    said = run(*words, status=2)
    assert "\x1b" not in said and "hint: see 'guestcred " in said and len(said.splitlines()) == 2


@pytest.mark.parametrize("command", GUEST)
def test_options_stand_on_either_side(lost: Path, tmp_path: Path, command: str) -> None:
    options = ["--root", lost, "--systemd", "252", "--format", "json"]
    before = printed(tmp_path, options, command, [])
    assert json.loads(before)
    assert before == printed(tmp_path, [], command, options)
    assert before == printed(tmp_path, ["--json"], command, options[:4])
    assert before == printed(tmp_path, options[:4], command, ["--json"])


def test_what_stands_behind_the_command_counts(lost: Path) -> None:
    assert json.loads(run("--root", "/nowhere", "--format", "text", "check", "--root", lost, "--json", status=1))
    document = json.loads(run("--systemd", "252", "--root", lost, "--json", "check", "--systemd", "254", status=1))
    assert document["systemd"] == 254
    assert run("--json", "--root", lost, "check", "--format", "text", status=1).startswith("findings:")


def test_encode_takes_json_on_either_side() -> None:
    words = ["encode", "--for", "qemu", "--dry-run", "--set", "A=b"]
    wanted = run(*words, "--format", "json")
    assert json.loads(wanted) and wanted == run(*words, "--json") == run("--json", *words)


@pytest.mark.parametrize("command", ["check", "why KEY", "services", "apply --dry-run"])
def test_quiet_prints_what_is_wrong_and_nothing_else(lost: Path, command: str) -> None:
    root = lost
    whole = run("--root", root, *command.split(), status=None)
    quiet = run("--root", root, *command.split(), "-q", status=None)
    code, problem, fix = re.match(r"([\w-]+): (.+)\n  fix: (.+)\n", quiet).groups()  # type: ignore[union-attr]
    assert quiet in whole and len(quiet) < len(whole) and code and problem and fix
    assert quiet == run("-q", "--root", root, *command.split(), status=None)


@pytest.mark.parametrize("command", ["check", "why API_KEY", "services", "dump --list-types"])
def test_quiet_says_nothing_where_nothing_is_wrong(command: str, tree: Build) -> None:
    root = tree([b"io.systemd.credential:API_KEY=" + SECRET], {"API_KEY": SECRET}, units=[])
    said = run("-q", "--root", root, *command.split(), status=None)
    assert said == "" or command.startswith("dump") or (command == "services" and said.startswith("unrequested"))


def test_a_quiet_capture_says_nothing(tmp_path: Path) -> None:
    assert run("--root", REFERENCE, "-q", "capture", tmp_path / "saved") == ""
    assert (tmp_path / "saved/capture.json").exists()


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_ends_with_examples_and_the_exit_statuses(command: str | None) -> None:
    said = run(*([command] if command else []), "--help")
    examples, statuses = re.search(r"\n  Examples:\n((?:    .+\n)+)\n  Exit status: ([^\0]+)\Z", said).groups()  # type: ignore[union-attr]
    lines = [line.strip() for line in examples.splitlines()]
    assert len(lines) == (2 if command else 4) and all(line.startswith("guestcred ") for line in lines)
    assert command is None or lines[0].split()[1] == command
    assert said.count("Exit status") == 1 and re.search(r"\b0\s+\w", statuses)


def test_examples_of_the_guest_are_taken() -> None:
    """Each example's options are known: a wrong one would be exit 2."""
    for command in ("check", "why", "services"):
        said = run(command, "--help")
        for line in re.findall(r"^    guestcred (.+)$", said, re.MULTILINE):
            words = [word for word in line.replace("--root DIR", "").split() if word != "nginx"]
            run("--root", REFERENCE, *words)


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str) -> None:
    assert run(option) == f"guestcred, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_that_shell(shell: str) -> None:
    said = run("completion", shell)
    assert "_GUESTCRED_COMPLETE" in said and f"{shell}_complete" in said


def test_bash_completes_commands(tmp_path: Path) -> None:
    """The very file of the packages in a bash, which calls the program again."""
    program = tmp_path / "guestcred"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m guestcred "$@"\n')
    program.chmod(0o755)
    script = (
        (Path(__file__).parent.parent / "packaging/completion/guestcred").read_text()
        + '\nCOMP_WORDS=(guestcred ch); COMP_CWORD=1; _guestcred_completion guestcred; echo "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "check\n"


def test_an_unknown_shell() -> None:
    assert "completion" in run("completion", "tcsh", status=2)


def test_a_program_is_no_table() -> None:
    for form in ("text", "json"):
        said = run("dump", "/bin/true", "--format", form, status=3)
        assert said.startswith("guestcred: error: no structure could be read from /bin/true\n")


def test_a_capture_that_cannot_be_written_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere/saved", tmp_path / "file/saved", Path("/proc/saved")):
        assert "cannot write" in run("--root", REFERENCE, "capture", path, status=3)
