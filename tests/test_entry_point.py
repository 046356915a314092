"""Entry points: the plain reader says of every one what the declaration says."""

from __future__ import annotations

import pytest
from conftest import TABLES
from construct import ConstructError
from hypothesis import given, settings
from hypothesis import strategies as st

from guestcred.smbios.entry_point import SIZE_32, SIZE_64, EntryPoint, parse_entry_point
from guestcred.smbios.layout import ENTRY_POINT_32, ENTRY_POINT_64, build_entry_point, place_of

LENGTH_32 = place_of(ENTRY_POINT_32, "entry_point_length").start
CHECKSUM_32 = place_of(ENTRY_POINT_32, "entry_point_structure_checksum").start
INTERMEDIATE_32 = place_of(ENTRY_POINT_32, "intermediate_checksum").start


def declared(data: bytes) -> EntryPoint | None:
    """An entry point as the declaration has it."""
    layout = ENTRY_POINT_64 if data.startswith(b"_SM3_") else ENTRY_POINT_32
    try:
        found = layout.parse(data)
    except ConstructError:
        return None
    length, defects = found.entry_point_length, []
    size = layout.sizeof()
    if length != size and (layout is ENTRY_POINT_64 or length != size - 1):
        defects.append(f"the entry point's length is {length}, not {size}")
    elif sum(data[:length]) % 256:
        defects.append("the entry point's checksum does not hold")
    version = f"{found.smbios_major_version}.{found.smbios_minor_version}"
    anchor = found.anchor_string.decode()
    if layout is ENTRY_POINT_64:
        version += f".{found.smbios_docrev}"
        table = found.structure_table_maximum_size, found.structure_table_address, None
    else:
        intermediate = slice(place_of(layout, "intermediate_anchor_string").start, size)
        if sum(data[intermediate]) % 256:
            defects.append("the entry point's intermediate checksum does not hold")
        table = found.structure_table_length, found.structure_table_address, found.number_of_smbios_structures
    return EntryPoint(anchor, version, *table, tuple(defects))


def hold(data: bytes) -> None:
    assert parse_entry_point(data) == declared(data)
    for layout in (ENTRY_POINT_32, ENTRY_POINT_64):
        try:
            found = layout.parse(data)
        except ConstructError:
            continue
        assert layout.build(found) == data[: layout.sizeof()]


@st.composite
def entry_points(draw: st.DrawFn) -> bytes:
    """Whole ones and damaged ones."""
    long = draw(st.booleans())
    address = draw(st.integers(0, (1 << (64 if long else 32)) - 1))
    version = {"major": draw(st.integers(0, 255)), "minor": draw(st.integers(0, 255))}
    count = draw(st.integers(0, 0xFFFF))
    made = build_entry_point(draw(st.integers(0, 0xFFFF)), long=long, address=address, count=count, **version)
    data = bytearray(made + draw(st.binary(max_size=8)))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from([0, SIZE_32 - 1, SIZE_32, SIZE_64, 255]))
    return bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))])


anchored = st.builds(bytes.__add__, st.sampled_from([b"", b"_SM_", b"_SM3_"]), st.binary(max_size=40))


@settings(max_examples=1500)
@given(entry_points() | anchored)
def test_the_reader_agrees_with_the_declaration(data: bytes) -> None:
    hold(data)


def test_it_agrees_on_real_ones() -> None:
    for capture in TABLES:
        data = (capture / "sys/firmware/dmi/tables/smbios_entry_point").read_bytes()
        hold(data)
        found = parse_entry_point(data)
        assert found is not None and not found.defects


def test_the_sizes_are_the_declarations() -> None:
    assert (ENTRY_POINT_32.sizeof(), ENTRY_POINT_64.sizeof()) == (SIZE_32, SIZE_64)


@pytest.mark.parametrize("long", [False, True])
def test_entry_points_build_and_parse(long: bool) -> None:
    data = build_entry_point(1234, long=long, major=3, minor=1)
    found = parse_entry_point(data)
    assert found is not None and (found.table_length, found.defects, found.version[:3]) == (1234, (), "3.1")
    broken = parse_entry_point(data[:7] + bytes([data[7] ^ 1]) + data[8:])
    assert broken is not None and "checksum" in broken.defects[0]
    assert parse_entry_point(data[:-1]) is None


def test_an_old_entry_point_counts_thirty_bytes() -> None:
    data = bytearray(build_entry_point(1234))
    before = data[-1]
    data[LENGTH_32], data[-1] = SIZE_32 - 1, 0x77
    data[INTERMEDIATE_32] = (data[INTERMEDIATE_32] + before - 0x77) % 256
    data[CHECKSUM_32] = (data[CHECKSUM_32] - sum(data[:-1])) % 256
    found = parse_entry_point(bytes(data))
    assert found is not None and found.defects == ()
    data[-1] = 0x78
    found = parse_entry_point(bytes(data))
    assert found is not None and found.defects == ("the entry point's intermediate checksum does not hold",)
