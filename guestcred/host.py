"""What the host's commands do, wired from their modules: secrets -> OEM strings -> a form, or a running VM."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

from guestcred import forms
from guestcred.encode import (
    Encoded,
    Limit,
    capacity_json,
    capacity_text,
    check_guest,
    check_limits,
    encode,
    fits,
    limits,
)
from guestcred.errors import FINDINGS, USAGE, GuestcredError
from guestcred.launch import boot_cloud_hypervisor, exec_qemu
from guestcred.memory import private_folder
from guestcred.records import Record
from guestcred.secret import READ_TIMEOUT, STDIN, Secret, read_secrets, read_to_end

CONFIG_MAX = 16 * 1024 * 1024  # bytes


class Request(Record):
    """What both commands are asked: pairs `NAME=FILE` and `NAME=VALUE`, and how to take them; `reserve` in bytes."""

    hypervisor: str
    files: tuple[str, ...]
    literals: tuple[str, ...]
    keep_newline: bool
    allow_empty: bool
    guest_systemd: int | None
    reserve: int


class Prepared(Record):
    """Everything worked out, and nothing written or sent: `document` is the JSON config with the strings, if any."""

    secrets: tuple[Secret, ...]
    encoded: tuple[Encoded, ...]
    limits: tuple[Limit, ...]
    document: bytes | None

    @property
    def texts(self) -> list[str]:
        """The OEM strings; names and values are in ASCII by now."""
        return [one.text.decode("ascii") for one in self.encoded]


@contextlib.contextmanager
def _undone_when_ended() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit in here, so that what was begun is undone; a second one changes nothing."""

    def end(number: int, _frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)

    # one that is ignored, as under nohup, stays so
    before = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    try:
        for one in before:
            signal.signal(one, end)
        yield
    finally:
        for one in before:
            signal.signal(one, signal.SIG_DFL)


def prepare(asked: Request, config: str | None, *, optional: bool = False) -> Prepared:
    """Read, encode and measure; `config` is the path of a VM config, `-` for standard input, or None for none.

    With `optional` a config that is not there, or empty, counts as `{}`.
    Raises GuestcredError for what cannot be read, encoded or named.
    """
    check_guest(asked.guest_systemd)
    if config == STDIN and _takes_stdin(asked):
        raise GuestcredError("the VM config and a secret are both to come from standard input", status=USAGE)
    secrets = read_secrets(
        asked.files,
        asked.literals,
        folder=os.environ.get("CREDENTIALS_DIRECTORY"),
        keep_newline=asked.keep_newline,
        allow_empty=asked.allow_empty,
    )
    base = _read_config(config, asked.hypervisor, optional)
    others = () if base is None else base.strings
    encoded = encode(secrets, others)
    document = None if base is None else base.merged([one.text.decode("ascii") for one in encoded])
    found = limits(
        encoded,
        asked.hypervisor,
        asked.guest_systemd,
        others=others,
        body=len(document) if document is not None and asked.hypervisor == "cloud-hypervisor" else None,
        reserve=asked.reserve,
    )
    return Prepared(secrets, encoded, found, document)


def _takes_stdin(asked: Request) -> bool:
    return any(one.partition("=")[2] == STDIN for one in asked.files)


def _read_config(path: str | None, hypervisor: str, optional: bool) -> forms.Config | None:
    if hypervisor not in forms.PLACES:
        if path is not None:
            raise GuestcredError(f"{hypervisor} takes no VM config in JSON", status=USAGE)
        return None
    if path is None:
        # crosvm merges several --cfg files, so a piece is a config
        return forms.Config(b"{}", hypervisor) if hypervisor == "crosvm" or optional else None
    if path == STDIN and sys.stdin.isatty():
        raise GuestcredError(
            "the VM config is to come from standard input, which is a terminal", "name it with --config", status=USAGE
        )
    try:
        # a pipe without a writer must not hold us in open(2)
        fd = 0 if path == STDIN else os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            data = read_to_end(fd, CONFIG_MAX, time.monotonic() + READ_TIMEOUT)
        finally:
            if fd:
                os.close(fd)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise GuestcredError(f"cannot read the VM config {path}: {reason}") from None
    if data is None:
        raise GuestcredError(
            f"cannot read the VM config {path}: it did not come to its end within {READ_TIMEOUT:g} seconds"
        )
    if len(data) > CONFIG_MAX:
        raise GuestcredError(f"the VM config {path} is larger than {CONFIG_MAX >> 20} MiB", status=FINDINGS)
    return forms.Config(data or b"{}" if optional else data, hypervisor)


def run_encode(
    asked: Request, config: str | None, *, dry_run: bool, form: str, folder: str | None, allow_arguments: bool
) -> int:
    """Print the OEM strings in the hypervisor's form, or with `dry_run` what they use of each limit (1: does not fit)."""
    if asked.hypervisor == "qemu" and folder is None and not dry_run:
        raise GuestcredError(
            "QEMU reads each string from a file, and there is no folder for them",
            "name a new one with --folder, below /run; or use 'guestcred launch', which needs none",
            status=USAGE,
        )
    if folder is not None and asked.hypervisor != "qemu":
        raise GuestcredError(f"--folder is for qemu; {asked.hypervisor} takes no files", status=USAGE)
    if folder is not None and form == "json" and not _is_utf_8(folder):
        raise GuestcredError("--folder is not UTF-8, and JSON cannot hold it", "leave out --format json", status=USAGE)
    for_cloud_hypervisor = asked.hypervisor == "cloud-hypervisor"
    if config is None and for_cloud_hypervisor and not (dry_run and (sys.stdin.isatty() or _takes_stdin(asked))):
        config = STDIN
    prepared = prepare(asked, config, optional=dry_run and for_cloud_hypervisor)
    if dry_run:
        if form == "json":
            print(json.dumps(capacity_json(asked.hypervisor, prepared.encoded, prepared.limits), indent=2))
        else:
            sys.stdout.write(capacity_text(asked.hypervisor, prepared.encoded, prepared.limits))
        return 0 if fits(prepared.limits) else FINDINGS
    check_limits(prepared.limits, prepared.encoded)
    if prepared.document is not None:
        _print(prepared.document)
    elif asked.hypervisor == "qemu" and folder is not None:
        files = {f"{number:03}": one.text for number, one in enumerate(prepared.encoded)}
        # a folder whose arguments nobody got is of no use
        with _undone_when_ended(), private_folder(folder, files) as paths:
            arguments = forms.qemu(paths)
            _print(os.fsencode(json.dumps(arguments) if form == "json" else shlex.join(arguments)))
    elif asked.hypervisor == "libvirt":
        _refuse_arguments(prepared.secrets, allow_arguments)
        print(forms.libvirt(prepared.texts))
    else:
        print(json.dumps(prepared.texts))
    return 0


def _is_utf_8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _print(line: bytes) -> None:
    """Print the bytes as they are, past the buffer: what cannot be printed fails here, and not again at exit."""
    sys.stdout.flush()
    line += b"\n"
    while line:
        line = line[os.write(sys.stdout.fileno(), line) :]


def _refuse_arguments(secrets: tuple[Secret, ...], allowed: bool) -> None:
    """libvirt writes oemStrings into QEMU's arguments (its tests/qemuxmlconfdata/smbios.x86_64-latest.args)."""
    exposed = [one.name for one in secrets if not one.literal]
    if exposed and not allowed:
        raise GuestcredError(
            f"libvirt would put {', '.join(exposed)} into QEMU's arguments, for every user of the host to read",
            "let QEMU's user read the file by <sysinfo type='fwcfg'>, "
            "<entry name='opt/io.systemd.credentials/NAME' file='PATH'/>: systemd takes that too",
            "--allow-arguments prints the element all the same; --set is for what is no secret",
            status=USAGE,
        )


def run_launch(
    asked: Request, config: str | None, *, command: tuple[str, ...], api_socket: str | None, timeout: float
) -> int:
    """Start a VM that is offered the credentials; for "qemu" this process becomes it and nothing is returned."""
    if asked.hypervisor == "qemu":
        if not command or api_socket is not None:
            raise GuestcredError(
                "QEMU is started by its own command line",
                "guestcred launch --for qemu NAME=FILE ... -- qemu-system-x86_64 ...",
                status=USAGE,
            )
    elif command or api_socket is None or config is None:
        raise GuestcredError(
            "cloud-hypervisor is spoken to over its API socket",
            "guestcred launch --for cloud-hypervisor --api-socket PATH --config vm.json NAME=FILE ...",
            status=USAGE,
        )
    prepared = prepare(asked, config)
    check_limits(prepared.limits, prepared.encoded)
    texts = tuple(one.text for one in prepared.encoded)
    if prepared.document is None or api_socket is None:
        exec_qemu(texts, command)
    names = [one.name for one in prepared.encoded]
    with _undone_when_ended():
        boot_cloud_hypervisor(api_socket, prepared.document, names, texts, timeout)
    return 0
