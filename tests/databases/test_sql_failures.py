"""SQL that never worked, SQL that fails at a row, and a database that goes away, told apart on every database."""

import sqlite3

import pytest

from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.databases.dialects.registry import dialect_named
from airflow_async_rest.databases.failures import failure_while_reading

ROWS = 7_000


def chunks(sql, chunk_size=1_000, **how):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    return ChunkedSqlHook("source_db").chunks(sql, None, chunk_size, **how)


def read(sql, **how):
    """Read until an error. :return: how many rows there were, and the error."""
    count = 0
    try:
        for chunk in chunks(sql, **how):
            count += len(chunk)
    except Exception as error:  # noqa: BLE001
        return count, error
    return count, None


@pytest.fixture(params=["psycopg", "psycopg2"])
def postgresql(request, connect, postgres, monkeypatch):
    from airflow.providers.postgres.hooks import postgres as hooks

    monkeypatch.setattr(hooks, "USE_PSYCOPG3", request.param == "psycopg")
    scheme = {"sqlalchemy_scheme": "postgresql+psycopg2"} if request.param == "psycopg2" else {}
    connect("source_db", **postgres.connection(), extra=scheme)
    return postgres.execute


@pytest.fixture(params=["SQLAlchemy", "plain"])
def sqlite(request, connect, tmp_path, monkeypatch):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    def no_dialect(self, engine_kwargs=None):
        raise NotImplementedError("no dialect")

    if request.param == "plain":
        monkeypatch.setattr(SqliteHook, "get_sqlalchemy_engine", no_dialect)
    path = tmp_path / "source.db"
    connect("source_db", conn_type="sqlite", host=str(path))
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id int, doc text)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, "{}" if i != 6001 else "{") for i in range(1, ROWS)])


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("1 / (6001 - id)", "division by zero"),
        ("CAST(CASE id WHEN 6001 THEN 'x' ELSE '1' END AS int)", 'invalid input syntax for type integer: "x"'),
        ("(SELECT g FROM generate_series(6001, id) g UNION ALL SELECT id)", "more than one row returned by a subquery"),
    ],
)
def test_a_row_that_makes_the_sql_fail_is_named_by_its_place(postgresql, column, words):
    count, error = read(f"SELECT id, {column} AS v FROM generate_series(1, {ROWS}) id")
    assert count == 6_000
    assert type(error) is ConfigurationError
    assert f"the sql failed after 6,000 rows: {words}" in str(error)
    assert "correct the value, or cast its column" in str(error)
    assert "refuses" not in str(error)


def test_a_row_that_makes_the_sql_fail_on_sqlite(sqlite):
    count, error = read("SELECT id, json_extract(doc, '$.a') AS v FROM t ORDER BY rowid")
    assert 5_700 < count < 6_000  # sqlite3 looks for the next row while it gives one: those fetched with it are lost
    assert type(error) is ConfigurationError
    assert f"the sql failed after {count:,} rows: malformed JSON" in str(error)


@pytest.mark.parametrize("sql", ["SELECT 1 FROM nowhere", "SELECT 1/0 AS v", "SELECT 1 / (id - 1) FROM generate_series(1, 9) id", "SELECT 1 / (6001 - id) FROM generate_series(1, 9999) id ORDER BY id"])  # fmt: skip
def test_an_sql_that_never_gave_a_row_is_refused(postgresql, sql):
    count, error = read(sql)
    assert count == 0
    assert type(error) is ConfigurationError
    assert str(error).startswith("the database refuses the sql: ")


def test_a_database_that_goes_away_on_the_way_can_be_asked_again(postgresql):
    reading = iter(chunks("SELECT id, pg_backend_pid() AS pid FROM generate_series(1, 100000) id"))
    pid = next(reading)[0]["pid"]
    next(reading)
    postgresql(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(
        StoppedError, match=r"(?s)the database failed after 2,000 rows of the sql: .*\. A retry runs it"
    ):
        list(reading)


class Error(Exception):
    """As PEP 249 has every driver call its errors."""


class OperationalError(Error):
    pass


class ProgrammingError(Error):
    pass


@pytest.mark.parametrize(
    ("error", "rows", "kind", "text"),
    [
        (OperationalError("gone"), 5, StoppedError, "the database failed after 5 rows of the sql: gone. A retry"),
        (OperationalError("gone"), 0, OperationalError, "gone"),
        (ConnectionResetError("reset"), 5_000, StoppedError, "the database failed after 5,000 rows of the sql: reset"),
        (sqlite3.OperationalError("database is locked"), 5, StoppedError, "after 5 rows of the sql: database is locked"),
        (sqlite3.OperationalError("integer overflow"), 5, ConfigurationError, "the sql failed after 5 rows: integer over"),
        (ProgrammingError("no"), 1, ConfigurationError, "the sql failed after 1 row: no. It runs, so one of the rows"),
        (ProgrammingError("no"), 0, ConfigurationError, "the database refuses the sql: no. It runs, so one of its rows"),
        (ConfigurationError("cannot be read on"), 1, ConfigurationError, "after 1 row: cannot be read on"),
        (RuntimeError("a bug"), 5, RuntimeError, "a bug"),
    ],
)  # fmt: skip
def test_what_a_driver_raises_says_what_it_means(error, rows, kind, text):
    failure = failure_while_reading(error, rows, dialect_named("sqlite" if isinstance(error, sqlite3.Error) else "any"))
    assert type(failure) is kind
    assert text in str(failure)


def test_a_database_without_a_dialect_that_is_away_is_not_an_sql_that_is_wrong():
    assert dialect_named("any").is_transient(OperationalError("gone"))
    assert not dialect_named("any").is_transient(ProgrammingError("no such table"))
    assert not dialect_named("sqlite").is_transient(sqlite3.OperationalError("no such table"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"key": ("uuid",)}, "key names the column 'uuid', which the rows do not have; they have: id, doc."),
        ({"asked_for": {"endpoint": ("idd",)}}, "endpoint names the column 'idd'"),
        ({"asked_for": {"columns": ("x",)}, "whole_row_is_key": True}, "columns names the column 'x'"),
    ],
)
def test_a_window_without_rows_has_its_columns_checked(sqlite, parts, message):
    sql = "SELECT id, doc FROM t WHERE id < 0"
    with pytest.raises(ConfigurationError, match=message):
        list(RowSource(chunks(sql), **parts).open(None, lambda digest: None))
    good = RowSource(chunks(sql), key=("id",), asked_for={"endpoint": ("doc",)})
    assert list(good.open(None, lambda digest: None)) == []


def test_a_window_without_rows_has_its_columns_checked_on_postgresql(postgresql):
    source = RowSource(chunks("SELECT 1 AS id WHERE false"), key=("uuid",))
    with pytest.raises(
        ConfigurationError, match="key names the column 'uuid', which the rows do not have; they have: id"
    ):
        list(source.open(None, lambda digest: None))
