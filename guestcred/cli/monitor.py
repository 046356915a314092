"""What `check --metrics` and `check --nagios` do: the same look, for programs that watch a fleet."""

from __future__ import annotations

import time

from guestcred.cli.commands import Once, View, look, print_check, units
from guestcred.cli.written import write_whole
from guestcred.diagnose.capacity import capacity
from guestcred.errors import USAGE, GuestcredError
from guestcred.show.metrics import metrics_text, nagios_line, nagios_unknown

METRICS_MODE = 0o644  # the collector is another user


def watch(view: View, *, require: tuple[str, ...], strict: bool, metrics: str | None, nagios: bool) -> int:
    """Check, write `metrics` where a file is named, and print what `check` prints or, with `nagios`, a plugin's line.

    The exit status is that of `check`, or that of a Nagios plugin.
    """
    try:
        if metrics == "-":
            raise GuestcredError(
                "--metrics takes no standard output, which has what check says", "name a file", status=USAGE
            )
        ask = Once(lambda: units(view))
        looked = look(view, require, ask=ask)
        usages = capacity(looked)
        if metrics is not None:
            write_whole(metrics, metrics_text(looked.comparison, ask(), usages, time.time()).encode(), METRICS_MODE)
        if not nagios:
            return print_check(view, looked, strict=strict)
        status, line = nagios_line(looked.comparison, usages, strict)
    except GuestcredError as error:
        if not nagios:
            raise
        status, line = nagios_unknown(error.problem)
    print(line)
    return status
