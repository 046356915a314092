"""What systemd's units request: from the properties that PID 1 gives, without any value."""

from __future__ import annotations

from guestcred.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    Setting = Literal[
        "LoadCredential", "LoadCredentialEncrypted", "ImportCredential", "SetCredential", "SetCredentialEncrypted"
    ]

LOAD: Setting = "LoadCredential"
LOAD_ENCRYPTED: Setting = "LoadCredentialEncrypted"
IMPORT: Setting = "ImportCredential"
SET: Setting = "SetCredential"
SET_ENCRYPTED: Setting = "SetCredentialEncrypted"

# the types of units with an execution context, and so with credentials, and their D-Bus interfaces; systemd.exec(5)
INTERFACES = {"service": "Service", "socket": "Socket", "mount": "Mount", "swap": "Swap"}

CONFIGURED = "configured"  # as the state of a unit from guestcred's own configuration
FAILED_STATUS = 243  # EXIT_CREDENTIALS in systemd src/shared/exit-status.h

_NO_UID = 0xFFFFFFFF  # UID_INVALID
_EXITED = 1  # CLD_EXITED


class Request(Record):
    """One setting of a unit. What `source` is depends on it: a name or an absolute path for LoadCredential=,
    a pattern for ImportCredential= (then `id` is the prefix that replaces the pattern's, or ""), "" for SetCredential=.

    `required` says that the unit fails where there is no source; `size` is of a SetCredential= value, in bytes.
    """

    setting: Setting
    id: str = ""
    source: str = ""
    required: bool = False
    size: int | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the setting asks systemd to decrypt the value."""
        return self.setting in (LOAD_ENCRYPTED, SET_ENCRYPTED)

    @property
    def is_pattern(self) -> bool:
        """Whether it asks for all that match, under names that nobody wrote down."""
        return self.setting == IMPORT and self.source.endswith("*")


class Unit(Record):
    """A unit and its requests, in the order in which systemd takes them.

    `running` says that a process of it runs, `only_stops` that it runs commands only to stop; `uid` is what PID 1
    resolved the user to, or None; `folder` is where its credentials are delivered, below the root. `failure` is not
    None where its last start ended at its credentials: then it is what PID 1 said of that, or "". `manager` is the unit
    of the user manager whose unit it is, None for a unit of PID 1's.
    """

    name: str
    state: str
    running: bool
    user: str
    uid: int | None
    folder: str
    only_stops: bool
    requests: tuple[Request, ...]
    failure: str | None = None
    manager: str | None = None

    @property
    def told(self) -> str:
        """The unit in a sentence."""
        return of_manager(self.name, self.manager)

    @property
    def restart(self) -> str:
        """The command that starts it anew."""
        return f"systemctl {'' if self.manager is None else f'--user -M {self.user}@ '}restart {self.name}"

    @property
    def is_configured(self) -> bool:
        """Whether it is from guestcred's own configuration: `apply` delivers to it, not systemd."""
        return self.state == CONFIGURED


def of_manager(unit: str, manager: str | None) -> str:
    """`backup.service of user@1000.service`, for a unit of that user manager."""
    return unit if manager is None else f"{unit} of {manager}"


def full_name(name: str) -> str:
    """`foo` as `foo.service`, the way systemctl takes it."""
    return name if name.rpartition(".")[2] in INTERFACES else f"{name}.service"


def parse_unit(name: str, state: str, properties: Mapping[str, Any], sub_state: str = "") -> Unit:
    """A unit from its name, its ActiveState and SubState, and the D-Bus properties of its type's interface.

    See org.freedesktop.systemd1(5). Values of other types raise ValueError, LookupError, TypeError or AttributeError.
    """

    def many(key: str) -> Any:
        return properties.get(key, ())

    # acquire_credentials() in systemd src/core/exec-credential.c: loaded ones, imported ones, then defaults;
    # the first and the last come out of hash tables, in a different order at every boot
    requests = [
        Request(setting=key, id=identifier, source=path, required=path[:1] == "/")
        for key in (LOAD, LOAD_ENCRYPTED)
        for identifier, path in sorted(many(key))
    ]
    # systemd 257 gives renames in a property of its own, with the patterns that rename nothing too
    renamed = properties.get("ImportCredentialEx")
    patterns = [(pattern, "") for pattern in many(IMPORT)] if renamed is None else renamed
    requests += [Request(setting=IMPORT, id=prefix, source=pattern) for pattern, prefix in patterns]
    defaults = [(key, identifier, len(value)) for key in (SET, SET_ENCRYPTED) for identifier, value in many(key)]
    requests += [Request(setting=key, id=identifier, size=size) for key, identifier, size in sorted(defaults)]
    uid = properties.get("UID", _NO_UID)
    return Unit(
        name=name,
        state=state,
        # of a Type=forking without PIDFile= systemd need not know the main process; a socket "runs" with its service
        running=bool(properties.get("MainPID", 0)) or (name.endswith(".service") and sub_state == "running"),
        user=properties.get("User", ""),
        uid=None if uid == _NO_UID else uid,
        folder=f"run/credentials/{name}",
        only_stops=any(map(many, ("ExecStop", "ExecStopPost")))
        and not any(map(many, ("ExecStartPre", "ExecStart", "ExecStartPost"))),
        requests=tuple(requests),
        failure="" if _failed_at_credentials(properties) else None,
    )


def _failed_at_credentials(properties: Mapping[str, Any]) -> bool:
    """Whether a process of the unit ended before its program began, for want of credentials."""
    if properties.get("Result", "success") == "success":
        return False
    ended = [(properties.get("ExecMainCode", 0), properties.get("ExecMainStatus", 0))]
    # a(sasbttttuii) of each Exec...=: the last two are how its process ended
    for key, commands in properties.items():
        if key.startswith("Exec") and isinstance(commands, list | tuple):
            ended += [tuple(command[-2:]) for command in commands if isinstance(command, list | tuple)]
    return (_EXITED, FAILED_STATUS) in ended
