"""The names of a guest that may be secrets, and what stands for them in a capture."""

from __future__ import annotations

import os

from guestcred.capture.noise import Replace
from guestcred.capture.table import may_be_secret
from guestcred.guest.deliveries import Look
from guestcred.guest.snapshot import Guest, other_sources, parse_table
from guestcred.systemd.offered import Accepted, Unrelated, judge
from guestcred.systemd.requests import IMPORT
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.shown import may_be_shown, reads_like_a_name

Stores = dict[str, dict[str, bytes]]
"""Folder of a credential store to the name and bytes of each of its files."""


class Names:
    """The names of a guest that may be secrets, each with noise in its place wherever it stands.

    One that is shown in any place stays as it is in all of them.
    """

    def __init__(self, guest: Guest, stores: Stores, replace: Replace) -> None:
        self._replace = replace
        self._hidden: dict[bytes, bool] = {}
        for verdict in judge(parse_table(guest.table, guest.entry_point).structures, guest.systemd):
            if not isinstance(verdict, Unrelated) and verdict.name is not None:
                raw = verdict.name.encode("ascii") if isinstance(verdict, Accepted) else verdict.raw_name
                self._note(raw, verdict.shown.encode("ascii") != raw)
        others = (values for _, values in other_sources(guest))
        for files in (guest.system or {}, *others, *stores.values()):
            for name, data in files.items():
                self._note(os.fsencode(name), may_be_secret(os.fsencode(name), data))
        for path in guest.unreadable:
            raw = os.fsencode(path.rpartition("/")[2])
            if name_is_valid(raw):
                self._note(raw, may_be_secret(raw, b""))

    def _note(self, name: bytes, hidden: bool) -> None:
        self._hidden[name] = hidden and self._hidden.get(name, True)

    def hides(self, name: bytes, value: bytes) -> bool:
        """Whether a name is one to replace; `value` only decides where it stands nowhere else."""
        return self._hidden.get(name, may_be_secret(name, value))

    def meant(self, name: bytes, size: int) -> bytes:
        """What stands for a name in a manifest."""
        hidden = self._hidden.get(name, not may_be_shown(name, size))
        return self._replace("name" if hidden else "kept", name)

    def file(self, name: str) -> str:
        """The name of a credential's file in the capture."""
        raw = os.fsencode(name)
        return os.fsdecode(self._replace("name" if self._hidden.get(raw) else "kept", raw))

    def delivered(self, name: str, size: int) -> str:
        """The same for a file that a unit was given, whose setting may have put a prefix before the name."""
        raw = os.fsencode(name)
        if may_be_shown(raw, size) or self._hidden.get(raw) is False:
            return name
        ends = [secret for secret, hidden in self._hidden.items() if hidden and raw.endswith(secret)]
        secret = max(ends, key=len, default=raw)
        prefix = raw[: len(raw) - len(secret)]
        if prefix and not reads_like_a_name(prefix.rstrip(b".-_")):
            prefix, secret = b"", raw
        return os.fsdecode(prefix + self._replace("name", secret))


def behind_fronts(look: Look, replace: Replace) -> Replace:
    """The same, but noise for a name is behind the front by which a unit's pattern asks for it, and is asked for as well.

    Only a front with a separator at its end, such as "tls-": it was typed, and is no part of a secret.
    """
    asked = {
        os.fsencode(request.source[:-1])
        for consumer in look.consumers
        for request in consumer.unit.requests
        if request.setting == IMPORT and request.source.endswith(("-*", "_*", ".*"))
    }

    def replaced(kind: str, secret: bytes) -> bytes:
        if kind != "name":
            return replace(kind, secret)
        front = max((front for front in asked if secret.startswith(front)), key=len, default=b"")
        front = b"" if front == secret else front
        return front + replace(kind, secret[len(front) :])

    return replaced
