"""What a host installs: units that systemd takes, scripts that shellcheck takes, and the flow they make."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from difficult import arrived
from needs import analyze, need
from qemu import Machine, machine

from guestcred.manifest import FRAME

HOST = Path(__file__).parent.parent / "packaging" / "host"
# since systemd 256 systemd-creds hands an ordinary user's wish on to a running systemd, and never reads its own key
BOTH = ["age", pytest.param("systemd-creds", marks=pytest.mark.root)]
SIZES = {"host-api-key": 44, "host-db-password": 44, "host-jwt-secret": 88}


def test_scripts_are_clean() -> None:
    scripts = [path for path in HOST.iterdir() if path.is_file() and path.read_bytes().startswith(b"#!")]
    assert {path.name for path in scripts} == {"stand-in", "host-secrets"}
    scripts += [HOST.parent / path for path in ("install", "debian/postrm", "initrd/initramfs-tools/guestcred")]
    command = [need("shellcheck"), *map(str, scripts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in [*HOST.glob("*.service"), *HOST.glob("*.service.d/*.conf")]:
        copy = tmp_path / path.relative_to(HOST)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(
            path.read_text().replace("/usr/libexec/guestcred", str(HOST)).replace("/usr/bin/guestcred", "/bin/true")
        )
    units = [tmp_path / "host-secrets.service", tmp_path / "microvm@test-vm.service"]
    assert analyze("verify", "--man=no", *units) == ""


@pytest.fixture
def secrets(tmp_path: Path, folder: Path) -> dict[str, str]:
    """An environment for `host-secrets`: at rest on a disk, open in memory, with keys of its own."""
    environment = {
        **os.environ,
        "HOST_SECRETS": str(tmp_path / "store"),
        "HOST_SECRETS_RUN": str(folder / "secrets"),
        "AGE_IDENTITY": str(tmp_path / "identity"),
        "SYSTEMD_CREDENTIAL_SECRET": str(tmp_path / "host.key"),
    }
    subprocess.run([need("age-keygen", "age"), "-o", environment["AGE_IDENTITY"]], check=True, capture_output=True)
    subprocess.run([need("systemd-creds", "systemd"), "setup"], env=environment, check=True, capture_output=True)
    return environment


def host_secrets(action: str, environment: dict[str, str], status: int = 0) -> str:
    done = subprocess.run([HOST / "host-secrets", action], env=environment, capture_output=True, check=False)
    assert done.returncode == status, done
    return done.stderr.decode()


@pytest.mark.parametrize("by", BOTH)
def test_secrets_are_made_encrypted_and_opened(secrets: dict[str, str], by: str) -> None:
    secrets["HOST_SECRETS_BY"] = by
    store, opened = Path(secrets["HOST_SECRETS"]), Path(secrets["HOST_SECRETS_RUN"])
    host_secrets("make", secrets)
    at_rest = {path.name: path.read_bytes() for path in store.iterdir()}
    host_secrets("make", secrets)
    assert at_rest == {path.name: path.read_bytes() for path in store.iterdir()}
    for _ in range(2):
        host_secrets("open", secrets)
    assert {path.name: path.stat().st_size for path in opened.iterdir()} == SIZES
    for path in opened.iterdir():
        assert len(base64.b64decode(path.read_bytes(), validate=True)) == {44: 32, 88: 64}[path.stat().st_size]
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert not [name for name, data in at_rest.items() if path.read_bytes() in data]
    assert stat.S_IMODE(opened.stat().st_mode) == 0o700
    host_secrets("close", secrets)
    assert not opened.exists()


def stand_in(secrets: dict[str, str], tmp_path: Path, program: str, script: str) -> None:
    """Put a program before the real one."""
    made = tmp_path / "bin" / program
    made.parent.mkdir(exist_ok=True)
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    secrets["PATH"] = f"{made.parent}:{os.environ['PATH']}"


@pytest.mark.parametrize("by", BOTH)
@pytest.mark.parametrize("program", ["head", "base64"])
def test_no_empty_secret_is_kept(secrets: dict[str, str], tmp_path: Path, program: str, by: str) -> None:
    secrets["HOST_SECRETS_BY"] = by
    stand_in(secrets, tmp_path, program, "exit 1")
    assert "cannot make host-api-key: 0 bytes came of 44" in host_secrets("make", secrets, status=1)
    assert list(Path(secrets["HOST_SECRETS"]).iterdir()) == []
    secrets["PATH"] = os.environ["PATH"]
    host_secrets("make", secrets)
    host_secrets("open", secrets)
    assert {path.name: path.stat().st_size for path in Path(secrets["HOST_SECRETS_RUN"]).iterdir()} == SIZES


def test_secrets_are_never_opened_onto_a_disk(secrets: dict[str, str], tmp_path: Path) -> None:
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    stand_in(secrets, tmp_path, "stat", "echo ext2/ext3")
    assert "is on a disk" in host_secrets("open", secrets, status=1)
    opened = Path(secrets["HOST_SECRETS_RUN"])
    assert not opened.exists()
    opened.mkdir(mode=0o755)
    assert "is on a disk" in host_secrets("open", secrets, status=1)
    assert stat.S_IMODE(opened.stat().st_mode) == 0o755 and list(opened.iterdir()) == []


def test_a_folder_of_others_stays_as_it_is(secrets: dict[str, str]) -> None:
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    opened = Path(secrets["HOST_SECRETS_RUN"])
    opened.mkdir(mode=0o755)
    (opened / "theirs").write_text("x")
    host_secrets("open", secrets)
    assert {path.name for path in opened.iterdir()} == {*SIZES, "theirs"}
    assert "has files that are not in" in host_secrets("close", secrets)
    assert [path.name for path in opened.iterdir()] == ["theirs"]
    assert stat.S_IMODE(opened.stat().st_mode) == 0o755
    opened.chmod(0o777)
    assert "others may write to" in host_secrets("open", secrets, status=1)


@pytest.mark.parametrize("action", ["open", "close"])
def test_a_link_is_not_followed(secrets: dict[str, str], folder: Path, action: str) -> None:
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    (folder / "theirs").mkdir()
    (folder / "theirs" / "host-api-key").write_text("x")
    Path(secrets["HOST_SECRETS_RUN"]).symlink_to("theirs")
    assert "is a link" in host_secrets(action, secrets, status=1)
    assert [path.read_text() for path in (folder / "theirs").iterdir()] == ["x"]


def test_a_secret_that_cannot_be_decrypted_is_told_and_the_others_are_opened(secrets: dict[str, str]) -> None:
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    broken = Path(secrets["HOST_SECRETS"]) / "host-api-key.age"
    broken.chmod(0o600)
    *front, last = broken.read_bytes()
    broken.write_bytes(bytes([*front, last ^ 1]))
    assert f"cannot decrypt {broken}" in host_secrets("open", secrets, status=1)
    opened = {path.name for path in Path(secrets["HOST_SECRETS_RUN"]).iterdir()}
    assert opened == {"host-db-password", "host-jwt-secret"}


@pytest.mark.parametrize(("name", "status"), [("TERM", 143), ("INT", 130), ("HUP", 129)])
@pytest.mark.parametrize("action", ["make", "open"])
def test_nothing_half_made_is_left_where_it_is_ended(
    secrets: dict[str, str], tmp_path: Path, action: str, name: str, status: int
) -> None:
    secrets["HOST_SECRETS_BY"] = "age"
    store, opened = Path(secrets["HOST_SECRETS"]), Path(secrets["HOST_SECRETS_RUN"])
    if action == "open":
        host_secrets("make", secrets)
    new = opened / ".new" if action == "open" else store / "host-api-key.age.new"
    # in `make` it is part of a pipe, but its parent is still the shell
    stand_in(secrets, tmp_path, "age", f"echo half >{new}; kill -{name} $PPID; sleep 0.2")
    command = ["env", f"--default-signal={name}", str(HOST / "host-secrets"), action]
    done = subprocess.run(command, env=secrets, capture_output=True, check=False, timeout=60)
    assert done.returncode == status, done
    assert not new.exists()


@pytest.fixture
def unit(secrets: dict[str, str], tmp_path: Path, folder: Path) -> dict[str, str]:
    """What microvm@test-vm.service has: opened secrets as its credentials, and files in /etc/microvm/test-vm."""
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    host_secrets("open", secrets)
    (tmp_path / "credentials").write_text(
        "# comment\nAPI_KEY=host-api-key\nDB_PASSWORD=host-db-password\n\nJWT_SECRET=host-jwt-secret\n"
        "--set=ENVIRONMENT=test\n--set=CLUSTER=britton-desktop"
    )
    program = tmp_path / "bin" / "guestcred"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m guestcred "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "CREDENTIALS_DIRECTORY": secrets["HOST_SECRETS_RUN"],
        "RUNTIME_DIRECTORY": str(folder),
    }


def expected(unit: dict[str, str]) -> dict[str, bytes]:
    files = {"API_KEY": "host-api-key", "DB_PASSWORD": "host-db-password", "JWT_SECRET": "host-jwt-secret"}
    found = {name: (Path(unit["CREDENTIALS_DIRECTORY"]) / file).read_bytes() for name, file in files.items()}
    return found | {"ENVIRONMENT": b"test", "CLUSTER": b"britton-desktop"}


def starts(tmp_path: Path, command: list[str]) -> list[str]:
    """ExecStart= of the unit, for a VM with that command line."""
    (tmp_path / "command").write_text("# the VM\n" + "\n".join(command) + "\n")
    (line,) = [
        line.partition("=")[2] for line in (HOST / "microvm@.service").read_text().splitlines() if "ExecStart=" in line
    ]
    return line.replace("/etc/microvm/%i", str(tmp_path)).replace("/usr/bin/", f"{tmp_path}/bin/").split()


@pytest.mark.qemu
def test_the_unit_becomes_qemu(unit: dict[str, str], tmp_path: Path, folder: Path) -> None:
    command = [*machine(folder), "-name", "a name with spaces"]
    with Machine(starts(tmp_path, command), folder, unit) as qemu:
        table = qemu.table()
        assert os.readlink(f"/proc/{qemu.process.pid}/exe") == os.path.realpath(command[0])
    assert arrived(table) == expected(unit)


def values(vm: dict[str, Any]) -> dict[str, bytes]:
    pairs = (text.removeprefix("io.systemd.credential:").partition("=") for text in vm["platform"]["oem_strings"])
    return {name: value.encode() for name, _, value in pairs if name not in FRAME}


def pretended(tmp_path: Path) -> str:
    made = tmp_path / "real" / "cloud-hypervisor"
    made.parent.mkdir(exist_ok=True)
    made.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent}/cloud_hypervisor.py "$@"\n')
    made.chmod(0o755)
    return str(made)


def run_to_the_end(command: list[str], unit: dict[str, str], folder: Path) -> dict[str, Any]:
    """Start a pretended cloud-hypervisor, end it when its VM runs as the service manager is told, and give what it had."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        manager.settimeout(60)
        process = subprocess.Popen(command, env={**unit, "NOTIFY_SOCKET": f"{folder}/notify"}, stdout=subprocess.PIPE)
        while manager.recv(4096) != b"READY=1\nSTATUS=the VM is booted":
            pass
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(printed)
    return found


def test_the_unit_becomes_cloud_hypervisor(unit: dict[str, str], tmp_path: Path, folder: Path) -> None:
    command = [pretended(tmp_path), "--kernel", "/boot/vmlinux", "--cmdline", "console=hvc0 quiet"]
    had = run_to_the_end(starts(tmp_path, command), unit, folder)
    assert had["vm"]["payload"] == {"kernel": "/boot/vmlinux", "cmdline": "console=hvc0 quiet"}
    assert values(had["vm"]) == expected(unit)


def installed(tmp_path: Path, name: str) -> Path:
    """The program of ours, by another's name."""
    made = tmp_path / "ours" / name
    made.parent.mkdir(exist_ok=True)
    made.symlink_to(HOST / "stand-in")
    return made


def echo(tmp_path: Path, name: str) -> Path:
    """A program that prints its arguments, byte for byte."""
    made = tmp_path / "real" / name
    made.parent.mkdir(exist_ok=True)
    made.write_text(f"#!{sys.executable}\nimport os, sys\nos.write(1, b'|'.join(map(os.fsencode, sys.argv[1:])))\n")
    made.chmod(0o755)
    return made


@pytest.mark.parametrize("name", ["cloud-hypervisor", "qemu-system-x86_64"])
def test_without_secrets_a_stand_in_is_the_real_one(tmp_path: Path, name: str) -> None:
    ours, real = installed(tmp_path, name), echo(tmp_path, name)
    arguments = [b"--platform", b"oem_strings=[a, b]", b"", b"a  b", b"$x", b"-v", b"--", b"\xff"]
    variable = "GUESTCRED_QEMU" if "qemu" in name else "GUESTCRED_CLOUD_HYPERVISOR"
    for environment in (
        {"PATH": f"{ours.parent}:{real.parent}"},
        {"PATH": f"{real.parent}:{ours.parent}", "CREDENTIALS_DIRECTORY": str(tmp_path)},
        {"PATH": f"{ours.parent}", variable: str(real)},
    ):
        done = subprocess.run([ours, *arguments], env=environment, capture_output=True, check=True)
        assert done.stdout == b"|".join(arguments)
    done = subprocess.run([ours], env={"PATH": str(ours.parent)}, capture_output=True, check=False)
    assert done.returncode == 127 and b"there is no other" in done.stderr


@pytest.mark.parametrize("by", ["unit", "environment"])
def test_a_stand_in_for_cloud_hypervisor_offers_the_secrets(
    unit: dict[str, str], tmp_path: Path, folder: Path, by: str
) -> None:
    pretended(tmp_path)
    unit["PATH"] = f"{tmp_path}/ours:{tmp_path}/real:{unit['PATH']}"
    if by == "unit":
        shutil.move(tmp_path / "credentials", Path(unit["CREDENTIALS_DIRECTORY"]) / "guestcred.launch")
    else:
        unit["GUESTCRED_LAUNCH"] = str(tmp_path / "credentials")
    command = [str(installed(tmp_path, "cloud-hypervisor")), "--kernel", "k", "--disk", "path=a", "path=b"]
    had = run_to_the_end(command, unit, folder)
    assert had["vm"]["disks"] == [{"path": "a"}, {"path": "b"}] and values(had["vm"]) == expected(unit)
    done = subprocess.run([command[0], "--bogus"], env=unit, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "has no option --bogus" in done.stderr


@pytest.mark.qemu
def test_a_stand_in_for_qemu_offers_the_secrets(unit: dict[str, str], tmp_path: Path, folder: Path) -> None:
    program, *rest = machine(folder)
    ours = installed(tmp_path, os.path.basename(program))
    unit |= {"GUESTCRED_QEMU": need(program), "GUESTCRED_LAUNCH": str(tmp_path / "credentials")}
    with Machine([str(ours), *rest], folder, unit) as qemu:
        assert arrived(qemu.table()) == expected(unit)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--command=x", "has a line that is neither NAME=FILE nor an option"),
        ("--", "has a line that is neither"),
        ("hunter2hunter2", "an argument without '='"),
    ],
)
def test_a_file_of_secrets_with_something_else(unit: dict[str, str], tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "credentials").write_text(line)
    command = starts(tmp_path, [pretended(tmp_path), "--kernel", "k"])
    done = subprocess.run(command, env=unit, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and said in done.stderr and "hunter2" not in done.stderr


def test_a_file_that_is_not_there(unit: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "credentials").unlink()
    done = subprocess.run(starts(tmp_path, ["true"]), env=unit, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and f"cannot read {tmp_path}/credentials: no such file" in done.stderr


def stop(socket_path: Path, seconds: float) -> tuple[int, str]:
    command = [sys.executable, "-m", "guestcred", "stop", "--timeout", str(seconds), str(socket_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


def test_the_power_button_of_cloud_hypervisor(tmp_path: Path, folder: Path) -> None:
    environment = {**os.environ, "PRETEND": json.dumps({"off": True})}
    with subprocess.Popen([pretended(tmp_path), "--api-socket", f"{folder}/api"], env=environment) as process:
        while not (folder / "api").exists():
            time.sleep(0.02)
        assert stop(folder / "api", 30) == (0, "")
        assert process.wait(60) == 0
    status, said = stop(folder / "api", 1)
    assert status == 1 and "cannot press the power button at" in said
    with subprocess.Popen([pretended(tmp_path), "--api-socket", f"{folder}/api"], stdout=subprocess.DEVNULL) as process:
        while not (folder / "api").exists():
            time.sleep(0.02)
        assert "is not off after 0.5 seconds" in stop(folder / "api", 0.5)[1]
        process.terminate()


@pytest.mark.qemu
def test_the_power_button_of_qemu(folder: Path) -> None:
    command = [*machine(folder), "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
    with Machine(command, folder) as qemu:
        while not (folder / "qmp").exists():
            time.sleep(0.02)
        # nothing runs in it that could see the button
        assert "is not off after 0.5 seconds" in stop(folder / "qmp", 0.5)[1]
        qemu.process.terminate()
        qemu.process.wait(60)
