"""One TOML file: the services in it, and every mistake, with its line and key."""

from __future__ import annotations

import os
import re
import tomllib

from guestcred.errors import USAGE, GuestcredError
from guestcred.record import Record
from guestcred.systemd.requests import IMPORT, LOAD, SET, Request
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.search_path import glob_matches, split_load
from guestcred.systemd.shown import quoted, told_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# paths below these are what this very run rescues or delivers
OWN = ("/run/credstore/", "/run/guestcred/", "/var/run/credstore/", "/var/run/guestcred/")
KEYS = {"user": str, "load": list, "import": list, "set": list, "required": list}
_EXAMPLES = {
    "user": 'user = "demo-svc-user"',
    "load": 'load = ["api-key:API_KEY"]',
    "import": 'import = ["TLS_*"]',
    "set": 'set = ["region:eu"]',
    "required": 'required = ["api-key"]',
}
OTHER_UNITS = (".socket", ".mount", ".swap", ".timer", ".target", ".path", ".slice", ".scope", ".device", ".automount")
_UNIT_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_QUOTED = re.compile(r" \(?['\"].{3,}['\"],?\)?")  # keys in the words of tomllib, not its "Expected '='"
_UNIT_NAME_MAX = 255  # UNIT_NAME_MAX and VALID_CHARS_WITH_AT in systemd src/basic/unit-name.h


class Service(Record):
    """One `[services.NAME]`: `unit` ends in ".service"; `load` is (id, path), `defaults` is (id, value).

    `path` is the file that it is in, below the root.
    """

    unit: str
    path: str
    user: str
    load: tuple[tuple[str, str], ...]
    imports: tuple[str, ...]
    defaults: tuple[tuple[str, bytes], ...]
    required: tuple[str, ...]

    @property
    def requests(self) -> tuple[Request, ...]:
        """Its settings as systemd would have them, in the order in which they count."""
        required = self.required
        # a required name that only a pattern gives is asked for itself: a pattern without a match asks for nothing
        asked = {*dict(self.load), *dict(self.defaults), *self.imports}
        return (
            *(
                Request(setting=LOAD, id=identifier, source=path, required=identifier in required)
                for identifier, path in self.load
            ),
            *(Request(setting=IMPORT, source=pattern, required=pattern in required) for pattern in self.imports),
            *(Request(setting=IMPORT, source=name, required=True) for name in required if name not in asked),
            *(Request(setting=SET, id=identifier, size=len(value)) for identifier, value in self.defaults),
        )


class Mistake(Record):
    """What is wrong with a file: `path` as a person would type it, `line` and `key` None where there is none."""

    path: str
    line: int | None
    key: str | None
    what: str
    hints: tuple[str, ...]

    @property
    def problem(self) -> str:
        """The whole of it in a sentence."""
        line = f", line {self.line}" if self.line else ""
        key = f" {self.key!r}:" if self.key else ""
        return f"{self.path}{line}:{key} {self.what}"

    def error(self) -> GuestcredError:
        """As a failure (exit status 2)."""
        return GuestcredError(self.problem, *self.hints, status=USAGE)


def _is_unit(name: str) -> bool:
    """Whether it is the name of a service, with its ending or without."""
    whole = f"{name.removesuffix('.service')}.service"
    return _UNIT_CHARACTERS.issuperset(name) and name[:1] not in ("", ".") and len(whole) <= _UNIT_NAME_MAX


def _heading(name: str) -> str:
    """The heading of a service's table; a key with other characters than these needs quotes in TOML."""
    bare = name.replace("-", "").replace("_", "")
    return f"[services.{name}]" if bare.isalnum() else f"[services.'{name}']"


class ConfigFile:
    """One file: `path` below the root, `shown` as a person would type it. What is wrong is in `mistakes`, in order."""

    def __init__(self, path: str, shown: str, data: bytes) -> None:
        self._path = path
        self.shown = shown
        self._text = ""
        self.mistakes: list[Mistake] = []
        self.services: list[Service] = []
        try:
            self._text = data.decode("utf-8")
            document = tomllib.loads(self._text)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self.mistakes.append(
                Mistake(path=shown, line=line, key=None, what="not UTF-8", hints=("save the file as UTF-8",))
            )
        except (ValueError, RecursionError) as error:  # a number of more than 4300 digits is a plain ValueError
            words = _QUOTED.sub("", str(error))
            told = f"not TOML: {words[:1].lower()}{words[1:]}"
            self.mistakes.append(Mistake(path=shown, line=None, key=None, what=told, hints=()))
        else:
            self._read(document)

    def _read(self, document: dict[str, Any]) -> None:
        tables: dict[str, Any] = {}
        for key, value in document.items():
            if key != "services":
                self._wrong("", key, "unknown key", "a file holds [services.NAME] tables only")
            elif not isinstance(value, dict):
                self._wrong("", key, "not a table", "write [services.NAME], once for each service")
            else:
                tables = value
        for name, table in tables.items():
            service = self._service(name, table)
            if service is not None:
                self.services.append(service)
        self.mistakes.sort(key=lambda mistake: mistake.line or 0)

    def _service(self, name: str, table: object) -> Service | None:
        if name.endswith(OTHER_UNITS):
            self._wrong(name, "", "no service", "only a service has a directory here: name one")
            return None
        if not _is_unit(name):
            self._wrong(name, "", "no name of a service", "name the unit as systemd does, without '/'")
            return None
        if not isinstance(table, dict):
            self._wrong(name, "", "not a table", f"write {_heading(name)} and its keys below it")
            return None
        told = {key: value for key, value in table.items() if self._is_well_formed(name, key, value)}
        if table.get("user", "") == "":
            self._wrong(name, "user", "missing", f"name the user that gets the credentials: {_EXAMPLES['user']}")
        load = [one for setting in told.get("load", ()) if (one := self._load(name, setting))]
        defaults = [default for setting in told.get("set", ()) if (default := self._default(name, setting))]
        self._refuse_twice(name, "load", [identifier for identifier, _ in load])
        self._refuse_twice(name, "set", [identifier for identifier, _ in defaults])
        return Service(
            unit=f"{name.removesuffix('.service')}.service",
            path=self._path,
            user=told.get("user", ""),
            load=tuple(load),
            imports=tuple(pattern for pattern in told.get("import", ()) if self._is_pattern(name, pattern)),
            defaults=tuple(defaults),
            required=tuple(one for one in told.get("required", ()) if self._is_given(name, told, one)),
        )

    def _is_well_formed(self, service: str, key: str, value: object) -> bool:
        if key not in KEYS:
            self._wrong(service, key, "unknown key", f"the keys are {', '.join(KEYS)}")
            return False
        kind = KEYS[key]
        texts = [value] if kind is str else value if isinstance(value, list) else [None]
        for text in texts:
            if not isinstance(text, str):
                wanted = "a string" if kind is str else "a list of strings"
                return self._wrong(service, key, f"not {wanted}", f"write {_EXAMPLES[key]}")
            if "\0" in text:
                return self._wrong(service, key, "a NUL character in it", "leave it out")
            if key != "set" and not text.isprintable():
                return self._wrong(service, key, "an unprintable character in it", "leave it out")
        return True

    def _refuse_twice(self, service: str, key: str, identifiers: list[str]) -> None:
        for number, identifier in enumerate(identifiers):
            if identifier in identifiers[:number]:
                self._wrong(service, key, f"{quoted(identifier)} is there twice", "keep one of the two")

    def _load(self, service: str, setting: str) -> tuple[str, str] | None:
        identifier, path = split_load(setting)
        well = self._is_name(service, "load", identifier)
        if not path.startswith("/"):
            well = self._is_name(service, "load", path) and well
        elif os.path.normpath(path) != path or path == "/" or path.startswith("//"):
            well = self._wrong(
                service, "load", "a path that is not in its plain form", "write it without '..' and '//'"
            )
        elif path.startswith(OWN):
            what = "a path to what apply itself writes"
            well = self._wrong(service, "load", what, "give the name of the credential")
        return (identifier, path) if well else None

    def _is_pattern(self, service: str, pattern: str) -> bool:
        well = pattern == "*" or self._is_name(service, "import", pattern.removesuffix("*"))
        if "*" in pattern[:-1] or "?" in pattern or "[" in pattern:
            what = f"{quoted(pattern)}: only a '*' at the end is a wildcard"
            return self._wrong(service, "import", what, f"write for example {_EXAMPLES['import']}")
        return well

    def _default(self, service: str, setting: str) -> tuple[str, bytes] | None:
        identifier, colon, value = setting.partition(":")
        if not colon:
            self._wrong(service, "set", "a string without ':'", 'write "id:value"')
            return None
        return (identifier, value.encode()) if self._is_name(service, "set", identifier) else None

    def _is_given(self, service: str, told: dict[str, list[str]], identifier: str) -> bool:
        if not self._is_name(service, "required", identifier):
            return False
        named = {setting.partition(":")[0] for key in ("load", "set") for setting in told.get(key, ())}
        if identifier in named or any(glob_matches(pattern, identifier) for pattern in told.get("import", ())):
            return True
        what = f"nothing in load, import or set gives {quoted(identifier)}"
        return self._wrong(service, "required", what, "name it in one of them, or take it out here")

    def _is_name(self, service: str, key: str, name: str) -> bool:
        if name_is_valid(name.encode()):
            return True
        problem = "an empty name" if not name else f"{quoted(name)} is no name of a credential"
        return self._wrong(service, key, problem, "a name is 1 to 255 printable ASCII characters without '/' and ':'")

    def _wrong(self, service: str, key: str, what: str, *hints: str) -> bool:
        """Note a mistake; False, for the checks that end in it. The name of a unit and the keys there are are shown."""
        named = service if _is_unit(service) else told_alone(service)
        of_key = key if key in KEYS or key == "services" else told_alone(key)
        place = ".".join(part for part in ("services" if service else "", named, of_key) if part)
        line = self.line(service, key) or self.line(service, "")
        self.mistakes.append(Mistake(path=self.shown, line=line, key=place, what=what, hints=hints))
        return False

    def line(self, service: str, key: str) -> int | None:
        """The line of a key written in the plain form, `[services.NAME]` and `key = ` below it."""
        inside = not service
        for number, line in enumerate(self._text.split("\n"), 1):
            bare = line.strip().replace('"', "").replace("'", "")
            if bare.startswith("["):
                inside = bare.startswith(f"[services.{service}]")
                if (bare.startswith(f"[{key}") and not service) or (inside and not key):
                    return number
            elif inside and key and bare.partition("=")[0].strip() == key:
                return number
        return None
