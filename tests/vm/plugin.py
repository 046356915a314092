"""pytest's part of the real guests: their options, the seed of all workers, the images, and the tables at the end."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from vm.boot import children
from vm.images import NEEDS_ROOT, OUT, CannotRun, Image, Release, build_image, package, ready

SEED = "guestcred/vm-seed"  # in pytest's cache that of the last run, and in what a worker is given
Row = dict[str, Any]  # what a test gave to `record_property`, with "seconds" and "verdict"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("real guests")
    group.addoption("--vm-full", action="store_true", help="boot all scenarios, not only the core")
    group.addoption("--vm-seed", type=int, metavar="SEED", help="repeat the random strings of another run")


def end(*_: object) -> NoReturn:
    """Interrupts us as ^C does, so that guests, mounts and scratch folders end with us, and our workers first.

    Only once: pytest-xdist interrupts its workers again after 5 s, when they may still be clearing away.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_workers(*_: object) -> NoReturn:
    """The same for the process whose children the workers are, which gives them 10 s to end."""
    for child in children(os.getpid()):
        os.kill(child, signal.SIGTERM)
    end()


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGTERM, end)
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, end)
        config.option.vm_seed = config.workerinput[SEED]
    elif config.option.vm_seed is None:
        cache = getattr(config, "cache", None)
        last = cache.get(SEED, None) if cache and config.getoption("lf") else None  # what failed fails again
        config.option.vm_seed = random.SystemRandom().randrange(1 << 32) if last is None else last


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Each worker of pytest-xdist gets our seed, and ends when we do."""
    signal.signal(signal.SIGTERM, end_workers)
    node.workerinput[SEED] = node.config.option.vm_seed


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    beyond = [] if config.option.vm_full else [item for item in items if item.get_closest_marker("vm_full")]
    if beyond:
        config.hook.pytest_deselected(items=beyond)
        items[:] = [item for item in items if item not in beyond]


def make_image(release: Release) -> Image:
    """The release's image, built where there is none; fails or skips with one line that says what is missing."""
    if os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)
    try:
        ready()
        return build_image(release, package(), OUT / "images")
    except CannotRun as error:
        raise pytest.fail.Exception(f"real guests cannot run here: {error}", pytrace=False) from None


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Image:
    return make_image(request.param)


def rows(reports: list[pytest.TestReport]) -> Iterator[Row]:
    """What each test recorded, in the order of their names."""
    for report in sorted(reports, key=lambda report: report.nodeid):
        if report.when == "call" and report.user_properties:
            verdict = "agrees" if report.passed else "FAILED"
            yield {**dict(report.user_properties), "seconds": report.duration, "verdict": verdict}


def guest_table(guests: list[Row]) -> list[str]:
    """Scenario by release: strings offered, credentials predicted and imported, and whether all agrees."""
    lines = [
        f"{'scenario':<22} {'release':<18} {'machine':<16} {'offered':>7} {'predicted':>9} {'imported':>8} {'s':>4}  verdict"
    ]
    for guest in guests:
        counted = [guest.get(name, "-") for name in ("offered", "predicted", "imported")]  # "-": it did not come so far
        lines.append(
            f"{guest['scenario']:<22} {guest['release']:<18} {guest['machine']:<16} {counted[0]:>7} {counted[1]:>9} "
            f"{counted[2]:>8} {guest['seconds']:>4.0f}  {guest['verdict']}"
        )
    return lines


def cost_table(costs: list[Row]) -> list[str]:
    """What guestcred-rescue.service took where it ran."""
    return [
        f"{'guestcred-rescue.service in':<32} {'its ms':>7}  {'exposure':>8}  critical chain  boot",
        *(
            f"{cost['scenario'] + ' on ' + cost['release']:<32} {cost['unit_ms']:>7.0f}  {cost['exposure']:>8}  "
            f"{'on it' if cost['critical'] else 'not on it':<14}  {cost['boot']}"
            for cost in costs
        ),
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    stats = terminalreporter.stats
    found = list(rows([*stats.get("passed", []), *stats.get("failed", [])]))
    guests = [row for row in found if "scenario" in row]
    if guests:
        strings = sum(guest.get("offered", 0) for guest in guests if guest["scenario"] == "random")
        terminalreporter.section("real guests")
        for line in guest_table(guests):
            terminalreporter.write_line(line)
        if costs := [row for row in guests if "unit_ms" in row]:
            terminalreporter.write_line("")
            for line in cost_table(costs):
                terminalreporter.write_line(line)
        terminalreporter.write_line(f"\n{strings} random strings compared; again: --vm-seed={config.option.vm_seed}")
        if cache := getattr(config, "cache", None):
            cache.set(SEED, config.option.vm_seed)
    for row in found:
        if "stages" in row:
            terminalreporter.section("whole flow")
            terminalreporter.write_line(f"{row['stages']}\n\n{row['damage']}\n")
            terminalreporter.write_line(f"{row['hold']} of {row['claims']} claims hold; {row['seconds']:.0f} s")
