"""What is in a unit's folder and at the paths that it names, read from real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_users import acl

from guestcred.guest.deliveries import Consumer, Delivered, Look, read_consumers
from guestcred.guest.rootfs import Tree
from guestcred.systemd import bus
from guestcred.systemd.requests import Request, Unit

NONE = 0xFFFFFFFF
STRANGER = 4_000_001  # a uid that owns nothing here
FOLDER = "run/credentials/x.service"


def unit(*sources: str, uid: int | None = STRANGER, user: str = "svc") -> Unit:
    requests = tuple(Request("LoadCredential", "a", source, True, None) for source in sources)
    return Unit("x.service", "active", True, user, uid, FOLDER, False, requests)


def live(root: Path, monkeypatch: pytest.MonkeyPatch, *units: Unit) -> Look:
    """A look at `root` as if it were the live system and PID 1 had these units."""
    tree = Tree(str(root))
    tree.live = True
    monkeypatch.setattr(bus, "read_units", lambda _: bus.Loaded(units))
    return read_consumers(tree)


def put(root: Path, mode: int, name: str = "key", folder_mode: int = 0o755) -> Path:
    path = root / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"hunter2")
    path.chmod(mode)
    path.parent.chmod(folder_mode)
    return path


def readable(look: Look) -> bool | None:
    ((_, delivered),) = [(consumer.unit, consumer.delivered) for consumer in look.consumers]
    assert delivered is not None and delivered[0].size == 7
    return delivered[0].readable


def test_files_of_a_running_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, 0o404)
    look = live(tmp_path, monkeypatch, unit())
    assert look.consumers == ()  # it requests nothing
    assert look.others == ("x.service",)
    look = live(tmp_path, monkeypatch, unit("NAME"))
    assert look.consumers == (Consumer(unit("NAME"), (Delivered("key", 7, 0o404, os.getuid(), True),)),)


def test_the_users_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, 0o400)
    service = unit("NAME")
    assert readable(live(tmp_path, monkeypatch, service)) is False
    assert readable(live(tmp_path, monkeypatch, unit("NAME", uid=None, user=""))) is True
    os.setxattr(
        path,
        "system.posix_acl_access",
        acl((1, 4, NONE), (2, 4, STRANGER), (4, 0, NONE), (0x10, 4, NONE), (0x20, 0, NONE)),
    )
    assert readable(live(tmp_path, monkeypatch, service)) is True
    # what is in a folder that the user may not enter is not for it
    path.parent.chmod(0o750)
    assert readable(live(tmp_path, monkeypatch, service)) is False


def test_a_user_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, 0o444)
    look = live(tmp_path, monkeypatch, unit("NAME", uid=None, user="no-such-user"))
    assert readable(look) is None


def test_a_unit_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live(tmp_path, monkeypatch, unit("NAME")).consumers[0].delivered is None


def test_absolute_paths_through_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run/secrets.d/1/sub").mkdir(parents=True)
    (tmp_path / "run/secrets").symlink_to("/run/secrets.d/1")
    (tmp_path / "run/secrets.d/1/key").write_bytes(b"four")
    (tmp_path / "run/secrets.d/1/sub/other").write_bytes(b"seven!!")
    (tmp_path / "run/secrets.d/1/sub/.hidden").write_bytes(b"")
    (tmp_path / "run/secrets.d/1/sub/up").symlink_to("..")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "run/fifo")
    look = live(tmp_path, monkeypatch, unit("/run/secrets/key", "/run/fifo", "/gone", "/loop", "/run/secrets"))
    assert look.observed.outside == {
        "/run/secrets/key": 4,
        "/run/fifo": None,
        "/run/secrets/": None,
        "/run/secrets/sub/": None,
        "/run/secrets/sub/other": 7,
    }


def test_services_of_the_own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc/guestcred").mkdir(parents=True)
    (tmp_path / "etc/guestcred/a.toml").write_text(
        '[services.legacy]\nuser = "nobody-here"\nload = ["a:A", "b"]\nimport = ["T_*", "x"]\nset = ["r:hunter2"]\nrequired = ["a", "T_KEY", "x", "r"]\n'
    )
    folder = tmp_path / "run/guestcred/.current/legacy.service"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"hunter2")
    (tmp_path / "run/guestcred/legacy.service").symlink_to(".current/legacy.service")
    ((legacy, delivered),) = [(consumer.unit, consumer.delivered) for consumer in live(tmp_path, monkeypatch).consumers]
    assert (legacy.name, legacy.state) == ("legacy.service", "configured")
    assert (legacy.running, legacy.user) == (True, "nobody-here")
    assert [(r.setting, r.id, r.source, r.required, r.size) for r in legacy.requests] == [
        ("LoadCredential", "a", "A", True, None),
        ("LoadCredential", "b", "b", False, None),
        ("ImportCredential", "", "T_*", False, None),
        ("ImportCredential", "", "x", True, None),
        ("ImportCredential", "", "T_KEY", True, None),
        ("SetCredential", "r", "", False, 7),
    ]
    assert delivered is not None and [(file.name, file.size) for file in delivered] == [("a", 7)]
