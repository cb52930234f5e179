"""What is told from a database's errors, by drivers of which there is no server here."""

import pytest
from sqlalchemy.exc import OperationalError

from airflow_async_rest.databases.dialects.registry import dialect_named


class PostgresError(Exception):
    def __init__(self, text, sqlstate):
        super().__init__(text)
        self.sqlstate = sqlstate


def as_driver_raises(error):
    """Return the error as one of a class that drivers call so."""
    kind = type("OperationalError", (type(error),), {"__init__": Exception.__init__})
    raised = kind(*error.args)
    vars(raised).update(vars(error))
    return raised


TRANSIENT = {
    "MySQL, gone": ("mysql", Exception(2006, "MySQL server has gone away"), True),
    "MySQL, locked": ("mysql", Exception(1205, "Lock wait timeout exceeded"), True),
    "MySQL, deadlock": ("mariadb", Exception(1213, "Deadlock found"), True),
    "MySQL, too many": ("mysql", Exception(1040, "Too many connections"), True),
    "MySQL, nothing said": ("mysql", Exception(), True),
    "MySQL, no column": ("mysql", Exception(1054, "Unknown column 'x' in 'field list'"), False),
    "MySQL, no function": ("mariadb", Exception(1305, "FUNCTION x does not exist"), False),
    "MySQL, no right": ("mysql", Exception(1142, "SELECT command denied"), False),
    "PostgreSQL, stopping": ("postgresql", PostgresError("terminating connection", "57P01"), True),
    "PostgreSQL, a replica's conflict": ("postgresql", PostgresError("conflict with recovery", "40001"), True),
    "PostgreSQL, away": ("postgresql", PostgresError("connection refused", None), True),
    "PostgreSQL, a wrong password": (
        "postgresql",
        PostgresError('connection failed: FATAL:  password authentication failed for user "x"', None),
        False,
    ),
    "PostgreSQL, no such database": ("postgresql", PostgresError('FATAL:  database "x" does not exist', None), False),
    "PgBouncer, a wrong password": ("postgresql", PostgresError("FATAL:  SASL authentication failed", None), False),
    "PgBouncer, no such database": ("postgresql", PostgresError("FATAL:  no such database: x", None), False),
    "PostgreSQL, starting": ("postgresql", PostgresError("FATAL:  the database system is starting up", None), True),
    "PostgreSQL, full": ("postgresql", PostgresError("FATAL:  sorry, too many clients already", None), True),
    "PgBouncer, waiting": ("postgresql", PostgresError("query_wait_timeout", None), True),
    "PostgreSQL, too deep": ("postgresql", PostgresError("stack depth limit exceeded", "54001"), False),
    "PostgreSQL, too many binds": (
        "postgresql",
        PostgresError("number of parameters must be between 0 and 65535", None),
        False,
    ),
}


@pytest.mark.parametrize(("dialect", "error", "transient"), TRANSIENT.values(), ids=TRANSIENT.keys())
def test_an_sql_that_is_wrong_is_told_from_a_database_that_is_away(dialect, error, transient):
    error = as_driver_raises(error)
    assert dialect_named(dialect).is_transient(error) is transient
    assert dialect_named(dialect).is_transient(OperationalError("SELECT 1", None, error)) is transient
