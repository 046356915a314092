"""A guest -> a tree that `--root` reads, with noise for every secret; the writing edge of `capture`."""

from __future__ import annotations

import base64
import json
import os
import shutil

from guestcred import __version__
from guestcred.capture.noise import Disguise, Replace, hide_table, may_be_secret
from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.guest.cmdline import parse_cmdline
from guestcred.guest.deliveries import UNITS, Look, consumers_json
from guestcred.guest.facts import CAPTURE, Facts
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import (
    CMDLINE,
    ENTRIES,
    ENTRY_POINT,
    FW_CFG,
    INITRD,
    TABLE,
    Entry,
    Guest,
    Parameters,
    other_sources,
    parse_table,
    structure_count,
)
from guestcred.record import to_json
from guestcred.systemd.offered import Accepted, Unrelated, judge
from guestcred.systemd.rules import SYSTEM, name_is_valid
from guestcred.systemd.search_path import CREDSTORES, ENCRYPTED_PATH
from guestcred.systemd.shown import may_be_shown

Stores = dict[str, dict[str, bytes]]
"""Folder of a credential store to the name and bytes of each of its files."""
Disguised = tuple[Guest, Facts, Stores, dict[str, object] | None]


def read_stores(tree: Tree) -> Stores:
    """The credential stores of a guest, except `@system`, which `Guest` already has."""
    found = {folder: tree.read_all(tree.resolve(folder)) for folder in (*CREDSTORES, *ENCRYPTED_PATH)}
    return {folder: files for folder, files in found.items() if files is not None}


class Names:
    """The names of a guest that may be secrets, each with noise in its place wherever it stands.

    Where a name stands in several places, the first decides for all, in the order in which `check` shows them.
    """

    def __init__(self, guest: Guest, stores: Stores, replace: Replace) -> None:
        self._replace = replace
        self._hidden: dict[bytes, bool] = {}
        for verdict in judge(parse_table(guest.table, guest.entry_point).structures, guest.systemd):
            if not isinstance(verdict, Unrelated) and verdict.name is not None:
                raw = verdict.name.encode("ascii") if isinstance(verdict, Accepted) else verdict.raw_name
                self._hidden.setdefault(raw, verdict.shown.encode("ascii") != raw)
        others = (values for _, values in other_sources(guest))
        for files in (guest.system or {}, *others, *stores.values()):
            for name, data in files.items():
                self.hides(os.fsencode(name), data)
        for path in guest.unreadable:
            raw = os.fsencode(path.rpartition("/")[2])
            if name_is_valid(raw):
                self.hides(raw, b"")

    def hides(self, name: bytes, value: bytes) -> bool:
        """Whether a name is one to replace; `value` only decides where it stands nowhere else."""
        return self._hidden.setdefault(name, may_be_secret(name, value))

    def file(self, name: str) -> str:
        """The name of a credential's file in the capture."""
        raw = os.fsencode(name)
        return os.fsdecode(self._replace("name", raw)) if self._hidden.get(raw) else name

    def delivered(self, name: str, size: int) -> str:
        """The same for a file that a unit was given, whose setting may have put a prefix before the name."""
        raw = os.fsencode(name)
        if may_be_shown(raw, size):
            return name
        ends = [secret for secret, hidden in self._hidden.items() if hidden and raw.endswith(secret)]
        secret = max(ends, key=len, default=raw)
        return os.fsdecode(raw[: len(raw) - len(secret)] + self._replace("name", secret))


def disguised(guest: Guest, facts: Facts, stores: Stores, look: Look | None) -> Disguised:
    """The same guest with noise for every secret: its look, facts, stores, and `units.json` of a look at its units.

    The noise is meant to leave the verdict of `check` as it is. Raises GuestcredError if no noise can be found that
    keeps short secrets different from each other.
    """
    disguise = Disguise()
    _rewritten(guest, facts, stores, look, disguise.collect)
    disguise.settle()
    return _rewritten(guest, facts, stores, look, disguise.replace)


def _rewritten(guest: Guest, facts: Facts, stores: Stores, look: Look | None, replace: Replace) -> Disguised:
    names = Names(guest, stores, replace)

    def files(held: dict[str, bytes]) -> dict[str, bytes]:
        return {names.file(name): replace("value", data) for name, data in held.items()}

    def values(held: dict[str, bytes] | None) -> dict[str, bytes] | None:
        return None if held is None else files(held)

    entries = guest.entries
    if entries is not None:
        entries = tuple(
            Entry(entry.path, entry.instance, hide_table(entry.data, replace, names.hides)) for entry in entries
        )
    parameters = guest.parameters
    credentials = {
        names.file(name): (key, replace("value", value)) for name, (key, value) in parameters.credentials.items()
    }
    unreadable = {}
    for path, why in guest.unreadable.items():
        folder, _, name = path.rpartition("/")
        unreadable[f"{folder}/{names.file(name)}"] = why
    table = guest.table
    if table is not None:
        table = hide_table(table, replace, names.hides, structure_count(guest.entry_point))
    safe = Guest(
        root=guest.root,
        table=table,
        entry_point=guest.entry_point,
        entries=entries,
        system=values(guest.system),
        initrd=values(guest.initrd),
        fw_cfg=values(guest.fw_cfg),
        parameters=Parameters(credentials, parameters.import_disabled),
        systemd=guest.systemd,
        unreadable=unreadable,
    )
    units = None if look is None else consumers_json(look, names.delivered)
    stages = facts.stages and {names.file(name): stage for name, stage in facts.stages.items()}
    return safe, facts.replace(stages=stages), {folder: files(held) for folder, held in stores.items()}, units


def tree_of(guest: Guest, facts: Facts, stores: Stores, units: dict[str, object] | None) -> dict[str, bytes | None]:
    """Path to bytes for every file of the tree; None means a folder, which may be empty.

    `units` is the document `units.json`, or None if PID 1 could not be asked. Raises GuestcredError for a kernel
    command line that cannot be written down again.
    """
    told = {
        "schema": "guestcred.capture/1",
        "guestcred": __version__,
        "systemd": None if guest.systemd is None else str(guest.systemd),
        **to_json(facts),
        "unasked": sorted(facts.unasked),
        "secrets": "noise of the same length and kind",
    }
    files: dict[str, bytes | None] = {
        CAPTURE: json.dumps(told, indent=1).encode() + b"\n",
        CMDLINE: _command_line(guest.parameters, guest.systemd),
    }
    if guest.table is not None:
        files[TABLE] = guest.table
    if units is not None:
        files[UNITS] = json.dumps(units, indent=1).encode() + b"\n"
    if guest.entry_point is not None:
        files[ENTRY_POINT] = guest.entry_point
    if guest.entries is not None:
        files |= {ENTRIES: None} | {entry.path: entry.data for entry in guest.entries}
    files |= dict.fromkeys(guest.unreadable)
    for folder, suffix, values in (
        (SYSTEM, "", guest.system),
        (INITRD, "", guest.initrd),
        (FW_CFG, "/raw", guest.fw_cfg),
        *((folder, "", values) for folder, values in stores.items()),
    ):
        if values is not None:
            files |= {folder: None} | {f"{folder}/{name}{suffix}": data for name, data in values.items()}
    return files


def _command_line(parameters: Parameters, systemd: int | None) -> bytes:
    """The part of the kernel command line that matters for credentials."""
    words = [b"systemd.import_credentials=no"] if parameters.import_disabled else []
    for name, (key, value) in parameters.credentials.items():
        text = value if key == "systemd.set_credential" else base64.b64encode(value)
        word = f"{key}={name}:".encode() + text
        # it may contain spaces and quotes; inside one kind of quotes the other kind is plain text: proc_cmdline_parse()
        quote = b"'" if b'"' in word else b'"'
        words.append(quote + word + quote)
    line = b" ".join(words) + b"\n"
    if Parameters(*parse_cmdline(line, systemd)) != parameters:
        raise GuestcredError(
            "cannot write a kernel command line that sets the same credentials: one contains both kinds of quotes"
        )
    return line


def write_tree(path: str, files: dict[str, bytes | None]) -> None:
    """Write the whole tree under a new name beside `path`, then rename it; raises GuestcredError if `path` exists."""
    if os.path.lexists(path):
        raise GuestcredError(f"cannot capture into {path}: it already exists", "name a new folder", status=USAGE)
    made = f"{path.rstrip('/')}.{os.getpid()}.tmp"
    try:
        os.mkdir(made, 0o700)
        for name, data in files.items():
            below = os.path.join(made, name)
            os.makedirs(below if data is None else os.path.dirname(below), mode=0o700, exist_ok=True)
            if data is not None:
                with open(below, "xb") as file:
                    file.write(data)
        os.rename(made, path)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise GuestcredError(f"cannot write the capture to {path}: {reason(error)}", status=FINDINGS) from None
