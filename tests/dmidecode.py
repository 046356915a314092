"""How much of what dmidecode says of a table `dump` says too, value by value.

`.venv/bin/python tests/dmidecode.py FILE...` prints a line a file and what differs; `--with PROGRAM` takes another dmidecode.
`--types` prints a row a type instead, of the tables in fixtures/ and of some with every value, and with `--qemu` of QEMU's.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from every_value import VERSIONS, structures_of
from qemu_tables import MACHINES, table_from_qemu

from guestcred import smbios
from guestcred.cli.commands import View
from guestcred.cli.dump import decoded
from guestcred.record import Record
from guestcred.show.dump import dump_text
from guestcred.smbios.declaration import declared
from guestcred.smbios.entry_point import DUMP_TABLE
from guestcred.smbios.layout import build_entry_point
from guestcred.smbios.names import OEM_SPECIFIC
from guestcred.smbios.types import TYPES
from guestcred.smbios.walk import END_OF_TABLE, HEADER_SIZE, parse

FIXTURES = Path(__file__).parent.parent / "fixtures"
PROGRAM = shutil.which("dmidecode", path="/usr/sbin:/usr/bin:/sbin") or ""
HANDLE = re.compile(r"Handle (0x[0-9A-F]{4}), DMI type (\d+), \d+ bytes")

# Where ours differs on purpose: what dmidecode of some versions prints, as a pattern, and what it means in ours.
ON_PURPOSE: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    # the units and words of dmidecode 3.7, whose readers know those of 3.4 to 3.6 as well
    (r"\b([KMGTPEZ])iB\b", lambda found: {"K": "kB"}.get(found[1], found[1] + "B")),
    (r"^Platform Firmware (Information|Language Information)", r"BIOS \1"),
    (r"^Platform Firmware Revision", "BIOS Revision"),
    (r"^Embedded Controller Firmware Revision", "Firmware Revision"),
    (r"^Firmware Language Information", "BIOS Language Information"),
    (r"^Firmware (characteristics not supported|is upgradeable|shadowing is allowed)", r"BIOS \1"),
    (r"^Firmware ROM is socketed", "BIOS ROM is socketed"),
    (r"^Disabled by firmware", "Disabled By BIOS"),
    (r"Disabled by user", "Disabled By User"),
    (r"Disabled by firmware", "Disabled By BIOS"),
    # names as SMBIOS 3.9 has them
    (r"^AdvancedTCA", "Advanced TCA"),
    (r"^CompactPCI", "Compact PCI"),
    (r"^Blade Enclosing", "Blade Enclosure"),
    (r"Intel Optane DC persistent memory", "Intel Optane persistent memory"),
    (r"^HIP-HIL", "HP-HIL"),
    (r"^Socket BGA1155", "Socket LGA1155"),
    (r"\bEDSFF (E[13])(\.[SL])?", r"EDSFF \1"),
    # 3.4 has a slot's width and type on one line, later ones on two as we do
    (
        r"^(?:\d+-bit|x\d+) (?=ISA|MCA|EISA|PCI|PC Card|VLB|AGP|M.2|MXM|OCP|CXL|PC-98|EDSFF|NuBus|<OUT|Prop|Other|Unknown|Processor|I/O)",
        "",
    ),
    # before 3.7 it says KiB of addresses in bytes (DSP0134 7.20: Extended Starting Address)
    (r"^(0x[0-9A-F]{16})k$", r"\1"),
    (r"^CXL Flexbus 1\.0$", "CXL Add-on Card"),
    # out of the specification: ours says the number too
    (r"<OUT OF SPEC>( \(0x[0-9a-f]+\))?", "<OUT OF SPEC>"),
    # bytes that are no ASCII, and backslashes: ours says which
    (r"\\x5c", "\\\\"),
    (r"\\x[0-9a-f]{2}", "."),
]


# Where dmidecode is wrong or older than SMBIOS 3.9: lines that are no loss, by type and pattern, with the reason.
EXCUSED = [
    (4, r"Characteristics: None", "it says None where only 128-bit Capable or Arm64 SoC ID is set"),
    (4, r"(Upgrade|Family): <OUT OF SPEC>", "words of 3.6 to 3.9"),
    (5, r"Maximum (Memory Module|Total Memory) Size: .*", "it shifts by more than 31 bits"),
    (6, r"(Installed|Enabled) Size: .*\(.*-bank Connection\)", "it shifts by more than 31 bits"),
    (3, r"Height: 255 U", "3.9: the height stands in Rack Height"),
    (8, r"(Port|Internal Connector|External Connector) Type: <OUT OF SPEC>", "words of 3.7"),
    (9, r"Type: <OUT OF SPEC> .+", "3.4 has the word of the width before that of the type"),
    (9, r"Data Bus Width: \d+", "3.4 has the word of the one width before the number of the other"),
    (15, r"Header Length: 42949\d+ bytes?", "it takes a header that ends before it starts for one of 4 GiB"),
    (17, r"(Type|Form Factor|Memory Technology): <OUT OF SPEC>", "words of 3.6 to 3.9"),
    (34, r"Description: .*", "it takes 5 bytes of a longer structure for the front of its string"),
    (37, r"Device \d+ (Load|Handle): .*", "it reads each device's load and handle one record too late"),
    (40, r"heading: Additional Information \d+", "it has headings for entries that are not there"),
]


@cache
def meant(text: str) -> str:
    """A value without the differences that are there on purpose."""
    text = text.strip()
    for pattern, instead in ON_PURPOSE:
        text = re.sub(pattern, instead, text)
    return text


def beyond_compare(kind: int, heading: str) -> bool:
    """What one program knows and the other not: types of makers, whose layout is in no specification; types 44 and 46."""
    return (kind >= OEM_SPECIFIC and not heading.startswith("OEM-specific")) or heading == "Unknown Type"


def values(text: str) -> dict[tuple[str, int, int], Counter[tuple[str, str]]]:
    """Each structure's (label, value) pairs and (label, list item) pairs, by handle, which of that handle it is, and type."""
    found: dict[tuple[str, int, int], Counter[tuple[str, str]]] = {}
    seen: Counter[str] = Counter()
    here: Counter[tuple[str, str]] | None = None
    label, kind = "", 0
    for line in text.splitlines():
        if start := HANDLE.fullmatch(line):
            kind = int(start[2])
            here = found[start[1], seen[start[1]], kind] = Counter()
            seen[start[1]] += 1
        elif here is None or not line:
            continue
        elif line.startswith("\t\t"):
            here[label, meant(line)] += 1
        elif line.startswith("\t"):
            label, _, value = line.strip().partition(":")
            label = meant(label)
            if value.strip():
                here[label, meant(value)] += 1
        elif beyond_compare(kind, line):
            here = None
        else:
            label = ""
            here["heading", meant(line)] += 1
    return found


def ours(path: Path) -> str:
    """`dump --type all --reveal FILE`."""
    return dump_text(decoded(View(root="/", systemd=None), str(path), kinds=None, typed=True, reveal=True))


def theirs(path: Path, program: str = PROGRAM) -> str:
    """`dmidecode --from-dump FILE`."""
    done = subprocess.run([*program.split(), "--from-dump", str(path)], capture_output=True, check=False)
    return done.stdout.decode("latin-1")


class Compared(Record):
    """How many values dmidecode says, those that ours does not say, and how many more it does not say on purpose."""

    count: int
    missing: tuple[str, ...]
    excused: int


def compare_types(path: Path, program: str = PROGRAM) -> dict[int, Compared]:
    """What dmidecode says of a `--dump-bin` file and ours does not, by type."""
    said, told = values(theirs(path, program)), values(ours(path))
    count, excused = Counter[int](), Counter[int]()
    missing: dict[int, list[str]] = {}
    for (handle, which, kind), pairs in said.items():
        count[kind] += pairs.total()
        for label, value in (pairs - told.get((handle, which, kind), Counter())).elements():
            line = f"{label}: {value}"
            if any(number == kind and re.fullmatch(pattern, line) for number, pattern, _ in EXCUSED):
                excused[kind] += 1
            else:
                missing.setdefault(kind, []).append(f"{handle} type {kind} {line}")
    return {kind: Compared(count[kind], tuple(missing.get(kind, ())), excused[kind]) for kind in count}


def compare(path: Path, program: str = PROGRAM) -> tuple[int, list[str]]:
    """How many values dmidecode says of all types, and those that ours does not say."""
    found = compare_types(path, program).values()
    return sum(one.count for one in found), [line for one in found for line in one.missing]


def as_dump(table: bytes, version: tuple[int, int] = (3, 9)) -> bytes:
    """A table as a `--dump-bin` file."""
    point = build_entry_point(
        len(table), major=version[0], minor=version[1], long=version >= (3, 0) or len(table) > 0xFFFF
    )
    return point.ljust(DUMP_TABLE, b"\0") + table


def tables(qemu: bool) -> Iterator[bytes]:
    """`--dump-bin` files to compare: captured guests', the vectors, some with every value, and those of QEMU's machines."""
    for folder in sorted(FIXTURES.glob("dmi/*/sys/firmware/dmi/tables")):
        yield smbios.read(str(folder)).dump_bin()
    yield from (as_dump(data) for vector in sorted(FIXTURES.glob("smbios/*.bin")) if (data := vector.read_bytes()))
    for number in TYPES:
        for version in VERSIONS if number < END_OF_TABLE else ():
            yield as_dump(structures_of(number, exhaustive=False), version)
    for machine in MACHINES if qemu else ():
        yield table_from_qemu(machine)


def types(program: str, qemu: bool) -> Iterator[str]:
    """A row a type: its fields, how many structures were parsed in both ways and built again, and what dmidecode says."""
    built, compared = Counter[int](), Counter[int]()
    count, missing, excused = Counter[int](), Counter[int](), Counter[int]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.bin"
        for table in tables(qemu):
            path.write_bytes(table)
            for one in parse(table[DUMP_TABLE:]).structures:
                if one.type in TYPES and one.complete:
                    area, layout = one.formatted[HEADER_SIZE:], TYPES[one.type]
                    view = layout.decode(area, one.strings)
                    same = (
                        view == declared(layout).parse(area, strings=one.strings)
                        and declared(layout).build(view) == area
                    )
                    assert same, f"type {one.type}: {one.formatted.hex(' ')}"
                    built[one.type] += 1
            for kind, found in compare_types(path, program).items():
                compared[kind] += 1
                count[kind] += found.count
                missing[kind] += len(found.missing)
                excused[kind] += found.excused
    yield "| type | name | fields declared | parsed and built | tables compared | values of dmidecode | excused | missing |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind, layout in TYPES.items():
        numbers = (len(layout.fields), *(of[kind] for of in (built, compared, count, excused, missing)))
        yield f"| {kind} | {layout.title} | {' | '.join(map(str, numbers))} |"


def main() -> Iterator[str]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--with", dest="program", default=PROGRAM)
    parser.add_argument("--all", action="store_true", help="every value that differs, not the first 20 of a file")
    parser.add_argument("--types", action="store_true")
    parser.add_argument("--qemu", action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    if options.types:
        yield from types(options.program, options.qemu)
        return
    every = lost = files = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in options.files:
            data = file.read_bytes()
            if not data.startswith((b"_SM_", b"_SM3_")):
                data = as_dump(data)
            path = Path(folder) / "table.bin"
            path.write_bytes(data)
            count, missing = compare(path, options.program)
            every, lost, files = every + count, lost + len(missing), files + 1
            yield f"{file}: {count - len(missing)} of {count}"
            yield from (f"  {line}" for line in missing[: None if options.all else 20])
    yield f"{files} tables: {every - lost} of {every} values, {100 * (every - lost) / max(every, 1):.2f} %"


if __name__ == "__main__":
    for line in main():
        sys.stdout.write(f"{line}\n")
