"""Offered against imported, with the facts: a status and a cause, by evidence, for every credential."""

from __future__ import annotations

import hmac

from guestcred.credential import CONFIDENTIAL_VM_SINCE, IMPORTS_SMBIOS_SINCE, TDX_TRUSTED_SINCE
from guestcred.guest import ENTRIES, SYSTEM, TABLE, Entry, Facts, Guest
from guestcred.offered import REASONS as REJECTED
from guestcred.offered import Accepted, Rejected, Unrelated, Verdict, judge
from guestcred.records import Record
from guestcred.smbios import OEM_STRINGS, Table

READ_CUT = 4096  # bytes; systemd before 253 reads this much of an entry (read_virtual_file() with a sysfs file)
KERNEL_CUT = 0x10000  # bytes; Linux keeps the low 16 bits of the table's length (drivers/firmware/dmi_scan.c dmi_len)
STORE_PAGES = 256  # 4 KiB pages of the 1 MiB tmpfs that holds @system (systemd 257, 262)
PAGE = 4096

CAUSES = {
    "dmi-sysfs-absent": (
        "PID 1 reads SMBIOS through /sys/firmware/dmi/entries, and the kernel has no dmi-sysfs there",
        "build the kernel with CONFIG_DMI_SYSFS=y, or put the module dmi-sysfs into the initrd and load it before systemd",
    ),
    "import-disabled": (
        "the kernel command line has systemd.import_credentials=no",
        "remove it from the kernel command line and boot again",
    ),
    "confidential-vm": (
        "this is a confidential VM, and systemd does not trust what the host's firmware tables say there",
        "hand secrets over encrypted (systemd-creds encrypt --with-key=tpm2) or after attestation",
    ),
    "container": (
        "this is a container, and PID 1 reads no SMBIOS in one",
        "pass the credential through the container manager (systemd-nspawn --load-credential=NAME:PATH)",
    ),
    "earlier-stage": (
        "an earlier PID 1 (in the initrd) did the import, and the one after it does not repeat it",
        "give the initrd's systemd what it lacks: dmi-sysfs there, and the same version as in the system",
    ),
    "systemd-too-old": (
        "this systemd is older than 252 and does not import from SMBIOS",
        "upgrade systemd to 252 or later",
    ),
    "cut-read": (
        "systemd 252 reads only the first 4096 bytes of a Type 11 structure, and this string lies across or behind them",
        "make the strings before it shorter, hand it over first, or upgrade systemd to 257 or later",
    ),
    "cut-by-kernel": (
        "Linux keeps only the low 16 bits of the table's length, so what lies behind is cut off",
        "keep all OEM strings together under 64 KiB: send large values by disk or vsock",
    ),
    "store-full": (
        "the 1 MiB store of @system was full: every credential takes at least a 4 KiB page of it",
        "offer at most 256 credentials, or join small ones into one",
    ),
    "shadowed-by-fw-cfg": (
        "QEMU's fw_cfg offers a credential of the same name, and it comes before SMBIOS",
        "remove one of the two on the host: '-fw_cfg name=opt/io.systemd.credentials/...' or the OEM string",
    ),
    "lost-at-switch-root": (
        "the initrd's PID 1 imported it, and /run/credentials/@system did not come along at switch-root",
        "keep /run mounted over switch-root (systemctl switch-root does)",
    ),
    "unknown": (
        "nothing that can be seen from here explains it",
        "read PID 1's own words: journalctl -b _PID=1 | grep -i credential",
    ),
}


class Credential(Record):
    """One credential's verdict; `size` in bytes of what was imported, else of what was offered; the place is None if not from SMBIOS."""

    name: str
    status: str
    size: int
    offered_size: int | None
    handle: int | None
    index: int | None
    cause: str | None


class Finding(Record):
    """Something a person must know: a code, one sentence about it and one about its mend."""

    code: str
    message: str
    hint: str


class Comparison(Record):
    """All of `check`: credentials in table order, then foreign ones by name."""

    systemd: int | None
    credentials: tuple[Credential, ...]
    rejected: tuple[Rejected, ...]
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        return not self.findings


def needs_facts(offered: tuple[Verdict, ...], guest: Guest) -> bool:
    """Whether something was offered and did not arrive, so that the facts behind a refusal are worth asking for."""
    system = guest.system or {}
    return any(isinstance(verdict, Accepted) and verdict.name not in system for verdict in offered)


def compare(guest: Guest, table: Table, offered: tuple[Verdict, ...], facts: Facts | None, declared: int | None, require: tuple[str, ...]) -> Comparison:
    """Decide a status and a cause for every credential.

    `declared` is the table length in bytes that the entry point names (None: unknown); `require` names that must be imported.
    """
    system = guest.system or {}
    accepted = [verdict for verdict in offered if isinstance(verdict, Accepted)]
    cut = kernel_cut(table, declared)
    last = accepted[-1] if accepted and cut and table.structures[-1].type == OEM_STRINGS and table.structures[-1].handle == accepted[-1].handle else None
    credentials = []
    for one in accepted:
        imported = system.get(one.name)
        status, cause = _judge(one, imported, guest, facts, cut=one is last, accepted=accepted)
        size = len(one.value if imported is None else imported)
        credentials.append(Credential(one.name, status, size, len(one.value), one.handle, one.index, cause))
    known = {one.name for one in accepted}
    for name in sorted(system.keys() - known):
        credentials.append(Credential(name, "foreign", len(system[name]), None, None, None, _source(name, system[name], guest)))
    rejected = tuple(verdict for verdict in offered if isinstance(verdict, Rejected))
    findings = _findings(credentials, rejected, offered, table, cut, declared, require, accepted, guest)
    return Comparison(guest.systemd, tuple(credentials), rejected, findings)


def kernel_cut(table: Table, declared: int | None) -> bool:
    """Whether Linux cut this table: it stops early, and the entry point names the same length but for 16 bits."""
    return table.ended is not None and declared is not None and declared > table.size and declared % KERNEL_CUT == table.size % KERNEL_CUT


def _judge(one: Accepted, imported: bytes | None, guest: Guest, facts: Facts | None, cut: bool, accepted: list[Accepted]) -> tuple[str, str | None]:
    if imported is None:
        return "missing", _missing(one, guest, facts, accepted)
    if hmac.compare_digest(imported, one.value):
        return ("truncated", "cut-by-kernel") if cut else ("imported", None)
    shadow = (guest.fw_cfg or {}).get(one.name)
    if shadow is not None and hmac.compare_digest(imported, shadow):
        return "differs", "shadowed-by-fw-cfg"
    read = _as_read(one, guest)
    if read is not None and hmac.compare_digest(imported, read):
        return "truncated", "cut-read"
    if len(imported) < len(one.value) and hmac.compare_digest(imported, one.value[: len(imported)]):
        return "truncated", "unknown"
    return "differs", "unknown"


def _as_read(one: Accepted, guest: Guest) -> bytes | None:
    """What the first 4096 bytes of the entry make of this string; None where they do not cut it."""
    found = _entry_end(one, guest)
    if found is None or found[1] <= READ_CUT or found[0] >= READ_CUT:
        return None
    from guestcred.smbios import parse

    entry = found[2]
    for verdict in judge(parse(entry.data[:READ_CUT]).structures, guest.systemd):
        if isinstance(verdict, Accepted) and verdict.index == one.index:
            return verdict.value
    return None


def _entry_end(one: Accepted, guest: Guest) -> tuple[int, int, Entry] | None:
    """Where the string stands in its entry, as (start, end, entry) in bytes; None without entries."""
    for entry in guest.entries or ():
        if len(entry.data) < 5 or entry.data[2] | entry.data[3] << 8 != one.handle:
            continue
        start = entry.data[1]
        for _ in range(one.index - 1):
            start = entry.data.find(b"\0", start) + 1
            if not start:
                return None
        end = entry.data.find(b"\0", start)
        return start, end if end >= 0 else len(entry.data), entry
    return None


def _missing(one: Accepted, guest: Guest, facts: Facts | None, accepted: list[Accepted]) -> str:
    version = guest.systemd
    if facts is not None:
        if facts.container:
            return "container"
        if facts.confidential and (version is None or version >= CONFIDENTIAL_VM_SINCE):
            if not (facts.confidential == "tdx" and version is not None and version >= TDX_TRUSTED_SINCE):
                return "confidential-vm"
    if guest.parameters.import_disabled:
        return "import-disabled"
    if version is not None and version < IMPORTS_SMBIOS_SINCE:
        return "systemd-too-old"
    system = guest.system or {}
    none_arrived = not any(other.name in system for other in accepted)
    if none_arrived and facts is not None and facts.earlier_stage:
        return "lost-at-switch-root" if guest.system is None else "earlier-stage"
    if none_arrived and not guest.entries:
        return "dmi-sysfs-absent"
    place = _entry_end(one, guest)
    if place is not None and place[1] > READ_CUT and version == IMPORTS_SMBIOS_SINCE and _cut_in_half(accepted, guest):
        return "cut-read"
    if _store_is_full(one, system, accepted):
        return "store-full"
    return "unknown"


def _cut_in_half(accepted: list[Accepted], guest: Guest) -> bool:
    """Whether everything whole within the first 4096 bytes of the entries arrived and nothing whole behind them did."""
    system = guest.system or {}
    for one in accepted:
        place = _entry_end(one, guest)
        if place is None:
            continue
        if place[1] <= READ_CUT and one.name not in system or place[0] > READ_CUT and one.name in system:
            return False
    return True


def _store_is_full(one: Accepted, system: dict[str, bytes], accepted: list[Accepted]) -> bool:
    def pages(size: int) -> int:
        return max(1, -(-size // PAGE))

    used = sum(pages(len(value)) for value in system.values())
    first = next(other for other in accepted if other.name not in system)
    behind = accepted[accepted.index(first) :]
    return used + pages(len(first.value)) > STORE_PAGES and not any(other.name in system for other in behind)


def _source(name: str, value: bytes, guest: Guest) -> str:
    sources = (
        ("fw-cfg", (guest.fw_cfg or {}).get(name)),
        ("cmdline", guest.parameters.credentials.get(name, (None, None))[1]),
        ("initrd", (guest.initrd or {}).get(name)),
    )
    for source, offered in sources:
        if offered is not None and hmac.compare_digest(offered, value):
            return source
    return "unknown"


STATUS_SENTENCES = {
    "missing": "was offered but not imported",
    "differs": "was imported with other bytes than were offered",
    "truncated": "was imported shortened",
}


def _findings(
    credentials: list[Credential], rejected: tuple[Rejected, ...], offered: tuple[Verdict, ...], table: Table, cut: bool,
    declared: int | None, require: tuple[str, ...], accepted: list[Accepted], guest: Guest,
) -> tuple[Finding, ...]:  # fmt: skip
    findings = []
    by_cause: dict[tuple[str, str], list[str]] = {}
    for one in credentials:
        if one.status in STATUS_SENTENCES:
            by_cause.setdefault((one.status, one.cause or "unknown"), []).append(one.name)
    for (status, cause), names in by_cause.items():
        sentence, mend = CAUSES[cause]
        findings.append(Finding(status, f"{_listed(names)} {STATUS_SENTENCES[status]}: {sentence}", mend))
    if cut:
        findings.append(
            Finding("cut-by-kernel", f"the table is {declared} bytes long and Linux kept {table.size} of them: {CAUSES['cut-by-kernel'][0]}", CAUSES["cut-by-kernel"][1])
        )
    for refused in rejected:
        named = f"{refused.name} " if refused.name else ""
        findings.append(
            Finding(refused.reason, f"{named}(handle {refused.handle:#06x}, string {refused.index}) is refused: {REJECTED[refused.reason]}", refused.hint or "")
        )
    for verdict in offered:
        if isinstance(verdict, Unrelated) and verdict.hint:
            findings.append(Finding("near-miss", f"handle {verdict.handle:#06x}, string {verdict.index} is not a credential", verdict.hint))
    arrived = {one.name for one in credentials if one.status in ("imported", "foreign")}
    seen = {one.name for one in credentials}
    for name in require:
        if name not in arrived and name not in seen:
            findings.append(Finding("required", f"{name} is required, and no source offers it", f"pass it on the host: io.systemd.credential:{name}=..."))
    return tuple(findings)


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    if len(names) <= 6:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names[:5]) + f" and {len(names) - 5} more"


class Stage(Record):
    """One station on a credential's way: its word, whether the credential passed it, and what shows that."""

    name: str
    passed: bool
    evidence: str


def trace(name: str, comparison: Comparison, guest: Guest, offered: tuple[Verdict, ...]) -> tuple[str, str | None, tuple[Stage, ...], Finding | None]:
    """One credential's way as (status, cause, stages, finding); it stops at the stage where the credential was lost."""
    one = next((c for c in comparison.credentials if c.name == name), None)
    refused = next((r for r in comparison.rejected if r.name == name), None)
    at = (guest.root.rstrip("/") or "") + "/"
    if one is not None and one.status == "foreign":
        stage = Stage("imported", True, f"{at}{SYSTEM}/{name}, {one.size} bytes, not from SMBIOS but from {one.cause}")
        return "foreign", one.cause, (Stage("offered", True, f"no OEM string of that name; source {one.cause}"), stage), None
    if one is None and refused is not None:
        where = f"{at}{TABLE}, handle {refused.handle:#06x}, string {refused.index}"
        finding = next(f for f in comparison.findings if f.code == refused.reason)
        return "rejected", refused.reason, (Stage("offered", True, where), Stage("accepted", False, f"{refused.reason}: {REJECTED[refused.reason]}")), finding
    if one is None:
        seen = [v for v in offered if isinstance(v, Unrelated) and v.hint]
        hint = seen[0].hint if seen and seen[0].hint else f"pass it on the host as 'io.systemd.credential:{name}=...', and see what arrived with 'guestcred dump'"
        finding = Finding("not-offered", f"no OEM string and no other source offers {name}", hint)
        return "not-offered", None, (Stage("offered", False, f"no string of that name in {at}{TABLE}"),), finding
    place = next(v for v in offered if isinstance(v, Accepted) and v.name == name)
    stages = [
        Stage("offered", True, f"{at}{TABLE}, handle {place.handle:#06x}, string {place.index}, {place.encoding}"),
        Stage("accepted", True, f"{len(place.value)} bytes by the rules of systemd {guest.systemd or '(newest)'}"),
    ]
    entry = _entry_end(place, guest)
    if guest.entries is None:
        stages.append(Stage("entry", one.status == "imported", f"{at}{ENTRIES} does not exist"))
    elif entry is not None:
        cut = one.cause == "cut-read"
        stages.append(Stage("entry", not cut, f"{at}{entry[2].path}, bytes {entry[0]} to {entry[1]}"))
    if one.cause != "cut-read" and (guest.entries is not None or one.status == "imported"):
        arrived = f"{at}{SYSTEM}/{name}, {one.size} bytes" if one.status != "missing" else f"{at}{SYSTEM}/{name} does not exist"
        stages.append(Stage("imported", one.status == "imported", arrived))
    finding = None
    if one.status != "imported":
        sentence, mend = CAUSES[one.cause or "unknown"]
        finding = Finding(one.status, f"{name} {STATUS_SENTENCES[one.status]}: {sentence}", mend)
    return one.status, one.cause, tuple(stages), finding
