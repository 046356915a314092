"""Where systemd looks for a credential that a service requests by name."""

from __future__ import annotations

from guestcred.guest import SYSTEM
from guestcred.tree import Tree

CREDSTORES = ("etc/credstore", "run/credstore", "usr/local/lib/credstore", "usr/lib/credstore")
RESCUE = CREDSTORES[1]  # where guestcred puts what PID 1 missed
# credential_search_path(), CREDENTIAL_SEARCH_PATH_TRUSTED, in systemd src/core/exec-credential.c
SEARCH_PATH = (SYSTEM, *CREDSTORES)


def split_load(setting: str) -> tuple[str, str]:
    """(ID, PATH) of `LoadCredential=ID[:PATH]`; without a path the ID is also the name that is looked for."""
    identifier, colon, path = setting.partition(":")
    return identifier, path if colon else identifier


def glob_matches(pattern: str, name: str) -> bool:
    """Whether `ImportCredential=` takes `name`: a `*` may stand at the pattern's end only (systemd.exec(5))."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def candidates(tree: Tree, name: str) -> tuple[str, ...]:
    """Every path below the root where `name` stands, in search order: the first wins, the rest are shadowed."""
    return tuple(path for folder in SEARCH_PATH if tree.exists(path := f"{tree.resolve(folder)}/{name}"))


def imported_names(tree: Tree, pattern: str) -> tuple[str, ...]:
    """The names that `ImportCredential=pattern` finds in any of the places, sorted."""
    names = {name for folder in SEARCH_PATH for name in tree.names(tree.resolve(folder)) or ()}
    return tuple(sorted(name for name in names if glob_matches(pattern, name)))
