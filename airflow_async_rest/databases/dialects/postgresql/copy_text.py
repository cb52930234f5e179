"""Rows in the text format of PostgreSQL's COPY, column by column: most columns need no look at each value."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, cast

from orjson import OPT_NAIVE_UTC, JSONEncodeError, dumps

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.values.column_values import (
    FINER_THAN_MICROSECONDS,
    binary,
    check_time,
    cut_time,
    integer,
    json_text,
    naive_utc,
    parse_time,
    text_of,
)
from airflow_async_rest.databases.values.columns import Kind

_NULL = "\\N"
_SPECIAL = "\\\t\n\r"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
# In a time, where the server reads another zone than was meant, or none.
_ODD_ZONES = ("GMT", "UTC", "[", "(")
_IN_ODD_ZONES, _BEFORE_FRACTIONS = "GgUu[(", ".,"
_OTHER_THAN_UTC = re.compile(r":[\d.]+\s*[+-][\d:]*[1-9]|[+-][\d:]*[1-9][\d:]*\s*\Z")
# What may stand in a time that is no zone, or Greenwich's; and in a range, or an array.
_NO_ZONES = frozenset(["t", "am", "pm", "z", "utc", "gmt", "ut", "zulu", "infinity", "empty", "null"])
_WORD = re.compile(r"[^\W\d_]+")
_BEFORE_OFFSET = re.compile(r"\s*(?:GMT|UTC)\s*(?=[+-]\d)", re.IGNORECASE)
_NONE = type(None)
_PLAIN = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.TEXT, Kind.OTHER, Kind.BOOLEAN})
_LOOK_AT_FLOATS = frozenset({Kind.INTEGER, Kind.TEXT})
_MOMENTS = frozenset({Kind.AWARE_TIME, Kind.DATE})
_TIMES_OF_DAY = frozenset({Kind.TIME_OF_DAY, Kind.ZONED_TIME_OF_DAY})
_ELEMENTS = {
    Kind.ARRAY: Kind.OTHER,
    Kind.TEXT_ARRAY: Kind.TEXT,
    Kind.TIME_ARRAY: Kind.AWARE_TIME,
    Kind.TIME_OF_DAY_ARRAY: Kind.TIME_OF_DAY,
    Kind.ZONED_TIME_OF_DAY_ARRAY: Kind.ZONED_TIME_OF_DAY,
    Kind.JSON_ARRAY: Kind.JSON,
}


def copy_text(columns: Sequence[tuple[Kind, Sequence[Any]]]) -> bytes:
    """Write rows for COPY ... FROM STDIN.

    :param columns: of each, its kind and its values, one a row.
    """
    lines = map("\t".join, zip(*[_column(kind, values) for kind, values in columns], strict=True))
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")  # the server refuses what is no UTF-8


def _column(kind: Kind, values: Sequence[Any]) -> Sequence[str]:
    if kind is Kind.OURS:  # needs no escape
        return values if type(values[0]) is str else _numbers(values)
    if kind is Kind.JSON:
        texts = _json_texts(values)
        return _texts(texts, has_null=None in texts)
    types = set(map(type, values))
    if kind in _PLAIN:
        if types == {int} or (types <= {int, float} and kind not in _LOOK_AT_FLOATS):
            return list(map(str, values)) if kind is Kind.OTHER else _numbers(values)
        if types <= {str, _NONE}:
            return _texts(values, has_null=_NONE in types)
    if kind in _MOMENTS and types <= {str, _NONE}:
        return _texts(_moments(values), has_null=_NONE in types)
    return _texts([None if value is None else _text(kind, value) for value in values])


def _numbers(values: Sequence[float]) -> list[str]:
    """Write numbers as JSON has them: in a fifth of the time, and the exponent of a float in another form."""
    try:
        text = dumps(values).decode()
    except JSONEncodeError:  # an integer of more than 64 bits
        return list(map(str, values))
    return list(map(str, values)) if "null" in text else text[1:-1].split(",")  # null: NaN, or infinite


def _moments(values: Sequence[str | None]) -> Sequence[str | None]:
    """Write times with odd zones as ISO 8601: the server takes GMT+0200 for west of Greenwich."""
    text = " ".join(filter(None, values))
    is_fine = _has_any(_BEFORE_FRACTIONS, text) and FINER_THAN_MICROSECONDS.search(text)
    if is_fine or _has_odd_zone(text) or any(map(str.isdecimal, filter(None, values))):
        return [None if value is None else _moment(value) for value in values]
    return values


def _has_odd_zone(text: str) -> bool:
    return _has_any(_IN_ODD_ZONES, text) and _has_any(_ODD_ZONES, text.upper())


def _has_any(parts: Iterable[str], text: str) -> bool:
    return any(part in text for part in parts)


def _moment(value: Any) -> str:
    check_time(value)
    if isinstance(value, str):
        value = parse_time(value) if _has_odd_zone(value) else cut_time(value)
    return text_of(value)


def _check_time_of_day(value: Any) -> None:
    """Refuse numbers: the server takes 1430, which may count seconds from midnight, for half past two.

    :raises EncodeError: then.
    """
    if isinstance(value, int | float | Decimal):
        raise EncodeError(
            f"{value} is a number, not a time of day: where it counts from midnight, a function as rows= can make a "
            "time of it, as (datetime.min + timedelta(seconds=seconds)).time()"
        )


def _without_zone(text: str) -> str:
    """Refuse an offset, or a zone, which the server would drop. :raises EncodeError: then."""
    words = {word.lower() for word in _WORD.findall(text)}
    if _OTHER_THAN_UTC.search(text) or words - _NO_ZONES:
        raise EncodeError(f"{text:.40} has an offset, or a zone, which the column's type does not keep: write UTC")
    return text


def _with_offset(text: str) -> str:
    """Write an offset without the name of what it is from: the server takes GMT+2 for west of Greenwich."""
    return _BEFORE_OFFSET.sub("", text)


def _json_texts(values: Sequence[Any]) -> list[str | None]:
    """Write values as JSON; most are as JSON had them, and need no more than the encoder itself."""
    try:
        texts = [None if value is None else dumps(value, None, OPT_NAIVE_UTC).decode() for value in values]
    except JSONEncodeError:
        return [None if value is None else json_text(value) for value in values]
    if "null" not in "".join(filter(None, texts)):
        return texts
    # It writes NaN as null, too.
    return [
        json_text(value) if text is not None and "null" in text else text
        for value, text in zip(values, texts, strict=True)
    ]


def _texts(values: Sequence[str | None], *, has_null: bool = True) -> list[str]:
    texts = [value or "" for value in values] if has_null else cast("list[str]", values)
    joined = "".join(texts)
    if any(special in joined for special in _SPECIAL):
        texts = [text.translate(_ESCAPES) for text in texts]
    if has_null:
        return [_NULL if value is None else text for value, text in zip(values, texts, strict=True)]
    return texts


def _text(kind: Kind, value: Any) -> str:
    if kind is Kind.INTEGER:
        value = integer(value)
    elif kind is Kind.NUMBER and isinstance(value, bool):
        value = int(value)
    if kind is Kind.NAIVE_TIME:
        check_time(value)
        return text_of(naive_utc(value))
    if kind in _MOMENTS:
        return _moment(value)
    if kind in _ELEMENTS and isinstance(value, list | tuple):
        return array_text(value, _ELEMENTS[kind])
    if kind in _TIMES_OF_DAY:
        _check_time_of_day(value)
    if written := _BY_ZONE.get(kind):
        return written(cut_time(text_of(value)))
    if kind is Kind.BINARY and isinstance(binary(value), bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    return text_of(value)


_BY_ZONE = {
    Kind.TIME_OF_DAY: _without_zone,
    Kind.TIME_OF_DAY_ARRAY: _without_zone,
    Kind.NAIVE_RANGE: _without_zone,
    Kind.ZONED_TIME_OF_DAY: _with_offset,
    Kind.ZONED_RANGE: _with_offset,
    Kind.TIME_ARRAY: _with_offset,
    Kind.ZONED_TIME_OF_DAY_ARRAY: _with_offset,
}


def array_text(values: Sequence[Any], kind: Kind = Kind.OTHER) -> str:
    """Write a list as PostgreSQL writes arrays. :param kind: of the elements; a list that is JSON is one of them."""
    return "{" + ",".join(_element(value, kind) for value in values) + "}"


def _element(value: Any, kind: Kind) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple) and kind is not Kind.JSON:
        return array_text(value, kind)
    text = json_text(value) if kind is Kind.JSON else _text(kind, value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
