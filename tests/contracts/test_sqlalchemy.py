"""What is relied on of SQLAlchemy beyond its documentation, and what is done where it is gone."""

import sqlite3
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from airflow_async_rest.databases.dialects.engines import begin_with
from airflow_async_rest.databases.dialects.sqlite import SQLite
from airflow_async_rest.databases.values.row_values import (
    Missing,
    PartialValues,
    fetch_as_given,
)

ROWS = [(1, "a"), (2, "b"), (3, "c")]
QUERY = text("SELECT 1 AS id, 'a' AS label UNION ALL SELECT 2, 'b' UNION ALL SELECT 3, 'c'")


@pytest.fixture
def engine():
    made = create_engine("sqlite://")
    yield made
    made.dispose()


def test_a_results_cursor_strategy_fetches_the_drivers_own_rows(engine):
    with engine.connect() as connection:
        result = connection.execute(QUERY)
        rows = result.cursor_strategy.fetchmany(result, result.cursor, 2)
        assert (rows, {type(row) for row in rows}) == (ROWS[:2], {tuple})
        assert fetch_as_given(result, 5) == ROWS[2:]


def test_without_a_cursor_strategy_rows_are_read_as_sqlalchemy_gives_them(engine):
    with engine.connect() as connection:
        plain = SimpleNamespace(fetchmany=connection.execute(QUERY).fetchmany)
        rows = [*fetch_as_given(plain, 2), *fetch_as_given(plain, 2)]
    assert (rows, {type(row) for row in rows}) == (ROWS, {tuple})
    [row] = fetch_as_given(SimpleNamespace(fetchmany=lambda count: [(1, Missing("why", b"x"))]), 1)
    assert type(row) is PartialValues


def test_sqlites_own_errors_are_sqlalchemys(engine):
    """Rows are taken from the driver's cursor there, so SQLAlchemy translates nothing."""
    with engine.connect() as connection:
        fetch = SQLite().prepare_values(connection.connection.dbapi_connection, embed_json=False, reads_again=True)
        result = connection.execute(text("SELECT 1 UNION ALL SELECT abs(-9223372036854775808)"))
        with pytest.raises(OperationalError, match="integer overflow") as raised:
            fetch(result, 2)
    assert isinstance(raised.value.orig, sqlite3.Error)


def begins_of(engine) -> list[bool]:
    """Note what happens at the beginning of transactions, of which the second cannot begin."""
    begun = []

    def begin(raw):
        begun.append(callable(raw.cursor))
        if len(begun) == 2:
            raise sqlite3.OperationalError("database is locked")

    begin_with(engine, begin)
    return begun


def test_each_transaction_begins_with_the_dialects_do_begin_and_one_that_cannot_spoils_no_other(engine):
    begun = begins_of(engine)
    with engine.connect() as connection:
        connection.execute(QUERY)
        connection.execute(QUERY)
        connection.commit()
        with pytest.raises(OperationalError, match="locked"):
            connection.execute(QUERY)
        connection.execute(QUERY)
        assert connection.in_transaction()
    assert begun == [True] * 3


def test_without_do_begin_transactions_begin_with_an_event(engine):
    dialect = engine.dialect
    engine.dialect = SimpleNamespace(name=dialect.name)
    begun = begins_of(engine)
    engine.dialect = dialect
    with engine.connect() as connection:
        connection.execute(QUERY)
    assert begun == [True]
