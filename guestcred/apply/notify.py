"""What `apply` did, for systemd and its journal: names, statuses and causes, never a value."""

from __future__ import annotations

import os

from guestcred.apply.plan import Plan
from guestcred.c_modules import journal_send, notify

# message ids; packaging/systemd/guestcred.catalog explains them to people
RESCUED = "7d1b0f6c5e0a4d0d9b63a2c4f1e85a37"
LEFT = "c2f4d9e1a6b84f3e8d570b1c9e6a2f48"
INFO, WARNING = 6, 4  # syslog(3)


def entries(plan: Plan) -> list[list[str]]:
    """One journal entry, as a list of "FIELD=value", for each rescued credential and each finding that is left."""
    causes = {credential.name: credential.cause for credential in plan.comparison.credentials}
    told = []
    for file in plan.rescues:
        message = f"{file.name} was not imported; it is now in /{file.place}"
        told.append(_entry(RESCUED, INFO, message, (file.name,), "rescued", causes[file.name]))
    for left in plan.left:
        message = f"{left.message}; fix: {left.fix}"
        told.append(_entry(LEFT, WARNING, message, left.names, left.status, left.cause))
    return told


def _entry(
    identifier: str, priority: int, message: str, names: tuple[str, ...], status: str, cause: str | None
) -> list[str]:
    fields = [f"MESSAGE={message}", f"MESSAGE_ID={identifier}", f"PRIORITY={priority}", "SYSLOG_IDENTIFIER=guestcred"]
    fields += [f"GUESTCRED_NAME={name}" for name in names]
    fields.append(f"GUESTCRED_STATUS={status}")
    return fields if cause is None else [*fields, f"GUESTCRED_CAUSE={cause}"]


def tell(plan: Plan, headline: str) -> bool:
    """Notify PID 1 if $NOTIFY_SOCKET asks for it, and the journal if standard error goes there; neither at a shell.

    False if one of them asks but Python's systemd module, which talks to both, is not installed.
    """
    to_journal, to_pid1 = _to_journal(), "NOTIFY_SOCKET" in os.environ
    if not (to_journal or to_pid1):
        return True
    # everything is written, printed and in report.json by now, so a journal that does not answer is no failure; nor is
    # a bad socket, since PID 1 does not wait for a oneshot's message
    try:
        try:
            if to_journal:
                for fields in entries(plan):
                    journal_send(*fields)
        except OSError:
            pass
        if to_pid1:
            notify(f"READY=1\nSTATUS={headline}")
    except ImportError:
        return False
    except (OSError, ValueError):
        pass
    return True


def _to_journal() -> bool:
    """Whether standard error is the journal: a process that writes elsewhere may inherit the variable (systemd.exec(5))."""
    stream = os.environ.get("JOURNAL_STREAM")
    if stream is None:
        return False
    status = os.fstat(2)
    return stream == f"{status.st_dev}:{status.st_ino}"
