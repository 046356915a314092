"""What OEM strings use of every limit -> text or JSON."""

from __future__ import annotations

from guestcred.host.encode import Encoded, Limit, fits
from guestcred.show.lines import LEFT, Column, columns
from guestcred.text import count


def capacity_json(hypervisor: str, encoded: tuple[Encoded, ...], found: tuple[Limit, ...]) -> dict[str, object]:
    """The document `guestcred.encode/1`: names, sizes and limits, no value."""
    return {
        "schema": "guestcred.encode/1",
        "for": hypervisor,
        "fits": fits(found),
        "credentials": [
            {"name": one.name, "encoding": one.encoding, "size": one.size, "string_size": len(one.text)}
            for one in encoded
        ],
        "limits": [
            {"name": one.name, "used": one.used, "maximum": one.maximum, "unit": one.unit, "source": one.source}
            for one in found
        ],
    }


def capacity_text(hypervisor: str, encoded: tuple[Encoded, ...], found: tuple[Limit, ...]) -> str:
    """The same for people."""
    lines = [f"{'fits' if fits(found) else 'does not fit'}: {count(len(encoded), 'credential')} for {hypervisor}"]
    lines += columns(
        [(one.name, one.encoding, f"{one.size:>5} bytes, {len(one.text):>5} as a string") for one in encoded],
        LEFT,
        Column(least=6),
    )
    lines += columns(
        [
            (
                "OVER" if one.used > one.maximum else "ok",
                one.name,
                f"{one.used:>6} of {one.maximum:>7} {one.unit:<7}",
                one.source,
            )
            for one in found
        ],
        Column(least=4),
        Column(least=9),
        LEFT,
    )
    return "\n".join(lines) + "\n"
