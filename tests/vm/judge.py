"""`make judge`: systemd's own tests of credentials run in real guests, and what guestcred says at each step is held against them.

A step is a start of a unit with credentials, a look of the test's into a folder of them, a credential in /run/credstore, or
one of the system.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from vm.boot import WITH_US, boot
from vm.booted import Booted
from vm.images import JUDGES, OUT, CannotRun, Image, Release, build_image, package, ready
from vm.systemd_tests import TESTS, SystemdTest

# what the tests need beside their packages; 4711 is the user whose manager their units want
FINISH = "systemctl unmask systemd-logind.service systemd-userdbd.socket; useradd --create-home --uid 4711 testuser"
COLUMNS = ("system", "start", "later", "stored", "a user's", "agree", "disagree")
HAS, WILL_HAVE = {"delivered", "unreadable"}, {"ready"}  # states of what a unit is given


@contextlib.contextmanager
def tpm() -> Iterator[tuple[str, ...]]:
    """QEMU's arguments for a new TPM 2, which swtpm plays for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="guestcred-tpm-") as folder, socket.socket(socket.AF_UNIX) as control:
        path = f"{folder}/control"
        control.bind(path)
        control.listen()  # so that QEMU may connect at once
        fd = control.fileno()
        command = [
            *WITH_US, "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--ctrl", f"type=unixio,fd={fd}",
        ]  # fmt: skip
        with subprocess.Popen(command, pass_fds=[fd]) as swtpm:
            try:
                yield (
                    "-chardev", f"socket,id=control,path={path}",
                    "-tpmdev", "emulator,id=tpm,chardev=control",
                    "-device", "tpm-tis,tpmdev=tpm",
                )  # fmt: skip
            finally:
                swtpm.kill()


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
    if step["kind"] == "stored":
        said = [stage["evidence"] for stage in step["why"]["stages"] if stage["stage"] == "stored"]
        return [] if step["evidence"] in said else [f"why says {said}, and it is {step['evidence']}"]
    wrong = list(_differences("seen", _given(step["seen"], HAS), step["found"]))
    if step["kind"] == "start":
        wrong += _differences("foreseen", _given(step["foreseen"], WILL_HAVE), step["found"])
        wrong += [f"other bytes than foreseen: {name}" for name in step["unlike"]]
        # it did start, with all that it wanted; whether it got something still encrypted, the bytes have shown
        told = [finding for told in (step["foreseen"], step["seen"]) for finding in told["findings"]]
        messages = dict.fromkeys(finding["message"] for finding in told if finding["code"] != "undecrypted")
        wrong += [f"a finding without a reason: {message}" for message in messages]
    return wrong


def is_about_credentials(step: dict[str, Any]) -> bool:
    """Whether there is something to judge: most units request nothing, and get nothing."""
    if "error" in step or step["kind"] == "stored":
        return True
    return bool(step["found"] or any(step[told][part] for told in ("foreseen", "seen") for part in step[told]))


def of_the_system(test: SystemdTest, booted: Booted) -> Iterator[tuple[str, list[str]]]:
    """Each credential of the system, and where `check` or `why` says another way of it than it went."""
    credentials: Any = booted.json("check")["credentials"]
    checked = {one["name"]: (one["status"], one["cause"]) for one in credentials}
    for name, words in test.words.items():
        why = booted.json("why", name)
        said = {"check": checked.pop(name, ("not-offered", None)), "why": (why["status"], why["cause"])}
        yield name, [f"{command} says {told}, and it is {words}" for command, told in said.items() if told != words]
    yield from ((name, [f"check says {told}, and nobody sent it"]) for name, told in checked.items())


def judged(test: SystemdTest, booted: Booted) -> tuple[Counter[str], list[str]]:
    """The counts of steps by kind, and every disagreement. AssertionError where the test itself did not pass, or had no step."""
    result = booted.result(*test.run)
    assert result["status"] == 0, result["err"]
    seen = json.loads(str(result["out"]))
    (booted.folder / "judge.json").write_text(json.dumps(seen, indent=1))
    assert seen["result"] == "success", seen["said"]
    counts, wrong = Counter[str](), []
    judgements = [("system", name, told) for name, told in of_the_system(test, booted)]
    for step in seen["steps"]:
        if is_about_credentials(step):
            counts["a user's"] += bool(step["user"])
            judgements.append((step["kind"], f"{step['unit']} ({step['program']})", disagreements(step)))
    for line in seen["refused"].splitlines():
        entry = json.loads(line)
        if "step CREDENTIALS" in entry["MESSAGE"]:
            unit = entry.get("UNIT") or entry["USER_UNIT"]
            judgements.append(("start", unit, ["it failed at its credentials, and nobody looked"]))
    assert judgements, f"nothing to judge; was it left out?\n{seen['said']}"
    for kind, what, told in judgements:
        counts[kind] += 1
        counts["disagree" if told else "agree"] += 1
        wrong += [f"{what}: {words}" for words in told]
    return counts, wrong


def image(release: Release) -> Image:
    """The release's guest with systemd's tests."""
    return build_image(release, package(), OUT / "images", name="tests", finish=FINISH)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", action="append", choices=[release.name for release in JUDGES])
    parser.add_argument("--test", action="append", choices=[test.name for test in TESTS])
    asked = parser.parse_args()
    try:
        ready()
    except CannotRun as error:
        print(f"judge: {error}", file=sys.stderr)
        return 3
    print(_row("", "", "systemd", *COLUMNS, "seconds"))
    everything: list[str] = []
    for test in TESTS:
        for release in JUDGES:
            if test.name not in (asked.test or [test.name]) or release.name not in (asked.release or [release.name]):
                continue
            lacks = test.lacks(release.systemd)
            if lacks is not None:
                print(f"{test.name:<18}{release.name:<15} left out: {lacks}", flush=True)
                continue
            with tpm() if test.tpm else contextlib.nullcontext(()) as extra:
                out = OUT / "runs" / f"{test.scenario.name}-{release.name}"
                booted = boot(image(release), test.scenario, out, extra)
            counts, wrong = judged(test, booted)
            cells = (counts[column] for column in COLUMNS)
            print(_row(test.name, release.name, release.systemd, *cells, round(booted.seconds)), flush=True)
            everything += [f"{test.name} {release.name}: {words}" for words in wrong]
    print("\n".join(["", *everything] if everything else []))
    return 1 if everything else 0


def _row(test: str, release: str, *cells: object) -> str:
    return f"{test:<18}{release:<15}" + "".join(f"{cell:>10}" for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
