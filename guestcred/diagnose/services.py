"""All of `services`: each unit with the outcomes of its requests, and what is wrong."""

from __future__ import annotations

from guestcred.diagnose.findings import Finding
from guestcred.diagnose.outcomes import Outcome, Outcomes
from guestcred.diagnose.refusals import DECRYPTED_FOR_USERS, MAY_START, REFUSALS
from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.credstores import rescues, shown_file
from guestcred.guest.deliveries import Look
from guestcred.guest.facts import read_kernel
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import TABLE, parse_table, read_table
from guestcred.manifest import FRAME
from guestcred.record import Record
from guestcred.systemd.delivery import rules_of
from guestcred.systemd.nearest import nearest
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, Unit, of_manager
from guestcred.systemd.rules import SYSTEM, SYSTEMD_OWN
from guestcred.systemd.search_path import glob_matches
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.systemd.delivery import Problem, Rules
    from guestcred.systemd.requests import Setting


class Service(Record):
    """A unit with the outcome of its requests; `user` as the unit has it, root where it names none.

    `failure` is what PID 1 said when the unit's last start ended at its credentials, "" where that is not known, None
    where it did not; `refused` is why systemd refuses all of them together, if it does. `manager` is the unit of the user
    manager whose unit it is, None where it is PID 1's. It is shown in JSON as it is here, and so is an outcome.
    """

    unit: str
    state: str
    running: bool
    user: str
    failure: str | None
    refused: Problem | None
    credentials: tuple[Outcome, ...]
    manager: str | None = None

    @property
    def told(self) -> str:
        """The unit in a sentence."""
        return of_manager(self.unit, self.manager)


class Services(Record):
    """All of `services`; `managers` are the units of the user managers that run and whose own units were not looked at, and
    `unasked` says why where that was tried.

    `lacking` are the services that request what no source has. That is in `findings` only after
    `diagnose/lacks.py::with_lacks`, and `lost` then has what is said of each name that was lost on its way.
    """

    systemd: int | None
    services: tuple[Service, ...]
    findings: tuple[Finding, ...]
    managers: tuple[str, ...]
    lacking: tuple[Service, ...]
    lost: dict[str, Finding]
    unasked: dict[str, str] = {}  # noqa: RUF012  # nobody changes it


def judge_services(
    tree: Tree,
    look: Look,
    offered: dict[str, str] | None,
    systemd: int | None,
    rules: Rules | None = None,
    wanted: tuple[Service, ...] = (),
) -> Services:
    """The outcome of every request, and what is wrong with it.

    A unit with nothing to report, such as one of systemd's own that found nothing, is left out. `offered` has the names
    that the hypervisor offered, each with the form that may be shown; it is None where only some units were looked at,
    because others may request what these do not; then `wanted` are units of others that were looked at. `rules` are those
    of the manager that has the units, None for PID 1's.
    """
    services, lacking, findings = [], [], []
    of_pid_1 = rules is None
    rules = rules_of(systemd, read_kernel(tree)) if rules is None else rules
    made = rescues(tree) if of_pid_1 else frozenset()
    for consumer in look.consumers:
        outcomes, together = Outcomes(tree, consumer, look, systemd, rules, made).judge()
        unit = consumer.unit
        if outcomes:
            services.append(
                Service(
                    unit=unit.name,
                    state=unit.state,
                    running=unit.running,
                    user=unit.user or "root",
                    failure=unit.failure,
                    refused=together,
                    credentials=outcomes,
                    manager=unit.manager,
                )
            )
        if outcomes and not unit.is_configured and not rules.gives(unit.name):
            kind = unit.name.rpartition(".")[2]
            message = f"{unit.told} requests credentials, and systemd gives a {kind} unit none"
            findings.append(Finding("not-given", message, "load them in the service that needs them"))
            continue
        findings += _of_start(unit, outcomes, together)
        findings += [finding for outcome in outcomes if (finding := _finding(unit, outcome)) is not None]
        if any(outcome.is_lacking for outcome in outcomes):
            lacking.append(services[-1])
        if unit.only_stops:
            message = f"{unit.told} requests credentials, but runs commands only to stop, and gets none for these"
            hint = "systemd makes them when it starts a command: give the unit an ExecStart= that keeps running"
            findings.append(Finding("only-stop", message, hint))
    if offered is not None:
        findings += _unrequested(tree, look, offered, wanted)
    return Services(
        systemd=systemd,
        services=tuple(services),
        findings=tuple(findings),
        managers=look.managers,
        lacking=tuple(lacking),
        lost={},
    )


def offered_names(tree: Tree, systemd: int | None) -> dict[str, str]:
    """The names that the table offers, each with the form that may be shown; none where there is no table."""
    table = parse_table(*read_table(tree)) if tree.exists(TABLE) else parse_table(None, None)
    verdicts = judge(table.structures, systemd)
    return {verdict.name: verdict.shown for verdict in verdicts if isinstance(verdict, Accepted)}


def only(look: Look, name: str) -> Look:
    """The look at the unit alone that has this name or alias; raises GuestcredError (exit status 2) where none has."""
    name = look.aliases.get(name, name)
    consumers = tuple(consumer for consumer in look.consumers if consumer.unit.name == name)
    known = sorted({*look.others, *(consumer.unit.name for consumer in look.consumers)})
    if consumers or name in known:
        return look.replace(consumers=consumers)
    state = look.unusable.get(name, "not-found")
    if state == "masked":
        hint = f"to let it start again: systemctl unmask {name}"
        raise GuestcredError(f"{name} is masked: systemd loads nothing of it, and it cannot start", hint, status=USAGE)
    if state != "not-found":
        hint = f"see why with 'systemctl status {name}'"
        raise GuestcredError(f"systemd could not load {name} ({state})", hint, status=USAGE)
    near = _near_unit(name, (*known, *look.aliases))
    hint = f"did you mean {near}?" if near else "see which units request credentials with 'guestcred services'"
    raise GuestcredError(f"there is no unit {name}", hint, status=USAGE)


def _near_unit(name: str, known: tuple[str, ...]) -> str | None:
    """The unit of the same type that was probably meant."""
    stem, _, kind = name.rpartition(".")
    near = nearest(stem, [unit.removesuffix(f".{kind}") for unit in known if unit.endswith(f".{kind}")])
    return None if near is None else f"{near}.{kind}"


def _of_start(unit: Unit, outcomes: tuple[Outcome, ...], together: Problem | None) -> list[Finding]:
    """What is wrong with a unit's last start and its next one."""
    findings = []
    fails = together is not None or any(_refuses(outcome) for outcome in outcomes)
    if unit.failure is not None:
        words = f": {unit.failure}" if unit.failure else ", and the journal does not say why"
        fix = "another finding has the reason" if fails else f"what was wrong is gone; type: {unit.restart}"
        findings.append(Finding("failed", f"{unit.told} failed at its credentials (status 243){words}", fix))
    if together is not None:
        why, fix = REFUSALS[together]
        findings.append(Finding("refused", f"{unit.told} {_cannot(unit)}: {why}", fix))
    return findings


def _refuses(outcome: Outcome) -> bool:
    return outcome.reason is not None and outcome.state != "skipped"


def _cannot(unit: Unit, reason: Problem | None = None) -> str:
    if reason in MAY_START:
        return "may fail to start (status 243)"
    # what cannot read its settings ends before it comes to them
    status = 1 if reason == "unparsed" else 243
    return f"will not start again (status {status})" if unit.running else f"cannot start (status {status})"


def _finding(unit: Unit, outcome: Outcome) -> Finding | None:
    """What is wrong with one outcome, if anything is but that no source has it."""
    restart = "type: guestcred apply" if unit.is_configured else f"type: {unit.restart}"
    if outcome.reason not in (None, "absent"):
        source = outcome.source if outcome.source not in (None, "SetCredential=") else f"its value of {outcome.id}"
        if outcome.reason == "loop":
            source = outcome.name
        why, fix = REFUSALS[outcome.reason]
        if outcome.reason == "undecryptable" and unit.manager is not None:
            fix = DECRYPTED_FOR_USERS
        why, fix = (text.format(id=outcome.id, source=source) for text in (why, fix))
        if not _refuses(outcome):
            message = f"{unit.told} starts without {outcome.id}: {why}"
            return Finding("no-source", message, fix, names=(outcome.name,))
        message = f"{unit.told} {_cannot(unit, outcome.reason)} with {outcome.id}: {why}"
        return Finding("refused", message, fix, names=(outcome.name,))
    if outcome.state == "undelivered":
        message = f"{unit.told} runs without {outcome.id}, which {outcome.source} has now"
        fix = f"it was not there, or not requested, when the unit started; {restart}"
        return Finding("undelivered", message, fix, names=(outcome.name,))
    if outcome.state == "unreadable":
        message = f"{unit.told} runs as {unit.user or 'root'}, who cannot read its {outcome.id} (mode {outcome.mode}, owner {outcome.owner})"
        fix = f"systemd sets mode, owner and ACL anew at the start; {restart}"
        return Finding("unreadable", message, fix, names=(outcome.name,))
    if outcome.setting == LOAD and outcome.encrypted:
        message = f"{unit.told} gets {outcome.id} from {outcome.source} as it is there, encrypted"
        fix = f"write {LOAD_ENCRYPTED}={outcome.id}:{outcome.name} instead of {LOAD}="
        return Finding("undecrypted", message, fix, names=(outcome.name,))
    return None


def _unrequested(tree: Tree, look: Look, offered: dict[str, str], wanted: tuple[Service, ...]) -> list[Finding]:
    requests = [request for consumer in look.consumers for request in consumer.unit.requests]
    asked: list[tuple[Setting | None, str]] = [(request.setting, request.source) for request in requests]
    asked += [(outcome.setting, outcome.name) for service in wanted for outcome in service.credentials]
    names = {source.removeprefix(f"/{SYSTEM}/") for setting, source in asked if setting != IMPORT}
    patterns = [source for setting, source in asked if setting == IMPORT]
    system = tree.resolve(SYSTEM)
    stored = {name: shown_file(tree, f"{system}/{name}") for name in tree.names(system) or ()}
    idle: dict[str | None, list[str]] = {}
    for name, shown in sorted((stored | offered).items()):
        if name not in names and not any(glob_matches(pattern, name) for pattern in patterns):
            # of a name that may be a secret, the one that was meant would say too much
            meant = _meant_of_systemd_s(name) if shown == name else None
            if meant is not None or not name.startswith(SYSTEMD_OWN):
                idle.setdefault(meant, []).append(shown)
    return [_idle(alike, meant) for meant, alike in idle.items()]


def _meant_of_systemd_s(name: str) -> str | None:
    """The well-known name that was probably meant by one that no unit requests, and that systemd does not know."""
    if "." not in name:
        return None
    from guestcred.systemd.atlas import near_credential

    return near_credential(name)


def _idle(names: list[str], meant: str | None) -> Finding:
    are = "is" if len(names) == 1 else "are"
    hint = f"write LoadCredential={names[0]} into the unit that needs it, or stop offering it"
    if meant is not None:
        hint = f"did you mean {meant}? systemd reads that by itself"
    message = f"no loaded unit requests {listed(names)}, which {are} offered"
    return Finding("unrequested", message, hint, names=tuple(names))


def unrequested(name: str) -> Finding | None:
    """What is said of a credential that no unit requests; systemd and guestcred read their own themselves."""
    meant = _meant_of_systemd_s(name)
    return None if meant is None and (name.startswith(SYSTEMD_OWN) or name in FRAME) else _idle([name], meant)
