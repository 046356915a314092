"""The process apart: it can compute and answer, and nothing of what hostile code tries in it succeeds."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from vm import hostile

from guestcred import apart
from guestcred.apart import ANSWER, LACKS_MODULE, Apart, BrokenError, NeedsError
from guestcred.c_modules import json_text, parse_json
from guestcred.errors import GuestcredError

LIMIT = 1 << 20
MARKER = b"marker-of-victim"


def test_it_answers() -> None:
    answer = Apart(lambda: ANSWER + b"x" * LIMIT)
    assert answer.kind == ANSWER and answer.rest(LIMIT) == b"x" * LIMIT


def test_it_has_what_was_read_before_and_memory() -> None:
    answer = Apart(lambda: ANSWER + str(len(MARKER * LIMIT)).encode())
    assert answer.rest(LIMIT) == str(len(MARKER) * LIMIT).encode()


def test_a_limit_that_is_lower_already_stays() -> None:
    code = "from guestcred.apart import ANSWER, Apart; import sys; sys.stdout.buffer.write(Apart(lambda: ANSWER + b'here').rest(9))"
    limits = ["prlimit", "--cpu=5:5", "--data=400000000:400000000", "--nofile=64:64"]
    assert subprocess.check_output([*limits, sys.executable, "-c", code]) == b"here"


def test_it_says_what_it_needs() -> None:
    def need() -> bytes:
        raise NeedsError(b"f")

    assert Apart(need).kind == b"f"


def test_it_can_import_nothing() -> None:
    def load() -> bytes:
        import this  # noqa: F401

        return ANSWER

    sys.modules.pop("this", None)
    lacking = Apart(load)
    assert lacking.kind == LACKS_MODULE and lacking.rest(LIMIT) == b"this"


def endless() -> bytes:
    while True:
        pass


def failing() -> bytes:
    raise ValueError("hunter2")


def killed() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return ANSWER


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (endless, r"was ended with signal (9|24), as when it computes for more than 1 seconds"),
        (failing, r"failed: ValueError at test_apart\.py:\d+"),
        (lambda: bytes(apart.MEMORY), r"failed: MemoryError at test_apart\.py:\d+"),
        (lambda: b"", "failed: "),
        (killed, r"failed: PermissionError at test_apart\.py:\d+"),
        (lambda: os._exit(0), "failed: "),
        (lambda: os._exit(7), "ended with status 7"),
    ],
    ids=["endless", "failing", "greedy", "silent", "killed", "ended", "ended-badly"],
)
def test_it_does_not_answer(work: Callable[[], bytes], said: str) -> None:
    with pytest.raises(BrokenError, match=f"the process that reads the table {said}; nothing was written") as caught:
        Apart(work, 1 if work is endless else apart.SECONDS)
    assert "hunter2" not in caught.value.problem and caught.value.status == 3 and caught.value.hints


def test_it_answers_too_much() -> None:
    with pytest.raises(BrokenError, match="gave an answer of more than 10 bytes"):
        Apart(lambda: ANSWER + bytes(LIMIT)).rest(10)


def test_it_does_not_end_its_answer() -> None:
    def slow(fd: int) -> bytes:
        os.write(fd, ANSWER + b"{")
        return endless()

    # its pipe gets the numbers that this one has
    ends = os.pipe()
    for end in ends:
        os.close(end)
    answer = Apart(lambda: slow(ends[1]), 1)
    with pytest.raises(BrokenError, match="computes for more than 1 seconds"):
        answer.rest(LIMIT)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes apart, by their ids."""
    pids: list[int] = []
    fork = os.fork

    def recorded() -> int:
        pid = fork()
        pids.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", recorded)
    return pids


def test_it_ends_by_itself_when_nobody_listens(forked: list[int]) -> None:
    with pytest.raises(BrokenError, match="gave an answer of more than 10 bytes"):
        Apart(lambda: ANSWER + bytes(LIMIT)).rest(10)
    _, status = os.waitpid(forked[0], 0)
    assert os.waitstatus_to_exitcode(status) == 1


def test_it_is_killed(forked: list[int]) -> None:
    threading.Timer(0.3, lambda: os.kill(forked[0], signal.SIGKILL)).start()
    with pytest.raises(BrokenError, match="ended with signal 9, "):
        Apart(endless)


def test_it_cannot_be_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "filter_system_calls", lambda _: -1)
    with pytest.raises(GuestcredError, match=r"cannot confine .*OSError: the kernel takes no seccomp filter") as caught:
        Apart(lambda: ANSWER)
    assert caught.value.status == 3


def test_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    there = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*there[:4], "s390x")))
    with pytest.raises(GuestcredError, match="cannot confine the process that reads the table on s390x") as caught:
        Apart(lambda: ANSWER)
    assert caught.value.status == 3 and "aarch64" in caught.value.hints[0]


def test_nothing_that_hostile_code_tries_succeeds(tmp_path: Path) -> None:
    marker = ctypes.create_string_buffer(MARKER)
    address = ctypes.addressof(marker)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    attempts = [
        *hostile.on_process("a parent", os.getpid(), address),
        *hostile.on_process("a victim", victim.pid, address),
        *hostile.on_files(),
        *hostile.on_credentials(),
        *hostile.on_system(),
        *hostile.on_pid1(),
        ("its own files", lambda: (tmp_path / "made").write_text("hostile")),
        *hostile.on_own(),
        *hostile.on_itself(),
    ]
    try:
        answer = Apart(lambda: ANSWER + json_text(hostile.tried(attempts)).encode())
        results = parse_json(answer.rest(LIMIT).decode())
    finally:
        victim.kill()
        victim.wait()
    assert isinstance(results, list) and len(results) == len(attempts) > 100
    assert not [result for result in results if not result[1].startswith("refused: ")]
    # the same succeeds where nothing is confined
    free = dict(hostile.tried(itertools.islice(hostile.on_own(), 13)))
    assert {name for name, result in free.items() if "DONE" in result} >= {
        *("any file, opened", "any folder, listed", "a socket for datagrams", "a pair of sockets", "a pipe"),
        *("a memory file", "another process", "a signal to oneself"),
    }
    assert marker.value == MARKER


# the filter of the writing process, in a process of its own since it is for good
CODE = """
import socket, sys
from guestcred.apart import give_up_connections
give_up_connections()
for kind in (socket.SOCK_DGRAM, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC):
    socket.socket(socket.AF_UNIX, kind).close()
for family, kind in ((1, 1), (1, 5), (1, 3), (2, 1), (2, 2), (16, 3), (1, 1 | socket.SOCK_CLOEXEC)):
    try:
        socket.socket(family, kind)
    except PermissionError:
        continue
    sys.exit(f"made a socket of family {family} and kind {kind}")
open("/dev/null", "w").close()
"""


def test_connections_are_given_up() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


HEADERS = {"x86_64": "unistd_64.h", "i686": "unistd_32.h"}
NAMES = ("exit_group", "brk", "munmap", "mremap", "madvise", "rt_sigreturn"), "write", ("mmap", "mprotect"), "socket"


@pytest.mark.parametrize("machine", sorted(HEADERS))
def test_the_numbers_are_the_kernels(machine: str) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("another machine's headers are here")
    text = Path("/usr/include/x86_64-linux-gnu/asm", HEADERS[machine]).read_text()
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}
    if machine == "i686":
        numbers["mmap"] = numbers["mmap2"]
    _, harmless, write, memory, socket, others = apart._MACHINES[machine]
    assert (harmless, write, memory, socket) == (
        tuple(numbers[name] for name in NAMES[0]),
        numbers["write"],
        tuple(numbers[name] for name in NAMES[2]),
        numbers["socket"],
    )
    assert set(others) == {numbers["io_uring_setup"], *([numbers["socketcall"]] if "socketcall" in numbers else [])}


def test_the_numbers_of_newer_machines_are_the_kernels() -> None:
    text = Path("/usr/include/asm-generic/unistd.h").read_text()
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", text)}
    for machine in ("aarch64", "riscv64", "loongarch64"):
        _, harmless, write, memory, socket, others = apart._MACHINES[machine]
        assert harmless == tuple(numbers[name] for name in NAMES[0])
        assert (write, memory, socket) == (numbers["write"], (numbers["mmap"], numbers["mprotect"]), numbers["socket"])
        assert others == (numbers["io_uring_setup"],)
