"""cloud-hypervisor's own command line -> what stays the process's arguments, and the VM config that the rest means."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from guestcred.errors import FINDINGS, USAGE, GuestcredError
from guestcred.host.option_values import split, unquoted
from guestcred.host.vm_options import FIRST, LAST, OPTIONS, Key, Option
from guestcred.host.vm_shapes import inherited
from guestcred.record import Record
from guestcred.systemd.offered import split_prefix
from guestcred.text import listed, size

PROGRAM = "cloud-hypervisor"
NOTIFY = "vmm.notify_socket"
_PAYLOADS = ("kernel", "firmware", "igvm")
_ASKS = {"-h", "--help", "-V", "--version"}
_SAYS_SECRET = re.compile(r"pass|secret|token|key|cred|hash|auth|private|pin$", re.IGNORECASE)
_RANDOM = re.compile(rb"[A-Za-z0-9+/=_-]{20,}")
_FD = {
    ("net", "fd"): "name the tap device with tap=, or let microvm.nix make a tap instead of a macvtap",
    ("device", "fd"): "name the device with path=",
    ("platform", "iommufd_fd"): "iommufd=on lets cloud-hypervisor open it",
}


class Need(Record):
    """What of a command line only some cloud-hypervisors have: versions `since` to `until`, and a build's feature."""

    what: str
    since: int
    until: int | None
    feature: str | None


class CommandLine(Record):
    """A command line taken apart.

    `command` is the program, with what may stand before it, and the arguments that are the process's, all but
    --api-socket, whose value is `socket`, "" if it has none; `config` is the VM config in JSON's types.
    """

    command: tuple[str, ...]
    config: dict[str, Any]
    socket: str
    needs: tuple[Need, ...]

    @property
    def strings(self) -> tuple[str, ...]:
        """The OEM strings that stand in it."""
        return tuple((self.config.get("platform") or {}).get("oem_strings") or ())

    @property
    def notifies(self) -> bool:
        """Whether one of them tells the guest's PID 1 where to say that it is up."""
        return any(name == NOTIFY for name, _ in map(_credential, self.strings))

    @property
    def vsock(self) -> str | None:
        """The path of the socket of its vsock device."""
        found: str | None = (self.config.get("vsock") or {}).get("socket")
        return found


def program_at(command: tuple[str, ...]) -> int:
    """Where the hypervisor stands in it: `nice` and its like may come before."""
    names = [os.path.basename(word) for word in command]
    return next((number for number, name in enumerate(names) if name.lstrip(".").startswith(PROGRAM)), 0)


def only_asks(command: tuple[str, ...]) -> bool:
    """Whether it only asks the program for its help or version, and starts nothing."""
    return any(word in _ASKS for word in command[program_at(command) + 1 :])


def read_command_line(command: tuple[str, ...], *, allow_log: bool = False) -> CommandLine:
    """Take it apart. Raises GuestcredError for whatever cloud-hypervisor would refuse or cannot go over its API."""
    if any("\udc80" <= char <= "\udcff" for char in "".join(command)):
        raise _wrong("the command line is not UTF-8", "cloud-hypervisor takes nothing else")
    at = program_at(command) + 1
    process = list(command[:at])
    config: dict[str, Any] = {}
    needs: list[Need] = []
    seen: set[str] = set()
    socket = ""
    for words, name, values in _options(command[at:]):
        if name == "v":
            _check_log(allow_log)
            process += words
            continue
        option = OPTIONS[name]
        if name in seen and not option.many:
            raise _wrong(f"--{name} stands twice", "leave one of them")
        _note(needs, f"--{name}", option.since, option.until, option.feature)
        if name == "api-socket":
            socket = values[0]
        elif option.whose != "vm":
            process += words
        for value in values if not option.keys else ():
            _read(f"--{name}", Key("its value", option.kind), value)
        if option.whose != "process":
            first = len(_placed(config, option)) if option.many and name in seen else 0
            _put(config, option, [_value(option, value, first + n, needs) for n, value in enumerate(values, 1)])
        seen.add(name)
    _check_payload(seen)
    zones = config.get("memory", {}).get("zones")
    if zones is not None:
        config["memory"].setdefault("size", 512 << 20)
        inherited(zones, config["memory"])
    return CommandLine(command=tuple(process), config=config, socket=socket, needs=tuple(needs))


def check_needs(needs: tuple[Need, ...], version: int, features: tuple[str, ...] | None) -> None:
    """Raise GuestcredError for what a running cloud-hypervisor lacks: over its API it would pass it over in silence.

    `version` is 0 and `features` None where it does not tell them.
    """
    for need in needs:
        if version and not (need.since <= version and version <= (need.until or version)):
            span = f"{need.since} or later" if version < need.since else f"{need.until} or earlier"
            raise GuestcredError(f"{need.what} needs {PROGRAM} {span}, and this is {version}", status=FINDINGS)
        if need.feature and features is not None and need.feature not in features:
            raise GuestcredError(
                f"{need.what} needs a {PROGRAM} that is built with {need.feature}",
                f"this one has {', '.join(features)}",
                status=FINDINGS,
            )
    if version and version < FIRST:
        raise GuestcredError(
            f"{PROGRAM} {version} is older than {FIRST}", f"it takes {FIRST} to {LAST}", status=FINDINGS
        )


def exposed(line: CommandLine) -> list[str]:
    """The names of the credentials in its OEM strings whose values look like secrets."""
    found = []
    for name, value in map(_credential, line.strings):
        if name and name != NOTIFY and (_SAYS_SECRET.search(name) or _RANDOM.search(value)):
            found.append(name)
    return found


def _credential(string: str) -> tuple[str, bytes]:
    found = split_prefix(os.fsencode(string))
    name, _, value = found[1].partition(b"=") if found else (b"", b"", b"")
    return name.decode("ascii", "replace"), value


def _options(words: tuple[str, ...]) -> Iterator[tuple[list[str], str, list[str]]]:
    """Each option as it stands, word by word, its long name and its values, as clap reads them; `-v` is one without."""
    left = list(words)
    while left:
        word = left.pop(0)
        if re.fullmatch(r"-v+", word):
            yield [word], "v", []
            continue
        if not word.startswith("--") or word == "--":
            raise _wrong(
                f"cloud-hypervisor takes no such argument: number {len(words) - len(left)} behind the program"
                + (f", {word}" if re.fullmatch(r"-\w?", word) else f" ({size(len(os.fsencode(word)))})"),
                "each value stands behind its option",
            )
        name, equals, value = word[2:].partition("=")
        option = OPTIONS.get(name)
        if name == "restore":
            raise _wrong(
                "--restore cannot be given secrets", "a snapshot has those that its VM had: start it without guestcred"
            )
        if option is None:
            raise _unknown_option(name)
        values = [value] if equals else []
        while not equals and left and not _is_option(left[0]) and option.takes != "flag":
            values.append(left.pop(0))
            if not option.many:
                break
        if option.takes == "flag" and equals:
            raise _wrong(f"--{name} takes no value")
        if not values and option.takes in ("value", "values"):
            raise _wrong(f"--{name} has no value")
        yield [word] if equals else [word, *values], name, values


def _is_option(word: str) -> bool:
    # clap takes a lone '-' as a value
    return word.startswith("-") and word != "-"


def _unknown_option(name: str) -> GuestcredError:
    shown = name if re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) else f"of {size(len(os.fsencode(name)))}"
    near = get_close_matches(name, OPTIONS, 1)
    hint = f"did you mean --{near[0]}?" if near else "it is none of an unchanged cloud-hypervisor: leave it out"
    return _wrong(f"cloud-hypervisor {FIRST} to {LAST} has no option --{shown}", hint)


def _check_log(allowed: bool) -> None:
    if not allowed:
        raise _wrong(
            "with -v cloud-hypervisor logs every OEM string, secrets too",
            "leave -v out; --allow-log takes it, if the log is as secret as they are",
        )


def _check_payload(seen: set[str]) -> None:
    if not seen & {*_PAYLOADS}:
        raise _wrong(
            "the command line starts no VM: it has neither --kernel nor --firmware",
            "to create one over the API of a VMM that runs: guestcred launch --api-socket PATH --config vm.json",
        )
    for name in ("igvm", "firmware"):
        if name in seen and seen & ({*_PAYLOADS} - {name}) - ({"kernel"} if name == "igvm" else set()):
            raise _wrong(f"--{name} cannot stand with another payload", "leave one of them")


def _note(needs: list[Need], what: str, since: int, until: int | None, feature: str | None = None) -> None:
    if since > FIRST or until is not None or feature is not None:
        needs.append(Need(what=what, since=since, until=until, feature=feature))


def _placed(config: dict[str, Any], option: Option) -> list[Any]:
    section, _, key = option.place.partition(".")
    found: list[Any] = config[section][key] if key else config[section]
    return found


def _put(config: dict[str, Any], option: Option, values: list[Any]) -> None:
    section, _, key = option.place.partition(".")
    inside, last = (config.setdefault(section, {}), key) if key else (config, section)
    if option.many:
        inside.setdefault(last, []).extend(values)
    elif option.takes == "flag" or option.name == "gdb":
        inside[last] = True
    elif option.keys and isinstance(inside.get(last), dict):
        inside[last] |= values[0]
    else:
        # a rtc without a value has cloud-hypervisor's own
        inside[last] = values[0] if values else {}


def _value(option: Option, text: str, number: int, needs: list[Need]) -> Any:
    """What stands in the VM config for one value of an option; `number` counts those of the option."""
    if not option.keys:
        return text
    place = f"--{option.name}" + (f" number {number}" if option.many else "")
    known = {key.name: key for key in option.keys}
    found: dict[str, Any] = {}
    try:
        parts = split(text) if text.strip() else []
    except ValueError as error:
        raise _wrong(f"{place}: {error}") from None
    for nth, part in enumerate(parts, 1):
        name, equals, raw = part.partition("=")
        if (option.name, name) in _FD:
            raise _wrong(f"{place}: {name}= cannot go over the API of cloud-hypervisor", _FD[option.name, name])
        key = known.get(name)
        if key is None:
            raise _unknown_key(place, nth, name, known)
        if not (equals or key.flag):
            raise _wrong(f"{place}: {name} has no value")
        _note(needs, f"{place} {name}", key.since, key.until)
        if name in ("tdx", "sev_snp"):
            _note(needs, f"{place} {name}", FIRST, None, name)
        if name == "oem_strings" and '"' in raw:
            # those before drop quotes, and cut at a comma between them
            _note(needs, f"{place} oem_strings with quotes", 48, None)
        # the last of a key counts; an empty value is none
        found.pop(key.place or name, None)
        if key.flag or raw.strip():
            found[key.place or name] = True if key.flag else _read(place, key, raw.strip())
    for key in option.keys:
        if key.default is not None:
            found.setdefault(key.place or key.name, key.default)
        if key.required and (key.place or key.name) not in found:
            raise _wrong(f"{place}: {key.name} is missing")
    try:
        return option.shape(found) if option.shape is not None else found
    except ValueError as error:
        raise _wrong(f"{place}: {error}") from None


def _read(place: str, key: Key, raw: str) -> object:
    try:
        return key.kind.read(raw if key.kind.raw else unquoted(raw))
    except (ValueError, KeyError):
        raise _wrong(f"{place}: {key.name} is not {key.kind.label}") from None


def _unknown_key(place: str, nth: int, name: str, known: dict[str, Key]) -> GuestcredError:
    """What stands where a key is expected may be the rest of a value that has a comma: it is shown if it is near to one."""
    near = get_close_matches(name, known, 1, 0.75)
    if near:
        return _wrong(
            f"{place} has no key {name}" if name.isidentifier() else f"{place}: unknown key", f"did you mean {near[0]}?"
        )
    return _wrong(
        f"{place}: key number {nth} ({size(len(os.fsencode(name)))}) is none of {listed(list(known))}",
        "a value with a comma needs brackets, or double quotes around it",
    )


def _wrong(problem: str, *hints: str) -> GuestcredError:
    return GuestcredError(problem, *hints, status=USAGE)
