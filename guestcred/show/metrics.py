"""What `check` found -> an OpenMetrics text that node_exporter's textfile collector takes, and a Nagios plugin's line.

Both have counts and words of the program, and the line the first finding: no value can stand there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestcred import __version__
from guestcred.diagnose.capacity import Usage
from guestcred.diagnose.compare import Comparison
from guestcred.diagnose.services import Services
from guestcred.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guestcred.diagnose.compare import Status
    from guestcred.diagnose.outcomes import State

# all are gauges, since the collector's parser knows no other kind that would fit
METRICS = {
    "guestcred_version_info": "The version of guestcred, and of systemd, by whose rules it judges.",
    "guestcred_last_look_timestamp_seconds": "When guestcred looked at this guest.",
    "guestcred_agrees": "1 where nothing is left to fix, 0 where there are findings.",
    "guestcred_credentials": "Credentials by status, and by the cause of a loss or the origin of a foreign one.",
    "guestcred_rejected_strings": "Strings with a credential prefix that PID 1 refuses, by reason.",
    "guestcred_findings": "What is left to fix, by code.",
    "guestcred_warnings": "What looks wrong although nothing was lost, by code.",
    "guestcred_units": "Units that request credentials, by the worst state of one of them.",
    "guestcred_limit_used": "How much of a limit is used, in its unit.",
    "guestcred_limit_maximum": "The limit itself, in its unit.",
}
STATUSES: tuple[Status, ...] = (
    *("imported", "foreign", "rescued", "missing", "differs", "truncated"),
    "not-offered",
)
WORST: tuple[State, ...] = ("fatal", "unreadable", "undelivered", "skipped", "nothing", "ready", "delivered")
Sample = tuple[str, dict[str, str], float]


def metrics_text(comparison: Comparison, services: Services | None, usages: tuple[Usage, ...], now: float) -> str:
    """All metrics; `services` is None where the units could not be asked, `now` in seconds since 1970."""
    samples = list(_samples(comparison, services, usages, now))
    lines = []
    for name, told in METRICS.items():
        lines += [f"# HELP {name} {told}", f"# TYPE {name} gauge"]
        if name.endswith("_seconds"):
            lines.append(f"# UNIT {name} seconds")
        for sample, labels, value in samples:
            if sample == name:
                inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
                lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")
    return "\n".join([*lines, "# EOF"]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _samples(
    comparison: Comparison, services: Services | None, usages: tuple[Usage, ...], now: float
) -> Iterator[Sample]:
    systemd = "" if comparison.systemd is None else str(comparison.systemd)
    yield "guestcred_version_info", {"version": __version__, "systemd": systemd}, 1
    yield "guestcred_last_look_timestamp_seconds", {}, round(now, 3)
    yield "guestcred_agrees", {}, int(comparison.agrees)
    # a rule that sums over a status finds it, even where no credential has it
    by_status = dict.fromkeys(((status, "") for status in STATUSES), 0)
    for credential in comparison.credentials:
        key = credential.status, credential.cause or credential.origin or ""
        by_status[key] = by_status.get(key, 0) + 1
    for (status, cause), many in by_status.items():
        yield "guestcred_credentials", {"status": status, "cause": cause}, many
    yield from _counted("guestcred_rejected_strings", "reason", [one.reason for one in comparison.rejected])
    yield from _counted("guestcred_findings", "code", [one.code for one in comparison.findings])
    yield from _counted("guestcred_warnings", "code", [one.code for one in comparison.warnings])
    if services is not None:
        states = [{outcome.state for outcome in service.credentials} for service in services.services]
        worst = [next(state for state in WORST if state in found) for found in states if found]
        yield from _counted("guestcred_units", "state", worst, WORST)
    for usage in usages:
        labels: dict[str, str] = {"limit": usage.name, "unit": usage.unit}
        yield "guestcred_limit_used", labels, usage.used
        yield "guestcred_limit_maximum", labels, usage.maximum


def _counted(name: str, label: str, words: Iterable[str], all_words: Iterable[str] = ()) -> Iterator[Sample]:
    found = [*words]
    for word in dict.fromkeys((*all_words, *found)):
        yield name, {label: word}, found.count(word)


OK, WARNING, CRITICAL, UNKNOWN = range(4)  # the exit statuses of Nagios plugins
WORDS = "OK", "WARNING", "CRITICAL", "UNKNOWN"


def nagios_line(comparison: Comparison, usages: tuple[Usage, ...], strict: bool) -> tuple[int, str]:
    """(exit status, one line with performance data): WARNING for what was rescued, CRITICAL for findings.

    With `strict` what was rescued is CRITICAL too.
    """
    statuses = [credential.status for credential in comparison.credentials]
    counts = {status: statuses.count(status) for status in STATUSES}
    told = ", ".join(f"{many} {status}" for status, many in counts.items() if many) or "nothing was offered"
    state = OK
    if comparison.findings or comparison.rescued:
        state = CRITICAL if comparison.findings or strict else WARNING
        told += f"; {(*comparison.findings, *comparison.rescued)[0].message}"
    data = [f"{status}={many}" for status, many in counts.items()]
    data += [f"findings={len(comparison.findings)}", f"warnings={len(comparison.warnings)}"]
    data += [f"{usage.name}={usage.used}{'B' if usage.unit == 'bytes' else ''};;;0;{usage.maximum}" for usage in usages]
    return state, f"GUESTCRED {WORDS[state]}: {_on_one_line(told)} | {' '.join(data)}"


def nagios_unknown(problem: str) -> tuple[int, str]:
    """The same where it could not look."""
    return UNKNOWN, f"GUESTCRED {WORDS[UNKNOWN]}: {_on_one_line(problem)}"


def _on_one_line(text: str) -> str:
    """A text without what begins the performance data, which a name may have in it."""
    return visible(text).replace("|", "/")
