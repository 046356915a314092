"""Counts, sizes and names in sentences, and foreign text made safe for a terminal or a shell."""

from __future__ import annotations


def size(number: int) -> str:
    """`1 byte`, `2 bytes`."""
    return count(number, "byte")


def count(number: int, noun: str) -> str:
    """`1 string`, `2 strings`."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: list[str]) -> str:
    """Names in a sentence: all of up to six, and of more the first five."""
    if len(names) == 1:
        return names[0]
    if len(names) <= 6:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names[:5]) + f" and {len(names) - 5} more"


def visible(text: str) -> str:
    """Text as one line that cannot steer a terminal: unprintable characters become escapes."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shown_root(root: str) -> str:
    """What stands before each path below `root` when it is shown: `/` for the live system."""
    return visible(root.rstrip("/") + "/")


def typed(path: str) -> str:
    """A path as one word of a command that a person may type."""
    from shlex import quote  # only for failures, which the boot path has not

    return quote(path)


def printable(text: bytes) -> str:
    """Bytes from firmware as one line that cannot steer a terminal: printable ASCII, the rest as \\xNN."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in text)
