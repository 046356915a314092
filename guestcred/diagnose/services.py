"""What becomes of every credential that a unit requests: its source, whether it was delivered, and what is wrong."""

from __future__ import annotations

from guestcred.diagnose.findings import Finding
from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.credstores import shown_file
from guestcred.guest.deliveries import CONFIGURED, Consumer, Delivered, Look
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import TABLE, parse_table, read_table
from guestcred.guest.sources import Source, Sources
from guestcred.record import Record
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, SET, SET_ENCRYPTED, Request, Unit
from guestcred.systemd.rules import SYSTEM, SYSTEMD_OWN
from guestcred.systemd.search_path import SEARCH_PATH, glob_matches, search_path
from guestcred.systemd.shown import shown
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.systemd.requests import Setting

    State = Literal["delivered", "unreadable", "undelivered", "ready", "skipped", "fatal", "nothing"]


class Outcome(Record):
    """What became of one requested credential.

    `state`: `delivered`; `unreadable` by the unit's user; `undelivered` though the unit runs and a source has it;
    `ready` for the unit's start; `skipped` in silence because no source has it; `fatal`, the same for an absolute path;
    `nothing` for a pattern without a match. `source` is the path that wins, or "SetCredential=", or None, and `encrypted`
    says that it is; `size` in bytes, `mode` in octal. `setting` is None for what is there and no longer requested.
    """

    id: str
    setting: Setting | None
    name: str
    state: State
    source: str | None
    shadowed: tuple[str, ...]
    required: bool
    encrypted: bool
    size: int | None
    mode: str | None
    owner: int | None
    readable: bool | None


class Service(Record):
    """A unit with the outcome of its requests; `user` as the unit has it, root where it names none.

    It is shown in JSON as it is here, and so is an outcome.
    """

    unit: str
    state: str
    running: bool
    user: str
    credentials: tuple[Outcome, ...]


class Services(Record):
    """All of `services`."""

    systemd: int | None
    services: tuple[Service, ...]
    findings: tuple[Finding, ...]


def judge_services(tree: Tree, look: Look, offered: dict[str, str] | None, systemd: int | None) -> Services:
    """The outcome of every request, and what is wrong with it.

    A unit with nothing to report, such as one of systemd's own that found nothing, is left out. `offered` has the names
    that the hypervisor offered, each with the form that may be shown; it is None where only some units were looked at,
    because others may request what these do not.
    """
    services, findings = [], []
    for consumer in look.consumers:
        outcomes = _outcomes(tree, consumer, look, systemd)
        unit = consumer.unit
        if outcomes:
            services.append(
                Service(
                    unit=unit.name,
                    state=unit.state,
                    running=unit.running,
                    user=unit.user or "root",
                    credentials=outcomes,
                )
            )
        findings += [finding for outcome in outcomes if (finding := _finding(unit, outcome)) is not None]
        if unit.only_stops:
            message = f"{unit.name} requests credentials, but runs commands only to stop, and gets none for these"
            hint = "systemd makes them when it starts a command: give the unit an ExecStart= that keeps running"
            findings.append(Finding("only-stop", message, hint))
    if offered is not None:
        findings += _unrequested(tree, look, offered)
    return Services(systemd, tuple(services), tuple(findings))


def offered_names(tree: Tree, systemd: int | None) -> dict[str, str]:
    """The names that the table offers, each with the form that may be shown; none where there is no table."""
    table = parse_table(*read_table(tree)) if tree.exists(TABLE) else parse_table(None, None)
    verdicts = judge(table.structures, systemd)
    return {verdict.name: verdict.shown for verdict in verdicts if isinstance(verdict, Accepted)}


def only(look: Look, name: str) -> Look:
    """The look at the unit `name` alone; raises GuestcredError (exit status 2) where there is no such unit."""
    consumers = tuple(consumer for consumer in look.consumers if consumer.unit.name == name)
    known = sorted({*look.others, *(consumer.unit.name for consumer in look.consumers)})
    if not consumers and name not in known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1)
        hint = f"is it {near[0]}?" if near else "see which units request credentials with 'guestcred services'"
        raise GuestcredError(f"there is no unit {name}", hint, status=USAGE)
    return Look(consumers, look.others, look.outside)


def _outcomes(tree: Tree, consumer: Consumer, look: Look, systemd: int | None) -> tuple[Outcome, ...]:
    unit = consumer.unit
    delivered = {file.name: file for file in consumer.delivered or ()}
    own = unit.state == CONFIGURED  # `apply` decrypts nothing, and its patterns take files only
    sources = Sources(tree, outside=look.outside)
    outcomes: dict[str, Outcome] = {}
    for request in unit.requests:
        places = SEARCH_PATH if own else search_path(request, systemd)
        for source in sources.resolve(request, places, only_files=own):
            # the first that has it wins, defaults come last: acquire_credentials() in exec-credential.c
            if source.id not in outcomes or outcomes[source.id].source is None:
                told = _shown(tree, request, source)
                outcome = _outcome(tree, request, told, unit.running, delivered.get(source.id))
                if outcome.state not in ("skipped", "nothing") or not source.name.startswith(SYSTEMD_OWN):
                    outcomes[source.id] = outcome
    for name in sorted(delivered.keys() - outcomes.keys()):
        # its source has gone since, or its setting was changed after the start
        told = Source(id=shown(name, delivered[name].size), name=shown(name, delivered[name].size))
        outcomes[name] = _outcome(tree, None, told, unit.running, delivered[name])
    return tuple(outcomes.values())


def _shown(tree: Tree, request: Request, source: Source) -> Source:
    """The source with a name that may be shown: what a unit has in a setting of its own is a name, but a pattern or a
    folder also finds what has a secret for its name."""
    name = source.name.rpartition("/")[2]
    if not source.paths or not (request.is_pattern or source.name != request.source):
        return source
    told = shown(name, source.size or 0) if source.name[:1] == "/" else shown_file(tree, source.paths[0])
    if told == name:
        return source
    return source.replace(
        id=f"{source.id.removesuffix(name)}{told}",
        name=f"{source.name.removesuffix(name)}{told}",
        paths=tuple(f"{path.removesuffix(name)}{told}" for path in source.paths),
    )


def _outcome(
    tree: Tree, request: Request | None, source: Source, running: bool, delivered: Delivered | None
) -> Outcome:
    default = request is not None and request.setting in (SET, SET_ENCRYPTED)
    required = request is not None and request.required
    encrypted = source.encrypted or (request is not None and request.encrypted)
    state: State
    if delivered is not None:
        state = "unreadable" if delivered.readable is False else "delivered"
    elif source.paths or default:
        state = "undelivered" if running else "ready"
    elif request is not None and request.setting == IMPORT and request.source.endswith("*"):
        state = "nothing"
    else:
        state = "fatal" if required else "skipped"
    # what systemd decrypts shows its size only afterwards
    size = None if encrypted and request is not None and request.setting != LOAD else source.size
    return Outcome(
        id=source.id,
        setting=request.setting if request is not None else None,
        name=source.name,
        state=state,
        source=tree.shown(source.paths[0]) if source.paths else "SetCredential=" if default else None,
        shadowed=tuple(map(tree.shown, source.paths[1:])),
        required=required,
        encrypted=encrypted,
        size=delivered.size if delivered is not None else size,
        mode=f"{delivered.mode:04o}" if delivered is not None else None,
        owner=delivered.owner if delivered is not None else None,
        readable=delivered.readable if delivered is not None else None,
    )


def _finding(unit: Unit, outcome: Outcome) -> Finding | None:
    """What is wrong with one outcome, if anything is."""
    restart = "type: guestcred apply" if unit.state == CONFIGURED else f"type: systemctl restart {unit.name}"
    if outcome.state == "skipped":
        who = "guestcred apply" if unit.state == CONFIGURED else "systemd"
        message = f"{unit.name} requests {outcome.name}, no source has it, and {who} skips it in silence"
        return Finding("no-source", message, f"{_made(outcome)}; {_made_fatal(unit, outcome)}", names=(outcome.name,))
    if outcome.state == "fatal":
        fails = "guestcred apply fails" if unit.state == CONFIGURED else "it cannot start (status 243)"
        message = f"{unit.name} requires {outcome.name}, which does not exist: {fails}"
        default = f'set = ["{outcome.id}:VALUE"]' if unit.state == CONFIGURED else f"SetCredential={outcome.id}:VALUE"
        return Finding(
            "required", message, f"{_made(outcome)}, or give a default with {default}", names=(outcome.name,)
        )
    if outcome.state == "undelivered":
        message = f"{unit.name} runs without {outcome.id}, which {outcome.source} has now"
        fix = f"it was not there, or not requested, when the unit started; {restart}"
        return Finding("undelivered", message, fix, names=(outcome.name,))
    if outcome.state == "unreadable":
        message = f"{unit.name} runs as {unit.user or 'root'}, who cannot read its {outcome.id} (mode {outcome.mode}, owner {outcome.owner})"
        fix = f"systemd sets mode, owner and ACL anew at the start; {restart}"
        return Finding("unreadable", message, fix, names=(outcome.name,))
    if outcome.setting == LOAD and outcome.encrypted:
        message = f"{unit.name} gets {outcome.id} from {outcome.source} as it is there, encrypted"
        fix = f"write {LOAD_ENCRYPTED}={outcome.id}:{outcome.name} instead of {LOAD}="
        return Finding("undecrypted", message, fix, names=(outcome.name,))
    return None


def _made(outcome: Outcome) -> str:
    if outcome.name.startswith("/"):
        return "make that file"
    return f"offer it on the host as 'io.systemd.credential:{outcome.name}=...'"


def _made_fatal(unit: Unit, outcome: Outcome) -> str:
    if unit.state == CONFIGURED:
        return f'to make its absence an error, write required = ["{outcome.id}"] into its table'
    section = unit.name.rpartition(".")[2].capitalize()
    # %d has it from any source; a credential by absolute path is required, but comes from that path only
    line = f"ExecStartPre=/usr/bin/test -e %d/{outcome.id}"
    if section != "Service":
        line = f"LoadCredential={outcome.id}:/{SYSTEM}/{outcome.name}"
    return f"to make its absence fatal, type 'systemctl edit {unit.name}' and write [{section}] {line}"


def _unrequested(tree: Tree, look: Look, offered: dict[str, str]) -> list[Finding]:
    requests = [request for consumer in look.consumers for request in consumer.unit.requests]
    names = {request.source.removeprefix(f"/{SYSTEM}/") for request in requests if request.setting != IMPORT}
    patterns = [request.source for request in requests if request.setting == IMPORT]
    system = tree.resolve(SYSTEM)
    stored = {name: shown_file(tree, f"{system}/{name}") for name in tree.names(system) or ()}
    idle = [
        shown
        for name, shown in sorted((stored | offered).items())
        if name not in names and not name.startswith(SYSTEMD_OWN)
        if not any(glob_matches(pattern, name) for pattern in patterns)
    ]
    if not idle:
        return []
    are = "is" if len(idle) == 1 else "are"
    hint = f"write LoadCredential={idle[0]} into the unit that needs it, or stop offering it"
    message = f"no loaded unit requests {listed(idle)}, which {are} offered"
    return [Finding("unrequested", message, hint, names=tuple(idle))]
