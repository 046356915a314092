"""What a look at a live guest sees beside regular files: the kernel's files, sockets, what systemd decrypts."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestcred.guest import journal, observe, sealed
from guestcred.guest.rootfs import Tree
from guestcred.guest.sealed import unseal
from guestcred.systemd.delivery import rules_of
from guestcred.systemd.requests import Request, Unit

RULES = rules_of(257, None)


def unit(*requests: Request, name: str = "x.service") -> Unit:
    return Unit(
        name=name,
        state="inactive",
        running=False,
        user="",
        uid=None,
        folder=f"run/credentials/{name}",
        only_stops=False,
        requests=requests,
    )


def paths(*sources: str) -> Unit:
    return unit(*(Request("LoadCredential", "a", source, True, None) for source in sources))


@pytest.mark.root
def test_files_of_the_kernel_are_measured() -> None:
    """They all say that they have 0 or 4096 bytes."""
    sources = ("/proc/sys/kernel/ostype", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/self/nowhere")
    seen = observe.observe(Tree("/"), (paths(*sources),), {}, 257, RULES).outside
    assert seen == {source: len(Path(source).read_bytes()) for source in sources[:2]}
    assert Path(sources[1]).stat().st_size == 4096 and len(Path(sources[1]).read_bytes()) < 100


def test_a_sparse_file_is_not_read_further_than_systemd_does(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    seen = observe.observe(Tree(str(tmp_path)), (paths("/sparse"),), {}, 257, RULES).outside
    assert seen == {"/sparse": (1 << 20) + 1}


def test_who_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {name: socket.socket(socket.AF_UNIX, kind) for name, kind in (
        ("heard", socket.SOCK_STREAM), ("deaf", socket.SOCK_STREAM), ("packets", socket.SOCK_SEQPACKET)
    )}  # fmt: skip
    monkeypatch.chdir(tmp_path)
    made["heard"].bind("heard")  # a relative path, as another mount namespace would have another one
    made["deaf"].bind(str(tmp_path / "deaf"))
    made["packets"].bind(str(tmp_path / "packets"))
    made["heard"].listen()
    made["packets"].listen()
    (tmp_path / "proc/1/net").mkdir(parents=True)
    (tmp_path / "proc/1/net/unix").write_bytes(Path("/proc/net/unix").read_bytes())
    seen = observe.observe(Tree(str(tmp_path)), (paths(*(f"/{name}" for name in made)),), {}, 257, RULES)
    assert seen.odd == {"/heard": "socket", "/deaf": "deaf", "/packets": "deaf"}
    for each in made.values():
        each.close()


def sealed_for(name: str, *options: str) -> bytes:
    command = ["systemd-creds", f"--name={name}", "--with-key=tpm2-absent", *options, "encrypt", "-", "-"]
    return subprocess.run(
        command, input=b"hunter2", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    ).stdout


@pytest.mark.root
def test_what_systemd_decrypts() -> None:
    right = sealed_for("a")
    assert unseal(right, "a") == 7
    assert unseal(right, "b") == "other-name"
    for plain in (b"hunter2", b"no base64 at all\n"):
        assert unseal(plain, "a") == "not-base64"
    for plain in (b"", b"A" * 200):
        assert unseal(plain, "a") == "not-encrypted"
    damaged = right[:-8] + (b"AAAA" if right[-8:-4] != b"AAAA" else b"BBBB") + right[-4:]
    assert unseal(damaged, "a") == "other-key"
    assert unseal(sealed_for("a", "--timestamp=2019-01-01", "--not-after=2020-01-01"), "a") == "expired"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        # systemd-creds of 252, 257 and 262
        ("Embedded credential name 'other' does not match filename 'a', refusing.", "other-name"),
        ("Credential's time passed, refusing to use.", "expired"),
        ("Decryption failed (incorrect key?): error:00000000:lib(0)::reason(0)", "other-key"),
        ("Decryption failed (incorrect key?): No OpenSSL errors.", "other-key"),
        ("Failed to determine local credential key: No such file or directory", "no-key"),
        ("TPM2 support not installed: Operation not supported", "no-tpm"),
        ("something new", "undecryptable"),
    ],
)
def test_why_systemd_does_not_decrypt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, problem: str) -> None:
    creds = tmp_path / "systemd-creds"
    creds.write_text(f'#!/bin/sh\ncat >/dev/null\necho "{said}" >&2\nexit 1\n')
    creds.chmod(0o755)
    monkeypatch.setattr(sealed, "PATH", f"{tmp_path}:{sealed.PATH}")
    assert unseal(b"x", "a") == problem


def test_a_system_without_systemd_creds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert unseal(b"x", "a") is None


@pytest.mark.parametrize(("systemd", "places"), [(254, 2), (257, 1)])
def test_each_encrypted_file_is_asked_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: int, places: int
) -> None:
    asked = []

    def fake(text: bytes, identifier: str, *, for_user: bool) -> int:
        assert not for_user
        asked.append((text, identifier))
        return 3

    monkeypatch.setattr(observe, "unseal", fake)
    for place in ("etc/credstore.encrypted", "usr/lib/credstore.encrypted"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "K").write_bytes(place.encode())
    requests = (
        Request("LoadCredentialEncrypted", "k", "K"),
        Request("ImportCredential", "", "K*"),
        Request("SetCredentialEncrypted", "s", "", False, 4),
        Request("LoadCredential", "plain", "K"),
    )
    units = (unit(*requests), unit(*requests, name="y.service"))
    values = {name: {"s": b"blob"} for name in ("x.service", "y.service")}
    sealed = observe.observe(Tree(str(tmp_path)), units, values, systemd, rules_of(systemd, None)).sealed
    stored = {f"K:{place}/K" for place in ("usr/lib/credstore.encrypted", "etc/credstore.encrypted")[-places:]}
    assert set(sealed) == {"k:etc/credstore.encrypted/K", *stored, "s:x.service", "s:y.service"}
    assert len(asked) == len(sealed) and (b"YmxvYg==", "s") in asked


class Reader:
    """The journal, played: what was matched, and the entries from the last to the first."""

    entries: list[dict[str, str]]
    of_user = False

    def __init__(self) -> None:
        self.matched: list[str] = []
        self.left = list(self.entries)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        # what anybody may write must not count
        by = {"USER_UNIT=x.service", "_UID=1000"} if self.of_user else {"UNIT=x.service", "_UID=0"}
        assert set(self.matched) == {"boot", f"MESSAGE_ID={journal._SPAWN_FAILED}", *by}

    def this_boot(self) -> None:
        self.matched.append("boot")

    def add_match(self, match: str) -> None:
        self.matched.append(match)

    def seek_tail(self) -> None:
        pass

    def get_previous(self) -> dict[str, str]:
        return self.left.pop(0) if self.left else {}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (["x.service: Failed at step CREDENTIALS spawning /bin/x: Protocol error"],
         "Failed at step CREDENTIALS spawning /bin/x: Protocol error"),
        (["x.service: Failed at step EXEC spawning /bin/x: No such file", "x.service: Failed at step CREDENTIALS\x1b[31m"],
         "Failed at step CREDENTIALS\\x1b[31m"),
        (["x.service: Failed at step EXEC spawning /bin/x: No such file"], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_pid_1s_own_words(monkeypatch: pytest.MonkeyPatch, messages: list[str], words: str) -> None:
    monkeypatch.setattr(Reader, "entries", [{"MESSAGE": message} for message in messages], raising=False)
    monkeypatch.setattr("systemd.journal.Reader", Reader)
    assert journal.credentials_failure("x.service") == words
    monkeypatch.setattr(Reader, "of_user", True)
    assert journal.credentials_failure("x.service", 1000) == words


class KernelLog(Reader):
    """What PID 1 wrote before there was a journal."""

    def __exit__(self, *_: object) -> None:
        # this boot, and of it PID 1 itself, or what root wrote into the kernel's log under its name
        assert self.matched == ["boot", "and", "_PID=1", "or", "_TRANSPORT=kernel", "SYSLOG_IDENTIFIER=systemd"]

    def add_conjunction(self) -> None:
        self.matched.append("and")

    def add_disjunction(self) -> None:
        self.matched.append("or")

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter(self.left)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Failed to write credential: No space left on device", "Failed to write credential: No space left on device"),
        ("Failed to base64 decode credential 'KEY', ignoring: Invalid argument",
         "Failed to base64 decode credential 'SHOWN', ignoring: Invalid argument"),
        ("Credential 'KEY' is larger than allowed limit (2M > 1M), skipping.",
         "Credential 'SHOWN' is larger than allowed limit (2M > 1M), skipping."),
        ("Accumulated credential size would be above allowed limit (1000K+100K > 1M), skipping 'KEY'.",
         "Accumulated credential size would be above allowed limit (1000K+100K > 1M), skipping 'SHOWN'."),
        ("Failed to create /run/credentials/@system/KEY: No space left on device",
         "Failed to create /run/credentials/@system/SHOWN: No space left on device"),
        ("SMBIOS OEM string lacks '=' character, ignoring.", "SMBIOS OEM string lacks '=' character, ignoring."),
        ("Failed to read SMBIOS type #11 object 12, ignoring: Input/output error",
         "Failed to read SMBIOS type #11 object 12, ignoring: Input/output error"),
        ("Failed to parse /proc/cmdline, ignoring: Permission denied", "Failed to parse /proc/cmdline, ignoring: Permission denied"),
        # with what no systemd says today behind it
        ("Failed to write credential hunter2", None),
        ("Failed to write credential 12345", None),
        ("Failed to write credential: Hunter", None),
        ("Failed to read SMBIOS type #11 object 12, ignoring: hunter2", None),
        ("Failed to base64 decode credential 'KEY', ignoring: aHVudGVy", None),
        ("SMBIOS OEM string lacks '=' character, ignoring: hunter2", None),
        ("Credential 'KEY' is larger than allowed limit (2M > 1M), skipping hunter2.", None),
        # of others, of none of this, and what quotes a value or a string
        ("Credential 'KEY2' set twice, ignoring.", None),
        ("Failed to create /run/credentials/@system/KEY2: No space left on device", None),
        ("Ignoring OEM string: KEY=hunter2", None),
        ("Credential assignment through kernel command line lacks ':' character, ignoring: hunter2", None),
        ("Failed to write credential: KEY=hunter2!", None),
        ("Credential 'KEY' set twice, ignoring.\x1b[31m", None),
        ("Received regular credentials: KEY", None),
        ("Accumulated credential size would be above allowed limit (1B+1B > 1B), skipping 'KEY2'.", None),
        ("", None),
    ],
)  # fmt: skip
def test_what_pid_1_said_of_a_credential(monkeypatch: pytest.MonkeyPatch, message: str, told: str | None) -> None:
    monkeypatch.setattr(KernelLog, "entries", [{"MESSAGE": message}, {"MESSAGE": message}, {}], raising=False)
    monkeypatch.setattr("systemd.journal.Reader", KernelLog)
    assert journal.import_words("KEY", "SHOWN") == (() if told is None else (told,))


def test_without_a_journal_nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no journal")

    monkeypatch.setattr("systemd.journal.Reader", fail)
    assert journal.import_words("KEY", "KEY") == ()
