"""The services that want a directory of credentials, from TOML files in systemd's own order."""

from __future__ import annotations

import os
import stat

from guestcred.descriptor import distrusted
from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.config_files import config_files
from guestcred.guest.rootfs import Tree
from guestcred.record import Record
from guestcred.systemd.requests import IMPORT, LOAD, SET, Request
from guestcred.systemd.rules import name_is_valid
from guestcred.systemd.search_path import glob_matches, split_load
from guestcred.text import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# paths below these are what this very run rescues or delivers
OWN = ("/run/credstore/", "/run/guestcred/", "/var/run/credstore/", "/var/run/guestcred/")
KEYS = {"user": str, "load": list, "import": list, "set": list, "required": list}
OTHER_UNITS = (".socket", ".mount", ".swap", ".timer", ".target", ".path", ".slice", ".scope", ".device", ".automount")
_UNIT_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
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


def read_services(tree: Tree) -> tuple[Service, ...]:
    """All configured services by unit name. Raises GuestcredError (exit status 2) for a file that cannot be used."""
    services: dict[str, Service] = {}
    try:
        for path in config_files(tree):
            for service in _File(tree, path).services():
                if service.unit in services:
                    other = tree.shown(services[service.unit].path)
                    raise GuestcredError(
                        f"{tree.shown(path)}: services.{service.unit.removesuffix('.service')} is in {other} too",
                        "give a service all its settings in one file",
                    )
                services[service.unit] = service
    except GuestcredError as error:
        raise GuestcredError(error.problem, *error.hints, status=USAGE) from None
    return tuple(service for _, service in sorted(services.items()))


def _table(name: str) -> str:
    """The heading of a service's table; a key with other characters than these needs quotes in TOML."""
    bare = name.replace("-", "").replace("_", "")
    return f"[services.{name}]" if bare.isalnum() else f"[services.'{name}']"


class _File:
    """One TOML file, and errors that say where in it."""

    def __init__(self, tree: Tree, path: str) -> None:
        self._path = path
        self._shown = tree.shown(path)
        _refuse_untrusted(tree, os.path.dirname(path), stat.S_ISDIR, "folder")
        _refuse_untrusted(tree, path, stat.S_ISREG, "regular file")
        data = tree.read(path) or b""
        try:
            self._text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise GuestcredError(f"{self._shown}, line {line}: not UTF-8", "save the file as UTF-8") from None

    def services(self) -> list[Service]:
        import tomllib  # costs more than all of guestcred, so only where there is a file

        try:
            document = tomllib.loads(self._text)
        except (ValueError, RecursionError) as error:  # a number of more than 4300 digits is a plain ValueError
            raise GuestcredError(f"{self._shown}: not TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
        for key, value in document.items():
            if key != "services":
                raise self._wrong("", key, "unknown key", "a file holds [services.NAME] tables only")
            if not isinstance(value, dict):
                raise self._wrong("", key, "not a table", "write [services.NAME], once for each service")
        return [self._service(name, table) for name, table in document.get("services", {}).items()]

    def _service(self, name: str, table: object) -> Service:
        unit = name if name.endswith(".service") else f"{name}.service"
        if name.endswith(OTHER_UNITS):
            raise self._wrong(name, "", "no service", "only a service has a directory here: name one")
        if not _UNIT_CHARACTERS.issuperset(name) or name[:1] in ("", ".") or len(unit) > _UNIT_NAME_MAX:
            raise self._wrong(name, "", "no name of a service", "name the unit as systemd does, without '/'")
        if not isinstance(table, dict):
            raise self._wrong(name, "", "not a table", f"write {_table(name)} and its keys below it")
        for key, value in table.items():
            if key not in KEYS:
                raise self._wrong(name, key, "unknown key", f"the keys are {', '.join(KEYS)}")
            kind = KEYS[key]
            if not isinstance(value, kind) or (kind is list and not all(isinstance(item, str) for item in value)):
                wanted = "a string" if kind is str else "a list of strings"
                raise self._wrong(name, key, f"not {wanted}")
            for text in [value] if kind is str else value:
                if "\0" in text:
                    raise self._wrong(name, key, "a NUL character in it")
                if key != "set" and not text.isprintable():
                    raise self._wrong(name, key, "an unprintable character in it")
        if not table.get("user"):
            raise self._wrong(
                name, "user", "missing", 'name the user that gets the credentials: user = "demo-svc-user"'
            )
        load = tuple(self._load(name, setting) for setting in table.get("load", ()))
        defaults = tuple(self._default(name, setting) for setting in table.get("set", ()))
        self._refuse_twice(name, "load", [identifier for identifier, _ in load])
        self._refuse_twice(name, "set", [identifier for identifier, _ in defaults])
        return Service(
            unit=unit,
            path=self._path,
            user=table["user"],
            load=load,
            imports=tuple(self._import(name, pattern) for pattern in table.get("import", ())),
            defaults=defaults,
            required=tuple(self._required(name, table)),
        )

    def _refuse_twice(self, service: str, key: str, identifiers: list[str]) -> None:
        for number, identifier in enumerate(identifiers):
            if identifier in identifiers[:number]:
                raise self._wrong(service, key, f"{identifier!r} is there twice", "keep one of the two")

    def _load(self, service: str, setting: str) -> tuple[str, str]:
        identifier, path = split_load(setting)
        self._check_name(service, "load", identifier)
        if not path.startswith("/"):
            self._check_name(service, "load", path)
        elif os.path.normpath(path) != path or path == "/" or path.startswith("//"):
            raise self._wrong(
                service, "load", f"the path {path!r} is not in its plain form", "write it without '..' and '//'"
            )
        elif path.startswith(OWN):
            raise self._wrong(
                service,
                "load",
                f"the path {path!r} leads to what apply itself writes",
                "give the name of the credential",
            )
        return identifier, path

    def _import(self, service: str, pattern: str) -> str:
        if pattern != "*":
            self._check_name(service, "import", pattern.removesuffix("*"))
        if "*" in pattern[:-1] or "?" in pattern or "[" in pattern:
            raise self._wrong(service, "import", f"{pattern!r}: only a '*' at the end is a wildcard")
        return pattern

    def _default(self, service: str, setting: str) -> tuple[str, bytes]:
        identifier, colon, value = setting.partition(":")
        if not colon:
            raise self._wrong(service, "set", "a string without ':'", 'write "id:value"')
        self._check_name(service, "set", identifier)
        return identifier, value.encode()

    def _required(self, service: str, table: dict[str, list[str]]) -> list[str]:
        named = {setting.partition(":")[0] for key in ("load", "set") for setting in table.get(key, ())}
        for identifier in table.get("required", ()):
            self._check_name(service, "required", identifier)
            patterns = table.get("import", ())
            if identifier not in named and not any(glob_matches(pattern, identifier) for pattern in patterns):
                raise self._wrong(service, "required", f"nothing in load, import or set gives {identifier!r}")
        return table.get("required", [])

    def _check_name(self, service: str, key: str, name: str) -> None:
        if not name_is_valid(name.encode()):
            problem = "an empty name" if not name else f"{name!r} is no name of a credential"
            raise self._wrong(
                service, key, problem, "a name is 1 to 255 printable ASCII characters without '/' and ':'"
            )

    def _wrong(self, service: str, key: str, what: str, *hints: str) -> GuestcredError:
        place = ".".join(part for part in ("services" if service else "", service, key) if part)
        line = self._line(service, key)
        return GuestcredError(f"{self._shown}{f', line {line}' if line else ''}: {place!r}: {what}", *hints)

    def _line(self, service: str, key: str) -> int | None:
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


def _refuse_untrusted(tree: Tree, path: str, is_kind: Callable[[int], bool], kind: str) -> None:
    """Refuse what anybody but root or the tree's owner may write: it decides who reads the credentials."""
    status = tree.status(path)
    top = tree.status("")
    assert top is not None
    shown = tree.shown(path)
    if status is None or not is_kind(status.st_mode):
        raise GuestcredError(f"{shown}: not a {kind}", f"links are not followed here: put the {kind} itself there")
    wrong = distrusted(status, top.st_uid)
    if wrong is not None:
        problem, command = wrong
        # whoever could change it may have done so
        raise GuestcredError(f"{shown}: {problem}", f"look at what is in it, then type: {command} {typed(shown)}")
