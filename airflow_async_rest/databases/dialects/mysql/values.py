"""Values of rows that are loaded, as the server takes them."""

import math
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.values.column_values import CONVERTERS, integer, scalar
from airflow_async_rest.databases.values.columns import Kind

_MOST_DIGITS = 65  # of a DECIMAL
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(\.\d+)?S)?)?")
_DIGITS = re.compile(r"-?\d{1,20}")


def _number(value: Any) -> Any:
    """Return a number that the server takes as it is, or refuses. :raises EncodeError: when it has no form there."""
    value = int(value) if isinstance(value, bool) else scalar(value)
    if not (value.is_finite() if isinstance(value, Decimal) else not isinstance(value, float) or math.isfinite(value)):
        raise EncodeError(f"{value} is no number of a database's")
    if isinstance(value, Decimal) and abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)  # all digits of 1e999999999 would fill the memory
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise EncodeError("a whole number of more than 65 digits is none of a database's")
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
