"""What PID 1's decisions rest on: its version, and what it took this machine for; asked live, or from capture.json."""

from __future__ import annotations

import os

from guestcred.c_modules import parse_json
from guestcred.errors import GuestcredError
from guestcred.guest.rootfs import Tree
from guestcred.record import Record
from guestcred.systemd.rules import CONFIDENTIAL_VM_SINCE, TDX_TRUSTED_SINCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.guest.stages import Stage
    from guestcred.systemd.bus import Manager

CAPTURE = "capture.json"
# systemd as PID 1: Debian and most others; NixOS
PROGRAMS = ("usr/lib/systemd/systemd", "lib/systemd/systemd", "run/current-system/systemd/lib/systemd/systemd")
ENVIRONMENT_MAX = 1 << 20  # bytes

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

    `earlier_stage` says that this PID 1 was handed its credentials: by the one of the initrd, or by a container manager.
    `unasked` has the fields, "container" and "confidential", that are None because PID 1 could not be asked. `stages`
    says whose PID 1 imported what is in `@system`; None where that is known of nothing.
    """

    container: str | None = None
    confidential: str | None = None
    virtualization: str | None = None
    kernel: str | None = None
    earlier_stage: bool = False
    unasked: frozenset[str] = frozenset()
    stages: dict[str, Stage] | None = None

    def distrusts(self, systemd: int | None) -> bool:
        """Whether that systemd takes nothing from SMBIOS and fw_cfg because this is a confidential VM."""
        if not self.confidential or (systemd is not None and systemd < CONFIDENTIAL_VM_SINCE):
            return False
        return not (self.confidential == "tdx" and systemd is not None and systemd >= TDX_TRUSTED_SINCE)

    def refusal(self, systemd: int | None) -> Literal["container", "confidential-vm"] | None:
        """Why that systemd imports nothing from SMBIOS on purpose, as far as it depends on the facts."""
        return "container" if self.container else "confidential-vm" if self.distrusts(systemd) else None

    def undecided(self, systemd: int | None) -> bool:
        """Whether that systemd may have refused on purpose, but could not be asked."""
        asks = (
            {"container"} if systemd is not None and systemd < CONFIDENTIAL_VM_SINCE else {"container", "confidential"}
        )
        return not asks.isdisjoint(self.unasked)


def read_systemd(tree: Tree) -> int | None:
    """The major version of the guest's systemd, None where it cannot be seen."""
    return _live_systemd(tree) if tree.live else _major(str(read_capture(tree).get("systemd", "")))


def read_kernel(tree: Tree) -> str | None:
    """The release of the guest's kernel, None where it cannot be seen."""
    if tree.live:
        return os.uname().release
    kernel = read_capture(tree).get("kernel")
    return kernel if isinstance(kernel, str) else None


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
    """PID 1's major version, from the name of the library that its program on disk loads, else by asking."""
    for path in PROGRAMS:
        _, loads, version = (tree.read(tree.follow(path)) or b"").partition(b"libsystemd-shared-")
        if loads:
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


def read_facts(root: str = "/") -> Facts:
    """The facts behind a refusal. PID 1 is asked when live, so it is called only when something is missing."""
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
    environment = _environment(tree)
    # PID 1 sets them itself, but its environ file does not show that: if one is there, the PID 1 of the initrd or
    # the container manager handed it over, and nothing is imported any more (systemd src/core/import-creds.c)
    handed_over = (b"CREDENTIALS_DIRECTORY=", b"ENCRYPTED_CREDENTIALS_DIRECTORY=")
    earlier = any(entry.startswith(handed_over) for entry in environment.split(b"\0"))
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
        stages=_live_stages(tree, manager, earlier) or None,
    )


def _live_stages(tree: Tree, manager: Manager, earlier: bool) -> dict[str, Stage]:
    from guestcred.guest.stages import read_stages

    return read_stages(tree, manager, earlier)


def _captured_stages(captured: dict[str, object]) -> dict[str, Stage] | None:
    if captured.get("stages") is None:
        return None
    from guestcred.guest.stages import captured_stages

    return captured_stages(captured)


def _environment(tree: Tree) -> bytes:
    """PID 1's environment as it was started; guestcred's units get it as their standard input, since nobody in its
    sandbox may open it."""
    try:
        if os.readlink("/proc/self/fd/0") == "/proc/1/environ":
            return os.pread(0, ENVIRONMENT_MAX, 0)
    except OSError:  # closed, or there is no /proc
        pass
    try:
        return tree.read("proc/1/environ") or b""
    except GuestcredError:
        return b""


def _captured_unasked(captured: dict[str, object]) -> frozenset[str]:
    fields = captured.get("unasked")
    return frozenset(field for field in fields if isinstance(field, str)) if isinstance(fields, list) else frozenset()
