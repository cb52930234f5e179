"""Rows as drivers give them, and what becomes of a value that a driver cannot load: its text, or that row's failure.

A driver raises for such a value, and gone with it is what was fetched together: thousands of rows. Each driver has its
own way out, which costs something only when it is needed.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, repeat
from typing import Any

from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.reading.source import PartialRow

# PostgreSQL's, for a text that is none in the encoding it is in, and for one that the encoding asked for cannot hold.
_NO_SUCH_CHARACTER, _NOT_IN_THAT_ENCODING = "22021", "22P05"

Rows = Sequence[tuple[Any, ...]]
Fetch = Callable[[CursorResult[Any], int], Rows]


class Missing:
    """Stands in a row for a value that could not be loaded.

    :param why: for people.
    :param found: what is known of it; its text shows it.
    """

    def __init__(self, why: str, found: Any) -> None:
        self.why = why
        self.found = found

    def __repr__(self) -> str:
        return f"<not loaded: {self.found!r}>"


class PartialValues(tuple[Any, ...]):
    """A row's values, with a :class:`Missing` among them."""

    __slots__ = ()


def named_rows(names: Sequence[str], rows: Rows) -> list[dict[str, Any]]:
    """Return rows with their columns' names."""
    if PartialValues in set(map(type, rows)):
        return [_partial_row(names, row) if type(row) is PartialValues else _row(names, row) for row in rows]
    # zip's own check of the lengths would take as long as all the rest.
    return list(map(dict, map(zip, repeat(names), rows)))


def _row(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def _partial_row(names: Sequence[str], values: PartialValues) -> PartialRow:
    row = _row(names, values)
    return PartialRow(row, {name: value.why for name, value in row.items() if isinstance(value, Missing)})


def marked(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return a row's values, marked when one is missing."""
    row = tuple(values)
    return PartialValues(row) if any(type(value) is Missing for value in row) else row


def prepare_values(raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
    """Make a driver's connection load what it can, and return how rows are fetched from its cursors.

    :param embed_json: whether JSON columns come as their text, because they are not looked into.
    :param reads_again: whether a query may run twice, because it changes nothing, and is the same then.
    :raises ConfigurationError: when the driver cannot know what texts are.
    """
    driver = raw.__class__.__module__.partition(".")[0]
    if driver == "psycopg":
        from airflow_async_rest.databases.values import psycopg_values  # noqa: PLC0415  (an optional provider's driver)

        psycopg_values.prepare(raw, embed_json=embed_json)
    elif driver == "psycopg2":
        from airflow_async_rest.databases.values import psycopg2_values  # noqa: PLC0415  (an optional provider's driver)

        psycopg2_values.prepare(raw, embed_json=embed_json)
    elif driver == "oracledb":
        from airflow_async_rest.databases.values import oracle_values  # noqa: PLC0415  (an optional provider's driver)

        return oracle_values.OracleFetch(reads_again=reads_again).fetch
    elif driver == "sqlite3":
        return _fetch_from_sqlite
    return fetch_as_given


def fetch_readable(fetch: Callable[[Any, int], Rows], of: Any, count: int) -> Rows:
    """Fetch rows.

    :raises ConfigurationError: when the driver cannot make values of them; says what can be done.
    """
    try:
        return fetch(of, count)
    except (ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise _unreadable(error) from error


def fetch_as_given(result: CursorResult[Any], count: int) -> Rows:
    """Fetch rows as the driver gives them.

    SQLAlchemy's own would be no others, because it knows no types of a textual SELECT's columns, and would double the
    cost of reading. Its way to the driver's is private: where it is gone, they are read as SQLAlchemy gives them.
    """
    strategy = getattr(result, "cursor_strategy", None)
    if strategy is None:
        return [marked(row) for row in result.fetchmany(count)]
    rows: Rows = strategy.fetchmany(result, result.cursor, count)
    return rows


def fetch_plainly(cursor: Any, count: int) -> Rows:
    """Fetch rows from a driver's own cursor."""
    rows: Rows = _fetch_utf8(cursor, count) if isinstance(cursor, sqlite3.Cursor) else cursor.fetchmany(count)
    return rows


def _fetch_from_sqlite(result: CursorResult[Any], count: int) -> Rows:
    cursor: Any = result.cursor
    try:
        return _fetch_utf8(cursor, count)
    except sqlite3.Error as error:
        raise DBAPIError.instance(None, None, error, sqlite3.Error) from error


def _fetch_utf8(cursor: sqlite3.Cursor, count: int) -> Rows:
    """Fetch rows; a text that is not UTF-8 is missing."""
    rows: list[tuple[Any, ...]] = []
    while True:
        try:
            # Unlike fetchmany, this keeps the rows before one that cannot be loaded, and the cursor stays there.
            rows.extend(islice(cursor, count - len(rows)))
        except sqlite3.OperationalError as error:
            if "Could not decode" not in str(error):
                raise
            rows.append(_fetch_partly(cursor))
        else:
            return rows


def _fetch_partly(cursor: sqlite3.Cursor) -> tuple[Any, ...]:
    connection = cursor.connection
    usual, connection.text_factory = connection.text_factory, _utf8_or_missing
    try:
        return marked(cursor.fetchone())
    finally:
        connection.text_factory = usual


def _utf8_or_missing(text: bytes) -> Any:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        return Missing(f"its text is not UTF-8 ({error.reason} at {error.start})", text)


def _unreadable(error: BaseException) -> ConfigurationError:
    """Return the error for rows that a driver cannot fetch."""
    advice = (
        encoding_advice(error) or "correct the value, or cast its column in the SQL, as in CAST(name AS varchar(99))"
    )
    return ConfigurationError(f"the rows of the sql cannot be read further ({str(error).strip()}): {advice}.")


def encoding_advice(error: BaseException) -> str:
    """Say what to do about texts that are not in the encoding they were taken to be in; empty for other errors."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if code == _NOT_IN_THAT_ENCODING:
        return 'write {"client_encoding": "UTF8"} into the connection\'s extra'
    if "0x00" in str(error):  # which no text of PostgreSQL's can have, whatever it consists of
        return ""
    if code != _NO_SUCH_CHARACTER and not isinstance(error, UnicodeDecodeError):
        return ""
    return 'name the encoding of the texts in the connection\'s extra, such as {"client_encoding": "LATIN1"}'
