"""Reading the host's secrets: every bad file is one error that names the secret, and never a hang."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from guestcred.errors import GuestcredError
from guestcred.host.secret import read_secrets

VALUE = b"hunter2hunter2"


def refusal(*files: str, folder: Path | None = None, timeout: float = 0.2) -> GuestcredError:
    with pytest.raises(GuestcredError) as caught:
        read_secrets(files, folder=None if folder is None else str(folder), timeout=timeout)
    assert VALUE.decode() not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("content", "keep", "value"),
    [
        (b"v\n", False, b"v"),
        (b"v\n\n", False, b"v\n"),
        (b"v\r\n", False, b"v\r"),
        (b"v\n", True, b"v\n"),
        (b" v\0", False, b" v\0"),
    ],
)
def test_one_newline_is_stripped(tmp_path: Path, content: bytes, keep: bool, value: bytes) -> None:
    (tmp_path / "host-key").write_bytes(content)
    for path in ("host-key", f"{tmp_path}/host-key"):
        (secret,) = read_secrets([f"KEY={path}"], folder=str(tmp_path), keep_newline=keep)
        assert (secret.name, secret.value) == ("KEY", value)


def test_literals_are_taken_as_they_are() -> None:
    (literal, empty) = read_secrets([], ["A=b=c\n", "EMPTY="])
    assert (literal.value, empty.value, literal.literal) == (b"b=c\n", b"", True)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a:b", "x" * 256, "ä", "a\tb"])
def test_names_that_the_guest_refuses(name: str) -> None:
    assert refusal(f"{name}=/nonexistent").status == 2


def test_names_are_judged_before_a_file_is_opened() -> None:
    assert "A is given twice" in str(refusal("A=/nonexistent", "A=/nonexistent"))
    with pytest.raises(GuestcredError, match="A is given twice"):
        read_secrets(["A=/nonexistent"], ["A=v"])
    assert "two secrets cannot both come from standard input" in str(refusal("A=-", "B=-"))


@pytest.mark.parametrize(
    "pasted", [VALUE.decode(), f"{VALUE.decode()}=", f"{VALUE.decode()}==", f"/{VALUE.decode()}=x"]
)
def test_a_value_that_was_pasted_as_an_argument_is_not_repeated(pasted: str) -> None:
    error = refusal("A=/nonexistent", pasted)
    assert error.status == 2 and VALUE.decode() not in "".join([str(error), *error.hints])


def test_a_wrong_name_is_told_by_its_place() -> None:
    expected = "the guest accepts no credential with the name in NAME=FILE number 2: the 3 bytes before its first '='"
    assert str(refusal("A=/nonexistent", "B:C=/nonexistent")) == expected


def test_a_file_that_tells_no_size() -> None:
    assert "KEY from /proc/version: it does not report its size" in str(refusal("KEY=/proc/version"))


def test_standard_input_of_which_something_was_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(VALUE)
    code = "from guestcred.host.secret import read_secrets; import os; os.read(0, 3); read_secrets(['KEY=-'])"
    with open(tmp_path / "key") as file:
        done = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True, check=False)
    assert "KEY from standard input: something has already read the start of it" in done.stderr


def test_a_missing_file(tmp_path: Path) -> None:
    error = refusal("KEY=absent", folder=tmp_path)
    assert (
        str(error) == "cannot read the secret KEY from what was given as its FILE (6 bytes): no such file or directory"
    )
    assert error.hints == ("a FILE is expected there, and never the value: KEY=FILE",)
    assert error.status == 3
    # its folder is there, so it is a path
    assert (
        str(refusal(f"KEY={tmp_path}/absent"))
        == f"cannot read the secret KEY from {tmp_path}/absent: no such file or directory"
    )


@pytest.mark.parametrize(
    "value",
    [
        VALUE.decode(),
        f"{VALUE.decode()}+/x=",
        f"/{VALUE.decode()}",
        f"/{VALUE.decode()}/x",
        f"//{VALUE.decode()}",
        f"../{VALUE.decode()}",
        f"./{VALUE.decode()}",
        f"{VALUE.decode()}/{VALUE.decode()}",
        f"{VALUE.decode()}\n",
        VALUE.decode() * 50,
        f"/tmp/{VALUE.decode()}" * 2,
    ],
)
@pytest.mark.parametrize("in_a_unit", [True, False])
def test_a_value_in_place_of_a_file_is_not_repeated(tmp_path: Path, value: str, in_a_unit: bool) -> None:
    error = refusal(f"KEY={value}", folder=tmp_path if in_a_unit else None)
    assert VALUE.decode() not in "".join([str(error), *error.hints])
    assert f"KEY from what was given as its FILE ({len(value)} bytes): " in str(error)
    assert error.hints[0] == "a FILE is expected there, and never the value: KEY=FILE"


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    error = refusal("KEY=key", folder=tmp_path)
    assert "the secret KEY is empty" in str(error) and error.status == 1
    (secret,) = read_secrets(["KEY=key"], folder=str(tmp_path), allow_empty=True)
    assert secret.value == b""


def test_a_folder_and_a_device(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    assert "KEY from key: it is a folder" in str(refusal("KEY=key", folder=tmp_path))
    assert "neither a file nor a pipe" in str(refusal("KEY=/dev/zero"))


def test_a_plain_name_needs_the_units_folder(tmp_path: Path) -> None:
    error = refusal("KEY=host-key")
    assert "$CREDENTIALS_DIRECTORY is not set" in str(error) and "LoadCredential=" in error.hints[1]
    for path in (".", ".."):
        assert "it is a folder" in str(refusal(f"KEY={path}", folder=tmp_path))


def test_a_path_is_one_in_a_unit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leads out of the unit's folder is no host credential: it is the path that it looks like."""
    (tmp_path / "key").write_bytes(VALUE)
    (tmp_path / "unit").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in ("./key", "unit/../key"):
        (secret,) = read_secrets([f"KEY={path}"], folder=str(tmp_path / "unit"))
        assert secret.value == VALUE
    assert "unit/absent: no such file" in str(refusal("KEY=unit/absent", folder=tmp_path))


def test_a_link_leads_nowhere_from_the_units_folder(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(VALUE)
    (tmp_path / "link").symlink_to("real")
    assert "KEY from link" in str(refusal("KEY=link", folder=tmp_path))
    # but /run/secrets/NAME of sops-nix is a link, and the operator's own choice
    assert read_secrets([f"KEY={tmp_path}/link"])[0].value == VALUE


def test_at_and_over_1_mib(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"x" * (1 << 20) + b"\n")
    assert len(read_secrets(["KEY=key"], folder=str(tmp_path))[0].value) == 1 << 20
    (tmp_path / "key").write_bytes(b"x" * ((1 << 20) + 2))
    error = refusal("KEY=key", folder=tmp_path)
    assert "KEY from key: it is larger than 1 MiB" in str(error) and error.status == 1


def write_to(fifo: Path, endless: bool, ended: threading.Event) -> None:
    fd = os.open(fifo, os.O_WRONLY)
    try:
        os.write(fd, VALUE)
        while endless:
            os.write(fd, VALUE * 1000)
        ended.wait(30)
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)


@pytest.mark.parametrize(("endless", "reason"), [(True, "larger than 1 MiB"), (False, "not end within 0.2 seconds")])
def test_a_pipe_that_never_ends(tmp_path: Path, endless: bool, reason: str) -> None:
    os.mkfifo(tmp_path / "key")
    ended = threading.Event()
    writer = threading.Thread(target=write_to, args=(tmp_path / "key", endless, ended))
    writer.start()
    try:
        assert reason in str(refusal("KEY=key", folder=tmp_path, timeout=30 if endless else 0.2))
    finally:
        ended.set()
        writer.join()


def test_a_pipe_that_nobody_writes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    assert "not end" in str(refusal("KEY=key", folder=tmp_path))


@pytest.mark.parametrize(
    ("more", "reason"), [(b"x", "it changed while it was read"), (b"x" * (1 << 20), "it is larger than 1 MiB")]
)
def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: bytes, reason: str
) -> None:
    (tmp_path / "key").write_bytes(VALUE)
    read = os.read

    def grow(fd: int, size: int) -> bytes:
        part = read(fd, size)
        with open(tmp_path / "key", "ab") as file:
            file.write(more)
        return part

    monkeypatch.setattr(os, "read", grow)
    assert reason in str(refusal("KEY=key", folder=tmp_path))
