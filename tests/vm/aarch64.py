"""A DMI table from aarch64: QEMU's `virt` with UEFI firmware and Debian's kernel, without a systemd in it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

from vm.images import CannotRun
from vm.scenarios import text

LIMIT = 120  # seconds; five are usual
FIRMWARE = Path("/usr/share/AAVMF")
NEEDED = {"qemu-system-aarch64": "qemu-system-arm", "cpio": "cpio"}
KERNEL, BUSYBOX = "linux-image-cloud-arm64", "busybox-static"
# prints each file of sysfs that a capture has, as base64, between its path and an empty line
INIT = """#!/bin/busybox sh
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
exec >/dev/ttyAMA0
for path in /sys/firmware/dmi/tables/* /sys/firmware/dmi/entries/11-*/raw; do
    echo "FILE $path $(/bin/busybox base64 $path | /bin/busybox tr -d '\\n')"
done
echo "KERNEL $(/bin/busybox uname -r)"
/bin/busybox poweroff -f
"""


def _run(*command: str | Path, cwd: Path, stdin: bytes | None = None) -> bytes:
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise CannotRun(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def _unpack_debian(folder: Path) -> Path:
    """Kernel and busybox for arm64, by an apt that knows nothing of this machine's own packages."""
    for below in ("lists/partial", "archives/partial", "root"):
        (folder / below).mkdir(parents=True)
    options = ["APT::Architecture=arm64", "APT::Architectures=arm64", f"Dir::State::lists={folder}/lists"]
    options += [f"Dir::Cache={folder}", "Dir::State::status=/dev/null", "APT::Sandbox::User=root"]
    apt = [word for option in options for word in ("-o", option)]
    _run("apt-get", *apt, "-qq", "update", cwd=folder)
    depends = _run("apt-cache", *apt, "depends", KERNEL, cwd=folder).decode()
    kernel = re.findall(r"Depends: (linux-image-\S+)", depends)[0]
    _run("apt-get", *apt, "download", kernel, BUSYBOX, cwd=folder)
    for package in folder.glob("*.deb"):
        _run("dpkg", "--extract", package, folder / "root", cwd=folder)
    return folder / "root"


def boot(scratch: Path) -> Path:
    """The raw tree of an aarch64 guest, below `scratch`."""
    missing = [f"{tool} is missing: apt-get install {name}" for tool, name in NEEDED.items() if not shutil.which(tool)]
    if not FIRMWARE.exists():
        missing.append("AAVMF is missing: apt-get install qemu-efi-aarch64")
    if missing:
        raise CannotRun("; ".join(missing))
    shutil.rmtree(scratch, ignore_errors=True)
    root = _unpack_debian(scratch / "debian")
    initrd = scratch / "initrd"
    for path in ("bin", "sys", "dev"):
        (initrd / path).mkdir(parents=True)
    shutil.copy(next(path for path in root.rglob("bin/busybox")), initrd / "bin/busybox")
    (initrd / "init").write_text(INIT)
    (initrd / "init").chmod(0o755)
    names = b"\n".join(str(path.relative_to(initrd)).encode() for path in sorted(initrd.rglob("*")))
    (scratch / "initrd.cpio").write_bytes(_run("cpio", "--create", "--format=newc", cwd=initrd, stdin=names))
    shutil.copy(FIRMWARE / "AAVMF_VARS.fd", scratch / "vars")
    for number, string in enumerate(
        (text("API_KEY", b"c2VjcmV0IG9mIGFuIGFhcmNoNjQgZ3Vlc3Q="), text("ENVIRONMENT", b"test"))
    ):
        (scratch / f"string{number}").write_bytes(string)
    command = [
        "qemu-system-aarch64", "-accel", "tcg", "-machine", "virt", "-cpu", "cortex-a57", "-m", "512", "-nodefaults",
        "-display", "none", "-no-reboot", "-serial", f"file:{scratch / 'console'}", "-append", "console=ttyAMA0 quiet",
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE / 'AAVMF_CODE.fd'}",
        "-drive", f"if=pflash,format=raw,unit=1,file={scratch / 'vars'}",
        "-kernel", str(next((root / "boot").glob("vmlinuz-*"))), "-initrd", str(scratch / "initrd.cpio"),
        *(word for number in range(2) for word in ("-smbios", f"type=11,path={scratch / f'string{number}'}")),
    ]  # fmt: skip
    subprocess.run(command, stdin=subprocess.DEVNULL, timeout=LIMIT, check=True)
    console = (scratch / "console").read_text(errors="replace")
    tree = scratch / "guest"
    for path, data in re.findall(r"^FILE /(\S+) (\S+)\s*$", console, re.MULTILINE):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(base64.b64decode(data))
    (tree / "proc").mkdir()
    (tree / "proc/cmdline").write_text("console=ttyAMA0 quiet\n")
    kernel = re.findall(r"^KERNEL (\S+)", console, re.MULTILINE)[0]
    (tree / "capture.json").write_text(json.dumps({"systemd": None, "kernel": kernel}))
    return tree
