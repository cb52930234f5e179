"""JSON columns, exactly: parsed without losing a digit, or their text, to be embedded in a payload as it is.

Nested too deeply for that, a value is a text.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate
from typing import Any

import orjson

# Of fewer digits, a float gives all back.
_SHORT = 16
# What is deeper than 254 orjson does not write, nor does it come back from a dead letter.
_DEEPEST = 250
_BRACKET = re.compile(r"[\[\]{}]")
_STRING_OR_SPACE = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+')


def json_reader(*, embed: bool) -> Callable[[str], Any]:
    """Return what makes a value of a column's text: an object that an encoder takes.

    :param embed: whether nobody looks into it, so that its text will do.
    """
    make = _embedded if embed else _parsed

    def read(text: str) -> Any:
        opened = text.count("[") + text.count("{")
        return text if opened > _DEEPEST and _depth(text) > _DEEPEST else make(text)

    return read


def _parsed(text: str) -> Any:
    """Parse JSON; a number that a float cannot hold is a Decimal, and what Python does not read is embedded."""
    try:
        return _DECODER.decode(text)
    except ValueError:  # an integer of more than 4300 digits
        return _embedded(text)


def _embedded(text: str) -> orjson.Fragment:
    """Return what is written into a payload as the database writes it, on one line."""
    if "\\" in text or "\n" in text or "\r" in text or "\t" in text:
        return orjson.Fragment(_STRING_OR_SPACE.sub(r"\1", text))
    parts = text.split('"')  # every second one is a string's inside
    parts[::2] = [part.replace(" ", "") for part in parts[::2]]
    return orjson.Fragment('"'.join(parts))


def _depth(text: str) -> int:
    brackets = _BRACKET.findall(_STRING_OR_SPACE.sub("", text))
    return max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0)


class _Digits(Decimal):
    """A number that is written again as it was read."""

    text: str

    def __str__(self) -> str:
        return self.text


def _number(text: str) -> float | Decimal:
    number = float(text)
    if len(text) < _SHORT and "e" not in text and "E" not in text:
        return number
    exact = _Digits(text)
    exact.text = text
    return number if exact == Decimal(repr(number)) else exact


_DECODER = json.JSONDecoder(parse_float=_number)
