"""Runs inside a guest whose time counts instructions: the processor time of a bare interpreter, of our commands, and of
each setting of the rescue's sandbox."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

UNITS = Path("/usr/lib/systemd/system")
FILES = (UNITS / "guestcred-rescue.service", UNITS / "guestcred-rescue.service.d/10-sandbox.conf")
# what the unit is, and no part of its sandbox
KIND = ("StandardOutput", "StandardError", "StandardInput", "NotifyAccess", "TimeoutStartSec")
LEFT_OUT = ("Type", "RemainAfterExit", "ExecStart", "Restart", "RestartPreventExitStatus")
COMMANDS = {
    "python3 -I -c pass": ["/usr/bin/python3", "-I", "-c", "pass"],
    "python3 -IS -c pass": ["/usr/bin/python3", "-IS", "-c", "pass"],
    "guestcred check": ["/usr/bin/guestcred", "check"],
    "guestcred apply --early": ["/usr/bin/guestcred", "apply", "--early"],
    "guestcred apply": ["/usr/bin/guestcred", "apply"],
}
TRUE = ["/bin/true"]
Settings = dict[str, list[str]]
NUMBERS = itertools.count()


def settings() -> Settings:
    """The rescue's [Service] settings; each with all its values."""
    found: Settings = {}
    for path in FILES:
        for line in path.read_text().partition("[Service]")[2].partition("[Install]")[0].splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


def spent(given: Settings, command: list[str]) -> float:
    """Milliseconds of processor time that a unit with these settings took from its fork to its end."""
    unit = f"parts-{next(NUMBERS)}.service"
    properties = [f"--property={name}={value}" for name, values in given.items() for value in values]
    run = ["systemd-run", "--quiet", f"--unit={unit}", "--property=Type=oneshot", "--property=RemainAfterExit=yes"]
    subprocess.run([*run, "--property=CPUAccounting=yes", *properties, "--", *command], check=True)
    show = ["systemctl", "show", "--property=CPUUsageNSec", "--value", unit]
    told = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    subprocess.run(["systemctl", "stop", unit], check=True)
    return int(told) / 1e6


def main(_: str, folder: str) -> None:
    subprocess.run(["systemctl", "start", "guestcred-report.service"], check=True)  # makes the folders, and the report
    every = settings()
    kind = {name: values for name, values in every.items() if name in KIND}
    sandbox = {name: values for name, values in every.items() if name not in (*KIND, *LEFT_OUT)}
    whole = kind | sandbox
    bare, all_of_it = spent(kind, TRUE), spent(whole, TRUE)
    early = COMMANDS["guestcred apply --early"]
    results = {
        "commands": {name: spent(kind, command) - bare for name, command in COMMANDS.items()},
        "units": {
            "no sandbox, /bin/true": bare,
            "the sandbox, /bin/true": all_of_it,
            "no sandbox, apply --early": spent(kind, early),
            "all of it, apply --early": spent(whole, early),
        },
        "settings": {
            name: (
                spent(kind | {name: values}, TRUE) - bare,
                all_of_it - spent({key: value for key, value in whole.items() if key != name}, TRUE),
            )
            for name, values in sandbox.items()
        },
    }
    Path(folder, "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
