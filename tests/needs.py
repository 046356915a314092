"""What the tests need from a machine: programs, memory, the interpreter and its packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# the interpreter itself, without what a virtual environment adds
PYTHON = os.path.realpath(sys.executable)


def need(program: str, package: str | None = None) -> str:
    """The path of a program; if it is missing the test fails and says what to install, it never skips."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{PATH}")
    assert found, f"{program} is missing; type: sudo apt-get install --no-install-recommends {package or program}"
    return found


def analyze(*arguments: object) -> str:
    """What systemd-analyze prints, if it finds no fault; as root it also works where no systemd ever ran."""
    if os.geteuid() and not Path("/run/systemd").exists():
        import pytest  # not at the top: this module runs in a test's host too, which has none

        pytest.skip("needs a running systemd, or root: sudo make test-fast")
    command = [need("systemd-analyze", "systemd"), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def memory() -> Iterator[Path]:
    """A folder in memory, as a unit's RuntimeDirectory= is."""
    kind = _file_system("/dev/shm")
    assert kind == "tmpfs", f"/dev/shm is no memory ({kind}); type: sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm"
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="guestcred-") as made:
        yield Path(made)


@contextmanager
def mounted_tmpfs(folder: Path, *options: str) -> Iterator[None]:
    """Mount a new tmpfs over a folder; for tests that are marked `mounts`."""
    command = [need("mount"), "-t", "tmpfs", "-o", ",".join(["mode=711", *options]), "tmpfs", str(folder)]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        if folder.is_mount():
            subprocess.run([need("umount", "mount"), folder], check=True)


def may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN, which root lacks in many containers."""
    (effective,) = re.findall(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(int(effective, 16) & 1 << 21)


@cache
def _file_system(path: str) -> str:
    return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True).stdout.strip()


@cache
def sites() -> list[str]:
    """The folders with the packages that guestcred imports; some may be the system's, some the virtual environment's."""
    return list(dict.fromkeys(_site(package) for package in ("click", "construct", "systemd")))


def _site(package: str) -> str:
    found = find_spec(package)
    assert found and found.origin, f"Python's package {package} is missing; type: make .venv/dev"
    return str(Path(found.origin).parent.parent)
