"""SQL that people write, on real databases: binds of every kind, and statements that change something."""

import sqlite3
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.exc import ProgrammingError

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.session import reading

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Color(Enum):
    RED = "red"


# Read on PostgreSQL; parameters; the values of the first column
POSTGRESQL = {
    "casts": ("SELECT 1 WHERE now() > :at::timestamptz AND :day::date = date '2026-11-01'", {"at": NOON, "day": date(2026, 11, 1)}, [1]),
    "slices": ("SELECT (ARRAY[1,2,3])[1:n] FROM (SELECT 2 AS n) x", None, [[1, 2]]),
    "slices with binds": ("SELECT (ARRAY[1,2,3])[:lo : :hi]", {"lo": 2, "hi": 3}, [[2, 3]]),
    "quotes": ("""SELECT 'a:b' || E'\\':c' || $x$:d$x$ AS "x:y", '\\:e' /* /* :f */ */ -- :g""", None, ["a:b':c:d"]),
    "percent": ("SELECT 'a:b%' WHERE 'x' LIKE '%x' AND 1 = :one", {"one": 1}, ["a:b%"]),
    "colon equals": ("SELECT make_date(year := :year, month := 11, day := 1)", {"year": 2026}, [date(2026, 11, 1)]),
    "in a list": ("SELECT i FROM generate_series(1, 5) i WHERE i IN :ids", {"ids": [1, 4, 9]}, [1, 4]),
    "in a tuple, in brackets": ("SELECT i FROM generate_series(1, 5) i WHERE i IN (:ids)", {"ids": (1, 4)}, [1, 4]),
    "not in": ("SELECT i FROM generate_series(1, 3) i WHERE i NOT IN :ids", {"ids": [1]}, [2, 3]),
    "in nothing": ("SELECT i FROM generate_series(1, 5) i WHERE i IN :ids AND true", {"ids": []}, []),
    "texts in nothing": ("SELECT i FROM unnest(ARRAY['a']) i WHERE i IN (:ids)", {"ids": ()}, []),
    "not in nothing": ("SELECT i FROM generate_series(1, 2) i WHERE i NOT IN :ids", {"ids": []}, [1, 2]),
    "days": ("SELECT 1 WHERE date '2026-11-01' IN :days", {"days": [date(2026, 11, 1), date(2026, 11, 2)]}, [1]),
    "times": ("SELECT 1 WHERE timestamptz '2026-11-01 13:00+01' IN :times", {"times": [NOON]}, [1]),
    "pairs": ("SELECT i FROM generate_series(1, 3) i WHERE (i, i + 1) IN :pairs", {"pairs": [(1, 2), (2, 2)]}, [1]),
    "an array": ("SELECT i FROM generate_series(1, 3) i WHERE i = ANY(:ids)", {"ids": (1, 3)}, [1, 3]),
    "NULL": ("SELECT i FROM generate_series(1, 2) i WHERE :only IS NULL OR i = :only", {"only": None}, [1, 2]),
    "NULL, given": ("SELECT i FROM generate_series(1, 2) i WHERE :only IS NULL OR i = :only", {"only": 2}, [2]),
    "jsonb": ("""SELECT 1 WHERE jsonb '{"a": {"b": 1}}' @> :part""", {"part": {"a": {"b": 1}}}, [1]),
    "jsonb, cast": ("SELECT :doc::jsonb -> 'at'", {"doc": {"at": NOON}}, ["2026-11-01T12:00:00+00:00"]),
    "jsonb, a list": ("""SELECT 1 WHERE jsonb '[1, {"a": 2}]' @> :part::jsonb""", {"part": [{"a": 2}]}, [1]),
    "a UUID": ("SELECT 1 WHERE :id = '00000000-0000-0000-0000-000000000001'::uuid", {"id": UUID(int=1)}, [1]),
    "UUIDs": ("SELECT 1 WHERE '00000000-0000-0000-0000-000000000001'::uuid = ANY(:ids)", {"ids": [UUID(int=1)]}, [1]),
    "an enum": ("SELECT 1 WHERE 'red' = :color", {"color": Color.RED}, [1]),
    "a set": ("SELECT i FROM generate_series(1, 5) i WHERE i IN :ids", {"ids": {1, 4, 9}}, [1, 4]),
    "numpy's": ("SELECT 1 WHERE 1.5 = :x AND 3 = :i AND 4 IN :ids", {"x": np.float64(1.5), "i": np.int64(3), "ids": np.array([4])}, [1]),
    "a slice from the first": ("SELECT (ARRAY[1,2,3])[:n] FROM (SELECT 2 AS n) x", None, [[1, 2]]),
    "no word between": ("SELECT i FROM generate_series(1, 5) i WHERE i IN:ids AND i BETWEEN:a AND:a LIMIT:a", {"ids": [1, 4], "a": 1}, [1]),
    "SHOW": ("SHOW TimeZone", None, ["UTC"]),
    "a procedure": ("CALL twice(:n)", {"n": 4}, [8]),
    "a comment at the end": ("SELECT 1; -- done", None, [1]),
}  # fmt: skip
SQLITE = {
    "quotes": ("SELECT 'a:b' || \"x:y\" || `x:y` || [x:y] FROM (SELECT 1 AS 'x:y') -- :g", None, ["a:b111"]),
    "in a list": ("SELECT value FROM json_each('[1,2,3]') WHERE value IN :ids", {"ids": [1, 3]}, [1, 3]),
    "in nothing": ("SELECT value FROM json_each('[1,2,3]') WHERE value IN (:ids)", {"ids": ()}, []),
    "not in nothing": ("SELECT value FROM json_each('[1,2]') WHERE value NOT IN :ids AND 1", {"ids": ()}, [1, 2]),
    "days": ("SELECT 1 WHERE '2026-11-01' IN :days", {"days": [date(2026, 11, 1)]}, [1]),
    "NULL": ("SELECT 1 WHERE :only IS NULL", {"only": None}, [1]),
    "json": ("SELECT :doc ->> 'a'", {"doc": {"a": 1}}, [1]),
    "numpy's": ("SELECT 1 WHERE 3 = :i AND 4 IN :ids", {"i": np.int64(3), "ids": np.array([4])}, [1]),
    "an enum": ("SELECT 1 WHERE 'red' = :color", {"color": Color.RED}, [1]),
    "a time of day": ("SELECT 1 WHERE '10:30:00' = :at", {"at": time(10, 30)}, [1]),
    "a decimal": ("SELECT 1 WHERE 1.5 = :x", {"x": Decimal("1.5")}, [1]),
    "a UUID": ("SELECT 1 WHERE '00000000-0000-0000-0000-000000000001' IN :ids", {"ids": {UUID(int=1)}}, [1]),
}

TWICE = """CREATE OR REPLACE PROCEDURE twice(INOUT n int) LANGUAGE plpgsql AS 'BEGIN n := n * 2; END'"""


@pytest.fixture
def postgresql(connect, postgres):
    connect("source_db", **postgres.connection())
    return postgres.execute


@pytest.fixture(params=["psycopg", "psycopg2"])
def every_postgresql(request, connect, postgres, monkeypatch):
    """Each of PostgreSQL's drivers in turn."""
    from airflow.providers.postgres.hooks import postgres as hooks

    monkeypatch.setattr(hooks, "USE_PSYCOPG3", request.param == "psycopg")
    connect("source_db", **postgres.connection(), extra={"sqlalchemy_scheme": f"postgresql+{request.param}"})
    return postgres.execute


@pytest.fixture
def sqlite(connect, tmp_path):
    (path := tmp_path / "source.db").touch()
    connect("source_db", conn_type="sqlite", host=str(path))

    def execute(*statements):
        with sqlite3.connect(path) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    return execute


def chunks(sql, parameters=None, **arguments):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    return ChunkedSqlHook("source_db").chunks(sql, parameters, **arguments)


def read(sql, parameters=None, **arguments):
    return [row for chunk in chunks(sql, parameters, **arguments) for row in chunk]


def first_column(sql, parameters):
    return [next(iter(row.values())) for row in read(sql, parameters)]


@pytest.mark.parametrize(("sql", "parameters", "values"), POSTGRESQL.values(), ids=POSTGRESQL.keys())
def test_postgresql_reads_what_people_write(every_postgresql, sql, parameters, values):
    every_postgresql(TWICE)
    assert first_column(sql, parameters) == values


@pytest.mark.parametrize(("sql", "parameters", "values"), SQLITE.values(), ids=SQLITE.keys())
def test_sqlite_reads_what_people_write(sqlite, sql, parameters, values):
    assert first_column(sql, parameters) == values


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from(":'\"\\$-/*[%\n"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
@example("\\:a '':b \\\\:c %(x)s :d::e -- :f /* :g")
def test_any_text_in_quotes_comes_back_as_it_is(postgresql, text):
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    doubled = text.replace("'", "''").replace("\\:", "\\\\:")  # in other quotes "\:" is the escape of ":"
    dollars = text.replace("$", "").replace("\\:", "\\\\:")
    comment = text.replace("*", "").replace("/", "")
    sql = f"SELECT E'{escaped}' AS a, '{doubled}' AS b, $t${dollars}$t$ AS c, :d AS d /* {comment} /* :x */ */"
    assert read(sql, {"d": 1}) == [{"a": text, "b": text, "c": text.replace("$", ""), "d": 1}]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_any_text_in_sqlites_quotes_comes_back_as_it_is(sqlite, text):
    doubled = text.replace("'", "''").replace("\\:", "\\\\:")
    comment = text.replace("\n", "")
    assert read(f"SELECT '{doubled}' AS a, -- {comment}\n :b AS b", {"b": 1}) == [{"a": text, "b": 1}]


@pytest.mark.parametrize("count_rows", [False, True])
def test_rows_are_counted_and_estimated_with_the_same_binds(postgresql, count_rows):
    query = chunks(
        "SELECT i FROM generate_series(1, 9) i WHERE i IN :ids AND ':x' <> :y::text -- :n",
        {"ids": [1, 2], "y": None},
        count_rows=count_rows,
    )
    assert list(query) == []
    assert query.expected.how == ("counted" if count_rows else "about")


CLAIM = (
    "DROP TABLE IF EXISTS jobs",
    "CREATE TABLE jobs AS SELECT i AS id, false AS taken FROM generate_series(1, 3) i",
    "DROP SEQUENCE IF EXISTS numbers",
    "CREATE SEQUENCE numbers",
    """CREATE OR REPLACE FUNCTION claim() RETURNS SETOF int LANGUAGE sql AS
    'UPDATE jobs SET taken = true WHERE NOT taken RETURNING id'""",
    """CREATE OR REPLACE FUNCTION through_a_table() RETURNS SETOF int LANGUAGE plpgsql AS
    'BEGIN CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS id; RETURN QUERY SELECT id FROM t; END'""",
    """CREATE OR REPLACE PROCEDURE take(INOUT id int) LANGUAGE plpgsql AS
    'BEGIN UPDATE jobs SET taken = true; END'""",
)
# SQL with an effect -> how many rows it gives, and what is taken afterwards
EFFECTS = {
    "SELECT id FROM claim() AS id ORDER BY id": (3, 3),
    "SELECT id FROM jobs FOR UPDATE SKIP LOCKED": (3, 0),
    "SELECT nextval('numbers') AS id": (1, 0),
    "SELECT id FROM through_a_table() AS id": (1, 0),
    "UPDATE jobs SET taken = true WHERE id <> :id RETURNING id": (2, 2),
    "WITH d AS (DELETE FROM jobs RETURNING id) SELECT id FROM d": (3, None),
    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) UPDATE jobs SET taken = true": (2, 3),
    "CALL take(0)": (1, 3),
}


@pytest.mark.parametrize("sql", EFFECTS)
def test_a_statement_that_changes_something_is_refused_with_the_way_out(every_postgresql, sql):
    every_postgresql(*CLAIM)
    parameters = {"id": 3}
    with pytest.raises(
        ConfigurationError, match=r"(?s)cannot execute .*read-only transaction.*\. .* with read_only=False"
    ):
        read(sql, parameters)
    rows, taken = EFFECTS[sql]
    assert len(read(sql, parameters, read_only=False, chunk_size=2)) == rows
    assert every_postgresql("SELECT sum(taken::int) FROM jobs") == [(taken,)]


def test_what_was_changed_is_undone_when_not_all_is_read(postgresql):
    postgresql(*CLAIM)
    reading = iter(chunks("SELECT id FROM claim() AS id", chunk_size=2, read_only=False))
    assert len(next(reading)) == 2
    reading.close()
    with pytest.raises(ConfigurationError, match="two columns"):
        read("SELECT id, id FROM claim() AS id", read_only=False)
    assert postgresql("SELECT count(*) FROM jobs WHERE taken") == [(0,)]


def test_iterating_commits_when_a_chunk_after_the_last_is_asked_for(postgresql):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    postgresql(*CLAIM)
    taken = "SELECT count(*) FROM jobs WHERE taken"
    reading = ChunkedSqlHook("source_db").iter_chunks("SELECT id FROM claim() AS id", None, 2, read_only=False)
    assert [len(next(reading)), len(next(reading)), postgresql(taken)] == [2, 1, [(0,)]]
    assert (list(reading), postgresql(taken)) == ([], [(3,)])


AUTOCOMMIT = {"autocommit": True}
ONLY_READS = {"options": "-cdefault_transaction_read_only=on"}


def test_a_connection_that_commits_each_statement_does_not_here(connect, postgres):
    postgres.execute(*CLAIM)
    connect("source_db", **postgres.connection(), extra=AUTOCOMMIT)
    with pytest.raises(ConfigurationError, match="read-only transaction"):
        read("SELECT id FROM claim() AS id")
    reading = iter(chunks("SELECT id FROM claim() AS id", chunk_size=2, read_only=False))
    next(reading)
    reading.close()
    assert postgres.execute("SELECT count(*) FROM jobs WHERE taken") == [(0,)]
    assert len(read("SELECT id FROM claim() AS id", chunk_size=2, read_only=False)) == 3


@pytest.mark.parametrize("sql", ["SELECT nextval('numbers') AS id", "DELETE FROM jobs RETURNING id"])
def test_a_connection_that_only_reads_is_told_apart(connect, postgres, sql):
    postgres.execute(*CLAIM)
    connect("source_db", **postgres.connection(), extra=ONLY_READS)
    with pytest.raises(ConfigurationError, match="read_only=False is not enough: .* Use a connection that may write"):
        read(sql, read_only=False)
    assert read("SELECT 1 AS id", read_only=False) == [{"id": 1}]


@pytest.mark.release
def test_more_binds_than_a_statement_has_room_for_are_not_tried_again(postgresql):
    with pytest.raises(ConfigurationError, match="must be between 0 and 65535"):
        read("SELECT 1 AS id WHERE 1 IN :ids", {"ids": range(70_000)})
    assert read("SELECT 1 AS id WHERE 1 = ANY(:ids)", {"ids": range(70_000)}) == [{"id": 1}]


def test_a_second_statement_does_not_get_out_of_the_transaction(every_postgresql):
    every_postgresql(*CLAIM)
    for read_only in (True, False):
        with pytest.raises(ConfigurationError, match="sql has more than one statement"):
            read("UPDATE jobs SET taken = true RETURNING id; COMMIT; DELETE FROM jobs", read_only=read_only)
    assert every_postgresql("SELECT count(*) FROM jobs") == [(3,)]


def test_sqlite_changes_nothing_unless_it_may(sqlite):
    sqlite("CREATE TABLE jobs (id int)", "INSERT INTO jobs VALUES (1), (2), (3)")
    sql = "DELETE FROM jobs WHERE id < 3 RETURNING id"
    with pytest.raises(ConfigurationError, match=r"attempt to write a readonly database\. .* with read_only=False"):
        read(sql)
    assert sqlite("SELECT count(*) FROM jobs") == [(3,)]
    assert read(sql, read_only=False) == [{"id": 1}, {"id": 2}]
    assert sqlite("SELECT id FROM jobs") == [(3,)]


IN_SQLITE = [
    "WITH d AS (SELECT 1 AS id) DELETE FROM jobs WHERE id IN (SELECT id FROM d) RETURNING id",
    "REPLACE INTO jobs VALUES (4) RETURNING id",
    "/* all */ DELETE FROM jobs RETURNING id",
    "CREATE TABLE others AS SELECT 1 AS id",
    "PRAGMA user_version = 5",
    "PRAGMA journal_mode = wal",
    "DROP TABLE jobs",
]


@pytest.mark.parametrize("sql", IN_SQLITE)
@pytest.mark.parametrize("read_only", [True, False])
def test_whatever_sqlite_was_to_change_is_undone_when_not_all_is_read(sqlite, sql, read_only):
    sqlite("CREATE TABLE jobs (id int)", "INSERT INTO jobs VALUES (1), (2), (3)")
    reading = iter(chunks(sql, chunk_size=1, read_only=read_only))
    if read_only or "RETURNING" not in sql:
        with pytest.raises(ConfigurationError):
            next(reading)
    else:
        next(reading)
    reading.close()
    assert sqlite("SELECT id FROM jobs") == [(1,), (2,), (3,)]
    assert sqlite("SELECT name FROM sqlite_master") == [("jobs",)]
    assert (sqlite("PRAGMA user_version"), sqlite("PRAGMA journal_mode")) == ([(0,)], [("delete",)])


@pytest.fixture
def kept(monkeypatch):
    """Let a hook's connection outlive who uses it, as a pooler's does: ``kept(hook class)`` gives it once it is made."""
    made = []

    def keep(hook):
        connect = hook.get_conn

        def get_conn(self):
            if not made:
                made.append(connect(self))
            return made[0]

        monkeypatch.setattr(hook, "get_conn", get_conn)
        return made

    from sqlalchemy.engine.default import DefaultDialect

    monkeypatch.setattr(DefaultDialect, "do_close", lambda self, raw: raw.rollback())
    yield keep
    for connection in made:
        connection.close()


@pytest.mark.parametrize("before", [0, 1])
def test_sqlites_connection_is_left_as_it_was(sqlite, kept, before):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    made = kept(SqliteHook)
    sqlite("CREATE TABLE jobs (id int)")
    read("SELECT id FROM jobs")
    made[0].execute(f"PRAGMA query_only = {before}")
    read("SELECT id FROM jobs")
    with pytest.raises(ConfigurationError):
        read("SELECT id FROM nowhere")
    with pytest.raises(ConfigurationError):
        read("DELETE FROM jobs RETURNING id")
    reading = iter(chunks("SELECT value FROM json_each('[1,2,3]')", chunk_size=1))
    next(reading)
    reading.close()
    assert made[0].execute("PRAGMA query_only").fetchone() == (before,)


SETTINGS = {
    "TimeZone": ("Asia/Tokyo", "UTC"),
    "idle_in_transaction_session_timeout": ("7s", "0"),
    "transaction_timeout": ("9s", "0"),
    "transaction_read_only": ("off", "on"),
    "DateStyle": ("German, DMY", "ISO, DMY"),
    "IntervalStyle": ("sql_standard", "postgres"),
    "extra_float_digits": ("0", "3"),
}


def test_what_is_set_on_postgresql_is_set_for_one_transaction(connect, postgres, kept):
    """Behind a pooler the connection is another client's in the next one."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    options = (
        "-cTimeZone=Asia/Tokyo -cidle_in_transaction_session_timeout=7s -ctransaction_timeout=9s -cDateStyle=German "
    )
    options += "-cIntervalStyle=sql_standard -cextra_float_digits=0"
    connect("source_db", **postgres.connection(), extra={"options": options})
    made = kept(PostgresHook)
    asked = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in SETTINGS)
    for _ in range(2):
        (inside,) = read(asked)
        assert tuple(inside.values()) == tuple(inside for _, inside in SETTINGS.values())
        assert made[0].execute(asked).fetchone() == tuple(outside for outside, _ in SETTINGS.values())
        made[0].rollback()
    for _ in range(9):
        read("SELECT 1 AS id")
    assert made[0].execute("SELECT name FROM pg_prepared_statements").fetchall() == []


class Told:
    """Takes down what a database without a server here is told."""

    def __init__(self, name, unknown=""):
        self.dialect, self.unknown, self.told = self, unknown, []
        self.name = name

    def exec_driver_sql(self, sql):
        self.told.append(sql)
        if sql == self.unknown:
            raise ProgrammingError(sql, None, Exception("syntax error"))
        return self

    def close(self):
        pass

    def rollback(self):
        self.told.append("ROLLBACK")

    commit = rollback


MYSQL = "START TRANSACTION READ ONLY"
MYSQL_BEFORE = ["SET time_zone = '+00:00'", "SET SESSION TRANSACTION READ ONLY"]
TOLD = {
    "mysql": (Told("mysql"), [*MYSQL_BEFORE, MYSQL]),
    "mariadb": (Told("mariadb"), [*MYSQL_BEFORE, MYSQL]),
    "one that does not know it": (Told("mysql", MYSQL), [*MYSQL_BEFORE, MYSQL, "ROLLBACK"]),
    "oracle": (Told("oracle"), ["ALTER SESSION SET TIME_ZONE = '+00:00'", "SET TRANSACTION READ ONLY"]),
    "another": (Told("snowflake"), []),
}


@pytest.mark.parametrize(("connection", "told"), TOLD.values(), ids=TOLD.keys())
def test_what_a_database_is_told_before_the_query(connection, told):
    from airflow_async_rest.databases.dialects.registry import dialect_named

    with reading(connection, dialect_named(connection.name), read_only=True):
        assert connection.told == told


class Ended(Dialect):
    """A database that finds the beginning of its transaction by a query."""

    find_beginning = "SELECT gone"

    def __init__(self, ended):
        self._ended = ended

    def ended_transaction(self, error):
        return self._ended


@pytest.mark.parametrize(("ended", "words"), [(True, "sql has ended its transaction"), (False, "^the first error$")])
def test_an_error_is_only_replaced_by_the_news_that_something_was_committed(ended, words):
    with create_engine("sqlite://").connect() as connection, pytest.raises(ConfigurationError, match=words):  # noqa: SIM117
        with reading(connection, Ended(ended), read_only=False):
            raise ConfigurationError("the first error")


@pytest.mark.parametrize(("change", "committed"), [(None, 0), (False, 1)])
def test_plain_db_api_commits_where_something_may_change(sqlite, untried, change, committed):
    sqlite("CREATE TABLE jobs (id int)", "INSERT INTO jobs VALUES (1), (2)")
    assert len(read("DELETE FROM jobs WHERE id IN :ids RETURNING id", {"ids": [1]}, read_only=change is None)) == 1
    assert sqlite("SELECT count(*) FROM jobs") == [(2 - committed,)]
