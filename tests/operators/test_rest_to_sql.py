"""RestToSqlOperator by Airflow's real task runner: a real API, a real PostgreSQL."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import given_later, rest_to_sql, staging_tables_of

COUNT = "SELECT count(*) FROM locations"
LEFT_BEHIND = staging_tables_of("scheduled__2026-11-01")


def number_of(seen) -> int:
    return int(seen.path.rpartition("/")[2])


def one_location(seen):
    """An answer with one row for the id that was asked for."""
    number = number_of(seen)
    row = {"location": {"geoLabel": f"place {number}"}, "detail": {"n": [number]}, "extra": 1}
    return web.json_response({"data": {"items": [row]}})


def but_for(answers: dict):
    """Answer as ever, but for some ids."""
    return lambda seen: answers.get(number_of(seen)) or one_location(seen)


@pytest.fixture
def warehouse(warehouse, places):
    warehouse.execute("ALTER TABLE locations ADD loaded_at timestamptz DEFAULT now()")
    places.answer = one_location
    return warehouse


def loaded(warehouse) -> list[int]:
    return [row[0] for row in warehouse.execute("SELECT id FROM locations ORDER BY id")]


def asked(places) -> list[int]:
    return sorted(map(number_of, places.seen))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"columns": {"id": "item.idd"}}, "columns names the column 'idd'"),
        ({"endpoint": "locations/{idd}"}, "endpoint names the column 'idd'"),
        ({"query": {"of": "{idd}"}}, "query names the column 'idd'"),
    ],
)
def test_a_window_without_rows_has_its_columns_checked(places, warehouse, supervisor, arguments, words):
    none = {"sql": "SELECT 1 AS id WHERE false", "sql_conn_id": "source_db"}
    state, error = run_try(rest_to_sql(**none, **arguments), supervisor)
    assert state == "failed"
    assert f"{words}, which the rows do not have; they have: id." in str(error)
    assert run_try(rest_to_sql(**none), supervisor)[0] == "success"


def test_rows_of_a_query_are_enriched_with_the_id_that_was_asked_for(places, warehouse, supervisor):
    state, error = run_try(rest_to_sql(), supervisor)
    assert (state, error) == ("success", None)
    rows = warehouse.execute("SELECT id, geo_label, detail, loaded_at IS NOT NULL FROM locations ORDER BY id")
    assert rows == [(n, f"place {n}", {"n": [n]}, True) for n in range(1, 101)]
    report = supervisor.report
    assert (report["rows_loaded"], report["rows_refused"], report["rows_staged"]) == (100, 0, 0)
    assert report["keys_ignored"] == {"extra": 100}
    assert warehouse.execute(LEFT_BEHIND) == []


@pytest.mark.parametrize(
    "items", [[{"id": 1}, {"id": 2}], json.dumps([{"id": 1}, {"id": 2}]), "[{'id': 1}, {'id': 2}]"]
)
def test_items_are_a_list_or_what_a_template_makes_of_one(places, warehouse, supervisor, items):
    assert run_try(rest_to_sql(items=items), supervisor) == ("success", None)
    assert loaded(warehouse) == [1, 2]


def test_values_are_items_too(places, warehouse, supervisor):
    task = rest_to_sql(items=[7, 8], endpoint="locations/{item}", columns={"id": "item.item"})
    assert run_try(task, supervisor) == ("success", None)
    assert loaded(warehouse) == [7, 8]


def test_each_step_of_the_window_is_asked_for_once_and_the_steps_touch(places, warehouse, supervisor):
    places.answer = lambda seen: web.json_response([])
    task = rest_to_sql(
        window_step=timedelta(hours=6),
        endpoint="days/{date}",
        query={"from": "{start}", "to": "{end}"},
        rows=None,
        columns=["id"],
    )
    assert run_try(task, supervisor) == ("success", None)
    spans = sorted((q["from"][0], q["to"][0]) for q in (parse_qs(seen.query) for seen in places.seen))
    hours = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=6 * n) for n in range(5)]
    assert spans == [(a.isoformat(), b.isoformat()) for a, b in pairwise(hours)]
    assert {seen.path for seen in places.seen} == {"/days/2026-11-01"}


def test_a_search_is_posted_with_its_body(places, warehouse, supervisor):
    places.answer = lambda seen: web.json_response([{"id": number} for number in seen.json()["ids"]])
    task = rest_to_sql(
        items=[{"id": 1}, {"id": 2}],
        method="POST",
        endpoint="search",
        body={"ids": ["{id}"], "of": "id {id}"},
        rows=None,
        columns=["id"],
    )
    assert run_try(task, supervisor) == ("success", None)
    assert loaded(warehouse) == [1, 2]
    assert sorted(seen.json()["of"] for seen in places.seen) == ["id 1", "id 2"]


def test_an_item_that_fails_is_a_dead_letter_and_the_others_are_loaded(places, warehouse, supervisor):
    places.answer = but_for({7: web.json_response({"error": "gone"}, status=410)})
    state, error = run_try(rest_to_sql(), supervisor)
    assert state == "failed"  # refused for good: no retry
    assert "1 of 100 items failed (1 http_410)" in str(error)
    assert loaded(warehouse) == [n for n in range(1, 101) if n != 7]
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert (letter["key"], letter["status"], letter["path"], letter["fetch"]) == (7, 410, "locations/7", True)
    assert "gone" in letter["response_excerpt"]


@pytest.mark.parametrize("conn_id", ["source_db", "lite"])
@pytest.mark.parametrize(
    "arguments",
    [{"endpoint": "locations/{idd}"}, {"query": {"of": "{idd}"}}, {"columns": {"id": "item.idd"}}],
    ids=["endpoint", "query", "columns"],
)
def test_a_wrong_column_is_named_even_if_there_is_nothing_to_ask_for(
    places, warehouse, connect, supervisor, tmp_path, conn_id, arguments
):
    (path := tmp_path / "source.db").touch()
    connect("lite", conn_type="sqlite", host=str(path))
    task = rest_to_sql(
        sql="SELECT 1 AS id WHERE 1 = 2", sql_conn_id=conn_id, rows=None, **{"columns": ["id"]} | arguments
    )
    state, error = run_try(task, supervisor)
    assert state == "failed"
    assert "the column 'idd', which the rows do not have; they have: id" in str(error)


def test_a_404_is_no_rows_where_that_is_said(places, warehouse, supervisor):
    places.answer = but_for({7: 404})
    assert run_try(rest_to_sql(missing_ok=True), supervisor) == ("success", None)
    assert (supervisor.report["skipped"], supervisor.report["delivered"]) == (1, 99)
    assert 7 not in loaded(warehouse)


def test_a_retry_fetches_only_what_is_missing_and_loads_it_once(places, warehouse, supervisor):
    places.answer = but_for(dict.fromkeys((7, 50, 99), 500))
    task = rest_to_sql()
    state, _ = run_try(task, supervisor)
    assert state == "up_for_retry"
    assert len(loaded(warehouse)) == 97
    places.reset()
    places.answer = one_location
    assert run_try(task, supervisor, 2) == ("success", None)
    assert asked(places) == [7, 50, 99]
    assert loaded(warehouse) == list(range(1, 101))
    assert supervisor.report["rows_loaded"] == 100
    assert warehouse.execute("SELECT count(*) FROM async_rest_loads") == [(0,)]


def test_a_clear_after_a_success_loads_everything_again(places, warehouse, supervisor):
    for number in (1, 2):
        assert run_try(rest_to_sql(), supervisor, number) == ("success", None)
    assert warehouse.execute(COUNT) == [(200,)]  # append


def test_a_row_that_the_database_refuses_is_a_dead_letter_with_its_words(places, warehouse, supervisor):
    warehouse.execute("ALTER TABLE locations ADD CHECK (id <> 50), ALTER geo_label TYPE varchar(8)")
    places.answer = lambda seen: web.json_response(
        {"data": {"items": [{"location": {"geoLabel": label}} for label in ("good", f"place {number_of(seen)}")]}}
    )
    task = rest_to_sql()
    state, error = run_try(task, supervisor)
    assert state == "failed"
    assert "0 of 100 items failed and 3 rows were refused (3 row_refused)" in str(error)
    assert "The last one: 'new row for relation" in str(error)
    assert warehouse.execute(COUNT) == [(197,)]  # both of 50, and "place 100"
    report, letters = supervisor.report, supervisor.data["xcom"]["failed_items"]
    assert (report["delivered"], report["failed"], report["rows_loaded"], report["rows_refused"]) == (100, 0, 197, 3)
    assert [(letter["row"]["id"], letter["row_number"]) for letter in letters] == [(50, 0), (50, 1), (100, 1)]
    assert "check constraint" in letters[0]["response_excerpt"]
    assert "too long" in letters[2]["response_excerpt"]
    # The table is mended, and the task cleared: only these rows are loaded, and nothing is fetched.
    warehouse.execute("ALTER TABLE locations DROP CONSTRAINT locations_id_check, ALTER geo_label TYPE text")
    places.reset()
    assert run_try(task, supervisor, 2) == ("success", None)
    assert places.seen == []
    assert warehouse.execute("SELECT count(*), count(DISTINCT (id, geo_label)) FROM locations") == [(200, 200)]
    assert (supervisor.report["rows_loaded"], supervisor.report["rows_refused"]) == (200, 0)


@pytest.fixture
def daily(warehouse, places):
    """A task whose rows have times, in a table with rows of other days."""
    warehouse.execute(
        "DROP TABLE IF EXISTS readings",
        "CREATE TABLE readings (id bigint, at timestamptz)",
        "INSERT INTO readings VALUES (-1, '2026-10-31 23:59:59Z'), (-2, '2026-11-01 00:00Z'), (-3, '2026-11-02 00:00Z')",
    )
    places.answer = lambda seen: web.json_response(
        [{"id": n, "at": f"{parse_qs(seen.query)['from'][0][:13]}:{n:02}:00+00:00"} for n in range(60)]
    )
    return lambda **arguments: rest_to_sql(
        window_step=timedelta(hours=6), endpoint="readings", query={"from": "{start}"}, rows=None, columns=["id", "at"],
        destination_table="public.readings", load_mode="replace_window", window_column="at", **arguments,
    )  # fmt: skip


READINGS = "SELECT id, at FROM readings ORDER BY at, id"


def test_a_window_is_replaced_and_a_rerun_gives_the_same_table(daily, warehouse, supervisor):
    assert run_try(daily(), supervisor) == ("success", None)
    first = warehouse.execute(READINGS)
    assert [row[0] for row in first if row[0] < 0] == [-1, -3]
    assert len(first) == 2 + 4 * 60
    assert run_try(daily(), supervisor, 2) == ("success", None)
    assert warehouse.execute(READINGS) == first


def test_a_week_that_is_fetched_twice_day_by_day_leaves_exactly_the_same_table(daily, warehouse, supervisor):
    days = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=n) for n in range(8)]
    tables = []
    for _ in range(2):
        for window in pairwise(days):
            assert run_try(daily(), supervisor, window=window) == ("success", None)
        tables.append(warehouse.execute(READINGS))
    assert tables[0] == tables[1]
    assert len(tables[0]) == 1 + 7 * 4 * 60  # and the row of the day before; those within the week are replaced


def test_a_window_is_not_replaced_by_a_part_of_itself(daily, warehouse, supervisor, places):
    whole, before = places.answer, warehouse.execute(READINGS)
    places.answer = lambda seen: 500 if "T06" in seen.query else whole(seen)
    state, _ = run_try(daily(), supervisor)
    assert state == "up_for_retry"
    assert warehouse.execute(READINGS) == before
    assert (supervisor.report["rows_loaded"], supervisor.report["rows_staged"]) == (0, 180)
    places.reset()
    places.answer = whole
    assert run_try(daily(), supervisor, 2) == ("success", None)
    assert len(places.seen) == 1
    assert len(warehouse.execute(READINGS)) == 2 + 4 * 60


@pytest.mark.parametrize(("type_", "asked_for"), [("uuid USING gen_random_uuid()", 4), ("varchar(9)", 1)])
def test_what_is_staged_is_no_obstacle_where_a_column_has_changed(
    daily, warehouse, supervisor, places, type_, asked_for
):
    warehouse.execute("ALTER TABLE readings ALTER id TYPE text")
    whole = places.answer
    places.answer = lambda seen: 500 if "T06" in seen.query else whole(seen)
    assert run_try(daily(), supervisor)[0] == "up_for_retry"
    warehouse.execute("TRUNCATE readings", "ALTER TABLE readings ALTER id TYPE " + type_)
    places.reset()
    places.answer = lambda seen: web.json_response(
        [
            {"id": f"00000000-0000-0000-0000-{n:012}" if asked_for == 4 else n, "at": f"2026-11-01T{n:02}:00Z"}
            for n in range(24)
        ]
    )
    assert run_try(daily(), supervisor, 2) == ("success", None)
    assert len(places.seen) == asked_for


def test_rows_that_are_there_already_are_updated(places, warehouse, supervisor):
    warehouse.execute(
        "ALTER TABLE locations ADD PRIMARY KEY (id)",
        "INSERT INTO locations (id, geo_label) VALUES (5, 'old'), (500, 'stays')",
    )
    task = rest_to_sql(load_mode="upsert", conflict_key="id")
    for number in (1, 2):
        assert run_try(task, supervisor, number) == ("success", None)
    assert loaded(warehouse) == [*range(1, 101), 500]
    assert warehouse.execute("SELECT geo_label FROM locations WHERE id = 5") == [("place 5",)]


def test_sqlite_is_source_and_destination_at_once(places, supervisor, connect, tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "db.sqlite") as database:
        database.execute("CREATE TABLE locations (id INTEGER PRIMARY KEY, geo_label TEXT, detail JSON)")
        database.executemany("INSERT INTO locations (id) VALUES (?)", [(n,) for n in range(1, 51)])
    for name in ("source_db", "warehouse"):
        connect(name, conn_type="sqlite", host=str(tmp_path / "db.sqlite"))
    places.answer = one_location
    task = rest_to_sql(
        sql="SELECT id FROM locations ORDER BY id", sql_conn_id="source_db", load_mode="upsert", conflict_key="id"
    )
    assert run_try(task, supervisor) == ("success", None)
    with sqlite3.connect(tmp_path / "db.sqlite") as database:
        rows = database.execute("SELECT id, geo_label, detail FROM locations").fetchall()
        assert rows == [(n, f"place {n}", f'{{"n":[{n}]}}') for n in range(1, 51)]
        assert [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")] == [
            "locations",
            "async_rest_loads",
        ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"items": [], "window_step": timedelta(1)},
            "items and window_step given: say what to ask for with exactly one",
        ),
        ({"items": None}, "none of sql, items and window_step given"),
        ({"sql": "SELECT 1 AS id"}, "sql needs sql_conn_id="),
        (
            {"sql": "SELECT 1 AS id", "sql_conn_id": "source_db", "parameters": (3,)},
            "parameters= is a tuple: write a dict",
        ),
        (
            {
                "sql": "SELECT 1 AS id WHERE :window_start < now()",
                "sql_conn_id": "source_db",
                "parameters": {"window_start": "2026-01-01"},
            },
            "parameters['window_start']: give it as the argument window_start= instead",
        ),
        ({"sql": "SELECT lo_create(0) AS id", "sql_conn_id": "source_db"}, "with read_only=False it may change data"),
        ({"sql": "SELECT {window_end} AS id", "sql_conn_id": "source_db"}, "write the bind as :window_end"),
        ({"items": "None"}, "items is null: the upstream task returned nothing"),
        ({"items": 7}, "items is 7; write a list"),
        ({"window_step": timedelta(0)}, "window_step=datetime.timedelta(0): write a positive length"),
        (
            {"window_step": timedelta(milliseconds=1)},
            "window_step=datetime.timedelta(microseconds=1000) cuts the window into more than 10,000,000 steps",
        ),
        ({"destination_table": "nowhere"}, "destination_table='nowhere': there is no such table"),
        ({"destination_conn_id": "nobody"}, "destination_conn_id='nobody': there is no such connection"),
        ({"columns": {"nope": "a"}}, "columns names 'nope', which the destination table does not have; it has: id,"),
        ({"columns": {"id": "item.no"}}, "columns names the column 'no', which the rows do not have; they have: id"),
        ({"endpoint": "x/{no}"}, "endpoint names the column 'no'"),
        ({"query": {"a": "{no}"}}, "query names the column 'no'"),
        ({"load_mode": "replace"}, "load_mode='replace': write one of append, replace_window, upsert"),
        ({"load_mode": "upsert"}, "needs conflict_key="),
        ({"load_mode": "upsert", "conflict_key": "id"}, "has no unique index of exactly these columns"),
        ({"load_mode": "replace_window"}, "needs window_column="),
        ({"window_column": "id"}, "window_column belongs to load_mode='replace_window'"),
        ({"paginate": "link"}, "paginate='link': write LinkPages(), CursorPages"),
        ({"body": {"a": 1}}, "body: a GET has none"),
        ({"rows": 3}, "rows=3: write a path"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_request(places, warehouse, supervisor, arguments, words):
    nothing = dict.fromkeys(("sql", "sql_conn_id", "items", "window_step"))
    asked = nothing if nothing.keys() & arguments.keys() else nothing | {"items": [{"id": 1}]}
    state, error = run_try(given_later(rest_to_sql(), **(asked | arguments)), supervisor)
    assert state == "failed"
    assert words in str(error)
    assert places.seen == []
    assert warehouse.execute(COUNT) == [(0,)]


def test_a_window_in_a_comment_is_asked_for_by_nobody(places, warehouse, supervisor):
    task = rest_to_sql(sql="SELECT 7 AS id -- :window_start", sql_conn_id="source_db", read_only=False)
    assert run_try(task, supervisor, window=None) == ("success", None)
    asking = rest_to_sql(sql="SELECT 7 AS id WHERE now() > :window_start", sql_conn_id="source_db")
    state, error = run_try(asking, supervisor, window=None)
    assert (state, "CronDataIntervalTimetable" in str(error)) == ("failed", True)


def test_rows_that_fit_no_column_at_all_are_an_error_not_nulls(places, warehouse, supervisor):
    places.answer = lambda seen: web.json_response([{"other": 1}])
    state, error = run_try(rest_to_sql(rows=None, columns=None), supervisor)
    assert state == "up_for_retry"
    assert "no key of a row of the answer is a column of the table, which has id, geo_label" in str(error)
    assert warehouse.execute(COUNT) == [(0,)]


def test_sparse_rows_wipe_nothing_and_values_are_what_the_api_means(places, warehouse, supervisor):
    warehouse.execute(
        "DROP TABLE IF EXISTS states",
        "CREATE TABLE states (id bigint PRIMARY KEY, status text DEFAULT 'new' NOT NULL, note text, at timestamp, data bytea)",
        "INSERT INTO states (id, status, note) VALUES (1, 'old', 'by hand')",
    )
    body = """[{"id": 1, "status": 1.50, "at": "Mon, 02 Mar 2026 10:00:00 +0200"}, {"id": 2, "data": "/+8="}, {"id": 1, "note": "n"}]"""
    places.answer = lambda seen: web.Response(text=body, content_type="application/json")
    columns = {"id": "id", "status": "status", "note": "note", "at": "at", "data": "base64:data"}
    task = rest_to_sql(
        items=[{"id": 1}], rows=None, columns=columns, destination_table="states", load_mode="upsert", conflict_key="id"
    )
    assert run_try(task, supervisor) == ("success", None)
    assert warehouse.execute("SELECT id, status, note, at::text, data FROM states ORDER BY id") == [
        (1, "1.50", "n", "2026-03-02 08:00:00", None),
        (2, "new", None, None, b"\xff\xef"),
    ]


def test_elements_of_arrays_are_what_the_api_means_and_seconds_are_no_far_year(places, warehouse, supervisor):
    warehouse.execute("DROP TABLE IF EXISTS lists", "CREATE TABLE lists (id int, t text[], j jsonb[], at timestamp)")
    body = """[{"id": 1, "t": [1.50, "1e5", 1e5], "j": ["1", 2.5, [2]]}, {"id": 2, "at": 1772430912}]"""
    places.answer = lambda seen: web.Response(text=body, content_type="application/json")
    task = rest_to_sql(items=[{"id": 1}], rows=None, columns=None, destination_table="lists", max_failures=1)
    assert run_try(task, supervisor) == ("success", None)
    [(number, texts, documents, at)] = warehouse.execute("SELECT id, t, array_to_json(j)::text, at FROM lists")
    assert (number, texts, documents, at) == (1, ["1.50", "1e5", "1e5"], '["1",2.5,[2]]', None)
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert "1772430912 is a number, not a time" in str(letter)


def test_base64_into_a_text_is_said_before_anything_is_asked_for(places, warehouse, supervisor):
    task = rest_to_sql(columns={"id": "item.id", "geo_label": "base64:label"})
    state, error = run_try(task, supervisor)
    assert state == "failed"
    assert "columns: 'geo_label' has a path with 'base64:'" in str(error)
    assert places.seen == []


def test_starting_over_never_appends_twice(places, warehouse, supervisor):
    places.answer = but_for({7: 500})
    run_try(rest_to_sql(), supervisor)
    places.answer = one_location
    state, error = run_try(rest_to_sql(query={"v": "2"}), supervisor, 2)
    assert state == "failed"
    assert "has appended 99 rows" in str(error)
    assert warehouse.execute(COUNT) == [(99,)]


def test_what_was_appended_to_another_table_is_no_obstacle(places, warehouse, supervisor):
    warehouse.execute("DROP TABLE IF EXISTS elsewhere", "CREATE TABLE elsewhere (LIKE locations)")
    places.answer = but_for({7: 500})
    run_try(rest_to_sql(), supervisor)
    places.answer = one_location
    assert run_try(rest_to_sql(destination_table="elsewhere"), supervisor, 2) == ("success", None)
    assert warehouse.execute("SELECT count(*) FROM elsewhere") == [(100,)]
    assert warehouse.execute(COUNT) == [(99,)]


def test_an_append_goes_on_without_its_dead_letters(places, warehouse, supervisor, tmp_path):
    places.answer = but_for({7: 500})
    run_try(rest_to_sql(), supervisor)
    [part] = tmp_path.rglob("*.jsonl")
    part.unlink()
    places.reset()
    places.answer = one_location
    assert run_try(rest_to_sql(), supervisor, 2) == ("success", None)
    assert asked(places) == [7]
    assert loaded(warehouse) == list(range(1, 101))


def test_secrets_are_in_no_dead_letter(places, warehouse, supervisor, connect, tmp_path):
    connect(
        "search_api", conn_type="async_rest", host=places.url, password="s3cret-token", extra={"auth_type": "bearer"}
    )
    places.answer = lambda seen: web.Response(status=400, text=f"you sent {seen.headers['Authorization']}")
    run_try(rest_to_sql(), supervisor)
    written = "".join(part.read_text() for part in tmp_path.rglob("*.jsonl")) + json.dumps(supervisor.data)
    assert "you sent" in written
    assert "s3cret-token" not in written
