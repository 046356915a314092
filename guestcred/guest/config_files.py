"""The TOML files that configure guestcred; what is in them, guest/config.py reads."""

from __future__ import annotations

from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.rootfs import Tree

# the first of a file name wins, as with systemd's own configuration (systemd.unit(5))
FOLDERS = ("etc/guestcred", "run/guestcred", "usr/lib/guestcred")


def config_files(tree: Tree) -> tuple[str, ...]:
    """Their paths below the root, by file name. Raises GuestcredError (exit status 2) for a folder that cannot be read."""
    files: dict[str, str] = {}
    try:
        for folder in FOLDERS:
            for name in tree.names(folder) or ():
                if name.endswith(".toml") and not name.startswith("."):
                    files.setdefault(name, f"{folder}/{name}")
    except GuestcredError as error:
        raise GuestcredError(error.problem, *error.hints, status=USAGE) from None
    return tuple(path for _, path in sorted(files.items()))
