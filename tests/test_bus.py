"""PID 1 over D-Bus, played by a peer that answers, refuses, lies, hangs up or says nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import HeaderFields, Message, Parser, new_error, new_method_return

from guestcred.errors import GuestcredError
from guestcred.systemd import bus
from guestcred.systemd.bus import Manager

SECRET = b"hunter2hunter2"
SILENT = "no answer within"
LOADED = {"a.service": "/u/a", "b.socket": "/u/b", "c.target": "/u/c"}
EXTRA = {"t@x.service": "/u/t"}
PROPERTIES: dict[str, dict[str, tuple[str, Any]]] = {
    "/u/a": {
        "LoadCredential": ("a(ss)", [("key", "KEY")]),
        "SetCredential": ("a(say)", [("region", SECRET)]),
        "User": ("s", "svc"),
        "UID": ("u", 901),
        "MainPID": ("u", 7),
    },
    "/u/b": {},
    "/org/freedesktop/systemd1": {
        "Version": ("s", "257.13-1"),
        "Virtualization": ("s", "kvm"),
        "ConfidentialVirtualization": ("s", ""),
        "UserspaceTimestamp": ("t", 1_700_000_000_000_000),
        "GeneratorsStartTimestamp": ("t", 1_700_000_000_200_000),
        "Environment": ("as", ["SECRET=" + SECRET.decode()]),
    },
    "/u/t": {
        "LoadCredential": ("a(ss)", [("id", "X")]),
        "Id": ("s", "t@x.service"),
        "LoadState": ("s", "loaded"),
        "ActiveState": ("s", "inactive"),
    },
}
Answer = Callable[[Message], Message | bytes | None]


def manager(message: Message) -> Message | bytes | None:
    """What PID 1 answers, as far as it is asked here; ListUnits lists a unit that is gone when asked for."""
    fields = message.header.fields
    path = fields[HeaderFields.path]
    match fields[HeaderFields.member]:
        case "Hello":
            return new_method_return(message, "s", (":1.1",))
        case "ListUnits":
            loaded = {**LOADED, "gone.service": "/u/gone"}
            rows = [(name, "", "loaded", "active", "running", "", at, 0, "", "/") for name, at in loaded.items()]
            rows.append(("absent.service", "", "not-found", "inactive", "dead", "", "/u/absent", 0, "", "/"))
            return new_method_return(message, "a(ssssssouso)", (rows,))
        case "LoadUnit" if message.body[0] in EXTRA:
            return new_method_return(message, "o", (EXTRA[message.body[0]],))
        case "GetAll" if path in PROPERTIES:
            return new_method_return(message, "a{sv}", (PROPERTIES[path],))
    return new_error(message, "org.freedesktop.systemd1.NoSuchUnit", "s", (SECRET.decode(),))


class Peer(threading.Thread):
    """A D-Bus server for one connection after the other, without a bus behind it."""

    def __init__(self, path: Path, answer: Answer, welcome: bytes) -> None:
        super().__init__(daemon=True)
        self._welcome = welcome
        self.asked: list[str] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        lines = b""
        while b"BEGIN\r\n" not in lines:
            data = connection.recv(1024)
            if not data:
                return
            lines += data
            if b"AUTH EXTERNAL" in data:
                connection.sendall(self._welcome)
                time.sleep(0.05)  # so that a message sent right behind BEGIN comes together with it
        parser = Parser()
        serial = 0
        # as systemd 252 does, look at what came with BEGIN only when there is more to read
        data = lines.partition(b"BEGIN\r\n")[2] + connection.recv(1 << 16)
        while data:
            for message in parser.feed(data):
                self.asked.append(message.header.fields[HeaderFields.member])
                serial += 1
                answer = self._answer(message)
                if answer == b"":
                    return
                if answer is not None:
                    connection.sendall(answer if isinstance(answer, bytes) else answer.serialise(serial))
            data = connection.recv(1 << 16)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(5)


Listen = Callable[..., Peer]


@pytest.fixture
def listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listen]:
    """Start a peer in the place of PRIVATE or SYSTEM_BUS; where none is started, nothing listens."""
    peers = []
    for name in ("PRIVATE", "SYSTEM_BUS"):
        monkeypatch.setattr(bus, name, str(tmp_path / name))
    monkeypatch.setattr(bus, "TIMEOUT", 30.0)

    def start(name: str, answer: Answer, welcome: bytes = b"OK 0123456789abcdef0123456789abcdef\r\n") -> Peer:
        peer = Peer(tmp_path / name, answer, welcome)
        peer.start()
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        peer.stop()


def test_units_over_the_private_socket(listen: Listen) -> None:
    peer = listen("PRIVATE", manager)
    first, second = bus.read_units()
    assert (first.name, first.state, first.user, first.uid, first.running) == ("a.service", "active", "svc", 901, True)
    assert [(request.setting, request.id, request.size) for request in first.requests] == [
        ("LoadCredential", "key", None),
        ("SetCredential", "region", 14),
    ]
    assert second.name == "b.socket" and not second.requests
    assert peer.asked == ["ListUnits", "GetAll", "GetAll", "GetAll"]


def test_what_pid_1_says_of_itself(listen: Listen) -> None:
    peer = listen("PRIVATE", manager)
    assert bus.read_manager() == Manager("257.13-1", "kvm", "", 1_700_000_000_000_000, 1_700_000_000_200_000)
    assert peer.asked == ["GetAll"]


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"Version": ("u", 257)},
        {"Version": ("s", "257"), "Virtualization": ("u", 1)},
        {"Version": ("s", "257"), "UserspaceTimestamp": ("s", "1")},
    ],
)
def test_a_manager_of_another_kind(listen: Listen, found: dict[str, tuple[str, Any]]) -> None:
    listen("PRIVATE", lambda message: new_method_return(message, "a{sv}", (found,)))
    with pytest.raises(GuestcredError, match="cannot ask PID 1 what it is"):
        bus.read_manager()


def test_systemd_before_254_does_not_say_whether_the_vm_is_confidential(listen: Listen) -> None:
    found = {"Version": ("s", "252.39-1~deb12u1"), "Virtualization": ("s", "")}
    listen("PRIVATE", lambda message: new_method_return(message, "a{sv}", (found,)))
    assert bus.read_manager() == Manager("252.39-1~deb12u1", "", None)


def test_the_bus_is_greeted_first(listen: Listen) -> None:
    peer = listen("SYSTEM_BUS", manager)
    assert [unit.name for unit in bus.read_units()] == ["a.service", "b.socket"]
    assert peer.asked[:2] == ["Hello", "ListUnits"]


def test_a_unit_that_is_not_loaded_is_loaded(listen: Listen) -> None:
    listen("PRIVATE", manager)
    assert [unit.name for unit in bus.read_units("t@x.service")] == ["a.service", "b.socket", "t@x.service"]
    assert [unit.name for unit in bus.read_units("no.service")] == ["a.service", "b.socket"]


def test_other_messages_are_passed_over(listen: Listen) -> None:
    def chatty(message: Message) -> Message | bytes | None:
        other = new_method_return(message, "s", ("not for you",))
        other.header.fields[HeaderFields.reply_serial] = 77
        answer = manager(message)
        assert isinstance(answer, Message)
        return other.serialise(98) + answer.serialise(99)

    listen("PRIVATE", chatty)
    assert len(bus.read_units()) == 2


def wrong_types(message: Message) -> Message:
    return new_method_return(message, "s", ("text",))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: None, SILENT),
        (lambda _: b"l\2\0\1" + bytes([0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0]) + b"\xff" * 8, "no D-Bus"),
        (lambda _: b"l\2\0\1" + b"\xff" * 60, SILENT),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, "no D-Bus"),
        (lambda _: b"", "closed the connection"),
        (lambda message: new_error(message, "org.x.AccessDenied", "s", (SECRET.decode(),)), "org.x.AccessDenied"),
        (wrong_types, "no D-Bus or not systemd's"),
    ],
    ids=["silent", "garbage", "endless", "another-protocol", "hangs-up", "refuses", "wrong-types"],
)
def test_a_peer_that_is_no_help(listen: Listen, monkeypatch: pytest.MonkeyPatch, answer: Answer, reason: str) -> None:
    if reason == SILENT:
        monkeypatch.setattr(bus, "TIMEOUT", 0.3)
    listen("PRIVATE", answer)
    with pytest.raises(GuestcredError) as caught:
        bus.read_units()
    assert caught.value.status == 3 and reason in caught.value.problem
    assert "SYSTEM_BUS: no such file" in caught.value.problem
    assert SECRET.decode() not in caught.value.problem + "".join(caught.value.hints)


def test_the_bus_stands_in_for_a_private_socket_that_is_no_help(listen: Listen) -> None:
    listen("PRIVATE", lambda _: b"")
    listen("SYSTEM_BUS", manager)
    assert len(bus.read_units()) == 2


@pytest.mark.parametrize(
    ("welcome", "reason"),
    [(b"REJECTED EXTERNAL\r\n", "it refuses this user"), (b"", SILENT), (b"OK", SILENT)],
)
def test_a_peer_that_lets_nobody_in(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, welcome: bytes, reason: str
) -> None:
    if reason == SILENT:
        monkeypatch.setattr(bus, "TIMEOUT", 0.3)
    listen("PRIVATE", manager, welcome)
    with pytest.raises(GuestcredError, match=reason):
        bus.read_units()
