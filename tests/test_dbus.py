"""D-Bus messages: what jeepney writes comes back, any bytes are a message or refused, and calls are those of jeepney."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, HeaderFields, Parser, new_error, new_method_call, new_method_return
from jeepney.low_level import Endianness

from guestcred.systemd.dbus import (
    DEPTH_MAX,
    ERROR,
    HEAD,
    METHOD_RETURN,
    SIZE_MAX,
    Interface,
    MalformedError,
    Message,
    message_size,
    method_call,
    read_body,
    read_message,
)

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
BASIC: dict[str, st.SearchStrategy[Any]] = {
    "y": st.integers(0, 255),
    "n": st.integers(-(2**15), 2**15 - 1),
    "q": st.integers(0, 2**16 - 1),
    "b": st.booleans(),
    "i": st.integers(-(2**31), 2**31 - 1),
    "u": st.integers(0, 2**32 - 1),
    "x": st.integers(-(2**63), 2**63 - 1),
    "t": st.integers(0, 2**64 - 1),
    "d": st.floats(allow_nan=False),
    "s": TEXT,
    "o": st.from_regex(r"/|(/[A-Za-z0-9_]{1,4}){1,3}", fullmatch=True),  # jeepney 0.9 writes no other
}
SIGNATURES = st.recursive(
    st.sampled_from([*BASIC, "v", "ay"]),
    lambda inner: st.one_of(
        inner.map("a{}".format),
        st.lists(inner, min_size=1, max_size=4).map(lambda types: f"({''.join(types)})"),
        st.tuples(st.sampled_from([*BASIC]), inner).map(lambda pair: f"a{{{pair[0]}{pair[1]}}}"),
    ),
    max_leaves=6,
)


@st.composite
def values(draw: st.DrawFn, signature: str) -> Any:
    """A value of one complete type, as jeepney takes it."""
    if signature == "v":
        inner = draw(SIGNATURES)
        return inner, draw(values(inner))
    if signature == "ay":
        return draw(st.binary(max_size=8))
    if signature in BASIC:
        return draw(BASIC[signature])
    if signature[:2] == "a{":
        keys = draw(st.lists(BASIC[signature[2]], max_size=3, unique=True))
        return {key: draw(values(signature[3:-1])) for key in keys}
    if signature[0] == "a":
        return [draw(values(signature[1:])) for _ in range(draw(st.integers(0, 3)))]
    return tuple(draw(values(part)) for part in parts(signature[1:-1]))


def parts(signature: str) -> list[str]:
    """The complete types of a signature."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if not depth and letter != "a":
            found.append(signature[start : at + 1])
            start = at + 1
    return found


def pairs(value: Any) -> Any:
    """The same with dictionaries as lists of pairs."""
    match value:
        case dict():
            return [(key, pairs(inner)) for key, inner in value.items()]
        case list():
            return [pairs(inner) for inner in value]
        case tuple():
            return tuple(pairs(inner) for inner in value)
    return value


CALL = new_method_call(DBusAddress("/x", "x.y", "x.y"), "X")
CALL.header.serial = 7


@given(st.data(), st.lists(SIGNATURES, max_size=3), st.sampled_from(Endianness), st.integers(1, 2**32 - 1))
def test_what_jeepney_writes_comes_back(data: st.DataObject, types: list[str], order: Endianness, serial: int) -> None:
    signature = "".join(types)
    body = tuple(data.draw(values(part)) for part in types)
    message = new_method_return(CALL, signature or None, body)
    message.header.endianness = order
    message.header.fields[HeaderFields.reply_serial] = serial
    written = message.serialise(serial=1)
    assert message_size(written[:HEAD]) == len(written)
    read = read_message(written)
    assert (read.kind, read.answers, read.error, read.signature) == (METHOD_RETURN, serial, None, signature)
    assert read_body(read, signature) == pairs(body)
    with pytest.raises(MalformedError):
        read_body(read, signature + "s")


PLACES = st.tuples(
    st.from_regex(r"[a-z]{1,9}\.[a-z]{1,9}", fullmatch=True),
    st.from_regex(r"(/[a-z]{1,9}){1,3}", fullmatch=True),
    st.from_regex(r"[a-z]{1,9}\.[a-zA-Z]{1,9}", fullmatch=True),
)


@given(
    PLACES, st.from_regex(r"[A-Z][a-zA-Z]{0,9}", fullmatch=True), st.lists(TEXT, max_size=4), st.integers(1, 2**32 - 1)
)
def test_a_call_is_the_one_that_jeepney_writes(
    place: tuple[str, str, str], method: str, arguments: list[str], serial: int
) -> None:
    service, path, name = place
    signature = "s" * len(arguments) or None
    theirs = new_method_call(DBusAddress(path, service, name), method, signature, tuple(arguments))
    (read,) = Parser().feed(method_call(serial, Interface(service, path, name), method, *arguments))
    assert read.header.fields == theirs.header.fields and read.body == theirs.body
    assert read.serialise(serial) == theirs.serialise(serial) and read.header.serial == serial


def test_an_error_has_its_name() -> None:
    read = read_message(new_error(CALL, "org.x.No", "s", ("secret",)).serialise(serial=1))
    assert (read.kind, read.error) == (ERROR, "org.x.No")


@given(st.binary(max_size=300), st.text("a(){}ybnqiuxtdsogvh", max_size=20))
def test_any_bytes_are_a_body_or_refused(body: bytes, signature: str) -> None:
    for little in (True, False):
        message = Message(kind=2, answers=1, error=None, signature=signature, little=little, body=body)
        with suppress(MalformedError):
            assert isinstance(read_body(message, signature), tuple)


@given(st.sampled_from([b"l", b"B"]), st.integers(0, 255), st.binary(min_size=8, max_size=8), st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(order: bytes, kind: int, numbers: bytes, fields: bytes) -> None:
    number = "<I" if order == b"l" else ">I"
    fields += bytes(-len(fields) % 8)
    data = (
        order + bytes([kind, 0, 1]) + struct.pack(number, 0) + numbers[:4] + struct.pack(number, len(fields)) + fields
    )
    assert message_size(data[:HEAD]) == len(data)
    with suppress(MalformedError):
        assert read_message(data).body == b""


@pytest.mark.parametrize(
    "head",
    [
        bytes(16),
        b"l\2\0\2" + bytes(12),
        b"x\2\0\1" + bytes(12),
        b"l\2\0\1" + b"\xff" * 12,
        b"l\2\0\1" + struct.pack("<III", SIZE_MAX, 1, 0),
        b"l\2\0\1" + struct.pack("<III", 0, 1, 1 << 20),
    ],
    ids=["nothing", "version", "order", "all-ones", "body-too-large", "fields-too-large"],
)
def test_what_cannot_be_the_head_of_a_message(head: bytes) -> None:
    with pytest.raises(MalformedError):
        message_size(head)


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("b", b"\2\0\0\0"),
        ("s", b"\1\0\0\0ab"),
        ("s", b"\2\0\0\0a\0\0"),
        ("s", b"\1\0\0\0\xff\0"),
        ("yu", b"\1\1\0\0\1\0\0\0"),
        ("v", b"\2yy\0\1\1"),
        ("v", b"\0\0"),
        ("au", b"\3\0\0\0\1\0\0\0"),
        ("au", b"\7\0\0\0" + bytes(8)),
        ("a()", b"\10\0\0\0" + bytes(12)),
        ("a{vs}", bytes(4)),
        ("{ss}", bytes(8)),
        ("a{s}", bytes(4)),
        ("(s", bytes(8)),
        ("s)", bytes(8)),
        ("(s}", bytes(8)),
        ("a", bytes(8)),
        ("a" * 256 + "y", bytes(4)),
        ("y", b"\1\1"),
    ],
)
def test_what_the_specification_forbids(signature: str, body: bytes) -> None:
    message = Message(kind=2, answers=1, error=None, signature=signature, little=True, body=body)
    with pytest.raises(MalformedError):
        read_body(message, signature)


@pytest.mark.parametrize(("depth", "taken"), [(DEPTH_MAX, True), (DEPTH_MAX + 1, False)])
def test_containers_in_each_other(depth: int, taken: bool) -> None:
    body = b"\1v\0" * (depth - 1) + b"\1y\0\7"
    message = Message(kind=2, answers=1, error=None, signature="v", little=True, body=body)
    if taken:
        assert read_body(message, "v")
    else:
        with pytest.raises(MalformedError):
            read_body(message, "v")
