"""What systemd would make of an encrypted credential, asked of its own tool: only this module starts another program."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.systemd.delivery import Problem

TIMEOUT = 20.0  # seconds; a TPM takes about one
# systemd-creds' own words, from decrypt_credential_and_warn() in systemd src/shared/creds-util.c and its callers
_OTHER_NAME = b"does not match"
_NOT_BASE64 = b"Failed to read encrypted credential data"
_NOT_ENCRYPTED = (b"Unknown encryption format", b"file too short")


def unseal(text: bytes, identifier: str, *, for_user: bool = False) -> int | Problem | None:
    """The size in bytes of what systemd decrypts for that id, or why it refuses; None where it cannot be asked.

    `text` is the encrypted credential as it stands in a file, in base64. Its value goes from one process to another and
    is only counted: it never comes here. `for_user`, it has to be encrypted for this process' user.
    """
    from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "SYSTEMD_LOG_TARGET": "console", "SYSTEMD_LOG_LEVEL": "info"}
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
    if _OTHER_NAME in said:
        return "other-name"
    if _NOT_BASE64 in said:
        return "not-base64"
    return "not-encrypted" if any(word in said for word in _NOT_ENCRYPTED) else "undecryptable"
