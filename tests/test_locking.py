"""Two runs of `apply` at once, one of which fails: each of them stopped at each of its steps while the other goes on."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from applying import ENVIRONMENT, PROGRAM, SECRET, apply, delivered, offer, put, standing
from conftest import Count
from needs import memory, need
from vm.boot import children

pytestmark = pytest.mark.root

PARTS = range(4)
SAMPLE = 25
CONFIG = '[services.demo]\nuser = "demo-svc-user"\nload = ["key:KEY"]\n'
FAIL = ("symlinkat", "error=ENOSPC")  # links are made last of all that is new, so there is everything to take back
PATIENCE = 30.0  # seconds for a step that takes a hundredth


@pytest.fixture
def guest() -> Iterator[Path]:
    """A guest in which nothing was written yet: a failing run removes even its folders."""
    with memory() as folder:
        offer(folder, {"KEY": SECRET})
        put(folder, "etc/guestcred/demo.toml", CONFIG)
        yield folder


def start(root: Path, log: Path, *injected: tuple[str, str]) -> subprocess.Popen[bytes]:
    """Start `apply` under strace, which writes its system calls to `log`, and not those of the process apart."""
    log.write_bytes(b"")
    inject = [word for call, what in injected for word in ("-e", f"inject={call}:{what}")]
    command = [need("strace"), "-qq", "-o", str(log), *inject, *PROGRAM, "--root", str(root), "apply"]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def until(holds: Callable[[], bool], told: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, told
        time.sleep(0.002)


def is_stopped(log: Path) -> bool:
    return "--- stopped by SIGSTOP ---" in log.read_text(errors="replace")


def steps(root: Path, log: Path, *injected: tuple[str, str]) -> list[tuple[str, int]]:
    """(call, which of its name) of every call of such a run, from its first look at run/ on."""
    with start(root, log, *injected) as run:
        run.communicate()
    counts = Counter[str]()
    found: list[tuple[str, int]] = []
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if match:
            counts[match[1]] += 1
            if found or '"run"' in line:
                found.append((match[1], counts[match[1]]))
    return found


def both(root: Path, logs: Path, step: tuple[str, int], first_fails: bool) -> None:
    """Stop one run at its step, let another go on until it ends or waits, and let the first one go on."""
    call, when = step
    stop = (call, f"signal=STOP:when={when}")
    first = start(root, logs / "first", *([FAIL, stop] if first_fails else [stop]))
    until(
        lambda: is_stopped(logs / "first") or first.poll() is not None,
        f"{step}: it does not come there",
    )
    second = start(root, logs / "second", *([] if first_fails else [FAIL]))
    until(
        lambda: second.poll() is not None or "EAGAIN" in (logs / "second").read_text(errors="replace"),
        f"{step}: the other neither ends nor waits",
    )
    if is_stopped(logs / "first") and first.poll() is None:
        for traced in children(first.pid):
            os.kill(traced, signal.SIGCONT)
    told = [run.communicate(timeout=PATIENCE)[1].decode() for run in (first, second)]
    good, failing = (1, 0) if first_fails else (0, 1)
    codes = [first.returncode, second.returncode]
    assert codes[good] == 0, (step, told)
    # with everything there already it has no link to make
    assert codes[failing] == 0 or "no space left on device" in told[failing], (step, told)
    assert delivered(root, "demo") == {"key": SECRET} and (root / "run/credstore/KEY").read_text() == SECRET, step
    assert "nothing to change" in apply(root).stdout, step


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("first_fails", [True, False], ids=["the-failing-one-stops", "the-other-one-stops"])
def test_a_run_that_fails_takes_nothing_from_one_beside_it(
    guest: Path, tmp_path: Path, part: int, first_fails: bool, record_count: Count, pytestconfig: pytest.Config
) -> None:
    everything = steps(guest, tmp_path / "log", *([FAIL] if first_fails else []))
    if first_fails:
        assert standing(guest) == {}, "a failing run leaves nothing behind"
    whole = pytestconfig.getoption("exhaustive")
    changing = {"mkdirat", "flock", "fchmod", "fchown", "linkat", "symlinkat", "unlinkat", "rmdir", "renameat"}
    chosen = [step for number, step in enumerate(everything) if whole or step[0] in changing or number % SAMPLE == 0]
    for step in chosen[part :: len(PARTS)]:
        for name in ("guestcred", "credstore"):
            subprocess.run(["rm", "-rf", guest / "run" / name], check=True)
        both(guest, tmp_path, step, first_fails)
    record_count("steps of two runs", {"the failing one stopped" if first_fails else "the other one stopped": len(chosen[part :: len(PARTS)])})  # fmt: skip


def test_a_third_run_made_the_folder_anew_meanwhile(guest: Path, tmp_path: Path) -> None:
    """So a lock on what was removed is worth nothing, although there is a folder of that name."""
    home = guest / "run/guestcred"
    home.mkdir(0o711)
    held = os.open(home, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    log = tmp_path / "log"
    with start(guest, log) as waiting:
        until(lambda: "EAGAIN" in log.read_text(errors="replace"), "it does not wait")
        home.rmdir()
        assert apply(guest).returncode == 0
        new = home.stat().st_ino
        again = os.open(home, os.O_RDONLY)
        fcntl.flock(again, fcntl.LOCK_EX)
        calls = log.read_text(errors="replace").count("EAGAIN")
        os.close(held)
        until(
            lambda: waiting.poll() is not None or log.read_text(errors="replace").count("EAGAIN") > calls,
            "it neither ends nor waits for the new folder",
        )
        assert waiting.poll() is None, "it went on without the lock"
        os.close(again)
        told = waiting.communicate(timeout=PATIENCE)[1]
    assert waiting.returncode == 0, told
    assert home.stat().st_ino == new and delivered(guest, "demo") == {"key": SECRET}
