"""Holds what guestcred said in a guest against what PID 1 did there."""

from __future__ import annotations

import os
from collections import Counter

from guestcred.guest.snapshot import parse_table, read_guest
from guestcred.systemd.shown import shown
from vm.booted import Booted
from vm.images import Release
from vm.predict import predict
from vm.scenarios import Scenario


def _shown(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes, hex {value[:64].hex()}"


def _expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: {found!r}, wanted {wanted!r}")


def compare_with_pid1(booted: Booted, scenario: Scenario, release: Release) -> tuple[int, int, int]:
    """(strings offered, credentials predicted, imported); AssertionError names each difference in hexadecimal."""
    guest = read_guest(str(booted.guest))
    _expect(guest.systemd, release.systemd, "systemd's version")
    brought = [initrd.first(release.systemd), initrd.last(release.systemd)] if (initrd := scenario.initrd) else []
    predicted, system = predict(guest, *brought), guest.system or {}
    differences = [
        f"{name!r} (hex {os.fsencode(name).hex()}) under systemd {guest.systemd}: "
        f"guestcred says {_shown(predicted.get(name))}; PID 1 has {_shown(system.get(name))}"
        for name in sorted(predicted.keys() | system.keys())
        if predicted.get(name) != system.get(name)
    ]
    assert not differences, "\n".join(differences)
    strings = sum(
        len(structure.strings)
        for structure in parse_table(guest.table, guest.entry_point).structures
        if structure.type == 11
    )
    return strings, len(predicted), len(system)


def hold_verdict(check: dict[str, object], system: dict[str, bytes]) -> None:
    """What `check` printed in the guest, against PID 1: each name's place, in `@system` or not, and its size."""
    credentials = check["credentials"]
    assert isinstance(credentials, list)
    absent = "missing", "rescued"
    # several names that may be secrets are shown alike
    here = Counter((one["name"], one["size"]) for one in credentials if one["status"] not in absent)
    _expect(here, Counter((shown(name, value), len(value)) for name, value in system.items()), "what check finds there")
    there = {one["name"] for one in credentials if one["status"] in absent} & system.keys()
    _expect(there, set(), "missing or rescued by check, and in @system")


def verify(booted: Booted, scenario: Scenario, release: Release) -> tuple[int, int, int]:
    """Hold one guest's results against PID 1, the scenario and themselves."""
    live = booted.result("guestcred", "check", "--format", "json")
    for result in booted.results:
        assert "Traceback" not in str(result["err"]), result
    if scenario.exit is not None:
        _expect(live["status"], scenario.exit, f"exit status of check ({live['err'] or live['out']})")
    if scenario.exit == 3:
        return 0, 0, 0
    counted = compare_with_pid1(booted, scenario, release)
    _expect(counted[0] > 0, bool(scenario.strings or scenario.structures), "whether strings were offered")
    check = booted.json("check")
    hold_verdict(check, read_guest(str(booted.guest)).system or {})
    credentials, findings = check["credentials"], check["findings"]
    assert isinstance(credentials, list) and isinstance(findings, list)
    counts = Counter(" ".join(filter(None, (credential["status"], credential["cause"]))) for credential in credentials)
    if scenario.counts is not None:
        _expect(dict(counts), scenario.counts(release.systemd), "what check says")
    unexplained = [credential for credential in credentials if credential["cause"] == "unknown"]
    _expect(unexplained, [], "credentials without a cause")
    if scenario.findings is not None:
        _expect({finding["code"] for finding in findings}, scenario.findings, "findings")
    if scenario.verify is not None:
        scenario.verify(booted)
    captured = booted.result("guestcred", "--root", "/run/vm/capture", "check", "--format", "json")
    _expect(captured["out"], live["out"], "check of the capture beside the live one")
    return counted
