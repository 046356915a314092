"""The picture of the layout, held: imports run one way, and the boot path imports nothing dear."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import REFERENCE
from needs import PYTHON, memory

import guestcred

PACKAGE = Path(guestcred.__file__).parent

# each module may import from those before it only
ORDER = [
    "__init__", "records", "errors", "words", "smbios", "layout", "credential", "offered", "tree", "guest", "stores", "users", "causes", "lookup", "compare", "why",
    "saved", "access", "units", "bus", "config", "consumers", "services",
    "report", "sources", "plan", "folders", "changes", "install", "receipt", "journal", "dump", "disguise", "capture", "commands",
    "secret", "encode", "forms", "memory", "launch", "host", "cli", "__main__",
]  # fmt: skip
ONLY = {
    "construct": {"layout"},
    "click": {"cli"},
    "subprocess": {"guest"},
    "json": {"guest", "consumers", "capture", "commands", "forms", "launch", "host"},
    "ctypes": {"memory"},
    "_ctypes": {"__main__"},
    "http.client": {"launch"},
    "jeepney": {"bus"},
    "socket": {"bus", "launch"},
    "systemd": {"journal"},
    "tomllib": {"config"},
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom("guestcred", names):
                found |= {f"guestcred.{alias.name}" for alias in names}
            case ast.ImportFrom(str(module)):
                found.add(module)
    return found


def test_imports_run_one_way() -> None:
    assert sorted(ORDER) == sorted(path.stem for path in PACKAGE.glob("*.py"))
    for number, module in enumerate(ORDER):
        for name in imports(PACKAGE / f"{module}.py"):
            top, _, below = name.partition(".")
            if top == "guestcred" and below != "__version__":
                assert ORDER.index(below) < number, f"{module} imports {name}"
            assert module in ONLY.get(top, {module}), f"{module} imports {name}"


@pytest.mark.parametrize("command", ["check", "apply"])
def test_the_boot_path_imports_nothing_dear(command: str) -> None:
    with memory() as folder:
        root = folder / "debian13"
        shutil.copytree(REFERENCE, root)
        code = (
            f"import sys; sys.path[:0] = [{str(PACKAGE.parent)!r}]; sys.argv = ['guestcred', '--root', *sys.argv[1:]]\n"
            "from guestcred.__main__ import main\n"
            "status = main()\n"
            "print(*sorted(sys.modules), file=sys.stderr); sys.exit(status)"
        )
        # without site, by which a package of the machine's may import anything
        command_line = [PYTHON, "-I", "-S", "-c", code, str(root), command]
        done = subprocess.run(command_line, capture_output=True, text=True, check=True)
    dear = {"construct", "click", "dataclasses", "typing", "inspect", "subprocess", "argparse", "systemd"}
    if command == "apply":
        dear |= {"tomllib", "ctypes"}
    assert not dear & set(done.stderr.split())


def test_records_print_no_value() -> None:
    from guestcred.offered import Accepted

    one = Accepted("KEY", "text", b"hunter2", 14, 1, 0)
    assert repr(one) == "Accepted(name='KEY', encoding='text', value=<bytes of 7>, handle=14, index=1, instance=0)"
    assert one == Accepted(name="KEY", encoding="text", value=b"hunter2", handle=14, index=1, instance=0)
