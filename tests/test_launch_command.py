"""Launching by cloud-hypervisor's own command line: who becomes what, what is left wherever it ends, and who is told."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud_hypervisor import relatives

from guestcred.outcome import ENDING

SECRET = b"hunter2,hunter2"
OURS = "io.systemd.credential.binary:KEY=aHVudGVyMixodW50ZXIy"
PRETENDED = Path(__file__).parent / "cloud_hypervisor.py"
# the one that people and microvm.nix write, with nothing changed but the strings taken out
SEED = (
    *("--cpus", "boot=2", "--memory", "size=1024M", "--kernel", "/boot/vmlinux", "--initramfs", "/boot/initrd"),
    *("--platform", "oem_strings=[mine]", "--vsock", "cid=3,socket=notify.vsock"),
    *("--net", "tap=vm-test,mac=02:00:00:00:00:01"),
)


class Launched:
    """A `guestcred launch -- cloud-hypervisor ...` and the pretended cloud-hypervisor that it becomes."""

    def __init__(
        self, folder: Path, arguments: tuple[object, ...] = (), *, seed: tuple[str, ...] = SEED, **does: Any
    ) -> None:
        self.folder = folder
        passed = (does.pop("passed"),) if "passed" in does else ()
        more = does.pop("environment", {})
        program = folder / "cloud-hypervisor"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {PRETENDED} "$@"\n')
        program.chmod(0o755)
        (folder / "key").write_bytes(SECRET)
        mine = [str(argument) for argument in arguments]
        options, theirs = (mine[: mine.index("--")], mine[mine.index("--") + 1 :]) if "--" in mine else (mine, [])
        command = [
            "env",
            "--default-signal",
            sys.executable,
            "-m",
            "guestcred",
            "launch",
            "--no-manifest",
            "--for",
            "cloud-hypervisor",
        ]
        self.environment = {
            **os.environ,
            "PRETEND": json.dumps(does),
            "PRETEND_MARK": str(folder),
            "TMPDIR": str(folder),
            **more,
        }
        os.environ["PRETEND_MARK"] = str(folder)
        self.process = subprocess.Popen(
            [*command, *options, f"KEY={folder}/key", "--", program, *seed, *theirs],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=(folder / "stdout").open("wb"),
            stderr=(folder / "stderr").open("wb"),
            pass_fds=passed,
        )

    @property
    def said(self) -> str:
        """Standard error as yet."""
        return (self.folder / "stderr").read_text()

    def alone(self) -> bool:
        """Wait until no process of ours is left beside it; whether it runs."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None and os.fsencode(PRETENDED) not in cmdline(self.process.pid).split(b"\0"):
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)
        # it made them before it became the other
        while relatives_of(self.process.pid):
            assert time.monotonic() < deadline, relatives_of(self.process.pid)
            time.sleep(0.02)
        return self.process.poll() is None

    def ended(self) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        return self.process.wait(60)

    def end(self) -> dict[str, Any]:
        """End it as a service manager does; what it was given."""
        self.process.send_signal(signal.SIGTERM)
        assert self.ended() == 0, self.said
        found: dict[str, Any] = json.loads((self.folder / "stdout").read_text())
        return found

    def left(self) -> set[str]:
        """What is in its folder that it was not started with."""
        return {path.name for path in self.folder.iterdir()} - {"cloud-hypervisor", "key", "stdout", "stderr"}


def cmdline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def relatives_of(pid: int) -> list[int]:
    return [found for found in relatives() if found != pid]


@pytest.fixture
def launch(folder: Path) -> Iterator[Any]:
    started: list[Launched] = []

    def start(*arguments: object, **does: Any) -> Launched:
        started.append(Launched(folder, arguments, **does))
        return started[-1]

    yield start
    for launched in started:
        for pid in (launched.process.pid, *relatives_of(launched.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                if launched.process.poll() is None or pid != launched.process.pid:
                    os.kill(pid, signal.SIGKILL)
        launched.process.wait()


def booted(launched: Launched) -> Launched:
    assert launched.alone(), (launched.process.poll(), launched.said)
    return launched


def test_the_command_line_of_people_works_as_it_stands(launch: Any) -> None:
    """Same process; the API is at a socket that nobody can find, and no secret in what others can read."""
    launched = booted(launch())
    pid = launched.process.pid
    words = cmdline(pid).split(b"\0")
    assert words[1:3] == [os.fsencode(PRETENDED), b"--api-socket"] and words[3].startswith(b"fd=")
    everybodys = b"".join(
        path.read_bytes() for path in Path("/proc").glob(f"{pid}/*") if path.name in ("cmdline", "environ", "comm")
    )
    assert SECRET not in everybodys and OURS.encode() not in everybodys
    assert launched.left() == set()
    given = launched.end()
    assert given["asked"] == ["vmm.ping", "vm.create", "vm.boot"] and given["state"] == "Running"
    assert given["vm"] == {
        "cpus": {"boot_vcpus": 2, "max_vcpus": 2},
        "memory": {"size": 1 << 30},
        "payload": {"kernel": "/boot/vmlinux", "initramfs": "/boot/initrd"},
        "platform": {"oem_strings": ["mine", OURS]},
        "vsock": {"cid": 3, "socket": "notify.vsock"},
        "net": [{"tap": "vm-test", "mac": "02:00:00:00:00:01"}],
    }
    assert launched.said == "" and launched.left() == set()


def test_the_private_socket_takes_no_second_connection(launch: Any) -> None:
    launched = booted(launch())
    listening = [line.split() for line in Path("/proc/net/unix").read_text().splitlines() if "guestcred-" in line]
    ours = [words[-1] for words in listening if words[-1].startswith(str(launched.folder))]
    assert ours
    for path in ours:
        with socket.socket(socket.AF_UNIX) as probe, pytest.raises(FileNotFoundError):
            probe.connect(path)
    launched.end()


@pytest.mark.parametrize("spelling", ["path={}", "{}"])
def test_the_users_own_socket_stays_theirs(launch: Any, folder: Path, spelling: str) -> None:
    launched = booted(launch("--", "--api-socket", spelling.format(folder / "api.sock"), late=0.5))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/api.sock")
        client.sendall(b"GET /api/v1/vm.info HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            assert OURS.encode() in answer.read()
    assert launched.left() == {"api.sock"}
    launched.end()
    assert launched.left() == set()


def test_a_socket_that_the_service_manager_opened(launch: Any, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/given.sock")
        server.listen()
        fd = server.fileno()
        launched = booted(launch("--", "--api-socket", f"fd={fd}", passed=fd))
        assert launched.end()["state"] == "Running"


@pytest.mark.parametrize(
    ("does", "status", "reason"),
    [
        (
            {"fail": {"vm.create": [500, '["Error from API","Cannot create"]']}},
            -9,
            "vm.create failed at its private socket",
        ),
        (
            {"fail": {"vm.boot": [500, '["Error from API","Cannot open /boot/vmlinux"]']}},
            -9,
            "Cannot open /boot/vmlinux",
        ),
        ({"fail": {"vm.boot": [500, f'["Error from API","quoted: {OURS}"]']}}, -9, "quoted: [hidden]"),
        ({"fail": {"vm.boot": None}}, -9, "vm.boot failed at its private socket: no answer within 4 seconds"),
        ({"fail": {"vmm.ping": [200, '{"version": "50.1"}']}}, -9, "--platform"),
        ({"die": "vm.create"}, -signal.SIGSYS, "cloud-hypervisor ended before it had the VM"),
        ({"die": "vm.boot"}, -signal.SIGSYS, "its own message says why"),
        ({"exit": 1}, 1, "pretended: no /dev/kvm"),
    ],
)
def test_where_it_cannot_start_it_ends_with_the_reason(
    launch: Any, does: dict[str, Any], status: int, reason: str
) -> None:
    seed = (*SEED[:8], "--platform", "oem_strings=[mine],iommufd=on", *SEED[10:]) if "vmm.ping" in str(does) else SEED
    begin = time.monotonic()
    launched = launch("--timeout", "4" if "None" in str(does) else "60", seed=seed, **does)
    assert launched.ended() == status
    assert not launched.alone()
    assert time.monotonic() - begin < 40  # nobody waits for the answer of one that has ended
    assert reason in launched.said
    assert "Traceback" not in launched.said and "aHVudGVy" not in launched.said
    assert launched.left() == set()


def test_the_users_socket_goes_with_a_cloud_hypervisor_that_was_ended(launch: Any, folder: Path) -> None:
    launched = launch("--", "--api-socket", f"{folder}/api.sock", fail={"vm.boot": [500, "[]"]})
    assert launched.ended() == -9 and not launched.alone()
    assert f"vm.boot failed at {folder}/api.sock" in launched.said
    assert launched.left() == set()


def test_who_listens_in_its_place_gets_nothing(launch: Any, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/api.sock")
        server.listen()
        launched = launch("--", "--api-socket", f"{folder}/api.sock", late=60)
        assert launched.ended() == -9 and not launched.alone()
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b""
    assert f"another process listens at {folder}/api.sock, and got nothing" in launched.said


def test_one_that_never_listens(launch: Any, folder: Path) -> None:
    launched = launch("--timeout", "0.5", "--", "--api-socket", f"{folder}/api.sock", late=60)
    assert launched.ended() == -9 and not launched.alone()
    assert "does not listen at" in launched.said


def test_a_request_that_it_dies_of(launch: Any) -> None:
    """Where a limit of ours did not hold: it is told, and nothing is left."""
    launched = launch(
        seed=(*SEED, "--cmdline", "x" * 120_000, "--fs", *(f"tag={n},socket=/{'s' * 90}" for n in range(200)))
    )
    assert launched.ended() in (-signal.SIGSYS, 1)
    assert not launched.alone() and launched.left() == set()
    assert "too much for the request" in launched.said


STEPS = [(step, when) for step in ("vmm.ping", "vm.create", "vm.boot") for when in ("asks", "acted", "answered")]
FEW = [("vm.create", "acted"), ("vm.boot", "asks"), ("vm.boot", "answered")]


@pytest.mark.parametrize("whom", ["vmm", "guard", "creator", "group"])
def test_booted_or_nothing_left_whoever_is_killed(folder: Path, whom: str, pytestconfig: pytest.Config) -> None:
    """By every signal that ends a program, at every step; in a fast run by two, at some."""
    everything = pytestconfig.getoption("exhaustive")
    # Python ignores these two, and a signal of real time is one like the other
    numbers = sorted(number for number in ENDING if number <= 31) if everything else [signal.SIGTERM, signal.SIGKILL]
    numbers = [number for number in numbers if number not in (signal.SIGPIPE, signal.SIGXFSZ)]
    for case, ((step, when), number) in enumerate(itertools.product(STEPS if everything else FEW, numbers)):
        own = bool(case % 2)
        arguments = ("--", "--api-socket", f"{folder}/api.sock") if own else ()
        launched = Launched(folder, arguments, kill=[step, when, int(number), whom])
        try:
            clean = whom in ("vmm", "group") and number in (signal.SIGTERM, signal.SIGINT)
            if whom in ("vmm", "group"):
                assert launched.ended() == (0 if clean else -number), (number, own, launched.said)
                launched.alone()
            elif launched.alone():
                assert launched.end()["state"] == "Running", (number, own)
                # its work was done, or the other was there to do it
                assert whom == "guard" or (step, when) == ("vm.boot", "answered")
            else:
                assert launched.ended() == -signal.SIGKILL, (number, own, launched.said)
                assert whom == "creator" and "the process that creates it was ended" in launched.said
            own_killed = own and whom in ("vmm", "group") and not clean
            # a cloud-hypervisor that somebody kills leaves its own socket, with us or without
            assert launched.left() <= ({"api.sock"} if own_killed else set()), (number, own)
            (folder / "api.sock").unlink(missing_ok=True)
        finally:
            for pid in relatives_of(launched.process.pid):
                os.kill(pid, signal.SIGKILL)
            if launched.process.poll() is None:
                launched.process.kill()
            launched.process.wait()


@pytest.mark.parametrize("name", ["TERM", "KILL", "INT"])
def test_nothing_is_left_however_early_it_is_killed(folder: Path, name: str, pytestconfig: pytest.Config) -> None:
    """From its start to the boot of the VM, before it becomes cloud-hypervisor too."""
    for number in range(40 if pytestconfig.getoption("exhaustive") else 6):
        launched = Launched(folder)
        try:
            time.sleep(number * (0.015 if pytestconfig.getoption("exhaustive") else 0.1))
            launched.process.send_signal(getattr(signal, f"SIG{name}"))
            status = launched.ended()
            assert not launched.alone()
            # 1: Python itself, before it runs anything of ours
            assert status in (-getattr(signal, f"SIG{name}"), 0, 130) or (status == 1 and name == "INT"), status
            assert launched.left() == set() or name == "KILL"
            assert (
                "/guestcred/host/" not in launched.said
            )  # no traceback of ours; the pretended hypervisor is in Python too
        finally:
            launched.process.kill()
            launched.process.wait()


def test_a_secret_that_cannot_be_read_starts_nothing(launch: Any) -> None:
    launched = launch("B=/nowhere/at/all")
    assert launched.ended() == 3 and not launched.alone()
    assert "cannot read the secret B" in launched.said and launched.left() == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--", "--bogus"), "has no option --bogus"),
        (("--", "-v"), "with -v cloud-hypervisor logs every OEM string"),
        (("--api-socket", "/a"), "--api-socket stands before '--'"),
        (("--config", "vm.json"), "--config does not go with a command line"),
        (("--notify", "guest", "--", "--vsock", "cid=3"), "--vsock stands twice"),
    ],
)
def test_what_is_refused_before_anything_starts(launch: Any, arguments: tuple[str, ...], said: str) -> None:
    launched = launch(*arguments)
    assert launched.ended() == 2 and not launched.alone()
    assert said in launched.said and launched.left() == set()


def test_a_log_that_is_as_secret_as_they_are(launch: Any) -> None:
    launched = booted(launch("--allow-log", "--", "-v"))
    assert b"-v" in cmdline(launched.process.pid).split(b"\0")
    launched.end()


def test_a_secret_in_the_command_line_is_warned_of(launch: Any) -> None:
    seed = ("--kernel", "k", "--platform", "oem_strings=[io.systemd.credential:DB_PASSWORD=hunter2]")
    launched = booted(launch(seed=seed))
    assert launched.end()["vm"]["platform"]["oem_strings"] == [
        "io.systemd.credential:DB_PASSWORD=hunter2",
        OURS,
    ]
    assert launched.said == (
        "guestcred: warning: the value of DB_PASSWORD stands in --platform oem_strings, where every user of the host could "
        "read it: send it as DB_PASSWORD=FILE\n"
    )


def test_help_and_version_are_the_programs_own(launch: Any) -> None:
    launched = launch(seed=("--version",))
    assert launched.ended() == 2
    assert launched.said == "pretended: ['--version']\n"


class Manager:
    """A service manager that listens for notifications."""

    def __init__(self, folder: Path) -> None:
        self.path = f"{folder}/manager"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.said: list[str] = []
        self.barriers = 0

    def wait(self, wanted: str, seconds: float = 60) -> bool:
        """Whether a line comes within that time."""
        deadline = time.monotonic() + seconds
        while wanted not in self.said:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
            except TimeoutError:
                return False
            for fd in fds:
                # as systemd does, when it has handled what came before
                os.close(fd)
                self.barriers += 1
            self.said += data.decode().splitlines()
        return True


@pytest.fixture
def manager(folder: Path) -> Iterator[Manager]:
    made = Manager(folder)
    yield made
    made.socket.close()
    os.unlink(made.path)


def test_the_unit_is_started_when_the_vm_has_booted(launch: Any, manager: Manager) -> None:
    launched = launch(environment={"NOTIFY_SOCKET": manager.path})
    assert manager.wait("READY=1") and manager.said == ["READY=1", "STATUS=the VM is booted"]
    assert manager.wait("BARRIER=1") and manager.barriers == 1
    booted(launched).end()
    assert not manager.wait("anything else", 0.1)


def test_the_unit_is_told_why_it_failed_and_never_started(launch: Any, manager: Manager) -> None:
    fails = {"vm.boot": [500, '["Error from API","Cannot open /boot/vmlinux"]']}
    launched = launch(environment={"NOTIFY_SOCKET": manager.path}, fail=fails)
    assert manager.wait("BARRIER=1")
    assert launched.ended() == -9 and not launched.alone()
    told, _ = manager.said
    assert told.startswith("STATUS=vm.boot failed at its private socket: it answered 500") and "vmlinux" in told


@pytest.mark.parametrize("how", ["none", "of their own"])
def test_who_does_not_want_to_be_told_is_not(launch: Any, manager: Manager, how: str) -> None:
    """A command line that has the guest tell somebody else, as microvm.nix's does, is not started by its boot alone."""
    theirs = "io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888"
    seed = ("--kernel", "k", *(("--platform", f"oem_strings=[{theirs}]") if how == "of their own" else ()))
    options = ("--notify", "none") if how == "none" else ()
    launched = booted(launch(*options, seed=seed, environment={"NOTIFY_SOCKET": manager.path}))
    assert not manager.wait("READY=1", 0.3) and manager.said == []
    launched.end()


def guest_says(folder: Path, said: bytes, *, half_closes: bool = True) -> float:
    """What cloud-hypervisor does for a guest that connects to port 8888, and how long the guest then waits for its end."""
    with socket.socket(socket.AF_UNIX) as guest:
        guest.connect(f"{folder}/notify.vsock_8888")
        guest.sendall(said)
        if half_closes:
            guest.shutdown(socket.SHUT_WR)
        before = time.monotonic()
        guest.settimeout(60)
        assert guest.recv(1) == b""
        return time.monotonic() - before


def running(launched: Launched) -> Launched:
    """Wait until its VM was booted, with the guard beside it."""
    deadline = time.monotonic() + 60
    while os.fsencode(PRETENDED) not in cmdline(launched.process.pid).split(b"\0"):
        assert time.monotonic() < deadline and launched.process.poll() is None, launched.said
        time.sleep(0.02)
    while len(relatives_of(launched.process.pid)) != 1:
        assert time.monotonic() < deadline and launched.process.poll() is None, launched.said
        time.sleep(0.02)
    return launched


@pytest.mark.parametrize("half_closes", [True, False])
def test_the_guests_own_ready_is_handed_on(launch: Any, folder: Path, manager: Manager, half_closes: bool) -> None:
    """Before cloud-hypervisor 53 a guest's half-close does not arrive: what has come is then all."""
    launched = running(launch("--notify", "guest", environment={"NOTIFY_SOCKET": manager.path}))
    guest_says(folder, b"STATUS=Starting\nMAINPID=1\nX_SYSTEMD_HOSTNAME=vm", half_closes=half_closes)
    assert manager.wait("STATUS=guest: Starting") and not manager.wait("READY=1", 0.2)
    guest_says(folder, b"READY=1\nSTATUS=Up and\tr\x1b[31munning", half_closes=half_closes)
    assert manager.wait("READY=1")
    guest_says(folder, b"READY=1\n", half_closes=half_closes)
    guest_says(folder, b"EXIT_STATUS=7\nERRNO=3\nFDSTORE=1\nSTOPPING=1\nWATCHDOG=trigger", half_closes=half_closes)
    guest_says(folder, b"EXIT_STATUS=300\nEXIT_STATUS=x\n\xff\xfe", half_closes=half_closes)
    assert manager.wait("EXIT_STATUS=7")
    assert manager.said == [
        "STATUS=guest: Starting",
        "READY=1",
        "STATUS=guest: Up and r\\x1b[31munning",
        "EXIT_STATUS=7",
    ]
    had = launched.end()
    assert had["vm"]["platform"]["oem_strings"][-1] == ("io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888")
    assert not launched.alone() and launched.left() == {"manager"}


def test_the_guest_waits_for_nothing(launch: Any, folder: Path, manager: Manager) -> None:
    """PID 1 says something three times a second while it boots, and from 256 on stands still until it is answered."""
    launched = running(launch("--notify", "guest", environment={"NOTIFY_SOCKET": manager.path}))
    waits = sorted(guest_says(folder, b"STATUS=%d" % number) for number in range(30))
    # a relay that waits for more, as socat does, takes 0.2 to 0.5 s for each
    assert waits[15] < 0.1
    with contextlib.ExitStack() as stack:
        for _ in range(40):  # guests that say nothing take nothing from one that does
            silent = stack.enter_context(socket.socket(socket.AF_UNIX))
            silent.connect(f"{folder}/notify.vsock_8888")
        assert manager.wait("STATUS=guest: 29")
        time.sleep(1.2)
        guest_says(folder, b"READY=1")
        assert manager.wait("READY=1")
    launched.end()


def test_a_guest_that_floods_is_cut_short(launch: Any, folder: Path, manager: Manager) -> None:
    launched = running(launch("--notify", "guest", environment={"NOTIFY_SOCKET": manager.path}))
    before = time.monotonic()
    for number in range(300):
        guest_says(folder, b"STATUS=%d" % number)
    took = time.monotonic() - before
    with contextlib.suppress(ConnectionError):
        guest_says(folder, b"x" * 100_000)
    guest_says(folder, b"READY=1\nSTATUS=" + b"y" * 5000)
    assert manager.wait("READY=1")
    statuses = [line for line in manager.said if line.startswith("STATUS=")]
    assert len(statuses) <= 20 + 20 * took + 1 and max(map(len, statuses)) <= 320
    launched.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_guests_relay_goes_with_the_vm_whoever_ends_it(
    launch: Any, folder: Path, manager: Manager, number: int
) -> None:
    launched = running(launch("--notify", "guest", environment={"NOTIFY_SOCKET": manager.path}))
    assert (folder / "notify.vsock_8888").is_socket()
    launched.process.send_signal(number)
    assert launched.ended() == (0 if number == signal.SIGTERM else -9)
    assert not launched.alone() and launched.left() == {"manager"}


def test_the_relays_end_is_not_the_vms(launch: Any, folder: Path, manager: Manager) -> None:
    launched = running(launch("--notify", "guest", environment={"NOTIFY_SOCKET": manager.path}))
    (guard,) = relatives_of(launched.process.pid)
    os.kill(guard, signal.SIGTERM)
    assert launched.alone()
    assert launched.end()["state"] == "Running"
    (folder / "notify.vsock_8888").unlink(missing_ok=True)


def test_it_takes_the_place_of_a_slow_relay(launch: Any, folder: Path, manager: Manager) -> None:
    """microvm.nix starts its own before it: on the port that stands in the command line, which is kept."""
    theirs = "io.systemd.credential:vmm.notify_socket=vsock-stream:2:8888"
    seed = ("--kernel", "k", "--platform", f"oem_strings=[{theirs}]", "--vsock", "cid=3,socket=notify.vsock")
    with socket.socket(socket.AF_UNIX) as slow:
        slow.bind(f"{folder}/notify.vsock_8888")
        slow.listen()
        launched = running(launch("--notify", "guest", seed=seed, environment={"NOTIFY_SOCKET": manager.path}))
        guest_says(folder, b"READY=1")
        assert manager.wait("READY=1")
        assert launched.end()["vm"]["platform"]["oem_strings"] == [theirs, OURS]


@pytest.mark.parametrize(
    "theirs", ["vsock:2:8888", "vsock-stream:3:8888", "vsock-stream:2:", "/run/systemd/notify", "vsock-stream:2:8888x"]
)
def test_an_address_at_which_it_cannot_listen(launch: Any, theirs: str) -> None:
    string = f"oem_strings=[io.systemd.credential:vmm.notify_socket={theirs}]"
    launched = launch("--notify", "guest", seed=(*SEED[:8], "--platform", string, *SEED[10:]))
    assert launched.ended() == 2 and "cannot listen where vmm.notify_socket sends the guest" in launched.said


def test_qemu_is_started_when_it_runs(folder: Path, manager: Manager) -> None:
    command = [sys.executable, "-m", "guestcred", "launch", "--for", "qemu", "--", sys.executable, "-c", "input()"]
    environment = {**os.environ, "NOTIFY_SOCKET": manager.path}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as process:
        assert manager.wait("BARRIER=1") and manager.said == ["READY=1", "BARRIER=1"]
        process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    done = subprocess.run([*command[:7], sys.executable[:-1] + "nope"], env=environment, check=False)
    assert done.returncode == 1 and not manager.wait("nothing", 0.3) and len(manager.said) == 2
    (folder / "not-a-program").write_text("x")
    (folder / "not-a-program").chmod(0o755)
    done = subprocess.run([*command[:7], folder / "not-a-program"], env=environment, check=False)
    assert done.returncode == 1 and not manager.wait("nothing", 0.3) and len(manager.said) == 2
