"""Stories of `config check`: every mistake in the TOML files, with file, line and key, and no guest needed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from test_cli import run
from test_config import DEMO, put

MANY = """[services.demo]
usr = "svc"
load = ["key:../KEY", "key", "key:/a/../b", "ok"]
import = ["a*b", 5]
set = ["hunter2"]
required = ["nowhere"]

[services.other]
user = ""
import = ["T*LS"]

[services."a.socket"]

[servises]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "etc/passwd", "root:x:0:0::/:/bin/sh\nsvc:x:901:901::/:/bin/sh\n")
    put(tmp_path, "etc/guestcred/demo.toml", DEMO)
    return tmp_path


def document(*words: object, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json", status=status))
    return found


def test_nothing_is_wrong(root: Path) -> None:
    put(root, "usr/lib/guestcred/more.toml", '[services.more]\nuser = "root"\n')
    assert run("--root", root, "config", "check") == (
        "agrees: 2 files with 2 services\n"
        f"  {root}/etc/guestcred/demo.toml  demo.service\n"
        f"  {root}/usr/lib/guestcred/more.toml  more.service\n"
    )
    assert run("--root", root, "config", "check", "-q") == ""


def test_nothing_is_there(tmp_path: Path) -> None:
    assert run("--root", tmp_path, "config", "check") == "agrees: 0 files with 0 services\n"


def test_every_mistake_is_told_with_line_and_key(root: Path) -> None:
    put(root, "etc/guestcred/many.toml", MANY)
    (root / "etc/guestcred/demo.toml").unlink()
    said = document("--root", root, "config", "check", status=1)
    assert {one["path"] for one in said["findings"]} == {f"{root}/etc/guestcred/many.toml"}
    assert [(one["line"], one["key"]) for one in said["findings"]] == [
        (1, "services.demo.user"),
        (2, "services.demo.usr"),
        (3, "services.demo.load"),
        (3, "services.demo.load"),
        (4, "services.demo.import"),
        (5, "services.demo.set"),
        (6, "services.demo.required"),
        (9, "services.other.user"),
        (10, "services.other.import"),
        (12, "services.a.socket"),
        (14, "[8 characters hidden]"),
    ]
    assert all(one["code"] == "mistake" and one["hint"] and "hunter2" not in one["message"] for one in said["findings"])
    printed = run("--root", root, "config", "check", status=1)
    assert printed.startswith("findings: 1 file with 2 services, 11 mistakes\n") and "hunter2" not in printed
    assert printed.count("\nmistake: ") == printed.count("\n  fix: ") == 11
    first = run("--root", root, "config", "check", "-q", status=1).splitlines()[0]
    assert first == f"mistake: {root}/etc/guestcred/many.toml, line 1: 'services.demo.user': missing."


def test_what_others_may_write_is_a_mistake_of_the_guest_alone(root: Path) -> None:
    file = root / "etc/guestcred/demo.toml"
    file.chmod(0o666)
    assert "may be written by others" in run("--root", root, "config", "check", status=1)
    run("config", "check", file)


def test_two_files_with_one_service(root: Path) -> None:
    other = put(root, "other.toml", DEMO)
    printed = run("--root", root, "config", "check", other, root / "etc/guestcred/demo.toml", status=1)
    assert f"{root}/etc/guestcred/demo.toml: services.demo is in {other} too" in printed


def test_users_are_known_in_the_guest(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO.replace("svc", "no-such-user"))
    (found,) = document("--root", root, "config", "check", status=1)["findings"]
    assert (found["line"], found["key"]) == (2, "services.demo.user")
    assert found["message"].endswith("there is no user 'no-such-user'") and "sysusers" in found["hint"]
    file = root / "etc/guestcred/demo.toml"
    assert document("--root", root, "config", "check", file, status=1)["findings"]
    # on another machine its users say nothing, and a tree without them neither
    for words in (["config", "check", file], ["--root", root, "config", "check"]):
        (root / "etc/passwd").unlink(missing_ok=True)
        said = document(*words)
        assert (said["verdict"], said["findings"]) == ("agrees", [])
        assert [one["code"] for one in said["warnings"]] == ["no-user"]
        assert "\nwarning: " in run(*words)


@pytest.mark.parametrize("data", [b"[services.demo\n", b"\xff", b"x = " + b"[" * 5000])
def test_what_is_no_toml(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(data)
    assert f"mistake: {file}" in run("config", "check", file, status=1)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert "there is no file" in run("config", "check", tmp_path / "nowhere.toml", status=2)
    assert "it is a folder" in run("config", "check", tmp_path, status=3)
    assert "it is a device" in run("config", "check", "/dev/null", status=3)
    os.mkfifo(tmp_path / "pipe")
    assert "it is a pipe" in run("config", "check", tmp_path / "pipe", status=3)


def test_paths_are_absolute_in_json(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for words in (["config", "check", "etc/guestcred/demo.toml"], ["--root", ".", "config", "check"]):
        (file,) = document(*words)["files"]
        assert Path(file["path"]).is_absolute() and file["services"] == ["demo.service"]
    assert "  etc/guestcred/demo.toml  demo.service\n" in run("config", "check", "etc/guestcred/demo.toml")
    monkeypatch.undo()
