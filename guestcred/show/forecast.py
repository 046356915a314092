"""What guests would make of a VM's OEM strings, and how much of each limit these use -> text or JSON."""

from __future__ import annotations

from itertools import pairwise

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.compare import Credential
from guestcred.diagnose.findings import LOSSES, Finding
from guestcred.diagnose.forecast import Fate, Forecast
from guestcred.host.encode import Limit, fits
from guestcred.manifest import FRAME
from guestcred.show.capacity import limit_lines, limits_json
from guestcred.show.lines import BOLD, COLOURS, RED, finding_lines, painted, problems, warning_lines
from guestcred.show.report import check_json
from guestcred.show.status import NAME_LEAST, WORDS, shortened
from guestcred.text import count, listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.show.documents import ForecastDocument

CELL = len("LOST")


def forecast_text(
    told: Forecast,
    hypervisor: str,
    found: tuple[Limit, ...],
    width: int,
    *,
    colour: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> str:
    """The verdict, a column for each systemd, then for each loss cause and fix, then the limits; `width` in characters.

    `verbose` shows every row; `quiet` has only causes and fixes.
    """
    if quiet:
        return problems(_findings(told), colour)
    fates = told.fates
    own = sum(fate.shown not in FRAME for fate in fates)
    word = "agrees" if agrees(told, found) else "findings"
    lost = sum(not fate.is_well for fate in fates)
    counted = f"{count(own, 'credential')} for {hypervisor}" + (f", {lost} with a problem" if lost else "")
    lines = [f"{painted(word, COLOURS.get(word, RED), colour)}: {counted}"]
    shown = [fate for fate in fates if verbose or not fate.is_well]
    headings = [f"{heading:<{CELL}}" for heading in ("meant", "offered", *_versions(told))]
    room = width - sum(2 + len(heading) for heading in headings)
    name_width = max(NAME_LEAST, min(max([len("credential"), *(len(fate.shown) for fate in shown)]), room))
    rows = [("credential", headings), *((shortened(fate.shown, name_width), _cells(fate)) for fate in shown)]
    table = [_line(name, cells, headings, name_width) for name, cells in rows] if shown else []
    lines += [painted(line, BOLD, colour) for line in table[:1]] + table[1:]
    well = len(fates) - len(shown)
    if well:
        lines.append(f"{count(well, 'credential')} would be imported whole: -v shows {'it' if well == 1 else 'them'}")
    for finding in _findings(told):
        lines += finding_lines(finding, colour)
    for warning in told.comparisons[-1].warnings:
        lines += warning_lines(warning, colour)
    return "\n".join([*lines, "", *limit_lines(found)]) + "\n"


def forecast_json(told: Forecast, hypervisor: str, found: tuple[Limit, ...]) -> ForecastDocument:
    """The document `guestcred.forecast/1`: what `check` would say in a guest with each systemd, and the limits."""
    return {
        "schema": "guestcred.forecast/1",
        "for": hypervisor,
        "verdict": "agrees" if agrees(told, found) else "findings",
        "fits": fits(found),
        "guests": [check_json(*looked) for looked in zip(told.comparisons, told.keys)],
        "limits": limits_json(found),
    }


def agrees(told: Forecast, found: tuple[Limit, ...]) -> bool:
    """Whether the newest of these systemds would import everything whole, and it comes there."""
    return fits(found) and told.comparisons[-1].agrees


def _versions(told: Forecast) -> list[str]:
    """The columns: one version alone, else the ranges that begin at each."""
    versions = [comparison.systemd or 0 for comparison in told.comparisons]
    if len(versions) == 1:
        return [str(versions[0])]
    ranges = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(versions)]
    return [*ranges, f"{versions[-1]}+"]


def _line(name: str, cells: list[str], headings: list[str], width: int) -> str:
    padded = [f"{cell:<{len(heading)}}" for cell, heading in zip(cells, headings)]
    return "  ".join([f"{name:<{width}}", *padded]).rstrip()


def _cells(fate: Fate) -> list[str]:
    offered = "LOST" if any(one is not None and one.loss == "not-offered" for one in fate.each) else "yes"
    return ["-" if fate.meant is None else "yes", offered, *map(_word, fate.each)]


def _word(one: Credential | None) -> str:
    if one is None:
        return "no"
    return "yes" if one.loss is None else WORDS.get(one.loss, "LOST" if one.loss == "missing" else "-")


def _findings(told: Forecast) -> list[Finding]:
    """What each would lose or refuse, with the versions that do; once where several say the same."""
    found: dict[tuple[str, str], list[str]] = {}
    first: dict[tuple[str, str], Finding] = {}
    for comparison, version in zip(told.comparisons, _versions(told)):
        for finding in comparison.findings:
            message = _would(finding)
            found.setdefault((message, finding.fix), []).append(version)
            first.setdefault((message, finding.fix), finding)
    return [
        first[key].replace(
            message=key[0] if len(versions) == len(told.comparisons) else f"systemd {listed(versions)}: {key[0]}"
        )
        for key, versions in found.items()
    ]


def _would(finding: Finding) -> str:
    sentence = next((sentence for cause, (sentence, _) in CAUSES.items() if cause == finding.cause), None)
    if finding.code not in LOSSES or sentence is None:
        return finding.message
    return f"{listed(list(finding.names))} would be {LOSSES[finding.code]}: {sentence}"
