"""Debian's chromium without a window, spoken to by its DevTools protocol over two pipes."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

# as a container's root it has no sandbox, and it opens nothing but pages of ours
OPTIONS = (
    *("--headless", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
    "--disable-dev-shm-usage",
)
LIMIT = 120  # seconds, after which it is ended whatever it does


class Browser:
    """One tab of a chromium that runs."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands, self._answers = commands, answers
        self._numbers = itertools.count(1)
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What the browser answers to a method of its protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while True:
            said = self._read()
            if said.get("id") == number:
                assert "error" not in said, f"{method}: {said['error']}"
                answer: dict[str, Any] = said["result"]
                return answer

    def open(self, page: Path, width: int, *, scheme: str = "light", media: str = "screen") -> None:
        """Show a page as wide as that many pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Page.navigate", url=page.as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        said = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"Enter": "\r"}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)

    def accessible(self) -> list[tuple[str, str]]:
        """(role, name) of all that assistive technology is told."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def printed_pages(self) -> int:
        """How many pages of A4 it takes on paper."""
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)["data"]
        return len(re.findall(rb"/Type */Page\b(?!s)", base64.b64decode(printed)))

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "chromium has ended"
            data += byte
        said: dict[str, Any] = json.loads(data)
        return said


@contextmanager
def started(program: str, profile: Path) -> Iterator[Browser]:
    """A chromium, ended again; what it keeps is below `profile`."""
    heard, commands = os.pipe()
    answers, said = os.pipe()
    # it listens on 3 and speaks on 4, and these may be any, so first out of their way; dash knows no number above 9
    line = f'exec 8<&{heard} 9>&{said}; exec "$0" "$@" 3<&8 4>&9 8<&- 9>&-'
    shell = ["bash", "-c", line, program, *OPTIONS, f"--user-data-dir={profile}"]
    with subprocess.Popen(shell, pass_fds=(heard, said), stderr=subprocess.DEVNULL) as process:
        os.close(heard)
        os.close(said)
        limit = threading.Timer(LIMIT, process.kill)
        limit.start()
        try:
            with open(commands, "wb") as out, open(answers, "rb") as back:
                yield Browser(out, back)
        finally:
            limit.cancel()
            process.terminate()
