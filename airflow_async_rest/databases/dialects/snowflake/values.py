"""Values for Snowflake: what it would refuse is found here, before it is sent.

It enforces types, lengths and NOT NULL, and nothing else. A refused value would end the whole COPY, whatever its
ON_ERROR says where a query transforms the file's rows; and each attempt without some of the rows takes a second there.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.databases.values.column_values import (
    CONVERTERS,
    binary,
    check_float,
    check_time,
    integer,
    json_text,
    naive_utc,
    parse_time,
    text_of,
)
from airflow_async_rest.databases.values.columns import Column, Kind

_SIZE = re.compile(r"\w+\s*\((\d+)(?:\s*,\s*(\d+))?\)")
_OF_DAY = re.compile(r"TIME\b", re.IGNORECASE)
_LARGEST = 2**63
_NONE = type(None)
# Of a time: to the second without a zone, and to the microsecond with a Z.
_SECONDS, _MICROSECONDS = len("2026-11-01T12:00:00"), len("2026-11-01T12:00:00.123456Z")
_ZONES = {Kind.NAIVE_TIME: "", Kind.AWARE_TIME: "+00:00"}
_TIMES = frozenset({*_ZONES, Kind.DATE})
_MOST_DIGITS = 38
Check = Callable[[Any], Any]


def column_values(column: Column, values: Sequence[Any]) -> tuple[list[Any], dict[int, str]]:
    """Return a column's values as texts, or as bytes; and which of them Snowflake would refuse.

    :return: the values, None in the place of one that is refused; and of those the numbers, and why.
    """
    if (texts := _plain_texts(column, values)) is not None:
        return texts, {}
    convert, converted, faults = _converter(column), [], {}
    for number, value in enumerate(values):
        try:
            converted.append(None if value is None else convert(value))
        except (EncodeError, ValueError, ArithmeticError) as error:
            converted.append(None)
            faults[number] = f"{column.name}: {error}"
    return converted, faults


def _plain_texts(column: Column, values: Sequence[Any]) -> list[Any] | None:
    """Return the texts of a column whose values need no look at each of them, as most; None for others."""
    types = set(map(type, values))
    size, scale = size_of(column.staged_as)
    if column.kind is Kind.TEXT and types <= {str, _NONE}:
        texts = [value for value in values if value is not None]
        fits = max(map(len, texts), default=0) <= size and _is_utf8("".join(texts))
        return list(values) if fits else None
    if column.kind is Kind.INTEGER and types == {int}:
        limit = 10 ** min(size, _MOST_DIGITS)
        return list(map(str, values)) if -limit < min(values) and max(values) < limit else None
    if column.kind is Kind.NUMBER and not scale and types == {float}:
        return list(map(repr, values)) if all(map(math.isfinite, values)) else None
    if column.kind in _TIMES and types == {str}:
        return _plain_times(column.kind, values)
    return list(map(str, values)) if column.kind is Kind.OURS else None


def _plain_times(kind: Kind, values: Sequence[str]) -> list[str] | None:
    """Return times that are all written as ISO 8601 does, in UTC or without a zone; None for others."""
    sizes = set(map(len, values))
    if min(sizes) < _SECONDS or max(sizes) > _MICROSECONDS or {value[4:14:9] for value in values} != {"-:"}:
        return None
    try:
        zones = {moment.tzinfo for moment in map(datetime.fromisoformat, values)}
    except ValueError:
        return None
    if len(zones) > 1 or not zones <= {UTC, None}:
        return None
    if kind is Kind.DATE:
        return [value[:10] for value in values]
    return [value + _ZONES[kind] for value in values] if zones == {None} else list(values)


def _moment_text(kind: Kind, moment: datetime) -> str:
    if kind is Kind.DATE:
        return moment.date().isoformat()
    if moment.tzinfo is not None:
        moment = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).replace(tzinfo=None)
    return moment.isoformat(" ") + _ZONES[kind]


def _is_utf8(text: str) -> bool:
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def size_of(written: str) -> tuple[int, int]:
    """Return a type's length, or its precision and scale; as large as can be where it names none."""
    found = _SIZE.match(written)
    return (int(found[1]), int(found[2] or 0)) if found else (_LARGEST, 0)


def _converter(column: Column) -> Check:
    size, scale = size_of(column.staged_as)
    checks: dict[Kind, Check] = {
        Kind.INTEGER: lambda value: _whole(value, size),
        Kind.NUMBER: (lambda value: _decimal(value, size, scale)) if scale else _float,
        Kind.TEXT: lambda value: _text(value, size),
        Kind.NAIVE_TIME: lambda value: _time(Kind.NAIVE_TIME, value),
        Kind.AWARE_TIME: lambda value: _time(Kind.AWARE_TIME, value),
        Kind.DATE: lambda value: _time(Kind.DATE, value),
        Kind.BOOLEAN: _boolean,
        Kind.BINARY: lambda value: _bytes(value, size),
        Kind.JSON: json_text,
    }
    return _time_of_day if _OF_DAY.match(column.staged_as) else checks.get(column.kind, text_of)


def _number(value: Any) -> Decimal:
    try:
        number = Decimal(text_of(int(value) if isinstance(value, bool) else value).strip())
    except InvalidOperation:
        raise EncodeError(f"{text_of(value)!r:.100} is no number") from None
    if not number.is_finite():
        raise EncodeError(f"{number} is no number that a NUMBER can be")
    return number


def _whole(value: Any, precision: int) -> str:
    number = integer(_number(value))
    if not isinstance(number, int):
        raise EncodeError(f"{number} is no whole number")
    return _in_range(Decimal(number), precision)


def _decimal(value: Any, precision: int, scale: int) -> str:
    return _in_range(_number(value), precision - scale)


def _in_range(number: Decimal, digits: int) -> str:
    if number and number.adjusted() >= min(digits, _MOST_DIGITS):
        raise EncodeError(f"{number:.40} has more digits than the column")
    return format(number, "f")


def _float(value: Any) -> str:
    check_float(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise EncodeError(f"{text_of(value)!r:.100} is no number") from None
    return text_of(value).strip() if math.isfinite(number) else repr(number)


def _text(value: Any, length: int) -> str:
    text = text_of(value)
    if len(text) > length:
        raise EncodeError(f"the text has {counted(len(text), 'character')}, and the column holds {length}")
    if not _is_utf8(text):
        raise EncodeError("half of a surrogate pair has no UTF-8 form")
    return text


def _time(kind: Kind, value: Any) -> str:
    check_time(value)
    # The day of a DATE is the one that is written, in whatever zone, as with other databases.
    moment = naive_utc(value) if kind is not Kind.DATE and isinstance(value, str | datetime) else value
    if isinstance(moment, str):  # a day alone is short
        moment = parse_time(moment)
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if not isinstance(moment, datetime):
        raise EncodeError(f"{text_of(value)!r:.100} is no time: write it as ISO 8601 does")
    return _moment_text(kind, moment)


def _time_of_day(value: Any) -> str:
    text = text_of(value).strip()
    try:
        read = time.fromisoformat(text)
    except ValueError:
        raise EncodeError(f"{text!r:.100} is no time of day: write it as ISO 8601 does") from None
    if read.utcoffset():
        raise EncodeError(f"{text:.100} has an offset, which a column of the type TIME does not keep: write UTC")
    return read.replace(tzinfo=None).isoformat()


def _boolean(value: Any) -> str:
    read = CONVERTERS[Kind.BOOLEAN](value)
    if read not in {0, 1}:
        raise EncodeError(f"{text_of(value)!r:.100} is neither true nor false")
    return str(bool(read)).lower()


def _bytes(value: Any, length: int) -> bytes:
    read = CONVERTERS[Kind.BINARY](binary(value))
    if isinstance(read, str):
        try:
            read = bytes.fromhex(read)
        except ValueError:
            raise EncodeError(
                "the text is not bytes in hexadecimal digits, nor base64 where columns= says so"
            ) from None
    if not isinstance(read, bytes | bytearray | memoryview):
        raise EncodeError(f"{text_of(value)!r:.100} is not bytes")
    if len(read) > length:
        raise EncodeError(f"the value has {counted(len(read), 'byte')}, and the column holds {length}")
    return bytes(read)
