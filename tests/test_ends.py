"""How the program ends: SIGINT at any moment, too little memory, and what nobody foresaw give no traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from applying import ENVIRONMENT, offer
from conftest import REFERENCE, Count
from needs import PYTHON, memory, need, sites

SCRIPT = Path(__file__).parent.parent / "packaging/debian/guestcred.script"
SAMPLE = 7
MEMORY = {"brk", "mmap", "munmap", "mremap", "madvise", "exit_group"}  # how many there are differs from run to run
LINE = re.compile(r"guestcred: error: [^\n]+\n(guestcred: hint: [^\n]+\n)*")
HANGS = 20.0  # seconds for what takes a tenth
COMMANDS = ["check", "why API_KEY", "dump --format json", "services", "--help"]


def script(folder: Path) -> list[str]:
    """The package's own script, with this source tree in place of what the package installs."""
    paths = [str(SCRIPT.parent.parent.parent), *sites()]
    text = SCRIPT.read_text()
    added = 'sys.path += ["/usr/lib/python3/dist-packages"]'
    assert added in text
    path = folder / "guestcred"
    path.write_text(text.replace(added, f"sys.path[:0] = {paths}"))
    return [PYTHON, "-IS", str(path)]


def calls(trace: Path) -> list[tuple[str, int]]:
    """(name, which of its name) of each system call from the first of the script's own on."""
    counts: Counter[str] = Counter()
    found, own = [], False
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        own = own or "rt_sigaction(SIGINT, {sa_handler=SIG_DFL" in line
        if match:
            counts[match[1]] += 1
            if own and match[1] not in MEMORY:
                found.append((match[1], counts[match[1]]))
    return found


@pytest.mark.root
@pytest.mark.parametrize("command", ["check", "apply", "dump"])
def test_sigint_at_every_system_call(command: str, record_count: Count, pytestconfig: pytest.Config) -> None:
    with memory() as folder:
        root = folder / "guest"
        offer(root, {"KEY": "value", "LATE": "late"}, ["KEY"])
        program = [*script(folder), "--root", str(root), command]
        strace = [need("strace"), "-qq", "-o"]  # the process that starts, and none apart from it
        subprocess.run(program, env=ENVIRONMENT, check=False, capture_output=True)  # what `apply` writes is there then
        subprocess.run([*strace, folder / "trace", *program], env=ENVIRONMENT, check=False, capture_output=True)
        everything = calls(folder / "trace")
        assert len(everything) > 100
        outcomes: Counter[str] = Counter()
        for call, when in everything[:: 1 if pytestconfig.getoption("exhaustive") else SAMPLE]:
            inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=INT:when={when}"]
            done = subprocess.run(
                [*strace, "/dev/null", *inject, *program], env=ENVIRONMENT, check=False, capture_output=True, text=True
            )
            assert done.returncode == -signal.SIGINT and not done.stderr, (call, when, done)
            outcomes["ended by SIGINT"] += 1
    record_count("interrupts", outcomes)


def test_sigint_that_is_ignored_stays_ignored() -> None:
    code = "import signal; signal.signal(2, 1); from guestcred.__main__ import main; main(); print(signal.getsignal(2))"
    command = [sys.executable, "-c", code, "--root", str(REFERENCE), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n1\n")


# Runs a command under a limit of its address space, which is the rest of what the limit leaves to it.
LIMITED = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, 2 * (int(sys.argv[1]),)); os.execv(sys.argv[2], sys.argv[2:])"


def limited(size: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-IS", "-c", LIMITED, str(size), *command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
    )


def starts(size: int, bare: Path) -> bool:
    """Whether the interpreter runs a script; with less than it needs, CPython 3.11 may ask for memory for ever."""
    try:
        return limited(size, [PYTHON, "-IS", str(bare)]).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@pytest.mark.root
@pytest.mark.parametrize("command", COMMANDS)
def test_any_lack_of_memory(command: str, record_count: Count, pytestconfig: pytest.Config) -> None:
    step = 256 << 10 if pytestconfig.getoption("exhaustive") else 1 << 20
    outcomes: Counter[str] = Counter()
    with memory() as folder:
        program = [*script(folder), *([] if command == "--help" else ["--root", str(REFERENCE)]), *command.split()]
        # from where the interpreter can run a script like this at all
        bare = folder / "bare"
        bare.write_text(Path(program[2]).read_text().replace("from guestcred.__main__ import program", "program = int"))
        size = 4 << 20
        while not starts(size, bare):
            size += 64 << 10
        expected = subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        while True:
            try:
                done = limited(size, program)
            except subprocess.TimeoutExpired:
                outcomes["CPython asks for ever"] += 1  # as it may in `starts`
                assert outcomes["CPython asks for ever"] < 3
                size += step
                continue
            if (done.returncode, done.stdout, done.stderr) == (expected.returncode, expected.stdout, expected.stderr):
                break
            size += step
            if done.returncode == 1 and re.match(
                r"MemoryError\n$|(Python path config[^$]*)?Fatal Python error: |.*\nlost sys\.stderr\n$",
                done.stderr,
                re.DOTALL,
            ):
                outcomes["no interpreter"] += 1  # it came to no line of the script; addresses differ from run to run
                continue
            # Python 3.13 says so of what it takes down at its end
            said = re.sub(r"Exception ignored in [^\n]*\nMemoryError: ?\n", "", done.stderr)
            assert done.returncode == 3 and LINE.fullmatch(said), (size, done)
            outcomes["no memory" if "memory" in done.stderr else "another error"] += 1
            assert size < 1 << 30
    assert outcomes["no memory"]
    record_count("lacks of memory", outcomes)


def test_a_package_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('no', name='click.core')")
    command = [sys.executable, "-m", "guestcred", "why", "--strict", "A"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        3,
        "",
        "guestcred: error: the Python package click is missing\n"
        "guestcred: hint: apt-get install python3-click; pipx and a virtual environment see it with --system-site-packages\n",
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("KeyError('hunter2')", "unforeseen: KeyError in guestcred/cli/commands.py, line N; please report it"),
        ("RecursionError()", "unforeseen: RecursionError in guestcred/cli/commands.py, line N; please report it"),
        ("ImportError('no x')", "unforeseen: ImportError in guestcred/cli/commands.py, line N: no x; please report it"),
        ("MemoryError()", "there is not enough memory"),
    ],
)
@pytest.mark.parametrize("command", ["check", "why A"])
def test_what_nobody_foresaw(command: str, error: str, said: str) -> None:
    code = (
        "import sys\nfrom guestcred.__main__ import main\nfrom guestcred.cli import commands\n"
        f"def fail(*_, **__): raise {error}\n"
        "commands.read_guest = fail\nsys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=False)
    told = re.sub(r"line \d+", "line N", done.stderr)
    assert (done.returncode, done.stdout, told) == (3, "", f"guestcred: error: {said}\n")
