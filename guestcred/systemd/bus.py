"""Asks PID 1 over D-Bus, for its units and for what it is, and a user manager for its units."""

from __future__ import annotations

import os
import time

from guestcred.c_modules import listener, unix_socket
from guestcred.errors import GuestcredError, reason
from guestcred.record import Record
from guestcred.systemd.dbus import (
    ERROR,
    HEAD,
    METHOD_RETURN,
    Interface,
    MalformedError,
    message_size,
    method_call,
    read_body,
    read_message,
)
from guestcred.systemd.requests import INTERFACES, SET_ENCRYPTED, Unit, parse_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any, TypeVar

    _T = TypeVar("_T")

# PID 1 listens on the first itself, also early in boot; behind the second there is a bus daemon
PRIVATE, SYSTEM_BUS = "/run/systemd/private", "/run/dbus/system_bus_socket"
# seconds for all that is said on one connection: for one question, and for one about each unit
TIMEOUT, UNITS_TIMEOUT = 10.0, 60.0
USER_TIMEOUT = 10.0  # the same as the second, of a user manager, which may be anybody's program
_BOOTED = "run it as root, on a system that systemd has booted; for a captured tree, give --root DIR"
_RUNS = "it runs while its user is logged in, or always after 'loginctl enable-linger USER'"
_WELCOME_MAX = 4096  # bytes of the answer to our name

_NAME = "org.freedesktop.systemd1"
_MANAGER = Interface(_NAME, "/org/freedesktop/systemd1", f"{_NAME}.Manager")
_BUS = Interface("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_PROPERTIES = "org.freedesktop.DBus.Properties"
_UNKNOWN_PROPERTY = "org.freedesktop.DBus.Error.UnknownProperty"
# the types of the properties that are read, by org.freedesktop.systemd1(5)
_TYPES = {
    **dict.fromkeys(("LoadCredential", "LoadCredentialEncrypted", "ImportCredentialEx"), "a(ss)"),
    **dict.fromkeys(("SetCredential", "SetCredentialEncrypted"), "a(say)"),
    "ImportCredential": "as",
    **dict.fromkeys(("Version", "Virtualization", "ConfidentialVirtualization"), "s"),
    **dict.fromkeys(("UserspaceTimestamp", "GeneratorsStartTimestamp"), "t"),
    **dict.fromkeys(("Id", "ActiveState", "SubState", "LoadState", "Result", "User"), "s"),
    "Names": "as",
    **dict.fromkeys(("UID", "MainPID"), "u"),
}


class _Refused(Exception):
    """PID 1 answered with an error of this name."""


class _Peer:
    """A connection that asks one thing at a time, and whose every word must come within `seconds`."""

    def __init__(self, path: str, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._socket = unix_socket()
        self._held = bytearray()  # what came and was not read yet
        self._serial = 0
        try:
            self._authenticate(path)
        except BaseException:
            self._socket.close()
            raise

    def _authenticate(self, path: str) -> None:
        """SASL EXTERNAL in one go, then wait: systemd 252 never answers a message that it reads together with BEGIN."""
        self._in_time().connect(path)
        user = str(os.getuid()).encode().hex().encode()
        self._in_time().sendall(b"\0AUTH EXTERNAL " + user + b"\r\nBEGIN\r\n")
        while b"\r\n" not in self._held:
            if len(self._held) > _WELCOME_MAX:
                raise MalformedError("no SASL")
            self._receive()
        answer, _, self._held = self._held.partition(b"\r\n")
        if not answer.startswith(b"OK "):
            raise PermissionError("it refuses this user")

    def _in_time(self) -> socket:
        """The socket, whose next call waits no longer than until the deadline. Raises TimeoutError after it."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket

    def _receive(self) -> None:
        data = self._in_time().recv(1 << 16)
        if not data:
            raise ConnectionResetError("it closed the connection")
        self._held += data

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            self._receive()
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def __enter__(self) -> _Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def owner(self) -> tuple[int, int]:
        """Whom is asked: (pid, uid) as `listener` has them."""
        return listener(self._socket)

    def ask(self, returns: str, of: Interface, method: str, *arguments: str) -> Any:
        """The value that a method returns, which is of the type `returns`."""
        self._serial += 1
        self._in_time().sendall(method_call(self._serial, of, method, *arguments))
        while True:
            head = self._take(HEAD)
            reply = read_message(head + self._take(message_size(head) - HEAD))
            if reply.answers == self._serial and reply.kind == ERROR:
                raise _Refused(str(reply.error))
            if reply.answers == self._serial and reply.kind == METHOD_RETURN:
                (value,) = read_body(reply, returns)
                return value

    def properties(self, path: str, interface: str) -> dict[str, Any]:
        """All properties of an object's interface by name, those that are read in their types."""
        variants = self.ask("a{sv}", Interface(_NAME, path, _PROPERTIES), "GetAll", f"{_NAME}.{interface}")
        return {name: _checked(name, variant) for name, variant in variants}

    def property(self, path: str, interface: str, name: str) -> Any:
        """One property, None where the object has none of that name: a manager has some 200, and a boot waits for them."""
        try:
            variant = self.ask("v", Interface(_NAME, path, _PROPERTIES), "Get", f"{_NAME}.{interface}", name)
        except _Refused as error:
            if str(error) != _UNKNOWN_PROPERTY:
                raise
            return None
        return _checked(name, variant)


def _checked(name: str, variant: tuple[str, Any]) -> Any:
    signature, value = variant
    if _TYPES.get(name, signature) != signature:
        raise MalformedError(f"{name} of another type")
    return value


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
        def of(name: str) -> Any:
            return peer.property(_MANAGER.path, "Manager", name)

        version = of("Version")
        if version is None:
            raise MalformedError("no version")
        return Manager(
            version=version,
            virtualization=of("Virtualization") or "",
            confidential=of("ConfidentialVirtualization"),
            started=of("UserspaceTimestamp") or 0,
            generators=of("GeneratorsStartTimestamp") or 0,
        )

    return _ask("PID 1 what it is", TIMEOUT, ask, (PRIVATE, SYSTEM_BUS))


class Loaded(Record):
    """PID 1's units that could request credentials, by name.

    `aliases` has other names of those that do; `unusable` the names that have no unit, with systemd's word for why,
    such as "masked"; `managers` the units of user managers that run; `values` those of SetCredentialEncrypted=, by unit
    and id. `pid` is the process that was asked, 0 where that is not known.
    """

    units: tuple[Unit, ...]
    aliases: dict[str, str] = {}  # noqa: RUF012  # nobody changes it
    unusable: dict[str, str] = {}  # noqa: RUF012
    managers: tuple[str, ...] = ()
    values: dict[str, dict[str, bytes]] = {}  # noqa: RUF012
    pid: int = 0


def read_units(name: str | None = None) -> Loaded:
    """The loaded units; systemd loads the unit `name`, which may be an alias, if it has not yet.

    Raises GuestcredError (exit status 3) where PID 1 cannot be asked or does not answer.
    """
    return _ask("PID 1 for its units", UNITS_TIMEOUT, lambda peer: _units(peer, name), (PRIVATE, SYSTEM_BUS))


def read_user_units(runtime: str, name: str | None = None) -> Loaded:
    """The same of the user manager whose $XDG_RUNTIME_DIR that is, for a process that is its user."""
    sockets = (f"{runtime}/systemd/private", f"{runtime}/bus")

    def ask(peer: _Peer) -> Loaded:
        pid, uid = peer.owner()
        if uid != os.geteuid():
            raise PermissionError("another user listens there")
        return _units(peer, name).replace(pid=pid)

    return _ask("the user manager for its units", USER_TIMEOUT, ask, sockets, _RUNS)


def _ask(
    what: str, seconds: float, question: Callable[[_Peer], _T], sockets: tuple[str, str], hint: str = _BOOTED
) -> _T:
    """The manager's answer, by its own socket, or by the bus if that fails."""
    reasons = []
    for path in sockets:
        try:
            with _Peer(path, seconds) as peer:
                if path == sockets[1]:
                    peer.ask("s", _BUS, "Hello")
                return question(peer)
        except TimeoutError:
            reasons.append(f"{path}: no answer within {seconds:.0f} seconds")
        except OSError as error:
            reasons.append(f"{path}: {reason(error)}")
        except _Refused as error:
            reasons.append(f"{path}: {error}")
        except MalformedError:
            reasons.append(f"{path}: an answer that is no D-Bus or not systemd's")
    raise GuestcredError(f"cannot ask {what} ({'; '.join(reasons)})", hint)


def _units(peer: _Peer, name: str | None) -> Loaded:
    # ListUnits gives a(ssssssouso): name, description, load state, active state, sub state, following, path, job
    rows = peer.ask("a(ssssssouso)", _MANAGER, "ListUnits")
    listed = {unit: (active, sub, path) for unit, _, load, active, sub, _, path, *_ in rows if load == "loaded"}
    unusable = {unit: load for unit, _, load, *_ in rows if load != "loaded"}
    aliases: dict[str, str] = {}
    if name is not None and name not in listed:
        _load(peer, name, listed, aliases, unusable)
    units, values = [], {}
    for unit, (active, sub, path) in sorted(listed.items()):
        interface = INTERFACES.get(unit.rpartition(".")[2])
        if interface is None:
            continue
        try:
            properties = peer.properties(path, interface)
            parsed = parse_unit(unit, active, properties, sub)
            if parsed.requests:
                names = peer.properties(path, "Unit").get("Names", ())
                aliases |= {other: unit for other in names if other != unit}
        except _Refused:
            continue  # it has been unloaded in the meantime
        units.append(parsed)
        values[unit] = {identifier: bytes(value) for identifier, value in properties.get(SET_ENCRYPTED, ())}
    managers = [unit for unit, (active, *_) in listed.items() if active == "active" and unit.startswith("user@")]
    return Loaded(
        units=tuple(units),
        aliases=aliases,
        unusable=unusable,
        managers=tuple(sorted(managers)),
        values=values,
    )


def _load(
    peer: _Peer,
    name: str,
    listed: dict[str, tuple[str, str, str]],
    aliases: dict[str, str],
    unusable: dict[str, str],
) -> None:
    """Have the unit of that name or alias loaded from its files, and add it where it belongs."""
    try:
        path = peer.ask("o", _MANAGER, "LoadUnit", name)
        properties = peer.properties(path, "Unit")
    except (_Refused, UnicodeEncodeError):  # no unit has a name that is not UTF-8
        return
    unit, active, load = map(properties.get, ("Id", "ActiveState", "LoadState"))
    if unit is None or active is None or load is None:
        raise MalformedError("no unit")
    if load != "loaded":
        unusable[name] = load
        return
    listed[unit] = (active, properties.get("SubState", ""), path)
    if unit != name:
        aliases[name] = unit
