"""Boots a guest with what a scenario hands to it, under a time limit, and brings its results back."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from vm.booted import Booted
from vm.images import Image
from vm.scenarios import Scenario

WITH_US = ("setpriv", "--pdeathsig", "KILL")  # the kernel ends the command when we end, however that happens
RESULTS_SIZE = 16 << 20  # bytes
DRIVER = Path(__file__).parent / "driver.py"
FIRMWARE = Path("/usr/share/OVMF")


def _disk_of(files: dict[str, bytes], path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(-(-size // (1 << 20)) << 20)


def _smbios(scenario: Scenario, folder: Path) -> list[str]:
    """QEMU's arguments for the strings, each from a file so that any bytes but NUL may stand in it."""
    arguments: list[str] = []
    for kind, option, files in (
        ("string", "type=11,path=", scenario.strings),
        ("structure", "file=", scenario.structures),
    ):
        for number, data in enumerate(files):
            path = folder / f"{kind}{number}"
            path.write_bytes(data)
            arguments += ["-smbios", option + str(path)]
    for name, data in scenario.fw_cfg.items():
        path = folder / f"fw-{name}"
        path.write_bytes(data)
        arguments += ["-fw_cfg", f"name=opt/io.systemd.credentials/{name},file={path}"]
    return arguments


def _machine(scenario: Scenario) -> str:
    if scenario.machine == "microvm":
        return "microvm,acpi=on,pcie=on,rtc=on"  # Debian's kernels find the disks of no other
    return f"{scenario.machine},smbios-entry-point-type={scenario.entry_point}"


def _firmware(scenario: Scenario, folder: Path) -> list[str]:
    if scenario.firmware == "seabios":
        return []
    code, variables = FIRMWARE / "OVMF_CODE.fd", FIRMWARE / "OVMF_VARS.fd"
    shutil.copy(variables, folder / "vars")
    return [
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
        "-drive", f"if=pflash,format=raw,unit=1,file={folder / 'vars'}",
    ]  # fmt: skip


def _archive(files: dict[str, bytes | str]) -> bytes:
    """A cpio archive in the kernel's "newc" form (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    folders = {str(parent): None for path in files for parent in Path(path).parents if str(parent) != "."}
    members: dict[str, bytes | str | None] = {**dict(sorted(folders.items())), **files, "TRAILER!!!": b""}
    out = bytearray()
    for number, (path, data) in enumerate(members.items(), 1):
        mode = (
            stat.S_IFDIR | 0o755
            if data is None
            else stat.S_IFLNK | 0o777
            if isinstance(data, str)
            else stat.S_IFREG | 0o644
        )
        body = data.encode() if isinstance(data, str) else data or b""
        fields = (number, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(path) + 1, 0)
        for part in (b"070701" + b"".join(b"%08x" % field for field in fields) + path.encode() + b"\0", body):
            out += part + bytes(-len(part) % 4)
    return bytes(out)


def _initrd(image: Image, scenario: Scenario, folder: Path) -> Path:
    """The image's initrd, and behind it what the scenario adds: the kernel unpacks one archive after the other."""
    if scenario.initrd is None:
        return image.initrd
    made = folder / "initrd"
    data = image.initrd.read_bytes()
    made.write_bytes(data + bytes(-len(data) % 4) + _archive(scenario.initrd.files))
    return made


def _drives(*drives: str) -> list[str]:
    """QEMU's arguments for disks on PCI; "if=virtio" would take a microvm's own bus."""
    arguments: list[str] = []
    for number, drive in enumerate(drives):
        arguments += ["-drive", f"{drive},if=none,id=d{number}", "-device", f"virtio-blk-pci,drive=d{number}"]
    return arguments


def children(pid: int) -> list[int]:
    """The processes that the main thread of `pid` has started and that it has not waited for."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def run_qemu(command: list[str], log: Path, limit: float) -> str:
    """Run QEMU to its end, to its limit or to ours; says which."""
    with (
        log.open("wb") as out,
        subprocess.Popen([*WITH_US, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out) as qemu,
    ):
        try:
            qemu.wait(limit)
            return f"ended with status {qemu.returncode}"
        except subprocess.TimeoutExpired:
            return f"was ended after {limit} s"
        finally:
            qemu.kill()


def boot(image: Image, scenario: Scenario, out: Path, extra: tuple[str, ...] = ()) -> Booted:
    """Boot once, with `extra` arguments for QEMU; results are put below `out`. Raises AssertionError with the console's tail where none come back."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    console = out / "console.log"
    with tempfile.TemporaryDirectory(prefix="guestcred-vm-") as scratch:
        folder = Path(scratch)
        asked = json.dumps({"commands": scenario.all_commands}).encode()
        _disk_of({"driver.py": DRIVER.read_bytes(), "scenario.json": asked, **scenario.files}, folder / "in")
        results = folder / "results"
        with results.open("wb") as file:
            file.truncate(RESULTS_SIZE)
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64", "-m", "512", *extra,
            "-machine", _machine(scenario),
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{console}",
            "-kernel", str(image.kernel), "-initrd", str(_initrd(image, scenario, folder)),
            "-append", f"console=ttyS0 panic=-1 no_timer_check root=/dev/vda rw quiet {scenario.cmdline}",
            *_drives(
                f"file={image.disk},format=raw,snapshot=on",
                f"file={folder / 'in'},format=raw,readonly=on",
                f"file={results},format=raw",
            ),
            *_firmware(scenario, folder), *_smbios(scenario, folder),
        ]  # fmt: skip
        begin = time.monotonic()
        ended = run_qemu(command, out / "qemu.log", scenario.limit)
        seconds = time.monotonic() - begin
        with contextlib.suppress(tarfile.TarError), tarfile.open(results) as archive:
            archive.extractall(out)
    if not (out / "results.json").exists():
        said = (out / "qemu.log").read_text(errors="replace")
        said += console.read_text(errors="replace") if console.exists() else ""
        tail = "\n".join(said.splitlines()[-25:])
        raise AssertionError(f"the guest brought nothing back; QEMU {ended}:\n{tail}")
    return Booted(out, json.loads((out / "results.json").read_text()), seconds)
