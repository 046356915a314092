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

from guestcred.offered import Accepted, judge
from guestcred.smbios import parse

CONSOLE = Path("/dev/ttyS0")
TABLE = Path("/sys/firmware/dmi/tables/DMI")
SYSTEM = Path("/run/credentials/@system")
SEEN = Path("/run/demo/seen")
DELIVERED = "flow: delivered"  # on the console
HELD = 8  # seconds in which the host notices that, and halts this machine for its search


def _state(path: Path) -> dict[str, object]:
    found = path.stat()
    return {"owner": pwd.getpwuid(found.st_uid).pw_name, "mode": f"{stat.S_IMODE(found.st_mode):04o}"}


def _digest(value: bytes) -> dict[str, object]:
    return {"size": len(value), "sha256": hashlib.sha256(value).hexdigest()}


def _check() -> dict[str, object]:
    done = subprocess.run(["guestcred", "check"], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr}


def main(folder: str) -> None:
    offered = [one for one in judge(parse(TABLE.read_bytes()).structures, None) if isinstance(one, Accepted)]
    delivered = {}
    for fields in map(str.split, SEEN.read_text().splitlines() if SEEN.exists() else ()):
        if len(fields) == 6:  # fewer where the service found no such credential
            name, size, digest, _, owner, mode = fields
            delivered[name] = {
                "owner": owner.partition(":")[0],
                "mode": f"0{mode}",
                "size": int(size),
                "sha256": digest,
            }
    seen = {
        "offered": {one.name: _state(TABLE) | _digest(one.value) for one in offered},
        "imported": {
            name: _state(SYSTEM / name) | _digest((SYSTEM / name).read_bytes()) for name in os.listdir(SYSTEM)
        },
        "delivered": delivered,
        "check": _check(),
    }
    Path(folder, "results.json").write_text(json.dumps(seen))
    CONSOLE.write_text(f"{DELIVERED}\n")
    time.sleep(HELD)


if __name__ == "__main__":
    sys.stderr = CONSOLE.open("w")  # where the host sees why it failed
    main(sys.argv[2])
