"""Systemd's search order: what a request finds, and what is planned as if it were there."""

from __future__ import annotations

import pytest
from conftest import Build

from guestcred.guest.rootfs import Tree
from guestcred.guest.sources import Sources
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, Request
from guestcred.systemd.search_path import CREDSTORES, SEARCH_PATH, glob_matches, places_of_user, search_path, split_load


@pytest.mark.parametrize(
    ("setting", "expected"), [("a:B", ("a", "B")), ("a", ("a", "a")), ("a:/x:y", ("a", "/x:y")), ("a:", ("a", ""))]
)
def test_load_settings(setting: str, expected: tuple[str, str]) -> None:
    assert split_load(setting) == expected


def test_globs() -> None:
    assert glob_matches("TLS_*", "TLS_KEY") and glob_matches("*", "x") and glob_matches("a", "a")
    assert glob_matches(".*", ".x") and glob_matches("a*", "a.x") and not glob_matches("*", ".y")
    assert not glob_matches("TLS_*", "TLS") and not glob_matches("a?", "ab") and not glob_matches("*a", "ba")


PLAIN = (
    "run/credentials/@system",
    *(f"{folder}/credstore" for folder in ("etc", "run", "usr/local/lib", "usr/lib")),
)
ENCRYPTED = (
    "run/credentials/@encrypted",
    *(f"{folder}/credstore.encrypted" for folder in ("etc", "run", "usr/local/lib", "usr/lib")),
)


@pytest.mark.parametrize(
    ("request_", "systemd", "places"),
    [
        (Request(setting=LOAD, id="x"), 253, PLAIN),
        (Request(setting=LOAD, id="x"), 254, ENCRYPTED + PLAIN),
        (Request(setting=LOAD, id="x"), 262, ENCRYPTED + PLAIN),
        (Request(setting=LOAD, id="x"), None, ENCRYPTED + PLAIN),
        (Request(setting=LOAD_ENCRYPTED, id="x"), 252, ENCRYPTED + PLAIN),
        (Request(setting=IMPORT, source="x"), 254, PLAIN + ENCRYPTED),
        (Request(setting=IMPORT, source="x"), None, PLAIN + ENCRYPTED),
    ],
)
def test_where_systemd_looks(request_: Request, systemd: int | None, places: tuple[str, ...]) -> None:
    assert search_path(request_, systemd) == places


@pytest.mark.parametrize("systemd", [252, 254, 257])
def test_before_258_a_user_manager_searches_the_stores_of_the_machine(systemd: int) -> None:
    places = places_of_user(systemd, "given", ("c", "r", "l"))
    sealed = () if systemd == 252 else tuple(f"{store}.encrypted" for store in CREDSTORES)
    assert search_path(Request(LOAD, "k", "K"), systemd, places) == (*sealed, "given", *CREDSTORES)


@pytest.mark.parametrize("systemd", [258, 262, None])
def test_since_258_a_user_manager_searches_the_users_own(systemd: int | None) -> None:
    places = places_of_user(systemd, None, ("c", "r", "l"))
    plain, sealed = ("c/credstore", "r/credstore", "l/credstore"), ("c/credstore.encrypted", "r/credstore.encrypted", "l/credstore.encrypted")  # fmt: skip
    assert search_path(Request(LOAD, "k", "K"), systemd, places) == (*sealed, *plain)
    assert search_path(Request(IMPORT, "", "K*"), systemd, places) == (*plain, *sealed)


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
    assert [[(source.id, source.paths, source.size) for source in found[name]] for name in "ABC"] == [
        [("x", ("run/credentials/@system/A", "etc/credstore/A", "usr/lib/credstore/A"), 1)],
        [("x", ("usr/lib/credstore/B",), 1)],
        [("x", (), None)],
    ]


def test_what_is_planned_counts_as_if_it_were_there(tree: Build) -> None:
    root = tree([], {"A": b"1"}, files={"run/credstore/GOES": b"old", "usr/lib/credstore/GOES": b"lib"})
    sources = Sources(Tree(str(root)), planned={"NEW": b"new", "GOES": None})
    found = sources.resolve(Request(setting="ImportCredential", source="*"), SEARCH_PATH)
    assert [(source.name, sources.value(source)) for source in found] == [
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
    assert [source.paths for source in everything] == [("etc/credstore/A",), ("etc/credstore/B", "usr/lib/credstore/B")]
    assert [source.paths for source in files] == [("usr/lib/credstore/B",)]
