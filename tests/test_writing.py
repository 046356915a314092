"""The system calls of one `apply` that writes everything: what is made is nobody else's until it is whole."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from applying import ENVIRONMENT, PROGRAM, apply, offer, put
from needs import memory, need

pytestmark = pytest.mark.root

OLD = '[services.demo]\nuser = "demo-svc-user"\nload = ["key:KEY", "late:LATE"]\n[services.gone]\nuser = "other"\nset = ["a:b"]\n'
NEW = '[services.demo]\nuser = "demo-svc-user"\nload = ["key:KEY", "late:LATE"]\n[services.new]\nuser = "other"\nload = ["key:KEY"]\nset = ["a:b"]\n'
CALLS = "mkdirat,openat,fchown,fchmod,write,linkat,symlinkat,renameat,renameat2,unlinkat,utimensat,close,execve"


class Call(NamedTuple):
    """One call: its name, what it was given (paths of descriptors are told by strace), and what it returned."""

    name: str
    given: str
    returned: str

    @property
    def path(self) -> str:
        """The file behind the first descriptor, and the first name below it."""
        match = re.search(r"\d+<(.*?)>(?:, \"(.*?)\")?", self.given)
        assert match, self
        return f"{match[1]}/{match[2]}" if match[2] is not None else match[1]


@pytest.fixture(scope="module")
def calls() -> Iterator[list[Call]]:
    """What a run does that has old rescues and an old generation to replace."""
    with memory() as folder:
        root = folder / "guest"
        offer(root, {"KEY": "old-key", "LATE": "old-late", "EARLIER": "e"}, ["KEY"])
        put(root, "etc/guestcred/demo.toml", OLD)
        assert apply(root).returncode == 0
        offer(root, {"KEY": "new-key", "LATE": "new-late", "FRESH": "f"}, ["KEY"])
        put(root, "etc/guestcred/demo.toml", NEW)
        log = folder / "log"
        command = [need("strace"), "-f", "-qq", "-y", "-o", str(log), "-e", f"trace={CALLS}"]
        command += [*PROGRAM, "--root", str(root), "apply"]
        assert subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0
        found = []
        for line in log.read_text().splitlines():
            match = re.match(r"\d+ +(\w+)\((.*)\) += (.*)$", line)
            if match and str(root / "run") in match[2]:
                found.append(Call(match[1], match[2].replace(f"{root}/", ""), match[3].replace(f"{root}/", "")))
        yield found


def numbers(calls: list[Call], name: str, pattern: str) -> list[int]:
    found = [n for n, call in enumerate(calls) if call.name == name and re.search(pattern, call.given)]
    assert found, f"no {name} of {pattern}"
    return found


def test_a_new_file_is_new_and_no_link(calls: list[Call]) -> None:
    made = [call.given for call in calls if call.name == "openat" and re.search("O_CREAT|O_TMPFILE", call.given)]
    assert len(made) == 7  # two rescues, four files of services and the report
    for given in made:
        flags = "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC" if "O_CREAT" in given else "O_WRONLY|O_CLOEXEC|O_TMPFILE"
        assert given.endswith(f", {flags}, 0600"), given


def test_whoever_gets_it_gets_it_whole_and_without_the_right_to_write(calls: list[Call]) -> None:
    """In this order for each file: the bytes, the owner, the mode, for a rescue its mark, and for that the name."""
    for number, call in enumerate(calls):
        if call.name != "openat" or not re.search("O_CREAT|O_TMPFILE", call.given):
            continue
        fd = f"{call.returned.partition('<')[0]}<"
        after = [
            other for other in calls[number + 1 :] if other.given.startswith(fd) or f"/fd/{fd[:-1]}" in other.given
        ]
        names = [other.name for other in after[: next(n for n, other in enumerate(after) if other.name == "close") + 1]]
        rest = ["utimensat", "linkat", "close"] if "O_TMPFILE" in call.given else ["close"]
        assert names == ["write", "fchown", "fchmod", *rest], call


def test_a_folder_is_given_away_when_it_is_whole(calls: list[Call]) -> None:
    for unit in ("demo", "new"):
        path = f"run/guestcred/.generation-b/{unit}.service"
        (owned,) = [n for n, call in enumerate(calls) if call.name == "fchown" and call.path == path]
        assert calls[owned + 1].name == "fchmod" and calls[owned + 1].path == path
        below = [n for n, call in enumerate(calls) if call.name != "unlinkat" and call.path.startswith(f"{path}/")]
        assert below and max(below) < owned


def test_one_rename_switches_when_everything_is_there_and_what_is_old_goes_last(calls: list[Call]) -> None:
    (switch,) = numbers(calls, "renameat", r'"\.next", .*"\.current"')
    assert max(n for n, call in enumerate(calls) if call.name in ("openat", "linkat", "symlinkat") and "TMP" not in call.given and "O_CREAT" in call.given) < switch  # fmt: skip
    assert max(numbers(calls, "linkat", "FRESH") + numbers(calls, "symlinkat", "new.service")) < switch
    (replaced,) = numbers(calls, "renameat", r'"\.guestcred-next-0", .*"LATE"')
    removed = [n for n, call in enumerate(calls) if call.name == "unlinkat"]
    assert max(replaced, switch) < min(removed), "nothing that was there goes before the switch"
    assert {calls[n].path for n in removed} == {
        *(f"run/guestcred/.generation-a{below}" for below in ("/report.json", "/demo.service", "/gone.service")),
        *(
            f"run/guestcred/.generation-a/{below}"
            for below in ("demo.service/key", "demo.service/late", "gone.service/a")
        ),
        "run/guestcred/.generation-a",
        "run/guestcred/gone.service",
        "run/credstore/EARLIER",
    }


def test_what_is_removed_is_taken_back_first(calls: list[Call]) -> None:
    """So that its owner can put nothing into it meanwhile: the folder itself, and each in it."""
    for below in ("", "/demo.service", "/gone.service"):
        path = f"run/guestcred/.generation-a{below}"
        taken = max(n for n, call in enumerate(calls) if call.name == "fchown" and call.path == path)
        assert re.search(r", 0, 0$", calls[taken].given) and calls[taken + 1].given.endswith(", 0700")
        first = min(n for n, call in enumerate(calls) if call.name == "unlinkat" and call.path.startswith(path))
        assert taken < first
