"""A guest -> the files of a tree that `--root` reads, with noise for every secret."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Literal, TypedDict

from guestcred import __version__
from guestcred.capture.frame import Frames
from guestcred.capture.names import Names, Stores, behind_fronts
from guestcred.capture.noise import Disguise, Replace
from guestcred.capture.table import hide_table
from guestcred.errors import GuestcredError
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
    parse_table,
    structure_count,
)
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import SYSTEM
from guestcred.systemd.search_path import CREDSTORES, ENCRYPTED_PATH

if TYPE_CHECKING:
    from guestcred.guest.deliveries import UnitsDocument
    from guestcred.guest.stages import Stage

    Disguised = tuple[Guest, Facts, "Stores", UnitsDocument | None]


def read_stores(tree: Tree) -> Stores:
    """The credential stores of a guest, except `@system`, which `Guest` already has; `units.json` has what is no file."""
    found = {folder: tree.read_all(tree.resolve(folder), refused={}) for folder in (*CREDSTORES, *ENCRYPTED_PATH)}
    return {folder: files for folder, files in found.items() if files is not None}


class CaptureDocument(TypedDict):
    """What `guestcred capture` saves in capture.json: the version of guestcred, and the facts on which PID 1's decisions
    rest.

    `unasked` has those that are null because PID 1 could not be asked, `stages` whose PID 1 imported what is in @system,
    `rescued` the names of what guestcred put into run/credstore.
    """

    schema: Literal["guestcred.capture/1"]
    guestcred: str
    systemd: str | None
    container: str | None
    confidential: str | None
    virtualization: str | None
    kernel: str | None
    earlier_stage: bool
    stages: dict[str, Stage] | None
    unasked: list[str]
    rescued: list[str]
    secrets: str


def disguised(guest: Guest, facts: Facts, stores: Stores, look: Look | None) -> Disguised:
    """The same guest with noise for every secret: its look, facts, stores, and `units.json` of a look at its units.

    The noise is meant to leave the verdict of `check` as it is.
    """
    disguise = Disguise()
    _rewritten(guest, facts, stores, look, disguise.collect)
    disguise.settle()
    return _rewritten(guest, facts, stores, look, disguise.replace)


def _rewritten(guest: Guest, facts: Facts, stores: Stores, look: Look | None, replace: Replace) -> Disguised:
    if look is not None:
        replace = behind_fronts(look, replace)
    names = Names(guest, stores, replace)
    taken = judge(parse_table(guest.table, guest.entry_point).structures, guest.systemd)
    offered = {verdict.name.encode("ascii"): verdict.value for verdict in taken if isinstance(verdict, Accepted)}
    framed = Frames(offered, names.meant, replace)

    def hide(name: str, data: bytes) -> bytes:
        told = framed(os.fsencode(name), data)
        return replace("value", data) if told is None else told

    def files(held: dict[str, bytes]) -> dict[str, bytes]:
        return {names.file(name): hide(name, data) for name, data in held.items()}

    def values(held: dict[str, bytes] | None) -> dict[str, bytes] | None:
        return None if held is None else files(held)

    entries = guest.entries
    if entries is not None:
        entries = tuple(
            Entry(entry.path, entry.instance, hide_table(entry.data, replace, names.hides, framed)) for entry in entries
        )
    parameters = guest.parameters
    credentials = {names.file(name): (key, hide(name, value)) for name, (key, value) in parameters.credentials.items()}
    unreadable = {}
    for path, why in guest.unreadable.items():
        folder, _, name = path.rpartition("/")
        unreadable[f"{folder}/{names.file(name)}"] = why
    table = guest.table
    if table is not None:
        table = hide_table(table, replace, names.hides, framed, structure_count(guest.entry_point))
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


def tree_of(
    guest: Guest, facts: Facts, stores: Stores, units: UnitsDocument | None, rescued: list[str]
) -> dict[str, bytes | None]:
    """Path to bytes for every file of the tree; None means a folder, which may be empty.

    `rescued` has the names of what guestcred put into run/credstore. `units` is the document `units.json`, or None if PID 1 could not be asked. Raises GuestcredError for a kernel
    command line that cannot be written down again.
    """
    told: CaptureDocument = {
        "schema": "guestcred.capture/1",
        "guestcred": __version__,
        "systemd": None if guest.systemd is None else str(guest.systemd),
        "container": facts.container,
        "confidential": facts.confidential,
        "virtualization": facts.virtualization,
        "kernel": facts.kernel,
        "earlier_stage": facts.earlier_stage,
        "stages": facts.stages,
        "unasked": sorted(facts.unasked),
        "rescued": rescued,
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
        word = os.fsencode(f"{key}={name}:") + text
        # it may contain spaces and quotes; inside one kind of quotes the other kind is plain text: proc_cmdline_parse()
        words.append(b'"\'"'.join(b"'%s'" % part for part in word.split(b"'")))
    line = b" ".join(words) + b"\n"
    if Parameters(*parse_cmdline(line, systemd)) != parameters:
        raise GuestcredError(
            "cannot write a kernel command line that sets the same credentials: one contains both kinds of quotes"
        )
    return line
