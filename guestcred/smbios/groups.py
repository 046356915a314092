"""Fields whose size hangs on others: as many bytes, or as many of the same, as a field before them says."""

from __future__ import annotations

from guestcred.smbios.fields import Formatted, Kind, Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from guestcred.smbios.fields import Strings, Taken


class Data(Variable):
    """As many bytes as the field `length` says, which counts `counted` bytes before them too."""

    empty = b""

    def __init__(self, length: str, counted: int = 0) -> None:
        self.length, self.counted = length, counted

    def take(self, area: bytes, start: int, view: Mapping[str, Any], _: Strings) -> Taken:
        """The bytes from `start` on; absent where they are not all there."""
        stop = start + view[self.length] - self.counted
        return (area[start:stop], stop, True) if start <= stop <= len(area) else None


class Repeated(Variable):
    """As many of the same as the field `count` says, or all that there are; of those that are cut, the whole ones before.

    Each has as many bytes as the field `size` says, or else the size of its own fields.
    """

    empty: tuple[()] = ()

    def __init__(self, item: Kind | Formatted, count: str | None = None, *, size: str | None = None) -> None:
        self.item, self.count, self.size = item, count, size

    def take(self, area: bytes, start: int, view: Mapping[str, Any], strings: Strings) -> Taken:
        """Those from `start` on."""
        values: list[Any] = []
        wanted = len(area) if self.count is None else view[self.count]
        size = self.item.size if self.size is None else view[self.size]
        while len(values) < wanted:
            value: Any
            if size is None:  # its own fields say where it ends
                assert isinstance(self.item, Formatted)
                value, length, whole = self.item.take(area[start:], strings)
            else:
                length, whole = size, start + size <= len(area)
                value = self.item.decode(area[start : start + size], strings) if whole else None
            if not whole:
                return values, start, self.count is None
            values.append(value)
            start += length
        return values, start, True
