"""Frozen records that never print a value, without the import cost of `dataclasses`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, dataclass_transform
else:

    def dataclass_transform(**_: object):
        return lambda cls: cls


def _shown(value: object) -> str:
    if value is None or isinstance(value, (bool, int, str, Record)):
        return repr(value)
    if isinstance(value, (bytes, tuple, frozenset, dict)):
        return f"<{type(value).__name__} of {len(value)}>"
    return f"<{type(value).__name__}>"


@dataclass_transform(frozen_default=True, eq_default=True)
class Record:
    """Base of all results: fields from annotations, immutable, compared by value, matched by `match`.

    Its `repr` shows numbers and names; bytes and collections show only their size, since they may hold
    secrets. `import dataclasses` alone costs more than a bare interpreter start, and this is the boot path.
    """

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(vars(cls)["__annotations__"])
        setattr(cls, "__match_args__", cls._fields)  # noqa: B010 (mypy lets nobody assign it)

    def __init__(self, *values: object, **named: object) -> None:
        fields = self._fields
        state = dict(zip(fields, values), **named)
        if len(values) + len(named) != len(fields) or len(state) != len(fields) or not state.keys() <= set(fields):
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}")
        self.__dict__.update(state)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={_shown(value)}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({inside})"
