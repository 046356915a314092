"""What is given to others: one version everywhere, a Debian package without complaints, an sdist that tests itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from needs import PATH, need

from guestcred import __version__

ROOT = Path(__file__).parent.parent
# what the build adds to the project's own files
ADDED = ("PKG-INFO", "setup.cfg", "guestcred.egg-info/")
# of the suite, what takes seconds and wants fixtures, pages and the program
QUICK = ("test_offered.py", "test_layers.py", "test_docs.py", "test_cli.py::test_fixtures_say_what_they_hold")


def project_files() -> set[str]:
    """The project's files below ROOT: all but git's own and what .gitignore names."""
    ignored = (ROOT / ".gitignore").read_text().split()
    found: set[str] = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            below for below in folders if below != ".git" and not any(fnmatch(f"{below}/", name) for name in ignored)
        ]
        found |= {str((Path(folder) / file).relative_to(ROOT)) for file in files if file != ".git"}
    return found


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked; built from a copy, since setuptools also takes what an older SOURCES.txt names."""
    copy, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("sdist")
    for path in project_files():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, copy / path)
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    subprocess.run(["tar", "-xf", str(out / f"guestcred-{__version__}.tar.gz"), "-C", str(out)], check=True)
    return out / f"guestcred-{__version__}"


def test_there_is_one_version() -> None:
    debian = re.match(r"guestcred \(([^)]+)\) ", (ROOT / "packaging/debian/changelog").read_text())
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    rpm = re.search(r"^Version: (\S+)", (ROOT / "packaging/rpm/guestcred.spec").read_text(), re.MULTILINE)
    assert debian and changes and rpm
    assert (debian[1], changes[1], rpm[1]) == (__version__, __version__, __version__)


def deb(name: str) -> Path:
    """The Debian package of that name, made by make."""
    package = ROOT / f"dist/{name}_{__version__}_all.deb"
    built = sorted((ROOT / "dist").glob(f"{name}_*_all.deb"))
    assert built == [package], "dist/ has no package of this version, or another beside it: run make deb"
    return package


@pytest.mark.parametrize("name", ["guestcred", "guestcred-initrd"])
def test_the_package_has_no_complaints(name: str) -> None:
    command = ["lintian", "--allow-root", "--pedantic", "--fail-on", "error,warning,pedantic", str(deb(name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_initrds_package_has_nothing_else(tmp_path: Path) -> None:
    """Installed or removed, it has dpkg make the initrds anew: initramfs-tools and dracut are interested in the trigger."""
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb("guestcred-initrd")), str(tmp_path)], check=True)
    control = {path.name: path.read_text() for path in (tmp_path / "DEBIAN").iterdir()}
    assert control.keys() == {"control", "md5sums", "triggers"}
    assert "\nactivate-noawait update-initramfs\n" in control["triggers"]
    files = {str(path.relative_to(tmp_path)): path for path in (tmp_path / "usr").rglob("*") if path.is_file()}
    places = {
        "usr/share/initramfs-tools/hooks/guestcred": "initramfs-tools/guestcred",
        "usr/lib/dracut/dracut.conf.d/50-guestcred.conf": "dracut/50-guestcred.conf",
    }
    doc = "usr/share/doc/guestcred-initrd"
    assert files.keys() - {f"{doc}/changelog.gz", f"{doc}/copyright"} == places.keys()
    for place, name in places.items():
        ours = ROOT / "packaging/initrd" / name
        assert files[place].read_bytes() == ours.read_bytes()
        assert os.access(files[place], os.X_OK) == os.access(ours, os.X_OK)


OF_INSTALLERS = (".dist-info/INSTALLER", ".dist-info/RECORD")  # each has one of them, the other, or both


def files_of_the_deb() -> set[str]:
    """The files of Debian's package, at the places that an RPM has for them."""
    command = ["dpkg-deb", "--fsys-tarfile", str(deb("guestcred"))]
    archive = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    listed = subprocess.run(["tar", "-t"], input=archive, stdout=subprocess.PIPE, check=True).stdout.decode().split()
    places = {
        r"^\./lib/": "/usr/lib/",  # where Debian 12's debhelper puts units
        r"^\./": "/",
        "/python3/dist-packages/": "/python3/site-packages/",
        "/zsh/vendor-completions/": "/zsh/site-functions/",
        r"(/man/.*)\.gz$": r"\1",
    }
    for pattern, ours in places.items():
        listed = [re.sub(pattern, ours, path) for path in listed]
    return {path for path in listed if not path.endswith(("/", "/changelog.gz", "/copyright", *OF_INSTALLERS))}


def test_an_rpm_has_what_the_deb_has(sdist: Path, tmp_path: Path) -> None:
    build = [need("rpmbuild", "rpm"), "-bb", "--nodeps", "--quiet"]
    build += ["--define", f"_topdir {tmp_path}", "--define", f"_sourcedir {sdist.parent}"]
    done = subprocess.run(
        [*build, str(ROOT / "packaging/rpm/guestcred.spec")],
        env={**os.environ, "PATH": PATH},  # the system's own Python
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (package,) = (tmp_path / "RPMS/noarch").iterdir()
    query = [need("rpm"), "--query", "--package", str(package), "--dbpath", str(tmp_path)]

    def asked(what: str) -> list[str]:
        return subprocess.run([*query, what], capture_output=True, text=True, check=True).stdout.splitlines()

    listed = [
        re.sub(r"/python3\.\d+/", "/python3/", path) for path in asked("--qf=[%{FILEMODES:perms} %{FILENAMES}\n]")
    ]
    files = {path.partition(" ")[2] for path in listed if not path.startswith("d")}
    ours = {path for path in files if "license" not in path.lower()}  # Debian has them in copyright
    ours = {path for path in ours if not path.endswith(OF_INSTALLERS)}
    assert {re.sub(r"(/man/.*)\.gz$", r"\1", path) for path in ours} == files_of_the_deb()
    needed = {line.partition(" ")[0] for line in asked("--requires")}
    assert {"python3-click", "python3-construct", "python3-systemd"} <= needed


def test_the_sdist_holds_the_project(sdist: Path) -> None:
    ours = project_files()
    packed = {str(path.relative_to(sdist)) for path in sdist.rglob("*") if path.is_file()}
    assert ours - packed == set(), "MANIFEST.in says what goes into the sdist"
    assert {path for path in packed - ours if not path.startswith(ADDED)} == set()
    for path in ours - {"PKG-INFO", "setup.cfg"}:
        assert (sdist / path).read_bytes() == (ROOT / path).read_bytes(), path
        assert os.access(sdist / path, os.X_OK) == os.access(ROOT / path, os.X_OK), path


def test_the_sdist_passes_its_own_tests(sdist: Path) -> None:
    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=sdist,
            env={**os.environ, "PYTHONPATH": str(sdist)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert python("-c", "import guestcred; print(guestcred.__file__)").strip() == f"{sdist}/guestcred/__init__.py"
    python("-m", "pytest", "-p", "no:cacheprovider", *(f"tests/{file}" for file in QUICK))
