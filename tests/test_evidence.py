"""The evidence for a cause: each by its own, at its limits, and which of two wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import table_of

from guestcred.diagnose.evidence import Evidence, Span, gather, spans
from guestcred.guest.facts import Facts
from guestcred.guest.snapshot import Entry, Guest, Parameters
from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import PAGE, READ_CUT

if TYPE_CHECKING:
    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.findings import Loss
    from guestcred.guest.snapshot import Origin

KEY = {"KEY": b"hunter2"}
HANDED = Facts(earlier_stage=True)
LXC = Facts(container="lxc")
SEV = Facts(confidential="sev")
UNREADABLE = {"run/credentials/@system/KEY": "is a folder"}
FULL = {f"OTHER{number}": b"x" for number in range(256)}


def entry_of(*strings: bytes, instance: int = 0) -> Entry:
    return Entry(f"sys/firmware/dmi/entries/11-{instance}/raw", instance, build_structure(11, 0x0E00, strings))


def guest_of(
    offered: dict[str, bytes],
    system: dict[str, bytes] | None,
    *,
    cmdline: Any = None,
    disabled: bool = False,
    **more: Any,
) -> Guest:
    """A guest whose one Type 11 offers these; PID 1 could read all of it."""
    strings = [b"io.systemd.credential:%b=%b" % (name.encode(), value) for name, value in offered.items()]
    told = {name: ("systemd.set_credential", value) for name, value in (cmdline or {}).items()}
    fields: dict[str, Any] = {
        "root": "/none",
        "table": table_of(*strings),
        "entry_point": None,
        "entries": (entry_of(*strings),),
        "system": system,
        "initrd": None,
        "fw_cfg": None,
        "parameters": Parameters(told, disabled),
        "systemd": 257,
        "unreadable": {},
    }
    return Guest(**{**fields, **more})


def offers(guest: Guest) -> dict[str, Accepted]:
    verdicts = judge(parse(guest.table or b"").structures, guest.systemd)
    return {verdict.name: verdict for verdict in verdicts if isinstance(verdict, Accepted)}


def evidence_of(guest: Guest, facts: Facts | None = None) -> Evidence:
    return gather(guest, facts, judge(parse(guest.table or b"").structures, guest.systemd))


def missing(guest: Guest, facts: Facts | None = None, name: str = "KEY") -> Cause:
    return evidence_of(guest, facts).missing(offers(guest)[name])


def differing(guest: Guest, facts: Facts | None = None, name: str = "KEY") -> tuple[Loss, Cause]:
    assert guest.system is not None
    return evidence_of(guest, facts).differing(offers(guest)[name], guest.system[name])


def test_where_each_string_is() -> None:
    entry, other = entry_of(b"abc", b"z"), entry_of(b"q", instance=3)
    two = Entry("", 5, entry.data + other.data)  # PID 1 looks at the first structure of an entry
    assert spans((entry, other, Entry("", 4, b""), two)) == {
        (0, 1): Span(entry, 5, 8),
        (0, 2): Span(entry, 9, 10),
        (3, 1): Span(other, 5, 6),
        (5, 1): Span(two, 5, 8),
        (5, 2): Span(two, 9, 10),
    }


@pytest.mark.parametrize(("facts", "inside"), [(None, False), (Facts(), False), (LXC, True)])
def test_whether_it_is_a_container(facts: Facts | None, inside: bool) -> None:
    assert evidence_of(guest_of(KEY, {}), facts).in_container == inside


@pytest.mark.parametrize(
    ("cause", "facts", "guest"),
    [
        ("unknown", None, {}),
        ("unknown", Facts(), {"systemd": None}),
        # what PID 1 refuses on purpose, in the order in which it looks
        ("container", Facts(container="lxc", confidential="sev"), {"disabled": True, "unreadable": UNREADABLE}),
        ("import-disabled", SEV, {"disabled": True, "systemd": 251, "unreadable": UNREADABLE}),
        ("systemd-too-old", SEV, {"systemd": 251}),
        ("confidential-vm", Facts(confidential="sev", earlier_stage=True), {"unreadable": UNREADABLE, "entries": None}),
        ("confidential-vm", SEV, {"systemd": None}),
        ("unknown", SEV, {"systemd": 253}),
        ("unknown", None, {"systemd": 252}),
        # what is in its place
        ("unreadable", HANDED, {"unreadable": UNREADABLE, "entries": None}),
        ("unreadable", None, {"unreadable": UNREADABLE, "systemd": 251}),
        ("unknown", None, {"unreadable": {"run/credentials/@system/OTHER": "is a folder"}}),
        # who had imported before
        ("earlier-stage", HANDED, {"entries": None}),
        ("lost-at-switch-root", HANDED, {"system": None}),
        ("unknown", None, {"system": None}),
        # how PID 1 reads SMBIOS
        ("dmi-sysfs-absent", Facts(), {"entries": None}),
        ("dmi-sysfs-absent", None, {"entries": ()}),
        # the memory for all
        ("store-full", None, {"system": FULL}),
        ("unknown", None, {"system": dict(list(FULL.items())[1:])}),
    ],
)
def test_why_it_is_missing(cause: Cause, facts: Facts | None, guest: dict[str, Any]) -> None:
    assert missing(guest_of(KEY, **{"system": {}, **guest}), facts) == cause


def test_what_arrived_tells_that_this_pid_1_imported() -> None:
    offered = {"KEY": b"hunter2", "HERE": b"here"}
    assert missing(guest_of(offered, {"HERE": b"here"}), HANDED) == "unknown"
    # what another source has with the same bytes, or a name that was not offered, tells nothing
    assert missing(guest_of(offered, {"HERE": b"here"}, fw_cfg={"HERE": b"here"}), HANDED) == "earlier-stage"
    assert missing(guest_of(offered, {"HERE": b"here"}, fw_cfg={"HERE": b"other"}), HANDED) == "unknown"
    assert missing(guest_of(offered, {"OTHER": b"here"}), HANDED) == "earlier-stage"


def long(name: str, end: int, start: int = 5) -> dict[str, bytes]:
    """A credential whose string is at bytes `start` to `end` of its entry."""
    return {name: b"v" * (end - start - len(f"io.systemd.credential:{name}="))}


@pytest.mark.parametrize("systemd", [252, 256, 257, None])
@pytest.mark.parametrize(("end", "is_cut"), [(READ_CUT, False), (READ_CUT + 1, True)])
def test_an_old_systemd_reads_4096_bytes(systemd: int | None, end: int, is_cut: bool) -> None:
    old = systemd is not None and systemd < 257
    assert missing(guest_of(long("KEY", end), {}, systemd=systemd)) == ("cut-read" if old and is_cut else "unknown")


@pytest.mark.parametrize(
    ("here", "cause"),
    [
        (["FIRST"], "cut-read"),
        (["FIRST", "SECOND"], "cut-read"),  # shortened, or not at all: either is of a reader of 4096 bytes
        ([], "unknown"),  # who would have read the first
        (["FIRST", "THIRD"], "unknown"),  # and not the third
    ],
)
def test_only_what_fits_a_reader_of_4096_bytes_is_one(here: list[str], cause: Cause) -> None:
    first = long("FIRST", 4000)
    offered = {**first, **long("SECOND", 4500, 4001), "THIRD": b"3", "KEY": b"4"}
    assert missing(guest_of(offered, dict.fromkeys(here, b"any"), systemd=252)) == cause


@pytest.mark.parametrize(
    ("before", "here", "cause"),
    [
        (4096, [], "unknown"),
        (4096, ["BEFORE"], "cut-read"),
        (4094, ["BEFORE", "BEHIND"], "cut-read"),
        (4095, ["BEFORE", "BEHIND"], "unknown"),
    ],
)
def test_a_string_up_to_byte_4096_is_read_and_one_from_it_on_is_not(before: int, here: list[str], cause: Cause) -> None:
    offered = {**long("BEFORE", before), "BEHIND": b"b", "KEY": b"k"}
    assert missing(guest_of(offered, dict.fromkeys(here, b"any"), systemd=252)) == cause


def test_what_another_source_gave_tells_nothing_of_the_reader() -> None:
    offered = {**long("FIRST", 99), **long("KEY", READ_CUT, 100), "LATE": b"l"}
    others = {"FIRST": offered["FIRST"]}
    guest = guest_of(offered, {**others, "KEY": b"other"}, systemd=252, fw_cfg=others, cmdline={"KEY": b"other"})
    assert missing(guest, name="LATE") == "cut-read" and differing(guest) == ("differs", "unknown")


def test_what_no_reader_saw_is_no_evidence_of_one() -> None:
    offered = {**long("FIRST", 4097), "KEY": b"4"}
    # from elsewhere with the same bytes, or in a structure without an entry
    other = {**long("FIRST", 4097), "BEHIND": b"b", "KEY": b"4"}
    guest = guest_of(other, {"BEHIND": b"b"}, systemd=252, fw_cfg={"BEHIND": b"b"})
    assert missing(guest) == "cut-read" and missing(guest.replace(fw_cfg=None)) == "unknown"
    assert missing(guest_of(offered, {}, systemd=252, entries=(entry_of(b"x", instance=1),))) == "unknown"
    short = guest_of(offered, {}, systemd=252)
    assert missing(short, name="FIRST") == missing(short) == "cut-read"


@pytest.mark.parametrize(
    ("here", "sizes", "cause"),
    [
        # 255 pages are taken: one more fits, two do not
        ({}, {"KEY": PAGE}, "unknown"),
        ({}, {"KEY": PAGE + 1}, "store-full"),
        ({}, {"KEY": PAGE + 1, "BEHIND": 1}, "store-full"),
        # the import has gone on behind it
        ({"BEHIND": 1}, {"KEY": 2 * PAGE, "BEHIND": 1}, "unknown"),
        ({"BEFORE": 1}, {"BEFORE": 1, "KEY": 1}, "store-full"),
    ],
)
def test_where_the_store_is_full(here: dict[str, int], sizes: dict[str, int], cause: Cause) -> None:
    system = dict.fromkeys(list(FULL)[:255], b"x") | {name: b"x" * size for name, size in here.items()}
    assert missing(guest_of({name: b"x" * size for name, size in sizes.items()}, system)) == cause


INITRD: dict[str, Any] = {"KEY": "initrd"}


@pytest.mark.parametrize(
    ("value", "facts", "guest", "told"),
    [
        (b"other", None, {}, ("differs", "unknown")),
        # a front of it, and what is none
        (b"hunter", None, {}, ("truncated", "unknown")),
        (b"", None, {}, ("truncated", "unknown")),
        (b"hunter3", None, {}, ("differs", "unknown")),
        (b"unter2", None, {}, ("differs", "unknown")),
        (b"hunter22", None, {}, ("differs", "unknown")),
        # another source has these very bytes; what comes behind SMBIOS was taken since SMBIOS gave nothing
        (b"other", None, {"fw_cfg": {"KEY": b"other"}}, ("differs", "shadowed-by-fw-cfg")),
        (b"hunter", None, {"fw_cfg": {"KEY": b"hunter"}}, ("differs", "shadowed-by-fw-cfg")),
        (b"other", None, {"fw_cfg": {"KEY": b"again"}}, ("differs", "unknown")),
        (b"other", None, {"cmdline": {"KEY": b"other"}}, ("differs", "unknown")),
        (b"other", None, {"cmdline": {"KEY": b"other"}, "entries": None}, ("differs", "dmi-sysfs-absent")),
        (b"other", None, {"entries": None}, ("differs", "unknown")),
        (b"hunter", None, {"initrd": {"KEY": b"hunter"}, "disabled": True}, ("differs", "import-disabled")),
        # the initrd's PID 1 took it from a source that is gone
        (b"other", Facts(stages=INITRD), {"systemd": 262}, ("differs", "shadowed-by-initrd")),
        (b"other", Facts(stages=INITRD), {"systemd": None}, ("differs", "shadowed-by-initrd")),
        (b"other", Facts(stages=INITRD), {"systemd": 261}, ("differs", "unknown")),
        (b"other", Facts(stages={"KEY": "system"}), {"systemd": 262}, ("differs", "unknown")),
        (b"other", Facts(), {"systemd": 262}, ("differs", "unknown")),
    ],
)
def test_why_it_differs(value: bytes, facts: Facts | None, guest: dict[str, Any], told: tuple[Loss, Cause]) -> None:
    assert differing(guest_of(KEY, {"KEY": value}, **guest), facts) == told


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (4000, 4097, ("truncated", "cut-read")),
        (4000, 4096, ("truncated", "unknown")),
        (4066, 4100, ("truncated", "cut-read")),
    ],
)
def test_a_string_across_4096_bytes_is_shortened(start: int, end: int, told: tuple[Loss, Cause]) -> None:
    offered = {**long("FIRST", start - 1), **long("KEY", end, start)}
    front = offered["KEY"][: READ_CUT - end] if end > READ_CUT else offered["KEY"][:-1]
    guest = guest_of(offered, {"FIRST": offered["FIRST"], "KEY": front}, systemd=252)
    assert differing(guest) == told
    # that of which nothing was cut is no reader's of 4096 bytes
    assert differing(guest.replace(system={"KEY": front[:-1]})) == ("truncated", "unknown")


def test_what_is_cut_may_decode_to_something_else() -> None:
    entry = entry_of(b"x" * 4050, b"io.systemd.credential:KEY=" + b"a" * 20 + b"b" * 90, instance=2)
    guest = guest_of(KEY, {"KEY": b"a" * 15}, entries=(entry,), systemd=252)
    offer = Accepted("KEY", "text", b"a" * 20 + b"b" * 90, offers(guest)["KEY"].place.replace(instance=2, index=2))
    evidence = evidence_of(guest)
    assert evidence.span(offer) == Span(entry, 4056, 4056 + 26 + 110) and evidence.span(offers(guest)["KEY"]) is None
    assert evidence.differing(offer, b"a" * 14) == ("truncated", "cut-read")
    assert evidence.differing(offer, b"a" * 13) == ("truncated", "unknown")


@pytest.mark.parametrize(
    ("more", "source"),
    [
        ({}, None),
        ({"fw_cfg": {"KEY": b"v"}, "cmdline": {"KEY": b"v"}, "initrd": {"KEY": b"v"}}, "fw-cfg"),
        ({"fw_cfg": {"KEY": b"w"}, "cmdline": {"KEY": b"v"}, "initrd": {"KEY": b"v"}}, "cmdline"),
        ({"fw_cfg": {"OTHER": b"v"}, "initrd": {"KEY": b"v"}}, "initrd"),
    ],
)
def test_which_other_source_has_it(more: dict[str, Any], source: Origin | None) -> None:
    assert evidence_of(guest_of(KEY, {"KEY": b"v"}, **more)).source("KEY", b"v") == source


@pytest.mark.parametrize(
    ("stage", "systemd", "more", "origin"),
    [
        (None, 257, {}, None),
        (None, 257, {"initrd": {"KEY": b"v"}}, "initrd"),
        ("initrd", 257, {"cmdline": {"KEY": b"v"}}, "cmdline"),
        ("initrd", 252, {}, "earlier-stage"),
        ("system", 254, {}, "initrd"),
        ("system", None, {}, "initrd"),
        ("system", 253, {}, None),
    ],
)
def test_where_a_foreign_one_came_from(
    stage: Any, systemd: int | None, more: dict[str, Any], origin: Origin | None
) -> None:
    guest = guest_of({}, {"KEY": b"v"}, systemd=systemd, **more)
    stages = {} if stage is None else {"KEY": stage}
    assert evidence_of(guest, Facts(stages=stages)).origin("KEY", b"v") == origin
    # a container's PID 1 has no initrd
    inside = None if stage == "system" else origin
    assert evidence_of(guest, Facts(stages=stages, container="lxc")).origin("KEY", b"v") == inside
    handed = Facts(stages=stages, container="lxc", earlier_stage=True)
    assert evidence_of(guest, handed).origin("KEY", b"v") == "container-manager"
    assert evidence_of(guest, HANDED).origin("KEY", b"v") == evidence_of(guest, None).origin("KEY", b"v")


@pytest.mark.parametrize(
    ("source", "facts", "guest", "cause"),
    [
        ("fw-cfg", Facts(container="lxc", confidential="sev"), {"disabled": True}, "container"),
        # which has no fw_cfg, and takes its own command line unless its manager handed something over
        ("initrd", LXC, {}, "unknown"),
        ("cmdline", LXC, {}, "unknown"),
        ("cmdline", Facts(container="lxc", earlier_stage=True), {"disabled": True}, "container"),
        ("fw-cfg", SEV, {"disabled": True}, "import-disabled"),
        ("fw-cfg", Facts(confidential="sev", earlier_stage=True), {}, "confidential-vm"),
        ("fw-cfg", SEV, {"systemd": 253}, "unknown"),
        ("fw-cfg", None, {}, "unknown"),
        ("cmdline", SEV, {}, "unknown"),
        ("cmdline", HANDED, {}, "earlier-stage"),
        ("cmdline", HANDED, {"system": None}, "lost-at-switch-root"),
    ],
)
def test_why_another_source_was_not_taken(
    source: Origin, facts: Facts | None, guest: dict[str, Any], cause: Cause
) -> None:
    assert evidence_of(guest_of({}, **{"system": {}, **guest}), facts).not_imported(source) == cause
