"""What becomes of every credential that a unit requests: its source, whether it was delivered, and what is wrong."""

from __future__ import annotations

from guestcred.diagnose.findings import Finding
from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.deliveries import CONFIGURED, Consumer, Delivered, Look
from guestcred.guest.rootfs import Tree
from guestcred.guest.snapshot import TABLE
from guestcred.guest.sources import Source, Sources
from guestcred.record import Record
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge, shown_file
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, SET, SET_ENCRYPTED, Request, Unit
from guestcred.systemd.rules import SYSTEM
from guestcred.systemd.search_path import SEARCH_PATH, glob_matches, search_path
from guestcred.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.systemd.requests import Setting

    State = Literal["delivered", "unreadable", "undelivered", "ready", "skipped", "fatal", "nothing"]

# what systemd itself reads, by systemd.system-credentials(7): its units ask for these in case they are there
SYSTEMD_OWN = (
    "agetty.", "bootctl.", "cryptsetup.", "firstboot.", "fsck.", "fstab.", "getty.", "home.", "import.", "imds.",
    "journal.", "login.", "network.", "passwd.", "quotacheck.", "resolve.", "shell.", "ssh.", "sysctl.", "system.",
    "systemd.", "sysusers.", "tmpfiles.", "tty.", "udev.", "userdb.", "veritysetup.", "vmm.",
)  # fmt: skip


class Outcome(Record):
    """What became of one requested credential.

    `state`: `delivered`; `unreadable` by the unit's user; `undelivered` though the unit runs and a source has it;
    `ready` for the unit's start; `skipped` in silence for lack of a source; `fatal`, the same for an absolute path;
    `nothing` for a pattern without a match. `source` is the path that wins, or "SetCredential=", or None, and `encrypted`
    says that it is; `size` in bytes, `mode` in octal. `setting` is None for what is there and is not requested any more.
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

    A unit of which nothing is to be told, such as one of systemd's own that found nothing, is left out.
    `offered` are the names that the hypervisor offered, each with the form that may be shown; None where only some units were looked at, so that
    nothing can be said of what nobody requests.
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
        findings += [finding for one in outcomes if (finding := _finding(unit, one)) is not None]
        if unit.only_stops:
            message = f"{unit.name} requests credentials, but runs commands only to stop, and gets none for these"
            hint = "systemd makes them when it starts a command: give the unit an ExecStart= that keeps running"
            findings.append(Finding("only-stop", message, hint))
    if offered is not None:
        findings += _unrequested(tree, look, offered)
    return Services(systemd, tuple(services), tuple(findings))


def offered_names(tree: Tree, systemd: int | None) -> dict[str, str]:
    """The names that the table offers, each with the form that may be shown."""
    verdicts = judge(parse(tree.read(TABLE) or b"").structures, systemd)
    return {one.name: one.shown for one in verdicts if isinstance(one, Accepted)}


def only(look: Look, name: str) -> Look:
    """The look at the unit `name` alone; raises GuestcredError (exit status 2) where there is no such unit."""
    found = tuple(one for one in look.consumers if one.unit.name == name)
    known = sorted({*look.others, *(one.unit.name for one in look.consumers)})
    if not found and name not in known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1)
        hint = f"is it {near[0]}?" if near else "see which units request credentials with 'guestcred services'"
        raise GuestcredError(f"there is no unit {name}", hint, status=USAGE)
    return Look(found, look.others, look.outside)


def _outcomes(tree: Tree, consumer: Consumer, look: Look, systemd: int | None) -> tuple[Outcome, ...]:
    unit = consumer.unit
    given = {shown_file(one.name, one.size): one for one in consumer.delivered or ()}
    own = unit.state == CONFIGURED  # `apply` decrypts nothing, and its patterns take files only
    sources = Sources(tree, outside=look.outside)
    found: dict[str, Outcome] = {}
    for request in unit.requests:
        places = SEARCH_PATH if own else search_path(request, systemd)
        for one in map(_shown, sources.resolve(request, places, only_files=own)):
            # the first that has it wins, defaults come last: acquire_credentials() in exec-credential.c
            if one.id not in found or found[one.id].source is None:
                outcome = _outcome(tree, request, one, unit.running, given.get(one.id))
                if outcome.state not in ("skipped", "nothing") or not one.name.startswith(SYSTEMD_OWN):
                    found[one.id] = outcome
    for name in sorted(given.keys() - found.keys()):
        # its source has gone since, or its setting was changed after the start
        found[name] = _outcome(tree, None, Source(id=name, name=name), unit.running, given[name])
    return tuple(found.values())


def _shown(one: Source) -> Source:
    """A source whose name may be told: what a pattern found is named by whatever was offered, and so it may be a secret."""
    shown = one.name if one.size is None or one.name[:1] == "/" else shown_file(one.name, one.size)
    if shown == one.name:
        return one
    return one.replace(
        id=f"{one.id.removesuffix(one.name)}{shown}",
        name=shown,
        paths=tuple(f"{path.removesuffix(one.name)}{shown}" for path in one.paths),
    )


def _outcome(tree: Tree, request: Request | None, one: Source, running: bool, given: Delivered | None) -> Outcome:
    default = request is not None and request.setting in (SET, SET_ENCRYPTED)
    required = request is not None and request.required
    encrypted = one.encrypted or (request is not None and request.encrypted)
    state: State
    if given is not None:
        state = "unreadable" if given.readable is False else "delivered"
    elif one.paths or default:
        state = "undelivered" if running else "ready"
    elif request is not None and request.setting == IMPORT and request.source.endswith("*"):
        state = "nothing"
    else:
        state = "fatal" if required else "skipped"
    # what is decrypted tells its size only then
    size = None if encrypted and request is not None and request.setting != LOAD else one.size
    return Outcome(
        id=one.id,
        setting=request.setting if request is not None else None,
        name=one.name,
        state=state,
        source=tree.shown(one.paths[0]) if one.paths else "SetCredential=" if default else None,
        shadowed=tuple(map(tree.shown, one.paths[1:])),
        required=required,
        encrypted=encrypted,
        size=given.size if given is not None else size,
        mode=f"{given.mode:04o}" if given is not None else None,
        owner=given.owner if given is not None else None,
        readable=given.readable if given is not None else None,
    )


def _finding(unit: Unit, one: Outcome) -> Finding | None:
    """What is wrong with one outcome, if anything is."""
    restart = "type: guestcred apply" if unit.state == CONFIGURED else f"type: systemctl restart {unit.name}"
    if one.state == "skipped":
        who = "guestcred apply" if unit.state == CONFIGURED else "systemd"
        message = f"{unit.name} requests {one.name}, no source has it, and {who} skips it in silence"
        return Finding("no-source", message, f"{_made(one)}; {_made_fatal(unit, one)}", names=(one.name,))
    if one.state == "fatal":
        fails = "guestcred apply fails" if unit.state == CONFIGURED else "it cannot start (status 243)"
        message = f"{unit.name} requires {one.name}, which does not exist: {fails}"
        default = f'set = ["{one.id}:VALUE"]' if unit.state == CONFIGURED else f"SetCredential={one.id}:VALUE"
        return Finding("required", message, f"{_made(one)}, or give a default with {default}", names=(one.name,))
    if one.state == "undelivered":
        message = f"{unit.name} runs without {one.id}, which {one.source} has now"
        fix = f"it was not there, or not requested, when the unit started; {restart}"
        return Finding("undelivered", message, fix, names=(one.name,))
    if one.state == "unreadable":
        message = f"{unit.name} runs as {unit.user or 'root'}, who cannot read its {one.id} (mode {one.mode}, owner {one.owner})"
        fix = f"systemd sets mode, owner and ACL anew at the start; {restart}"
        return Finding("unreadable", message, fix, names=(one.name,))
    if one.setting == LOAD and one.encrypted:
        message = f"{unit.name} gets {one.id} from {one.source} as it is there, encrypted"
        fix = f"write {LOAD_ENCRYPTED}={one.id}:{one.name} in place of {LOAD}="
        return Finding("undecrypted", message, fix, names=(one.name,))
    return None


def _made(one: Outcome) -> str:
    if one.name.startswith("/"):
        return "make that file"
    return f"offer it on the host as 'io.systemd.credential:{one.name}=...'"


def _made_fatal(unit: Unit, one: Outcome) -> str:
    if unit.state == CONFIGURED:
        return f'to make its absence an error, write required = ["{one.id}"] into its table'
    section = unit.name.rpartition(".")[2].capitalize()
    # %d finds it from whatever source; a credential by absolute path is required, but comes from that path only
    line = f"ExecStartPre=/usr/bin/test -e %d/{one.id}"
    if section != "Service":
        line = f"LoadCredential={one.id}:/{SYSTEM}/{one.name}"
    return f"to make its absence fatal, type 'systemctl edit {unit.name}' and write [{section}] {line}"


def _size(tree: Tree, path: str) -> int:
    seen = tree.status(path)
    return 0 if seen is None else seen.st_size


def _unrequested(tree: Tree, look: Look, offered: dict[str, str]) -> list[Finding]:
    requests = [request for one in look.consumers for request in one.unit.requests]
    names = {request.source.removeprefix(f"/{SYSTEM}/") for request in requests if request.setting != IMPORT}
    patterns = [request.source for request in requests if request.setting == IMPORT]
    system = tree.resolve(SYSTEM)
    there = {name: shown_file(name, _size(tree, f"{system}/{name}")) for name in tree.names(system) or ()}
    idle = [
        shown
        for name, shown in sorted((there | offered).items())
        if name not in names and not name.startswith(SYSTEMD_OWN)
        if not any(glob_matches(pattern, name) for pattern in patterns)
    ]
    if not idle:
        return []
    are = "is" if len(idle) == 1 else "are"
    hint = f"write LoadCredential={idle[0]} into the unit that needs it, or offer it no more"
    message = f"no loaded unit requests {listed(idle)}, which {are} offered"
    return [Finding("unrequested", message, hint, names=tuple(idle))]
