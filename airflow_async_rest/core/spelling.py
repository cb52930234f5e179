"""Words: numbers with their nouns, and what a misspelt one was most likely meant to be. Pure."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

_LONGEST_LINE = 200


def hint(word: Any, words: Collection[str], alike: float = 0.6) -> str:
    """Return a sentence that names the nearest of some words, to end an error with; nothing where none is near.

    :param alike: how near: from 0 to 1, which is the same word.
    """
    known = {each.lower(): each for each in words}
    [*near] = get_close_matches(word.lower(), known, 1, alike) if isinstance(word, str) else ()
    return f" The nearest is {known[near[0]]!r}." if near else ""


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 row", "2,000 rows".

    :param many: what stands with any number but 1; default: ``one`` with an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def in_short(text: str, longest: int = _LONGEST_LINE) -> str:
    """Return a text as one line; of a long one the first sentences, as many as there is room for.

    :param longest: characters of it.
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    end = line.rfind(". ", 0, longest) + 1
    return line[:end] if end else f"{line[: longest - 2].rsplit(' ', 1)[0]} …"
