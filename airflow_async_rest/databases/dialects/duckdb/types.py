"""The names of DuckDB's types, which others may be parts of."""

import re
from collections.abc import Mapping

# A part of a type, which names are not: they stand in quotes, or before a part.
_PART = re.compile(
    r""""(?:[^"]|"")*"|'(?:[^']|\'\')*'|"""
    r"""\b(TIMESTAMP(?:_M?S|_NS)?|TIME|U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,0\))(?=[],)[]|$)"""
)


def replaced(type_: str, others: Mapping[str, str]) -> str:
    """Return a type with others in the place of it, or of its parts. :param others: without a precision."""
    return _PART.sub(lambda found: others.get((found[1] or "").partition("(")[0], found[0]), type_)
