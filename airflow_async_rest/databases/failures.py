"""Why rows are not read: an SQL that never worked, a row that makes it fail, or a database that is down."""

from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.errors import is_of_driver, message_of, original_of


def refused(error: BaseException, dialect: Dialect) -> ConfigurationError:
    """Return the error for an SQL that the database does not run."""
    return ConfigurationError(f"the database refuses the sql: {_message(error, dialect)}")


def only_reads(argument: str, error: BaseException) -> ConfigurationError:
    """Return the error for a database that cannot be written. :param argument: that names the connection."""
    return ConfigurationError(
        f"{argument}: the database refuses to load the rows: {message_of(error).rstrip('.')}. It is a standby, or what "
        "the connection opens may only be read: write a connection to the primary, which may write."
    )


def failure_while_reading(error: Exception, rows: int, dialect: Dialect) -> Exception:
    """Return the error for a query that ran, and whose rows cannot be read further.

    :param rows: that were read before.
    :return: the same error where the next try of the task may be right, and there is nothing to say about it.
    """
    if isinstance(error, ConfigurationError):
        return ConfigurationError(f"after {counted(rows, 'row')}: {error}") if rows else error
    if dialect.is_transient(error):
        if not rows:
            return error
        return StoppedError(
            f"the database failed after {counted(rows, 'row')} of the sql: {_message(error, dialect)}. A retry runs it "
            "again, and goes on where this try ended"
        )
    if not is_of_driver(error):
        return error
    words = _message(error, dialect)
    why = f"the sql failed after {counted(rows, 'row')}: {words}" if rows else f"{refused(error, dialect)}"
    return ConfigurationError(
        f"{why}. It runs, so one of {'the rows after those' if rows else 'its rows'} makes it fail: correct the "
        "value, or cast its column in the SQL so that no value can (NULLIF and CASE leave one out), and clear the task."
    )


def not_committed(error: Exception, dialect: Dialect) -> StoppedError:
    """Return the error for a transaction of which all was read, and whose commit failed, or may have failed."""
    return StoppedError(
        f"what the sql has changed could not be committed: {_message(error, dialect)}. A retry reads the same rows, "
        "sends only what is missing, and commits"
    )


def _message(error: BaseException, dialect: Dialect) -> str:
    original = original_of(error)
    parts = [
        str(original).strip().rstrip("."),
        *getattr(original, "__notes__", ()),
        dialect.encoding_advice(original),
    ]
    return " ".join(filter(None, parts))
