"""Previews: what a task would send is shown, and nothing is sent, or kept."""

import asyncio
import json

import pytest
from aiohttp import web
from dag_runs import ids
from task_runner import WINDOW, run_try
from tasks import READINGS, given_later, in_batches, rest_to_sql, sql_to_rest

from airflow_async_rest import Batch

CONF = {"preview": 2}
ZEROS = ("read", "delivered", "failed", "skipped", "unfinished", "requests", "retries")
WINDOW_TEXTS = dict(zip(("window_start", "window_end"), (end.isoformat() for end in WINDOW), strict=True))


def preview_of(supervisor) -> dict:
    shown = supervisor.data["xcom"]["preview"]
    assert set(shown) == {"window", "rows", "seconds", "requests"}
    for request in shown["requests"]:
        assert set(request) == {"method", "url", "headers", "body"}
    return shown


def check_nothing_happened(places, supervisor, tmp_path) -> None:
    assert places.seen == []
    assert supervisor.data["state"] == {}
    assert not (tmp_path / "dead_letters").exists()
    report = supervisor.report
    assert {name: report[name] for name in ZEROS} == dict.fromkeys(ZEROS, 0)
    assert (report["dead_letters"], report["complete"], report["elapsed_seconds"]) == (None, False, 0.0)


@pytest.mark.parametrize(("argument", "conf", "shown"), [(2, None, 2), ("1", None, 1), (None, CONF, 2), (5, CONF, 2)])
def test_the_first_requests_are_shown_as_they_go_out(places, supervisor, tmp_path, argument, conf, shown):
    state, error = run_try(sql_to_rest(preview=argument, rate_limit="10/s"), supervisor, conf=conf)
    assert (state, error) == ("skipped", None)
    check_nothing_happened(places, supervisor, tmp_path)
    preview = preview_of(supervisor)
    assert preview["window"] == WINDOW_TEXTS
    assert [request["body"] for request in preview["requests"]] == ['{"id":1,"value":1.5}', '{"id":2,"value":3.0}'][
        :shown
    ]
    assert run_try(sql_to_rest(), supervisor, 2)[0] == "success"
    assert ids(places.delivered) == list(range(1, 101))
    sent = {seen.path: seen for seen in places.seen}
    for request in preview["requests"]:
        seen = sent[request["url"].removeprefix(places.url)]
        assert (request["method"], request["body"].encode()) == (seen.method, seen.body)
        assert request["headers"].items() <= dict(seen.headers).items()
        assert request["headers"]["Idempotency-Key"] == seen.key


def test_of_batches_a_request_is_shown_shortened_and_time_goes_by_requests(places, supervisor, tmp_path):
    task = sql_to_rest(**in_batches(100), sql=READINGS.format(rows=1000), preview=2, rate_limit="1/s", count_rows=True)
    assert run_try(task, supervisor)[0] == "skipped"
    check_nothing_happened(places, supervisor, tmp_path)
    preview = preview_of(supervisor)
    assert (preview["rows"], preview["seconds"], len(preview["requests"])) == (1000, 10.0, 2)
    first = preview["requests"][0]["body"]
    assert first.startswith('{"id":1,"value":1.5}\n{"id":2,')
    assert first.endswith("bytes in all]")
    assert len(first) < 2100


def test_all_rows_are_known_where_they_were_read(places, supervisor):
    run_try(sql_to_rest(sql=READINGS.format(rows=2), preview=3, rate_limit="10/s"), supervisor)
    preview = preview_of(supervisor)
    assert (preview["rows"], preview["seconds"], len(preview["requests"])) == (2, 0.2, 2)
    run_try(sql_to_rest(sql="SELECT 1 AS id WHERE false", preview=3, rate_limit="10/s"), supervisor)
    assert preview_of(supervisor) == {"window": WINDOW_TEXTS, "rows": 0, "seconds": 0.0, "requests": []}


@pytest.mark.parametrize(("argument", "conf"), [(3, None), (None, {"preview": 3})])
def test_a_fetch_shows_the_first_page_of_each_item_and_touches_no_table(
    places, warehouse, supervisor, tmp_path, argument, conf
):
    from airflow_async_rest import NumberedPages

    own_tables = "SELECT relname FROM pg_class WHERE relname LIKE 'async_rest%' ORDER BY 1"
    before = warehouse.execute(own_tables)  # other tests may have left some
    pages = NumberedPages(param="page", size=50, size_param="per_page")
    task = rest_to_sql(query={"of": "{id}"}, paginate=pages, preview=argument)
    assert run_try(task, supervisor, conf=conf)[0] == "skipped"
    check_nothing_happened(places, supervisor, tmp_path)
    assert warehouse.execute(own_tables) == before
    first, *others = preview_of(supervisor)["requests"]
    assert (first["method"], first["body"], len(others)) == ("GET", None, 2)
    assert first["url"] == f"{places.url}/locations/1?of=1&page=1&per_page=50"


def test_steps_and_items_are_counted(places, warehouse, supervisor):
    run_try(rest_to_sql(items=[{"id": 1}, {"id": 2}], rate_limit="1/m", preview=1), supervisor)
    preview = preview_of(supervisor)
    assert (preview["rows"], preview["seconds"], len(preview["requests"])) == (2, 120.0, 1)


def test_one_file_is_both_source_and_destination(places, supervisor, connect, tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "one.db") as database:
        database.execute("CREATE TABLE locations (id int, geo_label text, detail text)")
    for name in ("source_db", "warehouse"):
        connect(name, conn_type="sqlite", host=str(tmp_path / "one.db"))
    numbers = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n"  # without an end
    assert run_try(rest_to_sql(sql=numbers, sql_conn_id="source_db", preview=2), supervisor)[0] == "skipped"
    assert len(preview_of(supervisor)["requests"]) == 2
    posted = sql_to_rest(sql=numbers, preview=2, transform=lambda row: None if row["id"] < 20 else row)
    assert run_try(posted, supervisor)[0] == "skipped"
    assert [request["body"] for request in preview_of(supervisor)["requests"]] == ['{"id":20}', '{"id":21}']
    skipping = sql_to_rest(sql=numbers, preview=2, transform=lambda row: None)
    assert run_try(skipping, supervisor)[0] == "skipped"
    assert preview_of(supervisor)["requests"] == []
    with sqlite3.connect(tmp_path / "one.db") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("locations",)]


@pytest.mark.parametrize("batch", [{}, in_batches(2)])
def test_what_reading_changes_is_undone(places, supervisor, postgres, batch):
    postgres.execute("DROP TABLE IF EXISTS outbox", "CREATE TABLE outbox AS SELECT 1 AS id, false AS sent")
    taking = "UPDATE outbox SET sent = true WHERE NOT sent RETURNING id"
    assert run_try(sql_to_rest(sql=taking, read_only=False, preview=3, **batch), supervisor)[0] == "skipped"
    assert len(preview_of(supervisor)["requests"]) == 1
    assert postgres.execute("SELECT sent FROM outbox") == [(False,)]
    postgres.execute("DROP TABLE outbox")


SECRETS = [
    {"conn_type": "async_rest", "password": "canary-91-of-gold", "extra": {"auth_type": "bearer"}},
    {"conn_type": "async_rest", "login": "me", "password": "canary-91-of-gold"},
    {"conn_type": "async_rest", "password": "c4n", "extra": {"auth_type": "api_key"}},
    {"conn_type": "async_rest", "password": "c4n", "extra": {"auth_type": "api_key_query"}},
    {"conn_type": "async_rest", "extra": {"headers": {"Cookie": "session=canary-91-of-gold; b=c4n"}}},
]


@pytest.mark.parametrize("connection", SECRETS)
def test_no_secret_is_shown(places, supervisor, connect, logged, connection):
    secret = connection.get("password", "canary-91-of-gold")
    extra = json.dumps(connection.get("extra", {}))
    connect("search_api", **{**connection, "host": places.url, "extra": extra})
    task = sql_to_rest(
        sql="SELECT 1 AS id, 'it is canary-91-of-gold, as ever' AS said",
        headers={"X-Session-Token": secret},
        endpoint="x/{id}?token=canary-91-of-gold",
        preview=1,
    )
    assert run_try(task, supervisor)[0] == "skipped"
    [request] = preview_of(supervisor)["requests"]
    assert "***" in json.dumps(request)
    for text in (json.dumps(request), logged()):
        assert "canary-91" not in text
        assert "c4n" not in text


def test_payloads_stay_out_where_they_should(places, supervisor, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__XCOM_PAYLOADS", "False")
    run_try(sql_to_rest(preview=1), supervisor)
    assert preview_of(supervisor)["requests"][0]["body"] == "[left out: [async_rest] xcom_payloads is False]"


def test_the_log_can_be_read(places, supervisor, logged):
    def transform(row):
        return {"x": float("nan") if row["id"] == 1 else row["id"]}

    run_try(sql_to_rest(preview=1, rate_limit="50/s", count_rows=True, transform=transform), supervisor)
    text = logged()
    assert "Preview: Delivering to PUT readings/{id} at http" in text
    assert "100 rows, concurrency 16, rate limit 50 per 1 s: at least 2 s." in text
    assert f"Request 1: PUT {places.url}/readings/2" in text
    assert '    {"x":2}' in text
    assert "Item 1 would be a dead letter: encode: " in text
    assert "Nothing was sent, and nothing is kept" in text


@pytest.mark.parametrize("batch", [{}, in_batches(10)])
@pytest.mark.parametrize(("argument", "conf"), [(1, None), (None, {"preview_send": 1})])
def test_one_request_is_sent_where_that_is_asked_for(places, supervisor, tmp_path, batch, argument, conf):
    places.answer = lambda seen: web.json_response({"error": "no such field: value"}, status=422)
    state, _ = run_try(sql_to_rest(**batch, preview=2, preview_send=argument), supervisor, conf=conf)
    assert (state, len(places.seen)) == ("skipped", 1)
    assert places.seen[0].body.count(b"value") == (10 if batch else 1)
    first, second = supervisor.data["xcom"]["preview"]["requests"]
    assert first["answer"] == {"status": 422, "excerpt": '{"error": "no such field: value"}'}
    assert "answer" not in second
    places.reset()
    check_nothing_happened(places, supervisor, tmp_path)


def test_an_api_that_is_away_is_an_answer_too(places, supervisor, connect):
    connect("search_api", conn_type="async_rest", host="http://127.0.0.1:1")
    assert run_try(sql_to_rest(preview_send=1), supervisor)[0] == "skipped"
    [request] = supervisor.data["xcom"]["preview"]["requests"]
    assert request["answer"]["status"] is None
    assert request["answer"]["excerpt"].startswith("connection: ")


@pytest.mark.parametrize("value", [0, -1, "3 rows", True, False, 2.5, 101, [3], ""])
@pytest.mark.parametrize("make", [sql_to_rest, rest_to_sql])
def test_what_is_no_number_of_requests_sends_nothing(places, warehouse, supervisor, make, value):
    for arguments, conf, words in (
        ({"preview": value}, None, f"preview={value!r}: write how many requests to show"),
        ({}, {"preview": value}, f"the run's conf has preview={value!r}: write how many requests to show"),
        ({"preview": 3, "preview_send": value}, None, f"preview_send={value!r}: write 1"),
        ({}, {"preview_send": value}, f"the run's conf has preview_send={value!r}: write 1"),
    ):
        state, error = run_try(given_later(make(), **arguments), supervisor, conf=conf)
        assert state == "failed"
        assert words in str(error)
    state, error = run_try(make(), supervisor, conf={"Preview": 3})
    assert (state, "the run's conf has 'Preview': write 'preview'." in str(error)) == ("failed", True)
    assert places.seen == []


def test_a_try_after_a_preview_resumes_what_was_there_before(places, supervisor):
    """A preview between two tries takes nothing away from the second one."""
    from airflow_async_rest import RequestRetry

    once = RequestRetry(max_attempts=1)
    places.answer = lambda seen: 503 if seen.path.endswith("7") else 200
    assert run_try(sql_to_rest(request_retry=once), supervisor)[0] == "up_for_retry"
    state = json.dumps(supervisor.data["state"])
    places.reset()
    places.answer = lambda seen: 200
    supervisor.data["state"]["replay"] = {"reasons": None, "search": "", "count": 1}
    assert run_try(sql_to_rest(request_retry=once, preview=1), supervisor, 2)[0] == "skipped"
    assert supervisor.data["xcom"]["preview"]["requests"][0]["url"].endswith("/7")
    assert supervisor.data["state"].pop("replay")
    assert json.dumps(supervisor.data["state"]) == state
    assert run_try(sql_to_rest(request_retry=once), supervisor, 3)[0] == "success"
    assert ids(places.delivered) == list(range(7, 101, 10))


def test_where_a_replay_was_asked_for_its_dead_letters_are_shown(places, supervisor, capsys):
    from airflow_async_rest import RequestRetry

    once = RequestRetry(max_attempts=1)
    places.answer = lambda seen: {"3": 503, "7": 422}.get(seen.path[-1], 200)
    run_try(sql_to_rest(request_retry=once), supervisor)
    supervisor.data["state"]["replay"] = {"reasons": ["http_422"], "search": "", "count": 10}
    places.reset()
    assert run_try(sql_to_rest(preview=2, rate_limit="5/s"), supervisor, 2)[0] == "skipped"
    preview = supervisor.data["xcom"]["preview"]
    assert [request["url"][-3:] for request in preview["requests"]] == ["s/7", "/17"]
    assert (preview["rows"], preview["letters"], preview["seconds"]) == (None, 10, 2.0)
    assert (places.seen, supervisor.data["state"]["replay"]["count"]) == ([], 10)
    assert ", 10 dead letters, " in capsys.readouterr().out


def calls(name, **arguments):
    from airflow.providers.standard.operators.python import PythonOperator

    from airflow_async_rest.hooks.rest import AsyncRestHook

    async def call():
        rows = ({"id": i} for i in range(100_000))
        getattr(AsyncRestHook("search_api"), name)(rows, **({"endpoint": "x/{id}"} | arguments))

    return PythonOperator(task_id="push", python_callable=lambda: asyncio.run(call()))


@pytest.mark.parametrize(
    ("name", "arguments", "conf", "first"),
    [
        ("deliver", {}, CONF, "POST {}/x/0"),
        ("fetch", {}, CONF, "GET {}/x/0"),
        ("preview", {"preview": 2, "method": "PUT", "key": "id"}, None, "PUT {}/x/0"),
        ("deliver", {"endpoint": "x", "batch": Batch(max_items=10)}, CONF, "POST {}/x"),
        ("preview", {"preview": 2, "endpoint": "x", "batch": Batch(max_items=10)}, None, "POST {}/x"),
        ("preview", {"preview": 2, "query": {"of": "{id}"}}, None, "GET {}/x/0?of=0"),
    ],
)
def test_plain_calls_are_skipped(places, supervisor, tmp_path, name, arguments, conf, first):
    assert run_try(calls(name, **arguments), supervisor, conf=conf) == ("skipped", None)
    check_nothing_happened(places, supervisor, tmp_path)
    preview = preview_of(supervisor)
    assert (preview["window"], preview["rows"], len(preview["requests"])) == (None, None, 2)
    request = preview["requests"][0]
    assert f"{request['method']} {request['url']}" == first.format(places.url)


@pytest.mark.parametrize("preview", [None, 1])
def test_outside_a_task_the_call_raises_the_skip(places, preview):
    from airflow.sdk.exceptions import AirflowSkipException

    from airflow_async_rest.hooks.rest import AsyncRestHook

    with pytest.raises(AirflowSkipException, match="a preview"):
        AsyncRestHook("search_api").preview([{"id": 1}], endpoint="x/{id}", preview=preview)
    with pytest.raises(TypeError, match="metod"):
        AsyncRestHook("search_api").preview([{"id": 1}], endpoint="x/{id}", metod="PUT")
    assert places.seen == []


def test_a_replay_in_such_a_run_counts(places, supervisor, tmp_path):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    places.answer = lambda seen: 422 if seen.path.endswith("/3") else 200
    run_try(sql_to_rest(), supervisor)
    folder = supervisor.report["dead_letters"]
    places.reset()
    task = ReplayDeadLettersOperator(task_id="again", dead_letters=folder, http_conn_id="search_api")
    assert run_try(task, supervisor, conf=CONF)[0] == "success"
    assert (places.seen, supervisor.report["reasons"]) == ([], {"http_422": 1})
