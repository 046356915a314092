"""A decoded table -> text or JSON."""

from __future__ import annotations

from guestcred.diagnose.keys import keys
from guestcred.show.lines import Column, columns, warning_lines
from guestcred.show.redacted import Dump
from guestcred.smbios.walk import OEM_STRINGS, OEM_STRINGS_NAME
from guestcred.systemd.offered import Accepted, Rejected, Unrelated, Verdict
from guestcred.text import count, printable, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.show.documents import DumpDocument, OemStringJson, StructureJson


def dump_json(dump: Dump) -> DumpDocument:
    """The document `guestcred.dump/1`."""
    structures: list[StructureJson] = []
    for structure in dump.structures():
        strings = dump.strings(structure)
        entry: StructureJson = {
            "handle": structure.handle,
            "type": structure.type,
            "length": structure.length,
            "strings": strings,
        }
        if dump.typed:
            from guestcred.show.structures import typed_json

            entry = {**entry, **typed_json(structure, strings, dump)}
        structures.append(entry)
    shown = [dump.strings(structure) for structure in dump.table.structures if structure.type == OEM_STRINGS]
    readers = _readers(dump)
    return {
        "schema": "guestcred.dump/1",
        "smbios_version": dump.version,
        "ended": None
        if dump.table.ended is None
        else {"offset": dump.table.ended.offset, "reason": dump.table.ended.reason},
        "structures": structures,
        "oem_strings": [
            _oem_json(
                verdict,
                shown[verdict.place.instance][verdict.place.index - 1],
                readers.get(verdict.place.key),
                dump.reveal,
            )
            for verdict in dump.verdicts
        ],
        "warnings": [{"code": warning.code, "message": warning.message} for warning in dump.warnings],
    }


def _oem_json(verdict: Verdict, shown: str, reader: str | None, reveal: bool) -> OemStringJson:
    place: OemStringJson = {"handle": verdict.place.handle, "index": verdict.place.index}
    if not isinstance(verdict, Accepted):
        return {**place, "text": shown, "reader": reader} if reader else {**place, "text": shown}
    told: OemStringJson = {
        **place,
        "name": verdict.name if reveal else verdict.shown,
        "encoding": verdict.encoding,
        "size": len(verdict.value),
    }
    return {**told, "value": printable(verdict.value)} if reveal else told


def dump_text(dump: Dump) -> str:
    """The table: its Type 11 strings as credentials, or structure by structure with all fields."""
    table = dump.table
    version = f"SMBIOS {dump.version}" if dump.version else "SMBIOS version unknown"
    lines = [f"{version}, {size(table.size)}, {count(len(table.structures), 'structure')}"]
    if dump.typed:
        from guestcred.show.structures import typed_lines

        lines += typed_lines(dump)
    else:
        lines += _credential_lines(dump)
    if not dump.structures():
        lines += ["", f"no structure{dump.chosen} in this table"]
    for warning in dump.warnings:
        lines += warning_lines(warning, colour=False)
    return "\n".join(lines) + "\n"


def _credential_lines(dump: Dump) -> list[str]:
    lines: list[str] = []
    by_place, readers = {verdict.place.key: verdict for verdict in dump.verdicts}, _readers(dump)
    oem = [structure for structure in dump.table.structures if structure.type == OEM_STRINGS]
    instances = {id(structure): instance for instance, structure in enumerate(oem)}
    for structure in dump.structures():
        lines += [
            "",
            f"handle {structure.handle:#06x}, type {structure.type} ({OEM_STRINGS_NAME}), "
            f"{count(len(structure.strings), 'string')}",
        ]
        rows = [
            (str(index), _oem_text(by_place.get((instances[id(structure)], index)), text, readers, dump.reveal))
            for index, text in enumerate(dump.strings(structure), 1)
        ]
        lines += columns(rows, Column(least=3, right=True))
    return lines


def _readers(dump: Dump) -> dict[tuple[int, int], str]:
    """Who reads what is no credential, by its place; by the newest systemd, since a table does not say which reads it."""
    found = keys(dump.verdicts, None)
    return {key.place.key: f"since systemd {key.since} {key.reader}" if key.is_read else key.reader for key in found}


def _oem_text(verdict: Verdict | None, shown: str, readers: dict[tuple[int, int], str], reveal: bool) -> str:
    match verdict:
        case Unrelated() if verdict.place.key in readers:
            return f"{shown}  {readers[verdict.place.key]}"
        case Accepted(encoding=encoding, value=value):
            line = f"{verdict.name if reveal else verdict.shown}  {encoding}  {size(len(value))}"
            return f"{line}  {printable(value)}" if reveal else line
        case Rejected(reason=reason):
            return f"rejected: {reason}  {shown}"
    return shown
