"""The reading edge: table, entries, `@system`, other sources and facts, live or below a root directory."""

from __future__ import annotations

import os

from guestcred.errors import GuestcredError
from guestcred.records import Record
from guestcred.tree import Tree

TABLE = "sys/firmware/dmi/tables/DMI"
ENTRY_POINT = "sys/firmware/dmi/tables/smbios_entry_point"
ENTRIES = "sys/firmware/dmi/entries"
SYSTEM = "run/credentials/@system"
INITRD = "run/credentials/@initrd"
FW_CFG = "sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials"
CMDLINE = "proc/cmdline"
CAPTURE = "capture.json"

# Debian's and NixOS's folder; never $PATH, for what is asked decides whether a refusal of systemd's is overruled
PROGRAMS = ("/usr/bin", "/run/current-system/sw/bin")


class Entry(Record):
    """What PID 1 reads of one Type 11 structure: `path` (entries/11-N/raw), the N and its bytes."""

    path: str
    instance: int
    data: bytes


class Parameters(Record):
    """What the kernel command line says: credentials set there, and whether it forbids the import."""

    credentials: dict[str, tuple[str, bytes]]
    import_disabled: bool


class Guest(Record):
    """One look at a guest. Dictionaries map credential names to bytes; None where the folder is absent.

    `entries` is None where `dmi-sysfs` has made no folder; `systemd` is the major version or None. `unreadable` has
    the paths of what stands in place of a credential and is no file, with the reason.
    """

    root: str
    table: bytes
    entry_point: bytes | None
    entries: tuple[Entry, ...] | None
    system: dict[str, bytes] | None
    initrd: dict[str, bytes] | None
    fw_cfg: dict[str, bytes] | None
    parameters: Parameters
    systemd: int | None
    unreadable: dict[str, str]


def other_sources(guest: Guest) -> tuple[tuple[str, dict[str, bytes]], ...]:
    """What else than SMBIOS holds credentials, in systemd's order: the key of each source, and name to bytes."""
    on_cmdline = {name: value for name, (_, value) in guest.parameters.credentials.items()}
    return ("fw-cfg", guest.fw_cfg or {}), ("cmdline", on_cmdline), ("initrd", guest.initrd or {})


class Facts(Record):
    """What PID 1 decided by: names of the container manager and confidential technology, or None.

    `unasked` has the fields, "container" and "confidential", that are None because nobody could be asked.
    """

    container: str | None
    confidential: str | None
    virtualization: str | None
    kernel: str | None
    earlier_stage: bool
    unasked: frozenset[str]


def read_guest(root: str = "/", systemd: int | None = None) -> Guest:
    """Look at the live system, or at the captured tree below `root`; `systemd` overrides the version seen.

    Raises GuestcredError (exit status 3) where there is no table or it may not be read.
    """
    tree = Tree(root)
    table, entry_point = read_table(tree)
    entries = tree.names(ENTRIES)
    if systemd is None:
        systemd = read_systemd(tree)
    unreadable: dict[str, str] = {}

    def files(folder: str, suffix: str = "") -> dict[str, bytes] | None:
        refused: dict[str, str] = {}
        found = tree.read_all(tree.resolve(folder), suffix, refused)
        unreadable.update({f"{folder}/{name}": reason for name, reason in refused.items()})
        return found

    return Guest(
        root=root,
        table=table,
        entry_point=entry_point,
        entries=None if entries is None else _read_entries(tree, entries),
        system=files(SYSTEM),
        initrd=files(INITRD),
        fw_cfg=files(FW_CFG, "/raw"),
        parameters=parse_cmdline(tree.read(CMDLINE) or b"", systemd),
        systemd=systemd,
        unreadable=unreadable,
    )


def read_table(tree: Tree) -> tuple[bytes, bytes | None]:
    """(DMI table, entry point or None) of a guest; raises where there is no table or it may not be read."""
    table = tree.read(TABLE)
    if table is None:
        raise _no_table(tree)
    return table, tree.read(ENTRY_POINT)


def read_systemd(tree: Tree) -> int | None:
    """The major version of the guest's systemd, None where it cannot be seen."""
    return _live_systemd(tree) if tree.live else _captured_systemd(tree)


def _read_entries(tree: Tree, names: list[str]) -> tuple[Entry, ...]:
    numbers = sorted(int(name[3:]) for name in names if name.startswith("11-") and name[3:].isdecimal())
    paths = [(f"{ENTRIES}/11-{number}/raw", number) for number in numbers]
    return tuple(Entry(path, number, data) for path, number in paths if (data := tree.read(path)) is not None)


def _no_table(tree: Tree) -> GuestcredError:
    where = tree.shown(TABLE)
    if not tree.live:
        hint = "a captured tree holds the same paths as a guest: is this its top folder?"
    elif tree.names("sys/firmware/devicetree/base"):
        hint = "this machine describes itself by device tree: its firmware has no SMBIOS, so hand credentials over by kernel command line or disk"
    elif tree.names("sys/firmware") is None:
        hint = "there is no /sys/firmware: mount sysfs, or run this in the guest itself"
    elif tree.names("sys/firmware/dmi") is None:
        hint = (
            "the kernel found no SMBIOS: this hypervisor gives none (Firecracker does not), "
            "or this is a container or a kernel without CONFIG_DMI"
        )
    else:
        hint = "the kernel has DMI but no table under it: is /sys/firmware/dmi covered by a mount?"
    return GuestcredError(f"there is no DMI table at {where}", hint)


def _captured_systemd(tree: Tree) -> int | None:
    captured = read_capture(tree)
    words = str(captured.get("systemd", "")).split()
    for word in words:
        digits = word.split(".", 1)[0].split("~", 1)[0]
        if digits.isdecimal() and len(digits) <= 4:
            return int(digits)
    return None


def read_capture(tree: Tree) -> dict[str, object]:
    """What capture.json says of a captured tree; empty where there is none."""
    data = tree.read(CAPTURE)
    if data is None:
        return {}
    import json

    try:
        captured = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GuestcredError(f"cannot read {tree.shown(CAPTURE)}: it is not JSON ({error})") from None
    if not isinstance(captured, dict):
        raise GuestcredError(f"cannot read {tree.shown(CAPTURE)}: it is not a JSON object")
    return captured


def _live_systemd(tree: Tree) -> int | None:
    """PID 1's major version, from the name of the library that it has mapped (needs root), else by asking."""
    try:
        maps = tree.read("proc/1/maps") or b""
    except GuestcredError:
        maps = b""
    _, found, rest = maps.partition(b"/libsystemd-shared-")
    digits = rest[:8].split(b".", 1)[0].split(b"-", 1)[0]
    if found and digits.isdigit():
        return int(digits)
    answer = (_ask("systemctl", "--version") or "").split()
    return int(answer[1]) if len(answer) > 1 and answer[0] == "systemd" and answer[1].isdecimal() else None


def _ask(program: str, *arguments: str) -> str | None:
    """What a program of systemd's prints, one line; None where it is absent, hangs or fails, which says nothing."""
    import subprocess

    paths = (f"{folder}/{program}" for folder in PROGRAMS)
    path = next((path for path in paths if os.access(path, os.X_OK)), None)
    if path is None:
        return None
    try:
        done = subprocess.run(
            (path, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=False,
            # none of it shall speak to PID 1 in our name
            env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    answer = done.stdout.decode("utf-8", "replace").strip()
    # systemd-detect-virt says no with the word and status 1, which alone may be any failure (run() in detect-virt.c)
    return answer if done.returncode == 0 or answer == "none" else None


def read_facts(root: str = "/") -> Facts:
    """The facts behind a refusal. Asks other programs when live, so it is called only when something is missing."""
    tree = Tree(root)
    if not tree.live:
        captured = read_capture(tree)

        def fact(key: str) -> str | None:
            value = captured.get(key)
            return value if isinstance(value, str) and value not in ("", "none") else None

        return Facts(
            container=fact("container"),
            confidential=fact("confidential"),
            virtualization=fact("virtualization"),
            kernel=fact("kernel"),
            earlier_stage=captured.get("earlier_stage") is True,
            unasked=_captured_unasked(captured),
        )
    try:
        environment = tree.read("proc/1/environ") or b""
    except GuestcredError:
        environment = b""
    # PID 1 exports $CREDENTIALS_DIRECTORY itself, which its own environ file does not show: standing
    # there, it was handed over by the PID 1 of the initrd (systemd src/core/import-creds.c)
    earlier = any(entry.startswith(b"CREDENTIALS_DIRECTORY=") for entry in environment.split(b"\0"))

    container = _ask("systemd-detect-virt", "--container")
    # what PID 1 itself found (from v254) goes first: a sandbox hides the device by which AMD's SEV is detected.
    # It says no by an empty line. So does 252, which knows neither the property nor --cvm, and imports in any VM
    by_pid1 = confidential = _ask("systemctl", "show", "--property=ConfidentialVirtualization", "--value")
    if confidential in (None, "", "none"):
        confidential = _ask("systemd-detect-virt", "--cvm")
    unasked = {"container"} if not container else set()
    if by_pid1 is None and not confidential:
        unasked.add("confidential")

    def named(answer: str | None) -> str | None:
        return None if answer in ("", "none") else answer

    return Facts(
        named(container),
        named(confidential),
        named(_ask("systemd-detect-virt", "--vm")),
        os.uname().release,
        earlier,
        frozenset(unasked),
    )


def _captured_unasked(captured: dict[str, object]) -> frozenset[str]:
    told = captured.get("unasked")
    return frozenset(one for one in told if isinstance(one, str)) if isinstance(told, list) else frozenset()


def parse_cmdline(data: bytes, systemd: int | None) -> Parameters:
    """Credentials and `systemd.import_credentials=` of a kernel command line, quoted as systemd quotes it."""
    from guestcred.credential import CMDLINE_BINARY_SINCE, base64_decode, name_is_valid

    credentials: dict[str, tuple[str, bytes]] = {}
    disabled = False
    for word in _words(data):
        key, equals, value = word.partition(b"=")
        key = key.replace(b"-", b"_")
        if key == b"systemd.import_credentials":
            # parse_boolean() of systemd; anything else leaves the default
            if equals and value.lower() in (b"0", b"no", b"n", b"false", b"f", b"off"):
                disabled = True
            elif not equals or value.lower() in (b"1", b"yes", b"y", b"true", b"t", b"on"):
                disabled = False
        elif key == b"systemd.set_credential_binary" and systemd is not None and systemd < CMDLINE_BINARY_SINCE:
            continue
        elif key in (b"systemd.set_credential", b"systemd.set_credential_binary"):
            name, colon, text = value.partition(b":")
            decoded = text if key == b"systemd.set_credential" else base64_decode(text, systemd)
            if colon and name_is_valid(name) and decoded is not None:
                credentials.setdefault(name.decode("ascii"), (key.decode("ascii"), decoded))
    return Parameters(credentials, disabled)


def _words(line: bytes) -> list[bytes]:
    """Words of a kernel command line: split at white space outside quotes, quotes removed."""
    words: list[bytes] = []
    word, quote, inside = bytearray(), 0, False
    for byte in line.strip(b" \t\r\n\0"):
        if quote:
            if byte == quote:
                quote = 0
            else:
                word.append(byte)
        elif byte in b"'\"":
            quote, inside = byte, True
        elif byte in b" \t\r\n":
            if word or inside:
                words.append(bytes(word))
            word, inside = bytearray(), False
        else:
            word.append(byte)
    if word or inside:
        words.append(bytes(word))
    return words
