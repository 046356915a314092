"""The harness's own judgement: what PID 1 had in captured guests is what guestcred predicts, and a wrong verdict is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CAPTURES, REFERENCE
from vm import boot as booting
from vm.predict import predict
from vm.verify import hold_verdict

from guestcred import credential
from guestcred.guest import read_guest

HOSTILE = REFERENCE.with_name("debian14-hostile")
# nothing imports in the one, and in the other it was built to the rules themselves
GUESTS = [one for one in CAPTURES if one.name not in ("aarch64-virt", "built-cloud-hypervisor")]


@pytest.mark.parametrize("capture", GUESTS, ids=lambda path: path.name)
def test_what_pid_1_imported_is_what_is_predicted(capture: Path) -> None:
    guest = read_guest(str(capture))
    assert predict(guest) == (guest.system or {})


@pytest.mark.parametrize("broken", ["_WHITESPACE", "_NAME_BYTES", "URL_SAFE_SINCE", "NAME_MAX"])
def test_a_broken_rule_is_seen(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "_WHITESPACE": b" \t\r",
        "_NAME_BYTES": credential._NAME_BYTES + b":",
        "URL_SAFE_SINCE": 999,
        "NAME_MAX": 254,
    }
    monkeypatch.setattr(credential, broken, wrong[broken])
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


def test_a_guest_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booting, "LIMIT", 0.2)
    assert booting.Guests().run(["sleep", "60"], tmp_path / "log") == "was ended after 0.2 s"


def test_guests_end_with_us(tmp_path: Path) -> None:
    guests = booting.Guests()
    guests.stop()
    assert guests.run(["sleep", "60"], tmp_path / "log") == "was not let run"
