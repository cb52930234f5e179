"""Values of rows that are loaded: as the driver binds them, and as LOAD DATA reads them."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.values.column_values import CONVERTERS, scalar
from airflow_async_rest.databases.values.columns import Column, Kind

_MOST_DIGITS = 65  # of a DECIMAL
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(\.\d+)?S)?)?")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\0": "\\0"})
_NULL = "\\N"
_GEOMETRIES = frozenset({
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection", "geomcollection",
})  # fmt: skip


def _number(value: Any) -> Any:
    """Return a number that the server takes as it is, or refuses. :raises EncodeError: when it has no form there."""
    value = int(value) if isinstance(value, bool) else scalar(value)
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise EncodeError(f"{value} is no number of a database's")
    if isinstance(value, Decimal) and abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)  # all digits of 1e999999999 would fill the memory
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise EncodeError("a whole number of more than 65 digits is none of a database's")
    return value


def _integer(value: Any) -> Any:
    """Refuse a fraction: the server would round it. :raises EncodeError: then."""
    value = _number(value)
    try:
        exact = Decimal(value) if isinstance(value, str | float | Decimal) else None
    except InvalidOperation:
        return value  # which the server refuses
    if exact is not None and exact.is_finite() and exact.as_tuple().exponent and exact != exact.to_integral_value():
        raise EncodeError(f"{value} has a fraction, which a column of whole numbers does not keep")
    return value


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


def target(column: Column, name: str, variable: str) -> tuple[str, str]:
    """Return what LOAD DATA reads a column into, and the column's value then, if that is another.

    :param name: the column's, in SQL.
    """
    kind = column.staged_as.partition("(")[0].partition(" ")[0]
    if column.kind is Kind.BINARY or kind in _GEOMETRIES:
        return variable, f"{name} = UNHEX({variable})"
    # As a text, its digits would be the bits.
    return (variable, f"{name} = CAST({variable} AS UNSIGNED)") if kind == "bit" else (name, "")


def lines(columns: Sequence[Column], batches: Iterable[Sequence[Iterable[Any]]]) -> Iterable[bytes]:
    """Yield rows, some at a time, as LOAD DATA reads them.

    :param batches: of converted values: of each column, those of some rows.
    """
    in_hex = [target(column, "", "")[1].startswith(" = UNHEX") for column in columns]
    for batch in batches:
        cells = [list(map(_hex if as_hex else _cell, values)) for as_hex, values in zip(in_hex, batch, strict=True)]
        yield "".join("\t".join(row) + "\n" for row in zip(*cells, strict=True)).encode()


def _hex(value: Any) -> str:
    if value is None:
        return _NULL
    return (value if isinstance(value, bytes | bytearray | memoryview) else str(value).encode()).hex()


def _cell(value: Any) -> str:
    if value is None:
        return _NULL
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, timedelta):
        return time_of(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(int(value)) if isinstance(value, bool) else str(value)


def time_of(value: timedelta) -> str:
    """Write a duration as a TIME: ``-26:03:04.000500``."""
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(value.days * 86_400 + value.seconds, 60)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{value.microseconds:06}"
