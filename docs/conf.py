"""The site that `make docs` makes of these pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from guestcred import __version__  # noqa: E402

project, version = "guestcred", __version__
html_title = f"guestcred {version}"
html_theme = "furo"
html_show_copyright = html_show_sphinx = html_copy_source = False
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3  # links to headings are those of the pages as files
highlight_language = "none"
nitpicky = True
FILES = "https://github.com/guestcred/guestcred/blob/main"


def with_links_of_the_site(_: Sphinx, page: str, source: list[str]) -> None:
    """README.md is the first page; links to files that are no pages lead to the repository."""
    if page == "index":
        source[0] = (ROOT / "README.md").read_text().replace("](docs/", "](") + source[0]
    if page == "smbios":
        types = sorted((ROOT / "docs/smbios").glob("type-*.md"), key=lambda path: int(path.stem.removeprefix("type-")))
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", *(f"smbios/{path.stem}" for path in types), "```", ""])
    source[0] = re.sub(r"\]\((?:\.\./)?([A-Z]+(?:\.md)?[)#])", rf"]({FILES}/\1", source[0])


def setup(app: Sphinx) -> None:
    """Sphinx calls it."""
    app.connect("source-read", with_links_of_the_site)
