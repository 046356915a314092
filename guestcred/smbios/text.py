"""What fields say: from the values of a structure to lines as `dmidecode` has them, without construct."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.smbios.values import Bits, Flags, Handle, StringNumber, Uuid, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from guestcred.smbios.fields import Formatted

    Version = tuple[int, int]
    Shown: TypeAlias = "str | Row | list[Row] | tuple[str, ...] | None"
    Show = Callable[[Any, "About"], Shown]

OUT_OF_SPEC = "<OUT OF SPEC>"
NOT_GIVEN, BAD_INDEX = "Not Specified", "<BAD INDEX>"
UUIDS_LITTLE_ENDIAN_SINCE = (2, 6)  # DSP0134 7.2.1; the kernel's dmi_save_uuid()


class Row(Record):
    """One line of a structure: `text` None where there are only `items`, which stand below it.

    `handle` is what the line points to, where it does. `verbose` is left out by `--quiet`.
    """

    label: str
    text: str | None = None
    items: tuple[str, ...] = ()
    handle: int | None = None
    verbose: bool = False


class About(Record):
    """What the text of a field may hang on: the fields of its structure, and the version of SMBIOS."""

    fields: Mapping[str, Any]
    version: Version
    strings: tuple[bytes, ...] = ()
    formatted: bytes = b""

    def get(self, name: str, default: Any = None) -> Any:
        """Another field of the structure."""
        return self.fields.get(name, default)

    def numbered(self, count: int) -> list[StringNumber]:
        """The first strings of the structure, where no field has their numbers."""
        found = [StringNumber(number, text) for number, text in enumerate(self.strings[:count], 1)]
        return found + [StringNumber(number) for number in range(len(found) + 1, count + 1)]


class Section(Record):
    """A heading, and the lines below it."""

    heading: str
    rows: tuple[Row, ...]


def string(number: StringNumber) -> str:
    """The string of a number, as text on one line."""
    if number == 0:
        return NOT_GIVEN
    return BAD_INDEX if number.text is None else printable(number.text)


def printable(text: bytes) -> str:
    """ASCII on one line; bytes that are none become dots."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in text)


def hexadecimal(data: bytes) -> str:
    """Bytes in twos, with spaces."""
    return data.hex(" ").upper()


def uuid(value: Uuid, version: Version) -> str:
    """A UUID; all bits set or none mean that there is none (DSP0134 7.2.1)."""
    if value == b"\xff" * 16:
        return "Not Present"
    if not any(value):
        return "Not Settable"
    return value.text(little_endian=version >= UUIDS_LITTLE_ENDIAN_SINCE)


def word(value: int) -> str:
    """The word of an enumeration's value; a value outside the specification stays a number."""
    return (isinstance(value, Word) and value.word) or f"{OUT_OF_SPEC} ({value:#x})"


def plain(value: Any, about: About) -> str:
    """A value without a text of its own, on one line."""
    match value:
        case StringNumber():
            return string(value)
        case Handle():
            return f"0x{value:04X}"
        case Word():
            return word(value)
        case Flags():
            return ", ".join(value.words) or "None"
        case Bits():
            return ", ".join(f"{name} {plain(part, about)}" for name, part in value.parts.items())
        case Uuid():
            return uuid(value, about.version)
        case bytes():
            return hexadecimal(value)
        case dict():
            return ", ".join(f"{name} {plain(part, about)}" for name, part in value.items())
    return str(value)


def rows_of(label: str, value: Any, show: Show | None, about: About) -> list[Row]:
    """The lines of one field."""
    shown: Shown
    if show is not None:
        shown = show(value, about)
    elif isinstance(value, Flags):
        shown = value.words or "None"
    elif isinstance(value, list):
        handles = all(isinstance(one, Handle) for one in value)
        shown = Row(label, str(len(value)), tuple(plain(one, about) for one in value), verbose=handles)
    else:
        shown = plain(value, about)
    match shown:
        case None:
            return []
        case str():
            pointed = value if isinstance(value, Handle) else None
            return [Row(label, shown, handle=pointed, verbose=isinstance(value, Handle))]
        case tuple():
            return [Row(label, None, shown)]
        case Row():
            return [shown]
    return shown


def describe(layout: Formatted, about: About) -> list[Section]:
    """What a structure says."""
    if layout.sections is not None:
        return list(layout.sections(about))
    rows: list[Row] = []
    for field in layout.fields:
        value = about.fields.get(field.name)
        if value is None or (layout.irrelevant and layout.irrelevant(field.name, about)):
            continue
        if field.label or field.show:
            rows += rows_of(field.label, value, field.show, about)
    return [Section(layout.heading, tuple(rows))]


def memory_size(number: int, unit: int = 0) -> str:
    """A size in the largest unit that shows it with few digits, as `dmidecode` chooses it; `unit` 1 for a number of KiB."""
    names = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")
    top = max(0, (number.bit_length() - 1) // 10)
    if top and number >> 10 * (top - 1) & 0x3FF:
        top -= 1
    return f"{number >> 10 * top} {names[top + unit]}"


def unit(name: str, *, unknown: int | None = None, what: str = "Unknown") -> Show:
    """Numbers with a unit; `unknown` is the value that means `what`."""
    return lambda value, _: what if value == unknown else f"{value} {name}".strip()


def number(unknown: int, what: str | None = "Unknown") -> Show:
    """Numbers, of which `unknown` means `what`, or is not shown."""
    return lambda value, _: what if value == unknown else str(int(value))


def digits(form: str) -> Show:
    """Numbers by a format, such as `0x{:08X}`."""
    return lambda value, _: form.format(int(value))


def scaled(divisor: int, places: int, name: str, unknown: int = -0x8000) -> Show:
    """Numbers in parts of a unit."""
    return lambda value, _: "Unknown" if value == unknown else f"{value / divisor:.{places}f} {name}".replace(" %", "%")


def flat(value: Flags, _: About) -> str:
    """All words of a bit field on one line."""
    return " ".join(value.words) or "None"


def unless(unwanted: int, show: Show | None = None) -> Show:
    """Nothing for that value."""
    return lambda value, about: None if value == unwanted else show(value, about) if show else plain(value, about)
