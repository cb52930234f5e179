"""Statements that change what they read (``read_only=False``): the change is kept once all rows are settled, or undone.

In Airflow's task runner, with real databases and a real API.
"""

import os
import signal
import socket
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

import pytest
from aiohttp import web
from task_runner import Supervisor, run_try, spawn_try
from tasks import full_disk, ids, in_batches, make_task, rest_to_sql, sql_to_rest

from airflow_async_rest import RequestRetry
from airflow_async_rest.core.errors import LoadError
from airflow_async_rest.core.letters.part_files import PartFiles

ONCE = RequestRetry(max_attempts=1)


@dataclass
class Queue:
    """A table whose rows a statement takes away, in some database."""

    execute: object
    takes: str = "DELETE FROM queue WHERE id > 0 RETURNING id"
    waiting: str = "SELECT count(*) FROM queue"

    def fill(self, first: int, last: int) -> None:
        self.execute("INSERT INTO queue (id) VALUES " + ", ".join(f"({n})" for n in range(first, last + 1)))

    def count(self) -> int:
        [(count,)] = self.execute(self.waiting)
        return count

    def task(self, **arguments):
        return sql_to_rest(
            **{"sql": self.takes, "read_only": False, "request_retry": ONCE, "concurrency": 4} | arguments
        )


CLAIM = (
    "CREATE OR REPLACE FUNCTION claim() RETURNS SETOF int LANGUAGE sql AS "
    "'UPDATE queue SET taken = true WHERE NOT taken RETURNING id'"
)


@pytest.fixture
def queue(places, postgres):
    """A table of PostgreSQL."""
    postgres.execute(
        "DROP TABLE IF EXISTS queue CASCADE", "CREATE TABLE queue (id int, taken bool DEFAULT false)", CLAIM
    )
    return Queue(postgres.execute)


@pytest.fixture
def claims(queue):
    """The same, whose rows a function marks."""
    queue.takes, queue.waiting = "SELECT id FROM claim() AS id ORDER BY id", f"{queue.waiting} WHERE NOT taken"
    return queue


@pytest.fixture
def sqlite_queue(places, connect, tmp_path):
    """A table of SQLite."""
    path = tmp_path / "queue.db"
    connect("source_db", conn_type="sqlite", host=str(path))

    def execute(*statements):
        with sqlite3.connect(path) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    execute("CREATE TABLE queue (id int)")
    return Queue(execute)


@pytest.fixture(params=["queue", "claims", "sqlite_queue"])
def any_queue(request):
    """Each of these, with 300 rows."""
    queue = request.getfixturevalue(request.param)
    queue.fill(1, 300)
    return queue


def sigterm(seen):
    os.kill(os.getpid(), signal.SIGTERM)
    return 200


STOPS = {"401": lambda seen: 401, "503": lambda seen: 503, "reset": lambda seen: "reset", "SIGTERM": sigterm}


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_leaves_all_rows_where_they_are_and_a_retry_sends_what_is_missing(places, supervisor, any_queue, stop):
    places.answer = lambda seen: STOPS[stop](seen) if len(places.seen) > 20 else 200
    state, _ = run_try(any_queue.task(), supervisor)
    before = set(ids(places.delivered))
    assert (state, any_queue.count()) == ("up_for_retry", 300)
    assert 20 <= len(before) < 300
    places.reset()
    places.answer = lambda seen: 200
    assert run_try(any_queue.task(), supervisor, 2) == ("success", None)
    assert before.isdisjoint(ids(places.seen))
    assert before.union(ids(places.seen)) == set(range(1, 301))
    assert (any_queue.count(), supervisor.report["read"], supervisor.report["delivered"]) == (0, 300, 300)


def test_so_does_the_deadline(places, supervisor, queue):
    queue.fill(1, 300)
    places.answer = lambda seen: "hang" if len(places.seen) > 20 else 200
    state, error = run_try(queue.task(execution_timeout=timedelta(seconds=6)), supervisor)
    assert (state, queue.count()) == ("up_for_retry", 300)
    assert "execution_timeout is 6 s" in str(error)


def test_so_does_an_api_that_is_away(places, supervisor, queue, connect):
    queue.fill(1, 300)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    connect("search_api", conn_type="async_rest", host=f"http://127.0.0.1:{port}")
    assert run_try(queue.task(), supervisor)[0] == "up_for_retry"
    assert queue.count() == 300


@pytest.mark.parametrize("rows", [0, 1, 25])
@pytest.mark.parametrize("many", [{}, in_batches(10)])
def test_what_is_delivered_is_taken(places, supervisor, queue, rows, many):
    queue.execute("SELECT 1")
    if rows:
        queue.fill(1, rows)
    if many:
        places.answer = lambda seen: web.json_response([{"status": 200} for _ in seen.body.splitlines()])
    assert run_try(queue.task(**many), supervisor) == ("success", None)
    assert (queue.count(), supervisor.report["delivered"], supervisor.report["complete"]) == (0, rows, True)


@pytest.mark.release
def test_a_sigkill_leaves_all_rows_where_they_are(places, supervisor, queue, monkeypatch):
    queue.fill(1, 2000)
    monkeypatch.setenv("TAKES", queue.takes)
    monkeypatch.setenv("WRITE_EVERY_SECONDS", "0.02")  # else a fast machine is done before the first checkpoint
    process = spawn_try("tasks", supervisor.path, 1)
    places.wait_for(lambda api: len(api.seen) >= 1000)
    process.kill()
    process.join()
    places.wait_for(lambda api: api.in_flight == 0)
    before = set(ids(places.delivered))
    assert queue.count() == 2000
    places.reset()
    assert run_try(make_task(), Supervisor(supervisor.path), 2)[0] == "success"
    assert before.union(ids(places.seen)) == set(range(1, 2001))
    assert (len(places.seen) < 2000, queue.count()) == (True, 0)


def test_a_commit_that_fails_is_tried_again_with_nothing_to_send(places, supervisor, queue):
    queue.fill(1, 30)

    def lose_the_session(seen):
        if len(places.seen) == 30:
            queue.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
            )
        return 200

    places.answer = lose_the_session
    state, error = run_try(queue.task(), supervisor)
    assert (state, queue.count()) == ("up_for_retry", 30)
    assert "what the sql has changed could not be committed: " in str(error)
    places.reset()
    assert run_try(queue.task(), supervisor, 2) == ("success", None)
    assert (places.seen, queue.count(), supervisor.report["delivered"]) == ([], 0, 30)


def test_nothing_is_taken_before_its_dead_letters_are_written(places, supervisor, queue, monkeypatch):
    queue.fill(1, 30)
    places.answer = lambda seen: 422 if seen.path.endswith("/3") else 200
    with monkeypatch.context() as patch:
        patch.setattr(PartFiles, "_write_whole", full_disk)
        state, _ = run_try(queue.task(max_failures=1), supervisor)
    assert (state, queue.count()) == ("up_for_retry", 30)
    places.reset()
    assert run_try(queue.task(max_failures=1), supervisor, 2) == ("success", None)
    assert (ids(places.seen), queue.count()) == ([3], 0)


def fails_on_three(row):
    return {"id": row["id"]} if row["id"] != 3 else 1 / 0


# Failures that no replay can mend: what is done about them needs the row.
UNDONE = {
    "a transform": ({"transform": fails_on_three}, lambda seen: 200, {}),
    "an endpoint": ({"endpoint": "readings/{name}"}, lambda seen: 200, {"endpoint": "readings/{id}"}),
    "a method": ({"method": "POST"}, lambda seen: 405 if seen.path.endswith("/3") else 200, {"method": "POST"}),
    "all of them": ({}, lambda seen: 404, {}),
}


@pytest.mark.parametrize("case", UNDONE)
def test_what_a_replay_cannot_bring_stays_where_it_is(places, supervisor, queue, case):
    wrong, places.answer, mended = UNDONE[case]
    sql = "DELETE FROM queue RETURNING id, CASE WHEN id <> 3 THEN id END AS name"
    queue.fill(1, 10)
    state, error = run_try(queue.task(sql=sql, **wrong), supervisor)
    assert (state in {"failed", "up_for_retry"}, queue.count()) == (True, 10)
    assert "What the sql has changed is undone, so the same rows can be read again. " in str(error)
    assert supervisor.report["complete"] is False
    delivered = set(ids(places.delivered))
    places.reset()
    places.answer = lambda seen: 200
    assert run_try(queue.task(sql=sql, **mended), supervisor, 2) == ("success", None)
    assert delivered.union(ids(places.seen)) == set(range(1, 11))
    assert (queue.count(), supervisor.report["complete"]) == (0, True)


def test_failures_that_are_accepted_are_taken_whatever_they_are(places, supervisor, queue):
    queue.fill(1, 10)
    assert run_try(queue.task(transform=fails_on_three, max_failures=1), supervisor) == ("success", None)
    assert (queue.count(), supervisor.report["reasons"]) == (0, {"transform": 1})
    assert supervisor.data["xcom"]["failed_items"][0]["row"] == {"id": 3}


@pytest.mark.parametrize("status", [422, 500])
def test_what_failed_is_in_the_dead_letters_alone_and_no_retry_takes_other_rows_for_it(
    places, supervisor, any_queue, tmp_path, status
):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    places.answer = lambda seen: status if seen.path.endswith("/3") else 200
    state, error = run_try(any_queue.task(), supervisor)
    assert (state, any_queue.count()) == ("failed", 0)  # Airflow's retry would find other rows
    assert "cannot be read again" in str(error)
    assert "replay the dead letters in file://" in str(error)
    assert "A retry sends only these" not in str(error)
    places.reset()
    places.answer = lambda seen: 200
    any_queue.fill(1, 5)  # with keys that were there before
    state, error = run_try(any_queue.task(), supervisor, 2)
    assert (state, any_queue.count(), places.seen) == ("failed", 5, [])
    assert "cannot be read again" in str(error)
    assert (supervisor.report["read"], supervisor.report["failed"]) == (300, 1)

    letters = supervisor.report["dead_letters"]
    replay = ReplayDeadLettersOperator(task_id="replay", http_conn_id="search_api", dead_letters=letters)
    assert run_try(replay, Supervisor(tmp_path / "replay.json"))[0] == "success"
    assert ids(places.seen) == [3]
    places.reset()
    assert run_try(any_queue.task(), supervisor, 3, max_tries=4) == ("success", None)  # once it is cleared
    assert (sorted(ids(places.seen)), any_queue.count()) == ([1, 2, 3, 4, 5], 0)


@pytest.mark.parametrize("known", ["begun", "done"])
def test_a_try_that_ended_after_its_commit_has_done_all_there_was(places, supervisor, queue, monkeypatch, known):
    queue.fill(1, 30)
    places.answer = lambda seen: 422 if seen.path.endswith("/3") else 200
    with monkeypatch.context() as patch:
        patch.setenv("XCOM_FAILS", "yes")
        assert run_try(queue.task(max_failures=1), supervisor)[0] == "up_for_retry"
    del supervisor.checkpoint["report"]
    supervisor.checkpoint["totals"] |= {"commit": known, "complete": False}
    queue.fill(31, 33)
    places.reset()
    assert run_try(queue.task(max_failures=1), supervisor, 2) == ("success", None)
    assert (places.seen, queue.count(), supervisor.report["delivered"]) == ([], 3, 29)


# Rows that are fetched for.


@pytest.fixture
def warehouse(places, postgres, connect):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS async_rest_loads, loaded", "CREATE TABLE loaded (id int PRIMARY KEY)")
    places.answer = lambda seen: []
    return lambda: [row[0] for row in postgres.execute("SELECT id FROM loaded ORDER BY id")]


def fetching(queue, **arguments):
    return rest_to_sql(
        **{
            "sql": queue.takes,
            "sql_conn_id": "source_db",
            "read_only": False,
            "rows": None,
            "columns": {"id": "item.id"},
            "destination_table": "loaded",
            "concurrency": 4,
            "request_retry": ONCE,
        }
        | arguments
    )


def a_row(seen):
    return web.json_response([{}])


@pytest.mark.parametrize("stop", ["401", "SIGTERM"])
def test_a_fetch_that_stops_leaves_all_rows_and_a_retry_fetches_what_is_missing(
    places, supervisor, any_queue, warehouse, stop
):
    places.answer = lambda seen: STOPS[stop](seen) if len(places.seen) > 20 else a_row(seen)
    assert run_try(fetching(any_queue), supervisor)[0] == "up_for_retry"
    assert (any_queue.count(), warehouse()) == (300, [])
    places.reset()
    places.answer = a_row
    assert run_try(fetching(any_queue), supervisor, 2) == ("success", None)
    assert (any_queue.count(), warehouse()) == (0, list(range(1, 301)))
    assert len(places.seen) < 300


def test_what_is_not_fetched_stays_where_it_is_for_no_replay_brings_it(places, supervisor, queue, warehouse):
    queue.fill(1, 30)
    places.answer = lambda seen: 500 if seen.path.endswith("/3") else a_row(seen)
    state, error = run_try(fetching(queue), supervisor)
    assert (state, queue.count(), len(warehouse())) == ("up_for_retry", 30, 29)
    assert "What the sql has changed is undone" in str(error)
    places.reset()
    places.answer = a_row
    assert run_try(fetching(queue), supervisor, 2) == ("success", None)
    assert (ids(places.seen), queue.count(), warehouse()) == ([3], 0, list(range(1, 31)))


@pytest.mark.parametrize("call", ["stage", "merge"])
@pytest.mark.parametrize("cleared", [False, True])
def test_a_load_that_fails_loses_nothing(places, supervisor, queue, warehouse, monkeypatch, call, cleared):
    queue.fill(1, 30)
    places.answer = a_row

    def fail(*_, **__):
        raise LoadError("the warehouse is away")

    with monkeypatch.context() as patch:
        patch.setattr(f"airflow_async_rest.load.loader.TableLoader.{call}", fail)
        assert run_try(fetching(queue), supervisor)[0] == "up_for_retry"
    assert queue.count() == (30 if call == "stage" else 0)  # what is staged is not lost
    queue.fill(31, 33)
    places.reset()
    assert run_try(fetching(queue), supervisor, 2, max_tries=4 if cleared else 3) == ("success", None)
    assert queue.count() + len(warehouse()) == 33
    assert warehouse()[:30] == list(range(1, 31))


@pytest.mark.parametrize("allowed", [False, True])
def test_rows_for_which_nothing_came_stay_where_they_are_unless_that_is_allowed(
    places, supervisor, queue, warehouse, postgres, allowed
):
    queue.fill(1, 3)
    postgres.execute(
        "DROP TABLE loaded",
        "CREATE TABLE loaded (id int, at timestamptz)",
        "INSERT INTO loaded VALUES (9, '2026-11-01Z')",
    )
    replace = {
        "load_mode": "replace_window",
        "window_column": "at",
        "columns": {"id": "item.id", "at": "window.start"},
    }
    places.answer = lambda seen: web.json_response([])
    state, _ = run_try(fetching(queue, **replace, allow_empty_window=allowed), supervisor)
    assert (state, queue.count(), warehouse()) == (("success", 0, []) if allowed else ("failed", 3, [9]))
    if not allowed:
        places.answer = a_row
        assert run_try(fetching(queue, **replace), supervisor, 2, max_tries=4) == ("success", None)
        assert (queue.count(), warehouse()) == (0, [1, 2, 3])


def test_rows_may_be_taken_in_the_table_that_is_loaded_into(places, supervisor, queue, warehouse, postgres):
    postgres.execute("ALTER TABLE loaded ADD taken bool, ADD name text", "INSERT INTO loaded VALUES (1), (2), (3)")
    places.answer = lambda seen: web.json_response([{"name": seen.path}])
    queue.takes = "UPDATE loaded SET taken = true WHERE taken IS NULL RETURNING id"
    load = {"columns": {"id": "item.id", "name": "name"}, "load_mode": "upsert", "conflict_key": "id"}
    assert run_try(fetching(queue, **load), supervisor) == ("success", None)
    assert postgres.execute("SELECT id, taken, name FROM loaded ORDER BY id") == [
        (number, True, f"/locations/{number}") for number in (1, 2, 3)
    ]


def test_sqlite_cannot_take_rows_in_the_file_that_is_loaded_into(places, supervisor, sqlite_queue, connect, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "queue.db")
    connect("warehouse", conn_type="sqlite", host=str(tmp_path / "link.db"))
    sqlite_queue.execute("CREATE TABLE loaded (id int)")
    sqlite_queue.fill(1, 3)
    state, error = run_try(fetching(sqlite_queue), supervisor)
    assert (state, sqlite_queue.count(), places.seen) == ("failed", 3, [])
    assert "read_only=False: sql changes the SQLite file that destination_conn_id='warehouse' loads into" in str(error)
