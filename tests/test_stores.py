"""Systemd's search order, and users below a root."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Build

from guestcred.guest.rootfs import Tree
from guestcred.guest.sources import Sources
from guestcred.guest.users import User, find_user
from guestcred.systemd.requests import Request
from guestcred.systemd.search_path import SEARCH_PATH, glob_matches, split_load


@pytest.mark.parametrize(
    ("setting", "expected"), [("a:B", ("a", "B")), ("a", ("a", "a")), ("a:/x:y", ("a", "/x:y")), ("a:", ("a", ""))]
)
def test_load_settings(setting: str, expected: tuple[str, str]) -> None:
    assert split_load(setting) == expected


def test_globs() -> None:
    assert glob_matches("TLS_*", "TLS_KEY") and glob_matches("*", "x") and glob_matches("a", "a")
    assert glob_matches(".*", ".x") and glob_matches("a*", "a.x") and not glob_matches("*", ".x")
    assert not glob_matches("TLS_*", "TLS") and not glob_matches("a?", "ab") and not glob_matches("*a", "ba")


def test_the_first_place_wins_and_the_rest_is_told(tree: Build) -> None:
    root = tree([], {"A": b"1"})
    for folder in ("etc/credstore", "usr/lib/credstore"):
        (root / folder).mkdir(parents=True)
        (root / folder / "A").write_bytes(b"2")
    (root / "usr/lib/credstore/B").write_bytes(b"3")
    found = {
        name: Sources(Tree(str(root))).resolve(Request(setting="LoadCredential", id="x", source=name), SEARCH_PATH)
        for name in "ABC"
    }
    assert [[(one.id, one.paths, one.size) for one in found[name]] for name in "ABC"] == [
        [("x", ("run/credentials/@system/A", "etc/credstore/A", "usr/lib/credstore/A"), 1)],
        [("x", ("usr/lib/credstore/B",), 1)],
        [("x", (), None)],
    ]


def test_what_is_planned_counts_as_if_it_were_there(tree: Build) -> None:
    root = tree([], {"A": b"1"}, files={"run/credstore/GOES": b"old", "usr/lib/credstore/GOES": b"lib"})
    sources = Sources(Tree(str(root)), planned={"NEW": b"new", "GOES": None})
    found = sources.resolve(Request(setting="ImportCredential", source="*"), SEARCH_PATH)
    assert [(one.name, sources.value(one)) for one in found] == [
        ("A", ("run/credentials/@system/A", b"1")),
        ("GOES", ("usr/lib/credstore/GOES", b"lib")),
        ("NEW", ("run/credstore/NEW", b"new")),
    ]


def test_a_pattern_may_pass_over_what_is_no_file(tree: Build) -> None:
    root = tree(
        [], {"A": b"1"}, files={"etc/credstore/A/in": b"x", "etc/credstore/B/in": b"x", "usr/lib/credstore/B": b"2"}
    )
    (root / "run/credentials/@system/A").unlink()
    pattern = Request(setting="ImportCredential", source="*")
    everything = Sources(Tree(str(root))).resolve(pattern, SEARCH_PATH)
    files = Sources(Tree(str(root))).resolve(pattern, SEARCH_PATH, only_files=True)
    assert [one.paths for one in everything] == [("etc/credstore/A",), ("etc/credstore/B", "usr/lib/credstore/B")]
    assert [one.paths for one in files] == [("usr/lib/credstore/B",)]


def test_users_below_a_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nbroken\nsvc:x:901:902::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("svc:x:902:\nkeys:x:96:other,svc\n")
    at = Tree(str(tmp_path))
    (tmp_path / "etc/passwd").open("a").write("big:x:4294967295:0::/:\nhuge:x:99999999999:0::/:\narab:x:\u0664:0::/:\n")
    assert [find_user(at, name) for name in ("big", "huge", "arab", "\u0664", "4294967295")] == [None] * 5
    assert find_user(at, "svc") == find_user(at, "901") == User("svc", 901, 902, (96, 902))
    assert find_user(at, "root") == User("root", 0, 0, (0,)) and find_user(at, "nobody") is None


def test_users_of_the_live_system() -> None:
    root = find_user(Tree("/"), "root")
    assert root is not None and (root.uid, root.gid) == (0, 0) and 0 in root.groups
    assert find_user(Tree("/"), "no-such-user") is None and find_user(Tree("/"), "9" * 30) is None
