"""The conformance vectors are what the declarations build, and say what dmidecode says."""

from __future__ import annotations

from pathlib import Path

import pytest
from dmidecode import as_dump, compare
from vectors import FOLDER, files, vectors

from guestcred.smbios.types import TYPES
from guestcred.smbios.walk import REASONS, parse

NAMES = [name for name, _, _ in vectors()]


def test_the_files_are_those_that_are_built() -> None:
    wanted = dict(files())
    assert {path: path.read_bytes() for path in FOLDER.glob("*.*n")} == wanted, "if this is meant: tests/vectors.py"


def test_every_type_and_every_ending_has_one() -> None:
    tables = [parse(table) for _, _, table in vectors()]
    assert {one.type for table in tables for one in table.structures} >= {*TYPES, 200}
    assert {table.ended.reason for table in tables if table.ended} == REASONS.keys()
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("type-")])
def test_what_it_says_is_what_dmidecode_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(as_dump((FOLDER / f"{name}.bin").read_bytes()))
    _, missing = compare(path)
    assert not missing
