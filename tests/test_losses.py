"""What becomes of losses in findings: those that a rescue makes good, those that it does not and why, and units without."""

from __future__ import annotations

import pytest
from test_plan import DISK, ON_PURPOSE, compared, lost

from guestcred.diagnose.causes import CAUSES
from guestcred.diagnose.compare import Comparison
from guestcred.diagnose.findings import Finding
from guestcred.diagnose.rescued import FULL, finding_of, reasons, with_rescues
from guestcred.diagnose.services import Services
from guestcred.guest.credstores import Found
from guestcred.systemd.rules import PAGE, STORE_PAGES

OURS = Found("run/credstore/KEY", True, True)
STALE = Found("run/credstore/KEY", False, True)
THEIRS = Found("etc/credstore/KEY", True, False)
OTHERS = Found("etc/credstore/KEY", False, False)


def why_not(comparison: Comparison, found: Found | None = None) -> list[str]:
    """The first words of why KEY is not rescued; none where it is, or is there already."""
    told = reasons(comparison, {} if found is None else {"KEY": found}, False)
    assert told.keys() <= {"KEY"}
    return [" ".join(reason.split()[:3]) for reason in told.values()]


@pytest.mark.parametrize("found", [None, OURS, STALE, THEIRS])
def test_what_is_rescued_or_there_has_no_reason(found: Found | None) -> None:
    assert why_not(compared(lost()), found) == []
    # where systemd takes nothing on purpose, what is there is there all the same
    assert why_not(compared(lost(cause="container")), found) == ([] if found and found.is_same else ["that is on"])


@pytest.mark.parametrize("found", [None, OURS, STALE, THEIRS])
def test_what_was_not_lost_has_none_either(found: Found | None) -> None:
    assert why_not(compared(lost(loss=None, cause=None)), found) == []


@pytest.mark.parametrize("found", [OURS, THEIRS, OTHERS])
def test_what_is_there_does_not_help_everything(found: Found) -> None:
    assert why_not(compared(lost(cause="unreadable")), found) == ["systemd looks there"]
    assert why_not(compared(lost(), fronts=("KEY",)), found) == ["the table stops"]
    assert why_not(compared(lost(shown="[3 characters hidden]")), found) == ["its name may"]


def test_rescues_that_are_there_take_room_and_keep_it() -> None:
    names = [f"K{number}" for number in range(STORE_PAGES)]
    whole = compared(*(lost(name, size=PAGE) for name in names), lost())
    ours = dict.fromkeys(names, OURS)
    assert reasons(whole, ours, False) == {"KEY": FULL}
    assert reasons(whole, {**ours, "KEY": OURS}, False) == {}
    assert reasons(whole, {**ours, names[0]: THEIRS}, False) == {}


def test_findings_for_what_is_still_lost() -> None:
    comparison = compared(
        lost("A", cause="container"),
        lost("B", cause="container"),
        lost("C", cause="import-disabled"),
        lost("D", loss="differs", cause="altered"),
        lost("E", loss="truncated", cause="altered"),
        lost("F"),
        lost("G"),
        lost("H", loss=None, cause=None),
        findings=(Finding("missing", "as it was", "a fix"), DISK),
    )
    done = with_rescues(comparison, {"G": OTHERS}, False)
    assert [finding.names for finding in done.findings] == [("A", "B"), ("C",), ("D",), ("E",), ("F",), ("G",), ()]
    assert done.findings[-1] == DISK and done.rescued == () and done.verdict == "findings"
    assert done.findings[0].message.endswith(f"; not rescued: {ON_PURPOSE}")
    assert done.findings[4].message == f"F was offered but not imported: {CAUSES['unknown'][0]}"
    told = {credential.name: (credential.status, credential.not_rescued) for credential in done.credentials}
    assert (told["A"], told["F"], told["H"]) == (("missing", ON_PURPOSE), ("missing", None), ("foreign", None))


def test_findings_for_what_is_found_all_the_same() -> None:
    folders = {
        "A": "run/credstore",
        "B": "run/credstore",
        "C": "run/credstore",
        "D": "run/elsewhere",
        "E": "run/credstore",
    }
    comparison = compared(
        lost("A", cause="store-full"),
        lost("B", cause="store-full", shown="a name"),
        lost("C", cause="cut-read"),
        lost("D", cause="store-full"),
        lost("E", cause="store-full"),
        lost("F", cause="store-full"),
    )
    found = {name: Found(f"{folder}/{name}", True, name != "E") for name, folder in folders.items()}
    done = with_rescues(comparison, {**found, "F": Found("run/credstore/F", False, True)}, False)
    # a name that is hidden is rescued by nobody
    assert [finding.names for finding in done.rescued] == [("A",), ("C",), ("D",), ("E",)]
    assert [finding.names for finding in done.findings] == [("a name",), ("F",)]
    assert [credential.found for credential in done.credentials] == [found["A"], None, *map(found.get, "CDE"), None]
    done = with_rescues(compared(*(lost(name) for name in "ABC")), {name: found[name] for name in "ABC"}, False)
    assert [finding.names for finding in done.rescued] == [("A", "B", "C")]
    assert done.findings == () and done.verdict == "fixed"


@pytest.mark.parametrize(
    ("names", "found", "told"),
    [
        ("A", OURS, "A was offered but not imported: {}; it was rescued to /run/credstore, where units find it"),
        (
            "AB",
            OURS,
            "A and B were offered but not imported: {}; they were rescued to /run/credstore, where units find them",
        ),
        (
            "A",
            THEIRS,
            "A was offered but not imported: {}; it is in /etc/credstore, where units find it, and guestcred did not write it",
        ),
        (
            "AB",
            THEIRS,
            "A and B were offered but not imported: {}; they are in /etc/credstore, where units find them, "
            "and guestcred did not write them",
        ),
    ],
)
def test_what_is_said_of_a_rescue(names: str, found: Found, told: str) -> None:
    sentence, fix = CAUSES["store-full"]
    made = finding_of(*(lost(name, cause="store-full", found=found) for name in names))
    assert made == Finding("rescued", told.format(sentence), fix, names=tuple(names), cause="store-full")


@pytest.mark.parametrize("found", [None, OURS])
def test_a_loss_without_a_cause_has_that_of_nobody_knows(found: Found | None) -> None:
    assert finding_of(lost(cause=None, found=found)).cause == "unknown"


def test_units_that_go_without_are_asked_for_once_something_is_found() -> None:
    finding = Finding("undelivered", "demo.service has not KEY", "restart it", names=("KEY",))
    other = Finding("undelivered", "demo.service has not OTHER", "restart it", names=("OTHER",))
    services = Services(systemd=257, services=(), findings=(finding, other), managers=(), lacking=(), lost={})
    done = with_rescues(compared(lost()), {"KEY": OURS}, False, lambda: services)
    assert done.findings == (finding,) and len(done.rescued) == 1
    assert with_rescues(compared(lost()), {"KEY": OURS}, False, lambda: None).findings == ()
    (left,) = with_rescues(compared(lost()), {"KEY": STALE}, False, lambda: services).findings
    assert left.code == "missing"
