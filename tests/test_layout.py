"""The declaration: it builds what it parses, and the walk of the boot path says of every table what it says."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TABLES
from construct import ConstructError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guestcred.smbios.declaration import declared
from guestcred.smbios.layout import HEADER, STRUCTURE, TABLE, StringSet, build_structure, place_of
from guestcred.smbios.typed import fields_of, fixed_places
from guestcred.smbios.types import TYPES
from guestcred.smbios.values import StringNumber, Uuid
from guestcred.smbios.walk import (
    END_OF_TABLE,
    HEADER_SIZE,
    OEM_STRINGS,
    OEM_STRINGS_NAME,
    OEM_STRINGS_SIZE,
    REASONS,
    Ended,
    parse,
)

REAL = sorted({(capture / "sys/firmware/dmi/tables/DMI").read_bytes() for capture in TABLES}, key=len)
STARTS = [[structure.offset for structure in parse(data).structures] for data in REAL]

few_bytes = st.sampled_from([b"\0", b"\0\0", b"a", b"\0a", b"a\0"])


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A real table with bytes changed, cut out or inserted, half of them near the start of a structure."""
    which = draw(st.integers(0, len(REAL) - 1))
    data = bytearray(REAL[which])
    for _ in range(draw(st.integers(1, 4))):
        near = st.builds(int.__add__, st.sampled_from(STARTS[which]), st.integers(-3, 6))
        at = max(0, draw(near | st.integers(0, len(REAL[which]))))
        match draw(st.sampled_from(["change", "cut", "insert", "end"])):
            case "change":
                data[at : at + 1] = bytes([draw(st.sampled_from([0, 3, 4, 5, 11, 127, 255]) | st.integers(0, 255))])
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(few_bytes | st.binary(max_size=8))
            case "end":
                del data[at:]
    return bytes(data)


small_structure = st.builds(
    lambda number, length, area, strings: bytes([number, length, 1, 0]) + area + b"".join(strings),
    st.sampled_from([*TYPES, 5, 200]),
    st.integers(0, 12),
    st.binary(max_size=9),
    st.lists(few_bytes, max_size=4),
)
# small numbers leave room for what they count
areas = st.binary(max_size=120) | st.lists(st.integers(0, 4), max_size=120).map(bytes)
small_tables = st.lists(small_structure, max_size=4).map(b"".join)


def hold(data: bytes) -> None:
    """The walk and the declaration agree on a table, and the declaration builds it again."""
    walked, declared = parse(data), TABLE.parse(data)
    structures = [structure for structure in declared.structures if "area" in structure]
    assert [(walk.offset, walk.formatted, walk.strings, walk.complete) for walk in walked.structures] == [
        (structure.offset, HEADER.build(structure) + structure.area, structure.strings, structure.ended is None)
        for structure in structures
    ]
    last = declared.structures[-1]
    assert walked.ended == (Ended(last.offset, last.ended) if last.ended else None)
    assert (walked.size, walked.trailing) == (len(data), len(declared.trailing))
    assert [fields_of(structure) for structure in walked.structures] == [structure.fields for structure in structures]
    assert TABLE.build(declared) == data


@pytest.mark.parametrize("capture", TABLES, ids=lambda path: path.name)
def test_the_walk_agrees_with_the_declaration_on_real_tables(capture: Path) -> None:
    folder = capture / "sys/firmware/dmi"
    for path in (folder / "tables/DMI", *folder.glob("entries/*/raw")):
        hold(path.read_bytes())


@settings(max_examples=1500)
@given(mutants())
def test_the_walk_agrees_on_mutants_of_real_tables(data: bytes) -> None:
    hold(data)


@settings(max_examples=1500)
@given(small_tables)
def test_the_walk_agrees_on_small_tables(data: bytes) -> None:
    hold(data)


@given(st.binary(max_size=400))
def test_the_walk_agrees_on_any_bytes(data: bytes) -> None:
    hold(data)


def test_every_ending_is_declared() -> None:
    whole = build_structure(OEM_STRINGS, 1, [b"abc"])
    found = {
        TABLE.parse(data).structures[-1].ended for data in (b"", whole[:3], whole[:4], whole[:-1], whole, b"\0" * 4)
    }
    assert found == REASONS.keys()


def test_the_boot_paths_numbers_are_the_declarations() -> None:
    assert HEADER.sizeof() == HEADER_SIZE
    assert (HEADER.sizeof() + (TYPES[OEM_STRINGS].size or 0), TYPES[OEM_STRINGS].title) == (
        OEM_STRINGS_SIZE,
        OEM_STRINGS_NAME,
    )
    assert TYPES[END_OF_TABLE].title == "End-of-Table"
    structure = parse(build_structure(OEM_STRINGS, 0x1234)).structures[0]
    header = {"type": structure.type, "length": structure.length, "handle": structure.handle}
    assert HEADER.parse(structure.formatted) == header


@pytest.mark.parametrize("number", TYPES)
@given(area=areas)
def test_a_type_builds_what_it_parses(number: int, area: bytes) -> None:
    strings = (b"first", b"second")
    view = TYPES[number].decode(area, strings)
    assert view == declared(TYPES[number]).parse(area, strings=strings)
    assert declared(TYPES[number]).build(view) == area
    for value in view.values():
        if isinstance(value, StringNumber):
            assert value.text == dict(enumerate(strings, 1)).get(value)


def has_no_bytes(value: object) -> bool:
    return value == b"" or (isinstance(value, list) and all(item == {} for item in value))


@pytest.mark.parametrize("number", TYPES)
@given(area=areas, count=st.integers(0, 50))
@example(area=bytes(17) + b"\1\0", count=10)  # of a Type 15: one descriptor of no bytes
def test_a_type_parses_what_it_builds(number: int, area: bytes, count: int) -> None:
    fields = dict([*TYPES[number].decode(area).items()][:count])
    fields.pop("rest", None)
    given = {"type": number, "handle": 0x1234, "fields": fields, "strings": (b"one", b"two")}
    found = STRUCTURE.parse(STRUCTURE.build(given))
    # a field of no bytes is there as soon as the one before it is
    found["fields"] = {name: value for name, value in found.fields.items() if name in fields or not has_no_bytes(value)}
    assert {name: found[name] for name in given} == given


@given(st.lists(st.binary(min_size=1, max_size=1500).map(lambda data: data.replace(b"\0", b"x")), max_size=4))
def test_a_string_set_parses_what_it_builds(strings: list[bytes]) -> None:
    stream = io.BytesIO(StringSet().build(strings) + b"behind")
    assert StringSet().parse_stream(stream) == tuple(strings)
    assert stream.read() == b"behind"


@pytest.mark.parametrize("size", range(StringSet.PIECE - 3, StringSet.PIECE + 2))
def test_a_string_set_may_end_between_two_reads(size: int) -> None:
    assert StringSet().parse(b"x" * size + b"\0\0" + b"y" * StringSet.PIECE + b"\0\0") == (b"x" * size,)


@pytest.mark.parametrize("strings", [[b""], [b"a", b""], [b"a", b"", b"b"], [b"a\0b"], [b"a\0"]])
def test_a_string_set_builds_nothing_that_it_would_parse_otherwise(strings: list[bytes]) -> None:
    with pytest.raises(ConstructError):
        build_structure(OEM_STRINGS, 1, strings)


def test_a_string_set_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        data, best = b"x" * size + b"\0\0", 9.0
        for _ in range(5):
            start = time.process_time()
            StringSet().parse(data)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(8 << 20) < 24 * seconds(1 << 20) + 0.01


@pytest.mark.parametrize("fields", [{"uid": b""}, {"rest": b"", "sku_numbers": 1}])
def test_a_misspelt_field_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConstructError, match="sku_number"):
        build_structure(1, 1, [], fields)


def test_no_field_stands_without_those_before_it() -> None:
    with pytest.raises(ConstructError, match="none without those before it"):
        declared(TYPES[1]).build({"manufacturer": 1, "version": 2})


def test_the_newest_structures_are_as_long_as_the_specification_says() -> None:
    # DSP0134 3.9, 7: the length of a structure without contained handles or elements
    lengths = {
        0: 0x1A,
        1: 0x1B,
        2: 0x0F,
        3: 0x18,
        4: 0x33,
        5: 0x10,
        6: 0x0C,
        7: 0x1B,
        8: 0x09,
        9: 0x18,
        10: 0x04,
        11: 0x05,
        12: 0x05,
        13: 0x16,
        14: 0x05,
        15: 0x17,
        16: 0x17,
        17: 0x64,
        18: 0x17,
        19: 0x1F,
        20: 0x23,
        21: 0x07,
        22: 0x1A,
        23: 0x0D,
        24: 0x05,
        25: 0x09,
        26: 0x16,
        27: 0x0F,
        28: 0x16,
        29: 0x16,
        30: 0x06,
        31: 0x1C,
        32: 0x0B,
        33: 0x1F,
        34: 0x0B,
        35: 0x0B,
        36: 0x10,
        37: 0x07,
        38: 0x12,
        39: 0x16,
        40: 0x05,
        41: 0x0B,
        42: 0x07,
        43: 0x1F,
        44: 0x06,
        45: 0x18,
        46: 0x09,
        126: 0x04,
        127: 0x04,
    }
    assert {number: parse(build_structure(number, 1)).structures[0].length for number in TYPES} == lengths


def test_where_a_field_is() -> None:
    data = build_structure(1, 1, [], {"uuid": b"0123456789abcdef"})
    assert data[fixed_places(1)["uuid"]] == b"0123456789abcdef"
    with pytest.raises(KeyError):
        place_of(HEADER, "uuid")


def test_strings_and_uuids_are_resolved() -> None:
    given = {"manufacturer": 2, "version": 3, "uuid": bytes(range(16))}
    view = fields_of(parse(build_structure(1, 1, [b"a", b"b"], given)).structures[0])
    found = [(view[name], view[name].text) for name in ("manufacturer", "product_name", "version")]
    assert found == [(2, b"b"), (0, None), (3, None)]
    assert isinstance(view["uuid"], Uuid) and view["uuid"].text(True) == "03020100-0504-0706-0809-0a0b0c0d0e0f"


def test_a_count_byte_wraps() -> None:
    structure = parse(build_structure(11, 1, [b"x"] * 300)).structures[0]
    assert fields_of(structure)["count"] == 300 % 256 and len(structure.strings) == 300


def test_fields_whose_width_hangs_on_others() -> None:
    chassis = {
        "contained_element_count": 2,
        "contained_element_record_length": 3,
        "contained_elements": [{"type": 1, "minimum": 2, "maximum": 3}, {"type": 4, "minimum": 5, "maximum": 6}],
        "sku_number": 1,
        "rack_height": 42,
    }
    view = fields_of(parse(build_structure(3, 1, [b"sku"], chassis)).structures[0])
    assert chassis.items() <= view.items() and "rest" not in view
    board = {"number_of_contained_object_handles": 2, "contained_object_handles": [0x400, 0x500]}
    assert board.items() <= fields_of(parse(build_structure(2, 1, [], board)).structures[0]).items()


def test_a_structure_may_end_behind_any_field() -> None:
    whole = build_structure(0, 1)[4:-2]
    for length in range(len(whole) + 1):
        data = bytes([0, 4 + length, 1, 0]) + whole[:length] + b"\0\0"
        view = fields_of(parse(data).structures[0])
        assert ("bios_characteristics_extension_byte_1" in view) == (length > 14)
    for number, last in ((3, "rack_height"), (4, "socket_type"), (17, "rcd_revision_number")):
        assert list(fields_of(parse(build_structure(number, 1)).structures[0]))[-1] == last


def test_the_parser_is_usable_alone() -> None:
    code = "import sys, guestcred.smbios.layout; print(*(one for one in sys.modules if one.startswith('guestcred')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    outside = {name for name in done.stdout.split() if not name.startswith("guestcred.smbios")}
    assert outside == {"guestcred", "guestcred.record"}
