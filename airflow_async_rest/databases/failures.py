"""Why rows are not read: an SQL that never worked, a row that makes it fail, or a database that is down."""

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.databases.dialects import is_transient, is_transient_in_sqlite
from airflow_async_rest.databases.values.row_values import encoding_advice

# The classes that drivers share by their names (PEP 249). The first two may be about the connection.
_MAYBE_AWAY = frozenset({"OperationalError", "InterfaceError"})
_OF_A_DRIVER = frozenset({"Error", "DatabaseError"})


def refused(error: BaseException) -> ConfigurationError:
    """Return the error for an SQL that the database does not run."""
    return ConfigurationError(f"the database refuses the sql: {_message(error)}")


def is_away(error: BaseException, dialect: str) -> bool:
    """Return whether a database is down or busy, and no SQL or row is wrong."""
    if isinstance(error, DBAPIError):
        return is_transient(error, dialect)
    if isinstance(error, sqlite3.Error):
        return is_transient_in_sqlite(error)
    return isinstance(error, OSError) or not _classes(error).isdisjoint(_MAYBE_AWAY)


def failure_while_reading(error: Exception, rows: int, dialect: str) -> Exception:
    """Return the error for a query that ran, and whose rows cannot be read further.

    :param rows: that were read before.
    :return: the same error where the next try of the task may be right, and there is nothing to say about it.
    """
    if isinstance(error, ConfigurationError):
        return ConfigurationError(f"after {rows:,} rows: {error}") if rows else error
    if is_away(error, dialect):
        if not rows:
            return error
        return StoppedError(
            f"the database failed after {rows:,} rows of the sql: {_message(_original(error))}. A retry runs it again, "
            "and goes on where this try ended"
        )
    if _classes(_original(error)).isdisjoint(_OF_A_DRIVER):
        return error
    why = (
        f"the sql failed after {rows:,} rows: {_message(_original(error))}" if rows else str(refused(_original(error)))
    )
    return ConfigurationError(
        f"{why}. It runs, so one of {'the rows after those' if rows else 'its rows'} makes it fail: correct the "
        "value, or cast its column in the SQL so that no value can (NULLIF and CASE leave one out), and clear the task."
    )


def not_committed(error: Exception) -> StoppedError:
    """Return the error for a transaction of which all was read, and whose commit failed, or may have failed."""
    return StoppedError(
        f"what the sql has changed could not be committed: {_message(_original(error))}. A retry reads the same rows, "
        "sends only what is missing, and commits"
    )


def _original(error: BaseException) -> BaseException:
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def _classes(error: BaseException) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def _message(error: Any) -> str:
    parts = [str(error).strip().rstrip("."), *getattr(error, "__notes__", ()), encoding_advice(error)]
    return " ".join(filter(None, parts))
