"""What was offered, as the process apart says it, and how the writing process holds that against the bytes it has itself.

Said are places in the table and words; the writing process takes names and values from the table, whether something was
imported from `@system`, and what systemd does on purpose from the facts. A lie can leave something out, or give a wrong
reason; it can have nothing written that is not in the table.
"""

from __future__ import annotations

from guestcred.apart import ANSWER, ERROR, LACKS_MODULE, SECONDS, Apart, BrokenError, NeedsError
from guestcred.c_modules import compare_digest, hmac_sha256, json_text, parse_json
from guestcred.diagnose.compare import Comparison, Credential, by_what_is_shown
from guestcred.diagnose.findings import Finding
from guestcred.diagnose.survey import Survey, survey
from guestcred.errors import COULD_NOT_LOOK, FINDINGS, USAGE, GuestcredError
from guestcred.guest.facts import Facts, read_facts
from guestcred.guest.snapshot import Guest, Unparsed, parsed
from guestcred.manifest import MANIFEST
from guestcred.record import Record
from guestcred.smbios.walk import OEM_STRINGS, OEM_STRINGS_SIZE
from guestcred.systemd.offered import Place, split_prefix
from guestcred.systemd.rules import (
    BINARY_PREFIX,
    SIZE_MAX,
    TEXT_PREFIX,
    TOTAL_SIZE_MAX,
    base64_decode,
    name_is_valid,
)
from guestcred.systemd.shown import shown
from guestcred.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NEEDS_FACTS = b"f"
ANSWER_MAX, NAME_MAX = 1 << 23, 256  # bytes
ORIGINS = (None, "fw-cfg", "cmdline", "initrd", "earlier-stage", "container-manager")


class Heard(Record):
    """What holds of an answer: the comparison, the values of what is missing by name, and the facts if any were needed."""

    comparison: Comparison
    values: dict[str, bytes]
    facts: Facts | None


class Lie(ValueError):
    """A part of an answer that does not hold; its text says which, and shows nothing of it."""


def hear(look: Unparsed, before: Callable[[], None]) -> Heard:
    """Have a process apart judge the guest, and return what holds of its answer.

    `before` is called as soon as there is an answer, and before any of it is read. Raises GuestcredError.
    """
    facts: Facts | None = None
    loaded = False
    json_text("")  # loads what makes JSON
    # Each process apart takes a boot some milliseconds. Where it will say that it lacks something, it gets that before: these
    # are guesses, and no parsing.
    table = look.guest.table or b""
    if not look.guest.system and (TEXT_PREFIX in table or BINARY_PREFIX in table):
        facts = read_facts(look.guest.root)
        _load_all()
    elif MANIFEST.encode("ascii") in table:
        _load_meant()

    def work() -> bytes:
        return say(look, facts)

    while True:
        apart = Apart(work, SECONDS)
        if apart.kind == NEEDS_FACTS and facts is None:
            facts = read_facts(look.guest.root)
            _load_all()
        elif apart.kind == LACKS_MODULE and not loaded:
            _load_all()
            loaded = True
        elif apart.kind in (ANSWER, ERROR):
            break
        else:
            raise BrokenError(f"asks for what it has: {printable(apart.rest(NAME_MAX))}")
        apart.rest(NAME_MAX)
    before()
    data = apart.rest(ANSWER_MAX)
    try:
        said = parse_json(data.decode("ascii"))
        if apart.kind == ERROR:
            raise _error(said)
        return _held(said, look, facts)
    except (ValueError, RecursionError) as lie:
        raise BrokenError(f"gave an answer that does not hold: {lie if isinstance(lie, Lie) else 'no JSON'}") from None


def _load_meant() -> None:
    """Load what reads a manifest."""
    import guestcred.diagnose.meant  # noqa: F401

    hmac_sha256(b"", b"")


def _load_all() -> None:
    """Load what the judging imports only for what few guests have."""
    import guestcred.diagnose.causes
    import guestcred.diagnose.cut
    import guestcred.diagnose.evidence
    import guestcred.diagnose.names
    import guestcred.guest.cmdline
    import guestcred.smbios.entry_point
    import guestcred.systemd.unrelated  # noqa: F401

    _load_meant()


def say(look: Unparsed, facts: Facts | None) -> bytes:
    """All that the process apart does: parse, judge, compare, and say it. Raises NeedsError."""

    def ask(_: str) -> Facts:
        raise NeedsError(NEEDS_FACTS)

    try:
        guest = parsed(look)
        looked = survey(guest, facts, ask=ask)
    except GuestcredError as error:
        return ERROR + json_text([error.problem, list(error.hints), error.status]).encode()
    starts = _starts(looked)
    compared = looked.comparison
    offers, lost, foreign = [], [], []
    for one in compared.credentials:
        if one.place is not None:
            where = [
                *starts[one.place.instance, one.place.index],
                one.place.handle,
                one.place.index,
                one.place.instance,
            ]
            offers.append([*where, one.loss, one.cause, one.meant])
        elif one.loss is not None:
            lost.append([one.name, one.size, one.cause])
        else:
            foreign.append([one.name, one.origin, one.meant])
    findings = [[found.code, found.message, found.fix, found.names, found.cause] for found in compared.findings]
    fronts = list(compared.fronts)
    said = {"offers": offers, "lost": lost, "foreign": foreign, "findings": findings, "fronts": fronts}
    return ANSWER + json_text(said).encode()


def _starts(looked: Survey) -> dict[tuple[int, int], tuple[int, int]]:
    """(instance, number) to (start, end) in the table, for every OEM string."""
    places = {}
    structures = [structure for structure in looked.table.structures if structure.type == OEM_STRINGS]
    for instance, structure in enumerate(structures):
        start = structure.offset + structure.length
        for index, text in enumerate(structure.strings, 1):
            places[instance, index] = start, start + len(text)
            start += len(text) + 1
    return places


def _error(said: object) -> GuestcredError:
    """The expected failure that was said."""
    problem, hints, status = _fields(said, str, list, int)
    if status not in (FINDINGS, USAGE, COULD_NOT_LOOK):
        raise Lie("a status")
    return GuestcredError(_text(problem), *map(_text, hints), status=status)


def _held(said: object, look: Unparsed, facts: Facts | None) -> Heard:
    if not isinstance(said, dict) or said.keys() != {"offers", "lost", "foreign", "findings", "fronts"}:
        raise Lie("its parts")
    system = look.guest.system or {}
    fronts = frozenset(_text(name) for name in _list(said["fronts"]))
    credentials, missing, names, total = [], {}, set(), 0
    for entry in _list(said["offers"]):
        start, end, handle, index, instance, *told = _fields(entry, int, int, int, int, int, _WORD, _WORD, _SIZE)
        loss, cause, meant = told
        name, value = _assignment(look.guest, start, end)
        if name in names:
            raise Lie("a credential twice")
        names.add(name)
        total += len(value)
        if not 0 <= handle < 1 << 16 or index < 1 or instance < 0 or total > TOTAL_SIZE_MAX:
            raise Lie("a place or a size")
        imported = system.get(name)
        lost: tuple[str | None, ...]
        if imported is None:
            lost = ("missing",)
            missing[name] = value
            if facts is None:
                raise Lie("what is missing, without the facts")
            from guestcred.diagnose.rescued import DECISIONS

            if cause not in DECISIONS:
                cause = facts.refusal(look.guest.systemd) or cause
        elif compare_digest(imported, value):
            lost = (None, "truncated", "differs")  # where it was cut, or is not what was meant
        else:
            lost = ("differs", "truncated")
        if loss not in lost or (loss is None) != (cause is None):
            raise Lie("what became of a credential")
        size = len(value if imported is None else imported)
        place = Place(handle, index, instance)
        public = shown(name, value)
        credentials.append(
            Credential(name=name, shown=public, size=size, place=place, loss=loss, cause=cause, meant=meant)
        )
    for entry in _list(said["lost"]):
        name, size, cause = _fields(entry, str, _SIZE, _WORD)
        if size is None or cause is None or name in names or name in system or not name_is_valid(name.encode()):
            raise Lie("what was only meant")
        names.add(name)
        public = shown(name, size)
        credentials.append(Credential(name=name, shown=public, size=size, loss="not-offered", cause=cause, meant=size))
    others = []
    for entry in _list(said["foreign"]):
        name, origin, meant = _fields(entry, str, _WORD, _SIZE)
        if name in names or name not in system or origin not in ORIGINS:
            raise Lie("what is foreign")
        names.add(name)
        size = len(system[name])
        public = shown(name, system[name])
        others.append(Credential(name=name, shown=public, size=size, origin=origin, meant=meant))
    if system.keys() - names:
        raise Lie("what is foreign")
    comparison = Comparison(
        systemd=look.guest.systemd,
        credentials=(*credentials, *by_what_is_shown(others)),
        rejected=(),
        findings=tuple(_finding(entry) for entry in _list(said["findings"])),
        warnings=(),
        doubts={},
        fronts=fronts,
        frame=None,  # what it says is in the credentials and findings
    )
    return Heard(comparison, missing, facts)


def _assignment(guest: Guest, start: int, end: int) -> tuple[str, bytes]:
    """(name, decoded value) of the OEM string from `start` to `end` in the table, where one may be."""
    table = guest.table or b""
    if not 0 <= start < end <= len(table):
        raise Lie("a place outside of the table")
    text = table[start:end]
    is_first = table[max(0, start - OEM_STRINGS_SIZE) : start][:2] == bytes([OEM_STRINGS, OEM_STRINGS_SIZE])
    if b"\0" in text or (end < len(table) and table[end]) or not (is_first or table[start - 1 : start] == b"\0"):
        raise Lie("a place that is no string")
    split = split_prefix(text)
    if split is None:
        raise Lie("a string that is no credential")
    name, equals, raw = split[1].partition(b"=")
    value = raw if split[0] == "text" else base64_decode(raw, guest.systemd)
    if not equals or not name_is_valid(name) or value is None or len(value) > SIZE_MAX:
        raise Lie("a credential that systemd would refuse")
    return name.decode("ascii"), value


def _finding(said: object) -> Finding:
    code, message, fix, names, cause = _fields(said, _WORD, str, str, list, _WORD)
    if code is None:
        raise Lie("a finding")
    return Finding(code, _text(message), _text(fix), names=tuple(map(_text, names)), cause=cause)


_WORD = str, type(None)  # one of the words of a `Literal`, or none
_SIZE = int, type(None)  # in bytes, or none


def _fields(said: object, *kinds: type | tuple[type, ...]) -> list:  # type: ignore[type-arg]  # as many as there are kinds
    if not isinstance(said, list) or len(said) != len(kinds):
        raise Lie("a form")
    for value, kind in zip(said, kinds):
        if type(value) not in (kind if isinstance(kind, tuple) else (kind,)):
            raise Lie("a form")
        if kind is _WORD and value is not None and not (value.isascii() and value.replace("-", "").isalnum()):
            raise Lie("a word")
        if kind is _SIZE and value is not None and not 0 <= value <= SIZE_MAX:
            raise Lie("a size")
    return said


def _list(said: object) -> list[object]:
    if not isinstance(said, list):
        raise Lie("a list")
    return said


def _text(said: object) -> str:
    if not isinstance(said, str) or not said.isprintable():
        raise Lie("a text")
    return said
