"""Runs inside the host of the whole flow, as root: makes the secrets, starts the VMs, and watches every stage."""

from __future__ import annotations

import io
import json
import os
import pwd
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from difficult import SECRETS

from vm import search
from vm.flow_watch import (
    BOOT_LIMIT,
    CONTROL,
    Needles,
    hold_and_search,
    is_qemu,
    memory_files,
    plant,
    run,
    secrets_in,
    show,
    strings_of,
    verify_control,
    wait_for_delivery,
    wait_for_qemu,
    wait_until_started,
)
from vm.record import AT_REST, Record, Seen, digest, look

SHARED = Path("/srv/flow")  # all below /srv comes from outside, by bind mounts
GUEST = Path("/srv/guest")
MACHINES = Path("/etc/microvm")
STATES = Path("/var/lib/microvm")
STORE, OPENED = Path("/etc/host-secrets"), Path("/run/secrets")
HOST_SECRETS = "/usr/libexec/guestcred/host-secrets"
RESULTS_SIZE = 1 << 20  # bytes

REFERENCE = {"API_KEY": "host-api-key", "DB_PASSWORD": "host-db-password", "JWT_SECRET": "host-jwt-secret"}
LITERALS = {"ENVIRONMENT": b"test", "CLUSTER": b"britton-desktop"}
DEMO = {"api-key": "API_KEY", "db-password": "DB_PASSWORD", "jwt-secret": "JWT_SECRET", "environment": "ENVIRONMENT", "cluster": "CLUSTER"}  # fmt: skip
SIZES = [44, 44, 88, 4, 15]
DIFFICULT = {name: name.lower().replace("_", "-") for name in SECRETS}


def say(text: str) -> None:
    with (SHARED / "progress").open("a") as file:
        file.write(text + "\n")


def make_secrets() -> None:
    """The three of the reference flow as docs/host.md says, and the difficult ones as it says of own secrets."""
    run(HOST_SECRETS, "make")
    umask = os.umask(0o077)
    for name, file in DIFFICULT.items():
        run("systemd-creds", "encrypt", f"--name={file}", "-", str(STORE / f"{file}.cred"), data=SECRETS[name])
    os.umask(umask)


def cloud_hypervisor(vm: str) -> list[str]:
    """A command line as people write it for cloud-hypervisor; here QEMU's twin of it runs (vm/twin.py)."""
    return [
        "cloud-hypervisor", "--api-socket", f"path=/run/microvm/{vm}/api.sock",
        "--cpus", "boot=2", "--memory", "size=1024M", "--kernel", f"{GUEST}/vmlinuz", "--initramfs", f"{GUEST}/initrd",
        "--cmdline", "console=ttyS0 panic=-1 root=/dev/vda rw quiet",
        "--disk", f"path={GUEST}/disk.ext4", "path=in,readonly=on", "path=results",
        "--serial", "file=console.log", "--console", "off",
        "--vsock", "cid=3,socket=notify.vsock", "--net", f"tap={vm},mac=02:00:00:00:00:01",
    ]  # fmt: skip


def machine() -> list[str]:
    """QEMU's command line for a guest whose files are in the folder that it starts in."""
    return [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-machine", "q35,smbios-entry-point-type=32",
        "-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:console.log",
        "-kernel", f"{GUEST}/vmlinuz", "-initrd", f"{GUEST}/initrd",
        "-append", "console=ttyS0 panic=-1 root=/dev/vda rw quiet",
        "-drive", f"file={GUEST}/disk.ext4,if=virtio,format=raw,snapshot=on",
        "-drive", "file=in,if=virtio,format=raw,readonly=on", "-drive", "file=results,if=virtio,format=raw",
    ]  # fmt: skip


def make_state(vm: str, user: str) -> Path:
    """The VM's folder, with what goes into the guest and room for what comes back."""
    folder = STATES / vm
    folder.mkdir(parents=True, exist_ok=True)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        driver = Path(__file__).with_name("flow_guest.py").read_bytes()
        for name, data in (("driver.py", driver), ("scenario.json", b"{}")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (folder / "in").write_bytes(archive.getvalue().ljust(1 << 20, b"\0"))
    (folder / "results").write_bytes(bytes(RESULTS_SIZE))
    owner = pwd.getpwnam(user)
    for path in (folder, *folder.iterdir()):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    return folder


def configure(vm: str, credentials: list[str], command: list[str]) -> Path:
    """/etc/microvm/NAME as docs/host.md says; returns the VM's state directory."""
    folder = MACHINES / vm
    folder.mkdir(parents=True)
    for name, lines in (("credentials", credentials), ("command", command)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return make_state(vm, "microvm")


def read_results(folder: Path) -> Seen:
    with tarfile.open(folder / "results") as archive:
        member = archive.extractfile("./results.json")
        assert member, "the guest brought no results back"
        found = json.load(member)
    assert isinstance(found, dict)
    return found


@dataclass(frozen=True)
class Machine:
    """One VM by its unit: the host's file for each credential, and the bytes of all that is sent."""

    vm: str
    files: dict[str, str]
    sent: dict[str, bytes]

    @property
    def unit(self) -> str:
        return f"microvm@{self.vm}.service"


def watch_host(machine: Machine, pid: int, record: Record) -> None:
    """The stages that are on the host, while QEMU runs."""
    user = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name
    record.check(user == "microvm", f"{machine.vm}: QEMU runs as microvm", user)
    secrets = {name: machine.sent[name] for name in machine.files}
    own = f"/run/credentials/{machine.unit}"
    for stage, folder, view, ending in (
        (AT_REST, str(STORE), "", ".cred"),
        ("secret", str(OPENED), "", ""),
        ("host credential", own, f"/proc/{pid}/root", ""),  # in the unit's own view of the files
    ):
        seen = {name: look(Path(f"{view}{folder}/{file}{ending}")) for name, file in machine.files.items()}
        record.compare(machine.vm, stage, folder, seen, secrets)
    socket = Path(f"/run/microvm/{machine.vm}/api.sock")
    if socket.exists():
        record.compare(machine.vm, "encoded", "platform of vm.info", strings_of(socket), machine.sent)
    else:
        encoded, sealed = memory_files(pid)
        record.compare(machine.vm, "encoded", "memory files of QEMU", encoded, machine.sent)
        record.check(sealed, f"{machine.vm}: the memory files are sealed")


def through_unit(machine: Machine, wanted: Needles, record: Record) -> Seen:
    """A VM by microvm@.service, every stage of it looked at; returns what its guest saw."""
    folder, begin = STATES / machine.vm, time.monotonic()
    say(f"{machine.unit} starts")
    run("systemctl", "start", "--no-block", machine.unit)
    pid = wait_for_qemu(machine.unit, wanted, record)
    wait_until_started(machine.unit, record)
    watch_host(machine, pid, record)
    wait_for_delivery(folder / "console.log", lambda: is_qemu(pid))
    say(f"{machine.vm}: the guest has its credentials after {time.monotonic() - begin:.0f} s; held for the search")
    count, found = hold_and_search(pid, wanted)
    say(f"{machine.vm}: {count} places searched")
    verify_control(record, found, wanted)
    deadline = time.monotonic() + BOOT_LIMIT
    while show(machine.unit, "ActiveState") not in ("inactive", "failed"):
        assert time.monotonic() < deadline, f"{machine.unit} does not end"
        time.sleep(0.5)
    result = show(machine.unit, "Result")
    record.check(result == "success", f"{machine.vm}: the unit ends with its guest", result)
    results = read_results(folder)
    record.compare(machine.vm, "offered", "/sys/firmware/dmi/tables/DMI", results["offered"], machine.sent)
    record.compare(machine.vm, "imported", "/run/credentials/@system", results["imported"], machine.sent)
    record.check(len(results["frame"]) == 2, f"{machine.vm}: imported with a manifest and its end", results["frame"])
    check = results["check"]
    record.check(check["status"] == 0, f"{machine.vm}: guestcred check agrees (exit 0)", check)
    return results


def by_shell(names: list[str], command: list[str]) -> list[str]:
    """What people write, for several secrets at once: each as `$(cat FILE)` in an argument of QEMU's."""
    values = [
        f'-smbios "type=11,value=io.systemd.credential:{name}=$(cat {OPENED / DIFFICULT[name]})"' for name in names
    ]
    return ["bash", "-c", f'exec "$@" {" ".join(values)}', "bash", *command]


def starts(name: str) -> bool:
    """Whether QEMU takes the argument at all; it is told to quit at once."""
    bare = ["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio"]
    done = subprocess.run(by_shell([name], bare), input=b"quit\n", capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def naively(wanted: Needles, record: Record) -> tuple[list[str], Seen]:
    """The same secrets by the shell, in one guest: those with which QEMU starts; and the search, which must find them."""
    surviving = [name for name in DIFFICULT if starts(name)]
    say(f"by the shell QEMU starts with {len(surviving)} of {len(DIFFICULT)}: {', '.join(surviving)}")
    folder = make_state("by-shell", "root")
    errors = folder / "qemu.log"
    with errors.open("wb") as log:
        qemu = subprocess.Popen(by_shell(surviving, machine()), cwd=folder, stderr=log)

    def is_alive() -> bool:
        assert qemu.poll() is None, f"QEMU ended with status {qemu.returncode}: {errors.read_text(errors='replace')}"
        return True

    try:
        wait_for_delivery(folder / "console.log", is_alive)
        _, found = hold_and_search(qemu.pid, wanted)
        qemu.wait(BOOT_LIMIT)
    finally:
        qemu.kill()
        qemu.wait()
    exposed = found.get(f"/proc/{qemu.pid}/cmdline", [])
    record.check(len(exposed) > 1, f"by the shell the search finds {len(exposed)} secrets in QEMU's arguments", found)
    return surviving, read_results(folder)


def verdict(name: str, started: bool, results: Seen) -> str:
    if not started:
        return "QEMU does not start"
    got, value = results["imported"].get(name), SECRETS[name]
    if got is None:
        return "lost"
    return "intact" if got["sha256"] == digest(value) else f"damaged: {got['size']} bytes of {len(value)}"


def flow(record: Record) -> None:
    say(", ".join(run(program, "--version").splitlines()[0] for program in ("systemctl", "qemu-system-x86_64")))
    make_secrets()
    configure(
        "test-vm",
        [
            *(f"{name}={file}" for name, file in REFERENCE.items()),
            *(f"--set={name}={value.decode()}" for name, value in LITERALS.items()),
        ],
        cloud_hypervisor("test-vm"),
    )
    difficult = [f"{name}={file}" for name, file in DIFFICULT.items()]
    configure("difficult-vm", ["--keep-newline", "--allow-empty", *difficult], machine())
    drop_in = Path("/etc/systemd/system/microvm@difficult-vm.service.d/credentials.conf")
    drop_in.parent.mkdir()
    lines = [f"LoadCredential={file}:{OPENED / file}\n" for file in DIFFICULT.values()]
    drop_in.write_text("[Service]\n" + "".join(lines))
    run("systemctl", "daemon-reload")
    # not from /run/secrets: it is for the VM's unit to have that filled
    reference = {
        name: run("systemd-creds", "decrypt", f"--name={file}", str(STORE / f"{file}.cred"), "-").encode()
        for name, file in REFERENCE.items()
    }
    control = b"control-" + os.urandom(16).hex().encode()
    wanted = search.needles({**reference, **SECRETS, CONTROL: control})
    (SHARED / "secrets.json").write_text(
        json.dumps({name: value.hex() for name, value in {**reference, **SECRETS}.items()})
    )
    planted = plant(control)
    try:
        first = Machine("test-vm", REFERENCE, reference | LITERALS)
        results = through_unit(first, wanted, record)
        delivered = {DEMO[name]: seen for name, seen in results["delivered"].items()}
        record.compare(first.vm, "delivered", "/run/credentials/demo-oem-credentials.service", delivered, first.sent)
        sizes = [seen["size"] for seen in delivered.values()]
        record.check(sizes == SIZES, f"test-vm: demo-svc-user reads {SIZES} bytes", sizes)
        ours = through_unit(Machine("difficult-vm", DIFFICULT, SECRETS), wanted, record)
        surviving, naive = naively(wanted, record)
    finally:
        planted.kill()
        planted.wait()
    # journald keeps a line without an end until its stream closes
    _, logged = search.search(search.journal(), wanted)
    record.check(not secrets_in(logged), "no secret in the journal after all VMs have ended", secrets_in(logged))
    for name, value in SECRETS.items():
        by = {"shell": verdict(name, name in surviving, naive), "launch": verdict(name, True, ours)}
        record.damage.append({"name": name, "size": len(value), **by})


def main() -> None:
    record, whole = Record(say), False
    try:
        flow(record)
        whole = True
    finally:
        record.check(whole, "the flow runs to its end", "its log follows")
        found = {"stages": record.stages, "checks": record.checks, "damage": record.damage}
        (SHARED / "results.json").write_text(json.dumps(found))
        if not whole:
            print(run("journalctl", "--no-pager", "-n", "30"), file=sys.stderr)


if __name__ == "__main__":
    main()
