"""Work in the guest is linear in its table, for every command and whatever is wrong: counted, not timed."""

from __future__ import annotations

import base64
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from conftest import Build, table_of
from needs import memory

from guestcred.cli import commands
from guestcred.cli.commands import View
from guestcred.cli.dump import dump
from guestcred.errors import GuestcredError
from guestcred.guest.deliveries import Consumer, Delivered
from guestcred.manifest import manifest_value
from guestcred.smbios.layout import build_structure
from guestcred.systemd.requests import IMPORT, LOAD, Request, Unit

FEW, TIMES, MOST = 12, 10, 12  # strings, and what ten times as many may take
SIZE = 250  # bytes of a string
TEXT, BINARY = b"io.systemd.credential:", b"io.systemd.credential.binary:"

Guest = dict[str, Any]
Damage = Callable[[list[str]], Guest]


def value(name: str) -> bytes:
    return (name.encode() + b"-value-" * 40)[: SIZE - len(TEXT) - len(name) - 1]


def offers(names: list[str], prefix: bytes = TEXT) -> list[bytes]:
    return [prefix + name.encode() + b"=" + value(name) for name in names]


def imported(names: list[str]) -> dict[str, bytes]:
    return {name: value(name) for name in names}


def framed(names: list[str]) -> list[bytes]:
    """A manifest and the strings behind it, every third with another value than was meant."""
    meant = [(name.encode(), b"other" if number % 3 else value(name)) for number, name in enumerate(names)]
    return [TEXT + b"guestcred.manifest=" + manifest_value(bytes(16), meant), *offers(names)]


def cut(names: list[str], at: int) -> Guest:
    """A table that lacks its last bytes."""
    table = table_of(*offers(names))[:-at]
    return {"table": table, "declared": len(table) + at, "system": imported(names)}


def refused(names: list[str]) -> Guest:
    kinds = (b"%s", b"a/%s=v", b"a:%s=v", b"%s=====", b"=%s")
    return {"strings": [BINARY + kind % name.encode() for name, kind in zip(names, kinds * len(names))]}


def with_files(folder: str, data: bytes | None) -> Damage:
    """Offered and missing, while a folder of the guest has a file of each name."""
    return lambda names: {
        "strings": offers(names),
        "files": {f"{folder}/{name}": value(name) if data is None else data for name in names},
    }


def alone(source: str) -> Damage:
    return lambda names: {source: imported(names), "system": {}}


DAMAGES: dict[str, Damage] = {
    "whole": lambda names: {"strings": offers(names), "system": imported(names)},
    "missing": lambda names: {"strings": offers(names)},
    "differing": lambda names: {"strings": offers(names), "system": dict.fromkeys(names, b"other")},
    "shortened": lambda names: {"strings": offers(names), "system": {name: value(name)[:9] for name in names}},
    "cut-strings": lambda names: cut(names, SIZE // 2),
    "cut-before-the-end": lambda names: cut(names, 6),
    "cut-header": lambda names: cut(names, 4),
    "cut-by-kernel": lambda names: {
        "strings": offers(names), "declared": len(table_of(*offers(names))) + 0x10000, "table": table_of(*offers(names))[:-8]
    },
    "duplicates": lambda names: {"strings": offers(["SAME"] * len(names)), "system": {"SAME": value("SAME")}},
    "near-misses": lambda names: {"strings": offers(names, b"io.systemd.crediential:")},
    "refused": refused,
    "wrong-length": lambda names: {
        "table": b"\x0b\6\0\1\0\0" + b"\0".join(offers(names)) + b"\0\0" + build_structure(127, 2)
    },
    "without-names": lambda names: {"strings": [TEXT + base64.b64encode(name.encode() * 5) + b"==" for name in names]},
    "rests": lambda names: {
        "strings": [text for name in names[::2] for text in (*offers([name]), b"rest of it, " + name.encode())],
        "system": imported(names[::2]),
    },
    "words-of-ours": lambda names: {"strings": [b"credential" * 5 + name.encode() for name in names]},
    "one-string": lambda names: {"strings": [b"credential " * (SIZE * len(names) // 11)]},
    "structures": lambda names: {
        "table": b"".join(build_structure(11, number, [text]) for number, text in enumerate(offers(names)))
        + build_structure(127, 0x7F00),
        "entries": [build_structure(11, number, [text]) for number, text in enumerate(offers(names))],
    },
    "cut-read": lambda names: {"strings": offers(names), "system": imported(names[: len(names) // 2]), "systemd": "systemd 252"},
    "foreign": lambda names: {"system": imported(names)},
    "meant": lambda names: {
        "strings": [*framed(names), TEXT + b"guestcred.end=1/%d" % len(names)], "system": imported(names[::2])
    },
    "meant-and-cut": lambda names: {
        "strings": framed(names)[: len(names) // 2], "table": table_of(*framed(names)[: len(names) // 2])[:-8]
    },
    "fw-cfg": alone("fw_cfg"),
    "initrd": alone("initrd"),
    "command-line": lambda names: {
        "strings": offers(names),
        "cmdline": b" ".join(b"systemd.set_credential=%s:other" % name.encode() for name in names),
        "system": dict.fromkeys(names, b"other"),
    },
    "unreadable": with_files("run/credentials/@system", b"") ,
    "there": with_files("etc/credstore", None),
    "blocked": with_files("etc/credstore", b"other"),
}  # fmt: skip


def units(names: list[str]) -> list[Consumer]:
    """One that has what it asks for by name, and one that asks for everything."""
    by_name = tuple(Request(setting=LOAD, id=name, source=name) for name in names)
    there = tuple(Delivered(name=name, size=9, mode=0o400, owner=0, readable=True) for name in names[::2])
    everything = (Request(setting=IMPORT, source="*"),)
    return [
        Consumer(
            Unit(
                name=f"{name}.service",
                state="active",
                running=True,
                user="root",
                uid=None,
                folder=f"run/credentials/{name}.service",
                only_stops=False,
                requests=requests,
            ),
            delivered,
        )
        for name, requests, delivered in (("some", by_name, there), ("all", everything, None))
    ]


NUMBERS = count()
COMMANDS: dict[str, Callable[[str, list[str]], object]] = {
    "check": lambda root, _: commands.check(View(root=root)),
    "check, JSON": lambda root, _: commands.check(View(root=root, form="json")),
    "check --require": lambda root, names: commands.check(
        View(root=root), require=(*names, *(f"absent-{name}" for name in names), *(f"other/{name}" for name in names))
    ),
    "why": lambda root, names: commands.why(View(root=root), names[-1]),
    "why, JSON": lambda root, names: commands.why(View(root=root, form="json"), names[0]),
    "why of nothing": lambda root, _: commands.why(View(root=root), "ABSENT"),
    "services": lambda root, _: commands.services(View(root=root)),
    "status": lambda root, _: commands.status(View(root=root), verbose=True),
    "services UNIT": lambda root, _: commands.services(View(root=root, form="json"), "some"),
    "dump": lambda root, _: dump(View(root=root)),
    "dump, JSON": lambda root, _: dump(View(root=root, form="json")),
    "dump --all": lambda root, _: dump(View(root=root), kinds=None, typed=True),
    "dump --all, JSON": lambda root, _: dump(View(root=root, form="json"), kinds=None, typed=True, reveal=True),
    "capture": lambda root, _: commands.capture(View(root=root), f"{root}-captured-{next(NUMBERS)}"),
    "apply --dry-run": lambda root, _: commands.apply(View(root=root), dry_run=True),
    "apply": lambda root, _: commands.apply(View(root=root)),
    "apply once more": lambda root, _: commands.apply(View(root=root, form="json")),
}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory, because `apply` writes nowhere else."""
    with memory() as folder:
        yield folder


def build(tree: Build, damage: str, number: int, root: str) -> tuple[str, list[str]]:
    """A guest with so many strings, and their names."""
    names = [f"N{name:05d}" for name in range(number)]
    given = DAMAGES[damage](names)
    if damage == "unreadable":
        given = {"strings": given["strings"], "files": {f"{path}/inside": b"" for path in given["files"]}}
    files = given.setdefault("files", {})
    files["run/nothing"] = b""
    files["etc/passwd"] = b"root:x:0:0::/:/bin/sh\n"
    files["etc/guestcred/some.toml"] = (
        f'[services.given]\nuser = "root"\nload = {[f"{name}:{name}" for name in names]}\nimport = ["*"]\n'.encode()
    )
    return str(tree(units=units(names), root=root, **given)), names


def run(command: str, root: str, names: list[str]) -> None:
    try:
        COMMANDS[command](root, names)
    except GuestcredError as error:
        # the services of TOML cannot have what is no file
        assert error.status == 3 or "not a regular file" in error.problem, error


def work(command: str, root: str, names: list[str]) -> int:
    """How many of Python's own instructions a command takes, in a process of its own: `apply` keeps its lock to the end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writing, str(_steps(lambda: run(command, root, names))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        counted = pipe.read()
    os.waitpid(pid, 0)
    assert counted, f"{command} failed"
    return int(counted)


def _steps(do: Callable[[], object]) -> int:
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        steps += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        do()
    finally:
        sys.settrace(None)
    return steps


@pytest.mark.root
@pytest.mark.parametrize("damage", DAMAGES)
def test_ten_times_the_strings_take_ten_times_the_work(
    tree: Build, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few, many = build(tree, damage, FEW, "few"), build(tree, damage, FEW * TIMES, "many")
    ratios = {}
    for command in COMMANDS:
        if not command.startswith("apply") or "dry" in command:
            run(command, *few)  # so that what is imported is imported before
        ratios[command] = work(command, *many) / work(command, *few)
    capsys.readouterr()
    assert not {command: ratio for command, ratio in ratios.items() if ratio > MOST}


LARGE = 400
CPU = 40  # times the processor's time of a tenth; what is quadratic takes up to 100


@pytest.mark.root
@pytest.mark.parametrize("damage", ["missing", "cut-strings", "near-misses", "refused", "one-string"])
def test_no_work_is_hidden_in_what_python_calls(tree: Build, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = build(tree, damage, LARGE, "few"), build(tree, damage, LARGE * TIMES, "many")
    ratios = {}
    for command in ("check", "why", "dump", "dump --all", "services UNIT", "apply --dry-run"):
        run(command, *few)
        ratios[command] = seconds(command, *many) / min(seconds(command, *few) for _ in range(3))
        capsys.readouterr()
    assert not {command: ratio for command, ratio in ratios.items() if ratio > CPU}


def seconds(command: str, root: str, names: list[str]) -> float:
    """The processor's time that a command takes."""
    gc.collect()
    gc.disable()  # its rounds depend on all that the tests hold
    try:
        begin = time.process_time()
        run(command, root, names)
        return time.process_time() - begin
    finally:
        gc.enable()
