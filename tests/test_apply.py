"""Stories of `apply`: what it rescues and refuses, whose files it writes, and what it leaves alone."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from applying import ENVIRONMENT, PROGRAM, SECRET, apply, delivered, offer, put, standing
from conftest import table_of
from needs import mounted_tmpfs, need

from guestcred.apply import deliveries, heard, install, notify, wanted
from guestcred.apply.dirfd import Folder
from guestcred.apply.writing import Writing
from guestcred.cli import commands
from guestcred.cli.commands import View
from guestcred.errors import GuestcredError
from guestcred.guest.credstores import rescue_mark
from guestcred.guest.facts import Facts, read_facts
from guestcred.smbios.layout import build_structure

DEMO = '[services.demo]\nuser = "demo-svc-user"\nload = ["key:KEY"]\n'


@pytest.fixture
def root(folder: Path) -> Path:
    """A guest in memory whose PID 1 missed the one credential that was offered."""
    top = folder / "guest"
    offer(top, {"KEY": SECRET})
    return top


def facts(root: Path, **told: object) -> None:
    put(root, "capture.json", json.dumps({"systemd": "systemd 257 (257.13-1)", **told}))


def report(root: Path) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads((root / "run/guestcred/report.json").read_text())
    return found


def test_a_missing_credential_is_rescued(root: Path) -> None:
    done = apply(root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"fixed: 1 credential rescued; written\n  rescued    KEY    {len(SECRET)} bytes  {root}/run/credstore/KEY\n"
    )
    mode, uid, gid, links, value = standing(root)["run/credstore/KEY"]
    assert (mode, uid, gid, links, value) == (0o100400, os.geteuid(), os.getegid(), 1, SECRET.encode())
    assert (root / "run/credstore").stat().st_mode & 0o7777 == 0o700
    assert report(root)["rescued"] == [{"name": "KEY", "size": len(SECRET), "path": "/run/credstore/KEY"}]


@pytest.mark.root
def test_early_in_a_boot_only_rescues_are_written(root: Path) -> None:
    """Neither users nor all file systems are there yet, so no configuration is read, and none of its directories go."""
    put(root, "etc/guestcred/demo.toml", DEMO)
    apply(root)
    before = standing(root)
    put(root, "etc/guestcred/demo.toml", "no TOML")
    (root / "etc/passwd").unlink()
    for _ in range(2):
        done = apply(root, "--early")
        assert (done.returncode, done.stderr) == (0, "") and "nothing to change" in done.stdout
        assert standing(root) == before
    offer(root, {"OTHER": SECRET})
    done = apply(root, "--early")
    assert (done.returncode, done.stderr) == (0, "")
    after = standing(root)
    assert after.keys() - before.keys() == {"run/credstore/OTHER"}  # and what is not offered any more goes
    assert before.keys() - after.keys() == {"run/credstore/KEY"}
    assert {path: after[path] for path in before if "guestcred" in path} == {
        path: before[path] for path in before if "guestcred" in path
    }


def test_early_in_a_boot_the_folder_of_reports_stays_empty(root: Path) -> None:
    assert apply(root, "--early", "--dry-run").stdout.startswith(
        "would be fixed: 1 credential to rescue; nothing was written"
    )
    assert apply(root, "--early").returncode == 0
    assert [path for path in standing(root) if "/" in path.removeprefix("run/")] == ["run/credstore/KEY"]


@pytest.mark.root
def test_a_second_run_writes_nothing(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    assert apply(root).returncode == 0
    before = {path: untouched(path) for path in (root / "run").rglob("*")}
    done = apply(root)
    assert done.returncode == 0 and "nothing to change" in done.stdout
    assert {path: untouched(path) for path in (root / "run").rglob("*")} == before


@pytest.mark.root
def test_the_clock_may_be_set_back(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    apply(root)
    late = 4_000_000_000
    for path in (root / "run/guestcred").rglob("*"):
        os.utime(path, (late, late), follow_symlinks=False)
    assert "nothing to change" in apply(root).stdout
    offer(root, {"KEY": "other"})
    assert apply(root).returncode == 0 and delivered(root, "demo") == {"key": "other"}


@pytest.mark.root
def test_a_dry_run_shows_the_same_and_writes_nothing(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    dry = apply(root, "--dry-run")
    assert dry.returncode == 0 and standing(root) == {} and not (root / "run/guestcred").exists()
    told = dry.stdout
    for planned, done in (
        ("would be fixed: ", "fixed: "),
        ("to rescue, 1 service directory to write; nothing was written", "rescued, 1 service directory; written"),
        ("  rescue   ", "  rescued  "),
        ("  give   ", "  given  "),
    ):
        assert planned in dry.stdout
        told = told.replace(planned, done)
    assert apply(root).stdout == told
    assert apply(root, "--dry-run").stdout == apply(root).stdout != told
    document = json.loads(apply(root, "--dry-run", "--format", "json").stdout)
    assert (document["schema"], document["dry_run"], document["changed"]) == ("guestcred.apply/1", True, False)


@pytest.mark.parametrize("machine", ["on a disk", "without /run", "of others"])
def test_a_dry_run_works_anywhere(tmp_path: Path, machine: str) -> None:
    root = tmp_path / "guest"
    offer(root, {"KEY": SECRET})
    if machine == "without /run":
        shutil.rmtree(root / "run")
    elif machine == "of others":
        (root / "run").chmod(0o777)
    done = apply(root, "--dry-run")
    assert done.stdout.startswith("would be fixed: 1 credential to rescue; nothing was written\n")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stderr.startswith("guestcred: warning: not here, without --dry-run: ")
    assert json.loads(apply(root, "--dry-run", "--json").stdout)["changed"] is True
    assert standing(root) == {}
    real = apply(root)
    assert (real.returncode, real.stderr.splitlines()[0][18:]) == (1, done.stderr.splitlines()[0][49:])


@pytest.mark.root
def test_what_is_no_longer_wanted_is_removed(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    mine = put(root, "run/credstore/MINE", "by hand")
    config = put(root, "run/guestcred/other.toml", '[services.other]\nuser = "other"\nset = ["a:b"]\n')
    assert apply(root).returncode == 0 and delivered(root, "demo") == {"key": SECRET}
    (root / "etc/guestcred/demo.toml").unlink()
    offer(root, {"KEY": SECRET}, ["KEY"])
    assert apply(root).returncode == 0
    assert not (root / "run/credstore/KEY").exists() and delivered(root, "demo") is None
    assert mine.read_text() == "by hand" and config.exists() and delivered(root, "other") == {"a": "b"}
    assert "nothing to change" in apply(root).stdout


def test_a_rescued_file_that_was_written_to_is_nobody_s_to_remove(root: Path) -> None:
    apply(root)
    (root / "run/credstore/KEY").chmod(0o600)
    (root / "run/credstore/KEY").write_text("by hand")
    done = apply(root)
    assert done.returncode == 1 and "there is already another credential at /run/credstore/KEY" in done.stdout
    offer(root, {"KEY": SECRET}, ["KEY"])
    assert apply(root).returncode == 0 and (root / "run/credstore/KEY").read_text() == "by hand"


@pytest.mark.parametrize("place", ["run/credstore", "etc/credstore"])
def test_never_over_another_credential(root: Path, place: str) -> None:
    put(root, f"{place}/KEY", "other")
    done = apply(root)
    assert done.returncode == 1 and f"not rescued: there is already another credential at /{place}/KEY" in done.stdout
    assert (root / place / "KEY").read_text() == "other" and report(root)["rescued"] == []


def test_the_same_bytes_by_another_hand_are_fine(root: Path) -> None:
    inode = put(root, "run/credstore/KEY", SECRET).stat().st_ino
    os.link(root / "run/credstore/KEY", root / "another-name")
    done = apply(root)
    assert done.returncode == 0 and (root / "run/credstore/KEY").stat().st_ino == inode
    assert done.stdout == (
        "fixed: 1 credential already there, not written by guestcred; written\n"
        f"  there      KEY    {len(SECRET)} bytes  {root}/run/credstore/KEY\n"
    )
    assert report(root)["rescued"] == [] and report(root)["present"][0]["name"] == "KEY"


def test_a_captured_rescue_is_told_as_one_and_replaced(root: Path) -> None:
    """One story with `check` and `why`; what is written over is what capture.json names, and nothing else."""
    offer(root, {"KEY": SECRET, "NEW": "new", "OLD": "old"}, ["OLD"])
    for name, value in (("KEY", SECRET), ("OLD", "old"), ("MINE", "by hand")):
        put(root, f"run/credstore/{name}", value)
    facts(root, rescued=["KEY", "OLD"])
    at = f"{root}/run/credstore"
    told = apply(root, "--dry-run")
    assert (told.returncode, told.stdout) == (
        0,
        "would be fixed: 1 credential rescued, 1 credential to rescue; nothing was written\n"
        f"  rescued    KEY    {len(SECRET)} bytes  {at}/KEY\n"
        f"  rescue     NEW     3 bytes  {at}/NEW\n",
    )
    assert apply(root).returncode == 0
    assert {path.name: path.read_text() for path in (root / "run/credstore").iterdir()} == {"KEY": SECRET, "NEW": "new", "MINE": "by hand"}  # fmt: skip
    facts(root, rescued=[])
    told = apply(root, "--dry-run")
    assert told.stdout.startswith("fixed: 2 credentials rescued; nothing to change\n  rescued    KEY ")


@pytest.mark.root
def test_mode_and_owner_of_a_rescued_file_are_fixed(root: Path) -> None:
    apply(root)
    (root / "run/credstore/KEY").chmod(0o644)
    os.chown(root / "run/credstore/KEY", 901, 901)
    assert apply(root).returncode == 0
    assert standing(root)["run/credstore/KEY"] == (0o100400, os.geteuid(), os.getegid(), 1, SECRET.encode())


def test_a_folder_with_the_mark_is_not_ours(root: Path) -> None:
    folder = root / "run/credstore/FOLDER"
    folder.mkdir(parents=True)
    os.utime(folder, ns=(rescue_mark("FOLDER"),) * 2)
    assert apply(root).returncode == 0 and folder.exists()


def test_of_two_replaced_rescues_none_or_both_are(root: Path) -> None:
    offer(root, {"A": "old", "B": "old"})
    apply(root)
    offer(root, {"A": "new", "B": "new"})
    command = [
        need("strace"),
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=linkat",
        "-e",
        "inject=linkat:error=ENOSPC:when=2",
    ]
    command += [*PROGRAM, "--root", str(root), "apply"]
    assert subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False).returncode == 1
    assert {path.name: path.read_text() for path in (root / "run/credstore").iterdir()} == {"A": "old", "B": "old"}
    assert apply(root).returncode == 0
    assert {path.name: path.read_text() for path in (root / "run/credstore").iterdir()} == {"A": "new", "B": "new"}


@pytest.mark.parametrize(
    ("told", "cmdline", "cause"),
    [
        ({"container": "systemd-nspawn"}, "", "container"),
        ({"confidential": "sev-snp"}, "", "confidential-vm"),
        ({}, "systemd.import_credentials=no", "import-disabled"),
    ],
)
def test_decisions_are_not_overruled(root: Path, told: dict[str, object], cmdline: str, cause: str) -> None:
    facts(root, **told)
    put(root, "proc/cmdline", cmdline)
    done = apply(root)
    assert done.returncode == 1 and "not rescued: that is on purpose" in done.stdout
    assert not (root / "run/credstore").exists()
    assert [(finding["names"], finding["status"], finding["cause"]) for finding in report(root)["findings"]] == [
        (["KEY"], "missing", cause)
    ]


@pytest.mark.parametrize("unasked", ["container", "confidential"])
def test_a_decision_that_could_not_be_asked_for_is_not_overruled(root: Path, unasked: str) -> None:
    facts(root, unasked=[unasked])
    done = apply(root)
    assert done.returncode == 1 and "not rescued: that may be on purpose" in done.stdout
    assert not (root / "run/credstore").exists()
    assert [(finding["names"], finding["cause"]) for finding in report(root)["findings"]] == [(["KEY"], "undecided")]
    command = [*PROGRAM, "--root", str(root), "check", "--format", "json"]
    check = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert json.loads(check.stdout)["credentials"][0]["cause"] == "unknown"
    # systemd 252 knows no confidential VM, and cannot tell of one either
    facts(root, unasked=[unasked], systemd="systemd 252 (252.39)")
    assert apply(root).returncode == (1 if unasked == "container" else 0)


@pytest.mark.parametrize("told", [{"container": "lxc"}, {"confidential": "sev"}, {}])
@pytest.mark.parametrize("plant", [lambda path: path.symlink_to(path.name), lambda path: path.mkdir()])
def test_what_stands_in_system_hides_no_decision(
    root: Path, told: dict[str, object], plant: Callable[[Path], None]
) -> None:
    facts(root, **told)
    plant(root / "run/credentials/@system/KEY")
    done = apply(root)
    cause = {"container": "container", "confidential": "confidential-vm"}.get(next(iter(told), ""), "unreadable")
    assert done.returncode == 1 and not (root / "run/credstore").exists()
    assert [(finding["names"], finding["cause"]) for finding in report(root)["findings"]] == [(["KEY"], cause)]


@pytest.mark.parametrize(
    ("told", "entries"),
    [
        ({"systemd": "systemd 249 (249.11)"}, True),
        ({"earlier_stage": True}, True),
        ({}, False),
        ({}, True),
    ],
    ids=["systemd-too-old", "earlier-stage", "dmi-sysfs-absent", "unknown"],
)
def test_accidents_are_rescued(root: Path, told: dict[str, object], entries: bool) -> None:
    facts(root, **told)
    if not entries:
        subprocess.run(["rm", "-r", root / "sys/firmware/dmi/entries"], check=True)
    assert apply(root).returncode == 0 and (root / "run/credstore/KEY").read_text() == SECRET


def test_what_differs_or_was_cut_is_left_alone(root: Path) -> None:
    offer(root, {"KEY": SECRET, "CUT": SECRET})
    put(root, "run/credentials/@system/KEY", "other")
    put(root, "run/credentials/@system/CUT", SECRET[:9])
    done = apply(root)
    assert done.returncode == 1 and done.stdout.count("not rescued: what was imported is not overwritten") == 2
    assert not (root / "run/credstore").exists()


def test_the_string_at_which_the_table_stops_is_not_rescued(root: Path) -> None:
    whole = table_of(b"io.systemd.credential:KEY=" + SECRET.encode(), b"io.systemd.credential:CUT=" + SECRET.encode())
    put(root, "sys/firmware/dmi/tables/DMI", whole[: -len(SECRET)])
    done = apply(root)
    assert done.returncode == 1 and "CUT was offered but not imported" in done.stdout
    assert [path.name for path in (root / "run/credstore").iterdir()] == ["KEY"]


@pytest.mark.parametrize("before", [[b"io.systemd.credential:KEY=" + SECRET.encode()], [b"other"]])
def test_a_handle_that_firmware_gave_twice_keeps_nothing_back(root: Path, before: list[bytes]) -> None:
    raws = [build_structure(11, 0x0E00, [string]) for string in (*before, b"io.systemd.credential:CUT=" + SECRET.encode())]  # fmt: skip
    put(root, "sys/firmware/dmi/tables/DMI", b"".join(raws)[: -len(SECRET)])
    done = apply(root)
    assert done.returncode == 1 and "CUT was offered but not imported" in done.stdout
    assert "the table stops inside it" in done.stdout and "KEY was" not in done.stdout
    store = root / "run/credstore"
    assert [path.name for path in store.glob("*")] == (["KEY"] if b"KEY" in before[0] else [])


def test_a_table_that_stops_in_another_structure_keeps_nothing_back(root: Path) -> None:
    string = b"io.systemd.credential:KEY=" + SECRET.encode()
    table = build_structure(11, 0x0E00, [string]) + build_structure(1, 0x0E00, [b"a serial number"])
    put(root, "sys/firmware/dmi/tables/DMI", table[:-4])
    assert apply(root).returncode == 0 and (root / "run/credstore/KEY").read_text() == SECRET


def test_what_lies_behind_systemd_252s_cut_is_whole_in_the_table(root: Path) -> None:
    long = "y" * 5000
    offer(root, {"FIRST": "1", "LONG": long, "LAST": SECRET}, ["FIRST"])
    facts(root, systemd="systemd 252 (252.39)")
    put(root, "run/credentials/@system/LONG", "y" * (4096 - 5 - len("io.systemd.credential:FIRST=1\0io.systemd.credential:LONG=")))  # fmt: skip
    done = apply(root)
    assert done.returncode == 1 and (root / "run/credstore/LAST").read_text() == SECRET
    assert not (root / "run/credstore/LONG").exists()


@pytest.mark.root
def test_service_directories(root: Path) -> None:
    offer(root, {"KEY": SECRET, "TLS_KEY": "t", "B": "b"}, ["TLS_KEY"])
    put(root, "usr/lib/credstore/TLS_CERT", "cert")
    put(root, "run/secrets.d/1/file", "file")
    (root / "run/secrets").symlink_to("secrets.d/1")
    put(root, "etc/guestcred/demo.toml", '[services.demo]\nuser = "demo-svc-user"\nload = ["key:KEY", "B", "f:/run/secrets/file", "n:NOTHING"]\nimport = ["TLS_*"]\nset = ["region:eu", "key:default", "n2:"]\nrequired = ["key", "TLS_CERT"]\n')  # fmt: skip
    done = apply(root)
    assert done.returncode == 0 and "skipped  n " in done.stdout
    assert delivered(root, "demo") == {
        "key": SECRET,
        "B": "b",
        "f": "file",
        "TLS_KEY": "t",
        "TLS_CERT": "cert",
        "region": "eu",
        "n2": "",
    }
    found = standing(root)
    at = "run/guestcred/.generation-a/demo.service"
    assert found[at][:3] == (0o40500, 901, 0)
    assert {found[path][:4] for path in found if path.startswith(f"{at}/") and not path.endswith("/.")} == {
        (0o100400, 901, 0, 1)
    }
    assert found["run/guestcred/demo.service"][4] == ".current/demo.service"
    assert report(root)["services"][0]["skipped"] == ["n"]


@pytest.mark.root
def test_links_in_a_credstore_are_followed_as_systemd_does(root: Path) -> None:
    put(root, "etc/keys/tls", "tls")
    (root / "etc/credstore").mkdir()
    (root / "etc/credstore/TLS").symlink_to("../keys/tls")
    put(root, "etc/guestcred/demo.toml", DEMO + 'import = ["TLS*"]\n')
    assert apply(root).returncode == 0 and delivered(root, "demo") == {"key": SECRET, "TLS": "tls"}


@pytest.mark.root
def test_an_import_passes_over_what_is_no_file(root: Path) -> None:
    put(root, "etc/credstore/FOLDER/file", "in a folder")
    put(root, "usr/lib/credstore/FOLDER", "behind it")
    (root / "etc/credstore/LOOP").symlink_to("LOOP")
    put(root, "etc/credstore/.hidden", "by glob(7)")
    put(root, "etc/guestcred/demo.toml", DEMO + 'import = ["*"]\n')
    assert apply(root).returncode == 0
    assert delivered(root, "demo") == {"key": SECRET, "KEY": SECRET, "FOLDER": "behind it"}


@pytest.mark.parametrize("setting", ["tls:TLS", "tls:/etc/credstore/TLS"])
def test_a_source_that_is_no_file_is_named(root: Path, setting: str) -> None:
    put(root, "etc/credstore/TLS/file", "in a folder")
    put(root, "etc/guestcred/demo.toml", f'[services.demo]\nuser = "demo-svc-user"\nload = ["{setting}"]\n')
    done = apply(root)
    assert done.returncode == 1 and standing(root) == {}
    assert done.stderr.startswith(
        f"guestcred: error: {root}/etc/guestcred/demo.toml: services.demo.load: 'tls': cannot read {root}/etc/credstore/TLS: not a regular file\n"
    )


def test_an_absolute_source_that_is_required(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", '[services.demo]\nuser = "demo-svc-user"\nload = ["a:/etc/a"]\nrequired = ["a"]\n')  # fmt: skip
    done = apply(root)
    assert done.returncode == 1 and done.stderr.endswith(f"guestcred: hint: create the file {root}/etc/a\n")


@pytest.mark.root
def test_nothing_steers_a_terminal(root: Path) -> None:
    put(root, "etc/guestcred/\x1b[31m.toml", '[services.demo]\nuser = "demo-svc-user"\nset = ["a:b"]\n')
    assert "\x1b" not in apply(root).stdout and "\\x1b[31m.toml" in apply(root).stdout
    put(root, "etc/guestcred/\x1b[31m.toml", '[services.demo]\nuser = "no-such-user"\n')
    done = apply(root)
    assert "\x1b" not in done.stderr and f"{root}/etc/guestcred/\\x1b[31m.toml" in done.stderr


@pytest.mark.root
def test_another_user_can_read_neither(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    apply(root)
    for folder in (root.parent, root, root / "run"):
        folder.chmod(0o755)
    for uid, path, expected in (
        (901, "run/guestcred/demo.service/key", 0),
        (902, "run/guestcred/demo.service/key", 1),
        (901, "run/credstore/KEY", 1),
        (902, "run/guestcred/report.json", 0),
    ):
        done = subprocess.run(
            ["cat", root / path], user=uid, group=uid, extra_groups=[], capture_output=True, check=False
        )
        assert done.returncode == expected, (uid, path)


def test_missing_required_ones_are_all_named(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO + 'import = ["T*"]\nrequired = ["key", "T1"]\n[services.b]\nuser = "other"\nload = ["x:X"]\nrequired = ["x"]\n')  # fmt: skip
    done = apply(root)
    assert done.returncode == 1 and standing(root) == {}
    at = f"{root}/etc/guestcred/demo.toml"
    assert done.stderr == (
        f"guestcred: error: x (b.service, {at}), T1 (demo.service, {at}) are required, but not found\n"
        "guestcred: hint: find out why: guestcred why X\n"
    )


def test_an_unknown_user(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO.replace("demo-svc-user", "no-such-user"))
    done = apply(root)
    assert done.returncode == 1 and standing(root) == {}
    assert "etc/guestcred/demo.toml: services.demo.user: there is no user 'no-such-user'" in done.stderr


def test_a_wrong_file_writes_nothing(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO + "lode = []\n")
    done = apply(root)
    assert done.returncode == 2 and standing(root) == {} and "line 4: 'services.demo.lode'" in done.stderr


def test_without_a_table_the_services_that_go_without_are_named(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    (root / "sys/firmware/dmi/tables/DMI").unlink()
    done = apply(root)
    assert done.returncode == 3 and "the directories of demo.service stay as they were" in done.stderr


def test_without_run_there_is_nowhere_to_write(root: Path) -> None:
    subprocess.run(["rm", "-r", root / "run"], check=True)
    done = apply(root)
    assert done.returncode == 1 and f"there is no folder {root}/run" in done.stderr


def test_a_disk_is_refused(tmp_path: Path) -> None:
    offer(tmp_path, {"KEY": SECRET})
    done = apply(tmp_path)
    assert done.returncode == 1 and f"refusing to write {tmp_path}/run" in done.stderr and "memory" in done.stderr
    assert not (tmp_path / "run/credstore").exists()
    assert f"{tmp_path}/run".startswith(type_what_the_hint_says(done.stderr).splitlines()[1].split()[0])


def untouched(path: Path) -> tuple[int, ...]:
    """What tells whether anything was done to a file other than looking at it."""
    status = path.lstat()
    return status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_ctime_ns


def as_link(path: Path) -> None:
    path.symlink_to("/nonexistent")


def as_file(path: Path) -> None:
    path.write_text("by hand")


def as_hard_link(path: Path) -> None:
    os.link(put(path.parent.parent, "linked", "by hand"), path)


def as_folder(path: Path) -> None:
    path.mkdir()


def as_folder_of_another(path: Path) -> None:
    path.mkdir()
    os.chown(path, 902, 902)


def as_open_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


FOR_ROOT = pytest.mark.root
NO_FOLDER = [as_link, as_file, as_hard_link, os.mkfifo]
PLANTED = [
    *(("run/guestcred", kind) for kind in [*NO_FOLDER, as_open_folder, as_folder_of_another]),
    *(("run/credstore", kind) for kind in [*NO_FOLDER, as_open_folder, as_folder_of_another]),
    *(("run/guestcred/.current", kind) for kind in [*NO_FOLDER, as_folder]),
    *(("run/guestcred/.next", kind) for kind in [as_file, as_hard_link, os.mkfifo, as_folder]),
    *(("run/guestcred/.generation-a", kind) for kind in [*NO_FOLDER, as_folder_of_another]),
    *(("run/guestcred/.generation-b", kind) for kind in [*NO_FOLDER, as_folder_of_another]),
    *(("run/guestcred/report.json", kind) for kind in [*NO_FOLDER, as_folder]),
    *(("run/guestcred/demo.service", kind) for kind in [*NO_FOLDER, as_folder]),
]


@pytest.mark.parametrize(
    ("path", "plant"),
    [
        pytest.param(
            path, plant, id=f"{path}-{plant.__name__}", marks=FOR_ROOT if plant is as_folder_of_another else ()
        )
        for path, plant in PLANTED
    ],
)
def test_what_others_planted_is_refused_and_left(root: Path, path: str, plant: Callable[[Path], None]) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).parent.chmod(0o711)
    plant(root / path)
    before = standing(root), untouched(root / path)
    done = apply(root)
    assert done.returncode == 1 and f"refusing to write {root}/{path}" in done.stderr, done
    assert done.stderr.count("guestcred: error: ") == 1 and "Traceback" not in done.stderr
    assert (standing(root), untouched(root / path)) == before


@pytest.mark.parametrize("plant", [as_link, as_file, as_hard_link, os.mkfifo, as_folder])
def test_what_others_planted_in_the_credstore_is_a_finding(root: Path, plant: Callable[[Path], None]) -> None:
    (root / "run/credstore").mkdir(0o700)
    plant(root / "run/credstore/KEY")
    before = untouched(root / "run/credstore/KEY")
    done = apply(root)
    assert done.returncode == 1 and "there is already another credential at /run/credstore/KEY" in done.stdout
    assert untouched(root / "run/credstore/KEY") == before


@pytest.mark.parametrize("parent", [".", "run"])
def test_a_parent_that_others_may_write_is_refused(root: Path, parent: str) -> None:
    (root / parent).chmod(0o777)
    done = apply(root)
    assert done.returncode == 1 and "may be written by others than its owner" in done.stderr
    assert standing(root) == {}
    type_what_the_hint_says(done.stderr)
    assert apply(root).returncode == 0


def type_what_the_hint_says(told: str) -> str:
    """Do what the one hint of a failing run says to type, in a shell; returns what that prints."""
    (hint,) = [line for line in told.splitlines() if line.startswith("guestcred: hint: ")]
    assert "move it away" not in hint
    commands = hint.rpartition("type: " if "type: " in hint else ": ")[2]
    return subprocess.run(["sh", "-ec", commands], capture_output=True, text=True, check=True).stdout


@pytest.mark.root
@pytest.mark.parametrize("place", ["run", "run/guestcred", "run/credstore"])
@pytest.mark.parametrize("mode", [0o1777, 0o700], ids=["of-all", "of-another"])
def test_what_to_type_about_a_folder_that_others_may_change(folder: Path, place: str, mode: int) -> None:
    root = folder / "it's a guest"
    offer(root, {"KEY": SECRET})
    (root / place).mkdir(exist_ok=True)
    (root / place).chmod(mode)
    os.chown(root / place, 901 if mode == 0o700 else 0, 0)
    done = apply(root)
    assert done.returncode == 1 and f"refusing to write {root}/{place}: " in done.stderr
    type_what_the_hint_says(done.stderr)
    assert apply(root).returncode == 0


@pytest.mark.parametrize(
    ("place", "fix"),
    [
        ("run", "make it a folder in memory; links are not followed here"),
        ("run/guestcred", "look at it, and move it away by hand"),
        ("run/credstore", "look at it, and put a folder there: systemd looks for credentials in it"),
    ],
)
def test_what_to_do_about_a_link_in_a_folder_s_place(root: Path, place: str, fix: str) -> None:
    subprocess.run(["rm", "-rf", root / place], check=True)
    (root / place).symlink_to("elsewhere")
    assert apply(root).stderr == (
        f"guestcred: error: refusing to write {root}/{place}: it is not a folder\nguestcred: hint: {fix}\n"
    )


def test_a_credential_that_comes_while_apply_runs_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "run/credstore/KEY", "by hand")
    monkeypatch.setattr(wanted, "find_all", lambda *_: {})
    with pytest.raises(GuestcredError, match="guestcred did not put it there") as caught:
        commands.apply(View(root=str(root)))
    assert caught.value.hints == ("run it again: it came while apply ran",)
    assert (root / "run/credstore/KEY").read_text() == "by hand"


@pytest.mark.root
def test_whatever_a_service_s_user_put_into_its_folder_goes(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    apply(root)
    theirs = root / "run/guestcred/demo.service"
    outside = put(root, "outside/precious", "stays")
    (theirs / "link").symlink_to(outside.parent)
    os.link(outside, theirs / "hard")
    os.mkfifo(theirs / "fifo")
    at = os.open(theirs, os.O_RDONLY)
    for _ in range(1500):  # deeper than a path can be long, or Python recurse
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (theirs / ".3/.4").mkdir(parents=True)  # as a run that was killed while it cleared away may name them
    (root / "run/guestcred/.generation-a/.3/.4").mkdir(parents=True)
    done = apply(root)
    assert done.returncode == 0 and delivered(root, "demo") == {"key": SECRET}, done
    assert outside.read_text() == "stays" and "nothing to change" in apply(root).stdout


@pytest.mark.root
@pytest.mark.parametrize("wanted_now", [True, False], ids=["that-replaces", "with-nothing-to-rescue"])
def test_what_a_killed_run_left_goes(root: Path, wanted_now: bool) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    apply(root)
    put(root, "run/guestcred/.generation-b/demo.service/key", "half")
    (root / "run/guestcred/.next").symlink_to(".generation-b")
    for number in range(2):
        half = put(root, f"run/credstore/.guestcred-next-{number}", "half")
        os.utime(half, ns=(rescue_mark("KEY"),) * 2)
    offer(root, {"KEY": "new"}, [] if wanted_now else ["KEY"])
    assert apply(root).returncode == 0 and delivered(root, "demo") == {"key": "new"}
    assert not [path for path in standing(root) if "next" in path or "generation-a" in path]
    assert "nothing to change" in apply(root).stdout


@pytest.mark.root
def test_a_link_to_a_generation_that_is_gone_is_replaced(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    apply(root)
    subprocess.run(["rm", "-r", root / "run/guestcred/.generation-a"], check=True)
    assert apply(root).returncode == 0 and delivered(root, "demo") == {"key": SECRET}


@pytest.mark.root
def test_a_run_that_fails_removes_nothing_of_ours_up_to_the_last_byte(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "etc/guestcred/other.toml", f'[services.other]\nuser = "other"\nset = ["a:{"b" * (1 << 20)}"]\n')
    apply(root)
    offer(root, {"KEY": "new"})
    put(root, "etc/guestcred/demo.toml", DEMO)

    def fail(_: object) -> None:
        raise GuestcredError("no")

    monkeypatch.setattr(Writing, "_write", fail)
    with pytest.raises(GuestcredError, match=r"^no$"):
        commands.apply(View(root=str(root)))
    assert delivered(root, "other") == {"a": "b" * (1 << 20)}


@pytest.mark.root
@pytest.mark.parametrize(
    ("call", "entry"),
    [("link", "guestcred/demo.service"), ("link", "guestcred/.next"), ("publish", "credstore/KEY")],
)
def test_what_came_in_the_way_meanwhile_stays(
    root: Path, call: str, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    real = getattr(Folder, call)

    def somebody_was_there_first(folder: Folder, name: str, *others: object) -> None:
        if name == Path(entry).name:
            Path(folder.path, name).write_text("by hand")
            raise GuestcredError("file exists")
        real(folder, name, *others)

    monkeypatch.setattr(Folder, call, somebody_was_there_first)
    with pytest.raises(GuestcredError, match=r"^file exists$"):
        commands.apply(View(root=str(root)))
    assert (root / "run" / entry).read_text() == "by hand"


@pytest.mark.root
@pytest.mark.parametrize(("call", "entry"), [("link", ".next"), ("rename", ".guestcred-next-0")])
def test_a_run_that_fails_takes_back_what_it_made(
    root: Path, call: str, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(root)
    before = standing(root)
    offer(root, {"KEY": "new"})
    put(root, "etc/guestcred/demo.toml", DEMO)
    real = getattr(Folder, call)

    def fail(folder: Folder, name: str, *others: object) -> None:
        if name == entry:
            raise GuestcredError("no")
        real(folder, name, *others)

    monkeypatch.setattr(Folder, call, fail)
    with pytest.raises(GuestcredError, match=r"^no$"):
        commands.apply(View(root=str(root)))
    assert standing(root) == before


@pytest.mark.root
def test_the_group_is_root_s_whatever_the_program_has(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    os.setegid(902)
    try:
        assert commands.apply(View(root=str(root))) == 0
    finally:
        os.setegid(0)
    at = "run/guestcred/.generation-a/demo.service"
    assert {standing(root)[path][2] for path in (at, f"{at}/key")} == {0}


@pytest.mark.root
def test_two_runs_at_once(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    command = [*PROGRAM, "--root", str(root), "apply"]
    runs = [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) for _ in range(6)]
    assert [run.wait() for run in runs] == [0] * 6
    assert delivered(root, "demo") == {"key": SECRET} and "nothing to change" in apply(root).stdout


@pytest.mark.root
def test_a_run_that_waited_reads_what_it_waited_for(root: Path) -> None:
    put(root, "etc/guestcred/other.toml", '[services.other]\nuser = "other"\nset = ["a:old"]\n')
    apply(root)
    held = os.open(root / "run/guestcred", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    command = [*PROGRAM, "--root", str(root), "apply"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as run:
        time.sleep(1)
        put(root, "etc/guestcred/other.toml", '[services.other]\nuser = "other"\nset = ["a:new"]\n')
        os.close(held)
    assert run.returncode == 0 and delivered(root, "other") == {"a": "new"}


def test_a_run_that_does_not_end_is_not_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(root)
    monkeypatch.setattr(install, "LOCK_SECONDS", 0.1)
    held = os.open(root / "run/guestcred", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(GuestcredError, match="another run has kept") as caught:
        commands.apply(View(root=str(root)))
    os.close(held)
    assert caught.value.status == 1


def test_users_are_looked_up_after_whoever_may_keep_it_waiting(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    events: list[str] = []

    def asked(path: str) -> Facts:
        events.append("asked")
        return read_facts(path)

    monkeypatch.setattr(heard, "read_facts", asked)
    monkeypatch.setattr(deliveries, "find_user", lambda *_: events.append("looked up"))
    with pytest.raises(GuestcredError, match="there is no user 'demo-svc-user'") as caught:
        commands.apply(View(root=str(root)))
    assert caught.value.status == 1 and standing(root) == {} and events == ["asked", "looked up"]


@pytest.mark.mounts
def test_a_full_tmpfs(root: Path) -> None:
    home = root / "run/guestcred"
    home.mkdir()
    with mounted_tmpfs(home, "size=64k"):
        put(root, "etc/guestcred/demo.toml", DEMO)
        assert apply(root).returncode == 0
        before = standing(root)
        put(root, "etc/guestcred/demo.toml", DEMO + f'set = ["big:{"x" * 100_000}"]\n')
        done = apply(root)
        assert done.returncode == 1 and "/big: no space left on device\n" in done.stderr
        assert done.stderr.endswith(f"guestcred: hint: see what fills it: df -h {home}; df -i {home}\n")
        assert standing(root) == before
        put(root, "etc/guestcred/demo.toml", DEMO + 'set = ["big:no"]\n')
        assert apply(root).returncode == 0 and delivered(root, "demo") == {"key": SECRET, "big": "no"}


def fill_with_a_file(folder: Path) -> None:
    (folder / "junk").write_bytes(b"x" * 20_000)
    os.chown(folder / "junk", 901, 901)


def fill_with_folders(folder: Path) -> None:
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b/c/junk").write_bytes(b"x" * 20_000)
    for path in folder.rglob("*"):
        os.chown(path, 901, 0 if path.name == "key" else 901)


def fill_with_names(folder: Path) -> None:
    for number in range(206):
        os.link(folder / "key", folder / f"link-{number}")


def fill_with_pipes_of_its_group(folder: Path) -> None:
    for number in range(206):
        os.mkfifo(folder / f"pipe-{number}")


def fill_what_is_ours(folder: Path) -> None:
    (folder / "key").write_bytes(b"x" * (1 << 20 | 20_000))


@pytest.mark.mounts
@pytest.mark.parametrize(
    "fill", [fill_with_a_file, fill_with_folders, fill_with_names, fill_with_pipes_of_its_group, fill_what_is_ours]
)
def test_a_service_s_user_leaves_no_room(root: Path, fill: Callable[[Path], None]) -> None:
    home = root / "run/guestcred"
    home.mkdir()
    size = (1 << 20) + (1 << 16) if fill is fill_what_is_ours else 1 << 16
    with mounted_tmpfs(home, f"size={size}", "nr_inodes=220"):
        put(root, "etc/guestcred/demo.toml", DEMO)
        put(root, "etc/guestcred/other.toml", '[services.other]\nuser = "other"\nset = ["a:b"]\n')
        assert apply(root).returncode == 0
        fill(home / "demo.service")
        put(root, "etc/guestcred/other.toml", f'[services.other]\nuser = "other"\nset = ["a:{"c" * 36_000}"]\n')
        done = apply(root)
        assert done.returncode == 0, done
        assert delivered(root, "demo") == {"key": SECRET} and "nothing to change" in apply(root).stdout


@pytest.mark.root
def test_a_lease_on_a_file_stops_nothing(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO)
    apply(root)
    for folder in (root.parent, root, root / "run"):
        folder.chmod(0o755)
    held = (
        "import fcntl, os, signal, sys, time; signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "fcntl.fcntl(os.open(sys.argv[1], os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK); print(flush=True); time.sleep(60)"
    )
    command = [PROGRAM[0], "-c", held, str(root / "run/guestcred/demo.service/key")]
    with subprocess.Popen(command, user=901, group=901, extra_groups=[], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"\n"
        done = apply(root)
        holder.kill()
    assert done.returncode == 0 and delivered(root, "demo") == {"key": SECRET}, done


@pytest.mark.root
def test_no_value_is_told_anywhere(root: Path) -> None:
    put(root, "etc/guestcred/demo.toml", DEMO + f'set = ["set:{SECRET}"]\n')
    told = [apply(root, *options) for options in (["--dry-run"], ["--format", "json"], [], ["--format", "json"])]
    told.append(apply(root))
    put(root, "run/credstore/KEY", f"{SECRET}, and by hand")
    told.append(apply(root))
    put(root, "etc/guestcred/demo.toml", DEMO + f'set = ["{SECRET}"]\n')
    told.append(apply(root))
    assert {done.returncode for done in told} == {0, 1, 2}
    assert not [done for done in told if SECRET in done.stdout + done.stderr]
    holding = [
        path
        for path, (*_, content) in standing(root).items()
        if isinstance(content, bytes) and SECRET.encode() in content
    ]
    assert {Path(path).name for path in holding} == {"KEY", "key", "set"}


BARE = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjI"  # base64 without its padding: what PID 1 takes for a name


@pytest.mark.root
@pytest.mark.parametrize("imported", [False, True], ids=["missing", "imported"])
def test_a_secret_whose_name_was_forgotten_is_told_nowhere(root: Path, imported: bool) -> None:
    offer(root, {"KEY": SECRET, BARE: ""}, [BARE] if imported else [])
    put(root, "etc/guestcred/demo.toml", DEMO + 'import = ["*"]\n')
    told = [apply(root, *options) for options in (["--dry-run"], ["--format", "json"], [], ["--format", "json"])]
    assert {done.returncode for done in told} == ({0} if imported else {1})
    assert not [done for done in told if BARE[5:] in done.stdout + done.stderr]
    assert not [path for path, (*_, content) in standing(root).items() if BARE[5:] in f"{path} {content!r}"]
    assert ("[31 characters hidden] was offered but not imported" in told[2].stdout) is not imported
    assert (root / "run/credstore/KEY").read_text() == SECRET


def test_a_secret_whose_name_was_forgotten_is_not_told_the_journal(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(notify, "tell", lambda plan, _: told.extend(notify.entries(plan)))
    offer(root, {BARE: ""})
    assert commands.apply(View(root=str(root))) == 1
    assert "GUESTCRED_NAME=[31 characters hidden]" in told[0] and BARE[5:] not in str(told)


def test_the_journal_is_told_names_and_causes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(notify, "tell", lambda plan, headline: told.append((notify.entries(plan), headline)))
    offer(root, {"KEY": SECRET, "OTHER": SECRET, "bad/name": SECRET})
    put(root, "run/credentials/@system/OTHER", "shadow")
    assert commands.apply(View(root=str(root))) == 1
    assert told == [
        (
            [
                [
                    "MESSAGE=KEY was not imported; it is now in /run/credstore/KEY",
                    "MESSAGE_ID=7d1b0f6c5e0a4d0d9b63a2c4f1e85a37",
                    "PRIORITY=6",
                    "SYSLOG_IDENTIFIER=guestcred",
                    "GUESTCRED_NAME=KEY",
                    "GUESTCRED_STATUS=rescued",
                    "GUESTCRED_CAUSE=unknown",
                ],
                [
                    "MESSAGE=OTHER was imported with other bytes than were offered: nothing that can be seen from here explains it; "
                    "not rescued: what was imported is not overwritten; fix: read PID 1's own words: journalctl -b _PID=1 | grep -i credential",
                    "MESSAGE_ID=c2f4d9e1a6b84f3e8d570b1c9e6a2f48",
                    "PRIORITY=4",
                    "SYSLOG_IDENTIFIER=guestcred",
                    "GUESTCRED_NAME=OTHER",
                    "GUESTCRED_STATUS=differs",
                    "GUESTCRED_CAUSE=unknown",
                ],
                [
                    "MESSAGE=a string (handle 0x0e00, string 3) is refused: a name is 1 to 255 printable ASCII characters without '/' and ':', and not '.' or '..'; "
                    "fix: '/' cannot stand in a name: use '.', '-' or '_'",
                    "MESSAGE_ID=c2f4d9e1a6b84f3e8d570b1c9e6a2f48",
                    "PRIORITY=4",
                    "SYSLOG_IDENTIFIER=guestcred",
                    "GUESTCRED_STATUS=rejected",
                    "GUESTCRED_CAUSE=invalid-name",
                ],
            ],
            "findings: 1 credential rescued, 2 findings left to fix",
        )
    ]


@pytest.mark.parametrize("rubbish", ["/nonexistent", "rubbish", "", "@" + "x" * 300])
def test_a_socket_that_is_none_is_no_failure(root: Path, rubbish: str) -> None:
    command = [*PROGRAM, "--root", str(root), "apply"]
    environment = {**ENVIRONMENT, "NOTIFY_SOCKET": rubbish}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and (root / "run/credstore/KEY").exists()


def test_systemd_is_told_by_its_own_socket(root: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(root / "notify"))
        command = [*PROGRAM, "--root", str(root), "apply"]
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(root / "notify")}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert notify.recv(4096) == b"READY=1\nSTATUS=fixed: 1 credential rescued"


def test_without_pythons_systemd_module_it_says_so(root: Path, tmp_path: Path) -> None:
    (tmp_path / "systemd.py").write_text("raise ImportError")
    environment = {**ENVIRONMENT, "NOTIFY_SOCKET": "/nonexistent", "PYTHONPATH": str(tmp_path)}
    command = [*PROGRAM, "--root", str(root), "apply"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, (root / "run/credstore/KEY").exists()) == (0, True)
    assert done.stderr == (
        "guestcred: warning: could not notify systemd and its journal: the Python package systemd is missing\n"
        "guestcred: hint: apt-get install python3-systemd; pipx and a virtual environment see it with --system-site-packages\n"
    )
