"""DuckDB: its types, its file, and transactions that an error ends."""

import contextlib
import json
import subprocess
import sys
import threading
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from loads import Database

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook
from airflow_async_rest.load.loader import open_destination

duckdb = pytest.importorskip("duckdb")

MODES = {
    "append": {},
    "replace_window": {"load_mode": "replace_window", "window_column": "noted"},
    "upsert": {"load_mode": "upsert", "conflict_key": "id"},
}
NOON = "2026-11-01T12:00:00Z"
NOON_THERE = datetime.fromisoformat("2026-11-01 12:00:00")


@pytest.fixture
def file(tmp_path, connect):
    """A database, and the connections to it, whose sessions are in another zone than UTC."""
    path = tmp_path / "some.duckdb"
    duckdb.connect(str(path)).close()
    for name in ("source_db", "warehouse"):
        connect(name, conn_type="duckdb", host=str(path), extra={"settings": {"TimeZone": "America/Los_Angeles"}})
    return path


@pytest.fixture
def database(file):
    def execute(*statements):
        from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

        with contextlib.closing(DuckDBHook(duckdb_conn_id="warehouse").get_conn()) as connection:
            for statement in statements:
                connection.execute(statement)
            return connection.fetchall()

    found = Database("duckdb", execute)
    yield found
    for loader in found.loaders:
        loader.close()


def read(sql, parameters=None, **arguments):
    return [row for chunk in ChunkedSqlHook("source_db").chunks(sql, parameters, **arguments) for row in chunk]


# In SQL -> as an API gets it
SENT = {
    "HUGEINT": ("170141183460469231731687303715884105727::HUGEINT", 170141183460469231731687303715884105727),
    "UBIGINT": ("18446744073709551615::UBIGINT", 18446744073709551615),
    "DECIMAL": (
        "12345678901234567890.123456789012345678::DECIMAL(38, 18)",
        Decimal("12345678901234567890.123456789012345678"),
    ),
    "TIMESTAMP": ("TIMESTAMP '2026-11-01 12:00:00'", "2026-11-01T12:00:00+00:00"),
    "TIMESTAMPTZ": ("TIMESTAMPTZ '2026-11-01 12:00:00+00'", "2026-11-01T12:00:00+00:00"),
    "DATE": ("DATE '2026-11-01'", "2026-11-01"),
    "late DATE": ("DATE '20000-01-01'", "20000-01-01"),
    "LIST": ("[1, NULL, 3]", [1, None, 3]),
    "STRUCT": ("{'a': 1, 'b': DATE '2026-11-01'}", {"a": 1, "b": "2026-11-01"}),
    "MAP": ("MAP {'a': [1]}", {"a": [1]}),
    "MAP of numbers": ("MAP {1: 'a'}", {"1": "a"}),
    "JSON": ("""'{"a": [null, 1.10]}'::JSON""", {"a": [None, Decimal("1.10")]}),
    "no JSON": ("NULL::JSON", None),
    "BLOB": ("'\\x00\\xFF'::BLOB", "AP8="),
    "UUID": ("'8d7f0a3e-0000-4000-8000-000000000001'::UUID", "8d7f0a3e-0000-4000-8000-000000000001"),
    "INTERVAL": ("INTERVAL '1 day 2 hours'", "P1DT7200S"),
    "months": ("INTERVAL '-14 months -3 days 04:05:06.5'", "P-1Y-2M-3DT4H5M6.5S"),
    "one month": ("INTERVAL '1 month'", "P1M"),
    "infinite DATE": ("DATE 'infinity'", "infinity"),
    "infinite TIMESTAMP": ("TIMESTAMP '-infinity'", "-infinity"),
    "infinite TIMESTAMPTZ": ("TIMESTAMPTZ 'infinity'", "infinity"),
    "infinite TIMESTAMP_NS": ("'infinity'::TIMESTAMP_NS", "infinity"),
    "FLOAT": ("0.1::FLOAT", Decimal("0.1")),
    "FLOAT of all digits": ("16777216::FLOAT", Decimal("16777216.0")),
    "nested FLOAT": ("{'a': [0.1::FLOAT, NULL], 'FLOAT': 1}", {"a": [Decimal("0.1"), None], "FLOAT": 1}),
    "MAP of FLOAT": ("MAP {0.1::FLOAT: 0.1::FLOAT}", {"0.1": Decimal("0.1")}),
    "ARRAY of FLOAT": ("[0.1, 2]::FLOAT[2]", [Decimal("0.1"), Decimal("2.0")]),
    "UNION with FLOAT": ("union_value(f := 0.5::FLOAT)", Decimal("0.5")),
    "last DATE": ("DATE '9999-12-31'", "9999-12-31"),
    "no DATE": ("NULL::DATE", None),
    "ENUM": ("'a'::ENUM('a', 'b')", "a"),
    "BIT": ("'0101'::BIT", "0101"),
    "dollars": ("$$a;b$$", "a;b"),
    "escapes": ("E'a\\';\\\\'", "a';\\"),
}


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("embed_json", [True, False])
def test_a_value_is_sent_as_what_it_is(file, name, embed_json):
    sql, expected = SENT[name]
    chunks = ChunkedSqlHook("source_db").chunks(f"SELECT {sql} AS value")
    chunks.embed_json = embed_json
    [[row]] = list(chunks)
    assert json.loads(JsonEncoder()(row), parse_float=Decimal) == {"value": expected}


def test_rows_with_odd_values_stand_in_their_order_among_others(file):
    sql = (
        "SELECT i AS \"the id\", CASE i % 3 WHEN 0 THEN DATE 'infinity' ELSE DATE '2026-01-01' END AS d, to_months(i) AS m "
        "FROM range(5000) t(i) WHERE i >= :least ORDER BY i DESC  -- the last first"
    )
    rows = read(sql, {"least": 10}, chunk_size=700)
    assert [row["the id"] for row in rows] == list(range(4999, 9, -1))
    assert {type(row["d"]) for row in rows} == {str, date}
    assert [row["d"] for row in rows if row["the id"] % 3 == 0] == ["infinity"] * 1663
    assert {len(row) for row in rows} == {3}
    assert read("SELECT DATE 'infinity' AS d WHERE false") == []


def test_two_columns_of_one_name_are_refused_where_a_time_is_among_them(file):
    with pytest.raises(ConfigurationError, match="two columns named 'd'"):
        read("SELECT DATE 'infinity' AS d, 2 AS d")


# Type -> value of an answer, as it is there then; or the words of the refusal.
LOADED = [
    ("HUGEINT", 170141183460469231731687303715884105727, 170141183460469231731687303715884105727),
    ("HUGEINT", 2**127, "INT128"),
    ("BIGINT", "12", 12),
    ("BIGINT", 1.0, 1),
    ("BIGINT", 1.5, "1.5 is not a whole number"),
    ("BIGINT", "1.5", "1.5 is not a whole number"),
    ("BIGINT", True, 1),
    ("TINYINT", 300, "300"),
    (
        "DECIMAL(38, 18)",
        Decimal("12345678901234567890.123456789012345678"),
        Decimal("12345678901234567890.123456789012345678"),
    ),
    ("DECIMAL(4, 2)", 1000, "1000"),
    ("DOUBLE", 0.1, 0.1),
    ("TIMESTAMP", "2026-11-01T14:00:00+02:00", NOON_THERE),
    ("TIMESTAMP", "2026-11-01 12:00:00", NOON_THERE),
    ("TIMESTAMP", "2026-02-30T12:00:00Z", "2026-02-30"),
    ("TIMESTAMP", 1772430912, "is a number, not a time"),
    ("DATE", "2026-11-01", date(2026, 11, 1)),
    ("DATE", "2026-11-01T23:00:00Z", date(2026, 11, 1)),
    ("DATE", "2026-02-30", "2026-02-30"),
    ("VARCHAR", {"a": 1}, '{"a":1}'),
    ("VARCHAR", 5, "5"),
    ("INTEGER[]", [1, None], [1, None]),
    ("INTEGER[]", ["x"], "x"),
    ("STRUCT(a INTEGER, b VARCHAR)", {"a": 1, "b": "x"}, {"a": 1, "b": "x"}),
    ("MAP(VARCHAR, INTEGER)", {"k": 1}, {"k": 1}),
    ("JSON", {"a": 1.1}, '{"a":1.1}'),
    ("JSON", "text", '"text"'),
    ("BLOB", b"\x00\xff", b"\x00\xff"),
    ("BLOB", "\\x00ff", b"\x00\xff"),
    ("UUID", "8d7f0a3e-0000-4000-8000-000000000001", UUID("8d7f0a3e-0000-4000-8000-000000000001")),
    ("UUID", "8d7f", "8d7f"),
    ("INTERVAL", timedelta(days=1, seconds=3), timedelta(days=1, seconds=3)),
    ("INTERVAL", timedelta(seconds=-3), timedelta(seconds=-3)),
    ("ENUM('a', 'b')", "b", "b"),
    ("ENUM('a', 'b')", "c", "ENUM"),
    ("BIT", "0101", "0101"),
    ("BOOLEAN", "yes", True),
    ("BOOLEAN", "perhaps", "perhaps"),
    ("TIME", "12:30:00", time(12, 30)),
]


def test_half_a_character_is_refused_alone(database):
    database.execute("CREATE TABLE things (id BIGINT, label VARCHAR)")
    loaded = database.load([{"id": n, "label": "\ud83d" if n == 3 else "x"} for n in range(9)])
    assert list(loaded.refused) == [3]
    assert database.execute("SELECT count(*) FROM things") == [(8,)]


@pytest.mark.parametrize(("kind", "value", "expected"), LOADED)
def test_a_value_is_loaded_exactly_or_its_row_refused_with_why(database, kind, value, expected):
    database.execute(f"CREATE TABLE things (id BIGINT, value {kind})")
    loaded = database.load([{"id": 0, "value": None}, {"id": 1, "value": value}])
    if loaded.refused:
        assert list(loaded.refused) == [1]
        assert isinstance(expected, str), loaded.refused
        assert expected in loaded.refused[1]
        assert database.execute("SELECT * FROM things") == [(0, None)]
    else:
        assert database.execute("SELECT value FROM things ORDER BY id") == [(None,), (expected,)]


def test_infinite_times_are_loaded(database):
    database.execute("CREATE TABLE things (id BIGINT, noted TIMESTAMP, dated DATE)")
    database.load([{"id": 1, "noted": "infinity", "dated": "-infinity"}])
    assert database.execute("SELECT isinf(noted), isinf(dated) FROM things") == [(True, True)]


TABLE = "id BIGINT PRIMARY KEY, noted TIMESTAMP, code VARCHAR UNIQUE, tags INTEGER[], n INTEGER CHECK (n > 0), label VARCHAR NOT NULL"


def thing(number, **values):
    return {"id": number, "noted": NOON, "code": f"c{number}", "tags": [number], "n": 1, "label": "new"} | values


@pytest.mark.parametrize("mode", MODES)
def test_each_row_that_a_constraint_refuses_is_refused_alone(database, mode):
    database.execute(
        f"CREATE TABLE things ({TABLE})",
        "INSERT INTO things VALUES (100, '2026-10-01', 'taken', [], 1, 'old'), (1, '2026-11-01', 'c1', [], 1, 'old')",
    )
    rows = [thing(number) for number in range(300)]
    rows[100]["id"] = 1_000
    if mode == "append":
        rows[1]["id"], rows[1]["code"] = 1_001, "c1001"
    rows[7]["label"] = None
    rows[8]["n"] = 0
    rows[9]["code"] = "taken"
    rows[20]["code"] = "c10"
    loaded = database.load(rows, **MODES[mode])
    assert sorted(loaded.refused) == [7, 8, 9, 20]
    assert all("onstraint" in words for words in loaded.refused.values())
    assert loaded.loaded == 296
    assert database.execute("SELECT label FROM things WHERE id = 100") == [("old",)]
    assert database.execute("SELECT count(*) FROM things WHERE label = 'new'") == [(296,)]


def test_what_no_constraint_says_is_found_by_halving(database):
    """A unique index is none of a table's constraints."""
    database.execute("CREATE TABLE things (id BIGINT, code VARCHAR)", "CREATE UNIQUE INDEX codes ON things (code)")
    database.execute("INSERT INTO things VALUES (1, 'taken')")
    loaded = database.load([{"id": n, "code": "taken" if n == 5 else f"c{n}"} for n in range(20)])
    assert list(loaded.refused) == [5]
    assert database.execute("SELECT count(*) FROM things") == [(20,)]


def test_a_row_that_takes_the_key_that_another_gives_up_is_not_lost(database):
    database.execute("CREATE TABLE things (id BIGINT PRIMARY KEY, code VARCHAR UNIQUE)")
    database.execute("INSERT INTO things VALUES (1, 'a'), (2, 'b')")
    loaded = database.load([{"id": 1, "code": "z"}, {"id": 3, "code": "a"}], **MODES["upsert"])
    there = database.execute("SELECT * FROM things ORDER BY id")
    assert there == [(1, "z"), (2, "b"), *([] if loaded.refused else [(3, "a")])]
    assert list(loaded.refused) in ([], [1])


def test_rows_of_one_key_are_united_and_a_null_is_no_key(database):
    database.execute("CREATE TABLE things (id BIGINT UNIQUE, a BIGINT, tags INTEGER[])")
    database.execute("INSERT INTO things VALUES (1, 1, [1]), (NULL, 0, [])")
    rows = [{"id": 1, "a": 2}, {"id": 1, "tags": [2]}, {"id": 1, "a": 3}, {"id": None, "a": 9}]
    loaded = database.load(rows, **MODES["upsert"])
    assert loaded.refused == {}
    assert database.execute("SELECT * FROM things ORDER BY id, a") == [(1, 3, [2]), (None, 0, []), (None, 9, None)]


def test_names_are_no_words_of_the_language(database):
    database.execute('CREATE TABLE "select" ("order" BIGINT, "a:b" VARCHAR, "Group" VARCHAR)')
    database.load([{"order": 1, "a:b": "x", "Group": "y"}], table="select")
    assert database.execute('SELECT * FROM "select"') == [(1, "x", "y")]


def test_what_the_table_makes_itself_is_not_loaded(database):
    database.execute("CREATE TABLE things (id BIGINT, twice BIGINT GENERATED ALWAYS AS (id * 2), n BIGINT DEFAULT 7)")
    database.load([{"id": 1, "twice": 5}, {"id": 2, "n": 8}])
    assert database.execute("SELECT id, twice, n FROM things ORDER BY id") == [(1, 2, 7), (2, 4, 8)]


@pytest.mark.parametrize("mistake", ["sensors.duckbd", "no_folder/sensors.duckdb"])
def test_a_path_that_is_misspelled_is_named_and_no_file_is_made(connect, tmp_path, mistake):
    connect("source_db", conn_type="duckdb", host=str(tmp_path / mistake))
    with pytest.raises(ConfigurationError, match=f"there is no DuckDB file '.*{mistake}'"):
        list(ChunkedSqlHook("source_db").chunks("SELECT 1 AS id"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [({}, "in memory"), ({"host": ":memory:"}, "in memory"), ({"password": "s3cret"}, "MotherDuck")],
)
def test_what_would_be_gone_or_was_never_tried_is_no_destination(connect, fields, words):
    connect("warehouse", conn_type="duckdb", **fields)
    with pytest.raises(ConfigurationError, match=f"{words}.*write the path of a file") as refused:
        open_destination("warehouse")
    assert "s3cret" not in str(refused.value)


def test_a_database_in_memory_is_read(connect):
    connect("source_db", conn_type="duckdb")
    assert read("SELECT range AS id FROM range(3)") == [{"id": 0}, {"id": 1}, {"id": 2}]


HOLDS = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@contextlib.contextmanager
def held_by_another_process(file):
    with subprocess.Popen([sys.executable, "-c", HOLDS, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        yield
        other.stdin.close()


def test_a_file_that_another_process_has_is_waited_for_by_a_retry(database, file):
    database.execute("CREATE TABLE things (id BIGINT)")
    with held_by_another_process(str(file)):
        with pytest.raises(Exception, match="lock") as reading:
            read("SELECT id FROM things")
        assert not isinstance(reading.value, ConfigurationError)
        with pytest.raises(StoppedError, match="(?i)lock.*some.duckdb"):
            database.loader()
    assert database.load([{"id": 1}]).loaded == 1


def test_a_file_that_is_none_of_its_own_is_wrong(database, file):
    file.write_bytes(b"not a database" * 1_000)
    with pytest.raises(ConfigurationError, match="not a valid DuckDB"):
        database.loader()


def test_a_file_that_is_opened_to_be_read_is_no_destination(database, connect, file):
    database.execute("CREATE TABLE things (id BIGINT)")
    connect("warehouse", conn_type="duckdb", host=str(file), extra={"read_only": True})
    with pytest.raises(ConfigurationError, match="destination_conn_id: .*read-only mode.* which may write"):
        database.load([{"id": 1}])


def test_a_cursor_whose_rows_are_gone_says_so(database):
    with open_destination("warehouse").engine.connect() as connection:
        first = connection.exec_driver_sql("SELECT * FROM range(9)")
        first.fetchone()
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(Exception, match="another statement has run"):
            first.fetchall()


def test_a_savepoint_gives_back_what_was_before_it(database):
    database.execute("CREATE TABLE things (id BIGINT PRIMARY KEY)")
    with open_destination("warehouse").engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO things VALUES (1)")
        with pytest.raises(Exception, match="(?i)duplicate"), connection.begin_nested():
            connection.exec_driver_sql("INSERT INTO things VALUES (2), (1)")
        with connection.begin_nested():
            connection.exec_driver_sql("INSERT INTO things VALUES (3)")
        with pytest.raises(Exception, match="(?i)duplicate"), connection.begin_nested():
            connection.exec_driver_sql("INSERT INTO things VALUES (3)")
    assert database.execute("SELECT id FROM things ORDER BY id") == [(1,), (3,)]


def test_a_load_waits_for_another_of_its_process(database):
    """Else one of the two would conflict, at its end."""
    database.execute("CREATE TABLE things (id BIGINT)")
    engine, done = open_destination("warehouse").engine, []

    def insert():
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO things VALUES (2)")
        done.append("second")

    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO things VALUES (1)")
        thread = threading.Thread(target=insert, daemon=True)
        thread.start()
        thread.join(0.2)
        done.append("first")
    thread.join(30)
    assert done == ["first", "second"]


def test_a_foreign_function_of_files_that_finds_none_is_wrong(file):
    with pytest.raises(ConfigurationError, match="No files found"):
        read("SELECT * FROM read_csv('/no/such/file*.csv')")
