"""What systemd would make of an encrypted credential, asked of its own tool: only this module starts another program."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.systemd.delivery import Problem

PATH = "/usr/bin:/bin"
TIMEOUT = 20.0  # seconds; a TPM takes about one
# systemd-creds' own words, from decrypt_credential_and_warn() in systemd src/shared/creds-util.c and its callers
_WORDS: tuple[tuple[bytes, Problem], ...] = (
    (b"does not match", "other-name"),
    (b"Failed to read encrypted credential data", "not-base64"),
    (b"Unknown encryption format", "not-encrypted"),
    (b"file too short", "not-encrypted"),
    (b"time passed", "expired"),
    (b"incorrect key", "other-key"),
    (b"Failed to determine local credential key", "no-key"),
    (b"TPM", "no-tpm"),
)


def unseal(text: bytes, identifier: str, *, for_user: bool = False) -> int | Problem | None:
    """The size in bytes of what systemd decrypts for that id, or why it refuses; None where it cannot be asked.

    `text` is the encrypted credential as it stands in a file, in base64. Its value goes from one process to another and
    is only counted: it never comes here. `for_user`, it has to be encrypted for this process' user.
    """
    from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

    environment = {"PATH": PATH, "LC_ALL": "C", "SYSTEMD_LOG_TARGET": "console", "SYSTEMD_LOG_LEVEL": "info"}
    scope = ["--user"] if for_user else []
    command = ["systemd-creds", *scope, f"--name={identifier}", "decrypt", "-", "-"]
    try:
        with (
            Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment) as creds,
            Popen(["wc", "-c"], stdin=creds.stdout, stdout=PIPE, stderr=DEVNULL, env=environment) as counter,
        ):
            assert creds.stdout is not None
            creds.stdout.close()  # it is the other's now
            creds.stdout = None
            try:
                said = creds.communicate(text, TIMEOUT)[1]
                counted = counter.communicate(timeout=TIMEOUT)[0]
            except TimeoutExpired:
                creds.kill()
                counter.kill()
                return None
    except OSError:
        return None  # there is no systemd-creds, or this process may start none
    if creds.returncode == 0:
        return int(counted)
    if creds.returncode < 0:
        return None
    return next((problem for words, problem in _WORDS if words in said), "undecryptable")
