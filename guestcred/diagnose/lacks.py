"""What units request and no source has: what was lost on its way, and what nobody sent."""

from __future__ import annotations

from guestcred.diagnose.findings import LOSSES, Finding
from guestcred.systemd.nearest import nearest
from guestcred.systemd.requests import CONFIGURED
from guestcred.systemd.rules import SYSTEM
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from guestcred.diagnose.compare import Comparison
    from guestcred.diagnose.outcomes import Outcome
    from guestcred.diagnose.services import Service, Services

    Losses = dict[str, Finding]
    Advice = Callable[[Service, list[Outcome]], str]

_WORDS: dict[str, str] = dict(LOSSES.items()) | {"rescued": LOSSES["missing"]}
_NAMED = 5  # names that are spelled out in a fix


def losses_of(comparison: Comparison | None) -> Losses:
    """What is said of the loss or the refusal of each name, as names are shown; nothing where nothing is known."""
    losses: Losses = {}
    for finding in (*comparison.findings, *comparison.rescued) if comparison else ():
        if finding.code in _WORDS or finding.status == "rejected":
            losses |= {name: finding for name in finding.names if name not in losses}
    return losses


def in_short(loss: Finding) -> str:
    """`offered but not imported (import-disabled)`."""
    return f"{_WORDS.get(loss.code, 'refused')} ({loss.cause})"


def name_of(outcome: Outcome) -> str:
    """The name that a request means, also where it has the path in @system."""
    return outcome.name.removeprefix(f"/{SYSTEM}/")


def with_units(findings: tuple[Finding, ...], services: tuple[Service, ...], losses: Losses) -> tuple[Finding, ...]:
    """Findings, and in each loss the units that go without what was lost, and each with how much."""
    without: dict[int, dict[str, int]] = {}
    for service in services:
        for outcome in service.credentials:
            loss = losses.get(name_of(outcome))
            if loss is not None and outcome.state == "skipped" and outcome.is_lacking:
                counts = without.setdefault(id(loss), {})
                counts[service.told] = counts.get(service.told, 0) + 1
    return tuple([_with_units(finding, without.get(id(finding), {})) for finding in findings])


def _with_units(loss: Finding, counts: dict[str, int]) -> Finding:
    if not counts:
        return loss
    one = len(loss.names) == 1
    units = listed([unit if one else f"{unit} ({number})" for unit, number in counts.items()])
    told = f"{units} {'goes' if len(counts) == 1 else 'go'} without {'it' if one else 'them'}"
    return loss.replace(message=f"{loss.message}; {told}")


def with_lacks(
    services: Services, comparison: Comparison | None, advice: Advice, held: frozenset[str] = frozenset()
) -> Services:
    """The services with what they lack: each loss with its units, then what else each unit goes without.

    `comparison` is None where the table could not be looked at; `advice` says how the absence of what a unit
    lacks can be made an error. `held` has the names that PID 1's units find in the guest, and those of user managers only
    where they are handed on.
    """
    losses = losses_of(comparison)
    requested = {
        name_of(outcome) for service in services.lacking for outcome in service.credentials if outcome.is_lacking
    }
    # by identity: the same loss stands for each of its names
    lost = {id(loss): loss for name, loss in losses.items() if name in requested and loss.code != "rescued"}
    told = with_units(tuple(lost.values()), services.lacking, losses)
    told += tuple(lacks(services.lacking, comparison, losses, advice, held))
    idle = [finding for finding in services.findings if finding.code == "unrequested"]
    others = [finding for finding in services.findings if finding.code != "unrequested"]
    return services.replace(findings=(*others, *told, *idle), lost=losses)


def lacks(
    services: tuple[Service, ...],
    comparison: Comparison | None,
    losses: Losses,
    advice: Advice | None = None,
    held: frozenset[str] = frozenset(),
) -> list[Finding]:
    """A finding for each unit that goes without what was not lost, and for each credential without which it fails."""
    findings = []
    near = _Near(comparison)
    cut = comparison is not None and any(finding.code == "cut-by-kernel" for finding in comparison.findings)
    for service in services:
        groups: dict[str, list[Outcome]] = {}
        for outcome in service.credentials:
            if not outcome.is_lacking:
                continue
            if outcome.state == "fatal":
                findings.append(_required(service, outcome, losses.get(name_of(outcome))))
            elif service.manager is not None and outcome.name in held:
                groups.setdefault("kept", []).append(outcome)
            elif name_of(outcome) not in losses:
                groups.setdefault(_why(outcome, comparison, cut), []).append(outcome)
        for why, alike in groups.items():
            finding = _without(service, why, alike, advice)
            misspelt = near.told(alike) if why in ("unnamed", "nobody") else ""
            findings.append(finding.replace(fix=misspelt + finding.fix))
    return findings


class _Near:
    """The offered names that were probably meant by names that nobody offers; each is looked for once, for all units."""

    def __init__(self, comparison: Comparison | None) -> None:
        credentials = comparison.credentials if comparison else ()
        self._offered = [one.name for one in credentials if one.place and one.name == one.shown]
        self._found: dict[str, str | None] = {}

    def told(self, lacking: list[Outcome]) -> str:
        """What to do where the host offers nearly the same name; of the first few, since each is compared with all."""
        told = []
        for name in (outcome.name for outcome in lacking[:_NAMED]):
            if name not in self._found:
                self._found[name] = nearest(name, self._offered)
            if self._found[name] is not None:
                told.append(
                    f"the host offers {self._found[name]}: if that is meant to be {name}, rename one of the two"
                )
        return f"{'; '.join(told)}; else " if told else ""


def _why(outcome: Outcome, comparison: Comparison | None, cut: bool) -> str:
    """Why no source has it: "file", "unnamed" by the host, perhaps "cut" off, or "nobody" sent it."""
    if outcome.name.startswith("/"):
        return "file"
    frame = comparison.frame if comparison else None
    if frame is not None and frame.whole and outcome.name not in frame.sizes:
        return "unnamed"
    return "cut" if cut else "nobody"


def _without(service: Service, why: str, lacking: list[Outcome], advice: Advice | None) -> Finding:
    names = [outcome.name for outcome in lacking]
    if service.manager is not None and why != "file":
        return _not_handed_on(service, why, names)
    it, they = ("it", "it was") if len(names) == 1 else ("them", "they were")
    who = "guestcred apply" if service.state == CONFIGURED else "systemd"
    reason = f"the host's unit does not name {it}" if why == "unnamed" else f"no source has {it}"
    message = f"{service.told} goes without {listed(names)}: {reason}, and {who} skips {it} in silence"
    if why == "cut":
        message += f"; perhaps {they} in what was cut off of the table"
    fixes = {
        "file": "make that file" if len(names) == 1 else "make these files",
        "unnamed": f"name {it} there: {_handed(names)}, LoadCredential= of the unit it runs in",
        "cut": f"look on the host whether it offers {it}, before you do: every string more makes the table longer",
        "nobody": f"hand {it} over on the host: {_handed(names)}",
    }
    fix = fixes[why] if advice is None else f"{fixes[why]}; {advice(service, lacking)}"
    return Finding("no-source", message, fix, names=tuple(names))


def _not_handed_on(service: Service, why: str, names: list[str]) -> Finding:
    """Of a unit of a user manager, which has only what the unit that it is itself was given, and what its user has."""
    it, they = ("it", "it is") if len(names) == 1 else ("them", "they are")
    message = f"{service.told} goes without {listed(names)}: "
    if why == "kept":
        message += f"{they} in the guest, and {service.manager} does not hand {it} on"
        first = ""
    else:
        message += f"nothing where {service.user}'s manager looks has {it}, and systemd skips {it} in silence"
        first = f"if {they} to come from the host: {_handed(names)}; then "
    lines = "\n".join(f"LoadCredential={name}" for name in names)
    fix = f"{first}type 'systemctl edit {service.manager}', and restart it, which ends all of {service.user}'s units:\n[Service]\n{lines}"
    return Finding("no-source", message, fix, names=tuple(names))


def _handed(names: list[str]) -> str:
    more = " ..." if len(names) > _NAMED else ""
    return f"{' '.join(f'{name}=FILE' for name in names[:_NAMED])}{more} for 'guestcred launch' or 'encode'"


def _required(service: Service, outcome: Outcome, loss: Finding | None) -> Finding:
    own = service.state == CONFIGURED
    fails = "guestcred apply fails" if own else "it cannot start (status 243)"
    if loss is not None:
        name = name_of(outcome)
        message = f"{service.told} requires {name}, which was {in_short(loss)}: {fails}"
        fix = f"type: guestcred why {name}"
        if loss.code == "rescued":
            fix = f"request it by its name alone, {name}: then it is found where it was rescued"
        return Finding("required", message, fix, names=(outcome.name,))
    made = "make that file" if outcome.name.startswith("/") else f"hand it over on the host: {_handed([outcome.name])}"
    default = f'set = ["{outcome.id}:VALUE"]' if own else f"SetCredential={outcome.id}:VALUE"
    message = f"{service.told} requires {outcome.name}, which does not exist: {fails}"
    return Finding("required", message, f"{made}, or give a default with {default}", names=(outcome.name,))


def what_to_write(service: Service, lacking: list[Outcome], path: str | None) -> str:
    """How the absence can be made an error, with lines to paste; `path` is the TOML file of a configured service."""
    absence, first = "its absence" if len(lacking) == 1 else "the absence of one", lacking[0]
    if service.state == CONFIGURED:
        table = f"[services.{service.unit.removesuffix('.service')}]"
        required = ", ".join(f'"{outcome.id}"' for outcome in lacking)
        return f"to make {absence} an error, write below {table} in {path or 'its TOML file'}:\nrequired = [{required}]"
    section = service.unit.rpartition(".")[2].capitalize()
    # %d has it from any source; a credential by absolute path is required, but comes from that path only
    line = f"ExecStartPre=/usr/bin/test -e %d/{first.id}"
    if section != "Service":
        line = f"LoadCredential={first.id}:/{SYSTEM}/{first.name}"
    here = "" if len(lacking) == 1 else f" (here of {first.id})"
    return f"to make {absence} fatal{here}, type 'systemctl edit {service.unit}' and write:\n[{section}]\n{line}"
