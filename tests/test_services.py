"""Stories of `services`: a guest's tree with its units, and what is said about each credential they request."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from conftest import Build
from test_capture import survivors
from test_cli import SECRET, run, without_smbios

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
        "no-source: demo.service goes without KEY: no source has it, and systemd skips it in silence.\n"
        "  fix: hand it over on the host: KEY=FILE for 'guestcred launch' or 'encode'; to make its absence fatal, "
        "type 'systemctl edit demo.service' and write:\n"
        "    [Service]\n"
        "    ExecStartPre=/usr/bin/test -e %d/key\n"
    )
    assert told(root, status=1)["services"] == [
        {
            "unit": "demo.service",
            "state": "active",
            "running": True,
            "user": "svc",
            "failure": None,
            "refused": None,
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
                    "reason": None,
                    "rescued": False,
                }
            ],
            "manager": None,
        }
    ]


@pytest.mark.parametrize(
    ("name", "systemd", "code"),
    [
        ("demo.socket", "262", "not-given"),
        ("demo.swap", "262", "not-given"),
        ("demo.mount", "257", "not-given"),
        ("demo.mount", "258", "required"),
    ],
)
def test_types_of_units_that_systemd_gives_none(tree: Build, name: str, systemd: str, code: str) -> None:
    requests = [load("key", "KEY"), load("gone", "/etc/gone")]
    root = tree([KEY], {"KEY": SECRET}, units=[consumer(*requests, name=name, running=False)])
    document = told(root, "--systemd", systemd, status=1)
    assert [finding["code"] for finding in document["findings"]] == [code]
    states = ["undelivered", "skipped"] if code == "not-given" else ["fatal", "ready"]
    assert sorted(outcome["state"] for outcome in document["services"][0]["credentials"]) == sorted(states)


def test_a_mount_is_made_to_fail_by_an_absolute_path(tree: Build) -> None:
    root = tree(units=[consumer(load("key", "KEY"), name="demo.mount", running=False)])
    lines = "    [Mount]\n    LoadCredential=key:/run/credentials/@system/KEY\n"
    assert run("--root", root, "--systemd", "258", "services", status=1).endswith(lines)


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
        'make that file, or give a default with set = ["b:VALUE"]',
        "hand it over on the host: T_KEY=FILE for 'guestcred launch' or 'encode', "
        'or give a default with set = ["T_KEY:VALUE"]',
        'make that file; to make its absence an error, write below [services.demo] in its TOML file:\nrequired = ["a"]',
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
    assert not [text for text in printed if bare[5:] in text] and all("characters hidden]" in text for text in printed)
    (root / "sys/firmware/dmi/tables/DMI").unlink()
    assert bare[5:] not in run("--root", root, "services", status=None)
    (root / "run/credentials/@system" / bare).unlink()
    assert bare[5:] not in run("--root", root, "services", status=None)


@pytest.mark.parametrize("requested", [imports("db.*", "app."), imports("db.k9*", "app."), imports("*", "app.")])
def test_a_renamed_secret_whose_name_was_forgotten_is_not_told(tree: Build, requested: Request) -> None:
    bare = "db.k9Qz7LmP2xW4vT8r"
    root = tree([b"io.systemd.credential:" + bare.encode() + b"="], {bare: b""}, units=[consumer(requested)])
    for command in (["services"], ["services", "--format", "json"], ["status", "-v"], ["status", "--html", "-"]):
        told = run("--root", root, *command, status=None)
        assert "7LmP2xW4vT8r" not in told and "characters hidden]" in told, command


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
        "guestcred: error: there is no unit dmeo.service\nguestcred: hint: did you mean demo.service?\n"
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


MIB = 1 << 20
REFUSED = [
    # what is requested, what is there, and the words
    ([load("a", "/srv/x")], {"/srv/x": MIB + 1}, {}, "cannot start (status 243) with a: /srv/x is larger than 1048576 bytes"),
    ([load("a", "/srv/x")], {"/srv/x": MIB}, {}, "cannot start (status 243): its credentials and their ids have more"),
    ([load("a", "/d")], {"/d/": None, **{f"/d/{n:03}": 1 for n in range(257)}}, {}, "take more than 256 pages of 4096"),
    ([load("a", "A")], {}, {"etc/credstore/A": "folder"}, "with a: /etc/credstore/A is a folder, and systemd reads files"),
    ([imports("A*")], {}, {"etc/credstore/AB": "folder"}, "with AB: /etc/credstore/AB is a folder"),
    ([imports("A*")], {}, {"run/credstore/AB": "dangling"}, "with AB: /run/credstore/AB is a link to nothing"),
    ([load("a", "/l")], {}, {"/l": "loop"}, "with a: /l is a link that leads back to itself"),
    ([load("a", "/d")], {"/d/": None, "/d/b:c": 1}, {}, "characters hidden], which systemd refuses"),
    ([load("a", "/s")], {"/s": None}, {"/s": "deaf"}, "nobody listens on the socket /s"),
    ([load("a", "/d")], {"/d/": None, "/d/s": None}, {"/d/s": "socket"}, "/d/s is a socket, and systemd connects to none"),
    ([load("a", "/f/")], {"/f": 1}, {}, "/f is a file, and the setting has a slash behind it"),
    ([load("a b", "/f")], {"/f": 1}, {}, "cannot start (status 1) with a b: systemd 255 and newer cannot read"),
    ([load("a", "/x\\y")], {"/x\\y": 1}, {}, "cannot start (status 243) with a: systemd 255 and newer drop a backslash"),
]  # fmt: skip


@pytest.mark.parametrize(("requests", "outside", "odd", "words"), REFUSED, ids=range(len(REFUSED)))
def test_a_unit_that_cannot_start(
    tree: Build, requests: list[Request], outside: dict[str, int | None], odd: dict[str, str], words: str
) -> None:
    root = tree(units=[consumer(*requests, running=False)], outside=outside, odd=odd)
    printed = run("--root", root, "services", status=1).replace(f"{root}/", "/")
    assert "refused: demo.service " in printed and words in printed
    document = told(root, status=1)
    assert [finding["code"] for finding in document["findings"]] == ["refused"]
    (service,) = document["services"]
    reasons = [outcome["reason"] for outcome in service["credentials"] if outcome["reason"]]
    assert len(reasons) + (service["refused"] is not None) == 1
    assert all(outcome["state"] == "fatal" for outcome in service["credentials"] if outcome["reason"])


def test_a_running_unit_that_will_not_start_again(tree: Build) -> None:
    root = tree(units=[consumer(load("a", "/x"), delivered=(given("a"),))], outside={"/x": MIB + 1})
    assert outcomes(root)["a"][0] == "delivered"
    assert "demo.service will not start again (status 243) with a: " in run("--root", root, "services", status=1)


SEALED: list[tuple[Request, str, Any, str]] = [
    (load("a", "/x", encrypted=True), "a:x", "not-encrypted", "is not encrypted, or damaged"),
    (load("a", "/x", encrypted=True), "a:x", "other-name", "was encrypted for another name than a"),
    (load("a", "/x", encrypted=True), "a:x", "undecryptable", "systemd cannot decrypt /x"),
    (imports("E*"), "EE:etc/credstore.encrypted/EE", "other-name", "for another name than EE"),
    (Request("SetCredentialEncrypted", "a", "", False, 9), "a:demo.service", "other-name", "its value of a was encrypted for"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "key", "verdict", "words"), SEALED, ids=range(len(SEALED)))
def test_what_systemd_does_not_decrypt(tree: Build, request_: Request, key: str, verdict: Any, words: str) -> None:
    files = {"etc/credstore.encrypted/EE": b"x"}
    units = [consumer(request_, running=False)]
    root = tree(units=units, files=files, outside={"/x": 5}, sealed={key: verdict})
    printed = run("--root", root, "services", status=1).replace(f"{root}/", "/")
    assert "refused: demo.service cannot start (status 243)" in printed and words in printed
    assert codes(tree(units=units, files=files, outside={"/x": 5}, sealed={key: 5}, root="right")) == []


def test_a_pattern_passes_over_what_newer_systemd_cannot_decrypt(tree: Build) -> None:
    units = [consumer(imports("E*"), default("EF"), running=False)]
    files = {"etc/credstore.encrypted/EE": b"x", "etc/credstore.encrypted/EF": b"x"}
    sealed = dict.fromkeys((f"{name}:etc/credstore.encrypted/{name}" for name in ("EE", "EF")), "other-name")
    root = tree(units=units, files=files, sealed=sealed)
    assert {name: state for name, (state, *_) in outcomes(root, "--systemd", "258").items()} == {
        "EE": "fatal",
        "EF": "fatal",
    }
    assert {name: state for name, (state, *_) in outcomes(root, "--systemd", "259").items()} == {
        "EE": "skipped",
        "EF": "ready",
    }
    printed = run("--root", root, "--systemd", "262", "services", status=1)
    assert "no-source: demo.service starts without EE: " in printed and "EF was" not in printed


def test_the_size_of_what_is_decrypted_counts(tree: Build) -> None:
    units = [consumer(load("a", "/x", encrypted=True), load("b", "/y"), running=False)]
    outside: dict[str, int | None] = {"/x": 5, "/y": MIB - 5000}
    assert codes(tree(units=units, outside=outside, sealed={"a:x": 10})) == []
    assert codes(tree(units=units, outside=outside, sealed={"a:x": 5000}, root="large")) == ["refused"]


def test_a_file_of_a_folder_and_another_id_of_one_name(tree: Build) -> None:
    requests = [load("d", "/d"), load("d_a", "/x")]
    root = tree(units=[consumer(*requests, running=False)], outside={"/d/": None, "/d/a": 1, "/x": 2})
    assert told(root, "--systemd", "257", status=0)["findings"] == []
    printed = run("--root", root, "--systemd", "262", "services", status=1)
    assert "demo.service may fail to start (status 243) with d_a: a folder and another setting both give d_a" in printed


def test_imports_of_254_write_over_what_is_there(tree: Build) -> None:
    root = tree(
        system={"A": b"1"},
        files={"etc/credstore/A": b"22", "run/credstore/A": b"333"},
        units=[consumer(load("A", "B"), load("C", "/c"), imports("A"), default("A"), running=False)],
        outside={"/c": 1},
    )
    assert outcomes(root, "--systemd", "254")["A"] == ("ready", "run/credstore/A", 3)
    assert outcomes(root, "--systemd", "257")["A"] == ("ready", "run/credentials/@system/A", 1)
    loaded = tree(
        system={"A": b"1", "B": b"22"}, units=[consumer(load("A", "B"), imports("A"), running=False)], root="l"
    )
    assert outcomes(loaded, "--systemd", "254")["A"] == ("ready", "run/credentials/@system/A", 1)
    assert outcomes(loaded, "--systemd", "257")["A"] == ("ready", "run/credentials/@system/B", 2)


def test_a_pattern_stands_in_for_no_absolute_path(tree: Build) -> None:
    root = tree(system={"a": b"1"}, units=[consumer(load("a", "/gone"), imports("a"), running=False)])
    assert codes(root) == ["required"] and outcomes(root)["a"] == ("fatal", None, None)


def test_one_folder_with_and_without_a_slash(tree: Build) -> None:
    units = [consumer(load("a", "/d/"), running=False), consumer(load("b", "/d"), running=False, name="b.service")]
    root = tree(units=units, outside={"/d/": None, "/d/x": 1})
    assert list(outcomes(root)) == ["a_x", "b_x"]


def test_what_is_no_file_in_a_folder_is_passed_over(tree: Build) -> None:
    outside: dict[str, int | None] = {"/d/": None, "/d/pipe": None, "/d/null": None, "/d/x": 1}
    root = tree(units=[consumer(load("a", "/d"))], outside=outside, odd={"/d/pipe": "fifo", "/d/null": "device"})
    assert outcomes(root) == {"a_x": ("undelivered", "d/x", 1)}


@pytest.mark.parametrize("words", ["Failed at step CREDENTIALS spawning /bin/x: Protocol error", ""])
@pytest.mark.parametrize("mended", [False, True])
def test_a_unit_that_failed_at_its_credentials(tree: Build, words: str, mended: bool) -> None:
    unit = consumer(load("a", "/x"), running=False).unit.replace(state="failed", failure=words)
    root = tree(units=[Consumer(unit, None)], outside={"/x": 1 if mended else MIB + 1})
    printed = run("--root", root, "services", status=1)
    said = f": {words}." if words else ", and the journal does not say why."
    assert f"failed: demo.service failed at its credentials (status 243){said}\n" in printed
    assert ("systemctl restart demo.service" in printed) is mended
    assert codes(root) == (["failed"] if mended else ["failed", "refused"])
    assert told(root)["services"][0]["failure"] == words


def test_other_names_and_units_that_are_none(tree: Build) -> None:
    look = {
        "aliases": {"other.service": "demo.service"},
        "unusable": {"off.service": "masked", "bad.service": "bad-setting", "gone.service": "not-found"},
    }
    root = tree(system={"A": b"1"}, units=[consumer(load("a", "A"), running=False)], look=look)
    assert run("--root", root, "services", "other") == run("--root", root, "services", "demo")
    assert "off.service is masked" in run("--root", root, "services", "off", status=2)
    assert "systemd could not load bad.service (bad-setting)" in run("--root", root, "services", "bad", status=2)
    assert "there is no unit gone.service" in run("--root", root, "services", "gone", status=2)


def test_units_of_user_managers_are_said_not_to_be_looked_at(tree: Build) -> None:
    root = tree(units=[], look={"managers": ("user@1000.service",)})
    said = run("--root", root, "services")
    assert "not looked at: the units of user@1000.service" in said and "guestcred services --user 1000" in said
    assert "captured tree does not have the units" in run("--root", root, "services", "--user", "root", status=2)
    assert told(root)["user_managers"] == ["user@1000.service"]
    assert "not looked at" not in run("--root", tree(units=[], root="none"), "services")


def test_an_older_capture_has_less_to_say(tree: Build) -> None:
    root = tree(system={"A": b"1"}, units=[consumer(load("a", "A"), running=False)])
    document = json.loads((root / "units.json").read_text())
    for key in ("aliases", "unusable", "managers", "odd", "sealed"):
        del document[key]
    del document["units"][0]["failure"]
    (root / "units.json").write_text(json.dumps(document))
    assert outcomes(root) == {"a": ("ready", "run/credentials/@system/A", 1)}


def test_a_capture_judges_what_is_no_file_the_same(tree: Build, tmp_path: Path) -> None:
    secret = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjI"
    root = tree(
        units=[
            consumer(imports("*"), load("f", "FOLDER"), load("d", "/d"), running=False),
            consumer(load("e", "/srv/Sealed-0ther", encrypted=True), running=False, name="e.service"),
        ],
        outside={"/d/": None, "/d/b:c": 1, "/d/\u00e4": 1, "/srv/Sealed-0ther": 5},
        files={"etc/credstore/FOLDER/in": b"x", "etc/credstore.encrypted/E": SECRET},
        odd={"etc/credstore/FOLDER": "folder", "etc/credstore/S": "socket", f"run/credstore/{secret}": "dangling"},
        sealed={"E:etc/credstore.encrypted/E": "other-name", "e:srv/Sealed-0ther": "undecryptable"},
    )
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "etc/credstore/S"))
    run("--root", root, "capture", tmp_path / "out")
    documents = [told(where, status=1) for where in (root, tmp_path / "out")]
    # noise for a name may sort elsewhere
    before, after = (
        sorted(str(outcome["reason"]) for service in document["services"] for outcome in service["credentials"])
        for document in documents
    )
    refused = ["dangling", "folder", "folder", "invalid-id", "invalid-id", "other-name", "socket", "undecryptable"]
    assert before == after == refused
    assert secret not in (tmp_path / "out/units.json").read_text() + json.dumps(documents)


def test_a_pattern_finds_in_a_capture_what_it_found_in_the_guest(tree: Build, tmp_path: Path) -> None:
    root = tree(
        system={f"g6-{SECRET.decode()}": b"="},
        units=[consumer(imports("g6-*"), running=False), consumer(imports("hu*"), running=False, name="short.service")],
        files={
            "etc/credstore/g6-xq7w": b"",
            "etc/credstore/hunter-xq7w": b"",
            "etc/credstore.encrypted/g6-sealed": SECRET,
        },
        odd={"etc/credstore/g6-Mixed-Up1": "socket"},
        sealed={"g6-sealed:etc/credstore.encrypted/g6-sealed": "other-name"},
    )
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "etc/credstore/g6-Mixed-Up1"))
    run("--root", root, "capture", tmp_path / "out")
    before, after = (
        [
            sorted((outcome["id"], outcome["state"]) for outcome in service["credentials"])
            for service in told(where, status=1)["services"]
        ]
        for where in (root, tmp_path / "out")
    )
    states = {12: "fatal", 17: "ready", 7: "ready"}
    hidden = [(f"[{size} characters hidden]", state) for size, state in states.items()]
    assert before[0] == after[0] == [*hidden, ("g6-sealed", "fatal")]
    # what does not end in a separator may be the front of a secret
    assert before[1] == [("[11 characters hidden]", "ready")] and after[1] == [("hu*", "nothing")]


STORED = ("run/credstore", "etc/credstore.encrypted", "run/credentials/@encrypted")


def test_why_finds_what_lies_in_a_store(tree: Build) -> None:
    root = tree([], {}, units=[consumer(load("mine", "KEY"), running=False)], files={"run/credstore/KEY": b"12345"})
    document = json.loads(run("--root", root, "why", "KEY", "--json", status=0))
    assert (document["status"], document["cause"], document["finding"]) == ("stored", None, None)
    assert (document["reached"], document["units"], document["warnings"]) == ("requested", [], [])
    assert "not-offered" in run("--root", root, "why", "../credstore/KEY", status=1)


def test_why_answers_in_a_container_that_was_handed_nothing(tree: Build) -> None:
    units = [consumer(load(name, name), running=False, name=f"{name}.service") for name in ("ASKED", "BOTH")]
    files = {"run/credstore/STORED": b"v", "etc/credstore/BOTH": b"v"}
    root = without_smbios(tree([], container="systemd-nspawn", units=units, files=files))
    assert run("--root", root, "why", "STORED").startswith(f"ok    stored    {root}/run/credstore/STORED, 1 byte\n")
    assert "BOTH.service will have it as BOTH" in run("--root", root, "why", "BOTH")
    printed = run("--root", root, "why", "ASKED", status=1)
    assert "ASKED did not arrive: the manager of this container does not hand it over.\n  fix: pass" in printed
    for command in (["why", "NOBODY"], ["check"], ["status"]):
        assert "there is no DMI table" in run("--root", root, *command, status=3)


def test_why_names_all_stores_in_the_order_of_systemd(tree: Build) -> None:
    root = tree(
        [],
        {},
        units=[consumer(load("mine", "KEY"), running=False)],
        files={f"{folder}/KEY": b"12345" for folder in STORED},
    )
    document = json.loads(run("--root", root, "why", "KEY", "--json", status=1))
    assert [stage["evidence"] for stage in document["stages"] if stage["stage"] == "stored"] == [
        f"{root}/run/credstore/KEY, 5 bytes",
        f"{root}/run/credentials/@encrypted/KEY, 5 bytes, encrypted, brought by the boot loader",
        f"{root}/etc/credstore.encrypted/KEY, 5 bytes, encrypted",
    ]
    assert [finding["code"] for finding in document["units"]] == ["undecrypted"]  # it gets what is still encrypted


@pytest.mark.parametrize(
    ("folder", "setting"), [(STORED[0], LOAD), (STORED[1], LOAD_ENCRYPTED), (STORED[2], LOAD_ENCRYPTED)]
)
def test_what_lies_in_a_store_and_no_unit_requests(tree: Build, folder: str, setting: str) -> None:
    root = tree([], {}, units=[], files={f"{folder}/KEY": b"12345"})
    printed = run("--root", root, "why", "KEY", status=0)
    assert "no loaded unit requests KEY." in printed
    assert f"write {setting}=KEY into the unit that needs it, or remove the file" in printed


def test_why_follows_what_units_set_themselves(tree: Build) -> None:
    root = tree([], {}, units=[consumer(default("region"), delivered=(given("region", 2),))])
    document = json.loads(run("--root", root, "why", "region", "--json", status=0))
    assert (document["status"], document["finding"], document["reached"]) == ("stored", None, "delivered")
    assert [stage["stage"] for stage in document["stages"]] == ["delivered"]


def test_why_says_when_host_and_units_spell_a_name_otherwise(tree: Build) -> None:
    offered = {"strings": [b"io.systemd.credential:APIKEY=v"], "system": {"APIKEY": b"v"}}
    one, two = (consumer(load("api", "API_KEY"), running=False, name=f"{name}.service") for name in ("one", "two"))
    root = tree(**offered, units=[one, two])
    lacking = run("--root", root, "why", "API_KEY", status=1)
    assert "fix: the host offers APIKEY: rename it there, or have the unit request APIKEY." in lacking
    assert "did you mean" not in lacking
    idle = run("--root", root, "why", "APIKEY", status=0)
    assert "hint: 2 units request API_KEY: rename one of the two, on the host or in the unit." in idle
    root = tree(**offered, units=[one], root="alone")
    assert "one.service requests API_KEY: rename one of the two" in run("--root", root, "why", "APIKEY", status=0)


@pytest.mark.parametrize("name", ["DB_PASSWROD", "DBPASSWORD", "db_password"])
def test_why_knows_the_names_that_units_request(tree: Build, name: str) -> None:
    units = [consumer(load("a", "DB_PASSWORD"), imports("JWT_*"), load("b", "/srv/DB_PASSWORD"), running=False)]
    root = tree([], {}, units=units)
    printed = run("--root", root, "why", name, status=1)
    assert "no OEM string at all in " in printed
    assert "did you mean DB_PASSWORD, which demo.service requests? type: guestcred why DB_PASSWORD." in printed
    assert "did you mean" not in run("--root", root, "why", "SOMETHING", status=1)


def test_services_says_what_the_host_offers_instead(tree: Build) -> None:
    strings = [b"io.systemd.credential:APIKEY=v", b"io.systemd.credential:OTHER=v"]
    lacking = consumer(load("api", "API_KEY"), load("db", "DB_PASSWORD"), running=False)
    root = tree(strings, {"APIKEY": b"v", "OTHER": b"v"}, units=[lacking])
    (finding,) = (one for one in told(root, status=1)["findings"] if one["code"] == "no-source")
    assert finding["hint"].startswith(
        "the host offers APIKEY: if that is meant to be API_KEY, rename one of the two; else hand them over"
    )
