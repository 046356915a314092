"""Fields whose size hangs on others: as many bytes, or as many of the same, as there are said to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from construct import Bytes, Construct

from guestcred.smbios.fields import Formatted, Strings, Taken, Variable

Number = Callable[[Mapping[str, Any]], int]
"""A number that the fields before give: construct's `this.count`."""


class Data(Variable):
    """As many bytes as `length` says; absent where they are not all there."""

    empty = b""

    def __init__(self, length: Number) -> None:
        super().__init__()
        self.length = length

    def take(self, area: bytes, start: int, view: Mapping[str, Any], _: Strings) -> Taken | None:
        """The bytes from `start` on."""
        stop = start + self.length(view)
        return (area[start:stop], stop, True) if start <= stop <= len(area) else None

    def _build(self, data: bytes, stream: BinaryIO, context: Any, path: str) -> bytes:
        Bytes(self.length)._build(data, stream, context, path)
        return data


class Repeated(Variable):
    """`count` of the same, or all that there are; of those that are cut, the whole ones before.

    Each has the size of its kind, or `size` bytes, or as many as `leads` finds at its own front.
    """

    empty: tuple[()] = ()

    def __init__(
        self,
        item: Construct,
        count: Number | None = None,
        *,
        size: Number | None = None,
        leads: Callable[[bytes], int | None] | None = None,
    ) -> None:
        super().__init__()
        self.item, self.count, self.size, self.leads = item, count, size, leads

    def take(self, area: bytes, start: int, view: Mapping[str, Any], strings: Strings) -> Taken | None:
        """Those from `start` on."""
        values: list[Any] = []
        wanted = len(area) if self.count is None else self.count(view)
        size = self.size(view) if self.size else 0 if self.leads else int(self.item.sizeof())
        while len(values) < wanted:
            length = self.leads(area[start:]) if self.leads else size
            if length is None or start + length > len(area):
                return values, start, self.count is None
            piece = area[start : start + length]
            whole = isinstance(self.item, Formatted)
            values.append(self.item.decode(piece, strings) if whole else self.item.parse(piece, strings=strings))
            start += length
        return values, start, True

    def _build(self, values: Sequence[Any], stream: BinaryIO, context: Any, path: str) -> Sequence[Any]:
        for index, value in enumerate(values):
            self.item._build(value, stream, context, f"{path}[{index}]")
        return values
