"""The answer of the process apart, held against the bytes: what is true is heard, and a lie has nothing written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from applying import SECRET, apply, offer, put, standing
from conftest import CAPTURES, table_of
from needs import PYTHON, memory, sites

from guestcred.apart import ANSWER, ERROR, LACKS_MODULE, MEMORY, BrokenError, NeedsError
from guestcred.apply import heard
from guestcred.apply.heard import NEEDS_FACTS, hear, say
from guestcred.cli import commands
from guestcred.cli.commands import View
from guestcred.diagnose import names
from guestcred.diagnose.survey import survey
from guestcred.errors import GuestcredError
from guestcred.guest import snapshot
from guestcred.guest.facts import Facts
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import parsed, read_guest, read_unparsed
from guestcred.manifest import END, MANIFEST, end_value, manifest_value
from guestcred.smbios.layout import build_structure
from guestcred.systemd.offered import Place
from guestcred.systemd.rules import SIZE_MAX, TOTAL_SIZE_MAX

FOREIGN = "elsewhere"
PACKAGE = Path(__file__).parent.parent / "guestcred"


@pytest.fixture
def root() -> Iterator[Path]:
    """KEY and LOST are missing, SAME was imported, OTHER differs, and there is one that nobody offered."""
    with memory() as folder:
        root = folder / "guest"
        offer(root, {"KEY": SECRET, "SAME": "same", "LOST": "lost", "OTHER": "new"}, ["SAME"])
        put(root, "run/credentials/@system/OTHER", "old")
        put(root, f"run/credentials/@system/{FOREIGN}", "from another source")
        put(root, "run/other", "not to be touched")
        yield root


def lie(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], object]) -> None:
    """Have the process apart say something else than it found."""

    def lying(*arguments: Any) -> bytes:
        told = json.loads(say(*arguments)[1:])
        changed = change(told)
        return ANSWER + json.dumps(told if changed is None else changed).encode()

    monkeypatch.setattr(heard, "say", lying)


def refused(root: Path) -> BrokenError:
    """The error of `apply`, which wrote nothing."""
    before = standing(root)
    with pytest.raises(BrokenError) as caught:
        commands.apply(View(root=str(root)))
    assert caught.value.status == 3 and caught.value.hints
    after = {path: told for path, told in standing(root).items() if path != "run/guestcred/."}
    assert after == {path: told for path, told in before.items() if path != "run/guestcred/."}
    assert (root / "run/other").read_text() == "not to be touched"
    return caught.value


def test_what_is_true_is_heard(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forked, fork = [], os.fork

    def noted() -> int:
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(os, "fork", noted)
    look = read_unparsed(Tree(str(root)), None)
    guest = parsed(look)
    held = hear(look, lambda: None)
    judged = survey(guest).comparison
    assert held.comparison.credentials == judged.credentials
    assert held.comparison.findings == judged.findings and held.comparison.fronts == judged.fronts
    assert held.values == {"KEY": SECRET.encode(), "LOST": b"lost"} and held.facts is not None
    assert len(forked) == 2  # the first one asks for the facts
    for pid in forked:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@pytest.mark.parametrize("cut", [0, 1, 40, 60])
def test_every_kind_of_table_is_heard_as_it_is_judged(root: Path, cut: int) -> None:
    strings = (
        b"io.systemd.credential:KEY=" + SECRET.encode(),
        b"io.systemd.credential.binary:BIN=aGVsbG8=",
        b"io.systemd.crdential:NEAR=x",
        b"io.systemd.credential:bad/name=x",
        b"io.systemd.credential:SAME=same",
        b"io.systemd.credential:EMPTY=",
        b"something else",
    )
    table = table_of(*strings)
    put(root, "sys/firmware/dmi/tables/DMI", table[: len(table) - cut] if cut else table)
    put(root, "proc/cmdline", "quiet systemd.set_credential=ON_CMDLINE:value")
    look = read_unparsed(Tree(str(root)), None)
    held, judged = hear(look, lambda: None), survey(parsed(look)).comparison
    assert held.comparison.credentials == judged.credentials and held.comparison.findings == judged.findings
    assert len(held.values) >= 2


@pytest.mark.parametrize("handle", [0, 0x8000, 0xFFFF])
def test_any_handle_is_heard(root: Path, handle: int) -> None:
    table = build_structure(11, handle, [b"io.systemd.credential:FIRST=1"]) + build_structure(127, 1)
    put(root, "sys/firmware/dmi/tables/DMI", table)
    places = [one.place for one in hear(read_unparsed(Tree(str(root)), None), lambda: None).comparison.credentials]
    assert places[0] == Place(handle, 1, 0)


def test_what_the_table_ends_in_is_heard(root: Path) -> None:
    table = table_of(b"io.systemd.credential:KEY=all of it")
    put(root, "sys/firmware/dmi/tables/DMI", table[: table.index(b" of it")])
    assert hear(read_unparsed(Tree(str(root)), None), lambda: None).values == {"KEY": b"all"}


@pytest.mark.parametrize("size", [0, SIZE_MAX])
def test_any_size_may_be_meant(root: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    lie(monkeypatch, _set(7, size))
    assert hear(read_unparsed(Tree(str(root)), None), lambda: None).comparison.credentials[0].meant == size


def test_two_structures_are_heard(root: Path) -> None:
    more = build_structure(11, 2, [b"io.systemd.credential:SECOND=2"])
    table = build_structure(11, 1, [b"io.systemd.credential:FIRST=1"]) + more + build_structure(127, 3)
    put(root, "sys/firmware/dmi/tables/DMI", table)
    assert hear(read_unparsed(Tree(str(root)), None), lambda: None).values == {"FIRST": b"1", "SECOND": b"2"}


@pytest.mark.parametrize("has_table", [True, False])
def test_every_origin_is_heard(root: Path, has_table: bool) -> None:
    if not has_table:  # as on QEMU's microvm
        shutil.rmtree(root / "sys/firmware/dmi")
    system = "run/credentials/@system"
    put(root, "sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/FW/raw", "1")
    put(root, "proc/cmdline", "systemd.set_credential=LINE:2")
    put(root, "run/credentials/@initrd/RD", "3")
    for name, value in {"FW": "1", "LINE": "2", "RD": "3", "EARLY": "4", "LATE": "5"}.items():
        put(root, f"{system}/{name}", value)
    facts = {"systemd": "systemd 257 (257.13-1)", "stages": {"EARLY": "initrd", "LATE": "system"}}
    put(root, "capture.json", json.dumps(facts))
    look = read_unparsed(Tree(str(root)), None)
    held, judged = hear(look, lambda: None), survey(parsed(look)).comparison
    assert held.comparison.credentials == judged.credentials and held.comparison.findings == judged.findings
    origins = {one.name: one.origin for one in held.comparison.credentials if one.status == "foreign"}
    expected = {"FW": "fw-cfg", "LINE": "cmdline", "RD": "initrd", "EARLY": "earlier-stage", "LATE": "initrd"}
    assert {name: origins[name] for name in expected} == expected and origins[FOREIGN] is None


def test_every_origin_may_be_said() -> None:
    assert set(heard.ORIGINS) == names.ORIGINS.keys()


def test_what_is_missing_is_not_said_without_the_facts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "say", lambda look, facts: say(look, facts or Facts()))
    assert "does not hold: what is missing, without the facts" in refused(root).problem


@pytest.mark.parametrize("offered", [{"SAME": "same"}, {}], ids=["imported", "nothing"])
def test_facts_are_asked_for_only_where_something_is_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch, offered: dict[str, str]
) -> None:
    offer(root, offered, [*offered])
    if not offered:
        put(root, "sys/firmware/dmi/tables/DMI", table_of(b"of a vendor"))

    def asked(_: str) -> Facts:
        raise AssertionError

    monkeypatch.setattr(heard, "read_facts", asked)
    assert hear(read_unparsed(Tree(str(root)), None), lambda: None).facts is None


def processes_apart(root: Path) -> int:
    """How many `apply` takes, each of which makes a boot wait, in an interpreter that has loaded nothing else."""
    code = (
        f"import sys; sys.path[:0] = {[str(PACKAGE.parent), *sites()]!r}; import os\n"
        "forks, fork = [], os.fork\n"
        "os.fork = lambda: forks.append(0) or fork()\n"
        f"sys.argv = ['guestcred', '--root', {str(root)!r}, 'apply', '--early']\n"
        "from guestcred.__main__ import main\n"
        "assert main() == 0; print(len(forks), file=sys.stderr)"
    )
    done = subprocess.run([PYTHON, "-IS", "-c", code], capture_output=True, text=True, check=True)
    return int(done.stderr)


MANY = {"A": "1", "B": "2"}
FRAMED = {
    MANIFEST: manifest_value(b"0" * 16, [(b"A", b"1"), (b"B", b"2")]).decode(),
    **MANY,
    END: end_value(2).decode(),
}


@pytest.mark.parametrize(
    ("offered", "imported", "processes"),
    [
        (MANY, ["A", "B"], 1),
        (MANY, [], 1),
        (MANY, ["A"], 2),
        (FRAMED, [*FRAMED], 1),
        (FRAMED, [], 1),
    ],
)
def test_few_processes_apart(root: Path, offered: dict[str, str], imported: list[str], processes: int) -> None:
    offer(root, offered, imported)
    assert processes_apart(root) == processes


def test_what_only_some_tables_need_is_loaded_for_them(root: Path) -> None:
    offer(root, MANY, list(MANY))
    assert processes_apart(root) == 1
    (root / "capture.json").unlink()  # whose reading loads what reads JSON
    assert processes_apart(root) == 1
    table = root / "sys/firmware/dmi/tables/DMI"
    table.write_bytes(table.read_bytes()[:-1])
    assert processes_apart(root) == 2


@pytest.mark.parametrize("prefix", [b"io.systemd.credential:", b"io.systemd.credential.binary:"])
def test_what_was_certainly_lost_needs_no_second_process(root: Path, prefix: bytes) -> None:
    offer(root, {})
    string = prefix + b"A=MTIz"
    put(root, "sys/firmware/dmi/tables/DMI", table_of(string))
    put(root, "sys/firmware/dmi/entries/11-0/raw", build_structure(11, 0x0E00, [string]))
    assert processes_apart(root) == 1


def test_nothing_is_heard_before_connections_are_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(_: str) -> object:
        raise AssertionError("it was read before")

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(heard, "parse_json", parse)
    with pytest.raises(KeyboardInterrupt):
        hear(read_unparsed(Tree(str(root)), None), stop)


def first(told: dict[str, Any]) -> list[Any]:
    return next(offer for offer in told["offers"] if offer[5] == "missing")


def _moved(by: int) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        first(told)[0] += by

    return change


def _set(field: int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        first(told)[field] = value

    return change


def _less(told: dict[str, Any]) -> None:
    first(told).pop()


def _empty(told: dict[str, Any]) -> None:
    first(told)[1] = first(told)[0]


def _twice(told: dict[str, Any]) -> None:
    told["offers"].append(first(told))


def _shorter(told: dict[str, Any]) -> None:
    first(told)[1] -= 1


def _joined(told: dict[str, Any]) -> None:
    first(told)[1] = told["offers"][1][1]


def _hidden_offer(told: dict[str, Any]) -> None:
    told["offers"] = [offer for offer in told["offers"] if offer[5] is not None]


def _foreign(*entries: list[Any]) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        told["foreign"] = list(entries)

    return change


def _finding(*fields: object) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        told["findings"].append(list(fields))

    return change


def _imported(told: dict[str, Any]) -> None:
    first(told)[5:7] = [None, None]


def _lost(told: dict[str, Any]) -> None:
    next(offer for offer in told["offers"] if offer[5] is None)[5:7] = ["missing", "unknown"]


def _overwritten(told: dict[str, Any]) -> None:
    next(offer for offer in told["offers"] if offer[5] == "differs")[5] = "missing"


LIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no object": (lambda _: [], "its parts"),
    "nothing": (lambda _: {}, "its parts"),
    "a part more": (lambda told: told.update(values={"../../etc/passwd": "x"}), "its parts"),
    "a list that is none": (lambda told: told.update(offers={}), "a list"),
    "an offer that is none": (lambda told: told.update(offers=["KEY"]), "a form"),
    "an offer that is a number": (lambda told: told.update(offers=[5]), "a form"),
    "a field less": (_less, "a form"),
    "a place that is a text": (_set(0, "0"), "a form"),
    "a place that is a truth": (_set(3, True), "a form"),
    "a place that is broken": (_set(0, 1.5), "a form"),
    "a place before the table": (_set(0, -1), "a place outside of the table"),
    "where the table begins": (_set(0, 0), "a place that is no string"),
    "no string": (_empty, "a place outside of the table"),
    "a place behind the table": (_set(1, 1 << 40), "a place outside of the table"),
    "no length": (_set(1, 0), "a place outside of the table"),
    "a place inside a string": (_moved(1), "a place that is no string"),
    "the byte before": (_moved(-1), "a string that is no credential"),
    "a shortened value": (_shorter, "a place that is no string"),
    "two strings as one": (_joined, "a place that is no string"),
    "a handle that is none": (_set(2, 1 << 16), "a place or a size"),
    "a handle below none": (_set(2, -1), "a place or a size"),
    "a structure that is none": (_set(4, -1), "a place or a size"),
    "a number that is none": (_set(3, 0), "a place or a size"),
    "a credential twice": (_twice, "a credential twice"),
    "imported, which is missing": (_imported, "what became of a credential"),
    "missing, which is imported": (_lost, "what became of a credential"),
    "missing, which differs": (_overwritten, "what became of a credential"),
    "another word": (_set(5, "gone"), "what became of a credential"),
    "no cause": (_set(6, None), "what became of a credential"),
    "a word that is a number": (_set(5, 7), "a form"),
    "a word of other letters": (_set(5, "g\u00e9"), "a word"),
    "a word of no letters": (_set(5, "-"), "a word"),
    "a cause in escapes": (_set(6, "\x1b[2J"), "a word"),
    "a loss in escapes": (_set(5, "\x1b[2J"), "a word"),
    "one left out that is there": (_hidden_offer, "what is foreign"),
    "no foreign one": (_foreign(), "what is foreign"),
    "a foreign one that is not there": (
        _foreign([FOREIGN, None, None], ["../../etc/passwd", None, None]),
        "what is foreign",
    ),
    "an origin that is none": (_foreign([FOREIGN, "heaven", None]), "what is foreign"),
    "a foreign one in another form": (_foreign([FOREIGN]), "a form"),
    "a foreign one twice": (_foreign([FOREIGN, None, None], [FOREIGN, None, None]), "what is foreign"),
    "only meant, and there": (lambda told: told.update(lost=[[FOREIGN, 1, "unknown"]]), "what was only meant"),
    "only meant, and offered": (lambda told: told.update(lost=[["KEY", 1, "unknown"]]), "what was only meant"),
    "only meant, with a path": (lambda told: told.update(lost=[["../x", 1, "unknown"]]), "what was only meant"),
    "only meant, without a size": (lambda told: told.update(lost=[["MORE", None, "unknown"]]), "what was only meant"),
    "only meant, twice": (lambda told: told.update(lost=[["MORE", 1, "unknown"]] * 2), "what was only meant"),
    "only meant, without a cause": (lambda told: told.update(lost=[["MORE", 1, None]]), "what was only meant"),
    "a size that is none": (_set(7, -1), "a size"),
    "a finding without a code": (_finding(None, "message", "fix", [], None), "a finding"),
    "a finding in escapes": (_finding("near-miss", "\x1b]0;owned\x07", "fix", [], None), "a text"),
    "a fix in lines": (_finding("near-miss", "message", "fix\nguestcred: error", [], None), "a text"),
    "a name that is no text": (_finding("near-miss", "message", "fix", [1], None), "a text"),
    "a code with a space": (_finding("near miss", "message", "fix", [], None), "a word"),
    "a front in escapes": (lambda told: told.update(fronts=["\x1b"]), "a text"),
}


@pytest.mark.parametrize("told", LIES)
def test_a_lie(root: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    change, what = LIES[told]
    lie(monkeypatch, change)
    error = refused(root)
    assert error.problem == (
        f"the process that reads the table gave an answer that does not hold: {what}; nothing was written"
    )


@pytest.mark.parametrize(
    ("strings", "start"),
    [
        ([b"no credential", b"io.systemd.credential:A=b"], 0),
        ([b"io.systemd.credential:../../etc/shadow=x"], 0),
        ([b"io.systemd.credential:A:B=x"], 0),
        ([b"io.systemd.credential:.=x"], 0),
        ([b"io.systemd.credential:NOTHING"], 0),
        ([b"io.systemd.credential.binary:A=!!!"], 0),
        ([b"io.systemd.credential:A=" + b"x" * (1 << 20) + b"y"], 0),
        ([b"io.systemd.credential:" + b"n" * 256 + b"=x"], 0),
        ([b"x" * 9 + b"io.systemd.credential:A=b"], 9),
    ],
)
def test_a_string_that_is_no_credential_is_said_to_be_one(
    root: Path, monkeypatch: pytest.MonkeyPatch, strings: list[bytes], start: int
) -> None:
    table = table_of(*strings)
    monkeypatch.setattr(snapshot, "TABLE_MAX", 1 << 22)
    put(root, "sys/firmware/dmi/tables/DMI", table)
    begin = table.index(strings[0])
    offered = [begin + start, begin + len(strings[0]), 1, 1, 0, "missing", "unknown", None]
    lie(
        monkeypatch,
        lambda told: told.update(offers=[offered], foreign=[[name, None, None] for name in ("OTHER", "SAME", FOREIGN)]),
    )
    assert "that does not hold: a " in refused(root).problem


def test_one_may_have_all_the_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "TABLE_MAX", 1 << 22)
    value = b"x" * SIZE_MAX
    put(root, "sys/firmware/dmi/tables/DMI", table_of(b"io.systemd.credential:A=" + value))
    assert hear(read_unparsed(Tree(str(root)), None), lambda: None).values == {"A": value}


@pytest.mark.parametrize("has_table", [True, False])
def test_a_string_where_there_is_none(root: Path, monkeypatch: pytest.MonkeyPatch, has_table: bool) -> None:
    offered = [0, 1, 1, 1, 0, "missing", "unknown", None]
    if not has_table:
        shutil.rmtree(root / "sys/firmware/dmi")
    lie(monkeypatch, lambda told: told.update(offers=[offered]))
    expected = "a place that is no string" if has_table else "a place outside of the table"
    assert expected in refused(root).problem


@pytest.mark.parametrize("more", [0, 1])
def test_all_of_them_are_too_large_together(root: Path, monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    half = TOTAL_SIZE_MAX // 2
    strings = [b"io.systemd.credential:A%d=" % number + b"x" * (half + number * more) for number in range(2)]
    table = table_of(*strings)
    monkeypatch.setattr(snapshot, "TABLE_MAX", 1 << 22)
    put(root, "sys/firmware/dmi/tables/DMI", table)
    places = [(table.index(text), table.index(text) + len(text)) for text in strings]
    offers = [[*place, 1, number, 0, "missing", "unknown", None] for number, place in enumerate(places, 1)]
    lie(
        monkeypatch,
        lambda told: told.update(offers=offers, foreign=[[name, None, None] for name in ("OTHER", "SAME", FOREIGN)]),
    )
    if more:
        assert "a place or a size" in refused(root).problem
    else:
        assert len(hear(read_unparsed(Tree(str(root)), None), lambda: None).values) == len(strings)


def _deep() -> bytes:
    return ANSWER + b"[" * 200_000


def _needy(*_: object) -> bytes:
    raise NeedsError(NEEDS_FACTS)


def _endless(*_: object) -> bytes:
    while True:
        pass


ANSWERS: dict[str, tuple[Callable[..., bytes], str]] = {
    "nothing": (lambda *_: b"", "failed: "),
    "no JSON": (lambda *_: ANSWER + b"{", "gave an answer that does not hold: no JSON"),
    "two of them": (lambda *_: ANSWER + b"{}{}", "gave an answer that does not hold: no JSON"),
    "bytes": (lambda *_: ANSWER + b"\xff", "gave an answer that does not hold: no JSON"),
    "deep": (lambda *_: _deep(), "gave an answer that does not hold: no JSON"),
    "a great number": (lambda *_: ANSWER + b"9" * 10_000, "gave an answer that does not hold: no JSON"),
    "endless": (lambda *_: ANSWER + bytes(heard.ANSWER_MAX + 1), "gave an answer of more than 8388608 bytes"),
    "greedy": (lambda *_: bytes(MEMORY), "failed: MemoryError"),
    "always lacking": (lambda *_: LACKS_MODULE + b"os.path", "asks for what it has: os.path"),
    "lacking a long name": (lambda *_: LACKS_MODULE + b"m" * 256, "asks for what it has: mmm"),
    "lacking too long a name": (lambda *_: LACKS_MODULE + b"m" * 257, "gave an answer of more than 256 bytes"),
    "always needing": (_needy, "asks for what it has: "),
    "another kind": (lambda *_: b"z", "asks for what it has: "),
    "a pickle": (lambda *_: ANSWER + b"cos\nsystem\n(S'id'\ntR.", "gave an answer that does not hold: no JSON"),
    "an error that is none": (lambda *_: ERROR + b"{}", "gave an answer that does not hold: a form"),
    "an error without words": (lambda *_: ERROR + b'["", [1], 3]', "gave an answer that does not hold: a text"),
    "an error in escapes": (lambda *_: ERROR + b'["\\u001b", [], 3]', "gave an answer that does not hold: a text"),
    "an error that is success": (lambda *_: ERROR + b'["x", [], 0]', "gave an answer that does not hold: a status"),
}


@pytest.mark.parametrize("told", ANSWERS)
def test_an_answer_that_is_none(root: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setattr(heard, "say", ANSWERS[told][0])
    assert refused(root).problem.startswith(f"the process that reads the table {ANSWERS[told][1]}")


def test_no_answer_at_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "say", _endless)
    monkeypatch.setattr(heard, "SECONDS", 1)
    assert "computes for more than 1 seconds" in refused(root).problem


@pytest.mark.parametrize(
    ("facts", "cause"),
    [({"container": "docker"}, "container"), ({"confidential": "sev-snp"}, "confidential-vm")],
)
def test_a_lie_overrules_no_decision(
    root: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, str], cause: str
) -> None:
    put(root, "capture.json", json.dumps({"systemd": "systemd 257 (257.13-1)", **facts}))
    lie(monkeypatch, lambda told: [offer.__setitem__(6, "unknown") for offer in told["offers"] if offer[6]] and None)
    look = read_unparsed(Tree(str(root)), None)
    assert {one.cause for one in hear(look, lambda: None).comparison.credentials if one.loss == "missing"} == {cause}
    assert commands.apply(View(root=str(root))) == 1 and not (root / "run/credstore").exists()


def test_a_name_that_may_be_a_secret_stays_hidden_whatever_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(root, {"hunter2hunter2hunter2": ""})
    lie(monkeypatch, lambda _: None)
    look = read_unparsed(Tree(str(root)), None)
    (credential,) = hear(look, lambda: None).comparison.credentials
    assert credential.shown == "[21 characters hidden]"


@pytest.mark.parametrize("status", [1, 2, 3])
def test_an_error_has_its_status(root: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(heard, "say", lambda *_: ERROR + json.dumps(["said", ["how"], status]).encode())
    with pytest.raises(GuestcredError, match="said") as caught:
        hear(read_unparsed(Tree(str(root)), None), lambda: None)
    assert (caught.value.hints, caught.value.status) == (("how",), status)


def test_an_expected_failure_is_told_as_ever(root: Path) -> None:
    put(root, "sys/firmware/dmi/tables/DMI", b"\xff" * 3)
    done = apply(root)
    assert done.returncode == 3 and "error: no structure could be read from" in done.stderr


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_every_captured_guest_is_heard_as_it_is_judged(capture: Path) -> None:
    held = hear(read_unparsed(Tree(str(capture)), None), lambda: None).comparison
    judged = survey(read_guest(str(capture))).comparison
    assert (held.credentials, held.findings, held.fronts) == (judged.credentials, judged.findings, judged.fronts)


@pytest.mark.parametrize("arrived", range(5))
def test_what_the_host_meant_is_heard_as_it_is_judged(root: Path, arrived: int) -> None:
    values = [(b"A", b"one"), (b"B", b"two"), (b"OTHER", b"new")]
    strings = [f"guestcred.manifest={manifest_value(bytes(16), values).decode()}", "A=one", "B=changed", "OTHER=new"]
    strings = [f"io.systemd.credential:{text}" for text in [*strings, "guestcred.end=1/3"][: arrived + 1]]
    put(root, "sys/firmware/dmi/tables/DMI", table_of(*(text.encode() for text in strings)))
    if arrived == len(strings) - 1:
        put(root, "run/credentials/@system/B", "changed")
    look = read_unparsed(Tree(str(root)), None)
    held, judged = hear(look, lambda: None).comparison, survey(parsed(look)).comparison
    assert held.credentials == judged.credentials and held.findings == judged.findings
    assert {one.name for one in held.credentials} >= {"guestcred.end", "A", "B"}
