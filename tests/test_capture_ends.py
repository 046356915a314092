"""A capture that is ended at every system call is there whole, or nothing of it is."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import Count
from needs import need
from test_capture_writing import FILES, WHOLE, tree

from guestcred.outcome import ENDING

ALONE = (
    f"import sys; from guestcred.capture.writing import write_tree; write_tree(sys.argv[1], {FILES!r}); print('done')"
)


def traced(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [need("strace"), "-qq", *options, sys.executable, "-c", ALONE, str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """(name, which of its name) of every system call from the look at the folder around it to the end of an undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert traced(folder / "out", "-o", str(folder / "trace")).stdout == "done\n"
    assert tree(folder / "out") == WHOLE
    counts: Counter[str] = Counter()
    found = []
    writing = False
    for line in (folder / "trace").read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if match:
            counts[match[1]] += 1
            writing = writing or f'"{folder}"' in line
            if writing and match[1] != "exit_group":
                found.append((match[1], counts[match[1]]))
    assert {"mkdirat", "openat", "write", "fchmod", "renameat", "rt_sigaction"} <= {call for call, _ in found}
    return found


@pytest.mark.parametrize("kind", ["TERM", "KILL", "others"])
def test_ended_at_every_system_call(
    calls: list[tuple[str, int]], tmp_path: Path, kind: str, record_count: Count, pytestconfig: pytest.Config
) -> None:
    numbers = {"TERM": [signal.SIGTERM], "KILL": [signal.SIGKILL], "others": sorted(ENDING)}[kind]
    outcomes = Counter[str]()
    every = 1 if kind == "TERM" or pytestconfig.getoption("exhaustive") else 3
    for point, (call, when) in enumerate(calls[::every]):
        # by number: RTMIN is another one for strace
        number = int(numbers[point % len(numbers)])
        around = tmp_path / str(point)
        around.mkdir()
        options = "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal={number}:when={when}"
        done = traced(around / "out", *options)
        told = f"{number} at {call} {when}: {done}"
        left = sorted(path.name for path in around.iterdir())
        if "out" in left:
            assert tree(around / "out") == WHOLE, told
        if kind == "KILL":
            # nothing runs after it, and what was begun has a name that says so
            assert all(entry == "out" or re.fullmatch(r"out\.[0-9a-f]{16}\.tmp", entry) for entry in left), told
        else:
            assert left in ([], ["out"]) and (done.returncode == 0) == (left == ["out"]), told
        outcomes["whole" if "out" in left else "nothing"] += 1
    assert outcomes.keys() == {"whole", "nothing"}
    record_count(f"captures ended by {kind}", outcomes)
