"""What becomes of every credential that a unit requests, and whether systemd lets the unit start with them."""

from __future__ import annotations

from guestcred.guest.credstores import shown_file
from guestcred.guest.deliveries import Consumer, Look
from guestcred.guest.rootfs import Tree
from guestcred.guest.sources import Source, Sources, named_path
from guestcred.record import Record
from guestcred.systemd.delivery import Rules, Spent, as_executed, is_default
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, Request
from guestcred.systemd.rules import SYSTEMD_OWN
from guestcred.systemd.search_path import RESCUE, SEARCH_PATH, search_path
from guestcred.systemd.shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from guestcred.systemd.delivery import Problem
    from guestcred.systemd.requests import Setting

    State = Literal["delivered", "unreadable", "undelivered", "ready", "skipped", "fatal", "nothing"]


class Outcome(Record):
    """What became of one requested credential.

    `state`: `delivered`; `unreadable` by the unit's user; `undelivered` though the unit runs and a source has it;
    `ready` for the unit's start; `skipped` in silence because no source has it; `fatal`, the unit's next start fails
    here; `nothing` for a pattern without a match. `source` is the path that wins, or "SetCredential=", or None, and
    `encrypted` says that it is; `size` in bytes, `mode` in octal. `setting` is None for what is there and no longer
    requested. `reason` is why it is fatal, would be at the next start, or is passed over. `rescued` says that guestcred
    put its source there.
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
    reason: Problem | None
    rescued: bool

    @property
    def is_open(self) -> bool:
        """Whether what comes after it in systemd's order takes its place."""
        return self.state == "skipped" or (self.source is None and self.reason in (None, "absent"))

    @property
    def is_lacking(self) -> bool:
        """Whether no source has it."""
        return (self.state, self.reason) in (("skipped", None), ("fatal", "absent"))


class Outcomes:
    """Goes through a unit's requests in systemd's order: acquire_credentials() in systemd src/core/exec-credential.c."""

    def __init__(
        self, tree: Tree, consumer: Consumer, look: Look, systemd: int | None, rules: Rules, rescues: frozenset[str]
    ) -> None:
        self._tree = tree
        self._unit = consumer.unit
        self._look = look
        self._systemd = systemd
        self._rules = rules
        self._rescues = {f"{RESCUE}/{name}" for name in rescues}
        # what systemd makes credentials for: not what `apply` delivers to, nor every type of unit
        self._systemds = not consumer.unit.is_configured and rules.gives(consumer.unit.name)
        self._sources = Sources(tree, observed=look.observed, rules=rules)
        self._delivered = {file.name: file for file in consumer.delivered or ()}
        self._found: dict[str, Outcome] = {}
        self._from_folder: set[str] = set()
        self._spent = Spent()

    def judge(self) -> tuple[tuple[Outcome, ...], Problem | None]:
        """The outcomes, and why systemd refuses all of them together, where it does."""
        for request in self._unit.requests:
            executed = as_executed(request, self._rules) if self._systemds else request
            if executed is None:
                key = request.id or request.source
                self._found[key] = self._outcome(request, Source(id=key, name=request.source or key), "unparsed", key)
            else:
                self._follow(request, executed)
        outcomes = self._found
        for name in sorted(self._delivered.keys() - outcomes.keys()):
            # its source has gone since, or its setting was changed after the start
            told = shown(name, self._delivered[name].size)
            outcomes[name] = self._outcome(None, Source(id=told, name=told), None, name)
        together = self._spent.refusal(self._rules) if self._systemds else None
        told_one = any(outcome.reason == "too-large" for outcome in outcomes.values())
        return (
            tuple(
                outcome
                for outcome in outcomes.values()
                if outcome.state not in ("skipped", "nothing") or not outcome.name.startswith(SYSTEMD_OWN)
            ),
            None if told_one else together,
        )

    def _follow(self, request: Request, executed: Request) -> None:
        own = self._unit.is_configured
        # `apply` decrypts nothing, and its patterns take files only
        places = SEARCH_PATH if own else search_path(executed, self._systemd, self._rules.places)
        for source in self._sources.resolve(executed, places, only_files=own):
            in_folder = executed.source[:1] == "/" and source.name != named_path(executed.source)
            before = self._found.get(source.id)
            if before is None or self._replaces(before, executed, source):
                self._take(request, executed, source)
            elif self._systemds and self._collides(executed, source.id, in_folder):
                state = before.state if before.state in ("delivered", "unreadable") else "fatal"
                self._found[source.id] = before.replace(state=state, reason="twice")
            if in_folder:
                self._from_folder.add(source.id)

    def _replaces(self, before: Outcome, executed: Request, source: Source) -> bool:
        """Whether a source takes the place of what was found for its id before."""
        if before.state == "fatal" and self._systemds:
            return before.is_open and is_default(executed)  # only a default stands in for an absolute path
        overwrites = executed.setting == IMPORT and self._rules.imports_overwrite and bool(source.paths)
        return before.is_open or (overwrites and self._systemds)

    def _collides(self, executed: Request, identifier: str, in_folder: bool) -> bool:
        """Whether systemd refuses to write an id that is there: files of folders it passes over, and no two settings
        have one id, so that one is from a folder and the other is not."""
        loads = executed.setting in (LOAD, LOAD_ENCRYPTED)
        return self._rules.exclusive and loads and in_folder != (identifier in self._from_folder)

    def _take(self, request: Request, executed: Request, source: Source) -> None:
        problem, written = source.problem, source.written
        if is_default(executed):
            written = (executed.size or 0,)
            if executed.encrypted:
                match self._look.observed.sealed.get(f"{source.id}:{self._unit.name}"):
                    case int(size):
                        written = (size,)
                    case str(why):
                        problem = why
        passed_over = source.is_passed_over
        if not self._systemds:
            problem, passed_over = None, False
        elif executed.replace(setting=request.setting) != request and not source.paths and not is_default(executed):
            # what it is read as is not there: fatal where that is an absolute path
            problem, passed_over = "misread", not executed.required
        told = _shown(self._tree, executed, source)
        outcome = self._outcome(executed, told, problem, source.id, passed_over=passed_over)
        if not passed_over and (source.paths or is_default(executed)):
            for size in written:
                self._spent = self._spent.plus(source.id, size)
        self._found[source.id] = outcome

    def _outcome(
        self, request: Request | None, source: Source, problem: Problem | None, name: str, passed_over: bool = False
    ) -> Outcome:
        """The outcome for what is called `name` in the unit's folder."""
        delivered = self._delivered.get(name)
        default = request is not None and is_default(request)
        required = request is not None and request.required
        encrypted = source.encrypted or (request is not None and request.encrypted)
        state: State
        if delivered is not None:
            state = "unreadable" if delivered.readable is False else "delivered"
        elif not self._systemds and not self._unit.is_configured:
            state = "undelivered" if source.paths or default else "skipped"
        elif passed_over:
            state = "skipped"
        elif problem is not None:
            state = "fatal"
        elif source.paths or default:
            state = "undelivered" if self._unit.running else "ready"
        elif request is not None and request.is_pattern:
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
            source=self._tree.shown(source.paths[0]) if source.paths else "SetCredential=" if default else None,
            shadowed=tuple(map(self._tree.shown, source.paths[1:])),
            required=required,
            encrypted=encrypted,
            size=delivered.size if delivered is not None else size,
            mode=f"{delivered.mode:04o}" if delivered is not None else None,
            owner=delivered.owner if delivered is not None else None,
            readable=delivered.readable if delivered is not None else None,
            reason="absent" if state == "fatal" and problem is None else problem,
            rescued=bool(source.paths) and source.paths[0] in self._rescues,
        )


def _shown(tree: Tree, request: Request, source: Source) -> Source:
    """The source with a name that may be shown: what a unit has in a setting of its own is a name, but a pattern or a
    folder also finds what has a secret for its name."""
    name = source.name.rpartition("/")[2]
    if not source.paths or not (request.is_pattern or source.name != request.source):
        return source
    told = shown(name, source.size or 0) if source.name[:1] == "/" else shown_file(tree, source.paths[0])
    if told == name:
        return source
    # an import that renames keeps only what its '*' stands for
    front = source.id.removesuffix(name) if source.id.endswith(name) else request.id
    return source.replace(
        id=f"{front}{told}",
        name=f"{source.name.removesuffix(name)}{told}",
        paths=tuple(f"{path.removesuffix(name)}{told}" for path in source.paths),
    )
