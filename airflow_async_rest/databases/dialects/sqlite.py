"""SQLite, by Python's own driver."""

import contextlib
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.databases.dialects.dialect import Dialect, Upsert
from airflow_async_rest.databases.dialects.engines import begin_with
from airflow_async_rest.databases.errors import classes_of, message_of, original_of
from airflow_async_rest.databases.quotes import Quotes
from airflow_async_rest.databases.values.column_values import CONVERTERS, check_float, integer, scalar, text_of
from airflow_async_rest.databases.values.columns import Kind
from airflow_async_rest.databases.values.row_values import Fetch, Missing, Rows, marked

_COLLATIONS = text(
    """
    SELECT i.name, c.name, c.coll
    FROM pragma_index_list(:table, :schema) AS i, pragma_index_xinfo(i.name, :schema) AS c
    WHERE i."unique" AND NOT i.partial AND c.key
    """
)
_LARGEST_INTEGER = 2**63
_SAFE_DIGITS = 18  # of which every whole number has 64 bits or fewer
# It has one class of errors for a wrong SQL and for a file that is locked.
_TRANSIENT = ("locked", "unable to open", "interrupted")
_LATER = ("disk", "malformed")
_SCHEME = "sqlite:///"
# Of the last ones it does not know the types, and makes numbers of texts that are some.
_NUMBERS = frozenset({
    Kind.INTEGER, Kind.NUMBER, Kind.JSON, Kind.BOOLEAN, Kind.DATE, Kind.NAIVE_TIME, Kind.AWARE_TIME,
})  # fmt: skip


class SQLite(Dialect):
    """SQLite. Times are texts there, as its own functions write them, and a column has values of any type."""

    name = "sqlite"
    is_tried = True
    extra = "sqlite"
    is_one_file = True
    quotes = Quotes(dollars=False, brackets=r"\[[^\]]*+(?:\]|\Z)")
    ends_at_semicolon = True
    converters = CONVERTERS | {Kind.INTEGER: lambda value: scalar(integer(value))}
    empty_in = ("(NULL) IS TRUE", "(NULL) IS NULL")
    upsert = Upsert.ON_CONFLICT
    defaults_are_expressions = True
    times_are_texts = True
    is_indexed_late = True
    create_index = "CREATE INDEX IF NOT EXISTS {schema}{index} ON {table} ({column})"
    explains = True
    locks_tables = True  # as a transaction that writes is the only one

    def connect(self, hook: Any) -> Any:
        """Connect to the file, which must be there: of a path that is misspelled SQLite would make an empty one.

        :raises ConfigurationError: when it is not.
        """
        place, _, options = hook.get_uri().partition("?")
        file = unquote(
            place.removeprefix(_SCHEME).partition("#")[0]
        )  # as SQLite reads it, of which the hook makes a URI
        is_of_file = place.startswith(_SCHEME) and file not in ("", ":memory:") and "mode=memory" not in options
        if is_of_file and not Path(file).is_file():
            raise ConfigurationError(
                f"there is no SQLite file {file!r}, which is the connection's host: correct it, or make the file "
                "first. A %, ? or # in its name is written %25, %3F or %23."
            )
        return super().connect(hook)

    def prepare_to_load(self, engine: Engine) -> None:
        """Begin transactions ourselves: the driver would begin them late, and not know of savepoints."""

        @event.listens_for(engine, "connect")
        def on_connect(raw: Any, _: object) -> None:
            raw.isolation_level = None

        def begin(raw: Any) -> None:
            raw.execute("BEGIN IMMEDIATE")

        begin_with(engine, begin)

    def file_of(self, engine: Engine) -> str | None:
        """Return the path of the file."""
        if not engine.url.database:
            return None
        return os.path.realpath(engine.url.database.removeprefix("file:").partition("?")[0])

    def begin(self, connection: Connection) -> None:
        """Begin before any statement: the driver would do so only where the first word is INSERT, or its like."""
        raw: Any = connection.connection.dbapi_connection
        if not raw.in_transaction:
            connection.exec_driver_sql("BEGIN")

    @contextlib.contextmanager
    def query_only(self, connection: Connection) -> Iterator[None]:
        """Let a connection, which may outlive us, change nothing for the time being."""
        before = connection.exec_driver_sql("PRAGMA query_only").scalar()
        connection.exec_driver_sql("PRAGMA query_only = 1")
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone
                connection.exec_driver_sql(f"PRAGMA query_only = {before}")

    def bind(self, value: Any) -> Any:
        """Return what the driver takes, which knows numbers and texts only."""
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, UUID):
            return str(value)
        if isinstance(value, Decimal):
            return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
        return value

    def bind_time(self, utc: datetime) -> str:
        """Return a time as text."""
        return utc.replace(tzinfo=None).isoformat(" ")

    def prepare_values(self, raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
        """Return how rows are fetched."""
        return _fetch

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the file is locked, or gone."""
        return any(word in str(original_of(error)) for word in _TRANSIENT)

    def is_write_refused(self, error: BaseException) -> bool:
        """Return whether it may only be read."""
        return "attempt to write a readonly database" in str(original_of(error))

    def is_wrong(self, error: BaseException) -> bool:
        """Return whether a load need not be tried again."""
        is_later = self.is_transient(error) or any(word in message_of(error) for word in _LATER)
        return not is_later and "IntegrityError" not in classes_of(error)

    def stored_name(self, inspector: Any, table: str, schema: str | None) -> str:
        """Return a table's name with its own capitals: to SQLite these are nothing, but to SQLAlchemy they are."""
        names = [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]
        return next((name for name in names if name.lower() == table.lower()), table)

    def has_default(self, described: Mapping[str, Any], kind: Kind) -> bool:
        """Return whether a column has a default, or is the table's rowid by another name."""
        is_rowid = bool(described.get("primary_key")) and kind is Kind.INTEGER
        return super().has_default(described, kind) or is_rowid

    def collations(self, connection: Connection, table: str, schema: str | None, key: Sequence[str]) -> dict[str, str]:
        """Return by which collations the unique index of a key compares, but for the usual one."""
        indexes: dict[str, dict[str, str]] = {}
        for index, column, collation in connection.execute(_COLLATIONS, {"table": table, "schema": schema or "main"}):
            indexes.setdefault(index, {})[column] = collation
        found = next((each for each in indexes.values() if set(each) == set(key)), {})
        return {column: collation for column, collation in found.items() if collation != "BINARY"}

    def converter(self, kind: Kind) -> Callable[[Any], Any]:
        """Return the function that turns a value into what the driver binds."""
        convert, of_numbers = self.converters.get(kind, scalar), kind in _NUMBERS
        return lambda value: None if value is None else _storable(convert(value), of_numbers=of_numbers)

    def bound_of_window(self, name: str, value: Any) -> tuple[str, Any]:
        """Return a bound: as text, a day comes before its midnight."""
        return f":{name}", value.removesuffix(" 00:00:00")


def _fetch(result: QueryResult, count: int) -> Rows:
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


def _utf8_or_missing(text_: bytes) -> Any:
    try:
        return text_.decode()
    except UnicodeDecodeError as error:
        return Missing(f"its text is not UTF-8 ({error.reason} at {error.start})", text_)


def _check_whole(value: Any) -> None:
    """Refuse whole numbers that SQLite would keep as other ones: beyond 64 bits, its numbers have 15 digits.

    :raises EncodeError: then.
    """
    if isinstance(value, str | int | Decimal) and len(digits := str(value)) > _SAFE_DIGITS:
        with contextlib.suppress(ArithmeticError, ValueError):
            exact = Decimal(digits)
            is_large = exact.is_finite() and not -_LARGEST_INTEGER <= exact < _LARGEST_INTEGER
            if is_large and exact == exact.to_integral_value() and exact != Decimal(float(digits)):
                raise EncodeError(
                    f"SQLite has no whole number as large as {digits:.60}: load it into a column of texts"
                )


def _storable(value: Any, *, of_numbers: bool) -> Any:
    """Return times as its own functions write them, and what it has no type for as text.

    :param of_numbers: whether the column makes numbers of texts that are some.
    :raises EncodeError: for NaN, and for a number that would become another.
    """
    if of_numbers:
        _check_whole(check_float(value))
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time | timedelta | Decimal):
        return text_of(value)
    if isinstance(value, float) and math.isnan(value):
        raise EncodeError("NaN would become NULL")
    if isinstance(value, int) and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        return str(value)
    return value
