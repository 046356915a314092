"""OEM strings -> the form in which each hypervisor takes them; pure text."""

from __future__ import annotations

import html
import json
from typing import Any

from guestcred.errors import USAGE, GuestcredError

# where a JSON config holds OEM strings: PlatformConfig in cloud-hypervisor's vmm/src/vm_config.rs,
# SmbiosOptions in crosvm's arch/src/lib.rs (kebab-case; for `crosvm run --cfg FILE`)
PLACES = {"cloud-hypervisor": ("platform", "oem_strings"), "crosvm": ("smbios", "oem-strings")}


class Config:
    """A hypervisor's JSON config; it holds values once strings are added, so it has no `repr` of its own."""

    def __init__(self, data: bytes, hypervisor: str) -> None:
        """Parse `data`; raises GuestcredError that says where it is wrong, and repeats nothing of it."""
        section, key = PLACES[hypervisor]

        def wrong(reason: str) -> GuestcredError:
            return GuestcredError(f"the VM config for {hypervisor} is wrong: {reason}", status=USAGE)

        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            at = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
            raise wrong(f"it is not JSON{at}") from None
        if not isinstance(document, dict):
            raise wrong("it is not a JSON object")
        inside = document.get(section)
        if not isinstance(inside, dict | None):
            raise wrong(f"'{section}' is not an object")
        strings = (inside or {}).get(key)
        if not isinstance(strings, list | None) or not all(isinstance(one, str) for one in strings or ()):
            raise wrong(f"'{section}.{key}' is not a list of strings")
        self._document: dict[str, Any] = document
        self._place = section, key
        self.strings: tuple[bytes, ...] = tuple(one.encode("utf-8", "surrogatepass") for one in strings or ())

    def merged(self, texts: list[str]) -> str:
        """The config as JSON with `texts` behind the OEM strings that it has."""
        section, key = self._place
        inside = self._document.get(section) or {}
        return json.dumps({**self._document, section: {**inside, key: [*(inside.get(key) or ()), *texts]}})


def libvirt(texts: list[str]) -> str:
    """The `<sysinfo>` element of a libvirt domain (libvirt's docs/formatdomain.rst, "SMBIOS System Information")."""
    entries = "".join(f"    <entry>{html.escape(text, quote=False)}</entry>\n" for text in texts)
    return f"<sysinfo type='smbios'>\n  <oemStrings>\n{entries}  </oemStrings>\n</sysinfo>"


def qemu(paths: list[str]) -> list[str]:
    """QEMU's arguments that read each string from its file; a comma in a value is doubled for QEMU's option parser."""
    return [word for path in paths for word in ("-smbios", f"type=11,path={path.replace(',', ',,')}")]
