"""PID 1's own words: why it could not start a unit, and what it said of a credential as it imported them."""

from __future__ import annotations

import errno
import os
import re

from guestcred.text import visible

_SPAWN_FAILED = "641257651c1b4ec9a8624d7a40a9e1e7"  # SD_MESSAGE_SPAWN_FAILED in systemd src/systemd/sd-messages.h
_STEP = "step CREDENTIALS"

# What it says as it imports, in src/core/import-creds.c of systemd 252 to 262: around the name of a credential, and of
# none. Behind it come sizes, an object's number, or the C library's words for a failure, and nothing else. What quotes a
# string or a value is not among these.
_AROUND_NAME = (
    ("Credential '", "' is larger than allowed limit "),
    ("Credential '", "' has invalid name, ignoring"),
    ("Credential '", "' set twice, ignoring"),
    ("Credential name '", "' is invalid, ignoring"),
    ("SMBIOS credential name '", "' is not valid, ignoring"),
    ("Failed to base64 decode credential '", "', ignoring"),
    ("Failed to decode binary credential '", "' data, ignoring"),
    ("Failed to create credential '", "'"),
    ("Failed to create /run/credentials/@system/", ": "),
)
_OF_NONE = (
    "SMBIOS OEM string lacks '=' character, ignoring",
    "Failed to write credential",
    "Failed to read SMBIOS type #11 object ",
    "Failed to parse /proc/cmdline",
)
_SIZE = r"\d{1,4}(?:\.\d)?[BKMGTPE]?"
_BEHIND = re.compile(
    rf"(?:\({_SIZE} > {_SIZE}\), skipping|\d{{1,5}}, ignoring|(?:, ignoring)?)(?:(?:: |^)(?P<why>[A-Z][^:]*?))?\.?"
)
_NO_ROOM = re.compile(
    rf"Accumulated credential size would be above allowed limit \({_SIZE}\+{_SIZE} > {_SIZE}\), skipping "
)


def credentials_failure(unit: str, user: int | None = None) -> str:
    """The last message of this boot that the unit failed at its credentials; "" where the journal has none.

    Only root's own messages count: anybody may write into the journal that a unit failed. Of a unit of the user manager
    of `user`, only that user's.
    """
    try:
        from systemd.journal import Reader

        with Reader() as reader:
            reader.this_boot()
            field = "UNIT" if user is None else "USER_UNIT"
            for match in (f"MESSAGE_ID={_SPAWN_FAILED}", f"{field}={unit}", f"_UID={user or 0}"):
                reader.add_match(match)
            reader.seek_tail()
            while entry := reader.get_previous():
                message = str(entry.get("MESSAGE", ""))
                if _STEP in message:
                    return visible(message.removeprefix(f"{unit}: "))
    except (ImportError, OSError):
        return ""  # no module, or no journal
    return ""


def import_words(name: str, shown: str) -> tuple[str, ...]:
    """What PID 1 said in this boot of the credential of that name, with the name as it is `shown`, and of none of them.

    It says that before there is a journal, so into the kernel's log, to which only root writes; the initrd's PID 1 too.
    """
    said: dict[str, None] = {}
    try:
        from systemd.journal import Reader

        with Reader() as reader:
            reader.this_boot()
            reader.add_conjunction()
            reader.add_match("_PID=1")
            reader.add_disjunction()
            for match in ("_TRANSPORT=kernel", "SYSLOG_IDENTIFIER=systemd"):
                reader.add_match(match)
            for entry in reader:
                words = _import_words(str(entry.get("MESSAGE", "")), name, shown)
                if words is not None:
                    said[words] = None
    except (ImportError, OSError):
        return ()  # no module, or no journal
    return tuple(said)


def _is_behind(text: str) -> bool:
    """Whether it is what may stand behind the front of a message, which holds no piece of a value."""
    found = _BEHIND.fullmatch(text)
    return found is not None and (found["why"] is None or found["why"] in map(os.strerror, errno.errorcode))


def _import_words(message: str, name: str, shown: str) -> str | None:
    """A message of the import as it may be shown; None for one about another credential, and for all others."""
    for front in _OF_NONE:
        if message.startswith(front) and _is_behind(message[len(front) :]):
            return message
    for before, after in _AROUND_NAME:
        front = f"{before}{name}{after}"
        if message.startswith(front) and _is_behind(message[len(front) :]):
            return f"{before}{shown}{after}{message[len(front) :]}"
    front, quote, rest = message.partition("'")
    if _NO_ROOM.fullmatch(front) and quote and rest == f"{name}'.":
        return f"{front}'{shown}'."
    return None
