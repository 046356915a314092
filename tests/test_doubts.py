"""What `encode` and `launch` warn of before they send it: names that the guest does not read, values of the wrong form."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guestcred.host import tmpfiles
from guestcred.host.doubts import FORMS, doubts
from guestcred.host.secret import Secret
from guestcred.host.tmpfiles import unparsed_lines
from guestcred.systemd.atlas_data import ENTRIES

SECRET = b"S3CRETvalue-of-one"
DIGITS = b"aB3./"


def told(name: str, value: bytes, systemd: int | None = None) -> list[str]:
    return doubts([Secret(name, value, False)], (), systemd)


def key(kind: bytes = b"ssh-ed25519", says: bytes | None = None) -> bytes:
    blob = len(kind).to_bytes(4, "big") + kind + b"\0\0\0 " + bytes(32)
    return (says or kind) + b" " + base64.b64encode(blob)


@pytest.mark.parametrize(
    ("name", "systemd", "said"),
    [
        ("ssh.listen", 252, ["nobody in the guest reads ssh.listen: this systemd is 252, and it came with 256; it takes a guest with systemd 256 or later"]),
        ("ssh.listen", 256, []),
        ("ssh.listen", None, []),
        ("network.conf.a", None, ["nobody in the guest reads network.conf.a: systemd-network-generator.service could read it, and does not import it; type 'systemctl edit systemd-network-generator.service' and write [Service] LoadCredential=network.conf.a"]),
        ("firstboot.locale-message", None, ["nobody in the guest reads firstboot.locale-message: what is read is firstboot.locale-messages; name it firstboot.locale-messages"]),
        ("ssh.authorized-keys.root", None, ["systemd does not know ssh.authorized-keys.root, and reads ssh.authorized_keys.root: is that meant?"]),
        ("API_KEY", 252, []),
        ("sysctl.extra", 252, []),
    ],
)  # fmt: skip
def test_names(name: str, systemd: int | None, said: list[str]) -> None:
    assert told(name, SECRET, systemd) == said


GOOD = {
    "passwd.hashed-password.root": [
        b"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", b"$6$salt$" + b"a" * 86,
        b"$6$rounds=5000$salt$" + b"a" * 86, b"$5$salt$" + b"a" * 43, b"$1$salt$" + b"a" * 22, b"$2b$05$" + b"a" * 53,
        b"", b"!", b"!*", b"*", b"!!", b"!$6$salt$" + b"a" * 86, b"abJnggxhB/yWI",
    ],
    "ssh.authorized_keys.root": [
        key(), key() + b" me@host", b"# mine\n\n" + key(b"ssh-rsa") + b"\n", b'from="10.0.0.0/8",no-pty ' + key() + b"\n",
        key(b"ecdsa-sha2-nistp256"), key(b"sk-ssh-ed25519@openssh.com"), key(b"ssh-ed25519-cert-v01@openssh.com"),
    ],
    "system.machine_id": [b"a" * 32, b"0123ABCD-0123-4567-89ab-0123456789ab", b"firmware"],
    "home.create.alice": [b"{}", b' {"userName": "alice"}\n'],
    "login.noauth": [b"yes", b"yes\n"],
}  # fmt: skip
BAD = {
    "passwd.hashed-password.root": [
        SECRET, b"$6$salt$" + b"a" * 85, b"$6$" + SECRET, b"root:$6$salt$" + b"a" * 86, b"$6$salt$" + b"a" * 86 + b"\n", b"$y$",
    ],
    "ssh.authorized_keys.root": [
        SECRET, b"", b"# none\n", key() + b"\nssh-ed25519 AAAA" + SECRET, key(says=b"ssh-rsa"), key()[:-3],
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + SECRET, b"ssh-ed25519",
    ],
    "system.machine_id": [b"a" * 31, b"a" * 32 + b"\n", b"0" * 32, SECRET, b""],
    "home.create.alice": [b"", b"[]", SECRET, b"{" * 100000, b"\xff"],
    "login.noauth": [b"true", b"1", b"", SECRET],
}  # fmt: skip


def test_each_form_has_examples_and_each_is_one_of_the_atlas() -> None:
    assert set(FORMS) == {row[3] for row in ENTRIES if row[3]}
    assert {row[3] for row in ENTRIES for name in GOOD if row[0] in (name, "home.create.*") and row[3]} == set(
        FORMS
    ) - {"tmpfiles"}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
def test_values_of_the_right_form(name: str, value: bytes) -> None:
    assert told(name, value) == []


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_values_of_the_wrong_form_are_told_and_not_shown(name: str, value: bytes) -> None:
    (said,) = told(name, value)
    assert said.startswith(f"the value of {name} ") and SECRET.decode() not in said and "AAAA" not in said


def test_the_line_of_a_wrong_key_and_a_private_one() -> None:
    assert told("ssh.authorized_keys.root", key() + b"\n\nwrong\n" + key() + b"\nx") == [
        "the value of ssh.authorized_keys.root has no key for authorized_keys in line 3 and 5"
    ]
    (said,) = told("ssh.authorized_keys.root", b"-----BEGIN RSA PRIVATE KEY-----\n")
    assert "is a private key" in said


def test_a_hash_as_openssl_makes_it() -> None:
    made = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=SECRET, capture_output=True, check=True).stdout
    assert told("passwd.hashed-password.root", made.removesuffix(b"\n")) == []
    assert "it ends in a newline" in told("passwd.hashed-password.root", made)[0]


def plays(folder: Path, script: str) -> None:
    """A systemd-tmpfiles that does this."""
    path = folder / "systemd-tmpfiles"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("exit 0", []),
        ("echo '<stdin>:1: Syntax error.' >&2; exit 65", [1]),
        ("printf '<stdin>:%s: Unknown S3CRETvalue-of-one\\n' 3 7 3 >&2; exit 65", [3, 7]),
        ("echo \"<stdin>:1: Failed to resolve user 'alice': No such process\" >&2; exit 65", []),
        ("echo unrecognized option >&2; exit 1", []),
        ("echo '<stdin>:1: Syntax error.' >&2; exit 1", [1]),
        ("echo '<stdin>:1: Syntax error.' >&2; exit 0", []),
        ("echo 'Quoting <stdin>:2: and so on' >&2; exit 65", []),
        ("printf '<stdin>:%s: Syntax error.\\n' 0 8 1234567 12345678 >&2; exit 65", []),
        ("printf '<stdin>:%05000d: Syntax error.\\n' 1 >&2; exit 65", []),
    ],
)
def test_lines_that_do_not_parse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, lines: list[int]
) -> None:
    plays(tmp_path, script)
    monkeypatch.setattr(tmpfiles, "PATH", f"{tmp_path}:/usr/bin:/bin")
    text = b"\n".join([SECRET] * 7)
    assert unparsed_lines(text) == lines
    said = told("tmpfiles.extra", text)
    assert len(said) == bool(lines) and SECRET.decode() not in "".join(said)


def test_a_value_is_handed_to_it_by_a_pipe_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plays(
        tmp_path,
        f'cat > {tmp_path}/got; echo "$@" > {tmp_path}/arguments; env > {tmp_path}/environment; test -p /dev/stdin',
    )
    monkeypatch.setattr(tmpfiles, "PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/mine")
    assert unparsed_lines(SECRET) == [] and (tmp_path / "got").read_bytes() == SECRET
    assert (tmp_path / "arguments").read_text() == "--dry-run --create -\n"
    assert "CREDENTIALS_DIRECTORY" not in (tmp_path / "environment").read_text()


def test_without_systemd_tmpfiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tmpfiles, "PATH", str(tmp_path))
    assert unparsed_lines(SECRET) == []
    plays(tmp_path, "exec /bin/sleep 60")
    monkeypatch.setattr(tmpfiles, "TIMEOUT", 0.05)
    assert unparsed_lines(SECRET) == []


def test_of_this_host() -> None:
    """By whatever systemd-tmpfiles is here; before 256 it cannot be asked."""
    assert unparsed_lines(b"d /run/guestcred-test 0755 root root -\n") == []
    assert unparsed_lines(b"d /run/guestcred-test\n?? nonsense\nd\n") in ([], [2, 3])


def test_strings_of_the_config() -> None:
    others = [
        b"io.systemd.credential:A=b",
        b"io.systemd.boot-entries.extra:" + SECRET,
        b"hello",
        b"io.systemd.credentials:A=b",
    ]
    first, second = doubts([], others, None)
    assert first.startswith("OEM string 2 of the VM's config is nothing that the guest reads: write exactly ")
    assert second.startswith("OEM string 4 of") and SECRET.decode() not in first + second


@pytest.mark.parametrize("more", [["--dry-run"], []])
def test_encode_warns_and_goes_on(tmp_path: Path, more: list[str]) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    names = [f"{name}={secret}" for name in ("passwd.hashed-password.root", "ssh.listen", "tmpfile.extra", "API_KEY")]
    command = [sys.executable, "-m", "guestcred", "encode", "--for", "json", "--guest-systemd", "254", *more, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "NO_COLOR": "1"})
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["guestcred"] * 3
    assert done.stderr.splitlines()[0] == (
        "guestcred: warning: the value of passwd.hashed-password.root is no password hash of crypt(5): "
        "make one with 'openssl passwd -6' or 'mkpasswd'"
    )
    assert SECRET.decode() not in done.stderr and "meant?" in done.stderr and "came with 256" in done.stderr
