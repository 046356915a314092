"""The TOML of services: what it may say, and one error that names file, key and line for what it may not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guestcred.errors import GuestcredError
from guestcred.guest.config import read_services
from guestcred.guest.rootfs import Tree
from guestcred.guest.toml_file import Service

DEMO = '[services.demo]\nuser = "svc"\n'


def put(root: Path, path: str, text: str | bytes) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def refused(root: Path) -> str:
    with pytest.raises(GuestcredError) as caught:
        read_services(Tree(str(root)))
    assert caught.value.status == 2
    return caught.value.problem.replace(str(root), "")


def hint(root: Path) -> str:
    with pytest.raises(GuestcredError) as caught:
        read_services(Tree(str(root)))
    (told,) = caught.value.hints
    return told


def test_a_hint_s_heading_is_toml(tmp_path: Path) -> None:
    for name, written in (("demo-2", "[services.demo-2]"), ("a.b", "[services.'a.b']")):
        put(tmp_path, "etc/guestcred/a.toml", f"[services]\n'{name}' = 1\n")
        assert hint(tmp_path) == f"write {written} and its keys below it"
        put(tmp_path, "etc/guestcred/a.toml", f'{written}\nuser = "svc"\n')
        assert [service.unit for service in read_services(Tree(str(tmp_path)))] == [f"{name}.service"]


def test_the_whole_form(tmp_path: Path) -> None:
    put(tmp_path, "etc/guestcred/a.toml", DEMO + 'load = ["key:KEY", "B", "file:/run/x:y"]\nimport = ["TLS_*"]\nset = ["region:eu:west", "b:"]\nrequired = ["key", "TLS_KEY"]\n')  # fmt: skip
    assert read_services(Tree(str(tmp_path))) == (
        Service(
            unit="demo.service",
            path="etc/guestcred/a.toml",
            user="svc",
            load=(("key", "KEY"), ("B", "B"), ("file", "/run/x:y")),
            imports=("TLS_*",),
            defaults=(("region", b"eu:west"), ("b", b"")),
            required=("key", "TLS_KEY"),
        ),
    )


def test_no_configuration_is_none(tmp_path: Path) -> None:
    assert read_services(Tree(str(tmp_path))) == ()


def test_the_first_of_a_file_name_wins(tmp_path: Path) -> None:
    put(tmp_path, "usr/lib/guestcred/a.toml", "not TOML, and never read")
    put(tmp_path, "usr/lib/guestcred/b.toml", '[services.other]\nuser = "svc"\n')
    put(tmp_path, "run/guestcred/a.toml", "not TOML either")
    put(tmp_path, "etc/guestcred/a.toml", DEMO)
    put(tmp_path, "etc/guestcred/README", "not ours")
    found = read_services(Tree(str(tmp_path)))
    assert [(service.unit, service.path) for service in found] == [
        ("demo.service", "etc/guestcred/a.toml"),
        ("other.service", "usr/lib/guestcred/b.toml"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[servises.demo]\n", ", line 1: '[8 characters hidden]': unknown key"),
        (DEMO + 'lode = ["a"]\n', ", line 3: 'services.demo.lode': unknown key"),
        (DEMO + 'load = "a"\n', ", line 3: 'services.demo.load': not a list of strings"),
        (DEMO + "load = [1]\n", ", line 3: 'services.demo.load': not a list of strings"),
        ("[services.demo]\nuser = 901\n", ", line 2: 'services.demo.user': not a string"),
        ("[services.demo]\nload = []\n", ": 'services.demo.user': missing"),
        ("[services]\ndemo = 1\n", ": 'services.demo': not a table"),
        ("services = 1\n", ": 'services': not a table"),
        ("[[services]]\n", ": 'services': not a table"),
        ("[host]\n", ", line 1: 'host': unknown key"),
        ('[services."a.socket"]\nuser = "svc"\n', ", line 1: 'services.a.socket': no service"),
        (DEMO + 'load = ["a:B", "a:C"]\n', ", line 3: 'services.demo.load': 'a' is there twice"),
        (DEMO + 'set = ["a:hunter2", "a:hunter2"]\n', ", line 3: 'services.demo.set': 'a' is there twice"),
        (DEMO + 'load = ["a:/run/credstore/A"]\n', "a path to what apply itself writes"),
        (DEMO + 'load = ["a:/run/guestcred/x.service/a"]\n', "a path to what apply itself writes"),
        (DEMO + 'load = ["a:/var/run/credstore/A"]\n', "a path to what apply itself writes"),
        (DEMO + 'load = ["a://run/credstore/A"]\n', "a path that is not in its plain form"),
        (DEMO + 'load = ["a:/x\\u001b[31m"]\n', "'services.demo.load': an unprintable character in it"),
        ("x = " + "1" * 5000, ": not TOML: "),
        ('[services."../demo"]\nuser = "svc"\n', ", line 1: 'services.[7 characters hidden]': no name of a service"),
        ('[services."a/b"]\nuser = "svc"\n', ", line 1: 'services.[3 characters hidden]': no name of a service"),
        ('[services.".current"]\nuser = "svc"\n', ", line 1: 'services.[8 characters hidden]': no name of a service"),
        ('[services." "]\nuser = "svc"\n', "no name of a service"),
        ('[services.""]\nuser = "svc"\n', "no name of a service"),
        (f'[services.{"a" * 250}]\nuser = "svc"\n', "no name of a service"),
        (DEMO + 'load = ["../key:KEY"]\n', ", line 3: 'services.demo.load': [6 characters hidden] is no name of a credential"),
        (DEMO + 'load = ["key:../KEY"]\n', ", line 3: 'services.demo.load': [6 characters hidden] is no name of a credential"),
        (DEMO + 'load = ["key:/run/../etc/shadow"]\n', "line 3: 'services.demo.load': a path that is not"),
        (DEMO + 'load = ["key:/"]\n', ", line 3: 'services.demo.load': a path that is not"),
        (DEMO + 'load = [":KEY"]\n', ", line 3: 'services.demo.load': an empty name"),
        (DEMO + 'load = ["a\\u0000b"]\n', ", line 3: 'services.demo.load': a NUL character in it"),
        (DEMO + 'import = ["a*b"]\n', ", line 3: 'services.demo.import': [3 characters hidden]: only a '*' at the end"),
        (DEMO + 'import = ["a/*"]\n', ", line 3: 'services.demo.import': [2 characters hidden] is no name of a credential"),
        (DEMO + 'set = ["hunter2"]\n', ", line 3: 'services.demo.set': a string without ':'"),
        (DEMO + 'set = ["a/b:hunter2"]\n', ", line 3: 'services.demo.set': [3 characters hidden] is no name of a credential"),
        (DEMO + 'load = ["a"]\nrequired = ["b"]\n', ", line 4: 'services.demo.required': nothing in load"),
        ("[services.demo\n", ": not TOML: "),
        ("x = " + "[" * 5000, ": not TOML: "),
        (b"[services.demo]\nuser = '\xff'\n", ", line 2: not UTF-8"),
    ],
)  # fmt: skip
def test_what_has_not_the_right_form(tmp_path: Path, text: str | bytes, expected: str) -> None:
    put(tmp_path, "etc/guestcred/a.toml", text)
    problem = refused(tmp_path)
    assert problem.startswith("/etc/guestcred/a.toml") and expected in problem
    assert "hunter2" not in problem and "\n" not in problem


@pytest.mark.parametrize("second", ["demo", '"demo.service"'])
def test_a_service_in_two_files(tmp_path: Path, second: str) -> None:
    put(tmp_path, "etc/guestcred/a.toml", DEMO)
    put(tmp_path, "usr/lib/guestcred/b.toml", f'[services.{second}]\nuser = "svc"\n')
    assert refused(tmp_path) == "/usr/lib/guestcred/b.toml: services.demo is in /etc/guestcred/a.toml too"


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write(tmp_path: Path, mode: int) -> None:
    put(tmp_path, "etc/guestcred/a.toml", DEMO).chmod(mode)
    assert refused(tmp_path) == "/etc/guestcred/a.toml: may be written by others than its owner"


def test_a_folder_that_others_may_write(tmp_path: Path) -> None:
    put(tmp_path, "etc/guestcred/a.toml", DEMO).parent.chmod(0o777)
    assert refused(tmp_path) == "/etc/guestcred: may be written by others than its owner"
    assert hint(tmp_path) == f"look at what is in it, then type: chmod go-w {tmp_path}/etc/guestcred"


def test_a_folder_that_is_a_link(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/a.toml", DEMO)
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/guestcred").symlink_to("../../elsewhere")
    assert refused(tmp_path).startswith("cannot read /usr/lib/guestcred: ")


@pytest.mark.root
def test_a_file_of_another_user(tmp_path: Path) -> None:
    os.chown(put(tmp_path, "etc/guestcred/a.toml", DEMO), 901, 0)
    assert refused(tmp_path) == "/etc/guestcred/a.toml: not owned by root"
    assert hint(tmp_path) == f"look at what is in it, then type: chown root {tmp_path}/etc/guestcred/a.toml"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "etc/guestcred/a.toml"
    place.parent.mkdir(parents=True)
    if kind == "link":
        place.symlink_to(put(tmp_path, "elsewhere.toml", DEMO))
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    assert refused(tmp_path) == "/etc/guestcred/a.toml: not a regular file"
