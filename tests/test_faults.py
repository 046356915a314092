"""Faults that `apply` survives: killed at every system call, every call of the writing edge failing, and bad neighbours."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from applying import ENVIRONMENT, PROGRAM, apply, delivered, offer, put, standing
from conftest import Count
from needs import memory, need

pytestmark = pytest.mark.root

PARTS = range(8)  # every n-th point each, so that the processes of `pytest -n` share them
SAMPLE = 10
UNITS = ("demo", "gone", "new")
ERRORS = ("ENOSPC", "EACCES", "EIO")
# calls that say nothing about files: memory, signals, time and the end
NO_FILES = {"brk", "mmap", "munmap", "mprotect", "rt_sigaction", "getrandom", "prctl", "futex", "exit_group", "geteuid", "getegid", "clock_nanosleep", "mremap", "madvise", "ioctl"}  # fmt: skip
# calls of the C library's own whose failure it does not tell: rewinddir(3) and closedir(3)
UNHEEDED = {"lseek", "close"}

OLD = '[services.demo]\nuser = "demo-svc-user"\nload = ["key:KEY", "late:LATE"]\n[services.gone]\nuser = "other"\nset = ["a:b"]\n'
NEW = '[services.demo]\nuser = "demo-svc-user"\nload = ["key:KEY", "late:LATE"]\n[services.new]\nuser = "other"\nload = ["key:KEY"]\nset = ["a:b"]\n'


class Scene:
    """A guest where a run of `apply` has everything to do: from an old generation and rescues to new ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count()
        self._unchanged: list[Path] = []
        self.start = folder / "start"
        offer(self.start, {"KEY": "old-key", "LATE": "old-late", "EARLIER": "e", "SAME": "same"}, ["KEY"])
        put(self.start, "etc/guestcred/demo.toml", OLD)
        assert apply(self.start).returncode == 0
        self.old = {unit: delivered(self.start, unit) for unit in UNITS}
        offer(self.start, {"KEY": "new-key", "LATE": "new-late", "FRESH": "f", "SAME": "same"}, ["KEY"])
        put(self.start, "etc/guestcred/demo.toml", NEW)
        end = self.copy()
        assert apply(end).returncode == 0
        self.new = {unit: delivered(end, unit) for unit in UNITS}
        self.end = standing(end)
        self.before = standing(self.start)
        self.calls = self._calls()

    @property
    def writing(self) -> int:
        """The first call of those that write: under the lock all is read first, and the last of it is the users once more."""
        read = max(number for number, (_, _, line) in enumerate(self.calls) if '"passwd"' in line or '"group"' in line)
        return next(
            number for number, (_, _, line) in enumerate(self.calls) if number > read and "S_IFDIR|0711" in line
        )

    def _calls(self) -> list[tuple[str, int, str]]:
        """(name, which of its name, line) of every system call of an undisturbed run, in order."""
        trace = self.folder / "trace"
        assert traced(self.copy(), "-o", str(trace)).returncode == 0
        counts: Counter[str] = Counter()
        found = []
        for line in trace.read_text(errors="replace").splitlines():
            match = re.match(r"(\w+)\(", line)
            if match:
                counts[match[1]] += 1
                found.append((match[1], counts[match[1]], line))
        return found

    def copy(self) -> Path:
        """A guest to run in: one whose last run changed nothing, or a new one."""
        if self._unchanged:
            return self._unchanged.pop()
        root = self.folder / f"guest-{next(self._numbers)}"
        subprocess.run(["cp", "-a", self.start, root], check=True)
        return root

    def assert_whole(self, root: Path, told: str) -> bool:
        """Every reader sees all of the old or all of the new; whether it is all old."""
        for unit in UNITS:
            assert delivered(root, unit) in (self.old[unit], self.new[unit]), (told, unit)
        store = {path.name: path.read_text() for path in (root / "run/credstore").iterdir() if path.name[0] != "."}
        allowed = {"LATE": ("old-late", "new-late"), "EARLIER": ("e",), "FRESH": ("f",), "SAME": ("same",)}
        assert all(value in allowed[name] for name, value in store.items()), told
        return all(delivered(root, unit) == self.old[unit] for unit in UNITS)

    def assert_fixes(self, root: Path, told: str) -> None:
        """The next run ends as an undisturbed one does; it need not be run where this one changed nothing."""
        if standing(root) == self.before:
            self._unchanged.append(root)
            return
        done = apply(root)
        assert done.returncode == 0, (told, done)
        assert standing(root) == self.end, told
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with memory() as folder:
        yield Scene(folder)


def traced(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [need("strace"), "-qq", *options, *PROGRAM, "--root", str(root), "apply"]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def inject(root: Path, call: str, what: str, when: int) -> subprocess.CompletedProcess[str]:
    options = ["-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}"]
    return traced(root, "-o", "/dev/null", *options)


@pytest.mark.parametrize("part", PARTS)
def test_killed_at_every_system_call(scene: Scene, part: int, record_count: Count, pytestconfig: pytest.Config) -> None:
    everything = scene.calls
    first = next(number for number, (_, _, line) in enumerate(everything) if "guestcred/__init__" in line)
    writing = scene.writing
    # up to there it only reads: in a fast run some of these calls stand for the others
    reading = everything[first : writing : 1 if pytestconfig.getoption("exhaustive") else SAMPLE]
    outcomes = Counter[str]()
    for call, when, _ in [*reading, *everything[writing:]][part :: len(PARTS)]:
        root, told = scene.copy(), f"{call} {when}"
        done = inject(root, call, "signal=KILL", when)
        assert done.returncode == -9, (told, done)
        outcomes["left all old" if scene.assert_whole(root, told) else "all new"] += 1
        scene.assert_fixes(root, told)
    assert outcomes.keys() == {"left all old", "all new"}
    record_count("kill points", outcomes)


@pytest.mark.parametrize("part", PARTS)
def test_every_call_of_the_writing_edge_fails_once(scene: Scene, part: int, record_count: Count) -> None:
    everything = scene.calls
    lock = next(number for number, (call, _, _) in enumerate(everything) if call == "flock")
    writing = scene.writing
    assert lock < writing
    said = next(number for number, (_, _, line) in enumerate(everything) if re.search(r"\bwrite\(1, ", line))
    points = [
        (call, when, error)
        for call, when, _ in [everything[lock], *everything[writing:said]]
        if call not in NO_FILES
        for error in ERRORS
    ]
    assert {"mkdirat", "openat", "write", "fchown", "fchmod", "renameat", "linkat", "symlinkat", "unlinkat"} <= {call for call, *_ in points}  # fmt: skip

    def fail(point: tuple[str, int, str]) -> str:
        call, when, error = point
        root = scene.copy()
        done = inject(root, call, f"error={error}", when)
        if call in UNHEEDED and done.returncode == 0:
            assert standing(root) == scene.end, point
            shutil.rmtree(root)
            return "survived"
        assert done.returncode == 1, (point, done)
        assert re.fullmatch(r"guestcred: error: cannot (write|lock) /[^\n]*\n(guestcred: hint: [^\n]*\n)*", done.stderr), (point, done)  # fmt: skip
        is_old = scene.assert_whole(root, str(point))
        if is_old:
            temporary = {path for path in standing(root) if re.search(r"/\.(next|guestcred-next|generation-b)", path)}
            assert not temporary or call in ("unlinkat", "close", "newfstatat"), (point, temporary)
        scene.assert_fixes(root, str(point))
        return "all old" if is_old else "all new"

    outcomes = Counter(map(fail, points[part :: len(PARTS)]))
    assert {"all old", "all new"} <= outcomes.keys()
    record_count("injected faults", outcomes)
