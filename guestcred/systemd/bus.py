"""Asks PID 1 over D-Bus, for its units and for what it is; the only module that knows jeepney."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any, TypeVar

from jeepney import DBusAddress, HeaderFields, Message, MessageType, Parser, new_method_call
from jeepney.auth import BEGIN, make_auth_external
from jeepney.bus_messages import message_bus

from guestcred.errors import GuestcredError, reason
from guestcred.record import Record
from guestcred.systemd.requests import INTERFACES, Unit, parse_unit

# PID 1 listens on the first itself, also early in boot; behind the second there is a bus daemon
PRIVATE, SYSTEM_BUS = "/run/systemd/private", "/run/dbus/system_bus_socket"
TIMEOUT = 10.0  # seconds for one answer

_T = TypeVar("_T")
_NAME = "org.freedesktop.systemd1"
_MANAGER = DBusAddress("/org/freedesktop/systemd1", bus_name=_NAME, interface=f"{_NAME}.Manager")
# what jeepney raises for bytes that are not D-Bus, and parse_unit() for properties of other types
_GARBAGE = (ValueError, LookupError, TypeError, AttributeError, struct.error)


class _Refused(Exception):
    """PID 1 answered with an error of this name."""


class _Peer:
    """A connection that asks one thing at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._parser = Parser()
        self._serial = 0
        try:
            self._authenticate(path)
        except BaseException:
            self._socket.close()
            raise

    def _authenticate(self, path: str) -> None:
        """SASL EXTERNAL in one go, then wait: systemd 252 never answers a message that it reads together with BEGIN."""
        deadline = time.monotonic() + TIMEOUT
        self._socket.settimeout(TIMEOUT)
        self._socket.connect(path)
        self._socket.sendall(b"\0" + make_auth_external() + BEGIN)
        answer = b""
        while not answer.endswith(b"\r\n"):
            answer += self._receive(deadline)
        if not answer.startswith(b"OK "):
            raise PermissionError("it refuses this user")

    def _receive(self, deadline: float) -> bytes:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("it closed the connection")
        return data

    def __enter__(self) -> _Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, message: Message) -> Any:
        """The body of the reply."""
        self._serial += 1
        deadline = time.monotonic() + TIMEOUT
        self._socket.settimeout(TIMEOUT)
        self._socket.sendall(message.serialise(serial=self._serial))
        while True:
            for reply in iter(self._parser.get_next_message, None):
                if reply.header.fields.get(HeaderFields.reply_serial) != self._serial:
                    continue
                if reply.header.message_type == MessageType.error:
                    raise _Refused(str(reply.header.fields.get(HeaderFields.error_name)))
                return reply.body
            self._parser.add_data(self._receive(deadline))

    def manager(self, method: str, signature: str = "", *arguments: str) -> Any:
        return self.ask(new_method_call(_MANAGER, method, signature or None, arguments))[0]

    def properties(self, path: str, interface: str) -> dict[str, Any]:
        address = DBusAddress(path, bus_name=_NAME, interface="org.freedesktop.DBus.Properties")
        (variants,) = self.ask(new_method_call(address, "GetAll", "s", (f"{_NAME}.{interface}",)))
        return {name: value for name, (_, value) in variants.items()}


class Manager(Record):
    """What PID 1 says about itself and the machine.

    `version` is the text of `systemctl --version`; `virtualization` names the container or VM, "" for neither;
    `confidential` the technology of a confidential VM, "" for none and None from a systemd that does not say (before 254).
    It `started` itself, and after its import the `generators`, at these microseconds since 1970; 0 is unknown.
    """

    version: str
    virtualization: str
    confidential: str | None
    started: int = 0
    generators: int = 0


def read_manager() -> Manager:
    """PID 1's own properties (org.freedesktop.systemd1(5)). Raises GuestcredError (exit status 3) where it cannot be asked."""

    def ask(peer: _Peer) -> Manager:
        properties = peer.properties(_MANAGER.object_path, "Manager")
        names = ("Version", "Virtualization", "ConfidentialVirtualization")
        version, virtualization, confidential = map(properties.get, names)
        if not all(isinstance(text, str | None) for text in (version, virtualization, confidential)) or version is None:
            raise TypeError
        times = [properties.get(name, 0) for name in ("UserspaceTimestamp", "GeneratorsStartTimestamp")]
        if not all(isinstance(time, int) for time in times):
            raise TypeError
        return Manager(version, virtualization or "", confidential, *times)

    return _ask("what it is", ask)


def read_units(name: str | None = None) -> tuple[Unit, ...]:
    """The loaded units that could request credentials, by name; systemd loads the unit `name` if it has not yet.

    Raises GuestcredError (exit status 3) where PID 1 cannot be asked or does not answer.
    """
    return _ask("for its units", lambda peer: _units(peer, name))


def _ask(what: str, question: Callable[[_Peer], _T]) -> _T:
    """PID 1's answer, by its own socket, or by the bus if that fails."""
    reasons = []
    for path in (PRIVATE, SYSTEM_BUS):
        try:
            with _Peer(path) as peer:
                if path == SYSTEM_BUS:
                    peer.ask(message_bus.Hello())
                return question(peer)
        except TimeoutError:
            reasons.append(f"{path}: no answer within {TIMEOUT:.0f} seconds")
        except OSError as error:
            reasons.append(f"{path}: {reason(error)}")
        except _Refused as error:
            reasons.append(f"{path}: {error}")
        except _GARBAGE:
            reasons.append(f"{path}: an answer that is no D-Bus or not systemd's")
    raise GuestcredError(
        f"cannot ask PID 1 {what} ({'; '.join(reasons)})",
        "run it as root, on a system that systemd has booted; for a captured tree, give --root DIR",
    )


def _units(peer: _Peer, name: str | None) -> tuple[Unit, ...]:
    # ListUnits gives a(ssssssouso): name, description, load state, active state, sub state, following, path, job
    listed = {
        unit: (active, path) for unit, _, load, active, _, _, path, *_ in peer.manager("ListUnits") if load == "loaded"
    }
    if name is not None and name not in listed:
        listed |= _load(peer, name)
    units = []
    for unit, (active, path) in sorted(listed.items()):
        interface = INTERFACES.get(unit.rpartition(".")[2])
        if interface is None:
            continue
        try:
            units.append(parse_unit(unit, active, peer.properties(path, interface)))
        except _Refused:
            continue  # it has been unloaded in the meantime
    return tuple(units)


def _load(peer: _Peer, name: str) -> dict[str, tuple[str, str]]:
    """The unit of that name or alias, loaded from its files; empty where there is none."""
    try:
        path = peer.manager("LoadUnit", "s", name)
        properties = peer.properties(path, "Unit")
    except _Refused:
        return {}
    return {properties["Id"]: (properties["ActiveState"], path)} if properties["LoadState"] == "loaded" else {}
