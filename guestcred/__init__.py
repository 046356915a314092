"""guestcred: see, explain and fix what became of the credentials a hypervisor offered to this guest."""

__version__ = "0.1.0"
