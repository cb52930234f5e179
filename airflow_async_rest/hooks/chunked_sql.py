"""ChunkedSqlHook: any Airflow SQL connection -> chunks of rows, streamed."""

import contextlib
import sqlite3
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from airflow.sdk import BaseHook
from sqlalchemy import text
from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.source import Expected
from airflow_async_rest.hooks.row_values import (
    Fetch,
    Rows,
    encoding_advice,
    fetch_from_sqlite,
    named_rows,
    prepare_values,
    unreadable,
)
from airflow_async_rest.hooks.sql_dialects import (
    bind_value,
    cancel_statement,
    is_transient,
    prepare_engine,
    prepare_session,
)
from airflow_async_rest.hooks.sql_engine import database_hook, hook_engine

Row = dict[str, Any]

_ESTIMATE = "EXPLAIN (FORMAT JSON) SELECT * FROM (\n{sql}\n) counted WHERE CAST(:async_rest AS boolean)"


class ChunkedSqlHook(BaseHook):
    """Reads a query in chunks, with a cursor that really streams.

    :param sql_conn_id: any connection whose hook is an SQL hook (Postgres, Oracle, SQLite, MySQL, ...).
    """

    conn_name_attr = "sql_conn_id"

    def __init__(self, sql_conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id

    def chunks(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        chunk_size: int = 5000,
        *,
        count_rows: bool = False,
    ) -> "SqlChunks":
        """Prepare a query. The connection is looked up now; the database is asked when the chunks are iterated.

        :param sql: one SELECT with binds written ``:name``, whatever the database.
        :param parameters: values of the binds. A datetime reaches the database in the form its columns compare
            with, in UTC.
        :param chunk_size: rows in a chunk.
        :param count_rows: whether the rows are counted first, which may take as long as the query.
        :return: an iterable of lists of dicts, with the column names as the database gives them; it can be
            iterated again, and cancelled from another thread.
        :raises ConfigurationError: when an argument is wrong; names it.
        """
        if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
            raise ConfigurationError(f"chunk_size={chunk_size!r}: write a whole number of rows from 1 up.")
        if not isinstance(count_rows, bool):
            raise ConfigurationError(f"count_rows={count_rows!r}: write True or False.")
        if not isinstance(sql, str) or not sql.strip():
            raise ConfigurationError(f"sql={sql!r}: write a SELECT, or the path of a .sql file.")
        hook, statement = database_hook("sql_conn_id", self.sql_conn_id), sql.strip().rstrip(";")
        return SqlChunks(hook, statement, dict(parameters or {}), chunk_size, count_rows=count_rows)

    def iter_chunks(
        self, sql: str, parameters: Mapping[str, Any] | None = None, chunk_size: int = 5000
    ) -> Iterator[list[Row]]:
        """Read a query in chunks; see :meth:`chunks`."""
        return iter(self.chunks(sql, parameters, chunk_size))


class SqlChunks:
    """A query, ready to be read; see :meth:`ChunkedSqlHook.chunks`.

    :ivar embed_json: whether JSON columns come as their text, for an encoder, because nobody looks into them.
    :ivar expected: how many rows there will be, once it is read: counted when asked for, else by PostgreSQL's planner.
    """

    def __init__(
        self, hook: Any, sql: str, parameters: Mapping[str, Any], chunk_size: int, *, count_rows: bool = False
    ) -> None:
        self._hook = hook
        self._sql = sql
        self._count_rows = count_rows
        self.embed_json = False
        self.expected: Expected | None = None
        self._chunk_size = chunk_size
        self._raw: Any = None
        self._engine = hook_engine(hook)
        if self._engine is not None:
            prepare_engine(self._engine, chunk_size)
        self.dialect = self._engine.dialect.name if self._engine is not None else "default"
        try:
            self._statement = text(sql)
        except ArgumentError as error:
            raise ConfigurationError(f"sql cannot be read: {error}") from error
        self.binds = frozenset(self._statement.compile().params)
        missing = sorted(self.binds - parameters.keys())
        if missing:
            raise ConfigurationError(
                f"sql has the bind :{missing[0]}, which has no value: add it to parameters="
                f"{{{missing[0]!r}: ...}}. A colon that is no bind, inside quotes too, is written \\: "
                "('\\\\:' in a Python string)."
            )
        self._binds = {name: bind_value(parameters[name], self.dialect) for name in self.binds}

    def __iter__(self) -> Generator[list[Row], None, None]:
        """Run the query and give its rows, chunk by chunk.

        :raises ConfigurationError: when the database refuses the SQL, or two columns have one name.
        """
        if self._engine is None:
            yield from self._iter_plain()
            return
        try:
            with self._engine.connect() as connection:
                self._raw = connection.connection.dbapi_connection
                prepare_session(connection)
                self._expect(connection)
                fetch = prepare_values(self._raw, embed_json=self.embed_json)
                with self._executed(connection) as result:
                    names = _names(result.keys())
                    while rows := self._fetch(fetch, result):
                        yield named_rows(names, rows)
        finally:
            self._raw = None

    def _expect(self, connection: Connection) -> None:
        """Find out how many rows there will be, on the connection that reads them; if that fails, nobody knows."""
        if self._count_rows:
            # By a cursor, as the one that reads: it takes a single statement only.
            ask, how = "SELECT count(*) FROM (\n{sql}\n) counted", "counted"
        elif self.dialect == "postgresql" and connection.dialect.driver == "psycopg":
            # A bind makes psycopg take a single statement only; psycopg2 would take several.
            ask, how = _ESTIMATE, "about"
        else:
            return
        try:
            with connection.begin_nested() if self.dialect == "postgresql" else contextlib.nullcontext():
                statement = text(ask.format(sql=self._sql))
                binds = self._binds | ({"async_rest": True} if how == "about" else {})
                by_cursor = {"stream_results": how == "counted"}
                answer = connection.execute(statement, binds, execution_options=by_cursor).scalar_one()
        except DBAPIError as error:
            if is_transient(error, self.dialect):
                raise
        else:
            self.expected = Expected(answer if how == "counted" else answer[0]["Plan"]["Plan Rows"], how)

    def cancel(self) -> None:
        """Cancel the statement that is running; from another thread."""
        cancel_statement(self._raw)

    @contextlib.contextmanager
    def _executed(self, connection: Connection) -> Iterator[CursorResult[Any]]:
        streaming = connection.execution_options(stream_results=True, max_row_buffer=self._chunk_size)
        try:
            result = streaming.execute(self._statement, self._binds)
        except DBAPIError as error:
            if is_transient(error, self.dialect):
                raise
            raise _refused(error.orig or error) from error.orig
        with contextlib.closing(result):
            if not result.returns_rows:
                raise ConfigurationError("sql returns no rows: write a SELECT.")
            yield result

    def _fetch(self, fetch: Fetch, result: CursorResult[Any]) -> Rows:
        try:
            return fetch(result, self._chunk_size)
        except DBAPIError as error:
            if is_transient(error, self.dialect) or not isinstance(error, DataError):
                raise
            raise unreadable(error.orig or error) from error.orig
        except (ValueError, OverflowError, RecursionError) as error:
            raise unreadable(error) from error

    def _iter_plain(self) -> Iterator[list[Row]]:
        """Read with the hook's own cursor, where SQLAlchemy has no dialect for the database."""
        qmark = getattr(self._hook, "placeholder", "%s") == "?"
        compiled = self._statement.compile(dialect=DefaultDialect(paramstyle="qmark" if qmark else "format"))
        values = [self._binds[name] for name in compiled.positiontup or ()]
        with contextlib.closing(self._hook.get_conn()) as raw, contextlib.closing(raw.cursor()) as cursor:
            self._raw = raw
            cursor.arraysize = self._chunk_size
            try:
                cursor.execute(str(compiled), values)
            except Exception as error:
                raise _refused(error) from error
            names = _names([column[0] for column in cursor.description or ()])
            while rows := _fetch_plainly(cursor, self._chunk_size):
                yield named_rows(names, rows)


def _fetch_plainly(cursor: Any, count: int) -> Rows:
    if isinstance(cursor, sqlite3.Cursor):
        return fetch_from_sqlite(cursor, count)
    try:
        rows: Rows = cursor.fetchmany(count)
    except (ValueError, OverflowError, RecursionError) as error:
        raise unreadable(error) from error
    return rows


def _names(keys: Any) -> list[str]:
    names = [str(key) for key in keys]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"sql returns two columns named {twice[0]!r}: give one of them an alias.")
    return names


def _refused(error: BaseException) -> ConfigurationError:
    words = [str(error).strip(), *getattr(error, "__notes__", ()), encoding_advice(error)]
    return ConfigurationError(f"the database refuses the sql: {' '.join(filter(None, words))}")
