"""Rows into a staging table: as lists, one of each column, which the database takes apart.

A value that is not of its column's type would end the transaction: what the database cannot cast is left out, and said.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import duckdb

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.dialects.duckdb.session import Session
from airflow_async_rest.databases.dialects.duckdb.types import replaced
from airflow_async_rest.databases.values.column_values import CONVERTERS, binary, check_time, integer, text_of
from airflow_async_rest.databases.values.columns import Column, Kind

_TIMES = frozenset({Kind.NAIVE_TIME, Kind.AWARE_TIME, Kind.DATE})
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_NESTED = ("STRUCT(", "MAP(")
# What is bound at once: lists are held twice meanwhile.
_AT_ONCE = 10_000
# What DuckDB reads as it is: of a kind of column, types whose texts it takes; and the texts of times.
_AS_THEY_ARE: dict[Kind, frozenset[type]] = {
    Kind.TEXT: frozenset({str, int}),
    Kind.INTEGER: frozenset({int}),
    Kind.NUMBER: frozenset({int, float, Decimal}),
    Kind.BOOLEAN: frozenset({bool}),
    Kind.BINARY: frozenset({bytes}),
}
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?"
_TEXTS_OF_TIMES = {
    Kind.NAIVE_TIME: re.compile(_TIME),
    Kind.AWARE_TIME: re.compile(_TIME),
    Kind.DATE: re.compile(r"\d{4}-\d\d-\d\d"),
}
# What keeps the offset of what it is cast from; and the fraction, too.
_AWARE = dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMPTZ")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_LOOSE = {**_AWARE, "TIME": "TIMETZ", "DECIMAL": "DOUBLE"} | dict.fromkeys(
    [*_WHOLE, *(f"U{name}" for name in _WHOLE)], "DOUBLE"
)
_AS_TEXTS = dict.fromkeys(_FLOATS, "VARCHAR")
_MOST_DIGITS = 39  # of a UHUGEINT
# Columns of times that round: a day's last moment would be the next day's.
_COARSE = {"TIMESTAMP_S": "second", "TIMESTAMP_MS": "millisecond"}
_NOTHING = frozenset({type(None)})
_REFUSED_VALUES = (EncodeError, OverflowError, ValueError, ArithmeticError)


def text_for(kind: Kind) -> Callable[[Any], Any]:
    """Return the function that turns a value of a kind of column into a text that DuckDB reads, or into bytes."""
    return {
        Kind.BINARY: _bytes,
        Kind.INTEGER: _whole,
        Kind.OTHER: lambda value: _interval(value) if isinstance(value, timedelta) else text_of(value),
    }.get(kind, lambda value: text_of(CONVERTERS[kind](_checked(value, kind))))


def _checked(value: Any, kind: Kind) -> Any:
    if kind in _TIMES:
        check_time(value)
    return value


def _bytes(value: Any) -> bytes:
    converted = CONVERTERS[Kind.BINARY](binary(value))
    return bytes(converted) if isinstance(converted, bytes | bytearray) else text_of(converted).encode()


def _whole(value: Any) -> str:
    """Refuse what is no whole number: DuckDB would round it. :raises EncodeError: then."""
    written = text_of(integer(value))
    digits = written.strip().lstrip("+-")
    if digits.isdecimal() or (number := _number(written)) is None:
        return written
    if number.adjusted() < _MOST_DIGITS and number == number.to_integral_value():
        return str(int(number))
    raise EncodeError(f"{written:.60} is not a whole number, and would be rounded")


def _number(text: str) -> Decimal | None:
    """Return a finite number; None for another text."""
    try:
        number = Decimal(text.strip())
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _interval(value: timedelta) -> str:
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def stage_rows(
    session: Session, into: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]]
) -> list[tuple[int, str]]:
    """Insert rows. :return: the numbers of those that are refused, with why.

    :param into: table and columns, in SQL.
    :param rows: of each column, all values.
    """
    faults: dict[int, str] = {}
    bound = [_bound(column, values, faults) for column, values in zip(columns, rows, strict=True)]
    kept: Sequence[int] = range(len(rows[0]))
    if faults:
        kept = [number for number in kept if number not in faults]
    statement = _Statement(session, into, columns)
    for start in range(0, len(kept), _AT_ONCE):
        numbers = kept[start : start + _AT_ONCE]
        lists = [_those_of(values, numbers) for values in bound]
        if statement.insert(lists) != len(numbers):
            faults |= {numbers[place]: why for place, why in statement.refused(lists)}
    return sorted(faults.items())


def _those_of(values: Sequence[Any], numbers: Sequence[int]) -> Sequence[Any]:
    if isinstance(numbers, range):
        return values[numbers.start : numbers.stop]
    return [values[number] for number in numbers]


class _Statement:
    """The statement that casts and inserts rows; it leaves out those that have a value which cannot be cast."""

    def __init__(self, session: Session, into: str, columns: Sequence[Column]) -> None:
        self._session = session
        self._into = into
        self._casts = [_cast_of(column) for column in columns]
        given = ", ".join(f"unnest(CAST(? AS {_bound_as(column)}[])) AS g{n}" for n, column in enumerate(columns))
        cast = ", ".join(f"TRY({cast.format(f'g{n}')}) AS v{n}" for n, cast in enumerate(self._casts))
        self._values = f"SELECT *, {cast} FROM (SELECT {given})"
        self._fits = " AND ".join(f"(g{n} IS NULL OR v{n} IS NOT NULL)" for n in range(len(columns)))

    def insert(self, lists: Sequence[Sequence[Any]]) -> int:
        """Insert rows. :return: how many have values of their columns' types."""
        cursor = self._session.cursor()
        names = ", ".join(f"v{n}" for n in range(len(lists)))
        cursor.execute(f"INSERT INTO {self._into} SELECT {names} FROM ({self._values}) WHERE {self._fits}", lists)
        return cursor.rowcount

    def refused(self, lists: Sequence[Sequence[Any]]) -> Iterator[tuple[int, str]]:
        """Yield the numbers of the rows that were left out, with why."""
        cursor = self._session.cursor()
        cursor.execute(f"SELECT {self._fits} FROM ({self._values})", lists)
        for number, (fits,) in enumerate(cursor.fetchall()):
            if not fits:
                yield number, self._why([values[number] for values in lists])

    def _why(self, values: Sequence[Any]) -> str:
        """Ask for a row's fault, beside the transaction: an error would end it."""
        with contextlib.closing(self._session.raw.cursor()) as beside:
            for value, cast in zip(values, self._casts, strict=True):
                try:
                    beside.execute(f"SELECT {cast.format('CAST($1 AS VARCHAR)')}", [value])
                except duckdb.Error as error:
                    return str(error).partition("\n")[0]
        return "a value is not of its column's type"


def _bound(column: Column, values: Sequence[Any], faults: dict[int, str]) -> Sequence[Any]:
    if column.kind is Kind.OURS:
        return values
    types = set(map(type, values))
    if types - _NOTHING <= _AS_THEY_ARE.get(column.kind, _NOTHING):
        return _texts(values, types)
    if types == {str} and (is_time := _TEXTS_OF_TIMES.get(column.kind)) and all(map(is_time.fullmatch, values)):
        return values
    convert = text_for(column.kind)
    try:
        return [None if value is None else convert(value) for value in values]
    except _REFUSED_VALUES:
        return [_bound_alone(convert, value, number, faults) for number, value in enumerate(values)]


def _texts(values: Sequence[Any], types: set[type]) -> Sequence[Any]:
    """Return values as texts that DuckDB reads; bytes stay bytes."""
    if types <= {str, bytes} | _NOTHING:
        return values
    return list(map(str, values)) if _NOTHING.isdisjoint(types) else [None if v is None else str(v) for v in values]


def _bound_alone(convert: Callable[[Any], Any], value: Any, number: int, faults: dict[int, str]) -> Any:
    try:
        return None if value is None else convert(value)
    except _REFUSED_VALUES as error:
        faults.setdefault(number, str(error))
        return None


def _bound_as(column: Column) -> str:
    return "BLOB" if column.kind is Kind.BINARY else "VARCHAR"


def _cast_of(column: Column) -> str:
    """Write the cast of ``{0}`` to a column's type: of a list, a struct or a map, by JSON."""
    type_ = column.staged_as.replace("\\:", ":")
    if column.kind is Kind.BINARY or type_ in {"", "VARCHAR"}:
        return "{0}"
    if type_ in _FLOATS:
        number = f"CAST({{0}} AS {type_})"
        is_lost = f"isinf({number}) AND {{0}} NOT ILIKE '%inf%' OR {number} = 0 AND {{0}} SIMILAR TO '[^eE]*[1-9].*'"
        return f"CAST(CASE WHEN {is_lost} THEN 'a value would be infinite, or 0: ' || {{0}} ELSE {{0}} END AS {type_})"
    is_nested = type_.endswith("]") or type_.startswith(_NESTED)
    if is_nested or type_ == "TIME":
        return _checked_cast("CAST({0} AS JSON)" if is_nested else "{0}", type_)
    # A time may have an offset, which a cast to one without would drop.
    given = "CAST(CAST({0} AS TIMESTAMPTZ) AS TIMESTAMP)" if column.kind is Kind.NAIVE_TIME else "{0}"
    if part := _COARSE.get(type_):
        given = f"date_trunc('{part}', {given})"
    return f"CAST({given} AS {_braced(type_)})"


def _checked_cast(given: str, type_: str) -> str:
    """Write a cast that fails where it would round a number, make it infinite, or drop the offset of a time of day."""
    aware, loose, texts = (_braced(replaced(type_, types)) for types in (_AWARE, _LOOSE, _AS_TEXTS))
    cast = f"CAST(CAST({given} AS {aware}) AS {_braced(type_)})"
    keeps = []
    is_coarse = replaced(type_, dict.fromkeys(_COARSE, "")) != type_
    if loose != aware or is_coarse:
        keeps.append(f"CAST({given} AS {loose}) IS NOT DISTINCT FROM CAST({cast} AS {loose})")
    if texts != _braced(type_):
        keeps.append(f"{_infinities(cast)} IS NOT DISTINCT FROM {_infinities(f'CAST({given} AS {texts})')}")
    if not keeps:
        return cast
    refused = f"CAST('a value would be rounded, infinite, or lose its offset: ' || {given} AS {_braced(type_)})"
    return f"CASE WHEN {' AND '.join(keeps)} THEN {cast} ELSE {refused} END"


def _infinities(value: str) -> str:
    """Write how often infinity is written in a value, or what is written like it in texts, and names."""
    return f"len(regexp_extract_all(lower(CAST({value} AS VARCHAR)), 'inf'))"


def _braced(type_: str) -> str:
    return type_.replace("{", "{{").replace("}", "}}")
