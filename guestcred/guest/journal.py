"""Why PID 1 could not start a unit, in its own words."""

from __future__ import annotations

from guestcred.text import visible

_SPAWN_FAILED = "641257651c1b4ec9a8624d7a40a9e1e7"  # SD_MESSAGE_SPAWN_FAILED in systemd src/systemd/sd-messages.h
_STEP = "step CREDENTIALS"


def credentials_failure(unit: str) -> str:
    """The last message of this boot that the unit failed at its credentials; "" where the journal has none.

    Only root's own messages count: anybody may write into the journal that a unit failed.
    """
    try:
        from systemd.journal import Reader

        with Reader() as reader:
            reader.this_boot()
            for match in (f"MESSAGE_ID={_SPAWN_FAILED}", f"UNIT={unit}", "_UID=0"):
                reader.add_match(match)
            reader.seek_tail()
            while entry := reader.get_previous():
                message = str(entry.get("MESSAGE", ""))
                if _STEP in message:
                    return visible(message.removeprefix(f"{unit}: "))
    except (ImportError, OSError):
        return ""  # no module, or no journal
    return ""
