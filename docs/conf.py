"""The site that `make docs` makes of these pages."""

from __future__ import annotations

import re
import sys
from email.utils import parsedate_to_datetime
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from guestcred import __version__  # noqa: E402  # the line above lets it be found

CHANGES = (ROOT / "packaging/debian/changelog").read_text()
project, version = "guestcred", __version__
html_title = f"guestcred {version}"
html_theme = "furo"
html_show_copyright = html_show_sphinx = html_copy_source = False
extensions = ["myst_parser", "commands"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3  # links to headings are those of the pages as files
highlight_language = "none"
nitpicky = True

# the manual pages; `tests/manual.py` puts them where the packages take them from
today = parsedate_to_datetime(re.findall(r"^ -- .*>  (.+)$", CHANGES, re.MULTILINE)[0]).date().isoformat()
man_pages: list[tuple[str, str, str, list[str], int]] = [
    ("man/guestcred.1", "guestcred", "find out where a credential got lost between hypervisor and guest", [], 1),
    ("man/guestcred-launch.1", "guestcred-launch", "start a VM that is offered credentials", [], 1),
    ("man/guestcred.toml.5", "guestcred.toml", "services that get directories of credentials", [], 5),
    ("man/guestcred.service.8", "guestcred.service", "what guestcred puts back at boot", [], 8),
]
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
