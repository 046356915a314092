"""Launching: what arrives in the guest's table byte for byte, who can see it on the way, and what a bad API does."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import difficult
import pytest
from cloud_hypervisor import Api
from qemu import Machine, machine

from guestcred import outcome
from guestcred.cli import launch as host
from guestcred.cli.launch import Launch
from guestcred.errors import GuestcredError
from guestcred.host import launch as launching_vms
from guestcred.host.prepare import Request
from guestcred.smbios.walk import parse

SECRET = b"hunter2,hunter2"
CONFIG = {"payload": {"kernel": "/boot/vmlinux"}, "platform": {"oem_strings": ["mine"]}}
TOO_LATE = "no answer within 0.5 seconds"
OURS = "io.systemd.credential.binary:KEY=aHVudGVyMixodW50ZXIy"


@pytest.mark.qemu
def test_difficult_secrets_arrive_byte_for_byte_and_nobody_sees_them(folder: Path) -> None:
    files = difficult.write(folder)
    with Machine(difficult.by_guestcred(files, folder), folder) as qemu:
        table = qemu.table()
        process = Path(f"/proc/{qemu.process.pid}")
        # exec keeps the PID, so that a service manager watches the hypervisor itself
        assert os.readlink(process / "exe") == os.path.realpath(machine(folder)[0])
        seen = b"".join((process / name).read_bytes() for name in ("cmdline", "environ"))
        everybodys = b"".join(
            _read(path) for name in ("cmdline", "environ") for path in Path("/proc").glob(f"*/{name}")
        )
        limits = (process / "limits").read_text()
    assert difficult.arrived(table) == difficult.SECRETS
    assert b"type=11,path=/dev/fd/" in seen and b"io.systemd.credential" not in seen
    assert not [name for name, value in difficult.SECRETS.items() if len(value) > 8 and value in everybodys]
    assert re.search(r"Max core file size +0 ", limits)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.qemu
def test_the_shell_damages_some_of_them(folder: Path) -> None:
    files = difficult.write(folder)
    damaged = set()
    for name in ("COMMA", "TRAILING_NEWLINE", "NUL", "EQUALS"):
        with Machine(difficult.by_shell(name, files[name], folder), folder) as qemu:
            if difficult.arrived(qemu.table()).get(name) != difficult.SECRETS[name]:
                damaged.add(name)
    assert damaged == {"COMMA", "TRAILING_NEWLINE", "NUL"}


@pytest.mark.qemu
def test_the_other_structures_of_qemu_fit_into_the_reserve(folder: Path) -> None:
    sockets = ["-machine", "q35", "-smp", "8,sockets=8"]
    with Machine([*machine(folder), *sockets], folder) as qemu:
        table = qemu.table()
    assert (
        table is not None
        and 300 < len(table) < 2048
        and not [structure for structure in parse(table).structures if structure.type == 11]
    )


@pytest.mark.qemu
def test_at_qemus_limit_the_last_string_arrives(folder: Path) -> None:
    files = {name: folder / name for name in ("A", "B", "LAST")}
    for number, file in enumerate(files.values()):
        # 63,487 bytes are left by the reserve, and these take 62,800
        file.write_bytes(b"%d" % number * (31_300 if number < 2 else 100))
    with Machine(difficult.by_guestcred(files, folder), folder) as qemu:
        assert difficult.arrived(qemu.table()) == {name: file.read_bytes() for name, file in files.items()}


def launch(*arguments: object, status: int) -> str:
    command = [sys.executable, "-m", "guestcred", "launch", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == status, done
    assert done.stdout == b"" and b"Traceback" not in done.stderr
    assert SECRET not in done.stderr and OURS.encode() not in done.stderr
    return done.stderr.decode()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(SECRET)
    said = launch("--for", "qemu", f"KEY={tmp_path}/key", "--", "qemu-system-none", "-S", status=1)
    assert said == "guestcred: error: cannot run qemu-system-none: no such file or directory\n"


def test_what_stands_behind_the_dashes_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(SECRET)
    code = "import sys; print(*sys.argv[1:]); print(open(sys.argv[-1].rpartition('=')[2], 'rb').read().decode())"
    command = [
        "--for",
        "qemu",
        "--no-manifest",
        f"KEY={tmp_path}/key",
        "--",
        sys.executable,
        "-c",
        code,
        "--for",
        "x",
        "--",
        "A=b",
    ]
    done = subprocess.run([sys.executable, "-m", "guestcred", "launch", *command], capture_output=True, check=True)
    shown, string = done.stdout.decode().splitlines()
    assert re.fullmatch(r"--for x -- A=b -smbios type=11,path=/dev/fd/\d+", shown)
    assert string == OURS


def test_a_string_in_memory_is_for_its_user_only_and_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(SECRET)
    code = (
        "import os, sys; fd = int(sys.argv[-1].rpartition('/')[2])\n"
        "for change in (lambda: os.pwrite(fd, b'x', 0), lambda: os.ftruncate(fd, 0), lambda: os.write(fd, b'x')):\n"
        "    try: change()\n"
        "    except PermissionError: print('sealed')\n"
        "print(oct(os.fstat(fd).st_mode & 0o7777))"
    )
    command = ["--for", "qemu", f"KEY={tmp_path}/key", "--", sys.executable, "-c", code]
    done = subprocess.run([sys.executable, "-m", "guestcred", "launch", *command], capture_output=True, check=True)
    assert done.stdout == b"sealed\n" * 3 + b"0o400\n"


def test_qemu_gets_its_signals_as_a_program_has_them() -> None:
    shown = ["grep", "SigIgn", "/proc/self/status"]
    launched = [sys.executable, "-m", "guestcred", "launch", "--for", "qemu", "--", *shown]
    # a parent such as make may leave signals ignored that are the C library's own, and that nobody can reset
    ignored = [
        subprocess.run(["env", "--default-signal", *command], capture_output=True, text=True, check=True).stdout
        for command in (shown, launched)
    ]
    assert ignored[0] == ignored[1]


@pytest.mark.parametrize(
    "environment", [{"A": "b"}, {"A": "b", "LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}, {"LANG": "C.UTF-8"}]
)
def test_qemu_gets_the_environment_that_was_there(tmp_path: Path, environment: dict[str, str]) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec cat /proc/self/environ\n")
    program.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", **environment}
    command = [sys.executable, "-m", "guestcred", "launch", "--for", "qemu", "--", str(program)]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    got = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)
    assert {name: value for name, value in got.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")} == environment


def test_too_many_strings_for_the_files_that_may_be_open() -> None:
    literals = [word for number in range(100) for word in ("--set", f"N{number}=v")]
    command = [sys.executable, "-m", "guestcred", "launch", "--for", "qemu", *literals, "--", "true"]
    limited = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *command]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot make 102 memory files for the strings: too many open files" in done.stderr


@pytest.fixture
def api(folder: Path) -> Iterator[Api]:
    made = Api(folder / "api.sock")
    yield made
    made.close()


def write_vm(folder: Path) -> None:
    (folder / "vm.json").write_text(json.dumps(CONFIG))
    (folder / "key").write_bytes(SECRET)


def boot(folder: Path, *, status: int, timeout: float = 30) -> str:
    write_vm(folder)
    options = ["--api-socket", folder / "api.sock", "--config", folder / "vm.json", "--timeout", timeout]
    return launch("--for", "cloud-hypervisor", *options, f"KEY={folder}/key", status=status)


def test_cloud_hypervisor_creates_and_boots(api: Api, folder: Path) -> None:
    assert boot(folder, status=0) == ""
    assert api.asked == ["vm.info", "vmm.ping", "vm.create", "vm.boot"]
    assert isinstance(api.vm, dict)
    mine, manifest, ours, end = api.vm["platform"].pop("oem_strings")
    assert api.vm == {"payload": {"kernel": "/boot/vmlinux"}, "platform": {}} and (mine, ours) == ("mine", OURS)
    assert ":guestcred.manifest=" in manifest and ":guestcred.end=" in end


def test_a_vm_that_was_there_is_left_alone(api: Api, folder: Path) -> None:
    api.vm = "theirs"
    assert "there is already a VM" in boot(folder, status=1)
    assert (api.asked, api.vm) == (["vm.info"], "theirs")


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (
            "Running",
            "it is in use: 'ch-remote --api-socket {0} shutdown', and then 'ch-remote --api-socket {0} delete'",
        ),
        ("Paused", "it is in use: 'ch-remote --api-socket {0} shutdown', and then 'ch-remote --api-socket {0} delete'"),
        ("Shutdown", "it was shut down, and is there until 'ch-remote --api-socket {0} delete'"),
        ("Created", "it was created and not booted: 'ch-remote --api-socket {0} delete' removes it"),
    ],
)
def test_how_to_make_room_hangs_on_the_state_of_the_vm(api: Api, folder: Path, state: str, told: str) -> None:
    api.vm, api.state = "theirs", state
    hint = f"guestcred: hint: a cloud-hypervisor has only one VM; {told.format(api.path)}\n"
    assert boot(folder, status=1).endswith(hint)


@pytest.mark.parametrize("step", ["vm.create", "vm.boot"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (500, json.dumps(["Error from API", "The VM could not boot", "Cannot open /boot/vmlinux"]).encode()),
            "it answered 500 Internal Server Error: The VM could not boot: Cannot open /boot/vmlinux",
        ),
        (
            (500, json.dumps(["Error from API", f"quoted: {OURS}"]).encode()),
            "it answered 500 Internal Server Error: quoted: [hidden]",
        ),
        (
            (400, SECRET),
            "it answered 400 Bad Request\nguestcred: hint: its reason quotes the VM config, and is not shown",
        ),
        (None, "no answer within 2 seconds"),
    ],
)
def test_no_vm_remains_where_a_step_fails(
    api: Api, folder: Path, step: str, answer: tuple[int, bytes] | None, reason: str
) -> None:
    api.answers[step] = answer
    said = boot(folder, status=1, timeout=30 if answer else 2)
    assert said.startswith(f"guestcred: error: {step} failed at {folder}/api.sock: {reason}\n")
    assert "nothing of KEY reached a guest" in said
    assert api.vm is None and api.asked[-2:] == ["vm.delete", "vm.info"]
    assert "remains" not in said and " log" not in said


@pytest.mark.parametrize("body", [b'["Error from API","VM is not created"]', b"Error from API: VmInfo(VmNotCreated)"])
def test_an_older_cloud_hypervisor_says_500_where_there_is_no_vm(api: Api, folder: Path, body: bytes) -> None:
    api.answers["vm.info"] = (500, body)
    boot(folder, status=0)
    assert api.asked == ["vm.info", "vmm.ping", "vm.create", "vm.boot"]


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_what_does_not_say_that_there_is_no_vm_is_no_leave_to_create_one(api: Api, folder: Path, status: int) -> None:
    api.vm = "theirs"
    api.answers["vm.info"] = (status, b'["Error from API"]')
    assert f"vm.info failed at {folder}/api.sock: it answered {status} " in boot(folder, status=1)
    assert (api.asked, api.vm) == (["vm.info"], "theirs")


@pytest.mark.parametrize(
    "theirs", ["theirs", {"payload": {}}, {"platform": {"oem_strings": ["mine"]}}, {"platform": {"oem_strings": 1}}]
)
def test_a_vm_that_came_between_is_left_alone(api: Api, folder: Path, theirs: object) -> None:
    def come(action: str) -> None:
        if action == "vm.create":
            api.vm = theirs

    api.asks = come
    said = boot(folder, status=1)
    assert "vm.create failed" in said and "there is now a VM without these strings: it was left alone" in said
    assert api.vm == theirs and "vm.delete" not in api.asked


def test_what_cannot_be_seen_after_a_refusal_is_not_deleted(api: Api, folder: Path) -> None:
    def fall_silent(action: str) -> None:
        if action == "vm.create":
            api.answers["vm.info"] = (500, b"")

    api.asks = fall_silent
    api.answers["vm.create"] = (500, b"")
    assert "a VM may remain, since vm.info failed too" in boot(folder, status=1)
    assert "vm.delete" not in api.asked


@pytest.mark.parametrize(("name", "status"), [("TERM", 143), ("HUP", 129)])
@pytest.mark.parametrize("step", ["vm.create", "vm.boot"])
def test_no_vm_remains_where_the_launch_is_ended(api: Api, folder: Path, step: str, name: str, status: int) -> None:
    asked = threading.Event()
    api.answers[step] = None
    api.asks = lambda action: asked.set() if action == step else None
    write_vm(folder)
    command = ["env", f"--default-signal={name}", sys.executable, "-m", "guestcred", "launch"]
    options = ["--for", "cloud-hypervisor", "--api-socket", f"{folder}/api.sock", "--config", f"{folder}/vm.json"]
    with subprocess.Popen([*command, *options, f"KEY={folder}/key"], stderr=subprocess.PIPE) as process:
        assert asked.wait(60)
        process.send_signal(getattr(signal, f"SIG{name}"))
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (status, b"")
    assert api.vm is None and api.asked[-2:] == ["vm.delete", "vm.info"]


def launching(folder: Path) -> subprocess.Popen[bytes]:
    write_vm(folder)
    command = ["env", "--default-signal=TERM", sys.executable, "-m", "guestcred", "launch"]
    options = ["--for", "cloud-hypervisor", "--api-socket", f"{folder}/api.sock", "--config", f"{folder}/vm.json"]
    return subprocess.Popen([*command, *options, f"KEY={folder}/key"], stderr=subprocess.PIPE)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("when", ["asks", "acted", "answered"])
@pytest.mark.parametrize("step", ["vm.info", "vm.create", "vm.boot", "vm.delete"])
def test_booted_or_undone_wherever_sigterm_comes(api: Api, folder: Path, step: str, when: str, fails: bool) -> None:
    if fails:
        api.answers["vm.boot"] = (500, b"")
    started, sent = threading.Event(), threading.Event()

    def end(action: str) -> None:
        if action == step and not sent.is_set():
            assert started.wait(60)
            sent.set()
            process.send_signal(signal.SIGTERM)
            time.sleep(0.05)

    setattr(api, when, end)
    with launching(folder) as process:
        started.set()
        process.communicate(timeout=60)
    assert (process.returncode == 0) == (api.vm is not None)
    # so that the case above is none that nothing came of; the program may end before the thread that answered goes on
    comes = fails or step != "vm.delete"
    assert sent.wait(60 if comes else 0) == comes


def test_booted_or_undone_however_late_sigterm_comes(api: Api, folder: Path) -> None:
    """From the answer of vm.boot to the end of the program, Python's own end included."""
    for number in range(20):
        booted = threading.Event()
        api.vm = None
        api.answered = lambda action, booted=booted: booted.set() if action == "vm.boot" else None
        with launching(folder) as process:
            assert booted.wait(60)
            time.sleep(number * 0.003)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert (process.returncode == 0) == (api.vm is not None), number


@pytest.mark.parametrize("fails", [False, True])
def test_booted_or_undone_at_every_instruction_of_ours(
    api: Api, folder: Path, fails: bool, pytestconfig: pytest.Config
) -> None:
    """A child of this process gets SIGTERM at its Nth instruction of `launch`, for every N; in a fast run for each fifth."""
    write_vm(folder)
    if fails:
        api.answers["vm.boot"] = (500, b"")
    ends = set()
    for number in itertools.count(step=1 if pytestconfig.getoption("exhaustive") else 5):
        api.vm = None
        child = os.fork()
        if not child:
            _launch_and_end_at(number, folder)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == NOT_REACHED:
            break
        assert (code == 0) == (api.vm is not None), (number, code)
        ends.add(code)
    assert number > 100
    assert ends >= ({1, 143} if fails else {0, 143})


NOT_REACHED = 77


def _launch_and_end_at(number: int, folder: Path) -> NoReturn:
    files = {module.__file__ for module in (host, launching_vms, outcome, contextlib)}
    count = 0
    code = 99
    reached = False

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count, reached
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if count == number:
                reached = True
                os.kill(os.getpid(), signal.SIGTERM)
            count += 1
        return trace

    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asked = Request("cloud-hypervisor", (f"KEY={folder}/key",), (), False, False, None, 0)
        sys.settrace(trace)
        how = Launch(None, f"{folder}/vm.json", f"{folder}/api.sock")
        code = host.run_launch(asked, how)
    except GuestcredError as error:
        code = error.status
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        sys.settrace(None)
        os._exit(code if reached else NOT_REACHED)


@pytest.mark.parametrize("answer", [(500, b""), None])
def test_a_vm_that_cannot_be_deleted_is_told(api: Api, folder: Path, answer: tuple[int, bytes] | None) -> None:
    api.answers |= {"vm.boot": (500, b""), "vm.delete": answer}
    said = boot(folder, status=1, timeout=30 if answer else 2)
    assert "vm.boot failed" in said and "a VM remains, since vm.delete failed too" in said


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            client.connect(str(path))
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("step", ["vm.create", "vm.boot"])
def test_where_the_vmm_died_no_vm_remains(folder: Path, step: str) -> None:
    program = [
        sys.executable,
        f"{Path(__file__).parent}/cloud_hypervisor.py",
        "--api-socket",
        f"path={folder}/api.sock",
    ]
    dies = {**os.environ, "PRETEND": json.dumps({"die": step})}
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, env=dies) as vmm:
        _wait_for(folder / "api.sock")
        said = boot(folder, status=1)
        assert vmm.wait(60) == -signal.SIGSYS
    assert f"{step} failed at" in said and "this cloud-hypervisor has ended, and no VM of it remains" in said
    assert "VM remains, since" not in said and "may remain" not in said


def test_a_socket_that_is_not_there_refuses_or_says_nothing(folder: Path) -> None:
    assert "vm.info failed at" in boot(folder, status=1)
    assert "no such file or directory" in boot(folder, status=1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/api.sock")
        assert "connection refused" in boot(folder, status=1)
        server.listen()
        assert "no answer within 0.3 seconds" in boot(folder, status=1, timeout=0.3)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_nothing_is_sent_where_others_may_replace_the_socket(api: Api, folder: Path, mode: int) -> None:
    folder.chmod(mode)
    said = boot(folder, status=1)
    assert f"vm.info failed at {api.path}: others may write to its folder {folder} (mode {mode:04o})\n" in said
    assert f"hint: they could listen there in its place: chmod go-w {folder}\n" in said and "first" not in said
    assert api.asked == []
    folder.chmod(mode | 0o1000)
    boot(folder, status=0)


@pytest.mark.root
@pytest.mark.parametrize(
    ("theirs", "what"),
    [("", "its folder {} belongs to"), ("api.sock", "it belongs to"), (None, "who listens there is")],
)
def test_nothing_is_sent_to_another_user(folder: Path, theirs: str | None, what: str) -> None:
    received, write = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/api.sock")
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                if theirs is None:
                    os.setresuid(65534, 65534, 65534)
                server.listen()
                os.write(write, b"-")
                while True:
                    connection, _ = server.accept()
                    os.write(write, connection.recv(100))
            os._exit(0)
        try:
            assert os.read(received, 1) == b"-"
            if theirs is not None:
                os.chown(folder / theirs, 65534, 65534)
            said = boot(folder, status=1)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(write)
    them = pwd.getpwuid(65534).pw_name
    assert (
        f"vm.info failed at {folder}/api.sock: {what.format(folder)} {them}, who is neither root nor the user of"
        in said
    )
    assert "let cloud-hypervisor and guestcred run as the same user" in said
    with open(received, "rb") as rest:
        assert rest.read() == b""


@contextlib.contextmanager
def answering(folder: Path, *pieces: bytes, endless: bool = False, pause: float = 0) -> Iterator[None]:
    """A socket that answers one request with the pieces, the last of them for ever if `endless`."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/api.sock")
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.recv(4096)
                for piece in pieces:
                    connection.sendall(piece)
                while endless:
                    time.sleep(pause)
                    connection.sendall(pieces[-1])

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"SSH-2.0\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"],
        [b"HTTP/1.1 " + b"9" * 20 + b"\r\n\r\n"],
    ],
)
def test_a_socket_that_speaks_no_http(folder: Path, pieces: list[bytes]) -> None:
    with answering(folder, *pieces):
        assert "the answer is not HTTP" in boot(folder, status=1)


@pytest.mark.parametrize(
    ("pieces", "pause", "reason"),
    [
        ([b"H"], 0.1, TOO_LATE),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x"], 0.1, TOO_LATE),
        # newer versions of Python have had enough after a hundred
        ([b"HTTP/1.1 100 Continue\r\n\r\n"], 0, f"{TOO_LATE}|the answer is not HTTP"),
    ],
)
def test_an_answer_that_never_ends(folder: Path, pieces: list[bytes], pause: float, reason: str) -> None:
    with answering(folder, *pieces, endless=True, pause=pause):
        said = boot(folder, status=1, timeout=0.5)
    assert re.match(rf"guestcred: error: vm.info failed at {folder}/api.sock: ({reason})\n", said)


def test_a_timeout_is_a_number(folder: Path) -> None:
    write_vm(folder)
    options = ["--api-socket", folder / "api.sock", "--config", folder / "vm.json", "--timeout", "nan"]
    assert "nan is not a number" in launch("--for", "cloud-hypervisor", *options, f"KEY={folder}/key", status=2)


def test_a_limit_is_checked_before_the_api_is_asked(api: Api, folder: Path) -> None:
    assert "too much for the table" in boot_sized(folder, 64_000, status=1)
    assert api.asked == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((200, b'{"version": "54.0.0"}'), 0),
        ((200, b'{"version": "v100.1-dirty"}'), 0),
        ((200, b'{"version": "53.0.0"}'), 1),
        ((200, b'{"build_version": "v54"}'), 1),
        ((200, b'{"version": 54}'), 1),
        ((200, b"54"), 1),
        ((404, b""), 1),
    ],
)
def test_what_a_request_may_have_is_asked_of_the_vmm(
    api: Api, folder: Path, answer: tuple[int, bytes], status: int
) -> None:
    api.answers["vmm.ping"] = answer
    said = boot_sized(folder, 60_000, status=status)
    assert ("too much for the request" in said and "only 51200 fit" in said) == (status == 1)
    assert ("vm.create" in api.asked) == (status == 0)


def boot_sized(folder: Path, size: int, status: int) -> str:
    (folder / "vm.json").write_text("{}")
    (folder / "key").write_bytes(b"x" * size)
    options = ["--api-socket", folder / "api.sock", "--config", folder / "vm.json"]
    return launch("--for", "cloud-hypervisor", *options, f"KEY={folder}/key", status=status)
