"""Secrets and a VM config -> OEM strings and the limits they use; nothing is written or sent yet."""

from __future__ import annotations

import os
import sys
import time

from guestcred.descriptor import read_to_end
from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.host import hypervisors
from guestcred.host.doubts import doubts
from guestcred.host.encode import Encoded, Limit, check_guest, encode, framed, limits
from guestcred.host.secret import READ_TIMEOUT, STDIN, Secret, read_secrets
from guestcred.record import Record

CONFIG_MAX = 16 * 1024 * 1024  # bytes


class Request(Record):
    """What both commands are asked: `files` are NAME=FILE, `literals` NAME=VALUE; `reserve` is in bytes."""

    hypervisor: str
    files: tuple[str, ...]
    literals: tuple[str, ...]
    keep_newline: bool
    allow_empty: bool
    guest_systemd: int | None
    reserve: int
    no_manifest: bool = False


class Prepared(Record):
    """Everything worked out, nothing written or sent; `document` is the JSON config with the strings, or None.

    `doubts` has a sentence for each secret that looks wrong.
    """

    secrets: tuple[Secret, ...]
    encoded: tuple[Encoded, ...]
    limits: tuple[Limit, ...]
    document: bytes | None
    doubts: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The OEM strings; names and values are in ASCII by now."""
        return [credential.text.decode("ascii") for credential in self.encoded]


def prepare(
    asked: Request, config: str | None, *, optional: bool = False, base: hypervisors.Config | None = None
) -> Prepared:
    """Read, encode and measure; `config` is the path of a VM config, `-` for standard input, or None.

    `base` is a VM config that was read already.

    With `optional`, no config or an empty one counts as `{}`. Raises GuestcredError for what cannot be read or encoded;
    the limits are only measured, `check_limits` raises.
    """
    check_guest(asked.guest_systemd)
    if config == STDIN and takes_stdin(asked):
        raise GuestcredError("the VM config and a secret cannot both come from standard input", status=USAGE)
    secrets = read_secrets(
        asked.files,
        asked.literals,
        folder=os.environ.get("CREDENTIALS_DIRECTORY"),
        keep_newline=asked.keep_newline,
        allow_empty=asked.allow_empty,
    )
    if base is None:
        base = read_config(config, asked.hypervisor, optional)
    others = () if base is None else base.strings
    encoded = encode(secrets if asked.no_manifest else framed(secrets), others)
    document = None if base is None else base.merged([credential.text.decode("ascii") for credential in encoded])
    found = limits(
        encoded,
        asked.hypervisor,
        asked.guest_systemd,
        others=others,
        body=None if document is None else len(document),
        reserve=asked.reserve,
    )
    return Prepared(
        secrets=secrets,
        encoded=encoded,
        limits=found,
        document=document,
        doubts=tuple(doubts(secrets, others, asked.guest_systemd)),
    )


def takes_stdin(asked: Request) -> bool:
    """Whether a secret comes from standard input."""
    return any(pair.partition("=")[2] == STDIN for pair in asked.files)


def read_config(path: str | None, hypervisor: str, optional: bool = False) -> hypervisors.Config | None:
    """The VM config at that path, `-` for standard input; None where there is none to read. Raises GuestcredError."""
    takes = hypervisors.HYPERVISORS[hypervisor]
    if takes.place is None:
        if path is not None:
            raise GuestcredError(f"{hypervisor} takes no VM config in JSON", status=USAGE)
        return None
    if path is None:
        return hypervisors.Config(b"{}", hypervisor) if optional or not takes.reads_stdin else None
    data = read_config_file(path)
    return hypervisors.Config(data or b"{}" if optional else data, hypervisor)


def read_config_file(path: str) -> bytes:
    """The bytes of the VM config at that path, `-` for standard input. Raises GuestcredError."""
    if path == STDIN and sys.stdin.isatty():
        raise GuestcredError(
            "the VM config would come from standard input, which is a terminal", "name its file", status=USAGE
        )
    try:
        # without O_NONBLOCK, open(2) would wait for a pipe's writer
        fd = 0 if path == STDIN else os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            data = read_to_end(fd, CONFIG_MAX, time.monotonic() + READ_TIMEOUT)
        finally:
            if fd:
                os.close(fd)
    except OSError as error:
        raise GuestcredError(f"cannot read the VM config {path}: {reason(error)}") from None
    if data is None:
        raise GuestcredError(f"cannot read the VM config {path}: it did not end within {READ_TIMEOUT:g} seconds")
    if len(data) > CONFIG_MAX:
        raise GuestcredError(f"the VM config {path} is larger than {CONFIG_MAX >> 20} MiB", status=FINDINGS)
    return data
