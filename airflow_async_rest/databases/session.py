"""What a database is told before a statement of ours: that times are UTC, and that nothing is to be changed.

Behind a pooler such as PgBouncer the next transaction of a PostgreSQL session may be another client's: whatever is set
there is set for one transaction.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects import is_transient

# The session's time zone decides how a column without an offset compares with a bind that has one.
_SESSION_IN_UTC = {
    "oracle": "ALTER SESSION SET TIME_ZONE = '+00:00'",
    "mysql": "SET time_zone = '+00:00'",
    "mariadb": "SET time_zone = '+00:00'",
}
_TRANSACTION_IN_UTC = {"postgresql": "SET LOCAL TIME ZONE 'UTC'"}
# While the API takes its time, the transaction that reads is idle, and lasts. A server may write dates and intervals
# in forms that drivers misread or refuse, and floats with fewer digits than they have. Each is asked for by its name,
# as not all have it that speak PostgreSQL's language.
_OF_READING = {
    "postgresql": """
SELECT set_config(name, CASE name
    WHEN 'DateStyle' THEN 'ISO'
    WHEN 'IntervalStyle' THEN 'postgres'
    WHEN 'extra_float_digits' THEN coalesce(max_val, '1')
    ELSE '0' END, true)
FROM pg_settings
WHERE name IN ('DateStyle', 'IntervalStyle', 'extra_float_digits', 'idle_in_transaction_session_timeout',
               'transaction_timeout')
"""
}
_BEGIN_READ_ONLY = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
    "mysql": "START TRANSACTION READ ONLY",
    "mariadb": "START TRANSACTION READ ONLY",
}
# Where the session may commit each statement by itself.
_BEGIN = {"mysql": "START TRANSACTION", "mariadb": "START TRANSACTION"}
# How databases say that a transaction may only read: PostgreSQL's SQLSTATE, the numbers of Oracle and MySQL.
_REFUSALS = frozenset({"25006", 1456, 1792})
_WAY_OUT = {
    True: "It is run in a transaction that may only read; with read_only=False it may change data, which is committed "
    "at the end.",
    False: "read_only=False is not enough: the server is a replica, or what the connection opens may only be read "
    "(default_transaction_read_only of a role, a file's mode=ro). Use a connection that may write.",
}


def prepare_session(connection: Connection) -> None:
    """Let the session run in UTC, where that cannot be said to a transaction."""
    _tell(connection, _SESSION_IN_UTC)


def set_in_each_transaction(engine: Engine, *settings: str) -> None:
    """Let each transaction of an engine begin in UTC, and with settings; on PostgreSQL."""
    if engine.dialect.name != "postgresql":
        return
    statements = "; ".join((_TRANSACTION_IN_UTC["postgresql"], *settings))

    def begin(dbapi_connection: Any) -> None:
        with contextlib.closing(dbapi_connection.cursor()) as cursor:
            cursor.execute(statements)

    begin_with(engine, begin)


def begin_with(engine: Engine, begin: Callable[[Any], None]) -> None:
    """Let each transaction of an engine begin with a function of the driver's connection.

    Not by SQLAlchemy's event of that name, where its dialect can be told: when the event raises, because a file is
    locked, the connection is never again in a transaction, and commits each statement.
    """
    if hasattr(engine.dialect, "do_begin"):
        engine.dialect.do_begin = begin  # type: ignore[assignment, method-assign]
    else:
        event.listen(engine, "begin", lambda connection: begin(connection.connection.dbapi_connection))


@contextlib.contextmanager
def reading(connection: Connection, *, read_only: bool) -> Iterator[None]:
    """Read in one transaction. What it changes is kept where it may change something, and the block ends well.

    :raises ConfigurationError: when the database refuses to change something.
    """
    prepare_session(connection)
    with _query_only(connection) if read_only else contextlib.nullcontext():
        _begin(connection, read_only=read_only)
        _tell(connection, _TRANSACTION_IN_UTC)
        _tell(connection, _OF_READING)
        try:
            yield
        except DBAPIError as error:
            if not is_write_refused(error):
                raise
            raise ConfigurationError(
                f"the database refuses the sql: {str(error.orig).strip().rstrip('.')}. {_WAY_OUT[read_only]}"
            ) from error.orig
        if not read_only:
            connection.commit()


def is_write_refused(error: DBAPIError) -> bool:
    """Return whether a database refuses to change something because it was told to."""
    driver_error: Any = error.orig
    details = driver_error.args[0] if driver_error.args else None
    told = {
        getattr(driver_error, "sqlstate", None),
        getattr(driver_error, "pgcode", None),
        getattr(details, "code", details),
    }
    return bool(told & _REFUSALS) or "attempt to write a readonly database" in str(driver_error)


def _begin(connection: Connection, *, read_only: bool) -> None:
    """Begin the transaction, as one that may only read where the database knows such transactions."""
    if connection.dialect.name == "sqlite":
        _begin_in_sqlite(connection)
    if not read_only:
        _tell(connection, _BEGIN)
        return
    try:
        _tell(connection, _BEGIN_READ_ONLY)
    except DBAPIError as error:
        if is_transient(error, connection.dialect.name):
            raise
        connection.rollback()


def _begin_in_sqlite(connection: Connection) -> None:
    """Begin before any statement: SQLite's driver would do so only where the first word is INSERT, or its like."""
    raw: Any = connection.connection.dbapi_connection
    if not raw.in_transaction:
        connection.exec_driver_sql("BEGIN")


@contextlib.contextmanager
def _query_only(connection: Connection) -> Iterator[None]:
    """Let SQLite's connection, which may outlive us, change nothing for the time being."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA query_only").scalar()
    connection.exec_driver_sql("PRAGMA query_only = 1")
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # the connection may be gone
            connection.exec_driver_sql(f"PRAGMA query_only = {before}")


def _tell(connection: Connection, statements: dict[str, str]) -> None:
    if statement := statements.get(connection.dialect.name):
        connection.exec_driver_sql(statement).close()
