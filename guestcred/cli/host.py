"""What `encode` does: print OEM strings in a hypervisor's form."""

from __future__ import annotations

import json
import os
import shlex
import sys

from guestcred.cli.commands import View, in_colour, print_json
from guestcred.descriptor import read_to_end
from guestcred.diagnose.forecast import entry_of, forecast
from guestcred.errors import FINDINGS, USAGE, GuestcredError, reason
from guestcred.host import hypervisors
from guestcred.host.encode import RESERVE, Encoded, check_limits, fits, limits
from guestcred.host.prepare import Prepared, Request, prepare, read_config_file, takes_stdin
from guestcred.host.secret import STDIN, Secret
from guestcred.host.tmpfs import fill_private_folder
from guestcred.show.capacity import capacity_json, capacity_text
from guestcred.show.forecast import agrees, forecast_json, forecast_text
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge

STRING_MAX = 2 << 20  # bytes; a credential has 1 MiB at most, and base64 of it four thirds


def run_encode(
    asked: Request, config: str | None, *, dry_run: bool, form: str, folder: str | None, allow_arguments: bool
) -> int:
    """Print the OEM strings in the hypervisor's form; with `dry_run` how much of each limit they use (1: too much)."""
    if sys.__stdout__ is None:
        # it was closed, and what __main__ opened in its place takes everything
        raise GuestcredError("cannot write the output: standard output is closed", "send it through a pipe")
    if not asked.files and not asked.literals:
        raise GuestcredError(
            "no credential is named", f"guestcred encode --for {asked.hypervisor} API_KEY=FILE ...", status=USAGE
        )
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
    reads_stdin = hypervisors.HYPERVISORS[asked.hypervisor].reads_stdin
    if config is None and reads_stdin and not (dry_run and (sys.stdin.isatty() or takes_stdin(asked))):
        config = STDIN
    prepared = prepare(asked, config, optional=dry_run and reads_stdin)
    show_doubts(prepared)
    if dry_run:
        if form == "json":
            print(json.dumps(capacity_json(asked.hypervisor, prepared.encoded, prepared.limits), indent=2))
        else:
            sys.stdout.write(capacity_text(asked.hypervisor, prepared.encoded, prepared.limits))
        return 0 if fits(prepared.limits) else FINDINGS
    check_limits(prepared.limits, prepared.encoded)
    match asked.hypervisor:
        case "cloud-hypervisor" | "crosvm" if prepared.document is not None:
            _warn_of_older(asked.hypervisor, len(prepared.document))
            _print(prepared.document)
        case "qemu" if folder is not None:
            files = {f"{number:03}": credential.text for number, credential in enumerate(prepared.encoded)}

            def print_arguments(paths: list[str]) -> None:
                arguments = hypervisors.qemu(paths)
                _print(os.fsencode(json.dumps(arguments) if form == "json" else shlex.join(arguments)))

            # if the arguments cannot be printed, the folder is of no use
            fill_private_folder(folder, files, print_arguments)
        case "libvirt":
            _refuse_arguments(prepared.secrets, allow_arguments)
            print(hypervisors.libvirt(prepared.texts))
        case "json":
            print(json.dumps(prepared.texts))
        case other:
            raise GuestcredError(f"encode has no form for {other}", status=USAGE)
    return 0


def show_doubts(prepared: Prepared) -> None:
    """Tell what looks wrong about the secrets, before they are sent."""
    for doubt in prepared.doubts:
        print(f"guestcred: warning: {doubt}", file=sys.stderr)


def _warn_of_older(hypervisor: str, body: int) -> None:
    """Tell of the versions that do not take what the newest does; `launch` asks the one that runs."""
    (newer, _), *earlier = hypervisors.HYPERVISORS[hypervisor].requests or ((0, 0),)
    for _, maximum in earlier[:1]:
        if body > maximum:
            told = f"{hypervisor} before {newer} takes no request above {maximum} bytes, and this one has {body}"
            print(f"guestcred: warning: {told}", file=sys.stderr)


def _is_utf_8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _print(line: bytes) -> None:
    """Print the bytes without a buffer: what cannot be printed fails here, and not again at exit."""
    sys.stdout.flush()
    line += b"\n"
    while line:
        line = line[os.write(sys.stdout.fileno(), line) :]


def _refuse_arguments(secrets: tuple[Secret, ...], allowed: bool) -> None:
    """libvirt writes oemStrings into QEMU's arguments (its tests/qemuxmlconfdata/smbios.x86_64-latest.args)."""
    exposed = [secret.name for secret in secrets if not secret.literal]
    if exposed and not allowed:
        raise GuestcredError(
            f"libvirt would put {', '.join(exposed)} into QEMU's arguments, where every user of the host can read them",
            "let QEMU's user read the file by <sysinfo type='fwcfg'>, "
            "<entry name='opt/io.systemd.credentials/NAME' file='PATH'/>: systemd takes that too",
            "--allow-arguments prints the element anyway; --set is for what is not secret",
            status=USAGE,
        )


def run_forecast(view: View, path: str, width: int, *, verbose: bool) -> int:
    """Show what guests would import of a VM's OEM strings; 0 where the newest systemd imports all, 1 with findings.

    `path` is the VM config of cloud-hypervisor or crosvm, - for standard input, or the folder that `encode --for qemu`
    filled.
    """
    hypervisor, strings, body = ("qemu", _folder_strings(path), None) if os.path.isdir(path) else _config_strings(path)
    encoded, others = _as_encoded(strings)
    found = limits(encoded, hypervisor, view.systemd, others=others, body=body, reserve=RESERVE)
    told = forecast(strings, view.systemd)
    if view.form == "json":
        print_json(forecast_json(told, hypervisor, found))
    else:
        how = {"colour": in_colour(), "verbose": verbose, "quiet": view.quiet}
        sys.stdout.write(forecast_text(told, hypervisor, found, width, **how))
    return 0 if agrees(told, found) else FINDINGS


def _as_encoded(strings: tuple[bytes, ...]) -> tuple[tuple[Encoded, ...], tuple[bytes, ...]]:
    """The strings that are credentials by the newest rules, and the others."""
    encoded, others = [], []
    for verdict in judge(parse(entry_of(strings)).structures, None):
        text = strings[verdict.place.index - 1]
        if isinstance(verdict, Accepted):
            name, encoding = verdict.name, verdict.encoding
            encoded.append(Encoded(name=name, encoding=encoding, size=len(verdict.value), text=text))
        else:
            others.append(text)
    return tuple(encoded), tuple(others)


def _config_strings(path: str) -> tuple[str, tuple[bytes, ...], int]:
    data = read_config_file(path)
    places = {one.name: one.place for one in hypervisors.HYPERVISORS.values() if one.place}
    for hypervisor in places:
        config = hypervisors.Config(data, hypervisor)
        if config.has_strings:
            return hypervisor, config.strings, len(config.merged([]))
    expected = " nor ".join(f"'{section}.{key}' of {hypervisor}" for hypervisor, (section, key) in places.items())
    raise GuestcredError(
        f"{path} has no OEM strings: neither {expected} is there",
        "name the VM config that the hypervisor gets, or the folder of 'guestcred encode --for qemu --folder'",
        status=USAGE,
    )


def _folder_strings(path: str) -> tuple[bytes, ...]:
    """The strings in the files of a folder, by their names."""
    found = []
    try:
        for name in sorted(os.listdir(path)):
            fd = os.open(os.path.join(path, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                found.append(read_to_end(file.fileno(), STRING_MAX) or b"")
    except OSError as error:
        raise GuestcredError(f"cannot read the strings in {path}: {reason(error)}") from None
    if not found or not all(found) or any(b"\0" in text or len(text) > STRING_MAX for text in found):
        raise GuestcredError(
            f"{path} holds something else than the strings of a VM",
            "name the folder of 'guestcred encode --for qemu --folder'",
            status=USAGE,
        )
    return tuple(found)
