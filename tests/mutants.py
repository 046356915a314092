"""Mutation testing of the rules, the writing, the hiding and the verdicts: one change at a time, which some test must see.

`make mutants` tries every change, `python tests/mutants.py --help` says more. `tests/mutants.toml` lists the changes that no
test can see, and why. A tool of our own: the stories start the program as a process of its own, with an empty environment
and by its folder, and so a mutant has to be in a copy of the whole folder; a flag, a statement and the order of two are
what matters here; and a survivor needs its reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import functools
import itertools
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FORK = "GUESTCRED_TESTS_FORK"  # by which tests/running.py knows that a change is tried

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "guestcred"
LIST = ROOT / "tests" / "mutants.toml"
COPIED = ("guestcred", "tests", "fixtures", "docs", "packaging")
PARALLEL = 2
COMPUTES, WAITS = 10, 60  # seconds, and some times what the tests take by themselves: more than that is too slow

# the tests that concern a module, and see a change soonest first
TESTS: dict[str, tuple[str, ...]] = {
    "systemd/rules.py": ("rules", "offered", "encode"),
    "systemd/offered.py": ("offered",),
    "systemd/shown.py": ("shown",),
    "systemd/unrelated.py": ("unrelated",),
    "systemd/search_path.py": ("sources", "config"),
    "apply/diff.py": ("diff",),
    "apply/dirfd.py": ("dirfd", "writing"),
    "apply/heard.py": ("heard",),
    "apply/install.py": ("install",),
    "apply/deliveries.py": ("wanted",),
    "apply/notify.py": ("notify",),
    "apply/plan.py": ("plan",),
    "apply/wanted.py": ("wanted",),
    "apply/writing.py": ("writing", "apply"),
    "diagnose/capacity.py": ("capacity",),
    "diagnose/compare.py": ("compare",),
    "diagnose/cut.py": ("cut",),
    "diagnose/evidence.py": ("evidence",),
    "diagnose/meant.py": ("meant",),
    "diagnose/rescued.py": ("plan", "losses"),
    "descriptor.py": ("descriptor", "dirfd"),
    "host/tmpfs.py": ("tmpfs",),
    "capture/noise.py": ("noise",),
    "capture/writing.py": ("capture_writing",),
}
# what `make test` tries for some seconds: fast tests, where a change does much harm
CORE = (
    "apply/dirfd.py", "apply/plan.py", "descriptor.py", "host/tmpfs.py", "systemd/rules.py", "systemd/search_path.py", "systemd/shown.py",
)  # fmt: skip


class Mutant(NamedTuple):
    """One change: `start` and `end` in bytes of the module's source, what comes there, and the change in words."""

    module: str
    number: int
    start: int
    end: int
    new: bytes
    change: str

    @property
    def source(self) -> bytes:
        data = (PACKAGE / self.module).read_bytes()
        return data[: self.start] + self.new + data[self.end :]

    @property
    def line(self) -> str:
        """The text of its first line, by which tests/mutants.toml knows it: numbers of lines change too often."""
        return (PACKAGE / self.module).read_text().splitlines()[self.number - 1].strip()

    def __str__(self) -> str:
        return f"guestcred/{self.module}:{self.number}: {self.line}\n    {self.change}"


COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
REPLACED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
}
CALLED = {"all": "any", "any": "all", "min": "max", "max": "min"}
METHODS = {"partition": "rpartition", "rpartition": "partition", "startswith": "endswith", "endswith": "startswith"}
METHODS |= {"find": "rfind", "rfind": "find", "lstrip": "rstrip", "rstrip": "lstrip", "isdisjoint": "issuperset"}
LISTS = (ast.Tuple, ast.List, ast.Set)
SIMPLE = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)
SWAPPED = (ast.Expr, ast.AugAssign, ast.For, ast.With, ast.If)


IDLE = {"os.O_RDONLY", "os.O_CLOEXEC"}


def _parts(node: ast.expr) -> list[ast.expr]:
    """`a`, `b` and `c` of `a | b | c`."""
    match node:
        case ast.BinOp(left, ast.BitOr(), right):
            return [*_parts(left), right]
    return [node]


def of_expression(node: ast.expr) -> Iterator[ast.expr]:
    """What an expression may be changed to."""
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        # a text with spaces is for people, or a list of words
        case ast.Constant(value=str(text)) if " " not in text.strip():
            yield ast.Constant(text + "x")
        case ast.Constant(value=bytes(data)) if b" " not in data.strip():
            yield ast.Constant(data + b"x")
        case ast.Compare(left, ops, others):
            for number, op in enumerate(ops):
                for other in COMPARED[type(op)]:
                    yield ast.Compare(left, [*ops[:number], other(), *ops[number + 1 :]], others)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for number in range(len(values)):
                rest = [*values[:number], *values[number + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.UnaryOp(ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.BinOp(op=ast.BitOr()):
            parts = _parts(node)
            # a union of types is none; the first of these flags is 0, and Python sets the second itself (PEP 446)
            for number, part in enumerate(parts):
                if not (isinstance(part, ast.Name) and part.id.istitle()) and ast.unparse(part) not in IDLE:
                    rest = [*parts[:number], *parts[number + 1 :]]
                    yield functools.reduce(lambda left, right: ast.BinOp(left, ast.BitOr(), right), rest)
        case ast.BinOp(left, op, right) if type(op) in REPLACED:
            yield ast.BinOp(left, REPLACED[type(op)](), right)
        case ast.Call(ast.Name(name), arguments, keywords) if name in CALLED:
            yield ast.Call(ast.Name(CALLED[name]), arguments, keywords)
        case ast.Call(ast.Attribute(value, name), arguments, keywords) if name in METHODS:
            yield ast.Call(ast.Attribute(value, METHODS[name], ast.Load()), arguments, keywords)
        case ast.Tuple(members) | ast.List(members) | ast.Set(members) if len(members) > 1 and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            for number in range(len(members)):
                changed = copy.copy(node)
                changed.elts = [*members[:number], *members[number + 1 :]]
                yield changed


def expressions(node: ast.AST) -> Iterator[ast.expr]:
    """All expressions below a node that run, but those in f-strings, whose places Python 3.11 does not tell."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.Import() | ast.ImportFrom():
            return
        case ast.If(test=ast.Name("TYPE_CHECKING")) | ast.Assign([ast.Name("TYPE_CHECKING")]):
            return
        case ast.Expr(ast.Constant()) | ast.Subscript(ast.Name("Callable")):  # a text for people; a type
            return
    if isinstance(node, ast.expr):
        yield node
        if len(parts := _parts(node)) > 1:
            for part in parts:
                yield from expressions(part)
            return
    for name, below in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in below if isinstance(below, list) else [below]:
            if isinstance(child, ast.AST):
                yield from expressions(child)


def statements(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """All blocks of statements."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def mutants(module: str) -> list[Mutant]:
    """Every change of a module, in the order of its source; two that give the same program count once."""
    data = (PACKAGE / module).read_bytes()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    tree = ast.parse(data)
    found: list[Mutant] = []
    for node in expressions(tree):
        start, end = place(node)
        for changed in of_expression(node):
            told = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            if isinstance(node, LISTS) and isinstance(changed, LISTS):
                (gone,) = [member for member in node.elts if member not in changed.elts]
                told = f"{ast.unparse(gone)} left out"
            found.append(Mutant(module, node.lineno, start, end, f"({ast.unparse(changed)})".encode(), told))
    for block in statements(tree):
        for statement in block:
            start, end = place(statement)
            is_field = isinstance(statement, ast.Assign) and not isinstance(statement.targets[0], ast.Name)
            if is_field or (isinstance(statement, SIMPLE) and not _is_text(statement)):
                told = f"{ast.unparse(statement)} -> pass"
                found.append(Mutant(module, statement.lineno, start, end, b"pass", told))
        for one, other in itertools.pairwise(block):
            if isinstance(one, SWAPPED) and isinstance(other, SWAPPED) and not _is_text(one):
                (start, stop), (begin, end) = place(one), place(other)
                new = data[begin:end] + data[stop:begin] + data[start:stop]
                told = f"{_first_line(one)} <-> {_first_line(other)}"
                found.append(Mutant(module, one.lineno, start, end, new, told))
    seen = {ast.dump(tree)}
    different = []
    for mutant in sorted(found, key=lambda mutant: (mutant.start, mutant.change)):
        try:
            program = ast.dump(ast.parse(mutant.source))
        except SyntaxError:
            continue
        if program not in seen:
            seen.add(program)
            different.append(mutant)
    return different


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _first_line(statement: ast.stmt) -> str:
    return ast.unparse(statement).partition("\n")[0]


class Survivors:
    """What tests/mutants.toml says: the changes that no test can see, each with its reason."""

    def __init__(self, path: Path = LIST) -> None:
        self.entries: dict[tuple[str, str, str], str] = {}
        for entry in tomllib.loads(path.read_text()).get("survivor", []) if path.exists() else ():
            assert entry.keys() == {"module", "line", "changes", "reason"}, entry
            for change in entry["changes"]:
                self.entries[entry["module"], entry["line"], change] = entry["reason"]

    def has(self, mutant: Mutant) -> bool:
        return (mutant.module, mutant.line, mutant.change) in self.entries

    def stale(self) -> list[tuple[str, str, str]]:
        """The entries for which the code has no such change any more."""
        there = {
            (mutant.module, mutant.line, mutant.change)
            for module in {module for module, *_ in self.entries}
            for mutant in (mutants(module) if module in TESTS else ())
        }
        return [entry for entry in self.entries if entry not in there]


class Slot:
    """A copy of the whole folder, in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copy2(path, self.folder)
        self._changes = 0
        self.pid = 0
        self.mutant: Mutant | None = None
        self.begun = 0.0

    def start(self, module: str, mutant: Mutant | None, seconds: int = resource.RLIM_INFINITY) -> None:
        """Run the tests of a module with the mutant in its place; None: with the code as it is.

        A process that computes for more than these `seconds` is ended, however busy the machine is.
        """
        self.mutant, self.begun = mutant, time.monotonic()
        path = self.folder / "guestcred" / module
        path.write_bytes(mutant.source if mutant else (PACKAGE / module).read_bytes())
        # Python takes a module's cached code by its source's size and time in seconds
        self._changes += 1
        os.utime(path, (self._changes, self._changes))
        shutil.rmtree(self.folder / ".hypothesis", ignore_errors=True)
        tests = [f"tests/test_{name}.py" for name in TESTS[module] if (self.folder / f"tests/test_{name}.py").exists()]
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
                status = self._test(tests)
            finally:
                os._exit(status)

    def _test(self, tests: list[str]) -> int:
        import pytest

        os.setsid()
        out = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for fd in (1, 2):
            os.dup2(out, fd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(self.folder)
        os.environ["PYTHONPATH"] = str(self.folder)
        os.environ[FORK] = "1"
        sys.path.insert(0, str(self.folder))
        return int(pytest.main(["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0", *tests]))

    def ended(self, limit: float) -> str | None:
        """How the tests ended: "killed", "survived", "too slow" (no test waits so long) or None while they run."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() - self.begun < limit:
                return None
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            return "too slow"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what a test started and left
        return {0: "survived", -signal.SIGKILL: "too slow"}.get(os.waitstatus_to_exitcode(status), "killed")


def preload() -> None:
    """Import what every run of tests imports and what no mutant changes, once for all."""
    import click  # noqa: F401
    import construct  # noqa: F401
    import fastjsonschema  # noqa: F401
    import hypothesis.strategies  # noqa: F401
    import jeepney  # noqa: F401
    import pytest  # noqa: F401

    assert "guestcred" not in sys.modules, "of which the tests would see no other, whatever is changed"


def baselines(slot: Slot, modules: list[str]) -> dict[str, float]:
    """How many seconds the tests of each module take, which must pass with the code as it is."""
    taken: dict[tuple[str, ...], float] = {}
    for module in modules:
        tests = TESTS[module]
        if tests not in taken:
            slot.start(module, None)
            while (end := slot.ended(3600)) is None:
                time.sleep(0.01)
            if end != "survived":
                sys.exit(f"the tests of {module} fail without a mutant:\n{(slot.folder / 'log').read_text()[-3000:]}")
            taken[tests] = time.monotonic() - slot.begun
    return {module: taken[TESTS[module]] for module in modules}


def try_all(chosen: list[Mutant], seconds: float | None, work: Path) -> Iterator[tuple[Mutant, str]]:
    """Each mutant and how it ended; none is begun after `seconds`."""
    slots = [Slot(work / str(number)) for number in range(PARALLEL)]
    taken = baselines(slots[0], sorted({mutant.module for mutant in chosen}))
    begun = time.monotonic()
    idle, busy = slots, list[Slot]()
    todo = iter(chosen)
    while True:
        while idle:
            late = seconds is not None and time.monotonic() - begun > seconds
            mutant = None if late else next(todo, None)
            if mutant is None:
                break
            slot = idle.pop()
            if slot.mutant and slot.mutant.module != mutant.module:
                shutil.copy2(PACKAGE / slot.mutant.module, slot.folder / "guestcred" / slot.mutant.module)
            slot.start(mutant.module, mutant, COMPUTES + 2 * math.ceil(taken[mutant.module]))
            busy.append(slot)
        if not busy:
            return
        for slot in list(busy):
            assert slot.mutant is not None
            end = slot.ended(WAITS + 4 * PARALLEL * taken[slot.mutant.module])
            if end is not None:
                busy.remove(slot)
                idle.append(slot)
                yield slot.mutant, end
        time.sleep(0.005)


def main() -> int:
    parser = argparse.ArgumentParser(description="Change the code, one thing at a time, and see some test fail.")
    parser.add_argument("modules", nargs="*", help=f"such as apply/dirfd.py; all of {len(TESTS)} by default")
    parser.add_argument("--core", type=float, metavar="SECONDS", help="only some of the most dangerous, for so long")
    parser.add_argument("--change", default="", metavar="TEXT", help="only those with this text in line or change")
    parser.add_argument("--list", action="store_true", help="print them, and try none")
    options = parser.parse_args()
    survivors = Survivors()
    modules = options.modules or [*(CORE if options.core else TESTS)]
    chosen = [mutant for module in modules for mutant in mutants(module) if options.change in str(mutant)]
    if options.core:
        random.Random(1).shuffle(chosen)  # the same for everybody
    if options.list:
        print(*chosen, sep="\n")
        return 0
    if os.geteuid():
        parser.exit(2, "as root only: what gives files to other users is skipped otherwise, and sees no change\n")
    preload()
    ends = Counter[str]()
    wrong = 0
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=ROOT / "build") as work:
        for mutant, end in try_all(chosen, options.core, Path(work)):
            listed = survivors.has(mutant)
            if end == "survived" and listed:
                end = "listed as equivalent"
            elif end == "survived" or (end == "killed" and listed):
                wrong += 1
                print(f"{'no survivor any more' if listed else end}: {mutant}", flush=True)
            ends[end] += 1
    for entry in survivors.stale():
        wrong += 1
        print(f"tests/mutants.toml lists what is not there any more: {entry}")
    told = ", ".join(f"{many} {end}" for end, many in sorted(ends.items()))
    print(f"{ends.total()} of {len(chosen)} mutants: {told}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
