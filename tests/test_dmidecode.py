"""Every field of every type says what dmidecode says; where it does not, `dmidecode.py` has the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TABLES
from dmidecode import as_dump, compare
from every_value import VERSIONS, structures_of
from qemu_tables import MACHINES, table_from_qemu

from guestcred.smbios.types import TYPES


@pytest.mark.parametrize("number", [number for number in TYPES if number < 126])
def test_all_values_of_a_type(number: int, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(as_dump(structures_of(number, bool(pytestconfig.getoption("exhaustive"))), VERSIONS[number % 5]))
    count, missing = compare(path)
    assert count or number in (44, 46)  # which dmidecode does not know
    assert not missing, f"{len(missing)} of {count}: {missing[:10]}"


@pytest.mark.parametrize("version", [(2, 0), (3, 7)], ids=str)
@pytest.mark.parametrize("capture", TABLES, ids=lambda path: path.name)
def test_captured_tables(capture: Path, version: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(as_dump((capture / "sys/firmware/dmi/tables/DMI").read_bytes(), version))
    count, missing = compare(path)
    assert count > 20 and not missing


@pytest.mark.qemu
@pytest.mark.parametrize("machine", MACHINES, ids=" ".join)
def test_tables_of_qemu(machine: list[str], tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(table_from_qemu(machine))
    count, missing = compare(path)
    assert count > 20 and not missing
