"""Every structure type, one declaration each, in a module a theme; a declaration is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from guestcred.smbios.fields import Formatted

# DSP0134 7: the section of a type is one more than its number, 7.1 is type 0
THEMES = {
    "firmware": (0, 13, 15),
    "system": (1, 2, 3, 11, 12, 14),
    "control": (23, 24, 25, 32),
    "processor": (4, 7, 44),
    "memory": (16, 17, 37),
    "memory_addresses": (18, 19, 20, 33),
    "memory_controllers": (5, 6),
    "ports": (8, 9, 10, 21, 41),
    "power": (22, 26, 27, 28, 29, 39),
    "management": (30, 31, 34, 35, 36, 38, 42, 43, 45),
    "other": (40, 46, 126, 127),
}
_THEME_OF = {number: theme for theme, numbers in THEMES.items() for number in numbers}


class _Types(Mapping[int, "Formatted"]):
    """The declarations by number."""

    def __getitem__(self, number: int) -> Formatted:
        theme = __import__(f"guestcred.smbios.types.{_THEME_OF[number]}", fromlist=["TYPES"])
        declaration: Formatted = theme.TYPES[number]
        return declaration

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(_THEME_OF))

    def __len__(self) -> int:
        return len(_THEME_OF)


TYPES: Mapping[int, Formatted] = _Types()
