"""What the judge makes of a step of systemd's own test: where guestcred agrees with what was there, and where not."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vm import judge, judge_guest
from vm.booted import Booted
from vm.judge import disagreements, is_about_credentials, judged, tpm
from vm.systemd_tests import CREDS, IMDS, WORDS

from guestcred.errors import GuestcredError
from guestcred.systemd.requests import IMPORT, LOAD

Change = Callable[[dict[str, Any]], object]


def told(state: str, size: int | None = 3, findings: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `services` says of a unit that loads `a`."""
    outcome = {"id": "a", "state": state, "size": size}
    return {
        "services": [{"unit": "x.service", "credentials": [outcome]}],
        "findings": [{"code": "refused", "message": message} for message in findings],
    }


STILL_ENCRYPTED = [{"code": "undecrypted", "message": "x.service gets a as it is there"}]


def start(**changed: Any) -> dict[str, Any]:
    """A step on which all agree."""
    return {
        "kind": "start",
        "unit": "x.service",
        "user": "",
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
        ({"seen": told("delivered") | {"findings": STILL_ENCRYPTED}}, []),
        ({"error": "GuestcredError('no')"}, ["GuestcredError('no')"]),
        # what was foreseen is of a start, and later the sources may be others
        ({"kind": "later", "foreseen": told("ready", 4), "unlike": ["a"]}, []),
        ({"kind": "later", "found": {"a": 3, "b": 1}}, ["not seen: b"]),
    ],
)  # fmt: skip
def test_a_step_is_held_against_what_was_there(changed: dict[str, Any], wrong: list[str]) -> None:
    assert disagreements(start(**changed)) == wrong


def stored(evidence: str) -> dict[str, Any]:
    """A look into a store, of which `why` says the same or not."""
    stages = [{"stage": "stored", "evidence": "/run/credstore/a, 3 bytes"}, {"stage": "reader", "evidence": "nobody"}]
    return {
        "kind": "stored",
        "unit": "a",
        "user": "",
        "program": "cat",
        "why": {"stages": stages},
        "evidence": evidence,
    }


def test_what_lies_in_a_store_is_held_against_what_why_says() -> None:
    assert is_about_credentials(stored("")) and disagreements(stored("/run/credstore/a, 3 bytes")) == []
    assert disagreements(stored("nobody")) == ["why says ['/run/credstore/a, 3 bytes'], and it is nobody"]


def test_what_is_new_in_the_store_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_guest, "STORE", tmp_path / "credstore")
    monkeypatch.setattr(judge_guest, "run", lambda *command: "no" if "b" in command else '{"stages": []}')
    last: dict[Path, int] = {}
    assert [*judge_guest.look_into_store("cat", last)] == []
    for name in ("a", "b"):
        (tmp_path / "credstore").mkdir(exist_ok=True)
        (tmp_path / "credstore" / name).write_bytes(b"abc")
    first, second = judge_guest.look_into_store("cat", last)
    assert (first["evidence"], second["error"]) == (f"{tmp_path}/credstore/a, 3 bytes", "no")
    assert [*judge_guest.look_into_store("cat", last)] == []


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
        "steps": [start(), start(unit="y.service", user="4711")],
        "check": [one for one in checked if one["status"] != "not-offered"],
    }
    change(seen)
    documents = [
        (["guestcred", "check", "--format", "json"], {"credentials": seen.pop("check")}),
        *((["guestcred", "why", one["name"], "--format", "json"], one) for one in checked),
        (list(CREDS.run), seen),
    ]
    results = [{"command": command, "status": 0, "out": json.dumps(told)} for command, told in documents]
    return Booted(folder, results, 60.0)


@pytest.mark.parametrize(
    ("change", "agree", "wrong"),
    [
        (lambda _: None, len(WORDS) + 2, ""),
        (lambda seen: seen["check"][0].update(status="missing"), len(WORDS) + 1, "mynspawncredential: check says ('missing', None)"),
        (lambda seen: seen["check"].append({"name": "x", "status": "foreign", "cause": "unknown"}), len(WORDS) + 2, "nobody sent it"),
        (lambda seen: seen.update(refused='{"UNIT": "z.service", "MESSAGE": "Failed at step CREDENTIALS"}'),
         len(WORDS) + 2, "z.service: it failed at its credentials"),
        (lambda seen: seen.update(refused='{"USER_UNIT": "z.service", "MESSAGE": "Failed at step CREDENTIALS"}'),
         len(WORDS) + 2, "z.service: it failed at its credentials"),
        (lambda seen: seen["steps"].append(start(found={})), len(WORDS) + 2, "x.service (cat): seen a"),
    ],
)  # fmt: skip
def test_all_steps_are_counted(change: Change, agree: int, wrong: str, tmp_path: Path) -> None:
    counts, disagreed = judged(CREDS, booted(tmp_path, change))
    assert (counts["agree"], counts["a user's"]) == (agree, 1)
    assert any(wrong in words for words in disagreed) if wrong else disagreed == []


def test_a_test_that_does_not_pass_judges_nothing(tmp_path: Path) -> None:
    def failed(seen: dict[str, Any]) -> None:
        seen.update(result="exit-code", said="+ false")

    with pytest.raises(AssertionError, match="false"):
        judged(CREDS, booted(tmp_path, failed))


def test_a_test_that_left_itself_out_judges_nothing(tmp_path: Path) -> None:
    seen = {"result": "success", "said": "no imdsd, skipping", "refused": "", "steps": []}
    documents = [(["guestcred", "check", "--format", "json"], {"credentials": []}), (list(IMDS.run), seen)]
    results = [{"command": command, "status": 0, "out": json.dumps(told)} for command, told in documents]
    with pytest.raises(AssertionError, match="skipping"):
        judged(IMDS, Booted(tmp_path, results, 60.0))


def test_what_gets_no_new_credentials_is_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_guest, "CREDENTIALS", tmp_path)
    file = tmp_path / "x.service/a"
    file.parent.mkdir()
    file.write_bytes(b"abc")
    state = "activating"
    monkeypatch.setattr(judge_guest, "look_at", lambda *_: {"seen": {"services": [{"state": state}]}})
    last: dict[Path, int] = {}
    kinds = [judge_guest.step("start", "x.service", "", "cat", 257, last)["kind"] for _ in range(2)]
    os.utime(file, ns=(1, 1))  # made anew
    kinds.append(judge_guest.step("start", "x.service", "", "cat", 257, last)["kind"])
    state = "deactivating"
    os.utime(file, ns=(2, 2))
    kinds.append(judge_guest.step("start", "x.service", "", "umount", 257, last)["kind"])
    assert kinds == ["start", "later", "start", "later"]


def test_a_step_of_which_nothing_is_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise GuestcredError("cannot ask PID 1")

    monkeypatch.setattr(judge_guest, "look_at", refused)
    step = judge_guest.step("start", "x.service", "", "cat", 257, {})
    assert disagreements(step) == ["GuestcredError('cannot ask PID 1')"]


def test_other_bytes_of_the_same_length_are_seen(tmp_path: Path) -> None:
    folder, source = tmp_path / "x.service", tmp_path / "source"
    folder.mkdir()
    source.write_bytes(b"abc")
    (folder / "a").write_bytes(b"abd")
    wrong = []
    for setting, encrypted in ((LOAD, False), (LOAD, True), (IMPORT, True)):  # the last one is decrypted
        outcome = SimpleNamespace(id="a", source=str(source), setting=setting, encrypted=encrypted)
        foreseen: Any = SimpleNamespace(services=[SimpleNamespace(credentials=[outcome])])
        wrong.append(judge_guest.unlike(foreseen, folder))
        (folder / "b").write_bytes(b"abc")
        outcome.id = "b"
        assert judge_guest.unlike(foreseen, folder) == []
    assert wrong == [["a"], ["a"], []]


@pytest.mark.parametrize(
    ("cgroup", "before", "program", "kind"),
    [
        ("system.slice/x.service", "systemd-executor", "cat", ("start", "x.service", "")),
        ("user.slice/user-7.slice/user@7.service/app.slice/x.service", "systemd-executor", "cat", ("start", "x.service", "7")),
        ("user.slice/user-7.slice/user@7.service/init.scope", "systemd-executor", "systemd", ("start", "user@7.service", "")),
        ("system.slice/TEST.service", "bash", "cmp", ("later", "TEST.service", "")),
        ("system.slice/TEST.service", "cmp", "cmp", None),
        ("system.slice/x.service", "bash", "cmp", None),
        ("system.slice/x.service", "systemd", "systemd-executor", None),
        # guestcred waits for what it decrypts, and would hold it
        ("system.slice/system-systemd.slice/systemd-creds@1.service", "systemd-executor", "systemd-creds", None),
        ("user.slice/user-7.slice/session-1.scope", "bash", "cmp", None),
    ],
)  # fmt: skip
def test_whose_process_is_started(
    cgroup: str, before: str, program: str, kind: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup").write_text(f"0::/{cgroup}\n")
    monkeypatch.setattr(judge_guest, "Path", lambda _: tmp_path / "cgroup")
    monkeypatch.setattr(os, "readlink", lambda _: f"/usr/lib/systemd/{before}")
    assert judge_guest.what_is_started(1, program, "TEST.service") == kind


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user: sudo make test-fast")
def test_a_user_s_unit_is_looked_at_as_that_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_guest, "look_at", lambda unit, user, _: [unit, user and user.uid, os.geteuid()])
    nobody = pwd.getpwnam("nobody").pw_uid
    seen = [judge_guest.look_as_its_user("x.service", uid, 257) for uid in (str(nobody), "")]
    assert seen == [["x.service", nobody, nobody], ["x.service", None, 0]]


SWTPM = """#!/usr/bin/python3
import socket, sys
fd = int(sys.argv[-1].rpartition("=")[2])
socket.socket(fileno=fd).accept()[0].sendall(b"a TPM")
"""


def test_a_tpm_listens_before_it_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swtpm = tmp_path / "swtpm"
    swtpm.write_text(SWTPM)
    swtpm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with tpm() as arguments, socket.socket(socket.AF_UNIX) as qemu:
        path = arguments[1].rpartition("path=")[2]
        qemu.settimeout(30)
        qemu.connect(path)
        assert qemu.recv(9) == b"a TPM"
    assert not Path(path).exists()


def test_without_swtpm_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(judge, "ready", lambda: None)
    monkeypatch.setattr(judge, "image", lambda _: None)
    monkeypatch.setattr(judge, "boot", lambda *_: booted(tmp_path, lambda _: None))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["judge", "--release", "debian13-judge"])
    assert judge.main() == 0
    _, creds, tpm2, imds, *_ = capsys.readouterr().out.splitlines()
    assert creds.split() == ["TEST-54-CREDS", "debian13-judge", "257", "19", "2", "0", "0", "1", "21", "0", "60"]
    assert tpm2.split(maxsplit=2)[2] == "left out: swtpm is missing: apt-get install swtpm"
    assert imds.split(maxsplit=2)[2] == "left out: it came with systemd 261"
