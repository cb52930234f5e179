"""What MySQL and MariaDB would take for something else without a word, and what ends more than it should."""

import pytest
from aiohttp import web
from certificates import make_certificate
from every_database.loading import MODES, load_rows, loading
from every_database.test_mistakes import reading
from task_runner import run_try

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

pytest.importorskip("MySQLdb", reason="needs MySQLdb: make databases")
pytestmark = pytest.mark.parametrize("database", ["mariadb", "mariadb, lax"], indirect=True)


@pytest.mark.parametrize("type_", ["uuid", "inet6"])
def test_a_number_for_a_type_that_takes_none_is_a_refused_row(database, load, type_):
    database.execute(f"CREATE TABLE things (id int PRIMARY KEY, value {type_})")
    loaded = load([{"id": 0, "value": None}, {"id": 1, "value": 5}], max_failures=1)
    assert (loaded.state, list(loaded.refused)) == ("success", [1]), loaded.error
    assert database.rows("id") == [(0,)]


def test_a_misspelt_schema_is_named(database, api, supervisor):
    state, error = run_try(loading(1, destination_table="no_such_schema.things"), supervisor)
    assert (state, "there is no such table" in str(error), "GRANT" in str(error)) == ("failed", True, False), error
    assert api.seen == []


@pytest.fixture(params=["insert", "load data"])
def load_both(request, database, api, supervisor, connect):
    """Load rows by INSERTs of many, and by LOAD DATA LOCAL."""
    connect("warehouse", **database.connection(), extra={"local_infile": request.param == "load data"})
    return lambda rows, **arguments: load_rows(api, supervisor, rows, **arguments)


# type -> values that are kept, and those that the server would change: into a member by its number, ...
CHANGED = {
    "enum('a','b')": (["a", "b"], [1, "2", 0]),
    "enum('2','1')": (["1", 2], ["3"]),
    "set('a','b')": (["a,b", ""], [3, "3"]),
    "varchar(5)": (["abcde", "abc  "], ["abcde ", "abcde\t"]),
    "char(5)": (["abcde"], ["abcde\n"]),
    "datetime": (["2026-11-01 12:30:00"], ["12:30:00"]),
    "date": (["2026-11-01"], ["12:30"]),
    "timestamp NOT NULL": (["2026-11-01 12:30:00"], [None]),
    "year": ([0, 2026], [1900]),
    "double": (["1e300", 0, 5], ["1e400", "1e-400"]),
}


@pytest.mark.parametrize("type_", CHANGED)
def test_what_would_be_changed_is_refused(database, load_both, type_):
    database.execute(f"CREATE TABLE things (id int PRIMARY KEY, value {type_})")
    kept, refused = CHANGED[type_]
    loaded = load_both([{"id": n, "value": value} for n, value in enumerate(kept + refused)], max_failures=9)
    assert (loaded.state, loaded.error) == ("success", None)
    assert sorted(loaded.refused) == list(range(len(kept), len(kept + refused)))
    there = database.execute("SELECT CAST(value AS CHAR) FROM things ORDER BY id")
    assert [value for (value,) in there] == [str(value).zfill(4 if type_ == "year" else 0) for value in kept]


def test_a_refusal_shows_the_value(database, load_both):
    database.execute("CREATE TABLE things (id int PRIMARY KEY, dated date, counted int, at time)")
    bad = [{"dated": "2026-02-30"}, {"counted": "twelve"}, {"at": "25:61:00"}]
    loaded = load_both([{"id": 0}, {"id": 1}, *({"id": n, **row} for n, row in enumerate(bad, 2))], max_failures=9)
    assert (loaded.state, sorted(loaded.refused)) == ("success", [2, 3, 4]), loaded.error
    for n, row in enumerate(bad, 2):
        assert [value in loaded.refused[n] for value in row.values()] == [True], loaded.refused[n]


# What the connection's extra and the server say of it -> what the log says, once.
WAYS = [
    ({"local_infile": True}, "ON", "Rows are staged by LOAD DATA LOCAL"),
    ({"local_infile": True}, "OFF", "Rows are staged by INSERTs: the server has local_infile=OFF"),
    ({}, "ON", 'Rows are staged by INSERTs: the connection\'s extra has no "local_infile": true'),
]


@pytest.mark.parametrize(("extra", "server", "said"), WAYS)
def test_the_log_says_by_which_way_rows_are_staged(database, api, supervisor, connect, caplog, extra, server, said):
    database.execute("CREATE TABLE things (id int)")
    database.administer(f"SET GLOBAL local_infile = {server}")
    try:
        connect("warehouse", **database.connection(), extra=extra)
        with caplog.at_level("INFO"):
            assert load_rows(api, supervisor, [{"id": n} for n in range(9)]).state == "success"
    finally:
        database.administer("SET GLOBAL local_infile = ON")
    assert [said in message for message in caplog.messages if "Rows are staged" in message] == [True]


# What a trigger does -> what the server says of a row with the value 2.
TRIGGERS = {
    "CASE NEW.value WHEN 1 THEN SET @x = 1; END CASE": "Case not found",
    "SET @x = (SELECT seq FROM seq_1_to_2 WHERE seq <= NEW.value)": "more than 1 row",
    "BEGIN DECLARE x int; SELECT seq INTO x FROM seq_1_to_2 WHERE seq <= NEW.value; END": "more than one row",
    "IF NEW.value = 2 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001, MESSAGE_TEXT = 'no'; END IF": "'no'",
}


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_trigger_that_fails_about_one_row_refuses_that_row(database, load_both, trigger, mode):
    database.execute("CREATE TABLE things (id int PRIMARY KEY, value int)")
    database.administer(f"CREATE TRIGGER every.refuse BEFORE INSERT ON every.things FOR EACH ROW {trigger}")
    loaded = load_both([{"id": n, "value": value} for n, value in enumerate((1, 2, 1))], max_failures=1, **MODES[mode])
    assert (loaded.state, loaded.error) == ("success", None)
    assert list(loaded.refused) == [1]
    assert TRIGGERS[trigger] in loaded.refused[1]
    assert database.rows() == [(0, 1), (2, 1)]


def test_a_generated_column_that_divides_by_zero_refuses_its_row(database, load_both):
    if database.administer("SELECT @@global.sql_mode")[0][0] == "":
        pytest.skip("only ERROR_FOR_DIVISION_BY_ZERO makes an error of it")
    database.execute("CREATE TABLE things (id int PRIMARY KEY, value int, inverse double AS (1 / value) STORED)")
    loaded = load_both([{"id": n, "value": n} for n in range(3)], max_failures=1)
    assert (loaded.state, list(loaded.refused)) == ("success", [0]), loaded.error
    assert database.rows("id") == [(1,), (2,)]


# They commit by themselves, so that no transaction can be kept from changing something by them.
CHANGING = [
    "DROP TABLE things",
    "TRUNCATE things",
    "ALTER TABLE things ADD x int",
    "CREATE TABLE more (id int)",
    "/*! DROP TABLE things */",
    "/*M!100100 DROP TABLE things */",
    "/* why */ /*!50000 DROP */ TABLE things",
    "EXECUTE IMMEDIATE 'DROP TABLE things'",
    "ANALYZE TABLE things",
    "OPTIMIZE TABLE things",
    "SET autocommit = 1",
]


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("sql", CHANGING)
def test_statements_that_commit_are_not_sent(database, api, supervisor, sql, read_only):
    database.execute("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
    state, error = run_try(reading(sql, read_only=read_only), supervisor)
    assert (state, "returns no rows: write a SELECT" in str(error)) == ("failed", True), error
    assert database.rows() == [(1,)]
    assert database.execute("SHOW TABLES") == [("things",)]


def test_what_ends_the_transaction_changes_nothing_either(database, api, supervisor):
    database.execute("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
    database.administer("CREATE PROCEDURE every.ends() BEGIN COMMIT; DELETE FROM things; COMMIT; SELECT 1 AS id; END")
    state, error = run_try(reading("CALL ends()"), supervisor)
    assert (state, "read_only=False" in str(error)) == ("failed", True), error
    assert database.rows() == [(1,)]


# What a procedure does -> whether its CALL ends well.
PROCEDURES = {
    "DELETE FROM things; SELECT 1 AS id;": True,
    "DELETE FROM things; COMMIT; SELECT 1 AS id;": False,
    "DELETE FROM things; CREATE TABLE more (id int); SELECT 1 AS id;": False,
    "DELETE FROM things; COMMIT;": False,
}


@pytest.mark.parametrize("body", PROCEDURES)
def test_a_procedure_that_commits_behind_our_back_is_said(database, api, supervisor, body):
    database.execute("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
    database.administer(f"CREATE PROCEDURE every.ends() BEGIN {body} END")
    state, error = run_try(reading("CALL ends()", read_only=False), supervisor)
    assert state == ("success" if PROCEDURES[body] else "failed"), error
    assert ("ended its transaction by itself" in str(error)) != PROCEDURES[body]


def test_a_comment_that_is_run_may_hint(database):
    database.execute("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
    [[row]] = ChunkedSqlHook("source_db").chunks("SELECT /*!40001 SQL_NO_CACHE */ id FROM things")
    assert row == {"id": 1}


@pytest.mark.parametrize("direction", ["source_db", "warehouse"])
def test_a_server_whose_certificate_is_of_another_ca_is_sent_nothing(
    database, api, supervisor, connect, tmp_path, direction
):
    database.execute("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
    api.answer = lambda seen: web.json_response({"id": 1})
    task = reading("SELECT id FROM things") if direction == "source_db" else loading(1)
    for ca, state in ((database.certificate, "success"), (make_certificate(tmp_path, "other").path, "failed")):
        connect(direction, **database.connection(), extra={"ssl": {"ca": ca}})
        found, error = run_try(task, supervisor)
        assert found == state, error
    assert "certificate" in str(error)
    assert "ssl_mode" in str(error)
    assert "Correct the ca there, or the server's certificate;" in str(error)
    assert len(api.seen) == 1


def test_a_server_without_tls_is_none_for_a_connection_that_needs_it(database, connect, monkeypatch):
    from airflow_async_rest.databases.dialects.mysql import driver

    monkeypatch.setattr(driver, "_has_tls", lambda raw: False)
    connect("source_db", **database.connection(), extra={"ssl_mode": "REQUIRED"})
    with pytest.raises(
        ConfigurationError, match=r"there is none: .* does not support it\. .* no TLS, turn it on there"
    ):
        list(ChunkedSqlHook("source_db").chunks("SELECT 1 AS id"))


def test_a_connection_that_cannot_be_asked_for_its_tls_is_closed(database, connect, monkeypatch):
    from airflow_async_rest.databases.dialects.mysql import driver

    asked = []

    def broken(raw):
        asked.append(raw)
        raise driver.MySQLdb.OperationalError(2013, "Lost connection to server during query")

    monkeypatch.setattr(driver, "_has_tls", broken)
    connect("source_db", **database.connection(), extra={"ssl_mode": "REQUIRED"})
    with pytest.raises(Exception, match="Lost connection"):
        list(ChunkedSqlHook("source_db").chunks("SELECT 1 AS id"))
    assert [bool(raw.open) for raw in asked] == [False] * len(asked) != []


def test_json_is_json_where_double_quotes_are_of_names(database):
    database.execute("CREATE TABLE things (doc json)", "INSERT INTO things VALUES ('[1]')")
    database.administer("SET GLOBAL sql_mode = 'ANSI_QUOTES'")
    [[row]] = ChunkedSqlHook("source_db").chunks("SELECT doc FROM things")
    assert row == {"doc": [1]}
