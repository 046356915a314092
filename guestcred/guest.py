"""The reading edge: table, entries, `@system`, other sources and facts, live or below a root directory."""

from __future__ import annotations

import errno
import os
import stat

from guestcred.errors import GuestcredError
from guestcred.records import Record

TABLE = "sys/firmware/dmi/tables/DMI"
ENTRY_POINT = "sys/firmware/dmi/tables/smbios_entry_point"
ENTRIES = "sys/firmware/dmi/entries"
SYSTEM = "run/credentials/@system"
INITRD = "run/credentials/@initrd"
FW_CFG = "sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials"
CMDLINE = "proc/cmdline"
CAPTURE = "capture.json"

FILE_MAX = 16 * 1024 * 1024  # bytes; a DMI table from Linux is under 64 KiB, a credential under 1 MiB


class Entry(Record):
    """What PID 1 reads of one Type 11 structure: `path` (entries/11-N/raw) and its bytes."""

    path: str
    data: bytes


class Parameters(Record):
    """What the kernel command line says: credentials set there, and whether it forbids the import."""

    credentials: dict[str, tuple[str, bytes]]
    import_disabled: bool


class Guest(Record):
    """One look at a guest. Dictionaries map credential names to bytes; None where the folder is absent.

    `entries` is None where `dmi-sysfs` has made no folder; `systemd` is the major version or None.
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


class Facts(Record):
    """What PID 1 decided by: names of the container manager and confidential technology, or None."""

    container: str | None
    confidential: str | None
    virtualization: str | None
    earlier_stage: bool


class Tree:
    """Reads below a directory, component by component, following no link."""

    def __init__(self, root: str) -> None:
        self.root = root
        try:
            self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise GuestcredError(
                f"cannot open the root folder {root}: {_reason(error)}",
                "give --root a captured tree, the folder that holds sys/ and run/",
                status=2,
            ) from None

    def shown(self, path: str) -> str:
        """`path` as a person would type it."""
        return os.path.join(self.root, path)

    def _open(self, path: str, flags: int) -> int:
        *folders, last = path.split("/")
        at = self._fd
        try:
            for folder in folders:
                below = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                if at != self._fd:
                    os.close(at)
                at = below
            return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=at)
        finally:
            if at != self._fd:
                os.close(at)

    def _refused(self, path: str, error: OSError) -> GuestcredError:
        hints: tuple[str, ...] = ()
        if error.errno in (errno.EACCES, errno.EPERM):
            hints = ("run it as root: credentials and the DMI table are for root only",)
        return GuestcredError(f"cannot read {self.shown(path)}: {_reason(error)}", *hints)

    def read(self, path: str) -> bytes | None:
        """The bytes of a regular file, or None where it does not exist."""
        try:
            fd = self._open(path, os.O_RDONLY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise self._refused(path, error) from None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise GuestcredError(f"cannot read {self.shown(path)}: not a regular file")
            parts: list[bytes] = []
            size = 0
            while part := os.read(fd, 1 << 20):
                parts.append(part)
                size += len(part)
                if size > FILE_MAX:
                    raise GuestcredError(f"cannot read {self.shown(path)}: larger than {FILE_MAX >> 20} MiB")
            return b"".join(parts)
        except OSError as error:
            raise self._refused(path, error) from None
        finally:
            os.close(fd)

    def names(self, path: str) -> list[str] | None:
        """The names in a directory, sorted, or None where it does not exist."""
        try:
            fd = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise self._refused(path, error) from None
        try:
            return sorted(os.listdir(fd))
        except OSError as error:
            raise self._refused(path, error) from None
        finally:
            os.close(fd)

    def read_all(self, path: str, file: str = "") -> dict[str, bytes] | None:
        """Name to bytes for a directory of files (or of directories that hold `file`); vanished ones are left out."""
        names = self.names(path)
        if names is None:
            return None
        found: dict[str, bytes] = {}
        for name in names:
            data = self.read(f"{path}/{name}{file}")
            if data is not None:
                found[name] = data
        return found


def _reason(error: OSError) -> str:
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def read_guest(root: str = "/", systemd: int | None = None) -> Guest:
    """Look at the live system, or at the captured tree below `root`; `systemd` overrides the version seen.

    Raises GuestcredError (exit status 3) where there is no table or it may not be read.
    """
    tree = Tree(root)
    live = root == "/"
    table = tree.read(TABLE)
    if table is None:
        raise _no_table(tree, live)
    entries = tree.names(ENTRIES)
    return Guest(
        root=root,
        table=table,
        entry_point=tree.read(ENTRY_POINT),
        entries=None if entries is None else _read_entries(tree, entries),
        system=tree.read_all(SYSTEM),
        initrd=tree.read_all(INITRD),
        fw_cfg=tree.read_all(FW_CFG, "/raw"),
        parameters=parse_cmdline(tree.read(CMDLINE) or b""),
        systemd=systemd if systemd is not None else (_live_systemd(tree) if live else _captured_systemd(tree)),
    )


def _read_entries(tree: Tree, names: list[str]) -> tuple[Entry, ...]:
    numbers = sorted(int(name[3:]) for name in names if name.startswith("11-") and name[3:].isdecimal())
    paths = [f"{ENTRIES}/11-{number}/raw" for number in numbers]
    return tuple(Entry(path, data) for path in paths if (data := tree.read(path)) is not None)


def _no_table(tree: Tree, live: bool) -> GuestcredError:
    where = tree.shown(TABLE)
    if not live:
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
        if digits.isdecimal():
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
    except ValueError as error:
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
    answer = _ask("systemctl", "--version").split()
    return int(answer[1]) if len(answer) > 1 and answer[0] == "systemd" and answer[1].isdecimal() else None


def _ask(*command: str) -> str:
    """What a program of systemd's prints, one line, empty where it is absent or says no."""
    import subprocess

    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def read_facts(root: str = "/") -> Facts:
    """The facts behind a refusal. Asks other programs when live, so it is called only when something is missing."""
    tree = Tree(root)
    if root != "/":
        captured = read_capture(tree)

        def fact(key: str) -> str | None:
            value = captured.get(key)
            return value if isinstance(value, str) and value not in ("", "none") else None

        return Facts(
            fact("container"), fact("confidential"), fact("virtualization"), captured.get("earlier_stage") is True
        )
    try:
        environment = tree.read("proc/1/environ") or b""
    except GuestcredError:
        environment = b""
    # PID 1 exports $CREDENTIALS_DIRECTORY itself, which its own environ file does not show: standing
    # there, it was handed over by the PID 1 of the initrd (systemd src/core/import-creds.c)
    earlier = any(entry.startswith(b"CREDENTIALS_DIRECTORY=") for entry in environment.split(b"\0"))

    def asked(*flags: str) -> str | None:
        answer = _ask("systemd-detect-virt", *flags)
        return None if answer in ("", "none") else answer

    return Facts(asked("--container"), asked("--cvm"), asked("--vm"), earlier)


def parse_cmdline(data: bytes) -> Parameters:
    """Credentials and `systemd.import_credentials=` of a kernel command line, quoted as systemd quotes it."""
    from guestcred.credential import base64_decode, name_is_valid

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
        elif key in (b"systemd.set_credential", b"systemd.set_credential_binary"):
            name, colon, text = value.partition(b":")
            decoded = text if key == b"systemd.set_credential" else base64_decode(text, None)
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
