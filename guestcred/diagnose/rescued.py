"""What a rescue changes in a verdict: the loss does no harm any more, and its cause is still there."""

from __future__ import annotations

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.compare import Comparison
from guestcred.diagnose.findings import LOSSES, Finding, loss
from guestcred.systemd.search_path import RESCUE
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.services import Services


def with_rescues(comparison: Comparison, names: frozenset[str], services: Services | None = None) -> Comparison:
    """The comparison after the missing credentials with these names were rescued.

    `services` is what units get, None where that is not known: a unit that has not what was rescued is a finding.
    """
    if not names:
        return comparison
    findings: list[Finding] = []
    rescued: list[Finding] = []
    for finding in comparison.findings:
        if finding.code != "missing":
            findings.append(finding)
            continue
        cause: Cause = next(cause for cause in CAUSES if cause == finding.cause)
        left = [name for name in finding.names if name not in names]
        if left:
            findings.append(loss("missing", cause, left))
        made = [name for name in finding.names if name in names]
        if made:
            rescued.append(rescue(cause, made))
    return comparison.replace(
        credentials=tuple(
            credential.replace(is_rescued=credential.loss == "missing" and credential.name in names)
            for credential in comparison.credentials
        ),
        findings=(*findings, *(lacking(services, names) if services else ())),
        rescued=tuple(rescued),
    )


def rescue(cause: Cause, names: list[str]) -> Finding:
    """What is said of credentials that were lost by one cause and rescued: the cause and its fix, which are still true."""
    sentence, fix = CAUSES[cause]
    was, it, them = ("was", "it", "it") if len(names) == 1 else ("were", "they", "them")
    message = f"{listed(names)} {was} {LOSSES['missing']}: {sentence}; {it} {was} rescued to /{RESCUE}, where units find {them}"
    return Finding("rescued", message, fix, names=tuple(names), cause=cause)


def lacking(services: Services, names: frozenset[str]) -> tuple[Finding, ...]:
    """What is wrong with units that request credentials of these names."""
    return tuple(finding for finding in services.findings if not names.isdisjoint(finding.names))
