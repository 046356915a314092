"""From PID 1's properties to requests, and records to JSON and back."""

from __future__ import annotations

import json

import pytest

from guestcred.record import from_json, to_json
from guestcred.systemd.requests import Request, Unit, full_name, parse_unit

SECRET = b"hunter2hunter2"
PROPERTIES = {
    "LoadCredential": [("b", "B"), ("a", "/etc/a")],
    "LoadCredentialEncrypted": [("c", "C")],
    "SetCredential": [("region", SECRET)],
    "SetCredentialEncrypted": [],
    "User": "svc",
    "UID": 901,
    "MainPID": 42,
    "ExecStart": [("/bin/x", ["/bin/x"], False, 0, 0, 0, 0, 0, 0, 0)],
    "ExecStop": [],
}


def test_a_unit_of_systemd_252() -> None:
    unit = parse_unit("x.service", "active", PROPERTIES)
    assert unit.requests == (
        Request("LoadCredential", "a", "/etc/a", True, None),
        Request("LoadCredential", "b", "B", False, None),
        Request("LoadCredentialEncrypted", "c", "C", False, None),
        Request("SetCredential", "region", "", False, 14),
    )
    assert (unit.user, unit.uid, unit.running, unit.only_stops) == ("svc", 901, True, False)
    assert unit.folder == "run/credentials/x.service"
    assert SECRET.decode() not in repr(unit) + repr(unit.requests) + json.dumps(to_json(unit))


def test_imports_with_and_without_renames() -> None:
    def imports(**properties: object) -> list[tuple[str, str]]:
        return [(request.source, request.id) for request in parse_unit("x.service", "active", properties).requests]

    assert imports(ImportCredential=["TLS_*", "A"]) == [("TLS_*", ""), ("A", "")]
    assert imports(ImportCredential=["TLS_*"], ImportCredentialEx=[("TLS_*", ""), ("my.*", "new.")]) == [
        ("TLS_*", ""),
        ("my.*", "new."),
    ]


def test_a_unit_without_a_user_or_process() -> None:
    unit = parse_unit("x.mount", "inactive", {"UID": 0xFFFFFFFF, "User": ""})
    assert (unit.user, unit.uid, unit.running, unit.only_stops, unit.requests) == ("", None, False, False, ())


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ({"ExecStop": [1]}, True),
        ({"ExecStopPost": [1]}, True),
        ({"ExecStop": [1], "ExecStart": [1]}, False),
        ({"ExecStop": [1], "ExecStartPre": [1]}, False),
        ({}, False),
    ],
)
def test_units_that_run_commands_to_stop_only(commands: dict[str, list[int]], expected: bool) -> None:
    assert parse_unit("x.service", "active", commands).only_stops is expected


def test_names_as_systemctl_takes_them() -> None:
    assert [full_name(name) for name in ("a", "a.service", "a.b", "a.socket", "a@b")] == [
        "a.service", "a.service", "a.b.service", "a.socket", "a@b.service",
    ]  # fmt: skip


def test_records_come_back_from_json() -> None:
    unit = parse_unit("x.service", "active", PROPERTIES)
    assert from_json(Unit, json.loads(json.dumps(to_json(unit))), requests=Request) == unit


@pytest.mark.parametrize(
    "damage",
    [{"name": 1}, {"name": "\x1b[31m"}, {"running": 1}, {"uid": True}, {"requests": [{}]}, {"requests": {}}, {"more": 1}],
)  # fmt: skip
def test_anything_else_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Unit|Request"):
        from_json(Unit, to_json(parse_unit("x.service", "active", PROPERTIES)) | damage, requests=Request)
    with pytest.raises(ValueError, match="Unit"):
        from_json(Unit, [])


@pytest.mark.parametrize(
    ("name", "state", "properties", "expected"),
    [
        ("x.service", "running", {"MainPID": 0}, True),  # Type=forking without a main process
        ("x.service", "exited", {"MainPID": 0}, False),
        ("x.service", "start", {"MainPID": 7}, True),
        ("x.socket", "running", {}, False),  # its service runs
    ],
)
def test_whether_a_unit_runs(name: str, state: str, properties: dict[str, object], expected: bool) -> None:
    assert parse_unit(name, "active", properties, state).running is expected


def ended(code: int, status: int) -> list[tuple[object, ...]]:
    return [("/bin/x", ["/bin/x"], False, 1, 1, 2, 2, 7, code, status)]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"Result": "exit-code", "ExecMainCode": 1, "ExecMainStatus": 243}, ""),
        ({"Result": "exit-code", "ExecMainCode": 1, "ExecMainStatus": 1}, None),
        ({"Result": "signal", "ExecMainCode": 2, "ExecMainStatus": 243}, None),
        ({"Result": "success", "ExecMainCode": 1, "ExecMainStatus": 243}, None),  # SuccessExitStatus=243
        ({"Result": "exit-code", "ExecMainCode": 0, "ExecMainStatus": 0, "ExecStartPre": ended(1, 243)}, ""),
        ({"Result": "exit-code", "ExecStartPre": ended(1, 0), "ExecMount": ended(1, 32)}, None),
        ({}, None),
    ],
)
def test_whether_it_failed_at_its_credentials(properties: dict[str, object], expected: str | None) -> None:
    assert parse_unit("x.service", "failed", properties).failure == expected
