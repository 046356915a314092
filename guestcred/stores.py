"""Where systemd looks for a credential that a service requests by name."""

from __future__ import annotations

from guestcred.guest import SYSTEM
from guestcred.tree import Tree

CREDSTORES = ("etc/credstore", "run/credstore", "usr/local/lib/credstore", "usr/lib/credstore")
RESCUE = CREDSTORES[1]  # where guestcred puts what PID 1 missed
# credential_search_path() in systemd src/core/exec-credential.c: what is taken as it is, and what is decrypted
SEARCH_PATH = (SYSTEM, *CREDSTORES)
ENCRYPTED_PATH = ("run/credentials/@encrypted", *(f"{store}.encrypted" for store in CREDSTORES))

_SEARCHES_ALL_SINCE = 254  # load_credential() looks into the encrypted places too since then, and there first


def search_path(encrypted: bool, systemd: int | None) -> tuple[str, ...]:
    """Where `LoadCredential=` (or `LoadCredentialEncrypted=`) looks for a relative name, in order.

    Since 254 the unencrypted setting too looks into the encrypted places first, and hands over what it finds as it is.
    """
    everywhere = encrypted or systemd is None or systemd >= _SEARCHES_ALL_SINCE
    return (*ENCRYPTED_PATH, *SEARCH_PATH) if everywhere else SEARCH_PATH


def split_load(setting: str) -> tuple[str, str]:
    """(ID, PATH) of `LoadCredential=ID[:PATH]`; without a path the ID is also the name that is looked for."""
    identifier, colon, path = setting.partition(":")
    return identifier, path if colon else identifier


def glob_matches(pattern: str, name: str) -> bool:
    """Whether `ImportCredential=` takes `name`: a `*` may stand at the pattern's end only (systemd.exec(5))."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def candidates(tree: Tree, name: str, places: tuple[str, ...] = SEARCH_PATH) -> tuple[str, ...]:
    """Every path below the root where `name` stands, in the order of `places`: the first wins, the rest are shadowed.

    A path may lead through links, as `@system` does in a container.
    """
    return tuple(path for folder in places if tree.exists(tree.follow(path := f"{folder}/{name}")))


def imported_names(tree: Tree, pattern: str, places: tuple[str, ...] = SEARCH_PATH) -> tuple[str, ...]:
    """The names that `ImportCredential=pattern` finds in any of the places, sorted."""
    names = {name for folder in places for name in tree.names(tree.resolve(folder)) or ()}
    return tuple(sorted(name for name in names if glob_matches(pattern, name)))
