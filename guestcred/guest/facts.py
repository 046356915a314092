"""What PID 1's decisions rest on: its version, and what it took this machine for; asked live, or from capture.json."""

from __future__ import annotations

import os

from guestcred.c_modules import parse_json
from guestcred.errors import GuestcredError
from guestcred.guest.rootfs import Tree
from guestcred.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.guest.stages import Stage
    from guestcred.systemd.bus import Manager

CAPTURE = "capture.json"

# PID 1's names for container managers: virtualization_table in systemd src/basic/virt.c
CONTAINERS = frozenset(
    [
        "systemd-nspawn",
        "lxc-libvirt",
        "lxc",
        "openvz",
        "docker",
        "podman",
        "rkt",
        "wsl",
        "proot",
        "pouch",
        "container-other",
    ]
)


class Facts(Record):
    """What PID 1's decisions rest on: names of the container manager and confidential technology, or None.

    `earlier_stage` says that the initrd had a PID 1 before this one. `unasked` has the fields, "container" and
    "confidential", that are None because PID 1 could not be asked. `stages` says whose PID 1 imported what is in
    `@system` and in no source that is left; None where that was not looked at.
    """

    container: str | None = None
    confidential: str | None = None
    virtualization: str | None = None
    kernel: str | None = None
    earlier_stage: bool = False
    unasked: frozenset[str] = frozenset()
    stages: dict[str, Stage] | None = None


def read_systemd(tree: Tree) -> int | None:
    """The major version of the guest's systemd, None where it cannot be seen."""
    return _live_systemd(tree) if tree.live else _major(str(read_capture(tree).get("systemd", "")))


def _major(version: str) -> int | None:
    """257 of "257", "257.13-1", "257~rc2" or "systemd 257 (257.13-1)"; None where there is no such number."""
    for word in version.split():
        digits = word.split(".", 1)[0].split("~", 1)[0].split("-", 1)[0]
        if digits.isdecimal() and len(digits) <= 4:
            return int(digits)
    return None


def read_capture(tree: Tree) -> dict[str, object]:
    """What capture.json says about a captured tree; empty where there is none. Raises GuestcredError."""
    data = tree.read(CAPTURE)
    if data is None:
        return {}
    try:
        captured = parse_json(data.decode())
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
    _, mapped, version = maps.partition(b"/libsystemd-shared-")
    if mapped:
        return _major(version[:8].decode("ascii", "replace"))
    manager = _manager()
    return None if manager is None else _major(manager.version)


def _manager() -> Manager | None:
    """What PID 1 says over D-Bus; None where it cannot be asked, which proves nothing."""
    from guestcred.systemd.bus import read_manager

    try:
        return read_manager()
    except GuestcredError:
        return None


def read_facts(root: str = "/", unexplained: frozenset[str] = frozenset()) -> Facts:
    """The facts behind a refusal. PID 1 is asked when live, so it is called only when something is missing.

    `unexplained` has the names of what is in `@system` and in no source.
    """
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
            stages=_captured_stages(captured),
        )
    try:
        environment = tree.read("proc/1/environ") or b""
    except GuestcredError:
        environment = b""
    # PID 1 sets $CREDENTIALS_DIRECTORY itself, but its environ file does not show that: if it is there,
    # the PID 1 of the initrd handed it over (systemd src/core/import-creds.c)
    earlier = any(entry.startswith(b"CREDENTIALS_DIRECTORY=") for entry in environment.split(b"\0"))

    manager = _manager()
    if manager is None:
        unasked = frozenset({"container", "confidential"})
        return Facts(kernel=os.uname().release, earlier_stage=earlier, unasked=unasked)
    name = manager.virtualization
    return Facts(
        container=name if name in CONTAINERS else None,
        confidential=manager.confidential or None,
        virtualization=name if name and name not in CONTAINERS else None,
        kernel=os.uname().release,
        earlier_stage=earlier,
        stages=_live_stages(tree, unexplained, manager, earlier) if unexplained else None,
    )


def _live_stages(tree: Tree, names: frozenset[str], manager: Manager, earlier: bool) -> dict[str, Stage]:
    from guestcred.guest.stages import read_stages

    return read_stages(tree, names, manager, earlier)


def _captured_stages(captured: dict[str, object]) -> dict[str, Stage] | None:
    if captured.get("stages") is None:
        return None
    from guestcred.guest.stages import captured_stages

    return captured_stages(captured)


def _captured_unasked(captured: dict[str, object]) -> frozenset[str]:
    fields = captured.get("unasked")
    return frozenset(field for field in fields if isinstance(field, str)) if isinstance(fields, list) else frozenset()
