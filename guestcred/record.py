"""Frozen records that never print a value, without the import cost of `dataclasses`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Generic, Self, TypeVar, dataclass_transform

    _R = TypeVar("_R", bound="Record")

    class JsonOf(dict[str, Any], Generic[_R]):
        """A record as `to_json` makes it: a dictionary of its fields."""

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
class _RecordType(type):
    """Makes a slot for every annotated field; a value assigned to the field is its default."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> _RecordType:
        annotations = namespace.get("__annotations__", {})
        assert isinstance(annotations, dict)
        fields = tuple(annotations)
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        namespace |= {"__slots__": fields, "__match_args__": fields, "_defaults": defaults}
        return super().__new__(cls, name, bases, namespace)


class Record(metaclass=_RecordType):
    """Base of all results: fields from annotations, immutable, compared by value, matched by `match`.

    Its `repr` shows numbers and names; bytes and collections show only their size, since they may hold
    secrets. `import dataclasses` alone costs more than a bare interpreter start, and this is the boot path.
    """

    if TYPE_CHECKING:
        __match_args__: ClassVar[tuple[str, ...]]
        _defaults: ClassVar[dict[str, object]]

    def __init__(self, *values: object, **named: object) -> None:
        fields = self.__match_args__
        if values or len(named) != len(fields):
            named = self._complete(values, named)
        try:
            for field in fields:
                _set(self, field, named[field])
        except KeyError:
            raise self._wrong() from None

    def _complete(self, values: tuple[object, ...], named: dict[str, object]) -> dict[str, object]:
        """All fields by name: `values` in the order of the fields, `named`, and the defaults of the others."""
        ordered = dict(zip(self.__match_args__, values))
        if len(values) > len(self.__match_args__) or ordered.keys() & named.keys():
            raise self._wrong()
        complete = {**self._defaults, **ordered, **named}
        if len(complete) != len(self.__match_args__):
            raise self._wrong()
        return complete

    def _wrong(self) -> TypeError:
        return TypeError(f"{type(self).__name__} takes {', '.join(self.__match_args__)}")

    def replace(self, **changed: object) -> Self:
        """A copy of this record with other values in these fields."""
        return type(self)(**{**{field: getattr(self, field) for field in self.__match_args__}, **changed})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, field) for field in self.__match_args__])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{field}={_shown(getattr(self, field))}" for field in self.__match_args__)
        return f"{type(self).__name__}({inside})"


_set = object.__setattr__

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "Setting": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
    "bool | None": (bool, type(None)),
    # closed sets of words, which only mypy knows
    **dict.fromkeys(("State", "Code"), (str,)),
    **dict.fromkeys(("Setting | None", "Problem | None", "Cause | Reason | None"), (str, type(None))),
}
_TEXTS = "tuple[str, ...]"


def to_json(record: _R) -> JsonOf[_R]:
    """A record as a JSON object, and the records in its tuples too."""

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return to_json(value) if isinstance(value, Record) else value

    made: Any = {field: plain(getattr(record, field)) for field in record.__match_args__}
    return made  # type: ignore[no-any-return]  # JsonOf is a type alone, and nothing at run time to make one of


def from_json(kind: type[_R], data: object, **inner: type[Record]) -> _R:
    """The record that `to_json` made; `inner` names the kind of record in a field or in its tuple.

    A field with a default may be absent: an older guestcred did not know it. Raises ValueError for anything else, and
    for text that could steer a terminal.
    """
    fields = set(kind.__match_args__)
    if not isinstance(data, dict) or not fields - set(kind._defaults) <= set(data) <= fields:
        raise ValueError(f"not a {kind.__name__}")
    values = {}
    for field, annotation in kind.__annotations__.items():
        if field not in data:
            continue
        value = data[field]
        if field in inner and isinstance(value, list):
            value = tuple(from_json(inner[field], item) for item in value)
        elif annotation == _TEXTS and isinstance(value, list):
            if not all(isinstance(text, str) and text.isprintable() for text in value):
                raise ValueError(f"wrong {field} in a {kind.__name__}")
            value = tuple(value)
        elif type(value) not in _TYPES.get(annotation, ()) or (isinstance(value, str) and not value.isprintable()):
            raise ValueError(f"wrong {field} in a {kind.__name__}")
        values[field] = value
    return kind(**values)
