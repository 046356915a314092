"""A guest and its configuration make one plan, and beside it the values of all that is to be written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from applying import offer, put

from guestcred.apply import deliveries, heard, wanted
from guestcred.apply.plan import File
from guestcred.apply.wanted import Wanted, want
from guestcred.errors import COULD_NOT_LOOK, FINDINGS, GuestcredError
from guestcred.guest.credstores import copied_rescues, rescue_mark, rescues
from guestcred.guest.facts import Facts, read_facts
from guestcred.guest.rootfs import Tree
from guestcred.guest.users import User, find_user

SERVICE = '[services.demo]\nuser = "demo-svc-user"\n'
TOML = "etc/guestcred/demo.toml"
BARE = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjI"  # what PID 1 takes for a name, where that was forgotten


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """KEY is missing, and HERE was imported."""
    offer(tmp_path, {"KEY": "hunter2", "HERE": "here"}, ["HERE"])
    return tmp_path


def wanted_of(root: Path, **options: bool) -> Wanted:
    return want(Tree(str(root)), None, **options)


def files(root: Path, service: str) -> dict[str, tuple[str, bytes]]:
    """What a service gets: id to place and value."""
    put(root, TOML, SERVICE + service)
    found = wanted_of(root)
    (directory,) = found.plan.directories
    return {file.name: (file.place, found.values[file.place]) for file in directory.files}


def test_what_is_rescued_is_told_and_its_value_kept_beside(root: Path) -> None:
    found = wanted_of(root)
    assert found.plan.rescues == (File("KEY", 7, "run/credstore/KEY"),)
    assert found.values == {"run/credstore/KEY": b"hunter2"} and found.report == b""
    assert (found.plan.present, found.plan.directories, found.plan.left) == ((), (), ())
    assert [one.status for one in found.plan.comparison.credentials] == ["rescued", "imported"]
    assert found.plan.comparison.verdict == "fixed"
    (told,) = found.plan.comparison.rescued
    assert "it was rescued to /run/credstore" in told.message


def test_what_others_put_there_is_only_told(root: Path) -> None:
    put(root, "run/credstore/KEY", "hunter2")
    found = wanted_of(root)
    assert (found.plan.rescues, found.plan.present) == ((), (File("KEY", 7, "run/credstore/KEY"),))
    assert found.values == {} and [one.status for one in found.plan.comparison.credentials] == ["rescued", "imported"]
    (told,) = found.plan.comparison.rescued
    assert "guestcred did not write it" in told.message
    put(root, "run/credstore/KEY", "other")
    assert wanted_of(root).plan.left[0].message.endswith("there is already another credential at /run/credstore/KEY")


def test_a_capture_tells_what_its_files_do_not(root: Path) -> None:
    """A copy has another time, and capture.json the names of rescues; in a live guest there is none."""
    put(root, "run/credstore/KEY", "hunter2")
    put(root, "capture.json", json.dumps({"systemd": "systemd 257 (257.13)", "rescued": ["KEY", "HERE"]}))
    found = wanted_of(root)
    assert (found.plan.rescues, found.plan.present) == ((File("KEY", 7, "run/credstore/KEY"),), ())
    assert found.plan.standing == frozenset(["KEY"]) and found.copied == frozenset(["KEY", "HERE"])
    put(root, "run/credstore/KEY", "stale")
    assert wanted_of(root).plan.standing == frozenset() and wanted_of(root).plan.rescues == found.plan.rescues
    tree = Tree(str(root))
    tree.live = True
    assert copied_rescues(tree) == frozenset() and rescues(tree) == frozenset()


def test_what_a_rescue_may_not_do_others_may(root: Path) -> None:
    """Where systemd imports nothing on purpose, or could not be asked, what others put there is there all the same."""
    put(root, "etc/credstore/KEY", "hunter2")
    for told in ({"container": "lxc"}, {"unasked": ["container"]}):
        put(root, "capture.json", json.dumps({"systemd": "systemd 257 (257.13)", **told}))
        plan = wanted_of(root).plan
        assert (plan.verdict, plan.present) == ("fixed", (File("KEY", 7, "etc/credstore/KEY"),))


def test_nothing_is_wanted_where_all_arrived(root: Path) -> None:
    offer(root, {"HERE": "here"}, ["HERE"])
    found = wanted_of(root)
    assert found.plan.verdict == "agrees" and found.values == {}


def test_what_systemd_could_not_be_asked_for_is_left(root: Path) -> None:
    put(root, "capture.json", json.dumps({"systemd": "systemd 257 (257.13)", "unasked": ["confidential"]}))
    (left,) = wanted_of(root).plan.left
    assert left.cause == "undecided" and not wanted_of(root).plan.rescues
    assert want(Tree(str(root)), 252).plan.rescues  # which knows no confidential VM


def test_early_in_a_boot_no_configuration_is_read(root: Path) -> None:
    put(root, TOML, "no TOML")
    assert wanted_of(root, early=True).values == {"run/credstore/KEY": b"hunter2"}
    with pytest.raises(GuestcredError):
        wanted_of(root)


def test_without_configuration_nothing_is_loaded_for_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(deliveries, "Deliveries")
    assert wanted_of(root).plan.directories == ()


def test_what_a_service_gets_and_from_where(root: Path) -> None:
    put(root, "usr/lib/credstore/CERT", "cert")
    told = 'load = ["key:KEY", "here:HERE", "gone:GONE", "two:TWO"]\nimport = ["CE*"]\nset = ["key:default", "two:2", "set:"]\n'
    assert files(root, told) == {
        "key": ("run/credstore/KEY", b"hunter2"),
        "here": ("run/credentials/@system/HERE", b"here"),
        "CERT": ("usr/lib/credstore/CERT", b"cert"),
        "two": (f"{TOML} (demo.service, set two)", b"2"),
        "set": (f"{TOML} (demo.service, set set)", b""),
    }
    (directory,) = wanted_of(root).plan.directories
    assert (directory.unit, directory.user, directory.uid) == ("demo.service", "demo-svc-user", 901)
    assert directory.skipped == ("gone",) and {file.size for file in directory.files} == {7, 4, 1, 0}
    assert set(wanted_of(root).values) == {place for place, _ in files(root, told).values()}


def test_the_first_of_an_id_wins(root: Path) -> None:
    put(root, "etc/credstore/key", "found by the pattern")
    assert files(root, 'load = ["key:HERE"]\nimport = ["k*"]\nset = ["key:default"]\n') == {
        "key": ("run/credentials/@system/HERE", b"here")
    }
    # a name that nobody has leaves the id to the next setting
    assert files(root, 'load = ["key:GONE"]\nimport = ["k*"]\n') == {
        "key": ("etc/credstore/key", b"found by the pattern")
    }


def test_a_pattern_passes_over_what_is_no_file(root: Path) -> None:
    put(root, "etc/credstore/FOLDER/file", "in a folder")
    put(root, "usr/lib/credstore/FOLDER", "behind it")
    assert files(root, 'import = ["F*", "X*"]\n') == {"FOLDER": ("usr/lib/credstore/FOLDER", b"behind it")}


def test_what_goes_from_the_store_is_no_source(root: Path) -> None:
    """An earlier rescue that is not offered any more is removed by this run."""
    store = root / "run/credstore"
    offer(root, {"OLD": "old", "KEY": "hunter2"})
    store.mkdir()
    for name in ("OLD", "MINE"):
        put(root, f"run/credstore/{name}", name)
    os.utime(store / "OLD", ns=(rescue_mark("OLD"),) * 2)
    offer(root, {"KEY": "hunter2"})
    assert set(files(root, 'import = ["*"]\n')) == {"KEY", "MINE"}


def test_a_name_that_may_be_a_secret_is_given_by_no_pattern(root: Path) -> None:
    offer(root, {"KEY": "hunter2", BARE: "", "WITH-VALUE-7x": "x"}, [BARE, "WITH-VALUE-7x"])
    assert set(files(root, 'import = ["*"]\n')) == {"KEY", "WITH-VALUE-7x"}
    assert files(root, f'load = ["bare:{BARE}"]\n') == {"bare": (f"run/credentials/@system/{BARE}", b"")}


@pytest.mark.parametrize("setting", ["tls:TLS", "tls:/etc/credstore/TLS"])
def test_a_source_that_is_no_file_is_told_with_file_and_key(root: Path, setting: str) -> None:
    put(root, "etc/credstore/TLS/file", "in a folder")
    put(root, TOML, f'{SERVICE}load = ["{setting}"]\n')
    with pytest.raises(GuestcredError) as caught:
        wanted_of(root)
    assert caught.value.problem == (
        f"{root}/{TOML}: services.demo.load: 'tls': cannot read {root}/etc/credstore/TLS: not a regular file"
    )
    assert caught.value.hints == ("put a regular file there, or give another source",)
    assert caught.value.status == FINDINGS


def test_an_unknown_user(root: Path) -> None:
    put(root, TOML, SERVICE.replace("demo-svc-user", "no-such-user"))
    with pytest.raises(GuestcredError, match=f"^{root}/{TOML}: services.demo.user: there is no user 'no-such-user'$"):
        wanted_of(root)


def test_several_services_get_their_own(root: Path) -> None:
    put(root, TOML, SERVICE + 'load = ["KEY"]\n[services.other]\nuser = "902"\nload = ["HERE"]\n')
    found = wanted_of(root).plan.directories
    assert [(one.unit, one.user, one.uid, [file.name for file in one.files]) for one in found] == [
        ("demo.service", "demo-svc-user", 901, ["KEY"]),
        ("other.service", "other", 902, ["HERE"]),
    ]


def test_whoever_may_keep_it_waiting_is_asked_before_the_answer_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The facts, then users, then no connection is left, and only then is the answer of the process apart read."""
    events: list[str] = []

    def asked(path: str) -> Facts:
        events.append("facts")
        return read_facts(path)

    def looked_up(tree: Tree, name: str) -> User | None:
        events.append("user")
        return find_user(tree, name)

    def held(*arguments: object) -> heard.Heard:
        events.append("answer")
        return real(*arguments)  # type: ignore[arg-type]

    real = heard._held
    monkeypatch.setattr(heard, "read_facts", asked)
    monkeypatch.setattr(deliveries, "find_user", looked_up)
    monkeypatch.setattr(wanted, "give_up_connections", lambda: events.append("given up"))
    monkeypatch.setattr(heard, "_held", held)
    put(root, TOML, SERVICE)
    wanted_of(root)
    assert events == ["facts", "user", "given up", "answer"]
    events.clear()
    wanted_of(root, early=True)
    assert events == ["facts", "given up", "answer"]


def test_where_the_guest_cannot_be_looked_at_services_that_go_without_are_named(root: Path) -> None:
    (root / "sys/firmware/dmi/tables/DMI").unlink()
    with pytest.raises(GuestcredError) as alone:
        wanted_of(root)
    put(root, TOML, SERVICE + '[services.other]\nuser = "other"\n')
    with pytest.raises(GuestcredError) as caught:
        wanted_of(root)
    told = "the directories of demo.service, other.service stay as they were"
    assert caught.value.problem == alone.value.problem and caught.value.status == COULD_NOT_LOOK
    assert caught.value.hints == (told, *alone.value.hints) and alone.value.hints
