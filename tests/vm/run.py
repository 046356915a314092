"""Boots the matrix of scenarios and releases, two at a time, and holds guestcred against what PID 1 did."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from guestcred.errors import GuestcredError
from guestcred.guest.snapshot import read_guest
from guestcred.smbios.walk import parse
from guestcred.systemd.rules import shown_name
from vm.boot import GUESTS, boot
from vm.booted import Booted
from vm.images import RELEASES, CannotRun, Image, Release, build_image, missing_tools
from vm.mend import Cost, verify_mend
from vm.predict import predict
from vm.scenarios import Scenario, named, scenarios

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "build" / "vm"
AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """One boot's line of the table: how many strings and credentials, and what went wrong (None: all agrees)."""

    scenario: str
    release: str
    firmware: str
    offered: int
    predicted: int
    imported: int
    seconds: float
    problem: str | None
    cost: Cost | None


def _shown(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes, hex {value[:64].hex()}"


def _expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: {found!r}, wanted {wanted!r}")


def compare_with_pid1(booted: Booted, release: Release) -> tuple[int, int, int]:
    """(strings offered, credentials predicted, imported); AssertionError names each difference in hexadecimal."""
    guest = read_guest(str(booted.guest))
    _expect(guest.systemd, release.systemd, "systemd's version")
    predicted, system = predict(guest), guest.system or {}
    differences = [
        f"{name!r} (hex {os.fsencode(name).hex()}) under systemd {guest.systemd}: "
        f"guestcred says {_shown(predicted.get(name))}; PID 1 has {_shown(system.get(name))}"
        for name in sorted(predicted.keys() | system.keys())
        if predicted.get(name) != system.get(name)
    ]
    assert not differences, "\n".join(differences)
    strings = sum(len(one.strings) for one in parse(guest.table).structures if one.type == 11)
    return strings, len(predicted), len(system)


def hold_verdict(check: dict[str, object], system: dict[str, bytes]) -> None:
    """What `check` printed in the guest, against PID 1: each name's place, in `@system` or not, and its size."""
    credentials = check["credentials"]
    assert isinstance(credentials, list)
    here = {one["name"]: one["size"] for one in credentials if one["status"] != "missing"}
    _expect(here, {shown_name(name): len(value) for name, value in system.items()}, "what check finds in @system")
    there = {one["name"] for one in credentials if one["status"] == "missing"} & here.keys()
    _expect(there, set(), "missing by check, and in @system")


def verify(booted: Booted, scenario: Scenario, release: Release) -> tuple[int, int, int]:
    """Hold one guest's results against PID 1, the scenario and themselves."""
    live = booted.result("guestcred", "check", "--format", "json")
    for one in booted.results:
        assert "Traceback" not in str(one["err"]), one
    if scenario.exit is not None:
        _expect(live["status"], scenario.exit, f"exit status of check ({live['err'] or live['out']})")
    if scenario.exit == 3:
        return 0, 0, 0
    counted = compare_with_pid1(booted, release)
    _expect(counted[0] > 0, bool(scenario.strings or scenario.structures), "whether strings were offered")
    check = booted.json("check")
    hold_verdict(check, read_guest(str(booted.guest)).system or {})
    credentials, findings = check["credentials"], check["findings"]
    assert isinstance(credentials, list) and isinstance(findings, list)
    counts = Counter(" ".join(filter(None, (one["status"], one["cause"]))) for one in credentials)
    if scenario.counts is not None:
        _expect(dict(counts), scenario.counts(release.systemd), "what check says")
    unexplained = [one for one in credentials if one["cause"] == "unknown"]
    _expect(unexplained, [], "credentials without a cause")
    if scenario.findings is not None:
        _expect({one["code"] for one in findings}, scenario.findings, "findings")
    if scenario.verify is not None:
        scenario.verify(booted)
    captured = booted.result("guestcred", "--root", "/run/vm/capture", "check", "--format", "json")
    _expect(captured["out"], live["out"], "check of the capture beside the live one")
    return counted


def run_one(image: Image, scenario: Scenario) -> Outcome:
    """Boot and verify; a failure is an outcome, not an exception."""
    release = image.release
    begin = time.monotonic()
    counted, problem, cost = (0, 0, 0), None, None
    try:
        booted = boot(image, scenario, OUT / "runs" / f"{scenario.name}-{release.name}")
        counted = verify(booted, scenario, release)
        cost = verify_mend(booted, scenario.mend) if scenario.mend else None
    except AssertionError as error:
        problem = str(error)
    except (LookupError, ValueError, OSError, GuestcredError) as error:  # what a broken guest brought back
        problem = "".join(traceback.format_exception(error)[-2:])
    return Outcome(scenario.name, release.name, scenario.shown, *counted, time.monotonic() - begin, problem, cost)


def table(outcomes: list[Outcome]) -> str:
    """Scenario by release: strings offered, credentials predicted and imported, and whether all agrees."""
    lines = [
        f"{'scenario':<22} {'release':<9} {'machine':<16} {'offered':>7} {'predicted':>9} {'imported':>8} {'s':>4}  verdict"
    ]
    for one in outcomes:
        verdict = "agrees" if one.problem is None else "FAILED"
        lines.append(
            f"{one.scenario:<22} {one.release:<9} {one.firmware:<16} {one.offered:>7} {one.predicted:>9} "
            f"{one.imported:>8} {one.seconds:>4.0f}  {verdict}"
        )
    lines += ["", f"{'guestcred.service in':<32} {'its ms':>7}  {'exposure':>8}  critical chain  boot"]
    lines += [
        f"{one.scenario + ' on ' + one.release:<32} {one.cost.own:>7.0f}  {one.cost.exposure:>8}  "
        f"{'on it' if one.cost.critical else 'not on it':<14}  {one.cost.boot}"
        for one in outcomes
        if one.cost
    ]
    return "\n".join(lines)


def ready() -> None:
    """Raises CannotRun, with all that is missing and how to get it."""
    missing = missing_tools()
    if missing:
        raise CannotRun("; ".join(missing))


def package() -> Path:
    """The Debian package that this run built."""
    found = sorted((ROOT / "dist").glob("guestcred_*_all.deb"))
    if not found:
        raise CannotRun("there is no package in dist/: run make deb")
    return found[-1]


def end_guests_with_us() -> None:
    """On SIGTERM: end every QEMU, so that the threads that wait for them come to an end too, and clear away."""

    def end(*_: object) -> None:
        GUESTS.stop()
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vm.run", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all scenarios, not only the core")
    parser.add_argument("--only", action="append", metavar="SCENARIO", help="this scenario; may be given again")
    parser.add_argument("--release", action="append", choices=[one.name for one in RELEASES], help="this release only")
    parser.add_argument("--seed", type=int, help="repeat a run's random strings")
    parser.add_argument("--images", action="store_true", help="only build the images")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    known = scenarios(seed)
    chosen = named(arguments.only, known) if arguments.only else [one for one in known if arguments.full or one.core]
    releases = [one for one in RELEASES if not arguments.release or one.name in arguments.release]
    begin = time.monotonic()
    try:
        ready()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            images = list(pool.map(lambda one: build_image(one, package(), OUT / "images"), releases))
    except CannotRun as error:
        print(f"real guests cannot run here: {error}", file=sys.stderr)
        return 1
    print(f"images: {time.monotonic() - begin:.0f} s; seed {seed}", flush=True)
    if arguments.images:
        return 0
    jobs = [(image, one) for one in chosen for image in images if image.release.name in one.only]
    outcomes: list[Outcome] = []
    end_guests_with_us()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, outcome in enumerate(pool.map(lambda job: run_one(*job), jobs), 1):
            outcomes.append(outcome)
            said = "agrees" if outcome.problem is None else f"FAILED\n{outcome.problem}"
            print(
                f"[{number}/{len(jobs)}] {outcome.scenario} on {outcome.release}: {outcome.offered} strings, "
                f"{outcome.imported} imported, {outcome.seconds:.0f} s: {said}",
                flush=True,
            )
    failed = sum(one.problem is not None for one in outcomes)
    strings = sum(one.offered for one in outcomes if one.scenario == "random")
    print(
        f"\n{table(outcomes)}\n\n{strings} random strings compared, seed {seed}; {time.monotonic() - begin:.0f} s in all"
    )
    print(f"guests: {len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
