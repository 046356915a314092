"""What is installed: the wheel's contents, and the oldest dependencies that Debian 12 brings."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import REFERENCE

ROOT = Path(__file__).parent.parent
OLDEST = Path(sys.prefix) / "oldest"  # construct, click and jeepney as Debian 12 has them, put there by make


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert "guestcred = guestcred.__main__:main" in archive.read(entry_points).decode()
    modules = {f"guestcred/{path.name}" for path in (ROOT / "guestcred").glob("*.py")}
    assert names == modules | {"guestcred/py.typed"}


@pytest.mark.parametrize("arguments", [["check"], ["--systemd", "257", "why", "API_KEY"], ["dump", "--all"]])
def test_debian_12s_versions_do(wheel: Path, arguments: list[str]) -> None:
    assert {path.name for path in OLDEST.glob("*.dist-info")} == {
        "construct-2.10.68.dist-info",
        "click-8.1.3.dist-info",
        "jeepney-0.8.0.dist-info",
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


def test_debian_12s_jeepney_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "tests/test_bus.py")],
        env={**os.environ, "PYTHONPATH": str(OLDEST)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
