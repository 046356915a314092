"""Structures with all their fields -> text as `dmidecode` lays it out, or JSON; what may hold a secret is hidden."""

from __future__ import annotations

from guestcred.show.redacted import Dump
from guestcred.smbios.names import structure_name
from guestcred.smbios.text import Row, Section
from guestcred.smbios.typed import describe, fields_of, type_name
from guestcred.smbios.types import TYPES
from guestcred.smbios.values import StringNumber, Uuid
from guestcred.smbios.walk import OEM_STRINGS, Structure
from guestcred.systemd.shown import hidden
from guestcred.systemd.unrelated import mentions_credential

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from guestcred.show.documents import LineJson, SectionJson, TypedJson
    from guestcred.smbios.text import Version

_BROKEN = "[broken: not all of the structure is there]"


def version_of(dump: Dump) -> Version:
    """The version of SMBIOS, the newest where the table came without its entry point."""
    major, minor = (dump.version or "3.9").split(".")[:2]
    return int(major), int(minor)


def sections_of(structure: Structure, dump: Dump) -> list[Section]:
    """What a structure says, with strings as they may be shown, and nothing of bytes that may hold a secret."""
    strings = dump.strings(structure)
    fields = fields_of(structure)
    if not dump.reveal and any(_secret(structure, value) for value in _all_bytes(fields)):
        title = TYPES[structure.type].heading if structure.type in TYPES else "OEM-specific Type"
        rows = [Row("Header and Data", hidden(structure.formatted))]
        return [Section(title, (*rows, *([Row("Strings", None, tuple(strings))] if strings else [])))]
    sections = describe(structure, version_of(dump), [text.encode() for text in strings])
    rest = fields.get("rest")
    more = []
    if structure.type in TYPES:
        if rest:
            more.append(Row("Further Data", rest.hex(" ").upper(), verbose=True))
        if structure.type != OEM_STRINGS and not dump.quiet:
            unnamed = _unnamed(fields, strings)
            if unnamed:
                more.append(Row("Further Strings", None, unnamed, verbose=True))
    if not more:
        return sections
    last = sections[-1] if sections else Section(TYPES[structure.type].heading, ())
    return [*sections[:-1], last.replace(rows=(*last.rows, *more))]


def _all_bytes(value: Any) -> Iterator[bytes]:
    match value:
        case bytes():
            yield value
        case dict():
            for inner in value.values():
                yield from _all_bytes(inner)
        case list():
            for inner in value:
                yield from _all_bytes(inner)


def _secret(structure: Structure, value: bytes) -> bool:
    return structure.type == OEM_STRINGS or mentions_credential(value)


def _numbers(value: Any) -> Iterator[int]:
    match value:
        case StringNumber():
            yield value
        case dict():
            for inner in value.values():
                yield from _numbers(inner)
        case list():
            for inner in value:
                yield from _numbers(inner)


def _unnamed(fields: dict[str, Any], strings: list[str]) -> tuple[str, ...]:
    """Strings that no field names, with their numbers."""
    listed = fields.get("count") or fields.get("installable_languages") or 0
    named = {*_numbers(fields), *range(1, listed + 1)}
    return tuple(f"{number}: {text}" for number, text in enumerate(strings, 1) if number not in named)


def typed_lines(dump: Dump) -> list[str]:
    """Each structure: its handle, type and length, its heading, and a line a value."""
    names = {structure.handle: structure.type for structure in dump.table.structures}
    lines: list[str] = []
    for structure in dump.structures():
        if dump.quiet and (structure.type not in TYPES or structure.type in (40, 126, 127)):
            continue
        lines.append("")
        if not dump.quiet:
            lines.append(f"Handle 0x{structure.handle:04X}, DMI type {structure.type}, {structure.length} bytes")
        for section in sections_of(structure, dump):
            lines.append(section.heading)
            for row in section.rows:
                if not (row.verbose and dump.quiet):
                    lines += _row_lines(row, names)
        if not structure.complete:
            lines.append(f"\t{_BROKEN}")
    return lines


def _row_lines(row: Row, names: dict[int, int]) -> list[str]:
    lines = [f"\t{row.label}:" + (f" {row.text}" if row.text is not None else "")]
    lines += [f"\t\t{item}" for item in row.items]
    if row.handle in names:
        lines.append(f"\t\t{structure_name(names[row.handle])}")
    return lines


def typed_json(structure: Structure, strings: list[str], dump: Dump) -> TypedJson:
    """The fields by their DSP0134 names as they stand there, and `decoded`, what they mean."""
    names = {other.handle: other.type for other in dump.table.structures}
    fields = {name: _raw(value, structure, strings, dump) for name, value in fields_of(structure).items()}
    decoded: list[SectionJson] = [
        {"heading": section.heading, "rows": [_row_json(row, names) for row in section.rows]}
        for section in sections_of(structure, dump)
    ]
    return {"name": type_name(structure.type), "fields": fields, "decoded": decoded}


def _raw(value: Any, structure: Structure, strings: list[str], dump: Dump) -> object:
    match value:
        case StringNumber():
            return strings[value - 1] if 1 <= value <= len(strings) else None
        case Uuid():
            return value.text(little_endian=version_of(dump) >= (2, 6))
        case bytes():
            return hidden(value) if _secret(structure, value) and not dump.reveal else value.hex()
        case dict():
            return {name: _raw(inner, structure, strings, dump) for name, inner in value.items()}
        case list():
            return [_raw(inner, structure, strings, dump) for inner in value]
    return int(value)


def _row_json(row: Row, names: dict[int, int]) -> LineJson:
    told: LineJson = {"label": row.label}
    if row.text is not None:
        told["text"] = row.text
    if row.items:
        told["items"] = list(row.items)
    if row.handle in names:
        told["points_to"] = {"handle": row.handle, "type": names[row.handle], "name": structure_name(names[row.handle])}
    return told
