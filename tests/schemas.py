"""The JSON Schemas in guestcred/schemas, made of the types of the documents; and outputs of tests, held against them.

`.venv/bin/python tests/schemas.py` writes them again after a document got another shape.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

import guestcred

PACKAGE = Path(guestcred.__file__).parent
SCHEMAS = PACKAGE / "schemas"

# the name of each schema, and where its document is declared
DOCUMENTS = {
    **{
        name: ("show.documents", f"{name.title().replace('-', '')}Document")
        for name in (
            "check",
            "why",
            "status",
            "services",
            "report",
            "apply",
            "dump",
            "dump-value",
            "encode",
            "forecast",
            "config",
            "captured",
        )
    },
    "capture": ("capture.tree", "CaptureDocument"),
    "units": ("guest.deliveries", "UnitsDocument"),
}

PLAIN = {"str": "string", "int": "integer", "bool": "boolean", "None": "null"}
Schema = dict[str, Any]


class Module:
    """The classes, names and imports of a module, those for types only too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.names: dict[str, ast.expr | ast.ClassDef] = {}
        self.imported: dict[str, str] = {}
        for node in ast.walk(ast.parse((PACKAGE / f"{name.replace('.', '/')}.py").read_text())):
            match node:
                case ast.ClassDef(name=defined):
                    self.names.setdefault(defined, node)
                case ast.Assign(targets=[ast.Name(id=defined)], value=value):
                    self.names.setdefault(defined, value)
                case ast.ImportFrom(module=str(module), names=names) if module.startswith("guestcred."):
                    self.imported |= {one.asname or one.name: module.removeprefix("guestcred.") for one in names}


@cache
def module(name: str) -> Module:
    """A module by its name below the package."""
    return Module(name)


class Maker:
    """Makes the schema of a type; what has a name of its own is a definition."""

    def __init__(self) -> None:
        self.defined: dict[str, Schema] = {}

    def of(self, at: Module, node: ast.expr) -> Schema:
        """The schema of an annotation in a module."""
        match node:
            case ast.Constant(value=None):
                return {"type": "null"}
            case ast.Constant(value=str(text)):
                return self.of(at, ast.parse(text, mode="eval").body)
            case ast.Name(id="object" | "Any"):
                return {}
            case ast.Name(id=name) if name in PLAIN:
                return {"type": PLAIN[name]}
            case ast.Name(id=name):
                return self._named(at, name)
            case ast.BinOp(op=ast.BitOr()):
                return self._union(at, node)
            case ast.Subscript(value=ast.Name(id="Literal"), slice=inside):
                return {"enum": list(dict.fromkeys(self._words(at, inside)))}
            case ast.Subscript(value=ast.Name(id="list"), slice=inside):
                return {"type": "array", "items": self.of(at, inside)}
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[inside, ast.Constant(value=value)])):
                assert value is ...
                return {"type": "array", "items": self.of(at, inside)}
            case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[_, inside])):
                return {"type": "object", "additionalProperties": self.of(at, inside)}
            case ast.Subscript(value=ast.Name(id="JsonOf" | "NotRequired"), slice=inside):
                return self.of(at, inside)
        raise AssertionError(f"{at.name}: no schema of {ast.unparse(node)}")

    def _named(self, at: Module, name: str) -> Schema:
        if name in at.imported:
            return self._named(module(at.imported[name]), name)
        told = name.removesuffix("Json")
        if told not in self.defined:
            self.defined[told] = {}  # in its place, before those that it names
            node = at.names[name]
            made = self.of_class(at, node) if isinstance(node, ast.ClassDef) else self.of(at, node)
            self.defined[told] = made
        return {"$ref": f"#/$defs/{told}"}

    def of_class(self, at: Module, node: ast.ClassDef) -> Schema:
        """The schema of a class of ours: an object with its fields, and with those of the class that it extends."""
        made: Schema = {"description": "", "type": "object", "properties": {}, "required": []}
        for base in node.bases:
            below = at.names.get(base.id) if isinstance(base, ast.Name) else None
            match below:
                case ast.ClassDef():
                    made = self.of_class(at, below)
                case ast.Call(args=[_, ast.Dict(keys=keys, values=values)]):
                    for key, value in zip(keys, values):
                        assert isinstance(key, ast.Constant)
                        made["properties"][key.value] = self.of(at, value)
                        made["required"].append(key.value)
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                made["properties"][field.target.id] = self.of(at, field.annotation)
                if not ast.unparse(field.annotation).startswith("NotRequired["):
                    made["required"].append(field.target.id)
        docstring = inspect.cleandoc(ast.get_docstring(node) or "")
        return {**made, "description": docstring.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n")}

    def _union(self, at: Module, node: ast.expr) -> Schema:
        members: list[ast.expr] = []
        while isinstance(node, ast.BinOp):
            members.insert(0, node.right)
            node = node.left
        made = [self.of(at, member) for member in (node, *members)]
        if all(set(one) == {"type"} for one in made):
            return {"type": [one["type"] for one in made]}
        if made[1:] == [{"type": "null"}] and isinstance(made[0].get("type"), str):
            return {**made[0], "type": [made[0]["type"], "null"]}
        return {"anyOf": made}

    def _words(self, at: Module, node: ast.expr) -> list[str]:
        match node:
            case ast.Tuple(elts=inside):
                return [word for one in inside for word in self._words(at, one)]
            case ast.Constant(value=str(word)):
                return [word]
            case ast.Name(id=name) if name in at.imported:
                return self._words(module(at.imported[name]), node)
            case ast.Name(id=name):
                alias = at.names[name]
                assert isinstance(alias, ast.Subscript)
                return self._words(at, alias.slice)
        raise AssertionError(f"{at.name}: no word is {ast.unparse(node)}")


def words(at: str, name: str) -> list[str]:
    """The words of a `Literal` of ours by its module and name."""
    node = module(at).names[name]
    assert isinstance(node, ast.expr)
    found: list[str] = Maker().of(module(at), node)["enum"]
    return found


def schema(name: str) -> Schema:
    """The schema of a document."""
    at, declared = DOCUMENTS[name]
    node, maker = module(at).names[declared], Maker()
    assert isinstance(node, ast.ClassDef)
    made = maker.of_class(module(at), node)
    assert made["properties"]["schema"] == {"enum": [f"guestcred.{name}/1"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:guestcred:schema:{name}:1",
        "title": f"guestcred.{name}/1",
        **made,
        "$defs": dict(sorted(maker.defined.items())),
    }


def closed(made: Any) -> Any:
    """The same schema without the freedom to have other keys, which a later guestcred may need and a test does not."""
    match made:
        case dict():
            inside = {key: closed(value) for key, value in made.items()}
            return {**inside, "additionalProperties": False} if "properties" in made else inside
        case list():
            return [closed(one) for one in made]
    return made


@cache
def validator(name: str) -> Callable[[object], object]:
    """What holds a document against the schema that is shipped, and against keys that it does not have."""
    made: Callable[[object], object] = fastjsonschema.compile(
        closed(json.loads((SCHEMAS / f"{name}.json").read_text()))
    )
    return made


def hold(output: str | bytes) -> None:
    """Fail where an output is a document of guestcred's, and not what its schema says."""
    if output[:1] not in ("{", b"{"):
        return
    try:
        document = json.loads(output)
    except ValueError:
        return  # some tests read several, or part of one
    told = document.get("schema")
    if not isinstance(told, str) or not told.startswith("guestcred."):
        return
    name = told.removeprefix("guestcred.").partition("/")[0]
    try:
        validator(name)(document)
    except fastjsonschema.JsonSchemaValueException as error:
        raise AssertionError(f"{told} is not as its schema says: {error.message[:500]}") from None


def text(name: str) -> str:
    """What stands in the file of a schema."""
    return json.dumps(schema(name), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for name in DOCUMENTS:
        (SCHEMAS / f"{name}.json").write_text(text(name))
