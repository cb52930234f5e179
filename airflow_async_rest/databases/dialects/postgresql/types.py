"""What PostgreSQL's drivers do not know of its types, and how its values are read."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, NamedTuple

from airflow_async_rest.core.encoding.durations import CalendarDuration, iso_of_interval
from airflow_async_rest.core.encoding.foreign_values import ValueText
from airflow_async_rest.core.errors import ConfigurationError

# Of arrays whose elements a driver may not know: enums, domains, composites, extensions' types. A domain's values come
# as those of the type below it.
_ARRAYS = """
WITH RECURSIVE elements (array_oid, name, delimiter, oid) AS (
    SELECT a.oid, e.typname, e.typdelim, e.oid FROM pg_type a JOIN pg_type e ON e.typarray = a.oid
    WHERE a.oid::bigint IN ({oids})
    UNION ALL
    SELECT array_oid, name, delimiter, t.typbasetype FROM elements JOIN pg_type t USING (oid) WHERE t.typtype = 'd'
)
SELECT array_oid, name, delimiter, oid FROM elements JOIN pg_type t USING (oid) WHERE t.typtype <> 'd'
"""


class ArrayType(NamedTuple):
    """A type of array.

    :param element_oid: of the type that its elements are read as.
    """

    oid: int
    name: str
    delimiter: str
    element_oid: int


def find_arrays(cursor: Any, oids: Collection[int]) -> list[ArrayType]:
    """Ask the database which of some types are arrays, and of what.

    :return: with arrays that are elements, as a domain may be one; those come first.
    """
    found: list[ArrayType] = []
    while oids:
        cursor.execute(_ARRAYS.format(oids=", ".join(map(str, oids))))
        found = [ArrayType(*row) for row in cursor.fetchall()] + found
        oids = {array.element_oid for array in found if array.oid in oids}
    return found


def read_interval(text: str, load: Callable[[], timedelta | None]) -> Any:
    """Read an interval.

    :param load: the driver's own way, which takes a month for 30 days.
    :return: ISO 8601 where a timedelta cannot hold it.
    """
    if "infinity" in text:  # which drivers take for no time at all
        return ValueText(text)
    try:
        value = load()
    except Exception:  # noqa: BLE001  (drivers raise errors of several kinds)
        return ValueText(iso_of_interval(text))
    if value is not None and ("mon" in text or "year" in text):
        return CalendarDuration.of(value, iso_of_interval(text))
    return value


def check_encoding(encoding: str | None) -> None:
    """Refuse a connection that does not say how its texts are encoded.

    :raises ConfigurationError: when it is SQL_ASCII.
    """
    if encoding in {"SQL_ASCII", "SQLASCII"}:
        raise ConfigurationError(
            "the database is SQL_ASCII, which does not say how its texts are encoded: name that in the connection's "
            'extra, such as {"client_encoding": "UTF8"} or {"client_encoding": "LATIN1"}.'
        )
