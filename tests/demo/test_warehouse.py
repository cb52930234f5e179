"""demo/warehouse.py: what the database says of the tables that are loaded."""

import pytest

from demo.warehouse import TABLES, fetched_rows, source_rows, staging_tables
from demo.week import TABLE


@pytest.fixture
def database(postgres):
    """A connection to a schema of the test's own, with the demo's tables."""
    postgres.execute("DROP SCHEMA IF EXISTS stored CASCADE", "CREATE SCHEMA stored")
    with postgres.open(options="-csearch_path=stored") as connection:
        connection.execute(TABLES)
        connection.execute(TABLE)
        yield connection
        connection.rollback()


def test_the_rows_of_both_tables_are_comparable(database):
    value = "VALUES (1, 'sensor-01', 20.50, '2026-03-02 00:00Z')"
    database.execute(f"INSERT INTO sensors {value}; INSERT INTO readings {value}; INSERT INTO readings {value}")
    assert source_rows(database) * 2 == fetched_rows(database)


def test_a_staging_table_is_found_and_no_other(database):
    others = set(staging_tables(database))
    for name in ("async_rest_stg_7f", "async_rest_stgx", "asyncxrest_stg_1"):
        database.execute(f"CREATE TABLE {name} (id int)")
    assert set(staging_tables(database)) - others == {"stored.async_rest_stg_7f"}


def test_the_tables_may_be_there_already(database):
    database.execute("INSERT INTO readings VALUES (1, 'sensor-01', 1, '2026-03-02 00:00Z')")
    database.execute(TABLES)
    assert len(fetched_rows(database)) == 1
