"""The command line that PID 1 reads, quoted as systemd quotes it: the kernel's, or in a container PID 1's own."""

from __future__ import annotations

from guestcred.systemd.rules import ARGUMENTS_SINCE, CMDLINE_BINARY_SINCE, base64_decode, name_is_valid


def parse_cmdline(data: bytes, systemd: int | None) -> tuple[dict[str, tuple[str, bytes]], bool]:
    """The credentials of a command line, name to (key, value), and whether it forbids the import.

    It is the kernel's, or has a NUL behind each word: then it is what a container's PID 1 was started with. The first
    of a name wins, as in systemd src/core/import-creds.c; `systemd` is the major version or None.
    """
    credentials: dict[str, tuple[str, bytes]] = {}
    disabled = False
    for word in _words(data, systemd):
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


def _words(line: bytes, systemd: int | None) -> list[bytes]:
    """Words of a command line: arguments as they are; else split at white space outside quotes, quotes removed."""
    if b"\0" in line:
        if systemd is None or systemd >= ARGUMENTS_SINCE:
            return line.split(b"\0")
        line = line.replace(b"\0", b" ")
    words: list[bytes] = []
    word, quote, inside = bytearray(), 0, False
    for byte in line.strip(b" \t\r\n"):
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
