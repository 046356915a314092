"""PID 1 over D-Bus, played by a peer that answers, refuses, lies, hangs up or says nothing."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pytest
from conftest import Count
from jeepney import HeaderFields, Message, Parser, new_error, new_method_return

from guestcred.errors import GuestcredError
from guestcred.systemd import bus
from guestcred.systemd.bus import Manager

SECRET = b"hunter2hunter2"
SILENT = "no answer within"
LOADED = {"a.service": "/u/a", "b.socket": "/u/b", "c.target": "/u/c"}
EXTRA = {"t@x.service": "/u/t", "alias.service": "/u/t", "masked.service": "/u/masked"}
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
        "SubState": ("s", "dead"),
        "Names": ("as", ["t@x.service", "alias.service"]),
        "SetCredentialEncrypted": ("a(say)", [("sealed", SECRET)]),
    },
    "/u/masked": {
        "Id": ("s", "masked.service"),
        "LoadState": ("s", "masked"),
        "ActiveState": ("s", "inactive"),
    },
}
Answer = Callable[[Message], Message | bytes | Iterator[bytes] | None]


def manager(message: Message) -> Message:
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
        case "Get":
            return property_of(message, PROPERTIES[path])
    return new_error(message, "org.freedesktop.systemd1.NoSuchUnit", "s", (SECRET.decode(),))


def property_of(message: Message, properties: dict[str, tuple[str, Any]]) -> Message:
    interface, name = message.body
    assert interface == "org.freedesktop.systemd1.Manager"
    if name in properties:
        return new_method_return(message, "v", (properties[name],))
    return new_error(message, "org.freedesktop.DBus.Error.UnknownProperty", "s", (SECRET.decode(),))


class Peer(threading.Thread):
    """A D-Bus server for one connection after the other, without a bus behind it.

    An answer in pieces is sent as long as the other side listens; `sent` counts the pieces.
    """

    def __init__(self, path: Path, answer: Answer, welcome: bytes, pause: float) -> None:
        super().__init__(daemon=True)
        self._welcome = welcome
        self._pause = pause
        self.sent = 0
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
            with connection, suppress(BrokenPipeError, ConnectionResetError):
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
                time.sleep(self._pause)  # so that a message sent right behind BEGIN comes together with it
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
                if isinstance(answer, Iterator):
                    for piece in answer:
                        connection.sendall(piece)
                        self.sent += 1
                    return
                if answer is not None:
                    connection.sendall(answer if isinstance(answer, bytes) else answer.serialise(serial))
            data = connection.recv(1 << 16)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(5)


Listen = Callable[..., Peer]
WELCOME = b"OK 0123456789abcdef0123456789abcdef\r\n"


def within(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Give every conversation so many seconds."""
    for name in ("TIMEOUT", "UNITS_TIMEOUT"):
        monkeypatch.setattr(bus, name, seconds)


@contextmanager
def peers() -> Iterator[Callable[[Path, Answer, bytes, float], Peer]]:
    """Starts servers, and ends them all at last."""
    started = []

    def start(path: Path, answer: Answer, welcome: bytes, pause: float) -> Peer:
        peer = Peer(path, answer, welcome, pause)
        peer.start()
        started.append(peer)
        return peer

    yield start
    for peer in started:
        peer.stop()


@pytest.fixture
def listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listen]:
    """Start a peer in the place of PRIVATE or SYSTEM_BUS; where none is started, nothing listens."""
    for name in ("PRIVATE", "SYSTEM_BUS"):
        monkeypatch.setattr(bus, name, str(tmp_path / name))
    within(monkeypatch, 30.0)

    with peers() as start:

        def listen(name: str, answer: Answer, welcome: bytes = WELCOME, pause: float = 0.05) -> Peer:
            return start(tmp_path / name, answer, welcome, pause)

        yield listen


def test_units_over_the_private_socket(listen: Listen) -> None:
    peer = listen("PRIVATE", manager)
    first, second = bus.read_units().units
    assert (first.name, first.state, first.user, first.uid, first.running) == ("a.service", "active", "svc", 901, True)
    assert [(request.setting, request.id, request.size) for request in first.requests] == [
        ("LoadCredential", "key", None),
        ("SetCredential", "region", 14),
    ]
    assert second.name == "b.socket" and not second.requests
    # a unit that requests something is asked for its other names too
    assert peer.asked == ["ListUnits", "GetAll", "GetAll", "GetAll", "GetAll"]


def test_what_pid_1_says_of_itself(listen: Listen) -> None:
    peer = listen("PRIVATE", manager)
    assert bus.read_manager() == Manager("257.13-1", "kvm", "", 1_700_000_000_000_000, 1_700_000_000_200_000)
    assert peer.asked == ["Get"] * 5


def test_a_manager_that_refuses_one_question(listen: Listen) -> None:
    def refusing(message: Message) -> Message:
        if message.body[1] == "Virtualization":
            return new_error(message, "org.x.AccessDenied", "s", (SECRET.decode(),))
        return manager(message)

    listen("PRIVATE", refusing)
    with pytest.raises(GuestcredError, match=r"PRIVATE: org\.x\.AccessDenied"):
        bus.read_manager()


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
    listen("PRIVATE", lambda message: property_of(message, found))
    with pytest.raises(GuestcredError, match="cannot ask PID 1 what it is"):
        bus.read_manager()


def test_systemd_before_254_does_not_say_whether_the_vm_is_confidential(listen: Listen) -> None:
    found = {"Version": ("s", "252.39-1~deb12u1"), "Virtualization": ("s", "")}
    listen("PRIVATE", lambda message: property_of(message, found))
    assert bus.read_manager() == Manager("252.39-1~deb12u1", "", None)


def test_the_bus_is_greeted_first(listen: Listen) -> None:
    peer = listen("SYSTEM_BUS", manager)
    assert [unit.name for unit in bus.read_units().units] == ["a.service", "b.socket"]
    assert peer.asked[:2] == ["Hello", "ListUnits"]


def test_a_unit_that_is_not_loaded_is_loaded(listen: Listen) -> None:
    listen("PRIVATE", manager)
    assert [unit.name for unit in bus.read_units("t@x.service").units] == ["a.service", "b.socket", "t@x.service"]
    for name in ("no.service", "\udcff.service"):
        assert [unit.name for unit in bus.read_units(name).units] == ["a.service", "b.socket"]


def test_aliases_and_what_is_no_unit(listen: Listen) -> None:
    listen("PRIVATE", manager)
    loaded = bus.read_units("alias.service")
    assert [unit.name for unit in loaded.units] == ["a.service", "b.socket", "t@x.service"]
    assert loaded.aliases == {"alias.service": "t@x.service"}
    assert loaded.values["t@x.service"] == {"sealed": SECRET} and SECRET.decode() not in repr(loaded)
    masked = bus.read_units("masked.service")
    assert masked.unusable == {"absent.service": "not-found", "masked.service": "masked"}
    assert len(masked.units) == 2 and not masked.managers


def test_user_managers_that_run(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOADED, "user@1000.service", "/u/b")
    listen("PRIVATE", manager)
    assert bus.read_units().managers == ("user@1000.service",)


def test_other_messages_are_passed_over(listen: Listen) -> None:
    def chatty(message: Message) -> bytes:
        other = new_method_return(message, "s", ("not for you",))
        other.header.fields[HeaderFields.reply_serial] = 77
        return bytes(other.serialise(98) + manager(message).serialise(99))

    listen("PRIVATE", chatty)
    assert len(bus.read_units().units) == 2


def wrong_types(message: Message) -> Message:
    return new_method_return(message, "s", ("text",))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: None, SILENT),
        (lambda _: b"l\2\0\1" + bytes([0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0]) + b"\xff" * 8, "no D-Bus"),
        (lambda _: b"l\2\0\1" + b"\xff" * 60, "no D-Bus"),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, "no D-Bus"),
        (lambda _: b"", "closed the connection"),
        (lambda message: new_error(message, "org.x.AccessDenied", "s", (SECRET.decode(),)), "org.x.AccessDenied"),
        (wrong_types, "no D-Bus or not systemd's"),
    ],
    ids=["silent", "garbage", "too-large", "another-protocol", "hangs-up", "refuses", "wrong-types"],
)
def test_a_peer_that_is_no_help(listen: Listen, monkeypatch: pytest.MonkeyPatch, answer: Answer, reason: str) -> None:
    if reason == SILENT:
        within(monkeypatch, 0.3)
    listen("PRIVATE", answer)
    with pytest.raises(GuestcredError) as caught:
        bus.read_units()
    assert caught.value.status == 3 and reason in caught.value.problem
    assert "SYSTEM_BUS: no such file" in caught.value.problem
    assert SECRET.decode() not in caught.value.problem + "".join(caught.value.hints)


def test_the_bus_stands_in_for_a_private_socket_that_is_no_help(listen: Listen) -> None:
    listen("PRIVATE", lambda _: b"")
    listen("SYSTEM_BUS", manager)
    assert len(bus.read_units().units) == 2


@pytest.mark.parametrize(
    ("welcome", "reason"),
    [(b"REJECTED EXTERNAL\r\n", "it refuses this user"), (b"", SILENT), (b"OK", SILENT)],
)
def test_a_peer_that_lets_nobody_in(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, welcome: bytes, reason: str
) -> None:
    if reason == SILENT:
        within(monkeypatch, 0.3)
    listen("PRIVATE", manager, welcome)
    with pytest.raises(GuestcredError, match=reason):
        bus.read_units()


def reply(message: Message, signature: str, body: bytes, *, serial: int | None = None) -> bytes:
    """A reply to `message` with any bytes for its body."""
    header = new_method_return(message).header
    header.fields[HeaderFields.signature] = signature
    if serial is not None:
        header.fields[HeaderFields.reply_serial] = serial
    header.body_length = len(body)
    data = bytes(header.serialise(serial=1))
    return data + bytes(-len(data) % 8) + body


def nested(depth: int) -> bytes:
    """An a{sv} whose one property is a variant in a variant, and so on."""
    value = b"\1v\0" * depth + b"\1y\0\7"
    pair = struct.pack("<I", 1) + b"X\0" + value
    return struct.pack("<I", len(pair)) + bytes(4) + pair


def of_units(answer: Answer) -> Answer:
    """Lists the units, and answers so when it is asked for the properties of one."""
    return lambda message: (answer if message.header.fields[HeaderFields.member] == "GetAll" else manager)(message)


@pytest.mark.parametrize("depth", [63, 64, 1000, 100_000])
def test_nested_variants(listen: Listen, depth: int) -> None:
    listen("PRIVATE", of_units(lambda message: reply(message, "a{sv}", nested(depth))))
    with pytest.raises(GuestcredError, match="no D-Bus or not systemd's"):
        bus.read_units()


@pytest.mark.parametrize("signature", ["a()", "a(())", "a{sv", "aaaa", "a" * 255, "(" * 255, "v" * 300, "", "z"])
def test_a_signature_that_is_none(listen: Listen, signature: str) -> None:
    # jeepney never came back from the first two
    variant = bytes([len(signature) % 256]) + signature.encode() + b"\0"
    pair = struct.pack("<I", 1) + b"X\0" + variant + struct.pack("<I", 64) + bytes(64)
    body = struct.pack("<I", len(pair)) + bytes(4) + pair
    listen("PRIVATE", of_units(lambda message: reply(message, "a{sv}", body)))
    with pytest.raises(GuestcredError, match="no D-Bus or not systemd's"):
        bus.read_units()


def test_the_deadline_is_kept_while_data_keeps_coming(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    def dripping(message: Message) -> Iterator[bytes]:
        for byte in manager(message).serialise(1) * 20:
            time.sleep(0.005)
            yield bytes([byte])

    within(monkeypatch, 0.3)
    peer = listen("PRIVATE", dripping)
    peers = listen("SYSTEM_BUS", dripping)
    with pytest.raises(GuestcredError, match=f"(?s){SILENT}.*{SILENT}"):
        bus.read_manager()
    # a byte each 5 ms, for 0.3 s
    assert 0 < peer.sent <= 62 and 0 < peers.sent <= 62


def test_the_deadline_is_kept_while_messages_keep_coming(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    def chatting(message: Message) -> Iterator[bytes]:
        return repeat(reply(message, "s", struct.pack("<I", 1) + b"x\0", serial=77))

    within(monkeypatch, 0.3)
    listen("PRIVATE", chatting)
    with pytest.raises(GuestcredError, match=SILENT):
        bus.read_manager()


def test_one_deadline_for_all_questions(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(message: Message) -> Message:
        time.sleep(0.4)
        return manager(message)

    within(monkeypatch, 1.0)
    peer = listen("PRIVATE", slow)
    with pytest.raises(GuestcredError, match="no answer within 1 seconds"):
        bus.read_units()
    assert len(peer.asked) <= 3


def test_a_welcome_without_an_end(listen: Listen) -> None:
    listen("PRIVATE", manager, b"OK " + b"x" * (1 << 20))
    with pytest.raises(GuestcredError, match="no D-Bus or not systemd's"):
        bus.read_units()


def test_an_answer_without_an_end(listen: Listen) -> None:
    def endless(message: Message) -> Iterator[bytes]:
        head = bytearray(reply(message, "a{sv}", b""))
        head[4:8] = b"\xff\xff\xff\x7f"
        yield bytes(head)
        yield from repeat(bytes(1 << 16))

    peer = listen("PRIVATE", endless)
    with pytest.raises(GuestcredError, match="no D-Bus or not systemd's"):
        bus.read_units()
    assert peer.sent < 64


@pytest.mark.parametrize(
    ("member", "signature", "value"),
    [
        ("ListUnits", "a(ssss)", [("a.service", "", "loaded", "active")]),
        ("ListUnits", "s", "a.service"),
        ("LoadUnit", "s", "/u/t"),
        ("GetAll", "a{ss}", {"User": "svc"}),
        *(
            ("GetAll", "a{sv}", {name: (signature, value)})
            for name, signature, value in (
                ("LoadCredential", "as", ["key"]),
                ("LoadCredential", "s", "key"),
                ("ImportCredential", "a(ss)", [("a", "b")]),
                ("ImportCredentialEx", "as", ["ab"]),
                ("SetCredential", "a(ss)", [("a", "b")]),
                ("SetCredentialEncrypted", "u", 1),
                ("User", "u", 5),
                ("UID", "s", "root"),
                ("MainPID", "s", "1"),
                ("Id", "u", 1),
                ("LoadState", "b", True),
                ("ActiveState", "as", []),
            )
        ),
    ],
)
def test_values_of_other_types(listen: Listen, member: str, signature: str, value: object) -> None:
    def lying(message: Message) -> Message:
        if message.header.fields[HeaderFields.member] != member:
            return manager(message)
        return new_method_return(message, signature, (value,))

    listen("PRIVATE", lying)
    with pytest.raises(GuestcredError, match="no D-Bus or not systemd's"):
        bus.read_units("t@x.service")


def test_a_unit_that_does_not_say_what_it_is(listen: Listen) -> None:
    def silent(message: Message) -> Message:
        loaded = message.header.fields[HeaderFields.path] == "/u/t"
        return new_method_return(message, "a{sv}", ({},)) if loaded else manager(message)

    listen("PRIVATE", silent)
    with pytest.raises(GuestcredError, match="no D-Bus or not systemd's"):
        bus.read_units("t@x.service")


def test_the_connection_closed_behind_every_byte(listen: Listen) -> None:
    left = 0

    def closing(message: Message) -> bytes | Iterator[bytes]:
        nonlocal left
        whole = bytes(manager(message).serialise(1))
        if len(whole) > left:
            return iter([whole[:left]])
        left -= len(whole)
        return whole

    listen("PRIVATE", closing, pause=0)
    for size in count():
        left = size
        try:
            assert bus.read_manager().version == "257.13-1"
            break
        except GuestcredError as error:
            assert "closed the connection" in error.problem
    assert left == 0 and size > 5 * 16


def random_answer(message: Message, chance: random.Random) -> bytes:
    """A reply that is right at first and then changed, or nothing but bytes."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    if kind == 1:
        letters = "".join(chance.choices("a(){}ybsovgua", k=chance.randrange(1, 20)))
        body = bytes(chance.choices(b"\0\1\2\4\x10a(){}ysvg\xff", k=chance.randrange(200)))
        with suppress(Exception):  # jeepney builds no signature that is none
            return reply(message, chance.choice(["a{sv}", letters]), body)
    data = bytearray(manager(message).serialise(1))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data))
        change = chance.randrange(4)
        if change == 0:
            data[at] = chance.choice(b"\0\1\4asv(){}\x7f\xff")
        elif change == 1:
            del data[at : at + chance.randrange(1, 9)]
        elif change == 2:
            data[at:at] = chance.randbytes(chance.randrange(9))
        else:
            data[at] ^= 1 << chance.randrange(8)
        if not data:
            break
    return bytes(data)


REPLIES = 4000


def test_random_answers(listen: Listen, record_count: Count) -> None:
    chance = random.Random(12)
    last, right = b"", 0

    def answer(message: Message) -> Message | Iterator[bytes]:
        nonlocal last, right
        if message.body[1] == "Version":
            right = chance.randrange(5)  # so many of the five
        if right:
            right -= 1
            return manager(message)
        last = random_answer(message, chance)
        return iter([last])

    listen("PRIVATE", answer, pause=0)
    outcomes: Counter[str] = Counter()
    for _ in range(REPLIES):
        try:
            assert isinstance(bus.read_manager(), Manager)
            outcomes["understood"] += 1
        except GuestcredError as error:
            assert "PRIVATE: " in error.problem and SECRET.decode() not in error.problem
            outcomes["refused"] += 1
        except BaseException:
            print(last)
            raise
    assert outcomes["understood"] and outcomes["refused"] > REPLIES / 2
    record_count("random D-Bus answers", outcomes)
