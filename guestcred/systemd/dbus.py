"""D-Bus messages: method calls -> bytes; the bytes of somebody who may send anything -> values, in linear time, never deep.
The D-Bus Specification's "Message Protocol".

A library for it would not do: jeepney's import alone takes a boot more than all of guestcred, and its parser trusts the
other side: it never comes back from an array of empty structs, recurses as deep as variants are nested, and says of
wrong bytes what its own functions happen to raise.
"""

from __future__ import annotations

import struct

from guestcred.record import Record

SIZE_MAX = 8 << 20  # bytes of one message; ListUnits takes some 300 for each unit
_FIELDS_MAX = 1 << 16  # bytes of the fields in a message's header
HEAD = 16  # bytes of a message that say how long it is
DEPTH_MAX = 64  # containers in each other, variants too
_SIGNATURE_MAX = 255

_METHOD_CALL, METHOD_RETURN, ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8  # header fields
_VERSION = 1

# alignment and size in bytes, and the letter of struct
_FIXED = {
    "y": (1, "B"), "n": (2, "h"), "q": (2, "H"), "b": (4, "I"), "i": (4, "i"), "u": (4, "I"), "x": (8, "q"),
    "t": (8, "Q"), "d": (8, "d"), "h": (4, "I"),
}  # fmt: skip
_ALIGNMENT = {kind: size for kind, (size, _) in _FIXED.items()} | {
    "s": 4,
    "o": 4,
    "g": 1,
    "v": 1,
    "a": 4,
    "(": 8,
    "{": 8,
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MalformedError(Exception):
    """Bytes that are no D-Bus message, or one that is too large."""


class Message(Record):
    """A message: its `kind` (METHOD_RETURN, ERROR or another number), the serial number of the call that it answers,
    the name of the error, and its body, which `read_body` reads."""

    kind: int
    answers: int | None
    error: str | None
    signature: str
    little: bool
    body: bytes


class Interface(Record):
    """An interface of an object of a service on the bus: the service's name, the object's path, and its own name."""

    service: str
    path: str
    name: str


def method_call(serial: int, of: Interface, method: str, *arguments: str) -> bytes:
    """The message that calls a method with these strings; its reply has `serial`, which is not 0."""
    fields = b""
    for code, kind, text in (
        (_PATH, b"o", of.path),
        (_INTERFACE, b"s", of.name),
        (_MEMBER, b"s", method),
        (_DESTINATION, b"s", of.service),
    ):
        fields = _aligned(fields, 8) + bytes((code, 1)) + kind + b"\0" + _string(text)
    if arguments:
        signature = b"s" * len(arguments)
        fields = _aligned(fields, 8) + bytes((_SIGNATURE, 1)) + b"g\0" + bytes((len(signature),)) + signature + b"\0"
    body = b""
    for argument in arguments:
        body = _aligned(body, 4) + _string(argument)
    head = struct.pack("<cBBBIII", b"l", _METHOD_CALL, 0, _VERSION, len(body), serial, len(fields))
    return _aligned(head + fields, 8) + body


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def _aligned(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size)


def message_size(head: bytes) -> int:
    """The length in bytes of the message that starts with these HEAD bytes. Raises MalformedError."""
    if head[:1] not in (b"l", b"B") or head[3] != _VERSION:
        raise MalformedError("no D-Bus")
    order = "<" if head[:1] == b"l" else ">"
    body, _, fields = struct.unpack_from(order + "III", head, 4)
    size = HEAD + fields + -fields % 8 + body
    if size > SIZE_MAX or fields > _FIELDS_MAX:
        raise MalformedError("too large")
    return int(size)


def read_message(data: bytes) -> Message:
    """One whole message, whose body is still bytes. Raises MalformedError."""
    little = data[:1] == b"l"
    body = len(data) - int(struct.unpack_from("<I" if little else ">I", data, 4)[0])
    header = _Reader(data[:body], little)
    header.at = 12
    fields = dict(header.value(_types("a(yv)")[0], 0))
    header.align(8)
    if header.at != body:
        raise MalformedError("a header of another length")
    found = []
    for code, kind in ((_REPLY_SERIAL, "u"), (_ERROR_NAME, "s"), (_SIGNATURE, "g")):
        has, value = fields.get(code, (kind, None))
        if has != kind:
            raise MalformedError("a header field of another type")
        found.append(value)
    answers, error, signature = found
    return Message(
        kind=data[1], answers=answers, error=error, signature=signature or "", little=little, body=data[body:]
    )


def read_body(message: Message, signature: str) -> tuple[Any, ...]:
    """The values in a message's body: structs are tuples, dictionaries lists of pairs, variants (signature, value).

    Raises MalformedError, also where they are not of the types in `signature`.
    """
    if message.signature != signature:
        raise MalformedError("other types")
    reader = _Reader(message.body, message.little)
    values = tuple([reader.value(kind, 0) for kind in _types(signature)])
    if reader.at != len(message.body):
        raise MalformedError("a body of another length")
    return values


class _Reader:
    """A place in bytes, from which one value after the other is read; each takes at least one byte."""

    def __init__(self, data: bytes, little: bool) -> None:
        self._data = data
        self._order = "<" if little else ">"
        self.at = 0

    def _take(self, size: int) -> bytes:
        taken = self._data[self.at : self.at + size]
        if len(taken) != size:
            raise MalformedError("cut")
        self.at += size
        return taken

    def align(self, size: int) -> None:
        """Go on to the next multiple of `size`."""
        if self._take(-self.at % size).strip(b"\0"):
            raise MalformedError("no zeros in between")

    def _number(self, kind: str) -> Any:
        size, code = _FIXED[kind]
        self.align(size)
        (number,) = struct.unpack(self._order + code, self._take(size))
        if kind == "b":
            if number > 1:
                raise MalformedError("no boolean")
            return bool(number)
        return number

    def _text(self, length: int) -> str:
        text = self._take(length)
        if self._take(1) != b"\0" or b"\0" in text:
            raise MalformedError("a string of another length")
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise MalformedError("no UTF-8") from None

    def value(self, kind: str | tuple[Any, ...], depth: int) -> Any:
        """The value of a type of `_types` that comes next, inside of `depth` others."""
        if depth > DEPTH_MAX:
            raise MalformedError("too deep")
        match kind:
            case "s" | "o":
                return self._text(self._number("u"))
            case "g":
                return self._text(self._number("y"))
            case "v":
                signature = self._text(self._number("y"))
                types = _types(signature)
                if len(types) != 1:
                    raise MalformedError("a variant of several values")
                return signature, self.value(types[0], depth + 1)
            case str():
                return self._number(kind)
            case ("a", inner):
                return self._array(inner, depth)
        self.align(8)
        return tuple([self.value(inner, depth + 1) for inner in kind[1:]])

    def _array(self, kind: str | tuple[Any, ...], depth: int) -> Any:
        length = self._number("u")
        self.align(_ALIGNMENT[kind[0]])
        end = self.at + length
        if end > len(self._data):
            raise MalformedError("cut")
        if kind == "y":
            return self._take(length)
        values = []
        while self.at < end:
            values.append(self.value(kind, depth + 1))
        if self.at != end:
            raise MalformedError("an array of another length")
        return values


def _types(signature: str) -> list[str | tuple[Any, ...]]:
    """The complete types of a signature: a letter, ("a", type), ("(", type, ...) or ("{", type, type)."""
    if len(signature) > _SIGNATURE_MAX:
        raise MalformedError("a signature that is too long")
    # the open containers, each with what is in it so far; the first stands for the whole signature
    stack: list[list[Any]] = [[""]]
    for letter in signature:
        if letter in "a({":
            stack.append([letter])
            continue
        done: Any = letter
        if letter in ")}":
            done = tuple(stack.pop())
            if (letter, done[0]) not in ((")", "("), ("}", "{")) or len(done) < 2:
                raise MalformedError("no signature")
            if letter == "}" and (len(done) != 3 or done[1] not in (*_FIXED, "s", "o", "g") or stack[-1] != ["a"]):
                raise MalformedError("no signature")
        elif letter not in _FIXED and letter not in "sogv":
            raise MalformedError("no signature")
        while stack[-1][0] == "a":
            stack.pop()
            done = ("a", done)
        stack[-1].append(done)
    if len(stack) > 1:
        raise MalformedError("no signature")
    return stack[0][1:]
