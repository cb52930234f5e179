"""Rows into a table of every database: each mode, many rows, several loads at once."""

import threading

import pytest
from aiohttp import web
from engine import run_within
from every_database.loading import MODES, loading, number_of
from loads import placed
from task_runner import run_try

from airflow_async_rest.core.keeping.row_sink import LoadState
from airflow_async_rest.load.loader import TableLoader

NOON = "2026-11-01T12:00:00Z"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("items", [129, pytest.param(5_000, marks=pytest.mark.release)])
def test_all_rows_are_loaded_once(database, load, items, mode):
    database.create("id {integer} NOT NULL PRIMARY KEY, noted {naive}, label {text}")
    loaded = load([{"id": n, "noted": NOON, "label": f"place {n}"} for n in range(items)], **MODES[mode])
    assert loaded.state == "success", loaded.error
    assert loaded.report["rows_loaded"] == items
    assert database.rows("id, label") == [(n, f"place {n}") for n in range(items)]
    assert database.left_behind() == []
    assert [tuple(row) for row in database.execute("SELECT count(*) FROM async_rest_loads")] == [(0,)]


def test_rows_are_staged_so_many_at_a_time_as_are_worth_a_transaction(database, api, supervisor, monkeypatch):
    database.create("id {integer}, label {text}")
    staged, stage = [], TableLoader.stage
    monkeypatch.setattr(TableLoader, "stage", lambda self, rows: staged.append(len(rows)) or stage(self, rows))
    run_within(monkeypatch, write_every_seconds=600)
    api.answer = lambda seen: web.json_response([{"id": number_of(seen), "label": "new"}] * 1_000)
    state, error = run_try(loading(30, concurrency=1), supervisor)
    assert state == "success", error
    assert sum(staged) == 30_000
    least = 10_000 if database.connection()["conn_type"] == "snowflake" else 1_000
    assert [count for count in staged[:-1] if count < least] == []


EXPECTED = {
    "append": [(1, "old"), (2, "old"), (2, "new"), (3, "new"), (4, "old")],
    "upsert": [(1, "old"), (2, "new"), (3, "new"), (4, "old")],
    "replace_window": [(2, "new"), (3, "new"), (4, "old")],
}


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_does_what_it_says(database, load, mode):
    unique = " PRIMARY KEY" if mode == "upsert" else ""
    database.create(f"id {{integer}} NOT NULL{unique}, noted {{naive}}, label {{text}}")
    inside, outside = ("naive", "2026-11-01 23:59:59"), ("naive", "2026-11-02 00:00:00")
    database.insert(
        [
            {"id": ("integer", str(n)), "noted": noted, "label": ("text", "old")}
            for n, noted in ((1, inside), (2, inside), (4, outside))
        ]
    )
    loaded = load([{"id": n, "noted": NOON, "label": "new"} for n in (2, 3)], **MODES[mode])
    assert loaded.state == "success", loaded.error
    assert loaded.report["rows_loaded"] == 2
    assert sorted(database.rows("id, label")) == sorted(EXPECTED[mode])


@pytest.mark.parametrize("kind", ["naive", "aware", "day"])
def test_a_window_is_replaced_from_its_first_moment_to_before_its_end(database, load, kind):
    edges = ["2026-10-31 23:59:59", "2026-11-01 00:00:00", "2026-11-01 23:59:59", "2026-11-02 00:00:00"]
    if kind == "day":
        database.needs("days")
        edges = ["2026-10-31", "2026-11-01", "2026-11-02"]
    database.create(f"id {{integer}}, noted {{{kind}}}")
    database.insert([{"id": ("integer", str(n)), "noted": (kind, edge)} for n, edge in enumerate(edges)])
    loaded = load([{"id": 9, "noted": "2026-11-01" if kind == "day" else NOON}], **MODES["replace_window"])
    assert loaded.state == "success", loaded.error
    assert database.rows("id") == [(0,), (len(edges) - 1,), (9,)]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_what_a_row_lacks_stays_as_it_is_or_has_its_default(database, load, mode):
    unique = " PRIMARY KEY" if mode == "upsert" else ""
    database.create(f"id {{integer}} NOT NULL{unique}, a {{integer}} DEFAULT -1, b {{integer}} DEFAULT -2")
    database.insert([{"id": ("integer", "1"), "a": ("integer", "10"), "b": ("integer", "20")}])
    loaded = load([{"id": 1, "a": 11}, {"id": 2, "b": 22}, {"id": 3, "a": None}, {"id": 4}], **MODES[mode])
    assert loaded.state == "success", loaded.error
    ours = [(1, 11, 20)] if mode == "upsert" else [(1, 10, 20), (1, 11, -2)]
    assert sorted(database.rows("id, a, b"), key=str) == [*ours, (2, -1, 22), (3, None, -2), (4, -1, -2)]


def test_ids_of_one_table_are_looked_up_and_loaded_into_another(database, api, supervisor):
    database.create("id {integer}, noted {naive}", "others")
    database.create("id {integer}, label {text}")
    for n, noted in enumerate(["2026-10-31 12:00:00", "2026-11-01 12:00:00", "2026-11-01 13:00:00"]):
        database.insert([{"id": ("integer", str(n)), "noted": ("naive", noted)}], "others")
    api.answer = lambda seen: web.json_response({"id": number_of(seen), "label": "found"})
    task = loading(
        sql="SELECT id FROM others WHERE noted >= :window_start AND noted < :window_end ORDER BY id",
        sql_conn_id="source_db",
        endpoint="rows/{id}",
    )
    state, error = run_try(task, supervisor)
    assert state == "success", error
    assert database.rows("id, label") == [(1, "found"), (2, "found")]


def test_the_first_loads_into_a_schema_may_be_at_the_same_moment(database):
    database.create("id {integer}, label {text}")
    start, errors, loads = threading.Barrier(4), [], range(4)

    def run(number):
        loader = None
        try:
            start.wait(60)
            loader = database.loader(run=f"run{number}")
            loader.open()
            loader.begin(resumed=False, staged=0)
            loader.stage(placed([{"id": 10 * number + n, "label": "x"} for n in range(3)]))
            loader.commit({}, LoadState.STAGING, 0)
            merged = loader.merge(first=True)
            loader.commit({}, LoadState.DONE, merged.loaded)
        except Exception as error:  # noqa: BLE001
            errors.append(error)
        finally:
            if loader is not None:
                loader.close()

    threads = [threading.Thread(target=run, args=[number], daemon=True) for number in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert database.rows("id") == [(10 * number + n,) for number in loads for n in range(3)]
    assert database.rows("run_id", "async_rest_loads") == [(f"run{number}",) for number in loads]
