"""JSON is an interface: each document has a schema, made of its types, shipped, printed, and true of what is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import schemas
from conftest import REFERENCE, Build
from test_cli import KEY, SECRET, run
from test_services import consumer, given, load


def test_the_schemas_are_those_of_the_types() -> None:
    shipped = {path.stem: path.read_text() for path in schemas.SCHEMAS.iterdir()}
    made = {name: schemas.text(name) for name in schemas.DOCUMENTS}
    assert shipped == made, "if this is meant: .venv/bin/python tests/schemas.py"


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_a_schema_is_one_and_is_printed_as_it_is_shipped(name: str) -> None:
    printed = run("schema", name)
    fastjsonschema.compile(json.loads(printed))
    assert printed == (schemas.SCHEMAS / f"{name}.json").read_text()
    references = set(re.findall(r'"#/\$defs/(\w+)"', printed))
    assert references == json.loads(printed)["$defs"].keys()


def test_all_are_listed() -> None:
    rows = [re.split("  +", line) for line in run("schema").splitlines()]
    assert [row[:2] for row in rows] == [[name, f"guestcred.{name}/1"] for name in sorted(schemas.DOCUMENTS)]
    assert all(len(row) == 3 and len(row[2]) < 90 for row in rows)


def test_a_schema_that_is_not_there() -> None:
    assert "did you mean check?" in run("schema", "chekc", status=2)
    assert "guestcred schema" in run("schema", "/etc/passwd", status=2)
    assert "there is no schema" in run("schema", "../schemas/check", status=2)


def test_every_document_of_the_program_has_a_schema() -> None:
    source = "".join(path.read_text() for path in schemas.PACKAGE.rglob("*.py"))
    told = set(re.findall(r'"guestcred\.([\w-]+)/\d+"', source))
    assert told == set(schemas.DOCUMENTS)


@pytest.fixture
def guest(tree: Build) -> Path:
    units = [consumer(load("key", "KEY"), load("none", "NONE"), delivered=(given("key"),))]
    return tree([KEY, b"io.systemd.credential:GONE=1"], {"KEY": SECRET}, units=units)


COMMANDS: dict[str, list[object]] = {
    "check": ["check"],
    "why": ["why", "GONE"],
    "status": ["status"],
    "services": ["services"],
    "apply": ["apply", "--dry-run"],
    "dump": ["dump"],
    "dump-value": ["dump", "--string", "system-product-name", REFERENCE / "sys/firmware/dmi/tables"],
    "captured": ["capture"],
    "config": ["config", "check"],
    "encode": ["encode", "--for", "qemu", "--dry-run", "--set", "A=b"],
}


def document(name: str, guest: Path, tmp_path: Path) -> dict[str, Any]:
    """A document of that name; that its schema holds was seen when it was printed."""
    words: list[object] = [*COMMANDS[name]]
    if name == "captured":
        words.append(tmp_path / "saved")
    found: dict[str, Any] = json.loads(run("--root", guest, *words, "--json", status=None))
    assert found["schema"] == f"guestcred.{name}/1"
    return found


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "apply"])
def test_each_command_prints_its_own(name: str, guest: Path, tmp_path: Path) -> None:
    assert document(name, guest, tmp_path).keys() == schemas.schema(name)["properties"].keys()


@pytest.mark.parametrize("name", ["check", "why", "services", "dump"])
@pytest.mark.parametrize("harm", ["a key more", "a key less", "another kind", "another word"])
def test_what_does_not_fit_is_seen(name: str, guest: Path, tmp_path: Path, harm: str) -> None:
    told = document(name, guest, tmp_path)
    inside: dict[str, Any] = next(value[0] for value in told.values() if isinstance(value, list) and value)
    key = next(iter(inside))
    match harm:
        case "a key more":
            inside["new"] = 1
        case "a key less":
            del inside[key]
        case "another kind":
            inside[key] = [1]
        case "another word":
            told["schema"] = told["schema"].replace("/1", "/2")
    with pytest.raises(AssertionError, match="not as its schema says"):
        schemas.hold(json.dumps(told))


def test_a_later_version_may_say_more(guest: Path, tmp_path: Path) -> None:
    told = document("check", guest, tmp_path)
    told["credentials"][0]["new"] = told["new"] = 1
    fastjsonschema.compile(json.loads((schemas.SCHEMAS / "check.json").read_text()))(told)


def test_what_a_capture_saves_is_as_its_schemas_say(guest: Path, tmp_path: Path) -> None:
    run("--root", guest, "capture", tmp_path / "saved")
    for name in ("capture", "units"):
        text = (tmp_path / f"saved/{name}.json").read_text()
        assert json.loads(text)["schema"] == f"guestcred.{name}/1"
        schemas.hold(text)


def test_paths_are_absolute(guest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(guest.parent)
    told = json.loads(run("--root", guest.name, "services", "--json", status=1))
    sources = [one["source"] for unit in told["services"] for one in unit["credentials"] if one["source"]]
    assert sources == [f"{guest}/run/credentials/@system/KEY"]
    assert json.loads(run("--root", guest.name, "capture", "saved", "--json"))["path"] == str(guest.parent / "saved")
    evidence = json.loads(run("--root", guest.name, "why", "KEY", "--json"))["stages"][0]["evidence"]
    assert evidence.startswith(f"{guest}/sys/")
    assert run("--root", guest.name, "why", "KEY").startswith(f"ok    offered    {guest.name}/sys/")
    monkeypatch.chdir("/")
