"""`dump` with whole words for its options, without click, whose import costs more than all the rest of it."""

from __future__ import annotations

from guestcred.cli.commands import View
from guestcred.show.keywords import STRING_KEYWORDS, handle_of, types_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _one_of(*words: str) -> Callable[[str], str]:
    return lambda word: words[words.index(word)]


# what each word says, and how the word behind it is read; those in `_BEFORE` may stand before the command too
_FLAGS: dict[str, tuple[str, Any]] = {
    "--all": ("everything", True),
    "--reveal": ("reveal", True),
    **dict.fromkeys(("-q", "--quiet"), ("quiet", True)),
    "--json": ("form", "json"),
}
_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("-t", "--type"), ("kinds", lambda word: (types_of(word),))),
    **dict.fromkeys(("-H", "--handle"), ("handle", lambda word: (handle_of(word),))),
    **dict.fromkeys(("-s", "--string"), ("keyword", _one_of(*STRING_KEYWORDS))),
    "--from-dump": ("saved", str),
    "--format": ("form", _one_of("text", "json")),
    "--root": ("root", str),
}
_BEFORE = ("command", "form", "root")


def plain_dump(arguments: list[str]) -> tuple[View, dict[str, Any]] | None:
    """The view and the options of a `dump` that says everything once and rightly, or None: click parses it."""
    given: dict[str, Any] = {}
    words = iter(arguments)
    try:
        for word in words:
            value: Any
            option, equals, behind = word.partition("=") if word.startswith("--") else (word, "", "")
            if option in _VALUES:
                name, read = _VALUES[option]
                value = read(behind if equals else next(words, "--"))
            else:
                name, value = _FLAGS.get(word, ("path" if "command" in given else "command", word))
            if name in given or ("command" not in given and name not in _BEFORE) or _looks_like_an_option(value):
                return None
            given[name] = value
    except ValueError:
        return None
    if given.pop("command", None) != "dump":
        return None
    view = {name: given.pop(name) for name in ("root", "form") if name in given}
    return View(**view), given


def _looks_like_an_option(value: object) -> bool:
    return isinstance(value, str) and value.startswith("-") and value != "-"
