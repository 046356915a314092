"""Users and groups by name: from passwd(5) and group(5) below a root, or from the live system's NSS."""

from __future__ import annotations

from guestcred.records import Record
from guestcred.tree import Tree

PASSWD, GROUP = "etc/passwd", "etc/group"


class User(Record):
    """A user: name, uid, primary gid, and the gids of all groups it is in (the primary one too)."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def find_user(tree: Tree, name: str) -> User | None:
    """The user of that name or of that number in decimal, or None where there is none."""
    return _live(name) if tree.live else _captured(tree, name)


def _live(name: str) -> User | None:
    import os
    import pwd

    try:
        entry = pwd.getpwuid(int(name)) if _is_id(name) else pwd.getpwnam(name)
    except (KeyError, OverflowError, ValueError):
        return None
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def _captured(tree: Tree, name: str) -> User | None:
    for login, uid, gid in _lines(tree, PASSWD):
        if name == (uid if _is_id(name) else login):
            groups = _lines(tree, GROUP, 3)
            listed = {int(number) for members, number, _ in groups if login in members.split(",")}
            return User(login, int(uid), int(gid), tuple(sorted(listed | {int(gid)})))
    return None


def _is_id(text: str) -> bool:
    """Whether a text is a uid or gid in decimal; the last 32-bit number is none: parse_uid() in systemd user-util.c."""
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 0xFFFFFFFF


def _lines(tree: Tree, path: str, first: int = 0) -> list[tuple[str, str, str]]:
    """(field `first`, third, fourth) of every line that has them with numbers where numbers belong."""
    found = []
    for line in (tree.read(path) or b"").decode("utf-8", "surrogateescape").split("\n"):
        fields = line.split(":")
        if len(fields) > 3 and _is_id(fields[2]) and (first or _is_id(fields[3])):
            found.append((fields[first], fields[2], fields[3]))
    return found
