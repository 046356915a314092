"""Which names are shown, and in which form the others are."""

from __future__ import annotations

import json

import pytest
from conftest import Build
from test_cli import run
from test_services import consumer, imports, outcomes

from guestcred.smbios.layout import build_structure
from guestcred.systemd.rules import TEXT_PREFIX
from guestcred.systemd.shown import as_typed, quoted, reads_like_a_name, shown, told_alone

NAMES = (
    "A KEY Key key KEY1 wg0 eth0 API_KEY api-key db-password tls.crt JWT_SECRET DB_PASSWORD ENVIRONMENT CLUSTER region "
    "passwd.hashed-password.root network.dns login.motd ssh.authorized_keys.root vmm.notify_socket A_NAME_THAT_IS_JUST_AS_LONG "
    "AN.EMPTY.ONE MY_SERVICE_NAME grafana-admin guestcred.end systemd.extra-unit.foo.service userdb.user.alice "
    "hello Hello x key.x node12 db.node12 key.7 my-x509 HTTP2 MY_VALUE db.xxx key.uncopyrightable"
)
NO_NAMES = (
    "hunter2 hunter2hunter2 tangerine correct-horse-battery-staple correct.horse.battery deadbeef cafebabe 0123456789 "
    "c2VjcmV0LWh1bnRlcjItaHVudGVyMg JBSWY3DPEHPK3PXP JBSWY3DP MFRGG3DF ABCDEFGHIJKLMNOP SuperSecret aGVsbG8 x_-Qw .. . .A A..B "
    "3f2b1c0a-8d4e-4f6a-9b7c-1d2e3f4a5b6c _ - sk_live_4eC39HqLyjWDarjtT1zdp7dc ghp_16C7e42F292c6912E7 AKIAIOSFODNN7EXAMPLE 7 42 "
    "banana node123 db.node123 7.key MY-VALUE TANGERINE key.c2VjcmV0 key.nxtk key.uncopyrightables aB a+b key.SuperSecret"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_what_reads_like_a_name(name: str) -> None:
    assert reads_like_a_name(name.encode()) and shown(name, b"") == name


@pytest.mark.parametrize("name", NO_NAMES.split())
def test_what_may_be_a_secret(name: str) -> None:
    assert not reads_like_a_name(name.encode())
    length = f"[{len(name)} character{'s' if len(name) > 1 else ''} hidden]"
    for rest in (b"", b"=", b"\n", b"=\r\n", b" ", 0, 16):
        assert shown(name, rest) == length
    for value in (b"x", b"=x", b"\nx\n", 17):
        assert shown(name, value) == name


def test_what_systemd_takes_for_no_name_is_escaped() -> None:
    assert shown("a\x1b\udcff", b"x") == "a\\x1b\\xff" and shown("a\x1b\udcff", b"") == "[3 characters hidden]"


def test_a_name_that_was_typed_stays_as_it_is_unless_it_is_none() -> None:
    assert as_typed("tangerine") == "tangerine" and as_typed("a\\b") == "a\\b"
    assert as_typed("a\x1b\udcff") == "a\\x1b\\xff"


def test_a_text_without_a_value_is_told_only_where_it_reads_like_a_name() -> None:
    assert (told_alone("API_KEY"), quoted("API_KEY")) == ("API_KEY", "'API_KEY'")
    assert told_alone("tangerine") == quoted("tangerine") == "[9 characters hidden]"
    assert told_alone("\ud800\xff") == "[5 characters hidden]"  # what TOML and JSON may hold: counted in bytes of UTF-8
    assert (told_alone(""), quoted("")) == ("", "''")


FIRST, SECOND, OTHER = b"c2VjcmV0LW9uZQ", b"c2VjcmV0LXR3bw", b"c2VjcmV0LWxvbmdlcg"


def test_a_hidden_name_is_named_by_its_place_or_by_its_form(tree: Build) -> None:
    root = tree([TEXT_PREFIX + name + b"==" for name in (FIRST, SECOND, OTHER)], {FIRST.decode(): b"="})
    document = json.loads(run("--root", root, "check", "--format", "json", status=1))
    told = [(one["name"], one["handle"], one["index"], one["status"]) for one in document["credentials"]]
    short, long = "[14 characters hidden]", "[18 characters hidden]"
    assert told == [(short, 0x0E00, 1, "imported"), (short, 0x0E00, 2, "missing"), (long, 0x0E00, 3, "missing")]
    for place, status in (("11-0:1", 0), ("0x0e00:1", 0), ("3584:2", 1), (SECOND.decode(), 1)):
        assert json.loads(run("--root", root, "why", place, "--format", "json", status=status))["name"] == short
    assert "handle 0x0e00, string 3" in run("--root", root, "why", long, status=1)
    assert run("--root", root, "why", short, status=2) == (
        f"guestcred: error: {short} stands for 2 credentials\n"
        "guestcred: hint: name it by the place of its string: 11-0:1, 11-0:2\n"
    )
    for name, asked in ((short, 0), (long, 0), ("11-0:2", 0), ("0x0e00:2", 0), (FIRST.decode(), 0), ("11-0:4", 1)):
        printed = run("--root", root, "check", "--require", name, status=1)
        assert ("is required" in printed) == asked


def test_a_handle_that_firmware_gave_twice_stands_for_both(tree: Build) -> None:
    raws = [build_structure(11, 0x0E00, [TEXT_PREFIX + name + b"=="]) for name in (FIRST, SECOND)]
    root = tree(table=b"".join(raws) + build_structure(127, 0xFEFF), entries=raws, system={FIRST.decode(): b"="})
    for place, place_status in (("11-0:1", "imported"), ("11-1:1", "missing")):
        told = json.loads(run("--root", root, "why", place, "--format", "json", status=place_status == "missing"))
        assert told["status"] == place_status
        assert "is required" not in run("--root", root, "check", "--require", place, status=1)
    for command in (["why", "0x0e00:1"], ["check", "--require", "3584:1"]):
        assert run("--root", root, *command, status=2) == (
            f"guestcred: error: {command[-1]} stands for 2 credentials\n"
            "guestcred: hint: name it by the place of its string: 11-0:1, 11-1:1\n"
        )


def test_hidden_names_of_one_length_stay_apart_in_services(tree: Build) -> None:
    system = {name.decode(): b"=" for name in (FIRST, SECOND)}
    root = tree([], system, units=[consumer(imports("*"), running=False)])
    document = json.loads(run("--root", root, "services", "--format", "json"))
    assert [one["id"] for one in document["services"][0]["credentials"]] == ["[14 characters hidden]"] * 2
    # a value of its own, however short, shows the name
    root = tree([], {"an-odd-thing": b"eu"}, units=[consumer(imports("*"), running=False)], root="odd")
    assert list(outcomes(root)) == ["an-odd-thing"]
