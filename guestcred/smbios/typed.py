"""Structures -> typed fields, and what they say, without construct."""

from __future__ import annotations

from guestcred.smbios import text
from guestcred.smbios.fields import STRING, Formatted
from guestcred.smbios.names import OEM_SPECIFIC
from guestcred.smbios.text import About, Row, Section, hexadecimal, printable
from guestcred.smbios.types import TYPES
from guestcred.smbios.walk import HEADER_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from guestcred.smbios.text import Version
    from guestcred.smbios.walk import Structure

_OTHER = Formatted("a type without a declaration")


def area_of(number: int) -> Formatted:
    """The formatted area of a type, one without fields where it is none of the specification's."""
    return TYPES.get(number, _OTHER)


def type_name(number: int) -> str:
    """The name of a structure type from DSP0134 7, or `Type N`."""
    if number in TYPES:
        return TYPES[number].title
    return "OEM-specific" if number >= OEM_SPECIFIC else f"Type {number}"


def field_names(number: int) -> list[str]:
    """The names of all fields that a type has in the newest specification, in order."""
    return [field.name for field in area_of(number).fields]


def string_fields(number: int) -> list[str]:
    """Those of them that have the number of a string."""
    return [field.name for field in area_of(number).fields if field.kind is STRING]


def fixed_places(number: int) -> dict[str, slice]:
    """The bytes of all fields of a type that stand at the same place in each structure, counted from the header."""
    return area_of(number).places(HEADER_SIZE)


def fields_of(structure: Structure) -> dict[str, Any]:
    """The typed view: the fields of the formatted area in order, string numbers as `StringNumber`.

    Bytes that no field covers come as `rest`. Fields that the structure is too short for are absent.
    """
    return area_of(structure.type).decode(structure.formatted[HEADER_SIZE:], structure.strings)


def describe(structure: Structure, version: Version, strings: Sequence[bytes] | None = None) -> list[Section]:
    """What a structure says, as `dmidecode` words it; `strings` stand for its own where some must not be shown."""
    told = tuple(structure.strings if strings is None else strings)
    layout = TYPES.get(structure.type)
    if layout is None:
        name = "OEM-specific" if structure.type >= OEM_SPECIFIC else "Unknown"
        data = structure.formatted
        lines = tuple(hexadecimal(data[start : start + 16]) for start in range(0, len(data), 16))
        rows = [Row("Header and Data", None, lines)]
        if told:
            rows.append(Row("Strings", None, tuple(map(printable, told))))
        return [Section(f"{name} Type", tuple(rows))]
    fields = layout.decode(structure.formatted[HEADER_SIZE:], told)
    return text.describe(layout, About(fields=fields, version=version, strings=told, formatted=structure.formatted))
