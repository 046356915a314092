"""Records: frozen, compared by value, and never printing one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import guestcred
from guestcred.record import Record
from guestcred.systemd.offered import Accepted, Place

PACKAGE = Path(guestcred.__file__).parent
POSITIONAL = 3  # fields that a reader can tell apart by their order


class Pair(Record):
    left: int
    right: tuple[int, ...] = ()


def test_records_print_no_value() -> None:
    accepted = Accepted(name="KEY", encoding="text", value=b"hunter2", place=Place(14, 1, 0))
    assert repr(accepted) == (
        "Accepted(name='KEY', encoding='text', value=<bytes of 7>, place=Place(handle=14, index=1, instance=0))"
    )
    assert accepted == Accepted("KEY", "text", b"hunter2", Place(14, 1, 0))


def test_fields_may_have_a_default() -> None:
    assert Pair(1) == Pair(left=1) == Pair(1, ()) == Pair(1, right=())
    assert Pair(1).replace(right=(2,)) == Pair(1, (2,)) != Pair(1)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        ((), {"right": ()}),
        ((1, (), 3), {}),
        ((1,), {"left": 2}),
        ((1,), {"other": 2}),
        ((1, ()), {"right": ()}),
    ],
)
def test_wrong_fields_are_refused(values: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Pair takes left, right"):
        Pair(*values, **named)  # type: ignore[arg-type]  # that is the point


def test_a_record_is_frozen() -> None:
    pair = Pair(1)
    with pytest.raises(AttributeError):
        pair.left = 2  # type: ignore[misc]  # that is the point
    with pytest.raises(AttributeError):
        del pair.left
    with pytest.raises(AttributeError):
        pair.replace().new = 1


def test_no_record_of_many_fields_is_built_by_their_order() -> None:
    trees = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    records = {
        node.name for node in classes if [base.id for base in node.bases if isinstance(base, ast.Name)] == ["Record"]
    }
    assert len(records) > 30
    wrong = [
        f"{path.relative_to(PACKAGE)}, line {node.lineno}: {node.func.id}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in records
        if len(node.args) > POSITIONAL
    ]
    assert wrong == []
