"""What a guest with the package must look like: services have their credentials, others cannot read them."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from guestcred.guest.snapshot import parse_table, read_guest
from guestcred.systemd.offered import Accepted, judge
from vm.booted import Booted

UNIT = "demo-oem-credentials.service"
DEMO = {"api-key": "API_KEY", "db-password": "DB_PASSWORD", "jwt-secret": "JWT_SECRET", "environment": "ENVIRONMENT", "cluster": "CLUSTER"}  # fmt: skip
LEGACY = {"api-key": "API_KEY", "db-password": "DB_PASSWORD", "JWT_SECRET": "JWT_SECRET"}
RAN, SKIPPED, UNTOUCHED = "ran", "skipped", "untouched"
EXPOSURE_MAX = 1.5  # of 10, systemd-analyze security

SHOW = "ActiveState,Result,ExecMainStatus,StatusText,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic"
SEEN = ("cat", "/run/demo/seen")
STATE = ("systemctl", "show", f"--property={SHOW}", "guestcred.service")
EARLY = ("systemctl", "show", f"--property={SHOW},ConditionResult", "guestcred-rescue.service")
LOOK = ("systemctl", "show", "--property=ExecMainStartTimestampMonotonic", "guestcred-look.service")
DEMO_STATE = ("systemctl", "show", "--property=ExecMainStartTimestampMonotonic", UNIT)
OTHER = ("runuser", "-u", "other-user", "--", "sh", "-c", f"cat /run/guestcred/legacy-program.service/* /run/credentials/{UNIT}/* /run/credstore/*")  # fmt: skip
OWN = ("runuser", "-u", "demo-svc-user", "--", "sh", "-c", "cd /run/guestcred/legacy-program.service && sha256sum *")
MODES = ("find", "/run/guestcred/legacy-program.service/", "/run/credstore", "-printf", "%p %u:%g %m\\n")
AGAIN = ("guestcred", "apply")
SERVICES = ("guestcred", "services", "--format", "json")
REPORT = ("cat", "/run/guestcred/report.json")
JOURNAL = ("journalctl", "--boot", "--output=json", "SYSLOG_IDENTIFIER=guestcred")
UNITS = ("guestcred.service", "guestcred-rescue.service", "guestcred-report.service")
SECURITY = ("systemd-analyze", "security", "--no-pager", *UNITS)
TIME = ("systemd-analyze", "time")
CHAIN = ("systemd-analyze", "critical-chain", "--no-pager", "multi-user.target")
ALL_JOURNAL = ("journalctl", "--boot", "--output=export")
RUNNING = ("systemctl", "is-system-running", "--wait")
SWAP = ("findmnt", "--noheadings", "--output=FSTYPE,OPTIONS", "--target", "/run/guestcred")
COMMANDS = (
    RUNNING,
    SEEN,
    STATE,
    LOOK,
    DEMO_STATE,
    OTHER,
    OWN,
    MODES,
    SWAP,
    AGAIN,
    SERVICES,
    REPORT,
    JOURNAL,
    ALL_JOURNAL,
    SECURITY,
    TIME,
    CHAIN,
)


@dataclass(frozen=True)
class Rescue:
    """`delivered`: whether the demo unit must have its five, and all that was lost be rescued; `status`: of `guestcred apply`.

    `early`: what became of `guestcred-rescue.service`: RAN, SKIPPED since `guestcred-look.service` saw that nothing was lost, or
    UNTOUCHED since PID 1 saw it by its own conditions.
    """

    delivered: bool
    status: int
    early: str = RAN


@dataclass(frozen=True)
class Cost:
    """What the unit took: its own milliseconds beside the boot's, its exposure, and whether it held up the boot."""

    own: float
    boot: str
    exposure: float
    critical: bool


def _equal(found: object, wanted: object, what: str) -> None:
    assert found == wanted, f"{what}: {found!r}, wanted {wanted!r}"


def verify_rescue(booted: Booted, rescue: Rescue) -> Cost:
    """Hold a guest against what it should be after `guestcred.service` ran; AssertionError says what is amiss."""
    guest = read_guest(str(booted.guest))
    values = {
        verdict.name: verdict.value
        for verdict in judge(parse_table(guest.table, guest.entry_point).structures, guest.systemd)
        if isinstance(verdict, Accepted)
    }
    digests = {name: hashlib.sha256(value).hexdigest() for name, value in values.items()}
    state, early, demo = (_properties(booted, command) for command in (STATE, EARLY, DEMO_STATE))
    _verify_early(booted, early, rescue)
    if rescue.early == RAN and rescue.delivered:
        ends, starts = early["ExecMainExitTimestampMonotonic"], demo["ExecMainStartTimestampMonotonic"]
        assert 0 < int(ends) <= int(starts), f"the demo unit did not wait for the rescue: {early}, {demo}"
    _equal(int(state["ExecMainStatus"]), rescue.status, f"exit status of guestcred.service ({state})")
    _equal(state["ActiveState"], "failed" if rescue.status else "active", "guestcred.service")
    assert state["StatusText"], "guestcred.service told systemd nothing"
    # "ID SIZE DIGEST -" a line, and the ID alone for what was not there
    seen = [line.split()[:3] for line in str(booted.result(*SEEN)["out"]).splitlines()]
    wanted = [f"{id} {len(values[name])} {digests[name]}" for id, name in DEMO.items()]
    _equal(
        [" ".join(line) for line in seen if len(line) == 3],
        wanted if rescue.delivered else [],
        "what the demo unit read",
    )
    if rescue.delivered:
        _equal([len(values[name]) for name in DEMO.values()], [44, 44, 88, 4, 15], "the reference flow's sizes")
    lost = {name: digest for name, digest in digests.items() if name not in (guest.system or {})}
    rescued = len(lost) if rescue.delivered else 0
    _verify_folder(booted, rescue, digests, lost)
    _verify_told(booted, rescue, list(values.values()), rescued)
    _verify_services(booted, rescue)
    security = str(booted.result(*SECURITY)["out"])
    found = dict(re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", security))
    assert found.keys() == set(UNITS), security
    exposure = max(map(float, found.values()))
    assert exposure <= EXPOSURE_MAX, f"exposure {found}: {security}"
    own = int(early["ExecMainExitTimestampMonotonic"]) - int(early["ExecMainStartTimestampMonotonic"])
    chain = str(booted.result(*CHAIN)["out"])
    boot = re.findall(r"= ([^\n]*?)\s*(?:\n|$)", str(booted.result(*TIME)["out"]))
    return Cost(own / 1000, boot[0] if boot else "unknown", exposure, "guestcred-rescue.service" in chain)


def _properties(booted: Booted, command: tuple[str, ...]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in str(booted.result(*command)["out"]).splitlines())


def _verify_early(booted: Booted, state: dict[str, str], rescue: Rescue) -> None:
    _equal(
        state["ConditionResult"], "yes" if rescue.early == RAN else "no", f"PID 1's conditions of the rescue ({state})"
    )
    if rescue.early != RAN:
        looked = int(_properties(booted, LOOK)["ExecMainStartTimestampMonotonic"]) > 0
        _equal(looked, rescue.early == SKIPPED, "whether guestcred-look.service ran")
        _equal(int(state["ExecMainStartTimestampMonotonic"]), 0, "start of a rescue that nobody needs")
        _equal(state["ActiveState"], "inactive", "guestcred-rescue.service")
        return
    _equal(int(state["ExecMainStatus"]), rescue.status, f"exit status of guestcred-rescue.service ({state})")
    _equal(state["ActiveState"], "failed" if rescue.status else "active", "guestcred-rescue.service")


def _verify_folder(booted: Booted, rescue: Rescue, digests: dict[str, str], lost: dict[str, str]) -> None:
    """The directory of a program that systemd does not start, and the rescues: who may read them."""
    own = {name: digest for digest, name in (line.split() for line in str(booted.result(*OWN)["out"]).splitlines())}
    given = {id: digests[name] for id, name in LEGACY.items()} if rescue.delivered else {}
    _equal(own, {**given, "region": hashlib.sha256(b"eu").hexdigest()}, "the service directory as its user reads it")
    other = booted.result(*OTHER)
    assert other["out"] == "" and other["status"] != 0, "another user could read a credential"
    modes = str(booted.result(*MODES)["out"]).splitlines()
    folder = "/run/guestcred/legacy-program.service/"
    wanted = [f"{folder} demo-svc-user:root 500", *(f"{folder}{id} demo-svc-user:root 400" for id in own)]
    stored = lost if rescue.delivered else {}
    if stored:
        wanted += ["/run/credstore root:root 700"]
        wanted += [f"/run/credstore/{name} root:root 400" for name in stored]
    _equal(sorted(line for line in modes if stored or "credstore" not in line), sorted(wanted), "owners and modes")


def _verify_services(booted: Booted, rescue: Rescue) -> None:
    """`guestcred services`, live and on the capture: who has what, and whether its user can read it."""
    live = booted.json("services")
    captured = booted.result("guestcred", "--root", "/run/vm/capture", "services", "--format", "json")
    _equal(json.loads(str(captured["out"])), _below(live), "services of the capture beside the live one")
    units = live["services"]
    assert isinstance(units, list)
    # newer systemd removes the folder when the main process ends, even under RemainAfterExit=
    ended = ("delivered", True) if live["systemd"] in (252, 254) else ("ready", None)
    states = {
        (unit["unit"], file["id"]): (file["state"], file["readable"]) for unit in units for file in unit["credentials"]
    }
    for unit, files, with_source in ((UNIT, DEMO, ended), ("legacy-program.service", LEGACY, ("delivered", True))):
        for id in files:
            wanted = with_source if rescue.delivered else ("skipped", None)
            if id == "JWT_SECRET" and not rescue.delivered:
                id, wanted = "JWT_*", ("nothing", None)
            _equal(states.get((unit, id)), wanted, f"{id} of {unit}")


def _below(document: object) -> object:
    """The same with every path as the capture's root makes it."""
    match document:
        case dict():
            return {key: _below(value) for key, value in document.items()}
        case list():
            return [_below(value) for value in document]
        case str():
            return re.sub(r"(?<![\w.%])/(?=(run/cred|etc/cred|usr/l))", "/run/vm/capture/", document)
    return document


def _verify_told(booted: Booted, rescue: Rescue, values: list[bytes], rescued: int) -> None:
    """The report, the journal, and a second run: what they say, and that no value is in any of it."""
    report = json.loads(str(booted.result(*REPORT)["out"]))
    _equal(len(report["rescued"]), rescued, "rescued, by the report")
    again = booted.result(*AGAIN)
    _equal(again["status"], rescue.status, f"a second apply ({again['out']}{again['err']})")
    assert "nothing to change" in str(again["out"]), f"a second apply changed something: {again['out']}"
    entries = [json.loads(line) for line in str(booted.result(*JOURNAL)["out"]).splitlines()]
    names = [entry for entry in entries if "GUESTCRED_STATUS" in entry and "MESSAGE_ID" in entry]
    assert bool(names) == bool(rescued or rescue.status), f"journal entries: {entries}"
    told = "".join(f"{result['out']}{result['err']}" for result in booted.results)
    shown = [value.decode() for value in values if len(value) > 20 and value.decode() in told]
    assert not shown, f"{len(shown)} values stand in what was printed or logged"
