"""Rows as SQL has them in an INSERT, and as LOAD DATA reads them. Pure."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from airflow_async_rest.databases.dialects.mysql.values import is_listed, length_of
from airflow_async_rest.databases.values.columns import Column, Kind

_GEOMETRIES = frozenset({
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection", "geomcollection",
})  # fmt: skip
_BYTES = (bytes, bytearray, memoryview)
_NUMBERS = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.OURS})
_TEXTS = frozenset({Kind.TEXT, Kind.OURS})
# As most APIs write a time: the server reads the rest of it, and finds out whether there is such a day.
_UTC = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_MOST_64_BITS = 2**64


class Form(NamedTuple):
    """How values are written.

    :param null: NULL.
    :param quote: what texts stand in.
    :param special: which characters of a text are written otherwise.
    :param escapes: how.
    :param hex: how bytes are written.
    """

    null: str
    quote: str
    special: re.Pattern[str]
    escapes: Mapping[int, str]
    hex: str


# In a session whose modes let a backslash escape.
SQL = Form("NULL", "'", re.compile(r"[\\'\0]"), str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"}), "X'{}'")
FILE = Form(
    "\\N",
    "",
    re.compile(r"[\\\t\n\0]"),
    str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\0": "\\0"}),
    "{}",
)


def rows(
    form: Form, columns: Sequence[Column], batch: Sequence[Sequence[Any]], converters: Sequence[Callable[[Any], Any]]
) -> Iterator[tuple[str, ...]]:
    """Yield rows, as the texts of their values.

    :param batch: of each column, its values.
    :param converters: of each column, what makes its values those that the server takes.
    """
    written = [_column(form, *about) for about in zip(columns, batch, converters, strict=True)]
    return zip(*written, strict=True)


def _column(form: Form, column: Column, values: Sequence[Any], convert: Callable[[Any], Any]) -> Iterable[str]:
    """Write a column's values: those of one type all at once."""
    types = set(map(type, values))
    if type(None) in types:
        found = iter(_column(form, column, [value for value in values if value is not None], convert))
        return [form.null if value is None else next(found) for value in values]
    known = _known(form, column, values, types)
    if known is not None:
        return known
    converted = map(convert, values)
    if is_hex(column):
        return [form.hex.format(_hex(value)) for value in converted]
    return [_cell(form, value) for value in converted]


def _known(form: Form, column: Column, values: Sequence[Any], types: Collection[type]) -> Iterable[str] | None:
    """Write what needs no conversion, one by one; None where anything does."""
    if types == {int} and column.kind in _NUMBERS and -_MOST_64_BITS < min(values) <= max(values) < _MOST_64_BITS:
        return map(str, values)
    if types == {float} and column.kind is Kind.NUMBER and all(map(math.isfinite, values)):
        return map(repr, values)
    if types == {str} and column.kind in _TEXTS and _fit(column, values):
        return _texts(form, values)
    if types == {str} and column.kind is Kind.NAIVE_TIME and all(map(_UTC.fullmatch, values)):
        return _texts(form, [value[:-1].replace("T", " ") for value in values])
    return None


def _fit(column: Column, values: Sequence[str]) -> bool:
    """Return whether texts are sure to be kept as they are."""
    length = length_of(column)
    return not is_listed(column) and (length is None or max(map(len, values)) <= length)


def _texts(form: Form, values: Sequence[str]) -> Sequence[str]:
    if form.special.search("".join(values)):
        values = [value.translate(form.escapes) for value in values]
    return [f"{form.quote}{value}{form.quote}" for value in values] if form.quote else values


def _hex(value: Any) -> str:
    return (value if isinstance(value, _BYTES) else str(value).encode()).hex()


def _cell(form: Form, value: Any) -> str:
    if value is None:
        return form.null
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, _BYTES):
        value = bytes(value).hex()
    elif isinstance(value, datetime):
        value = value.isoformat(" ")
    elif isinstance(value, timedelta):
        value = time_of(value)
    elif not isinstance(value, str | date | time):
        return str(value)
    return _texts(form, [str(value)])[0]


def is_hex(column: Column) -> bool:
    """Return whether a column's values are written as the hexadecimal digits of bytes."""
    return column.kind is Kind.BINARY or _type(column) in _GEOMETRIES


def _type(column: Column) -> str:
    return column.staged_as.partition("(")[0].partition(" ")[0]


def target(column: Column, name: str, variable: str) -> tuple[str, str]:
    """Return what LOAD DATA reads a column into, and how its value is made of that, if it is another.

    :param name: the column's, in SQL.
    """
    if is_hex(column):
        return variable, f"{name} = UNHEX({variable})"
    # As a text, its digits would be the bits.
    return (variable, f"{name} = CAST({variable} AS UNSIGNED)") if _type(column) == "bit" else (name, "")


def time_of(value: timedelta) -> str:
    """Write a duration as a TIME: ``-26:03:04.000500``."""
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(value.days * 86_400 + value.seconds, 60)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{value.microseconds:06}"
