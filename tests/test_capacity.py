"""How much of each limit a guest uses, by what it has."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import table_of
from test_evidence import guest_of

from guestcred.diagnose.capacity import LENGTH_MAX, capacity
from guestcred.diagnose.survey import survey
from guestcred.guest.facts import Facts
from guestcred.smbios.layout import build_structure

LIMITS = {"table": 1 << 20, "strings": 255, "structure": 4096, "store": 256, "total": 1 << 20}
UNITS = {"strings": "strings", "store": "pages"}


def used(system: dict[str, bytes] | None = None, **more: Any) -> dict[str, int]:
    """What is used of each limit, in its order, after a look at all maxima and units."""
    table = more.pop("table", table_of(b"one", b"three"))
    found = capacity(survey(guest_of({}, system, table=table, **more), Facts()))
    for usage in found:
        short = usage.name == "table" and (more.get("entry_point") or b"").startswith(b"_SM_")
        assert usage.maximum == (LENGTH_MAX if short else LIMITS[usage.name])
        assert usage.unit == UNITS.get(usage.name, "bytes")
    return {usage.name: usage.used for usage in found}


TABLE = table_of(b"one", b"three")


def test_what_is_used_of_each() -> None:
    system = {"A": b"", "B": b"x" * 4096, "C": b"x" * 4097}
    assert list(used(system).items()) == [("table", len(TABLE)), ("strings", 2), ("store", 4), ("total", 8193)]
    assert used() == {"table": len(TABLE), "strings": 2, "store": 0, "total": 0}


@pytest.mark.parametrize("entry_point", [None, b"_SM3_" + bytes(19), b"_SM_" + bytes(27), b"x_SM_"])
def test_a_short_entry_point_tells_less(entry_point: bytes | None) -> None:
    assert LENGTH_MAX == 65535
    assert used(entry_point=entry_point)["table"] == len(TABLE)


@pytest.mark.parametrize(
    ("systemd", "names"),
    [
        (252, ["structure"]),
        (254, ["structure", "store"]),
        (256, ["structure", "store"]),
        (257, ["store"]),
        (None, ["store"]),
    ],
)
def test_the_limits_of_each_systemd(systemd: int | None, names: list[str]) -> None:
    assert list(used(systemd=systemd)) == ["table", "strings", *names, "total"]


def test_the_largest_structure_counts() -> None:
    first, second = build_structure(11, 1, [b"a", b"b", b"c"]), build_structure(11, 2, [b"long" * 9])
    told = used(table=first + second + build_structure(127, 3), systemd=252)
    assert (told["strings"], told["structure"]) == (3, len(second))


def test_without_a_table_or_strings_there_is_less_to_use() -> None:
    assert list(used({"A": b"1"}, table=build_structure(32, 1) + build_structure(127, 2), systemd=252)) == [
        "table",
        "total",
    ]
    assert used({"A": b"1"}, table=None) == {"store": 1, "total": 1}
