"""A manifest -> one that says of the noise what the real one said of the secrets."""

from __future__ import annotations

import os
from collections.abc import Callable

from guestcred.c_modules import hmac_sha256
from guestcred.capture.noise import Replace
from guestcred.manifest import DIGEST_SIZE, END, MANIFEST, Manifest, digest, end_value, read_manifest


class Frames:
    """Rewrites manifests; `values` are those of the table by name, and `name` gives what stands for a name."""

    def __init__(self, values: dict[bytes, bytes], name: Callable[[bytes, int], bytes], replace: Replace) -> None:
        self._values, self._name, self._replace = values, name, replace
        self._chance = os.urandom(16)

    def __call__(self, name: bytes, value: bytes) -> bytes | None:
        """What stands for the value of a manifest or of its end; None where it is none, and hidden as all others are."""
        if name == END.encode("ascii"):
            # it only counts
            count = value.rpartition(b"/")[2]
            return value if count.isdigit() and len(count) < 5 and value == end_value(int(count)) else None
        if name != MANIFEST.encode("ascii"):
            return None
        whole = self._values.get(name, value)
        if len(whole) > len(value) and whole.startswith(value):  # it was imported shortened
            disguised = self(name, whole)
            return None if disguised is None else disguised[: len(value)]
        manifest, rest = read_manifest(value), b""
        if manifest is None:
            # the table may stop inside of it
            whole, slash, tail = value.rpartition(b"/")
            manifest, rest = read_manifest(whole), slash + self._replace("string", tail)
        return None if manifest is None else self._rewritten(manifest) + rest

    def _rewritten(self, manifest: Manifest) -> bytes:
        salt = hmac_sha256(self._chance, manifest.salt)[: len(manifest.salt)]
        parts = [b"1", salt.hex().encode("ascii")]
        for meant in manifest.meant:
            name, value = self._name(meant.name, meant.size), self._values.get(meant.name)
            if value is not None and manifest.fits(meant, value):
                told = digest(salt, name, self._replace("value", value))
            else:
                told = hmac_sha256(self._chance, meant.name + meant.digest)[:DIGEST_SIZE].hex().encode("ascii")
            parts.append(b"%b:%d:%b" % (name, meant.size, told))
        return b"/".join(parts)
