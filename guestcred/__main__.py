"""The program's entry: a command in its plain form runs without importing click."""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from guestcred.cli.commands import View

SIGINT = 2  # signal(7)
COULD_NOT_LOOK = 3  # as in errors.py, which a lack of memory may keep away
PACKAGES = ("click", "construct", "systemd")
NO_MEMORY = "guestcred: error: there is not enough memory\n"


def plain_form(arguments: list[str]) -> tuple[str, View, dict[str, Any]] | None:
    """The command, view and options of a plain `[--root DIR] COMMAND [--format text|json]`, or None: click parses it.

    COMMAND is check, status, services [UNIT], why NAME, apply, or apply --early.
    """
    from guestcred.cli.commands import View

    seen: dict[str, Any] = {}
    match arguments:
        case ["--root", root, *arguments]:
            seen["root"] = root
    match arguments:
        case [*arguments, "--format", "text" | "json" as form]:
            seen["form"] = form
    options: dict[str, Any] = {}
    match arguments:
        case ["check" | "apply" | "services" | "status" as command]:
            pass
        case ["apply" as command, "--early"]:
            options["early"] = True
        case ["why" as command, word] if word and word[0] != "-":
            options["name"] = word
        case ["services" as command, word] if word and word[0] != "-":
            options["unit"] = word
        case _:
            return None
    return command, View(**seen), options


def program() -> NoReturn:
    """What the program's script calls: `main`, and an end at once, with the exit status.

    Taking the interpreter apart costs as much as a third of starting it, and so do the collector's rounds while modules
    are loaded: what they make stays.
    """
    import gc

    gc.set_threshold(100_000)
    os._exit(main())


def main() -> int:
    """Run the command line. The exit status: 0 agrees, 1 findings, 2 usage, 3 could not look; SIGINT ends it by itself.

    What nobody foresaw is one line and status 3, never a traceback, which could show a value.
    """
    try:
        from guestcred.c_modules import end_by_sigint

        end_by_sigint()
        return _foreseen()
    except MemoryError:
        told = NO_MEMORY  # by the time it is told, what the failure held is free again
    except KeyboardInterrupt:  # it came before SIGINT was told to end the program
        end_by_sigint()
        os.kill(os.getpid(), SIGINT)
    return _stop(told)


def _foreseen() -> int:
    try:
        return _run()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # this is the last line
        # no words of the error, in which a value may stand; those of a missing package say which
        words = f": {error}" if isinstance(error, ImportError) else ""
        told = f"guestcred: error: unforeseen: {type(error).__name__} in {_place(error)}{words}"
    return _stop(f"{told}; please report it\n")


def _place(error: Exception) -> str:
    """The last line of ours that an error came through."""
    trace, place = error.__traceback__, "an unknown place"
    folder = os.path.dirname(os.path.dirname(__file__)) + "/"
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(folder):
            place = f"{path[len(folder) :]}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _stop(told: str) -> NoReturn:
    """Say one line and end at once: what else an end does may need memory, or print what was left in a buffer."""
    try:
        sys.stderr.write(told)
        sys.stderr.flush()
    finally:
        os._exit(COULD_NOT_LOOK)


def _run() -> int:
    from guestcred.errors import GuestcredError, reason

    _open_streams()
    _keep_memory_private()
    try:
        try:
            plain = plain_form(sys.argv[1:])
            if plain is not None:
                from guestcred.cli import commands

                command, view, options = plain
                status = int(getattr(commands, command)(view, **options))
            else:
                status = _run_other(sys.argv[1:])
            sys.stdout.flush()
            return status
        except GuestcredError as error:
            from guestcred.cli.commands import show_error

            return show_error(error)
        except ModuleNotFoundError as error:
            from guestcred.cli.commands import show_error
            from guestcred.errors import missing

            package = (error.name or "").partition(".")[0]
            if package not in PACKAGES:
                raise
            return show_error(missing(package))
    except BrokenPipeError:
        # nobody reads the output any more
        _give_up(1)
        return 1
    except OSError as error:
        if error.errno == errno.ENOMEM:  # an import's
            raise MemoryError from None
        # every other OSError became a GuestcredError where it happened
        _give_up(1)
        try:
            print(f"guestcred: error: cannot write the output: {reason(error)}", file=sys.stderr)
            sys.stderr.flush()
        except OSError:
            _give_up(2)
        return COULD_NOT_LOOK


def _run_other(arguments: list[str]) -> int:
    from guestcred.cli.plain import plain_dump

    plain = plain_dump(arguments)
    if plain is not None:
        from guestcred.cli.dump import run as dump

        view, options = plain
        return dump(view, **options)
    from guestcred.cli.command_line import run

    return run(arguments)


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

    from guestcred.c_modules import PR_SET_DUMPABLE, prctl

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(PR_SET_DUMPABLE, 0)


def _give_up(fd: int) -> None:
    """Send `fd` to /dev/null, because Python writes what is left in its buffer at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)


if __name__ == "__main__":
    program()
