"""Rows go out and come in, and what failed is sent again, by whole DAGs."""

import json
from datetime import date

import pytest
from aiohttp import web
from fsspec.implementations.memory import MemoryFileSystem

try:
    from airflow.sdk.io import attach
except ImportError:
    from airflow.io.store import attach  # 2


def ids(seen):
    return sorted(int(one.path.rpartition("/")[2]) for one in seen)


def places(seen):
    number = int(seen.path.rpartition("/")[2])
    return web.json_response({"data": [{"place": f"place {number}", "day": "2026-03-01"}]})


def added_up(report):
    return report["read"] == sum(report[part] for part in ("delivered", "failed", "skipped", "unfinished"))


def test_the_rows_of_the_window_are_sent(run, api):
    done = run("single")
    report = done.xcom("post")
    assert (done.state, report["delivered"], added_up(report)) == ("success", 10, True)
    assert ids(api.seen) == list(range(1, 11))
    assert report["window_start"].startswith("2026-03-01T00:00")
    assert len({one.key for one in api.seen}) == 10


def test_the_rows_of_the_window_are_sent_in_batches(run, api):
    api.answer = lambda seen: web.json_response([{"status": 200} for _ in seen.body.splitlines()])
    report = run("batch").xcom("post")
    assert (report["delivered"], report["requests"], added_up(report)) == (10, 2, True)
    assert sorted(json.loads(line)["id"] for one in api.seen for line in one.body.splitlines()) == list(range(1, 11))


@pytest.mark.parametrize("mode", ["append", "replace_window", "upsert"])
def test_rows_are_loaded(run, api, postgres, mode):
    api.answer = places
    if mode != "append":
        postgres.execute("INSERT INTO places VALUES (1, 'older', '2026-03-01'), (99, 'other', '2026-02-01')")
    done = run(f"load_{mode}")
    assert (done.state, done.xcom("fetch")["rows_loaded"]) == ("success", 10)
    found = postgres.execute("SELECT id, place, day FROM places WHERE id < 99 ORDER BY id")
    assert found == [(number, f"place {number}", date(2026, 3, 1)) for number in range(1, 11)]
    assert len(postgres.execute("SELECT 1 FROM places WHERE id = 99")) == (mode != "append")


@pytest.mark.parametrize("where", ["disk", "storage"])
def test_what_failed_is_a_dead_letter_and_is_replayed(run, api, monkeypatch, where):
    if where == "storage":
        attach("memory", fs=MemoryFileSystem())
        monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", "memory://bucket/dead_letters")
    refused = {4, 7}
    api.answer = lambda seen: 422 if ids([seen])[0] in refused and len(api.seen) <= 10 else 200
    done = run(f"replays_from_{where}")
    assert (done.state, done.xcom("post")["failed"]) == ("success", 2)
    assert done.xcom("post")["dead_letters"].startswith("file://" if where == "disk" else "memory://")
    assert sorted(one["key"] for one in done.xcom("post", "failed_items")) == [4, 7]
    assert (done.xcom("replay")["delivered"], ids(api.seen[10:])) == (2, [4, 7])
    keys = {one.path: one.key for one in api.seen[:10]}
    assert all(keys[one.path] == one.key for one in api.seen[10:])


def test_what_failed_in_mapped_tasks_is_replayed(run, api):
    api.answer = lambda seen: 422 if ids([seen])[0] in {3, 13} and len(api.seen) <= 20 else 200
    done = run("mapped")
    assert (done.state, done.states("post")) == ("success", ["success", "success"])
    assert ids(api.seen[20:]) == [3, 13]


def test_a_mapped_task_without_windows_leaves_nothing_to_replay(run):
    done = run("no_windows")
    assert (done.states("post"), done.states("replay")) == (["skipped"], ["success"])


def test_what_mapped_tasks_return_is_delivered_and_asked_for(run, api):
    api.answer = lambda seen: places(seen) if seen.method == "GET" else 200
    done = run("items_of_mapped")
    assert (done.state, done.xcom("push_numbers")["delivered"]) == ("success", 3)
    assert done.xcom("fetch")["rows_loaded"] == 3


def test_too_many_failures_fail_the_task_and_leave_the_report(run, api):
    api.answer = lambda seen: 422 if ids([seen])[0] == 5 else 200
    done = run("fails")
    assert (done.state, done.states("post")) == ("failed", ["failed"])
    assert (done.xcom("post")["delivered"], done.xcom("post")["failed"]) == (9, 1)


def test_plain_tasks_deliver_and_fetch(run, api):
    api.answer = lambda seen: places(seen) if seen.method == "GET" else 200
    done = run("plain")
    assert (done.state, done.xcom("push")["delivered"]) == ("success", 3)
    assert sorted(done.xcom("pull")) == ["place 1", "place 2"]
