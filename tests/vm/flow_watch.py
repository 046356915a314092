"""What the host of the whole flow sees of its VMs from outside: processes, memory files, and what a search finds."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from difficult import arrived

from guestcred.smbios.layout import build_structure
from vm import search
from vm.flow_guest import DELIVERED
from vm.record import Record, Seen, described

LAYER = Path("/srv/layer")  # the writable layer of the host's own disk, which is bound there for the search
START_LIMIT, BOOT_LIMIT = 60, 240  # seconds for a unit to become QEMU, and for its guest to have its credentials
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
CONTROL = "CONTROL"  # what is planted for the search to find

Needles = dict[str, list[bytes]]
Found = dict[str, list[str]]


def run(*command: str, data: bytes = b"") -> str:
    """What a command printed; raises AssertionError with all of it where it fails."""
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}: {done.stdout.decode(errors='replace')}")
    return done.stdout.decode()


def show(unit: str, name: str) -> str:
    return run("systemctl", "show", f"--property={name}", "--value", unit).strip()


def everywhere() -> Iterator[tuple[str, bytes]]:
    yield from search.processes("cmdline")
    yield from search.processes("environ")
    yield from search.journal()
    yield from search.files(LAYER)


def is_qemu(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith("/qemu-system-x86_64")
    except OSError:
        return False


def qemu_of(pid: int) -> int:
    """The process if it is QEMU, or the one that it has started, as the twin does; 0 if there is none."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    started = [int(child) for children in tasks for child in children.read_text().split()]
    return next((one for one in (pid, *started) if is_qemu(one)), 0)


def wait_for_qemu(unit: str, wanted: Needles, record: Record) -> int:
    """Searches all processes again and again until the unit's own one is QEMU, or has started it; returns QEMU's PID."""
    found: Found = {}
    looks, pid, deadline = 0, 0, time.monotonic() + START_LIMIT
    while not (qemu := qemu_of(pid)):
        pid = pid or int(show(unit, "MainPID"))
        assert time.monotonic() < deadline and (not pid or Path(f"/proc/{pid}").exists()), (
            f"{unit} comes to no QEMU:\n{run('journalctl', '--no-pager', '-n', '30', '-u', unit)}"
        )
        for kind in ("cmdline", "environ"):
            found |= search.search(search.processes(kind), wanted)[1]
        looks += 1
    leaks = secrets_in(found)
    record.check(not leaks, f"{unit}: no secret in any process while it starts ({looks} looks at all)", leaks)
    return qemu


def wait_until_started(unit: str, record: Record) -> None:
    """The unit is started as soon as its VM has booted, which the guest has not by far."""
    deadline = time.monotonic() + START_LIMIT
    while (state := show(unit, "ActiveState")) == "activating" and time.monotonic() < deadline:
        time.sleep(0.1)
    record.check(state == "active", f"{unit} is started when its VM runs", state)


def strings_of(api: Path) -> dict[str, Seen]:
    """The credentials that a cloud-hypervisor has for its guest, by its API."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(api))
        connection.sendall(b"GET /api/v1/vm.info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with connection.makefile("rb") as answer:
            body = answer.read().partition(b"\r\n\r\n")[2]
    texts = [text.encode("latin-1") for text in json.loads(body)["config"]["platform"]["oem_strings"]]
    sent = arrived(build_structure(11, 0, texts))
    return {name: described(api.stat(), value) for name, value in sent.items()}


def secrets_in(found: Found) -> Found:
    """What a search found, but for the control."""
    return {place: rest for place, names in found.items() if (rest := [name for name in names if name != CONTROL])}


def wait_for_delivery(console: Path, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOOT_LIMIT
    while not (console.exists() and DELIVERED in console.read_text(errors="replace")):
        said = console.read_text(errors="replace")[-2000:] if console.exists() else "nothing"
        assert alive() and time.monotonic() < deadline, f"the guest got no credentials; its console says:\n{said}"
        time.sleep(0.2)


def hold_and_search(pid: int, wanted: Needles) -> tuple[int, Found]:
    """Halts QEMU while the guest has its credentials, and searches all of the host."""
    os.kill(pid, signal.SIGSTOP)
    try:
        assert is_qemu(pid), "QEMU ended before the search"
        return search.search(everywhere(), wanted)
    finally:
        os.kill(pid, signal.SIGCONT)


def plant(control: bytes) -> subprocess.Popen[bytes]:
    """The same bytes in an argument, an environment, the journal and a file: a search must find all four."""
    text = control.decode()
    run("systemd-cat", "--identifier=control", data=control + b"\n")
    Path("/var/tmp/control").write_bytes(control)
    return subprocess.Popen(["sh", "-c", "sleep 3600; :", text], env={**os.environ, CONTROL: text})


def verify_control(record: Record, found: Found, wanted: Needles) -> None:
    """The control was found in every kind of place, and nothing else anywhere."""
    kinds = ("cmdline", "environ", "journal", "control")
    reached = [
        kind for kind in kinds if any(place.endswith(kind) and CONTROL in names for place, names in found.items())
    ]
    record.check(
        reached == list(kinds), "the search finds what is planted: argument, environment, journal, file", reached
    )
    leaks = secrets_in(found)
    record.check(not leaks, f"no secret of {len(wanted) - 1} in any argument, environment, journal or file", leaks)


def memory_files(pid: int) -> tuple[dict[str, Seen], bool]:
    """QEMU's open strings by credential, with the digest of the value in each, and whether all are sealed for ever."""
    found, sealed = {}, True
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # QEMU opens and closes files of its own meanwhile; the strings stay open
            continue
        if "memfd:oem-string" not in target:
            continue
        with entry.open("rb") as file:
            sealed = sealed and fcntl.fcntl(file, fcntl.F_GET_SEALS) & SEALS == SEALS
            for name, value in arrived(build_structure(11, 0, [file.read()])).items():  # none for the manifest's two
                found[name] = described(os.fstat(file.fileno()), value)
    return found, sealed
