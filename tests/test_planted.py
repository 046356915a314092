"""Secrets in every spelling, with and without a name, planted in guests: nothing printed, told or left shows a piece of one."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import click
import pytest
import schemas
from applying import put
from needs import memory
from test_services import consumer, default, given, imports, load

from guestcred.apply import install, notify
from guestcred.apply.plan import Plan, unknown_user
from guestcred.cli.command_line import main, run
from guestcred.cli.commands import show_error
from guestcred.errors import GuestcredError
from guestcred.guest.config import read_services
from guestcred.guest.deliveries import Look, consumers_json
from guestcred.guest.rootfs import Tree
from guestcred.guest.sources import Observed
from guestcred.record import Record
from guestcred.smbios.layout import build_entry_point, build_structure
from guestcred.smbios.walk import parse
from guestcred.systemd.offered import Accepted, Rejected, judge

EXACT = {"text": "io.systemd.credential:", "binary": "io.systemd.credential.binary:"}
MISSPELT = (
    "io.systemd.crendential:", "io.systemd.crdential:", "io.systemd.creential:", "systemd.cred:", "io.credential.systemd:",
    "io.systemd:", "IO.Systemd.Credentials.Binary:", " io.systemd.credential:",
)  # fmt: skip
UNRELATED = "", "io.systemd.stub.kernel-cmdline-extra=", "org.vendor:", "io.systemd.secret:"
LENGTHS = 8, 16, 32, 44, 64, 88
ENDINGS = "", "\n", "\r\n"
# without a name, with one, and without one and an '=' that somebody typed for it
NAMINGS = "{0}", "KEY_{1}={0}", "{0}="
WORDS = ["tangerine", "hunter2hunter2", "lighthouse", "Wonderland", "umbrella", "sparrow", "quicksilver", "gondola"]
# what the options and arguments of commands are given, by the name of the parameter; None leaves out one that may be
NEVER = {"reveal"}
# have no guest to look at, and print what they are told to encode
HOST = {"encode", "launch", "stop", "completion", "schema"}


def encoded(encode: str, chance: random.Random, length: int) -> str:
    """Base64 or base32 of that length, mostly with padding, which is what makes a name of the rest."""
    if encode == "b32encode":
        return base64.b32encode(chance.randbytes(length // 8 * 5 - 1)).decode()
    data = chance.randbytes(length // 4 * 3 - chance.choice((0, 1, 2, 1, 2)))
    made: bytes = getattr(base64, encode)(data)
    return made.decode()


def spelt(characters: str, chance: random.Random, length: int) -> str:
    return "".join(chance.choices(characters, k=length))


def words(chance: random.Random, length: int) -> str:
    return chance.choice("-. _").join(chance.choices(WORDS, k=20))[:length].strip("-. _").ljust(length, "x")


# without what is escaped in output, and without '=', which divides a name from its value
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\=')
ALPHABETS = {
    "base64": lambda chance, length: encoded("b64encode", chance, length),
    "URL-safe base64": lambda chance, length: encoded("urlsafe_b64encode", chance, length),
    "base32": lambda chance, length: encoded("b32encode", chance, length),
    "hexadecimal": lambda chance, length: spelt("0123456789abcdef", chance, length),
    "words": words,
    "printable": lambda chance, length: spelt(PRINTABLE, chance, length),
    "in a name": lambda chance, length: spelt(PRINTABLE.translate({ord("/"): None, ord(":"): None}), chance, length),
}


class Planted(Record):
    """A string in the table, and the secret in it."""

    string: bytes
    secret: str
    named: bool


def plant(prefixes: Sequence[str]) -> list[Planted]:
    """All combinations behind each prefix."""
    chance = random.Random(" ".join(prefixes))
    planted = []
    # behind no exact prefix, nothing depends on whether PID 1 would take a name
    many = len(NAMINGS) if prefixes[0] in EXACT.values() else 2
    shapes = itertools.product(prefixes, ALPHABETS.values(), LENGTHS, ENDINGS, NAMINGS[:many])
    for number, (prefix, make, length, ending, naming) in enumerate(shapes):
        secret = make(chance, length)
        string = prefix + naming.format(secret, number) + ending
        planted.append(Planted(string.encode(), secret, naming.startswith("KEY")))
    return planted


GUESTS = {
    **{f"{name}, {state}": ([prefix], state) for name, prefix in EXACT.items() for state in ("missing", "imported")},
    "text, by others": ([EXACT["text"]], "elsewhere"),
    "misspelt": (MISSPELT, "missing"),
    "unrelated": (UNRELATED, "missing"),
}


def guest(root: Path, planted: list[Planted], state: str) -> list[str]:
    """The names that PID 1 takes in a guest that is offered these, each in a Type 11 of its own, so that none is hidden for the one before it."""
    structures = [build_structure(11, 0x1000 + number, [one.string]) for number, one in enumerate(planted)]
    table = b"".join(structures) + build_structure(127, 0x7F00)
    offered = judge(parse(table).structures, 257)
    taken = {verdict.name: verdict.value for verdict in offered if isinstance(verdict, Accepted)}
    if state == "elsewhere":
        # names that came by other ways, and nothing of them in the table
        table, structures = build_structure(127, 0x7F00), []
    put(root, "sys/firmware/dmi/tables/DMI", table)
    put(root, "sys/firmware/dmi/tables/smbios_entry_point", build_entry_point(len(table), long=True, major=3))
    (root / "sys/firmware/dmi/entries").mkdir(parents=True)
    # where no string is one that PID 1 reads, some of what it sees is as good as all
    for number, structure in enumerate(structures if taken else structures[::50]):
        put(root, f"sys/firmware/dmi/entries/11-{number}/raw", structure)
    put(root, "capture.json", b'{"systemd": "systemd 257 (257.13-1)"}')
    put(root, "etc/passwd", b"root:x:0:0::/:/bin/sh\n")
    (root / "run/credentials/@system").mkdir(parents=True)
    for number, (name, value) in enumerate(taken.items()):
        folders = ["run/credentials/@system"] if state != "missing" else []
        if state == "elsewhere":
            folders.append(
                ("run/credentials/@initrd", "etc/credstore", "run/credentials/@encrypted", "usr/lib/credstore")[
                    number % 4
                ]
            )
            if number % 5 == 0:
                (root / "run/credentials/@system" / name).mkdir()
                continue
        for folder in folders:
            put(root, f"{folder}/{name}", value)
    delivered = tuple(given(name, len(value)) for name, value in taken.items())
    units = [
        consumer(
            imports("*"),
            imports("KEY*"),
            load("x", "/srv/x"),
            delivered=delivered,
        ),
        consumer(default("x"), name="gone.service", delivered=delivered),
    ]
    outside = {"/srv/x/": None, **{f"/srv/x/{name}": len(value) for name, value in taken.items()}}
    put(root, "units.json", json.dumps(consumers_json(Look(tuple(units), (), Observed(outside)))))
    if not os.geteuid():
        put(root, "etc/guestcred/demo.toml", '[services.demo]\nuser = "root"\nimport = ["*"]\n')
    return list(taken)


def leaves(group: click.Group) -> Iterator[tuple[list[str], click.Command]]:
    """Each command with its words, those of groups within too."""
    for name, command in group.commands.items():
        below = leaves(command) if isinstance(command, click.Group) else [([], command)]
        yield from (([name, *words], leaf) for words, leaf in below)


def invocations(group: click.Group, root: Path, names: list[str]) -> Iterator[list[str]]:
    """Every command of the group in both formats, with each of its options by itself; a new one comes by itself too.

    A new option or argument with a value has to be given one here.
    """
    free = itertools.count()
    values: dict[str, list[str | None]] = {
        "name": list(names),
        "require": list(names),
        "root": [str(root)],
        "systemd": ["252"],
        "unit": [None, "demo"],
        "user": ["root"],
        "path": [None],
        "kinds": ["11", "1", "memory", "all"],
        "handle": ["0x1000"],
        "keyword": ["system-product-name"],
        "target": [f"{root.parent}/saved"],
        "saved": [None],
        "dev_mem": ["/dev/mem"],
        "oem_string": ["1"],
        "source": [f"{root}/vm.json"],
        "page": [f"{root}/out.html", "-"],
        "form": ["text", "json"],
        "files": [None],
        "metrics": [f"{root}/out.prom"],
    }
    for words, command in leaves(group):
        name = words[0]
        if name in HOST:
            continue
        options: list[list[str]] = [[]]
        arguments: list[list[str]] = [[]]
        for parameter in command.params:
            if parameter.name in NEVER or parameter.name == "form":
                continue
            if isinstance(parameter, click.Option) and parameter.is_flag:
                options.append([parameter.opts[0]])
                continue
            assert parameter.name in values, f"give the parameter {parameter.name} of {name} values here"
            given_values = values[parameter.name]
            if isinstance(parameter, click.Option):
                each = [[parameter.opts[0], str(value)] for value in given_values]
                options += [list(itertools.chain(*each))] if parameter.multiple else each
            elif parameter.name == "path" and parameter.required:
                arguments = [["a new folder"]]
            else:
                arguments = [[] if value is None else [value] for value in given_values]
        for option, argument, form in itertools.product(options, arguments, ("text", "json")):
            argument = [f"{root}/out{next(free)}"] if argument == ["a new folder"] else argument
            yield ["--root", str(root), *words, "--format", form, *option, "--", *argument]


def output(arguments: list[str]) -> str:
    """What the program prints, in this process."""
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        try:
            run(arguments)
        except GuestcredError as error:
            show_error(error)
    schemas.hold(told.getvalue())
    return told.getvalue()


def written(root: Path) -> dict[str, bytes]:
    """Every file, folder and link below the root, with content or target."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            content = os.readlink(path).encode() if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(root))] = content
    return found


class Search:
    """Finds 8 characters in a row of any secret, and one that is shorter as a whole."""

    def __init__(self, planted: list[Planted]) -> None:
        self._pieces: dict[int, set[str]] = {}
        for one in planted:
            secret = one.secret.rstrip("=")
            size = min(len(secret), 8)
            pieces = {secret[start : start + size] for start in range(len(secret) - size + 1)}
            self._pieces.setdefault(size, set()).update(pieces)

    def find(self, text: str) -> set[str]:
        found = set()
        for line in set(text.splitlines()):
            for size, pieces in self._pieces.items():
                found |= pieces.intersection([line[start : start + size] for start in range(len(line) - size + 1)])
        return found


OWN_VALUES = "run/credstore/", "run/guestcred/.generation-"


@pytest.mark.parametrize("kind", GUESTS)
def test_no_piece_of_a_secret_is_shown(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prefixes, state = GUESTS[kind]
    planted = plant(prefixes)
    search = Search(planted)
    journal: list[str] = []

    def tell(plan: Plan, headline: str) -> bool:
        journal.append(f"{headline}\n{notify.entries(plan)}")
        return True

    monkeypatch.setattr(notify, "tell", tell)
    monkeypatch.setattr(install, "_lock", lambda *_: None)  # only the end of a process drops it
    with memory() as folder:
        root = folder / "guest"
        taken = guest(root, planted, state)
        before = written(root)
        forgotten = [
            one for one in planted if not one.named and (state == "missing" or one.secret.rstrip("=") in taken)
        ]
        chosen = forgotten[len(forgotten) // 3 :: len(forgotten) // 3]
        names = [one.secret.rstrip("=") for one in chosen] + [
            f"{0x1000 + planted.index(one):#06x}:1" for one in chosen[:1]
        ]
        outputs = {
            " ".join(call[2:]): output(call) for call in invocations(main, root, [*names, "[43 characters hidden]"])
        }
        after = written(root)
    for call, told in outputs.items():
        leaked = search.find(told)
        assert (told or " -q " in call) and not leaked, f"{call} shows {leaked}"
    applied = [call for call in outputs if call.startswith("apply ") and "--dry-run" not in call]
    assert len(journal) == len(applied) > 1 and not search.find("\n".join(journal))
    new = {path: content for path, content in after.items() if before.get(path) != content}
    assert any(path.startswith("out") for path in new) and "run/guestcred/report.json" in new
    for path, content in new.items():
        assert not search.find(path), path
        if not (path.startswith(OWN_VALUES) and not path.endswith("report.json")):
            assert not search.find(content.decode("latin-1")), path


@pytest.mark.parametrize("kind", GUESTS)
def test_no_piece_of_a_secret_is_in_a_forecast(kind: str, tmp_path: Path) -> None:
    planted = plant(GUESTS[kind][0])
    config = tmp_path / "vm.json"
    config.write_text(json.dumps({"platform": {"oem_strings": [one.string.decode() for one in planted]}}))
    for options in ([], ["-v"], ["--json"], ["--systemd", "252"]):
        told = output(["status", "--from", str(config), *options])
        assert told and not Search(planted).find(told)


# where in a TOML file a value may be pasted; the last are told by tomllib itself, which stops at the first
PASTED = {
    **{f"{key} as {form}": (f"[services.demo]\n{key} = [\n{{}}]\n", f"{form},\n") for key, form in itertools.product(
        ("load", "import", "set", "required"),
        ('"{0}"', '"{0}", "{0}"', '"key:{0}"', '"{0}:key", "{0}:key"', '"key:/run/../{0}", "/run/credstore/{0}"', '"{0}*", "*{0}"'),
    )},
    "user": ("{}", '[services.demo{1}]\nuser = "{0}"\n'),
    "a key": ("[services.demo]\n{}", '"{0}" = 1\n'),
    "a key of the file": ("{}", '"{0}" = 1\n'),
    "the name of a service": ("{}", '[services."/{0}"]\nuser = "root"\n'),
    "a key twice": ("{}", '"{0}" = 1\n"{0}" = 1\n'),
    "a table twice": ("{}", '["it\'s"."{0}"]\n["it\'s"."{0}"]\n'),
    "an inline table": ("{}", 'x = {{"{0}" = 1, "{0}" = 1}}\n'),
}  # fmt: skip


@pytest.mark.parametrize("place", PASTED)
def test_no_piece_of_a_secret_pasted_into_toml_is_told(place: str, tmp_path: Path) -> None:
    planted = [one for one in plant([EXACT["text"]]) if one.string.endswith(one.secret.encode())]
    frame, form = PASTED[place]
    pieces = [form.format(one.secret, number) for number, one in enumerate(planted)]
    texts = [frame.format("".join(pieces))] + [frame.format(piece) for piece in pieces[:: len(pieces) // 7]]
    for number, text in enumerate(texts):
        file = put(tmp_path, f"{number}/etc/guestcred/a.toml", text)
        told = [output([*words, "config", "check", *given]) for words, given in (
            ([], [str(file)]), (["--root", f"{tmp_path}/{number}"], []), (["--json", "--root", f"{tmp_path}/{number}"], []),
        )]  # fmt: skip
        with pytest.raises(GuestcredError) as caught:
            services = read_services(Tree(f"{tmp_path}/{number}"))
            raise unknown_user(services[0], "a.toml")
        for said in (*told, caught.value.problem, *caught.value.hints):
            assert said and not Search(planted).find(said)


def test_the_matrix_has_all_that_it_should() -> None:
    """The strings are what they are meant to be: names that PID 1 takes for secrets, and refusals."""
    taken = {
        state: [judge(parse(build_structure(11, 1, [one.string])).structures, 257)[0] for one in plant(prefixes)]
        for state, (prefixes, _) in GUESTS.items()
    }
    for kind in ("text, missing", "binary, missing"):
        bare = [
            verdict for verdict in taken[kind] if isinstance(verdict, Accepted) and verdict.name not in verdict.shown
        ]
        assert len(bare) > 90
    assert any(isinstance(verdict, Rejected) for verdict in taken["text, missing"])
    assert not any(
        isinstance(verdict, (Accepted, Rejected)) for kind in ("misspelt", "unrelated") for verdict in taken[kind]
    )
