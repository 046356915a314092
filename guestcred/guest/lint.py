"""Every mistake in the TOML files, of a guest or of a folder in which they are written, without looking at anything else."""

from __future__ import annotations

import os
import stat

from guestcred.descriptor import read_to_end
from guestcred.errors import USAGE, GuestcredError, reason
from guestcred.guest.config import named_twice, read_files
from guestcred.guest.rootfs import FILE_MAX, Tree
from guestcred.guest.toml_file import ConfigFile, Mistake, Service
from guestcred.guest.users import PASSWD, find_user
from guestcred.record import Record
from guestcred.systemd.shown import quoted


class Linted(Record):
    """What the files say: `services` has their units by file, `doubts` is what may be wrong where the users are not known."""

    services: dict[str, tuple[str, ...]]
    mistakes: tuple[Mistake, ...]
    doubts: tuple[Mistake, ...]


def lint(tree: Tree, given: tuple[str, ...]) -> Linted:
    """Look through the `given` files, or where there are none through those of the tree. Raises GuestcredError.

    A user that does not exist is a mistake where the users of the guest are known, else a doubt.
    """
    files, mistakes = _read_given(given) if given else read_files(tree)
    strangers = [
        _no_user(service, file)
        for file in files
        for service in file.services
        if service.user and find_user(tree, service.user) is None
    ]
    # somewhere else than in the guest, the users of this machine say nothing
    known = not given if tree.live else tree.exists(PASSWD)
    return Linted(
        services={file.shown: tuple(service.unit for service in file.services) for file in files},
        mistakes=(*mistakes, *(strangers if known else ())),
        doubts=() if known else tuple(strangers),
    )


def _no_user(service: Service, file: ConfigFile) -> Mistake:
    name = service.unit.removesuffix(".service")
    return Mistake(
        path=file.shown,
        line=file.line(name, "user"),
        key=f"services.{name}.user",
        what=f"there is no user {quoted(service.user)}",
        hints=("create it before guestcred.service runs, for example with sysusers.d(5)",),
    )


def _read_given(paths: tuple[str, ...]) -> tuple[list[ConfigFile], list[Mistake]]:
    files: list[ConfigFile] = []
    mistakes: list[Mistake] = []
    for path in dict.fromkeys(paths):
        file = ConfigFile(path, path, _read(path))
        mistakes += [*file.mistakes, *named_twice(file, files)]
        files.append(file)
    return files, mistakes


def _read(path: str) -> bytes:
    try:
        # without O_NONBLOCK, open(2) would wait for a pipe's writer
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                kind = "folder" if stat.S_ISDIR(mode) else "pipe" if stat.S_ISFIFO(mode) else "device"
                raise GuestcredError(f"cannot read {path}: it is a {kind}", "name a file")
            data = read_to_end(fd, FILE_MAX) or b""
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise GuestcredError(f"there is no file {path}", status=USAGE) from None
    except OSError as error:
        raise GuestcredError(f"cannot read {path}: {reason(error)}") from None
    if len(data) > FILE_MAX:
        raise GuestcredError(f"cannot read {path}: larger than {FILE_MAX >> 20} MiB")
    return data
