"""Runs inside a guest whose time counts instructions: the processor time of a bare interpreter, of our commands, and of
each setting of the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SETTINGS = Path("/usr/lib/systemd/system/guestcred-.service.d/10-sandbox.conf")
# what a unit is, and no part of its sandbox
KIND = {"Type", "StandardOutput", "StandardError", "StandardInput", "NotifyAccess", "TimeoutStartSec"}
LEFT_OUT = {"ExecStartPre", "Restart", "RestartPreventExitStatus"}
COMMANDS = {
    "python3 -I -c pass": ["/usr/bin/python3", "-I", "-c", "pass"],
    "python3 -IS -c pass": ["/usr/bin/python3", "-IS", "-c", "pass"],
    "guestcred check": ["/usr/bin/guestcred", "check"],
    "guestcred apply --early": ["/usr/bin/guestcred", "apply", "--early"],
    "guestcred apply": ["/usr/bin/guestcred", "apply"],
}
TRUE = ["/bin/true"]


def settings() -> dict[str, list[str]]:
    """The drop-in's [Service] settings; each with all its lines."""
    found: dict[str, list[str]] = {}
    for line in SETTINGS.read_text().split("[Service]")[1].splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def spent(number: int, given: dict[str, list[str]], command: list[str], shell_first: bool = False) -> float:
    """Milliseconds of processor time that a unit took from its fork to its end."""
    unit = f"parts-{number}.service"
    properties = [f"--property={name}={value}" for name, values in given.items() for value in values]
    if shell_first:
        properties.append(
            "--property=ExecStartPre=+/bin/mkdir -p -m 0700 /proc/1/root/run/guestcred /proc/1/root/run/credstore"
        )
    keep = ["--property=RemainAfterExit=yes", "--property=CPUAccounting=yes"]
    run = ["systemd-run", "--quiet", f"--unit={unit}", "--property=Type=oneshot", *keep, *properties, "--", *command]
    subprocess.run(run, check=False, stderr=subprocess.DEVNULL)
    told = subprocess.run(
        ["systemctl", "show", "--property=CPUUsageNSec", "--value", unit], capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run(["systemctl", "stop", unit], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["systemctl", "reset-failed", unit], check=False, stderr=subprocess.DEVNULL)
    return int(told) / 1e6 if told.isdigit() else -1.0


def main(_: str, folder: str) -> None:
    os.makedirs("/run/credstore", mode=0o700, exist_ok=True)
    subprocess.run(COMMANDS["guestcred apply"], check=False, stdout=subprocess.DEVNULL)  # what it would write is there
    every = {name: values for name, values in settings().items() if name not in LEFT_OUT}
    kind = {name: values for name, values in every.items() if name in KIND and name != "Type"}
    every.pop("Type", None)
    number = iter(range(1000))
    parts = {name: spent(next(number), kind, command) for name, command in COMMANDS.items()}
    bare, whole = spent(next(number), kind, TRUE), spent(next(number), every, TRUE)
    sandbox: dict[str, object] = {"none, /bin/true": bare, "all, /bin/true": whole}
    sandbox["all and mkdir before, /bin/true"] = spent(next(number), every, TRUE, shell_first=True)
    sandbox["all, guestcred apply --early"] = spent(next(number), every, COMMANDS["guestcred apply --early"])
    for name in every:
        if name in kind:
            continue
        alone = spent(next(number), {**kind, name: every[name]}, TRUE) - bare
        without = whole - spent(next(number), {key: values for key, values in every.items() if key != name}, TRUE)
        sandbox[name] = [alone, without]
    Path(folder, "results.json").write_text(json.dumps({"commands": parts, "sandbox": sandbox}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
