"""SMBIOS tables as QEMU builds them, read from its fw_cfg over the qtest protocol: no instruction of a guest is run."""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from needs import need

from guestcred.smbios.entry_point import DUMP_TABLE, parse_entry_point

TIMEOUT = 60  # seconds
READ, SELECT = 2, 8  # QEMU's docs/specs/fw_cfg: bits of a DMA command
DIRECTORY = 0x19
TABLES, ANCHOR = "etc/smbios/smbios-tables", "etc/smbios/smbios-anchor"


def promised(size: str) -> list[str]:
    """Memory that QEMU only promises: no more of it is ever touched than the table says."""
    backend = f"memory-backend-ram,id=ram,size={size},reserve=off"
    return ["-m", size, "-object", backend, "-machine", "memory-backend=ram"]


def _pc(machine: str, memory: str, *more: str) -> list[str]:
    return ["x86_64", "-machine", machine, "-cpu", "max,phys-bits=46", *promised(memory), *more]


_NAMES = [
    *("-smbios", "type=0,vendor=V,version=1.2,date=01/02/2024,release=4.5,uefi=on"),
    *(
        "-smbios",
        "type=1,manufacturer=M,product=P,version=3,serial=S1,uuid=00112233-4455-6677-8899-aabbccddeeff,sku=K,family=F",
    ),
    *("-smbios", "type=2,manufacturer=M,product=P,version=3,serial=S2,asset=A,location=L"),
    *("-smbios", "type=3,manufacturer=M,version=3,serial=S3,asset=A,sku=K"),
    *(
        "-smbios",
        "type=4,sock_pfx=X,manufacturer=M,version=3,serial=S4,asset=A,part=P,max-speed=3000,current-speed=2500",
    ),
    *("-smbios", "type=11,value=one,value=two"),
    *("-smbios", "type=17,loc_pfx=D,bank=B,manufacturer=M,serial=S5,asset=A,part=P,speed=3200"),
]

MACHINES = [
    *(_pc(machine, memory) for machine in ("pc", "q35") for memory in ("1M", "16M", "4G", "96G", "4T")),
    *(_pc("q35,smbios-entry-point-type=64", memory, *_NAMES) for memory in ("1G", "5G", "2T")),
    _pc("pc,smbios-entry-point-type=64", "64G", *_NAMES),
    *(
        _pc("q35,smbios-entry-point-type=64", "1G", "-smp", smp)
        for smp in (
            "2,sockets=2",
            "8,sockets=2,cores=2,threads=2",
            "64,sockets=64,maxcpus=64",
            "96,sockets=1,cores=96",
        )
    ),
    *(_pc(machine, "512M") for machine in ("pc-q35-2.6", "pc-i440fx-2.6", "pc-q35-6.0")),
    *(
        ["aarch64", "-machine", "virt,gic-version=3", "-cpu", cpu, "-smp", smp, *promised(memory)]
        for cpu, smp, memory in (
            ("cortex-a57", "1", "128M"),
            ("max", "16,sockets=4,cores=4", "8G"),
            ("max", "8", "200G"),
        )
    ),
]


class Qtest:
    """A QEMU of which the test is the only processor."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        which, *more = arguments
        program = need(f"qemu-system-{which}", "qemu-system-arm" if which == "aarch64" else "qemu-system-x86")
        path = folder / "qtest"
        command = [program, *more, "-accel", "tcg", "-S", "-nodefaults", "-display", "none"]
        command += ["-qtest", f"unix:{path},server=on,wait=off", "-qtest-log", "/dev/null"]
        self.arm = which == "aarch64"
        self.work = 0x40000000 if self.arm else 0x1000  # memory that nothing else uses
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                assert self.process.poll() is None, self.process.communicate()[1].decode()
                assert time.monotonic() < deadline, "QEMU opens no qtest socket"
                time.sleep(0.02)
        self.lines = self.socket.makefile("rw")

    def end(self) -> None:
        """Stop QEMU."""
        self.process.kill()
        self.process.communicate()
        self.lines.close()
        self.socket.close()

    def command(self, line: str) -> str:
        """Send a command; gives what is behind its OK."""
        self.lines.write(line + "\n")
        self.lines.flush()
        while True:
            answer = self.lines.readline()
            assert answer, "QEMU ended"
            if not answer.startswith("IRQ"):
                assert answer.startswith("OK"), answer
                return answer[2:].strip()

    def fw_cfg(self, key: int, size: int) -> bytes:
        """What fw_cfg has under a key."""
        out, data = bytearray(), self.work + 0x100
        for start in range(0, size, 0x800):
            length = min(0x800, size - start)
            control = READ | (SELECT | key << 16 if start == 0 else 0)
            order = struct.pack(">IIQ", control, length, data)
            self.command(f"write {self.work:#x} {len(order)} 0x{order.hex()}")
            low = int.from_bytes(self.work.to_bytes(4, "big"), "little")
            if self.arm:
                self.command("writel 0x9020010 0")
                self.command(f"writel 0x9020014 {low:#x}")
            else:
                self.command("outl 0x514 0")
                self.command(f"outl 0x518 {low:#x}")
            out += bytes.fromhex(self.command(f"read {data:#x} {length}").removeprefix("0x"))
        return bytes(out)

    def files(self) -> dict[str, bytes]:
        """The SMBIOS files in fw_cfg."""
        (count,) = struct.unpack(">I", self.fw_cfg(DIRECTORY, 4))
        entries = self.fw_cfg(DIRECTORY, 4 + 64 * count)
        found = {}
        for place in range(4, len(entries), 64):
            size, key = struct.unpack_from(">IH", entries, place)
            name = entries[place + 8 : place + 64].rstrip(b"\0").decode()
            if name in (TABLES, ANCHOR):
                found[name] = self.fw_cfg(key, size)
        return found


def table_from_qemu(arguments: Sequence[str]) -> bytes:
    """The table of a machine as a `--dump-bin` file; its entry point has no address until a firmware writes it."""
    with tempfile.TemporaryDirectory() as folder:
        qtest = Qtest(arguments, Path(folder))
        try:
            files = qtest.files()
        finally:
            qtest.end()
    point = parse_entry_point(files[ANCHOR])
    assert point is not None
    from dmidecode import as_dump

    major, minor = map(int, point.version.split(".")[:2])
    made = as_dump(files[TABLES], (major, minor))
    assert made[DUMP_TABLE:] == files[TABLES]
    return made
