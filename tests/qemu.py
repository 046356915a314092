"""QEMU without a guest: the firmware lays out the SMBIOS table, and QMP reads it from the guest's memory."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from needs import need

from guestcred.smbios.entry_point import SIZE_32, parse_entry_point
from guestcred.smbios.walk import parse

TIMEOUT = 60  # seconds; software emulation on a busy machine


def machine(folder: Path) -> list[str]:
    """The command line of a machine with firmware and nothing else, with QMP at `folder`/qmp."""
    return [
        need("qemu-system-x86_64", "qemu-system-x86"),
        *("-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none"),
        *("-qmp", f"unix:{folder}/qmp,server=on,wait=off"),
    ]


class Machine:
    """A QEMU that was started with `machine(folder)` in its command line; leaving the context ends it."""

    def __init__(self, command: Sequence[str], folder: Path, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.deadline = time.monotonic() + TIMEOUT

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        (self.folder / "qmp").unlink(missing_ok=True)

    def table(self) -> bytes | None:
        """The DMI table as the firmware placed it, or None where QEMU ended before it had one."""
        try:
            with socket.socket(socket.AF_UNIX) as qmp:
                self._connect(qmp)
                with qmp.makefile("rw") as stream:
                    return self._table(stream)
        except (OSError, EOFError):
            assert self.process.wait(TIMEOUT) != 0
            return None

    def _connect(self, qmp: socket.socket) -> None:
        while self.process.poll() is None:
            try:
                return qmp.connect(f"{self.folder}/qmp")
            except OSError:
                assert time.monotonic() < self.deadline, "QEMU opens no QMP socket"
                time.sleep(0.02)
        raise EOFError

    def _table(self, stream: Any) -> bytes:
        stream.readline()
        self._command(stream, "qmp_capabilities")
        while True:
            low = self._memory(stream, 0xF0000, 0x10000)
            for at in range(0, len(low), 16):
                point = parse_entry_point(low[at : at + SIZE_32])
                if point is not None and point.address and not point.defects:
                    table = self._memory(stream, point.address, point.table_length)
                    if parse(table).ended is None:
                        return table
            assert time.monotonic() < self.deadline, "the firmware places no SMBIOS table"
            time.sleep(0.05)

    def _memory(self, stream: Any, address: int, size: int) -> bytes:
        file = self.folder / "memory"
        self._command(stream, "pmemsave", val=address, size=size, filename=str(file))
        return file.read_bytes()

    def _command(self, stream: Any, name: str, **arguments: object) -> None:
        stream.write(json.dumps({"execute": name, "arguments": arguments}))
        stream.flush()
        while True:
            line = stream.readline()
            if not line:
                raise EOFError
            answer = json.loads(line)
            if "event" not in answer:
                assert "return" in answer, answer
                return
