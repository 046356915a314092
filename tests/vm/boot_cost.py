"""`make boot-cost`: what the package costs a boot, against the same guest without it; `--icount` counts instructions.

`--parts` says instead what the cost is made of: the program by its commands, and the sandbox line by line.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vm.boot import boot
from vm.images import OUT, RELEASES, CannotRun, Image, Release, build_image, package, ready
from vm.scenarios import Scenario, framed, reference

DRIVER = Path(__file__).with_name("boot_cost_guest.py")
CPU = "processor"  # time of all processes until then, of which idle time and the kernel's own are no part
WHAT = ("sysinit", "multi-user", CPU)
# Without a source of random numbers, which every hypervisor's processor has, who needs the first ones makes them himself and
# computes for that: systemd-random-seed.service, or a Python that starts before it.
PROCESSOR = ("-cpu", "qemu64,+rdrand")
ICOUNT = ("-icount", "shift=0,sleep=off")
Run = dict[str, Any]


def strings(manifest: bool) -> tuple[bytes, ...]:
    """The five credentials of the reference flow, the same in every boot, framed or not."""
    five = reference(random.Random(5))
    return framed(five) if manifest else five


CASES: dict[str, Callable[[], Scenario]] = {
    "manifest": lambda: _scenario("manifest", strings(manifest=True)),
    "no manifest": lambda: _scenario("no-manifest", strings(manifest=False)),
    "rescue": lambda: _scenario("rescue", strings(manifest=True), "vm.hide-entries"),
}
LIMITS = {"manifest": 1.005, "no manifest": 1.02, "rescue": 1.05}  # of time to multi-user.target, SPEC 10


def _scenario(name: str, offered: tuple[bytes, ...], cmdline: str = "") -> Scenario:
    return Scenario(f"cost-{name}", offered, cmdline=cmdline, files={"driver.py": DRIVER.read_bytes()}, limit=1800)


def images(release: Release) -> dict[bool, Image]:
    """The guest with the package, and the same one from which it was removed; without configuration of ours."""
    built = package()
    bare = "rm -r /etc/guestcred"
    return {
        True: build_image(release, built, OUT / "images", name="cost", finish=bare),
        False: build_image(release, built, OUT / "images", name="bare", finish=f"{bare}; dpkg --purge guestcred"),
    }


def measure(image: Image, scenario: Scenario, extra: tuple[str, ...]) -> Run:
    """One boot: microseconds of guest time to each target, and for each unit of ours its start, time and CPU."""
    booted = boot(image, scenario, OUT / "cost", extra)
    told = json.loads((booted.folder / "results.json").read_text())
    assert isinstance(told, dict)
    return told


def median(runs: list[Run], what: str) -> float:
    """Microseconds."""
    return float(statistics.median(run["cpu"] if what == CPU else run["targets"][f"{what}.target"] for run in runs))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=[release.name for release in RELEASES])
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--boots", type=int, default=5, help="of each kind; the medians are compared")
    parser.add_argument(
        "--cpus", default="1", help="processors of the guest; with one, all that we do is added to the boot"
    )
    parser.add_argument("--icount", action="store_true", help="guest time counts instructions: the same in every run")
    parser.add_argument("--json", type=Path, default=OUT / "boot-cost.json", metavar="FILE", help="the raw figures")
    parser.add_argument("--parts", action="store_true", help="what it is made of, in one boot of each release")
    asked = parser.parse_args()
    try:
        ready()
    except CannotRun as error:
        print(f"boot-cost: {error}", file=sys.stderr)
        return 3
    releases = [release for release in RELEASES if asked.release is None or release.name in asked.release]
    if asked.parts:
        for release in releases:
            print(parts(release), flush=True)
        return 0
    extra = (*PROCESSOR, "-smp", asked.cpus, *(ICOUNT if asked.icount else ()))
    raw: list[Run] = []
    head = ("release", "case", *(column for what in WHAT for column in (what, "without", "ratio")), "most", "units")
    print("  ".join(f"{word:>10}" for word in head))
    for release in releases:
        pair = images(release)
        for name in asked.case or CASES:
            runs: dict[bool, list[Run]] = {True: [], False: []}
            for number in range(asked.boots):
                # one after the other, so that both meet the same noise
                for with_us in (True, False) if number % 2 else (False, True):
                    run = measure(pair[with_us], CASES[name](), extra)
                    runs[with_us].append(run)
                    raw.append({"release": release.name, "case": name, "package": with_us, **run})
            row = [release.name, name]
            for what in WHAT:
                ours, bare = (median(runs[with_us], what) / 1e6 for with_us in (True, False))
                row += [f"{ours:.3f} s", f"{bare:.3f} s", f"{ours / bare:.4f}"]
            print("  ".join(f"{word:>10}" for word in [*row, f"{LIMITS[name]}", _units(runs[True])]), flush=True)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(raw, indent=1))
    return 0


def parts(release: Release) -> str:
    """Milliseconds of processor time of each part, which are millions of instructions; a table."""
    scenario = _scenario("parts", strings(manifest=True))
    scenario = replace(scenario, files={"driver.py": DRIVER.with_name("boot_parts_guest.py").read_bytes()})
    told = measure(images(release)[True], scenario, (*PROCESSOR, *ICOUNT))
    bare = told["commands"]["python3 -I -c pass"]
    lines = [f"{release.name:<44} {'ms':>7} {'ratio':>6}"]
    lines += [f"{name:<44} {spent:7.1f} {spent / bare:6.2f}" for name, spent in told["commands"].items()]
    lines += ["", f"{'a unit with':<44} {'ms':>7}"]
    lines += [f"{name:<44} {spent:7.1f}" for name, spent in told["units"].items()]
    lines += ["", f"{'a setting of the rescue, by /bin/true':<44} {'alone':>7} {'of all':>6}"]
    lines += [f"{name:<44} {alone:7.1f} {of_all:6.1f}" for name, (alone, of_all) in told["settings"].items()]
    return "\n".join(lines) + "\n"


def _units(runs: list[Run]) -> str:
    """Our units that ran: when they started, and their CPU time, in milliseconds; medians."""
    told = []
    for unit in runs[0]["units"]:
        ran = [run["units"][unit] for run in runs if run["units"][unit]["start"]]
        if ran:
            start, spent = (statistics.median(unit[key] for unit in ran) / 1e3 for key in ("start", "cpu"))
            before = all(unit["start"] < run["targets"]["multi-user.target"] for unit, run in zip(ran, runs))
            told.append(f"{unit} at {start:.0f} ms{'' if before else ' (later)'}, {spent:.0f} ms")
    return "; ".join(told) or "none started"


if __name__ == "__main__":
    sys.exit(main())
