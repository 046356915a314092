"""A guest -> a tree that `--root` reads, with noise for every secret; the writing edge of `capture`."""

from __future__ import annotations

import base64
import json
import os
import shutil

from guestcred import __version__
from guestcred.capture.noise import Disguise, Replace, hide_table, secret_names
from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.guest.cmdline import parse_cmdline
from guestcred.guest.deliveries import UNITS
from guestcred.guest.facts import CAPTURE, Facts
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import CMDLINE, ENTRIES, ENTRY_POINT, FW_CFG, INITRD, TABLE, Entry, Guest, Parameters
from guestcred.record import to_json
from guestcred.systemd.rules import SYSTEM
from guestcred.systemd.search_path import CREDSTORES, ENCRYPTED_PATH

Stores = dict[str, dict[str, bytes]]
"""Folder of a credential store to the name and bytes of each of its files."""


def read_stores(tree: Tree) -> Stores:
    """The credential stores of a guest, except `@system`, which `Guest` already has."""
    found = {folder: tree.read_all(tree.resolve(folder)) for folder in (*CREDSTORES, *ENCRYPTED_PATH)}
    return {folder: files for folder, files in found.items() if files is not None}


def disguised(guest: Guest, stores: Stores) -> tuple[Guest, Stores]:
    """The same guest with noise for every secret; the noise is meant to leave the verdict of `check` as it is.

    Raises GuestcredError if no noise can be found that keeps short secrets different from each other.
    """
    disguise = Disguise()
    _rewritten(guest, stores, disguise.collect)
    disguise.settle()
    return _rewritten(guest, stores, disguise.replace)


def _rewritten(guest: Guest, stores: Stores, replace: Replace) -> tuple[Guest, Stores]:
    names = secret_names(guest.table, replace)
    hidden = {
        folder: {names.get(name, name): replace("value", data) for name, data in files.items()}
        for folder, files in stores.items()
    }

    def values(files: dict[str, bytes] | None) -> dict[str, bytes] | None:
        return (
            None if files is None else {names.get(name, name): replace("value", data) for name, data in files.items()}
        )

    entries = guest.entries
    if entries is not None:
        entries = tuple(Entry(entry.path, entry.instance, hide_table(entry.data, replace)) for entry in entries)
    parameters = guest.parameters
    credentials = {name: (key, replace("value", value)) for name, (key, value) in parameters.credentials.items()}
    safe = Guest(
        root=guest.root,
        table=hide_table(guest.table, replace),
        entry_point=guest.entry_point,
        entries=entries,
        system=values(guest.system),
        initrd=values(guest.initrd),
        fw_cfg=values(guest.fw_cfg),
        parameters=Parameters(credentials, parameters.import_disabled),
        systemd=guest.systemd,
        unreadable=guest.unreadable,
    )
    return safe, hidden


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
        TABLE: guest.table,
    }
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
