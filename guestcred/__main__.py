"""The program's entry: the plain form of a boot-path command runs without importing click."""

from __future__ import annotations

import os
import sys


def plain_check(arguments: list[str]) -> dict[str, str] | None:
    """Options of a plain `[--root DIR] check [--format text|json]`, or None for all else, which click parses."""
    found: dict[str, str] = {}
    rest = list(arguments)
    if rest[:1] == ["--root"] and len(rest) > 1:
        found["root"] = rest[1]
        del rest[:2]
    if rest[:1] != ["check"]:
        return None
    if rest[1:2] == ["--format"] and rest[2:] in (["text"], ["json"]):
        found["form"] = rest[2]
        del rest[1:]
    return found if len(rest) == 1 else None


def main() -> int:
    """Run the command line; the exit statuses are those of SPEC: 0, 1, 2, 3."""
    from guestcred.errors import GuestcredError

    try:
        try:
            plain = plain_check(sys.argv[1:])
            if plain is not None:
                from guestcred.commands import check

                status = check(**plain)
            else:
                from guestcred.cli import run

                status = run(sys.argv[1:])
            sys.stdout.flush()
            return status
        except GuestcredError as error:
            from guestcred.commands import show_error

            return show_error(error)
    except BrokenPipeError:
        # the reader has gone: nothing more to tell it, and Python must not try at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
