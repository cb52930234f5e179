"""SqlToRestOperator in Airflow's task runner, against a real database and a real API: what a user sees."""

import re
import sqlite3
from pathlib import Path

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import READINGS, ids, sql_to_rest

from airflow_async_rest import Batch, Response, Verdict


def test_every_row_is_delivered_once_and_the_report_says_so(places, supervisor):
    state, _ = run_try(sql_to_rest(), supervisor)
    assert state == "success"
    assert sorted(ids(places.delivered)) == list(range(1, 101))
    report = supervisor.report
    counts = [report[name] for name in ("read", "delivered", "failed", "skipped", "unfinished", "retries", "requests")]
    assert counts == [100, 100, 0, 0, 0, 0, 100]
    assert (report["window_start"], report["window_end"]) == ("2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00")
    assert report["dead_letters"] is None
    assert report["resumed_from"] is None
    assert set(report["latency_ms"]) == {"p50", "p95", "p99"}
    assert supervisor.data["xcom"]["failed_items"] == []
    assert supervisor.checkpoint is None
    assert supervisor.data["state"]["progress"]["delivered"] == 100


def test_the_row_is_the_payload_and_transform_makes_another_or_skips(places, supervisor):
    def to_document(row):
        return {"doc": row["id"]} if row["id"] % 2 else None

    run_try(sql_to_rest(sql=READINGS.format(rows=2)), supervisor)
    assert sorted(ids(places.seen)) == [1, 2]
    assert {"id": 1, "value": 1.5} in [seen.json() for seen in places.seen]
    places.reset()
    state, _ = run_try(sql_to_rest(transform=to_document), supervisor)
    assert state == "success"
    assert sorted(seen.json()["doc"] for seen in places.seen) == list(range(1, 101, 2))
    assert (supervisor.report["delivered"], supervisor.report["skipped"]) == (50, 50)


def test_failed_items_are_in_xcom_and_all_of_them_in_the_dead_letter_parts(places, supervisor):
    from airflow_async_rest.tasks.storage.folders import open_folder

    places.answer = lambda seen: (
        web.json_response({"why": "no such type"}, status=422) if seen.path.endswith("7") else 200
    )
    state, error = run_try(sql_to_rest(), supervisor)
    assert state == "failed"  # refused for good: no retry of Airflow's mends it
    assert "10 of 100 items failed (10 http_422); max_failures allows 0" in str(error)
    report, items = supervisor.report, supervisor.data["xcom"]["failed_items"]
    assert (report["delivered"], report["failed"], report["reasons"]) == (90, 10, {"http_422": 10})
    assert [item["key"] for item in items] == list(range(7, 101, 10))
    assert items[0] | {"failed_at": "", "idempotency_key": ""} == {
        "index": 6,
        "key": 7,
        "method": "PUT",
        "path": "readings/7",
        "query": "",
        "idempotency_key": "",
        "reason": "http_422",
        "status": 422,
        "attempts": 1,
        "response_excerpt": '{"why": "no such type"}',
        "failed_at": "",
        "payload": {"id": 7, "value": 10.5},
    }
    folder = report["dead_letters"]
    assert re.search(r"/the_dag/scheduled__2026-11-01/post/-1/\d{8}T\d{6}Z-\w{8}$", folder)
    assert Path(folder.removeprefix("file://"), "1-1.jsonl").exists()
    assert sorted(open_folder(folder).read()) == list(range(6, 100, 10))


def test_max_failures_accepts_a_number_or_a_share(places, supervisor):
    places.answer = lambda seen: 422 if seen.path.endswith("7") else 200
    outcomes = {
        limit: run_try(sql_to_rest(max_failures=limit), supervisor)[0] for limit in (9, 10, "9%", "10%", "10.5%")
    }
    assert outcomes == {9: "failed", 10: "success", "9%": "failed", "10%": "success", "10.5%": "success"}


def test_response_check_decides_what_the_answer_means(places, supervisor):
    places.answer = lambda seen: web.json_response({"ok": not seen.path.endswith("1")})
    run_try(sql_to_rest(response_check=lambda response: response.json()["ok"]), supervisor)
    assert supervisor.report["reasons"] == {"response_check": 10}

    def already_there(response: Response) -> Verdict | None:
        return Verdict.DELIVERED if response.status == 409 else None

    places.answer = lambda seen: 409
    state, _ = run_try(sql_to_rest(response_check=already_there), supervisor)
    assert (state, supervisor.report["delivered"]) == ("success", 100)


def test_templates_sql_files_and_parameters(places, supervisor):
    task = sql_to_rest(
        sql="readings.sql",
        parameters={"smallest": "{{ 40 + 2 }}"},
        endpoint="{{ params.index }}/_doc/{id}",
        params={"index": "sensors"},
        headers={"X-Run": "{{ run_id }}"},
        window_start="{{ data_interval_start }}",
        window_end="{{ data_interval_end }}",
    )
    state, error = run_try(task, supervisor)
    assert (state, error) == ("success", None)
    assert sorted(ids(places.seen)) == list(range(42, 51))
    assert {seen.path.rpartition("/")[0] for seen in places.seen} == {"/sensors/_doc"}
    assert {seen.headers["X-Run"] for seen in places.seen} == {"scheduled__2026-11-01"}


def test_a_query_without_window_binds_needs_no_window_and_one_with_them_does(places, supervisor, logged):
    assert run_try(sql_to_rest(), supervisor, window=None)[0] == "success"
    assert "every run sends all rows that it selects" in logged()
    assert supervisor.report["window_start"] is None
    places.reset()
    task = sql_to_rest(sql="SELECT 1 AS id WHERE now() >= :window_start")
    state, error = run_try(task, supervisor, window=None)
    assert state == "failed"
    assert "CronDataIntervalTimetable" in str(error)
    assert places.seen == []


@pytest.mark.parametrize(
    "sql", ["SELECT 1 AS id -- :window_start", "SELECT ':window_end' AS id", "SELECT 1 AS id /* :window_end */"]
)
def test_a_window_in_a_comment_or_in_quotes_is_asked_for_by_nobody(places, supervisor, logged, sql):
    assert run_try(sql_to_rest(sql=sql), supervisor, window=None) == ("success", None)
    assert "every run sends all rows that it selects" in logged()


def test_rows_that_are_claimed_are_claimed_once(places, supervisor, postgres):
    postgres.execute(
        "DROP TABLE IF EXISTS claims",
        "CREATE TABLE claims AS SELECT i AS id, false AS taken FROM generate_series(1, 9) i",
    )
    sql = "UPDATE claims SET taken = true WHERE id IN :ids AND NOT taken RETURNING id"
    task = sql_to_rest(sql=sql, parameters={"ids": [2, 3]}, read_only=False)
    assert run_try(task, supervisor, window=None) == ("success", None)
    assert run_try(task, supervisor, 2, window=None) == ("success", None)
    assert sorted(ids(places.seen)) == [2, 3]


def test_one_value_that_cannot_be_read_is_one_dead_letter_of_many_rows(places, supervisor, connect, tmp_path):
    path = tmp_path / "source.db"
    connect("source_db", conn_type="sqlite", host=str(path))
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id int, name text)")
        connection.executemany("INSERT INTO t VALUES (?, 'a')", [(i,) for i in range(12_000)])
        connection.execute("UPDATE t SET name = CAST(x'636166e9' AS text) WHERE id = 6000")
    many = {"sql": "SELECT id, name FROM t ORDER BY id", "endpoint": "_bulk", "method": "POST", "max_failures": 1}
    state, _ = run_try(sql_to_rest(**many, batch=Batch(max_items=1000, format="ndjson")), supervisor)
    assert state == "success"
    report, [letter] = supervisor.report, supervisor.data["xcom"]["failed_items"]
    assert (report["delivered"], report["failed"], report["reasons"]) == (11_999, 1, {"value": 1})
    assert (letter["key"], letter["row"]) == (6000, {"id": 6000, "name": "<not loaded: b'caf\\xe9'>"})
    assert "column 'name' could not be read" in letter["response_excerpt"]
    assert sum(len(seen.body.splitlines()) for seen in places.seen) == 11_999


def test_json_is_sent_as_the_database_writes_it_and_a_transform_sees_it(places, supervisor):
    sql = """SELECT 1 AS id, JSONB '{"n"\\: [0.12345678901234567890, 1.50]}' AS doc, DATE 'infinity' AS until"""
    run_try(sql_to_rest(sql=sql), supervisor)
    run_try(sql_to_rest(sql=sql, transform=lambda row: {**row, "n": row["doc"]["n"][1] * 2.0}), supervisor)
    assert [seen.body for seen in places.seen] == [
        b'{"id":1,"doc":{"n":[0.12345678901234567890,1.50]},"until":"infinity"}',
        b'{"id":1,"doc":{"n":[0.12345678901234567890,1.5]},"until":"infinity","n":3.0}',
    ]
