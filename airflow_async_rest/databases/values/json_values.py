"""JSON columns, exactly: parsed without losing a digit, or their text, to be embedded in a payload as it is."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

from airflow_async_rest.core.encoding.foreign_values import ValueText

# Of fewer digits, a float gives all back.
_SHORT = 16
_STRING_OR_SPACE = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+')


def json_reader(*, embed: bool) -> Callable[[str], Any]:
    """Return what makes a value of a column's text: an object that an encoder takes.

    :param embed: whether it is not looked into, so that its text is enough.
    """
    return _embedded if embed else _parsed


def _parsed(text: str) -> Any:
    """Parse JSON; a number that a float cannot hold is a Decimal. What Python does not read is embedded, or a text."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return ValueText(text)
    except (ValueError, ArithmeticError):  # an integer of more than 4300 digits, an exponent of more than 18
        return _embedded(text)


def _embedded(text: str) -> orjson.Fragment:
    """Return what is written into a payload as the database writes it, on one line."""
    if "\\" in text or "\n" in text or "\r" in text or "\t" in text:
        return orjson.Fragment(_STRING_OR_SPACE.sub(r"\1", text))
    parts = text.split('"')  # every second one is a string's inside
    parts[::2] = [part.replace(" ", "") for part in parts[::2]]
    return orjson.Fragment('"'.join(parts))


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
