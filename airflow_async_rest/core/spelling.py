"""What a misspelt word was most likely meant to be. Pure."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any


def hint(word: Any, words: Collection[str], alike: float = 0.6) -> str:
    """Return a sentence that names the nearest of some words, to end an error with; nothing where none is near.

    :param alike: how near: from 0 to 1, which is the same word.
    """
    known = {each.lower(): each for each in words}
    [*near] = get_close_matches(word.lower(), known, 1, alike) if isinstance(word, str) else ()
    return f" The nearest is {known[near[0]]!r}." if near else ""
