"""What a plan has of lost credentials and of services: what is written, what is left, and why in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from guestcred.apply.plan import (
    Delivery,
    Directory,
    File,
    Plan,
    Rescues,
    plan_directories,
    plan_rescues,
    unknown_user,
)
from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.compare import Comparison, Credential
from guestcred.diagnose.findings import Finding
from guestcred.diagnose.rescued import DECISIONS, FULL
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.credstores import Found
from guestcred.guest.toml_file import Service
from guestcred.guest.users import User
from guestcred.systemd.rules import PAGE, SIZE_MAX, STORE_PAGES

if TYPE_CHECKING:
    from guestcred.diagnose.causes import Cause
    from guestcred.diagnose.findings import Loss

DISK = Finding("near-miss", "a string is not a credential", "a fix")
MISSING = Finding("missing", "KEY was offered but not imported", "a fix")


def lost(name: str = "KEY", loss: Loss | None = "missing", cause: Cause | None = "unknown", **more: Any) -> Credential:
    return Credential(**{"name": name, "shown": name, "size": 7, "loss": loss, "cause": cause, **more})


def compared(*credentials: Credential, findings: tuple[Finding, ...] = (), fronts: tuple[str, ...] = ()) -> Comparison:
    return Comparison(
        systemd=257,
        credentials=credentials,
        rejected=(),
        findings=findings,
        warnings=(),
        doubts={},
        fronts=frozenset(fronts),
        frame=None,
    )


def planned(
    *credentials: Credential,
    others: dict[str, Found] | None = None,
    undecided: bool = False,
    fronts: tuple[str, ...] = (),
) -> Rescues:
    return plan_rescues(compared(*credentials, fronts=fronts), others or {}, undecided)


def test_what_was_imported_needs_nothing() -> None:
    assert planned(lost(loss=None, cause=None)) == Rescues((), (), ())


@pytest.mark.parametrize("cause", sorted(CAUSES.keys() - DECISIONS - {"undecided", "unreadable"}))
def test_whatever_is_missing_by_accident_is_rescued(cause: Cause) -> None:
    file = File("KEY", 7, "run/credstore/KEY")
    assert planned(lost(cause=cause)) == planned(
        lost(cause=cause), others={"OTHER": Found("etc/credstore/OTHER", False, False)}
    )
    assert planned(lost(cause=cause)) == Rescues((file,), (), ())


NOT_ARRIVED = "its bytes did not arrive"
STAYS = "what was imported is not overwritten"
ON_PURPOSE = "that is on purpose, and guestcred does not overrule it"
MAY_BE = "that may be on purpose, and guestcred does not overrule it"


@pytest.mark.parametrize(
    ("credential", "more", "cause", "why_not"),
    [
        (lost(loss="not-offered", cause="lost-on-the-way"), {}, "lost-on-the-way", NOT_ARRIVED),
        (lost(loss="differs", cause="altered"), {}, "altered", STAYS),
        (lost(loss="truncated", cause="cut-read"), {}, "cut-read", STAYS),
        (lost(loss="truncated", cause="cut-read"), {"undecided": True}, "cut-read", STAYS),
        (lost(cause="container"), {}, "container", ON_PURPOSE),
        (lost(cause="confidential-vm"), {"undecided": True}, "confidential-vm", ON_PURPOSE),
        (lost(cause="import-disabled"), {}, "import-disabled", ON_PURPOSE),
        (lost(cause="store-full"), {"undecided": True}, "undecided", MAY_BE),
        (lost(cause="unreadable"), {}, "unreadable", "systemd looks there first, and would still not find it"),
        (lost(cause=None), {"fronts": ("KEY",)}, "unknown", "the table stops inside it, so its value may be cut short"),
        (
            lost(shown="[3 characters hidden]"),
            {"fronts": ("[3 characters hidden]",)},
            "unknown",
            "its name may be the secret itself, and a file of that name would show it",
        ),
        (
            lost(),
            {"others": {"KEY": Found("etc/credstore/KEY", False, False)}},
            "unknown",
            "there is already another credential at /etc/credstore/KEY",
        ),
    ],
)
def test_what_is_left_says_why(credential: Credential, more: dict[str, Any], cause: Cause, why_not: str) -> None:
    done = planned(credential, **more)
    assert (done.made, done.present) == ((), ())
    (left,) = done.left
    assert left.message.endswith(f": {CAUSES[cause][0]}; not rescued: {why_not}") and left.fix == CAUSES[cause][1]
    assert (left.code, left.cause, left.names) == (credential.loss, cause, (credential.shown,))


def test_the_first_reason_that_holds_is_told() -> None:
    """One that no look at other files could mend comes before one that may."""
    hidden, others = "[3 characters hidden]", {"KEY": Found("etc/credstore/KEY", False, False)}
    told = [
        planned(credential, others=others, fronts=fronts).left[0].message.rpartition("; not rescued: ")[2].split()[:3]
        for credential, fronts in (
            (lost(loss="differs", cause="unreadable", shown=hidden), ("KEY",)),
            (lost(cause="unreadable", shown=hidden), ("KEY",)),
            (lost(shown=hidden), ("KEY",)),
            (lost(), ("KEY",)),
            (lost(), ()),
        )
    ]
    assert [" ".join(words) for words in told] == [
        "what was imported", "systemd looks there", "its name may", "the table stops", "there is already",
    ]  # fmt: skip


def test_one_finding_for_all_that_are_left_for_one_reason() -> None:
    others = {"C": Found("etc/credstore/C", False, False)}
    done = planned(
        lost("A", cause="container"), lost("B", cause="container"), lost("C"), lost("D", "differs"), others=others
    )
    assert [left.names for left in done.left] == [("A", "B"), ("C",), ("D",)]


def test_what_is_left_besides_losses() -> None:
    found = compared(lost(cause="container"), findings=(MISSING, DISK))
    (first, second) = plan_rescues(found, {}, False).left
    assert second == DISK and first.cause == "container"
    assert plan_rescues(compared(findings=(DISK,)), {}, False).left == (DISK,)


def test_what_is_rescued_has_the_room_that_systemd_gives_and_no_more() -> None:
    names = [f"K{number}" for number in range(STORE_PAGES + 1)]
    done = planned(*(lost(name, size=PAGE) for name in names))
    assert [file.name for file in done.made] == names[:-1]
    assert [(left.names, left.message.endswith(f"; not rescued: {FULL}")) for left in done.left] == [((names[-1],), True)]  # fmt: skip
    done = planned(*(lost(name, size=PAGE + 1) for name in names))
    assert [file.name for file in done.made] == names[: STORE_PAGES // 2]


def test_what_others_put_there_takes_no_room_and_is_not_written() -> None:
    names = [f"K{number}" for number in range(STORE_PAGES)]
    there = {"THERE": Found("etc/credstore/THERE", True, False)}
    done = planned(lost("THERE"), *map(lost, names), others=there)
    assert [file.name for file in done.made] == names and done.left == ()
    assert done.present == (File("THERE", 7, "etc/credstore/THERE"),)


@pytest.mark.parametrize(
    ("made", "present", "left", "verdict"),
    [(0, 0, 0, "agrees"), (1, 0, 0, "fixed"), (0, 1, 0, "fixed"), (1, 1, 1, "findings"), (0, 0, 1, "findings")],
)
def test_the_verdict_of_a_plan(made: int, present: int, left: int, verdict: str) -> None:
    file = File("KEY", 7, "run/credstore/KEY")
    plan = Plan(
        comparison=compared(), rescues=(file,) * made, present=(file,) * present, directories=(), left=(DISK,) * left
    )
    assert plan.verdict == verdict


def delivery(found: dict[str, tuple[str, int]], unit: str = "demo.service", **more: Any) -> Delivery:
    settings = {"load": (), "imports": (), "defaults": (), "required": (), **more}
    service = Service(unit=unit, path="etc/guestcred/demo.toml", user="svc", **settings)
    return Delivery(service, User(name="svc", uid=901, gid=902, groups=(902,)), found)


def directories(*deliveries: Delivery) -> tuple[Directory, ...]:
    return plan_directories(list(deliveries), lambda path: f"/guest/{path}")


def test_a_directory_has_what_was_found_and_says_once_what_was_skipped() -> None:
    load = (("b", "B"), ("gone", "GONE"), ("b", "C"), ("also", "ALSO"), ("gone", "AGAIN"))
    found = {"a": ("run/credstore/A", 0), "b": ("run/credentials/@system/B", 3)}
    assert directories() == ()
    assert directories(delivery(found, load=load)) == (
        Directory(
            unit="demo.service",
            user="svc",
            uid=901,
            files=(File("a", 0, "run/credstore/A"), File("b", 3, "run/credentials/@system/B")),
            skipped=("gone", "also"),
        ),
    )


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [
        ((), True),
        ((SIZE_MAX,), True),
        ((SIZE_MAX + 1,), False),
        ((SIZE_MAX - 1, 1), True),
        ((SIZE_MAX, 1), False),
        ((SIZE_MAX // 2, SIZE_MAX // 2, 1), False),
    ],
)
def test_a_directory_is_as_large_as_systemd_s_may_be(sizes: tuple[int, ...], fits: bool) -> None:
    asked = delivery({f"k{number}": (f"etc/credstore/{number}", size) for number, size in enumerate(sizes)})
    if fits:
        (directory,) = directories(asked)
        assert [file.size for file in directory.files] == list(sizes)
        return
    with pytest.raises(GuestcredError, match=r"^the credentials of demo\.service are larger than 1 MiB$") as caught:
        directories(asked)
    assert caught.value.status == FINDINGS


def test_everything_that_is_required_and_missing_is_named_at_once() -> None:
    first = delivery({"here": ("etc/credstore/HERE", 1)}, load=(("a", "/etc/a"),), required=("here", "a", "T"))
    second = delivery({}, unit="two.service", load=(("x", "X"),), required=("x",))
    with pytest.raises(GuestcredError) as caught:
        directories(first, second)
    at = "/guest/etc/guestcred/demo.toml"
    assert (caught.value.problem, caught.value.hints, caught.value.status) == (
        f"a (demo.service, {at}), T (demo.service, {at}), x (two.service, {at}) are required, but not found",
        ("create the file /guest/etc/a",),
        FINDINGS,
    )
    for asked, name in ((second, "X"), (delivery({}, unit="two.service", required=("x",)), "x")):
        with pytest.raises(GuestcredError, match=r"^x \(two\.service, .*\) is required, but not found$") as caught:
            directories(asked)
        assert caught.value.hints == (f"find out why: guestcred why {name}",)


def test_an_unknown_user_is_told_with_file_and_key() -> None:
    error = unknown_user(delivery({}).service, "/etc/guestcred/demo.toml")
    assert error.problem == "/etc/guestcred/demo.toml: services.demo.user: there is no user 'svc'"
    assert error.status == FINDINGS and "sysusers.d(5)" in error.hints[0]
