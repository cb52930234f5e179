"""JSON that stands in a payload as the database wrote it: whether it comes back when it is parsed and written again."""

import re
from itertools import accumulate

# Of brackets. What is deeper than 254 orjson does not write.
_DEEPEST = 250
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKET = re.compile(rb"[\[\]{}]")
_WHOLE_CHARACTER = re.compile(rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_LARGE_EXPONENT = re.compile(rb"[eE][+-]?\d{18}")  # a Decimal's has 18 digits
_HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def comes_back(text: bytes) -> bool:
    r"""Return whether JSON can be parsed and written again.

    It cannot when it is nested too deeply, has a number that no Decimal holds, or half a character: a surrogate that
    stands alone, as ``\ud800``, which UTF-8 cannot carry.
    """
    if _LARGE_EXPONENT.search(text) and _LARGE_EXPONENT.search(_STRING.sub(b"", text)):
        return False
    opened = text.count(b"[") + text.count(b"{")
    if opened > _DEEPEST and _depth(text) > _DEEPEST:
        return False
    return not (_HALF_A_CHARACTER.search(text) and _HALF_A_CHARACTER.search(_WHOLE_CHARACTER.sub(b"", text)))


def whole_characters(text: str) -> str:
    """Return a text that UTF-8 can carry: with a replacement character for half a character, which people see so."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _depth(text: bytes) -> int:
    brackets = _BRACKET.findall(_STRING.sub(b"", text))
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)
