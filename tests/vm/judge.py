"""`make judge`: systemd's own test of credentials runs in real guests, and what guestcred says at each step is held against it.

A step is a start of a unit with credentials, a look of the test's into a folder of them, or a credential of the system.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vm.boot import boot
from vm.booted import Booted
from vm.images import JUDGES, OUT, CannotRun, Image, Release, build_image, package, ready
from vm.scenarios import Initrd, Scenario, text

TEST = "TEST-54-CREDS"
GUEST = Path(__file__).with_name("judge_guest.py")
RUN = ("python3", "/run/vm/judge_guest.py", TEST)
# what the test needs beside its packages; 4711 is the user whose manager its unit wants
FINISH = "systemctl unmask systemd-logind.service systemd-userdbd.socket; useradd --create-home --uid 4711 testuser"

# what systemd's test/integration-tests/TEST-54-CREDS/meson.build has the hypervisor hand over
SMBIOS = {
    "mynspawncredential": b"strangevalue",
    "smbioscredential": b"magicdata",
    "sysusers.extra": b"u credtestuser",
    "tmpfiles.extra": b"f /tmp/sourcedfromcredential - - - - tmpfilessecret",
    "fstab.extra": b"injected /injected tmpfs X-mount.mkdir 0 0",
    "getty.ttys.container": b"idontexist",
}
BINARY = {
    "binarysmbioscredential": b"magicbinarydata",
    "systemd.extra-unit.my-service.service": b"[Service]\nType=oneshot\nExecStart=touch /tmp/unit-cred\n",
    "systemd.unit-dropin.my-service.service": b"[Service]\nExecStart=touch /tmp/unit-dropin\n",
    "systemd.unit-dropin.my-service.service~30-named": b"[Service]\nExecStart=touch /tmp/unit-named-dropin\n",
}
FW_CFG = {"myqemucredential": b"othervalue"}
CMDLINE = {
    "kernelcmdlinecred": "uff",
    "sysctl.extra": "kernel.domainname=sysctltest",
    "login.motd": "hello",
    "login.issue": "welcome",
}
CMDLINE_BINARY = {"waldi": "d29vb29mZmZ3dWZmZnd1ZmYK"}
HANDED = {"myinitrdcred": b"guatemala"}
WORDS = {  # what `check` and `why` must say: status and cause
    **dict.fromkeys((*SMBIOS, *BINARY), ("imported", None)),
    **dict.fromkeys(FW_CFG, ("foreign", "fw-cfg")),
    **dict.fromkeys((*CMDLINE, *CMDLINE_BINARY), ("foreign", "cmdline")),
    **dict.fromkeys(HANDED, ("foreign", "initrd")),
    **dict.fromkeys(("this-should-not-exist", "undefinedcredential"), ("not-offered", None)),
}
HAS, WILL_HAVE = {"delivered", "unreadable"}, {"ready"}  # states of what a unit is given


def scenario() -> Scenario:
    """What the test expects of its machine."""
    return Scenario(
        "judge",
        (
            *(text(name, value) for name, value in SMBIOS.items()),
            *(b"io.systemd.credential.binary:%s=%s" % (name.encode(), base64.b64encode(value)) for name, value in BINARY.items()),
        ),
        fw_cfg=FW_CFG,
        cmdline=" ".join((
            *(f"systemd.set_credential={name}:{value}" for name, value in CMDLINE.items()),
            *(f"systemd.set_credential_binary={name}:{value}" for name, value in CMDLINE_BINARY.items()),
            "rd.systemd.import_credentials=no",
        )),
        initrd=Initrd(extra={}, handed=HANDED),
        files={"judge_guest.py": GUEST.read_bytes()},
        commands=(RUN, *(("guestcred", "why", name, "--format", "json") for name in WORDS)),
        limit=3000,
    )  # fmt: skip


def _given(told: dict[str, Any], states: set[str]) -> dict[str, int | None]:
    """What is in one of these states: id to size, None where it is not known."""
    return {
        outcome["id"]: outcome["size"]
        for service in told["services"]
        for outcome in service["credentials"]
        if outcome["state"] in states
    }


def _differences(words: str, given: dict[str, int | None], found: dict[str, int]) -> Iterator[str]:
    yield from (f"{words} {name}, which is not there" for name in sorted(given.keys() - found.keys()))
    yield from (f"not {words}: {name}" for name in sorted(found.keys() - given.keys()))
    for name in sorted(given.keys() & found.keys()):
        if given[name] not in (None, found[name]):
            yield f"{words} {name} with {given[name]} bytes, and it has {found[name]}"


def disagreements(step: dict[str, Any]) -> list[str]:
    """Where a step of the test's shows that guestcred was wrong: at a start all is held, later only what it sees."""
    if "error" in step:
        return [step["error"]]
    wrong = list(_differences("seen", _given(step["seen"], HAS), step["found"]))
    if step["kind"] == "start":
        wrong += _differences("foreseen", _given(step["foreseen"], WILL_HAVE), step["found"])
        wrong += [f"other bytes than foreseen: {name}" for name in step["unlike"]]
        # it did start, with all that it wanted
        said = {finding["message"]: None for told in (step["foreseen"], step["seen"]) for finding in told["findings"]}
        wrong += [f"a finding without a reason: {message}" for message in said]
    return wrong


def is_about_credentials(step: dict[str, Any]) -> bool:
    """Whether there is something to judge: most units request nothing, and get nothing."""
    if "error" in step:
        return True
    return bool(step["found"] or any(step[told][part] for told in ("foreseen", "seen") for part in step[told]))


def of_the_system(booted: Booted) -> Iterator[tuple[str, list[str]]]:
    """Each credential of the system, and where `check` or `why` says another way of it than it went."""
    credentials: Any = booted.json("check")["credentials"]
    checked = {one["name"]: (one["status"], one["cause"]) for one in credentials}
    for name, words in WORDS.items():
        why = booted.json("why", name)
        said = {"check": checked.pop(name, ("not-offered", None)), "why": (why["status"], why["cause"])}
        yield name, [f"{command} says {told}, and it is {words}" for command, told in said.items() if told != words]
    yield from ((name, [f"check says {told}, and nobody sent it"]) for name, told in checked.items())


def judged(booted: Booted) -> tuple[Counter[str], list[str]]:
    """The counts of steps by kind, and every disagreement. AssertionError where the test itself did not pass."""
    result = booted.result(*RUN)
    assert result["status"] == 0, result["err"]
    seen = json.loads(str(result["out"]))
    (booted.folder / "judge.json").write_text(json.dumps(seen, indent=1))
    assert seen["result"] == "success", seen["said"]
    counts, wrong = Counter[str](), []
    judgements = [("system", name, told) for name, told in of_the_system(booted)]
    for step in seen["steps"]:
        if step["kind"] == "a user's":
            counts["a user's"] += 1
        elif is_about_credentials(step):
            judgements.append((step["kind"], f"{step['unit']} ({step['program']})", disagreements(step)))
    for line in seen["refused"].splitlines():
        entry = json.loads(line)
        if "step CREDENTIALS" in entry["MESSAGE"]:
            judgements.append(("start", entry["UNIT"], ["it failed at its credentials, and nobody looked"]))
    for kind, what, told in judgements:
        counts[kind] += 1
        counts["agree"] += not told
        wrong += [f"{what}: {words}" for words in told]
    return counts, wrong


def image(release: Release) -> Image:
    """The release's guest with systemd's tests."""
    return build_image(release, package(), OUT / "images", name="tests", finish=FINISH)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=[release.name for release in JUDGES])
    asked = parser.parse_args()
    try:
        ready()
    except CannotRun as error:
        print(f"judge: {error}", file=sys.stderr)
        return 3
    columns = ("system", "start", "later", "agree")
    print(f"{TEST:<16}" + "".join(f"{word:>11}" for word in ("systemd", *columns, "disagree", "a user's", "seconds")))
    everything: list[str] = []
    for release in JUDGES:
        if asked.release is None or release.name in asked.release:
            booted = boot(image(release), scenario(), OUT / "runs" / f"judge-{release.name}")
            counts, wrong = judged(booted)
            steps = counts["system"] + counts["start"] + counts["later"]
            row = (
                release.systemd,
                *(counts[column] for column in columns),
                steps - counts["agree"],
                counts["a user's"],
            )
            print(f"{release.name:<16}" + "".join(f"{cell:>11}" for cell in (*row, round(booted.seconds))), flush=True)
            everything += [f"{release.name}: {words}" for words in wrong]
    print("\n".join(["", *everything] if everything else []))
    return 1 if everything else 0


if __name__ == "__main__":
    sys.exit(main())
