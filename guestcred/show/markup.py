"""HTML and SVG made of elements: the one place where text is escaped."""

from __future__ import annotations

import html

from guestcred.text import visible


class Markup(str):
    """What may stand in a page as it is; every other text is escaped before it does."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | int | None) -> Markup:
    """One element with its children; an attribute that is None is left out.

    `class_` is the attribute class, and an underscore in a name is a hyphen.
    """
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{told}>{joined(*children)}</{tag}>" if children else f"<{tag}{told}/>")


def joined(*children: str) -> Markup:
    """One after the other."""
    return Markup("".join(child if isinstance(child, Markup) else _escaped(child) for child in children))


def _escaped(text: str) -> str:
    return html.escape(visible(text))
