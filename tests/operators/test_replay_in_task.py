"""Dead letters sent again by the very task that failed: what a Clear does after Airflow's UI asked for it."""

import json
import os
import signal

import pytest
from task_runner import Supervisor, run_try, spawn_try
from tasks import READINGS, ids, sql_to_rest

from airflow_async_rest import Batch, RequestRetry

ONCE = RequestRetry(max_attempts=1)
UNAVAILABLE, REFUSED = list(range(3, 101, 10)), list(range(7, 101, 10))
COUNTS = ("read", "delivered", "failed", "skipped", "unfinished")


def ask(supervisor: Supervisor, **request) -> None:
    """Write what the button of the UI writes."""
    supervisor.data["state"]["replay"] = {"reasons": None, "search": "", "count": 1} | request


def clear(task, supervisor, *, of_try=1, **arguments):
    """Run the first try after a Clear of a task that ended with a try."""
    return run_try(task, supervisor, of_try + 1, max_tries=of_try + 3, **arguments)


def counts(supervisor) -> list[int]:
    return [supervisor.report[name] for name in COUNTS]


@pytest.fixture
def failed(places, supervisor):
    """A task of which ids ending in 3 got 503, those ending in 7 got 422; the API takes them all now."""
    places.answer = lambda seen: {"3": 503, "7": 422}.get(seen.path[-1], 200)
    assert run_try(sql_to_rest(request_retry=ONCE), supervisor)[0] == "up_for_retry"
    places.reset()
    places.answer = lambda seen: 200
    return supervisor


@pytest.fixture
def accepted(places, supervisor):
    """A task that succeeded with twenty failures; the API takes them all now."""
    places.answer = lambda seen: {"3": 503, "7": 422}.get(seen.path[-1], 200)
    assert run_try(sql_to_rest(request_retry=ONCE, max_failures=20), supervisor)[0] == "success"
    places.reset()
    places.answer = lambda seen: 200
    return supervisor


def test_all_are_sent_again_and_nothing_else(places, failed):
    ask(failed)
    assert clear(sql_to_rest(request_retry=ONCE), failed) == ("success", None)
    assert sorted(ids(places.seen)) == sorted(UNAVAILABLE + REFUSED)
    assert counts(failed) == [100, 100, 0, 0, 0]
    report = failed.report
    assert report["replay"] == {"sent": 20, "delivered": 20, "failed": 0}
    assert (report["complete"], report["dead_letters"], report["reasons"], report["requests"]) == (True, None, {}, 120)
    assert failed.data["xcom"]["failed_items"] == []
    assert failed.data["state"]["progress"]["replay"]["delivered"] == 20


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({"reasons": ["http_503"]}, UNAVAILABLE),
        ({"reasons": []}, []),
        ({"search": "READINGS/4"}, [43, 47]),
        ({"reasons": ["http_422"], "search": '"value":100.5'}, [67]),
    ],
)
def test_only_those_of_the_filter_are_sent_again(places, failed, request_, sent):
    from airflow_async_rest.tasks.storage.folders import open_folder

    ask(failed, **request_)
    assert clear(sql_to_rest(request_retry=ONCE), failed)[0] in {"failed", "up_for_retry"}
    assert sorted(ids(places.seen)) == sent
    left = 20 - len(sent)
    assert counts(failed) == [100, 80 + len(sent), left, 0, 0]
    assert len(failed.data["xcom"]["failed_items"]) == left
    assert len(open_folder(failed.report["dead_letters"]).read()) == left


def test_a_task_that_succeeded_with_failures_goes_on_with_its_account(places, accepted):
    assert accepted.checkpoint is None
    ask(accepted, reasons=["http_422"])
    assert clear(sql_to_rest(request_retry=ONCE, max_failures=20), accepted)[0] == "success"
    assert sorted(ids(places.seen)) == REFUSED
    assert counts(accepted) == [100, 90, 10, 0, 0]
    places.reset()
    ask(accepted)
    assert clear(sql_to_rest(request_retry=ONCE), accepted, of_try=2)[0] == "success"
    assert sorted(ids(places.seen)) == UNAVAILABLE
    assert counts(accepted) == [100, 100, 0, 0, 0]


def test_the_report_knows_of_the_replays_of_earlier_tries(places, failed):
    """Which XCom does not: a retry and a Clear wipe it."""
    places.answer = lambda seen: {"7": 422}.get(seen.path[-1], 200)
    ask(failed)
    assert clear(sql_to_rest(), failed)[0] == "failed"
    first = {"sent": len(UNAVAILABLE + REFUSED), "delivered": len(UNAVAILABLE), "failed": len(REFUSED)}
    assert (failed.report["replay"], failed.report["replays"]) == (first, {"2": first})
    ask(failed)
    assert clear(sql_to_rest(), failed, of_try=2)[0] == "failed"
    second = {"sent": len(REFUSED), "delivered": 0, "failed": len(REFUSED)}
    assert failed.report["replays"] == {"2": first, "3": second}
    places.answer = lambda seen: 200
    assert clear(sql_to_rest(), failed, of_try=3)[0] == "success"
    assert "replay" not in failed.report
    assert failed.report["replays"] == {"2": first, "3": second}


def test_the_requests_are_those_that_failed_with_the_same_keys(places, supervisor):
    places.answer = lambda seen: 422
    run_try(sql_to_rest(sql="SELECT 1 AS id, 12345678901234567890.10::numeric AS exact"), supervisor)
    [before] = places.seen
    places.reset()
    places.answer = lambda seen: 200
    ask(supervisor)
    # What the arguments say meanwhile is none of its business: another row, another request.
    other = sql_to_rest(sql="SELECT 1 AS id, 2 AS exact", transform=lambda row: {"x": 1})
    assert clear(other, supervisor)[0] == "success"
    [again] = places.seen
    assert (again.method, again.path, again.body, again.key) == (before.method, before.path, before.body, before.key)


def test_rows_without_a_request_stay_dead(places, supervisor):
    def transform(row):
        return {"x": float("nan") if row["id"] == 1 else 1}

    places.answer = lambda seen: 422
    rows = {"sql": READINGS.format(rows=3), "transform": transform}
    run_try(sql_to_rest(**rows), supervisor)
    assert supervisor.report["reasons"] == {"http_422": 2, "encode": 1}
    places.reset()
    places.answer = lambda seen: 200
    ask(supervisor)
    assert clear(sql_to_rest(**rows), supervisor)[0] == "failed"
    assert sorted(ids(places.seen)) == [2, 3]
    assert (counts(supervisor), supervisor.report["reasons"]) == ([3, 2, 1, 0, 0], {"encode": 1})


def test_bulk_requests_go_again_as_they_were(places, supervisor):
    batch = Batch(max_items=10, format="ndjson", split_on=())
    bulk = {"endpoint": "_bulk", "method": "POST", "batch": batch, "sql": READINGS.format(rows=30), "concurrency": 1}
    places.answer = lambda seen: 409 if b'"id":15,' in seen.body else 200
    run_try(sql_to_rest(**bulk), supervisor)
    assert counts(supervisor) == [30, 20, 10, 0, 0]
    [dead] = [(seen.key, seen.body) for seen in places.seen if b'"id":15,' in seen.body]
    places.reset()
    places.answer = lambda seen: 200
    ask(supervisor)
    assert clear(sql_to_rest(**bulk), supervisor)[0] == "success"
    assert [(seen.key, seen.body) for seen in places.seen] == [dead]
    assert counts(supervisor) == [30, 30, 0, 0, 0]


def test_what_fails_again_stays_and_a_retry_sends_the_rest_of_the_same_request(places, failed):
    places.answer = lambda seen: 503 if seen.path.endswith("/43") else 200
    ask(failed, reasons=["http_503"])
    state, _ = clear(sql_to_rest(request_retry=ONCE, max_failures=10), failed)
    assert state == "up_for_retry"
    assert failed.report["replay"] == {"sent": 10, "delivered": 9, "failed": 1}
    assert counts(failed) == [100, 89, 11, 0, 0]
    places.reset()
    places.answer = lambda seen: 200
    assert run_try(sql_to_rest(request_retry=ONCE, max_failures=10), failed, 3, max_tries=4)[0] == "success"
    assert ids(places.seen) == [43]
    assert counts(failed) == [100, 90, 10, 0, 0]


def test_another_clear_is_no_replay_any_more(places, failed, accepted):
    ask(accepted)
    clear(sql_to_rest(request_retry=ONCE), accepted)
    places.reset()
    assert clear(sql_to_rest(request_retry=ONCE), accepted, of_try=2)[0] == "success"
    assert sorted(ids(places.seen)) == list(range(1, 101))  # as any Clear of a success
    assert not {"replay", "replaying"} & accepted.data["state"].keys()
    assert "replay" not in accepted.report


def test_a_clear_of_a_failure_after_a_replay_goes_on_where_it_ended(places, failed):
    ask(failed, reasons=["http_422"])
    clear(sql_to_rest(request_retry=ONCE), failed)
    places.reset()
    assert clear(sql_to_rest(request_retry=ONCE), failed, of_try=2)[0] == "success"
    assert sorted(ids(places.seen)) == UNAVAILABLE
    assert counts(failed) == [100, 100, 0, 0, 0]


def test_a_window_that_was_not_read_to_its_end_is_no_success(places, supervisor):
    def answer(seen):
        if seen.path.endswith("/200"):
            os.kill(os.getpid(), signal.SIGTERM)
        return 422 if seen.path == "/readings/7" else 200

    places.answer = answer
    rows = READINGS.format(rows=400)
    state, _ = run_try(sql_to_rest(sql=rows, concurrency=1), supervisor)
    assert state == "up_for_retry"
    read = supervisor.report["read"]
    assert (read < 400, supervisor.report["complete"]) == (True, False)
    places.reset()
    places.answer = lambda seen: 200
    ask(supervisor, reasons=["http_422"])
    state, error = clear(sql_to_rest(sql=rows), supervisor)
    assert (state, ids(places.seen)) == ("failed", [7])
    assert "stopped before it had read all its rows: clear the task, and it goes on there" in str(error)
    assert supervisor.report["complete"] is False
    places.reset()
    assert clear(sql_to_rest(sql=rows), supervisor, of_try=2)[0] == "success"
    assert 7 not in ids(places.seen)
    assert counts(supervisor) == [400, 400, 0, 0, 0]


@pytest.mark.parametrize(
    "request_",
    [{"reason": ["http_422"]}, {"reasons": "http_422"}, {"reasons": [4]}, {"search": 4}, {"folder": "/etc"}, []],
)
def test_a_request_that_is_not_understood_sends_nothing(places, failed, request_):
    failed.data["state"]["replay"] = request_
    state, error = clear(sql_to_rest(), failed)
    assert (state, places.seen) == ("failed", [])
    assert "the task's state store has the key 'replay'" in str(error)


@pytest.mark.parametrize("lost", ["checkpoint", "folder"])
def test_without_the_account_nothing_is_sent(places, failed, tmp_path, lost):
    ask(failed)
    if lost == "checkpoint":
        del failed.data["state"]["checkpoint"]
    else:
        [part] = (tmp_path / "dead_letters").rglob("*.jsonl")
        part.unlink()
    state, error = clear(sql_to_rest(), failed)
    assert (state, places.seen) == ("failed", [])
    assert "cannot be replayed in their task" in str(error)
    assert "ReplayDeadLettersOperator" in str(error)


@pytest.mark.release
def test_a_replay_that_is_killed_goes_on_with_the_rest(places, failed, monkeypatch):
    """Killed at once after the first answers, and once more when all is done, before Airflow knows of it."""
    monkeypatch.setenv("ROWS", "100")
    monkeypatch.setenv("CONCURRENCY", "1")
    ask(failed)
    failed.path.write_text(json.dumps(failed.data))
    victim = None

    def answer(seen):
        if len(places.seen) == 12:
            os.kill(victim.pid, signal.SIGKILL)
        return 200

    places.answer = answer
    victim = spawn_try("tasks", failed.path, 2)
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    first = ids(places.seen)
    places.answer = lambda seen: 200
    monkeypatch.setenv("DIES_BEFORE_SUCCESS", "1")
    victim = spawn_try("tasks", failed.path, 3)
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    monkeypatch.delenv("DIES_BEFORE_SUCCESS")
    last = spawn_try("tasks", failed.path, 4)
    last.join(120)
    assert last.exitcode == 0
    seen = ids(places.seen)
    assert set(seen) == set(UNAVAILABLE + REFUSED)
    assert len(seen) <= 20 + len(first)  # what the first kill left uncounted may go twice
    after = Supervisor(failed.path)
    assert counts(after) == [100, 100, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "retries"),  # with 9, they were raised after the Clear
    [
        ("GetTaskStateStore", 2),
        ("SetTaskStateStore", 2),
        ("DeleteTaskStateStore", 2),
        ("SetTaskStateStore", 9),
        ("DeleteTaskStateStore", 9),
    ],
)
def test_a_state_store_that_fails_does_not_make_a_replay_a_delivery(places, accepted, monkeypatch, call, retries):
    send = accepted.send

    def fail(msg):
        if type(msg).__name__ == call and msg.key in {"replay", "replaying"}:
            raise ConnectionError("the API server is away")
        return send(msg)

    ask(accepted, reasons=["http_422"])
    with monkeypatch.context() as away:
        away.setattr(accepted, "send", fail)
        state, error = clear(sql_to_rest(request_retry=ONCE, max_failures=20, retries=retries), accepted)
    assert (state, places.seen) == ("up_for_retry", [])
    assert "the state store, which has requests to replay, fails" in str(error)
    task = sql_to_rest(request_retry=ONCE, max_failures=20, retries=retries)
    assert run_try(task, accepted, 3, max_tries=4)[0] == "success"
    assert sorted(ids(places.seen)) == REFUSED


def test_a_second_press_does_not_take_the_request_away_from_the_replay_that_runs(places, failed):
    places.answer = lambda seen: 503
    ask(failed, reasons=["http_422"])
    clear(sql_to_rest(request_retry=ONCE), failed)
    places.reset()
    places.answer = lambda seen: 200
    failed.data["state"].pop("replay", None)  # asked for once more, and withdrawn, because the task was running
    run_try(sql_to_rest(request_retry=ONCE), failed, 3, max_tries=4)
    assert set(ids(places.seen)) <= set(REFUSED)


def test_what_an_interrupted_replay_was_sending_is_not_lost_to_the_next(places, failed):
    def answer(seen):
        if seen.path.endswith("/3"):
            os.kill(os.getpid(), signal.SIGTERM)
            return "hang"
        return 200

    places.answer = answer
    ask(failed, reasons=["http_503"])
    assert clear(sql_to_rest(request_retry=ONCE, concurrency=1), failed)[0] == "up_for_retry"
    assert failed.report["unfinished"] == 1
    places.reset()
    places.answer = lambda seen: 200
    ask(failed, reasons=["http_422"])
    state, _ = clear(sql_to_rest(request_retry=ONCE), failed, of_try=2)
    assert (state, sorted(ids(places.seen))) == ("up_for_retry", REFUSED)
    assert counts(failed)[3:] == [0, 0]
    assert failed.report["failed"] == failed.report["reasons"]["http_503"] > 0


def test_a_replay_that_cannot_begin_leaves_the_report_alone(places, failed):
    ask(failed)
    del failed.data["state"]["checkpoint"]
    assert clear(sql_to_rest(), failed)[0] == "failed"
    assert failed.data["xcom"] == {}  # which Airflow had emptied
    assert failed.data["state"]["progress"]["failed"] == 20
