"""The walk: nothing before a defect is lost, and no bytes make it raise."""

from __future__ import annotations

import gc
import random
import time
from pathlib import Path

import pytest
from conftest import TABLES, table_of
from hypothesis import given
from hypothesis import strategies as st

from guestcred.smbios.entry_point import parse_entry_point
from guestcred.smbios.layout import build_structure
from guestcred.smbios.typed import fields_of
from guestcred.smbios.walk import Table, parse
from guestcred.systemd.offered import Accepted, judge

oem_text = st.binary(min_size=1, max_size=40).map(lambda data: data.replace(b"\0", b"x"))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table(data: bytes) -> None:
    _covers(data, parse(data))


def _covers(data: bytes, table: Table) -> None:
    assert table.size == len(data)
    assert (table.ended is None) == bool(
        table.structures and table.structures[-1].type == 127 and table.structures[-1].complete
    )
    for structure in table.structures:
        assert structure.formatted == data[structure.offset : structure.offset + structure.length]
        fields_of(structure)
    judge(table.structures, None)
    parse_entry_point(data)


def _linux(data: bytes, count: int) -> list[int]:
    """The offsets that dmi_decode_table() of Linux 6.12's drivers/firmware/dmi_scan.c decodes, for a count or 0."""
    found: list[int] = []
    at, seen = 0, 0
    while (not count or seen < count) and at + 4 <= len(data) and data[at + 1] >= 4:
        kind, start = data[at], at
        at += data[at + 1]
        while at < len(data) - 1 and data[at : at + 2] != b"\0\0":
            at += 1
        if at < len(data) - 1:
            found.append(start)
        at, seen = at + 2, seen + 1
        if not count and kind == 127:
            break
    return found


parts = st.sampled_from([build_structure(127, 0x7F00), build_structure(11, 1, [b"a", b"bc"]), build_structure(1, 2)])


@given(st.lists(parts | st.binary(max_size=9), max_size=8), st.integers(0, 9))
def test_structures_are_those_that_linux_decodes(pieces: list[bytes], count: int) -> None:
    data = b"".join(pieces)
    table = parse(data, count)
    found = [structure.offset for structure in table.structures if structure.complete]
    if count and count < len(parse(data).structures):  # Linux has cut the table there before anybody reads it
        found = found[:count]
    assert found == _linux(data, count)
    assert (table.ended is None) == any(structure.type == 127 and structure.complete for structure in table.structures)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 126) | st.integers(128, 255),
            st.integers(0, 65535),
            st.lists(oem_text, max_size=5),
            st.binary(max_size=8),
        )
    )
)
def test_build_then_parse_gives_the_same(structures: list[tuple[int, int, list[bytes], bytes]]) -> None:
    data = b"".join(build_structure(k, h, s, {"rest": r}) for k, h, s, r in structures) + build_structure(127, 0xFEFF)
    table = parse(data)
    assert table.ended is None
    found = [
        (built.type, built.handle, list(built.strings), built.formatted[len(built.formatted) - len(r) :])
        for built, (_, _, _, r) in zip(table.structures, structures)
    ]
    assert found == [(k, h, s, r) for k, h, s, r in structures]


@given(
    st.dictionaries(
        st.text("ABC_.-= ~", min_size=1, max_size=20).filter(lambda n: n not in (".", "..") and "=" not in n),
        oem_text,
        max_size=20,
    )
)
def test_the_offered_set_is_what_was_put_in(wanted: dict[str, bytes]) -> None:
    strings = [b"io.systemd.credential:" + name.encode() + b"=" + value for name, value in wanted.items()]
    found = judge(parse(table_of(*strings)).structures, 257)
    assert {verdict.name: verdict.value for verdict in found if isinstance(verdict, Accepted)} == wanted


@pytest.mark.parametrize("capture", TABLES, ids=lambda path: path.name)
def test_mutated_real_tables(capture: Path) -> None:
    chance = random.Random(capture.name)
    original = (capture / "sys/firmware/dmi/tables/DMI").read_bytes()
    for _ in range(1500):
        data = bytearray(original)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 4, 11, 127, 255, chance.randrange(256)))
        cut = bytes(data[: chance.randrange(len(data) + 1)]) if chance.random() < 0.3 else bytes(data)
        _covers(cut, parse(cut))


@pytest.mark.parametrize(
    ("data", "reason", "offset", "structures"),
    [
        (b"", "empty", 0, 0),
        (b"\x0b\x05", "cut-header", 0, 0),
        (b"\x0b\x03\0\0", "bad-length", 0, 0),
        (b"\x0b\0\0\0", "bad-length", 0, 0),
        (b"\x0b\x20\0\0\1", "cut-formatted-area", 0, 1),
        (b"\x0b\5\0\0\1abc", "cut-strings", 0, 1),
        (build_structure(11, 1, [b"abc"]), "no-end-of-table", 10, 1),
        (build_structure(11, 1, [b"abc"]) + b"\0\0\0\0\0", "bad-length", 10, 1),
    ],
)
def test_how_a_table_ends(data: bytes, reason: str, offset: int, structures: int) -> None:
    table = parse(data)
    assert table.ended is not None
    assert (table.ended.reason, table.ended.offset, len(table.structures)) == (reason, offset, structures)


def test_a_cut_string_is_kept() -> None:
    assert parse(b"\x0b\5\0\0\2abc\0de").structures[0].strings == (b"abc", b"de")


def test_the_walk_is_linear() -> None:
    def seconds(count: int) -> float:
        data = build_structure(1, 7, [b"a", b"bc"]) * count
        best = 9.0
        for _ in range(5):
            start = time.process_time()
            parse(data)
            best = min(best, time.process_time() - start)
        return best

    gc.disable()  # its work grows with all that the run of the tests holds
    try:
        assert seconds(20_000) < 12 * seconds(2_000) + 0.01
    finally:
        gc.enable()
