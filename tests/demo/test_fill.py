"""demo/fill.py: the week's readings in databases of one's own, any number of times."""

import sys
from decimal import Decimal
from unittest.mock import call, create_autospec

import pytest

from demo.fill import ORACLE_TABLE, fill_oracle, fill_postgres, main
from demo.week import readings

DSN = "oracle://demo:p%40ss@db:1522/FREEPDB1"


@pytest.fixture
def postgres_dsn(postgres):
    """A schema of the test's own, which the connection looks in."""
    postgres.execute("DROP SCHEMA IF EXISTS filled CASCADE", "CREATE SCHEMA filled")
    return f"postgresql://postgres@/{postgres.database}?host={postgres.socket_folder}&options=-csearch_path%3Dfilled"


def test_postgres_has_the_weeks_readings_after_any_number_of_fills(postgres, postgres_dsn):
    week = [(number, name, Decimal(str(value)), at) for number, name, value, at in readings()]
    assert [fill_postgres(postgres_dsn) for _ in range(2)] == [len(week)] * 2
    same = postgres.execute("SELECT id, name, value, measured_at FROM filled.sensors ORDER BY id") == week
    assert same


def test_postgres_has_the_tables_to_load_after_a_fill_of_an_earlier_version_too(postgres, postgres_dsn):
    for _ in range(2):
        fill_postgres(postgres_dsn)
        assert postgres.execute("SELECT count(*) FROM filled.readings") == [(0,)]
        postgres.execute("DROP TABLE filled.readings, filled.inventory")


def test_readings_that_are_there_are_left_alone(postgres, postgres_dsn):
    fill_postgres(postgres_dsn)
    postgres.execute("DELETE FROM filled.sensors WHERE id > 3")
    assert fill_postgres(postgres_dsn) == 3


@pytest.fixture
def oracle(monkeypatch):
    """The driver's connection and cursor as it specifies them; ``counts`` are the answers to the queries."""
    import oracledb

    cursor = create_autospec(oracledb.Cursor, instance=True)
    connection = create_autospec(oracledb.Connection, instance=True)
    connection.__enter__.return_value = connection
    connection.cursor.return_value = cursor
    cursor.__enter__.return_value = cursor
    connect = create_autospec(oracledb.connect, return_value=connection)
    monkeypatch.setattr(oracledb, "connect", connect)

    def answer(*counts):
        cursor.reset_mock()
        cursor.fetchone.side_effect = [(count,) for count in counts]
        return connect, connection, cursor

    return answer


def test_oracle_gets_a_table_and_typed_rows_in_one_transaction(oracle):
    import oracledb

    connect, connection, cursor = oracle(0, 0, 17)
    assert fill_oracle(DSN) == 17
    connect.assert_called_once_with(user="demo", password="p@ss", host="db", port=1522, service_name="FREEPDB1")
    (insert, rows), _ = cursor.executemany.call_args
    same = rows == [(number, name, value, at.replace(tzinfo=None)) for number, name, value, at in readings()]
    assert same  # not in the assertion itself: a difference would print all of them
    cursor.setinputsizes.assert_called_once_with(None, 100, oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_TIMESTAMP)
    assert insert.startswith("INSERT INTO sensors")
    steps = [made for made in cursor.method_calls if made[0] != "fetchone" and "count(*)" not in str(made[1][:1])]
    assert [made[0] for made in steps] == ["execute", "execute", "setinputsizes", "executemany"]
    assert steps[:2] == [call.execute(ORACLE_TABLE), call.execute("ALTER SESSION SET TIME_ZONE = '+00:00'")]
    connection.commit.assert_called_once_with()


@pytest.mark.parametrize(("tables", "rows", "inserts"), [(1, 0, 1), (1, 17, 0)])
def test_oracle_is_filled_where_a_table_is_empty_and_left_alone_where_it_is_not(oracle, tables, rows, inserts):
    _, connection, cursor = oracle(tables, rows, 17)
    assert fill_oracle(DSN) == 17
    assert call.execute(ORACLE_TABLE) not in cursor.method_calls
    assert (cursor.executemany.call_count, connection.commit.call_count) == (inserts, inserts)


def test_every_database_that_is_named_is_filled(oracle, postgres_dsn, monkeypatch, capsys):
    oracle(1, 17, 17)
    monkeypatch.setattr(sys, "argv", ["fill", postgres_dsn, DSN])
    main()
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        f"{len(list(readings())):,} readings",
        "17 readings",
    ]


def test_another_kind_of_database_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fill", "mysql://db"])
    with pytest.raises(SystemExit):
        main()
    assert "a DSN begins with postgresql:// or oracle://" in capsys.readouterr().err
