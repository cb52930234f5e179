"""Secrets that a template puts into the endpoint or the query: they are sent, and kept nowhere."""

import json

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import READINGS, rest_to_sql, sql_to_rest

from airflow_async_rest import Batch, RequestRetry

ONCE = RequestRetry(max_attempts=1)
SECRET = "p4rtn3r/pass w0rd&1"
SPELLED = "p4rtn3r/pass%20w0rd%261"
ENDPOINT = "readings/{id}?v=1&api_key={{ conn.partner.password | urlencode }}"


@pytest.fixture
def kept(places, supervisor, connect, logged, tmp_path):
    """All that a task has left, as one text; the API refuses rows 3 and 7."""
    connect("partner", conn_type="http", password=SECRET)
    places.answer = lambda seen: 503 if seen.path[-1] in "37" else 200

    def read() -> str:
        letters = "".join(part.read_text() for part in tmp_path.rglob("*.jsonl"))
        return letters + json.dumps(supervisor.data) + logged()

    return read


def post(**arguments):
    settings = {"sql": READINGS.format(rows=9), "endpoint": ENDPOINT, "request_retry": ONCE}
    return sql_to_rest(**(settings | arguments))


def is_kept(text: str) -> bool:
    return any(form in text for form in (SECRET, SPELLED, "p4rtn3r", "w0rd"))


@pytest.mark.parametrize(
    "endpoint",
    [ENDPOINT, "{{ conn.partner.password | urlencode }}/{id}", "readings/{id}?access_token={{ conn.partner.login }}"],
)
def test_it_is_sent_and_kept_nowhere_and_a_retry_sends_it_again(places, supervisor, connect, kept, endpoint):
    connect("partner", conn_type="http", password=SECRET, login="p4rtn3r-login")
    assert run_try(post(endpoint=endpoint), supervisor)[0] == "up_for_retry"
    sent = {seen.key: (seen.path, seen.query) for seen in places.seen}
    assert all("p4rtn3r" in "".join(target) for target in sent.values())
    assert not is_kept(kept())
    assert "***" in json.dumps(supervisor.data["xcom"]["failed_items"])
    places.reset()
    places.answer = lambda seen: 200
    assert run_try(post(endpoint=endpoint), supervisor, 2) == ("success", None)
    assert [sent[seen.key] for seen in places.seen] == [(seen.path, seen.query) for seen in places.seen]
    assert (len(places.seen), is_kept(kept())) == (2, False)


def test_a_replay_in_the_task_sends_the_same_requests(places, supervisor, kept):
    run_try(post(), supervisor)
    sent = {seen.key: (seen.path, seen.query) for seen in places.seen}
    places.reset()
    places.answer = lambda seen: 503 if seen.path.endswith("7") else 200
    supervisor.data["state"]["replay"] = {"reasons": None, "search": "", "count": 2}
    run_try(post(), supervisor, 2, max_tries=4)
    assert {seen.key: (seen.path, seen.query) for seen in places.seen}.items() <= sent.items()
    assert supervisor.report["replay"] == {"sent": 2, "delivered": 1, "failed": 1}
    assert not is_kept(kept())


@pytest.mark.parametrize("batch", [None, Batch(max_items=3)])
def test_a_replay_by_another_task_sends_nothing_and_says_what_to_do(places, supervisor, kept, batch):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    places.answer = lambda seen: 503
    run_try(post(batch=batch, endpoint=ENDPOINT.replace("{id}", "x") if batch else ENDPOINT), supervisor)
    places.reset()
    folder = supervisor.report["dead_letters"]
    task = ReplayDeadLettersOperator(task_id="replay", http_conn_id="search_api", dead_letters=folder)
    state, error = run_try(task, supervisor)
    assert state == "failed"
    assert "a template has put a secret into the endpoint of 'readings/" in str(error)
    assert "in Airflow's UI" in str(error)
    assert places.seen == []
    assert not is_kept(kept())


def test_of_what_is_fetched_the_whole_request_is_without_it(places, supervisor, postgres, connect, kept):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS async_rest_loads, locations", "CREATE TABLE locations (id bigint)")
    places.answer = lambda seen: web.json_response({seen.query: 1}, status=400)
    token = "{{ conn.partner.password }}"
    task = rest_to_sql(
        items=[1], endpoint="x/{item}", method="POST", query={"a": token}, body={"b": {"c": token}}, columns=["id"], rows=None
    )  # fmt: skip
    run_try(task, supervisor)
    [seen] = places.seen
    assert (seen.query, seen.json()) == ("a=p4rtn3r/pass w0rd%261", {"b": {"c": SECRET}})
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert (letter["query"], letter["payload"]) == ("a=***", {"b": {"c": "***"}})
    assert not is_kept(kept())


def test_names_of_fields_in_reports_are_without_it(places, supervisor, postgres, connect, kept):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS async_rest_loads, locations", "CREATE TABLE locations (id bigint)")
    places.answer = lambda seen: web.json_response({"id": 1, seen.query: 2, f"you sent {SECRET}": 3})
    task = rest_to_sql(items=[1], endpoint="x?" + ENDPOINT.partition("?")[2], columns=["id"], rows=None)
    assert run_try(task, supervisor) == ("success", None)
    assert supervisor.report["keys_ignored"] == {"v=1&api_key=***": 1, "you sent ***": 1}
    assert not is_kept(kept())


def test_the_error_of_a_wrong_sql_is_without_it(places, supervisor, kept):
    state, error = run_try(post(sql="SELEC '{{ conn.partner.password }}' AS id"), supervisor)
    assert (state, "the database refuses the sql" in str(error)) == ("failed", True)
    assert not is_kept(str(error))
    assert not is_kept(kept())
