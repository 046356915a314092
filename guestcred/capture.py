"""A guest -> a tree that `--root` reads, with noise for every secret; the writing edge of `capture`."""

from __future__ import annotations

import base64
import json
import os
import shutil

from guestcred import __version__
from guestcred.disguise import Disguise, Replace, hide_table, secret_names
from guestcred.errors import FINDINGS, USAGE, GuestcredError
from guestcred.guest import (
    CAPTURE,
    CMDLINE,
    ENTRIES,
    ENTRY_POINT,
    FW_CFG,
    INITRD,
    SYSTEM,
    TABLE,
    Entry,
    Facts,
    Guest,
    Parameters,
    parse_cmdline,
)


def disguised(guest: Guest) -> Guest:
    """The same guest with noise for every secret: whatever compares it must come to the same verdict."""
    disguise = Disguise()
    _rewritten(guest, disguise.collect)
    disguise.settle()
    return _rewritten(guest, disguise.replace)


def _rewritten(guest: Guest, replace: Replace) -> Guest:
    names = secret_names(guest.table, replace)

    def values(files: dict[str, bytes] | None) -> dict[str, bytes] | None:
        return (
            None if files is None else {names.get(name, name): replace("value", data) for name, data in files.items()}
        )

    entries = guest.entries
    if entries is not None:
        entries = tuple(Entry(one.path, one.instance, hide_table(one.data, replace)) for one in entries)
    parameters = guest.parameters
    credentials = {name: (key, replace("value", value)) for name, (key, value) in parameters.credentials.items()}
    return Guest(
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


def tree_of(guest: Guest, facts: Facts) -> dict[str, bytes | None]:
    """Path to bytes for every file of the tree, and None for a folder that is there although it may be empty."""
    told = {
        "schema": "guestcred.capture/1",
        "guestcred": __version__,
        "systemd": None if guest.systemd is None else str(guest.systemd),
        "kernel": facts.kernel,
        "container": facts.container,
        "confidential": facts.confidential,
        "virtualization": facts.virtualization,
        "earlier_stage": facts.earlier_stage,
        "secrets": "noise of the same length and kind",
    }
    files: dict[str, bytes | None] = {
        CAPTURE: json.dumps(told, indent=1).encode() + b"\n",
        CMDLINE: _command_line(guest.parameters),
        TABLE: guest.table,
    }
    if guest.entry_point is not None:
        files[ENTRY_POINT] = guest.entry_point
    if guest.entries is not None:
        files |= {ENTRIES: None} | {one.path: one.data for one in guest.entries}
    files |= dict.fromkeys(guest.unreadable)
    for folder, suffix, values in (
        (SYSTEM, "", guest.system),
        (INITRD, "", guest.initrd),
        (FW_CFG, "/raw", guest.fw_cfg),
    ):
        if values is not None:
            files |= {folder: None} | {f"{folder}/{name}{suffix}": data for name, data in values.items()}
    return files


def _command_line(parameters: Parameters) -> bytes:
    """What matters of the kernel command line, and nothing else of it."""
    words = ["systemd.import_credentials=no"] if parameters.import_disabled else []
    for name, (_, value) in parameters.credentials.items():
        # a name may have blanks and quotes; in each kind of quotes the other one stands for itself, as in proc_cmdline_parse()
        quote = "'" if '"' in name else '"'
        words.append(f"{quote}systemd.set_credential_binary={name}:{base64.b64encode(value).decode()}{quote}")
    line = " ".join(words).encode() + b"\n"
    if parse_cmdline(line, None).credentials.keys() != parameters.credentials.keys():
        raise GuestcredError(
            "cannot write a kernel command line that names the same credentials: one has both quotes in it"
        )
    return line


def write_tree(path: str, files: dict[str, bytes | None]) -> None:
    """Write the tree whole under a new name beside `path`, then rename; `path` must not exist. Raises GuestcredError."""
    if os.path.lexists(path):
        raise GuestcredError(f"cannot capture into {path}: it exists already", "name a new folder", status=USAGE)
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
        reason = (error.strerror or str(error)).lower()
        raise GuestcredError(f"cannot write the capture to {path}: {reason}", status=FINDINGS) from None
