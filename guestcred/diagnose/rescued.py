"""What becomes of a lost credential: where units find it all the same, or why `apply` does not rescue it."""

from __future__ import annotations

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import LOSSES, Finding, loss
from guestcred.guest.credstores import Found
from guestcred.systemd.rules import STORE_PAGES, pages
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.services import Services

# causes where systemd imports nothing on purpose; guestcred does not overrule that
DECISIONS: frozenset[Cause] = frozenset({"container", "confidential-vm", "import-disabled"})
# why what is missing by one of these causes is not rescued
_NOT_RESCUED: dict[Cause, str] = {
    **dict.fromkeys(DECISIONS, "that is on purpose, and guestcred does not overrule it"),
    "undecided": "that may be on purpose, and guestcred does not overrule it",
    "unreadable": "systemd looks there first, and would still not find it",
}
# run/credstore is in the same memory as all of /run, and gets no more of it than systemd gives @system
FULL = "what is rescued has 1 MiB of memory, at least 4 KiB for each, as in systemd's own store"


def decided_cause(credential: Credential, undecided: bool) -> Cause:
    """The cause of a loss, for a rescue: `undecided` says that systemd may import nothing on purpose, and could not be asked."""
    cause: Cause = credential.cause or "unknown"
    return "undecided" if undecided and credential.loss == "missing" and cause not in DECISIONS else cause


def reasons(comparison: Comparison, found: dict[str, Found], undecided: bool) -> dict[str, str]:
    """Why lost credentials are not rescued, by name and in words; not of those that are, or that `found` has already.

    `found` has by name what stands in place of a rescue; see `decided_cause` for `undecided`.
    """
    told = {}
    room = STORE_PAGES
    for credential in comparison.credentials:
        if credential.loss is None:
            continue
        there = found.get(credential.name)
        why_not = _why_not(credential, decided_cause(credential, undecided), comparison.fronts, there)
        if why_not is None and (there is None or there.is_ours):
            room -= pages(credential.size)
            why_not = FULL if room < 0 and there is None else None
        if why_not is not None:
            told[credential.name] = why_not
    return told


def _why_not(credential: Credential, cause: Cause, fronts: frozenset[str], there: Found | None) -> str | None:
    """Why a lost credential is not rescued, in words for its finding; None if it is, or if it is already there."""
    if credential.loss == "not-offered":
        return "its bytes did not arrive"
    if credential.loss != "missing":
        return "what was imported is not overwritten"
    is_hidden, is_front = credential.shown != credential.name, credential.name in fronts
    if there is not None and there.is_same and not is_hidden and not is_front and credential.cause != "unreadable":
        return None
    if cause in _NOT_RESCUED:
        return _NOT_RESCUED[cause]
    if is_hidden:
        return "its name may be the secret itself, and a file of that name would show it"
    if is_front:
        return "the table stops inside it, so its value may be cut short"
    if there is not None and not there.is_ours:
        return f"there is already another credential at /{there.path}"
    return None


def with_rescues(
    comparison: Comparison,
    found: dict[str, Found],
    undecided: bool,
    ask: Callable[[], Services | None] = lambda: None,
) -> Comparison:
    """The comparison with what became of each loss; `found` and `undecided` are those of `reasons`.

    `ask` is called where something was rescued, and gives what units get, None where that is not known: a unit that has
    not what was rescued is a finding.
    """
    why_not = reasons(comparison, found, undecided)
    safe = {name: there for name, there in found.items() if there.is_same and name not in why_not}
    credentials = tuple(
        credential.replace(found=safe.get(credential.name), not_rescued=why_not.get(credential.name))
        if credential.loss is not None
        else credential
        for credential in comparison.credentials
    )
    services = ask() if safe else None
    return comparison.replace(
        credentials=credentials,
        findings=(
            *_losses(credentials),
            *(finding for finding in comparison.findings if finding.code not in LOSSES),
            *(lacking(services, frozenset(safe)) if services else ()),
        ),
        rescued=_rescued(credentials),
    )


def _losses(credentials: tuple[Credential, ...]) -> list[Finding]:
    """The findings for what is still lost, one for all with the same cause and the same words about a rescue."""
    groups: dict[object, list[Credential]] = {}
    for credential in credentials:
        if credential.loss is not None and credential.found is None:
            groups.setdefault((credential.loss, credential.cause, credential.not_rescued), []).append(credential)
    return [finding_of(*group) for group in groups.values()]


def _rescued(credentials: tuple[Credential, ...]) -> tuple[Finding, ...]:
    """The findings for what was lost and is found all the same, one for all with the same cause, folder and hand."""
    groups: dict[object, list[Credential]] = {}
    for credential in credentials:
        if credential.found is not None:
            folder = credential.found.path.rpartition("/")[0]
            groups.setdefault((credential.cause, folder, credential.found.is_ours), []).append(credential)
    return tuple(finding_of(*group) for group in groups.values())


def finding_of(*alike: Credential) -> Finding:
    """What is said of credentials that were lost by one cause, and of which the same became."""
    first, names = alike[0], [credential.shown for credential in alike]
    assert first.loss is not None
    cause: Cause = first.cause or "unknown"
    if first.found is None:
        return loss(first.loss, cause, names, first.not_rescued)
    sentence, fix = CAUSES[cause]
    was, is_, it, them = ("was", "is", "it", "it") if len(names) == 1 else ("were", "are", "they", "them")
    folder = first.found.path.rpartition("/")[0]
    told = f"{it} {was} rescued to /{folder}, where units find {them}"
    if not first.found.is_ours:
        told = f"{it} {is_} in /{folder}, where units find {them}, and guestcred did not write {them}"
    message = f"{listed(names)} {was} {LOSSES['missing']}: {sentence}; {told}"
    return Finding("rescued", message, fix, names=tuple(names), cause=cause)


def lacking(services: Services, names: frozenset[str]) -> tuple[Finding, ...]:
    """What is wrong with units that request credentials of these names."""
    return tuple(finding for finding in services.findings if not names.isdisjoint(finding.names))
