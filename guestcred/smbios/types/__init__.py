"""Every structure type, one declaration each, in a module a theme; a declaration is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from guestcred.smbios.fields import Formatted

# DSP0134 7: the section of a type is one more than its number, 7.1 is type 0
THEMES = {
    "system": (0, 1, 2, 3, 11, 12, 13, 14, 15, 23, 24, 25, 32),
    "processor": (4, 7, 44),
    "memory": (5, 6, 16, 17, 18, 19, 20, 33, 37),
    "ports": (8, 9, 10, 21, 41),
    "power": (22, 26, 27, 28, 29, 39),
    "management": (30, 31, 34, 35, 36, 38, 42, 43, 45),
    "other": (40, 46, 126, 127),
}
_THEME_OF = {number: theme for theme, numbers in THEMES.items() for number in numbers}


class _Types(Mapping[int, "Formatted"]):
    """The declarations by number."""

    def __getitem__(self, number: int) -> Formatted:
        return cast("Formatted", import_module(f"guestcred.smbios.types.{_THEME_OF[number]}").TYPES[number])

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(_THEME_OF))

    def __len__(self) -> int:
        return len(_THEME_OF)


TYPES: Mapping[int, Formatted] = _Types()
