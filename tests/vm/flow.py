"""The whole flow: a host with its own PID 1 takes secrets to services in real guests."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vm import search
from vm.boot import children
from vm.images import HOST, OUT, ROOT, Image, build_base, chroot, overlay, package
from vm.record import AT_REST

LIMIT = 1200  # seconds for the host with all its guests; 150 are usual
TAIL = 60  # lines of a log that are shown
OVERLAY = Path(__file__).parent / "host"
DOCUMENT = ROOT / "docs" / "host.md"


def documented() -> str:
    """The commands that docs/host.md tells people to type on a Debian host."""
    found = re.search(r"^## Debian, step by step\n.*?^```\n(.*?)^```\n", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"{DOCUMENT} has no commands for Debian"
    return found[1]


def install(root: Path, log: Path) -> None:
    """This run's package and packaging/host/ in the host, by the documented commands, in a copy of the project."""
    shutil.copytree(OVERLAY, root, dirs_exist_ok=True)
    (root / "root/guestcred/dist").mkdir(parents=True)
    shutil.copytree(ROOT / "packaging", root / "root/guestcred/packaging")
    shutil.copy(package(), root / "root/guestcred/dist")
    # apt has no network here and needs none: what the commands name is in the base
    chroot(root, "sh", "-eux", "-c", f"cd /root/guestcred\n{documented()}", log=log)
    chroot(root, "systemctl", "enable", "flow.service", log=log)


def end(process: subprocess.Popen[bytes]) -> None:
    """At once, where the container has not ended by itself: its PID 1 outlives a killed systemd-nspawn, not the reverse."""
    if process.poll() is None:
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        process.terminate()
    process.wait()


@contextmanager
def booted(root: Path, binds: dict[Path, tuple[str, bool]], console: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The root file system's own PID 1 in a container, on a terminal whose output goes to `console`; ended at last."""
    command = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--directory={root}",
        "--machine=guestcred-flow",
    ]
    command += ["--register=no", "--private-network", "--console=interactive"]
    if not Path("/run/systemd/system").is_dir():
        command.append("--keep-unit")  # nobody here to make a unit for it
    for outside, (inside, writable) in binds.items():
        command.append(f"--bind{'' if writable else '-ro'}={outside}:{inside}")
    ours, theirs = pty.openpty()
    # systemd 257 refuses to run with the old control groups, which this machine may have beside the new
    environment = {**os.environ, "UNIFIED_CGROUP_HIERARCHY": "1"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)

    def keep() -> None:
        with console.open("wb", buffering=0) as file:
            try:
                while data := os.read(ours, 65536):
                    file.write(data)
            except OSError:
                return  # the last one on the terminal has left it

    reader = threading.Thread(target=keep, daemon=True)
    reader.start()
    try:
        yield process
    finally:
        end(process)
        reader.join(10)
        os.close(ours)


def follow(process: subprocess.Popen[bytes], progress: Path) -> None:
    """Prints what the driver in the host says, until the host has powered off; raises AssertionError at the limit."""
    begin, shown = time.monotonic(), 0
    ended = False
    while not ended:
        ended = process.poll() is not None
        said = progress.read_text().splitlines() if progress.exists() else []
        for line in said[shown:]:
            print(f"[{time.monotonic() - begin:4.0f} s] {line}", flush=True)
        shown = len(said)
        assert time.monotonic() - begin < LIMIT, f"the host did not end within {LIMIT} s"
        time.sleep(0.2)


def remains(layer: Path, shared: Path) -> list[str]:
    """Where a secret is on the disk of the host that was, by places."""
    assert (shared / "secrets.json").exists(), "the host came to no secrets"
    secrets = {name: bytes.fromhex(value) for name, value in json.loads((shared / "secrets.json").read_text()).items()}
    count, found = search.search(search.files(layer), search.needles(secrets))
    print(f"{count} files and folders of the host's disk searched after its end")
    return [f"{place}: {', '.join(names)}" for place, names in found.items()]


def stage_table(stages: list[dict[str, Any]]) -> str:
    """Each credential of the reference flow at each stage, without its value; `check` holds those of the others."""
    lines = [f"{'stage':<16} {'credential':<12} {'owner':<13} {'mode':<4} {'bytes':>5}  {'digest':<13} place"]
    for stage in (stage for stage in stages if stage["vm"] == "test-vm"):
        digest = "equal" if stage["equal"] else "encrypted" if stage["stage"] == AT_REST else "NOT EQUAL"
        lines.append(
            f"{stage['stage']:<16} {stage['name']:<12} {stage['owner']:<13} {stage['mode']} {stage['size']:>5}  {digest:<13} {stage['place']}"
        )
    return "\n".join(lines)


def damage_table(damage: list[dict[str, Any]]) -> str:
    """Which difficult secrets arrived whole in a real guest's @system."""
    lines = ["| secret           | bytes | `$(cat FILE)` in an argument | `guestcred launch` |"]
    lines.append("|------------------|-------|------------------------------|--------------------|")
    lines += [f"| {row['name']:<16} | {row['size']:>5} | {row['shell']:<28} | {row['launch']:<18} |" for row in damage]
    return "\n".join(lines)


def live(image: Image, shared: Path, out: Path) -> tuple[dict[str, Any], list[str]]:
    """The host's life; returns what its driver found, and where a secret remains on its disk."""
    with overlay(build_base(HOST)) as root:
        layer = root.parent / "upper"
        install(root, out / "install.log")
        binds = {
            shared: ("/srv/flow", True),
            image.disk.parent: ("/srv/guest", False),
            ROOT / "tests": ("/srv/tests", False),
            layer: ("/srv/layer", False),
        }
        with booted(root, binds, out / "console.log") as process:
            follow(process, shared / "progress")
        log, results = shared / "driver.log", shared / "results.json"
        said = log.read_text(errors="replace") if log.exists() else "its driver did not start"
        print("\n".join(said.splitlines()[-TAIL:]), flush=True)
        assert results.exists(), f"the host brought nothing back (status {process.returncode})"
        return json.loads(results.read_text()), remains(layer, shared)


def run(image: Image, out: Path = OUT / "flow") -> dict[str, Any]:
    """All of it, with its logs below `out`: "checks" are claims and whether each holds, "stages" and "damage" tables.

    Raises AssertionError where the host does not come to its end; the end of its console is printed.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    console = out / "console.log"
    try:
        # in memory, since the secrets are in it for the search
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="guestcred-flow-") as folder:
            results, left = live(image, Path(folder), out)
    except AssertionError:
        if console.exists():
            print("\n".join(console.read_text(errors="replace").splitlines()[-TAIL:]))
        raise
    for place in left:
        print(f"FAILED a secret remains in {place}")
    results["checks"].append(["no secret on the host's disk after its end", not left])
    return results
