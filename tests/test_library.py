"""The parser as others use it: typed, lazy, alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REFERENCE, TABLES
from construct import ConstructError
from hypothesis import given
from hypothesis import strategies as st
from needs import need
from smbios_pages import pages

from guestcred import smbios
from guestcred.errors import GuestcredError
from guestcred.smbios import sources
from guestcred.smbios.layout import build_entry_point
from guestcred.smbios.types import TYPES
from guestcred.smbios.walk import parse

ROOT = Path(__file__).parent.parent
EXAMPLES = re.findall(r"^```python\n(.+?)^```", (ROOT / "docs/smbios.md").read_text(), re.MULTILINE | re.DOTALL)
TABLE = (REFERENCE / "sys/firmware/dmi/tables/DMI").read_bytes()


def strings_are_counted(capture: Path) -> bool:
    """Whether `dmidecode -u` comes to an end: it counts strings in a byte, and never leaves more than 255."""
    return all(len(one.strings) < 256 for one in smbios.read(str(capture / "sys/firmware/dmi/tables")))


COUNTED = [capture for capture in TABLES if strings_are_counted(capture)]


def test_there_are_six_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[2][:30])
def test_examples_run_and_are_typed(example: str, tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(example)
    subprocess.run([sys.executable, str(path)], cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_generated_files_are_what_the_declarations_say() -> None:
    for path, text in pages().items():
        assert path.read_text() == text, "if this is meant: .venv/bin/python tests/smbios_pages.py"


def test_mypy_knows_each_type(tmp_path: Path) -> None:
    path = tmp_path / "typed.py"
    path.write_text(
        "from guestcred import smbios\n"
        "table = smbios.parse(b'')\n"
        "reveal_type(table.of_type(17)[0].field.speed)\n"
        "reveal_type(table.of_type(1)[0].field.manufacturer)\n"
        "table.of_type(17)[0].field.sped\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = "\n".join(line for line in done.stdout.splitlines() if "typed.py" in line)
    assert '3: note: Revealed type is "int | None"' in told.replace("builtins.", "").replace(
        "Union[int, None]", "int | None"
    )
    assert "5: error" in told and "sped" in told
    assert "str | None" in told.replace("builtins.", "").replace("Union[str, None]", "str | None")


def test_nothing_is_decoded_before_it_is_asked() -> None:
    code = (
        "import sys; from guestcred import smbios\n"
        f"table = smbios.parse(bytes.fromhex('{TABLE.hex()}'))\n"
        "asked = [one.type for one in table], table.of_type(17), table.by_handle(0x1100), table.build(), str(table.structures)\n"
        "assert 'construct' not in sys.modules\n"
        "table.of_type(17)[0].fields\n"
        "print(*sorted(name for name in sys.modules if name.startswith('guestcred')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if not name.startswith("guestcred.smbios")} == {
        *("guestcred", "guestcred.record", "guestcred.errors")
    }
    themes = {name for name in loaded if name.startswith("guestcred.smbios.types.")}
    assert themes <= {
        f"guestcred.smbios.types.{name}" for name in ("memory", "memory_words", "processor", "processor_words")
    }


@pytest.mark.parametrize("capture", TABLES, ids=lambda path: path.name)
def test_a_table_is_built_as_it_was(capture: Path) -> None:
    folder = capture / "sys/firmware/dmi/tables"
    table = smbios.read(str(folder))
    data = (folder / "DMI").read_bytes()
    assert table.build() == data and b"".join(one.build() for one in table) == data[: len(data) - parse(data).trailing]
    again = smbios.parse(table.dump_bin())
    assert again.build() == data and again.version.startswith(".".join(table.version.split(".")[:2]))


def test_fields_by_name() -> None:
    (system,) = smbios.Table.of(smbios.build(1, 1, manufacturer="M")).of_type(1)
    assert system.field.manufacturer == "M" and system.field.family is None
    assert system.fields["manufacturer"].text == b"M" and next(iter(system.fields)) == "manufacturer"
    with pytest.raises(AttributeError, match="no field speed: manufacturer, "):
        system.field.speed  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        smbios.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("number", "fields"),
    [
        (17, {"memory_type": "DDR99"}),
        (17, {"speed": 1 << 16}),
        (17, {"sped": 1}),
        (7, {"cache_configuration": {"levels": 1}}),
        (0, {"bios_characteristics_extension_byte_2": ["UEFI"]}),
        (1, {"manufacturer": "a\0b"}),
    ],
)
def test_what_does_not_fit_is_refused(number: int, fields: dict[str, Any]) -> None:
    with pytest.raises(ConstructError):
        smbios.build(number, 1, (), **fields)


@given(st.sampled_from(list(TYPES)), st.binary(max_size=251))
def test_any_structure_can_be_asked_for_everything(number: int, area: bytes) -> None:
    data = bytes([number, 4 + len(area), 1, 0]) + area + b"one\0two\0\0"
    for version in ("2.0", "3.9"):
        (one,) = smbios.Table(data, version).structures
        assert [row.label for section in one.describe() for row in section.rows if not row.label] == []
        for name in one.field:
            assert name in one.fields or getattr(one.field, name) is None


@given(st.sampled_from(list(TYPES)), st.binary(max_size=120), st.data())
def test_a_cut_loses_only_what_is_behind_it(number: int, area: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(area)))
    whole, cut = TYPES[number].decode(area), TYPES[number].decode(area[:at])
    names = [name for name in cut if name != "rest"]
    assert names == list(whole)[: len(names)]
    for name in names:
        kept = whole[name][: len(cut[name])] if isinstance(cut[name], list) else whole[name]
        assert cut[name] == kept


def test_a_header_of_windows() -> None:
    header = bytes([0, 3, 2, 0]) + len(TABLE).to_bytes(4, "little")
    table = smbios.parse(header + TABLE)
    assert (table.build(), table.version) == (TABLE, "3.2")
    assert smbios.parse(TABLE).build() == TABLE


@pytest.mark.parametrize("capture", COUNTED, ids=lambda path: path.name)
def test_the_text_of_dmidecode_is_a_table_again(capture: Path, tmp_path: Path) -> None:
    table = smbios.read(str(capture / "sys/firmware/dmi/tables"))
    path = tmp_path / "table.bin"
    path.write_bytes(table.dump_bin())
    program = need("dmidecode", "dmidecode")
    text = subprocess.run([program, "-u", "--from-dump", str(path)], capture_output=True, check=True).stdout
    again = smbios.parse(text)
    assert [(one.formatted, one.strings) for one in again] == [
        (one.formatted, one.strings) for one in table if one.complete
    ]


def test_a_string_that_looks_like_bytes() -> None:
    table = smbios.Table.of(smbios.build(1, 1, manufacturer="41 42", version="00"))
    rows = {"Header and Data": table.structures[0].formatted.hex(" ").upper()}
    text = "SMBIOS 3.2 present.\n\nHandle 0x0001, DMI type 1, 27 bytes\n\tHeader and Data:\n"
    text += f"\t\t{rows['Header and Data']}\n\tStrings:\n\t\t34 31 20 34 32 00\n\t\t41 42\n\t\t30 30 00\n\t\t00\n\n"
    (one,) = smbios.parse(text.encode()).structures
    assert one.strings == (b"41 42", b"00") and smbios.parse(text.encode()).version == "3.2"
    with pytest.raises(GuestcredError, match="no structure"):
        smbios.parse(b"Header and Data:\n")


def test_memory_where_the_kernel_has_no_file(tmp_path: Path) -> None:
    systab, memory, lockdown = tmp_path / "systab", tmp_path / "mem", tmp_path / "lockdown"
    systab.write_text("ACPI20=0x10\nSMBIOS=0x2000\nSMBIOS3=0x1000\n")
    point = build_entry_point(len(TABLE), major=3, minor=2, address=0x3000, long=True)
    memory.write_bytes(bytes(0x1000) + point.ljust(0x2000, b"\0") + TABLE)
    found = sources.from_memory(str(systab), str(memory), str(lockdown))
    assert found is not None and found.table == TABLE and (found.entry or b"").startswith(b"_SM3_")
    lockdown.write_text("none integrity [confidentiality]\n")
    with pytest.raises(GuestcredError, match=r"no such file.*locked down: confidentiality"):
        sources.from_memory(str(systab), str(tmp_path / "absent"), str(lockdown))
    memory.write_bytes(bytes(0x4000))
    with pytest.raises(GuestcredError, match="no SMBIOS entry point at 0x1000"):
        sources.from_memory(str(systab), str(memory), str(lockdown))
    systab.write_text("ACPI20=0x10\n")
    assert sources.from_memory(str(systab), str(memory), str(lockdown)) is None
    assert sources.from_memory(str(tmp_path / "absent"), str(memory), str(lockdown)) is None
