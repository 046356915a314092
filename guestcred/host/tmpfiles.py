"""Which lines systemd-tmpfiles does not parse, asked of the host's own."""

from __future__ import annotations

import re

PATH = "/usr/bin:/bin"
TIMEOUT = 10.0  # seconds
# log_syntax() in systemd src/tmpfiles/tmpfiles.c; users and groups are the guest's, and need not be here
_LINE = re.compile(rb"(?m)^<stdin>:(\d{1,7}): (?!Failed to resolve (?:user|group))")


def unparsed_lines(text: bytes) -> list[int]:
    """The numbers of the lines; none where this host's systemd-tmpfiles is not there, or before 256 has no --dry-run.

    The text goes through a pipe, and of what it says only numbers are taken.
    """
    from subprocess import DEVNULL, PIPE, TimeoutExpired, run

    # without $CREDENTIALS_DIRECTORY, whose tmpfiles.extra it would read too
    environment = {"PATH": PATH, "LC_ALL": "C", "SYSTEMD_LOG_TARGET": "console", "SYSTEMD_LOG_LEVEL": "err"}
    command = ["systemd-tmpfiles", "--dry-run", "--create", "-"]
    try:
        done = run(command, input=text, stdout=DEVNULL, stderr=PIPE, env=environment, timeout=TIMEOUT, check=False)
    except (OSError, TimeoutExpired):
        return []
    if not done.returncode:
        return []
    # whatever else it quotes of the text, no digits of a value are taken for a line
    lines = text.count(b"\n") + 1
    return sorted({line for number in _LINE.findall(done.stderr) if 0 < (line := int(number)) <= lines})
