"""Hostile code, and what it tries; runs in a guest in place of a part of `guestcred apply`, and on this machine in its parser.

`attempts` gives each by name: it returns what it got where it succeeded, and raises OSError where the kernel refused.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import json
import mmap
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

Attempt = Callable[[], object]
UNITS = {"guestcred.service": "", "guestcred-rescue.service": "--early"}  # and what their apply gets
VICTIMS = "/run/victims"
SIZE = 16  # bytes of a victim's marker

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
NUMBERS = {
    # ptrace, process_vm_readv, process_vm_writev, pidfd_open, pidfd_getfd, init_module, mount, bpf, open_by_handle_at, kcmp
    "x86_64": (101, 310, 311, 434, 438, 175, 165, 321, 304, 312),
    "aarch64": (117, 270, 271, 434, 438, 105, 40, 280, 265, 272),
}
PTRACE, READV, WRITEV, PIDFD_OPEN, PIDFD_GETFD, INIT_MODULE, MOUNT, BPF, BY_HANDLE, KCMP = NUMBERS[platform.machine()]
ATTACH, SEIZE = 16, 0x4206  # ptrace(2)


def syscall(number: int, *arguments: object) -> int:
    """A system call by its number; OSError where it fails."""
    done = LIBC.syscall(ctypes.c_long(number), *arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(done)


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def vm(number: int, pid: int, address: int, data: bytes) -> bytes:
    """process_vm_readv(2) or process_vm_writev(2)."""
    buffer = ctypes.create_string_buffer(data, len(data))
    near = Vector(ctypes.cast(buffer, ctypes.c_void_p), len(data))
    far = Vector(address, len(data))
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    syscall(number, ctypes.c_long(pid), ctypes.byref(near), one, ctypes.byref(far), one, none)
    return buffer.raw


def read(path: str, size: int = 64) -> bytes:
    with open(path, "rb", buffering=0) as file:
        found = file.read(size)
    if not found:
        raise OSError(f"{path} is empty")
    return found


def overwrite(path: str, at: int | None = None) -> str:
    """Write to a file that exists, from its own mapping's address if that is given."""
    fd = os.open(path, os.O_WRONLY)
    try:
        if at is not None:
            os.lseek(fd, at, os.SEEK_SET)
        return f"wrote {os.write(fd, b'!' * SIZE)} bytes"
    finally:
        os.close(fd)


def create(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return f"made {path}"


def listed(path: str) -> list[str]:
    found = os.listdir(path)
    if not found:
        raise OSError(f"{path} is empty")
    return found


def connected(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
    return f"connected to {path}"


def mapped(protection: int) -> str:
    mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=protection).close()
    return "mapped"


def forked() -> str:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "forked"


def executed() -> str:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return "executed"


def replaced() -> str:
    os.execv("/bin/true", ["true"])
    return "is another program"


def duplicated(pid: int) -> str:
    """A descriptor of another process."""
    fd = syscall(PIDFD_OPEN, ctypes.c_long(pid), ctypes.c_long(0))
    return f"descriptor {syscall(PIDFD_GETFD, ctypes.c_long(fd), ctypes.c_long(0), ctypes.c_long(0))}"


def unshared() -> str:
    if LIBC.unshare(0x10020000):  # CLONE_NEWUSER, CLONE_NEWNS
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "in other namespaces"


def pair() -> str:
    for end in socket.socketpair():
        end.close()
    return "made"


def pipe() -> str:
    for end in os.pipe():
        os.close(end)
    return "made"


def gained() -> str:
    os.setgid(0)
    os.setgroups([0])
    return "is of root's group"


def on_process(name: str, pid: int, address: int) -> Iterator[tuple[str, Attempt]]:
    """What is tried against another process; its marker is at `address`."""
    yield f"process_vm_readv of {name}", lambda: vm(READV, pid, address, bytes(SIZE))
    yield f"process_vm_writev to {name}", lambda: vm(WRITEV, pid, address, b"!" * SIZE)
    yield f"/proc/PID/mem of {name}, read", lambda: overwrite_nothing(f"/proc/{pid}/mem", address)
    yield f"/proc/PID/mem of {name}, written", lambda: overwrite(f"/proc/{pid}/mem", address)
    yield f"/proc/PID/environ of {name}", lambda: read(f"/proc/{pid}/environ")
    yield f"/proc/PID/maps of {name}", lambda: read(f"/proc/{pid}/maps")
    yield f"/proc/PID/root of {name}, listed", lambda: listed(f"/proc/{pid}/root/")
    yield f"/proc/PID/root of {name}, written", lambda: create(f"/proc/{pid}/root/run/hostile")
    yield f"/proc/PID/cwd of {name}, written", lambda: create(f"/proc/{pid}/cwd/run/hostile")
    yield f"/proc/PID/fd of {name}", lambda: listed(f"/proc/{pid}/fd")
    yield f"ptrace attach to {name}", lambda: syscall(PTRACE, *map(ctypes.c_long, (ATTACH, pid, 0, 0)))
    yield f"ptrace seize of {name}", lambda: syscall(PTRACE, *map(ctypes.c_long, (SEIZE, pid, 0, 0)))
    yield f"pidfd_getfd of {name}", lambda: duplicated(pid)
    yield f"kcmp with {name}", lambda: syscall(KCMP, *map(ctypes.c_long, (pid, pid, 0, 0, 0)))
    yield f"signal to {name}", lambda: os.kill(pid, signal.SIGCONT)


def overwrite_nothing(path: str, at: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        file.seek(at)
        return file.read(SIZE)


def on_files() -> Iterator[tuple[str, Attempt]]:
    """What is tried against files of root's, and outside the two folders."""
    for path in ("/etc/hostname", "/usr/bin/true", "/usr/lib/os-release", "/run/victims/file", "/dev/shm/victim"):
        yield f"{path}, written", partial(overwrite, path)
        yield f"{path}, chmod", partial(os.chmod, path, 0o777)
        yield f"{path}, chown", partial(os.chown, path, 1, 1)
        yield f"{path}, removed", partial(os.unlink, path)
    for folder in ("/", "/etc", "/etc/systemd/system", "/usr/lib", "/root", "/home", "/tmp", "/var/tmp", "/var/lib", "/boot", "/srv",
                   "/run", "/run/systemd", "/run/systemd/system", "/run/udev", "/run/credentials", "/run/initramfs", "/run/tmpfiles.d",
                   "/run/user", "/dev", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup", "/proc", "/proc/sys"):  # fmt: skip
        yield f"a file in {folder}", partial(create, f"{folder}/hostile")
    yield "/proc/sys/kernel/core_pattern, written", lambda: overwrite("/proc/sys/kernel/core_pattern")
    yield "/proc/sysrq-trigger, written", lambda: overwrite("/proc/sysrq-trigger")
    yield "/sys/kernel/uevent_helper, written", lambda: overwrite("/sys/kernel/uevent_helper")
    yield "/dev/mem, opened", lambda: os.close(os.open("/dev/mem", os.O_RDWR))
    yield "/dev/vda, opened", lambda: os.close(os.open("/dev/vda", os.O_RDWR))
    yield "/dev/vda, made anew", lambda: os.mknod("/run/guestcred/hostile-disk", 0o60600, os.makedev(254, 0))
    yield "a set-user-id file", lambda: suid("/run/guestcred/hostile-suid")


def suid(path: str) -> str:
    with open(path, "wb"):
        os.chmod(path, 0o4755)
    return "made"


def on_credentials() -> Iterator[tuple[str, Attempt]]:
    """Credentials of other units."""
    yield "/run/credentials, listed", lambda: listed("/run/credentials")
    yield "another unit's credential", lambda: read("/run/credentials/victim-all.service/other")
    yield "@system, written", lambda: create(f"{os.environ.get('GUESTCRED_CREDENTIALS', '')}/@system/hostile")


def on_system() -> Iterator[tuple[str, Attempt]]:
    """Modules, namespaces, the network, and PID 1 itself."""
    yield "init_module", lambda: syscall(INIT_MODULE, b"", ctypes.c_long(0), b"")
    yield "mount", lambda: syscall(MOUNT, b"none", b"/run/guestcred", b"tmpfs", ctypes.c_long(0), None)
    yield "remount of / for writing", lambda: syscall(MOUNT, None, b"/", None, ctypes.c_long(0x1020), None)
    yield "bpf", lambda: syscall(BPF, ctypes.c_long(0), None, ctypes.c_long(0))
    yield "open_by_handle_at", lambda: syscall(BY_HANDLE, ctypes.c_long(0), None, ctypes.c_long(0))
    yield "unshare of namespaces", unshared
    yield "chroot", lambda: os.chroot("/run")
    yield "setuid", lambda: os.setuid(12345)
    yield "root's group", gained
    yield "an internet socket", lambda: socket.socket(socket.AF_INET).close()
    yield "a netlink socket", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
    yield "a packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    yield "memory to write and execute", lambda: mapped(mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    yield "a realtime schedule", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    yield "another nice value", lambda: os.nice(-5)
    yield "the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0)
    yield "the host's name", lambda: socket.sethostname("hostile")


def on_pid1() -> Iterator[tuple[str, Attempt]]:
    """Whoever is root and may connect to PID 1 makes it run anything."""
    yield "PID 1 over D-Bus", lambda: connected("/run/systemd/private")
    yield "the system bus", lambda: connected("/run/dbus/system_bus_socket")


def on_own() -> Iterator[tuple[str, Attempt]]:
    """What even a writer may do, and a parser may not."""
    yield "any file, opened", lambda: os.close(os.open("/etc/passwd", os.O_RDONLY))
    yield "any folder, listed", lambda: os.listdir("/")
    yield "any file, asked for", lambda: os.stat("/etc/passwd")
    yield "a file in /run/guestcred", lambda: create("/run/guestcred/hostile")
    yield "a socket for datagrams", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close()
    yield "a pair of sockets", pair
    yield "a pipe", pipe
    yield "a memory file", lambda: os.close(os.memfd_create("hostile"))
    yield "another process", forked
    yield "a signal to oneself", lambda: os.kill(os.getpid(), signal.SIGCONT)
    yield "memory to execute", lambda: mapped(mmap.PROT_READ | mmap.PROT_EXEC)
    yield "standard input, read", lambda: os.read(0, 1)
    yield "standard output, written", lambda: os.write(1, b"hostile")
    yield "standard error, written", lambda: os.write(2, b"hostile")
    yield "standard error's flags", lambda: fcntl.fcntl(2, fcntl.F_GETFL)
    yield "another program", executed


def on_itself() -> Iterator[tuple[str, Attempt]]:
    """What leaves no result where it succeeds, and so no answer of a parser."""
    yield "another program in its place", replaced


def tried(attempts: Iterable[tuple[str, Attempt]]) -> list[tuple[str, str]]:
    """(name, "refused: why" or "DONE: what") of each attempt."""
    results = []
    for name, attempt in attempts:
        try:
            results.append((name, f"DONE: {attempt()!r:.80}"))
        except (OSError, ValueError) as error:
            results.append((name, f"refused: {error}"))
    return results


def everything() -> Iterator[tuple[str, Attempt]]:
    """All that neither part may do."""
    for victim in sorted(os.listdir(VICTIMS)):
        if victim != "file":
            yield from on_process(victim, *map(int, Path(VICTIMS, victim).read_text().split()))
    yield from on_process("PID 1", 1, 0)
    yield from on_files()
    yield from on_credentials()
    yield from on_system()


def victim(name: str) -> None:
    """A process of somebody else's: it says where its secret is, and sleeps."""
    marker = ctypes.create_string_buffer(b"marker-of-victim", SIZE)
    Path(VICTIMS, name).write_text(f"{os.getpid()} {ctypes.addressof(marker)}")
    time.sleep(600)


def as_part(part: str, *options: str) -> None:
    """Be that part of `guestcred apply`: "unit" is the program from its first instruction on, "reader" what runs before it.

    The "writer" is its writing process from the first byte on that another process made of the table's, and the "parser"
    that other process.
    """
    attempts = list(everything())  # what a parser could not read any more
    out = f"/run/guestcred/hostile-{part}"
    if part == "reader":
        print(json.dumps([*tried(attempts), *tried(on_pid1())]))
        return
    if part == "unit":
        Path(out).write_text(json.dumps([*tried(attempts), *tried(on_pid1()), *tried(on_own())]))
        return
    sys.path.append("/usr/lib/python3/dist-packages")
    from guestcred.__main__ import main
    from guestcred.apart import ANSWER
    from guestcred.apply import heard

    def parser(*_: object) -> bytes:
        every = itertools.chain(attempts, on_pid1(), on_own(), on_itself())
        return ANSWER + json.dumps(tried(every)).encode()

    def writer(text: str) -> object:
        told = json.dumps([*tried(attempts), *tried(on_pid1())]) if part == "writer" else text
        Path(out).write_text(told)
        return None

    # both need no more of Python than is loaded by now
    vars(heard).update({"parse_json": writer, **({"say": parser} if part == "parser" else {})})
    sys.argv = ["guestcred", "apply", *options]
    sys.exit(main())


def reader(run: str) -> list[list[str]]:
    """In place of what reads the strings for guestcred-look.service, with that unit's settings; it may write to the journal."""
    unit, program = "guestcred-look.service", Path("/opt/hostile/awk")
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nexec {run} reader\n")
    program.chmod(0o755)
    drop_in = Path(f"/run/systemd/system/{unit}.d/hostile.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\nEnvironment=PATH={program.parent}:{os.environ['PATH']}\nStandardOutput=journal\n")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "restart", unit], check=True)
    subprocess.run(["journalctl", "--sync"], check=True)
    told = subprocess.check_output(["journalctl", "--boot", f"--unit={unit}", "--output=cat"], text=True)
    lines = [line for line in told.splitlines() if line.startswith("[[")]
    if not lines:
        sys.exit(told)
    found: list[list[str]] = json.loads(lines[-1])
    return found


def control() -> None:
    """The attempts on processes as root without any sandbox, to see that they can succeed."""
    attempts = [attempt for attempt in everything() if "victim-" in attempt[0]]
    Path("/run/guestcred/hostile-control").write_text(json.dumps(tried(attempts)))


def try_all() -> None:
    """Put up the victims, put each part in the unit's place, with all its settings but ExecStart=, and print the results."""
    Path(VICTIMS).mkdir()
    Path(VICTIMS).chmod(0o777)
    for path in (f"{VICTIMS}/file", "/dev/shm/victim"):
        Path(path).write_text("root's\n")
    run = f"/usr/bin/python3 {__file__}"
    settings = {"all": "SetCredential=other:secret", "none": "CapabilityBoundingSet=", "user": "User=other-user"}
    for name, setting in settings.items():
        words = ("systemd-run", "--quiet", f"--unit=victim-{name}", f"--property={setting}", *run.split())
        subprocess.run([*words, "victim", f"victim-{name}"], check=True)
    while len(os.listdir(VICTIMS)) < len(settings) + 1:
        time.sleep(0.1)
    results = {}
    for (unit, option), part in itertools.product(UNITS.items(), ("unit", "writer", "parser")):
        drop_in = Path(f"/run/systemd/system/{unit}.d/hostile.conf")
        drop_in.parent.mkdir(parents=True, exist_ok=True)
        command = f"/usr/bin/python3 -IS {__file__} {part} {option}"
        drop_in.write_text(f"[Unit]\nConditionPathExists=\n[Service]\nExecStart=\nExecStart={command}\nRestart=no\n")
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        # which also forgets how often it was started
        subprocess.run(["systemctl", "reset-failed", unit], check=False)
        subprocess.run(["systemctl", "restart", unit], check=False)
        out = Path(f"/run/guestcred/hostile-{part}")
        if not out.exists():
            sys.exit(subprocess.check_output(["journalctl", "--boot", f"--unit={unit}"], text=True))
        results[f"{part} of {unit.removesuffix('.service')}"] = json.loads(out.read_text())
        out.unlink()
    results["reader of guestcred-look"] = reader(run)
    subprocess.run(["systemd-run", "--quiet", "--wait", *run.split(), "control"], check=True)
    results["control"] = json.loads(Path("/run/guestcred/hostile-control").read_text())
    print(json.dumps(results))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["victim", name]:
            victim(name)
        case ["control"]:
            control()
        case ["all"]:
            try_all()
        case [part, *options]:
            as_part(part, *options)
