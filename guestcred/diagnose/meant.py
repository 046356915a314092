"""What the host meant, by its manifest, against what was offered."""

from __future__ import annotations

from guestcred.diagnose.findings import Finding
from guestcred.manifest import END, FRAME, MANIFEST, Manifest, Meant, end_value, read_manifest
from guestcred.record import Record
from guestcred.systemd.offered import Accepted, Place, Rejected, Unrelated, Verdict
from guestcred.systemd.rules import SIZE_MAX, name_is_valid
from guestcred.text import listed

_FIX = (
    "let 'guestcred encode' or 'guestcred launch' alone write it, once a VM, and keep its strings together; "
    "--no-manifest leaves it out"
)


class Frame(Record):
    """What a manifest that can be trusted says: its `place`, and the `sizes` in bytes by name, also of `guestcred.end`.

    `lost` are the names that were not offered, in their order, and `altered` those that were offered with other bytes.
    It is not `whole` where the table stops inside it: then more may be lost than it names.
    """

    place: Place
    sizes: dict[str, int]
    lost: tuple[str, ...]
    altered: frozenset[str]
    whole: bool


def read_frame(offered: tuple[Verdict, ...], fronts: frozenset[str]) -> tuple[Frame | None, list[Finding]]:
    """What the host meant, or None where it sent no manifest or one that is not to be trusted, which is a finding.

    `fronts` has the names of those in whose string the table stops.
    """
    strings = [verdict for verdict in offered if not isinstance(verdict, Unrelated)]
    first, last = ([string for string in strings if _name(string) == name] for name in FRAME)
    if not first and not last:
        return None, []
    if not first:
        return None, [_untrusted(last[0], "no manifest is in front of it: the first string was lost or left out")]
    for found in (first, last):
        if len(found) > 1:
            places = listed([str(string.place) for string in found])
            return None, [_untrusted(found[0], f"it is there {len(found)} times ({places})")]
    front, back = first.pop(), last.pop() if last else None
    whole = MANIFEST not in fronts
    manifest = _read(front, whole)
    if manifest is None:
        return None, [_untrusted(front, "it is not of the form that guestcred writes" if whole else "it was cut")]
    meant = {entry.name.decode("ascii"): entry for entry in manifest.meant}
    wrong = _misfit(meant, front, back, strings, END in fronts)
    if wrong is not None:
        return None, [_untrusted(front, wrong)]
    accepted = {string.name: string.value for string in strings if isinstance(string, Accepted)}
    refused = {_name(string) for string in strings if isinstance(string, Rejected)}
    sizes = {name: entry.size for name, entry in meant.items()} | {END: len(end_value(len(meant)))}
    altered = {name for name, entry in meant.items() if name in accepted and not manifest.fits(entry, accepted[name])}
    if END in accepted and len(accepted[END]) < sizes[END]:
        altered.add(END)
    lost = tuple(name for name in sizes if name not in accepted and name not in refused)
    return Frame(place=front.place, sizes=sizes, lost=lost, altered=frozenset(altered), whole=whole), []


def _read(front: Accepted | Rejected, whole: bool) -> Manifest | None:
    """The manifest, of one that was cut the entries that are whole, or None where it has not the form of one."""
    if not isinstance(front, Accepted):
        return None
    manifest = read_manifest(front.value)
    if manifest is None and not whole:
        manifest = read_manifest(front.value.rpartition(b"/")[0])
    return manifest if manifest is None or all(map(_possible, manifest.meant)) else None


def _name(string: Accepted | Rejected) -> str | None:
    if isinstance(string, Accepted):
        return string.name
    return string.raw_name.decode("ascii") if name_is_valid(string.raw_name) else None


def _possible(meant: Meant) -> bool:
    return name_is_valid(meant.name) and meant.size <= SIZE_MAX and meant.name.decode() not in FRAME


def _misfit(
    meant: dict[str, Meant],
    front: Accepted | Rejected,
    back: Accepted | Rejected | None,
    strings: list[Accepted | Rejected],
    cut: bool,
) -> str | None:
    """What does not fit between a manifest and the strings that it frames, or None; `cut`: the last one may be short."""
    expected = end_value(len(meant))
    if isinstance(back, Accepted) and not (back.value == expected or (cut and expected.startswith(back.value))):
        return f"{END} ({back.place}) does not count the {len(meant)} credentials that it names"
    begin = strings.index(front)
    end = len(strings) if back is None else strings.index(back)
    names = iter(meant)
    for at, string in enumerate(strings):
        if not isinstance(string, Accepted):
            continue
        if not begin < at < end:
            if string.name in meant:
                return f"{string.shown} ({string.place}), which it names, does not stand between it and {END}"
        elif string.name not in meant:
            return f"{string.shown} ({string.place}) stands behind it, and it does not name it"
        # an iterator goes on where it was: a name that comes too late is not found any more
        elif string.name not in names:
            return f"{string.shown} ({string.place}) is not in its order"
    return None


def _untrusted(string: Accepted | Rejected, reason: str) -> Finding:
    message = f"{string.shown} ({string.place}) is not believed: {reason}"
    return Finding("manifest", message, _FIX, names=(string.shown,))
