"""The services that want a directory of credentials, from all TOML files that count."""

from __future__ import annotations

import os
import stat

from guestcred.descriptor import distrusted
from guestcred.errors import USAGE, GuestcredError
from guestcred.guest.config_files import config_files
from guestcred.guest.rootfs import Tree
from guestcred.guest.toml_file import ConfigFile, Mistake, Service
from guestcred.text import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def read_services(tree: Tree) -> tuple[Service, ...]:
    """All configured services by unit name. Raises GuestcredError (exit status 2) for a file that cannot be used."""
    try:
        files, mistakes = read_files(tree)
    except GuestcredError as error:
        raise GuestcredError(error.problem, *error.hints, status=USAGE) from None
    if mistakes:
        raise mistakes[0].error()
    return tuple(sorted((service for file in files for service in file.services), key=lambda service: service.unit))


def read_files(tree: Tree) -> tuple[list[ConfigFile], list[Mistake]]:
    """The files that count, by their names, and everything that is wrong with them. Raises GuestcredError."""
    files: list[ConfigFile] = []
    mistakes: list[Mistake] = []
    for path in config_files(tree):
        wrong = _distrusted(tree, os.path.dirname(path), stat.S_ISDIR, "folder")
        wrong = wrong or _distrusted(tree, path, stat.S_ISREG, "regular file")
        if wrong is not None:
            mistakes.append(wrong)
            continue
        file = ConfigFile(path, tree.shown(path), tree.read(path) or b"")
        mistakes += file.mistakes
        mistakes += named_twice(file, files)
        files.append(file)
    return files, list(dict.fromkeys(mistakes))


def named_twice(file: ConfigFile, others: list[ConfigFile]) -> list[Mistake]:
    """A mistake for each service of a file that another one has too."""
    named = {service.unit: other.shown for other in others for service in other.services}
    return [
        Mistake(
            path=file.shown,
            line=None,
            key=None,
            what=f"services.{service.unit.removesuffix('.service')} is in {named[service.unit]} too",
            hints=("give a service all its settings in one file",),
        )
        for service in file.services
        if service.unit in named
    ]


def _distrusted(tree: Tree, path: str, is_kind: Callable[[int], bool], kind: str) -> Mistake | None:
    """What is wrong with a file or folder that anybody but root or the tree's owner may write: it decides who reads the
    credentials."""
    status = tree.status(path)
    top = tree.status("")
    assert top is not None
    shown = tree.shown(path)
    if status is None or not is_kind(status.st_mode):
        hint = f"links are not followed here: put the {kind} itself there"
        return Mistake(path=shown, line=None, key=None, what=f"not a {kind}", hints=(hint,))
    wrong = distrusted(status, top.st_uid)
    if wrong is None:
        return None
    problem, command = wrong
    # whoever could change it may have done so
    hint = f"look at what is in it, then type: {command} {typed(shown)}"
    return Mistake(path=shown, line=None, key=None, what=problem, hints=(hint,))
