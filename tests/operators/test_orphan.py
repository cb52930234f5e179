"""A task whose supervisor is killed: it stops soon, and leaves nothing that the next try would not want."""

import asyncio
import os
import select
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from task_runner import Supervisor, run_try, spawn_try
from tasks import ids, make_task, rest_to_sql, sql_to_rest

from airflow_async_rest.compat import task_context

SOON_SECONDS = 20.0  # ten times what is promised: to its end, each of these tasks would take far longer


@pytest.fixture
def orphaned(places, supervisor, monkeypatch):
    """Start a try below a process that is killed once ``when(api)`` is true. :return: the child, which has ended."""

    def start(when, **environment):
        for name, value in {"CONCURRENCY": "8", "PARENT": "1", **environment}.items():
            monkeypatch.setenv(name, value)
        parent = spawn_try("tasks", supervisor.path, 1)
        places.wait_for(when)
        [child] = psutil.Process(parent.pid).children()
        ended = os.pidfd_open(child.pid)  # whoever inherits it may not ask how it has ended
        parent.kill()
        parent.join()
        killed_at = time.monotonic()
        assert select.select([ended], [], [], 30)[0]
        os.close(ended)
        return time.monotonic() - killed_at, killed_at

    return start


def test_a_task_looks_so_often_and_ends_so_soon_that_it_is_gone_within_two_seconds():
    assert task_context._LOOK_SECONDS + task_context._LAST_SECONDS < 2


def test_a_task_whose_supervisor_is_killed_stops_soon(places, supervisor, orphaned):
    async def answer(seen):
        await asyncio.sleep(0.02)
        return 422 if seen.json()["id"] % 50 == 0 else 200

    places.answer = answer
    lived, killed_at = orphaned(lambda api: len(api.delivered) > 300, ROWS="100000")
    assert lived < SOON_SECONDS
    places.wait_until_left()
    assert max(seen.at for seen in places.seen) - killed_at < SOON_SECONDS / 2  # and nothing is sent in the last half
    after = Supervisor(supervisor.path)
    assert after.data["xcom"] == {}
    assert after.checkpoint["position"] <= len(places.seen)


@pytest.mark.release
def test_a_retry_goes_on_from_the_last_checkpoint_and_the_books_are_right(places, supervisor, orphaned, monkeypatch):
    places.answer = lambda seen: "hang" if seen.json()["id"] > 1500 else (422 if seen.json()["id"] == 7 else 200)
    lived, _ = orphaned(lambda api: api.in_flight == 8, ROWS="2000")  # and what hangs is not waited for
    assert lived < SOON_SECONDS
    after = Supervisor(supervisor.path)
    kept = after.checkpoint["position"] if after.checkpoint else 0
    before = len(places.seen)
    places.answer = lambda seen: 200
    monkeypatch.delenv("PARENT")
    assert run_try(make_task(), after, 2)[0] == "success"
    assert [after.report[name] for name in ("read", "delivered", "failed", "unfinished")] == [2000, 2000, 0, 0]
    assert len(places.seen) - before <= 2000 - kept + 8 + 1
    assert set(ids(places.delivered)) == set(range(1, 2001))


def test_one_that_cannot_stop_is_ended(places, supervisor, orphaned):
    """A function of the author's holds the loop up: nobody hears of the stop."""
    places.answer = lambda seen: 200
    lived, _ = orphaned(lambda api: len(api.delivered) >= 1, ROWS="100000", BLOCKS="1")
    assert lived < SOON_SECONDS


@pytest.mark.release
@pytest.mark.parametrize("where", ["plain task", "hook"])
def test_one_whose_supervisor_is_gone_before_it_begins_sends_nothing(places, supervisor, orphaned, tmp_path, where):
    """The author's own work comes first, and takes its time."""
    begun = tmp_path / "begun"
    lived, _ = orphaned(lambda api: begun.exists(), ROWS="2000", BEGUN=str(begun), OUTLIVES_IN=where)
    assert lived < SOON_SECONDS
    assert places.seen == []
    after = Supervisor(supervisor.path)
    assert (after.data["xcom"], after.checkpoint) == ({}, None)


@pytest.mark.release
def test_one_that_was_suspended_while_its_retry_did_all_stops_when_it_goes_on(
    places, supervisor, tmp_path, monkeypatch
):
    """A machine that is gone for a while: its supervisor is as late as the task, and has not noticed anything, either."""
    state = tmp_path / "state"
    for name, value in {"ROWS": "2000", "CONCURRENCY": "8", "AIRFLOW__ASYNC_REST__STATE_PATH": str(state)}.items():
        monkeypatch.setenv(name, value)

    async def answer(seen):
        await asyncio.sleep(0.005)
        return 200

    places.answer = answer
    first = spawn_try("tasks", supervisor.path, 1)
    places.wait_for(lambda api: len(api.delivered) > 300)
    os.kill(first.pid, signal.SIGSTOP)
    retry = Supervisor(tmp_path / "retry.json")
    assert run_try(make_task(), retry, 2)[0] == "success"
    kept = {file: file.read_bytes() for file in state.rglob("*") if file.is_file()}
    before = len(places.seen)
    os.kill(first.pid, signal.SIGCONT)
    first.join(60)
    assert first.exitcode == 1
    assert len(places.seen) - before < 500  # of 1,700: what it sent until it wrote, or looked, once more
    assert {file: file.read_bytes() for file in state.rglob("*") if file.is_file()} == kept
    assert [retry.report[name] for name in ("read", "delivered", "failed", "unfinished")] == [2000, 2000, 0, 0]


def taken_over(supervisor, number):
    """Have a later try take the state over, and leave its report."""
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="microseconds")
    supervisor.data["state"]["try"] = [number, soon, "another", supervisor.data["state"]["try"][3]]
    supervisor.data["xcom"]["return_value"] = "of the later try"


def plain(**arguments):
    from airflow.sdk import task

    from airflow_async_rest.hooks.rest import AsyncRestHook

    @task(task_id="push")
    def push():
        items = [{"id": i} for i in range(1, 101)]
        return AsyncRestHook("search_api").deliver(items, endpoint="readings/{id}", method="PUT", **arguments)

    return push().operator


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("make", "status"), [(sql_to_rest, 200), (sql_to_rest, 422), (plain, 200), (rest_to_sql, 404)])
def test_one_that_was_replaced_leaves_the_report_of_the_later_one(places, supervisor, warehouse, make, status, number):
    """A first try, too, which has no other report to leave."""

    def answer(seen):
        if int(seen.path.rpartition("/")[2]) == 100:
            taken_over(supervisor, number)
        return status

    places.answer = answer
    outcome, error = run_try(make(concurrency=1), supervisor)
    assert (outcome, str(error)) == ("up_for_retry", "a later try of this task has taken over its state")
    assert supervisor.data["xcom"] == {"return_value": "of the later try"}
    assert "progress" not in supervisor.data["state"]


def test_a_run_by_hand_is_not_watched():
    from airflow_async_rest.compat.task_context import watching_supervisor

    before = set(threading.enumerate())
    with watching_supervisor(lambda: None):
        assert set(threading.enumerate()) == before
