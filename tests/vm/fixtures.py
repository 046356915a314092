"""Makes `fixtures/dmi/` again: captures of booted guests, and one table built to cloud-hypervisor's layout."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from guestcred import smbios
from guestcred.cli import commands
from guestcred.cli.commands import View
from guestcred.errors import GuestcredError
from guestcred.smbios.entry_point import SIZE_64
from vm import aarch64
from vm.boot import boot
from vm.images import GUESTS, OUT, ROOT, CannotRun, Release, build_image, package, ready
from vm.scenarios import Scenario, scenarios, text
from vm.verify import verify

FIXTURES = ROOT / "fixtures" / "dmi"
KEPT = ("cloud-hypervisor-54",)  # captured where a cloud-hypervisor runs, which nothing here starts
AT_ONCE = 2
SECRETS = "noise of the same length and kind"


def expected(check: dict[str, object], dump: dict[str, object] | None) -> dict[str, object]:
    """What tests ask of a fixture, from what guestcred's JSON said in the guest; without SMBIOS `dump` has nothing to say."""

    def rows(key: str) -> list[dict[str, object]]:
        found = check[key]
        assert isinstance(found, list)
        return found

    def said(row: dict[str, object]) -> str:
        return " ".join(str(part) for part in (row["status"], row["cause"]) if part)

    return {
        "verdict": check["verdict"],
        "smbios_version": dump["smbios_version"] if dump else None,
        "ended": dump["ended"] if dump else None,
        "credentials": {str(row["name"]): said(row) for row in rows("credentials")},
        "rejected": [[row["handle"], row["index"], row["reason"]] for row in rows("rejected")],
        "findings": sorted({str(row["code"]) for row in rows("findings")}),
    }


def write(folder: Path, tree: Path, made_by: str, guest: str, told: dict[str, object]) -> None:
    """One fixture: the captured tree, how it was made, and what is to be said of it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tree, folder)
    facts = json.loads((folder / "capture.json").read_text())
    facts |= {"made_by": made_by, "guest": guest, "secrets": SECRETS}
    (folder / "capture.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "expected.json").write_text(json.dumps(told, indent=1) + "\n")


def from_guest(release: Release, scenario: Scenario, name: str) -> None:
    """Boot, verify and keep what `capture` saved in the guest."""
    image = build_image(release, package(), OUT / "images")
    booted = boot(image, scenario, OUT / "fixtures" / f"{scenario.name}-{release.name}")
    verify(booted, scenario, release)
    made_by = f"qemu-system-x86_64, {scenario.shown}, scenario {scenario.name}, 'guestcred capture' in the guest"
    told = expected(booted.json("check"), None if scenario.machine == "microvm" else booted.json("dump"))
    write(FIXTURES / name, booted.capture, made_by, release.name, told)


def capture(guest: Path, scratch: Path) -> Path:
    """A raw tree as `guestcred capture` saves it."""
    with contextlib.redirect_stdout(io.StringIO()):
        commands.capture(View(root=str(guest)), str(scratch / "capture"))
    return scratch / "capture"


def from_aarch64(name: str) -> None:
    """The table of an aarch64 guest, in which nothing imports."""
    scratch = OUT / "fixtures" / name
    saved = capture(aarch64.boot(scratch), scratch)
    made_by = "qemu-system-aarch64, virt, UEFI (AAVMF), Debian's kernel with busybox; no systemd in it"
    told: dict[str, object] = {
        "verdict": "findings",
        "smbios_version": "3.0.0",
        "ended": None,
        "credentials": {"API_KEY": "missing unknown", "ENVIRONMENT": "missing unknown"},
        "rejected": [],
        "findings": ["missing"],
    }
    write(FIXTURES / name, saved, made_by, "Debian 12's kernel, arm64", told)


def cloud_hypervisor(name: str) -> None:
    """A table of cloud-hypervisor's with 300 strings, of which the count byte has wrapped to 44."""
    scratch = OUT / "fixtures" / name
    dice = random.Random(11)
    values = {f"N{number:03}": dice.randbytes(6).hex().encode() for number in range(300)}
    made = smbios.cloud_hypervisor(oem_strings=[text(name, value) for name, value in values.items()])
    shutil.rmtree(scratch, ignore_errors=True)
    guest = scratch / "guest"
    for path, data in {
        "sys/firmware/dmi/tables/DMI": made.build(),
        "sys/firmware/dmi/tables/smbios_entry_point": made.build_entry_point(0xF0000 + SIZE_64),
        "sys/firmware/dmi/entries/11-0/raw": made.of_type(11)[0].build(),
        "proc/cmdline": b"console=hvc0\n",
        "capture.json": b'{"systemd": "systemd 257", "kernel": "6.12"}',
        # what systemd 257's 1 MiB store holds of them
        **{f"run/credentials/@system/{name}": value for name, value in list(values.items())[:256]},
    }.items():
        (guest / path).parent.mkdir(parents=True, exist_ok=True)
        (guest / path).write_bytes(data)
    saved = capture(guest, scratch)
    told: dict[str, object] = {
        "verdict": "findings",
        "smbios_version": "3.2.0",
        "ended": None,
        "credentials": {
            name: "imported" if number < 256 else "missing store-full" for number, name in enumerate(values)
        },
        "rejected": [],
        "findings": ["missing"],
    }
    made_by = "built by tests/vm/fixtures.py to the layout of cloud-hypervisor's smbios.rs; no guest was booted"
    write(FIXTURES / name, saved, made_by, "none", told)


def main(*chosen: str) -> int:
    """Make the fixtures of these names; without one all, and then remove what is none of them."""
    releases = {release.name: release for release in GUESTS}
    jobs: dict[str, Callable[[str], None]] = {
        f"{name}-{scenario.name}": partial(from_guest, releases[name], scenario)
        for scenario in scenarios(seed=1)
        for name in scenario.fixture
    }
    jobs |= {"built-cloud-hypervisor": cloud_hypervisor, "aarch64-virt": from_aarch64}
    if unknown := set(chosen) - jobs.keys():
        print(f"{', '.join(sorted(unknown))}: no such fixture; there are {', '.join(sorted(jobs))}", file=sys.stderr)
        return 2
    names = chosen or tuple(jobs)
    try:
        ready()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for number, (name, _) in enumerate(zip(names, pool.map(lambda name: jobs[name](name), names)), 1):
                print(f"[{number}/{len(names)}] {name}", flush=True)
    except CannotRun as error:
        print(f"real guests cannot run here: {error}", file=sys.stderr)
        return 1
    for old in () if chosen else FIXTURES.iterdir():
        if old.name not in (*jobs, *KEPT):
            shutil.rmtree(old)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (AssertionError, GuestcredError) as problem:
        print(f"no fixtures: {problem}", file=sys.stderr)
        sys.exit(1)
