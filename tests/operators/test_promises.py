"""The promises that a user relies on, each broken by its own test if the code for it goes."""

import base64
import json
import random
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import READINGS, ids, sql_to_rest

from airflow_async_rest import RequestRetry

FAST = RequestRetry(max_attempts=3, backoff_base_seconds=0.001)


def keys_by_row(seen) -> dict[int, set[str]]:
    keys = defaultdict(set)
    for request, row in zip(seen, ids(seen), strict=True):
        keys[row].add(request.key)
    return keys


# Every row is accounted for: run_try checks every report and every progress of every test here.


def test_rows_are_accounted_for_when_everything_goes_wrong_at_once(places, supervisor):
    def answer(seen):
        row, attempts = int(seen.path.rpartition("/")[2]), len([s for s in places.seen if s.path == seen.path])
        match row % 5:
            case 0:
                return 422
            case 1:
                return "reset" if attempts == 1 else 200
            case 2:
                return 500
            case 3:
                return 429 if attempts == 1 else 200
        return 200

    def transform(row):
        if row["id"] % 7 == 0:
            return None
        return {"bad": float("nan")} if row["id"] % 11 == 0 else row

    places.answer = answer
    run_try(sql_to_rest(transform=transform, request_retry=FAST), supervisor)
    expected = Counter()
    for row in range(1, 101):
        if row % 7 == 0:
            expected["skipped"] += 1
        elif row % 11 == 0:
            expected["encode"] += 1
        else:
            expected[{0: "http_422", 2: "http_500"}.get(row % 5, "delivered")] += 1
    report = supervisor.report
    assert report["read"] == 100
    assert {"skipped": report["skipped"], "delivered": report["delivered"], **report["reasons"]} == expected


def test_a_server_that_fails_30_percent_of_requests_loses_no_row(places, supervisor, connect):
    """Each request is spoiled or not by chance; the seed makes a run like the next as far as the order allows."""
    connect("search_api", conn_type="async_rest", host=places.url, extra='{"request_timeout_seconds": 0.5}')
    chance, faults, served = random.Random(30), [500, "reset", "hang", 429], Counter()

    def answer(seen):
        outcome = chance.choice(faults) if chance.random() < 0.3 else 200
        served[outcome] += 1
        return outcome

    places.answer = answer
    rows = 1500
    run_try(sql_to_rest(sql=READINGS.format(rows=rows), concurrency=64), supervisor)
    report = supervisor.report
    stored, dead = set(ids(places.delivered)), {item["key"] for item in supervisor.data["xcom"]["failed_items"]}
    assert stored | dead == set(range(1, rows + 1))
    # A reset of a kept connection, before a byte of the answer, costs no attempt once.
    assert all(item["attempts"] in (5, 6) for item in supervisor.data["xcom"]["failed_items"])
    assert (report["read"], report["failed"]) == (rows, len(dead))
    # An API may have stored what it was too slow to answer, and a request may be lost before it sees it.
    assert rows - len(dead) == report["delivered"] <= len(stored)
    assert report["requests"] >= sum(served.values())
    assert all(served[fault] > 0 for fault in faults)


# At least once, and recognisable.


def test_a_request_has_the_same_key_on_every_attempt_retry_clear_and_replay(places, supervisor):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    places.answer = lambda seen: 503 if seen.path.endswith("3") else 200
    for try_number in (1, 2):  # the second one stands for a retry and for a Clear of the failed task
        state, _ = run_try(sql_to_rest(request_retry=FAST), supervisor, try_number)
        assert state == "up_for_retry"
    folder = supervisor.report["dead_letters"]
    places.answer = lambda seen: 200
    replay = ReplayDeadLettersOperator(task_id="replay", dead_letters=folder, http_conn_id="search_api")
    assert run_try(replay, supervisor)[0] == "success"
    sent = Counter(ids(places.seen))
    assert sent[3] == 2 * FAST.max_attempts + 1
    assert all(len(keys) == 1 for keys in keys_by_row(places.seen).values())
    assert len({seen.key for seen in places.seen}) == 100


@pytest.mark.parametrize(
    "change",
    [
        {"transform": lambda row: row | {"more": 1}},
        {"window_start": "2026-10-01", "window_end": "2026-10-02"},
        {"task_id": "another"},
        {"endpoint": "others/{id}"},
    ],
    ids=["content", "window", "task", "endpoint"],
)
def test_changed_content_or_another_window_task_or_endpoint_has_another_key(places, supervisor, change):
    run_try(sql_to_rest(), supervisor)
    first = {seen.key for seen in places.seen}
    places.reset()
    run_try(sql_to_rest(**change), supervisor)
    assert len(places.seen) == 100
    assert first.isdisjoint(seen.key for seen in places.seen)


@pytest.mark.parametrize(("value", "repeated"), [("NULL::int", 0), ("7", 8), ("i % 3", 6)])
def test_rows_with_the_same_key_are_counted_and_warned_about_and_null_is_no_key(
    places, supervisor, logged, value, repeated
):
    sql = f"SELECT {value} AS k, 1 AS same FROM generate_series(1, 9) AS i ORDER BY i"
    state, _ = run_try(sql_to_rest(sql=sql, endpoint="x", key="k"), supervisor)
    assert (state, supervisor.report["delivered"], supervisor.report["repeated_keys"]) == ("success", 9, repeated)
    assert len({seen.key for seen in places.seen}) == 9 - repeated
    assert logged().count(f"Rows whose key= an earlier row has: {repeated}.") == (1 if repeated else 0)


def test_rows_with_the_same_key_are_counted_and_not_warned_about_where_they_are_what_is_asked_for(
    places, supervisor, logged
):
    sql = "SELECT 7 AS k, i AS n FROM generate_series(1, 9) AS i ORDER BY i"
    run_try(sql_to_rest(sql=sql, endpoint="x", key="k", order_by_key=True), supervisor)
    assert (supervisor.report["delivered"], supervisor.report["repeated_keys"]) == (9, 8)
    assert "Rows whose key=" not in logged()


def test_without_key_the_position_stands_in_and_a_warning_says_so(places, supervisor, logged):
    run_try(sql_to_rest(key=None, sql="SELECT 1 AS id FROM generate_series(1, 5)"), supervisor)
    assert len({seen.key for seen in places.seen}) == 5
    assert logged().count("No key= is given") == 1


# A failing item does not stop the others.


def test_the_task_stops_early_and_retriably_when_nearly_everything_fails(places, supervisor):
    places.answer = lambda seen: 500
    state, error = run_try(sql_to_rest(sql=READINGS.format(rows=5000), request_retry=FAST), supervisor)
    assert state == "up_for_retry"
    assert "90 % of the last 200 items failed" in str(error)
    assert 200 <= supervisor.report["failed"] < 300
    assert supervisor.report["read"] < 300


def test_the_task_stops_retriably_when_the_quota_is_gone(places, supervisor):
    places.answer = lambda seen: web.Response(status=429, headers={"Retry-After": "3600"})
    state, error = run_try(sql_to_rest(max_quota_wait=timedelta(0)), supervisor)
    assert state == "up_for_retry"
    assert "a pause of 3600 s" in str(error)
    assert len(places.seen) <= 16
    assert supervisor.report["unfinished"] == supervisor.report["read"]


def test_an_api_that_speaks_no_tls_stops_the_task_at_the_first_item(places, supervisor, connect):
    connect("search_api", conn_type="async_rest", host=places.url.replace("http://", "https://"))
    state, error = run_try(sql_to_rest(sql=READINGS.format(rows=1000), request_retry=FAST), supervisor)
    assert state == "up_for_retry"
    assert "check the connection's schema (http or https)" in str(error)
    assert supervisor.report["read"] <= 2 * 16


def test_refused_credentials_stop_the_task_for_good_while_nothing_has_succeeded(places, supervisor):
    places.answer = lambda seen: 401
    state, error = run_try(sql_to_rest(sql=READINGS.format(rows=1000)), supervisor)
    assert state == "failed"
    assert "401" in str(error)
    assert len(places.seen) <= 2 * 16
    places.reset()
    places.answer = lambda seen: 403 if seen.path.endswith("99") else 200
    state, error = run_try(sql_to_rest(), supervisor, 2)
    assert supervisor.report["delivered"] == 99
    assert "1 http_403" in str(error)


def test_airflow_retries_unless_all_that_failed_was_refused_for_good(places, supervisor):
    places.answer = lambda seen: {"5": 422, "6": 500}.get(seen.path[-1], 200)
    assert run_try(sql_to_rest(request_retry=FAST), supervisor)[0] == "up_for_retry"
    places.answer = lambda seen: {"5": 422, "6": 404}.get(seen.path[-1], 200)
    assert run_try(sql_to_rest(request_retry=FAST), supervisor, 2)[0] == "failed"


# A retry sends only what is missing.


def test_a_retry_sends_only_what_failed_and_success_forgets_the_checkpoint(places, supervisor, logged):
    places.answer = lambda seen: 500 if seen.path.endswith("4") else 200
    run_try(sql_to_rest(request_retry=FAST), supervisor)
    places.reset()
    places.answer = lambda seen: 200
    state, _ = run_try(sql_to_rest(request_retry=FAST), supervisor, 2)
    assert state == "success"
    assert sorted(ids(places.seen)) == list(range(4, 101, 10))
    report = supervisor.report
    assert [report[name] for name in ("read", "delivered", "failed", "resumed_from")] == [100, 100, 0, 100]
    assert report["requests"] == 90 + 10 * FAST.max_attempts + 10  # of the window, over both tries
    assert report["dead_letters"] is None
    assert supervisor.data["xcom"]["failed_items"] == []
    assert "resumed at row 100, sending again 0 unfinished and 10 failed ones before it" in logged()
    places.reset()
    run_try(sql_to_rest(request_retry=FAST), supervisor, 3)  # a Clear of the task that succeeded
    assert len(places.seen) == 100


@pytest.mark.parametrize(
    "change",
    [
        {"sql": READINGS.format(rows=100) + " LIMIT 1000"},
        {"parameters": {"unused": 1}},
        {"window_start": "2026-10-01", "window_end": "2026-10-02"},
        {"method": "POST"},
        {"endpoint": "other/{id}"},
        {"key": ["id", "value"]},
    ],
    ids=["sql", "binds", "window", "method", "endpoint", "key"],
)
def test_another_job_than_the_checkpoints_starts_over_and_says_so(places, supervisor, logged, change):
    places.answer = lambda seen: 500 if seen.path.endswith("4") else 200
    run_try(sql_to_rest(request_retry=FAST), supervisor)
    places.reset()
    places.answer = lambda seen: 200
    state, _ = run_try(sql_to_rest(request_retry=FAST, **change), supervisor, 2)
    assert state == "success"
    assert len(places.seen) == 100
    assert "starting over from the first row: the SQL, its binds" in logged()


@pytest.fixture
def table(postgres):
    postgres.execute(
        "DROP TABLE IF EXISTS changing",
        "CREATE TABLE changing (id int PRIMARY KEY)",
        "INSERT INTO changing SELECT * FROM generate_series(1, 100)",
    )
    return "SELECT id FROM changing ORDER BY id"


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM changing WHERE id = 10", "INSERT INTO changing VALUES (0)"],
        ["DELETE FROM changing WHERE id > 50"],
        ["UPDATE changing SET id = id + 1000"],
    ],
    ids=["deleted and inserted", "fewer", "all others"],
)
def test_a_source_changed_between_tries_is_noticed_and_every_row_delivered(
    places, supervisor, postgres, table, statements, logged
):
    places.answer = lambda seen: 500 if seen.path.endswith("4") else 200
    run_try(sql_to_rest(sql=table, request_retry=FAST), supervisor)
    postgres.execute(*statements)
    places.reset()
    places.answer = lambda seen: 200
    state, _ = run_try(sql_to_rest(sql=table, request_retry=FAST), supervisor, 2)
    rows = [row[0] for row in postgres.execute(table)]
    assert state == "success"
    assert set(ids(places.delivered)) >= set(rows)
    assert supervisor.report["read"] == supervisor.report["delivered"] == len(rows)
    assert "Starting over from the first row" in logged()
    assert supervisor.report["dead_letters"] is None


def test_a_source_that_grew_goes_on_after_the_checkpoint(places, supervisor, postgres, table):
    places.answer = lambda seen: 500 if seen.path.endswith("44") else 200
    run_try(sql_to_rest(sql=table, request_retry=FAST), supervisor)
    postgres.execute("INSERT INTO changing SELECT * FROM generate_series(101, 110)")
    places.reset()
    places.answer = lambda seen: 200
    run_try(sql_to_rest(sql=table, request_retry=FAST), supervisor, 2)
    assert sorted(ids(places.seen)) == [44, *range(101, 111)]
    assert supervisor.report["read"] == 110


def test_an_unreadable_dead_letter_part_starts_over_and_says_so(places, supervisor, logged):
    places.answer = lambda seen: 500 if seen.path.endswith("4") else 200
    run_try(sql_to_rest(request_retry=FAST), supervisor)
    part = next(Path(supervisor.report["dead_letters"].removeprefix("file://")).glob("*.jsonl"))
    part.write_text(part.read_text()[:-20])
    places.reset()
    places.answer = lambda seen: 500 if seen.path.endswith("100") else 200
    run_try(sql_to_rest(request_retry=FAST), supervisor, 2)
    assert set(ids(places.seen)) == set(range(1, 101))
    assert "starting over from the first row: the dead-letter part" in logged()


def test_a_state_store_that_fails_costs_resumability_not_the_delivery(places, supervisor, logged):
    supervisor.failing = True
    state, _ = run_try(sql_to_rest(), supervisor)
    assert (state, len(places.delivered)) == ("success", 100)
    assert "the API server is away" in logged()


def test_a_row_dead_in_one_try_and_delivered_in_the_next_is_resolved_in_its_folder(places, supervisor):
    from airflow_async_rest.tasks.storage.folders import open_folder

    places.answer = lambda seen: 500 if seen.path.endswith("4") else 200
    run_try(sql_to_rest(request_retry=FAST), supervisor)
    folder = supervisor.report["dead_letters"]
    places.answer = lambda seen: 500 if seen.path.endswith("94") else 200
    run_try(sql_to_rest(request_retry=FAST), supervisor, 2)
    assert supervisor.report["dead_letters"] == folder
    assert open_folder(folder).read() == {93: "http_500"}
    assert [item["key"] for item in supervisor.data["xcom"]["failed_items"]] == [94]


# The API's limits hold.


def test_one_retry_after_pauses_everybody(places, supervisor):
    def answer(seen):
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(places.seen) == 50 else 200

    places.answer = answer
    state, _ = run_try(sql_to_rest(sql=READINGS.format(rows=300), concurrency=8), supervisor)
    refused = places.seen[49].at
    during = [seen for seen in places.seen[50:] if seen.at - refused < 0.9]
    assert state == "success"
    assert len(during) <= 7  # those that were in flight already
    assert len(places.delivered) == 300


# A timeout loses nothing.


def test_the_deadline_comes_before_execution_timeout_and_a_retry_goes_on(places, supervisor):
    places.answer = lambda seen: "hang"
    state, error = run_try(sql_to_rest(execution_timeout=timedelta(seconds=10)), supervisor)
    assert (state, type(error).__name__) == ("up_for_retry", "AirflowTaskTimeout")
    assert "execution_timeout is 10 s" in str(error)
    report = supervisor.report
    assert [report[name] for name in ("read", "unfinished", "delivered")] == [16, 16, 0]
    assert sorted(supervisor.checkpoint["unfinished"]) == list(range(16))
    places.reset()
    places.answer = lambda seen: 200
    assert run_try(sql_to_rest(), supervisor, 2)[0] == "success"
    assert sorted(ids(places.delivered)) == list(range(1, 101))


# The connection's secrets stay secret.


def test_secrets_are_in_no_log_xcom_or_dead_letter_even_when_the_api_echoes_them(
    places, supervisor, connect, logged, tmp_path
):
    connect(
        "search_api",
        conn_type="async_rest",
        host=places.url,
        login="ann",
        password="pa55-w0rd!",
        extra=json.dumps({"headers": {"X-Tenant-Key": "tenant-5ecret"}}),
    )
    places.answer = lambda seen: web.Response(status=422, text=f"{seen.headers} pa55-w0rd!")
    run_try(sql_to_rest(headers={"X-Api-Token": "operator-5ecret"}), supervisor)
    basic = base64.b64encode(b"ann:pa55-w0rd!").decode()
    assert places.seen[0].headers["Authorization"] == f"Basic {basic}"
    dead_letters = "".join(part.read_text() for part in tmp_path.rglob("*.jsonl"))
    assert "***" in dead_letters
    log = logged()
    assert re.search(r"Item \d+ failed", log)  # whichever was answered first
    for text in (dead_letters, json.dumps(supervisor.data["xcom"]), json.dumps(supervisor.data["state"]), log):
        assert not any(secret in text for secret in ("pa55-w0rd!", basic, "tenant-5ecret", "operator-5ecret"))


# 3xx is a failure for anything but GET.


def test_a_redirect_is_a_failure_and_is_not_followed(places, supervisor):
    places.answer = lambda seen: web.Response(status=302, headers={"Location": "/elsewhere"})
    run_try(sql_to_rest(sql=READINGS.format(rows=10), method="POST"), supervisor)
    assert supervisor.report["reasons"] == {"http_302": 10}
    assert len(places.seen) == 10


# Logs a person can follow.


def test_a_thousand_failures_alike_do_not_write_a_thousand_lines(places, supervisor, logged):
    places.answer = lambda seen: 422 if int(seen.path.rpartition("/")[2]) % 2 else 200
    run_try(sql_to_rest(sql=READINGS.format(rows=2000)), supervisor)
    lines = [line for line in logged().splitlines() if "http_422" in line]
    assert supervisor.report["failed"] == 1000
    assert len(lines) < 10


def test_the_sample_in_xcom_stays_within_48_kb_and_says_how_many_more_there_are(places, supervisor, monkeypatch):
    places.answer = lambda seen: 422
    task = sql_to_rest(sql="SELECT i AS id, repeat('x', 10000) AS text FROM generate_series(1, 150) i ORDER BY i")
    run_try(task, supervisor)
    items = supervisor.data["xcom"]["failed_items"]
    assert len(json.dumps(items)) <= 48_000
    assert supervisor.report["failed_items_omitted"] == 150 - len(items) > 0
    assert "[cut: " in items[0]["payload"]
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__XCOM_PAYLOADS", "False")
    run_try(task, supervisor, 2)
    assert all("payload" not in item for item in supervisor.data["xcom"]["failed_items"])


# The window's bounds.

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize("column", ["timestamptz", "timestamp", "date"])
@pytest.mark.parametrize("session_zone", ["UTC", "America/New_York"])
def test_a_row_on_window_start_is_sent_and_one_on_window_end_is_not(places, supervisor, postgres, column, session_zone):
    postgres.execute(
        f"ALTER DATABASE {postgres.database} SET TIME ZONE '{session_zone}'",
        "DROP TABLE IF EXISTS bounds",
        f"CREATE TABLE bounds (id int, at {column})",
    )
    postgres.execute(
        "SET TIME ZONE 'UTC'",
        "INSERT INTO bounds VALUES (1, '2026-11-01'), (2, '2026-11-02'), (3, '2026-10-31')",
    )
    sql = "SELECT id, at FROM bounds WHERE at >= :window_start AND at < :window_end ORDER BY id"
    state, error = run_try(sql_to_rest(sql=sql), supervisor)
    postgres.execute(f"ALTER DATABASE {postgres.database} RESET TIME ZONE")
    assert (state, error) == ("success", None)
    assert ids(places.seen) == [1]
    assert places.seen[0].json()["at"] == ("2026-11-01" if column == "date" else "2026-11-01T00:00:00+00:00")
