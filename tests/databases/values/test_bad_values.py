"""One value that the driver cannot load among 12,000 rows: it holds no other row up, whatever row it is in."""

import json
import sqlite3
from datetime import UTC, datetime
from unittest.mock import create_autospec

import pytest
from fake_oracle import FakeOracle, Stored, column
from tables import left_to_release

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder, encode_anything
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.reading.source import RowSource

ROWS = 12_000
PLACES = left_to_release([5_001, 1, 2, 5_000, 6_000, ROWS])
encode = JsonEncoder()


def items_of(sql, **parts):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    source = RowSource(ChunkedSqlHook("source_db").chunks(sql), key=("id",), **parts)
    return [item for chunk in source.open(None, lambda digest: None) for item in chunk]


def check_all_delivered(items, place, form):
    assert [item.key for item in items] == list(range(1, ROWS + 1))
    assert [item for item in items if item.settled] == []
    assert encode(items[place - 1].payload["v"]).decode() == form
    usual = {encode(item.payload["v"]) for item in items} - {form.encode()}
    assert len(usual) == 1


def check_one_dead(items, place):
    assert [item.key for item in items] == list(range(1, ROWS + 1))
    [dead] = [item.settled for item in items if item.settled]
    assert (dead.index, dead.key, dead.reason) == (place - 1, place, "value")
    assert "column 'v' could not be read" in dead.response_excerpt
    assert encode_anything(dead.row).startswith(b'{"id":%d,"v":"<not loaded: ' % place)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("usual", "bad", "form"),
    [
        ("DATE '2026-07-01'", "DATE 'infinity'", '"infinity"'),
        ("TIMESTAMP '2026-07-01'", "TIMESTAMP '0044-03-15 BC'", '"0044-03-15 00:00:00 BC"'),
        ("JSONB '[]'", "(repeat('[', 5000) || repeat(']', 5000))::jsonb", f'"{"[" * 5000}{"]" * 5000}"'),
    ],
)
def test_postgresql_has_a_text_for_each(driver, usual, bad, form, place):
    case = f"CASE WHEN id = {place} THEN {bad} ELSE {usual} END".replace(":", r"\:")
    check_all_delivered(items_of(f"SELECT id, {case} AS v FROM generate_series(1, {ROWS}) id ORDER BY id"), place, form)


@pytest.fixture
def uncertain_text(monkeypatch):
    """A type whose values psycopg neither loads nor decodes."""
    from psycopg import postgres
    from psycopg.types.string import TextLoader

    class Failing(TextLoader):
        def load(self, data):
            if bytes(data) == b"bad":
                raise ValueError("no such thing")
            return super().load(data)

    postgres.adapters.register_loader("varchar", Failing)
    yield
    postgres.adapters.register_loader("varchar", TextLoader)


@pytest.mark.parametrize("place", PLACES)
def test_postgresql_has_a_text_for_what_a_loader_of_the_authors_cannot_load(psycopg, uncertain_text, place):
    sql = f"SELECT id, CAST(CASE WHEN id = {place} THEN 'bad' ELSE 'x' END AS varchar) AS v FROM generate_series(1, {ROWS}) id"
    check_all_delivered(items_of(sql), place, '"bad"')


def test_what_a_loader_of_the_authors_cannot_load_is_a_text_among_an_arrays_others(psycopg, uncertain_text):
    [item] = items_of("SELECT 1 AS id, ARRAY['é', 'bad', NULL]::varchar[] AS v")
    assert item.payload["v"] == ["é", "bad", None]


@pytest.mark.parametrize("place", PLACES)
def test_psycopg2_has_a_text_for_what_a_loader_of_the_authors_cannot_load(psycopg2, monkeypatch, place):
    from psycopg2 import extensions

    def load(text, cursor):
        if text == "bad":
            raise ValueError("no such thing")
        return text

    monkeypatch.setitem(extensions.string_types, 1043, extensions.new_type((1043,), "AUTHORS", load))
    sql = f"SELECT id, CAST(CASE WHEN id = {place} THEN 'bad' ELSE 'x' END AS varchar) AS v FROM generate_series(1, {ROWS}) id"
    check_all_delivered(items_of(sql), place, '"bad"')


@pytest.mark.parametrize("nothing", ["NaN", "Infinity"])
@pytest.mark.parametrize("kind", ["numeric", "float8", "float4", "numeric[]"])
def test_a_number_that_json_does_not_have_is_one_dead_letter(driver, api, tmp_path, kind, nothing):
    value = f"'{{{nothing}}}'" if kind.endswith("[]") else f"'{nothing}'"
    check_one_dead_of_all(
        api,
        tmp_path,
        f"SELECT id, CASE WHEN id = 3 THEN {value}::{kind} END AS v FROM generate_series(1, 5) id".replace(":", r"\:"),
        3,
        5,
    )


def check_one_dead_of_all(api, path, sql, place, rows=ROWS, *, transform=None):
    """All rows but one are delivered, in bulk requests, and few rows alone, too."""
    from engine import counts, make_bulk_job, make_job, run

    from airflow_async_rest.core.batches.batch import Batch
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    def chunks():
        chunks = ChunkedSqlHook("source_db").chunks(sql)
        chunks.embed_json = transform is None
        return chunks

    batch = Batch(max_items=500, format="ndjson")
    jobs = [make_bulk_job(api, path / "bulk", batch, chunks(), transform=transform, max_failures=1)]
    if rows < ROWS:
        source = RowSource(chunks(), key=("id",), transform=transform)
        jobs.append(make_job(api, path / "alone", source=source, max_failures=1))
    for job in jobs:
        api.reset()
        assert counts(run(job)) == [rows, rows - 1, 1, 0]
        sent = [json.loads(line)["id"] for seen in api.delivered for line in seen.body.splitlines()]
        assert sorted(sent) == [i for i in range(1, rows + 1) if i != place]
        [dead] = job.folder.iter_records()
        assert (dead["index"], dead["key"], dead["row"]["id"]) == (place - 1, place, place)
        assert "column 'v'" in dead["response_excerpt"]


@pytest.mark.parametrize(
    "value", ["(repeat('[', 5000) || repeat(']', 5000))::jsonb", r"""'["\ud800", 1e9999999999999999999]'::json"""]
)
@pytest.mark.parametrize("bulk", [False, True])
def test_json_that_no_parser_takes_is_replayed_as_it_was_once_the_api_takes_it(driver, api, tmp_path, value, bulk):
    from engine import Store, counts, make_bulk_job, make_job, replay_folder, run

    from airflow_async_rest.core.batches.batch import Batch
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    chunks = ChunkedSqlHook("source_db").chunks(f"SELECT 1 AS id, {value} AS v".replace(":", r"\:"))
    chunks.embed_json = True
    api.answer = lambda seen: 422
    for _ in range(2):  # the second try reads what the first one left
        job = (
            make_bulk_job(api, tmp_path, Batch(format="ndjson"), chunks, max_failures=1)
            if bulk
            else make_job(api, tmp_path, source=RowSource(chunks, key=("id",)), max_failures=1)
        )
        assert counts(run(job, Store())) == [1, 0, 1, 0]
    api.answer = lambda seen: 200
    assert counts(replay_folder(api, tmp_path)) == [1, 1, 0, 0]
    assert len({seen.body for seen in api.seen}) == 1
    assert len({seen.key for seen in api.seen}) == 1


ONE_NAN = "SELECT id, CASE WHEN id = {0} THEN numeric 'NaN' END AS v FROM generate_series(1, 12000) id"
BOTH_WAYS = pytest.mark.parametrize("transform", [None, dict])
SOME_PLACES = pytest.mark.parametrize("place", left_to_release([5_000, 1, 6_000, ROWS]))


@BOTH_WAYS
@SOME_PLACES
def test_11999_rows_of_postgresql_are_delivered_and_one_is_a_dead_letter(driver, api, tmp_path, place, transform):
    check_one_dead_of_all(api, tmp_path, ONE_NAN.format(place), place, transform=transform)


@BOTH_WAYS
@SOME_PLACES
def test_11999_rows_of_sqlite_are_delivered_and_one_is_a_dead_letter(sqlite, api, tmp_path, place, transform):
    sqlite(place)
    check_one_dead_of_all(api, tmp_path, "SELECT id, v FROM t ORDER BY id", place, transform=transform)


@BOTH_WAYS
@SOME_PLACES
def test_11999_rows_of_oracle_are_delivered_and_one_is_a_dead_letter(oracle, api, tmp_path, place, transform):
    import oracledb

    bad = Stored(b"caf\xe9", UnicodeDecodeError("utf-8", b"caf\xe9", 3, 4, "unexpected end of data"))
    fill(oracle, oracledb.DB_TYPE_VARCHAR, "é", bad, place)
    check_one_dead_of_all(api, tmp_path, "SELECT id, v FROM t ORDER BY id", place, transform=transform)


@pytest.fixture(params=[True, False], ids=["SQLAlchemy", "plain"])
def sqlite(request, connect, tmp_path, monkeypatch):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    def no_dialect(self, engine_kwargs=None):
        raise NotImplementedError("no dialect")

    if not request.param:
        monkeypatch.setattr(SqliteHook, "get_sqlalchemy_engine", no_dialect)
    path = tmp_path / "source.db"
    connect("source_db", conn_type="sqlite", host=str(path))

    def fill(place):
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (id int, v text, raw blob)")
            connection.executemany("INSERT INTO t VALUES (?, 'é', x'e9')", [(i + 1,) for i in range(ROWS)])
            connection.execute("UPDATE t SET v = CAST(x'636166e9' AS text) WHERE id = ?", (place,))

    return fill


@pytest.mark.parametrize("place", PLACES)
def test_a_text_of_sqlite_that_is_no_utf_8_is_one_dead_letter(sqlite, place):
    sqlite(place)
    items = items_of("SELECT id, v, raw FROM t ORDER BY id", transform=dict)
    check_one_dead(items, place)
    assert {item.row["raw"] for item in items} == {b"\xe9"}
    assert {item.row["v"] for item in items if not item.settled} == {"é"}


def test_two_bad_texts_in_a_row_are_two_dead_letters(sqlite):
    sqlite(1)
    [first, second, third] = items_of("SELECT id, v FROM t WHERE id = 1 UNION ALL SELECT 2, v FROM t WHERE id = 1 UNION ALL SELECT 3, 'x'")  # fmt: skip
    assert [first.settled.reason, second.settled.reason, third.settled] == ["value", "value", None]


@pytest.fixture
def oracle(connect, monkeypatch):
    import oracledb

    connect(
        "source_db", conn_type="oracle", host="db", login="me", password="p@s:s/w#?rd%", extra={"service_name": "X"}
    )
    database = FakeOracle([column("ID", oracledb.DB_TYPE_NUMBER, 10, 0)])
    monkeypatch.setattr(oracledb, "connect", create_autospec(oracledb.connect, return_value=database.connection))
    yield database
    database.end()


NOON = datetime(2026, 7, 1, 12)  # noqa: DTZ001  (the driver knows no zones)
BEFORE_CHRIST = Stored("-0044-03-15T00:00:00", ValueError("year -44 is out of range"))


def fill(oracle, kind, usual, bad, place):
    oracle.columns = [oracle.columns[0], column("V", kind)]
    oracle.rows = [(i, bad if i == place else usual) for i in range(1, ROWS + 1)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMP_TZ", "TIMESTAMP_LTZ"])
def test_oracle_has_a_text_for_years_before_1(oracle, kind, place):
    import oracledb

    fill(oracle, getattr(oracledb, f"DB_TYPE_{kind}"), NOON, BEFORE_CHRIST, place)
    items = items_of("SELECT id, v FROM t ORDER BY id")
    offset = "+00:00" if kind.endswith("TZ") else ""
    check_all_delivered(items, place, f'"-0044-03-15T00:00:00{offset}"')
    assert {item.row["v"] for item in items if item.key != place} == {NOON.replace(tzinfo=UTC if offset else None)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["VARCHAR", "NCHAR", "CLOB", "NCLOB", "LONG"])
def test_a_text_of_oracle_that_is_not_in_its_encoding_is_one_dead_letter(oracle, kind, place):
    import oracledb

    bad = Stored(b"caf\xe9", UnicodeDecodeError("utf-8", b"caf\xe9", 3, 4, "unexpected end of data"))
    fill(oracle, getattr(oracledb, f"DB_TYPE_{kind}"), "é", bad, place)
    check_one_dead(items_of("SELECT id, v FROM t ORDER BY id"), place)


def test_oracle_is_asked_once_where_all_can_be_loaded(oracle):
    import oracledb

    fill(oracle, oracledb.DB_TYPE_DATE, NOON, NOON, 1)
    items_of("SELECT id, v FROM t ORDER BY id")
    assert [sql for sql, _ in oracle.executed if "FROM t" in sql] == ["SELECT id, v FROM t ORDER BY id"]


def test_rows_of_oracle_in_another_order_are_not_taken_for_those_read_before(oracle):
    import oracledb

    fill(oracle, oracledb.DB_TYPE_DATE, NOON, BEFORE_CHRIST, 6_000)
    first = oracle.rows
    answer, answers = oracle._answer, []

    def answer_in_another_order(cursor, sql):
        answers.append(sql)
        oracle.rows = first if len(answers) == 1 else first[::-1]
        answer(cursor, sql)

    oracle._answer = answer_in_another_order
    with pytest.raises(ConfigurationError, match="ORDER BY"):
        items_of("SELECT id, v FROM t")


def test_a_query_that_may_change_something_is_not_run_twice(oracle):
    import oracledb

    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    fill(oracle, oracledb.DB_TYPE_DATE, NOON, BEFORE_CHRIST, 1)
    with pytest.raises(ConfigurationError, match="year -44 is out of range.*cast its column"):
        list(ChunkedSqlHook("source_db").chunks("SELECT id, v FROM t", read_only=False))
    assert len([sql for sql, _ in oracle.executed if "FROM t" in sql]) == 1


def test_another_drivers_error_says_what_to_cast(connect, tmp_path, monkeypatch):
    """As a database's that has no way out of its own here."""
    from airflow_async_rest.databases.dialects import sqlite

    def fetch(result, count):
        raise ValueError("year 0 is out of range")

    monkeypatch.setattr(sqlite, "_fetch", fetch)
    (path := tmp_path / "any.db").touch()
    connect("source_db", conn_type="sqlite", host=str(path))
    with pytest.raises(ConfigurationError, match=r"year 0 is out of range.*CAST\(name AS"):
        items_of("SELECT 1 AS id")
