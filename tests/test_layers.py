"""The picture of the layout, held: imports run one way, and the boot path imports nothing dear."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import REFERENCE
from needs import PYTHON, memory, sites

import guestcred

PACKAGE = Path(guestcred.__file__).parent

# each module may import from those before it only
# each room may import only the rooms before it: docs/architecture.md has the picture
ROOMS = ["smbios", "systemd", "guest", "diagnose", "apply", "capture", "host", "show", "cli"]
TOP = {
    "guestcred",
    *(
        f"guestcred.{name}"
        for name in ("errors", "record", "text", "descriptor", "outcome", "c_modules", "apart", "manifest")
    ),
}
ONLY = {
    "construct": {"smbios.declaration", "smbios.layout"},
    "click": {"cli.options", "cli.dump_options", "cli.command_line", "cli.host_command_line"},
    "subprocess": {"guest.sealed", "host.tmpfiles"},  # they ask systemd-creds and systemd-tmpfiles
    "json": {
        *("guest.facts", "guest.deliveries", "capture.tree"),
        *(
            "host.doubts",
            "host.hypervisors",
            "host.launch",
            "host.answer",
            "host.power",
            "cli.commands",
            "cli.host",
            "cli.launch",
            "cli.schemas",
        ),
    },
    "ctypes": set(),
    **{name: {"c_modules"} for name in ("_ctypes", "_operator", "_json", "_signal", "_socket")},
    "http.client": {"host.vmm_api"},
    "jeepney": set(),
    "socket": {
        "c_modules",
        "systemd.bus",
        "host.vmm_api",
        "host.channel",
        "host.service_manager",
        "host.guest_ready",
        "host.power",
    },
    "systemd": {"c_modules", "guest.journal"},
    "tomllib": {"guest.toml_file"},
}


def modules() -> dict[str, Path]:
    """Every module by its name below the package: `smbios.walk`."""
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path) -> set[str]:
    """The full names of the modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(str(module), names) if module.partition(".")[0] == "guestcred":
                below = {f"{module}.{alias.name}" for alias in names}
                found |= {name if name.removeprefix("guestcred.") in modules() else module for name in below}
            case ast.ImportFrom(str(module)):
                found.add(module)
    return found


def test_imports_run_one_way() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(ROOMS)
    for module, path in modules().items():
        room = module.partition(".")[0]
        reach = set(ROOMS[: ROOMS.index(room) + 1]) if room in ROOMS else set(ROOMS) if room == "__main__" else set()
        for name in imports(path):
            top, _, below = name.partition(".")
            if top == "guestcred" and name not in TOP:
                assert below.partition(".")[0] in reach, f"{module} imports {name}"
            assert module in ONLY.get(name, ONLY.get(top, {module})), f"{module} imports {name}"


def test_no_two_modules_import_each_other() -> None:
    graph = {
        name: {imported.removeprefix("guestcred.") for imported in imports(path)} for name, path in modules().items()
    }
    order = TopologicalSorter({name: below & graph.keys() for name, below in graph.items()})
    order.prepare()


def test_the_picture_has_every_room() -> None:
    picture = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    assert re.findall(r"^(\w+)/ ", picture, re.MULTILINE) == ROOMS


def loaded(*arguments: str, cut: int = 0) -> set[str]:
    """The modules that a command on the reference loads, with `cut` bytes of its table missing at the end."""
    with memory() as folder:
        root = folder / "debian13"
        shutil.copytree(REFERENCE, root)
        table = root / "sys/firmware/dmi/tables/DMI"
        data = table.read_bytes()
        table.write_bytes(data[: len(data) - cut])
        code = (
            f"import sys; sys.path[:0] = {[str(PACKAGE.parent), *sites()]!r}; sys.argv = ['guestcred', '--root', *sys.argv[1:]]\n"
            "from guestcred.__main__ import main\n"
            "status = main()\n"
            "print(*sorted(sys.modules), file=sys.stderr); sys.exit(status)"
        )
        # without site, by which a package of the machine's may import anything
        command_line = [PYTHON, "-I", "-S", "-c", code, str(root), *arguments]
        done = subprocess.run(command_line, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("cut", [0, 1], ids=["whole", "ends-badly"])
@pytest.mark.parametrize("command", ["check", "apply", "apply --early"])
def test_the_boot_path_imports_nothing_dear(command: str, cut: int) -> None:
    dear = {"construct", "click", "dataclasses", "typing", "inspect", "subprocess", "argparse", "systemd"}
    if command != "check":  # no service is configured
        dear |= {
            "tomllib",
            "ctypes",
            "select",
            "guestcred.guest.config",
            "guestcred.guest.users",
            "guestcred.guest.sources",
        }
    found = loaded(*command.split(), cut=cut)
    assert not dear & found and ("guestcred.smbios.entry_point" in found) == (cut > 0)


@pytest.mark.parametrize("command", ["why API_KEY", "status", "services"])
def test_what_people_wait_for_imports_nothing_dear(command: str) -> None:
    dear = {"construct", "click", "dataclasses", "typing", "enum", "re", "json", "contextlib", "tomllib", "systemd"}
    assert not dear & loaded(*command.split())


def test_what_asks_pid_1_imports_nothing_dear() -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(PACKAGE.parent)!r}]; import guestcred.systemd.bus, guestcred.c_modules as c\n"
        "c.unix_socket(); print(*sys.modules)"
    )
    done = subprocess.run([PYTHON, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not {"socket", "selectors", "enum", "re", "typing", "collections"} & set(done.stdout.split())


def test_an_early_run_that_rescues_nothing_imports_little() -> None:
    found = {module for module in loaded("apply", "--early") if module.startswith("guestcred.")}
    assert not found & {"guestcred.diagnose.evidence", "guestcred.apply.deliveries"}
    assert len(found) < 42


@pytest.mark.parametrize(
    ("line", "themes"),
    [
        ("dump", set()),
        ("dump --type 11", {"system"}),
        ("dump -t memory -q", {"memory"}),
        ("dump --string system-uuid", {"system"}),
        ("dump --all", {"firmware", "system", "processor", "memory", "memory_addresses", "control", "other"}),
    ],
)
def test_dump_imports_what_the_asked_types_need(line: str, themes: set[str]) -> None:
    found = loaded(*line.split())
    assert not {"construct", "click", "dataclasses", "typing", "inspect", "re", "enum", "json"} & found
    prefix = "guestcred.smbios.types."
    imported = {name.removeprefix(prefix) for name in found if name.startswith(prefix)}
    assert {name for name in imported if not name.endswith("_words")} == themes


@pytest.mark.parametrize("line", ["dump --all --json", "why API_KEY"])
def test_nothing_that_only_reads_needs_construct(line: str) -> None:
    assert "construct" not in loaded(*line.split())


# all that makes, changes or removes a file, and where that may stand; `apart` writes to its pipe
WRITING = {
    *("write", "writev", "mkdir", "makedirs", "rename", "replace", "link", "symlink", "mkfifo", "memfd_create"),
    *(
        "unlink",
        "remove",
        "rmdir",
        "removedirs",
        "truncate",
        "ftruncate",
        "chmod",
        "fchmod",
        "chown",
        "fchown",
        "utime",
    ),
}
WRITERS = {
    "apart",
    "apply.dirfd",
    "apply.install",
    "guest.as_user",
    "host.tmpfs",
    "host.qemu",
    "host.channel",
    "host.guest_ready",
    "host.vmm_process",
    "cli.host",
    "cli.dump",
}


def writes(path: Path) -> list[str]:
    """The calls in a file that write files: those of os, and open() for writing."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("os" | "shutil"), attr=name)) if name in WRITING | {
                "rmtree"
            }:
                found.append(name)
            case ast.Call(func=ast.Name("open"), args=[_, ast.Constant(str(mode)), *_]) if set(mode) & set("wxa+"):
                found.append(f"open {mode}")
            case ast.Attribute(attr="write_bytes" | "write_text" | "O_CREAT" | "O_TMPFILE" as name):
                found.append(name)
    return found


def test_few_modules_write_files() -> None:
    writers = {module for module, path in modules().items() if writes(path)}
    assert writers == WRITERS
