"""What a manifest is believed to say, and why one is not."""

from __future__ import annotations

import pytest
from conftest import table_of

from guestcred.diagnose.findings import Finding
from guestcred.diagnose.meant import Frame, read_frame
from guestcred.manifest import END, FRAME, MANIFEST, end_value, manifest_value
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Place, judge
from guestcred.systemd.rules import SIZE_MAX

SALT = bytes(range(16))
A, B, C = (b"A", b"one"), (b"B", b"two-and"), (b"C", b"")
WHOLE = manifest_value(SALT, [A, B, C])
SIZES = {"A": 3, "B": 7, "C": 0, "guestcred.end": 3}


def text(name: bytes, value: bytes) -> bytes:
    return b"io.systemd.credential:%b=%b" % (name, value)


def manifest(value: bytes = WHOLE) -> bytes:
    return text(MANIFEST.encode(), value)


def end(value: bytes = b"1/3") -> bytes:
    return text(END.encode(), value)


ALL = [manifest(), *(text(*one) for one in (A, B, C)), end()]


def told(strings: list[bytes], fronts: tuple[str, ...] = ()) -> tuple[Frame | None, list[Finding]]:
    return read_frame(judge(parse(table_of(*strings)).structures, 257), frozenset(fronts))


def frame(strings: list[bytes], *fronts: str) -> Frame:
    found, findings = told(strings, fronts)
    assert found is not None and findings == []
    return found


def refused(strings: list[bytes], *fronts: str) -> str:
    """Why it is not believed, behind the string that says so."""
    found, (finding,) = told(strings, fronts)
    assert found is None and finding.code == "manifest" and finding.fix.startswith("let 'guestcred encode'")
    name, believed, reason = finding.message.partition(" is not believed: ")
    assert believed and finding.names == (name.partition(" ")[0],) and finding.names[0] in FRAME
    return f"{name.partition(' (')[2].rpartition(', ')[2].rstrip(')')}: {reason}"


def test_what_it_says_where_all_arrived() -> None:
    place = Place(0x0E00, 2, 0)
    assert frame([b"other", *ALL, b"more", text(b"D", b"behind")]) == Frame(
        place=place, sizes=SIZES, lost=(), altered=frozenset(), whole=True
    )
    assert told([]) == told([text(*A)]) == (None, [])
    nothing = frame([manifest(manifest_value(SALT, [])), end(b"1/0")])
    assert (nothing.sizes, nothing.lost) == ({"guestcred.end": 3}, ())


def test_what_was_lost_in_its_order_and_what_was_altered() -> None:
    assert frame(ALL[:1]).lost == ("A", "B", "C", "guestcred.end") and frame(ALL[:4]).lost == ("guestcred.end",)
    assert frame([ALL[0], ALL[3], ALL[4]]).lost == ("A", "B")
    found = frame([ALL[0], text(b"A", b"two"), text(b"B", b"two-an"), *ALL[3:]])
    assert (found.lost, found.altered) == ((), frozenset("AB"))


def test_what_pid_1_refuses_was_not_lost() -> None:
    several = manifest(manifest_value(SALT, [A, B]))
    twice = [
        several,
        text(*A),
        text(*A),
        b"io.systemd.credential.binary:B=!",
        b"io.systemd.credential:x/y=1",
        end(b"1/2"),
    ]
    assert frame(twice).lost == ()


def test_of_one_that_was_cut_what_is_whole_is_believed() -> None:
    for size, sizes in ((len(WHOLE), SIZES), (len(WHOLE) - 1, {"A": 3, "B": 7}), (40, {})):
        found = frame([manifest(WHOLE[:size])], MANIFEST)
        assert not found.whole and found.sizes == {**sizes, "guestcred.end": 3}
    assert frame(ALL, END).whole
    assert refused([manifest(WHOLE[:20])], MANIFEST) == "string 1: it was cut"
    assert refused([manifest(WHOLE[:-1]), *ALL[1:]]) == "string 1: it is not of the form that guestcred writes"


def test_a_front_of_another_end_does_not_fit() -> None:
    assert refused([*ALL[:4], end(b"2")], END) == refused([*ALL[:4], end(b"1/4")], END) == NO_COUNT


NO_COUNT = "string 1: guestcred.end (handle 0x0e00, string 5) does not count the 3 credentials that it names"


@pytest.mark.parametrize("size", range(4))
def test_of_an_end_that_was_cut_the_front_has_to_fit(size: int) -> None:
    cut = [*ALL[:4], end(b"1/3"[:size])]
    found = frame(cut, END)
    assert found.altered == (frozenset() if size == 3 else {END}) and found.lost == ()
    if size < 3:
        assert refused(cut) == NO_COUNT


@pytest.mark.parametrize(
    ("strings", "reason"),
    [
        (ALL[1:], "string 4: no manifest is in front of it: the first string was lost or left out"),
        ([end(), end()], "string 1: no manifest is in front of it: the first string was lost or left out"),
        ([*ALL, manifest()], "string 1: it is there 2 times (handle 0x0e00, string 1 and handle 0x0e00, string 6)"),
        ([*ALL, end()], "string 5: it is there 2 times (handle 0x0e00, string 5 and handle 0x0e00, string 6)"),
        ([manifest(b"nothing"), *ALL[1:]], "string 1: it is not of the form that guestcred writes"),
        (
            [b"io.systemd.credential.binary:guestcred.manifest=!"],
            "string 1: it is not of the form that guestcred writes",
        ),
        ([*ALL[:4], end(b"1/4")], NO_COUNT),
        ([*ALL[:4], end(b"1/34")], NO_COUNT),
        (
            [*ALL[:2], text(b"D", b"new"), *ALL[2:]],
            "string 1: D (handle 0x0e00, string 3) stands behind it, and it does not name it",
        ),
        (
            [ALL[1], ALL[0], *ALL[2:]],
            "string 2: A (handle 0x0e00, string 1), which it names, does not stand between it and guestcred.end",
        ),
        (
            [*ALL[:3], ALL[4], ALL[3]],
            "string 1: C (handle 0x0e00, string 5), which it names, does not stand between it and guestcred.end",
        ),
        ([ALL[0], ALL[2], ALL[1], *ALL[3:]], "string 1: A (handle 0x0e00, string 3) is not in its order"),
    ],
)
def test_what_is_not_believed(strings: list[bytes], reason: str) -> None:
    assert refused(strings) == reason


@pytest.mark.parametrize("name", [b"x:y", b"a b\x7f", MANIFEST.encode(), END.encode(), b"." * 2])
def test_no_name_that_systemd_would_refuse_is_in_one(name: bytes) -> None:
    value = manifest_value(SALT, [(name.replace(b":", b"\xff"), b"v")])
    assert refused([manifest(value)]) == "string 1: it is not of the form that guestcred writes"


@pytest.mark.parametrize(("size", "fits"), [(SIZE_MAX, True), (SIZE_MAX + 1, False)])
def test_no_size_that_systemd_would_refuse_is_in_one(size: int, fits: bool) -> None:
    value = manifest_value(SALT, [A]).replace(b"A:3:", b"A:%d:" % size)
    found, findings = told([manifest(value)])
    assert (found is not None) == fits and len(findings) == (not fits)
    assert end_value(1) == b"1/1"


def test_a_string_without_a_name_is_none_of_the_frame() -> None:
    assert told([b"io.systemd.credential:guestcred.manifest", b"io.systemd.credential:" + b"x" * 300])[1] != []
    assert told([b"io.systemd.credential:guestcred.\xe4nd=1", b"guestcred.end=1"]) == (None, [])
