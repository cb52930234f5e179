"""Loading into Oracle, as far as that can be seen without a server; see fake_oracle.py.

With one, the other tests here show the rest: set ORACLE_DSN.
"""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from unittest.mock import create_autospec

import oracledb
import pytest
from fake_oracle import FakeOracle, error, real_cursor
from loads import WINDOW, placed

from airflow_async_rest.core.errors import ConfigurationError, LoadError
from airflow_async_rest.databases.dialects.registry import dialect_named
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.load.destination import Destination
from airflow_async_rest.load.merging.merging import Merging
from airflow_async_rest.load.plan import LoadPlan
from airflow_async_rest.load.staging.table import Staging
from airflow_async_rest.windows import Window

COLUMNS = (
    Column("id", Kind.INTEGER, has_default=False),
    Column("DATE", Kind.NAIVE_TIME, has_default=False),
    Column("Mixed :x", Kind.TEXT, has_default=False),
)


class Server(FakeOracle):
    """Answers no query, and takes rows as the driver does: value by value into variables of the types it is told."""

    def __init__(self):
        super().__init__()
        self.batch_errors = {}  # value of the first column -> words
        self.refuse_rows = None
        self.sizes = []
        self.taken = []

    def _new_cursor(self):
        cursor = super()._new_cursor()
        cursor.rowcount = 1
        cursor.setinputsizes.side_effect = lambda *sizes, **_: self.sizes.append(sizes)
        cursor.executemany.side_effect = lambda sql, rows, batcherrors: self._take(cursor, sql, rows, batcherrors)
        return cursor

    def _take(self, cursor, sql, rows, batcherrors):
        assert batcherrors
        self.executed.append((sql, {}))
        if self.refuse_rows:
            raise self.refuse_rows
        for row in rows:
            for size, value in zip(self.sizes[-1], row, strict=True):
                real_cursor().var(size or type(value if value is not None else "")).setvalue(0, value)
        bad = [(offset, self.batch_errors.get(row[1])) for offset, row in enumerate(rows)]
        cursor.getbatcherrors.return_value = [SimpleNamespace(offset=n, message=words) for n, words in bad if words]
        self.taken += [row for row, (_, words) in zip(rows, bad, strict=True) if not words]

    @property
    def statements(self):
        return [sql for sql, _ in self.executed if not sql.startswith("ALTER SESSION")]


@pytest.fixture
def server(connect, monkeypatch):
    connect("warehouse", conn_type="oracle", host="db", login="me", password="p", extra={"service_name": "FREE"})
    server = Server()
    monkeypatch.setattr(oracledb, "connect", create_autospec(oracledb.connect, return_value=server.connection))
    yield server
    server.end()


@pytest.fixture
def connection(server):
    from airflow_async_rest.load.loader import open_destination

    with open_destination("warehouse").engine.connect() as connection:
        yield connection


def staging(connection, schema="sales", columns=COLUMNS, repeated=0, **plan):
    made = Staging(
        "async_rest_stg_1",
        Destination(LoadPlan("things", schema, **plan), columns),
        connection,
        dialect_named("oracle"),
    )
    if columns:
        made._set_parts([made._part(1, columns)])
    made.count = lambda *_, **__: 1  # as many as the driver says are moved
    made.count_distinct = lambda _: made.most - repeated
    return made


def merging(connection, made, *sets):
    """Merge rows of which each has one of some sets of columns; all of them where none is given."""
    made.sets.see(sets or ["1" * len(made.columns)])
    return Merging(connection, made._destination, made)


def test_the_staging_table_and_its_index_are_made_before_there_are_rows(server, connection):
    staging(connection, columns=()).extend(COLUMNS)
    table, index = server.statements
    assert table == (
        "CREATE TABLE sales.async_rest_stg_1 AS SELECT CAST(0 AS NUMBER(19)) AS async_rest_place, "
        "CAST('1' AS VARCHAR2(4000)) AS async_rest_columns, "
        'id, "DATE", "Mixed :x" FROM sales.things WHERE 1 = 0'
    )
    assert index == "CREATE INDEX sales.async_rest_stg_1_i ON sales.async_rest_stg_1 (async_rest_place)"


ROWS = [
    {"id": 1, "DATE": "2026-11-01T02:00:00.000005+02:00", "Mixed :x": "a"},
    {"id": "2", "DATE": datetime(2026, 11, 1, tzinfo=UTC), "Mixed :x": 5},
    {"id": Decimal(3), "DATE": None, "Mixed :x": {"a": 1}},
]


def test_rows_are_inserted_as_arrays_with_the_types_of_their_columns(server, connection):
    assert staging(connection).add(placed(ROWS)) == []
    assert server.statements[-1] == (
        'INSERT INTO sales.async_rest_stg_1 (async_rest_place, id, "DATE", "Mixed :x", async_rest_columns) '
        "VALUES (:1, :2, :3, :4, :5)"
    )
    assert server.sizes == [(None, oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_TIMESTAMP, None, None)]
    assert server.taken == [
        [0, 1, datetime(2026, 11, 1, 0, 0, 0, 5), "a", "111"],  # noqa: DTZ001
        [1, Decimal(2), datetime(2026, 11, 1), "5", "111"],  # noqa: DTZ001
        [2, Decimal(3), None, '{"a":1}', "111"],
    ]


def test_rows_that_the_driver_tells_of_are_refused_and_the_others_are_in(server, connection):
    server.batch_errors = {2: "ORA-12899: value too large\n for column"}
    refused = staging(connection).add(placed([{"id": n} for n in range(5)]))
    assert [(row.place, row.values, row.message) for row in refused] == [
        (2, {"id": 2}, "ORA-12899: value too large for column")
    ]
    assert [row[0] for row in server.taken] == [0, 1, 3, 4]


@pytest.mark.parametrize(
    "bad", [{"id": "one"}, {"DATE": "soon"}, {"DATE": 5}, {"DATE": "0001-01-01T00:00:00+05:00"}], ids=str
)
def test_a_value_that_the_driver_does_not_take_is_refused_alone(server, connection, bad):
    refused = staging(connection).add(placed([{"id": 0}, bad]))
    assert [row.place for row in refused] == [1]
    assert refused[0].message.startswith(("DPY-3013: unsupported Python type", "date value out of range"))
    assert [row[0] for row in server.taken] == [0]


def test_a_table_that_refuses_nearly_everything_ends_the_load(server, connection):
    server.batch_errors = dict.fromkeys(range(1, 1001), "ORA-01400: no NULL")
    with pytest.raises(ConfigurationError, match="refuses nearly all rows .*ORA-01400"):
        staging(connection).add(placed([{"id": n} for n in range(1001)]))


def test_what_a_statement_did_before_it_failed_can_be_undone(server, connection):
    """The driver's cursor begins no transaction that SQLAlchemy knows of, and could roll back."""
    server.refuse_rows = error(3113, "end of file")
    with pytest.raises(oracledb.DatabaseError):
        staging(connection).add(placed(ROWS))
    before = server.connection.rollback.call_count
    connection.rollback()
    assert server.connection.rollback.call_count == before + 1


def test_rows_are_appended_with_the_constraints_that_wait_for_the_commit(server, connection):
    assert merging(connection, staging(connection)).merge(first=True).loaded == 1
    assert server.statements[1:] == [
        'INSERT INTO sales.things (id, "DATE", "Mixed :x") SELECT id, "DATE", "Mixed :x" FROM sales.async_rest_stg_1',
        "SET CONSTRAINTS ALL IMMEDIATE",
    ]


def test_rows_are_merged_by_their_keys(server, connection):
    made = staging(connection, schema=None, mode="upsert", conflict_key=("id", "DATE"))
    merging(connection, made).merge(first=True)
    assert server.statements[0] == "LOCK TABLE things IN SHARE ROW EXCLUSIVE MODE"
    assert server.statements[2] == (
        'MERGE INTO things d USING (SELECT id, "DATE", "Mixed :x" FROM async_rest_stg_1 WHERE 1 = 1) s '
        'ON (d.id = s.id AND d."DATE" = s."DATE") '
        'WHEN MATCHED THEN UPDATE SET d."Mixed :x" = s."Mixed :x" '
        'WHEN NOT MATCHED THEN INSERT (id, "DATE", "Mixed :x") VALUES (s.id, s."DATE", s."Mixed :x")'
    )


def test_keys_alone_are_inserted_where_they_are_not(server, connection):
    made = staging(connection, mode="upsert", conflict_key=("id",), columns=COLUMNS[:1])
    merging(connection, made).merge(first=True)
    assert server.statements[2].endswith("s ON (d.id = s.id) WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)")


def test_of_rows_with_one_key_all_but_the_last_are_taken_out_before(server, connection, monkeypatch):
    monkeypatch.setattr(Staging, "look_at_sets", lambda self: 0)
    made = staging(connection, schema=None, mode="upsert", conflict_key=("id", "DATE"), repeated=1)
    merging(connection, made)._insert_all()
    assert server.statements[0] == (
        "DELETE FROM async_rest_stg_1 WHERE async_rest_place IN (SELECT async_rest_place FROM (SELECT async_rest_place, "
        'ROW_NUMBER() OVER (PARTITION BY id, "DATE" ORDER BY async_rest_place DESC) AS async_rest_rank '
        'FROM async_rest_stg_1 WHERE id IS NOT NULL AND "DATE" IS NOT NULL) ranked WHERE async_rest_rank > 1)'
    )


def test_rows_that_differ_are_merged_by_what_each_has(server, connection, monkeypatch):
    monkeypatch.setattr(Staging, "look_at_sets", lambda self: 0)
    columns = (*COLUMNS[:2], Column("status", Kind.TEXT, has_default=True), COLUMNS[2])
    made = staging(connection, schema=None, mode="upsert", conflict_key=("id",), columns=columns, repeated=1)
    merging(connection, made, "1110", "1001")._insert_all()
    *collapse, without, with_status, _ = [sql for sql in server.statements if "SAVEPOINT" not in sql]
    assert [sql.split(" (")[0] for sql in collapse] == [
        "INSERT INTO async_rest_stg_1",
        "DELETE FROM async_rest_stg_1 WHERE async_rest_place IN",
        "UPDATE async_rest_stg_1 SET async_rest_place = -1 - async_rest_place WHERE async_rest_place < 0",
    ]
    assert (
        "FIRST_VALUE(async_rest_place) OVER (PARTITION BY id ORDER BY CASE WHEN SUBSTR(async_rest_columns, 2, 1) = '1' "
        "THEN 0 ELSE 1 END, async_rest_place DESC) AS async_rest_1"
    ) in collapse[0]
    assert '(SELECT v."DATE" FROM async_rest_stg_1 v WHERE v.async_rest_place = united.async_rest_1)' in collapse[0]
    has = "SUBSTR(s.async_rest_columns, {}, 1) = '1'"
    assert with_status == (
        'MERGE INTO things d USING (SELECT id, "DATE", status, "Mixed :x", async_rest_columns FROM async_rest_stg_1 '
        "WHERE SUBSTR(async_rest_columns, 3, 1) = '1') s ON (d.id = s.id) "
        f'WHEN MATCHED THEN UPDATE SET d."DATE" = CASE WHEN {has.format(2)} THEN s."DATE" ELSE d."DATE" END, '
        f"d.status = CASE WHEN {has.format(3)} THEN s.status ELSE d.status END, "
        f'd."Mixed :x" = CASE WHEN {has.format(4)} THEN s."Mixed :x" ELSE d."Mixed :x" END '
        'WHEN NOT MATCHED THEN INSERT (id, "DATE", status, "Mixed :x") VALUES (s.id, s."DATE", s.status, s."Mixed :x")'
    )
    assert "WHERE COALESCE(SUBSTR(async_rest_columns, 3, 1), '0') <> '1')" in without
    assert without.endswith('INSERT (id, "DATE", "Mixed :x") VALUES (s.id, s."DATE", s."Mixed :x")')


@pytest.mark.parametrize(
    ("window", "form", "start"),
    [
        (WINDOW, ":window_start", datetime(2026, 11, 1)),  # noqa: DTZ001
        (
            Window(WINDOW.start.replace(microsecond=5), WINDOW.end),
            "TO_TIMESTAMP(:window_start, 'YYYY-MM-DD HH24:MI:SS.FF6')",
            "2026-11-01 00:00:00.000005",
        ),
    ],
)
def test_bounds_are_dates_that_an_index_serves_unless_they_have_fractions(server, connection, window, form, start):
    made = staging(connection, mode="replace_window", window_column="DATE", window=window)
    merging(connection, made)._delete_window()
    sql, binds = server.executed[-1]
    assert sql.startswith(f'DELETE FROM sales.things WHERE "DATE" >= {form} AND "DATE" < ')
    assert binds["window_start"] == start


@pytest.fixture
def loader(server, monkeypatch):
    from airflow_async_rest.load import loader

    monkeypatch.setattr(loader, "describe", lambda connection, dialect, plan: Destination(plan, COLUMNS))
    about = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    return loader.TableLoader(loader.open_destination("warehouse"), LoadPlan("things", "sales"), about, None)


@pytest.mark.parametrize(
    ("refusal", "raised", "words"),
    [
        (error(1031, "insufficient privileges"), ConfigurationError, "GRANT CREATE TABLE, and a quota .*GRANT SELECT, INSERT ON sales.things"),
        (error(942, "no such table"), ConfigurationError, "the database refuses to load the rows: ORA-00942"),
        (error(60, "deadlock"), LoadError, "the database does not take the rows: ORA-00060"),
        (error(3113, "end of file"), LoadError, "the database does not take the rows: .*ORA-03113"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_database_says_is_told_as_what_can_be_done_about_it(server, loader, refusal, raised, words):
    server.refuse_query = refusal
    with pytest.raises(raised, match=words):
        loader.open()
    assert server.executed[0][0] == "ALTER SESSION SET TIME_ZONE = '+00:00'"
