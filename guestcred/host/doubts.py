"""What looks wrong about secrets before they are sent: a name that the guest does not read, a value of the wrong form."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Iterable

from guestcred.host.secret import Secret
from guestcred.host.tmpfiles import unparsed_lines
from guestcred.systemd.atlas import Entry, credential, near_credential, reading
from guestcred.systemd.offered import split_prefix
from guestcred.systemd.unrelated import near_miss
from guestcred.text import listed

# crypt(5): the method's mark, its parameters and salt, and as many digits as its hash has
_DIGITS = rb"[./0-9A-Za-z]"
_HASHES = re.compile(
    rb"\$(?:y|gy)\$%(d)s+\$%(d)s{1,86}\$%(d)s{43}|\$7\$%(d)s{11,97}\$%(d)s{43}|\$2[abxy]\$\d\d\$%(d)s{53}"
    rb"|\$6\$(?:rounds=\d+\$)?[^$:\n]{0,16}\$%(d)s{86}|\$5\$(?:rounds=\d+\$)?[^$:\n]{0,16}\$%(d)s{43}"
    rb"|\$1\$[^$:\n]{0,8}\$%(d)s{22}|\$md5[^:\n]+|\$sha1\$\d+\$%(d)s{1,64}\$%(d)s{28}|_%(d)s{19}|%(d)s{13}"
    % {b"d": _DIGITS}
)
_LOCKED = (b"", b"*")  # what may stand behind any number of '!'
_KEY = re.compile(
    rb"(?:^|\s)(ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp\d+|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
    rb"|[\w@.-]+-cert-v01@openssh\.com)\s+([0-9A-Za-z+/=]+)"
)
_MACHINE_ID = re.compile(rb"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|firmware")


def doubts(secrets: Iterable[Secret], others: Iterable[bytes], guest_systemd: int | None) -> list[str]:
    """A sentence for each secret whose name or value looks wrong, without the value; None is any version of systemd.

    `others` are OEM strings that the VM's config has already.
    """
    told = [
        f"OEM string {number} of the VM's config is nothing that the guest reads: {hint}"
        for number, text in enumerate(others, 1)
        if split_prefix(text) is None and (hint := near_miss(text)) is not None
    ]
    for secret in secrets:
        entry = credential(secret.name)
        if entry is None:
            meant = near_credential(secret.name)
            if meant is not None:
                told.append(f"systemd does not know {secret.name}, and reads {meant}: is that meant?")
            continue
        found = reading(entry, secret.name, guest_systemd)
        if found.by is None:
            why = found.text.partition(": ")[2]
            told.append(f"nobody in the guest reads {secret.name}: {why}; {found.fix}")
        elif wrong := _wrong_form(entry, secret.value):
            told.append(f"the value of {secret.name} {wrong}")
    return told


def _wrong_form(entry: Entry, value: bytes) -> str | None:
    return FORMS[entry.form](value) if entry.form else None


def _hash(value: bytes) -> str | None:
    if value.lstrip(b"!") in _LOCKED or _HASHES.fullmatch(value.lstrip(b"!")):
        return None
    more = ": it ends in a newline" if value.endswith(b"\n") else ": make one with 'openssl passwd -6' or 'mkpasswd'"
    return f"is no password hash of crypt(5){more}"


def _ssh_keys(value: bytes) -> str | None:
    if b"PRIVATE KEY-----" in value:
        return "is a private key: authorized_keys has public ones, from the file that ends in .pub"
    lines = [(number, line.strip()) for number, line in enumerate(value.split(b"\n"), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(b"#")]
    wrong = [str(number) for number, line in lines if not _is_key(line)]
    if not lines:
        return "has no key for authorized_keys in it"
    return f"has no key for authorized_keys in line {listed(wrong)}" if wrong else None


def _is_key(line: bytes) -> bool:
    """Whether a line of authorized_keys has a key whose base64 is whole, and of the kind that it says."""
    found = _KEY.search(line)
    if found is None:
        return False
    try:
        blob = binascii.a2b_base64(found[2], strict_mode=True)
    except binascii.Error:
        return False
    return blob.startswith(len(found[1]).to_bytes(4, "big") + found[1])


def _machine_id(value: bytes) -> str | None:
    good = _MACHINE_ID.fullmatch(value) and value.strip(b"0-")
    return None if good else "is no machine ID: 32 hexadecimal digits, not all of them 0, and no newline"


def _json_object(value: bytes) -> str | None:
    try:
        good = isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        good = False
    return None if good else "is no JSON object, as a user or group record is"


def _tmpfiles(value: bytes) -> str | None:
    lines = unparsed_lines(value)
    return f"does not parse as tmpfiles.d(5), in line {listed([str(line) for line in lines])}" if lines else None


def _yes(value: bytes) -> str | None:
    return None if value.removesuffix(b"\n") == b"yes" else "is not 'yes', the only one that has effect"


FORMS: dict[str, Callable[[bytes], str | None]] = {
    "hash": _hash,
    "ssh-keys": _ssh_keys,
    "machine-id": _machine_id,
    "json": _json_object,
    "tmpfiles": _tmpfiles,
    "yes": _yes,
}
"""What is wrong with a value of that form, as the end of a sentence; the words are those of the atlas."""
