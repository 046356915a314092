"""A decoded table -> text or JSON, with every value redacted unless revealed."""

from __future__ import annotations

from guestcred.diagnose.findings import Finding
from guestcred.record import Record
from guestcred.show.lines import Column, columns, warning_lines
from guestcred.smbios.values import StringNumber, Uuid
from guestcred.smbios.walk import OEM_STRINGS, OEM_STRINGS_NAME, Structure, Table
from guestcred.systemd.offered import Accepted, Rejected, Verdict, split_prefix
from guestcred.systemd.rules import base64_decode, name_is_valid
from guestcred.systemd.shown import hidden, shown
from guestcred.systemd.unrelated import mentions_credential, shown_string
from guestcred.text import count, printable, size


class Dump(Record):
    """A decoded table to show: `kind` is the structure type (None: all), `typed` adds the fields by name."""

    table: Table
    version: str | None
    verdicts: tuple[Verdict, ...]
    warnings: tuple[Finding, ...]
    kind: int | None
    typed: bool
    reveal: bool

    def structures(self) -> list[Structure]:
        """The structures of the type that is shown."""
        return [structure for structure in self.table.structures if self.kind is None or structure.type == self.kind]

    def strings(self, structure: Structure) -> list[str]:
        """The structure's strings; what may hold a secret is redacted unless `reveal`."""
        if self.reveal:
            return [printable(text) for text in structure.strings]
        if structure.type != OEM_STRINGS:
            return [_other(text) for text in structure.strings]
        # a comma in a value may have cut it into several strings, and nobody knows into how many
        told, behind = [], False
        for text in structure.strings:
            meant = mentions_credential(text)
            told.append(_credential(text) or shown_string(text, meant, behind))
            behind = behind or meant
        return told


def _credential(text: bytes) -> str | None:
    """A string with an exact prefix, without its value, and with its name where that may be shown; None for others."""
    split = split_prefix(text)
    if split is None:
        return None
    encoding, rest = split
    prefix = text[: len(text) - len(rest)].decode("ascii")
    name, equals, value = rest.partition(b"=")
    if not equals or not name_is_valid(name):
        return prefix + hidden(rest)
    decoded = base64_decode(value, None) if encoding == "binary" else value
    return f"{prefix}{shown(name, value if decoded is None else decoded)}={hidden(value)}"


def _other(text: bytes) -> str:
    """A string of another structure, in which nobody looks for credentials, but where one may stand by mistake."""
    return _credential(text) or (hidden(text) if mentions_credential(text) else printable(text))


def dump_json(dump: Dump) -> dict[str, object]:
    """The document `guestcred.dump/1`."""
    structures = []
    for structure in dump.structures():
        strings = dump.strings(structure)
        entry: dict[str, object] = {
            "handle": structure.handle,
            "type": structure.type,
            "length": structure.length,
            "strings": strings,
        }
        if dump.typed:
            entry |= {"name": _type_name(structure.type), "fields": dict(_fields(structure, dump))}
        structures.append(entry)
    shown = [dump.strings(structure) for structure in dump.table.structures if structure.type == OEM_STRINGS]
    return {
        "schema": "guestcred.dump/1",
        "smbios_version": dump.version,
        "ended": None
        if dump.table.ended is None
        else {"offset": dump.table.ended.offset, "reason": dump.table.ended.reason},
        "structures": structures,
        "oem_strings": [
            _oem_json(verdict, shown[verdict.place.instance][verdict.place.index - 1], dump.reveal)
            for verdict in dump.verdicts
        ],
        "warnings": [{"code": warning.code, "message": warning.message} for warning in dump.warnings],
    }


def _oem_json(verdict: Verdict, shown: str, reveal: bool) -> dict[str, object]:
    place: dict[str, object] = {"handle": verdict.place.handle, "index": verdict.place.index}
    if not isinstance(verdict, Accepted):
        return {**place, "text": shown}
    told = {
        **place,
        "name": verdict.name if reveal else verdict.shown,
        "encoding": verdict.encoding,
        "size": len(verdict.value),
    }
    return {**told, "value": printable(verdict.value)} if reveal else told


def _fields(structure: Structure, dump: Dump) -> list[tuple[str, object]]:
    """Fields by their DSP0134 names; bytes as hexadecimal, strings as shown; OEM bytes are hidden unless revealed."""
    from guestcred.smbios.layout import fields_of

    strings = dump.strings(structure)
    fields: list[tuple[str, object]] = []
    for name, value in fields_of(structure).items():
        if isinstance(value, StringNumber):
            fields.append((name, strings[value - 1] if 1 <= value <= len(strings) else None))
        elif isinstance(value, bytes):
            secret = structure.type == OEM_STRINGS or mentions_credential(value)
            fields.append((name, hidden(value) if secret and not dump.reveal else _bytes_text(value, dump.version)))
        else:
            fields.append((name, value))
    return fields


def _bytes_text(value: bytes, version: str | None) -> str:
    if not isinstance(value, Uuid):
        return value.hex()
    # drivers/firmware/dmi_scan.c, dmi_save_uuid(): before SMBIOS 2.6 the byte order was not defined
    numbers = [int(part) for part in (version or "3.0").split(".")[:2]]
    return value.text(little_endian=numbers >= [2, 6])


def dump_text(dump: Dump) -> str:
    """The table, structure by structure, with its Type 11 strings as credentials."""
    table = dump.table
    version = f"SMBIOS {dump.version}" if dump.version else "SMBIOS version unknown"
    lines = [f"{version}, {size(table.size)}, {count(len(table.structures), 'structure')}"]
    by_place = {verdict.place.key: verdict for verdict in dump.verdicts}
    oem = [structure for structure in table.structures if structure.type == OEM_STRINGS]
    instances = {id(structure): instance for instance, structure in enumerate(oem)}
    for structure in dump.structures():
        lines += [
            "",
            f"handle {structure.handle:#06x}, type {structure.type} ({_type_name(structure.type)}), "
            f"{count(len(structure.strings), 'string')}",
        ]
        if dump.typed:
            lines += [f"  {name}: {_field_text(value)}" for name, value in _fields(structure, dump)]
        strings = dump.strings(structure)
        if structure.type == OEM_STRINGS:
            rows = [
                (str(index), _oem_text(by_place.get((instances[id(structure)], index)), text, dump.reveal))
                for index, text in enumerate(strings, 1)
            ]
        else:
            named = _named_strings(structure) if dump.typed else set()
            rows = [(str(index), text) for index, text in enumerate(strings, 1) if index not in named]
        lines += columns(rows, Column(least=3, right=True))
    if not dump.structures():
        lines += ["", "no structure" + (f" of type {dump.kind}" if dump.kind is not None else "") + " in this table"]
    for warning in dump.warnings:
        lines += warning_lines(warning, colour=False)
    return "\n".join(lines) + "\n"


def _type_name(number: int) -> str:
    if number == OEM_STRINGS:
        return OEM_STRINGS_NAME  # the types' declarations need construct, and a dump of OEM strings does not
    from guestcred.smbios.layout import type_name

    return type_name(number)


def _named_strings(structure: Structure) -> set[int]:
    """The numbers of the strings that a field names."""
    from guestcred.smbios.layout import fields_of

    return {value for value in fields_of(structure).values() if isinstance(value, StringNumber)}


def _field_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(f"{handle:#06x}" for handle in value) or "-"
    return f"{value} ({value:#x})" if isinstance(value, int) and value > 9 else str(value)


def _oem_text(verdict: Verdict | None, shown: str, reveal: bool) -> str:
    match verdict:
        case Accepted(encoding=encoding, value=value):
            line = f"{verdict.name if reveal else verdict.shown}  {encoding}  {size(len(value))}"
            return f"{line}  {printable(value)}" if reveal else line
        case Rejected(reason=reason):
            return f"rejected: {reason}  {shown}"
    return shown
