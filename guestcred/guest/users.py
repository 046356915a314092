"""Users and groups by name, and whether one of them may open a file."""

from __future__ import annotations

import struct

from guestcred.guest.rootfs import Tree
from guestcred.record import Record

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
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)


def _captured(tree: Tree, name: str) -> User | None:
    for login, uid, gid in _lines(tree, PASSWD):
        if name == (uid if _is_id(name) else login):
            groups = _lines(tree, GROUP, 3)
            listed = {int(number) for members, number, _ in groups if login in members.split(",")}
            return User(name=login, uid=int(uid), gid=int(gid), groups=tuple(sorted(listed | {int(gid)})))
    return None


def _is_id(text: str) -> bool:
    """Whether a text is a uid or gid in decimal; the last 32-bit number is not: parse_uid() in systemd user-util.c."""
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 0xFFFFFFFF


def _lines(tree: Tree, path: str, first: int = 0) -> list[tuple[str, str, str]]:
    """(field `first`, third, fourth) of every line that has them, with numbers where they belong."""
    lines = []
    for line in (tree.read(path) or b"").decode("utf-8", "surrogateescape").split("\n"):
        fields = line.split(":")
        if len(fields) > 3 and _is_id(fields[2]) and (first or _is_id(fields[3])):
            lines.append((fields[first], fields[2], fields[3]))
    return lines


READ, SEARCH = 4, 1  # of a file, of a folder

# posix_acl_xattr_entry in the kernel's include/uapi/linux/posix_acl_xattr.h: tag u16, permissions u16, id u32
_ENTRY = struct.Struct("<HHI")
_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


class Access(Record):
    """Permissions of a file: its mode, owner, group, and the bytes of `system.posix_acl_access` or None."""

    mode: int
    uid: int
    gid: int
    acl: bytes | None


def may(user: User, access: Access, wanted: int) -> bool:
    """Whether `user` gets all bits of `wanted`, as posix_acl_permission() in the kernel's fs/posix_acl.c decides."""
    if user.uid == 0:
        return True
    entries = _entries(access)
    mask = next((granted for tag, granted, _ in entries if tag == _MASK), 7)
    for tag, granted, number in entries:
        if tag == _USER_OBJ and user.uid == access.uid:
            return granted & wanted == wanted
        if tag == _USER and user.uid == number:
            return granted & mask & wanted == wanted
    groups = [
        granted & mask
        for tag, granted, number in entries
        if (tag == _GROUP_OBJ and access.gid in user.groups) or (tag == _GROUP and number in user.groups)
    ]
    if groups:
        return any(granted & wanted == wanted for granted in groups)
    return any(tag == _OTHER and granted & wanted == wanted for tag, granted, _ in entries)


def _entries(access: Access) -> list[tuple[int, int, int]]:
    """(tag, permissions, id) of the ACL; where there is none, or one that cannot be read, those of the mode."""
    acl = access.acl or b""
    if len(acl) > 4 and acl[:4] == struct.pack("<I", _VERSION) and not (len(acl) - 4) % _ENTRY.size:
        return list(_ENTRY.iter_unpack(acl[4:]))
    mode = access.mode
    return [(_USER_OBJ, mode >> 6 & 7, 0), (_GROUP_OBJ, mode >> 3 & 7, 0), (_OTHER, mode & 7, 0)]
