"""A fleet watches guests: metrics for node_exporter, a Nagios plugin's line, a board that uses only metrics there are."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest
import schemas
from conftest import CAPTURES, Build
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as prometheus_families
from test_cli import KEY, SECRET, run
from test_rescued import rescued
from test_services import consumer, given, load

from guestcred.show import metrics

ROOT = Path(__file__).parent.parent
BOARD = ROOT / "packaging/grafana/guestcred.json"
Samples = dict[str, dict[tuple[str, ...], float]]


def written(root: Path, *options: str, status: int | None = 0) -> Samples:
    """The metrics of a guest: for each its values by those of its labels, in the order of their names."""
    file = root.parent / "guest.prom"
    run("--root", root, "check", "--metrics", file, *options, status=status)
    text = file.read_text()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        found[family.name] = {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in family.samples
        }
    assert found.keys() == metrics.METRICS.keys()
    # the collector's own parser is of the older form, which knows no "info" and no "stateset"
    assert {family.type for family in prometheus_families(text)} == {"gauge"}
    return found


def test_all_is_counted(tree: Build) -> None:
    strings = [KEY, b"io.systemd.credential:GONE=1", b"io.systemd.credential:NOTHING", b"io.systemd.credential:E="]
    units = [
        consumer(load("key", "KEY"), delivered=(given("key"),)),
        consumer(load("key", "KEY"), load("none", "NONE"), name="b.service", delivered=(given("key"),)),
        consumer(load("key", "KEY"), name="c.service", running=False),
    ]
    found = written(tree(strings, {"KEY": SECRET, "E": b"", "FOREIGN": b"f"}, units=units), status=1)
    told = {key: value for key, value in found["guestcred_credentials"].items() if value}
    assert told == {("", "imported"): 2, ("unknown", "missing"): 1, ("", "foreign"): 1}
    assert {key for key in found["guestcred_credentials"] if not key[0]} == {("", one) for one in metrics.STATUSES}
    assert found["guestcred_rejected_strings"] == {("no-equals",): 1}
    assert found["guestcred_findings"] == {("missing",): 1, ("no-equals",): 1}
    assert found["guestcred_warnings"] == {("empty",): 1}
    assert {key: value for key, value in found["guestcred_units"].items() if value} == {
        ("skipped",): 1,
        ("delivered",): 1,
        ("ready",): 1,
    }
    assert found["guestcred_agrees"] == {(): 0}


def test_limits_are_those_of_the_guest(tree: Build) -> None:
    root = tree([KEY, b"io.systemd.credential:B=" + b"x" * 5000], {"KEY": SECRET, "B": b"x" * 5000})
    found = written(root)
    used, maximum = found["guestcred_limit_used"], found["guestcred_limit_maximum"]
    assert used[("store", "pages")] == 3 and maximum[("store", "pages")] == 256
    assert used[("total", "bytes")] == 5000 + len(SECRET) and used[("strings", "strings")] == 2
    assert used.keys() == maximum.keys() and maximum[("table", "bytes")] == 65535
    old = written(root, "--systemd", "252")
    assert old["guestcred_limit_used"][("structure", "bytes")] > old["guestcred_limit_maximum"][("structure", "bytes")]
    assert ("store", "pages") not in old["guestcred_limit_used"]


def test_the_time_of_the_look(tree: Build) -> None:
    before = os.stat(tree([KEY], {"KEY": SECRET})).st_mtime
    root = tree([KEY], {"KEY": SECRET}, root="other")
    (looked,) = written(root)["guestcred_last_look_timestamp_seconds"].values()
    assert before - 1 < looked <= os.stat(root.parent / "guest.prom").st_mtime + 1


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_captured_guests_make_metrics(capture: Path, tmp_path: Path) -> None:
    run("--root", capture, "check", "--metrics", tmp_path / "a.prom", status=None)
    families = list(text_string_to_metric_families((tmp_path / "a.prom").read_text()))
    check = json.loads(run("--root", capture, "check", "--json", status=None))
    credentials = next(family for family in families if family.name == "guestcred_credentials")
    assert sum(sample.value for sample in credentials.samples) == len(check["credentials"])


def test_the_file_is_written_whole_over_another(tree: Build, tmp_path: Path) -> None:
    root, file = tree([KEY], {"KEY": SECRET}), tmp_path / "m/a.prom"
    file.parent.mkdir()
    file.write_text("before")
    file.chmod(0o600)
    assert run("--root", root, "check", "--metrics", file) == run("--root", root, "check")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644 and [*file.parent.iterdir()] == [file]
    assert file.read_text().endswith("\n# EOF\n")


@pytest.mark.parametrize("target", ["nowhere/a.prom", "folder", "link"])
def test_a_file_that_cannot_be_written(tree: Build, tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    root = tree([KEY], {"KEY": SECRET})
    assert " write " in run("--root", root, "check", "--metrics", tmp_path / target, status=3)
    assert not list(tmp_path.rglob(".*"))
    assert run("--root", root, "check", "--nagios", "--metrics", tmp_path / target, status=3).startswith(
        "GUESTCRED UNKNOWN: "
    )


@pytest.mark.parametrize("name", ["", "-"])
def test_what_is_no_name_of_a_file(tree: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    root = tree([KEY], {"KEY": SECRET})
    before = sorted(tmp_path.iterdir())
    assert "hint: name a file" in run("--root", root, "check", "--metrics", name, status=2)
    assert sorted(tmp_path.iterdir()) == before


def test_the_words_are_those_of_the_program() -> None:
    assert sorted(metrics.STATUSES) == sorted(schemas.words("diagnose.compare", "Status"))
    assert sorted(metrics.WORST) == sorted(schemas.words("diagnose.outcomes", "State"))


LINE = re.compile(r"GUESTCRED (?P<word>[A-Z]+): (?P<told>[^|]+)(?: \| (?P<data>[^|]+))?\n")
DATUM = re.compile(r"[a-z-]+=\d+B?(;;;0;\d+)?")


def plugin(root: Path, *options: str, status: int) -> tuple[str, str]:
    """The word and the text of a plugin's line, of the form that Nagios' guidelines for plugins want."""
    said = run("--root", root, "check", "--nagios", *options, status=status)
    found = LINE.fullmatch(said)
    assert found, said
    assert all(map(DATUM.fullmatch, (found["data"] or "a=1").split()))
    return found["word"], found["told"]


def test_a_plugins_four_states(tree: Build, tmp_path: Path) -> None:
    well = tree([KEY], {"KEY": SECRET}, root="well")
    assert plugin(well, status=0) == ("OK", "1 imported")
    assert plugin(tree([], {}, root="none"), status=0) == ("OK", "nothing was offered")
    word, told = plugin(tree([KEY], {}, root="lost"), status=2)
    assert word == "CRITICAL" and told.startswith("1 missing; KEY was offered but not imported")
    helped = rescued(tree)
    assert plugin(helped, status=1)[0] == "WARNING" and plugin(helped, "--strict", status=2)[0] == "CRITICAL"
    assert plugin(tmp_path, status=3)[0] == "UNKNOWN"


def test_a_name_cannot_begin_performance_data(tree: Build) -> None:
    root = tree([b"io.systemd.credential:a|b=1;c=2=x"], {})
    assert "a/b" in plugin(root, status=2)[1]


def test_what_was_typed_wrong_is_unknown_to_a_plugin() -> None:
    for wrong in (["--frobnicate"], ["--require", ""], ["--json"]):
        assert run("check", "--nagios", *wrong, status=3).startswith("GUESTCRED UNKNOWN: ")
    for words in (["chek", "--nagios"], ["status", "--nagios"], ["--systemd", "x", "check", "--nagios"]):
        assert run(*words, status=3).startswith("GUESTCRED UNKNOWN: ")
    run("check", "--frobnicate", status=2)


def test_the_board_uses_what_there_is() -> None:
    board = json.loads(BOARD.read_text())
    panels = {panel["id"]: panel for panel in board["panels"]}
    assert len(panels) == len(board["panels"]) > 5
    text = json.dumps([panel["targets"] for panel in panels.values()])
    assert set(re.findall(r"guestcred_\w+", text)) == metrics.METRICS.keys()
    labels = set(re.findall(r"(\w+)=~?", text)) | set(re.findall(r"{{(\w+)}}", text))
    assert labels <= {"instance", "status", "cause", "state", "limit", "code", "reason"}
    words = {word for found in re.findall(r'status=~?\\"([\w|-]+)\\"', text) for word in found.split("|")}
    assert words and words < set(metrics.STATUSES)
