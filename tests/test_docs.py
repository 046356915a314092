"""README.md and docs/ are true: samples are what the program prints, and what they name is there.

A sample is a block marked `console`, with a comment before it that names its guest in fixtures/dmi, such as
`<!-- guest: debian14-hidden-entries -->`; a comma and `without PATH` behind the name takes that path away first.
After an intended change, `.venv/bin/python tests/test_docs.py --write` writes the samples again.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from pkgutil import resolve_name

import pytest
import reference
from test_nix import nix

import guestcred
from guestcred.host.vm_options import OPTIONS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/man").glob("*.md"))]
MARK = re.compile(r"\s*<!-- guest: (?P<guest>[\w-]+)(?:, without (?P<without>[\w./@-]+))? -->")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COMMANDS = (
    *("apply", "capture", "check", "completion", "config", "dump", "encode", "launch", "schema", "services", "status"),
    *("stop", "why"),
)
# options of other programs that the pages name without their program, and one that stands for any
OTHERS = {"--backend", "--cfg", "--dbus", "--gpu", "--oem-strings", "--option", "--restore", "--smbios"}
OTHERS |= {"--system-site-packages"}
THEIRS = {f"--{name}" for name in OPTIONS}  # cloud-hypervisor's own command line


@dataclass(frozen=True)
class Block:
    """The lines between two fences; `start` and `end` are the lines of the page that it fills."""

    page: Path
    language: str
    mark: re.Match[str] | None
    start: int
    end: int
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.start}"


def read_blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines, opened = page.read_text().splitlines(), None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        inside = tuple(lines[opened + 1 : number])
        mark = MARK.fullmatch(lines[opened - 1]) if opened else None
        yield Block(page, lines[opened].strip(" `"), mark, opened + 1, number, inside)
        opened = None
    assert opened is None, f"{page.name}: the block of line {opened} has no end"


BLOCKS = [block for page in PAGES for block in read_blocks(page)]
SAMPLES = [block for block in BLOCKS if block.language == "console"]


def print_of(guest: str, without: str | None, command: str) -> str:
    """What the program prints for a command at that guest, with paths as they are in the guest."""
    program, *arguments = shlex.split(command)
    assert program == "guestcred", f"a sample runs guestcred, and not {program}"
    # in memory, since apply writes nowhere else
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="guestcred-") as folder:
        root = Path(folder) / guest
        shutil.copytree(ROOT / "fixtures/dmi" / guest, root)
        # independent of the umask that the clone was made with
        subprocess.run(["chmod", "-R", "go-w", str(root)], check=True)
        if without:
            shutil.rmtree(root / without)
        command_line = [sys.executable, "-m", "guestcred", "--root", str(root), *arguments]
        done = subprocess.run(command_line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout
    return done.stdout.replace(f"{root}/", "/")


def true_lines(sample: Block) -> list[str]:
    """The sample's lines as they have to be: each of its commands and what it prints."""
    assert sample.mark, f"{sample.place}: no line '<!-- guest: NAME -->' before this sample tells where it is from"
    lines: list[str] = []
    for command in (line[2:] for line in sample.lines if line.startswith("$ ")):
        lines += [f"$ {command}", *print_of(sample.mark["guest"], sample.mark["without"], command).splitlines()]
    return lines


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda block: block.place)
def test_samples_are_what_the_program_prints(sample: Block) -> None:
    lines = true_lines(sample)
    assert lines, "a sample shows a command, on a line that begins with '$ '"
    assert list(sample.lines) == lines, "if this is meant: .venv/bin/python tests/test_docs.py --write"


def test_output_is_shown_in_samples_only() -> None:
    for block in BLOCKS:
        shows = any(line.lstrip().startswith("$ ") for line in block.lines)
        assert not shows or block.language == "console", f"{block.place}: mark this block as 'console'"
        assert not block.mark or block.language == "console", f"{block.place}: only a 'console' block has a guest"


def test_the_first_page_is_short() -> None:
    assert len(PAGES[0].read_text().splitlines()) <= 150, "README.md is the first look; the rest belongs into docs/"


def test_the_site_has_every_page() -> None:
    listed = re.findall(r"^[\w./-]+$", (ROOT / "docs/index.md").read_text(), re.MULTILINE)
    pages = [str(page.relative_to(ROOT / "docs").with_suffix("")) for page in PAGES[1:]]
    assert sorted(pages) == sorted(["index", *listed])


def test_nix_is_nix(tmp_path: Path) -> None:
    blocks = [block for block in BLOCKS if block.language == "nix"]
    assert {block.page.name for block in blocks} == {"README.md", "host.md"}
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.nix").write_text("\n".join(["{ inputs, pkgs }:", *block.lines]))
        done = nix("--parse", tmp_path / f"{number}.nix", folder=tmp_path)
        assert done.returncode == 0, f"{block.place}: {done.stderr}"


def test_the_first_samples_are_those_of_make_demo() -> None:
    recipe = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shown = re.findall(r"\$ %s\\n' '\S+guestcred --root fixtures/dmi/(\S+) ([\w -]+\w)'", recipe)
    samples = [
        (block.mark["guest"], line.removeprefix("$ guestcred "))
        for block in SAMPLES
        if block.page.name == "README.md" and block.mark
        for line in block.lines
        if line.startswith("$ ")
    ]
    assert shown and samples[: len(shown)] == shown


def code(page: Path) -> Iterator[str]:
    """All that a page shows as code: spans, and lines of blocks, joined where a backslash continues them."""
    text = page.read_text()
    yield from SPAN.findall(re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL).replace("\\|", "|"))
    for block in read_blocks(page):
        lines = [line[2:] for line in block.lines if line.startswith("$ ")] if block in SAMPLES else block.lines
        yield from re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()


@cache
def helps(arguments: tuple[str, ...]) -> str:
    """What `guestcred ARGUMENTS --help` prints; fails where it does not take these arguments."""
    command_line = [sys.executable, "-m", "guestcred", *arguments, "--help"]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"guestcred {shlex.join(arguments)}: {done.stderr}"
    return done.stdout


def invocations(page: Path) -> Iterator[list[str]]:
    """The arguments of each guestcred that a page shows; `[]` of a synopsis and what is for the shell left out."""
    for line in code(page):
        if line.startswith("from guestcred import "):
            continue
        started = re.search(r"(?:^|\s|/bin/)guestcred ((?:[\[-]|[a-z]+\b(?![.:])|COMMAND\b).*)", line)
        if not started and line.split(" ", 1)[0] not in COMMANDS:
            continue
        told = started[1] if started else line
        words = re.split(r" -- | \\?\| ?|[ (]#|[<>;&]|\.\.\.", re.sub(r"[\[\]]", "", told))[0]
        yield ["257" if word == "VERSION" else word for word in shlex.split(words)]


INVOCATIONS = [(page, arguments) for page in PAGES for arguments in invocations(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_are_there(page: Path) -> None:
    for arguments in (arguments for where, arguments in INVOCATIONS if where == page):
        at = arguments.index("COMMAND") if "COMMAND" in arguments else None
        for command in COMMANDS if at is not None else ("",):
            words = [*arguments[:at], command, *arguments[at + 1 :]] if at is not None else arguments
            told = helps(tuple(words))
            for option, value in pairwise(words):
                # where the option takes one of a few words, the page gives such a word, or a placeholder
                choices = re.search(rf"^ +{option} \[(.+?)\]", told, re.MULTILINE)
                if option.startswith("--") and choices and not value.isupper():
                    assert set(value.split("|")) <= set(choices[1].split("|")), f"{option} {value}"


def test_every_command_is_shown() -> None:
    shown = {word for _, arguments in INVOCATIONS for word in arguments}
    assert set(COMMANDS) <= shown
    assert re.findall(r"^  (\w+) ", helps(()).split("Commands:")[1].split("\n\n")[0], re.MULTILINE) == list(COMMANDS)


def test_options_that_stand_alone_are_there() -> None:
    told = "".join(helps(arguments) for arguments in ((), *((command,) for command in COMMANDS)))
    known = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", told, re.MULTILINE))
    for page in PAGES:
        for span in code(page):
            if option := re.match(r"--[a-z][\w-]+", span):
                assert option[0].rstrip("-") in known | OTHERS | THEIRS, f"{page.name}: {span}"
    assert not known & OTHERS


def test_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w./-]+):", makefile, re.MULTILINE))
    named = {
        target
        for page in PAGES
        for snippet in code(page)
        for target in re.findall(r"(?:^|&& )make ([a-z][\w-]*)", snippet)
    }
    assert {"demo", "test"} <= named
    assert named - targets == set()
    variables = {
        name for page in PAGES for snippet in code(page) for name in re.findall(r"^make .*?\b([A-Z_]+)=", snippet)
    }
    assert {name for name in variables if f"$({name})" not in makefile} == set()


def headings(page: Path) -> set[str]:
    """The anchors of a page, as its readers' programs make them of its headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in headings(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_are_there(page: Path) -> None:
    within = "|".join(
        sorted(folder.name for folder in ROOT.iterdir() if folder.is_dir() and folder.name[0] not in "._")
    )
    for path in re.findall(rf"(?<![\w/.}}@:-])(?:\./)?((?:{within})/[\w@./*-]*[\w/*])", page.read_text()):
        if not path.startswith(("build/", "dist/")):
            assert list(ROOT.glob(path.rstrip("/"))), path


def test_the_library_is_as_told() -> None:
    named = re.findall(r"`(guestcred\.[\w.]+)`", (ROOT / "docs/smbios.md").read_text())
    assert len(named) > 2
    for name in named:
        resolve_name(name)


def test_every_word_is_told() -> None:
    assert reference.PAGE.read_text() == reference.page(), (
        "if this is meant: .venv/bin/python tests/test_docs.py --write"
    )
    untold = [
        f"{kind} {word}" for (kind, word), (means, _) in reference.on_the_page().items() if means == reference.UNTOLD
    ]
    assert not untold, f"docs/reference.md does not say what these mean: {', '.join(untold)}"
    assert len(reference.on_the_page()) > 80


def test_the_schemas_are_there() -> None:
    package = Path(guestcred.__file__).parent
    source = "".join(file.read_text() for file in package.rglob("*.py"))
    for page in PAGES:
        for schema in re.findall(r"guestcred\.[\w-]+/\d+", page.read_text()):
            assert schema in source, f"{page.name}: {schema}"


def write(page: Path) -> None:
    """Write the samples of a page again."""
    lines = page.read_text().splitlines()
    for sample in reversed([block for block in SAMPLES if block.page == page]):
        lines[sample.start : sample.end] = true_lines(sample)
    page.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"type: {sys.argv[0]} --write")
    for page in PAGES:
        write(page)
    reference.PAGE.write_text(reference.page())
