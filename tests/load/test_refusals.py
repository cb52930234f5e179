"""Which of many rows are refused, and which errors say so: decisions, without a database."""

import contextlib
import sqlite3

import oracledb
import psycopg
import psycopg2
import pytest
from fake_oracle import driver_error, error
from oracledb import errors as oracle_errors
from psycopg import errors as postgres
from psycopg2 import errors as postgres2
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError, LoadError
from airflow_async_rest.databases.dialects.registry import dialect_named
from airflow_async_rest.databases.errors import message_of
from airflow_async_rest.load.refusals import find_refused, translate

ORACLE, POSTGRES, SQLITE = map(dialect_named, ("oracle", "postgresql", "sqlite"))
_DRIVERS = (oracledb, psycopg, psycopg2, sqlite3)


def wrapped(original):
    """The error as SQLAlchemy raises it."""
    return DBAPIError.instance("INSERT", {}, original, tuple(driver.Error for driver in _DRIVERS))


def of_state(state, base=psycopg.DatabaseError):
    return type("Other", (base,), {"sqlstate": state})("refused")


def of_state_2(state):
    return type("Other", (psycopg2.DatabaseError,), {"pgcode": state})("refused")


REFUSED, FORBIDDEN, WRONG, LATER = "a row is refused", "the user may not", "the statement is wrong", "perhaps later"
ERRORS = [
    (POSTGRES, postgres.NotNullViolation("x"), REFUSED),
    (POSTGRES, postgres.ExclusionViolation("x"), REFUSED),
    (POSTGRES, postgres.NumericValueOutOfRange("x"), REFUSED),
    (POSTGRES, postgres.UntranslatableCharacter("x"), REFUSED),
    (POSTGRES, postgres.RaiseException("x"), REFUSED),
    (POSTGRES, of_state("P0999"), REFUSED),
    (POSTGRES, postgres.WithCheckOptionViolation("x"), REFUSED),
    (POSTGRES, postgres.ProgramLimitExceeded("x"), REFUSED),
    (POSTGRES, postgres.CardinalityViolation("x"), REFUSED),
    (POSTGRES, postgres.InsufficientPrivilege("x"), FORBIDDEN),
    (POSTGRES, postgres.UndefinedTable("x"), WRONG),
    (POSTGRES, postgres.UndefinedColumn("x"), WRONG),
    (POSTGRES, postgres.GeneratedAlways("x"), WRONG),
    (POSTGRES, postgres.ObjectNotInPrerequisiteState("x"), WRONG),
    (POSTGRES, postgres.AdminShutdown("x"), LATER),
    (POSTGRES, postgres.QueryCanceled("x"), LATER),
    (POSTGRES, postgres.DeadlockDetected("x"), LATER),
    (POSTGRES, postgres.SerializationFailure("x"), LATER),
    (POSTGRES, postgres.LockNotAvailable("x"), LATER),
    (POSTGRES, postgres.DiskFull("x"), LATER),
    (POSTGRES, postgres.OutOfMemory("x"), LATER),
    (POSTGRES, postgres.ReadOnlySqlTransaction("x"), WRONG),
    (POSTGRES, psycopg.OperationalError("the connection is lost"), LATER),
    (POSTGRES, psycopg.InterfaceError("the connection is closed"), LATER),
    (POSTGRES, postgres2.NotNullViolation("x"), REFUSED),
    (POSTGRES, of_state_2("P0001"), REFUSED),
    (POSTGRES, of_state_2("42501"), FORBIDDEN),
    (POSTGRES, postgres2.UndefinedTable("x"), WRONG),
    (POSTGRES, psycopg2.OperationalError("x"), LATER),
    (SQLITE, sqlite3.IntegrityError("NOT NULL constraint failed"), REFUSED),
    (SQLITE, sqlite3.DataError("string or blob too big"), REFUSED),
    (SQLITE, sqlite3.OperationalError("no such table: things"), WRONG),
    (SQLITE, sqlite3.OperationalError("attempt to write a readonly database"), WRONG),
    (SQLITE, sqlite3.OperationalError("database is locked"), LATER),
    (SQLITE, sqlite3.OperationalError("interrupted"), LATER),
    (SQLITE, sqlite3.OperationalError("unable to open database file"), LATER),
    (SQLITE, sqlite3.OperationalError("database or disk is full"), LATER),
    (SQLITE, sqlite3.OperationalError("disk I/O error"), LATER),
    *((ORACLE, error(code), REFUSED) for code in (1, 1400, 1407, 1438, 1455, 1722, 1830, 1843, 1861, 2290, 2291, 12899, 20001)),
    (ORACLE, driver_error(oracle_errors.ERR_UNSUPPORTED_PYTHON_TYPE_FOR_DB_TYPE, py_type_name="str", db_type_name="NUMBER"), REFUSED),
    *((ORACLE, error(code), FORBIDDEN) for code in (1031, 1950)),
    *((ORACLE, error(code), WRONG) for code in (904, 942, 955, 32795)),
    *((ORACLE, error(code), LATER) for code in (54, 60, 1013, 1033, 1555, 1652, 1653, 3113, 8177, 12514, 30036)),
    (ORACLE, driver_error(oracle_errors.ERR_CONNECTION_CLOSED), LATER),
    (ORACLE, driver_error(oracle_errors.ERR_CALL_TIMEOUT_EXCEEDED, timeout=5), LATER),
]  # fmt: skip


def decided(error_, dialect):
    if dialect.is_refusal(error_):
        return REFUSED
    if dialect.is_forbidden(error_):
        return FORBIDDEN
    translated = translate(error_, dialect)
    return {ConfigurationError: WRONG, LoadError: LATER}.get(type(translated), translated)


@pytest.mark.parametrize(("dialect", "original", "what"), ERRORS)
def test_what_an_error_says(dialect, original, what):
    assert decided(original, dialect) == what  # as the driver's own cursor raises it
    assert decided(wrapped(original), dialect) == what


@pytest.mark.parametrize("dialect", [POSTGRES, SQLITE, ORACLE])
def test_a_value_that_cannot_be_sent_is_a_refused_row(dialect):
    with pytest.raises(UnicodeEncodeError) as raised:
        "\ud800".encode()
    assert dialect.is_refusal(raised.value)
    assert dialect.is_refusal(OverflowError("date value out of range"))


def test_an_error_of_another_kind_stays_what_it_is():
    mistake = KeyError("x")
    assert translate(mistake, SQLITE) is mistake
    assert not SQLITE.is_refusal(mistake)


def test_the_databases_words_stand_on_one_line():
    original = sqlite3.IntegrityError("no\n  DETAIL:\tsuch")
    assert message_of(original) == message_of(wrapped(original)) == "no DETAIL: such"


class Table:
    """Takes numbers that are not negative; a refused statement undoes what it did."""

    def __init__(self):
        self.rows = []
        self.statements = 0

    def take(self, rows):
        self.statements += 1
        for row in rows:
            if row < 0:
                raise sqlite3.IntegrityError(f"{row} is negative")
            self.rows.append(row)

    @contextlib.contextmanager
    def savepoint(self):
        before = len(self.rows)
        try:
            yield
        except BaseException:
            del self.rows[before:]
            raise

    def fill(self, rows):
        return find_refused(rows, self.take, self.savepoint, SQLITE)


@pytest.mark.parametrize(
    "rows",
    [[], [1], [-1], [1, 2, 3], [-1, 2, 3], [1, 2, -3], [1, -2, 3], [-1, -2, -3], [1, -2, 3, 4, -5, -6, 7]],
    ids=str,
)
def test_the_refused_ones_of_many_rows(rows):
    table = Table()
    assert table.fill(rows) == [(row, f"{row} is negative") for row in rows if row < 0]
    assert table.rows == [row for row in rows if row >= 0]


def test_one_refused_row_of_many_is_found_in_few_statements():
    table = Table()
    table.fill([*range(5000), -1])
    assert table.statements < 30


def test_rows_that_are_all_taken_cost_one_statement_and_none_no_more():
    table = Table()
    table.fill(range(5000))
    assert table.statements == 1


def test_half_of_very_many_may_be_refused_but_not_nearly_all():
    assert len(Table().fill([-1, 1] * 2000)) == 2000
    with pytest.raises(ConfigurationError, match=r"nearly all rows \(1000 of the first 1010\), .*: -1 is negative"):
        Table().fill([1] * 10 + [-1] * 2000)


def test_an_error_that_is_no_rows_fault_ends_it():
    def away(rows):
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(sqlite3.OperationalError):
        find_refused([1, 2], away, contextlib.nullcontext, SQLITE)
