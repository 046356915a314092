"""Whether a credential's name may be shown: where `NAME=` was forgotten, PID 1 takes the secret itself for the name."""

from __future__ import annotations

from guestcred.systemd.rules import SYSTEMD_OWN, name_is_valid
from guestcred.text import count, printable

REST_MAX = 16  # bytes; more than a secret without a name leaves behind: an '=' of its padding, and the end of its line
SHORT = 5  # characters; base64 of no more than these holds 3 bytes
WORD_MAX = 15  # letters
DIGITS_MAX = 2  # at the end of a word

REST = b"= \t\n\r"  # what is no value
_TO_DOTS = bytes.maketrans(b"-_", b"..")
_VOWELS = b"aeiouyAEIOUY"

# what names of secrets are made of, and what stands beside it in names
SECRET_WORDS = frozenset(
    b"auth bearer cert certificate certs cookie cred credential credentials creds crt csr hash hmac jwt key keyfile keyring "
    b"keys keytab license luks nonce pass passphrase passwd password pem pin psk pwd salt secret secrets seed signing ssh "
    b"tls token tokens totp vault wireguard x509".split()
)
OTHER_WORDS = frozenset(
    b"account admin api app backup bucket client cluster com config data database db debug demo dev domain edu email endpoint env "
    b"environment file gov group guestcred hashed host hostname http https id image io json ldap level locale log login mail "
    b"master mode mysql name net network node oauth oidc org port postgres prod proxy public private redis region registry "
    b"role root server service session site smtp sql stage staging storage store system test timezone toml tpm2 uri url "
    b"user username vendor version vm yaml zone".split()
)
WORDS = SECRET_WORDS | OTHER_WORDS


def shown(name: str | bytes, value: bytes | int) -> str:
    """A credential's name for people and programs; every output there is takes it from here.

    It is shown whole where it has a `value` of its own, something else than '=' signs and white space, or reads like a
    name; else only its length is. Of a file that was not read, `value` is the size in bytes. A name that systemd would
    not take is shown with escapes.
    """
    raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
    if not may_be_shown(raw, value):
        return hidden(raw)
    return raw.decode("ascii") if name_is_valid(raw) else printable(raw)


def may_be_shown(name: bytes, value: bytes | int) -> bool:
    """Whether a name is shown whole; `value` as for `shown`."""
    own = value > REST_MAX if isinstance(value, int) else bool(value.strip(REST))
    return own or reads_like_a_name(name)


def hidden(text: bytes, looks_like: str | None = None) -> str:
    """What stands for a text that is not shown: its length, and what it looks like where that is worth knowing."""
    return f"[{count(len(text), 'character')} hidden{f', looks like {looks_like}' if looks_like else ''}]"


def told_alone(text: str) -> str:
    """A text without a value beside it, as a mistake tells it: it may be a value in the wrong place."""
    raw = text.encode("utf-8", "surrogatepass")
    return text if not text or reads_like_a_name(raw) else hidden(raw)


def quoted(text: str) -> str:
    """The same in a sentence, in quotes where it is shown."""
    told = told_alone(text)
    return repr(text) if told == text else told


def as_typed(name: str) -> str:
    """A name that was given to the program, and that is nowhere in the guest: unchanged, or with escapes."""
    raw = name.encode("utf-8", "surrogateescape")
    return name if name_is_valid(raw) else printable(raw)


def reads_like_a_name(name: bytes) -> bool:
    """Whether a text is certainly a name and no secret, by itself alone; where it may be either, it is not.

    It is made of words, divided by '.', '-' and '_': letters in one case or with a capital in front, a vowel among four,
    two digits at the end at most. Besides, one of these holds: it has at most 5 characters; one of its words is in
    the lists above; it is in capitals, as an environment variable is, and divided; or its first word is one
    by which systemd knows credentials of its own.
    """
    parts = name.translate(_TO_DOTS).split(b".")
    words = [part.rstrip(b"0123456789") for part in parts]
    if not words[0] or not all(_is_word(part, word) for part, word in zip(parts, words)):
        return False
    if any(part.lower() in WORDS or word.lower() in WORDS for part, word in zip(parts, words)):
        return True
    divided_capitals = len(parts) > 1 and b"-" not in name and name.isupper()
    return len(name) <= SHORT or divided_capitals or name.decode("ascii").startswith(SYSTEMD_OWN)


def _is_word(part: bytes, word: bytes) -> bool:
    """Whether a part of a name is a word and its number; `word` is the part without its digits."""
    if part.lower() in WORDS:
        return True
    if not part or len(part) - len(word) > DIGITS_MAX or len(word) > WORD_MAX:
        return False
    if not word or word.lower() in WORDS:
        return True
    one_case = word.isalpha() and (word[1:].islower() or word.isupper() or len(word) == 1)
    return one_case and (len(word) < 4 or len(word.translate(None, _VOWELS)) < len(word))
