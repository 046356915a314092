"""Where `look` finds that all arrived, the rescue would have written nothing; and it finds that where nothing was lost.
However it ends, the rescue finds its two folders."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from applying import offer
from conftest import FIXTURES, Build
from hypothesis import event, given
from hypothesis import strategies as st
from needs import PATH, need

from guestcred.apply.wanted import want
from guestcred.guest.rootfs import Tree
from guestcred.smbios.layout import build_structure

SCRIPT = Path(__file__).parent.parent / "packaging/systemd/look"
DOUBT, ARRIVED = False, True
TEXT, BINARY = b"io.systemd.credential:", b"io.systemd.credential.binary:"
HERE = {"A": b"1", "B.c-d": b"2"}

pytestmark = pytest.mark.root


def looks(root: Path, path: str = PATH) -> bool:
    """What it finds; it never fails, and makes the folders of the rescue."""
    done = subprocess.run([SCRIPT, root], env={"PATH": path}, capture_output=True, check=True)
    assert done.stdout == b""
    flag = root / "run/guestcred-arrived"
    found = flag.exists()
    flag.unlink(missing_ok=True)
    for folder in (root / "run/guestcred", root / "run/credstore"):
        status = folder.stat()
        assert (status.st_uid, status.st_gid, status.st_mode) == (0, 0, stat.S_IFDIR | 0o700)
        folder.rmdir()
    return found


def rescued(root: Path) -> list[str]:
    return [file.name for file in want(Tree(str(root)), None, early=True).plan.rescues]


@pytest.mark.parametrize(
    ("strings", "status"),
    [
        ([TEXT + b"A=1"], ARRIVED),
        ([b"no credential", BINARY + b"B.c-d=Mg==", b"A=1"], ARRIVED),
        ([TEXT + b"A=1", TEXT + b"A=other"], ARRIVED),
        ([TEXT + b"A=" + TEXT + b"C=3"], ARRIVED),
        ([TEXT + b"A=\n\n1\n"], ARRIVED),
        ([b"other vendor's"], ARRIVED),
        ([], ARRIVED),
        ([TEXT + b"C=3"], DOUBT),
        ([TEXT + b"A=1", BINARY + b"C=Mw=="], DOUBT),
        ([TEXT + b"A.*=1"], DOUBT),
        ([TEXT + b"*=1"], DOUBT),
        ([TEXT + b"A\n=1"], DOUBT),
        # what PID 1 refused is for the rescue to tell
        ([TEXT + b"=1"], DOUBT),
        ([TEXT + b"x/y=1"], DOUBT),
        ([b"io.systemd.credentials:A=1"], DOUBT),
    ],
)  # fmt: skip
def test_what_was_lost_is_seen(tree: Build, strings: list[bytes], status: bool) -> None:
    assert looks(tree(strings, HERE)) == status


def test_every_structure_counts(tree: Build) -> None:
    raws = [build_structure(11, handle, [TEXT + name + b"=1"]) for handle, name in ((1, b"A"), (2, b"C"))]
    assert looks(tree(system=HERE, entries=raws[:1])) == ARRIVED
    assert looks(tree(system=HERE, entries=raws, root="two")) == DOUBT
    assert looks(tree(system={**HERE, "C": b"1"}, entries=raws, root="three")) == ARRIVED


def test_handles_and_counts_of_any_byte(tree: Build) -> None:
    """A NUL or a newline there is no end of a string."""
    for number, handle in enumerate((0, 0x000A, 0x0A00, 0x0A0A, 0xFFFF)):
        for strings in ([TEXT + b"A=1"], [TEXT + b"C=1"], [TEXT + b"A=1"] * 10):
            root = tree(system=HERE, entries=[build_structure(11, handle, strings)], root=f"{number}-{len(strings)}")
            assert looks(root) == (DOUBT if b"C" in strings[0] else ARRIVED)


def test_without_what_it_looks_at(tree: Build) -> None:
    strings = [TEXT + b"A=1"]
    assert looks(tree(strings, HERE, root="whole")) == ARRIVED
    assert looks(tree(strings, HERE, entries=False, root="no entries")) == DOUBT
    assert looks(tree(strings, root="nothing imported")) == DOUBT
    empty = tree([TEXT + b"*=1"], HERE, root="empty")
    shutil.rmtree(empty / "run/credentials/@system")
    (empty / "run/credentials/@system").mkdir()
    assert looks(empty) == DOUBT  # though '*' stands for itself there
    raw = build_structure(11, 0x0E00, strings)
    for size in range(len(raw)):
        assert looks(tree(system=HERE, entries=[raw[:size]], root="cut")) == DOUBT


@pytest.mark.parametrize("program", ["awk", "setpriv"])
@pytest.mark.parametrize("script", [None, "exit 1", "exit 0", "kill -9 $$"])
def test_a_reader_that_fails_is_no_proof(tree: Build, tmp_path: Path, program: str, script: str | None) -> None:
    for name in ("awk", "setpriv", "mkdir"):
        if name != program:
            (tmp_path / name).symlink_to(need(name))
        elif script is not None:
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
    assert looks(tree([TEXT + b"A=1"], HERE), str(tmp_path)) == DOUBT


def test_the_folders_are_there_before_anything_can_take_too_long(tree: Build, tmp_path: Path) -> None:
    root = tree([TEXT + b"A=1"], HERE)
    (tmp_path / "mkdir").symlink_to(need("mkdir"))
    (tmp_path / "setpriv").write_text("#!/bin/sh\nkill -9 $PPID\n")
    (tmp_path / "setpriv").chmod(0o755)
    done = subprocess.run([SCRIPT, root], env={"PATH": str(tmp_path)}, check=False)
    assert done.returncode == -9 and (root / "run/guestcred").is_dir() and (root / "run/credstore").is_dir()


def test_folders_that_are_there_stay_as_they_are(tree: Build) -> None:
    root = tree([TEXT + b"C=3"], HERE)
    others = root / "run/credstore"
    others.mkdir(mode=0o755)
    (others / "KEY").write_bytes(b"theirs")
    subprocess.run([SCRIPT, root], env={"PATH": PATH}, check=True)
    assert others.stat().st_mode == stat.S_IFDIR | 0o755 and (others / "KEY").read_bytes() == b"theirs"
    assert (root / "run/guestcred").stat().st_mode == stat.S_IFDIR | 0o700


def test_who_reads_the_strings_can_do_nothing_else(tree: Build, folder: Path) -> None:
    """No rights, no core file, nothing written; and nobody sees a name among its arguments."""
    root = tree([TEXT + b"A=1"], HERE)
    told = "cat /proc/$$/status; ulimit -c; ulimit -f; ls /proc/$$/fd; tr '\\0' '\\n' </proc/$$/cmdline"
    folder.chmod(0o755)
    (folder / "awk").write_text(f"#!/bin/sh\n{{ {told}; }} >&2\nexit 7\n")
    (folder / "awk").chmod(0o755)
    done = subprocess.run(
        ["prlimit", "--core=4096", SCRIPT, root],
        env={"PATH": f"{folder}:{PATH}"}, extra_groups=[12345], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and (root / "run/guestcred-arrived").read_bytes() == b""
    status = dict(line.split(":\t", 1) for line in done.stderr.splitlines() if ":\t" in line)
    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4 and status["Groups"].strip() == ""
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert status["NoNewPrivs"] == "1"
    rest = done.stderr.splitlines()[len(status) :]
    assert rest[:2] == ["0", "0"] and "B.c-d" not in done.stderr


@pytest.mark.parametrize("capture", sorted(path.name for path in FIXTURES.iterdir() if path.is_dir()))
def test_captured_guests(capture: str, tmp_path: Path) -> None:
    """Those that lost nothing need no rescue, and where none is needed none would be made."""
    shutil.copytree(FIXTURES / capture, tmp_path / "guest", symlinks=True)
    root = tmp_path / "guest"
    shutil.rmtree(root / "run/credstore", ignore_errors=True)
    arrived = looks(root)
    assert arrived or capture not in ("debian12-reference", "debian14-reference", "cloud-hypervisor-54")
    assert not arrived or rescued(root) == []


PREFIXES = st.sampled_from(
    [TEXT, BINARY, b"io.systemd.credential", b"xio.systemd.credential:", b"io.systemd.cred:", b"x"]
)
NAMES = st.sampled_from([b"A", b"B", b"C.d", b"e-f", b"a b", b"*", b"\xc3\xa9", b"", b"x/y", b".h"])
VALUES = st.sampled_from([b"=", b"=1", b"=Mg==", b"=\n", b"=\x01/", b"=" + TEXT + b"A=1", b"=" + b"\xff" * 300, b""])
STRINGS = st.builds(lambda *parts: b"".join(parts), PREFIXES, NAMES, VALUES)


@given(st.lists(STRINGS, max_size=6), st.sets(st.sampled_from(["A", "B", "C.d", "e-f", "*"])))
def test_where_it_is_skipped_it_would_have_written_nothing(
    tmp_path_factory: pytest.TempPathFactory, strings: list[bytes], imported: set[str]
) -> None:
    root = tmp_path_factory.mktemp("guest")
    offer(root, dict.fromkeys(imported, "1"), sorted(imported))
    raw = build_structure(11, 0x0E00, strings)
    (root / "sys/firmware/dmi/entries/11-0/raw").write_bytes(raw)
    (root / "sys/firmware/dmi/tables/DMI").write_bytes(raw + build_structure(127, 1))
    status = looks(root)
    event("needless" if status else "needed")
    if status == ARRIVED:
        assert rescued(root) == []
    shutil.rmtree(root)
