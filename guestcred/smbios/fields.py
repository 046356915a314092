"""What formatted areas are declared with: the specification's kinds of fields, and an area that may end after any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from construct import (
    Bytes,
    Construct,
    ConstructError,
    ExprAdapter,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    StopFieldError,
    StreamError,
    Struct,
    Subconstruct,
)

from guestcred.smbios.values import StringNumber, Uuid


def _resolve(number: int, context: Any) -> StringNumber:
    strings = context._params.get("strings", ())
    return StringNumber(number, strings[number - 1] if 1 <= number <= len(strings) else None)


# As DSP0134 7 calls them. A STRING is a number (6.1.3), resolved in the `strings` that `parse` is given.
BYTE, WORD, DWORD, QWORD = Int8ul, Int16ul, Int32ul, Int64ul
STRING = ExprAdapter(BYTE, _resolve, lambda number, _: int(number))
UUID = ExprAdapter(Bytes(16), lambda data, _: Uuid(data), lambda data, _: data)


class _Present(Subconstruct):  # type: ignore[misc]  # construct ships no types
    """A field that may be missing; then all fields after it are missing too."""

    def __init__(self, field: Construct) -> None:
        super().__init__(field.subcon)  # without the wrapper of `name / field`, which would cost each field a step
        self.name = field.name
        self.flagbuildnone = True

    def _parse(self, stream: BinaryIO, context: Any, path: str) -> Any:
        start = stream.tell()
        try:
            return self.subcon._parsereport(stream, context, path)
        except StreamError:
            stream.seek(start)
            raise StopFieldError(path=path) from None

    def _build(self, value: Any, stream: BinaryIO, context: Any, path: str) -> Any:
        if value is None:
            raise StopFieldError(path=path)
        return self.subcon._build(value, stream, context, f"{path} -> {self.name}")


class Formatted(Struct):  # type: ignore[misc]  # construct ships no types
    """The formatted area of one structure type, behind the header; `title` is the specification's name of the type.

    A structure of an older version of the specification is shorter: its later fields are absent, never invented. Bytes
    that no field covers are `rest`, and so are those of a field that is cut. Building follows the same rules.
    """

    def __init__(self, title: str, *fields: Construct) -> None:
        super().__init__(*map(_Present, fields))
        self.title = title

    def _parse(self, stream: BinaryIO, context: Any, path: str) -> Any:
        view = super()._parse(stream, context, path)
        del view["_io"]  # construct's own
        rest = stream.read()
        if rest:
            view["rest"] = rest
        return view

    def _build(self, view: Mapping[str, Any], stream: BinaryIO, context: Any, path: str) -> Any:
        names = [field.name for field in self.subcons]
        present = view.keys() - {"rest"}
        if present != {*names[: len(present)]}:
            raise ConstructError(
                f"{self.title}: the fields are {', '.join(names)}, and none without those before it", path
            )
        super()._build(view, stream, context, path)
        stream.write(view.get("rest", b""))
        return view


def place_of(layout: Struct, name: str, start: int = 0) -> slice:
    """The bytes of a field in a layout from `start` on; it and all before it have a fixed size. Raises KeyError."""
    for field in layout.subcons:
        stop = start + int(field.sizeof())
        if field.name == name:
            return slice(start, stop)
        start = stop
    raise KeyError(name)
