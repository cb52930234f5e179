"""SIGTERM and SIGKILL, for real: the task in a process of its own, ended as Airflow or the kernel ends it."""

import os
import random
import signal
import threading
from collections import defaultdict

import pytest
from task_runner import Supervisor, run_try, spawn_try
from tasks import ids, make_task, sql_to_rest

from airflow_async_rest.core.bounds import USUAL

AIRFLOWS_PATIENCE_SECONDS = 5  # between its SIGTERM and its SIGKILL
ON_A_BUSY_MACHINE = 10  # times as much: what a stop waits for is bounded by itself, and takes less than half of it here


def terminate_as_airflow_does(process) -> None:
    process.terminate()
    process.join(ON_A_BUSY_MACHINE * AIRFLOWS_PATIENCE_SECONDS)
    process.kill()
    process.join()


@pytest.fixture
def environment(monkeypatch):
    """What a task of :mod:`tasks` is steered by, here and in a process of its own."""

    def steer(**settings) -> dict:
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        return {}

    return steer


def test_a_kill_while_256_requests_hang_keeps_everything_and_the_retry_delivers_them(places, supervisor, environment):
    environment(ROWS=2000, CONCURRENCY=256)
    places.answer = lambda seen: "hang" if seen.json()["id"] > 300 else (422 if seen.json()["id"] == 7 else 200)
    process = spawn_try("tasks", supervisor.path, 1)
    places.wait_for(lambda api: api.in_flight == 256)
    terminate_as_airflow_does(process)
    after = Supervisor(supervisor.path)
    assert after.data["outcome"] == "up_for_retry"  # it raised by itself: the SIGKILL came too late
    assert after.report["unfinished"] == len(after.checkpoint["unfinished"]) == 256
    assert [item["key"] for item in after.data["xcom"]["failed_items"]] == [7]
    assert (after.report["delivered"], after.report["failed"], after.report["read"]) == (299, 1, 556)
    places.reset()
    places.answer = lambda seen: 200
    state, _ = run_try(make_task(), after, 2)
    assert state == "success"
    assert sorted(ids(places.seen)) == [7, *range(301, 2001)]


def test_a_stop_waits_for_less_than_airflow_does():
    assert USUAL.grace_seconds + USUAL.after_stop_seconds < 4 < AIRFLOWS_PATIENCE_SECONDS


def test_a_kill_before_the_task_has_begun_is_not_lost(places, supervisor):
    task = sql_to_rest(pre_execute=lambda _: os.kill(os.getpid(), signal.SIGTERM))
    state, error = run_try(task, supervisor)
    assert (state, "the task was killed" in str(error), places.seen) == ("up_for_retry", True, [])
    task = sql_to_rest()
    assert run_try(task, Supervisor(supervisor.path), 2)[0] == "success"


def test_a_kill_while_the_database_works_cancels_the_statement(places, supervisor, postgres):
    # A streaming cursor does its work when it is fetched from.
    working = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'FETCH %' AND state = 'active'"
    )

    def wait_until_working(sessions: int) -> None:
        for _ in range(10_000):
            if postgres.execute(working) == [(sessions,)]:
                return
        raise AssertionError(f"there never were {sessions} sessions working")

    def kill_when_working():
        wait_until_working(1)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=kill_when_working)
    killer.start()
    state, error = run_try(sql_to_rest(sql="SELECT 1 AS id FROM pg_sleep(60)"), supervisor)
    killer.join()
    assert state == "up_for_retry"
    assert "the task was killed" in str(error)
    wait_until_working(0)  # long before the sleep would have ended by itself


@pytest.mark.release
def test_sigkill_at_ten_random_moments_loses_nothing_and_sends_little_twice(places, supervisor, environment):
    rows, kills = 5_000, 10
    environment(ROWS=rows)
    chance = random.Random(20261101)
    moments = sorted(chance.sample(range(1, rows - 500), kills))
    keys, twice, last = defaultdict(set), 0, None
    sent_before: set[int] = set()
    paths: set[str] = set()

    def look(after: dict | None) -> int:
        """Check one try's requests against the checkpoint it started from; return how many went out again."""
        again = 0
        for seen, row in zip(places.seen, ids(places.seen), strict=True):
            keys[row].add(seen.key)
            if row in sent_before:
                again += 1
                assert after is None or row - 1 >= after["position"] or row - 1 in after["unfinished"]
        sent_before.update(ids(places.seen))
        paths.update(seen.path for seen in places.seen)
        places.seen.clear()
        return again

    for number, moment in enumerate(moments, 1):
        process = spawn_try("tasks", supervisor.path, number)
        places.wait_for_targets(moment, paths)
        process.kill()
        process.join()
        places.wait_until_left()
        twice += look(last)
        last = Supervisor(supervisor.path).checkpoint
    state, _ = run_try(make_task(), Supervisor(supervisor.path), kills + 1)
    twice += look(last)
    assert state == "success"
    assert set(ids(places.delivered)) == set(range(1, rows + 1))
    assert all(len(its) == 1 for its in keys.values())
    print(f"{rows} rows, {kills} kills at {moments}: {twice} requests sent again")


BAD_DAYS = [{"XCOM_FAILS": "yes"}, {"DISK_IS_FULL": "yes"}, {"STATE_STORE_SECONDS": "0.3"}]


@pytest.mark.release
def test_ten_sigkills_on_bad_days_lose_nothing_and_send_again_what_no_checkpoint_counts(
    places, supervisor, environment, monkeypatch
):
    """A push of XCom that fails, a full disk and a slow state store, in turn; at the end each once more, to its end."""
    from airflow_async_rest.tasks.storage.folders import open_folder

    rows, refused = 4_000, set(range(50, 4_001, 97))
    environment(ROWS=rows, MAX_FAILURES=len(refused))
    places.answer = lambda seen: 422 if seen.json()["id"] in refused else 200
    paths: set[str] = set()
    tries = 0

    def one_try(fault, moment=None):
        """Run a try, to its end or to a SIGKILL. :return: the rows it sent, all of which it had to send."""
        nonlocal tries
        tries += 1
        before = Supervisor(supervisor.path).checkpoint
        with monkeypatch.context() as patch:
            for name, value in fault.items():
                patch.setenv(name, value)
            process = spawn_try("tasks", supervisor.path, tries)
        if moment is not None:
            places.wait_for_targets(moment, paths)
            process.kill()
        process.join()
        places.wait_until_left()
        sent = ids(places.seen)
        assert len(set(sent)) == len(sent)
        if before is not None:
            done = set(range(1, before["position"] + 1)) - {index + 1 for index in before["unfinished"]} - refused
            assert done.isdisjoint(sent)
        paths.update(seen.path for seen in places.seen)
        places.seen.clear()
        return sent

    moments = sorted(random.Random(20261102).sample(range(1, rows - 500), 10))
    for number, moment in enumerate(moments):
        one_try(BAD_DAYS[number % len(BAD_DAYS)], moment)
    one_try(BAD_DAYS[1])  # as much as is left
    assert Supervisor(supervisor.path).data["outcome"] == "up_for_retry"
    assert refused.issuperset(one_try(BAD_DAYS[1]))
    assert refused.issuperset(one_try(BAD_DAYS[0]))
    assert Supervisor(supervisor.path).data["outcome"] == "up_for_retry"
    assert one_try({"DIES_BEFORE_SUCCESS": "yes"}) == []  # all was delivered
    assert one_try(BAD_DAYS[2]) == []
    after = Supervisor(supervisor.path)
    assert (after.data["outcome"], after.checkpoint) == ("success", None)
    assert set(ids(places.delivered)) == set(range(1, rows + 1)) - refused
    counts = [after.report[name] for name in ("read", "delivered", "failed", "skipped", "unfinished")]
    assert counts == [rows, rows - len(refused), len(refused), 0, 0]
    assert open_folder(after.report["dead_letters"]).read().keys() == {number - 1 for number in refused}
