"""The program's entry: the plain form of a boot-path command runs without importing click."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.cli.commands import View

PR_SET_DUMPABLE = 4  # prctl(2)


def plain_form(arguments: list[str]) -> tuple[str, View] | None:
    """The command and its view of a plain `[--root DIR] check|apply [--format text|json]`, or None: click parses it."""
    from guestcred.cli.commands import View

    match arguments:
        case ["check" | "apply" as command]:
            return command, View()
        case ["check" | "apply" as command, "--format", "text" | "json" as form]:
            return command, View(form=form)
        case ["--root", root, "check" | "apply" as command]:
            return command, View(root=root)
        case ["--root", root, "check" | "apply" as command, "--format", "text" | "json" as form]:
            return command, View(root=root, form=form)
    return None


def main() -> int:
    """Run the command line. The exit status: 0 agrees, 1 findings, 2 usage, 3 could not look, 130 interrupted."""
    from guestcred.errors import GuestcredError, reason

    _open_streams()
    _keep_memory_private()
    try:
        try:
            plain = plain_form(sys.argv[1:])
            if plain is not None:
                from guestcred.cli.commands import apply, check

                command, view = plain
                status = check(view) if command == "check" else apply(view)
            else:
                from guestcred.cli.command_line import run

                status = run(sys.argv[1:])
            sys.stdout.flush()
            return status
        except GuestcredError as error:
            from guestcred.cli.commands import show_error

            return show_error(error)
    except BrokenPipeError:
        # nobody reads the output any more
        _give_up(1)
        return 1
    except OSError as error:
        # every other OSError became a GuestcredError where it happened
        _give_up(1)
        try:
            print(f"guestcred: error: cannot write the output: {reason(error)}", file=sys.stderr)
            sys.stderr.flush()
        except OSError:
            _give_up(2)
        return 3
    except KeyboardInterrupt:
        return 130


def _open_streams() -> None:
    """Open /dev/null for every closed standard stream: else the next file opened gets its number, and its output."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "w" if fd else "r"))
    for stream in (sys.stdout, sys.stderr):
        # a path may hold bytes that are not UTF-8
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _keep_memory_private() -> None:
    """Forbid a core file, after an exec too; until then only root can look into this process."""
    import resource

    from guestcred.c_modules import prctl

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(PR_SET_DUMPABLE, 0)


def _give_up(fd: int) -> None:
    """Send `fd` to /dev/null, because Python writes what is left in its buffer at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)


if __name__ == "__main__":
    sys.exit(main())
