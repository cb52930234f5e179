"""A value of an answer, or of an item -> what a database's driver takes for a column."""

import contextlib
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import types

from airflow_async_rest.core.encoding.durations import format_duration
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder, encode_anything
from airflow_async_rest.core.encoding.times import parse_time as read_time
from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.values.columns import Kind

_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (types.JSON, Kind.JSON),
    (types.Date, Kind.DATE),
    (types.Boolean, Kind.BOOLEAN),
    (types.LargeBinary, Kind.BINARY),
    (types.BINARY, Kind.BINARY),
    (types.VARBINARY, Kind.BINARY),
    (types.Integer, Kind.INTEGER),
    (types.Numeric, Kind.NUMBER),
    (types.Float, Kind.NUMBER),
    (types.String, Kind.TEXT),
)
_OF_ELEMENTS = {
    Kind.JSON: Kind.JSON_ARRAY,
    Kind.NAIVE_TIME: Kind.TIME_ARRAY,
    Kind.AWARE_TIME: Kind.TIME_ARRAY,
    Kind.DATE: Kind.TIME_ARRAY,
    Kind.TIME_OF_DAY: Kind.TIME_OF_DAY_ARRAY,
    Kind.ZONED_TIME_OF_DAY: Kind.ZONED_TIME_OF_DAY_ARRAY,
    Kind.TEXT: Kind.TEXT_ARRAY,
}
_MOST_DIGITS = 40  # of an integer, in any database
_DATE_LENGTH = len("2026-07-01")
_DIGITS_OF_DATES = (len("260701"), len("20260701"))
FINER_THAN_MICROSECONDS = re.compile(r"(:\d\d[.,]\d{6})\d+")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_NOT_ZERO = re.compile(r"[^eE]*[1-9]")
_encode = JsonEncoder()
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "on", "1"}), frozenset({"false", "f", "no", "n", "off", "0"})
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
_NEGATIVE_PARTS = str.maketrans({"P": "P-", "T": "T-"})


def kind_of(type_: Any, of_element: Callable[[Any], Kind]) -> Kind:
    """Return the kind of a column's type, as SQLAlchemy describes it.

    :param of_element: returns that of an array's elements.
    """
    if isinstance(type_, types.DateTime):
        return Kind.AWARE_TIME if type_.timezone else Kind.NAIVE_TIME
    if isinstance(type_, types.ARRAY):
        return _OF_ELEMENTS.get(of_element(type_.item_type), Kind.ARRAY)
    return next((kind for base, kind in _KINDS if isinstance(type_, base)), Kind.OTHER)


def parse_time(value: str) -> datetime | str:
    """Read a time; what is not one stays as it is, for the database to refuse or to read."""
    value = cut_time(value)
    return read_time(value) or value


def cut_time(text: str) -> str:
    """Cut a time's fraction to microseconds: rounded, as PostgreSQL does, a day's last moment is the next day's."""
    return FINER_THAN_MICROSECONDS.sub(r"\1", text)


def check_time(value: Any) -> None:
    """Refuse digits that are no date: PostgreSQL takes 1772430912 for the 12th of September of the year 177243.

    :raises EncodeError: then.
    """
    digits = value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    if digits.isdecimal() and len(digits) not in _DIGITS_OF_DATES:
        raise EncodeError(
            f"{digits} is a number, not a time: where it counts from 1970, a function as rows= can make a time of it, "
            "as datetime.fromtimestamp(seconds, UTC)"
        )


def naive_utc(value: Any) -> Any:
    """Return a time with an offset as UTC without one: a column that keeps no offset would just drop it.

    :raises OverflowError: when it is outside of the years 1 to 9999 in UTC.
    """
    if isinstance(value, str) and len(value.strip()) > _DATE_LENGTH:  # a date has no offset
        value = parse_time(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def integer(value: Any) -> Any:
    """Return a whole number as such: in JSON, 1.0 may be how a one is written."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() >= _MOST_DIGITS:
        return value  # as an int, 1e999999999 would fill the memory
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(Decimal(str(value)))  # of 1e38 a float is only near it
    return value


def check_float(value: Any) -> Any:
    """Return a value; refuse a number, or the text of one, that a float would make infinite, or zero.

    :raises EncodeError: then.
    """
    if isinstance(value, str | int | Decimal) and _NUMBER.fullmatch(text := str(value)):
        if math.isinf(float(text)):
            raise EncodeError(f"{text:.60} is so large that it would become infinite")
        if float(text) == 0 and _NOT_ZERO.match(text):
            raise EncodeError(f"{text:.60} is so small that it would become 0")
    return value


def json_text(value: Any) -> str:
    """Write a value as JSON; what has no JSON form as text.

    :raises EncodeError: when NaN, an infinite number or half a character is in it.
    """
    try:
        return _encode(value).decode()
    except EncodeError:
        _refuse_altered(value)
        return encode_anything(value).decode()


def _refuse_altered(value: Any) -> None:
    """Refuse what would be written as something else. :raises EncodeError: then."""
    if isinstance(value, str) and not value.isascii() and _HALF_A_CHARACTER.search(value):
        raise EncodeError(f"{value!r} has half of a surrogate pair in it, which has no UTF-8 form")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise EncodeError(f"{value} has no JSON form")
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    elif not isinstance(value, list | tuple | set | frozenset):
        return
    for each in value:
        _refuse_altered(each)


def text_of(value: Any) -> str:
    """Write a scalar as text that every database reads: numbers with all digits, times as ISO 8601."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):  # as APIs write it that do
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):  # PostgreSQL has a sign before each part, and none before the whole
        return format_duration(value) if value >= timedelta() else format_duration(-value).translate(_NEGATIVE_PARTS)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return json_text(value)
    return bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)


def scalar(value: Any) -> Any:
    """Return numbers, times and bytes as they are: drivers know these, and what else there is as text."""
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return json_text(value)
    if isinstance(value, timedelta):
        return value
    return value if isinstance(value, str | bytes | int | float | Decimal | date | time) else text_of(value)


def _time(value: Any) -> Any:
    value = parse_time(value) if isinstance(value, str) else scalar(value)
    # Drivers drop the offset, and take what is left as UTC, which the session is in.
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def _date(value: Any) -> Any:
    if isinstance(value, str):
        value = parse_time(value)
    return value.date() if isinstance(value, datetime) else scalar(value)


def binary(value: Any) -> Any:
    """Refuse what cannot be bytes. :raises EncodeError: then."""
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        raise EncodeError(f"{json_text(value):.200} is not bytes, nor base64 where columns= says so")
    return value


def _binary(value: Any) -> Any:
    r"""Read bytes as PostgreSQL writes them, ``\x00ff``, for every database."""
    value = binary(value)
    if isinstance(value, str) and value.startswith("\\x"):
        with contextlib.suppress(ValueError):
            return bytes.fromhex(value[2:])
    return scalar(value)


def _boolean(value: Any) -> Any:
    """Read the words that PostgreSQL reads: to a database that has no such type they would be texts, and not true."""
    word = value.strip().lower() if isinstance(value, str) else ""
    return True if word in _TRUE else False if word in _FALSE else scalar(value)


# Of most databases.
CONVERTERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.BOOLEAN: _boolean,
    Kind.JSON: json_text,
    Kind.NAIVE_TIME: lambda value: scalar(naive_utc(value)),
    Kind.AWARE_TIME: _time,
    Kind.DATE: _date,
    Kind.BINARY: _binary,
    Kind.TEXT: text_of,
    Kind.INTEGER: lambda value: int(value) if isinstance(value, bool) else scalar(value),
    Kind.NUMBER: lambda value: int(value) if isinstance(value, bool) else scalar(value),
}
