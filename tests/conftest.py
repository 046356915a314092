"""What tests share: the captured guests, and a tree builder for guests nobody captured."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from needs import may_mount, memory

from guestcred.guest.deliveries import UNITS, Consumer, Look, consumers_json
from guestcred.guest.sources import Observed
from guestcred.outcome import ENDING
from guestcred.smbios.layout import build_entry_point, build_structure

pytest_plugins = ["vm.plugin"]

# how long an example takes says more about the machine's load than about the code
settings.register_profile("guestcred", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("guestcred")

FIXTURES = Path(__file__).parent.parent / "fixtures" / "dmi"
REFERENCE = FIXTURES / "debian13-reference"
CAPTURES = sorted(path for path in FIXTURES.iterdir() if path.is_dir())
TABLES = [capture for capture in CAPTURES if (capture / "sys/firmware/dmi").exists()]  # of machines with SMBIOS

Build = Callable[..., Path]
Count = Callable[[str, Mapping[str, int]], None]


def table_of(*strings: bytes, handle: int = 0x0E00) -> bytes:
    """A table with one Type 11 structure and an End-of-Table."""
    return build_structure(11, handle, strings) + build_structure(127, 0x7F00)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, as a unit's RuntimeDirectory= is."""
    with memory() as made:
        yield made


@pytest.fixture
def tree(tmp_path: Path) -> Build:
    """Build a guest's tree: OEM strings in the table and its entries, and what is in `@system`."""

    def build(
        strings: Sequence[bytes] = (),
        system: dict[str, bytes] | None = None,
        *,
        table: bytes | None = None,
        declared: int | None = None,
        count: int = 0,
        entries: bool | Sequence[bytes] = True,
        fw_cfg: dict[str, bytes] | None = None,
        initrd: dict[str, bytes] | None = None,
        cmdline: bytes = b"quiet\n",
        units: Sequence[Consumer] | None = None,
        outside: dict[str, int | None] | None = None,
        odd: dict[str, Any] | None = None,
        sealed: dict[str, Any] | None = None,
        look: dict[str, Any] | None = None,
        files: dict[str, bytes] | None = None,
        root: str = "guest",
        **facts: object,
    ) -> Path:
        folder = tmp_path / root
        data = table_of(*strings) if table is None else table
        length = len(data) if declared is None else declared

        def put(path: str, content: bytes) -> None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

        put("sys/firmware/dmi/tables/DMI", data)
        put(
            "sys/firmware/dmi/tables/smbios_entry_point",
            build_entry_point(length, long=length > 0xFFFF, major=3, count=count),
        )
        if entries is not False:
            raws = [build_structure(11, 0x0E00, strings)] if entries is True else entries
            (folder / "sys/firmware/dmi/entries").mkdir(parents=True, exist_ok=True)
            for number, raw in enumerate(raws):
                put(f"sys/firmware/dmi/entries/11-{number}/raw", raw)
        for below, suffix, held in (
            ("run/credentials/@system", "", system),
            ("run/credentials/@initrd", "", initrd),
            ("sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials", "/raw", fw_cfg),
        ):
            if held is not None:
                (folder / below).mkdir(parents=True, exist_ok=True)
            for name, content in (held or {}).items():
                put(f"{below}/{name}{suffix}", content)
        put("proc/cmdline", cmdline)
        if units is not None:
            put(
                UNITS,
                json.dumps(
                    consumers_json(
                        Look(
                            tuple(units),
                            ("other.service",),
                            Observed(outside or {}, odd or {}, sealed or {}),
                            **look or {},
                        )
                    )
                ).encode(),
            )
        for path, content in (files or {}).items():
            put(path, content)
        put("capture.json", json.dumps({"systemd": "systemd 257 (257.13-1)", **facts}).encode())
        return folder

    return build


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="end apply at every system call and launch at every instruction, not at some",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip before anything is set up, and from this one line, so that the summary counts them together."""
    wanted = {marker.name for marker in item.iter_markers()}
    if os.geteuid() and wanted & {"root", "mounts"}:
        pytest.skip("needs root: sudo make test-fast")
    if "mounts" in wanted and not may_mount():
        pytest.skip("needs the right to mount, which this container does not give: run make test-fast outside it")


@pytest.fixture(autouse=True)
def keep_connections() -> Iterator[None]:
    """`apply` gives them up for good, and may not do so to pytest's own process."""
    with pytest.MonkeyPatch.context() as patch:  # of its own, since a test's ends after what the test set up
        patch.setattr("guestcred.apply.wanted.give_up_connections", lambda: None)
        yield


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Signals as before: `done_or_undone` holds them back to the end of the program, and here that goes on."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    handlers = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A test that leaves its process in another folder is red itself, in place of those that come after it."""
    begun = item.config.invocation_params.dir
    if os.readlink("/proc/self/cwd") != str(begun):
        os.chdir(begun)
        pytest.fail("the test has left its process in another folder")


@pytest.fixture
def record_count(record_property: Callable[[str, object], None]) -> Count:
    """Count something by outcome; the end of the run prints the sum over all tests in all processes."""
    return lambda name, outcomes: record_property(name, dict(outcomes))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    sums: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, outcomes in report.user_properties:
            if isinstance(outcomes, dict):  # real guests record other things
                sums.setdefault(name, Counter()).update(outcomes)
    for name, counted in sums.items():
        told = ", ".join(f"{many} {outcome}" for outcome, many in sorted(counted.items()))
        terminalreporter.write_line(f"{name}: {counted.total()} ({told})")
