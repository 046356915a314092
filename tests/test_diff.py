"""What is wanted against what is there: what has to be written, what goes, and what is not touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_plan import compared

from guestcred.apply.diff import AGAIN, MOVE, Changes, find_changes
from guestcred.apply.dirfd import Folder
from guestcred.apply.plan import Directory, File, Plan
from guestcred.apply.wanted import Wanted
from guestcred.apply.writing import Writing
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.credstores import rescue_mark

pytestmark = pytest.mark.root
OWNER = os.geteuid(), 902  # a group that is not its user's number tells the two apart
A, B = ".generation-a", ".generation-b"


@pytest.fixture
def places(folder: Path) -> Iterator[tuple[Folder, Folder]]:
    """run/guestcred and run/credstore."""
    made = []
    for name in ("home", "store"):
        (folder / name).mkdir()
        made.append(Folder(os.open(folder / name, os.O_RDONLY), str(folder / name), OWNER))
    with made[0], made[1]:
        yield made[0], made[1]


def wanting(
    rescues: dict[str, bytes] | None = None,
    services: dict[str, dict[str, bytes]] | None = None,
    report: bytes = b"report",
) -> Wanted:
    """What is wanted of such rescues, name to value, and services, unit to id to value."""
    files = tuple(File(name, len(value), f"run/credstore/{name}") for name, value in (rescues or {}).items())
    values = {f"run/credstore/{name}": value for name, value in (rescues or {}).items()}
    directories = []
    for unit, found in (services or {}).items():
        values |= {f"{unit}/{name}": value for name, value in found.items()}
        inside = tuple(File(name, len(value), f"{unit}/{name}") for name, value in found.items())
        directories.append(Directory(unit=unit, user="svc", uid=901, files=inside, skipped=()))
    plan = Plan(comparison=compared(), rescues=files, present=(), directories=tuple(directories), left=())
    return Wanted(plan, values, report)


SERVICES = {"a.service": {"y": b"one", "x": b"two"}, "b.service": {"z": b""}}
WANTED = wanting({"KEY": b"value"}, SERVICES)


@pytest.fixture
def written(places: tuple[Folder, Folder]) -> tuple[Folder, Folder]:
    """The two, with everything that is wanted."""
    Writing(*places, find_changes(*places, WANTED), WANTED).run()
    return places


def test_where_nothing_is_all_is_written(places: tuple[Folder, Folder]) -> None:
    links = "a.service", "b.service", "report.json"
    for home, store in ((None, None), places):
        changes = find_changes(home, store, WANTED)
        assert changes == Changes(rescue=("KEY",), generation=A, links=links) and changes.any
        only = find_changes(home, store, wanting({"KEY": b"value"}, SERVICES, b""))
        assert only == Changes(rescue=("KEY",)) and only.any


def test_what_is_written_needs_no_change(written: tuple[Folder, Folder]) -> None:
    assert find_changes(*written, WANTED) == Changes() and not find_changes(*written, WANTED).any
    paths = sorted(str(path.relative_to(written[0].path)) for path in Path(written[0].path).rglob("*"))
    assert paths == [
        *(".current", A, f"{A}/a.service", f"{A}/a.service/x", f"{A}/a.service/y", f"{A}/b.service"),
        *(f"{A}/b.service/z", f"{A}/report.json", "a.service", "b.service", "report.json"),
    ]
    modes = [(Path(written[0].path, A, below).stat().st_mode & 0o7777) for below in ("", "report.json", "a.service", "a.service/x")]  # fmt: skip
    assert modes == [0o711, 0o444, 0o500, 0o400] and Path(written[1].path, "KEY").stat().st_mode & 0o7777 == 0o400


def replaced(data: bytes) -> Callable[[Path], object]:
    def replace(path: Path) -> None:
        status = path.stat()
        path.chmod(0o600)
        path.write_bytes(data)
        path.chmod(status.st_mode)

    return replace


def moded(mode: int) -> Callable[[Path], object]:
    return lambda path: path.chmod(mode)


def owned(uid: int, gid: int) -> Callable[[Path], object]:
    return lambda path: os.chown(path, uid, gid)


def elsewhere(path: Path) -> Path:
    """A place in the same memory where nobody looks."""
    return next(above for above in path.parents if above.name in ("home", "store")).parent / "elsewhere"


def linked(path: Path) -> None:
    os.link(path, elsewhere(path))


def as_link(path: Path) -> None:
    path.rename(elsewhere(path))
    path.symlink_to(elsewhere(path))


@pytest.mark.parametrize(
    ("below", "change"),
    [
        (".", moded(0o755)),
        (".", moded(0o700)),
        (".", owned(-1, 903)),
        ("report.json", replaced(b"reporT")),
        ("report.json", replaced(b"report+")),
        ("report.json", replaced(b"repor")),
        ("report.json", moded(0o644)),
        ("report.json", owned(901, -1)),
        ("report.json", owned(-1, 0)),
        ("report.json", linked),
        ("report.json", Path.unlink),
        ("a.service", moded(0o700)),
        ("a.service", moded(0o1500)),
        ("a.service", owned(902, -1)),
        ("a.service", owned(-1, 902)),
        ("a.service/x", replaced(b"one")),
        ("a.service/x", replaced(b"two+")),
        ("a.service/y", replaced(b"on")),
        ("a.service/x", moded(0o440)),
        ("a.service/x", owned(902, -1)),
        ("a.service/x", owned(-1, 902)),
        ("a.service/x", linked),
        ("a.service/x", as_link),
        ("a.service/y", Path.unlink),
        ("a.service/more", Path.touch),
        ("b.service/z", replaced(b"+")),
        ("c.service", Path.mkdir),
    ],
)
def test_whatever_is_wrong_in_a_generation_makes_a_new_one(
    written: tuple[Folder, Folder], below: str, change: Callable[[Path], object]
) -> None:
    change(Path(written[0].path, A, below))
    assert find_changes(*written, WANTED) == Changes(generation=B)
    assert not find_changes(*written, wanting({"KEY": b"value"}, SERVICES, b"")).any


def test_generations_take_turns_and_links_follow_the_services(written: tuple[Folder, Folder]) -> None:
    wanted = wanting({"KEY": b"value"}, {"b.service": SERVICES["b.service"], "c.service": {}})
    changes = find_changes(*written, wanted)
    assert changes == Changes(generation=B, links=("c.service",), dropped=("a.service",))
    Writing(*written, changes, wanted).run()
    assert find_changes(*written, wanted) == Changes()
    assert find_changes(*written, WANTED) == Changes(generation=A, links=("a.service",), dropped=("c.service",))


def test_a_generation_that_is_gone_is_written_anew(written: tuple[Folder, Folder]) -> None:
    os.rename(Path(written[0].path, A), Path(written[0].path, "elsewhere"))
    assert find_changes(*written, WANTED) == Changes(generation=B)


def test_what_a_killed_run_left_is_named(written: tuple[Folder, Folder]) -> None:
    Path(written[0].path, B).mkdir()
    Path(written[0].path, ".next").symlink_to(B)
    assert find_changes(*written, WANTED) == Changes(leftovers=(B, ".next"))
    Path(written[0].path, ".current").unlink()
    Path(written[0].path, ".current").symlink_to(B)
    assert find_changes(*written, WANTED) == Changes(generation=A, leftovers=(A, ".next"))


def test_what_others_have_there_stays(written: tuple[Folder, Folder]) -> None:
    """Links that are not ours, files of a configuration, and credentials that somebody put there."""
    home, store = (Path(folder.path) for folder in written)
    (home / "demo.toml").touch()
    (home / "theirs").symlink_to(".current/a.service")
    (store / "MINE").write_bytes(b"by hand")
    (store / "folder").mkdir()
    assert find_changes(*written, WANTED) == Changes()


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("a.service", Path.touch),
        ("a.service", Path.mkdir),
        ("report.json", lambda path: path.symlink_to(".current/b.service")),
        (".current", Path.touch),
        (".current", lambda path: path.symlink_to("elsewhere")),
        (A, Path.touch),
        (B, Path.touch),
        (B, lambda path: path.symlink_to(A)),
        (".next", Path.mkdir),
        (".next", Path.touch),
    ],
)
def test_what_others_put_in_the_way_is_refused(
    places: tuple[Folder, Folder], name: str, plant: Callable[[Path], object]
) -> None:
    plant(Path(places[0].path, name))
    with pytest.raises(GuestcredError) as caught:
        find_changes(*places, WANTED)
    assert caught.value.problem == f"refusing to write {places[0].path}/{name}: guestcred did not put it there"
    assert (caught.value.hints, caught.value.status) == ((MOVE,), FINDINGS)
    find_changes(*places, wanting({}, {}, b""))  # which changes nothing there


@pytest.mark.parametrize("name", [A, B])
def test_a_generation_of_somebody_else_is_refused(written: tuple[Folder, Folder], name: str) -> None:
    path = Path(written[0].path, name)
    path.mkdir(exist_ok=True)
    os.chown(path, 902, 902)
    with pytest.raises(GuestcredError, match=rf"/{name}: guestcred did not put it there$"):
        find_changes(*written, WANTED)


def mark(path: Path) -> None:
    """Make a file one that guestcred put there."""
    os.utime(path, ns=(rescue_mark(path.name),) * 2)


@pytest.mark.parametrize("change", [replaced(b"other"), moded(0o444), owned(901, -1), owned(-1, 0), linked])
def test_a_rescue_that_is_ours_and_wrong_is_replaced(
    written: tuple[Folder, Folder], change: Callable[[Path], object]
) -> None:
    path = Path(written[1].path, "KEY")
    change(path)
    mark(path)
    assert find_changes(*written, WANTED) == Changes(renew=("KEY",))
    assert find_changes(*written, wanting({}, SERVICES)) == Changes(retract=("KEY",))


@pytest.mark.parametrize("change", [replaced(b"other"), moded(0o444)])
def test_a_credential_that_is_not_ours_is_refused_where_it_is_not_as_wanted(
    written: tuple[Folder, Folder], change: Callable[[Path], object]
) -> None:
    path = Path(written[1].path, "KEY")
    change(path)
    os.utime(path)
    with pytest.raises(GuestcredError) as caught:
        find_changes(*written, WANTED)
    assert caught.value.problem == f"refusing to write {path}: guestcred did not put it there"
    assert (caught.value.hints, caught.value.status) == ((AGAIN,), FINDINGS)
    assert find_changes(*written, wanting({}, SERVICES)) == Changes()


def test_what_goes_meanwhile_is_no_failure(written: tuple[Folder, Folder], monkeypatch: pytest.MonkeyPatch) -> None:
    real = Folder.names

    def names(folder: Folder) -> list[str]:
        return real(folder) if folder.path.endswith(".service") else sorted({*real(folder), "b.service"})

    monkeypatch.setattr(Folder, "names", names)
    assert find_changes(*written, WANTED) == Changes()
    Path(written[0].path, A, "b.service").rename(elsewhere(Path(written[0].path, A)))
    assert find_changes(*written, WANTED) == Changes(generation=B)
