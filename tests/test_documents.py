"""The pages for those who work on the code are true: files and names in them are there, and no module is left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import guestcred

PACKAGE = Path(guestcred.__file__).parent
ROOT = PACKAGE.parent
MAP = ROOT / "docs" / "architecture.md"
PAGES = [MAP, ROOT / "CONTRIBUTING.md"]

# `tests/test_cli.py`, or a path below the package such as `guest/users.py`, and `::NAME` or `::CLASS.NAME` for what is in it
NAMED = re.compile(r"(?<![\w./-])([\w./-]+\.py)\b(?:::([\w.]+))?")


def named(page: Path) -> set[tuple[str, str]]:
    """(file as the page has it, name in it or "") of all that a page names."""
    return set(NAMED.findall(page.read_text()))


def places(file: str) -> list[Path]:
    """Where a file may be that a page names."""
    return [path for path in (ROOT / file, PACKAGE / file) if path.is_file()]


def names_in(path: Path) -> set[str]:
    """The names that a module gives to something, and those in its classes as `CLASS.NAME`."""

    def below(body: list[ast.stmt]) -> Iterator[str]:
        for node in body:
            match node:
                case ast.FunctionDef(name=name):
                    yield name
                case ast.ClassDef(name=name, body=inside):
                    yield name
                    yield from (f"{name}.{inner}" for inner in below(inside))
                case ast.Assign(targets=targets):
                    yield from (
                        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
                    )
                case ast.AnnAssign(target=ast.Name(id=name)):
                    yield name

    return set(below(ast.parse(path.read_text()).body))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    found = named(page)
    assert found
    stale = []
    for file, name in sorted(found):
        paths = places(file)
        if not paths:
            stale += [] if file in stale else [file]
        elif name and not any(name in names_in(path) for path in paths):
            stale.append(f"{file}::{name}")
    assert not stale, f"{page.name} names what is not there (any more): {', '.join(stale)}"


def test_the_map_has_every_module() -> None:
    on_it = {path for file, _ in named(MAP) for path in places(file)}
    # a room is in the picture, and its __init__.py has no code
    modules = {path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent == PACKAGE}
    missing = sorted(str(path.relative_to(PACKAGE)) for path in modules - on_it)
    assert not missing, f"docs/architecture.md says nothing of {', '.join(missing)}"


def test_a_room_says_what_lives_in_it_and_has_no_code() -> None:
    for path in sorted(PACKAGE.glob("*/__init__.py")):
        body = ast.parse(path.read_text()).body
        assert ast.get_docstring(ast.Module(body, [])), f"{path}: a docstring"
        # the parser is a library of its own: what it gives is named here, and imported by who asks for it
        defined = names_in(path) | ({"__getattr__"} if path.parent.name == "smbios" else set())
        allowed = {"TYPE_CHECKING", "__all__", "__getattr__"} if path.parent.name == "smbios" else set()
        assert defined == allowed, f"{path}: nothing but a docstring"
        assert len(body) == (1 + len(allowed)), f"{path}: nothing but a docstring"


def test_before_a_commit_runs_what_make_lint_runs() -> None:
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    linted = [line.strip().removeprefix("@").replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    hooks = re.findall(r"^ +entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    assert linted and hooks == linted, ".pre-commit-config.yaml and make lint run different commands"
