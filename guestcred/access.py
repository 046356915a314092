"""Who may open a file: its mode, its owner and the POSIX ACL in its extended attribute."""

from __future__ import annotations

import struct

from guestcred.records import Record
from guestcred.users import User

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
