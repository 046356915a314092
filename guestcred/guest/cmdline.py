"""The kernel command line, quoted as systemd quotes it."""

from __future__ import annotations

from guestcred.systemd.rules import CMDLINE_BINARY_SINCE, base64_decode, name_is_valid


def parse_cmdline(data: bytes, systemd: int | None) -> tuple[dict[str, tuple[str, bytes]], bool]:
    """The credentials of a kernel command line, name to (key, value), and whether it forbids the import.

    The first of a name wins, as in systemd src/core/import-creds.c; `systemd` is the major version or None.
    """
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
    return credentials, disabled


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
