"""How much of each limit between the table and `@system` a guest uses; the names are those of `encode --dry-run`."""

from __future__ import annotations

from guestcred.diagnose.survey import Survey
from guestcred.guest.snapshot import TABLE_MAX
from guestcred.record import Record
from guestcred.smbios.walk import OEM_STRINGS, OEM_STRINGS_MAX
from guestcred.systemd.rules import READ_CUT, READ_WHOLE_SINCE, STORE_PAGES, STORE_SINCE, TOTAL_SIZE_MAX, pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Limit = Literal["table", "strings", "structure", "store", "total"]

LENGTH_MAX = 0xFFFF  # the length field of a 32-bit entry point, DSP0134 5.2.1


class Usage(Record):
    """How much of a limit is used, and its maximum, both in `unit`."""

    name: Limit
    used: int
    maximum: int
    unit: Literal["bytes", "strings", "pages"]


def capacity(looked: Survey) -> tuple[Usage, ...]:
    """The limits that this guest has, each with what is used of it."""
    guest, table = looked.guest, looked.table
    found = []
    oem = [structure for structure in table.structures if structure.type == OEM_STRINGS]
    if guest.table is not None:
        short = guest.entry_point is not None and guest.entry_point[:4] == b"_SM_"
        found.append(Usage(name="table", used=table.size, maximum=LENGTH_MAX if short else TABLE_MAX, unit="bytes"))
    if oem:
        strings = max(len(structure.strings) for structure in oem)
        found.append(Usage(name="strings", used=strings, maximum=OEM_STRINGS_MAX, unit="strings"))
        if guest.systemd is not None and guest.systemd < READ_WHOLE_SINCE:
            # with the two NULs at the end
            size = max(structure.length + len(structure.string_set) + 2 for structure in oem)
            found.append(Usage(name="structure", used=size, maximum=READ_CUT, unit="bytes"))
    system = guest.system or {}
    if guest.systemd is None or guest.systemd >= STORE_SINCE:
        held = sum(pages(len(value)) for value in system.values())
        found.append(Usage(name="store", used=held, maximum=STORE_PAGES, unit="pages"))
    total = sum(map(len, system.values()))
    found.append(Usage(name="total", used=total, maximum=TOTAL_SIZE_MAX, unit="bytes"))
    return tuple(found)
