"""What PID 1 decided by: its version, and what it took this machine for; asked live, or from capture.json."""

from __future__ import annotations

import os

from guestcred.errors import GuestcredError
from guestcred.guest.rootfs import Tree
from guestcred.record import Record

CAPTURE = "capture.json"

# Debian's and NixOS's folder; never $PATH, for what is asked decides whether a refusal of systemd's is overruled
PROGRAMS = ("/usr/bin", "/run/current-system/sw/bin")


class Facts(Record):
    """What PID 1 decided by: names of the container manager and confidential technology, or None.

    `unasked` has the fields, "container" and "confidential", that are None because nobody could be asked.
    """

    container: str | None
    confidential: str | None
    virtualization: str | None
    kernel: str | None
    earlier_stage: bool
    unasked: frozenset[str]


def read_systemd(tree: Tree) -> int | None:
    """The major version of the guest's systemd, None where it cannot be seen."""
    return _live_systemd(tree) if tree.live else _captured_systemd(tree)


def _captured_systemd(tree: Tree) -> int | None:
    captured = read_capture(tree)
    words = str(captured.get("systemd", "")).split()
    for word in words:
        digits = word.split(".", 1)[0].split("~", 1)[0]
        if digits.isdecimal() and len(digits) <= 4:
            return int(digits)
    return None


def read_capture(tree: Tree) -> dict[str, object]:
    """What capture.json says of a captured tree; empty where there is none."""
    data = tree.read(CAPTURE)
    if data is None:
        return {}
    import json

    try:
        captured = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GuestcredError(f"cannot read {tree.shown(CAPTURE)}: it is not JSON ({error})") from None
    if not isinstance(captured, dict):
        raise GuestcredError(f"cannot read {tree.shown(CAPTURE)}: it is not a JSON object")
    return captured


def _live_systemd(tree: Tree) -> int | None:
    """PID 1's major version, from the name of the library that it has mapped (needs root), else by asking."""
    try:
        maps = tree.read("proc/1/maps") or b""
    except GuestcredError:
        maps = b""
    _, found, rest = maps.partition(b"/libsystemd-shared-")
    digits = rest[:8].split(b".", 1)[0].split(b"-", 1)[0]
    if found and digits.isdigit():
        return int(digits)
    answer = (_ask("systemctl", "--version") or "").split()
    return int(answer[1]) if len(answer) > 1 and answer[0] == "systemd" and answer[1].isdecimal() else None


def _ask(program: str, *arguments: str) -> str | None:
    """What a program of systemd's prints, one line; None where it is absent, hangs or fails, which says nothing."""
    import subprocess

    paths = (f"{folder}/{program}" for folder in PROGRAMS)
    path = next((path for path in paths if os.access(path, os.X_OK)), None)
    if path is None:
        return None
    try:
        done = subprocess.run(
            (path, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=False,
            # none of it shall speak to PID 1 in our name
            env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    answer = done.stdout.decode("utf-8", "replace").strip()
    # systemd-detect-virt says no with the word and status 1, which alone may be any failure (run() in detect-virt.c)
    return answer if done.returncode == 0 or answer == "none" else None


def read_facts(root: str = "/") -> Facts:
    """The facts behind a refusal. Asks other programs when live, so it is called only when something is missing."""
    tree = Tree(root)
    if not tree.live:
        captured = read_capture(tree)

        def fact(key: str) -> str | None:
            value = captured.get(key)
            return value if isinstance(value, str) and value not in ("", "none") else None

        return Facts(
            container=fact("container"),
            confidential=fact("confidential"),
            virtualization=fact("virtualization"),
            kernel=fact("kernel"),
            earlier_stage=captured.get("earlier_stage") is True,
            unasked=_captured_unasked(captured),
        )
    try:
        environment = tree.read("proc/1/environ") or b""
    except GuestcredError:
        environment = b""
    # PID 1 exports $CREDENTIALS_DIRECTORY itself, which its own environ file does not show: standing
    # there, it was handed over by the PID 1 of the initrd (systemd src/core/import-creds.c)
    earlier = any(entry.startswith(b"CREDENTIALS_DIRECTORY=") for entry in environment.split(b"\0"))

    container = _ask("systemd-detect-virt", "--container")
    # what PID 1 itself found (from v254) goes first: a sandbox hides the device by which AMD's SEV is detected.
    # It says no by an empty line. So does 252, which knows neither the property nor --cvm, and imports in any VM
    by_pid1 = confidential = _ask("systemctl", "show", "--property=ConfidentialVirtualization", "--value")
    if confidential in (None, "", "none"):
        confidential = _ask("systemd-detect-virt", "--cvm")
    unasked = {"container"} if not container else set()
    if by_pid1 is None and not confidential:
        unasked.add("confidential")

    def named(answer: str | None) -> str | None:
        return None if answer in ("", "none") else answer

    return Facts(
        named(container),
        named(confidential),
        named(_ask("systemd-detect-virt", "--vm")),
        os.uname().release,
        earlier,
        frozenset(unasked),
    )


def _captured_unasked(captured: dict[str, object]) -> frozenset[str]:
    told = captured.get("unasked")
    return frozenset(one for one in told if isinstance(one, str)) if isinstance(told, list) else frozenset()
