"""What units request and get -> text or JSON."""

from __future__ import annotations

from itertools import islice

from guestcred.diagnose.lacks import in_short, name_of
from guestcred.diagnose.outcomes import Outcome
from guestcred.diagnose.services import Services
from guestcred.record import to_json
from guestcred.show.lines import BOLD, LEFT, RIGHT, Column, columns, finding_lines, painted, problems, verdict
from guestcred.show.report import finding_json
from guestcred.text import count, listed, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.findings import Finding
    from guestcred.show.documents import ServicesDocument

WITHOUT_SOURCE = {
    "skipped": "no source has {}",
    "fatal": "{} does not exist",
    "nothing": "nothing matches {}",
    "delivered": "its source is gone",
    "unreadable": "its source is gone",
}


def services_text(services: Services, colour: bool, quiet: bool = False) -> str:
    """The verdict, a line for each unit and each credential that it requests, then for each problem cause and fix; `quiet`
    has only these.
    """
    if quiet:
        return problems(services.findings, colour)
    rows = [
        (outcome.state, outcome.id, "" if outcome.size is None else size(outcome.size), _origin(outcome, services.lost))
        for service in services.services
        for outcome in service.credentials
    ]
    told = f"{count(len(services.services), 'unit')} with {count(len(rows), 'credential')}"
    if not rows:
        told = "no credentials are requested"
    lines = [verdict("findings" if services.findings else "agrees", told, services.systemd, colour)]
    aligned = iter(columns(rows, Column(least=11), LEFT, RIGHT, colour=colour))
    for service in services.services:
        of = f", of {service.manager}" if service.manager else ""
        lines += ["", f"{painted(service.unit, BOLD, colour)}  {service.state}, user {service.user}{of}"]
        lines += islice(aligned, len(service.credentials))
    for finding in services.findings:
        lines += finding_lines(finding, colour)
    if services.managers:
        lines += ["", f"not looked at: the units of {listed(list(services.managers))}, which users start themselves"]
        lines += [f"  {manager}: {why}" for manager, why in services.unasked.items()]
        first = services.managers[0].removeprefix("user@").removesuffix(".service")
        lines.append(f"  look at them in the guest: guestcred services --user {first}")
    return "\n".join(lines) + "\n"


def _origin(outcome: Outcome, lost: dict[str, Finding]) -> str:
    if outcome.is_lacking and name_of(outcome) in lost:
        return f"{name_of(outcome)} was {in_short(lost[name_of(outcome)])}"
    if outcome.source is None:
        return WITHOUT_SOURCE[outcome.state].format(outcome.name)
    rescued = "  rescued" if outcome.rescued else ""
    shadows = f"  shadows {', '.join(outcome.shadowed)}" if outcome.shadowed else ""
    return f"{outcome.source}{rescued}{shadows}"


def services_json(services: Services) -> ServicesDocument:
    """The document `guestcred.services/1`."""
    return {
        "schema": "guestcred.services/1",
        "verdict": "findings" if services.findings else "agrees",
        "systemd": services.systemd,
        "services": [to_json(service) for service in services.services],
        "findings": [finding_json(finding) for finding in services.findings],
        "user_managers": list(services.managers),
    }
