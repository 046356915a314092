"""Runs inside the guest: makes the table's files and units, has systemd start them, and prints what was said and done.

Its functions take the root folder as well, so that tests on the host make the same files.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

KEPT: list[socket.socket] = []  # the sockets that are listened on, for as long as this runs
UNITS = Path("/run/systemd/system")
SHOWN = "Id,Result,ExecMainStatus,MainPID,SubState,ActiveState"


def seal(name: str, key: str = "host") -> bytes:
    """Five bytes, encrypted for that name by this guest's systemd."""
    command = ["systemd-creds", f"--name={name}", f"--with-key={key}", "encrypt", "-", "-"]
    return subprocess.run(command, input=b"hello", stdout=subprocess.PIPE, check=True).stdout


def bind(path: str, kind: int, listen: bool) -> None:
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(path)
    if listen:
        made.listen(64)
    KEPT.append(made)


def make(root: Path, files: dict[str, tuple[str, str]], sealed: object = seal) -> None:
    """Make the files of the table below `root`; `sealed` encrypts."""
    for name, (kind, value) in files.items():
        path = Path(f"{root}{name}" if str(root) != "/" else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            path.write_bytes(b"x" * int(value))
        elif kind == "text":
            path.write_text(value)
        elif kind == "junk":
            path.write_bytes(base64.b64encode(bytes(range(200))))
        elif kind == "link":
            path.symlink_to(value)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir(exist_ok=True)
        elif kind in ("sealed", "null"):
            path.write_bytes(sealed(value, "tpm2-absent" if kind == "null" else "host"))  # type: ignore[operator]
        else:
            with contextlib.chdir(path.parent):  # the path of a socket may have 107 bytes only
                bind(
                    path.name if len(str(path)) > 107 else str(path),
                    socket.SOCK_DGRAM if kind == "dgram" else socket.SOCK_STREAM,
                    kind == "socket",
                )


def answer() -> None:
    """Give whoever connects five bytes, in a process of its own."""
    listening = [made for made in KEPT if made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
    if os.fork():
        return
    quiet = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(quiet, fd)  # who started us waits for the end of what we print
    import selectors

    chosen = selectors.DefaultSelector()
    for made in listening:
        chosen.register(made, selectors.EVENT_READ)
    while True:
        for key, _ in chosen.select():
            peer, _ = key.fileobj.accept()  # type: ignore[union-attr]
            peer.sendall(b"hello")
            peer.close()


def run(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


def services(*options: str) -> dict[str, object]:
    done = subprocess.run(
        ["guestcred", *options, "services", "--format", "json"], capture_output=True, text=True, check=False
    )
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {"error": done.stdout + done.stderr}


def write_units(cases: list[dict[str, object]]) -> None:
    for unit in cases:
        name = str(unit["unit"])
        template = re.sub(r"@.*\.service$", "@.service", name)
        lines = [
            re.sub(r"\{sealed:(\w+)\}", lambda found: seal(found[1]).decode().replace("\n", ""), str(line))
            for line in unit["lines"]  # type: ignore[attr-defined]
        ]
        start = str(unit["start"])
        kind = "" if "Type=" in start else "Type=oneshot\n"
        text = (
            "[Unit]\nDefaultDependencies=no\n[Service]\nTimeoutStartSec=600\n" + "\n".join(lines) + f"\n{kind}{start}\n"
        )
        (UNITS / template).write_text(text)


def settled(names: list[str]) -> None:
    """Wait until no unit is on its way any more."""
    for _ in range(600):
        states = run("systemctl", "show", "--property=ActiveState", "--value", *names).split()
        if (
            not any(state in ("activating", "deactivating", "reloading") for state in states)
            and not run("systemctl", "list-jobs", "--no-legend", "g-*").strip()
        ):
            return
        time.sleep(1)


def main(table: str) -> None:
    asked = json.loads(Path(table).read_text())
    UNITS.mkdir(parents=True, exist_ok=True)
    make(Path("/"), asked["files"])
    answer()
    write_units(asked["cases"])
    (UNITS / "g-alias.service").symlink_to("g-runs.service")
    (UNITS / "g-masked.service").symlink_to("/dev/null")
    (UNITS / "g-socket.socket").write_text("[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/g-socket\nService=g-name.service\nExecStartPre=/bin/true\nLoadCredential=a:/srv/g/nowhere\n")  # fmt: skip
    names = [str(unit["unit"]) for unit in asked["cases"]] + ["g-socket.socket"]
    run("systemctl", "daemon-reload")
    for target, setting in (("g-all", "Wants"), ("g-hold", "PropagatesReloadTo")):
        lines = "".join(f"{setting}={name}\n" for name in names)
        (UNITS / f"{target}.target").write_text(f"[Unit]\nDefaultDependencies=no\n{lines}")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "g-hold.target")  # what an active unit refers to stays loaded
    begin = time.monotonic()
    before = services()
    took = time.monotonic() - begin
    run("systemctl", "start", "--no-block", "g-all.target")
    time.sleep(2)
    settled(names)
    shown = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in run("systemctl", "show", f"--property={SHOWN}", *names).split("\n\n")
        if block
    ]
    print(json.dumps({
        "before": before,
        "seconds": took,
        "kernel": os.uname().release,
        "shown": dict(zip(names, shown)),
        "after": services(),
        "alias": run("guestcred", "services", "g-alias"),
        "masked": run("guestcred", "services", "g-masked"),
        "journal": run("journalctl", "--boot", "--output=json", "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7"),
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
