"""OEM strings without an exact prefix: which were meant as credentials, and what may be shown of them."""

from __future__ import annotations

from guestcred.systemd.nearest import closest
from guestcred.systemd.rules import BINARY_PREFIX, TEXT_PREFIX
from guestcred.systemd.shown import SECRET_WORDS, SHORT, hidden, reads_like_a_name
from guestcred.text import printable

HEAD = 64  # bytes of a string in which a misspelt prefix is looked for: a string may have 64 KiB, and this is linear
EDITS = 2  # letters too many, missing, or wrong

# the words of the prefix, without what stands between them; each in pieces, of which two edits leave one whole
_WORD = b"credential", (b"cred", b"ent", b"ial")
_ABBREVIATED = b"systemdcred", (b"syst", b"emd", b"cred")
_WITHOUT = b"iosystemd"
_NO_LETTERS = bytes(byte for byte in range(256) if not bytes([byte]).isalnum())

# what systemd-stub and systemd-boot read, and nobody takes for a secret: smbios_find_oem_string() in systemd src/boot
KEYS = (
    b"io.systemd.stub.kernel-cmdline-extra=",
    b"io.systemd.boot.kernel-cmdline-extra=",
    b"io.systemd.boot.entries-extra:",
    b"io.systemd.boot.loglevel=",
    b"io.systemd.boot.timeout=",
)
MANUAL_KEY = b"io.systemd.boot-entries.extra:"  # as smbios-type-11(7) has one of them, and nobody reads it
KEY_EDITS = 4  # letters that may differ in one place: of 'stub' for 'boot', all
KEY_REST = 5  # letters that may be missing at the end: all of 'extra'
_LEVELS = frozenset(b"emerg alert crit err error warning notice info debug".split())
_TIMEOUTS = frozenset(b"menu-force menu-hidden menu-disabled".split())
# what firmware has in place of a text that nobody filled in
_FILLERS = frozenset(
    b"a any applicable be by default e empty filled in m n/a none not o o.e.m o.e.m. oem product provided reserved "
    b"serial specified string strings system to type undefined unknown unused vendor".split()
)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_= \t\r\n"
_HEXADECIMAL = b"0123456789abcdefABCDEF \t\r\n"
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r\n"


def near(text: bytes) -> tuple[int, int] | None:
    """(start, end) in bytes of the prefix in a string that was probably meant to be a credential, or None."""
    for prefix in (TEXT_PREFIX, BINARY_PREFIX):
        at = text.find(prefix)
        if at >= 0:
            return at, at + len(prefix)
    head, equals, _ = text[:HEAD].partition(b"=")
    lower = head.lower()
    bare = b"io.systemd.cred" in lower
    if not (equals or bare):
        # with no '=' in the head, a prefix has a ':' behind it or a '=' far away: what follows the last is no part of it
        head = head[: head.rfind(b":") + 1] or head
    letters = head.lower().translate(None, _NO_LETTERS)
    for word, pieces in (_ABBREVIATED, _WORD):
        if any(piece in letters for piece in pieces):
            end, edits = closest(letters, word)
            if edits <= EDITS:
                places = [place for place, byte in enumerate(head) if byte not in _NO_LETTERS]
                stop = places[end - 1] + 1
                if b":" in text[stop:] or b"=" in text[stop:] or bare:
                    # the same search backwards finds where that part starts
                    length, _ = closest(letters[:end][::-1], word[::-1])
                    return places[end - length], stop
    key, colon, _ = lower.partition(b":")
    letters = key.translate(None, _NO_LETTERS)
    if colon and abs(len(letters) - len(_WITHOUT)) < EDITS and closest(letters, _WITHOUT)[1] < EDITS:
        return 0, len(key)
    return None


def near_miss(text: bytes) -> str | None:
    """What is wrong with a string that was probably meant to be a credential, or another that systemd reads, or None."""
    found = near(text)
    if found is None:
        return _key_hint(text)
    if text[slice(*found)] in (TEXT_PREFIX, BINARY_PREFIX):
        return (
            "a space or quote or other text comes before the prefix: remove it where the hypervisor is given the string"
        )
    lower = text.lower()
    head = lower.partition(b"=")[0]
    prefix = BINARY_PREFIX if b".binary" in head else TEXT_PREFIX
    wanted = prefix.decode("ascii")
    if b"io.systemd.credentials" in head:
        return f"the prefix has an 's' too many: write '{wanted}'"
    if prefix in lower:
        return f"the prefix must be in lower case: write '{wanted}'"
    return "the prefix must be exactly 'io.systemd.credential:' or 'io.systemd.credential.binary:'"


def near_key(text: bytes) -> tuple[bytes, int] | None:
    """(the key that was meant, where its spelling ends) in a string that is nearly one for systemd-boot or systemd-stub.

    What is equal at both ends is cut off, and the rest compared by length alone: a table may have thousands of them.
    """
    spelt, _ = _key(text)
    if not spelt or text.startswith(KEYS):
        return None
    letters = spelt.lower().translate(None, _NO_LETTERS)
    best: tuple[int, bytes] | None = None
    for key in KEYS:
        wanted = key.translate(None, _NO_LETTERS)
        front = _alike(letters, wanted)
        back = _alike(letters[front:][::-1], wanted[front:][::-1])
        typed, missing = len(letters) - front - back, len(wanted) - front - back
        edits = max(typed, missing)
        if edits <= KEY_EDITS or (typed == back == 0 and missing <= KEY_REST):
            best = min(best or (edits, key), (edits, key))
    return best and (best[1], len(spelt))


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes are the same at the front of both."""
    return next((number for number, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def _key_hint(text: bytes) -> str | None:
    found = near_key(text)
    if found is None:
        return None
    key = found[0].decode("ascii")
    return f"write exactly '{key}'{', though the manual page has it otherwise' if text.startswith(MANUAL_KEY) else ''}"


def near_assignment(text: bytes) -> tuple[bytes, bytes | None]:
    """(name, value) in a near miss; the value is None where no '=' is there, and the name may then be anything."""
    found = near(text)
    if found is None:
        return b"", None
    name, equals, value = text[found[0] :].partition(b":")[2].partition(b"=")
    return name, value if equals else None


def mentions_credential(text: bytes) -> bool:
    """Whether a string may be meant as a credential, however its prefix is spelt, and so may hold a secret."""
    return b"credential" in text.lower() or near(text) is not None


def shown_string(text: bytes, meant: bool, behind: bool) -> str:
    """A string without an exact prefix: shown where nothing in it can be a secret, else its key, or only its length.

    `meant` is whether it mentions a credential; `behind`, whether it stands behind one, of whose value a comma may
    have cut it off.
    """
    for key in (*KEYS, MANUAL_KEY):
        if text.startswith(key):
            value = text[len(key) :]
            harmless = (key.endswith(b".loglevel=") and value in _LEVELS) or (
                key.endswith(b".timeout=") and (value in _TIMEOUTS or (value.isdigit() and len(value) <= SHORT))
            )
            return key.decode("ascii") + (value.decode("ascii") if harmless else hidden(value))
    if meant:
        return hidden(text, "a misspelt credential")
    if not behind:
        if all(word.lower() in _FILLERS or (word.isdigit() and len(word) < 3) for word in text.split()):
            return printable(text)
        key, value = _key(text)
        if reads_like_a_name(key[:-1]):
            words = key[:-1].lower().translate(bytes.maketrans(b"-_", b"..")).split(b".")
            plain = len(value) <= SHORT and reads_like_a_name(value) and SECRET_WORDS.isdisjoint(words)
            return printable(key) + (printable(value) if plain or not value else hidden(value))
        if len(text) <= SHORT and reads_like_a_name(text):
            return printable(text)
    return hidden(text, _looks_like(text))


def _key(text: bytes) -> tuple[bytes, bytes]:
    """(what is in front of the first ':' or '=' and that itself, the rest); nothing in front where there is none."""
    for number, byte in enumerate(text[:HEAD]):
        if byte in b":=":
            return text[: number + 1], text[number + 1 :]
    return b"", text


def _looks_like(text: bytes) -> str:
    if not text.translate(None, _HEXADECIMAL):
        return "hexadecimal"
    if not text.translate(None, _BASE64):
        return "base64" if b" " not in text.strip() else "text"
    return "text" if not text.translate(None, _PRINTABLE) else "bytes"
