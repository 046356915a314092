"""Which PID 1 put a credential into `@system`, the guest's own or that of its initrd: told by the times of the files."""

from __future__ import annotations

from guestcred.guest.rootfs import Tree
from guestcred.systemd.rules import SYSTEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.systemd.bus import Manager

    Stage = Literal["initrd", "system"]  # whose PID 1 imported it

STAGES: dict[str, Stage] = {"initrd": "initrd", "system": "system"}
TICK = (
    10_000  # microseconds; the kernel gives a file the time of its last tick, of which there are at least 100 a second
)


def read_stages(tree: Tree, manager: Manager, earlier_stage: bool) -> dict[str, Stage]:
    """The stage that imported each credential in `@system`, without those of which that cannot be told.

    The PID 1 after switch-root starts at UserspaceTimestamp, imports, and then starts generators (main() in systemd
    src/core/main.c). What is older came with the PID 1 of the initrd, if it imported anything (`earlier_stage`).
    """
    if not manager.started:
        return {}
    folder = tree.resolve(SYSTEM)
    stages: dict[str, Stage] = {}
    for name in tree.names(folder) or ():
        status = tree.status(f"{folder}/{name}")
        if status is None:
            continue
        written = status.st_mtime_ns // 1000
        if written < manager.started - TICK:
            if earlier_stage:
                stages[name] = "initrd"
        elif written <= manager.generators:
            stages[name] = "system"
    return stages


def captured_stages(captured: dict[str, object]) -> dict[str, Stage]:
    """The same from what capture.json says."""
    told = captured.get("stages")
    if not isinstance(told, dict):
        return {}
    return {name: STAGES[stage] for name, stage in told.items() if isinstance(stage, str) and stage in STAGES}
