"""What gets dmi-sysfs into an initrd: the hook of initramfs-tools, and the line for dracut."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

INITRD = Path(__file__).parent.parent / "packaging/initrd"
HOOK = INITRD / "initramfs-tools/guestcred"
VERSION = "6.12.1-cloud-amd64"
# what modprobe says of a module, with one that it needs, of what is built in, and of what the kernel has not at all
MODULE = "insmod /lib/modules/other.ko \ninsmod /lib/modules/dmi-sysfs.ko "
BUILT_IN = "builtin dmi_sysfs"


def hook(folder: Path, *arguments: str, said: str, status: int = 0) -> str:
    """What the hook has loaded, run as mkinitramfs runs it, by a modprobe that says and ends like this."""
    loaded = folder / "loaded"
    loaded.touch()
    functions = folder / "hook-functions"
    functions.write_text(f'force_load() {{ echo "$@" >>{loaded}; }}\n')
    modprobe = folder / "modprobe"
    asked = f'"$*" = "--set-version={VERSION} --show-depends dmi-sysfs"'
    modprobe.write_text(f"#!/bin/sh\n[ {asked} ] || exit 9\nprintf '%s\\n' '{said}'\nexit {status}\n")
    modprobe.chmod(0o755)
    script = HOOK.read_text().replace("/usr/share/initramfs-tools/hook-functions", str(functions))
    done = subprocess.run(
        ["sh", "-c", script, "guestcred", *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "version": VERSION},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    return loaded.read_text()


@pytest.mark.parametrize(
    ("said", "status", "loaded"),
    [(MODULE, 0, "dmi-sysfs\n"), (BUILT_IN, 0, ""), ("", 1, "")],
    ids=["module", "built in", "none"],
)
def test_the_hook_loads_what_is_a_module(tmp_path: Path, said: str, status: int, loaded: str) -> None:
    assert hook(tmp_path, said=said, status=status) == loaded


def test_the_hook_needs_no_other(tmp_path: Path) -> None:
    assert hook(tmp_path, "prereqs", said=MODULE) == ""


def test_dracut_keeps_what_others_add() -> None:
    (line,) = INITRD.glob("dracut/*.conf")
    told = f'add_drivers=" theirs "; . {line}; echo "$add_drivers"'
    done = subprocess.run(["bash", "-euc", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["theirs", "dmi-sysfs"]
