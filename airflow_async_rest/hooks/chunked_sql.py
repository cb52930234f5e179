"""ChunkedSqlHook: any Airflow SQL connection -> chunks of rows, streamed."""

import contextlib
import re
from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from airflow.sdk import BaseHook
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection, CursorResult, Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import NullPool

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.hooks.rest_connection import find_connection

Row = dict[str, Any]

# The session's time zone decides how a column without an offset compares with a bind that has one.
_SESSION_IN_UTC = {
    "postgresql": "SET TIME ZONE 'UTC'",
    "oracle": "ALTER SESSION SET TIME_ZONE = '+00:00'",
    "mysql": "SET time_zone = '+00:00'",
    "mariadb": "SET time_zone = '+00:00'",
}


class ChunkedSqlHook(BaseHook):
    """Reads a query in chunks, with a cursor that really streams.

    :param sql_conn_id: any connection whose hook is an SQL hook (Postgres, Oracle, SQLite, MySQL, ...).
    """

    conn_name_attr = "sql_conn_id"

    def __init__(self, sql_conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id

    def chunks(self, sql: str, parameters: Mapping[str, Any] | None = None, chunk_size: int = 5000) -> "SqlChunks":
        """Prepare a query. The connection is looked up now; the database is asked when the chunks are iterated.

        :param sql: one SELECT with binds written ``:name``, whatever the database.
        :param parameters: values of the binds. A datetime reaches the database in the form its columns compare
            with, in UTC.
        :param chunk_size: rows in a chunk.
        :return: an iterable of lists of dicts, with the column names as the database gives them; it can be
            iterated again, and cancelled from another thread.
        :raises ConfigurationError: when an argument is wrong; names it.
        """
        if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
            raise ConfigurationError(f"chunk_size={chunk_size!r}: write a whole number of rows from 1 up.")
        if not isinstance(sql, str) or not sql.strip():
            raise ConfigurationError(f"sql={sql!r}: write a SELECT, or the path of a .sql file.")
        return SqlChunks(self._database_hook(), sql.strip().rstrip(";"), dict(parameters or {}), chunk_size)

    def iter_chunks(
        self, sql: str, parameters: Mapping[str, Any] | None = None, chunk_size: int = 5000
    ) -> Iterator[list[Row]]:
        """Read a query in chunks; see :meth:`chunks`."""
        return iter(self.chunks(sql, parameters, chunk_size))

    def _database_hook(self) -> Any:
        connection = find_connection("sql_conn_id", self.sql_conn_id)
        try:
            hook = connection.get_hook()
        except Exception as error:
            raise ConfigurationError(
                f"sql_conn_id={self.sql_conn_id!r} is of type {connection.conn_type!r}, whose hook cannot be loaded "
                f"({error}); install its provider, such as airflow-provider-async-rest[postgres]."
            ) from error
        if not hasattr(hook, "get_sqlalchemy_engine"):
            raise ConfigurationError(
                f"sql_conn_id={self.sql_conn_id!r} is of type {connection.conn_type!r}, which is not an SQL database."
            )
        # The rows are read on a thread of their own, and Airflow must not be asked for the connection from there.
        hook.get_connection = lambda _: connection
        return hook


class SqlChunks:
    """A query, ready to be read; see :meth:`ChunkedSqlHook.chunks`."""

    def __init__(self, hook: Any, sql: str, parameters: Mapping[str, Any], chunk_size: int) -> None:
        self._hook = hook
        self._chunk_size = chunk_size
        self._raw: Any = None
        self._engine = _engine(hook)
        self._dialect = self._engine.dialect.name if self._engine is not None else "default"
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
        self._binds = {name: bind_value(parameters[name], self._dialect) for name in self.binds}

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
                self._prepare(connection)
                with self._executed(connection) as result:
                    names = _names(result.keys())
                    while rows := result.fetchmany(self._chunk_size):
                        yield [dict(zip(names, row, strict=True)) for row in rows]
        finally:
            self._raw = None

    def cancel(self) -> None:
        """Cancel the statement that is running; from another thread."""
        raw = self._raw
        for name in ("cancel_safe", "cancel", "interrupt"):
            if callable(stop := getattr(raw, name, None)):
                stop()
                return

    def _prepare(self, connection: Connection) -> None:
        if statement := _SESSION_IN_UTC.get(self._dialect):
            connection.exec_driver_sql(statement)

    @contextlib.contextmanager
    def _executed(self, connection: Connection) -> Iterator[CursorResult[Any]]:
        streaming = connection.execution_options(stream_results=True, max_row_buffer=self._chunk_size)
        try:
            result = streaming.execute(self._statement, self._binds)
        except DBAPIError as error:
            if self._is_transient(error):
                raise
            raise _refused(error.orig or error) from error.orig
        with contextlib.closing(result):
            if not result.returns_rows:
                raise ConfigurationError("sql returns no rows: write a SELECT.")
            yield result

    def _is_transient(self, error: DBAPIError) -> bool:
        """Tell a database that is down or busy from an SQL that is wrong."""
        if self._dialect == "sqlite":  # its only error class for both
            return any(word in str(error.orig) for word in ("locked", "unable to open", "interrupted"))
        return isinstance(error, OperationalError | InterfaceError)

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
            while rows := cursor.fetchmany(self._chunk_size):
                yield [dict(zip(names, row, strict=True)) for row in rows]


def bind_value(value: Any, dialect: str) -> Any:
    """Give a bind in the form that a database's columns compare with.

    PostgreSQL: aware, in a session whose time zone is UTC, so that ``timestamptz``, ``timestamp`` and ``date``
    columns all compare rightly. SQLite: text, as its own functions write it. Others: naive UTC.

    :param dialect: SQLAlchemy's name of it.
    """
    if isinstance(value, datetime):
        utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        utc = datetime.combine(utc.date(), utc.timetz())  # a plain datetime, not pendulum's
        if dialect == "postgresql":
            return utc
        naive = utc.replace(tzinfo=None)
        return naive.isoformat(" ") if dialect == "sqlite" else naive
    if isinstance(value, date) and dialect == "sqlite":
        return value.isoformat()
    return value


def _engine(hook: Any) -> Engine | None:
    """Make an engine whose connections are the hook's own; None where SQLAlchemy has no dialect for them."""

    def connect() -> Any:
        return _with_plain_rows(hook.get_conn())

    try:
        engine: Engine = hook.get_sqlalchemy_engine(engine_kwargs={"creator": connect, "poolclass": NullPool})
    except (NoSuchModuleError, ArgumentError, NotImplementedError, ImportError):
        return None
    except ValueError:
        # A password with special characters can spoil the hook's URL; all we need of it is the dialect.
        return create_engine(re.sub(r"://.*", "://", hook.get_uri()), creator=connect, poolclass=NullPool)
    return engine


def _with_plain_rows(raw: Any) -> Any:
    """Undo what a Postgres connection's extra ``cursor`` asks for: rows come as tuples here, whatever it says."""
    driver = type(raw).__module__.partition(".")[0]
    if driver == "psycopg":
        from psycopg.rows import tuple_row  # noqa: PLC0415  (an optional provider's driver)

        raw.row_factory = tuple_row
    elif driver == "psycopg2":
        raw.cursor_factory = None
    return raw


def _names(keys: Any) -> list[str]:
    names = [str(key) for key in keys]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"sql returns two columns named {twice[0]!r}: give one of them an alias.")
    return names


def _refused(error: BaseException) -> ConfigurationError:
    return ConfigurationError(f"the database refuses the sql: {str(error).strip()}")
