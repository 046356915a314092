"""QEMU's twin of cloud-hypervisor: the API as the real one has it, and a QEMU that does what the VM config says.

It has the guest's processors, memory, kernel, disks, serial port and OEM strings; a tap and a vsock it takes and leaves
out, since QEMU has other ones. A disk that it may not write to gets what is written in memory.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from cloud_hypervisor import PROCESS, Api


def drive(disk: dict[str, Any]) -> str:
    """QEMU's `-drive` for a disk of the VM config."""
    path = disk["path"]
    how = "readonly=on" if disk.get("readonly") else "readonly=off" if os.access(path, os.W_OK) else "snapshot=on"
    return f"file={path},if=virtio,format=raw,{how}"


def memory_file(text: str) -> int:
    """An OEM string as an open file: no argument of QEMU's has it."""
    fd = os.memfd_create("oem-string", 0)
    os.write(fd, text.encode("latin-1"))
    return fd


def qemu(config: dict[str, Any], monitor: int, strings: list[int]) -> list[str]:
    """QEMU's command line for a VM config."""
    payload, serial = config["payload"], config.get("serial", {})
    port = f"file:{serial['file']}" if serial.get("mode") == "File" else "null"
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-machine", "q35,smbios-entry-point-type=32"]
    command += ["-smp", str(config["cpus"]["boot_vcpus"]), "-m", f"{config['memory']['size'] >> 20}M"]
    command += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", port]
    command += ["-kernel", payload["kernel"], "-initrd", payload["initramfs"], "-append", payload["cmdline"]]
    for disk in config.get("disks") or ():
        command += ["-drive", drive(disk)]
    for fd in strings:
        command += ["-smbios", f"type=11,path=/dev/fd/{fd}"]
    return [*command, "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"]


class Twin(Api):
    """The API, whose `vm.boot` starts QEMU and whose `vm.power-button` presses QEMU's."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, start=False)
        self.running: subprocess.Popen[bytes] | None = None
        self.started = threading.Event()
        self._monitor, self._theirs = socket.socketpair()

    def act(self, action: str, body: bytes) -> tuple[int, bytes]:
        if action == "vm.boot" and isinstance(self.vm, dict) and self.running is None:
            strings = [memory_file(text) for text in (self.vm.get("platform") or {}).get("oem_strings") or ()]
            fds = (self._theirs.fileno(), *strings)
            self.running = subprocess.Popen(qemu(self.vm, fds[0], strings), stdin=subprocess.DEVNULL, pass_fds=fds)
            for fd in strings:
                os.close(fd)
            self.started.set()
        elif action == "vm.power-button" and self.running is not None:
            for command in ("qmp_capabilities", "system_powerdown"):
                self._monitor.send(json.dumps({"execute": command}).encode())
        return super().act(action, body)


def main() -> int:
    words = sys.argv[1:]
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in PROCESS]
    if unknown:
        print(f"not an option of the process: {unknown}", file=sys.stderr)
        return 2
    given = words[words.index("--api-socket") + 1]
    twin = Twin(given if given.startswith("fd=") else Path(given.removeprefix("path=")))
    twin.thread.start()

    def end(*_: object) -> None:
        if twin.running is not None:
            twin.running.kill()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    twin.started.wait()
    assert twin.running is not None
    twin.running.wait()
    if isinstance(twin.path, Path):
        twin.path.unlink()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
