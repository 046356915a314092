"""What a guest will make of OEM strings that it was not given yet, by the rules of each systemd."""

from __future__ import annotations

from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.keys import Key
from guestcred.diagnose.survey import Survey, survey
from guestcred.guest.facts import Facts
from guestcred.guest.snapshot import ENTRIES, Entry, Guest, Parameters
from guestcred.record import Record
from guestcred.smbios.walk import END_OF_TABLE, OEM_STRINGS, OEM_STRINGS_SIZE
from guestcred.systemd.importing import CHANGES, imports

_HANDLE = 0x0E00


class Fate(Record):
    """One credential by each systemd of a forecast, in their order; None where that refuses its string."""

    shown: str
    meant: int | None
    each: tuple[Credential | None, ...]

    @property
    def is_well(self) -> bool:
        """Whether each of them imports it whole."""
        return all(credential is not None and credential.loss is None for credential in self.each)


class Forecast(Record):
    """The comparison as each systemd would have it, from the oldest to the newest, by which the whole is judged.

    `keys` has for each the strings that are for the boot loader and its stub.
    """

    comparisons: tuple[Comparison, ...]
    keys: tuple[tuple[Key, ...], ...]

    @property
    def fates(self) -> list[Fate]:
        """Every credential that one of them takes, problems first."""
        by_name = [{one.name: one for one in comparison.credentials} for comparison in self.comparisons]
        known = {name: one for names in by_name for name, one in names.items()}
        fates = [Fate(one.shown, one.meant, tuple(names.get(name) for names in by_name)) for name, one in known.items()]
        return sorted(fates, key=lambda fate: fate.is_well)


def forecast(strings: tuple[bytes, ...], systemd: int | None) -> Forecast:
    """What that systemd would import of these OEM strings, or each that differs from the one before."""
    entry = entry_of(strings)
    looks = [_survey(entry, version) for version in (CHANGES if systemd is None else (systemd,))]
    return Forecast(tuple(look.comparison for look in looks), tuple(look.keys for look in looks))


def entry_of(strings: tuple[bytes, ...]) -> bytes:
    """The Type 11 structure with these strings, as in `entries/11-0/raw`."""
    front = bytes([OEM_STRINGS, OEM_STRINGS_SIZE, *_HANDLE.to_bytes(2, "little"), len(strings) & 0xFF])
    return front + b"".join(text + b"\0" for text in strings or (b"",)) + b"\0"


def _survey(entry: bytes, systemd: int) -> Survey:
    guest = Guest(
        root="/",
        table=entry + bytes([END_OF_TABLE, 4, 0xFF, 0xFF, 0, 0]),
        entry_point=None,
        entries=(Entry(f"{ENTRIES}/11-0/raw", 0, entry),),
        system=imports(entry, systemd),
        initrd=None,
        fw_cfg=None,
        parameters=Parameters({}, False),
        systemd=systemd,
        unreadable={},
    )
    return survey(guest, Facts())
