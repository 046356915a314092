"""The manual pages in packaging/man, made of docs/man/ and the commands' own help: `.venv/bin/python tests/manual.py`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAN = ROOT / "packaging" / "man"


def pages() -> dict[str, str]:
    """Each page by its file's name, as Sphinx makes it."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "-E", "-b", "man", "-d", f"{out}/read"]
        subprocess.run([*command, str(ROOT / "docs"), f"{out}/man"], check=True)
        made = {path.name: path.read_text() for path in Path(out, "man").iterdir()}
    # docutils asks for a space behind each heading, which mandoc complains of
    return {name: re.sub(r"^(\.S[HS] .*\n)\.sp\n", r"\1", page, flags=re.MULTILINE) for name, page in made.items()}


if __name__ == "__main__":
    for name, page in pages().items():
        (MAN / name).write_text(page)
