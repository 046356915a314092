"""The atlas: who reads a well-known credential or Type 11 string, since which systemd, and when it has effect."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.systemd.atlas_data import ENTRIES, Row
from guestcred.systemd.nearest import nearest
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

STRINGS = "io.systemd."  # what Type 11 strings begin with, and no credential
NEAR = 2  # letters that a name may have too many or too few to be a near miss

_EXACT = {row[0]: row for row in ENTRIES}
_PATTERNS = [row for row in ENTRIES if "*" in row[0]]


class Reader(Record):
    """Who reads it: units by their names (`serial-getty@.service`), or one that is called otherwise (`PID 1`).

    `inside` is the program, where it is not the unit's own. `time` and `when` are clauses for a sentence; `drop_in`, that
    the unit does not import it by itself.
    """

    by: tuple[str, ...]
    inside: str
    since: int
    time: str
    when: str
    drop_in: bool

    @property
    def is_unit(self) -> bool:
        """Whether it has to be loaded, and request it."""
        return self.by[0].endswith(".service")

    @property
    def is_on_demand(self) -> bool:
        """Whether the unit is loaded only while it runs, so that nothing follows from its absence."""
        return self.time.startswith("at each ")

    def among(self, units: Collection[str]) -> list[str]:
        """Those of the units that are these, or made of their templates."""
        return [unit for unit in units if unit in self.by or _template(unit) in self.by]


class Entry(Record):
    """A name, in which one '*' may stand for its `parts`; of one that nobody reads, the name that is read `instead`.

    `form` is the word for what the value must be, where that can be told.
    """

    name: str
    since: int
    parts: str
    form: str
    instead: str
    readers: tuple[Reader, ...]


class Reading(Record):
    """Who reads a name here: `by` in a word or two, None for nobody; `text` as a clause, `fix` what to do if nobody does.

    `unable` are units that request it, with many others by a `*`, and whose program does not know it in this version.
    """

    by: str | None
    text: str
    fix: str = ""
    unable: frozenset[str] = frozenset()


def credential(name: str) -> Entry | None:
    """The entry of a credential's name, the one with the longest name that fits; None where it is not well known."""
    return None if name.startswith(STRINGS) else _entry(name)


def oem_string(text: bytes) -> Entry | None:
    """The entry of a Type 11 string that begins with one of the keys."""
    found = [row[0] for row in ENTRIES if row[0].startswith(STRINGS) and text.startswith(row[0].encode("ascii"))]
    return _entry(max(found, key=len)) if found else None


def near_credential(name: str) -> str | None:
    """The well-known name that was probably meant by one that is none; None where none is near."""
    if "." not in name or credential(name) is not None:
        return None
    words = name.split(".")
    for known, *_ in ENTRIES:
        if known.startswith(STRINGS) or "*" in known.rstrip("*"):
            continue
        front = known.removesuffix("*").rstrip(".")
        many = front.count(".") + 1
        rest = words[many:] if known.endswith("*") else []
        typed = ".".join(words[:many]) if known.endswith("*") else name
        if known.endswith("*") and not rest:
            continue
        if abs(len(front) - len(typed)) <= NEAR and nearest(typed, [front]) is not None:
            return ".".join([front, *rest])
    return None


def reading(
    entry: Entry, name: str, systemd: int | None, requesting: Collection[str] | None = None, *, late: bool = False
) -> Reading:
    """Who reads that name where systemd has this version; None is taken for the newest.

    `requesting` are the loaded units that request it, None where they are not known; `late`, that it was not there before
    a rescue, when PID 1 and generators looked.
    """
    told = None
    if entry.instead:
        told = f"read by nobody: what is read is {entry.instead}", f"name it {entry.instead}"
    elif systemd is not None and systemd < entry.since:
        text = f"read by nobody here: this systemd is {systemd}, and it came with {entry.since}"
        told = text, f"it takes a guest with systemd {entry.since} or later"
    if told is not None:
        known = credential(entry.instead) or entry
        unable = frozenset(unit for reader in known.readers for unit in reader.among(requesting or ()))
        return Reading(by=None, text=told[0], fix=told[1], unable=unable)
    readers = [reader for reader in entry.readers if systemd is None or systemd >= reader.since]
    clauses, first = [], None
    for reader in readers:
        by = list(reader.by)
        if reader.is_unit and requesting is not None and not reader.is_on_demand:
            by = reader.among(requesting)
        elif reader.drop_in or (late and not reader.is_unit):
            by = []
        if by:
            first = first or by[0]
            inside = f"{reader.inside} in " if reader.inside else ""
            clauses.append(f"by {inside}{listed(by)} {reader.time}{f', {reader.when}' if reader.when else ''}")
    return Reading(first, "read " + "; and ".join(clauses)) if clauses else _nobody(readers, name)


def _nobody(readers: list[Reader], name: str) -> Reading:
    """Nobody reads it here although this systemd knows it."""
    unit = next((reader for reader in readers if reader.is_unit), None)
    if unit is None:
        text = f"read by nobody here: {readers[0].by[0]} looked at boot, before it was rescued"
        return Reading(None, text, "mend what lost it: a rescue comes too late for this name")
    if unit.drop_in:
        text = f"read by nobody here: {unit.by[0]} could read it, and does not import it"
        return Reading(None, text, f"type 'systemctl edit {unit.by[0]}' and write [Service] LoadCredential={name}")
    units = list(dict.fromkeys(by for reader in readers if reader.is_unit for by in reader.by))
    text = f"read by nobody here: {listed(units)} would read it, and no such unit is loaded and requests it"
    return Reading(None, text, f"see why with 'systemctl status {unit.by[0]}'")


def _template(unit: str) -> str:
    """`serial-getty@.service` of `serial-getty@ttyS0.service`."""
    front, at, back = unit.partition("@")
    return f"{front}{at}.{back.rpartition('.')[2]}"


def _entry(name: str) -> Entry | None:
    row = _EXACT.get(name) or max((row for row in _PATTERNS if _fits(row[0], name)), key=_length, default=None)
    if row is None:
        return None
    known, since, parts, form, instead, readers = row
    return Entry(
        name=known,
        since=since,
        parts=parts,
        form=form,
        instead=instead,
        readers=tuple(
            Reader(by=by, inside=inside, since=first, time=time, when=when, drop_in=drop_in)
            for by, inside, first, time, when, drop_in in readers
        ),
    )


def _length(row: Row) -> int:
    return len(row[0])


def _fits(pattern: str, name: str) -> bool:
    front, _, back = pattern.partition("*")
    return name.startswith(front) and name.endswith(back) and len(name) > len(front) + len(back)
