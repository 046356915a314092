"""A status and a cause for every credential, what is said of them all, and when the evidence is asked at all."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import table_of
from test_evidence import entry_of, evidence_of, guest_of
from test_meant import ALL, manifest, text

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.compare import Comparison, by_what_is_shown, compare, needs_facts, unexplained
from guestcred.diagnose.evidence import Evidence
from guestcred.guest.credstores import Found
from guestcred.guest.facts import Facts
from guestcred.guest.snapshot import Guest, parse_table
from guestcred.smbios.entry_point import EntryPoint, parse_entry_point
from guestcred.smbios.layout import build_entry_point, build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import judge


def compared(guest: Guest, *require: str, facts: Facts | None = None, point: EntryPoint | None = None) -> Comparison:
    table = parse_table(guest.table, guest.entry_point)

    def evidence() -> Evidence:
        return evidence_of(guest, facts)

    return compare(guest, table, judge(table.structures, guest.systemd), evidence, point, require)


def unasked() -> Evidence:
    raise AssertionError("nothing differs")


def rows(comparison: Comparison) -> list[tuple[Any, ...]]:
    return [(one.name, one.status, one.cause, one.size, one.meant) for one in comparison.credentials]


def codes(comparison: Comparison) -> list[str]:
    return [finding.code for finding in comparison.findings]


def test_where_all_arrived_no_evidence_is_asked_for() -> None:
    guest = guest_of({"A": b"one", "B": b""}, {"A": b"one", "B": b""})
    table = parse(guest.table or b"")
    offered = judge(table.structures, guest.systemd)
    found = compare(guest, table, offered, unasked, None, ())
    assert rows(found) == [("A", "imported", None, 3, None), ("B", "imported", None, 0, None)]
    assert (found.findings, found.rejected, found.fronts, found.frame, found.systemd) == (
        (),
        (),
        frozenset(),
        None,
        257,
    )
    assert found.agrees and found.verdict == "agrees"
    assert not needs_facts(offered, guest) and unexplained(offered, guest) == frozenset()


@pytest.mark.parametrize(
    ("system", "more"),
    [
        ({}, {}),
        (None, {}),
        ({"A": b"two"}, {}),
        ({"A": b"one", "X": b"x"}, {}),
        ({"A": b"one", "X": b"x"}, {"cmdline": {"X": b"y"}}),
        ({"A": b"one"}, {"cmdline": {"X": b"x"}}),
        ({"A": b"one"}, {"table": None}),
    ],
)
def test_when_facts_are_worth_asking_for(system: dict[str, bytes] | None, more: dict[str, Any]) -> None:
    guest = guest_of({"A": b"one"}, system, **more)
    offered = judge(parse(guest.table or b"").structures, 257)
    assert needs_facts(offered, guest)
    explained = guest.replace(system={"A": b"one", "X": b"x"}, fw_cfg={"X": b"x"})
    assert guest.table is None or not needs_facts(offered, explained)
    assert unexplained(offered, guest) == frozenset(
        name for name, value in (system or {}).items() if (name, value) != ("A", b"one") or not offered
    )


def test_other_bytes_of_another_source_are_worth_asking_for() -> None:
    guest = guest_of({"A": b"one"}, {"A": b"two"}, fw_cfg={"A": b"two"})
    offered = judge(parse(guest.table or b"").structures, 257)
    assert needs_facts(offered, guest) and unexplained(offered, guest) == frozenset()


def test_what_was_made_good_is_rescued_and_the_verdict_fixed() -> None:
    guest = guest_of({"A": b"one"}, None)
    found = compared(guest)
    assert rows(found) == [("A", "missing", "unknown", 3, None)]
    assert found.credentials[0].replace(found=Found("run/credstore/A", True, True)).status == "rescued"
    assert found.replace(findings=(), rescued=found.findings).verdict == "fixed"


def test_each_loss_has_a_status_a_cause_and_a_size() -> None:
    guest = guest_of({"A": b"one", "B": b"two-and", "C": b"three"}, {"B": b"two", "C": b"three", "X": b"x"})
    found = compared(guest, facts=Facts(stages={"X": "initrd"}))
    assert rows(found) == [
        ("A", "missing", "unknown", 3, None),
        ("B", "truncated", "unknown", 3, None),
        ("C", "imported", None, 5, None),
        ("X", "foreign", None, 1, None),
    ]
    assert [one.origin for one in found.credentials] == [None, None, None, "earlier-stage"]
    assert [str(one.place) for one in found.credentials[:2]] == ["handle 0x0e00, string 1", "handle 0x0e00, string 2"]
    assert codes(found) == ["missing", "truncated"] and found.verdict == "findings" and not found.agrees
    both = compared(guest_of({"A": b"one", "B": b"two"}, {}))
    assert [finding.names for finding in both.findings] == [("A", "B")]


def test_foreign_ones_come_last_in_the_order_of_what_is_shown() -> None:
    hidden = {"zX9q-7hunter2a": b"", "aX9q-7hunter2": b"="}
    found = compared(guest_of({"KEY": b"1"}, {"KEY": b"1", "B": b"22", "A": b"22", **hidden}))
    assert [one.shown for one in found.credentials] == [
        "KEY",
        "A",
        "B",
        "[13 characters hidden]",
        "[14 characters hidden]",
    ]
    small, large = (one.replace(shown="same") for one in found.credentials[3:])
    assert by_what_is_shown([small.replace(size=2), large.replace(size=1)])[0].size == 1
    assert (
        by_what_is_shown([small.replace(size=1, origin="initrd"), large.replace(size=1, origin=None)])[0].origin is None
    )


def test_what_the_host_meant() -> None:
    names = dict.fromkeys(("guestcred.manifest", "A", "B", "C", "guestcred.end"))
    values = {
        "guestcred.manifest": ALL[0].partition(b"=")[2],
        "A": b"one",
        "B": b"two-and",
        "C": b"",
        "guestcred.end": b"1/3",
    }
    assert names.keys() == values.keys()
    assert [meant for *_, meant in rows(compared(guest_of(values, values)))] == [None, 3, 7, 0, 3]
    # two were lost, of which another source gave one
    some = {name: values[name] for name in ("guestcred.manifest", "A")}
    found = compared(guest_of(some, {**some, "B": b"other"}, fw_cfg={"B": b"other"}))
    assert rows(found)[2:] == [
        ("C", "not-offered", "lost-on-the-way", 0, 0),
        ("guestcred.end", "not-offered", "lost-on-the-way", 3, 3),
        ("B", "foreign", None, 5, 7),
    ]
    assert found.frame is not None and found.frame.lost == ("B", "C", "guestcred.end")


@pytest.mark.parametrize(
    ("value", "imported", "told", "doubted"),
    [
        (b"two-an", b"two-an", ("truncated", "altered"), False),
        (b"two-not", b"two-not", ("differs", "altered"), False),
        (b"two-and-more", b"two-and-more", ("differs", "altered"), False),
        (b"two-not", None, ("missing", "unknown"), True),
        (b"two-not", b"other", ("differs", "unknown"), True),
        (b"two-not", b"two", ("truncated", "unknown"), False),
        (b"two-and", None, ("missing", "unknown"), False),
    ],
)
def test_what_was_altered_on_the_way(
    value: bytes, imported: bytes | None, told: tuple[str, str], doubted: bool
) -> None:
    offered = {
        "guestcred.manifest": ALL[0].partition(b"=")[2],
        "A": b"one",
        "B": value,
        "C": b"",
        "guestcred.end": b"1/3",
    }
    system = {**offered, "B": imported}
    found = compared(guest_of(offered, {name: held for name, held in system.items() if held is not None}))
    assert rows(found)[2][1:3] == told
    assert codes(found) == [*(["altered"] if doubted else []), told[0]]


def test_a_manifest_that_is_not_believed_is_a_finding_in_front() -> None:
    found = compared(guest_of({"guestcred.end": b"1/0", "A": b"1"}, {"guestcred.end": b"1/0"}))
    assert codes(found) == ["manifest", "missing"] and found.frame is None


def test_findings_have_an_order() -> None:
    strings = [
        text(b"A", b"1"),
        b"io.systemd.credential:x/y=1",
        b"io.systemd.crendential:Z=1",
        b"io.systemd.boot.timeouts=1",
        b"hello",
    ]
    guest = guest_of({}, {}, table=table_of(*strings), entries=(entry_of(*strings),))
    guest = guest.replace(
        unreadable={"run/credentials/@system/A": "is a folder", "run/credentials/@initrd/B": "is a folder"}
    )
    found = compared(guest)
    assert codes(found) == ["missing", "unreadable", "invalid-name", "near-miss", "near-miss"]
    assert [one.raw_name for one in found.rejected] == [b"x/y"]
    assert "/@initrd/B cannot be read: is a folder" in found.findings[1].message
    assert found.findings[1].fix == CAUSES["unreadable"][1]
    assert found.findings[3].fix.startswith("the prefix must be exactly ")
    assert found.findings[3].message == "handle 0x0e00, string 3 is not a credential"
    assert "string 4 is read by nobody: it is nearly a key of systemd's boot loader" in found.findings[4].message


def test_what_cannot_be_read_is_told_in_the_order_of_what_is_shown() -> None:
    paths = (
        "run/credentials/@system/zX9q-7hunter2a",
        "run/credentials/@system/aX9q-7hunter2abc",
        "run/credentials/@initrd/a\n",
    )
    found = compared(guest_of({}, {}).replace(unreadable=dict.fromkeys(paths, "is a folder")))
    assert codes(found) == ["unreadable"] * 3
    shown = [finding.message.rpartition("/")[2] for finding in found.findings]
    assert shown[1:] == [
        "[14 characters hidden] cannot be read: is a folder",
        "[16 characters hidden] cannot be read: is a folder",
    ]
    assert "\n" not in shown[0]


def test_what_is_required_and_lost_has_one_finding() -> None:
    guest = guest_of({"A": b"1", "X": b"x"}, {"X": b"x"})
    found = compared(guest, "A", "X", "B", "C")
    assert codes(found) == ["missing", "required", "required"]
    assert [finding.names for finding in found.findings] == [("A",), ("B",), ("C",)]
    assert found.findings[1].message.startswith("B is required, and ")


def test_a_hidden_name_is_there_by_itself_and_by_what_is_shown() -> None:
    guest = guest_of({}, {"aX9q-7hunter2": b"="})
    assert codes(compared(guest, "aX9q-7hunter2", "[13 characters hidden]")) == []
    assert codes(compared(guest, "[14 characters hidden]")) == ["required"]


def test_near_names_are_looked_for_of_a_few_only() -> None:
    names = [f"API_KEY{number}" for number in range(10)]
    found = compared(guest_of({"API_KEY": b"1"}, {"API_KEY": b"1"}), *names)
    assert ["API_KEY" in finding.message + finding.fix.replace(finding.names[0], "") for finding in found.findings][:8]
    near = [
        finding.fix.replace(finding.names[0], "") + finding.message.replace(finding.names[0], "")
        for finding in found.findings
    ]
    assert ["API_KEY" in told for told in near] == [True] * 8 + [False] * 2


def test_a_string_in_which_the_table_stops() -> None:
    whole = table_of(text(b"A", b"one"), text(b"B", b"two"))
    guest = guest_of({}, {"A": b"one", "B": b"two"}, table=whole[:-8])
    found = compared(guest)
    assert found.fronts == frozenset("B") and [status for _, status, *_ in rows(found)] == ["imported", "imported"]
    point = parse_entry_point(build_entry_point(len(whole) - 8 + 0x10000, long=True, major=3))
    found = compared(guest, point=point)
    assert rows(found)[1][1:3] == ("truncated", "cut-by-kernel") and rows(found)[0][1] == "imported"
    assert codes(found) == ["truncated", "cut-by-kernel"] and found.warnings == ()
    whole_point = parse_entry_point(build_entry_point(len(whole) - 8, long=True, major=3))
    assert compared(guest, point=whole_point).findings == ()
    lost = guest.replace(table=table_of(manifest())[:-6], system={"guestcred.manifest": ALL[0].partition(b"=")[2]})
    size = len(lost.table or b"")
    found = compared(lost, point=parse_entry_point(build_entry_point(size + 0x10000, long=True, major=3)))
    assert {cause for _, status, cause, *_ in rows(found) if status == "not-offered"} == {"cut-by-kernel"}


def test_warnings() -> None:
    assert compared(guest_of({"A": b"1"}, {"A": b"1", "X": b"x"})).warnings == ()
    no_smbios = guest_of({}, {"X": b"x"}, table=None, cmdline={"X": b"x"})
    assert [finding.code for finding in compared(no_smbios).warnings] == ["no-table"]
    assert compared(no_smbios, facts=Facts(container="lxc")).warnings == ()
    behind = table_of(text(b"A", b"1")) + build_structure(11, 2, [text(b"B", b"2")])
    foreign = guest_of({}, {"A": b"1", "B": b"2"}, table=behind)
    told = compared(foreign).warnings
    assert [finding.code for finding in told][-1] == "trailing-bytes" and "PID 1 may have read them" in told[-1].message
    assert "PID 1" not in "".join(finding.message for finding in compared(foreign.replace(system={"A": b"1"})).warnings)
    sourced = foreign.replace(fw_cfg={"B": b"2"})
    assert "PID 1" not in "".join(finding.message for finding in compared(sourced).warnings)
    known = foreign.replace(entry_point=build_entry_point(len(behind), long=False, major=2))
    assert "PID 1 may" not in "".join(finding.message for finding in compared(known).warnings)


def test_doubts_are_of_each_credential() -> None:
    found = compared(guest_of({"A": b"one\n", "B": b"two"}, {"A": b"one\n", "B": b"two"}))
    assert {name: [doubt.code for doubt in doubts] for name, doubts in found.doubts.items()} == {
        "A": ["trailing-newline"],
        "B": [],
    }
    assert [warning.code for warning in found.warnings] == ["trailing-newline"]


def test_what_stands_behind_may_be_cut_off_but_not_by_the_end_of_the_table() -> None:
    table = table_of(text(b"A", b"one"), b"two words")
    for data, told in ((table, ["fragment"]), (table[:-10], [])):
        found = compared(guest_of({}, {"A": b"one"}, table=data))
        assert [doubt.code for doubt in found.doubts["A"]] == told
