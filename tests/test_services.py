"""Stories of `services`: a guest's tree with its units, and what is said about each credential they request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Build
from test_capture import survivors
from test_cli import SECRET, run

from guestcred.guest.deliveries import Consumer, Delivered
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, SET, Request, Unit

KEY = b"io.systemd.credential:KEY=" + SECRET


def load(identifier: str, source: str, encrypted: bool = False) -> Request:
    setting = LOAD_ENCRYPTED if encrypted else LOAD
    return Request(setting=setting, id=identifier, source=source, required=source.startswith("/"))


def imports(pattern: str, prefix: str = "") -> Request:
    return Request(setting=IMPORT, id=prefix, source=pattern)


def default(identifier: str, size: int = 2) -> Request:
    return Request(setting=SET, id=identifier, size=size)


def given(name: str, size: int = 14, readable: bool | None = True) -> Delivered:
    return Delivered(name, size, 0o440, 0, readable)


def consumer(
    *requests: Request,
    delivered: tuple[Delivered, ...] | None = None,
    running: bool = True,
    user: str = "svc",
    only_stops: bool = False,
    name: str = "demo.service",
) -> Consumer:
    state = "active" if running else "inactive"
    return Consumer(Unit(name, state, running, user, None, f"run/credentials/{name}", only_stops, requests), delivered)


def told(root: Path, *arguments: str, status: int | None = None) -> dict[str, Any]:
    document = json.loads(run("--root", root, *arguments, "services", "--format", "json", status=status))
    assert isinstance(document, dict) and document["schema"] == "guestcred.services/1"
    assert document["verdict"] == ("findings" if document["findings"] else "agrees")
    return document


def outcomes(root: Path, *arguments: str) -> dict[str, tuple[str, str | None, int | None]]:
    """State, source below the root and size of every credential of all units."""
    return {
        credential["id"]: (
            credential["state"],
            credential["source"] and credential["source"].removeprefix(f"{root}/"),
            credential["size"],
        )
        for service in told(root, *arguments)["services"]
        for credential in service["credentials"]
    }


def codes(root: Path) -> list[str]:
    return [finding["code"] for finding in told(root)["findings"]]


def test_all_is_well(tree: Build) -> None:
    root = tree(
        [KEY],
        {"KEY": SECRET},
        files={"etc/credstore/KEY": SECRET},
        units=[consumer(load("key", "KEY"), default("region"), delivered=(given("key"), given("region", 2)))],
    )
    assert run("--root", root, "services").replace(str(root), "") == (
        "agrees: 1 unit with 2 credentials (systemd 257)\n"
        "\n"
        "demo.service  active, user svc\n"
        "  delivered    key     14 bytes  /run/credentials/@system/KEY  shadows /etc/credstore/KEY\n"
        "  delivered    region   2 bytes  SetCredential=\n"
    )


def test_nothing_has_it_and_systemd_says_nothing(tree: Build) -> None:
    root = tree(units=[consumer(load("key", "KEY"), delivered=())])
    assert run("--root", root, "services", status=1) == (
        "findings: 1 unit with 1 credential (systemd 257)\n"
        "\n"
        "demo.service  active, user svc\n"
        "  skipped      key    no source has KEY\n"
        "\n"
        "no-source: demo.service requests KEY, no source has it, and systemd skips it in silence.\n"
        "  fix: offer it on the host as 'io.systemd.credential:KEY=...'; to make its absence fatal, "
        "type 'systemctl edit demo.service' and write [Service] ExecStartPre=/usr/bin/test -e %d/key.\n"
    )
    assert told(root, status=1)["services"] == [
        {
            "unit": "demo.service",
            "state": "active",
            "running": True,
            "user": "svc",
            "credentials": [
                {
                    "id": "key",
                    "state": "skipped",
                    "setting": "LoadCredential",
                    "name": "KEY",
                    "source": None,
                    "shadowed": [],
                    "required": False,
                    "encrypted": False,
                    "size": None,
                    "mode": None,
                    "owner": None,
                    "readable": None,
                }
            ],
        }
    ]


def test_a_socket_is_made_to_fail_by_an_absolute_path(tree: Build) -> None:
    root = tree(units=[consumer(load("key", "KEY"), name="demo.socket", running=False)])
    assert "[Socket] LoadCredential=key:/run/credentials/@system/KEY." in run("--root", root, "services", status=1)


def test_states_of_a_relative_name(tree: Build) -> None:
    requests = [load("there", "A"), load("late", "B"), load("gone", "C"), load("defaulted", "D"), default("defaulted")]
    files = {"etc/credstore/A": b"abc", "usr/lib/credstore/B": b"abcd"}
    running = tree(units=[consumer(*requests, delivered=(given("there", 3), given("gone", 9)))], files=files)
    assert outcomes(running) == {
        "there": ("delivered", "etc/credstore/A", 3),
        "late": ("undelivered", "usr/lib/credstore/B", 4),
        "gone": ("delivered", None, 9),
        "defaulted": ("undelivered", "SetCredential=", 2),
    }
    assert codes(running) == ["undelivered", "undelivered"]
    assert "systemctl restart demo.service" in run("--root", running, "services", status=1)
    stopped = tree(units=[consumer(*requests, running=False)], files=files, root="stopped")
    assert [state for state, *_ in outcomes(stopped).values()] == ["ready", "ready", "skipped", "ready"]
    assert codes(stopped) == ["no-source"]


def test_an_absolute_path_is_required(tree: Build) -> None:
    requests = [
        load("there", "/etc/a"),
        load("gone", "/etc/b"),
        load("defaulted", "/etc/c"),
        default("defaulted"),
        load("socket", "/run/s"),
        load("certs", "/etc/d"),
    ]
    outside = {"/etc/a": 7, "/run/s": None, "/etc/d/": None, "/etc/d/x": 1, "/etc/d/sub/": None, "/etc/d/sub/y": 2}
    root = tree(units=[consumer(*requests, running=False)], outside=outside)
    assert outcomes(root) == {
        "there": ("ready", "etc/a", 7),
        "gone": ("fatal", None, None),
        "defaulted": ("ready", "SetCredential=", 2),
        "socket": ("ready", "run/s", None),
        "certs_x": ("ready", "etc/d/x", 1),
        "certs_sub_y": ("ready", "etc/d/sub/y", 2),
    }
    assert "demo.service requires /etc/b, which does not exist: it cannot start (status 243)" in run(
        "--root", root, "services", status=1
    )


def test_imports_rename_and_find_nothing(tree: Build) -> None:
    root = tree(
        system={"TLS_KEY": b"1", "my.x": b"22", "other": b"3"},
        files={"run/credstore/TLS_CERT": b"333", "etc/credstore.encrypted/TLS_EXTRA": b"cipher"},
        units=[consumer(imports("TLS_*"), imports("my.*", "new."), imports("NONE_*"), imports("exact"), running=False)],
    )
    assert outcomes(root) == {
        "TLS_CERT": ("ready", "run/credstore/TLS_CERT", 3),
        "TLS_EXTRA": ("ready", "etc/credstore.encrypted/TLS_EXTRA", None),
        "TLS_KEY": ("ready", "run/credentials/@system/TLS_KEY", 1),
        "new.x": ("ready", "run/credentials/@system/my.x", 2),
        "NONE_*": ("nothing", None, None),
        "exact": ("skipped", None, None),
    }
    assert codes(root) == ["no-source", "unrequested"]


def test_an_import_and_a_default_stand_in_for_a_loaded_one(tree: Build) -> None:
    root = tree(
        system={"a": b"1"},
        units=[consumer(load("a", "A"), load("b", "/b"), imports("a"), default("a"), default("b"), running=False)],
    )
    assert outcomes(root) == {"a": ("ready", "run/credentials/@system/a", 1), "b": ("ready", "SetCredential=", 2)}
    assert told(root, status=0)["findings"] == []


def test_a_loaded_one_comes_before_an_imported_one(tree: Build) -> None:
    root = tree(
        system={"A": b"1", "B": b"22"},
        units=[consumer(load("A", "B"), imports("*"), running=False)],
    )
    assert outcomes(root)["A"] == ("ready", "run/credentials/@system/B", 2)
    assert told(root, status=0)["services"][0]["credentials"][1]["id"] == "B"


def test_encrypted_places(tree: Build) -> None:
    files = {"etc/credstore/A": b"plain", "run/credentials/@encrypted/A": b"cipher"}
    requests = [load("plain", "A"), load("cipher", "A", encrypted=True)]
    root = tree(units=[consumer(*requests, running=False)], files=files)
    # since 254 LoadCredential= looks there too, first, and does not decrypt what it finds
    assert outcomes(root) == {
        "plain": ("ready", "run/credentials/@encrypted/A", 6),
        "cipher": ("ready", "run/credentials/@encrypted/A", None),
    }
    assert outcomes(root, "--systemd", "252")["plain"] == ("ready", "etc/credstore/A", 5)
    assert codes(root) == ["undecrypted"]
    assert "LoadCredentialEncrypted=plain:A" in run("--root", root, "services", status=1)


def of_guestcred(*requests: Request) -> Consumer:
    unit = Unit("demo.service", "configured", True, "svc", None, "run/guestcred/demo.service", False, requests)
    return Consumer(unit, None)


def test_what_apply_delivers_is_never_looked_for_in_encrypted_places(tree: Build) -> None:
    files = {"etc/credstore.encrypted/A": b"cipher", "etc/credstore.encrypted/T_E": b"cipher", "etc/credstore/A": b"a"}
    root = tree(units=[of_guestcred(load("a", "A"), imports("T_*"))], files=files)
    assert outcomes(root) == {"a": ("undelivered", "etc/credstore/A", 1), "T_*": ("nothing", None, None)}
    assert codes(root) == ["undelivered"]


def test_what_apply_requires_and_nothing_has(tree: Build) -> None:
    requests = [
        Request("LoadCredential", "a", "/etc/a", False, None),
        Request("LoadCredential", "b", "/etc/b", True, None),
        imports("T_*"),
        Request("ImportCredential", "", "T_KEY", True, None),
    ]
    root = tree(units=[of_guestcred(*requests)])
    assert {name: state for name, (state, *_) in outcomes(root).items()} == {
        "a": "skipped",
        "b": "fatal",
        "T_*": "nothing",
        "T_KEY": "fatal",
    }
    assert [finding["hint"] for finding in told(root)["findings"]] == [
        'make that file; to make its absence an error, write required = ["a"] into its table',
        'make that file, or give a default with set = ["b:VALUE"]',
        "offer it on the host as 'io.systemd.credential:T_KEY=...', or give a default with set = [\"T_KEY:VALUE\"]",
    ]


def test_unreadable_by_its_user(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET}, units=[consumer(load("key", "KEY"), delivered=(given("key", readable=False),))])
    printed = run("--root", root, "services", status=1)
    assert "demo.service runs as svc, who cannot read its key (mode 0440, owner 0)" in printed
    assert outcomes(root)["key"][0] == "unreadable" and codes(root) == ["unreadable"]
    unknown = tree(
        [KEY], {"KEY": SECRET}, units=[consumer(load("key", "KEY"), delivered=(given("key", readable=None),))], root="u"
    )
    assert codes(unknown) == []


def test_commands_to_stop_only(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET}, units=[consumer(load("key", "KEY"), running=False, only_stops=True)])
    assert codes(root) == ["only-stop"]


def test_nobody_requests_it(tree: Build) -> None:
    ssh = b"io.systemd.credential:ssh.authorized_keys.root=x"
    root = tree(
        [KEY, ssh],
        {"IDLE": SECRET, "GLOBBED": b"1", "ABS": b"2", "sysctl.extra": b"3"},
        units=[consumer(imports("GLOB*"), load("abs", "/run/credentials/@system/ABS"), running=False)],
        outside={"/run/credentials/@system/ABS": 1},
    )
    assert "no loaded unit requests IDLE and KEY, which are offered" in run("--root", root, "services", status=1)
    assert codes(root) == ["unrequested"]
    # of one unit alone it cannot be said
    run("--root", root, "services", "demo")


@pytest.mark.parametrize("value", [b"", b"="])
@pytest.mark.parametrize("requested", [False, True])
def test_a_secret_whose_name_was_forgotten_is_not_told(
    tree: Build, tmp_path: Path, value: bytes, requested: bool
) -> None:
    bare = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjI" if not value else "aHVudGVyMi1odW50ZXIyIQ"
    file = given(bare, len(value))
    units = [consumer(imports("*"), delivered=(file,))] if requested else [consumer(default("x"), delivered=(file,))]
    root = tree([b"io.systemd.credential:" + bare.encode() + b"=" + value], {bare: value}, units=units)
    run("--root", root, "capture", tmp_path / "out")
    assert bare[5:] not in (tmp_path / "out/units.json").read_text()
    printed = [run("--root", root, "services", "--format", form, status=None) for form in ("text", "json")]
    assert not [text for text in printed if bare[5:] in text] and all("aHVu..." in text for text in printed)
    (root / "sys/firmware/dmi/tables/DMI").unlink()
    assert bare[5:] not in run("--root", root, "services", status=None)
    (root / "run/credentials/@system" / bare).unlink()
    assert bare[5:] not in run("--root", root, "services", status=None)


def test_what_systemd_itself_asks_for_in_case_is_told_where_it_is_there(tree: Build) -> None:
    units = [consumer(load("tmpfiles.extra", "tmpfiles.extra"), imports("login.*"), user="", name="s.service")]
    assert run("--root", tree(units=units), "services") == "agrees: no credentials are requested (systemd 257)\n"
    root = tree(units=units, system={"login.motd": b"hello"}, root="there")
    assert outcomes(root) == {"login.motd": ("undelivered", "run/credentials/@system/login.motd", 5)}


def test_one_unit(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET}, units=[consumer(load("key", "KEY")), consumer(load("x", "X"), name="x.socket")])
    for name in ("demo", "demo.service"):
        assert "x.socket" not in run("--root", root, "services", name, status=1)
    assert "no credentials are requested" in run("--root", root, "services", "other")
    assert run("--root", root, "services", "dmeo", status=2) == (
        "guestcred: error: there is no unit dmeo.service\nguestcred: hint: is it demo.service?\n"
    )
    assert "'guestcred services'" in run("--root", root, "services", "zzzzzzzz", status=2)


def test_a_tree_without_units(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET})
    printed = run("--root", root, "services", status=3)
    assert f"there is no {root}/units.json" in printed and "guestcred capture DIR" in printed
    run("--root", root, "capture", root / "again")
    assert not (root / "again/units.json").exists()


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"[]",
        b"[" * 200_000,
        b'{"schema": "guestcred.units/99", "units": [], "delivered": {}, "outside": {}, "others": []}',
        b'{"schema": "guestcred.units/1", "units": {}, "delivered": {}, "outside": {}, "others": []}',
        b'{"schema": "guestcred.units/1", "units": [], "delivered": {}, "outside": {"/a": Infinity}, "others": []}',
        b'{"schema": "guestcred.units/1", "units": [], "delivered": {}, "outside": {"/a": true}, "others": []}',
        b'{"schema": "guestcred.units/1", "units": [], "delivered": {}, "outside": {}, "others": "abc"}',
        b'{"schema": "guestcred.units/1", "units": [], "delivered": {}, "outside": {}, "others": [1]}',
        b"{}",
        b'{"units": [{}], "delivered": {}, "outside": {}, "others": []}',
        b'{"units": [], "delivered": {"a": 1}, "outside": {}, "others": []}',
        b'{"units": [], "delivered": {}, "outside": {"/a": "x"}, "others": []}',
        b'{"units": [], "delivered": {}, "outside": {}, "others": ["\\u001b[31m"]}',
    ],
)
def test_units_that_are_not_ours(tree: Build, damage: bytes) -> None:
    assert "it is not guestcred.units/1" in run("--root", tree(files={"units.json": damage}), "services", status=3)


def test_a_capture_says_the_same_and_holds_no_secret(tree: Build, tmp_path: Path) -> None:
    root = tree(
        [KEY],
        {"KEY": SECRET},
        files={
            "etc/credstore/KEY": SECRET,
            "run/credstore/RESCUED": SECRET * 2,
            "usr/lib/credstore.encrypted/C": SECRET,
            "run/credentials/@encrypted/C": SECRET,
        },
        units=[
            consumer(load("key", "KEY"), load("r", "RESCUED"), load("c", "C", True), delivered=(given("key"),)),
            consumer(load("abs", "/etc/abs"), imports("R*"), running=False, name="two.service", only_stops=True),
        ],
        outside={"/etc/abs": 5},
    )
    run("--root", root, "capture", tmp_path / "out")
    for form in ("text", "json"):
        printed = [
            run("--root", where, "services", "--format", form, status=1).replace(str(where), "")
            for where in (root, tmp_path / "out")
        ]
        assert printed[0] == printed[1]
    assert not survivors(tmp_path / "out", [SECRET, SECRET[:8]])
    assert len((tmp_path / "out/run/credstore/RESCUED").read_bytes()) == 2 * len(SECRET)
