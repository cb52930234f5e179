"""Values from Oracle that its driver cannot load: years before 1, and texts that are not in the database's encoding.

The driver has dropped them then, and all rows that came with them. So the query runs again, in the same transaction,
with its times as texts; the rows that were read before are passed over.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import oracledb

from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.oracle.reading import ZONED, describe, input_sizes
from airflow_async_rest.databases.values.row_values import Missing, Rows, fetch_as_given, marked

_SECONDS = 'SYYYY-MM-DD"T"HH24:MI:SS'
_FORMATS = {oracledb.DB_TYPE_DATE: _SECONDS} | dict.fromkeys((oracledb.DB_TYPE_TIMESTAMP, *ZONED), f"{_SECONDS}.FF6")
# What they are fetched as: large ones come whole, as they do the first time.
_TEXTS = {
    kind: kind
    for kind in (
        *(oracledb.DB_TYPE_VARCHAR, oracledb.DB_TYPE_NVARCHAR, oracledb.DB_TYPE_CHAR, oracledb.DB_TYPE_NCHAR),
        *(oracledb.DB_TYPE_LONG, oracledb.DB_TYPE_LONG_NVARCHAR),
    )
} | {oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG, oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_LONG_NVARCHAR}


class OracleFetch:
    """Fetches the rows of one query, as many in a round trip.

    :param reads_again: see ``Dialect.prepare_values``.
    """

    def __init__(self, *, reads_again: bool) -> None:
        self._reads_again = reads_again
        self._given = 0
        self._last: Any = None
        self._careful: Any = None

    def fetch(self, result: QueryResult, count: int) -> Rows:
        """Fetch rows; see ``Dialect.prepare_values``.

        :raises ConfigurationError: when they cannot be read a second time.
        """
        rows = self._fetch_carefully(count) if self._careful else self._fetch(result, count)
        if rows:
            self._given, self._last = self._given + len(rows), rows[-1]
        return rows

    def _fetch(self, result: QueryResult, count: int) -> Rows:
        result.cursor.arraysize = count
        try:
            return fetch_as_given(result, count)
        except (ValueError, OverflowError) as error:
            if not self._reads_again:
                raise
            try:
                self._careful = _run_again(result)
                self._pass_over_given()
            except oracledb.DatabaseError as second:
                raise error from second
        return self._fetch_carefully(count)

    def _fetch_carefully(self, count: int) -> Rows:
        self._careful.arraysize = count
        return [marked(row) for row in self._careful.fetchmany(count)]

    def _pass_over_given(self) -> None:
        last = None
        for last in islice(iter(self._careful.fetchone, None), self._given):  # noqa: B007
            pass
        if repr(last) != repr(self._last):
            raise ConfigurationError(
                "the sql has a value that the driver cannot load, and when it is read again, its rows come in another "
                "order: write an ORDER BY that leaves no two rows equal, or cast the column to a text."
            )


def _run_again(result: QueryResult) -> Any:
    statement, parameters = result.context.statement, result.context.parameters[0]
    first = result.cursor
    columns = describe(first.connection, statement)
    again = first.connection.cursor()
    again.arraysize, again.prefetchrows = first.arraysize, 0
    again.outputtypehandler = _careful_types(first.outputtypehandler, dict(columns))
    if sizes := input_sizes(parameters):
        again.setinputsizes(**sizes)
    selected = ", ".join(_selected(name, kind) for name, kind in columns)
    again.execute(f"SELECT {selected} FROM (\n{statement}\n)", parameters)
    return again


def _selected(name: str, kind: Any) -> str:
    if kind not in _FORMATS:
        return f'"{name}"'
    value = f'SYS_EXTRACT_UTC("{name}")' if kind in ZONED else f'"{name}"'
    return f"TO_CHAR({value}, '{_FORMATS[kind]}') AS \"{name}\""


def _careful_types(default: Callable[..., Any], kinds: Mapping[str, Any]) -> Callable[..., Any]:
    # The driver counts the arguments.
    def handler(cursor: Any, name: str, kind: Any, size: int, precision: int, scale: int) -> Any:  # noqa: PLR0917
        if kinds[name] in _FORMATS:
            read = _read_utc if kinds[name] in ZONED else _read_time
            return cursor.var(oracledb.DB_TYPE_VARCHAR, arraysize=cursor.arraysize, outconverter=read)
        if kind in _TEXTS:
            return cursor.var(
                _TEXTS[kind], size, cursor.arraysize, outconverter=_text_or_missing, encoding_errors="surrogateescape"
            )
        return default(cursor, name, kind, size, precision, scale)

    return handler


def _read_time(text: str) -> datetime | str:
    """Read a time; one that a datetime cannot hold stays a text."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return text.strip()


def _read_utc(text: str) -> datetime | str:
    value = _read_time(text)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else f"{value}+00:00"


def _text_or_missing(text: str) -> Any:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Missing(f"its text is not in the database's encoding ({error.reason})", text)
    return text
