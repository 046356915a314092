"""What a host installs: units that systemd takes, scripts that shellcheck takes, and the flow they make."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from difficult import arrived
from needs import analyze, need
from qemu import Machine, machine

HOST = Path(__file__).parent.parent / "packaging" / "host"
# since systemd 256 systemd-creds hands an ordinary user's wish on to a running systemd, and never reads its own key
BOTH = ["age", pytest.param("systemd-creds", marks=pytest.mark.root)]
SIZES = {"host-api-key": 44, "host-db-password": 44, "host-jwt-secret": 88}


def test_scripts_are_clean() -> None:
    scripts = [path for path in HOST.iterdir() if path.is_file() and path.read_bytes().startswith(b"#!")]
    assert {path.name for path in scripts} == {"microvm-run", "host-secrets"}
    command = [need("shellcheck"), *map(str, scripts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in [*HOST.glob("*.service"), *HOST.glob("*.service.d/*.conf")]:
        copy = tmp_path / path.relative_to(HOST)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text().replace("/usr/libexec/guestcred", str(HOST)))
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
    """What microvm@test-vm.service gives to `microvm-run`, with opened secrets as its credentials."""
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    host_secrets("open", secrets)
    config = tmp_path / "microvm" / "test-vm"
    config.mkdir(parents=True)
    (config / "credentials").write_text(
        "# comment\nAPI_KEY=host-api-key\nDB_PASSWORD=host-db-password\n\nJWT_SECRET=host-jwt-secret\n"
    )
    (config / "literals").write_text("ENVIRONMENT=test\nCLUSTER=britton-desktop")
    program = tmp_path / "guestcred"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m guestcred "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "CREDENTIALS_DIRECTORY": secrets["HOST_SECRETS_RUN"],
        "RUNTIME_DIRECTORY": str(folder),
        "MICROVM_CONFIG": str(config.parent),
        "GUESTCRED": str(program),
    }


def expected(unit: dict[str, str]) -> dict[str, bytes]:
    files = {"API_KEY": "host-api-key", "DB_PASSWORD": "host-db-password", "JWT_SECRET": "host-jwt-secret"}
    found = {name: (Path(unit["CREDENTIALS_DIRECTORY"]) / file).read_bytes() for name, file in files.items()}
    return found | {"ENVIRONMENT": b"test", "CLUSTER": b"britton-desktop"}


@pytest.mark.qemu
def test_microvm_run_becomes_qemu(unit: dict[str, str], folder: Path) -> None:
    command = [*machine(folder), "-name", "a name with spaces"]
    (Path(unit["MICROVM_CONFIG"]) / "test-vm" / "qemu").write_text("# QEMU\n" + "\n".join(command) + "\n")
    with Machine([str(HOST / "microvm-run"), "test-vm"], folder, unit) as qemu:
        table = qemu.table()
        assert os.readlink(f"/proc/{qemu.process.pid}/exe") == os.path.realpath(command[0])
    assert arrived(table) == expected(unit)


def test_microvm_run_becomes_cloud_hypervisor(unit: dict[str, str], tmp_path: Path, folder: Path) -> None:
    (Path(unit["MICROVM_CONFIG"]) / "test-vm" / "vm.json").write_text('{"payload": {"kernel": "/boot/vmlinux"}}')
    done = _run_cloud_hypervisor(unit, tmp_path, folder / "booted")
    vm = json.loads(done)
    assert vm["payload"] == {"kernel": "/boot/vmlinux"}
    values = {
        string.removeprefix("io.systemd.credential:").partition("=")[0]: string
        for string in vm["platform"]["oem_strings"]
    }
    assert {name: text.partition("=")[2].encode() for name, text in values.items()} == expected(unit)


def test_without_a_vm_cloud_hypervisor_ends(unit: dict[str, str], tmp_path: Path) -> None:
    (Path(unit["MICROVM_CONFIG"]) / "test-vm" / "vm.json").write_text("{")
    # and not well, so that its unit fails: a clean end would be none to Restart=on-failure
    assert _run_cloud_hypervisor(unit, tmp_path, None, status=-signal.SIGKILL) == ""


def _run_cloud_hypervisor(unit: dict[str, str], tmp_path: Path, booted: Path | None, status: int = 0) -> str:
    """What the stand-in prints at its end, which comes by our SIGTERM once `booted` is there, or by microvm-run."""
    stand_in = tmp_path / "cloud-hypervisor"
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent}/cloud_hypervisor.py "$@"\n')
    stand_in.chmod(0o755)
    environment = {**unit, "CLOUD_HYPERVISOR": str(stand_in)}
    if booted is not None:
        # the launch has succeeded where this is made
        wrapper = Path(unit["GUESTCRED"])
        wrapper.write_text(f'#!/bin/sh\n{sys.executable} -m guestcred "$@" && touch {booted}\n')
    process = subprocess.Popen([HOST / "microvm-run", "test-vm"], env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while booted is not None and not booted.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    if booted is not None:
        process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == status
    return printed.decode()
