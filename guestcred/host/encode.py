"""Secrets -> OEM strings that nothing on the way can damage, and how much of every limit they use."""

from __future__ import annotations

import binascii
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from guestcred.errors import FINDINGS, USAGE, GuestcredError
from guestcred.host.hypervisors import HYPERVISORS
from guestcred.host.secret import Secret
from guestcred.manifest import END, FRAME, MANIFEST, SALT_SIZE, end_value, manifest_value
from guestcred.record import Record
from guestcred.smbios.walk import OEM_STRINGS_MAX
from guestcred.systemd.offered import FORMATTED_SIZE, split_prefix
from guestcred.systemd.rules import (
    BINARY_PREFIX,
    IMPORTS_SMBIOS_SINCE,
    PAGE,
    READ_CUT,
    READ_WHOLE_SINCE,
    STORE_PAGES,
    TEXT_PREFIX,
    TOTAL_SIZE_MAX,
)

if TYPE_CHECKING:
    from guestcred.systemd.offered import Encoding

# What a string set, an option parser, a shell, XML and JSON all leave unchanged; every other value goes as base64.
_TEXT_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+/=:@-"

RESERVE = 2048  # bytes for structures of other types; QEMU's pc with one socket takes some 400


class Encoded(Record):
    """A secret as an OEM string; `size` in bytes of the value."""

    name: str
    encoding: Encoding
    size: int
    text: bytes


class Limit(Record):
    """How much of a limit is `used`, and its `maximum`, both in `unit`; `source` says whose limit it is."""

    name: str
    used: int
    maximum: int
    source: str
    unit: Literal["bytes", "strings", "pages"] = "bytes"


def oem_string(name: str, value: bytes) -> tuple[Encoding, bytes]:
    """("text" or "binary", the OEM string); `name` must be valid by `name_is_valid`."""
    front = name.encode("ascii") + b"="
    if value and not value.translate(None, _TEXT_BYTES):
        return "text", TEXT_PREFIX + front + value
    return "binary", BINARY_PREFIX + front + binascii.b2a_base64(value, newline=False)


def encode(secrets: Iterable[Secret], others: Iterable[bytes] = ()) -> tuple[Encoded, ...]:
    """Encode every secret; `others` are the OEM strings that the VM's config already has.

    Raises GuestcredError for a name that is already among the others.
    """
    taken = {split[1].partition(b"=")[0] for text in others if (split := split_prefix(text))}
    encoded = []
    for secret in secrets:
        if secret.name.encode("ascii") in taken:
            raise GuestcredError(
                f"the VM's config already has an OEM string for {secret.name}",
                "the guest takes only the first of each name: remove one of them",
                status=USAGE,
            )
        encoding, text = oem_string(secret.name, secret.value)
        encoded.append(Encoded(name=secret.name, encoding=encoding, size=len(secret.value), text=text))
    return tuple(encoded)


def framed(secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
    """The secrets between the manifest that says in the guest which ones they are, and its end.

    Raises GuestcredError for a secret with one of these two names.
    """
    if not secrets:
        return ()
    for secret in secrets:
        if secret.name in FRAME:
            raise GuestcredError(
                f"{secret.name} is a name of guestcred's own: it says in the guest what was sent",
                "give the secret another name",
                status=USAGE,
            )
    values = [(secret.name.encode("ascii"), secret.value) for secret in secrets]
    return (
        Secret(MANIFEST, manifest_value(os.urandom(SALT_SIZE), values), literal=True),
        *secrets,
        Secret(END, end_value(len(secrets)), literal=True),
    )


def limits(
    encoded: tuple[Encoded, ...],
    hypervisor: str,
    guest_systemd: int | None = None,
    *,
    others: tuple[bytes, ...] = (),
    body: int | None = None,
    reserve: int,
) -> tuple[Limit, ...]:
    """Every limit between here and the service; where several are exceeded, the first decides.

    `others` are OEM strings from elsewhere, `body` the size in bytes of a config that carries them all,
    `reserve` the bytes kept free for structures of other types.
    """
    takes = HYPERVISORS[hypervisor]
    texts = [credential.text for credential in encoded] + list(others)
    structure = FORMATTED_SIZE + sum(len(text) + 1 for text in texts) + 1
    pages = sum(_pages(credential.size) for credential in encoded)
    pages += sum(_pages(len(text)) for text in others if split_prefix(text))
    total = sum(credential.size for credential in encoded)
    counted = "a Type 11 structure counts its strings in one byte"
    kept = "systemd 257 and later keep credentials in 256 pages of 4 KiB"
    found = [
        Limit("strings", len(texts), OEM_STRINGS_MAX, unit="strings", source=counted),
        Limit(
            "table",
            structure + reserve,
            takes.table_max,
            source=f"{takes.table_source}; {reserve} are for other structures",
        ),
        Limit("store", pages, STORE_PAGES, unit="pages", source=kept),
        Limit("total", total, TOTAL_SIZE_MAX, source="systemd takes 1 MiB in all"),
    ]
    if guest_systemd is not None and guest_systemd < READ_WHOLE_SINCE:
        source = "systemd before 257 reads the first 4096 bytes of a Type 11 structure"
        found.insert(0, Limit("structure", structure, READ_CUT, source=source))
    if body is not None and takes.requests:
        found.append(request_limit(hypervisor, body))
    return tuple(found)


def request_limit(hypervisor: str, body: int, version: int | None = None) -> Limit:
    """The limit of a request of `body` bytes; without the running hypervisor's `version`, that of the newest."""
    requests = HYPERVISORS[hypervisor].requests
    if version is None:
        (since, maximum), *earlier = requests
        less = f"; earlier ones take only {earlier[0][1]}" if earlier else ""
        source = f"assumes {hypervisor} {since} or later{less}"
    else:
        maximum = next(maximum for since, maximum in requests if version >= since)
        source = (
            f"{hypervisor} {version} takes no larger request" if version else f"{hypervisor} does not tell its version"
        )
    return Limit("request", body, maximum, source=source)


def _pages(size: int) -> int:
    return max(1, -(-size // PAGE))


def check_limits(found: tuple[Limit, ...], encoded: tuple[Encoded, ...]) -> None:
    """Raise GuestcredError for the first limit that is exceeded, and say what to leave out."""
    for limit in found:
        if limit.used > limit.maximum:
            raise GuestcredError(
                f"too much for the {limit.name}: {limit.used} {limit.unit}, only {limit.maximum} fit: {limit.source}",
                _leave_out(limit, encoded),
                status=FINDINGS,
            )


def _leave_out(limit: Limit, encoded: tuple[Encoded, ...]) -> str:
    """A hint to leave out the largest credentials until the rest fits."""
    elsewhere = "send it on a disk or over vsock"
    over = limit.used - limit.maximum
    if limit.unit == "strings":
        return f"leave out {over} of them, join small ones into one, or {elsewhere}"
    cost = {
        credential.name: _pages(credential.size) if limit.unit == "pages" else len(credential.text) + 1
        for credential in encoded
        if credential.name not in FRAME
    }
    out = []
    for name in sorted(cost, key=lambda name: -cost[name]):
        if over <= 0:
            break
        over -= cost[name]
        out.append(f"{name} ({cost[name]} {limit.unit})")
    return f"leave out {', '.join(out)} and {elsewhere}"


def check_guest(guest_systemd: int | None) -> None:
    """Raise GuestcredError for a guest whose systemd knows no credentials from SMBIOS."""
    if guest_systemd is not None and guest_systemd < IMPORTS_SMBIOS_SINCE:
        raise GuestcredError(
            f"systemd {guest_systemd} imports nothing from SMBIOS",
            f"the guest needs systemd {IMPORTS_SMBIOS_SINCE} or later",
            status=FINDINGS,
        )


def fits(found: tuple[Limit, ...]) -> bool:
    """Whether no limit is exceeded."""
    return all(limit.used <= limit.maximum for limit in found)
