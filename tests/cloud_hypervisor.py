"""A cloud-hypervisor that has only its API, for tests; as a program it ends by SIGTERM, and prints what it was given."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer


class Api:
    """A cloud-hypervisor that has only its API: answers by action, and what was asked of it."""

    def __init__(self, path: Path | str, *, start: bool = True) -> None:
        self.path = path  # or fd=N, where somebody listens for it
        self.dies = False  # of a request that is too large
        self.vm: object = None
        self.state = "Created"  # of that VM
        self.version = "54.0.0"
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes] | None] = {}
        # each is called with the action: first; when it is done and before the answer; when that was sent
        self.asks: Callable[[str], None] | None = None
        self.acted: Callable[[str], None] | None = None
        self.answered: Callable[[str], None] | None = None
        self.turn = threading.Lock()  # it does one request after the other
        self.ended = threading.Event()
        self.pressed = threading.Event()  # the power button
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self._act()

            def do_PUT(self) -> None:
                self._act()

            def _act(self) -> None:
                action = self.path.removeprefix("/api/v1/")
                size = int(self.headers.get("Content-Length", 0))
                if api.dies and size > DIES_OF:
                    os.kill(os.getpid(), signal.SIGSYS)
                body = self.rfile.read(size)
                with api.turn:
                    answer = self._done(action, body)
                if answer is None:  # hangs
                    api.ended.wait(30)
                    return
                with contextlib.suppress(BrokenPipeError):
                    self.send_response(answer[0])
                    self.send_header("Content-Length", str(len(answer[1])))
                    self.end_headers()
                    self.wfile.write(answer[1])
                if api.answered is not None:
                    api.answered(action)

            def _done(self, action: str, body: bytes) -> tuple[int, bytes] | None:
                api.asked.append(action)
                if api.asks is not None:
                    api.asks(action)
                # a vm.create that fails may have stored the config before
                done = api.act(action, body) if action not in api.answers or action == "vm.create" else (0, b"")
                if api.acted is not None:
                    api.acted(action)
                return api.answers.get(action, done)

        if isinstance(path, Path):
            self.server = ThreadingUnixStreamServer(str(path), Handler)
        else:
            self.server = ThreadingUnixStreamServer("", Handler, bind_and_activate=False)
            self.server.socket = socket.socket(fileno=int(path.removeprefix("fd=")))
        self.thread = threading.Thread(target=self.server.serve_forever)
        if start:
            self.thread.start()

    def act(self, action: str, body: bytes) -> tuple[int, bytes]:
        """As cloud-hypervisor does: 204 for what was done, 404 or 500 and a JSON list for what was not."""
        match action:
            case "vm.info":
                if self.vm is None:
                    return 404, b'["Error from API","The VM info is not available","VM is not created"]'
                return 200, json.dumps({"config": self.vm, "state": self.state, "memory_actual_size": 0}).encode()
            case "vmm.ping":
                return 200, json.dumps(
                    {"build_version": f"v{self.version}", "version": self.version, "pid": 1}
                ).encode()
            case "vm.create" if self.vm is None:
                self.vm, self.state = json.loads(body), "Created"
            case "vm.boot" if self.vm is not None:
                self.state = "Running"
            case "vm.delete":
                self.vm = None
            case "vm.power-button":
                self.pressed.set()
            case _:
                return 500, b'["Error from API"]'
        return 204, b""

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


# what a cloud-hypervisor without a VM in its command line takes; its parser wants --kernel or --firmware with the others
PROCESS = {"--api-socket", "--event-monitor", "--log-file", "--log-format", "--seccomp", "--no-shutdown", "--gdb", "-v"}
DIES_OF = 160_000  # bytes of a request: its HTTP thread's seccomp filter


def relatives() -> list[int]:
    """The processes that were forked where this program was started, the older first: the guard, then the creator."""
    mark = os.environ["PRETEND_MARK"].encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"launch" in words and any(mark in word for word in words):
                    started = int((entry / "stat").read_text().rpartition(")")[2].split()[19])
                    found.append((started, int(entry.name)))
    return [pid for _, pid in sorted(found)]


def main() -> None:
    """`cloud_hypervisor.py --api-socket path=PATH|fd=N ...`, and what else it does from $PRETEND, in JSON.

    die: an action of which it dies, as of a request that is too large; fail: answers by action, null for none at all;
    exit: the status with which it ends at once; late: seconds until it listens; kill: [action, when, signal, whom], by
    whom vmm, guard, creator or group; off: it ends by the power button.
    """
    does = json.loads(os.environ.get("PRETEND", "{}"))
    words = sys.argv[1:]
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in PROCESS]
    if unknown or "exit" in does:
        print(f"pretended: {unknown or 'no /dev/kvm'}", file=sys.stderr)
        sys.exit(2 if unknown else does["exit"])
    time.sleep(does.get("late", 0))
    given = words[words.index("--api-socket") + 1]
    api = Api(given if given.startswith("fd=") else Path(given.removeprefix("path=")), start=False)
    api.answers |= {
        action: None if answer is None else (answer[0], answer[1].encode())
        for action, answer in does.get("fail", {}).items()
    }
    api.dies = True

    def at(when: str) -> Callable[[str], None]:
        def do(action: str) -> None:
            if when == "asks" and action == does.get("die"):
                os.kill(os.getpid(), signal.SIGSYS)
                time.sleep(60)
            if does.get("kill", [])[:2] == [action, when]:
                _, _, number, whom = does["kill"]
                # the creator may have done and gone by the last answer
                others = dict(zip(("guard", "creator"), relatives()))
                wanted = [*others.values()] if whom == "group" else [others[whom]] if whom in others else []
                wanted += [os.getpid()] if whom in ("vmm", "group") else []
                for pid in wanted:
                    os.kill(pid, number)
                time.sleep(0.3)

        return do

    api.asks, api.acted, api.answered = at("asks"), at("acted"), at("answered")
    api.thread.start()
    if does.get("off"):
        api.pressed.wait(60)
        time.sleep(0.2)
    else:
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    if isinstance(api.path, Path):
        api.path.unlink()
    print(json.dumps({"vm": api.vm, "state": api.state, "asked": api.asked}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    # before the server's threads start, so that none of them takes it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
