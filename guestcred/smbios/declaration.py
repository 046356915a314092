"""The kinds of fields as construct has them, which builds formatted areas and parses them by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, BinaryIO

from construct import (
    Adapter,
    Bytes,
    Construct,
    ConstructError,
    Container,
    FixedSized,
    FormatField,
    StreamError,
    Struct,
)

from guestcred.smbios.fields import Formatted, Kind, Variable
from guestcred.smbios.groups import Data, Repeated


@cache
def declared(kind: Kind | Variable | Formatted) -> Construct:
    """A kind of field, or a whole area, as construct has it."""
    match kind:
        case Formatted():
            return Area(kind)
        case Kind(make=None):
            return _number(kind.code)
        case Kind():
            return _Value(kind)
        case Data():
            return Bytes(lambda fields: fields[kind.length] - kind.counted)
        case Repeated():
            return _Group(kind)
    raise TypeError(kind)


def _number(code: str) -> Construct:
    return Bytes(int(code[:-1])) if code.endswith("s") else FormatField("<", code)


class _Value(Adapter):  # type: ignore[misc]  # construct ships no types
    """What is more than a number."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(_number(kind.code))
        self.kind = kind

    def _decode(self, raw: Any, context: Any, _: str) -> Any:
        assert self.kind.make
        return self.kind.make(raw, context._params.get("strings", ()))

    def _encode(self, value: Any, _: Any, path: str) -> Any:
        assert self.kind.find
        try:
            return self.kind.find(value)
        except (KeyError, ValueError, TypeError) as error:
            raise ConstructError(f"{value!r} is no value of this field", path) from error


class _Cut(list[Any]):
    """The whole ones of a group that is cut."""


class _Group(Construct):  # type: ignore[misc]  # construct ships no types
    """Several of the same."""

    def __init__(self, kind: Repeated) -> None:
        super().__init__()
        self.kind = kind
        item, name, size = kind.item, kind.size, kind.item.size
        if isinstance(item, Kind):
            self.item = declared(item)
        elif name is None and size is None:
            self.item = Struct(*_fields(item))
        else:
            self.item = FixedSized((lambda fields: fields[name]) if name else size, declared(item))

    def _parse(self, stream: BinaryIO, context: Any, path: str) -> list[Any]:
        values: list[Any] = []
        while self.kind.count is None or len(values) < context[self.kind.count]:
            start = stream.tell()
            try:
                values.append(self.item._parsereport(stream, context, path))
            except StreamError:
                stream.seek(start)
                return values if self.kind.count is None else _Cut(values)
        return values

    def _build(self, values: Sequence[Any], stream: BinaryIO, context: Any, path: str) -> Sequence[Any]:
        for index, value in enumerate(values):
            self.item._build(value, stream, context, f"{path}[{index}]")
        return values


def _fields(layout: Formatted) -> list[Construct]:
    return [field.name / declared(field.kind) for field in layout.fields]


class Area(Construct):  # type: ignore[misc]  # construct ships no types
    """A formatted area, which may end after any of its fields, and inside one: what is left over is `rest`."""

    def __init__(self, layout: Formatted) -> None:
        super().__init__()
        self.layout, self.subcons = layout, _fields(layout)

    def _parse(self, stream: BinaryIO, context: Any, path: str) -> Any:
        view, start, value = Container(), stream.tell(), None
        inside = Container(context)
        for subcon in self.subcons:
            try:
                value = view[subcon.name] = inside[subcon.name] = subcon._parsereport(stream, inside, path)
            except StreamError:
                break
            start = stream.tell()
            if isinstance(value, _Cut):
                break
        stream.seek(start)
        rest = stream.read()
        return Container(view, rest=rest) if rest else view

    def _build(self, view: Mapping[str, Any], stream: BinaryIO, context: Any, path: str) -> Any:
        names = [subcon.name for subcon in self.subcons]
        present = view.keys() - {"rest"}
        if present != {*names[: len(present)]}:
            raise ConstructError(
                f"{self.layout.title}: the fields are {', '.join(names)}, and none without those before it", path
            )
        inside = Container(context, **view)
        for subcon in self.subcons[: len(present)]:
            subcon._build(view[subcon.name], stream, inside, path)
        stream.write(view.get("rest", b""))
        return view
