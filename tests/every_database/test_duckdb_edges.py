"""What of DuckDB's types and checks is lost, changed or tried again where it need not be."""

import subprocess
import sys

import pytest
from every_database.loading import loading
from every_database.test_mistakes import reading
from task_runner import run_try

pytest.importorskip("duckdb", reason="needs duckdb: make databases")
pytestmark = pytest.mark.parametrize("database", ["duckdb"], indirect=True)

# type -> what is loaded, what is there then, what is refused
EDGES = {
    "ENUM('a:b', '{}')": (["a:b", "{}"], ["a:b", "{}"], ["c"]),
    'STRUCT("a:b" INTEGER)': ([{"a:b": 1}], ["{'a:b': 1}"], [{"c": 1}]),
    "INTEGER": (["1.0", "1e2", 3.0, " 5 "], ["1", "100", "3", "5"], ["1.5", "15e-1", "1e999999999"]),
    "DOUBLE": (
        ["1e308", "Infinity", "0e-999"],
        ["1e+308", "inf", "0.0"],
        ["1e400", 10**400, -(10**400), "1e-400", "-0.1e-999"],
    ),
    "FLOAT": ([1.5, 1e38, "-Infinity"], ["1.5", "1e+38", "-inf"], [1e39, "-1e39", 1e-60]),
    "TIMESTAMP_S": (["2026-11-01T23:59:59.9Z"], ["2026-11-01 23:59:59"], ["later"]),
    "TIMESTAMP_MS": (["2026-11-01T23:59:59.9999Z"], ["2026-11-01 23:59:59.999"], ["later"]),
    "DECIMAL(38,0)": (["1.0", 2, "9" * 38], ["1", "2", "9" * 38], ["1.5", 1.5, "1" * 39]),
    "DECIMAL(5,0)": ([12345], ["12345"], [0.5, 123456]),
    "INTEGER[]": ([[1, 2.0, None], None], ["[1, 2, NULL]", None], [[1.5], ["1.5"], [1, 2.5, None]]),
    "INTEGER[][]": ([[[1], [2]]], ["[[1], [2]]"], [[[1], [2.5]]]),
    "INTEGER[2]": ([[1, 2]], ["[1, 2]"], [[1, 2.5], [1]]),
    "BIGINT[]": ([[9007199254740993]], ["[9007199254740993]"], [[0.5]]),
    "DECIMAL(38,0)[]": ([[1]], ["[1]"], [[1.5]]),
    'STRUCT(a INTEGER, "INTEGER, b" VARCHAR)': (
        [{"a": 1, "INTEGER, b": "1.5"}],
        ["{'a': 1, 'INTEGER, b': 1.5}"],
        [{"a": 1.5, "INTEGER, b": "1"}],
    ),
    "MAP(VARCHAR, SMALLINT)": ([{"a": 1}], ["{a=1}"], [{"a": 1.5}]),
    "STRUCT(a TIMESTAMP)": ([{"a": "2026-11-01T12:00:00+05:30"}], ["{'a': '2026-11-01 06:30:00'}"], [{"a": "later"}]),
    "DOUBLE[]": (
        [[1e308, "Infinity", "-inf", "nan", None]],
        ["[1e+308, inf, -inf, nan, NULL]"],
        [["1e400"], [10**400, 1]],
    ),
    "FLOAT[2][]": ([[[1.5, 2]]], ["[[1.5, 2.0]]"], [[[1, 1e39]]]),
    "MAP(VARCHAR, DOUBLE)": ([{"info": 1}], ["{info=1.0}"], [{"info": "-1e400"}]),
    'STRUCT("inf" DOUBLE, n INTEGER, t VARCHAR)': (
        [{"inf": "inf", "n": 1, "t": "Infinity 1e400"}],
        ["{'inf': inf, 'n': 1, 't': Infinity 1e400}"],
        [{"inf": "1e400", "n": 1, "t": "inf"}, {"inf": 1, "n": 1.5, "t": ""}],
    ),
    "TIME": (["12:00:00", "12:00:00.5Z"], ["12:00:00", "12:00:00.5"], ["12:00:00+05:30", "noon"]),
    "TIME[]": ([["12:00:00", "12:00:00Z"]], ["['12:00:00', '12:00:00']"], [["12:00:00+05:30"]]),
    "TIMESTAMP_S[]": ([["2026-11-01T12:00:00+05:00"]], ["['2026-11-01 07:00:00']"], [["2026-11-01T23:59:59.9Z"]]),
    "TIMESTAMP_NS[]": ([["2026-11-01T12:00:00+05:00"]], ["['2026-11-01 07:00:00']"], [["later"]]),
    "HUGEINT": ([1e38, "1e38"], ["1" + "0" * 38] * 2, [1e39]),
    "BIGNUM": ([1e38, 10**60], ["1" + "0" * 38, "1" + "0" * 60], [1.5, "1.5"]),
    "DATE": (["0044-03-15 (BC)", "Sun, 01 Nov 2026 12:00 +0200 (EET)"], ["0044-03-15 (BC)", "2026-11-01"], ["later"]),
    "TIMESTAMP[]": ([["2026-11-01T12:00:00+05:30", None]], ["['2026-11-01 06:30:00', NULL]"], [["later"]]),
}


@pytest.mark.parametrize("type_", EDGES)
def test_what_a_type_keeps(database, load, type_):
    given, there, refused = EDGES[type_]
    database.execute(f"CREATE TABLE things (id int, value {type_})")
    loaded = load([{"id": n, "value": value} for n, value in enumerate(given + refused)], max_failures=9)
    assert (loaded.state, loaded.error) == ("success", None)
    assert sorted(loaded.refused) == list(range(len(given), len(given + refused)))
    assert [value for (value,) in database.execute("SELECT CAST(value AS VARCHAR) FROM things ORDER BY id")] == there


@pytest.mark.parametrize("mode", [{}, {"load_mode": "upsert", "conflict_key": "id"}])
def test_a_check_that_fails_about_one_row_refuses_that_row(database, load, mode):
    database.execute("CREATE TABLE things (id int PRIMARY KEY, value varchar, CHECK (CAST(value AS INTEGER) > 0))")
    values = ["1", "x", None, "-1", "2"]
    loaded = load([{"id": n, "value": value} for n, value in enumerate(values)], max_failures=2, **mode)
    assert (loaded.state, sorted(loaded.refused)) == ("success", [1, 3]), loaded.error
    assert "Could not convert" in loaded.refused[1]
    assert database.rows() == [(0, "1"), (2, None), (4, "2")]


@pytest.fixture(params=[False, True])
def held(request, database):
    """Let another process have the file: to write, or only to read."""
    database.execute("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
    opens = f"import duckdb, sys; held = duckdb.connect({str(database.path)!r}, read_only={request.param}); print()"
    command = [sys.executable, "-c", f"{opens}; sys.stdout.flush(); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        yield database
        holder.stdin.close()


@pytest.mark.parametrize("task", [lambda: reading("SELECT id FROM things"), lambda: loading(1)])
def test_a_file_that_another_process_has_is_waited_for(held, api, supervisor, task):
    state, error = run_try(task(), supervisor)
    assert (state, "is not reached: IO Error: Could not set lock" in str(error)) == ("up_for_retry", True), error
    assert api.seen == []


@pytest.mark.parametrize(
    "sql", ["COPY things TO '{}'", "EXPORT DATABASE '{}'", "ATTACH '{}' AS other", "INSTALL nothing"]
)
def test_what_writes_files_is_not_sent(database, api, supervisor, tmp_path, sql):
    database.execute("CREATE TABLE things (id int)")
    state, error = run_try(reading(sql.format(tmp_path / "written")), supervisor)
    assert (state, "returns no rows: write a SELECT" in str(error)) == ("failed", True), error
    assert not (tmp_path / "written").exists()
