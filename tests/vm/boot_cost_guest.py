"""Runs inside the guest after multi-user.target: when the targets were reached, the processor time of all processes up to
then, and what each unit of ours took."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

TARGETS = ("sysinit.target", "basic.target", "multi-user.target")


def show(unit: str, *properties: str) -> dict[str, str]:
    """Some properties of a unit, or of the manager for an empty name."""
    command = ["systemctl", "show", f"--property={','.join(properties)}", *([unit] if unit else [])]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def spent() -> int:
    """Microseconds of processor time of all processes but this one and the kernel's own: PID 1's and all units'."""
    own = Path("/proc/self/cgroup").read_text().strip().rpartition("::/")[2]
    groups = [path.parent for path in Path("/sys/fs/cgroup").glob("*/cpu.stat")]
    usage = [
        int((group / "cpu.stat").read_text().split()[1]) for group in (*groups, Path("/sys/fs/cgroup", own))
    ]  # "usage_usec N" is the first line
    return sum(usage[:-1]) - usage[-1]


def number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def main(_: str, folder: str) -> None:
    cpu = spent()
    while show("", "FinishTimestampMonotonic").get("FinishTimestampMonotonic", "0") == "0":
        time.sleep(0.2)
    begin = number(show("", "UserspaceTimestampMonotonic")["UserspaceTimestampMonotonic"])
    listed = subprocess.run(
        ["systemctl", "list-unit-files", "--no-legend", "--plain", "*guestcred*"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    units = {}
    for unit in (line.split()[0] for line in listed.splitlines() if ".service" in line.split()[0]):
        told = show(
            unit, "ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic", "CPUUsageNSec", "ActiveState"
        )
        start, end = (number(told[f"ExecMain{edge}TimestampMonotonic"]) for edge in ("Start", "Exit"))
        units[unit] = {
            "start": start,
            "wall": max(0, end - start),
            "cpu": number(told["CPUUsageNSec"]) / 1e3,
            "state": told["ActiveState"],
        }
    results = {
        "userspace": begin,
        "cpu": cpu,
        "targets": {
            target: number(show(target, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"])
            for target in TARGETS
        },
        "units": units,
    }
    Path(folder, "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
