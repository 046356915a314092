"""Stories of `status`: all credentials over all stages, problems first, readable on any terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import CAPTURES, Build
from test_cli import KEY, SECRET, run
from test_services import consumer, given, imports, load

from guestcred.cli import commands
from guestcred.cli.command_line import run as run_click
from guestcred.cli.commands import View
from guestcred.diagnose.matrix import Matrix, Row, Use, matrix
from guestcred.manifest import manifest_value
from guestcred.show.status import status_text
from guestcred.systemd.rules import NAME_MAX

TEXT = b"io.systemd.credential:"


def document(root: Path, *, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--root", root, "status", "--json", status=status))
    assert found["schema"] == "guestcred.status/1"
    return found


def table(root: Path, *options: str, status: int = 0) -> dict[str, list[str]]:
    """The cells of each row by name."""
    lines = run("--root", root, "status", *options, status=status).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("credential "))
    rows = [
        line for line in lines[start + 1 : lines.index("", start) if "" in lines else None] if not line.startswith(" ")
    ]
    return {line.split()[0]: re.split(r"  +", line)[1:] for line in rows if re.search(r"  \S", line)}


def test_all_is_well_and_folded(tree: Build) -> None:
    root = tree([KEY, TEXT + b"TWO=2"], {"KEY": SECRET, "TWO": b"2"}, units=[consumer(imports("*"), running=False)])
    assert (
        run("--root", root, "status")
        == "agrees: 2 well (systemd 257)\n2 credentials are well: 'guestcred status -v' shows them\n"
    )
    assert table(root, "-v") == {name: ["yes", "yes", "-", "1", "1 of 1"] for name in ("KEY", "TWO")}
    assert "\n    ready        demo.service as KEY\n" in run("--root", root, "status", "-v")


def test_problems_come_first_each_with_cause_and_fix(tree: Build) -> None:
    many = [TEXT + f"N{number:03}=v".encode() for number in range(300)]
    names = [f"N{number:03}" for number in range(300)]
    units = [consumer(load("last", "N299"), load("none", "NOWHERE"), delivered=())]
    root = tree(many, dict.fromkeys(names[:299], b"v"), units=units)
    lines = run("--root", root, "status", status=1).splitlines()
    assert lines[0] == "findings: 2 with a problem, 299 well (systemd 257)"
    assert [re.split("  +", line) for line in lines[2:4]] == [
        ["N299", "yes", "LOST", "-", "1", "0 of 1"],
        ["NOWHERE", "no", "-", "-", "1", "0 of 1"],
    ]
    assert lines[4] == "299 credentials are well: 'guestcred status -v' shows them"
    told = "\n".join(lines[5:])
    assert "missing: N299 was offered" in told and "no-source: demo.service goes without NOWHERE" in told
    assert told.count("\n  fix: ") == len(document(root, status=1)["findings"]) >= 2


def test_each_stage_has_its_word(tree: Build) -> None:
    meant = [(b"KEY", SECRET), (b"GONE", b"x"), (b"OTHER", b"o"), (b"CUT", b"12345")]
    strings = [
        TEXT + b"guestcred.manifest=" + manifest_value(bytes(16), meant),
        KEY,
        TEXT + b"OTHER=o",
        TEXT + b"CUT=12345",
    ]
    root = tree(
        [*strings, TEXT + b"guestcred.end=1/4"],
        {
            "guestcred.manifest": strings[0].partition(b"=")[2],
            "guestcred.end": b"1/4",
            "KEY": SECRET,
            "OTHER": b"p",
            "CUT": b"123",
            "FW": b"f",
        },
        fw_cfg={"FW": b"f"},
        units=[
            consumer(load("key", "KEY"), delivered=(given("key"),)),
            consumer(load("key", "KEY"), name="late.service"),
        ],
    )
    cells = table(root, "-v", status=1)
    assert cells["KEY"] == ["yes", "yes", "yes", "-", "2", "1 of 2"]
    assert cells["GONE"] == ["yes", "LOST", "-", "-", "0", "-"]
    assert cells["OTHER"][2] == "differs" and cells["CUT"][2] == "cut" and cells["FW"][:3] == ["-", "no", "yes"]
    rows = {row["name"]: row for row in document(root, status=1)["credentials"]}
    assert rows["KEY"]["units"] == [
        {"unit": "demo.service", "id": "key", "state": "delivered"},
        {"unit": "late.service", "id": "key", "state": "undelivered"},
    ]
    assert (rows["FW"]["status"], rows["FW"]["cause"], rows["GONE"]["meant"]) == ("foreign", "fw-cfg", 1)


def test_without_units_it_says_so(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET})
    assert table(root, "-v") == {"KEY": ["yes", "yes", "-", "?", "?"]}
    assert "not looked at: what units request" in run("--root", root, "status")
    assert document(root)["credentials"][0]["units"] is None


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_it_tells_what_check_tells(capture: Path) -> None:
    check = json.loads(run("--root", capture, "check", "--json", status=None))
    said = json.loads(run("--root", capture, "status", "--json", status=None))
    told = {row["name"]: row["status"] for row in said["credentials"] if row["status"]}
    assert told == {one["name"]: one["status"] for one in check["credentials"]}
    for mine, its in zip(said["findings"], check["findings"]):
        # `status` also says which units go without it
        assert (mine["code"], mine["hint"]) == (its["code"], its["hint"]) and mine["message"].startswith(its["message"])
    assert len(said["findings"]) >= len(check["findings"]) and said["rescued"] == check["rescued"]
    ranks = [
        row["status"] in ("missing", "differs", "truncated", "not-offered")
        for row in said["credentials"]
        if not row["units"]
    ]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize(("lost", "rows"), [(8, 8), (9, 1)])
def test_many_rows_that_are_alike_are_one(tree: Build, lost: int, rows: int) -> None:
    names = [f"N{number:02}" for number in range(lost)]
    root = tree([TEXT + name.encode() + b"=v" for name in names], {}, entries=False, units=[consumer(load("a", "KEY"))])
    lines = run("--root", root, "status", status=1).splitlines()[2 : lost + 3]
    assert [re.split("  +", line)[1:3] for line in lines].count(["yes", "LOST"]) == rows
    assert (f"N00 ... N{lost - 1:02} ({lost})" in "".join(lines)) == (rows == 1)
    assert len(table(root, "-v", status=1)) == lost + 1 == len(document(root, status=1)["credentials"])


def test_a_folded_row_fits_the_terminal(tree: Build) -> None:
    names = [chr(ord("A") + number) * NAME_MAX for number in range(12)]
    root = tree([TEXT + name.encode() + b"=v" for name in names], {}, entries=False)
    looked = commands.look(View(root=str(root)))
    lines = status_text(matrix(looked.comparison, None), False, 80).split("\n\n")[0].splitlines()
    assert lines[2].startswith("AAAAA") and "LLL (12)  yes" in lines[2] and max(map(len, lines[1:3])) <= 80


@pytest.mark.parametrize("width", [40, 80, 120, 400])
def test_rows_fit_the_terminal(tree: Build, width: int) -> None:
    names = ["A" * NAME_MAX, "B" * (NAME_MAX - 4) + "_END", "SHORT"]
    strings = [TEXT + name.encode() + b"=v" for name in names]
    unit = "u" * (NAME_MAX - 12) + "_END.service"
    root = tree(
        strings, {"SHORT": b"v"}, units=[consumer(imports("*"), load("i" * 200, "SHORT"), name=unit, delivered=())]
    )
    seen = matrix(commands.look(View(root=str(root))).comparison, commands.units(View(root=str(root))))
    lines = status_text(seen, False, width, verbose=True).split("\n\n")[0].splitlines()[1:]
    rows = [line for line in lines if not line.startswith("  ")]
    assert len(rows) == 4 and rows[2].split()[0].endswith("_END")
    assert max(map(len, lines)) <= max(width, 73) and sum(" as " in line for line in lines) == 2
    assert len({line.index("LOST") for line in rows[1:3]}) == 1
    assert (rows[1].split()[0] == names[0]) == (width == 400)


def test_no_command_is_the_status_of_a_tree(tree: Build) -> None:
    root = tree([KEY], {}, entries=False)
    assert run("--root", root, status=1) == run("--root", root, "status", status=1)
    assert run("--json", "--root", root, status=1) == run("--root", root, "status", "--json", status=1)


@pytest.mark.parametrize("handed", [True, False])
def test_no_command_at_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], handed: bool) -> None:
    seen: list[View] = []

    def status(view: View) -> int:
        seen.append(view)
        return 0

    monkeypatch.setattr(commands, "has_credentials", lambda: handed)
    monkeypatch.setattr(commands, "status", status)
    assert run_click([]) == (0 if handed else 2)
    assert seen == ([View()] if handed else []) and ("Usage" in capsys.readouterr().err) != handed


def test_its_records_are_plain() -> None:
    row = Row(
        name="KEY",
        status="rescued",
        cause="unknown",
        size=14,
        handle=0x0E00,
        index=1,
        meant=None,
        offered=True,
        imported=False,
        rescued=True,
        units=(Use("a.service", "key", "ready"),),
    )
    assert (row.rank, row.has_arrived) == (1, 1)
    assert row.replace(units=(Use("a.service", "key", "undelivered"),)).rank == 0
    assert Matrix.__match_args__ == ("comparison", "rows", "findings")
