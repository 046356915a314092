"""The program's entry: the plain form of a boot-path command runs without importing click."""

from __future__ import annotations

import os
import sys


def plain_form(arguments: list[str]) -> tuple[str, str, str] | None:
    """(command, root, format) of a plain `[--root DIR] check|apply [--format text|json]`, or None: click parses it."""
    match arguments:
        case ["check" | "apply" as command]:
            return command, "/", "text"
        case ["check" | "apply" as command, "--format", "text" | "json" as form]:
            return command, "/", form
        case ["--root", root, "check" | "apply" as command]:
            return command, root, "text"
        case ["--root", root, "check" | "apply" as command, "--format", "text" | "json" as form]:
            return command, root, form
    return None


def main() -> int:
    """Run the command line; the exit statuses are those of SPEC: 0, 1, 2, 3."""
    from guestcred.errors import GuestcredError

    for stream in (sys.stdout, sys.stderr):
        # a path may hold bytes that are no UTF-8
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            plain = plain_form(sys.argv[1:])
            if plain is not None:
                from guestcred.commands import apply, check

                command, root, form = plain
                status = (check if command == "check" else apply)(root=root, form=form)
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
