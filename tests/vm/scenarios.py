"""The scenarios: what the hypervisor hands over, and what guestcred must say about what PID 1 made of it."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from guestcred.host.encode import encode
from guestcred.host.encode import framed as frame
from guestcred.host.secret import Secret
from guestcred.smbios.layout import build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, judge
from guestcred.systemd.rules import EXTRA_SYSTEM_SINCE, INITRD_SINCE, READ_WHOLE_SINCE
from vm import strings
from vm.booted import Booted
from vm.images import GUESTS, RELEASES, Release
from vm.rescue import COMMANDS, EARLY, SKIPPED, UNTOUCHED, Rescue
from vm.sandbox import ATTEMPTS, HOSTILE, verify_sandbox
from vm.units import UNITS, UNITS_FILES, verify_units

CHECK = ["guestcred", "check", "--format", "json"]
ALWAYS: list[list[str]] = [
    CHECK,
    list(EARLY),
    ["guestcred", "dump", "--format", "json"],
    ["guestcred", "check"],
    ["guestcred", "dump", "--all"],
]
ALL, NEWEST = tuple(release.name for release in RELEASES), (RELEASES[-1].name,)
Counts = dict[str, int]


@dataclass(frozen=True)
class Initrd:
    """What the initrd brings: credentials in /.extra/system_credentials, and those handed over in @initrd."""

    extra: dict[str, bytes]
    handed: dict[str, bytes]

    @property
    def files(self) -> dict[str, bytes | str]:
        """Files of the initrd by path; a `str` is a link's target."""
        unit = b"""[Unit]
DefaultDependencies=no
Before=initrd.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir -p -m 0700 /run/credentials/@initrd && cp /handed/* /run/credentials/@initrd'
"""
        units = "usr/lib/systemd/system"
        return {
            **{f".extra/system_credentials/{name}.cred": value for name, value in self.extra.items()},
            **{f"handed/{name}": value for name, value in self.handed.items()},
            f"{units}/vm-initrd.service": unit,
            f"{units}/initrd.target.wants/vm-initrd.service": "../vm-initrd.service",
        }

    def first(self, systemd: int) -> dict[str, bytes]:
        """What this systemd imports from it before all other sources."""
        return self.extra if systemd >= EXTRA_SYSTEM_SINCE else {}

    def last(self, systemd: int) -> dict[str, bytes]:
        """And behind them."""
        return self.handed if systemd >= INITRD_SINCE else {}


@dataclass(frozen=True)
class Scenario:
    """One boot. `counts` maps systemd's version to how often `check` must say each `STATUS[ CAUSE]`.

    Where `counts` is None, only PID 1's own doing is the measure. `exit` None means 0 or 1 as it comes.
    With `initrd` it is booted by the releases whose initrd has a PID 1. `fixture` names the releases of which `make fixtures` keeps what it captured.
    """

    name: str
    strings: tuple[bytes, ...] = ()
    structures: tuple[bytes, ...] = ()
    fw_cfg: dict[str, bytes] = field(default_factory=dict)
    cmdline: str = ""
    machine: str = "q35"
    firmware: str = "seabios"
    entry_point: str = "32"
    files: dict[str, bytes] = field(default_factory=dict)
    initrd: Initrd | None = None
    commands: tuple[tuple[str, ...], ...] = ()
    counts: Callable[[int], Counts] | None = None
    findings: frozenset[str] | None = None
    exit: int | None = None
    core: bool = False
    fixture: tuple[str, ...] = ()
    rescue: Callable[[int], Rescue] | None = None
    verify: Callable[[Booted], None] | None = None
    limit: int = 300  # seconds for the boot; 25 to 60 are usual

    @property
    def shown(self) -> str:
        """Machine, firmware and SMBIOS version, for people."""
        if self.machine == "microvm":
            return "microvm, no SMBIOS"
        return f"{self.machine} {self.firmware} {'2.8' if self.entry_point == '32' else '3.0'}"

    @property
    def all_commands(self) -> list[list[str]]:
        return [*ALWAYS, *map(list, self.commands), *map(list, COMMANDS if self.rescue else ())]


def matrix(known: list[Scenario]) -> list[tuple[Scenario, Release, bool]]:
    """Each scenario with each release that boots it, and whether that is in the core."""
    return [
        (scenario, release, scenario.core and (release.core is None or scenario.name in release.core))
        for scenario in known
        for release in GUESTS
        if release.dracut == (scenario.initrd is not None)
    ]


def text(name: str, value: bytes) -> bytes:
    """The OEM string of a credential in text form."""
    return strings.TEXT + name.encode() + b"=" + value


def reference(dice: random.Random) -> tuple[bytes, ...]:
    """The five credentials of the reference flow: three fresh secrets, in base64, and two plain words."""
    secrets = {"API_KEY": 32, "DB_PASSWORD": 32, "JWT_SECRET": 64}
    made = [text(name, base64.b64encode(dice.randbytes(size))) for name, size in secrets.items()]
    return (*made, text("ENVIRONMENT", b"test"), text("CLUSTER", b"britton-desktop"))


def numbered(count: int, size: int = 4) -> tuple[bytes, ...]:
    """`count` small credentials."""
    return tuple(text(f"N{number:04}", b"v" * size) for number in range(count))


def framed(texts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The same credentials in the frame that `encode` and `launch` give them."""
    offered = judge(parse(build_structure(11, 1, texts)).structures, None)
    values = tuple(Secret(verdict.name, verdict.value, False) for verdict in offered if isinstance(verdict, Accepted))
    return tuple(credential.text for credential in encode(frame(values)))


def _all(status: str, count: int) -> Callable[[int], Counts]:
    return lambda _: {status: count}


def _across_4096(systemd: int) -> Counts:
    whole = {"imported": 3}
    return {"imported": 1, "truncated cut-read": 1, "rescued cut-read": 1} if systemd < 257 else whole


def _many(count: int) -> Callable[[int], Counts]:
    def counts(systemd: int) -> Counts:
        if systemd < 257:  # the kernels of those have no noswap for a tmpfs
            return {"imported": count}
        return {"imported": 256, "rescued store-full": count - 256}

    return counts


# a container of the guest's own files, under another path since nspawn does not accept "/", with its own PID 1; the
# table of the guest is shown to it
CONTAINER = (
    "sh", "-euc",
    "mkdir /run/root && mount --bind / /run/root && exec systemd-nspawn --quiet --console=pipe --volatile=overlay "
    "--directory=/run/root --bind=/run/vm/out:/mnt --bind-ro=/sys/firmware/dmi --boot systemd.unit=vm-container.service",
)  # fmt: skip


def _verify_container(booted: Booted) -> None:
    """In the container PID 1 imported nothing, and guestcred says why."""
    file = booted.folder / "check.json"
    said = file.read_text() if file.exists() else ""
    assert said, f"no verdict from the container: {booted.result(*CONTAINER)}"
    causes = [(credential["status"], credential["cause"]) for credential in json.loads(said)["credentials"]]
    assert causes == [("missing", "container")] * 5, causes
    system = (booted.folder / "system").read_text()
    assert system == "", f"the container's PID 1 imported {system}"


def _rescue(**told: Any) -> Callable[[int], Rescue]:
    """The same for each systemd: by default every service has what it wants, and nothing is left to fix."""
    return lambda _: Rescue(**{"delivered": True, "status": 0, **told})


def _cut(systemd: int) -> Rescue:
    """Of a manifest that is longer: where the 4096th byte cuts it, that is left to fix."""
    return Rescue(delivered=True, status=1 if systemd < READ_WHOLE_SINCE else 0)


def _initrd(systemd: int) -> Counts:
    """`check` on what an initrd brought: five and SAME from SMBIOS, and one each of the other sources."""
    found = {"imported": 6, "foreign fw-cfg": 1, "foreign cmdline": 1}
    if systemd >= INITRD_SINCE:
        found["foreign initrd"] = 1
    if systemd >= EXTRA_SYSTEM_SINCE:
        found |= {"imported": 5, "foreign earlier-stage": 1, "differs shadowed-by-initrd": 1}
    return found


def scenarios(seed: int, chance: int = 400) -> list[Scenario]:
    """All scenarios; what is random in them comes from `seed`."""
    dice = random.Random(seed)
    five = reference(dice)
    # strings of one Type 11 that lie before, across and behind byte 4096 of its entry
    across = (text("CACERT", b"b" * 2000), text("TLSKEY", b"a" * 3000), text("APIKEY", b"c" * 10))
    large = tuple(text(f"L{number:02}", dice.randbytes(2900).replace(b"\0", b"x")) for number in range(20))
    short = build_structure(11, 0x0E81, [text("BEHIND", b"x")])
    wrong = build_structure(11, 0x0E80, [text("WRONG", b"x")])
    wrong = bytes([11, 6]) + wrong[2:5] + b"\0" + wrong[5:]  # a Type 11 with a sixth byte
    return [
        Scenario("reference", five, counts=_all("imported", 5), exit=0, core=True, fixture=(*ALL, "debian12-backports"),
                 rescue=_rescue(early=SKIPPED)),
        Scenario("framed", framed(five), counts=_all("imported", 7), exit=0, core=True, rescue=_rescue(early=UNTOUCHED)),
        Scenario("framed-hidden", framed(five), cmdline="vm.hide-entries", counts=_all("rescued dmi-sysfs-absent", 7),
                 exit=0, rescue=_rescue()),
        Scenario("tail", structures=(build_structure(11, 0x0E80, [*numbered(300), *five]),), core=True, rescue=_rescue()),
        Scenario("framed-tail", structures=(build_structure(11, 0x0E80, framed((*numbered(200), *five))),), rescue=_cut,
                 fw_cfg={f"FW{number}": bytes(20 * 4096) for number in range(3)}),  # they take their pages first
        Scenario("framed-disabled", framed(five), cmdline="systemd.import_credentials=no",
                 counts=_all("missing import-disabled", 7), exit=1, rescue=_rescue(delivered=False, status=1)),
        # the end of one structure says nothing of another; with 252 the 4096th byte is the NUL behind a string
        Scenario("framed-and-more", structures=(build_structure(11, 0x0E80, framed(five)),
                                                build_structure(11, 0x0E81, numbered(300))), rescue=_rescue(early=UNTOUCHED)),
        Scenario("reference-pc-30", five, machine="pc", entry_point="64", counts=_all("imported", 5), exit=0, fixture=NEWEST),
        Scenario("reference-pc-28", five, machine="pc", counts=_all("imported", 5), exit=0),
        Scenario("reference-q35-30", five, entry_point="64", counts=_all("imported", 5), exit=0),
        Scenario("reference-ovmf", five, firmware="ovmf", counts=_all("imported", 5), exit=0, fixture=NEWEST),
        Scenario("reference-ovmf-30", five, firmware="ovmf", entry_point="64", counts=_all("imported", 5), exit=0),
        Scenario("hostile", structures=strings.structures(strings.hostile()), core=True, exit=1, fixture=NEWEST),
        Scenario(
            "random", structures=strings.structures(strings.chance(seed, chance), 3900), core=True
        ),
        Scenario("many-300", structures=strings.structures(list(numbered(300))), counts=_many(300), core=True, fixture=NEWEST),
        Scenario("many-400", structures=strings.structures(list(numbered(400))), counts=_many(400)),
        Scenario("across-4096", across, counts=_across_4096, core=True, fixture=("debian12", "debian14")),
        Scenario("table-60k", structures=strings.structures(list(large)), counts=_all("imported", 20)),
        Scenario("table-over-64k", structures=strings.structures([*large, *(text(f"M{n}", b"m" * 3000) for n in range(9))]),
                 entry_point="64", findings=frozenset({"cut-by-kernel", "truncated"}), exit=1, fixture=NEWEST),
        Scenario("table-over-64k-ovmf", structures=strings.structures([*large, *(text(f"M{n}", b"m" * 3000) for n in range(9))]),
                 entry_point="64", firmware="ovmf", counts=_all("imported", 29), exit=0),
        Scenario("table-over-256k", strings=tuple(text(f"H{n}", b"h" * 3000) for n in range(95)), entry_point="64", exit=3),
        Scenario(
            "three-sources", (text("SAME", b"from SMBIOS"), text("ONLY", b"from SMBIOS")),
            fw_cfg={"SAME": b"from fw_cfg", "FW": b"from fw_cfg"},
            cmdline="systemd.set_credential=SAME:cmdline systemd.set_credential=CMD:cmdline systemd.set_credential_binary=BIN:QUJD",
            counts=lambda systemd: {
                "imported": 1, "differs shadowed-by-fw-cfg": 1, "foreign fw-cfg": 1,
                "foreign cmdline": 1 if systemd == 252 else 2,
            },
            exit=1, fixture=NEWEST,
        ),
        Scenario("import-disabled", five, cmdline="systemd.import_credentials=no",
                 counts=_all("missing import-disabled", 5), exit=1, core=True, fixture=NEWEST,
                 rescue=_rescue(delivered=False, status=1)),
        Scenario("initrd", (*five, text("SAME", b"from SMBIOS")), fw_cfg={"FW": b"from fw_cfg"},
                 cmdline="systemd.set_credential=CMD:cmdline", counts=_initrd, core=True,
                 initrd=Initrd(extra={"SAME": b"from .extra", "EXTRA": b"from .extra"}, handed={"HANDED": b"from @initrd"}),
                 fixture=tuple(release.name for release in GUESTS if release.dracut)),
        Scenario("microvm", fw_cfg={"FW": b"from fw_cfg"}, cmdline="systemd.set_credential=CMD:cmdline", machine="microvm",
                 counts=lambda _: {"foreign fw-cfg": 1, "foreign cmdline": 1}, exit=0, fixture=NEWEST),
        Scenario("container", five, commands=(CONTAINER,), counts=_all("imported", 5), exit=0, verify=_verify_container),
        Scenario("units", five, files=UNITS_FILES, commands=(UNITS,), counts=_all("imported", 5), exit=0, limit=1500,
                 verify=verify_units),
        Scenario("nothing-offered", counts=lambda _: {}, exit=0, fixture=NEWEST),
        Scenario("two-structures", structures=(wrong, short), counts=lambda _: {}, exit=1,
                 findings=frozenset({"type11-length"}), fixture=NEWEST),
        Scenario("two-structures-right", structures=(build_structure(11, 0x0E80, [text("ONE", b"1")]), short),
                 counts=_all("imported", 2), exit=0),
        Scenario("sandbox", five, files={"hostile.py": HOSTILE.read_bytes()}, commands=(ATTEMPTS,),
                 counts=_all("imported", 5), exit=0, core=True, verify=verify_sandbox),
        Scenario("hidden-entries", five, cmdline="vm.hide-entries", counts=_all("rescued dmi-sysfs-absent", 5),
                 exit=0, core=True, fixture=NEWEST, rescue=_rescue()),
    ]  # fmt: skip
