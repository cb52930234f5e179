"""ChunkedSqlHook: any Airflow SQL connection -> chunks of rows, streamed."""

import contextlib
import functools
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.compat.names import BaseHook
from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.core.encoding.chunk_sizes import bytes_of, bytes_of_typed, iter_chunks
from airflow_async_rest.core.errors import AsyncRestError, ConfigurationError
from airflow_async_rest.core.reading.source import Expected
from airflow_async_rest.databases.binds import Query
from airflow_async_rest.databases.database import Database
from airflow_async_rest.databases.errors import original_of
from airflow_async_rest.databases.expected import expect
from airflow_async_rest.databases.failures import failure_while_reading, not_committed, refused
from airflow_async_rest.databases.session import not_a_select, reading
from airflow_async_rest.databases.values.row_values import Fetch, fetch_readable, named_rows
from airflow_async_rest.tasks.checking.query import check_parameters, check_reading

log = logging.getLogger(__name__)


@functools.cache
def _warn_of_untried(name: str) -> None:
    """Say once that nobody has tried what a database will do."""
    log.warning("Reading from a database of type %r was never tried: it is read by plain DB-API", name)


class ChunkedSqlHook(BaseHook):
    """Reads a query in chunks, with a cursor that really streams.

    :param sql_conn_id: any connection whose hook is an SQL hook (Postgres, Oracle, SQLite, MySQL, ...).
    """

    conn_name_attr = "sql_conn_id"

    def __init__(self, sql_conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id

    @functools.cached_property
    def _database(self) -> Database:
        return Database("sql_conn_id", self.sql_conn_id)

    def chunks(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        chunk_size: int = 5000,
        *,
        count_rows: bool = False,
        read_only: bool = True,
    ) -> "SqlChunks":
        """Prepare a query. The connection is looked up now; the database is asked when the chunks are iterated.

        :param sql: one SELECT with binds written ``:name``, whatever the database.
        :param parameters: values of the binds. A datetime reaches the database in the form its columns compare
            with, in UTC; each value of a list after IN is bound by itself; a dict is JSON.
        :param chunk_size: rows in a chunk, at most: it has fewer where they have more than 4 MB.
        :param count_rows: whether the rows are counted first, which may take as long as the query.
        :param read_only: whether the transaction may change nothing. If it may, it is committed when the caller
            asks for a chunk after the last one, and undone if nobody does.
        :return: an iterable of lists of dicts, with the column names as the database gives them; it can be
            iterated again, and cancelled from another thread.
        :raises ConfigurationError: when an argument is wrong; names it.
        """
        check_reading(chunk_size, count_rows, read_only)
        values = check_parameters(parameters)
        return SqlChunks(self._database, sql, values, chunk_size, count_rows=count_rows, read_only=read_only)

    def binds(self, sql: str) -> frozenset[str]:
        """Return the names of the binds in a query, as this connection's database reads it.

        Nothing is connected, but where a server's settings tell how the query's quotes are read.

        :raises ConfigurationError: when the connection is wrong.
        """
        return Query.read(sql, self._database.dialect).names

    def iter_chunks(
        self, sql: str, parameters: Any = None, chunk_size: int = 5000, *, read_only: bool = True
    ) -> Iterator[list[dict[str, Any]]]:
        """Read a query in chunks; see :meth:`chunks`."""
        return iter(self.chunks(sql, parameters, chunk_size, read_only=read_only))


class SqlChunks:
    """A query, ready to be read; see :meth:`ChunkedSqlHook.chunks`.

    :ivar embed_json: whether JSON columns come as their text, for an encoder, because they are not looked into.
    :ivar reads_again: whether it changes nothing; see
        :class:`~airflow_async_rest.core.reading.source.TransactionalChunks`.
    :ivar dialect: of the database.
    :ivar file: that the database is; None where it is no file.
    :ivar columns: names of the columns, once the query runs.
    :ivar expected: how many rows there will be, once it is read: counted when asked for, else by the planner.
    """

    def __init__(
        self,
        database: Database,
        sql: str,
        parameters: Mapping[str, Any],
        chunk_size: int,
        *,
        count_rows: bool,
        read_only: bool,
    ) -> None:
        self._count_rows = count_rows
        self._read_only = self.reads_again = read_only
        self.embed_json = False
        self.columns: list[str] | None = None
        self.expected: Expected | None = None
        self._chunk_size = chunk_size
        self._raw: Any = None
        self._engine, self.dialect, self.file = database.engine, database.dialect, database.file
        if not self.dialect.is_tried:
            _warn_of_untried(self.dialect.name)
        query = Query.read(sql, self.dialect)
        query.check(parameters)
        if read_only and not query.only_selects and self.dialect.reads_by_select_only:
            raise not_a_select(self.dialect)
        self.binds = query.names
        self._sql, self._binds = query.fill(parameters)
        self._statement = text(self._sql)
        self._streams = query.only_selects or not self.dialect.streams_only_selects

    def __iter__(self) -> Generator[list[dict[str, Any]], None, None]:
        """Run the query and yield its rows, chunk by chunk; after the last one, commit what it may have changed.

        :raises ConfigurationError: when the database refuses the SQL, a row makes it fail, or two columns are alike.
        :raises StoppedError: when the database fails after some of the rows, or does not commit.
        """
        with contextlib.closing(self.in_transaction()) as chunks:
            yield from filter(None, chunks)

    def in_transaction(self) -> Generator[list[dict[str, Any]] | None, None, None]:
        """Run the query, and leave the commit to the caller.

        See :class:`~airflow_async_rest.core.reading.source.TransactionalChunks`; it raises what iterating raises.
        """
        self.columns, rows, is_read = None, 0, False
        try:
            with contextlib.closing(self._iter_rows()) as chunks:
                for chunk in chunks:
                    yield chunk
                    is_read = chunk is None
                    rows += len(chunk or ())
                    del chunk  # before the next one is read: it may be large
        except Exception as error:
            if is_read and not isinstance(error, ConfigurationError):
                raise not_committed(error, self.dialect) from error
            if self.columns is None or (failure := failure_while_reading(error, rows, self.dialect)) is error:
                raise
            raise failure from error

    def _iter_rows(self) -> Generator[list[dict[str, Any]] | None, None, None]:
        dialect = self.dialect
        try:
            with self._engine.connect() as connection:
                self._raw = connection.connection.dbapi_connection
                with reading(connection, dialect, read_only=self._read_only):
                    self.expected = expect(connection, dialect, self._sql, self._binds, count_rows=self._count_rows)
                    fetch = dialect.prepare_values(self._raw, embed_json=self.embed_json, reads_again=self._read_only)
                    with self._executed(connection) as result:
                        self.columns = _names(result.keys())
                        yield from self._iter_named(self.columns, fetch, result)
                    if not self._read_only:
                        yield None
        finally:
            self._raw = None

    def cancel(self) -> None:
        """Cancel the statement that is running; from another thread."""
        self.dialect.cancel(self._raw)

    @contextlib.contextmanager
    def _executed(self, connection: Connection) -> Iterator[QueryResult]:
        streaming = connection.execution_options(stream_results=self._streams, max_row_buffer=self._chunk_size)
        try:
            result = streaming.execute(self._statement, self._binds)
        except Exception as error:  # of the database, or of a driver that cannot write a bind
            if isinstance(error, AsyncRestError) or self.dialect.is_transient(error):
                raise
            if isinstance(error, DBAPIError) and self.dialect.is_write_refused(error):
                raise
            raise refused(original_of(error), self.dialect) from original_of(error)
        with contextlib.closing(result):
            if not result.returns_rows:
                raise ConfigurationError("sql returns no rows: write a SELECT.")
            yield result

    def _iter_named(self, names: Sequence[str], fetch: Fetch, result: QueryResult) -> Iterator[list[dict[str, Any]]]:
        """Yield chunks of rows with their columns' names."""
        has_any_type = self.dialect.has_any_type

        def fetch_named(count: int) -> tuple[list[dict[str, Any]], int]:
            rows = fetch_readable(fetch, result, count, self.dialect.encoding_advice)
            size = bytes_of(zip(*rows, strict=True)) if has_any_type else bytes_of_typed(rows)
            return named_rows(names, rows), size

        return iter_chunks(fetch_named, self._chunk_size)


def _names(keys: Any) -> list[str]:
    names = [str(key) for key in keys]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"sql returns two columns named {twice[0]!r}: give one of them an alias.")
    return names
