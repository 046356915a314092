"""What the whole flow has shown so far: each credential at each stage without its value, and each claim."""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Seen = dict[str, Any]  # "owner", "mode", "size" in bytes, "sha256"
AT_REST = "secret, at rest"  # the one stage where no digest may be equal


def digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def described(found: os.stat_result, value: bytes) -> Seen:
    """Owner, mode, size and digest."""
    owner, mode = pwd.getpwuid(found.st_uid).pw_name, f"{stat.S_IMODE(found.st_mode):04o}"
    return {"owner": owner, "mode": mode, "size": len(value), "sha256": digest(value)}


def look(path: Path) -> Seen:
    return described(path.stat(), path.read_bytes())


@dataclass
class Record:
    """`say` prints a line at once; `stages`, `checks` (claim, whether it holds) and `damage` are for the end."""

    say: Callable[[str], None]
    stages: list[Seen] = field(default_factory=list)
    checks: list[tuple[str, bool]] = field(default_factory=list)
    damage: list[Seen] = field(default_factory=list)

    def check(self, holds: bool, claim: str, otherwise: object = "") -> None:
        self.checks.append((claim, holds))
        self.say(f"{'ok    ' if holds else 'FAILED'} {claim}" + ("" if holds else f": {otherwise}"))

    def compare(self, vm: str, stage: str, place: str, seen: dict[str, Seen], sent: dict[str, bytes]) -> None:
        """Compare one stage with what was sent: the same names, and the same bytes (at rest: none of them)."""
        for name, value in sent.items():
            if name in seen:
                equal = seen[name]["sha256"] == digest(value)
                self.stages.append(
                    {"vm": vm, "stage": stage, "name": name, "place": place, **seen[name], "equal": equal}
                )
        wrong = [
            name for name in sent if name in seen and (seen[name]["sha256"] == digest(sent[name])) == (stage == AT_REST)
        ]
        wrong += sorted(seen.keys() ^ sent.keys())
        said = "encrypted" if stage == AT_REST else "byte for byte what the host has"
        self.check(not wrong, f"{vm}: {stage}: {len(sent)}, each {said}", f"{wrong} of {seen}")
