"""What is installed: the wheel's contents, and the oldest dependencies that Debian 12 brings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from contextlib import nullcontext
from pathlib import Path

import bench
import pytest
from conftest import REFERENCE
from needs import analyze, mounted_tmpfs

from guestcred import __version__
from guestcred.__main__ import PACKAGES
from guestcred.apply import notify
from guestcred.guest.credstores import RESCUED_SECOND

ROOT = Path(__file__).parent.parent
OLDEST = Path(sys.prefix) / "oldest"  # construct and click as Debian 12 has them, put there by make


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # in a folder of its own, since a build writes beside what it builds; and without the network
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "guestcred", source / "guestcred", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("man", "completion"):
        shutil.copytree(ROOT / "packaging" / name, source / "packaging" / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert "guestcred = guestcred.__main__:program" in archive.read(entry_points).decode()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "guestcred").rglob("*.py")}
    schemas = {f"guestcred/schemas/{path.name}" for path in (ROOT / "guestcred/schemas").iterdir()}
    assert len(schemas) > 10
    shared = f"guestcred-{__version__}.data/data/share/"
    assert {name for name in names if not name.startswith(shared)} == modules | schemas | {
        *("guestcred/py.typed", "guestcred/smbios/views.pyi"),
    }
    assert {name.removeprefix(shared) for name in names if name.startswith(shared)} == {
        *(f"man/man{page.suffix[1:]}/{page.name}" for page in (ROOT / "packaging/man").iterdir()),
        *("bash-completion/completions/guestcred", "zsh/site-functions/_guestcred"),
        "fish/vendor_completions.d/guestcred.fish",
    }


def test_every_package_that_may_be_missing_is_known() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert sorted(re.split("[->]", name.removesuffix("-python"))[0] for name in needed) == sorted(PACKAGES)


@pytest.mark.parametrize("arguments", [["check"], ["--systemd", "257", "why", "API_KEY"], ["dump", "--all"]])
def test_debian_12s_versions_do(wheel: Path, arguments: list[str]) -> None:
    assert {path.name for path in OLDEST.glob("*.dist-info")} == {
        "construct-2.10.68.dist-info",
        "click-8.1.3.dist-info",
    }
    code = "import sys, guestcred, click, construct; from guestcred.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, "--root", str(REFERENCE), *arguments],
        env={**os.environ, "PYTHONPATH": f"{wheel}:{OLDEST}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "API_KEY" in done.stdout or "ok " in done.stdout


SYSTEMD = ROOT / "packaging/systemd"


SERVICES = ("guestcred-rescue.service", "guestcred.service", "guestcred-report.service")
LOOK = "guestcred-look.service"
SHARED = "10-sandbox.conf"


def test_the_units_are_well_formed(tmp_path: Path) -> None:
    shutil.copytree(SYSTEMD, tmp_path / "units")
    for path in (tmp_path / "units").rglob("*.*"):
        if path.is_file():
            text = path.read_text().replace("/usr/bin/guestcred", "/bin/true")
            path.write_text(text.replace("/usr/libexec/guestcred/look", "/bin/true"))
    kinds = (".service", ".timer", ".mount")
    units = [path for path in sorted((tmp_path / "units").iterdir()) if path.is_file() and path.suffix in kinds]
    assert {unit.name for unit in units} == {*SERVICES, LOOK, "guestcred-report.timer", "run-guestcred.mount"}
    assert analyze("verify", "--man=no", *units) == ""


@pytest.mark.parametrize("unit", SERVICES)
def test_the_units_are_sandboxed(unit: str) -> None:
    told = analyze("security", "--offline=true", "--threshold=15", SYSTEMD / unit)
    exposure = re.search(rf"exposure level for {unit}: ([0-9.]+)", told)
    assert exposure is not None and float(exposure[1]) <= 1.5


def test_the_units_share_their_sandbox() -> None:
    """One file for all of them, and no unit changes any of it; which capabilities it has, each says."""
    one = SYSTEMD / "guestcred.service.d" / SHARED
    assert [list((SYSTEMD / f"{unit}.d").iterdir()) for unit in SERVICES] == [
        [SYSTEMD / f"{unit}.d" / SHARED] for unit in SERVICES
    ]
    assert {(SYSTEMD / f"{unit}.d" / SHARED).resolve() for unit in SERVICES} == {one}
    shared = set(re.findall(r"^(\w+)=", one.read_text().partition("[Service]")[2], re.MULTILINE))
    assert {"ProtectSystem", "ReadOnlyPaths", "SystemCallFilter"} <= shared
    for unit in SERVICES:
        keys = re.findall(r"^(\w+)=", (SYSTEMD / unit).read_text().partition("[Service]")[2], re.MULTILINE)
        assert shared.isdisjoint(keys) and "CapabilityBoundingSet" in keys


def test_the_script_is_the_one_that_make_bench_times(tmp_path: Path) -> None:
    check = bench.installed(tmp_path)("--root", str(bench.CAPTURE), "check")
    assert subprocess.run(check, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_the_catalog_explains_every_entry() -> None:
    told = re.findall(r"^-- ([0-9a-f]{32})$", (SYSTEMD / "guestcred.catalog").read_text(), re.MULTILINE)
    assert sorted(told) == sorted([notify.RESCUED, notify.LEFT])


@pytest.mark.parametrize("theirs", [[], ["theirs", "theirs/file"]], ids=["nothing", "something"])
@pytest.mark.parametrize("mounted", [False, pytest.param(True, marks=pytest.mark.mounts)], ids=["folder", "mount"])
def test_a_purge_leaves_what_others_put_there(folder: Path, mounted: bool, theirs: list[str]) -> None:
    # used as /run here
    home = folder / "guestcred"
    home.mkdir()
    with mounted_tmpfs(home) if mounted else nullcontext():
        (home / ".generation-a").mkdir()
        (home / ".credentials/@system").mkdir(parents=True)
        (home / ".current").symlink_to(".generation-a")
        (home / "report.json").symlink_to(".current/report.json")
        for name in theirs:
            (home / name).mkdir()
        script = (ROOT / "packaging/debian/postrm").read_text().replace("/run/", f"{folder}/")
        subprocess.run(["sh", "-c", script, "postrm", "purge"], check=True)
        left = {str(path.relative_to(folder)) for path in folder.rglob("*")}
        assert left == ({"guestcred", *(f"guestcred/{name}" for name in theirs)} if theirs else set())
        assert home.is_mount() == (mounted and bool(theirs))


def test_the_mount_hides_nothing() -> None:
    assert "\nConditionDirectoryNotEmpty=!/run/guestcred\n" in (SYSTEMD / "run-guestcred.mount").read_text()


def test_a_purge_knows_the_files_as_the_program_does() -> None:
    script = (ROOT / "packaging/debian/postrm").read_text()
    assert f"-newermt @{RESCUED_SECOND - 1}.999999999 ! -newermt @{RESCUED_SECOND}.999999999" in script
