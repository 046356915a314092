"""The mutation tool itself: what it changes, what it says of a survivor, and that its list is of the code that is there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import mutants
import pytest

TESTS = Path(__file__).parent
MODULE = "systemd/rules.py"
CODE = '''"""Doc string."""

SINCE = 254  # a comment


def known(version: int | None, flags: int) -> bool:
    """Another."""
    if version is None or flags & 1:
        return False
    return max(version, 5) >= SINCE
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one module, with the tool in it."""
    for folder in mutants.COPIED:
        (tmp_path / folder).mkdir()
    (tmp_path / "guestcred" / MODULE).parent.mkdir()
    for package in ("guestcred", "guestcred/systemd"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "guestcred" / MODULE).write_text(CODE)
    shutil.copy(TESTS / "mutants.py", tmp_path / "tests")
    return tmp_path


def run(project: Path, test: str, survivors: str = "") -> tuple[int, str]:
    """Exit status and output of the tool, where `test` is all that the only test says."""
    (project / "tests/test_rules.py").write_text(
        f"from guestcred.{MODULE[:-3].replace('/', '.')} import known\n\n\ndef test_it():\n    {test}\n"
    )
    (project / "tests/mutants.toml").write_text(survivors)
    command = [sys.executable, str(project / "tests/mutants.py"), MODULE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_is_changed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "PACKAGE", project / "guestcred")
    assert [f"{mutant.number}: {mutant.change}" for mutant in mutants.mutants(MODULE)] == [
        "3: 254 -> 253",
        "3: 254 -> 255",
        "8: version is None -> version is not None",
        "8: version is None or flags & 1 -> flags & 1",
        "8: version is None or flags & 1 -> version is None",
        "8: version is None or flags & 1 -> version is None and flags & 1",
        "8: flags & 1 -> flags | 1",
        "8: 1 -> 0",
        "8: 1 -> 2",
        "9: False -> True",
        "10: max(version, 5) -> min(version, 5)",
        "10: max(version, 5) >= SINCE -> max(version, 5) < SINCE",
        "10: max(version, 5) >= SINCE -> max(version, 5) > SINCE",
        "10: 5 -> 4",
        "10: 5 -> 6",
    ]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("a = os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC", ["os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC -> os.O_RDONLY | os.O_CLOEXEC"]),
        ("own(fd)\nmode(fd)", ["own(fd) -> pass", "mode(fd) -> pass", "own(fd) <-> mode(fd)"]),
        ("for a in b:\n    c(a)\nown()", ["for a in b: <-> own()", "c(a) -> pass", "own() -> pass"]),
        ("x = f'{a == 1}'\nassert a == 1\ny: int | None = a", []),
        ("Verdict = Accepted | Rejected", []),
        ("Replace = Callable[[str, bytes], bytes]", []),
        ("if a in (b, c):\n    raise d", [
            "a in (b, c) -> a not in (b, c)", "c left out", "b left out", "raise d -> pass"]),
    ],
)  # fmt: skip
def test_changes(project: Path, monkeypatch: pytest.MonkeyPatch, code: str, changes: list[str]) -> None:
    monkeypatch.setattr(mutants, "PACKAGE", project / "guestcred")
    (project / "guestcred" / MODULE).write_text(code + "\n")
    assert sorted(mutant.change for mutant in mutants.mutants(MODULE)) == sorted(changes)


WHOLE = "assert [known(*each) for each in ((None, 0), (9, 0), (253, 0), (254, 0), (254, 1), (254, 2))] == [False] * 3 + [True, False, True]"  # fmt: skip
LINE, CHANGE = "return max(version, 5) >= SINCE", "5 -> 4"
ENTRY = """[[survivor]]
module = "systemd/rules.py"
line = "{line}"
changes = ["{change}"]
reason = "much less than any version"
"""
LISTED = ENTRY.format(line=LINE, change=CHANGE)


@pytest.mark.root
def test_a_change_that_no_test_sees_is_shown(project: Path) -> None:
    assert run(project, WHOLE, LISTED) == (
        1,
        f"survived: guestcred/{MODULE}:10: {LINE}\n    5 -> 6\n"
        "15 of 15 mutants: 13 killed, 1 listed as equivalent, 1 survived\n",
    )


@pytest.mark.root
def test_what_is_listed_must_be_there_and_survive(project: Path) -> None:
    lists = LISTED + ENTRY.format(line=LINE, change="5 -> 6")
    assert run(project, WHOLE, lists) == (0, "15 of 15 mutants: 13 killed, 2 listed as equivalent\n")
    status, told = run(project, WHOLE, lists + ENTRY.format(line="return False", change="False -> True"))
    assert status == 1 and told.startswith(f"no survivor any more: guestcred/{MODULE}:9: return False\n")
    status, told = run(project, WHOLE, lists + ENTRY.format(line="gone", change=CHANGE))
    assert status == 1 and "tests/mutants.toml lists what is not there any more: " in told and "'gone'" in told


@pytest.mark.root
def test_tests_that_fail_anyway_say_nothing(project: Path) -> None:
    status, told = run(project, "assert known(1, 0)")
    assert status == 1 and "the tests of systemd/rules.py fail without a mutant" in told


@pytest.mark.root
def test_what_computes_without_an_end_is_no_survivor(project: Path) -> None:
    tool = project / "tests/mutants.py"
    tool.write_text(tool.read_text().replace("COMPUTES, WAITS = 10,", "COMPUTES, WAITS = 1,"))
    test = f"while known(9, 0):\n        pass\n    {WHOLE}"
    assert run(project, test, LISTED)[1].endswith(": 12 killed, 1 listed as equivalent, 1 survived, 1 too slow\n")


def test_the_list_is_of_the_code_that_is_there() -> None:
    survivors = mutants.Survivors()
    assert survivors.entries and not survivors.stale()
    assert all(reason.strip() for reason in survivors.entries.values())


def test_every_module_has_tests_that_are_there() -> None:
    for module, tests in mutants.TESTS.items():
        assert (mutants.PACKAGE / module).is_file()
        assert [test for test in tests if not (TESTS / f"test_{test}.py").is_file()] == []
    assert set(mutants.CORE) <= set(mutants.TESTS)
