"""Stories of a rescue: every command tells the same one, with the cause still named and its fix still said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from applying import apply, offer
from conftest import Build
from test_cli import KEY, SECRET, run
from test_services import consumer, default, given, imports, load

from guestcred.cli import commands
from guestcred.cli.commands import View
from guestcred.diagnose.trace import trace
from guestcred.guest.credstores import rescue_mark
from guestcred.guest.deliveries import Consumer
from guestcred.show.report import why_json, why_text
from guestcred.systemd.nearest import nearest

CAUSE = "the kernel has no dmi-sysfs there"
FIX = "apt install guestcred-initrd"
STORE = "run/credstore/KEY"


def rescued(
    tree: Build, units: list[Consumer] | None = None, value: bytes = SECRET, name: str = "KEY", **more: Any
) -> Path:
    """A guest without dmi-sysfs, and what `apply` left there."""
    root = tree([KEY], {}, entries=False, units=units, files={f"run/credstore/{name}": value}, **more)
    mark = rescue_mark("KEY")
    os.utime(root / f"run/credstore/{name}", ns=(mark, mark))
    return root


def document(root: Path, *command: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--root", root, *command, "--format", "json", status=status))
    return found


def test_check_says_that_it_is_rescued(tree: Build) -> None:
    assert run("--root", rescued(tree), "check") == (
        "fixed: 1 rescued (systemd 257)\n"
        "  rescued    KEY  14 bytes  handle 0x0e00 string 1   dmi-sysfs-absent\n"
        "\n"
        "rescued: KEY was offered but not imported: PID 1 reads SMBIOS through /sys/firmware/dmi/entries, and the kernel has no "
        "dmi-sysfs there; it was rescued to /run/credstore, where units find it.\n"
        '  fix: apt install guestcred-initrd, or on NixOS boot.initrd.kernelModules = [ "dmi-sysfs" ]; it helps only where '
        "'modinfo dmi-sysfs' finds a module and modprobe.d has no blacklist for it, else only a kernel with CONFIG_DMI_SYSFS=y does.\n"
    )


def test_check_in_json(tree: Build) -> None:
    said = document(rescued(tree), "check")
    assert (said["verdict"], said["findings"]) == ("fixed", [])
    assert [(one["status"], one["cause"]) for one in said["credentials"]] == [("rescued", "dmi-sysfs-absent")]
    (told,) = said["rescued"]
    assert told["code"] == "rescued" and CAUSE in told["message"] and FIX in told["hint"]


@pytest.mark.parametrize("command", [["check"], ["why", "KEY"]])
def test_strict_takes_a_rescue_for_a_loss(tree: Build, command: list[str]) -> None:
    root = rescued(tree)
    assert run("--root", root, *command) == run("--root", root, *command, "--strict", status=1)
    whole = tree([KEY], {"KEY": SECRET}, root="whole")
    run("--root", whole, *command, "--strict")


@pytest.mark.parametrize(
    "other",
    [{"value": b"other-bytes-14"}, {"name": "COPY"}],
    ids=["other bytes", "another name"],
)
def test_what_guestcred_did_not_write_so_is_no_rescue(tree: Build, other: dict[str, Any]) -> None:
    root = rescued(tree, **other)
    assert [one["status"] for one in document(root, "check", status=1)["credentials"]] == ["missing"]
    os.utime(root / "run/credstore" / other.get("name", "KEY"))
    assert document(root, "why", "KEY", status=1)["status"] == "missing"


@pytest.mark.parametrize("place", [STORE, "etc/credstore/KEY"])
def test_what_others_put_there_is_one_story_too(tree: Build, folder: Path, place: str) -> None:
    root = tree([KEY], {}, entries=False, files={place: SECRET}, units=[consumer(load("key", "KEY"), running=False)])
    there = f"it is in /{place.removesuffix('/KEY')}, where units find it, and guestcred did not write it"
    for command in (["check"], ["why", "KEY"], ["status"]):
        printed = run("--root", root, *command)
        assert CAUSE in printed and there in printed and FIX in printed, command
        run("--root", root, "capture", saved := folder / f"saved-{command[0]}")
        assert run("--root", saved, *command).replace(str(saved), "") == printed.replace(str(root), "")
    assert f"ok    rescued    {root}/{place}, which guestcred did not write\n" in run("--root", root, "why", "KEY")
    assert f"there      KEY    14 bytes  {root}/{place}\n" in run("--root", root, "apply", "--dry-run")
    late = tree([KEY], {}, files={place: SECRET}, units=[consumer(load("key", "KEY"), delivered=())], root="late")
    assert "undelivered: demo.service" in run("--root", late, "check", status=1)


def test_another_one_before_a_rescue_is_what_units_find(tree: Build) -> None:
    root = rescued(tree)
    (root / "etc/credstore").mkdir(parents=True)
    (root / "etc/credstore/KEY").write_bytes(b"other-bytes-14")
    told = "not rescued: there is already another credential at /etc/credstore/KEY"
    for command in (["check"], ["why", "KEY"], ["status"], ["apply", "--dry-run"]):
        printed = run("--root", root, *command, status=1)
        assert "\nmissing: KEY" in printed and told in printed, command
    (root / "etc/credstore/KEY").write_bytes(SECRET)
    assert "in /etc/credstore, where" in run("--root", root, "check")


@pytest.mark.parametrize(
    ("more", "why_not"),
    [
        ({"cmdline": b"systemd.import_credentials=no"}, "that is on purpose"),
        ({"container": "lxc"}, "that is on purpose"),
        ({"unasked": ["container"]}, "that may be on purpose"),
        ({"system": {"KEY": b"other"}}, "what was imported is not overwritten"),
    ],
)
def test_a_loss_says_why_it_is_not_rescued(tree: Build, more: dict[str, Any], why_not: str) -> None:
    root = tree([KEY], **{"system": {}, **more})
    for command in (["check"], ["status"], ["why", "KEY"], ["apply", "--dry-run"]):
        assert run("--root", root, *command, status=1).count(f"; not rescued: {why_not}") == 1, command
    assert "not rescued" not in run("--root", tree([KEY], {}, root="plain"), "why", "KEY", status=1)


def test_a_name_that_may_be_a_secret_is_not_looked_up_in_a_credstore(tree: Build) -> None:
    name = "c2VjcmV0LWh1bnRlcjItaHVudGVyMg"
    root = tree([f"io.systemd.credential:{name}=".encode()], {}, files={f"etc/credstore/{name}": b""})
    for command in (["check"], ["status"], ["apply", "--dry-run"]):
        printed = run("--root", root, *command, status=1)
        assert "not rescued: its name may be the secret itself" in printed and name not in printed


def test_one_of_two_is_rescued(tree: Build) -> None:
    root = tree([KEY, b"io.systemd.credential:TWO=2"], {}, entries=False, files={STORE: SECRET})
    os.utime(root / STORE, ns=(rescue_mark("KEY"),) * 2)
    said = document(root, "check", status=1)
    assert [one["status"] for one in said["credentials"]] == ["rescued", "missing"]
    assert [finding["message"].split()[0] for finding in (*said["findings"], *said["rescued"])] == ["TWO", "KEY"]


def test_why_goes_on_to_the_units(tree: Build) -> None:
    units = [
        consumer(load("key", "KEY"), delivered=(given("key"),)),
        consumer(imports("K*"), name="late.service", running=False),
    ]
    printed = run("--root", rescued(tree, units), "why", "KEY").splitlines()
    words = [" ".join(line.split()[:3]) for line in printed[:6]]
    assert words[2:] == [
        "LOST entry " + printed[2].split()[2],
        words[3],
        "ok delivered demo.service",
        "ok requested late.service",
    ]
    assert words[3].startswith("ok rescued ") and words[3].endswith("/run/credstore/KEY,")
    assert CAUSE in printed[7] and FIX in printed[8]


def test_a_unit_that_was_started_before_the_rescue_needs_a_restart(tree: Build) -> None:
    root = rescued(tree, [consumer(load("key", "KEY"), delivered=()), consumer(load("x", "X"), name="x.service")])
    for command in (["check"], ["why", "KEY"]):
        printed = run("--root", root, *command, status=1)
        assert "undelivered: demo.service runs without key" in printed and "systemctl restart demo.service" in printed
        assert "\nrescued: KEY" in printed and "x.service" not in printed
    assert document(root, "check", status=1)["verdict"] == "findings"
    assert document(root, "why", "KEY", status=1)["stages"][-1]["passed"] is False


def test_services_say_what_was_rescued(tree: Build) -> None:
    root = rescued(tree, [consumer(load("key", "KEY"), default("region"), running=False)])
    assert f"key     14 bytes  {root}/{STORE}  rescued\n" in run("--root", root, "services")
    (unit,) = document(root, "services")["services"]
    assert [one["rescued"] for one in unit["credentials"]] == [True, False]


def test_a_capture_of_it_says_the_same(tree: Build, tmp_path: Path) -> None:
    root = rescued(tree, [consumer(load("key", "KEY"), running=False)])
    run("--root", root, "capture", tmp_path / "saved")
    for command in (["check"], ["why", "KEY"], ["services"]):
        there, here = (run("--root", at, *command).replace(str(at), "") for at in (tmp_path / "saved", root))
        assert there == here and "rescued" in there


@pytest.mark.parametrize("told", [None, "KEY", ["OTHER"], [1, {}]])
def test_a_capture_that_names_no_rescue_has_none(tree: Build, told: object) -> None:
    root = tree([KEY], {}, files={STORE: SECRET}, rescued=told)
    assert "guestcred did not write it" in document(root, "check")["rescued"][0]["message"]


def test_apply_check_and_report_agree(folder: Path) -> None:
    root = folder / "guest"
    offer(root, {"KEY": SECRET.decode(), "HERE": "x"}, ["HERE"])
    before = document(root, "check", status=1)["credentials"]
    assert apply(root).returncode == 0
    report = json.loads((root / "run/guestcred/report.json").read_text())
    after = document(root, "check")
    assert report["credentials"] == after["credentials"]
    assert [one["status"] for one in before] == ["missing", "imported"]
    assert [one["status"] for one in after["credentials"]] == ["rescued", "imported"]
    assert report["verdict"] == after["verdict"] == "fixed"


def test_why_follows_what_was_imported_to_its_units(tree: Build) -> None:
    root = tree([KEY], {"KEY": SECRET}, units=[consumer(load("key", "KEY"), delivered=(given("key", readable=False),))])
    printed = run("--root", root, "why", "KEY", status=1)
    assert (
        "LOST  delivered  demo.service has it as key, and svc cannot read it\n      it got as far as: imported\n"
        in printed
    )
    idle = tree([KEY], {"KEY": SECRET}, units=[consumer(load("x", "/srv/x"))], root="idle")
    assert "no loaded unit requests KEY" in run("--root", idle, "why", "KEY")


def test_why_names_the_units_that_run_without_what_was_lost(tree: Build) -> None:
    wants = [
        consumer(load("key", "KEY"), delivered=()),
        consumer(load("key", "KEY"), name="late.service", running=False),
        consumer(imports("WILD*"), name="wild.service"),
    ]
    offered = tree([KEY, b"io.systemd.credential:IDLE=1"], {}, entries=False, units=wants)
    for name in ("KEY", "GONE", "IDLE", "WILDCARD"):
        stages = [
            (stage["stage"], stage["passed"], stage["evidence"])
            for stage in document(offered, "why", name, status=1)["stages"]
            if stage["stage"] in ("requested", "delivered")
        ]
        assert stages == [
            *([("delivered", False, "demo.service runs without key")] if name == "KEY" else []),
            *([("delivered", False, "late.service starts without key")] if name == "KEY" else []),
        ]
        said = run("--root", offered, "why", name, status=1)
        assert ("warning: no loaded unit requests" in said) == (name in ("GONE", "IDLE"))
        assert ("requests IDLE, which is offered" in said) == (name == "IDLE")
        assert "demo.service requests" not in said, "the loss has a fix of its own"


def test_a_unit_that_has_what_was_spoilt_has_no_good_one(tree: Build) -> None:
    units = [consumer(load("key", "KEY"), delivered=(given("key"),))]
    printed = run("--root", tree([KEY], {"KEY": b"x"}, fw_cfg={"KEY": b"x"}, units=units), "why", "KEY", status=1)
    assert "@system/KEY: 1 byte, but other ones\nDIFF  delivered  demo.service has it as " in printed
    assert "remove '-fw_cfg name=opt/io.systemd.credentials/KEY' on the host" in printed


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        ("demo", "that is a unit; type: guestcred services demo"),
        ("demo.service", "that is a unit; type: guestcred services demo.service"),
        (
            "db-password",
            "demo.service has DB_PASSWORD as db-password: did you mean that? type: guestcred why DB_PASSWORD",
        ),
        ("file", "demo.service has /srv/x as file: did you mean that? type: guestcred services demo.service"),
        (
            "DB_PASSWORD",
            "hand it over on the host with 'guestcred launch DB_PASSWORD=FILE -- ...', and see what arrived",
        ),
        ("other", "hand it over on the host with 'guestcred launch other=FILE -- ...', and see what arrived"),
    ],
)
def test_why_of_what_is_no_credential_s_name(tree: Build, typed: str, fix: str) -> None:
    units = [consumer(load("db-password", "DB_PASSWORD"), load("file", "/srv/x"), running=False)]
    printed = run("--root", tree([KEY], {"KEY": SECRET}, units=units), "why", typed, status=1)
    assert f"\n  fix: {fix}" in printed


def test_why_says_how_far_it_came(tree: Build) -> None:
    root = tree([KEY], {}, entries=False)
    assert "it got as far as: accepted\n" in run("--root", root, "why", "KEY", status=1)
    assert document(root, "why", "KEY", status=1)["reached"] == "accepted"
    assert "it got as far" not in run("--root", root, "why", "ELSE", status=1)


def test_why_quotes_pid_1(tree: Build) -> None:
    """Live, from the journal: `guest/journal.py` says what; a captured guest has none."""
    looked = commands.look(View(root=str(tree([KEY], {}, entries=False))))
    traced = trace("KEY", looked, words=lambda name, shown: (f"Failed to write credential: {name} {shown}",))
    assert "\nsaid  by PID 1: Failed to write credential: KEY KEY\n" in why_text(traced, False)
    assert why_json(traced)["said"] == ["Failed to write credential: KEY KEY"]
    assert document(tree([KEY], {}, root="captured"), "why", "KEY", status=1)["said"] == []


@pytest.mark.parametrize("typed", ["api_key", "API-KEY", "API_KYE", "APIKEY", "API_KEYS", "aip_key"])
def test_a_credential_that_is_nearly_right(tree: Build, typed: str) -> None:
    root = tree([b"io.systemd.credential:API_KEY=" + SECRET], {"API_KEY": SECRET})
    for command in (["why", typed], ["check", "--require", typed]):
        assert "fix: did you mean API_KEY? type: guestcred why API_KEY.\n" in run("--root", root, *command, status=1)


@pytest.mark.parametrize(
    ("typed", "known", "meant"),
    [
        ("N028O", ["N0028", "N0280"], "N0280"),
        ("TOKEN1", ["MY_TOKEN1", "TOKEN2"], "TOKEN2"),
        ("TOKEN", ["MY_TOKEN", "TOKENS"], "TOKENS"),
        ("api_key", ["API_KEYS", "API_KEY"], "API_KEY"),
        ("TOKEN1", ["TOKENXY", "MY_TOKEN1"], "MY_TOKEN1"),
    ],
)
def test_a_name_one_character_away_wins(typed: str, known: list[str], meant: str) -> None:
    assert nearest(typed, known) == nearest(typed, known[::-1]) == meant


@pytest.mark.parametrize("typed", ["TOKEN", "A", "K", "KEYRING_OF_SOMEBODY", "-", "_"])
def test_a_credential_that_is_not(tree: Build, typed: str) -> None:
    root = tree([b"io.systemd.credential:API_KEY=" + SECRET], {"API_KEY": SECRET})
    assert "did you mean" not in run("--root", root, "why", "--", typed, status=1)


def test_a_name_that_may_be_a_secret_is_never_guessed(tree: Build) -> None:
    name = "c2VjcmV0LWh1bnRlcjItaHVudGVyMg"
    root = tree([f"io.systemd.credential:{name}=".encode()], {name: b""})
    for typed in (name[:-1], name.lower(), name[:8]):
        for command in (["why", typed], ["check", "--require", typed]):
            printed = run("--root", root, *command, status=1)
            assert "did you mean" not in printed and name not in printed


@pytest.mark.parametrize(
    ("typed", "meant"), [("chek", "check"), ("service", "services"), ("wyh", "why"), ("Dump", "dump")]
)
def test_a_command_that_is_nearly_right(typed: str, meant: str) -> None:
    assert (
        run(typed, status=2)
        == f"guestcred: error: there is no command {typed}\nguestcred: hint: did you mean {meant}?\n"
    )


def test_a_command_that_is_not() -> None:
    said = run("frobnicate", status=2)
    assert "did you mean" not in said and "hint: if that is a credential, type: guestcred why frobnicate\n" in said


def test_the_help_cuts_no_command_s_sentence() -> None:
    assert "..." not in run("--help").partition("Commands:")[2]


def test_part_of_a_unit_s_name_is_enough(tree: Build) -> None:
    root = tree(
        units=[consumer(load("x", "X"), name="demo-oem-credentials.service"), consumer(load("x", "X"), name="y.socket")]
    )
    for typed in ("demo", "oem-credentials", "demo_oem_credential"):
        assert "hint: did you mean demo-oem-credentials.service?\n" in run("--root", root, "services", typed, status=2)
