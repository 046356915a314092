"""Where systemd looks for a credential that a service requests by name, and how it matches names."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.systemd.rules import SYSTEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.systemd.requests import Request

CREDSTORES = ("etc/credstore", "run/credstore", "usr/local/lib/credstore", "usr/lib/credstore")
RESCUE = CREDSTORES[1]  # where guestcred puts what PID 1 missed
# credential_search_path() in systemd src/core/exec-credential.c: what is taken as it is, and what is decrypted
SEARCH_PATH = (SYSTEM, *CREDSTORES)
ENCRYPTED = "run/credentials/@encrypted"  # where PID 1 puts what the boot loader brought
ENCRYPTED_PATH = (ENCRYPTED, *(f"{store}.encrypted" for store in CREDSTORES))

_SEARCHES_ALL_SINCE = 254  # load_credential() looks into the encrypted places too since then, and there first
# credential_store_path() in src/libsystemd/sd-path/path-lookup.h: before, a user manager searches the machine's stores
_USERS_HAVE_STORES_SINCE = 258


class Places(Record):
    """The folders that a service manager searches for a name, in order: what it takes as it is, and what it decrypts."""

    plain: tuple[str, ...]
    encrypted: tuple[str, ...]


OF_PID_1 = Places(SEARCH_PATH, ENCRYPTED_PATH)


def places_of_user(systemd: int | None, given: str | None, own: tuple[str, ...]) -> Places:
    """Those of a user manager: `given` is the folder of what user@.service handed to it, and `own` has the user's
    folders for configuration, at run time, and for libraries (sd_path_lookup_strv() in systemd src/libsystemd/sd-path)."""
    has_own = systemd is None or systemd >= _USERS_HAVE_STORES_SINCE
    stores = tuple([f"{folder}/credstore" for folder in own]) if has_own else CREDSTORES
    return Places(
        plain=stores if given is None else (given, *stores),
        encrypted=tuple([f"{store}.encrypted" for store in stores]),
    )


def search_path(request: Request, systemd: int | None, places: Places = OF_PID_1) -> tuple[str, ...]:
    """Where systemd looks for the name or pattern of a request, in order; None is the newest systemd."""
    if request.setting == "ImportCredential":
        # load_credential_glob() in exec-credential.c: first what is taken as it is, then what is decrypted
        return (*places.plain, *places.encrypted)
    # since 254 the unencrypted setting looks into the encrypted places too, and hands over what it finds as it is
    everywhere = request.encrypted or systemd is None or systemd >= _SEARCHES_ALL_SINCE
    return (*places.encrypted, *places.plain) if everywhere else places.plain


def split_load(setting: str) -> tuple[str, str]:
    """(ID, PATH) of `LoadCredential=ID[:PATH]`; without a path, the ID is also the name to look for."""
    identifier, colon, path = setting.partition(":")
    return identifier, path if colon else identifier


def glob_matches(pattern: str, name: str) -> bool:
    """Whether `ImportCredential=` takes `name`: a `*` counts only at the pattern's end (systemd.exec(5))."""
    if pattern == "*":
        return not name.startswith(".")  # glob(7); load_credential_glob() asks for no GLOB_PERIOD
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
