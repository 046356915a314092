"""Holds what `services` foresaw for each unit of the table against what PID 1 did with it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from vm.booted import Booted
from vm.units_table import CASES, FILES

UNITS = ("python3", "/run/vm/units_guest.py", "/run/vm/units.json")
UNITS_FILES = {
    "units_guest.py": Path(__file__).with_name("units_guest.py").read_bytes(),
    "units.json": json.dumps(
        {
            "files": FILES,
            "cases": [{"unit": case.unit, "lines": case.lines, "start": case.start} for case in CASES],
        }
    ).encode(),
}
REFUSED = {"refused", "required"}


def foreseen(document: dict[str, Any]) -> set[str]:
    """The units that cannot start, by what `services` found."""
    found = (finding for finding in document["findings"] if finding["code"] in REFUSED)
    return {finding["message"].split(" ", 1)[0] for finding in found}


def counted(booted: Booted) -> Counter[str]:
    """How the units of the table fared, and how many of each kind were foreseen; AssertionError names every wrong one."""
    seen = json.loads(str(booted.result(*UNITS)["out"]))
    shown, told = seen["shown"], foreseen(seen["before"])
    systemd = seen["before"]["systemd"]
    kernel = str(seen["kernel"])
    entries = map(json.loads, seen["journal"].splitlines())
    refused = {entry["UNIT"] for entry in entries if "step CREDENTIALS" in entry["MESSAGE"]}
    wrong, counts = [], Counter[str]()
    for case in CASES:
        state = shown[case.unit]
        failed = state["Result"] != "success"
        counts["units"] += 1
        counts["ended with 243"] += case.unit in refused
        counts["failed in another way"] += failed and case.unit not in refused
        counts["failed and foreseen"] += failed and case.unit in told
        counts["failed, and not foreseen"] += failed and case.unit not in told
        chance = case.expected(systemd, kernel) is None
        counts["false alarms"] += case.unit in told and not failed and not chance
        if failed != (case.unit in told) and not chance:
            wrong.append(f"{case.name}: foreseen {case.unit in told}, {state}")
        if not chance and failed != case.expected(systemd, kernel):
            wrong.append(f"{case.name}: the table says {case.expected(systemd, kernel)}, {state}")
    (booted.folder / "units-counted.json").write_text(json.dumps(counts))
    assert not wrong, "\n".join(wrong)
    return counts


def _judged(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """What was said of each credential; the noise for a name may sort elsewhere."""
    keys = ("id", "state", "reason", "size")
    return sorted(
        (service["unit"], str(service["failure"]), str(service["refused"]), *(str(outcome[key]) for key in keys))
        for service in document["services"]
        for outcome in service["credentials"]
    )


def verify_units(booted: Booted) -> None:
    counts = counted(booted)
    assert counts["ended with 243"] > 30, counts
    seen = json.loads(str(booted.result(*UNITS)["out"]))
    after = {service["unit"]: service for service in seen["after"]["services"]}
    for case in CASES:
        words = after[case.unit]["failure"] if case.unit in after else None
        ended = case.unit in {entry["UNIT"] for entry in map(json.loads, seen["journal"].splitlines())}
        assert ended == ("step CREDENTIALS" in (words or "")), (case.name, words)
    sizes = 0
    for service in after.values():
        for outcome in service["credentials"]:
            kind, size = FILES.get(outcome["source"] or "", ("", ""))
            if outcome["state"] == "delivered" and kind == "file":
                # the file that wins by our rules is the one that PID 1 delivered: they all differ in size
                assert outcome["size"] == int(size), (service["unit"], outcome)
                sizes += 1
    assert sizes >= 5, after
    captured = json.loads(
        str(booted.result("guestcred", "--root", "/run/vm/capture", "services", "--format", "json")["out"])
    )
    assert _judged(captured) == _judged(seen["after"]), "the capture is judged in another way"
    assert {"g-runs.service", "g-forks.service"} <= {unit for unit, service in after.items() if service["running"]}
    assert "g-runs.service" in seen["alias"] and "is masked" in seen["masked"], (seen["alias"], seen["masked"])
    not_given = [finding for finding in seen["after"]["findings"] if finding["code"] == "not-given"]
    assert [finding["message"].split(" ", 1)[0] for finding in not_given] == ["g-socket.socket"], not_given
