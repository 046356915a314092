"""What is particular to each hypervisor, and OEM strings -> the form in which it takes them; pure text."""

from __future__ import annotations

import html
import json
import math
from typing import Any, Literal

from guestcred.errors import USAGE, GuestcredError
from guestcred.record import Record
from guestcred.smbios.entry_point import SIZE_64

TABLE_MAX = 0xFFFF  # bytes; dmi_len in Linux drivers/firmware/dmi_scan.c is used modulo 64 KiB
BELOW_KERNEL = 0x10000 - SIZE_64  # bytes from 0xF0000 to the kernel, less the entry point


class Hypervisor(Record):
    """What guestcred knows of one: the word in `--for`, and all that hangs on it.

    `place` is the section and the key that hold OEM strings in its JSON config; None where it takes none. Without
    `--config`, `encode` reads the config from standard input (`reads_stdin`), or the strings are one alone. `requests`
    has the largest request with them in bytes, by the first version for which it holds, the newest first.
    """

    name: str
    launched_by: Literal["command", "api"] | None = None
    place: tuple[str, str] | None = None
    reads_stdin: bool = False
    table_max: int = TABLE_MAX
    table_source: str = "SeaBIOS places only the low 16 bits of the table's length"
    requests: tuple[tuple[int, int], ...] = ()


HYPERVISORS = {
    hypervisor.name: hypervisor
    for hypervisor in (
        Hypervisor(
            "cloud-hypervisor",
            launched_by="api",
            place=("platform", "oem_strings"),  # PlatformConfig in its vmm/src/vm_config.rs
            reads_stdin=True,
            table_max=BELOW_KERNEL,
            table_source="cloud-hypervisor has 64 KiB at 0xF0000 for its entry point and table",
            # 54 took 159,563 bytes and died of 160,075, by the seccomp filter of its HTTP thread; those before it have
            # MAX_PAYLOAD_SIZE of micro_http
            requests=((54, 128 * 1024), (0, 51200)),
        ),
        Hypervisor("qemu", launched_by="command"),
        Hypervisor("libvirt"),
        Hypervisor(
            "crosvm",
            place=("smbios", "oem-strings"),  # SmbiosOptions in its arch/src/lib.rs; `crosvm run --cfg` merges files
            table_max=BELOW_KERNEL,
            table_source="crosvm has 64 KiB at 0xF0000 for its entry point and table",
        ),
        Hypervisor("json"),
    )
}


class _Ambiguous(Exception):
    """JSON that Python's parser accepts, but that a hypervisor's may read differently or not at all."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Ambiguous("an object has a key twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Ambiguous("it has a number that is not finite")
    return number


class Config:
    """A hypervisor's JSON config; it may hold values, so it has no `repr` of its own that could show them."""

    def __init__(self, data: bytes, hypervisor: str) -> None:
        """Parse `data`. Raises GuestcredError that says where it is wrong and quotes nothing from it."""
        place = HYPERVISORS[hypervisor].place
        assert place is not None
        section, key = place

        def wrong(reason: str) -> GuestcredError:
            return GuestcredError(f"the VM config for {hypervisor} is wrong: {reason}", status=USAGE)

        try:
            document = json.loads(data, object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)
        except _Ambiguous as error:
            raise wrong(str(error)) from None
        except (ValueError, RecursionError) as error:
            at = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
            raise wrong(f"it is not JSON{at}") from None
        if not isinstance(document, dict):
            raise wrong("it is not a JSON object")
        inside = document.get(section)
        if not isinstance(inside, dict | None):
            raise wrong(f"'{section}' is not an object")
        strings = (inside or {}).get(key)
        if not isinstance(strings, list | None) or not all(isinstance(string, str) for string in strings or ()):
            raise wrong(f"'{section}.{key}' is not a list of strings")
        # an empty string or a NUL ends a table's strings, and ours, which come after it, would be lost
        if any(not string or "\0" in string for string in strings or ()):
            raise wrong(f"'{section}.{key}' has a string that is empty or holds a NUL")
        self._document: dict[str, Any] = document
        self._place = place
        self.has_strings = strings is not None  # an empty list of them too
        self.strings: tuple[bytes, ...] = tuple(string.encode("utf-8", "surrogatepass") for string in strings or ())

    def merged(self, texts: list[str]) -> bytes:
        """The config as JSON, in ASCII, with `texts` after the OEM strings that it already has."""
        section, key = self._place
        inside = self._document.get(section) or {}
        merged = {**self._document, section: {**inside, key: [*(inside.get(key) or ()), *texts]}}
        return json.dumps(merged, allow_nan=False).encode("ascii")


def libvirt(texts: list[str]) -> str:
    """A libvirt domain's `<sysinfo>` element (libvirt's docs/formatdomain.rst, "SMBIOS System Information")."""
    entries = "".join(f"    <entry>{html.escape(text, quote=False)}</entry>\n" for text in texts)
    return f"<sysinfo type='smbios'>\n  <oemStrings>\n{entries}  </oemStrings>\n</sysinfo>"


def qemu(paths: list[str]) -> list[str]:
    """QEMU's arguments that read each string from its file; a comma in a path is doubled for QEMU's option parser."""
    return [word for path in paths for word in ("-smbios", f"type=11,path={path.replace(',', ',,')}")]
