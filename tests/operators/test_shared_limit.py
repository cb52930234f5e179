"""All that an operator sends keeps to the limit that its connection shares: under Airflow's real task runner."""

import json
import re

import pytest
from aiohttp import web
from limit_stores import most_in_a_second, running_redis
from task_runner import Supervisor, run_try
from tasks import READINGS, in_batches, rest_to_sql, sql_to_rest

from airflow_async_rest import CursorPages
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

RATE = 100


@pytest.fixture
def store(places, connect):
    """A Redis that counts what all tasks of ``search_api`` send."""
    with running_redis() as redis:
        connect("limits", conn_type="redis", host="127.0.0.1", port=redis.port)
        extra = {"rate_limit": f"{RATE}/s, 100000/d", "rate_limit_conn_id": "limits"}
        connect("search_api", conn_type="async_rest", host=places.url, extra=json.dumps(extra))
        yield redis


def charged(store) -> int:
    """How many requests the day was charged with."""
    from redis import Redis

    with Redis(port=store.port) as client:
        return sum(map(int, client.hvals("async_rest:limit:{search_api}:days")))


def succeeds(task, supervisor) -> dict:
    state, error = run_try(task, supervisor)
    assert state == "success", error
    return supervisor.report


def test_each_row_is_a_place_and_the_pace_is_kept(places, store, supervisor):
    report = succeeds(sql_to_rest(sql=READINGS.format(rows=150)), supervisor)
    assert (report["delivered"], len(places.seen), charged(store)) == (150, 150, 150)
    assert most_in_a_second(seen.at for seen in places.seen) <= RATE + 5  # where they arrive; see benchmarks/rate.py


def test_a_bulk_request_is_one_place_whatever_is_in_it(places, store, supervisor):
    def answer(seen):
        entries = [{"id": json.loads(line)["id"], "status": 201} for line in seen.body.splitlines()]
        return web.json_response(entries, status=207)

    places.answer = answer
    report = succeeds(sql_to_rest(sql=READINGS.format(rows=1200), **in_batches(500)), supervisor)
    assert (report["delivered"], len(places.seen), charged(store)) == (1200, 3, 3)


def test_what_is_sent_again_and_what_is_replayed_takes_a_place_each_time(places, store, supervisor):
    places.answer = lambda seen: 422 if seen.path.endswith("/7") else 503 if len(places.seen) == 1 else 200
    state, _ = run_try(sql_to_rest(sql=READINGS.format(rows=20)), supervisor)
    assert (state, len(places.seen), charged(store)) == ("failed", 21, 21)
    places.answer = lambda seen: 200
    dead_letters = supervisor.report["dead_letters"]
    replay = ReplayDeadLettersOperator(task_id="replay", dead_letters=dead_letters, http_conn_id="search_api")
    assert succeeds(replay, supervisor)["delivered"] == 1
    assert (len(places.seen), charged(store)) == (22, 22)


@pytest.fixture
def warehouse(postgres, connect):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS async_rest_loads, locations", "CREATE TABLE locations (id int, page int)")
    return postgres


def test_each_page_of_a_fetched_key_is_a_place(places, store, supervisor, warehouse):
    def answer(seen):
        page = int((re.search(r"cursor=(\d)", seen.query) or [0, 1])[1])
        return web.json_response({"rows": [{"page": page}], "next": str(page + 1) if page < 3 else None})

    places.answer = answer
    task = rest_to_sql(
        sql="SELECT i AS id FROM generate_series(1, 20) AS i ORDER BY i",
        sql_conn_id="source_db",
        rows="rows",
        columns={"id": "item.id", "page": "page"},
        paginate=CursorPages("next"),
    )
    succeeds(task, supervisor)
    assert warehouse.execute("SELECT count(*), max(page) FROM locations") == [(60, 3)]
    assert (len(places.seen), charged(store)) == (60, 60)


def test_a_store_that_is_restarted_between_two_windows_of_a_task_changes_nothing(places, store, tmp_path):
    for window in (1, 2):
        report = succeeds(sql_to_rest(sql=READINGS.format(rows=120)), Supervisor(tmp_path / f"{window}.json"))
        assert (report["delivered"], charged(store)) == (120, 120)  # one without a disk has forgotten what was before
        store.kill()
        store.start()
    assert len(places.seen) == 240
    assert most_in_a_second(seen.at for seen in places.seen) <= RATE + 5
