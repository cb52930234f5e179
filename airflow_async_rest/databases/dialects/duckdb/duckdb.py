"""DuckDB, in a file."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine

from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.dialect import Batches, Dialect
from airflow_async_rest.databases.dialects.engines import begin_with
from airflow_async_rest.databases.errors import classes_of, original_of
from airflow_async_rest.databases.names import without_marks
from airflow_async_rest.databases.quotes import Quotes
from airflow_async_rest.databases.values.columns import Column, Constraint
from airflow_async_rest.databases.values.json_values import json_reader
from airflow_async_rest.databases.values.row_values import Fetch, Rows, fetch_as_given

_IN_MEMORY, _ELSEWHERE = ":memory:", ("md:", "motherduck:")
_READ_ONLY = "read-only mode"
# By another process. When that one only reads, it goes on about the mode in which we could, too.
_LOCKED = "Could not set lock on file"
# It has one class of errors for a file that is locked, or away, and for one that is no DuckDB file, or that the SQL
# names wrongly.
_WRONG_FILES = ("not a valid DuckDB database file", "No files found")
_INTERRUPTED = "InterruptException"
_NEVER_RIGHT = frozenset({"PermissionException", "NotSupportedError", "DependencyException"})
_INVALID_VALUE = "InvalidInputException"
_NO_ROWS = re.compile(r"[\s(]*(COPY|EXPORT|IMPORT|ATTACH|INSTALL)\b", re.IGNORECASE)
# A primary key is unique, and has NOT NULL for itself.
_CONSTRAINTS = text(
    """
    SELECT constraint_type, constraint_column_names, expression, constraint_text
    FROM duckdb_constraints()
    WHERE database_name = current_database() AND lower(schema_name) = lower(coalesce(:schema, current_schema()))
        AND lower(table_name) = lower(:table)
        AND constraint_type IN ('NOT NULL', 'CHECK', 'UNIQUE', 'PRIMARY KEY')
    ORDER BY constraint_type IN ('UNIQUE', 'PRIMARY KEY'), constraint_index
    """
)


class DuckDB(Dialect):
    """DuckDB. One process at a time writes to its file, and in it one transaction of ours at a time."""

    name = "duckdb"
    is_tried = True
    extra = "duckdb"
    utc_in_session = "SET TimeZone = 'UTC'"
    # Else the error of a row comes before the rows before it, of which up to 10 MB are made ahead.
    before_reading = "SET streaming_buffer_size = '1KB'"
    begin_read_only = "BEGIN TRANSACTION READ ONLY"
    begin_to_write = "BEGIN TRANSACTION"
    fails_whole = True
    quotes = Quotes(nested_comments=True, backticks=False, e=True)
    ends_at_semicolon = True
    empty_in = ("(NULL) IS TRUE", "(NULL) IS NULL")
    has_any_type = False
    merges_into = ""
    loads_views = False
    create_index = ""  # it has the smallest and the largest place of each part of a table
    explains = True
    locks_tables = True  # as a load's transaction is the only one that writes

    def connect(self, hook: Any) -> Any:
        """Connect to the file, which must be there: of a path that is misspelled DuckDB would make an empty one.

        :raises ConfigurationError: when it is not.
        """
        file = hook.get_database().partition("?")[0]
        if file != _IN_MEMORY and not file.startswith(_ELSEWHERE) and not Path(file).exists():
            raise ConfigurationError(
                f"there is no DuckDB file {file!r}, which is the connection's host: correct it, or make the file first."
            )
        return super().connect(hook)

    def engine(self, hook: Any, connect: Callable[[], Any]) -> Engine:
        """Make an engine of our own: the one of its maker's is another package, which nobody needs here."""
        # Not at the top: without its driver, there is no connection of this type.
        from airflow_async_rest.databases.dialects.duckdb.engine import duckdb_engine  # noqa: PLC0415

        return duckdb_engine(hook.get_database().partition("?")[0], connect)

    def prepare_to_load(self, engine: Engine) -> None:
        """Let each transaction be the only one of this process that writes.

        :raises ConfigurationError: when nothing would be left of what is loaded, or that was never tried.
        """
        file = engine.url.database or _IN_MEMORY
        if file == _IN_MEMORY:
            raise ConfigurationError(
                "destination_conn_id is a DuckDB database in memory, which is gone when the task ends: write the path "
                "of a file as its host."
            )
        if file.startswith(_ELSEWHERE):
            raise ConfigurationError(
                "destination_conn_id is a database of MotherDuck, into which loading was never tried: write the path "
                "of a file as its host."
            )
        path = os.path.realpath(file)
        begin_with(engine, lambda session: session.begin_to_write(path))

    def file_of(self, engine: Engine) -> str | None:
        """Return the path of the file."""
        file = engine.url.database or _IN_MEMORY
        return None if file == _IN_MEMORY or file.startswith(_ELSEWHERE) else os.path.realpath(file)

    def check_query(self, bare: str) -> None:
        """Refuse what has no rows, and changes something beside the database: files, which no transaction undoes."""
        if found := _NO_ROWS.match(bare):
            raise ConfigurationError(f"sql is a {found[1].upper()}, which returns no rows: write a SELECT.")

    def prepare_values(self, raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
        """Return how rows are fetched: its JSON comes as text."""
        read = json_reader(embed=embed_json)

        def fetch(result: QueryResult, count: int) -> Rows:
            rows = fetch_as_given(result, count)
            found = result.cursor.description if rows else ()
            if places := [place for place, column in enumerate(found) if str(column[1]) == "JSON"]:
                return [_with_json(row, places, read) for row in rows]
            return rows

        return fetch

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the file is locked, or away, or another transaction is in the way."""
        if _INTERRUPTED in classes_of(error):
            return True
        return super().is_transient(error) and not self.is_write_refused(error) and not _is_wrong_file(error)

    def is_write_refused(self, error: BaseException) -> bool:
        """Return whether the transaction, or the file, may only be read."""
        says = str(original_of(error))
        return _READ_ONLY in says and _LOCKED not in says

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether it refuses a row."""
        is_invalid = _INVALID_VALUE in classes_of(error) and not self.is_write_refused(error)
        return is_invalid or super().is_refusal(error)

    def is_wrong(self, error: BaseException) -> bool:
        """Return whether a load need not be tried again."""
        is_never_right = not classes_of(error).isdisjoint(_NEVER_RIGHT) or _is_wrong_file(error)
        return is_never_right or self.is_write_refused(error) or super().is_wrong(error)

    def stored_name(self, inspector: Any, table: str, schema: str | None) -> str:
        """Return a table's name with its own capitals, which mean nothing."""
        names = [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]
        return next((name for name in names if name.lower() == table.lower()), table)

    def constraints(self, connection: Connection, table: str, schema: str | None) -> Sequence[Constraint]:
        """Return what a table asks of its rows: after an error, all that was done is done again."""
        found = connection.execute(_CONSTRAINTS, {"table": table, "schema": schema}).all()
        return [
            Constraint(tuple(columns), _check_of(kind, columns, expression), f"Constraint Error: it violates {words}")
            for kind, columns, expression, words in found
        ]

    def stage(
        self, connection: Connection, into: str, columns: Sequence[Column], batches: Batches, *, are_whole: bool
    ) -> list[tuple[int, str]]:
        """Insert rows as lists, one of each column."""
        import duckdb  # noqa: PLC0415  (as above)

        from airflow_async_rest.databases.dialects.duckdb.staging import stage_rows  # noqa: PLC0415

        session: Any = connection.connection.dbapi_connection
        refused = stage_rows(session, without_marks(into), columns, _whole_columns(batches))
        if refused and not are_whole:
            raise duckdb.ConversionException(refused[0][1])
        return refused


def _check_of(kind: str, columns: Sequence[str], expression: str) -> str:
    """Write a condition. Of a CHECK that fails about a row, in a cast, it is NULL: such rows are found by halving."""
    quoted = '"' + columns[0].replace('"', '""') + '"'
    return {"NOT NULL": f"{quoted} IS NOT NULL", "CHECK": f"TRY({expression})"}.get(kind, "")


def _whole_columns(batches: Batches) -> list[list[Any]]:
    return [[value for part in parts for value in part] for parts in zip(*batches, strict=True)]


def _with_json(row: tuple[Any, ...], places: Iterable[int], read: Callable[[str], Any]) -> tuple[Any, ...]:
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = read(values[place])
    return tuple(values)


def _is_wrong_file(error: BaseException) -> bool:
    return any(words in str(original_of(error)) for words in _WRONG_FILES)
