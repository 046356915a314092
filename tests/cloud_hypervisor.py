"""A cloud-hypervisor that has only its API, for tests; as a program it ends by SIGTERM, and prints the VM it was given."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer


class Api:
    """A cloud-hypervisor that has only its API: answers by action, and what was asked of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
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

        self.server = ThreadingUnixStreamServer(str(path), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
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
            case _:
                return 500, b'["Error from API"]'
        return 204, b""

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def main() -> None:
    """`cloud_hypervisor.py --api-socket path=PATH [ACTION]`; it dies of that action, as of a request that is too large."""
    api = Api(Path(sys.argv[2].removeprefix("path=")))

    def die(action: str) -> None:
        if action in sys.argv[3:]:
            os.kill(os.getpid(), signal.SIGSYS)
            time.sleep(60)

    api.asks = die
    signal.sigwait({signal.SIGTERM})
    api.close()
    print(json.dumps(api.vm))


if __name__ == "__main__":
    # before the server's threads start, so that none of them takes it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
