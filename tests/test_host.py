"""Stories of the host: secrets in files, a command, its exit status, what it prints, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from qemu import Machine, machine
from running import run_program

from guestcred import descriptor
from guestcred.cli.host import run_encode
from guestcred.cli.launch import Launch, run_launch
from guestcred.errors import GuestcredError
from guestcred.host import encode, hypervisors, prepare, secret
from guestcred.host.tmpfs import fill_private_folder
from guestcred.manifest import END, MANIFEST
from guestcred.record import Record
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import judge

SECRET = b"hunter2,hunter2"
REFERENCE = {
    "API_KEY": b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=",
    "DB_PASSWORD": b"ZmVkY2JhWllYV1ZVVFNSUVBPTk1MS0pJSEdGRURDQkE=",
    "JWT_SECRET": b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWmFiY2RlZg==",
}


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """A unit's $CREDENTIALS_DIRECTORY with the host credentials of the reference flow, and a difficult one."""
    made = tmp_path / "credentials"
    made.mkdir()
    for name, value in REFERENCE.items():
        (made / f"host-{name.lower().replace('_', '-')}").write_bytes(value + b"\n")
    (made / "host-hard").write_bytes(SECRET)
    return made


PAIRS = ["API_KEY=host-api-key", "DB_PASSWORD=host-db-password", "JWT_SECRET=host-jwt-secret"]


def run(
    *arguments: object, credentials: Path | None = None, status: int = 0, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
    if credentials is not None:
        environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    done = run_program([sys.executable, "-m", "guestcred"], [*map(str, arguments)], given, environment)
    assert done.returncode == status, done
    assert b"Traceback" not in done.stderr
    for value in (SECRET, *REFERENCE.values()):
        assert value not in done.stderr
        assert status == 0 or value not in done.stdout
    return done


def error(*arguments: object, credentials: Path | None = None, status: int, given: bytes = b"") -> str:
    done = run(*arguments, credentials=credentials, status=status, given=given)
    assert done.stdout == b"" and done.stderr.startswith(b"guestcred: error: ")
    return done.stderr.decode()


def test_json(credentials: Path) -> None:
    done = run(
        "encode",
        "--for",
        "json",
        "--no-manifest",
        *PAIRS,
        "HARD=host-hard",
        "--set",
        "ENVIRONMENT=test",
        credentials=credentials,
    )
    assert json.loads(done.stdout) == [
        *(f"io.systemd.credential:{name}={value.decode()}" for name, value in REFERENCE.items()),
        "io.systemd.credential.binary:HARD=aHVudGVyMixodW50ZXIy",
        "io.systemd.credential:ENVIRONMENT=test",
    ]


def test_cloud_hypervisor_by_standard_input_and_by_file(credentials: Path, tmp_path: Path) -> None:
    config = json.dumps({"platform": {"oem_strings": ["mine"]}, "payload": {"kernel": "/boot/vmlinux"}}).encode()
    (tmp_path / "vm.json").write_bytes(config)
    arguments = ["encode", "--for", "cloud-hypervisor", "--no-manifest", "HARD=host-hard"]
    by_pipe = json.loads(run(*arguments, credentials=credentials, given=config).stdout)
    by_file = json.loads(run(*arguments, "--config", tmp_path / "vm.json", credentials=credentials).stdout)
    assert by_pipe == by_file == {
        "platform": {"oem_strings": ["mine", "io.systemd.credential.binary:HARD=aHVudGVyMixodW50ZXIy"]},
        "payload": {"kernel": "/boot/vmlinux"},
    }  # fmt: skip


def test_crosvm_is_a_piece_of_config(credentials: Path) -> None:
    done = run("encode", "--for", "crosvm", "--no-manifest", "API_KEY=host-api-key", credentials=credentials)
    strings = [f"io.systemd.credential:API_KEY={REFERENCE['API_KEY'].decode()}"]
    assert json.loads(done.stdout) == {"smbios": {"oem-strings": strings}}


def test_libvirt_is_refused_for_secrets(credentials: Path) -> None:
    arguments = ["encode", "--for", "libvirt", "--set", "ENVIRONMENT=test"]
    assert b"<entry>io.systemd.credential:ENVIRONMENT=test</entry>" in run(*arguments).stdout
    refused = error(*arguments, "HARD=host-hard", credentials=credentials, status=2)
    assert "libvirt would put HARD into QEMU's arguments" in refused and "fwcfg" in refused
    done = run(*arguments, "HARD=host-hard", "--allow-arguments", credentials=credentials)
    assert b"<entry>io.systemd.credential.binary:HARD=aHVudGVyMixodW50ZXIy</entry>" in done.stdout


@pytest.mark.qemu
def test_qemus_arguments_work_as_they_are_printed(credentials: Path, folder: Path) -> None:
    private = folder / "with a space, and a comma"
    done = run("encode", "--for", "qemu", "--folder", private, *PAIRS, "HARD=host-hard", credentials=credentials)
    assert SECRET not in done.stdout and REFERENCE["API_KEY"] not in done.stdout
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in private.iterdir()} == {0o400}
    with Machine([*machine(folder), *shlex.split(done.stdout.decode())], folder) as qemu:
        table = qemu.table()
    assert table is not None
    assert [getattr(verdict, "value", None) for verdict in judge(parse(table).structures, None)][1:-1] == [
        *REFERENCE.values(),
        SECRET,
    ]
    listed = run(
        "encode",
        "--for",
        "qemu",
        "--folder",
        folder / "b",
        "--no-manifest",
        "HARD=host-hard",
        "--format",
        "json",
        credentials=credentials,
    )
    assert json.loads(listed.stdout) == ["-smbios", f"type=11,path={folder}/b/000"]


def test_a_private_folder_is_new_and_in_memory(
    credentials: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["encode", "--for", "qemu", "HARD=host-hard"]
    assert "file exists" in error(*arguments, "--folder", folder, credentials=credentials, status=1)
    assert "no folder for them" in error(*arguments, credentials=credentials, status=2)
    assert "--folder is for qemu" in error("encode", "--for", "json", "--folder", folder, "--set", "A=b", status=2)
    monkeypatch.setattr(descriptor, "MEMORY", ())
    with pytest.raises(GuestcredError, match="is on a disk, where secrets would remain"):
        fill_private_folder(str(tmp_path / "new"), {"000": SECRET}, lambda _: pytest.fail())
    assert not (tmp_path / "new").exists()


def to_folder(folder: Path, credentials: Path, *options: str, **keywords: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "guestcred", "encode", "--for", "qemu", "--folder", f"{folder}/new", *options]
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(credentials)}
    return subprocess.Popen(["env", "--default-signal", *command], env=environment, stderr=subprocess.PIPE, **keywords)


def test_no_folder_is_left_where_its_arguments_cannot_be_printed(credentials: Path, folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = to_folder(folder, credentials, "HARD=host-hard", stdout=full)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (3, b"guestcred: error: cannot write the output: no space left on device\n")
    assert list(folder.iterdir()) == []
    reading, writing = os.pipe()
    os.close(reading)
    process = to_folder(folder, credentials, "HARD=host-hard", stdout=writing)
    os.close(writing)
    assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 1)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
@pytest.mark.parametrize("hypervisor", ["json", "qemu", "libvirt", "cloud-hypervisor", "crosvm"])
def test_what_nobody_can_get_is_no_success(folder: Path, hypervisor: str, dry_run: list[str]) -> None:
    command = [sys.executable, "-m", "guestcred", "encode", "--for", hypervisor, "--set", "ENVIRONMENT=test", *dry_run]
    if hypervisor == "qemu":
        command += ["--folder", f"{folder}/new"]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(closed, input=b"{}", stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(b"guestcred: error: cannot write the output: standard output is closed\n")
    assert list(folder.iterdir()) == []


# signal(7), "Term" and "Core"; SIGSEGV and its like are faults of the program itself, and Python can only return to them
DEADLY = ["HUP", "INT", "QUIT", "ABRT", "USR1", "USR2", "ALRM", "TERM", "STKFLT", "XCPU", "VTALRM", "PROF", "IO", "PWR"]


@pytest.mark.parametrize("name", [*DEADLY, "SYS", "TRAP", "RTMIN", "RTMAX"])
def test_no_folder_is_left_where_the_printing_is_ended(credentials: Path, folder: Path, name: str) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    process = to_folder(folder, credentials, "HARD=host-hard", stdout=writing)
    deadline = time.monotonic() + 60
    # as long as nobody reads, it hangs in printing
    while not list(folder.glob("new/000")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    number = getattr(signal, f"SIG{name}")
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert list(folder.iterdir()) == []
    os.close(writing)
    os.close(reading)
    assert process.communicate(timeout=60)[1].strip() == b""


def test_a_folder_whose_name_is_no_utf_8(credentials: Path, folder: Path) -> None:
    private = os.fsencode(folder) + b"/a\xff b"
    arguments = ["encode", "--for", "qemu", "--no-manifest", "--folder", os.fsdecode(private), "HARD=host-hard"]
    refused = error(*arguments, "--format", "json", credentials=credentials, status=2)
    assert "--folder is not UTF-8" in refused and list(folder.iterdir()) == []
    done = run(*arguments, credentials=credentials)
    assert done.stdout == b"-smbios 'type=11,path=" + private + b"/000'\n"
    assert os.path.exists(private + b"/000")


def test_nothing_is_left_in_the_folder_where_writing_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def full(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "001":
            raise OSError(28, "No space left on device")
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(GuestcredError, match="no space left on device"):
        fill_private_folder(str(folder / "new"), {"000": SECRET, "001": SECRET}, lambda _: pytest.fail())
    assert list(folder.iterdir()) == []


def test_nothing_is_made_where_a_secret_is_bad(credentials: Path, folder: Path) -> None:
    for bad, status in (("A=absent", 3), ("A=/dev", 3), ("API_KEY=host-hard", 2), ("A:B=host-hard", 2)):
        error(
            "encode", "--for", "qemu", "--folder", folder / "new", *PAIRS, bad, credentials=credentials, status=status
        )
        assert list(folder.iterdir()) == []


def test_the_capacity_report(credentials: Path) -> None:
    arguments = ["encode", "--for", "cloud-hypervisor", *PAIRS, "HARD=host-hard", "--set", "ENVIRONMENT=test"]
    done = run(*arguments, "--dry-run", credentials=credentials)
    assert done.stdout.decode() == (
        "fits: 5 credentials and a manifest for cloud-hypervisor\n"
        "  guestcred.manifest  text      181 bytes,   222 as a string\n"
        "  API_KEY             text       44 bytes,    74 as a string\n"
        "  DB_PASSWORD         text       44 bytes,    78 as a string\n"
        "  JWT_SECRET          text       88 bytes,   121 as a string\n"
        "  HARD                binary     15 bytes,    54 as a string\n"
        "  ENVIRONMENT         text        4 bytes,    38 as a string\n"
        "  guestcred.end       text        3 bytes,    39 as a string\n"
        "  ok    strings         7 of     255 strings  a Type 11 structure counts its strings in one byte\n"
        "  ok    table        2687 of   65512 bytes    cloud-hypervisor has 64 KiB at 0xF0000 for its entry point and table; 2048 are for other structures\n"
        "  ok    store           7 of     256 pages    systemd 257 and later keep credentials in 256 pages of 4 KiB\n"
        "  ok    total         379 of 1048576 bytes    systemd takes 1 MiB in all\n"
        "  ok    request       685 of  131072 bytes    assumes cloud-hypervisor 54 or later; earlier ones take only 51200\n"
    )
    document = json.loads(run(*arguments, "--dry-run", "--format", "json", credentials=credentials).stdout)
    assert document["schema"] == "guestcred.encode/1" and document["fits"] is True
    assert document["credentials"][4] == {"name": "HARD", "encoding": "binary", "size": 15, "string_size": 54}


def test_a_dry_run_counts_the_config(credentials: Path) -> None:
    (credentials / "host-large").write_bytes(b"y" * 50_000)
    arguments = ["encode", "--for", "cloud-hypervisor", "--dry-run", "--format", "json", "API_KEY=host-api-key"]
    config = json.dumps({"platform": {"oem_strings": ["z" * 1000]}}).encode()
    by_pipe = json.loads(run(*arguments, credentials=credentials, given=config).stdout)
    without = json.loads(run(*arguments, credentials=credentials).stdout)
    used = [{limit["name"]: limit["used"] for limit in document["limits"]} for document in (by_pipe, without)]
    assert used[0]["table"] - used[1]["table"] == 1001 and used[0]["request"] - used[1]["request"] == 1004
    # the secret takes standard input, so the config counts as empty
    taken = json.loads(run(*arguments, "KEY=-", credentials=credentials, given=b"v").stdout)
    assert [credential["name"] for credential in taken["credentials"]] == [MANIFEST, "API_KEY", "KEY", END]
    large = b'{"platform": {"serial_number": "%s"}}' % (b"x" * 82_000)
    arguments += ["LARGE=host-large"]
    assert json.loads(run(*arguments, credentials=credentials, given=large, status=1).stdout)["fits"] is False


def test_a_config_that_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "vm.json")
    monkeypatch.setattr(prepare, "READ_TIMEOUT", 0.2)
    with pytest.raises(GuestcredError, match=r"it did not end within 0\.2 seconds"):
        prepare.prepare(asked(), str(tmp_path / "vm.json"))


def asked(**changes: Any) -> prepare.Request:
    fields = {"hypervisor": "cloud-hypervisor", "files": (), "literals": ("A=b",), "keep_newline": False, "reserve": 0}
    return prepare.Request(**{**fields, "allow_empty": False, "guest_systemd": None, **changes})


def test_a_file_whose_name_ends_in_a_dash_is_not_standard_input(tmp_path: Path) -> None:
    (tmp_path / "x=-").write_bytes(b"v")
    done = run("encode", "--for", "cloud-hypervisor", "--no-manifest", f"KEY={tmp_path}/x=-", given=b"{}")
    assert json.loads(done.stdout) == {"platform": {"oem_strings": ["io.systemd.credential:KEY=v"]}}


def test_no_record_prints_a_value(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"hunter2")
    (tmp_path / "vm.json").write_text('{"platform": {"oem_strings": ["hunter2"]}}')
    request = asked(files=(f"KEY={tmp_path}/key",), literals=("B=hunter2",))
    prepared = prepare.prepare(request, str(tmp_path / "vm.json"))
    records: list[Record] = [request, prepared, *prepared.secrets, *prepared.encoded, *prepared.limits]
    defined = [vars(module).values() for module in (secret, encode, prepare)]
    kinds = {kind for values in defined for kind in values if isinstance(kind, type) and issubclass(kind, Record)}
    assert kinds - {Record} == {type(record) for record in records}
    assert prepared.document is not None and b"hunter2" in prepared.document
    assert "hunter2" not in "".join(repr(record) for record in records)


def test_what_does_not_fit(credentials: Path) -> None:
    (credentials / "host-large").write_bytes(b"y" * 50_000)
    arguments = [
        "encode",
        "--for",
        "json",
        "--no-manifest",
        "LARGE=host-large",
        "API_KEY=host-api-key",
        "--guest-systemd",
    ]
    done = run(*arguments, "252", "--dry-run", credentials=credentials, status=1)
    assert done.stdout.startswith(b"does not fit: 2 credentials for json\n") and b"OVER  structure" in done.stdout
    refused = error(*arguments, "252", credentials=credentials, status=1)
    assert "50110 bytes, only 4096 fit: systemd before 257 reads the first 4096 bytes" in refused
    assert "leave out LARGE (50029 bytes)" in refused
    run(*arguments, "257", credentials=credentials)
    assert "imports nothing" in error(*arguments, "249", credentials=credentials, status=1)


@pytest.mark.parametrize(("size", "warns"), [(51_000, False), (51_200, True)])
def test_a_config_that_an_older_cloud_hypervisor_would_not_take(credentials: Path, size: int, warns: bool) -> None:
    (credentials / "host-large").write_bytes(b"y" * size)
    done = run(
        "encode", "--for", "cloud-hypervisor", "--no-manifest", "LARGE=host-large", credentials=credentials, given=b"{}"
    )
    warning = (
        b"guestcred: warning: cloud-hypervisor before 54 takes no request above 51200 bytes, and this one has %d\n"
    )
    assert done.stderr == (warning % (len(done.stdout) - 1) if warns else b"")


def test_a_table_that_cloud_hypervisor_has_no_room_for(credentials: Path) -> None:
    (credentials / "host-large").write_bytes(b"y" * 140_000)
    refused = error(
        "encode", "--for", "cloud-hypervisor", "LARGE=host-large", credentials=credentials, status=1, given=b"{}"
    )
    assert "too much for the table" in refused and "65512 fit" in refused


@pytest.mark.parametrize("hypervisor", hypervisors.HYPERVISORS)
def test_no_hypervisor_is_taken_for_another(folder: Path, hypervisor: str) -> None:
    """Each has a form of its own, and only what `launch` can start is started."""
    if hypervisors.HYPERVISORS[hypervisor].launched_by is None:
        with pytest.raises(GuestcredError, match=f"launch starts no VM of {hypervisor}"):
            run_launch(asked(hypervisor=hypervisor), Launch(None, "x", f"{folder}/api.sock"))
    unknown = hypervisors.Hypervisor("new", place=hypervisors.HYPERVISORS[hypervisor].place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(hypervisors.HYPERVISORS, "new", unknown)
        with pytest.raises(GuestcredError, match="encode has no form for new"):
            run_encode(asked(hypervisor="new"), None, dry_run=False, form="text", folder=None, allow_arguments=False)
        with pytest.raises(GuestcredError, match="launch starts no VM of new"):
            run_launch(asked(hypervisor="new"), Launch(None, "x", f"{folder}/api.sock"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["encode", "--for", "vmware", "A=host-hard"], "'vmware' is not one of"),
        (["encode", "A=host-hard"], "missing option '--for'"),
        (["encode", "--for", "json", "--config", "x", "A=host-hard"], "json takes no VM config"),
        (["encode", "--for", "cloud-hypervisor", "A=-"], "cannot both come from standard input"),
        (["encode", "--for", "cloud-hypervisor", "A=host-hard"], "it is not JSON (line 1, column 1)"),
        (["encode", "--for", "json"], "no credential is named; guestcred encode --for json API_KEY=FILE ..."),
        (["launch", "--for", "qemu", "A=host-hard"], "command line is missing; it stands behind '--'"),
        (["launch", "--for", "qemu", "A=host-hard", "--"], "nothing stands behind '--'"),
        (["launch", "A=host-hard", "--", "my-vmm"], "my-vmm does not say which hypervisor it is; name it with --for"),
        (["launch", "--for", "qemu", "--config", "c", "--", "true"], "--config does not go with a command line"),
        (["launch", "--for", "qemu", "--timeout", "3", "--", "true"], "--timeout is for cloud-hypervisor"),
        (["launch", "--for", "qemu", "--api-socket", "/a", "--", "true"], "--api-socket is for cloud-hypervisor"),
        (["launch", "--for", "qemu", "--allow-log", "--", "true"], "--allow-log is for cloud-hypervisor"),
        (["launch", "--for", "qemu", "--notify", "guest", "--", "true"], "add -device vhost-vsock-pci,guest-cid=3"),
        (
            ["launch", "--for", "qemu", "A=host-hard", "qemu-system-x86_64", "-m", "1"],
            "no '--' before qemu-system-x86_64",
        ),
        (["launch", "--for", "qemu", "A=host-hard", "/usr/bin/qemu-kvm"], "no '--' before /usr/bin/qemu-kvm"),
        (
            ["launch", "--for", "cloud-hypervisor", "A=host-hard"],
            "neither a command line nor a running cloud-hypervisor",
        ),
        (
            ["launch", "--for", "cloud-hypervisor", "A=host-hard", "cloud-hypervisor", "--kernel", "k"],
            "there is no '--'",
        ),
        (
            ["launch", "--for", "cloud-hypervisor", "--api-socket", "/a", "A=host-hard"],
            "--config is missing: the VM in JSON",
        ),
        (["launch", "--for", "cloud-hypervisor", "--config", "c", "A=host-hard"], "--api-socket is missing"),
        (["launch", "--for", "cloud-hypervisor", "--api-socket", "/a", "--", "foo"], "--api-socket stands before '--'"),
        (
            ["launch", "--for", "cloud-hypervisor", "--api-socket", "/a", "--config", "c", "--notify", "vm"],
            "--notify is for",
        ),
        (["launch", "--for", "cloud-hypervisor", "--", "foo"], "the command line starts no VM"),
        (
            ["launch", "--for", "cloud-hypervisor", "--notify", "guest", "--", "true", "--kernel", "k"],
            "add --vsock cid=3,socket=PATH to the command line",
        ),
        (["launch", "--for", "crosvm", "A=host-hard"], "'crosvm' is not one of"),
    ],
)
def test_usage(credentials: Path, arguments: list[str], problem: str) -> None:
    said = error(*arguments, credentials=credentials, status=2)
    assert problem in said.replace("\nguestcred: hint: ", "; ")


def test_a_path_with_a_slash_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "key").write_bytes(b"v")
    for path in ("./folder/key", "folder/key", "../" + tmp_path.name + "/folder/key", str(tmp_path / "folder/key")):
        command = [sys.executable, "-m", "guestcred", "encode", "--for", "json", "--no-manifest", f"KEY={path}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, '["io.systemd.credential:KEY=v"]\n'), path


def test_one_secret_by_standard_input() -> None:
    assert b"KEY=v" in run("encode", "--for", "json", "KEY=-", given=b"v\n").stdout
    endless = subprocess.Popen(["yes", SECRET.decode()], stdout=subprocess.PIPE)
    command = [sys.executable, "-m", "guestcred", "encode", "--for", "json", "KEY=-"]
    done = subprocess.run(command, stdin=endless.stdout, capture_output=True, check=False, timeout=60)
    endless.kill()
    endless.communicate()
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"KEY from standard input: it is larger than 1 MiB" in done.stderr and SECRET not in done.stderr
