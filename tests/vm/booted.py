"""What a guest left behind, for all that look at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Booted:
    """What a guest left: the raw tree of it, its capture, and its commands' results."""

    folder: Path
    results: list[dict[str, object]]
    seconds: float

    @property
    def guest(self) -> Path:
        return self.folder / "guest"

    @property
    def capture(self) -> Path:
        return self.folder / "capture"

    def result(self, *command: str) -> dict[str, object]:
        """The first result of that command."""
        for result in self.results:
            if result["command"] == list(command):
                return result
        raise AssertionError(f"{' '.join(command)} was not run: {self.results[-1]}")

    def json(self, *command: str) -> dict[str, object]:
        """The JSON document that a command of guestcred's printed."""
        result = self.result("guestcred", *command, "--format", "json")
        try:
            document = json.loads(str(result["out"]))
        except ValueError:
            raise AssertionError(f"guestcred {' '.join(command)} printed no JSON: {result}") from None
        assert isinstance(document, dict)
        return document
