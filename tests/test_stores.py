"""Systemd's search order, and users below a root."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Build

from guestcred.guest.credstores import candidates, imported_names
from guestcred.guest.rootfs import Tree
from guestcred.guest.users import User, find_user
from guestcred.systemd.search_path import glob_matches, split_load


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
    at = Tree(str(root))
    assert candidates(at, "A") == ("run/credentials/@system/A", "etc/credstore/A", "usr/lib/credstore/A")
    assert candidates(at, "B") == ("usr/lib/credstore/B",) and candidates(at, "C") == ()
    assert imported_names(at, "*") == ("A", "B")


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
