"""What hostile code may do in place of each part of the units that run at boot, with the unit's own settings: nothing of a list."""

from __future__ import annotations

import json
from pathlib import Path

from vm.booted import Booted
from vm.hostile import UNITS

HOSTILE = Path(__file__).parent / "hostile.py"
ATTEMPTS = ("python3", "/run/vm/hostile.py", "all")
# What the unit's settings alone allow, since the program asks PID 1 before it hears of any byte from firmware; from then on
# it refuses itself these. And what the program itself does before.
UNIT_MAY = frozenset({"PID 1 over D-Bus", "the system bus"})
# What every user may: in folders that are open to all make a file, which stays empty, and remove one; list who has credentials.
READER_MAY = frozenset({"/run/credentials, listed", "/run/victims/file, removed"}) | {
    f"a file in {folder}" for folder in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue")
}
LEAST = 100  # attempts of each part


def attempts(booted: Booted) -> dict[str, dict[str, str]]:
    """Part to attempt to result."""
    result = booted.result(*ATTEMPTS)
    assert result["status"] == 0, result
    return {part: dict(tried) for part, tried in json.loads(str(result["out"])).items()}


def table(booted: Booted) -> str:
    """An attempt a line, with its result for each part; "-" where it is not tried, because that part may."""
    tried = attempts(booted)
    names = dict.fromkeys(name for results in tried.values() for name in results)
    lines = [f"{'attempt':<44} " + " ".join(f"{part:<36}" for part in tried)]
    lines += [f"{name:<44} " + " ".join(f"{tried[part].get(name, '-')[:36]:<36}" for part in tried) for name in names]
    return "\n".join(line.rstrip() for line in lines)


def verify_sandbox(booted: Booted) -> None:
    """Every attempt fails in every part; without a sandbox those on other processes succeed, or they would say nothing."""
    tried = attempts(booted)
    (booted.folder / "attempts.txt").write_text(table(booted) + "\n")
    done = {part: {name for name, result in results.items() if "DONE" in result} for part, results in tried.items()}
    for unit in UNITS:
        whole, writer, parser = (f"{part} of {unit.removesuffix('.service')}" for part in ("unit", "writer", "parser"))
        own = tried[whole].keys() - tried[writer].keys()  # what a writer may do too
        assert done[whole] - own <= UNIT_MAY, {name: tried[whole][name] for name in done[whole] - own - UNIT_MAY}
        assert not done[writer], {name: tried[writer][name] for name in done[writer]}
        assert not done[parser], {name: tried[parser][name] for name in done[parser]}
        assert min(len(tried[part]) for part in (whole, writer, parser)) >= LEAST
    reader = done["reader of guestcred-look"]
    assert reader == READER_MAY, {name: tried["reader of guestcred-look"][name] for name in reader ^ READER_MAY}
    assert {name.split(" of ")[0].split(" to ")[0] for name in done["control"]} >= {
        *("process_vm_readv", "process_vm_writev", "/proc/PID/mem", "/proc/PID/environ", "/proc/PID/root"),
        *("ptrace attach", "pidfd_getfd", "signal"),
    }
