"""A task that did all it had to, of which Airflow did not get to know; and a state store that is slow."""

import threading

import pytest
from engine import run_within
from task_runner import run_try
from tasks import rest_to_sql, sql_to_rest

from airflow_async_rest import RequestRetry
from airflow_async_rest.tasks import run_life

ONCE = RequestRetry(max_attempts=1)


@pytest.fixture
def lost(places, supervisor, monkeypatch):
    """A task that delivered 90 rows, and had 10 refused, before the push of its return value failed."""
    places.answer = lambda seen: 422 if seen.path.endswith("4") else 200
    with monkeypatch.context() as patch:
        patch.setenv("XCOM_FAILS", "yes")
        assert run_try(sql_to_rest(max_failures=10), supervisor)[0] == "up_for_retry"
    assert len(places.seen) == 100
    places.reset()
    return supervisor


def test_a_retry_returns_the_report_and_sends_nothing(places, lost, logged):
    expected = lost.checkpoint["report"]
    assert run_try(sql_to_rest(max_failures=10), lost, 2)[0] == "success"
    assert places.seen == []
    assert lost.report == expected
    assert (expected["delivered"], expected["reasons"]) == (90, {"http_422": 10})
    assert [item["key"] for item in lost.data["xcom"]["failed_items"]] == list(range(4, 101, 10))
    assert "an earlier try has done everything" in logged()
    assert lost.checkpoint is None  # now Airflow knows


def test_a_clear_of_the_task_delivers_everything(places, lost):
    assert run_try(sql_to_rest(max_failures=10), lost, 2, max_tries=4)[0] == "success"
    assert len(places.seen) == 100


def test_a_clear_is_no_retry_though_the_retries_were_changed_so_that_max_tries_stays(places, supervisor, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("XCOM_FAILS", "yes")
        run_try(sql_to_rest(retries=3), supervisor, max_tries=3)
    places.reset()
    assert run_try(sql_to_rest(retries=2), supervisor, 2, max_tries=1 + 2)[0] == "success"
    assert len(places.seen) == 100


def test_an_authors_own_callback_is_called_too(places, supervisor):
    called = []
    run_try(sql_to_rest(on_success_callback=lambda context: called.append(supervisor.data["outcome"])), supervisor)
    assert called == ["success"]
    assert supervisor.checkpoint is None


def test_a_replay_in_the_task_whose_success_is_lost_sends_nothing_again(places, lost, monkeypatch):
    assert run_try(sql_to_rest(max_failures=10), lost, 2)[0] == "success"
    places.answer = lambda seen: 422 if seen.path.endswith("94") else 200
    lost.data["state"]["replay"] = {"reasons": None, "search": "", "count": 10}
    with monkeypatch.context() as patch:
        patch.setenv("XCOM_FAILS", "yes")
        assert run_try(sql_to_rest(max_failures=10), lost, 3, max_tries=5)[0] == "up_for_retry"
    assert len(places.seen) == 10
    places.reset()
    assert run_try(sql_to_rest(max_failures=10), lost, 4, max_tries=5)[0] == "success"
    assert places.seen == []
    assert lost.report["replay"] == {"sent": 10, "delivered": 9, "failed": 1}
    assert [item["key"] for item in lost.data["xcom"]["failed_items"]] == [94]


def test_a_fetch_whose_success_is_lost_fetches_nothing_again(places, supervisor, postgres, connect, monkeypatch):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, lost_fetch", "CREATE TABLE lost_fetch (id bigint PRIMARY KEY)"
    )
    arguments = {
        "destination_table": "lost_fetch",
        "load_mode": "upsert",
        "conflict_key": "id",
        "columns": {"id": "item.id"},
        "rows": None,
    }
    with monkeypatch.context() as patch:
        patch.setenv("XCOM_FAILS", "yes")
        assert run_try(rest_to_sql(**arguments), supervisor)[0] == "up_for_retry"
    assert postgres.execute("SELECT count(*) FROM lost_fetch") == [(100,)]
    places.reset()
    assert run_try(rest_to_sql(**arguments), supervisor, 2)[0] == "success"
    assert places.seen == []
    assert supervisor.report["rows_loaded"] == 100


# A state store that is slow.


@pytest.fixture
def slow(supervisor, monkeypatch):
    """A state store that answers nothing until the test ends."""
    ask = run_life._within
    monkeypatch.setattr(run_life, "_within", lambda _, call: ask(0.1, call))
    # XCom has a share of the time at the end.
    run_within(monkeypatch, load_seconds=0.1, patient_load_seconds=0.1, at_end_seconds=3.0)
    supervisor.slow = threading.Event()
    yield supervisor
    supervisor.slow.set()


@pytest.mark.parametrize("try_number", [1, 2])
def test_a_state_store_that_never_answers_holds_up_neither_the_rows_nor_xcom(places, slow, try_number):
    places.answer = lambda seen: 422 if seen.path.endswith("4") else 200
    task = sql_to_rest(max_failures=10, retries=3)
    assert run_try(task, slow, try_number)[0] == "success"
    assert len(places.seen) == 100
    assert slow.report["delivered"] == 90
    assert len(slow.data["xcom"]["failed_items"]) == 10


def test_what_is_to_be_replayed_is_not_known_after_a_clear_so_nothing_is_sent(places, slow):
    state, error = run_try(sql_to_rest(retries=1), slow, 2, max_tries=2)
    assert state == "up_for_retry"
    assert "the state store, which has requests to replay, fails: no answer within 0.1 s" in str(error)
    assert places.seen == []
