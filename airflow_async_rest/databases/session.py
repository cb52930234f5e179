"""What a database is told before a statement of ours: that times are UTC, and that nothing is to be changed."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.dialect import Dialect

_WAY_OUT = {
    True: "It is run in a transaction that may only read; with read_only=False it may change data, which is committed "
    "at the end.",
    False: "read_only=False is not enough: the server is a replica, or what the connection opens may only be read "
    "(default_transaction_read_only of a role, a file's mode=ro). Use a connection that may write.",
}


def not_a_select(dialect: Dialect) -> ConfigurationError:
    """Return the error for what may change something, where no transaction can be told not to."""
    return ConfigurationError(
        f"the database refuses the sql, or would have to: {dialect.title} has no transactions that may only read, so "
        "that without read_only=False only a SELECT is sent. With it, what the sql changes is committed at the end."
    )


def tell(connection: Connection, statement: str) -> None:
    """Send a statement to which there is no answer, unless it is empty."""
    if statement:
        connection.exec_driver_sql(statement).close()


@contextlib.contextmanager
def reading(connection: Connection, dialect: Dialect, *, read_only: bool) -> Iterator[None]:
    """Read in one transaction. What it changes is kept where it may change something, and the block ends well.

    :raises ConfigurationError: when the database refuses to change something.
    """
    tell(connection, dialect.utc_in_session)
    with dialect.query_only(connection) if read_only else contextlib.nullcontext():
        _begin(connection, dialect, read_only=read_only)
        tell(connection, dialect.utc_in_transaction)
        tell(connection, dialect.before_reading)
        try:
            yield
        except DBAPIError as error:
            if not dialect.is_write_refused(error):
                raise
            raise ConfigurationError(
                f"the database refuses the sql: {str(error.orig).strip().rstrip('.')}. {_WAY_OUT[read_only]}"
            ) from error.orig
        except ConfigurationError:
            with contextlib.suppress(DBAPIError):  # the connection may be broken by now, which is no news
                _check_not_ended(connection, dialect, read_only=read_only)
            raise
        if not read_only:
            _check_not_ended(connection, dialect, read_only=read_only)
            connection.commit()


def _check_not_ended(connection: Connection, dialect: Dialect, *, read_only: bool) -> None:
    """Check that the transaction is still the one that was begun. :raises ConfigurationError: when it is not."""
    try:
        tell(connection, "" if read_only else dialect.find_beginning)
    except DBAPIError as error:
        if not dialect.ended_transaction(error):
            raise
        raise ConfigurationError(
            "sql has ended its transaction by itself: a procedure that it calls commits, or makes or drops a table. "
            "What it has changed is kept, whether its rows were sent or not: leave the commit to the task."
        ) from error


def _begin(connection: Connection, dialect: Dialect, *, read_only: bool) -> None:
    """Begin the transaction, as one that may only read where the database knows such transactions."""
    dialect.begin(connection)
    if not read_only:
        tell(connection, dialect.begin_to_write)
        tell(connection, dialect.mark_beginning)
        return
    try:
        tell(connection, dialect.begin_read_only)
    except DBAPIError as error:
        if dialect.is_transient(error):
            raise
        connection.rollback()
