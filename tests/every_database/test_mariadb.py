"""What only MySQL and MariaDB can get wrong, with a server: its words and its ways beside those that all have."""

import json
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from every_database.loading import MODES, answering, load_rows, loading, number_of
from every_database.test_mistakes import reading
from loads import placed
from sqlalchemy.exc import DBAPIError, ProgrammingError
from task_runner import run_try
from tasks import sql_to_rest

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.keeping.row_sink import LoadState
from airflow_async_rest.databases.database import Database as DatabaseOf
from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

pytest.importorskip("MySQLdb", reason="needs MySQLdb: make databases")
pytestmark = pytest.mark.parametrize("database", ["mariadb", "mariadb, lax"], indirect=True)
WINDOW = {"window_start": datetime(2026, 11, 1, tzinfo=UTC), "window_end": datetime(2026, 11, 2, tzinfo=UTC)}


@pytest.fixture(params=["insert", "load data"])
def load_both(request, database, api, supervisor, connect):
    """Load rows by INSERTs of many, and by LOAD DATA LOCAL."""
    connect("warehouse", **database.connection(), extra={"local_infile": request.param == "load data"})
    return lambda rows, **arguments: load_rows(api, supervisor, rows, **arguments)


# type -> what is loaded, what is there then
KEPT = {
    "bit(8)": [5, "6", True, None],
    "tinyint(1)": [True, False, 7, None],
    "bigint unsigned": [2**64 - 1, 0, "18446744073709551615", None],
    "decimal(65,30)": ["1" * 35 + "." + "2" * 30, 1, 1.5, None],
    "double": [1e300, 0.1, 3, None],
    "time(6)": ["26:03:04.000500", "-00:00:01", "PT1H2M3.5S", None],
    "year": [2026, "1999", 1901, None],
    "enum('a','b:c')": ["a", "b:c", "a", None],
    "varchar(40) character set latin1": ["é", "\\N", "'\\", None],
    "longtext": ["\t\n\r\0\\", "%s :name %(x)s", "NULL", None],
    "blob": ["\\x00ff275c0a", "plain", "\\x", None],
    "datetime(6)": ["2026-11-01T12:00:00.000001Z", "2026-11-01T14:00:00+02:00", "2026-11-01", None],
    "date": ["2026-11-01T23:59:59Z", "2026-11-01", "0001-01-01", None],
}
THERE = {
    "bit(8)": ["5", "6", "1", None],
    "tinyint(1)": ["1", "0", "7", None],
    "bigint unsigned": [str(2**64 - 1), "0", str(2**64 - 1), None],
    "decimal(65,30)": ["1" * 35 + "." + "2" * 30, "1." + "0" * 30, "1.5" + "0" * 29, None],
    "double": ["1e300", "0.1", "3", None],
    "time(6)": ["26:03:04.000500", "-00:00:01.000000", "01:02:03.500000", None],
    "year": ["2026", "1999", "1901", None],
    "blob": ["00FF275C0A", "706C61696E", "", None],
    "datetime(6)": ["2026-11-01 12:00:00.000001", "2026-11-01 12:00:00.000000", "2026-11-01 00:00:00.000000", None],
    "date": ["2026-11-01", "2026-11-01", "0001-01-01", None],
}


@pytest.mark.parametrize("type_", KEPT)
def test_a_value_is_kept_as_it_is(database, load_both, type_):
    database.execute(f"CREATE TABLE things (id int PRIMARY KEY, thing {type_})")
    loaded = load_both([{"id": n, "thing": value} for n, value in enumerate(KEPT[type_])])
    assert (loaded.state, loaded.error) == ("success", None)
    shown = {"bit(8)": "thing + 0", "blob": "HEX(thing)"}.get(type_, "thing")
    cast = shown if type_ in {"longtext", "enum('a','b:c')"} or "latin1" in type_ else f"CAST({shown} AS CHAR)"
    assert [value for _, value in database.rows(f"id, {cast}")] == THERE.get(type_, KEPT[type_])


# What is not kept as it is -> type, value, what the server or we say
CHANGED = {
    "a fraction": ("int", 1.5, "fraction"),
    "a fraction as a text": ("bigint", "2.5", "fraction"),
    "the beginning of a text": ("varchar(3)", "abcdef", "too long"),
    "digits before letters": ("int", "12abc", "12abc"),
    "no digits": ("double", "twelve", "twelve"),
    "NaN": ("double", "NaN", "NaN"),
    "too large": ("tinyint", 300, "range"),
    "below zero": ("int unsigned", -1, "range"),
    "a huge number": ("decimal(10,2)", 10**80, "65 digits"),
    "no day": ("datetime", "2026-02-30T00:00:00Z", "2026-02-30"),
    "no value of an enum": ("enum('a')", "c", "truncated"),
    "a character that the column's set has not": ("varchar(9) character set latin1", "漢", "Incorrect string value"),
    "more bits": ("bit(2)", 9, "for column"),
    "no geometry": ("point", "POINT(1 1)", "geometry"),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_a_value_that_would_be_another_is_a_refused_row(database, load_both, kind):
    type_, value, words = CHANGED[kind]
    database.execute(f"CREATE TABLE things (id int PRIMARY KEY, thing {type_})")
    loaded = load_both([{"id": n, "thing": value if n == 3 else None} for n in range(5)], max_failures=1)
    assert (loaded.state, loaded.error) == ("success", None)
    assert list(loaded.refused) == [3]
    assert words.lower() in loaded.refused[3].lower() or "truncated" in loaded.refused[3]
    assert database.rows("id, thing") == [(n, None) for n in range(5) if n != 3]


def test_columns_of_any_name_are_loaded(database, load_both):
    database.execute(
        "CREATE TABLE `the things` (`100%` int PRIMARY KEY, `a:b` bit(2), `c (d)` blob, `select` enum('x:y'), `%s` text)",
    )
    row = {"100%": 1, "a:b": 2, "c (d)": "\\x00ff", "select": "x:y", "%s": "z"}
    loaded = load_both([row], destination_table="the things", load_mode="upsert", conflict_key="100%")
    assert (loaded.state, loaded.error) == ("success", None)
    assert database.rows("`100%`, `a:b` + 0, HEX(`c (d)`), `select`, `%s`", "`the things`") == [
        (1, 2, "00FF", "x:y", "z")
    ]


def test_zero_is_an_id_like_others(database, load):
    database.execute("CREATE TABLE things (id int AUTO_INCREMENT PRIMARY KEY, label varchar(9))")
    loaded = load([{"id": n, "label": "x"} for n in range(3)])
    assert (loaded.state, loaded.error) == ("success", None)
    assert database.rows("id") == [(0,), (1,), (2,)]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_what_a_row_lacks_of_columns_that_cannot_be_null(database, load_both, mode):
    database.execute(
        "CREATE TABLE things (id int PRIMARY KEY, a int NOT NULL DEFAULT 5, b int NOT NULL, "
        "noted timestamp NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE current_timestamp)",
        "INSERT INTO things VALUES (1, 2, 3, '2020-01-01 00:00:00')",
    )
    rows = [{"id": 2, "b": 4}, {"id": 3, "a": 6}, {"id": 4, "b": 7, "noted": "2026-11-01T00:00:00Z"}]
    rows += [{"id": 1, "a": 9, "noted": "2026-11-01T00:00:00Z"}] if mode == "upsert" else []
    loaded = load_both(rows, max_failures=1, **MODES[mode])
    assert (loaded.state, loaded.error, list(loaded.refused)) == ("success", None, [3])
    assert database.rows("id, a, b") == [(1, 9 if mode == "upsert" else 2, 3), (2, 5, 4), (4, 5, 7)]
    assert f"{database.rows('id, noted')[-1][1]}" == "2026-11-01 00:00:00"


def test_keys_are_equal_as_their_collation_says(database, load):
    database.execute(
        "CREATE TABLE things (code varchar(9) COLLATE utf8mb4_general_ci, region varchar(9) COLLATE utf8mb4_bin, "
        "label varchar(9), UNIQUE KEY (code, region))",
        "INSERT INTO things VALUES ('a', 'x', 'old'), ('b', 'x', 'old'), (NULL, 'x', 'old')",
    )
    rows = [("A", "x", "first"), ("a ", "x", "last"), ("a", "X", "new"), (None, "x", "new"), ("É", "x", "new")]
    loaded = load(
        [{"id": n, "code": code, "region": region, "label": label} for n, (code, region, label) in enumerate(rows)],
        load_mode="upsert",
        conflict_key=["code", "region"],
    )
    assert (loaded.state, loaded.error, loaded.report["rows_loaded"]) == ("success", None, 4)
    there = [("a", "x", "last"), ("a", "X", "new"), ("b", "x", "old"), ("É", "x", "new")]
    there += [(None, "x", "old"), (None, "x", "new")]
    assert sorted(database.rows("code, region, label"), key=str) == sorted(there, key=str)


def test_rows_that_are_there_as_they_come_count(database, load):
    database.execute("CREATE TABLE things (id int PRIMARY KEY, label varchar(9))", "INSERT INTO things VALUES (1, 'x')")
    loaded = load([{"id": n, "label": "x"} for n in range(3)], **MODES["upsert"])
    assert (loaded.state, loaded.error, loaded.report["rows_loaded"]) == ("success", None, 3)


def test_a_trigger_a_foreign_key_and_a_view_refuse_rows(database, load_both):
    database.execute(
        "CREATE TABLE others (id int PRIMARY KEY)",
        "INSERT INTO others VALUES (1)",
        "CREATE TABLE things (id int PRIMARY KEY, other int REFERENCES others (id), label varchar(9))",
    )
    database.administer(
        "CREATE TRIGGER every.refuse BEFORE INSERT ON every.things FOR EACH ROW "
        "IF NEW.label = 'bad' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF"
    )
    loaded = load_both(
        [{"id": 1, "label": "bad"}, {"id": 2, "other": 9}, {"id": 3, "other": 1, "label": "good"}], max_failures=2
    )
    assert (loaded.state, loaded.error) == ("success", None)
    assert "not this one" in loaded.refused[1]
    assert "foreign key" in loaded.refused[2]
    assert database.rows() == [(3, 1, "good")]


def test_a_row_that_is_larger_than_the_servers_packets_is_refused(database, api, supervisor):
    database.create("id {integer}, label longtext")
    before = database.administer("SELECT @@global.max_allowed_packet")[0][0]
    database.administer("SET GLOBAL max_allowed_packet = 65536")
    try:
        rows = [{"id": n, "label": "x" * (70_000 if n == 2 else 30_000)} for n in range(5)]
        api.answer = answering(rows)
        state, error = run_try(loading(len(rows), max_failures=1), supervisor)
    finally:
        database.administer(f"SET GLOBAL max_allowed_packet = {before}")
    assert (state, error) == ("success", None)
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert "max_allowed_packet" in letter["response_excerpt"]
    assert database.rows("id, LENGTH(label)") == [(n, 30_000) for n in range(5) if n != 2]


def test_tables_without_transactions_are_refused(database, load, api):
    database.execute("CREATE TABLE things (id int) ENGINE = MyISAM")
    loaded = load([{"id": 1}])
    assert loaded.state == "failed"
    assert "MyISAM, which has no transactions" in str(loaded.error)
    assert api.seen == []


def test_our_tables_have_transactions_whatever_the_server_makes(database):
    database.execute("CREATE TABLE things (id int) ENGINE = InnoDB")
    database.administer("SET GLOBAL default_storage_engine = 'MyISAM'")
    try:
        loader = database.loader()
        loader.open()
        loader.begin(resumed=False, staged=0)
        loader.stage(placed([{"id": 1}]))
        loader.commit({}, LoadState.STAGING, 0)
    finally:
        database.administer("SET GLOBAL default_storage_engine = 'InnoDB'")
    engines = database.execute("SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = DATABASE()")
    assert engines == [("InnoDB",)]
    loader.close()


MODES_OF_QUOTES = ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "ORACLE"]


@pytest.mark.parametrize("modes", MODES_OF_QUOTES)
def test_quotes_are_read_by_the_modes_of_the_session(database, load, modes):
    database.execute('CREATE TABLE things (id int PRIMARY KEY, `la"bel` text)', "INSERT INTO things VALUES (1, 'x')")
    database.administer(f"SET GLOBAL sql_mode = '{modes}'")
    end = "\\" if "NO_BACKSLASH" in modes else "\\\\"
    name = '"id"' if modes != "NO_BACKSLASH_ESCAPES" else "id"
    sql = f"SELECT {name} AS id, '{end}' AS slash, ':no' AS no FROM things WHERE {name} = :id"
    [chunk] = ChunkedSqlHook("source_db").chunks(sql, {"id": 1})
    assert chunk == [{"id": 1, "slash": "\\", "no": ":no"}]
    text = "a\\b'c\"d\\"
    loaded = load([{"id": 2, 'la"bel': text}, {"id": 1, 'la"bel': text}], **MODES["upsert"])
    assert (loaded.state, loaded.error) == ("success", None)
    assert database.rows() == [(1, text), (2, text)]


def test_what_is_read_is_of_the_types_that_the_table_says(database):
    database.execute(
        "SET sql_mode = ''",
        "CREATE TABLE things (bits bit(9), lasted time(3), big bigint unsigned, exact decimal(30, 20), zero date, "
        "midnight datetime, made year, place point, doc json, other longtext COLLATE utf8mb4_bin)",
        "INSERT INTO things VALUES (b'100000001', '-26:00:00.5', 18446744073709551615, 0.12345678901234567891, "
        "'0000-00-00', '2026-00-10 00:00:00', 1999, POINT(1, 2), '{\"a\": 1.10}', '{\"a\": 1}')",
    )
    [[row]] = ChunkedSqlHook("source_db").chunks("SELECT *, 0 + doc AS renamed FROM things")
    assert (row["bits"], row["big"], row["made"]) == (257, 2**64 - 1, 1999)
    assert row["exact"] == Decimal("0.12345678901234567891")
    assert row["lasted"].total_seconds() == -93600.5
    assert (row["zero"], row["midnight"]) == ("0000-00-00", "2026-00-10 00:00:00")
    assert isinstance(row["place"], bytes)
    assert (row["doc"], row["other"]) == ({"a": 1.1}, '{"a": 1}')


def test_a_name_that_is_not_json_in_every_table_is_text(database):
    database.execute(
        "CREATE TABLE things (id int, doc json)",
        "CREATE TABLE others (id int, doc longtext COLLATE utf8mb4_bin)",
        "INSERT INTO others VALUES (1, '007')",
        "INSERT INTO things VALUES (1, '[1]')",
    )
    [[row]] = ChunkedSqlHook("source_db").chunks("SELECT doc FROM others")
    assert row == {"doc": "007"}


def test_the_driver_takes_no_second_statement_either(database):
    engine = DatabaseOf("sql_conn_id", "source_db").engine
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="1064"):
        connection.exec_driver_sql("SELECT 1; SELECT 2")
    engine.dispose()


def test_a_deadlock_is_tried_again(database):
    database.execute("CREATE TABLE things (id int PRIMARY KEY, label varchar(9))")
    database.execute("INSERT INTO things VALUES (1, 'x'), (2, 'x')")
    opened = DatabaseOf("destination_conn_id", "warehouse")
    opened.dialect.prepare_to_load(opened.engine)
    raised, meet = [], threading.Barrier(2)

    def update(first, second):
        with opened.engine.connect() as connection:
            try:
                with connection.begin_nested():
                    connection.exec_driver_sql(f"UPDATE things SET label = 'y' WHERE id = {first}")
                    meet.wait(30)
                    connection.exec_driver_sql(f"UPDATE things SET label = 'y' WHERE id = {second}")
            except DBAPIError as error:
                raised.append(error)

    threads = [threading.Thread(target=update, args=ids, daemon=True) for ids in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [opened.dialect.is_transient(error) for error in raised] == [True]
    assert not opened.dialect.is_wrong(raised[0])


def test_counting_rows_first_needs_no_other_connection(database):
    reading_ = ChunkedSqlHook("source_db").chunks("SELECT seq AS id FROM seq_1_to_5", count_rows=True)
    database.administer("ALTER USER loader@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")
    try:
        [rows] = reading_
    finally:
        database.administer("ALTER USER loader@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0")
    assert (len(rows), reading_.expected.items) == (5, 5)


def test_what_is_not_read_to_its_end_is_not_sent(database):
    streamed = iter(ChunkedSqlHook("source_db").chunks("SELECT seq AS id FROM seq_1_to_2000000000"))
    next(streamed)
    start = time.monotonic()
    streamed.close()
    assert time.monotonic() - start < 60  # to its end, it would be minutes
    assert database.administer("SELECT id FROM information_schema.processlist WHERE user <> 'root'") == []


def test_a_connection_that_is_not_let_in_again_is_broken_off_to_cancel(database):
    reading_, ended = ChunkedSqlHook("source_db").chunks(database.slow), []

    def read():
        try:
            list(reading_)
        except Exception as error:  # noqa: BLE001
            ended.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    while not database.administer("SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(0.1)%' "
                                  "AND user <> 'root'"):  # fmt: skip
        thread.join(0.05)
    database.administer("ALTER USER loader@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")
    try:
        reading_.cancel()
        thread.join(60)
    finally:
        database.administer("ALTER USER loader@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0")
    assert not thread.is_alive()
    assert len(ended) == 1


@pytest.mark.parametrize("cursor", ["DictCursor", "SSDictCursor", "SSCursor"])
def test_a_cursor_in_the_extra_changes_nothing(database, connect, load, cursor):
    connect("source_db", **database.connection(), extra={"cursor": cursor})
    connect("warehouse", **database.connection(), extra={"cursor": cursor, "charset": "latin1"})
    database.create("id {integer}, label {text}")
    loaded = load([{"id": 1, "label": "漢"}])
    assert (loaded.state, loaded.error) == ("success", None)
    [rows] = ChunkedSqlHook("source_db").chunks("SELECT id, label FROM things")
    assert rows == [{"id": 1, "label": "漢"}]


@pytest.mark.parametrize("client", ["pymysql", "mysql-connector-python", "mysql"])
@pytest.mark.parametrize("conn_id", ["source_db", "warehouse"])
def test_another_client_is_refused_with_what_to_write(database, connect, load, client, conn_id):
    connect(conn_id, **database.connection(), extra={"client": client})
    opened = ChunkedSqlHook(conn_id).chunks if conn_id == "source_db" else lambda _: database.loader()
    with pytest.raises(
        ConfigurationError, match=f"{conn_id!r} has .*{client}.*: leave that out, and install mysqlclient"
    ):
        opened("SELECT 1")


def test_a_database_that_is_not_there_is_not_tried_again(database, api, supervisor, connect):
    connect("source_db", **database.connection() | {"schema": "nowhere"})
    state, error = run_try(reading("SELECT 1 AS id"), supervisor)
    assert (state, "nowhere" in str(error)) == ("failed", True), error


def test_rights_that_a_load_needs_are_named(database, api, supervisor, connect):
    database.create("id {integer}")
    database.administer(
        "CREATE OR REPLACE USER reader@'127.0.0.1' IDENTIFIED BY 'other'",
        "GRANT SELECT ON every.* TO reader@'127.0.0.1'",
    )
    connect("warehouse", **database.connection() | {"login": "reader", "password": "other"})
    loaded = load_rows(api, supervisor, [{"id": 1}])
    assert loaded.state == "failed"
    assert "GRANT CREATE, DROP" in str(loaded.error)


def test_all_kinds_are_sent(database, api, supervisor):
    database.execute(
        "CREATE TABLE things (id int, bits bit(1), lasted time, doc json)",
        "INSERT INTO things VALUES (1, b'1', '01:02:03', '[1.0, {\"a\": null}]')",
    )
    api.answer = lambda seen: 200
    task = sql_to_rest(sql="SELECT * FROM things", endpoint="rows/{id}")
    assert run_try(task, supervisor) == ("success", None)
    [seen] = api.delivered
    assert number_of(seen) == 1
    assert json.loads(seen.body) == {"id": 1, "bits": 1, "lasted": "P0DT3723S", "doc": [1.0, {"a": None}]}


def test_both_clocks_have_the_same_window(database):
    database.execute(
        "CREATE TABLE things (id int, naive datetime(6), aware timestamp(6) NULL)",
        "INSERT INTO things VALUES (1, '2026-10-31 23:59:59.999999', '2026-10-31 23:59:59.999999'), "
        "(2, '2026-11-01', '2026-11-01'), (3, '2026-11-01 23:59:59.999999', '2026-11-01 23:59:59.999999'), "
        "(4, '2026-11-02', '2026-11-02')",
    )
    for clock in ("naive", "aware"):
        sql = f"SELECT id FROM things WHERE {clock} >= :window_start AND {clock} < :window_end ORDER BY id"
        assert [row["id"] for chunk in ChunkedSqlHook("source_db").chunks(sql, WINDOW) for row in chunk] == [2, 3]
