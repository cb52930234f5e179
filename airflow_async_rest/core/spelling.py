"""Words: numbers with their nouns, and what a misspelt one was most likely meant to be. Pure."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

_LONGEST_LINE = 200
_LEFT_OUT = " … "


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

    Of a first sentence that is too long itself, its beginning and its end, and the last sentence where that is short:
    there stands what can be done.

    :param longest: characters of it.
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    if end := line.rfind(". ", 0, longest) + 1:
        return line[:end]
    last = line[line.rfind(". ", 0, -1) + 1 :]
    if len(last) > longest // 2:
        return f"{line[: longest - 2].rsplit(' ', 1)[0]} …"
    half = (longest - len(last) - len(_LEFT_OUT)) // 2
    head, tail = line[:half].rsplit(" ", 1)[0], line[: -len(last)][-half:].split(" ", 1)[-1]
    return f"{head}{_LEFT_OUT}{tail}{last}"
