"""What is generated from the declarations: a page a type in docs/smbios/, and the types of the library's fields.

`.venv/bin/python tests/smbios_pages.py` writes them again.
"""

from __future__ import annotations

import re
from pathlib import Path

from guestcred.smbios.fields import HANDLE, STRING, UUID, Formatted, Kind, Variable
from guestcred.smbios.groups import Data, Repeated
from guestcred.smbios.types import TYPES

ROOT = Path(__file__).parent.parent
VIEWS = ROOT / "guestcred/smbios/views.pyi"
PAGES = ROOT / "docs/smbios"


def annotation(kind: Kind | Variable) -> str:
    """The Python type of a field's value."""
    if kind in (STRING, HANDLE, UUID):
        return {STRING: "str", HANDLE: "Handle", UUID: "Uuid"}[kind]
    match kind:
        case Kind(words=_):
            return "Word"
        case Kind(flags=_):
            return "Flags"
        case Kind(parts=_):
            return "Bits"
        case Repeated(item=Formatted()):
            return "list[dict[str, Any]]"
        case Repeated():
            return "list[Handle]"
        case Data():
            return "bytes"
        case Kind(code=code) if code.endswith("s"):
            return "bytes"
    return "int"


def size(kind: Kind | Variable) -> str:
    """How many bytes a field has, in words."""
    match kind:
        case Data():
            return "as many bytes as a field before says"
        case Repeated(item=Formatted(title=title)):
            return f"any number of {title}"
        case Repeated():
            return "any number of handles"
    assert isinstance(kind, Kind)
    return str(kind.size)


def name_of(number: int) -> str:
    """A class's name; it must not begin with a digit."""
    found = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", TYPES[number].title))
    return found if found[0].isalpha() else f"Type{number}{found.lstrip('0123456789')}"


def views() -> str:
    """`views.pyi`."""
    lines = [
        "# Written by tests/smbios_pages.py from the declarations: what mypy knows of a structure's fields.",
        "from typing import Any, Literal, overload",
        "",
        "from guestcred.smbios.library import Fields, Structure",
        "from guestcred.smbios.values import Bits, Flags, Handle, Uuid, Word",
        "",
    ]
    for number, layout in TYPES.items():
        name = name_of(number)
        if layout.fields:
            lines.append(f"class {name}Fields(Fields):")
            lines += [f"    {field.name}: {annotation(field.kind)} | None" for field in layout.fields]
            lines += ["", f"class {name}(Structure):", f"    field: {name}Fields", ""]
    lines.append("class OfType:")
    for number, layout in TYPES.items():
        if layout.fields:
            lines.append("    @overload")
            lines.append(f"    def __call__(self, number: Literal[{number}]) -> tuple[{name_of(number)}, ...]: ...")
    lines += ["    @overload", "    def __call__(self, number: int) -> tuple[Structure, ...]: ..."]
    return "\n".join(lines) + "\n"


def _meaning(kind: Kind | Variable) -> str:
    match kind:
        case Kind(words=words):
            told = [f"{number:#x} {word}" for number, word in words.meanings.items()]
            told += [f"{first:#x} to {last:#x} {word}" for first, last, word in words.ranges]
            return "; ".join(told)
        case Kind(flags=flags):
            return "; ".join(f"bit {bit} {word}" for bit, word in flags.items())
        case Kind(parts=parts):
            return "; ".join(
                f"`{name}` bit{'' if width == 1 else 's'} {low}{'' if width == 1 else f' to {low + width - 1}'}"
                + (f" ({', '.join(f'{number:#x} {word}' for number, word in words.meanings.items())})" if words else "")
                for name, (low, width, words) in parts.items()
            )
    return ""


def _table(layout: Formatted, start: int | None) -> list[str]:
    lines = ["| offset | bytes | field | in Python | values |", "|---|---|---|---|---|"]
    at = start
    for field in layout.fields:
        bytes_told = size(field.kind)
        where = "" if at is None else f"{at:#04x}"
        meaning = _meaning(field.kind).replace("|", "\\|")
        lines.append(f"| {where} | {bytes_told} | `{field.name}` | `{annotation(field.kind)}` | {meaning} |")
        at = at + int(bytes_told) if at is not None and bytes_told.isdigit() else None
    return lines


def page(number: int) -> str:
    """The page of a type."""
    layout = TYPES[number]
    lines = [f"# Type {number}: {layout.title}", ""]
    lines.append(f"DSP0134 section 7.{number + 1}. Made from the declaration by tests/smbios_pages.py.")
    if layout.fields:
        lines += ["", *_table(layout, 4)]
    for field in layout.fields:
        match field.kind:
            case Repeated(item=Formatted() as inner):
                lines += ["", f"Each of `{field.name}`, a {inner.title}:", "", *_table(inner, 0)]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """All that is generated, by file."""
    made = {PAGES / f"type-{number}.md": page(number) for number in TYPES}
    return {VIEWS: views(), **made}


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
