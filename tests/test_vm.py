"""The harness's own judgement: what PID 1 had in captured guests is what guestcred predicts, and a wrong verdict is seen."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from conftest import CAPTURES, REFERENCE
from vm import boot as booting
from vm import images
from vm.images import RELEASES, ROOT, Release
from vm.plugin import cost_table, guest_table, make_image, rows
from vm.predict import predict
from vm.scenarios import matrix, scenarios
from vm.verify import hold_verdict

from guestcred.guest.facts import read_facts
from guestcred.guest.snapshot import read_guest
from guestcred.systemd import rules

TESTS = Path(__file__).parent
HOSTILE = REFERENCE.with_name("debian14-hostile")
# nothing imports in the one, and in the other it was built to the rules themselves
GUESTS = [capture for capture in CAPTURES if capture.name not in ("aarch64-virt", "built-cloud-hypervisor")]


@pytest.mark.parametrize("capture", GUESTS, ids=lambda path: path.name)
def test_what_pid_1_imported_is_what_is_predicted(capture: Path) -> None:
    guest, stages = read_guest(str(capture)), read_facts(str(capture)).stages or {}
    system = guest.system or {}
    # what an initrd brought is in no source that is left
    first, last = ({name: system[name] for name in stages if stages[name] == stage} for stage in ("initrd", "system"))
    assert predict(guest, first, last) == system


@pytest.mark.parametrize("broken", ["_WHITESPACE", "_NAME_BYTES", "URL_SAFE_SINCE", "NAME_MAX"])
def test_a_broken_rule_is_seen(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "_WHITESPACE": b" \t\r",
        "_NAME_BYTES": rules._NAME_BYTES + b":",
        "URL_SAFE_SINCE": 999,
        "NAME_MAX": 254,
    }
    monkeypatch.setattr(rules, broken, wrong[broken])
    guest = read_guest(str(HOSTILE))
    assert predict(guest) != guest.system


@pytest.mark.parametrize("change", ["none", "one fewer", "another size", "missing"])
def test_a_wrong_verdict_is_seen(change: str) -> None:
    command = [sys.executable, "-m", "guestcred", "--root", str(HOSTILE), "check", "--format", "json"]
    check = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    system = read_guest(str(HOSTILE)).system or {}
    match change:
        case "one fewer":
            del check["credentials"][3]
        case "another size":
            check["credentials"][3]["size"] += 1
        case "missing":
            check["credentials"][3]["status"] = "missing"
        case "none":
            hold_verdict(check, system)
            return
    with pytest.raises(AssertionError):
        hold_verdict(check, system)


def test_a_guest_that_hangs_is_ended(tmp_path: Path) -> None:
    assert booting.run_qemu(["sleep", "60"], tmp_path / "log", 0.2) == "was ended after 0.2 s"


def alive(pid: int) -> bool:
    """Whether that process runs; one that ended and was not waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(") ")[2][0] != "Z"


def wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def run_pytest(folder: Path, test: str, *arguments: str) -> subprocess.Popen[str]:
    """pytest with the harness's plugin, on one file that holds `test`."""
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-p", "vm.plugin", *arguments, "test_it.py"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_guests_end_with_us(number: signal.Signals, workers: tuple[str, ...], tmp_path: Path) -> None:
    guest, scratch = tmp_path / "pid", tmp_path / "scratch"
    test = f"""
from pathlib import Path
from vm.boot import run_qemu

def test_it():
    Path({str(scratch)!r}).touch()
    try:
        run_qemu(["sh", "-c", "echo $$ >{guest}.new; mv {guest}.new {guest}; exec sleep 60"], Path({str(tmp_path)!r}, "log"), 300)
    finally:
        Path({str(scratch)!r}).unlink()
"""
    pytests = run_pytest(tmp_path, test, *workers)
    wait_until(lambda: guest.exists() or pytests.poll() is not None, "no guest was started")
    pid = int(guest.read_text())
    assert alive(pid)
    pytests.send_signal(number)
    pytests.communicate()
    if number == signal.SIGTERM:
        assert pytests.returncode == pytest.ExitCode.INTERRUPTED
        assert not alive(pid)
        assert not scratch.exists(), "what a test clears away was left"
    wait_until(lambda: not alive(pid), "the guest outlives pytest")


def test_the_seed_is_the_same_in_all_workers(tmp_path: Path) -> None:
    test = """
import os

def test_it(pytestconfig):
    with open("seeds", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], pytestconfig.option.vm_seed, file=file)
"""
    for given in ((), ("--vm-seed=7",)):
        (tmp_path / "seeds").unlink(missing_ok=True)
        assert run_pytest(tmp_path, test, "-p", "no:cacheprovider", "-n", "2", "--dist=each", *given).wait() == 0
        seeds = dict(line.split() for line in (tmp_path / "seeds").read_text().splitlines())
        assert seeds.keys() == {"gw0", "gw1"}
        assert seeds["gw0"] == seeds["gw1"]
        assert not given or seeds["gw0"] == "7"


def test_what_failed_is_tried_again_with_its_seed(tmp_path: Path) -> None:
    test = """
def test_it(record_property):
    for name in ("scenario", "release", "machine"):
        record_property(name, "random")
    assert False
"""
    first, again = (run_pytest(tmp_path, test, *more).communicate()[0] for more in ((), ("--lf",)))
    seeds = [re.findall(r"--vm-seed=\d+", said) for said in (first, again)]
    assert len(seeds[0]) == 1
    assert seeds[0] == seeds[1]


@pytest.mark.parametrize("full", [False, True], ids=["core", "full"])
def test_what_is_selected(full: bool) -> None:
    names = [f"{scenario.name}-{release.name}" for scenario, release, core in matrix(scenarios(1)) if core or full]
    assert ("hostile-debian12-backports" in names) == full  # it costs as much as a release, so only one is in the core
    assert {"reference-debian12-backports", *(f"hostile-{release.name}" for release in RELEASES)} <= set(names)
    command = [sys.executable, "-m", "pytest", "--collect-only", "tests/vm"]
    for marks, wanted in (("vm", names), ("not vm and not qemu", [])):
        done = subprocess.run(
            [*command, "-m", marks, *(["--vm-full"] if full else [])],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert sorted(re.findall(r"::test_guest\[(.*)\]$", done.stdout, re.MULTILINE)) == sorted(wanted), done.stdout
        assert ("::test_whole_flow[" in done.stdout) == bool(wanted)


def test_guests_that_cannot_run_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool, **_: None if tool == "debootstrap" else f"/usr/bin/{tool}")
    with pytest.raises(pytest.fail.Exception, match=r"^real guests cannot run here: .*apt-get install debootstrap"):
        make_image(RELEASES[0])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match=r"^needs root: "):
        make_image(RELEASES[0])


def test_two_that_want_the_same_base_build_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def build(release: Release) -> None:
        made.append(release.name)
        time.sleep(0.2)
        release.base.mkdir()

    monkeypatch.setattr(images, "CACHE", tmp_path)
    monkeypatch.setattr(images, "_build_base", build)
    with ThreadPoolExecutor(2) as pool:
        bases = list(pool.map(images.build_base, [RELEASES[0]] * 2))
    assert bases == [RELEASES[0].base] * 2
    assert made == ["debian12"]


def test_a_new_recipe_removes_the_old_one_of_that_release_only(tmp_path: Path) -> None:
    for name in ("debian12-8c264d1178b6", "debian12-backports-8348c8e7cbc6", "debian12-backports.lock"):
        (tmp_path / name).mkdir()
    by_name = {release.name: images.recipes(tmp_path, release) for release in images.GUESTS}
    assert by_name["debian12"] == [tmp_path / "debian12-8c264d1178b6"]
    assert by_name["debian12-backports"] == [tmp_path / "debian12-backports-8348c8e7cbc6"]


def report(outcome: Literal["passed", "failed"], **recorded: object) -> pytest.TestReport:
    name = f"test_guest[{recorded['scenario']}-{recorded['release']}]"
    return pytest.TestReport(
        name, ("", 0, name), {}, outcome, None, "call", duration=31.4, user_properties=list(recorded.items())
    )


def test_the_tables_at_the_end() -> None:
    guest = {"scenario": "reference", "release": "debian13", "machine": "q35 seabios 2.8"}
    counted = {"offered": 5, "predicted": 6, "imported": 7}
    cost = {"unit_ms": 12.6, "exposure": 1.5, "critical": False, "boot": "37s"}
    found = list(
        rows([report("passed", **guest, **counted, **cost), report("failed", **{**guest, "release": "debian12"})])
    )
    assert guest_table(found) == [
        "scenario               release            machine          offered predicted imported    s  verdict",
        "reference              debian12           q35 seabios 2.8        -         -        -   31  FAILED",
        "reference              debian13           q35 seabios 2.8        5         6        7   31  agrees",
    ]
    assert cost_table(found[1:]) == [
        "guestcred-rescue.service in       its ms  exposure  critical chain  boot",
        "reference on debian13                 13       1.5  not on it       37s",
    ]
