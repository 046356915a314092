"""Runs inside the guest of the whole flow: what arrived at each stage, by size and digest, never by value."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import stat
import subprocess
import sys
import time
from pathlib import Path

from guestcred.manifest import FRAME
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge

CONSOLE = Path("/dev/ttyS0")
TABLE = Path("/sys/firmware/dmi/tables/DMI")
SYSTEM = Path("/run/credentials/@system")
UNIT = "demo-oem-credentials.service"
SEEN, STATED = Path("/run/demo/seen"), Path("/run/demo/stated")
DELIVERED = "flow: delivered"  # on the console
HELD = 8  # seconds in which the host notices that, and halts this machine for its search


def _state(path: Path) -> dict[str, object]:
    found = path.stat()
    return {"owner": pwd.getpwuid(found.st_uid).pw_name, "mode": f"{stat.S_IMODE(found.st_mode):04o}"}


def _digest(value: bytes) -> dict[str, object]:
    return {"size": len(value), "sha256": hashlib.sha256(value).hexdigest()}


def _delivered() -> dict[str, object]:
    """What the service reported, and owner and mode from another start of it: systemd 257 takes the files away at its end."""
    reported = [line.split() for line in SEEN.read_text().splitlines()] if SEEN.exists() else []
    drop_in = Path(f"/run/systemd/system/{UNIT}.d/stated.conf")
    drop_in.parent.mkdir(parents=True)
    command = f"cd $$CREDENTIALS_DIRECTORY && stat -c '%%n %%U %%a' * >{STATED}"
    drop_in.write_text(f'[Service]\nExecStartPre=-/bin/sh -c "{command}"\n')
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "restart", UNIT], check=True)
    stated = {name: (owner, f"0{mode}") for name, owner, mode in map(str.split, STATED.read_text().splitlines())}
    return {
        name: {"owner": stated[name][0], "mode": stated[name][1], "size": int(size), "sha256": digest}
        for name, size, digest, _ in (fields for fields in reported if len(fields) == 4)  # fewer: it found none
    }


def _check() -> dict[str, object]:
    done = subprocess.run(["guestcred", "check"], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr}


def main(folder: str) -> None:
    offered = [
        verdict for verdict in judge(parse(TABLE.read_bytes()).structures, None) if isinstance(verdict, Accepted)
    ]
    imported = os.listdir(SYSTEM)
    seen = {
        "offered": {
            verdict.name: _state(TABLE) | _digest(verdict.value) for verdict in offered if verdict.name not in FRAME
        },
        "imported": {
            name: _state(SYSTEM / name) | _digest((SYSTEM / name).read_bytes())
            for name in imported
            if name not in FRAME
        },
        "frame": [name for name in imported if name in FRAME],
        "delivered": _delivered(),
        "check": _check(),
    }
    Path(folder, "results.json").write_text(json.dumps(seen))
    CONSOLE.write_text(f"{DELIVERED}\n")
    time.sleep(HELD)


if __name__ == "__main__":
    sys.stderr = CONSOLE.open("w")  # where the host sees why it failed
    main(sys.argv[2])
