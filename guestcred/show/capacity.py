"""How much of every limit OEM strings use -> text or JSON."""

from __future__ import annotations

from guestcred.host.encode import Encoded, Limit, fits
from guestcred.manifest import FRAME
from guestcred.show.lines import LEFT, Column, columns
from guestcred.text import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.show.documents import EncodeDocument, LimitJson


def capacity_json(hypervisor: str, encoded: tuple[Encoded, ...], found: tuple[Limit, ...]) -> EncodeDocument:
    """The document `guestcred.encode/1`: names, sizes in bytes and limits, no value."""
    return {
        "schema": "guestcred.encode/1",
        "for": hypervisor,
        "fits": fits(found),
        "credentials": [
            {
                "name": credential.name,
                "encoding": credential.encoding,
                "size": credential.size,
                "string_size": len(credential.text),
            }
            for credential in encoded
        ],
        "limits": limits_json(found),
    }


def limits_json(found: tuple[Limit, ...]) -> list[LimitJson]:
    """The limits, for programs."""
    return [
        {
            "name": limit.name,
            "used": limit.used,
            "maximum": limit.maximum,
            "unit": limit.unit,
            "source": limit.source,
        }
        for limit in found
    ]


def capacity_text(hypervisor: str, encoded: tuple[Encoded, ...], found: tuple[Limit, ...]) -> str:
    """The same for people: the verdict, a line for each credential, a line for each limit."""
    lines = [f"{'fits' if fits(found) else 'does not fit'}: {_told(encoded)} for {hypervisor}"]
    lines += columns(
        [
            (credential.name, credential.encoding, f"{credential.size:>5} bytes, {len(credential.text):>5} as a string")
            for credential in encoded
        ],
        LEFT,
        Column(least=6),
    )
    return "\n".join([*lines, *limit_lines(found)]) + "\n"


def limit_lines(found: tuple[Limit, ...]) -> list[str]:
    """A line for each limit, with how much of it is used."""
    return columns(
        [
            (
                "OVER" if limit.used > limit.maximum else "ok",
                limit.name,
                f"{limit.used:>6} of {limit.maximum:>7} {limit.unit:<7}",
                limit.source,
            )
            for limit in found
        ],
        Column(least=4),
        Column(least=9),
        LEFT,
    )


def _told(encoded: tuple[Encoded, ...]) -> str:
    own = [credential for credential in encoded if credential.name not in FRAME]
    return count(len(own), "credential") + (" and a manifest" if len(own) < len(encoded) else "")
