"""Why a task has failed, in a sentence: in its report, its progress and its log, wherever it ended."""

import socket

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import READINGS, given_later, rest_to_sql, sql_to_rest

from airflow_async_rest import RequestRetry
from airflow_async_rest.core.errors import DeadlineError, KilledError
from airflow_async_rest.hooks.rest import AsyncRestHook
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

LOCATION = {"data": {"items": [{"location": {"geoLabel": "x"}}]}}


@pytest.fixture
def refusing(places, connect):
    """The connection ``search_api``, to where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        connect("search_api", conn_type="async_rest", host=f"http://127.0.0.1:{taken.getsockname()[1]}")
        yield


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rate_limit": "25 per second"}, "rate_limit='25 per second'"),
        ({"http_conn_id": "nobody"}, "http_conn_id='nobody': there is no such connection"),
        ({"sql_conn_id": "nobody"}, "sql_conn_id='nobody': there is no such connection"),
        (
            {"sql_conn_id": "postgresql://me:s3cretpass@db/x"},
            "sql_conn_id='***': write the id of an Airflow connection, and",
        ),
        (
            {"http_conn_id": "https://me:s3cretpass@api"},
            "http_conn_id='***': write the id of an Airflow connection, and",
        ),
        ({"sql_conn_id": "postgresql://db/x?password=s3cretpass"}, "sql_conn_id='***': write the id of an"),
        ({"http_conn_id": "https://api/s3cretpass"}, "http_conn_id='***': write the id of an"),
        ({"sql_conn_id": '{"conn_type": "postgres", "password": "s3cretpass"}'}, "sql_conn_id='***': write the id of"),
        ({"http_conn_id": {"conn_type": "http", "password": "s3cretpass"}}, "http_conn_id=a dict: write the id of"),
        ({"sql": "SELECT nothere AS id"}, 'the database refuses the sql: column "nothere" does not exist'),
        ({"endpoint": "x/{idd}"}, "endpoint names the column 'idd'"),
    ],
)
def test_what_never_began_says_why(places, supervisor, logged, arguments, words):
    state, _ = run_try(given_later(sql_to_rest(), **arguments), supervisor)
    progress = supervisor.data["state"]["progress"]
    assert (state, places.seen) == ("failed", [])
    assert progress["error"].startswith(words)
    assert len(progress["error"]) <= 200
    assert (progress["read"], progress["delivered"], progress["complete"]) == (0, 0, False)
    assert progress["updated_at"]
    report = supervisor.data["xcom"].get("return_value", progress)
    assert report["error"] == progress["error"]
    log = logged()
    assert log.index(progress["error"][:40]) < log.index("Traceback")
    assert "s3cretpass" not in log


def test_a_timeout_before_the_job_says_so(places, supervisor, monkeypatch):
    from airflow.sdk.exceptions import AirflowTaskTimeout

    from airflow_async_rest.tasks import runtime

    def interrupt(*_):
        raise AirflowTaskTimeout("Timeout, PID: 7")

    monkeypatch.setattr(runtime.Previewing, "of", interrupt)  # Airflow's alarm may come anywhere
    run_try(sql_to_rest(), supervisor)
    assert supervisor.data["state"]["progress"]["error"] == "AirflowTaskTimeout: Timeout, PID: 7"


def test_what_earlier_tries_have_done_stays_in_the_progress_beside_the_error(places, supervisor):
    places.answer = lambda seen: 503 if seen.path.endswith("/3") else 200
    retry = RequestRetry(max_attempts=1)
    run_try(sql_to_rest(request_retry=retry), supervisor)
    assert supervisor.data["state"]["progress"]["delivered"] == 99
    run_try(given_later(sql_to_rest(request_retry=retry), rate_limit="often"), supervisor, 2)
    progress = supervisor.data["state"]["progress"]
    assert (progress["delivered"], progress["failed"], progress["complete"]) == (99, 1, True)
    assert progress["error"].startswith("rate_limit='often'")


def test_the_end_of_a_window_that_failed_is_in_report_and_progress(places, supervisor, logged):
    places.answer = lambda seen: web.Response(status=422, text="no such sensor") if seen.path.endswith("/3") else 200
    run_try(sql_to_rest(), supervisor)
    said = "1 of 100 items failed (1 http_422): no such sensor"
    assert (supervisor.report["error"], supervisor.data["state"]["progress"]["error"]) == (said, said)
    assert logged().index(f" {said}") < logged().index("Traceback")
    places.answer = lambda seen: 200
    run_try(sql_to_rest(), supervisor, 2)
    assert (supervisor.report["error"], supervisor.data["state"]["progress"]["error"]) == (None, None)
    assert supervisor.report["delivered_later"] == 1


def test_all_that_failed_by_refused_connections_says_so(refusing, supervisor):
    run_try(sql_to_rest(request_retry=RequestRetry(max_attempts=1)), supervisor)
    assert supervisor.report["error"].startswith("100 of 100 items failed (100 connection): ")
    assert "refuses the connection" in supervisor.report["error"]


def test_a_secret_is_in_no_sentence(places, connect, supervisor, logged):
    connect("search_api", conn_type="async_rest", host=places.url, password="hidden-word-9", login="x")
    places.answer = lambda seen: web.Response(status=422, text="never heard of hidden-word-9")
    run_try(sql_to_rest(), supervisor)
    assert supervisor.report["error"].endswith("never heard of ***")
    assert supervisor.data["state"]["progress"]["error"] == supervisor.report["error"]
    run_try(given_later(sql_to_rest(), endpoint="x/{hidden-word-9}"), supervisor, 2)
    assert "hidden-word-9" not in supervisor.data["state"]["progress"]["error"]
    assert "hidden-word-9" not in logged()


@pytest.mark.parametrize(("retries", "later"), [(0, 1), (3, 0)])
def test_what_a_clear_delivers_is_delivered_later_and_what_a_retry_does_is_not(places, supervisor, retries, later):
    task = sql_to_rest(retries=retries)  # it has 3 tries more: by a Clear, where it had no retries
    places.answer = lambda seen: 422 if seen.path.endswith("/3") else 200
    run_try(task, supervisor)
    assert (supervisor.report["failed"], supervisor.report["delivered_later"]) == (1, 0)
    places.answer = lambda seen: 200
    run_try(task, supervisor, 2)
    assert (supervisor.report["failed"], supervisor.report["delivered_later"]) == (0, later)


@pytest.mark.parametrize("call", ["deliver", "fetch"])
def test_a_function_whose_call_never_began_says_so_too(places, supervisor, call):
    from airflow.providers.standard.operators.python import PythonOperator

    def work():
        getattr(AsyncRestHook("search_api"), call)([{"id": 1}], endpoint="x/{id}", rate_limit="often")

    run_try(PythonOperator(task_id="push", python_callable=work), supervisor)
    assert supervisor.data["state"]["progress"]["error"].startswith("rate_limit='often'")


def test_a_replay_that_never_began_says_so(places, supervisor):
    run_try(ReplayDeadLettersOperator(task_id="replay", dead_letters="file:///nowhere"), supervisor)
    assert "there is no folder 'file:///nowhere'" in supervisor.data["state"]["progress"]["error"]


def wrong(task):
    return given_later(task, http_conn_id="nobody")


def test_after_a_success_a_try_that_never_began_has_done_nothing(places, supervisor):
    assert run_try(sql_to_rest(), supervisor)[0] == "success"
    run_try(wrong(sql_to_rest()), supervisor, 2, max_tries=4)
    progress = supervisor.data["state"]["progress"]
    assert [progress[name] for name in ("read", "delivered", "complete")] == [0, 0, False]
    assert progress["error"].startswith("http_conn_id='nobody'")
    run_try(wrong(sql_to_rest()), supervisor, 3, max_tries=4)
    assert supervisor.data["state"]["progress"]["read"] == 0


def test_a_person_who_deletes_the_checkpoint_takes_the_figures_with_it(places, supervisor):
    places.answer = lambda seen: 422 if seen.path.endswith("/3") else 200
    assert run_try(sql_to_rest(), supervisor)[0] == "failed"
    del supervisor.data["state"]["checkpoint"]
    run_try(wrong(sql_to_rest()), supervisor, 2, max_tries=4)
    assert supervisor.data["state"]["progress"]["read"] == 0


def test_a_replay_of_a_success_that_never_began_goes_on_with_its_figures(places, supervisor):
    places.answer = lambda seen: 422 if seen.path.endswith("/3") else 200
    assert run_try(sql_to_rest(max_failures=1), supervisor)[0] == "success"
    supervisor.data["state"]["replay"] = {"reasons": None, "search": "", "count": 1}
    run_try(wrong(sql_to_rest()), supervisor, 2, max_tries=4)
    progress = supervisor.data["state"]["progress"]
    assert (progress["delivered"], progress["failed"], progress["error"][:12]) == (99, 1, "http_conn_id")


@pytest.mark.parametrize(("refused", "read"), [(False, 0), (True, 100)])
def test_the_figures_of_a_load_stay_unless_it_has_succeeded(places, supervisor, warehouse, refused, read):
    places.answer = lambda seen: 422 if refused and seen.path.endswith("/3") else web.json_response(LOCATION)
    assert run_try(rest_to_sql(), supervisor)[0] == ("failed" if refused else "success")
    run_try(wrong(rest_to_sql()), supervisor, 2, max_tries=4)
    progress = supervisor.data["state"]["progress"]
    assert (progress["read"], progress["error"][:12]) == (read, "http_conn_id")


def test_a_load_that_may_not_start_over_reports_what_is_done(places, supervisor, warehouse):
    places.answer = lambda seen: 503 if seen.path.endswith("/3") else web.json_response(LOCATION)
    retry = RequestRetry(max_attempts=1)
    assert run_try(rest_to_sql(request_retry=retry), supervisor)[0] == "up_for_retry"
    others = rest_to_sql(request_retry=retry, items=[{"id": 1}], sql=None, sql_conn_id=None)
    assert run_try(others, supervisor, 2)[0] == "failed"
    for figures in (supervisor.report, supervisor.data["state"]["progress"]):
        assert (figures["read"], figures["delivered"], figures["failed"]) == (100, 99, 1)
        assert figures["error"].startswith("load_mode='append': an earlier try of this task has appended 99 rows")
    assert "history" not in supervisor.report


def test_a_folder_of_dead_letters_that_cannot_be_written_leaves_what_is_done(places, supervisor, tmp_path, monkeypatch):
    from airflow_async_rest.core.letters.part_files import PartFiles

    def full(*_):
        raise OSError("no space left")

    places.answer = lambda seen: 503 if seen.path.endswith("/3") else 200
    retry = RequestRetry(max_attempts=1)
    run_try(sql_to_rest(request_retry=retry), supervisor)
    with monkeypatch.context() as disk:
        disk.setattr(PartFiles, "write", full)
        run_try(sql_to_rest(request_retry=retry, sql=READINGS.format(rows=99)), supervisor, 2)
    for figures in (supervisor.report, supervisor.data["state"]["progress"]):
        assert (figures["delivered"], figures["failed"], figures["complete"]) == (99, 1, True)
        assert "the dead-letter part" in figures["error"]


@pytest.mark.parametrize("stop", [KilledError("the task was killed"), DeadlineError("execution_timeout is 60 s")])
@pytest.mark.parametrize("key", ["checkpoint", "waits"])
def test_a_stop_while_a_try_waits_for_the_state_store_leaves_what_is_done(places, supervisor, monkeypatch, stop, key):
    from airflow_async_rest.operators.job_operator import JobOperator

    def begin(task, *of):
        runs.append(_begin(task, *of))
        return runs[-1]

    def stopping(msg):
        if type(msg).__name__ == "GetTaskStateStore" and msg.key == key:
            runs[0].stop.pull(stop)
        return send(msg)

    places.answer = lambda seen: 503 if seen.path.endswith("/3") else 200
    task = sql_to_rest(request_retry=RequestRetry(max_attempts=1))
    run_try(task, supervisor)
    places.reset()
    runs, send, _begin = [], supervisor.send, JobOperator._begin
    monkeypatch.setattr(JobOperator, "_begin", begin)
    monkeypatch.setattr(supervisor, "send", stopping)
    assert run_try(task, supervisor, 2)[0] == "up_for_retry"
    assert places.seen == []
    for figures in (supervisor.report, supervisor.data["state"]["progress"]):
        assert (figures["read"], figures["delivered"], figures["failed"]) == (100, 99, 1)
        assert figures["error"] == str(stop)


@pytest.mark.parametrize("call", ["open", "begin"])
def test_a_table_that_cannot_be_opened_leaves_what_is_done(places, supervisor, warehouse, monkeypatch, call):
    from airflow_async_rest.core.errors import LoadError
    from airflow_async_rest.load.loader import TableLoader

    def away(*_, **__):
        raise LoadError("the destination does not answer")

    places.answer = lambda seen: 503 if seen.path.endswith("/3") else web.json_response(LOCATION)
    task = rest_to_sql(request_retry=RequestRetry(max_attempts=1))
    run_try(task, supervisor)
    places.reset()
    monkeypatch.setattr(TableLoader, call, away)
    assert run_try(task, supervisor, 2)[0] == "up_for_retry"
    assert places.seen == []
    for figures in (supervisor.report, supervisor.data["state"]["progress"]):
        assert (figures["read"], figures["delivered"], figures["failed"], figures["rows_loaded"]) == (100, 99, 1, 99)
        assert figures["error"].startswith("the destination does not answer")


def test_what_fails_after_a_job_has_succeeded_leaves_its_figures(places, supervisor, monkeypatch):
    from airflow_async_rest.core.errors import FailuresError

    def refuse(*_):
        raise FailuresError("the dead letters are sent, but rows are missing", permanent=True)

    places.answer = lambda seen: 422
    run_try(sql_to_rest(max_failures=100), supervisor)
    of = supervisor.report["dead_letters"]
    places.answer = lambda seen: 200
    supervisor.data["state"] = {}
    monkeypatch.setattr(ReplayDeadLettersOperator, "_check", refuse)
    run_try(ReplayDeadLettersOperator(task_id="replay", dead_letters=of, http_conn_id="search_api"), supervisor)
    progress = supervisor.data["state"]["progress"]
    assert (progress["delivered"], progress["error"]) == (100, "the dead letters are sent, but rows are missing")
