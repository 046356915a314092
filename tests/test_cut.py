"""Where a table was cut, and the string that this may have shortened."""

from __future__ import annotations

import pytest
from conftest import table_of

from guestcred.diagnose.cut import cut_offset, last_string
from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import Ended, Table, parse

KIB64 = 1 << 16
STOPS = Ended(0, "cut-strings")


@pytest.mark.parametrize(
    ("size", "declared", "offset"),
    [
        (1000, KIB64 + 1000, 1000),
        (1000, 2 * KIB64 + 1000, 1000),
        # Linux keeps zeros behind the cut up to the end of the structure: 255 bytes and two NULs at most
        (1257, KIB64 + 1000, 1000),
        (1258, KIB64 + 1000, None),
        (999, KIB64 + 1000, None),
        # whatever is not longer by its entry point was not cut by that
        (1000, 1000, None),
        (1000, 999, None),
        (1000, 1001, None),
        (KIB64 + 2, KIB64 + 1, None),
        (1000, None, None),
        (0, KIB64, 0),
    ],
)
def test_a_table_cut_to_the_low_16_bits_of_its_length(size: int, declared: int | None, offset: int | None) -> None:
    table = Table(structures=(), ended=STOPS, size=size, trailing=0)
    assert cut_offset(table, declared) == offset
    assert cut_offset(table.replace(ended=None), declared) is None


A, B = build_structure(11, 0x0E00, [b"one"]), build_structure(11, 0x0E01, [b"two", b"three"])
OTHER = build_structure(32, 0x2000)


@pytest.mark.parametrize(
    ("data", "string"),
    [
        (A[:-2], (0, 1)),
        (A + B[:-2], (1, 2)),
        (OTHER + B[:-6], (0, 2)),
        (OTHER + B[:-7], (0, 1)),
        (A + OTHER[:-1], None),
        (A, None),
        (A + B + OTHER, None),
        (table_of(b"one"), None),
    ],
)
def test_the_string_in_which_a_table_stops(data: bytes, string: tuple[int, int] | None) -> None:
    assert last_string(parse(data), None) == string


@pytest.mark.parametrize(
    ("behind", "string"),
    # zeros end the structure, so it is whole: but its last string reaches up to the cut
    [(0, (1, 2)), (-1, (1, 2)), (1, None)],
)
def test_the_string_at_which_it_was_cut(behind: int, string: tuple[int, int] | None) -> None:
    table = parse(A + B)
    end = len(A + B) - 2  # without the two NULs
    assert last_string(table, end + behind) == string
    assert last_string(parse(A + B + OTHER), end) is None
