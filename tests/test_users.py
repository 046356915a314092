"""Users by name, and who may read a credential: the two forms that systemd gives them, and what else a mode and an ACL can say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from guestcred.guest.rootfs import Tree
from guestcred.guest.users import READ, SEARCH, Access, User, find_user, may

ROOT = User("root", 0, 0, (0,))
SVC = User("svc", 901, 901, (901,))
OTHER = User("other", 902, 902, (902, 96))


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NONE = 0xFFFFFFFF
# as getfattr shows it of a credential under systemd 257: user::r--, user:svc:r--, group::---, mask::r--, other::---
OF_257 = acl((1, 4, NONE), (2, 4, 901), (4, 0, NONE), (0x10, 4, NONE), (0x20, 0, NONE))


def test_systemd_252_makes_the_user_the_owner() -> None:
    file, folder = Access(0o400, 901, 0, None), Access(0o500, 901, 0, None)
    assert may(SVC, file, READ) and may(SVC, folder, SEARCH) and may(ROOT, file, READ)
    assert not may(OTHER, file, READ) and not may(OTHER, folder, SEARCH)


def test_systemd_257_names_the_user_in_the_acl() -> None:
    file = Access(0o440, 0, 0, OF_257)
    assert may(SVC, file, READ) and may(ROOT, file, READ)
    assert not may(OTHER, file, READ) and not may(SVC, file, SEARCH)
    # the group bits of the mode are the ACL's mask, and give root's group nothing
    assert not may(User("wheel", 5, 0, (0,)), file, READ)


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        (Access(0o440, 0, 96, None), True),
        (Access(0o404, 0, 96, None), False),
        (Access(0o404, 0, 0, None), True),
        (Access(0o040, 902, 96, None), False),
        (Access(0o440, 0, 0, acl((1, 4, NONE), (2, 4, 902), (4, 4, NONE), (0x10, 0, NONE), (0x20, 4, NONE))), False),
        (Access(0o440, 0, 0, acl((1, 4, NONE), (4, 0, NONE), (8, 4, 96), (0x10, 4, NONE), (0x20, 0, NONE))), True),
        (Access(0o440, 0, 96, acl((1, 4, NONE), (4, 0, NONE), (8, 4, 7), (0x10, 4, NONE), (0x20, 4, NONE))), False),
        (Access(0o404, 0, 0, b""), True),
        (Access(0o404, 0, 0, OF_257[:-1]), True),
        (Access(0o404, 0, 0, b"\1" + OF_257[1:]), True),
    ],
)
def test_modes_and_acls(access: Access, allowed: bool) -> None:
    assert may(OTHER, access, READ) is allowed


def test_users_below_a_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nbroken\nsvc:x:901:902::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("svc:x:902:\nkeys:x:96:other,svc\n")
    at = Tree(str(tmp_path))
    (tmp_path / "etc/passwd").open("a").write("big:x:4294967295:0::/:\nhuge:x:99999999999:0::/:\narab:x:\u0664:0::/:\n")
    assert [find_user(at, name) for name in ("big", "huge", "arab", "\u0664", "4294967295")] == [None] * 5
    assert find_user(at, "svc") == find_user(at, "901") == User("svc", 901, 902, (96, 902))
    assert find_user(at, "root") == User("root", 0, 0, (0,)) and find_user(at, "nobody") is None


def test_users_of_the_live_system() -> None:
    root = find_user(Tree("/"), "root")
    assert root is not None and (root.uid, root.gid) == (0, 0) and 0 in root.groups
    assert find_user(Tree("/"), "no-such-user") is None and find_user(Tree("/"), "9" * 30) is None
