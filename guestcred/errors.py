"""The one exception that every expected failure is."""

from __future__ import annotations

FINDINGS, USAGE, COULD_NOT_LOOK = 1, 2, 3


class GuestcredError(Exception):
    """One lower-case sentence that names the thing and the place, then what to type or look at next.

    `status` is the exit status: 1 findings or a failed write, 2 usage, 3 could not look.
    """

    def __init__(self, problem: str, *hints: str, status: int = COULD_NOT_LOOK) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hints = hints
        self.status = status

    def as_no_finding(self) -> GuestcredError:
        """The same where nothing was said of a guest: 1 would say that there are findings."""
        status = COULD_NOT_LOOK if self.status == FINDINGS else self.status
        return GuestcredError(self.problem, *self.hints, status=status)


def missing(package: str) -> GuestcredError:
    """A Python package that is not installed, and how to have it: systemd's on PyPI is compiled, Debian's is not."""
    return GuestcredError(
        f"the Python package {package} is missing",
        f"apt-get install python3-{package}; pipx and a virtual environment see it with --system-site-packages",
    )


def reason(error: OSError) -> str:
    """The kernel's own words for a failure, in lower case."""
    return (error.strerror or str(error)).lower()
