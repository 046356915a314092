"""Runs inside the guest: one of systemd's own tests as it is, and at each start of a unit what guestcred says of it.

fanotify(7) holds each process that systemd started just before its program, when its credentials are made: nothing of
the test or of its units is changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from guestcred.diagnose.services import Services, judge_services, only
from guestcred.errors import GuestcredError
from guestcred.guest.as_user import as_user
from guestcred.guest.deliveries import Look, read_consumers
from guestcred.guest.facts import read_systemd
from guestcred.guest.rootfs import Tree
from guestcred.guest.user_manager import named_user, read_user_consumers
from guestcred.guest.users import User
from guestcred.record import to_json
from guestcred.systemd import bus
from guestcred.systemd.dbus import Interface
from guestcred.systemd.requests import LOAD
from guestcred.text import size

TESTS = Path("/usr/lib/systemd/tests/testdata/units")
CREDENTIALS = Path("/run/credentials")
STORE = Path("/run/credstore")
USERS = Path("/run/user")
USER_SECONDS = 120.0  # for a look at a user's unit
EXECUTOR = "systemd-executor"  # makes credentials and all else of a unit, then becomes its program; since systemd 255
LOOKING = {"cat", "cmp", "diff", "grep", "ls"}  # programs by which the test looks into a folder of credentials

ASKED = "systemd-creds@"  # a service that decrypts for users, guestcred among them, which is not to wait for itself

# linux/fanotify.h
_CLASS_CONTENT, _CLOEXEC, _UNLIMITED = 0x4, 0x1, 0x10
_MARK_ADD, _MARK_FILESYSTEM, _OPEN_EXEC_PERM = 0x1, 0x100, 0x40000
_AT_FDCWD, _ALLOW = -100, 1
_EVENT = struct.Struct("=IBBHQii")
_ANSWER = struct.Struct("=iI")

TREE = Tree("/")


def watch_programs() -> int:
    """A descriptor that has an event for each program of this file system before it runs, in whatever namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.fanotify_init(_CLASS_CONTENT | _CLOEXEC | _UNLIMITED, os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0 or libc.fanotify_mark(
        fd, _MARK_ADD | _MARK_FILESYSTEM, ctypes.c_uint64(_OPEN_EXEC_PERM), _AT_FDCWD, b"/"
    ):
        raise OSError(ctypes.get_errno(), "fanotify")
    return int(fd)


def what_is_started(pid: int, program: str, test: str) -> tuple[str, str, str] | None:
    """For what the process that is to become the program is looked at, which unit's it is, and the number of the user
    whose manager has that unit, empty for PID 1's; None where it is not looked at."""
    try:
        parts = Path(f"/proc/{pid}/cgroup").read_text().strip().partition("::")[2].split("/")
        before = os.readlink(f"/proc/{pid}/exe").rpartition("/")[2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    units = [part for part in parts if part.endswith((".service", ".mount"))]
    if not units:
        return None
    if before == EXECUTOR and program != EXECUTOR and not units[-1].startswith(ASKED):
        is_user_s = len(units) > 1 and units[0].startswith("user@")
        return "start", units[-1], units[0][len("user@") : -len(".service")] if is_user_s else ""
    if units == [test] and program in LOOKING and before != program:
        return "later", test, ""
    return None


@contextlib.contextmanager
def asked_alone(unit: str) -> Iterator[None]:
    """Have a manager asked for this unit, not for all: that takes seconds in an emulated guest, and each step waits."""
    ask = bus._Peer.ask

    def asked(peer: bus._Peer, returns: str, of: Interface, method: str, *arguments: str) -> Any:
        answer = ask(peer, returns, of, method, *arguments)
        return [row for row in answer if row[0] == unit] if method == "ListUnits" else answer

    with mock.patch.object(bus._Peer, "ask", asked):
        yield


def told(judged: Services) -> dict[str, Any]:
    """What `services` says of the units, as in its JSON."""
    return {
        "services": [to_json(service) for service in judged.services],
        "findings": [to_json(finding) for finding in judged.findings],
    }


def folder_of(unit: str, uid: str) -> Path:
    """Where the unit's credentials are; `uid` is empty for a unit of PID 1's."""
    return USERS / uid / "credentials" / unit if uid else CREDENTIALS / unit


def found(folder: Path) -> dict[str, int]:
    """The files in a unit's folder, with their sizes."""
    return {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}


def made(folder: Path) -> int:
    """When a unit's credentials were made, in nanoseconds; 0 where it has none."""
    return max((path.stat().st_mtime_ns for path in folder.iterdir()), default=0) if folder.is_dir() else 0


def unlike(foreseen: Services, folder: Path) -> list[str]:
    """What has other bytes in the unit's folder than the file that was foreseen to win."""
    return [
        outcome.id
        for service in foreseen.services
        for outcome in service.credentials
        if (outcome.source or "")[:1] == "/" and (not outcome.encrypted or outcome.setting == LOAD)
        if (folder / outcome.id).exists()
        if (folder / outcome.id).read_bytes() != Path(str(outcome.source)).read_bytes()
    ]


def not_started(look: Look) -> Look:
    """The same before its units were started."""
    consumers = [
        consumer.replace(delivered=None, unit=consumer.unit.replace(running=False)) for consumer in look.consumers
    ]
    return look.replace(consumers=tuple(consumers))


def look_at(unit: str, user: User | None, systemd: int | None) -> dict[str, Any]:
    """What guestcred foresees for the unit from its settings, what it sees of it, and what is in its folder.

    For a unit of a user's manager it is called in a process of that user's.
    """
    folder = folder_of(unit, "" if user is None else str(user.uid))
    with asked_alone(unit):
        if user is None:
            look, rules = read_consumers(TREE, unit, systemd), None
        else:
            look, rules = read_user_consumers(TREE, user, unit, systemd)
    look = only(look, unit)
    foreseen = judge_services(TREE, not_started(look), None, systemd, rules)
    return {
        "foreseen": told(foreseen),
        "seen": told(judge_services(TREE, look, None, systemd, rules)),
        "found": found(folder),
        "unlike": unlike(foreseen, folder),
    }


def look_as_its_user(unit: str, uid: str, systemd: int | None) -> dict[str, Any]:
    """The same as the one whose manager has the unit."""
    if not uid:
        return look_at(unit, None, systemd)
    user = named_user(TREE, uid)
    looked: dict[str, Any] = json.loads(
        as_user(user, lambda: json.dumps(look_at(unit, user, systemd)).encode(), USER_SECONDS)
    )
    return looked


def step(kind: str, unit: str, uid: str, program: str, systemd: int | None, last: dict[Path, int]) -> dict[str, Any]:
    """One step of the test's; `last` has when credentials in folders of units were made before it."""
    result: dict[str, Any] = {"kind": kind, "unit": unit, "user": uid, "program": program}
    try:
        result |= look_as_its_user(unit, uid, systemd)
    except (GuestcredError, OSError) as error:  # the test goes on, and the host tells of it
        return {**result, "error": repr(error)}
    folder = folder_of(unit, uid)
    stops = any(service["state"] == "deactivating" for service in result["seen"]["services"])
    # a command that stops gets none, and one beside or behind the main one what that one got
    if stops or (made(folder) and last.get(folder) == made(folder)):
        result["kind"] = "later"
    last[folder] = made(folder)
    return result


def look_into_store(program: str, last: dict[Path, int]) -> Iterator[dict[str, Any]]:
    """What `why` says of each file in run/credstore that is new, and what it is."""
    for path in sorted(STORE.iterdir()) if STORE.is_dir() else ():
        status = path.stat()
        if last.get(path) == status.st_mtime_ns:
            continue
        last[path] = status.st_mtime_ns
        result = {"kind": "stored", "unit": path.name, "user": "", "program": program}
        told = run("guestcred", "why", path.name, "--format", "json")
        try:
            yield result | {"why": json.loads(told), "evidence": f"{path}, {size(status.st_size)}"}
        except ValueError:
            yield result | {"error": told}


def judge(channel: socket.socket, before: set[str]) -> None:
    """Look at what the other end asks for, answer so that it may go on, and hand in all steps at the end."""
    systemd = read_systemd(TREE)
    steps: list[dict[str, Any]] = []
    last: dict[Path, int] = {}
    for line in channel.makefile():
        kind, unit, uid, program = json.loads(line)
        units = [unit] if kind == "start" else sorted(set(os.listdir(CREDENTIALS)) - before)
        steps += [step(kind, one, uid, program, systemd, last) for one in units]
        if kind == "later":
            steps += look_into_store(program, last)
        channel.sendall(b"\n")
    print(json.dumps(steps))


def hold(fan: int, channel: socket.socket, test: str, ended: int) -> None:
    """Let every program run, and those that are looked at after that, until the test has ended."""
    waiting: list[int] = []
    poll = select.poll()
    for fd in (fan, channel.fileno(), ended):
        poll.register(fd, select.POLLIN)
    looked_at: set[tuple[int, str]] = set()
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if channel.fileno() in ready:
            answers = channel.recv(1)
            if not answers:  # nobody looks any more, so let all run
                return
            for _ in answers:
                fd = waiting.pop(0)
                os.write(fan, _ANSWER.pack(fd, _ALLOW))
                os.close(fd)
        if fan in ready:
            data = os.read(fan, 1 << 16)
            for at in range(0, len(data), _EVENT.size):
                *_, fd, pid = _EVENT.unpack_from(data, at)
                program = os.readlink(f"/proc/self/fd/{fd}").rpartition("/")[2]
                started = what_is_started(pid, program, test)
                # a script and its interpreter, or a program and its loader, are two files of one start
                if started is not None and (pid, started[1]) not in looked_at:
                    looked_at.add((pid, started[1]))
                    channel.sendall(json.dumps([*started, program]).encode() + b"\n")
                    waiting.append(fd)
                else:
                    os.write(fan, _ANSWER.pack(fd, _ALLOW))
                    os.close(fd)
        if ended in ready and not waiting:
            return


def forked(*command: str, after: int) -> int:
    """A process that runs the command as soon as `after` can be read: who answers for programs can start none."""
    pid = os.fork()
    if pid == 0:
        os.read(after, 1)
        os.execvp(command[0], command)
    return pid


def run(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


def main(test: str, *environment: str) -> None:
    unit = f"{test}.service"
    run("systemctl", "link", "--runtime", str(TESTS / unit))
    if environment:
        dropin = Path(f"/run/systemd/system/{unit}.d/environment.conf")
        dropin.parent.mkdir()
        dropin.write_text("[Service]\n" + "".join(f"Environment={variable}\n" for variable in environment))
        run("systemctl", "daemon-reload")
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    before = set(os.listdir(CREDENTIALS))
    steps = os.memfd_create("steps")
    judging = os.fork()
    if judging == 0:
        ours.close()
        os.dup2(steps, 1)
        judge(theirs, before)
        sys.stdout.flush()
        os._exit(0)
    theirs.close()
    testing = forked("systemctl", "start", unit, after=reading)
    fan = watch_programs()
    os.write(writing, b"\n")
    hold(fan, ours, unit, os.pidfd_open(testing))
    os.close(fan)
    ours.close()
    os.waitpid(judging, 0)
    os.waitpid(testing, 0)
    os.lseek(steps, 0, os.SEEK_SET)
    print(json.dumps({
        "steps": json.loads(os.fdopen(steps).read()),
        "result": run("systemctl", "show", "--property=Result", "--value", unit).strip(),
        "said": run("journalctl", "--boot", f"--unit={unit}", "--output=cat", "--no-pager", "--lines=40"),
        "refused": run("journalctl", "--boot", "--output=json", "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7"),
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
