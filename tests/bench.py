"""The speed table: ratios measured side by side in one run, medians quoted."""

from __future__ import annotations

import os
import pwd
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from needs import PYTHON, memory, sites

from guestcred import smbios
from guestcred.smbios.entry_point import DUMP_TABLE
from guestcred.smbios.layout import build_entry_point, build_structure
from guestcred.smbios.types import TYPES
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import judge

ROOT = Path(__file__).parent.parent
CAPTURE = ROOT / "fixtures/dmi/debian13-reference"
ROUNDS = 25


def start(code: str) -> list[str]:
    """A bare isolated interpreter that finds the packages, without a virtual environment's own start-up."""
    return [PYTHON, "-I", "-c", f"import sys; sys.path[1:1] = {[str(ROOT), *sites()]!r}; {code}"]


# Runs a command and prints its seconds and its peak KiB. A process of its own and small, since the
# peak that the kernel reports for a child is never below its parent's size when it was started.
RUNNER = """
import os, sys, time
out = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
begin = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=out)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - begin, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def wall_and_peak(command: list[str]) -> tuple[float, int]:
    """(seconds, peak KiB) of one run."""
    done = subprocess.run([PYTHON, "-I", "-S", "-c", RUNNER, *command], stdout=subprocess.PIPE, text=True, check=True)
    wall, peak = done.stdout.split()
    return float(wall), int(peak)


def processes(commands: dict[str, list[str]]) -> None:
    """Run all commands in turn, round after round, and print medians beside the first."""
    walls: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[int]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            wall, peak = wall_and_peak(command)
            walls[name].append(wall)
            peaks[name].append(peak)
    first = next(iter(commands))
    bare, memory = statistics.median(walls[first]), statistics.median(peaks[first])
    print(f"{'process':<44} {'ms':>7} {'ratio':>6} {'MiB':>6} {'ratio':>6}")
    for name in commands:
        taken, used = statistics.median(walls[name]), statistics.median(peaks[name])
        print(f"{name:<44} {taken * 1e3:7.1f} {taken / bare:6.2f} {used / 1024:6.1f} {used / memory:6.2f}")


def in_process(work: Callable[[], object], rounds: int = 9) -> float:
    """Median seconds."""
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def installed(folder: Path) -> Callable[..., list[str]]:
    """The program as the Debian package installs it, with the packages where they are here."""
    script = folder / "guestcred"
    path = 'sys.path += ["/usr/lib/python3/dist-packages"]'
    text = (ROOT / "packaging/debian/guestcred.script").read_text()
    assert path in text
    script.write_text(text.replace(path, f"sys.path += {[str(ROOT), *sites()]!r}"))
    return lambda *words: [PYTHON, "-IS", str(script), *words]


def applying(folder: Path, command: Callable[..., list[str]]) -> dict[str, list[str]]:
    """`apply` on guests in memory where it has nothing to write any more."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    toml = f'[services.demo-oem-credentials]\nuser = "{user}"\nload = ["api-key:API_KEY", "db-password:DB_PASSWORD"]\nimport = ["ENV*"]\n'
    commands = {}
    for name, config in (("nothing to write", None), ("nothing to write, a service from TOML", toml)):
        root = folder / name.replace(" ", "-")
        shutil.copytree(CAPTURE, root)
        (root / "etc/guestcred").mkdir(parents=True)
        (root / "etc/passwd").write_text(f"{user}:x:{os.geteuid()}:{os.getegid()}::/:/bin/sh\n")
        if config is not None:
            (root / "etc/guestcred/demo.toml").write_text(config)
        commands[f"guestcred apply, {name}"] = command("--root", str(root), "apply")
        subprocess.run(commands[f"guestcred apply, {name}"], stdout=subprocess.DEVNULL, check=True)
    return commands


# how many of each type a server with two sockets has; of all others one
SERVER = {2: 2, 3: 2, 4: 2, 7: 6, 8: 24, 9: 10, 16: 2, 17: 32, 19: 4, 20: 32, 26: 8, 27: 8, 28: 12, 29: 4, 39: 2, 41: 6}


def server() -> bytes:
    """The table of such a server, with every type, of the structures in fixtures/smbios."""
    each = {
        number: smbios.parse((ROOT / f"fixtures/smbios/type-{number}.bin").read_bytes())
        for number in TYPES
        if number < 127
    }
    return b"".join(table.structures[0].build() * SERVER.get(number, 1) for number, table in each.items())


def beside_dmidecode(folder: Path, dmidecode: str) -> None:
    """The parser in process, beside dmidecode's whole run on the same table."""
    many = build_structure(1, 7, [b"QEMU", b"pc"]) * 10_000
    whole = server()
    count = len(smbios.parse(whole))
    asked: list[tuple[str, bytes, Callable[[bytes], object]]] = [
        ("10,000 structures, one field asked", many, lambda data: smbios.parse(data).of_type(1)[-1].field.product_name),
        (f"a server's {count} structures, all fields", whole, lambda data: [one.fields for one in smbios.parse(data)]),
        ("the same, in words", whole, lambda data: [one.describe() for one in smbios.parse(data)]),
    ]
    print(f"\n{'in process, beside dmidecode':<44} {'ms':>7} {'ratio':>6}")
    for name, table, ask in asked:
        path = folder / "beside.bin"
        path.write_bytes(smbios.Table(table, "3.7").dump_bin())
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(wall_and_peak([dmidecode, "--from-dump", str(path)])[0])
            ours.append(in_process(partial(ask, table), 1))
        taken = statistics.median(ours)
        print(f"{name:<44} {taken * 1e3:7.2f} {taken / statistics.median(theirs):6.2f}")


def main() -> None:
    with memory() as folder:
        dump_bin = folder / "reference.bin"
        table = (CAPTURE / "sys/firmware/dmi/tables/DMI").read_bytes()
        dump_bin.write_bytes(build_entry_point(len(table)).ljust(DUMP_TABLE, b"\0") + table)
        program, root = installed(folder), ("--root", str(CAPTURE))
        commands = {
            "python3 -I -c pass": [PYTHON, "-I", "-c", "pass"],
            "import click": start("import click"),
            "import construct": start("import construct"),
            "import systemd.daemon": start("import systemd.daemon"),
            "import dataclasses": start("import dataclasses"),
            "import click, construct, systemd.daemon": start("import click, construct, systemd.daemon"),
            "guestcred --root debian13 check": program(*root, "check"),
            "guestcred --root debian13 check, by pip": [str(Path(sys.prefix) / "bin/guestcred"), *root, "check"],
            "guestcred --root debian13 why API_KEY": program(*root, "why", "API_KEY"),
            "guestcred --root debian13 status": program(*root, "status"),
            "guestcred --root debian13 services": program(*root, "services"),
        }
        for line in ("dump", "dump --type memory", "dump --type all", "dump --all --json", "dump --all --format=json"):
            commands[f"guestcred {line} FILE"] = program(*line.split(), str(dump_bin))
        server_bin = folder / "server.bin"
        server_bin.write_bytes(smbios.Table(server(), "3.7").dump_bin())
        commands["guestcred dump --type all, a server's table"] = program("dump", "--type", "all", str(server_bin))
        commands |= applying(folder, program)
        dmidecode = shutil.which("dmidecode", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if dmidecode:
            commands["dmidecode --from-dump FILE -t 11"] = [dmidecode, "--from-dump", str(dump_bin), "-t", "11"]
        processes(commands)
        if dmidecode:
            beside_dmidecode(folder, dmidecode)

    print(f"\n{'in process':<44} {'ms':>7} {'ratio':>6}")
    strings = [b"io.systemd.credential:N%04d=" % number + b"v" * 232 for number in range(4000)]
    big = build_structure(11, 1, strings) + build_structure(127, 2)
    split = in_process(lambda: big.split(b"\0"))
    print(f"{'bytes.split of 1 MiB, 4,000 strings':<44} {split * 1e3:7.2f} {1:6.2f}")
    for name, seconds in (
        ("parse of the same", in_process(lambda: [structure.strings for structure in parse(big).structures])),
        ("parse and judge of the same", in_process(lambda: judge(parse(big).structures, 257))),
    ):
        print(f"{name:<44} {seconds * 1e3:7.2f} {seconds / split:6.2f}")
    structure = build_structure(1, 7, [b"QEMU", b"pc"])
    few, many = structure * 10_000, structure * 100_000
    base = in_process(lambda: parse(few))
    print(f"{'parse of 10,000 structures':<44} {base * 1e3:7.2f} {1:6.2f}")
    print(
        f"{'parse of 100,000 structures':<44} {(more := in_process(lambda: parse(many), 5)) * 1e3:7.2f} {more / base:6.2f}"
    )


if __name__ == "__main__":
    main()
