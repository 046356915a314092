"""What the boot path takes from private C modules does as the public ones do."""

from __future__ import annotations

import ctypes
import hmac
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guestcred import c_modules

ROOT = Path(__file__).parent.parent


def printed(code: str, *options: str) -> str:
    """What an interpreter of its own prints."""
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True).stdout


@given(st.binary(), st.binary())
def test_comparison(a: bytes, b: bytes) -> None:
    assert c_modules.compare_digest(a, b) == hmac.compare_digest(a, b)
    assert c_modules.compare_digest(a, a) and hmac.compare_digest(a, a)


@given(st.binary(max_size=64), st.binary())
def test_keyed_digests(key: bytes, message: bytes) -> None:
    assert c_modules.hmac_sha256(key, message) == hmac.digest(key, message, "sha256")


@given(st.text())
def test_json_strings(text: str) -> None:
    assert c_modules.quoted(text) == json.dumps(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def parsed(parse: Callable[[str], object], text: str) -> str:
    """What comes of a text, where nan is nan; a refusal in the one word that both have for it."""
    try:
        return repr(parse(text))
    except (ValueError, RecursionError) as error:
        return "RecursionError" if isinstance(error, RecursionError) else "ValueError"


@given(JSON, st.sampled_from([None, 1]), st.text(" \t\r\n", max_size=2), st.text(" \n\x0b]x", max_size=2))
def test_json_texts(value: object, indent: int | None, before: str, behind: str) -> None:
    text = before + json.dumps(value, indent=indent) + behind
    assert parsed(c_modules.parse_json, text) == parsed(json.loads, text)


@given(st.text('[]{},:"\\u0123456789abcdefntrl.eE+- \n', max_size=12))
@example("")
@example(" ")
@example("[" * 200_000)
@example("9" * 6000)
@example("NaN")
@example("-Infinity")
@example('"\x01"')
@example('"\\ud800"')
def test_texts_that_may_be_no_json(text: str) -> None:
    assert parsed(c_modules.parse_json, text) == parsed(json.loads, text)


def test_prctl() -> None:
    get_dumpable, set_dumpable = 3, 4  # prctl(2)
    code = (
        "import ctypes; from guestcred import c_modules\n"
        f"print([c_modules.prctl({set_dumpable}, 0), c_modules.prctl({get_dumpable}, 0), ctypes.CDLL(None).prctl({get_dumpable}, 0, 0, 0, 0)])"
    )
    assert printed(code) == "[0, 0, 0]\n"
    assert c_modules.prctl(get_dumpable, 0) == ctypes.CDLL(None).prctl(get_dumpable, 0, 0, 0, 0)


def test_capabilities_and_system_calls_are_given_up() -> None:
    code = (
        "from guestcred import c_modules\n"
        "told = [c_modules.drop_capabilities(), c_modules.prctl(38, 1)]\n"
        # SECCOMP_RET_ALLOW of everything
        "told.append(c_modules.filter_system_calls(bytes([6, 0, 0, 0, 0, 0, 0xFF, 0x7F])))\n"
        "words = ('CapInh', 'CapPrm', 'CapEff', 'NoNewPrivs', 'Seccomp')\n"
        "state = dict(line.split(':') for line in open('/proc/self/status'))\n"
        "print(*told, *[int(state[word], 16) for word in words])"
    )
    assert printed(code) == "0 0 0 0 0 0 1 2\n"


def test_limits_are_lowered_and_never_raised() -> None:
    code = (
        "import resource\n"
        "from guestcred import c_modules\n"
        "for value in (9, 5, 7):\n"
        "    c_modules.lower_limit(resource.RLIMIT_CPU, value)\n"
        "    print(*resource.getrlimit(resource.RLIMIT_CPU))"
    )
    assert printed(code) == "9 9\n5 5\n5 5\n"


def test_a_filter_that_is_none() -> None:
    code = "from guestcred import c_modules; c_modules.prctl(38, 1); print(c_modules.filter_system_calls(bytes(8)))"
    assert printed(code) == "-1\n"


def test_messages_to_the_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from systemd import daemon

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        told = []
        for send in (c_modules.notify, daemon.notify):
            send("READY=1\nSTATUS=it's \u00fc")
            told.append(notify.recv(4096))
    assert told[0] == told[1] == "READY=1\nSTATUS=it's \u00fc".encode()


def test_journal_entries_are_sent_by_what_the_public_module_has() -> None:
    from systemd import _journal, journal

    assert journal.sendv is _journal.sendv


def test_json_that_is_none_where_json_was_never_imported() -> None:
    texts = ["", "{", '{"a"', '{"a":', "[1,", '"', '"\\x"', "nul", "1 2", "[1}", "\x01"]
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from guestcred.c_modules import parse_json\n"
        f"for text in {texts!r}:\n"
        "    assert 'json' not in sys.modules or sys.version_info >= (3, 12)\n"
        "    try: parse_json(text)\n"
        "    except ValueError as error: assert str(error)\n"
        "    else: raise AssertionError(text)\n"
    )
    assert printed(code, "-IS") == ""


def test_unix_sockets(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "listener"))
        listener.listen()
        ours = c_modules.unix_socket()
        ours.connect(str(tmp_path / "listener"))
        with socket.socket(socket.AF_UNIX) as theirs:
            for same in ("family", "type", "proto"):
                assert getattr(ours, same) == getattr(theirs, same)
            assert not os.get_inheritable(ours.fileno()) and not os.get_inheritable(theirs.fileno())
            credentials = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            assert c_modules.listener(ours) == struct.unpack("3i", credentials)[:2] == (os.getpid(), os.getuid())
        ours.close()


@pytest.mark.parametrize("before", ["default_int_handler", "SIG_IGN", "SIG_DFL"])
def test_sigint(before: str) -> None:
    code = (
        "import signal\nfrom guestcred.c_modules import end_by_sigint\n"
        f"signal.signal(signal.SIGINT, signal.{before})\nend_by_sigint()\nprint(signal.getsignal(signal.SIGINT).name)"
    )
    assert printed(code).strip() == ("SIG_IGN" if before == "SIG_IGN" else "SIG_DFL")
