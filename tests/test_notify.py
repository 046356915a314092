"""What systemd and its journal are told of one `apply`, and what happens where they do not listen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from test_plan import DISK, compared, lost

from guestcred.apply import notify
from guestcred.apply.plan import File, Plan
from guestcred.diagnose.findings import Finding

FILE = File("KEY", 7, "run/credstore/KEY")
PLAN = Plan(
    comparison=compared(lost("KEY", cause="store-full"), lost("A", "differs", "altered")),
    rescues=(FILE,),
    present=(FILE,),
    directories=(),
    left=(DISK, Finding("differs", "A and B differ", "mend them", names=("A", "B"), cause="altered")),
)
RESCUED, LEFT = "MESSAGE_ID=7d1b0f6c5e0a4d0d9b63a2c4f1e85a37", "MESSAGE_ID=c2f4d9e1a6b84f3e8d570b1c9e6a2f48"
ENTRIES = [
    [
        *("MESSAGE=KEY was not imported; it is now in /run/credstore/KEY", RESCUED, "PRIORITY=6"),
        *("SYSLOG_IDENTIFIER=guestcred", "GUESTCRED_NAME=KEY", "GUESTCRED_STATUS=rescued", "GUESTCRED_CAUSE=store-full"),
    ],
    [
        *("MESSAGE=a string is not a credential; fix: a fix", LEFT, "PRIORITY=4"),
        *("SYSLOG_IDENTIFIER=guestcred", "GUESTCRED_STATUS=near-miss"),
    ],
    [
        *("MESSAGE=A and B differ; fix: mend them", LEFT, "PRIORITY=4"),
        *("SYSLOG_IDENTIFIER=guestcred", "GUESTCRED_NAME=A", "GUESTCRED_NAME=B"),
        *("GUESTCRED_STATUS=differs", "GUESTCRED_CAUSE=altered"),
    ],
]  # fmt: skip


def test_an_entry_for_each_rescue_and_each_finding_that_is_left() -> None:
    assert notify.entries(PLAN) == ENTRIES


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was said to either; neither is asked for at first."""
    said: list[object] = []
    monkeypatch.setattr(notify, "journal_send", lambda *fields: said.append([*fields]))
    monkeypatch.setattr(notify, "notify", said.append)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    return said


def to_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


def failing(error: Exception) -> object:
    def fail(*_: str) -> None:
        raise error

    return fail


def test_at_a_shell_nobody_is_told(told: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    assert notify.tell(PLAN, "fixed") and told == []
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")  # another program's
    assert notify.tell(PLAN, "fixed") and told == []


def test_each_that_asks_is_told(told: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    to_journal(monkeypatch)
    assert notify.tell(PLAN, "fixed") and told == ENTRIES
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert notify.tell(PLAN, "fixed") and told == [*ENTRIES, *ENTRIES, "READY=1\nSTATUS=fixed"]
    monkeypatch.delenv("JOURNAL_STREAM")
    told.clear()
    assert notify.tell(PLAN, "fixed") and told == ["READY=1\nSTATUS=fixed"]


def test_the_journal_is_asked_for_on_standard_error() -> None:
    """systemd.exec(5): $JOURNAL_STREAM is of the stream that goes there, and standard output is often another."""
    code = (
        "import os; status = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{status.st_dev}:{status.st_ino}'\n"
        "from guestcred.apply.notify import _to_journal; os.close(0), os.close(1); os._exit(7 if _to_journal() else 8)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (7, b"")


def test_a_journal_that_does_not_answer_keeps_nobody_from_being_told(
    told: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    to_journal(monkeypatch)
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setattr(notify, "journal_send", failing(ConnectionRefusedError()))
    assert notify.tell(PLAN, "fixed") and told == ["READY=1\nSTATUS=fixed"]


@pytest.mark.parametrize("error", [FileNotFoundError(), ValueError("a socket's name is too long")])
def test_a_socket_that_is_none_is_no_failure(
    told: list[object], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "rubbish")
    monkeypatch.setattr(notify, "notify", failing(error))
    assert notify.tell(PLAN, "fixed") and told == []


@pytest.mark.parametrize("asks", ["journal", "PID 1"])
def test_where_the_module_is_missing_it_is_said(told: list[object], asks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if asks == "journal":
        to_journal(monkeypatch)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    for sender in ("journal_send", "notify"):
        monkeypatch.setattr(notify, sender, failing(ImportError()))
    assert not notify.tell(PLAN, "fixed") and told == []
