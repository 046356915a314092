"""How systemd makes a unit's credentials, and what it refuses there: facts of its versions, without any value."""

from __future__ import annotations

from guestcred.record import Record
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, SET, SET_ENCRYPTED, Request
from guestcred.systemd.rules import PAGE, SIZE_MAX, STORE_PAGES, STORE_SINCE, TOTAL_SIZE_MAX
from guestcred.systemd.search_path import OF_PID_1, Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    # what is at the path of a source; "deaf" is a socket that nobody listens on, "dangling" a link to nothing, "locked"
    # what the user of a user manager may not read
    Kind = Literal["file", "folder", "fifo", "socket", "deaf", "device", "dangling", "loop", "locked"]
    Problem = Literal[
        "absent", "too-large", "folder", "dangling", "loop", "locked", "not-a-folder", "invalid-id", "deaf", "socket",
        "not-base64", "not-encrypted", "other-name", "expired", "other-key", "no-key", "no-tpm",
        "undecryptable", "misread", "unparsed", "twice", "total-too-large", "store-full",
    ]  # fmt: skip

KINDS: frozenset[Kind] = frozenset(["folder", "fifo", "socket", "deaf", "device", "dangling", "loop", "locked"])
PROBLEMS: frozenset[Problem] = frozenset([
    "not-base64", "not-encrypted", "other-name", "expired", "other-key", "no-key", "no-tpm", "undecryptable",
])  # decrypting  # fmt: skip
STORE_FILES = 1023  # beside the folder itself: nr_inodes=1024 in mount_credentials_fs(), src/shared/mount-util.c

# each was read in the source of 252, 254, 257 and 262; the pull request says where between them it changed
_IMPORTS_KEEP_SINCE = 257  # load_credential_glob() leaves an id alone that is there; in 254 it writes over it
_EXECUTOR_SINCE = 255  # exec_context_deserialize(): a helper process reads the settings again, as words
_FORGIVES_IMPORTS_SINCE = (
    259  # load_credential_glob() passes over what it reads and cannot decrypt (pull request 38979)
)
_EXCLUSIVE_SINCE = 259  # write_credential() opens with O_EXCL, and renames no more (pull request 39637)
_FOLDERS_CONNECT_SINCE = 262  # load_cred_recurse_dir_cb() connects to sockets (pull request 42897)
_MOUNTS_SINCE = 258  # mount_spawn() asks for credentials; socket_spawn() and swap_spawn() never do
_ROOTS_DECRYPT_SINCE = 256  # maybe_decrypt_and_write_credential() asks a service that has the key, root's manager too,
_USERS_DECRYPT_SINCE = 258  # and others may ask it
_NOSWAP_KERNEL = (6, 4)  # "noswap" of tmpfs; systemd's comment says 6.3

# parse_boolean() in systemd src/basic/parse-util.c
_BOOLEANS = dict.fromkeys(("1", "yes", "y", "true", "t", "on"), True) | dict.fromkeys(
    ("0", "no", "n", "false", "f", "off"), False
)


class Rules(Record):
    """The rules of one version of systemd on one kernel; see the constants above. Those of a user manager have `places`
    of its own; it may not read all, and what is encrypted it may `decrypt` only where it was encrypted for the user."""

    imports_overwrite: bool
    rereads: bool
    forgives_imports: bool
    exclusive: bool
    folders_connect: bool
    in_pages: bool
    mounts: bool
    places: Places = OF_PID_1
    decrypts: bool = True

    @property
    def of_user(self) -> bool:
        """Whether they are those of a user manager."""
        return self.places != OF_PID_1

    def gives(self, unit: str) -> bool:
        """Whether a unit of that name's type gets credentials at all."""
        kind = unit.rpartition(".")[2]
        return kind == "service" or (kind == "mount" and self.mounts)


def rules_of(systemd: int | None, kernel: str | None) -> Rules:
    """The rules of that systemd, None for the newest, on the kernel of that release, None for a new one."""
    version = 1 << 16 if systemd is None else systemd
    return Rules(
        imports_overwrite=version < _IMPORTS_KEEP_SINCE,
        rereads=version >= _EXECUTOR_SINCE,
        forgives_imports=version >= _FORGIVES_IMPORTS_SINCE,
        exclusive=version >= _EXCLUSIVE_SINCE,
        folders_connect=version >= _FOLDERS_CONNECT_SINCE,
        in_pages=version >= STORE_SINCE and _keeps_out_of_swap(kernel),
        mounts=version >= _MOUNTS_SINCE,
    )


def rules_of_user(systemd: int | None, kernel: str | None, places: Places, uid: int) -> Rules:
    """The same for the manager of that user: it mounts nothing, so its units' folders are in $XDG_RUNTIME_DIR, without a limit of
    pages (setup_credentials_plain_dir() in systemd src/core/exec-credential.c)."""
    decrypts = systemd is None or systemd >= (_USERS_DECRYPT_SINCE if uid else _ROOTS_DECRYPT_SINCE)
    return rules_of(systemd, kernel).replace(in_pages=False, places=places, decrypts=decrypts)


def _keeps_out_of_swap(kernel: str | None) -> bool:
    numbers = (kernel or "").split("-", 1)[0].split(".")[:2]
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        return True
    return (int(numbers[0]), int(numbers[1])) >= _NOSWAP_KERNEL


def as_executed(request: Request, rules: Rules) -> Request | None:
    """The request as systemd carries it out; None where it cannot, and the unit ends with status 1.

    exec_context_serialize() writes "ID PATH yes" without quotes; what reads it ends words at a space and drops a
    backslash (exec_context_deserialize() in systemd src/core/execute-serialize.c, extract_first_word()).
    """
    if not rules.rereads:
        return request
    if request.setting == IMPORT:
        written = f"{request.source} {request.id}" if request.id else request.source
        words = _words(written, 2)
        return None if not words else request.replace(source=words[0], id=words[1] if len(words) > 1 else "")
    # a value is written as base64, which has neither spaces nor backslashes
    words = _words(f"{request.id} {request.source or 'AA=='} {'yes' if request.encrypted else 'no'}", 3)
    encrypted = _BOOLEANS.get(words[2].lower()) if len(words) == 3 else None
    if encrypted is None:
        return None
    plain, sealed = (SET, SET_ENCRYPTED) if is_default(request) else (LOAD, LOAD_ENCRYPTED)
    source = words[1] if request.source else ""
    required = request.required and source[:1] == "/"
    return request.replace(setting=sealed if encrypted else plain, id=words[0], source=source, required=required)


def _words(text: str, most: int) -> list[str]:
    """At most that many words of a text, empty ones too; none where it ends in a backslash."""
    words, word, escaped = [], "", False
    for char in text:
        if escaped:
            word, escaped = word + char, False
        elif char == "\\":
            escaped = True
        elif char == " ":
            words.append(word)
            if len(words) == most:
                return words
            word = ""
        else:
            word += char
    return [] if escaped else [*words, word]


def refusal(kind: Kind, size: int | None, request: Request, rules: Rules, *, in_folder: bool) -> Problem | None:
    """Why systemd fails the unit at a source of that kind and size, where it does.

    `in_folder` says that the source is a file of the folder that the request names. See load_credential() and
    read_full_file_full() in systemd src/core/exec-credential.c and src/basic/fileio.c.
    """
    by_path = request.setting in (LOAD, LOAD_ENCRYPTED) and request.source[:1] == "/"
    match kind:
        case "folder" if not by_path:
            return "folder"
        case "dangling" | "loop" | "locked":
            return kind
        case "socket" | "deaf" if not by_path or (in_folder and not rules.folders_connect):
            return "socket"
        case "deaf":
            return "deaf"
        case "file" if size is not None and size > SIZE_MAX:
            return "too-large"
    return None


class Spent(Record):
    """What a unit's credentials take: ids and bytes together, pages of memory, and files."""

    total: int = 0
    pages: int = 0
    files: int = 0

    def plus(self, identifier: str, size: int) -> Spent:
        """With one more; the id counts as systemd counts it, in bytes."""
        total = self.total + len(identifier.encode("utf-8", "surrogateescape")) + size
        return Spent(total, self.pages + -(-size // PAGE), self.files + 1)

    def refusal(self, rules: Rules) -> Problem | None:
        """Why systemd fails the unit for all of them together, where it does; maybe_decrypt_and_write_credential()."""
        if self.total > TOTAL_SIZE_MAX:
            return "total-too-large"
        if rules.in_pages and (self.pages > STORE_PAGES or self.files > STORE_FILES):
            return "store-full"
        return None


def is_default(request: Request) -> bool:
    """Whether the setting has the value itself."""
    return request.setting in (SET, SET_ENCRYPTED)
