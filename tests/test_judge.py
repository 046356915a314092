"""What the judge makes of a step of systemd's own test: where guestcred agrees with what was there, and where not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vm import judge_guest
from vm.booted import Booted
from vm.judge import RUN, WORDS, disagreements, is_about_credentials, judged

from guestcred.errors import GuestcredError

Change = Callable[[dict[str, Any]], object]


def told(state: str, size: int | None = 3, findings: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `services` says of a unit that loads `a`."""
    outcome = {"id": "a", "state": state, "size": size}
    return {
        "services": [{"unit": "x.service", "credentials": [outcome]}],
        "findings": [{"code": "refused", "message": message} for message in findings],
    }


def start(**changed: Any) -> dict[str, Any]:
    """A step on which all agree."""
    return {
        "kind": "start",
        "unit": "x.service",
        "program": "cat",
        "foreseen": told("ready"),
        "seen": told("delivered"),
        "found": {"a": 3},
        "unlike": [],
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, []),
        ({"foreseen": told("ready", None)}, []),
        ({"foreseen": told("skipped")}, ["not foreseen: a"]),
        ({"foreseen": told("fatal", findings=("it fails",))}, ["not foreseen: a", "a finding without a reason: it fails"]),
        ({"foreseen": told("ready", 4)}, ["foreseen a with 4 bytes, and it has 3"]),
        ({"seen": told("delivered", 4)}, ["seen a with 4 bytes, and it has 3"]),
        ({"seen": told("undelivered")}, ["not seen: a"]),
        ({"found": {}}, ["seen a, which is not there", "foreseen a, which is not there"]),
        ({"unlike": ["a"]}, ["other bytes than foreseen: a"]),
        ({"error": "GuestcredError('no')"}, ["GuestcredError('no')"]),
        # what was foreseen is of a start, and later the sources may be others
        ({"kind": "later", "foreseen": told("ready", 4), "unlike": ["a"]}, []),
        ({"kind": "later", "found": {"a": 3, "b": 1}}, ["not seen: b"]),
    ],
)  # fmt: skip
def test_a_step_is_held_against_what_was_there(changed: dict[str, Any], wrong: list[str]) -> None:
    assert disagreements(start(**changed)) == wrong


def test_a_unit_without_credentials_is_no_step() -> None:
    nothing: dict[str, Any] = {"services": [], "findings": []}
    assert not is_about_credentials(start(foreseen=nothing, seen=nothing, found={}))
    assert is_about_credentials(start(foreseen=nothing, seen=nothing))
    assert is_about_credentials({"error": "no"})


def booted(folder: Path, change: Change) -> Booted:
    """What a guest left in which the test went well and one unit started, but for the change."""
    checked = [{"name": name, "status": status, "cause": cause} for name, (status, cause) in WORDS.items()]
    seen = {
        "result": "success",
        "said": "",
        "refused": "",
        "steps": [start(), {"kind": "a user's", "unit": "y.service"}],
        "check": [one for one in checked if one["status"] != "not-offered"],
    }
    change(seen)
    documents = [
        (["guestcred", "check", "--format", "json"], {"credentials": seen.pop("check")}),
        *((["guestcred", "why", one["name"], "--format", "json"], one) for one in checked),
        (list(RUN), seen),
    ]
    results = [{"command": command, "status": 0, "out": json.dumps(told)} for command, told in documents]
    return Booted(folder, results, 60.0)


@pytest.mark.parametrize(
    ("change", "agree", "wrong"),
    [
        (lambda _: None, len(WORDS) + 1, ""),
        (lambda seen: seen["check"][0].update(status="missing"), len(WORDS), "mynspawncredential: check says ('missing', None)"),
        (lambda seen: seen["check"].append({"name": "x", "status": "foreign", "cause": "unknown"}), len(WORDS) + 1, "nobody sent it"),
        (lambda seen: seen.update(refused='{"UNIT": "z.service", "MESSAGE": "Failed at step CREDENTIALS"}'),
         len(WORDS) + 1, "z.service: it failed at its credentials"),
        (lambda seen: seen["steps"].append(start(found={})), len(WORDS) + 1, "x.service (cat): seen a"),
    ],
)  # fmt: skip
def test_all_steps_are_counted(change: Change, agree: int, wrong: str, tmp_path: Path) -> None:
    counts, disagreed = judged(booted(tmp_path, change))
    assert (counts["agree"], counts["a user's"]) == (agree, 1)
    assert any(wrong in words for words in disagreed) if wrong else disagreed == []


def test_a_test_that_does_not_pass_judges_nothing(tmp_path: Path) -> None:
    def failed(seen: dict[str, Any]) -> None:
        seen.update(result="exit-code", said="+ false")

    with pytest.raises(AssertionError, match="false"):
        judged(booted(tmp_path, failed))


def test_what_gets_no_new_credentials_is_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_guest, "CREDENTIALS", tmp_path)
    file = tmp_path / "x.service/a"
    file.parent.mkdir()
    file.write_bytes(b"abc")
    state = "activating"
    monkeypatch.setattr(judge_guest, "look_at", lambda *_: {"seen": {"services": [{"state": state}]}})
    last: dict[str, int] = {}
    kinds = [judge_guest.step("start", "x.service", "cat", 257, last)["kind"] for _ in range(2)]
    os.utime(file, ns=(1, 1))  # made anew
    kinds.append(judge_guest.step("start", "x.service", "cat", 257, last)["kind"])
    state = "deactivating"
    os.utime(file, ns=(2, 2))
    kinds.append(judge_guest.step("start", "x.service", "umount", 257, last)["kind"])
    assert kinds == ["start", "later", "start", "later"]


def test_a_step_of_which_nothing_is_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise GuestcredError("cannot ask PID 1")

    monkeypatch.setattr(judge_guest, "look_at", refused)
    step = judge_guest.step("start", "x.service", "cat", 257, {})
    assert disagreements(step) == ["GuestcredError('cannot ask PID 1')"]


def test_other_bytes_of_the_same_length_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_guest, "CREDENTIALS", tmp_path)
    folder, source = tmp_path / "x.service", tmp_path / "source"
    folder.mkdir()
    source.write_bytes(b"abc")
    outcome = SimpleNamespace(id="a", source=str(source), encrypted=False)
    foreseen: Any = SimpleNamespace(services=[SimpleNamespace(credentials=[outcome])])
    wrong = []
    for value in (b"abc", b"abd"):
        (folder / "a").write_bytes(value)
        wrong.append(judge_guest.unlike(foreseen, "x.service"))
    assert wrong == [[], ["a"]]
