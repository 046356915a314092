"""Which word was probably meant, by the fewest edits: for prefixes that are misspelt, and for names that people type."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 64  # characters that are compared: a name may have 255, and a guest 4,096 of them
LEAST = 3  # characters of a word that is looked for inside another
_NOTHING = str.maketrans("", "", "-_. ")


def closest(text: bytes, word: bytes) -> tuple[int, int]:
    """(end, edits) of the first part of `text` that the fewest edits turn into `word`: Sellers, 1980."""
    at = text.find(word)
    if at >= 0:
        return at + len(word), 0
    column = list(range(len(word) + 1))  # edits from the best part that ends here to each front of the word
    end, fewest = 0, len(word)
    for number, byte in enumerate(text, 1):
        diagonal = above = 0
        for row, wanted in enumerate(word, 1):
            left = column[row]
            above = diagonal if byte == wanted else 1 + min(diagonal, left, above)
            diagonal, column[row] = left, above
        if above < fewest:
            end, fewest = number, above
    return end, fewest


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of the `known` words that was probably meant by `word`; None where none is near, or `word` is one of them.

    Case and what divides words do not count; then a letter in four may be wrong, two at most; a word may also be a part
    of a known one. One that is a single character away as a whole wins; of several that are as near, the one with the
    nearest length.
    """
    typed = _folded(word)
    limit = min(2, len(typed) // 4)
    best: tuple[tuple[bool, int, int, str], str] | None = None
    for name in known:
        if name == word:
            return None
        folded = _folded(name)
        if typed == folded and typed:
            found = 0
        elif _are_swapped(typed, folded):
            found = 1
        elif LEAST <= len(typed) <= LONGEST and len(folded) * 2 >= len(typed):
            longer, shorter = sorted((typed, folded[: 2 * LONGEST]), key=len, reverse=True)
            if not _has_part(longer, shorter, limit):
                continue
            found = closest(longer, shorter)[1]
            if found > limit:
                continue
        else:
            continue
        is_next = _is_one_away(typed, folded) or _are_swapped(typed, folded)
        rank = not is_next, found, abs(len(name) - len(word)), name
        best = min(best or (rank, name), (rank, name))
    return best[1] if best else None


def _folded(word: str) -> bytes:
    return word.translate(_NOTHING).lower().encode("utf-8", "replace")


def _is_one_away(one: bytes, other: bytes) -> bool:
    """Whether at most a character more, less or another one is between them."""
    shorter, longer = sorted((one, other), key=len)
    same = next((number for number, byte in enumerate(shorter) if byte != longer[number]), len(shorter))
    return len(longer) - len(shorter) < 2 and shorter[same + (len(shorter) == len(longer)) :] == longer[same + 1 :]


def _are_swapped(one: bytes, other: bytes) -> bool:
    """Whether two neighbours changed places, and nothing else."""
    wrong = (
        [number for number, pair in enumerate(zip(one, other)) if pair[0] != pair[1]] if len(one) == len(other) else []
    )
    return (
        len(wrong) == 2
        and wrong[1] == wrong[0] + 1
        and one[wrong[0]] == other[wrong[1]]
        and one[wrong[1]] == other[wrong[0]]
    )


def _has_part(text: bytes, word: bytes, edits: int) -> bool:
    """Whether one of the pieces of `word` is in `text`, of which so many edits leave one whole: else it is not near."""
    step = max(1, len(word) // (edits + 1))
    return any(word[start : start + step] in text for start in range(0, step * (edits + 1), step))
