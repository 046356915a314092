"""The reading edge: table, entries, `@system`, other sources and facts, live or below a root directory."""

from __future__ import annotations

from guestcred.errors import GuestcredError
from guestcred.guest.facts import read_systemd
from guestcred.guest.rootfs import Tree
from guestcred.record import Record
from guestcred.smbios.walk import Table, parse
from guestcred.systemd.rules import SYSTEM
from guestcred.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    # what gives credentials besides SMBIOS
    Origin = Literal["fw-cfg", "cmdline", "initrd", "earlier-stage", "container-manager"]

TABLE_MAX = 1 << 20  # bytes of a table that are looked at; Linux keeps 64 KiB of most

TABLE = "sys/firmware/dmi/tables/DMI"
ENTRY_POINT = "sys/firmware/dmi/tables/smbios_entry_point"
ENTRIES = "sys/firmware/dmi/entries"
INITRD = "run/credentials/@initrd"
CONTAINER = "run/systemd/container"  # PID 1 writes the name of the container manager there
CMDLINE = "proc/cmdline"
ARGUMENTS = "proc/1/cmdline"
FW_CFG = "sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials"


class Entry(Record):
    """What PID 1 reads of one Type 11 structure: `path` (entries/11-N/raw), the N and its bytes."""

    path: str
    instance: int
    data: bytes


class Parameters(Record):
    """What the command line says that PID 1 reads: credentials set there, name to (key, value), and whether it forbids the import."""

    credentials: dict[str, tuple[str, bytes]]
    import_disabled: bool


class Guest(Record):
    """One look at a guest. Dictionaries map credential names to bytes; None where the folder is absent.

    `table` is None on a machine without SMBIOS, which is looked at for what other sources gave.

    `entries` is None where `dmi-sysfs` has made no folder; `systemd` is the major version or None. `unreadable` has
    the paths in their folders that hold no readable file, with the reason.
    """

    root: str
    table: bytes | None
    entry_point: bytes | None
    entries: tuple[Entry, ...] | None
    system: dict[str, bytes] | None
    initrd: dict[str, bytes] | None
    fw_cfg: dict[str, bytes] | None
    parameters: Parameters
    systemd: int | None
    unreadable: dict[str, str]

    @property
    def is_bare(self) -> bool:
        """Whether there is no SMBIOS, and no credential from elsewhere."""
        return self.table is None and not self.system and not any(values for _, values in other_sources(self))


class Unparsed(Record):
    """A look of which nothing was parsed yet: in `guest` the parameters are still missing, `cmdline` has them."""

    guest: Guest
    cmdline: bytes


def other_sources(guest: Guest) -> tuple[tuple[Origin, dict[str, bytes]], ...]:
    """What holds credentials besides SMBIOS, in systemd's order: the key of each, and name to bytes."""
    on_cmdline = {name: value for name, (_, value) in guest.parameters.credentials.items()}
    return ("fw-cfg", guest.fw_cfg or {}), ("cmdline", on_cmdline), ("initrd", guest.initrd or {})


def read_guest(root: str = "/", systemd: int | None = None, *, bare: bool = False) -> Guest:
    """Look at the live system, or at the captured tree below `root`; `systemd` overrides the version seen.

    Raises GuestcredError (exit status 3) where there is no table and no other credential, or it may not be read. A `bare`
    guest may be without SMBIOS and without any credential.
    """
    return parsed(read_unparsed(Tree(root), systemd, bare=bare))


def read_unparsed(tree: Tree, systemd: int | None, *, bare: bool = False) -> Unparsed:
    """The bytes of that look, as `read_guest` reads them, for a process apart to parse. Raises GuestcredError as that does."""
    table, entry_point, absent = None, None, None
    try:
        table, entry_point = read_table(tree)
    except NoSmbiosError as error:
        absent = error
    entries = tree.names(ENTRIES)
    if systemd is None:
        systemd = read_systemd(tree)
    unreadable: dict[str, str] = {}

    def files(folder: str, suffix: str = "") -> dict[str, bytes] | None:
        refused: dict[str, str] = {}
        values = tree.read_all(tree.resolve(folder), suffix, refused)
        unreadable.update({f"{folder}/{name}": reason for name, reason in refused.items()})
        return values

    guest = Guest(
        root=tree.root,
        table=table,
        entry_point=entry_point,
        entries=None if entries is None else _read_entries(tree, entries),
        system=files(SYSTEM),
        initrd=files(INITRD),
        fw_cfg=files(FW_CFG, "/raw"),
        parameters=Parameters({}, False),
        systemd=systemd,
        unreadable=unreadable,
    )
    # proc_cmdline() in systemd src/basic/proc-cmdline.c
    cmdline = tree.read(ARGUMENTS if tree.exists(CONTAINER) else CMDLINE) or b""
    set_there = b"set_credential" in cmdline.replace(b"-", b"_")
    if absent is not None and not (bare or guest.system or guest.fw_cfg or guest.initrd or set_there):
        raise absent
    return Unparsed(guest, cmdline)


def parsed(look: Unparsed) -> Guest:
    """The guest of a look, with the parameters of its command line."""
    if b"credential" not in look.cmdline:
        return look.guest  # no parameter about them, as on most machines
    from guestcred.guest.cmdline import parse_cmdline

    return look.guest.replace(parameters=Parameters(*parse_cmdline(look.cmdline, look.guest.systemd)))


def read_table(tree: Tree) -> tuple[bytes, bytes | None]:
    """(DMI table, entry point or None) of a guest. Raises GuestcredError (exit status 3) without a readable table."""
    table = tree.read(TABLE)
    if table is None:
        raise _no_table(tree)
    refuse_large(len(table), tree.shown(TABLE))
    return table, tree.read(ENTRY_POINT)


def structure_count(entry_point: bytes | None) -> int:
    """How many structures Linux takes from a table, type 127 or not; 0 where it stops at the first type 127."""
    if entry_point is None:
        return 0
    from guestcred.smbios.entry_point import parse_entry_point

    point = parse_entry_point(entry_point)
    return (point.count or 0) if point else 0


def parse_table(table: bytes | None, entry_point: bytes | None) -> Table:
    """The structures of a table as Linux takes them, who made `entries/` of the same; none without SMBIOS."""
    if table is None:
        return Table(structures=(), ended=None, size=0, trailing=0)
    parsed = parse(table)
    return parse(table, structure_count(entry_point)) if parsed.trailing else parsed


def refuse_large(size: int, where: str) -> None:
    """Raise GuestcredError (exit status 3) for a table of more than TABLE_MAX bytes; `where` says which."""
    if size > TABLE_MAX:
        raise GuestcredError(
            f"{where} has {size} bytes, more than the 1 MiB of a table that guestcred looks at",
            "see who makes the table: no firmware needs so many bytes, and large secrets go by disk or vsock",
        )


def _read_entries(tree: Tree, names: list[str]) -> tuple[Entry, ...]:
    numbers = sorted(int(name[3:]) for name in names if name.startswith("11-") and name[3:].isdecimal())
    entries, size = [], 0
    for number in numbers:
        path = f"{ENTRIES}/11-{number}/raw"
        data = tree.read(path)
        if data is not None:
            size += len(data)
            refuse_large(size, tree.shown(ENTRIES))
            entries.append(Entry(path, number, data))
    return tuple(entries)


class NoSmbiosError(GuestcredError):
    """The machine has no SMBIOS at all; a table that should be there, and is not, is another error."""


def _no_table(tree: Tree) -> GuestcredError:
    where = tree.shown(TABLE)
    kind: type[GuestcredError] = NoSmbiosError
    if not tree.live:
        kind = GuestcredError if tree.exists("sys/firmware/dmi") else kind
        hint = "a captured tree holds the same paths as a guest: is this its top folder?"
    elif container := tree.read(CONTAINER):
        hint = (
            f"this is a container ({visible(container.decode(errors='replace').strip())}): its manager hands credentials "
            "over, as systemd-nspawn does with --set-credential= and --load-credential="
        )
    elif tree.names("sys/firmware/devicetree/base"):
        hint = "this machine describes itself by device tree: its firmware has no SMBIOS, so hand credentials over by kernel command line or disk"
    elif tree.names("sys/firmware") is None:
        hint, kind = "there is no /sys/firmware: mount sysfs, or run this in the guest itself", GuestcredError
    elif tree.names("sys/firmware/dmi") is None:
        hint = (
            "the kernel found no SMBIOS: this hypervisor gives none (Firecracker does not), "
            "its table was too large (cloud-hypervisor's above 65512 bytes), "
            "or this is a container or a kernel without CONFIG_DMI"
        )
    else:
        kind = GuestcredError
        # cloud-hypervisor 54 boots a guest with 65,513 bytes all the same
        hint = (
            "the kernel has DMI but no table under it: most likely the table was too large (cloud-hypervisor's above "
            "65512 bytes): offer less, 'guestcred encode --dry-run' on the host counts it; "
            "or is /sys/firmware/dmi covered by a mount?"
        )
    return kind(f"there is no DMI table at {where}", hint)
