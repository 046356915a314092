"""Stories of what units request and no source has: told once, and never against what is said of a loss."""

from __future__ import annotations

import pytest
from conftest import CAPTURES, Build
from test_cli import KEY, SECRET, run
from test_rescued import rescued
from test_services import consumer, load, of_guestcred, told

from guestcred.manifest import manifest_value

NO_DMI_SYSFS = "offered but not imported (dmi-sysfs-absent)"


def test_what_was_lost_is_told_as_that_and_once(tree: Build) -> None:
    units = [
        consumer(load("key", "KEY"), load("other", "OTHER"), load("none", "NONE"), name="a.service", delivered=()),
        consumer(load("key", "KEY"), name="b.service", delivered=()),
        consumer(load("none", "NONE"), name="c.timer"),
    ]
    root = tree([KEY, b"io.systemd.credential:OTHER=1"], {}, entries=False, units=units)
    for command in ("services", "status"):
        printed = run("--root", root, command, status=1)
        assert "; a.service (2) and b.service (1) go without them.\n" in printed
        assert printed.count("missing: ") == printed.count("no-source: ") == 1
        assert "no-source: a.service goes without NONE: " in printed
        assert "KEY=FILE" not in printed and "NONE=FILE" in printed
        assert ("ExecStartPre=/usr/bin/test -e %d/none\n" in printed) == (command == "services")
    assert f"  skipped      key      KEY was {NO_DMI_SYSFS}\n" in run("--root", root, "services", status=1)
    alone = run("--root", root, "services", "b", status=1)
    assert alone.count("; b.service (1) goes without them.\n") == 1 and "no-source" not in alone


def test_what_was_refused_is_told_as_that(tree: Build) -> None:
    root = tree([b"io.systemd.credential.binary:KEY=?"], {}, units=[consumer(load("key", "KEY"), delivered=())])
    printed = run("--root", root, "services", status=1)
    assert "  skipped      key    KEY was refused (bad-base64)\n" in printed and "no-source" not in printed
    assert "; demo.service goes without it.\n" in printed


@pytest.mark.parametrize("is_rescued", [False, True])
def test_what_is_required_and_was_lost(tree: Build, is_rescued: bool) -> None:
    units = [consumer(load("key", "/run/credentials/@system/KEY"), running=False)]
    root = rescued(tree, units) if is_rescued else tree([KEY], {}, entries=False, units=units)
    findings = {finding["code"]: finding for finding in told(root, status=1)["findings"]}
    found = findings["required"]
    assert found["message"] == f"demo.service requires KEY, which was {NO_DMI_SYSFS}: it cannot start (status 243)"
    assert found["hint"].startswith("request it by its name alone, KEY" if is_rescued else "type: guestcred why KEY")
    assert ("missing" in findings) != is_rescued and "rescued" not in findings


def test_what_may_have_been_cut_off() -> None:
    root = next(capture for capture in CAPTURES if capture.name == "debian14-table-over-64k")
    for command in ("services", "status"):
        printed = run("--root", root, command, status=1)
        assert printed.count("perhaps they were in what was cut off of the table.") == 2 and "=FILE" not in printed
        assert printed.count("fix: look on the host whether it offers them") == 2


def test_the_file_and_the_table_in_which_an_absence_becomes_an_error(tree: Build) -> None:
    text = b'[services.demo]\nuser = "svc"\nload = ["a:A", "b:B"]\n'
    root = tree(files={"etc/guestcred/demo.toml": text}, units=[of_guestcred(load("a", "A"), load("b", "B"))])
    printed = run("--root", root, "services", status=1)
    assert "no-source: demo.service goes without A and B: no source has them, and guestcred apply skips them" in printed
    assert printed.endswith(
        "; to make the absence of one an error, "
        f'write below [services.demo] in {root}/etc/guestcred/demo.toml:\n    required = ["a", "b"]\n'
    )


def test_without_a_table_it_is_no_loss(tree: Build) -> None:
    root = tree(table=b"", units=[consumer(load("key", "KEY"), delivered=())])
    assert "goes without KEY: no source has it" in run("--root", root, "services", status=1)


@pytest.mark.parametrize(("well", "folded"), [(20, False), (21, True)])
def test_check_folds_what_is_well_where_something_is_not(tree: Build, well: int, folded: bool) -> None:
    names = [f"N{number:02}" for number in range(well)]
    strings = [b"io.systemd.credential:" + name.encode() + b"=v" for name in names]
    printed = run("--root", tree([*strings, KEY], dict.fromkeys(names, b"v")), "check", status=1)
    assert ("  imported   N00 " in printed) != folded and "  missing    KEY " in printed
    assert (f"  {well} credentials were imported: 'guestcred status -v' shows them\n" in printed) == folded
    agrees = run("--root", tree(strings, dict.fromkeys(names, b"v"), root="all"), "check")
    assert agrees.count("\n  imported   N") == well


def test_a_stage_that_nothing_tells_of_is_no_column(tree: Build) -> None:
    meant = b"io.systemd.credential:guestcred.manifest=" + manifest_value(bytes(16), [(b"KEY", SECRET)])
    end = b"io.systemd.credential:guestcred.end=1/1"
    for strings, shown in (([KEY], False), ([meant, KEY, end], True)):
        root = tree(strings, {}, entries=False, root=f"meant-{shown}")
        assert ("  meant" in run("--root", root, "status", status=1)) == shown
        page = run("--root", root, "status", "--html", "-", status=1)
        assert (">meant</th>" in page) == ('data-label="meant"' in page) == shown
