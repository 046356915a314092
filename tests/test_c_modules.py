"""What the boot path takes from private C modules does as the public ones do."""

from __future__ import annotations

import ctypes
import hmac
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestcred import c_modules


@given(st.binary(), st.binary())
def test_comparison(a: bytes, b: bytes) -> None:
    assert c_modules.compare_digest(a, b) == hmac.compare_digest(a, b)
    assert c_modules.compare_digest(a, a) and hmac.compare_digest(a, a)


@given(st.text())
def test_json_strings(text: str) -> None:
    assert c_modules.quoted(text) == json.dumps(text)


def test_prctl() -> None:
    get_dumpable, set_dumpable = 3, 4  # prctl(2)
    code = (
        "import ctypes; from guestcred import c_modules\n"
        f"print([c_modules.prctl({set_dumpable}, 0), c_modules.prctl({get_dumpable}, 0), ctypes.CDLL(None).prctl({get_dumpable}, 0, 0, 0, 0)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 0, 0]\n"
    assert c_modules.prctl(get_dumpable, 0) == ctypes.CDLL(None).prctl(get_dumpable, 0, 0, 0, 0)


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
