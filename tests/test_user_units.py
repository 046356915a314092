"""The units of user managers: what a process of their user's finds, whoever answers it and whatever lies in its folders."""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import schemas
from jeepney import HeaderFields, Message, new_error, new_method_return
from needs import memory
from test_bus import WELCOME, Peer, peers, reply

from guestcred.cli import commands
from guestcred.cli.commands import View
from guestcred.diagnose import user_units
from guestcred.diagnose.findings import Finding
from guestcred.diagnose.lacks import with_lacks
from guestcred.diagnose.services import Services
from guestcred.diagnose.user_units import all_users, user_services
from guestcred.errors import GuestcredError
from guestcred.guest import journal, user_manager
from guestcred.guest.as_user import as_user
from guestcred.guest.rootfs import Tree
from guestcred.guest.users import User
from guestcred.record import from_json
from guestcred.show.services import services_json, services_text
from guestcred.systemd import bus
from guestcred.systemd.delivery import rules_of_user
from guestcred.systemd.requests import IMPORT, LOAD, LOAD_ENCRYPTED, Request, parse_unit
from guestcred.systemd.search_path import OF_PID_1

SECRET = b"hunter2hunter2"
UID = os.getuid()
ME = User(name=pwd.getpwuid(UID).pw_name, uid=UID, gid=os.getgid(), groups=(os.getgid(),))
MANAGER, RUNTIME = f"user@{UID}.service", f"run/user/{UID}"
GIVEN = f"run/credentials/{MANAGER}"
DECRYPTS = 258 if UID else 256  # the first systemd whose manager of this user does
Answer = Callable[[Message], Any]


class UserManager:
    """What a user's manager answers: the properties of each unit that it lists."""

    def __init__(self) -> None:
        self.units: dict[str, dict[str, tuple[str, Any]]] = {}

    def __call__(self, message: Message) -> Message:
        path = message.header.fields[HeaderFields.path]
        paths = {f"/u/{number}": unit for number, unit in enumerate(self.units)}
        match message.header.fields[HeaderFields.member]:
            case "Hello":
                return new_method_return(message, "s", (":1.1",))
            case "ListUnits":
                subs = {unit: "running" if self.units[unit]["MainPID"][1] else "dead" for unit in self.units}
                rows = [(unit, "", "loaded", "active", subs[unit], "", at, 0, "", "/") for at, unit in paths.items()]
                return new_method_return(message, "a(ssssssouso)", (rows,))
            case "GetAll" if path in paths:
                return new_method_return(message, "a{sv}", (self.units[paths[path]],))
        return new_error(message, "org.freedesktop.systemd1.NoSuchUnit", "s", ("",))

    def has(self, name: str, *requests: Request, running: bool = True, **properties: tuple[str, Any]) -> None:
        """Give it a unit with these requests."""
        loads = [(request.id, request.source) for request in requests if request.setting == LOAD]
        sealed = [(request.id, request.source) for request in requests if request.setting == LOAD_ENCRYPTED]
        patterns = [request.source for request in requests if request.setting == IMPORT]
        self.units[name] = {
            "LoadCredential": ("a(ss)", loads),
            "LoadCredentialEncrypted": ("a(ss)", sealed),
            "ImportCredential": ("as", patterns),
            "MainPID": ("u", int(running)),
            **properties,
        }


def load(identifier: str, source: str) -> Request:
    return Request(LOAD, identifier, source)


@pytest.fixture
def root() -> Iterator[Path]:
    """The root of a live guest, with this user's $XDG_RUNTIME_DIR, and what its manager was started with."""
    with memory() as folder:
        (folder / RUNTIME / "systemd").mkdir(parents=True)
        environment = folder / f"proc/{os.getpid()}/environ"
        environment.parent.mkdir(parents=True)
        environment.write_bytes(f"HOME=/home/me\0CREDENTIALS_DIRECTORY=/{GIVEN}\0".encode())
        yield folder


@pytest.fixture
def listen(root: Path) -> Iterator[Callable[..., Peer]]:
    """Start a user manager on its private socket, or on its bus."""
    with peers() as start:

        def listen(answer: Answer, path: str = "systemd/private") -> Peer:
            return start(root / RUNTIME / path, answer, WELCOME, 0.01)

        yield listen


@pytest.fixture
def manager(listen: Callable[..., Peer]) -> UserManager:
    """A user manager that runs."""
    made = UserManager()
    listen(made)
    return made


def live(root: Path) -> Tree:
    tree = Tree(str(root))
    tree.live = True
    return tree


def put(root: Path, path: str, value: bytes = SECRET) -> None:
    at = root / path
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(value)


def told(root: Path, services: Services) -> dict[str, tuple[str, str | None, str | None]]:
    """State, source below the root and reason of each credential by its unit; every output held against the schema."""
    text, document = services_text(services, False), json.dumps(services_json(services))
    schemas.hold(document)
    assert SECRET.decode() not in text + document
    assert all(service.manager == MANAGER and f"of {MANAGER}" in text for service in services.services)
    return {
        f"{service.unit.removesuffix('.service')}:{one.id}": (
            one.state,
            one.source and one.source.removeprefix(f"{root}/"),
            one.reason,
        )
        for service in services.services
        for one in service.credentials
    }


def test_what_the_units_of_a_user_get(root: Path, manager: UserManager) -> None:
    put(root, f"{GIVEN}/API_KEY")
    put(root, "home/me/.config/credstore/conf")
    put(root, f"{RUNTIME}/credstore/here")
    put(root, "home/me/.local/lib/credstore/lib")
    put(root, "etc/credstore/machine")
    put(root, f"{RUNTIME}/credentials/byname.service/k")
    manager.has("byname.service", load("k", "API_KEY"))
    manager.has("stores.service", load("a", "conf"), load("b", "here"), load("c", "lib"), load("d", "machine"))
    manager.has("import.service", Request(IMPORT, "", "API_*"), running=False)
    manager.has("path.service", load("f", "/gone"), running=False)
    manager.has("nothing.service")
    services = user_services(live(root), ME, 262)
    assert told(root, services) == {
        "byname:k": ("delivered", f"{GIVEN}/API_KEY", None),
        "stores:a": ("undelivered", "home/me/.config/credstore/conf", None),
        "stores:b": ("undelivered", f"{RUNTIME}/credstore/here", None),
        "stores:c": ("undelivered", "home/me/.local/lib/credstore/lib", None),
        "stores:d": ("skipped", None, None),
        "import:API_KEY": ("ready", f"{GIVEN}/API_KEY", None),
        "path:f": ("fatal", None, "absent"),
    }
    assert [finding.code for finding in services.findings] == ["undelivered"] * 3
    assert f"systemctl --user -M {ME.name}@ restart stores.service" in services.findings[0].fix
    assert {service.unit for service in services.lacking} == {"stores.service", "path.service"}
    only = user_services(live(root), ME, 262, "byname.service")
    assert list(told(root, only)) == ["byname:k"]
    with pytest.raises(GuestcredError, match=r"there is no unit bynam\.service") as caught:
        user_services(live(root), ME, 262, "bynam.service")
    assert caught.value.status == 2 and caught.value.hints == ("did you mean byname.service?",)


def test_a_store_that_the_user_may_not_read_ends_every_name_that_comes_to_it(
    root: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian's /etc/credstore.encrypted, 0700 root's, does with systemd 254 to 257."""
    put(root, f"{GIVEN}/API_KEY")
    put(root, "etc/credstore/other")
    locked = {"etc/credstore", "etc/credstore.encrypted", "srv/key"}
    monkeypatch.setattr(Tree, "is_locked", lambda _, path: path in locked)
    manager.has("name.service", load("k", "API_KEY"), load("o", "other"), running=False)
    manager.has("pattern.service", Request(IMPORT, "", "API_*"), Request(IMPORT, "", "oth*"), running=False)
    manager.has("path.service", load("p", "/srv/key"), running=False)
    assert told(root, user_services(live(root), ME, 257)) == {
        "name:k": ("fatal", "etc/credstore.encrypted", "locked"),
        "name:o": ("fatal", "etc/credstore.encrypted", "locked"),
        "pattern:API_KEY": ("ready", f"{GIVEN}/API_KEY", None),
        "pattern:oth*": ("nothing", None, None),
        "path:p": ("fatal", "srv/key", "locked"),
    }
    # 252 comes to /etc/credstore last
    services = user_services(live(root), ME, 252)
    assert {key: found for key, found in told(root, services).items() if key[:4] == "name"} == {
        "name:k": ("ready", f"{GIVEN}/API_KEY", None),
        "name:o": ("fatal", "etc/credstore", "locked"),
    }
    assert not any(one.shadowed for service in services.services for one in service.credentials)


@pytest.mark.parametrize(
    ("systemd", "verdict", "expected"),
    [
        (DECRYPTS - 1, 7, ("fatal", "undecryptable")),
        (DECRYPTS, 7, ("ready", None)),
        (DECRYPTS, "undecryptable", ("fatal", "undecryptable")),
    ],
)
def test_what_a_user_manager_decrypts(
    root: Path,
    manager: UserManager,
    monkeypatch: pytest.MonkeyPatch,
    systemd: int,
    verdict: object,
    expected: tuple[str, str | None],
) -> None:
    def unseal(text: bytes, identifier: str, *, for_user: bool) -> object:
        assert for_user and (text, identifier) == (b"sealed", "k")
        return verdict

    monkeypatch.setattr("guestcred.guest.observe.unseal", unseal)
    put(root, "srv/key", b"sealed")
    manager.has("sealed.service", Request(LOAD_ENCRYPTED, "k", "/srv/key"), running=False)
    services = user_services(live(root), ME, systemd)
    state, _, reason = told(root, services)["sealed:k"]
    assert (state, reason) == expected
    assert all("systemd-creds --user encrypt --name=k" in finding.fix for finding in services.findings)


@pytest.mark.parametrize(
    ("systemd", "uid", "decrypts"),
    [(255, 0, False), (256, 0, True), (257, 1000, False), (258, 1000, True), (None, 1000, True)],
)
def test_root_s_manager_decrypts_before_others(systemd: int | None, uid: int, decrypts: bool) -> None:
    assert rules_of_user(systemd, None, OF_PID_1, uid).decrypts is decrypts


def test_without_a_look_at_its_environment_a_manager_has_what_is_usual(
    root: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / f"proc/{os.getpid()}/environ").unlink()
    monkeypatch.setattr(os.path, "expanduser", lambda _: "/home/else")
    put(root, f"{GIVEN}/API_KEY")
    put(root, "home/else/.config/credstore/conf")
    manager.has("a.service", load("k", "API_KEY"), load("c", "conf"), running=False)
    assert {state for state, *_ in told(root, user_services(live(root), ME, 262)).values()} == {"ready"}


def test_a_manager_goes_by_its_own_environment(root: Path, manager: UserManager) -> None:
    (root / f"proc/{os.getpid()}/environ").write_bytes(b"HOME=/home/me\0XDG_CONFIG_HOME=/srv/config\0")
    put(root, "srv/config/credstore/conf")
    put(root, f"{GIVEN}/API_KEY")
    manager.has("a.service", load("c", "conf"), load("k", "API_KEY"), running=False)
    found = told(root, user_services(live(root), ME, 262))
    assert {key: state for key, (state, *_) in found.items()} == {"a:c": "ready", "a:k": "skipped"}


def test_a_unit_that_failed_has_the_words_of_its_own_manager(
    root: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "credentials_failure", lambda unit, user: f"words of {unit} and {user}")
    ended = {"ExecMainCode": ("i", 1), "ExecMainStatus": ("i", 243)}
    manager.has("a.service", load("k", "K"), running=False, Result=("s", "exit-code"), **ended)
    services = user_services(live(root), ME, 262)
    assert services.services[0].failure == f"words of a.service and {UID}"
    assert f"a.service of {MANAGER} failed at its credentials" in services.findings[0].message


def test_what_is_in_the_guest_and_not_handed_on_is_said(root: Path, manager: UserManager) -> None:
    manager.has("a.service", load("k", "API_KEY"), load("n", "NOBODYS"))
    services = user_services(live(root), ME, 262)
    advice = lambda *_: pytest.fail("that is for units of PID 1's")  # noqa: E731
    kept, nobodys = with_lacks(services, None, advice, frozenset({"API_KEY"})).findings
    assert (
        kept.message
        == f"a.service of {MANAGER} goes without API_KEY: it is in the guest, and {MANAGER} does not hand it on"
    )
    assert f"systemctl edit {MANAGER}" in kept.fix and kept.fix.endswith("\n[Service]\nLoadCredential=API_KEY")
    assert nobodys.names == ("NOBODYS",) and "NOBODYS=FILE for 'guestcred launch'" in nobodys.fix


def test_a_name_that_may_be_a_secret_is_hidden(root: Path, manager: UserManager) -> None:
    secret = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjI"
    put(root, f"{RUNTIME}/credstore/{secret}", b"")
    put(root, f"{RUNTIME}/credentials/b.service/{secret}", b"")
    manager.has("a.service", Request(IMPORT, "", "*"))
    manager.has("b.service", load("x", "x"))
    services = user_services(live(root), ME, 262)
    assert len(told(root, services)) == 3
    assert secret not in services_text(services, False) + json.dumps(services_json(services))


HOSTILE: dict[str, Answer] = {
    "silent": lambda _: None,
    "garbage": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9,
    "hangs up": lambda _: b"",
    "endless": lambda message: repeat(reply(message, "s", struct.pack("<I", 1) + b"x\0", serial=77)),
    "wrong types": lambda message: new_method_return(message, "s", ("text",)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_manager_that_is_none(
    root: Path, listen: Callable[..., Peer], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "USER_TIMEOUT", 0.3)
    listen(HOSTILE[kind])
    begin = time.monotonic()
    with pytest.raises(GuestcredError, match="cannot ask the user manager for its units") as caught:
        user_services(live(root), ME, 262)
    assert caught.value.status == 3 and time.monotonic() - begin < 5


def test_a_manager_that_takes_too_long_is_left(root: Path, listen: Callable[..., Peer]) -> None:
    listen(lambda _: None)
    begin = time.monotonic()
    with pytest.raises(GuestcredError, match="it took more than 0 seconds"):
        user_services(live(root), ME, 262, seconds=0.3)
    assert time.monotonic() - begin < 5


def test_its_bus_stands_in(root: Path, listen: Callable[..., Peer]) -> None:
    made = UserManager()
    made.has("a.service", load("k", "K"))
    peer = listen(made, "bus")
    assert told(root, user_services(live(root), ME, 262)) == {"a:k": ("skipped", None, None)}
    assert peer.asked[0] == "Hello"


def test_a_socket_where_another_user_listens_is_not_asked(
    root: Path, listen: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a link there leads to PID 1's own."""
    peer = listen(UserManager())
    monkeypatch.setattr(os, "geteuid", lambda: UID + 1)
    with pytest.raises(GuestcredError, match="another user listens there"):
        bus.read_user_units(f"{root}/{RUNTIME}")
    assert peer.asked == []


@pytest.mark.parametrize(
    ("unit", "request_"),
    [
        ("a\x1b[31m.service", load("k", "K")),
        ("a.service", load("k\x1b[31m", "K")),
        ("a.service", load("k", "\x9b31m")),
    ],
)
def test_what_could_steer_a_terminal_is_refused(root: Path, manager: UserManager, unit: str, request_: Request) -> None:
    manager.has(unit, request_)
    with pytest.raises(GuestcredError, match="cannot be printed"):
        user_services(live(root), ME, 262)


@pytest.mark.parametrize(
    "source", ["../../../../etc/passwd", "..", "/", "/" + "x" * 5000, "x" * 300, "/proc/self/mem", "/dev/zero", ""]
)
def test_sources_that_are_none(root: Path, manager: UserManager, source: str) -> None:
    manager.has("../../../etc.service", load("../../passwd", source))
    with suppress(GuestcredError):
        assert {state for state, *_ in told(root, user_services(live(root), ME, 262)).values()} <= {"skipped", "fatal"}


@pytest.mark.parametrize("names", [["a\x1b[31m"], [1], [None], "ab", 1])
def test_texts_that_are_none_are_refused(names: object) -> None:
    good = {"code": "failed", "message": "it failed", "fix": "mend it", "names": ["a"], "cause": None}
    assert from_json(Finding, good) == Finding("failed", "it failed", "mend it", names=("a",))
    with pytest.raises(ValueError, match="wrong names in a Finding"):
        from_json(Finding, good | {"names": names})


def test_all_that_run_are_asked(root: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.has("a.service", load("k", "K"))
    monkeypatch.setattr(user_manager, "find_user", lambda _, word: ME if int(word) == UID else None)
    managers = (MANAGER, "user@4000000001.service", f"user@0{UID}.service", "user@x.service")
    asked, why = all_users(live(root), managers, 262)
    assert [service.unit for one in asked for service in one.services] == ["a.service"]
    assert set(why) == set(managers[1:]) and set(why.values()) == {"nobody is known by that number"}
    monkeypatch.setattr(user_units, "ALL_SECONDS", 0.0)
    assert all_users(live(root), managers[:1], 262) == ([], {MANAGER: "all took more than 0 seconds"})


@pytest.mark.parametrize("runs", [True, False])
def test_services_has_them_beside_pid_1s(
    root: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], runs: bool
) -> None:
    for name in ("API_KEY", "OTHER"):
        put(root, f"run/credentials/@system/{name}")
    manager.has("a.service", load("k", "API_KEY"))
    units = (parse_unit("s.service", "active", {"LoadCredential": [("o", "OTHER")], "User": "svc"}),)
    managers = (MANAGER, "user@4000000001.service") if runs else ()
    monkeypatch.setattr(bus, "read_units", lambda _: bus.Loaded(units=units, managers=managers))
    monkeypatch.setattr(user_manager, "find_user", lambda _, word: ME if int(word) == UID else None)
    monkeypatch.setattr(commands, "Tree", lambda path: live(Path(path)))
    if not runs:
        monkeypatch.setattr(user_units, "all_users", lambda *_: pytest.fail("nobody has a manager"))
    assert commands.services(View(root=str(root), systemd=262)) == 1
    said = capsys.readouterr().out
    # what a user's unit requests is not unrequested
    assert "s.service  active, user svc\n" in said and ("no loaded unit requests API_KEY" in said) != runs
    assert (f"a.service  active, user {ME.name}, of {MANAGER}\n" in said) == runs
    assert ("  user@4000000001.service: nobody is known by that number\n" in said) == runs
    assert commands.services(View(root=str(root), systemd=262, form="json")) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["user_managers"] == list(managers[1:])
    assert [service["manager"] for service in document["services"]] == [None, MANAGER][: 1 + runs]


def test_services_of_one_user(
    root: Path, manager: UserManager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, f"{GIVEN}/API_KEY")
    put(root, f"{RUNTIME}/credentials/a.service/k")
    manager.has("a.service", load("k", "API_KEY"))
    monkeypatch.setattr(commands, "Tree", lambda path: live(Path(path)))
    for word in (ME.name, str(UID)):
        assert commands.services(View(root=str(root), systemd=262), "a", user=word) == 0
    assert f"  delivered    k  14 bytes  {root}/{GIVEN}/API_KEY\n" in capsys.readouterr().out
    with pytest.raises(GuestcredError, match="there is no user nobody-here") as caught:
        commands.services(View(root=str(root), systemd=262), user="nobody-here")
    assert caught.value.status == 2


def fails(work: Callable[[], bytes], seconds: float = 20.0) -> str:
    with pytest.raises(GuestcredError) as caught:
        as_user(ME, work, seconds)
    return caught.value.problem


def test_a_process_that_fails_says_no_value() -> None:
    def raises() -> bytes:
        raise ValueError(SECRET)

    def ends() -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    assert fails(raises).endswith(": ValueError")
    assert fails(lambda: bytes(1 << 29)).endswith(": MemoryError")
    assert fails(lambda: b"x" * (9 << 20)).endswith("it said more than 8 MiB")
    assert fails(ends).endswith("ended without a word")
    assert as_user(ME, lambda: SECRET) == SECRET


def test_what_it_started_ends_with_it() -> None:
    ours, theirs = os.pipe()

    def hangs() -> bytes:
        if os.fork() == 0:
            signal.alarm(60)  # so that it does not outlive a test that fails
            os.write(theirs, os.getpid().to_bytes(4, "little"))
        signal.pause()
        return b""

    assert "took more than" in fails(hangs, 0.5)
    left = int.from_bytes(os.read(ours, 4), "little")
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(left)
        assert select.select([handle], [], [], 10)[0]


def test_only_root_becomes_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(GuestcredError, match="only root and else may look"):
        as_user(User(name="else", uid=4321, gid=1, groups=(1,)), lambda: b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user: sudo make test-fast")
def test_root_becomes_that_user_for_good(root: Path) -> None:
    nobody = User(name="nobody", uid=65534, gid=65534, groups=(65534,))
    put(root, "secret")
    (root / "secret").chmod(0o600)
    root.chmod(0o711)
    (root / "link").symlink_to("secret")
    tree = Tree(str(root))

    def seen() -> bytes:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        with pytest.raises(PermissionError):
            os.setuid(0)
        return json.dumps(
            {
                "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
                "capabilities": [int(status[key], 16) for key in ("CapEff", "CapPrm", "CapInh")],
                "privileges": status["NoNewPrivs"].strip(),
                "locked": [tree.is_locked(path) for path in ("secret", tree.follow("link"), "gone")],
            }
        ).encode()

    assert json.loads(as_user(nobody, seen)) == {
        "ids": [65534] * 7,
        "capabilities": [0, 0, 0],
        "privileges": "1",
        "locked": [True, True, False],
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user: sudo make test-fast")
def test_a_users_link_to_a_file_of_roots_shows_nothing_of_it(root: Path) -> None:
    """Its manager, its stores and its folders are all the user's own; root's file is not the user's to read."""
    nobody = User(name="nobody", uid=65534, gid=65534, groups=(65534,))
    runtime = root / "run/user/65534"
    (runtime / "systemd").mkdir(parents=True)
    (runtime / "credstore").mkdir()
    put(root, "secret")
    (root / "secret").chmod(0o600)
    (runtime / "credstore/key").symlink_to("/secret")
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    os.chown(runtime / "systemd", 65534, 65534)
    made = UserManager()
    made.has("a.service", load("k", "key"), Request(IMPORT, "", "ke*"), running=False)
    ready, tell = os.pipe()
    server = os.fork()
    if server == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            peer = Peer(runtime / "systemd/private", made, WELCOME, 0.01)
            os.write(tell, b"x")
            peer.run()
        finally:
            os._exit(1)
    try:
        assert os.read(ready, 1) == b"x"
        services = user_services(live(root), nobody, 262)
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    (service,) = services.services
    assert [(one.id, one.state, one.reason, one.size) for one in service.credentials] == [
        ("k", "fatal", "locked", None),
        ("key", "fatal", "locked", None),
    ]
