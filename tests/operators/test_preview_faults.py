"""Previews of what goes wrong, is stopped, or is not fit to be seen as it is."""

import json
import os
import signal
import threading
from datetime import timedelta

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import given_later, in_batches, rest_to_sql, sql_to_rest

from airflow_async_rest import Batch, CursorPages, LinkPages, NumberedPages, OffsetPages, Page

SLEEPING = "SELECT i AS id FROM generate_series(1, 3) AS i, pg_sleep(60)"
ROWS = "SELECT i AS id, {} AS value FROM generate_series(1, 3) AS i ORDER BY i"


def shown(supervisor) -> list[dict]:
    return supervisor.data["xcom"]["preview"]["requests"]


class OwnPages:
    """A style of an author's own."""

    def begin(self):
        return Page({"of": "the first"})

    def after(self, page, answer):
        pytest.fail("nothing was answered")


@pytest.mark.parametrize(
    ("paginate", "url"),
    [
        (LinkPages(), "/locations/1"),
        (CursorPages(cursor="next", param="after"), "/locations/1"),
        (NumberedPages(first=0), "/locations/1?page=0"),
        (OffsetPages(limit=7), "/locations/1?offset=0&limit=7"),
        (OwnPages(), "/locations/1?of=the%20first"),
    ],
)
def test_of_pages_the_first_ones_request_is_shown(places, warehouse, supervisor, paginate, url):
    assert run_try(rest_to_sql(paginate=paginate, page_rows="data.items", preview=1), supervisor)[0] == "skipped"
    assert [request["url"] for request in shown(supervisor)] == [f"{places.url}{url}"]
    assert places.seen == []


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT nothere AS id FROM generate_series(1, 3) AS i", "nothere"),
        ("SELECT i AS id, 1 / (3 - i) AS value FROM generate_series(1, 5) AS i", "division by zero"),
    ],
)
def test_a_source_that_fails_fails_the_task(places, supervisor, sql, words):
    state, error = run_try(sql_to_rest(sql=sql, preview=10), supervisor)
    assert (state, places.seen, supervisor.data["state"]) == ("failed", [], {})
    assert words in str(error)
    assert words in supervisor.report["error"]
    assert "preview" not in supervisor.data["xcom"]


@pytest.mark.parametrize("batch", [{}, in_batches(10)])
@pytest.mark.parametrize("order_by_key", [False, True])
def test_what_breaks_the_schema_is_shown_as_such(places, supervisor, logged, batch, order_by_key):
    schema = {"properties": {"value": {"minimum": 2}}}
    run_try(sql_to_rest(schema=schema, order_by_key=order_by_key, preview=1, **batch), supervisor)
    assert shown(supervisor)[0]["body"].startswith('{"id":2,')
    assert 'Item 1 would be a dead letter: schema: the payload breaks the schema at $.value: "minimum": 2.' in logged()


TEXTS = [
    ("'a' || chr(27) || '[31mred' || chr(7)", "a\\x1b[31mred\\x07"),
    ("chr(155) || '31m' || chr(8238) || chr(8232)", "\\x9b31m\\u202e\\u2028"),
    ("'one' || chr(13) || chr(10) || 'Request 2: DELETE'", "one\\r\n    Request 2: DELETE"),
]


@pytest.mark.parametrize(("sql", "seen"), TEXTS)
def test_no_control_character_is_seen_raw(places, supervisor, logged, sql, seen):
    task = sql_to_rest(
        sql=ROWS.format(sql), transform=lambda row: row["value"], body_format="text", preview=1, endpoint="x"
    )
    assert run_try(task, supervisor)[0] == "skipped"
    assert seen.replace("\n    ", "\n") == shown(supervisor)[0]["body"]
    text = logged()
    assert seen.partition("\n")[0] in text
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\r"} & set(text)


def test_what_a_key_says_stays_in_its_line(places, supervisor, logged):
    sql = "SELECT 'a' || chr(27) || chr(10) || 'FAKE' || repeat('y', 5000) AS id"
    assert run_try(sql_to_rest(sql=sql, transform=lambda row: 1 // 0, preview=1), supervisor)[0] == "skipped"
    [line] = [line for line in logged().splitlines() if "FAKE" in line]
    assert "Item a\\x1b\\nFAKEyyy" in line
    assert len(line) < 1000


def test_long_values_are_shortened_wherever_they_stand(places, supervisor):
    sql = "SELECT 1 AS id, repeat('x', 5000) AS value"
    headers = {"User-Agent": "z " * 2500}
    run_try(sql_to_rest(sql=sql, endpoint="x/{value}", headers=headers, preview=1), supervisor)
    [request] = shown(supervisor)
    for text in (request["url"], request["body"], request["headers"]["User-Agent"]):
        assert text.endswith("bytes in all]")
        assert len(text) < 2100


@pytest.mark.parametrize("make", [sql_to_rest, rest_to_sql])
def test_secrets_of_the_author_are_masked_by_their_names(places, warehouse, supervisor, logged, make):
    asked = {"query": {"token": "canary-66-of-gold"}, "body": {"api_key": "canary-55-of-gold"}, "method": "POST"}
    task = make(
        endpoint="x/{id}?password=canary-77-of-gold",
        headers={"Authorization": "Bearer canary-88-of-gold"},
        preview=1,
        **(asked if make is rest_to_sql else {}),
    )
    assert run_try(task, supervisor)[0] == "skipped"
    assert "canary" not in json.dumps(supervisor.data["xcom"]) + logged()


@pytest.mark.parametrize("make", [sql_to_rest, lambda **given: sql_to_rest(**in_batches(10), **given), rest_to_sql])
@pytest.mark.parametrize(
    ("answer", "status", "excerpt"),
    [
        (lambda seen: web.Response(status=401, text="who\x1b[31m are you"), 401, "who\\x1b[31m are you"),
        (lambda seen: web.Response(status=503, text="later"), 503, "later"),
        (lambda seen: "hang", None, "timeout: no complete answer within 0.2 s"),
    ],
)
def test_a_failing_answer_is_shown(places, warehouse, supervisor, connect, logged, make, answer, status, excerpt):
    connect("search_api", conn_type="async_rest", host=places.url, extra='{"request_timeout_seconds": 0.2}')
    places.answer = answer
    assert run_try(make(preview_send=1), supervisor)[0] == "skipped"
    assert (len(places.seen), supervisor.data["state"]) == (1, {})
    found = shown(supervisor)[0]["answer"]
    assert found["status"] == status
    assert found["excerpt"].startswith(excerpt)
    assert "\x1b" not in logged()


def kill_once(begun) -> threading.Thread:
    """Kill the task that runs, as Airflow does, once something has begun."""

    def kill():
        begun()
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_kill_ends_a_read_that_takes_long(places, supervisor, postgres):
    def begun():
        asks = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        while not postgres.execute(asks):
            pass

    task = sql_to_rest(sql=SLEEPING, preview=1, retries=1)
    thread = kill_once(begun)
    state, error = run_try(task, supervisor)
    thread.join()
    assert (state, set(supervisor.data["xcom"])) == ("up_for_retry", {"return_value"})
    assert "the task was killed" in str(error)
    assert "the task was killed" in supervisor.report["error"]


def test_a_kill_ends_the_request_that_is_sent(places, supervisor):
    asked = threading.Event()

    def answer(seen):
        asked.set()
        return "hang"

    places.answer = answer
    task = sql_to_rest(preview_send=1, retries=1)
    thread = kill_once(asked.wait)
    state, error = run_try(task, supervisor)
    thread.join()
    assert (state, len(places.seen)) == ("up_for_retry", 1)
    assert "the task was killed" in str(error)


def test_the_execution_timeout_holds(places, supervisor):
    task = sql_to_rest(sql=SLEEPING, preview=1, execution_timeout=timedelta(seconds=4), retries=1)
    state, error = run_try(task, supervisor)
    assert (state, type(error).__name__) == ("up_for_retry", "AirflowTaskTimeout")


def push(**arguments):
    """Make a task that calls ``deliver``, or ``fetch``."""
    from airflow.providers.standard.operators.python import PythonOperator

    from airflow_async_rest.hooks.rest import AsyncRestHook

    call = arguments.pop("call")
    asked = {"endpoint": "x/{id}"} | arguments
    return PythonOperator(
        task_id="push", python_callable=lambda: getattr(AsyncRestHook("search_api"), call)([{"id": 1}], **asked)
    )


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (sql_to_rest, {"sql": "SELECT 1 AS id WHERE id = :no"}),
        (sql_to_rest, {"http_conn_id": "nobody"}),
        (rest_to_sql, {"destination_conn_id": "nobody"}),
        (rest_to_sql, {"destination_table": "nowhere"}),
        (push, {"call": "deliver", "endpoint": "x/{"}),
        (push, {"call": "fetch", "rows": 5}),
    ],
)
def test_a_preview_that_fails_leaves_no_state_either(places, warehouse, supervisor, make, arguments):
    before = {"progress": {"read": 5, "delivered": 5, "failed": 0, "skipped": 0, "unfinished": 0}, "checkpoint": {}}
    supervisor.data["state"] = dict(before)
    task = push(**arguments) if make is push else given_later(make(), **arguments)
    state, error = run_try(task, supervisor, 2, conf={"preview": 1})
    assert (state, places.seen) == ("failed", [])
    assert supervisor.data["state"] == before
    assert (supervisor.report["preview"], supervisor.report["error"]) == (True, str(error))


@pytest.mark.parametrize("name", ["previw", "previews", "Preview", "preview-send", "PREVIEW_SEND", "preview_sends"])
def test_a_misspelt_name_in_the_conf_sends_nothing(places, supervisor, name):
    state, error = run_try(sql_to_rest(), supervisor, conf={name: 1})
    assert (state, places.seen) == ("failed", [])
    assert f"the run's conf has {name!r}: write 'preview" in str(error)


@pytest.mark.parametrize("conf", [{"review": True}, {"preview_only": False}, {"preview": None}, {"pages": 3}])
def test_other_names_in_the_conf_are_no_previews(places, supervisor, conf):
    assert run_try(sql_to_rest(), supervisor, conf=conf)[0] == "success"
    assert len(places.seen) == 100


def test_seconds_go_by_full_batches(places, supervisor):
    """The first one may be small: of large rows, or of what an earlier try had left."""
    sql = "SELECT i AS id, repeat('x', CASE WHEN i = 2 THEN 900 ELSE 1 END) AS value FROM generate_series(1, 21) AS i"
    batch = Batch(max_items=10, max_bytes=900)
    task = sql_to_rest(sql=sql, endpoint="x", method="POST", batch=batch, preview=5, rate_limit="1/s")
    run_try(task, supervisor)
    preview = supervisor.data["xcom"]["preview"]
    assert (preview["requests"][0]["body"].count("id"), preview["rows"]) == (1, 21)
    assert preview["seconds"] == 3.0
