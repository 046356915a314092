"""Records to JSON and back, with the types of their fields checked."""

from __future__ import annotations

from typing import TypeVar

from guestcred.records import Record

_R = TypeVar("_R", bound=Record)
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, type(None)),
    "bool | None": (bool, type(None)),
}


def to_json(record: Record) -> dict[str, object]:
    """A record as a JSON object, records in its tuples too."""

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return [plain(one) for one in value]
        return to_json(value) if isinstance(value, Record) else value

    return {field: plain(getattr(record, field)) for field in record.__match_args__}


def from_json(kind: type[_R], data: object, **inner: type[Record]) -> _R:
    """The record that `to_json` made; `inner` names the kind of record in a field or in its tuple.

    Raises ValueError for anything else, text that could steer a terminal among it.
    """
    if not isinstance(data, dict) or set(data) != set(kind.__match_args__):
        raise ValueError(f"not a {kind.__name__}")
    values = {}
    for field, annotation in kind.__annotations__.items():
        value = data[field]
        if field in inner and isinstance(value, list):
            value = tuple(from_json(inner[field], one) for one in value)
        elif type(value) not in _TYPES.get(annotation, ()) or (isinstance(value, str) and not value.isprintable()):
            raise ValueError(f"wrong {field} in a {kind.__name__}")
        values[field] = value
    return kind(**values)
