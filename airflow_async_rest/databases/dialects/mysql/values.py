"""Values of rows that are loaded, as the server takes them."""

import math
import re
from collections.abc import Callable, Collection
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.databases.values.column_values import CONVERTERS, check_float, integer, scalar
from airflow_async_rest.databases.values.columns import Column, Kind

_MOST_DIGITS = 65  # of a DECIMAL
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(\.\d+)?S)?)?")
_DIGITS = re.compile(r"-?\d{1,20}")
_LENGTH = re.compile(r"(?:var)?char\((\d+)\)")
_LISTED = re.compile(r"(?:enum|set)\((.*)\)")
_MEMBER = re.compile(r"'((?:[^']|'')*)'")
_CLOCK = re.compile(r"\s*-?\d{1,3}:\d.*", re.DOTALL)
_DAYS = frozenset({Kind.NAIVE_TIME, Kind.DATE})


def _number(value: Any) -> Any:
    """Return a number that the server takes as it is, or refuses. :raises EncodeError: when it has no form there."""
    value = int(value) if isinstance(value, bool) else scalar(value)
    if not (value.is_finite() if isinstance(value, Decimal) else not isinstance(value, float) or math.isfinite(value)):
        raise EncodeError(f"{value} is no number of a database's")
    if isinstance(value, Decimal) and abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)  # all digits of 1e999999999 would fill the memory
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise EncodeError("a whole number of more than 65 digits fits no column of numbers")
    return value


def _integer(value: Any) -> Any:
    """Refuse a fraction: the server would round it. :raises EncodeError: then."""
    value = _number(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)  # as a text, it would be the bits of a BIT
    try:
        exact = Decimal(value) if isinstance(value, str | float | Decimal) else None
    except InvalidOperation:
        return value  # which the server refuses
    if exact is not None and exact.is_finite() and exact != exact.to_integral_value():
        raise EncodeError(f"{value} has a fraction, which a column of whole numbers does not keep")
    return integer(value)


def _other(value: Any) -> Any:
    """Read a duration as ISO 8601 writes it, which is how those that are read are sent."""
    if isinstance(value, str) and value and (found := _DURATION.fullmatch(value)):
        sign, days, hours, minutes, seconds, fraction = found.groups()
        whole = timedelta(int(days or 0), int(seconds or 0), 0, 0, int(minutes or 0), int(hours or 0))
        part = timedelta(microseconds=int((fraction or ".0")[1:7].ljust(6, "0")))
        return -(whole + part) if sign else whole + part
    return _number(value)


LOADED: dict[Kind, Callable[[Any], Any]] = CONVERTERS | {
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.OTHER: _other,
}


def length_of(column: Column) -> int | None:
    """Return how many characters a column holds; None where its type has no such bound."""
    found = _LENGTH.match(column.staged_as)
    return int(found[1]) if found else None


def is_listed(column: Column) -> bool:
    """Return whether a column's type lists its values."""
    return _LISTED.match(column.staged_as) is not None


def checked(column: Column, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a column's converter refuse what the server would take for something else, and say nothing.

    :param convert: the one of its kind, which raises EncodeError, too.
    """
    if found := _LISTED.match(column.staged_as):
        members = frozenset(member.replace("''", "'") for member in _MEMBER.findall(found[1]))
        return lambda value: _listed(convert(value), members)
    if (length := length_of(column)) is not None:
        return lambda value: _short(convert(value), length)
    if column.kind in _DAYS:
        return lambda value: _with_a_day(convert(value))
    if column.staged_as.startswith(("double", "float")):
        return lambda value: convert(check_float(value))
    if column.staged_as.startswith("year"):
        return lambda value: _year(convert(value))
    return convert


def _listed(value: Any, members: Collection[str]) -> Any:
    """Refuse a number, which would be that of a value in the list."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()) and value.rstrip() not in members:
        raise EncodeError(f"{value!r} is none of the values that the column's type lists")
    return value


def _short(value: Any, length: int) -> Any:
    """Refuse a text that is too long by spaces, tabs and ends of lines only, which the server would cut off."""
    if isinstance(value, str) and len(value) > length and not value[length:].strip():
        raise EncodeError(f"the text has {counted(len(value), 'character')}, and the column holds {length}")
    return value


def _with_a_day(value: Any) -> Any:
    """Refuse a time of day, of which the server would read 12:30:00 as a day of the year 2012."""
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        raise EncodeError(f"{value:.40} has no day")
    return value


def _year(value: Any) -> Any:
    """Write the year 0 as the server does: its digit alone is 2000 in a file."""
    return "0000" if value == 0 else value
