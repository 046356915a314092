"""Everything known about one name: the strings that have it, other sources that hold it, and near misses."""

from __future__ import annotations

import os

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.evidence import Evidence
from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.snapshot import Guest, other_sources
from guestcred.record import Record
from guestcred.systemd.nearest import nearest
from guestcred.systemd.offered import REASONS, Accepted, Rejected, Unrelated, Verdict
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.shown import REST, as_typed, shown
from guestcred.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.meant import Frame
    from guestcred.guest.snapshot import Origin

ORIGINS: dict[Origin | None, str] = {
    "fw-cfg": "QEMU's fw_cfg",
    "cmdline": "the kernel command line (of a container: PID 1's arguments)",
    "initrd": "the initrd (/run/credentials/@initrd)",
    "earlier-stage": "a source that only the initrd's PID 1 saw (as /.extra/system_credentials is, from systemd 262 on)",
    "container-manager": "the manager of this container, in its $CREDENTIALS_DIRECTORY",
    None: "a source that cannot be seen from here",
}


NOT_NAMED = "the host's unit does not name it"


def named_there(shown: str) -> str:
    """What to do about a credential that the host's manifest does not name."""
    return f"name it there: {shown}=FILE for 'guestcred launch' or 'encode', LoadCredential= of the unit it runs in"


class Known(Record):
    """`name` raw, and `shown` for people and programs; `strings` in table order; the other `origins` that have it; near misses of that name."""

    name: str
    shown: str
    strings: tuple[Accepted | Rejected, ...]
    origins: tuple[Origin, ...]
    similar: tuple[Unrelated, ...]

    @property
    def accepted(self) -> Accepted | None:
        """The string that PID 1 takes, if there is one."""
        return next((string for string in self.strings if isinstance(string, Accepted)), None)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The strings that PID 1 refuses."""
        return tuple(string for string in self.strings if isinstance(string, Rejected))


class Names:
    """All that has a name in one look at a guest: sorted once, so that each of many names is found in one step."""

    def __init__(self, offered: tuple[Verdict, ...], guest: Guest) -> None:
        self._guest = guest
        self._offered = offered
        self._system = guest.system or {}
        self._sources = other_sources(guest)
        self._unreadable = {path.rpartition("/")[2] for path in guest.unreadable}
        self._named: dict[bytes, list[Accepted | Rejected]] = {}
        self._placed: dict[str, list[Accepted | Rejected]] = {}
        self._by_handle: dict[tuple[int, int], list[Accepted | Rejected]] = {}
        self._shown: dict[str, list[Accepted | Rejected]] = {}
        for verdict in offered:
            if not isinstance(verdict, Unrelated):
                self._named.setdefault(_raw_name(verdict), []).append(verdict)
                self._placed.setdefault(verdict.place.short, []).append(verdict)
                at = verdict.place.handle, verdict.place.index
                self._by_handle.setdefault(at, []).append(verdict)
                self._shown.setdefault(verdict.shown, []).append(verdict)
        self._files: dict[str, list[str]] = {}
        for held, value in self._system.items():
            self._files.setdefault(shown(held, value), []).append(held)
        self._near: _Near | None = None

    def look_up(self, name: str) -> Known:
        """Everything known about a name, given as it is, as it is shown, or as the place of its string: by its
        entry (`11-0:1`), or by its handle (`0x0e00:1`, or decimal as in JSON).

        Raises GuestcredError (exit status 2) for a shown form or a handle that stands for several names.
        """
        raw, place = os.fsencode(name), _place(name)
        strings = (
            self._named.get(raw)
            or self._placed.get(name)
            or (place and self._by_handle.get(place))
            or self._shown.get(name)
            or []
        )
        files = [name] if name in self._system else self._files.get(name, [])
        named = {_raw_name(string) for string in strings} | {os.fsencode(file) for file in files}
        if len(named) > 1:
            places = ", ".join(string.place.short for string in strings)
            hint = f"name it by the place of its string: {places}" if places else "see them with 'guestcred check'"
            raise GuestcredError(f"{visible(name)} stands for {len(named)} credentials", hint, status=USAGE)
        strings = self._named.get(next(iter(named), raw), [])
        similar = [] if strings else self._similar(raw)
        known = next((string for string in strings if isinstance(string, Accepted)), None) or next(iter(strings), None)
        held = os.fsdecode(*named) if named else name
        origins = tuple((origin, values[held]) for origin, values in self._sources if held in values)
        if known is not None:
            told = known.shown
        elif held in self._system:
            told = shown(held, self._system[held])
        elif origins:
            told = shown(held, origins[0][1])
        elif held in self._unreadable:
            told = shown(held, b"")
        elif similar:
            told = shown(raw, similar[0][1] or b"")
        else:
            told = as_typed(name)
        return Known(
            name=held,
            shown=told,
            strings=tuple(strings),
            origins=tuple(origin for origin, _ in origins),
            similar=tuple(string for string, value in similar if value is not None),
        )

    def near(self, name: str) -> str | None:
        """The name of something that is there and was probably meant by `name`, which is not; one that may be a secret
        is never guessed."""
        told = [
            (verdict.shown, _raw_name(verdict).decode("latin-1"))
            for verdict in self._offered
            if not isinstance(verdict, Unrelated)
        ]
        held = [(shown(file, value), file) for _, values in self._sources for file, value in values.items()]
        held += [(told_name, file) for told_name, files in self._files.items() for file in files]
        return nearest(name, sorted({public for public, raw in (*told, *held) if public == raw}))

    def _similar(self, raw: bytes) -> list[tuple[Unrelated, bytes | None]]:
        if self._near is None:
            self._near = _Near(self._offered)
        return self._near.similar(raw)


def _raw_name(string: Accepted | Rejected) -> bytes:
    return string.name.encode("ascii") if isinstance(string, Accepted) else string.raw_name


def _place(name: str) -> tuple[int, int] | None:
    """(handle, number) of a string in the form `0x0e00:1`, or with a decimal handle as in JSON."""
    handle, _, number = name.partition(":")
    try:
        return int(handle, 0), int(number)
    except ValueError:
        return None


class _Near:
    """The strings that PID 1 takes for no credential, by what may have been meant as the name in them."""

    def __init__(self, offered: tuple[Verdict, ...]) -> None:
        from guestcred.systemd.unrelated import near_assignment

        self._exact: dict[bytes, dict[int, tuple[Unrelated, bytes | None]]] = {}
        self._whole: dict[bytes, dict[int, tuple[Unrelated, bytes | None]]] = {}
        for number, verdict in enumerate(offered):
            if not isinstance(verdict, Unrelated):
                continue
            text = verdict.text
            name, value = near_assignment(text)
            if value is not None:
                self._exact.setdefault(name, {})[number] = verdict, value
            for rest in (text, text.partition(b":")[2], text.partition(b"=")[2], name):
                if bare := rest.strip(REST):
                    self._whole.setdefault(bare, {})[number] = verdict, None

    def similar(self, raw: bytes) -> list[tuple[Unrelated, bytes | None]]:
        """The near misses of that name in table order, each with its value; the value is None where it is all that the
        string says.

        Never a part of the value: `why` would give it away, guess by guess.
        """
        found = self._whole.get(raw.strip(REST), {}) | self._exact.get(raw, {})
        return [found[number] for number in sorted(found) if raw in found[number][0].text]


def absence(
    known: Known, evidence: Evidence, cut: str | None, frame: Frame | None, near: str | None = None
) -> tuple[Cause | None, str, str]:
    """(cause, clause about `it`, fix) for a name that did not arrive and was neither accepted nor refused in the table.

    `cut` is the sentence that says how much of the table Linux cut off, if it did; `frame` what
    the host meant, if a manifest says so; `near` the name that was probably meant.
    """
    if not name_is_valid(os.fsencode(known.name)):
        return None, f"systemd takes no such name: {REASONS['invalid-name']}", "give the credential another name"
    for origin in known.origins:
        cause = evidence.not_imported(origin)
        sentence, fix = CAUSES[cause]
        return cause, f"{ORIGINS[origin]} offers it, and it was not imported: {sentence}", fix
    for string in known.similar:
        hint = f"{string.place} looks like it: {string.hint}"
        return None, "no OEM string and no other source offers it", hint
    if near is not None:
        return None, "no OEM string and no other source offers it", f"did you mean {near}? type: guestcred why {near}"
    if frame is not None and frame.whole and known.name not in frame.sizes:
        return None, NOT_NAMED, named_there(known.shown)
    if cut is not None:
        clause = f"nothing here shows that the host offered it; if it did, it was in what is cut off: {cut}"
        return None, clause, f"see on the host whether it offers {known.shown}; {CAUSES['cut-by-kernel'][1]}"
    if evidence.in_container:
        return None, "the manager of this container does not hand it over", CAUSES["container"][1]
    return (
        None,
        "no OEM string and no other source offers it",
        f"hand it over on the host with 'guestcred launch {known.shown}=FILE -- ...', and see what arrived with 'guestcred dump'",
    )
