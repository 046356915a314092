"""Runs inside the guest, on its own Python: the scenario's commands, then everything the host compares."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

COPIED = ("proc/cmdline", "sys/firmware/dmi/tables/DMI", "sys/firmware/dmi/tables/smbios_entry_point")
ENTRIES = Path("/sys/firmware/dmi/entries")
FW_CFG = Path("/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials")
SYSTEM = Path("/run/credentials/@system")


def put(out: Path, path: str, data: bytes) -> None:
    """Write `data` at `path` below `out`."""
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def copy_guest(out: Path) -> None:
    """The guest as PID 1 saw it, unchanged, as a tree for `--root`."""
    for path in COPIED:
        if Path("/", path).exists():
            put(out, path, Path("/", path).read_bytes())
    if ENTRIES.is_dir():
        (out / "sys/firmware/dmi/entries").mkdir(parents=True)
        for entry in ENTRIES.glob("11-*"):
            put(out, f"sys/firmware/dmi/entries/{entry.name}/raw", (entry / "raw").read_bytes())
    if FW_CFG.is_dir():
        for name in os.listdir(FW_CFG):
            put(out, str(FW_CFG / name / "raw")[1:], (FW_CFG / name / "raw").read_bytes())
    if SYSTEM.is_dir():
        (out / "run/credentials/@system").mkdir(parents=True)
        for name in os.listdir(SYSTEM):
            put(out, f"run/credentials/@system/{name}", (SYSTEM / name).read_bytes())


def run(command: list[str]) -> dict[str, object]:
    """A command's exit status, output and seconds."""
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return {
        "command": command,
        "status": done.returncode,
        "out": done.stdout.decode("utf-8", "backslashreplace"),
        "err": done.stderr.decode("utf-8", "backslashreplace"),
        "seconds": round(time.monotonic() - begin, 2),
    }


def main(scenario: str, folder: str) -> None:
    asked, out = json.loads(Path(scenario).read_text()), Path(folder)
    results = [run(command) for command in asked["commands"]]
    copy_guest(out / "guest")
    captured = run(["guestcred", "capture", "/run/vm/capture"])
    results.append(captured)
    if captured["status"] == 0:
        again = ["guestcred", "--root", "/run/vm/capture"]
        results += [run([*again, command, "--format", "json"]) for command in ("check", "services")]
        shutil.copytree("/run/vm/capture", out / "capture")
    facts = {
        "systemd": subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0],
        "kernel": os.uname().release,
    }  # fmt: skip
    put(out, "guest/capture.json", json.dumps(facts).encode())
    put(out, "results.json", json.dumps(results, indent=1).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
