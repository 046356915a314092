"""What the tests of `apply` share: a guest in memory, the program as a process, and everything that it wrote."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from conftest import table_of
from needs import PATH, PYTHON, sites
from running import run_program

from guestcred.smbios.layout import build_structure

PACKAGE = Path(__file__).parent.parent
USERS = "root:x:0:0::/:/bin/sh\ndemo-svc-user:x:901:901::/:/bin/sh\nother:x:902:902::/:/bin/sh\n"
SECRET = "hunter2-hunter2-hunter2"

# as the boot path starts it, without what a virtual environment adds; one seed, so that two runs make the same calls
CODE = f"import sys; sys.path[:1] = [{str(PACKAGE)!r}]; sys.path += {sites()!r}; from guestcred.__main__ import main; sys.exit(main())"
PROGRAM = [PYTHON, "-S", "-s", "-c", CODE]
ENVIRONMENT = {"PATH": PATH, "PYTHONHASHSEED": "0"}


def offer(root: Path, credentials: dict[str, str], imported: Sequence[str] = ()) -> None:
    """Make a guest to which the hypervisor offers these, and whose PID 1 imported those named in `imported`."""
    strings = [f"io.systemd.credential:{name}={value}".encode() for name, value in credentials.items()]
    put(root, "sys/firmware/dmi/tables/DMI", table_of(*strings))
    put(root, "sys/firmware/dmi/entries/11-0/raw", build_structure(11, 0x0E00, strings))
    put(root, "capture.json", b'{"systemd": "systemd 257 (257.13-1)"}')
    put(root, "etc/passwd", USERS.encode())
    system = root / "run/credentials/@system"
    shutil.rmtree(system, ignore_errors=True)
    system.mkdir(parents=True)
    for name in imported:
        (system / name).write_text(credentials[name])


def put(root: Path, path: str, data: bytes | str) -> Path:
    """Write a file below the root, and make its folders."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


def apply(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `guestcred --root ROOT apply`."""
    done = run_program(PROGRAM, ["--root", str(root), "apply", *options], environment=ENVIRONMENT)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def standing(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything `apply` may have written: path to kind and mode, owner, group, link count, and content or target."""
    found: dict[str, tuple[object, ...]] = {}
    for top in ("run/guestcred", "run/credstore"):
        for folder, folders, files in os.walk(root / top):
            for name in [".", *folders, *files]:
                path = Path(folder) / name
                status = path.lstat()
                content: object = None
                if stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path)
                elif stat.S_ISREG(status.st_mode):
                    content = path.read_bytes()
                names = 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink
                found[str(path.relative_to(root))] = (status.st_mode, status.st_uid, status.st_gid, names, content)
    return found


def delivered(root: Path, unit: str) -> dict[str, str] | None:
    """What the program of a service reads, or None where it has no directory."""
    folder = root / "run/guestcred" / f"{unit}.service"
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else None
