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
from qemu import Machine, machine, need

HOST = Path(__file__).parent.parent / "packaging" / "host"
SIZES = {"host-api-key": 44, "host-db-password": 44, "host-jwt-secret": 88}


def test_scripts_are_clean() -> None:
    scripts = [path for path in HOST.iterdir() if path.is_file() and path.read_bytes().startswith(b"#!")]
    assert {path.name for path in scripts} == {"microvm-run", "host-secrets"}
    command = [need("shellcheck", "shellcheck"), *map(str, scripts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in [*HOST.glob("*.service"), *HOST.glob("*.service.d/*.conf")]:
        copy = tmp_path / path.relative_to(HOST)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text().replace("/usr/libexec/guestcred", str(HOST)))
    units = [tmp_path / "host-secrets.service", tmp_path / "microvm@test-vm.service"]
    command = [need("systemd-analyze", "systemd"), "verify", "--man=no", *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


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


@pytest.mark.parametrize("by", ["age", "systemd-creds"])
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


def test_secrets_are_never_opened_onto_a_disk(secrets: dict[str, str], tmp_path: Path) -> None:
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    disk = tmp_path / "bin" / "stat"
    disk.parent.mkdir()
    disk.write_text("#!/bin/sh\necho ext2/ext3\n")
    disk.chmod(0o755)
    secrets["PATH"] = f"{disk.parent}:{secrets['PATH']}"
    assert "is on a disk" in host_secrets("open", secrets, status=1)
    assert list(Path(secrets["HOST_SECRETS_RUN"]).iterdir()) == []


def test_a_secret_that_cannot_be_decrypted_is_told(secrets: dict[str, str]) -> None:
    secrets["HOST_SECRETS_BY"] = "age"
    host_secrets("make", secrets)
    broken = Path(secrets["HOST_SECRETS"]) / "host-db-password.age"
    broken.chmod(0o600)
    broken.write_bytes(broken.read_bytes()[:-1] + b"x")
    assert f"cannot decrypt {broken}" in host_secrets("open", secrets, status=1)
    assert not list(Path(secrets["HOST_SECRETS_RUN"]).glob(".*"))


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
        one.removeprefix("io.systemd.credential:").partition("=")[0]: one for one in vm["platform"]["oem_strings"]
    }
    assert {name: text.partition("=")[2].encode() for name, text in values.items()} == expected(unit)


def test_without_a_vm_cloud_hypervisor_ends(unit: dict[str, str], tmp_path: Path) -> None:
    (Path(unit["MICROVM_CONFIG"]) / "test-vm" / "vm.json").write_text("{")
    assert _run_cloud_hypervisor(unit, tmp_path, None) == "null\n"


def _run_cloud_hypervisor(unit: dict[str, str], tmp_path: Path, booted: Path | None) -> str:
    """What the stand-in prints at its end, which comes by SIGTERM: ours once `booted` is there, or microvm-run's."""
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
    assert process.returncode == 0
    return printed.decode()
