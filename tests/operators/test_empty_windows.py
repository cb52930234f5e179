"""A window's rows are not deleted for an answer that has none, unless that is said."""

import json
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from servers import raw_server, reading
from task_runner import run_try
from tasks import rest_to_sql

READINGS = "SELECT id FROM readings ORDER BY id"
INSIDE, OUTSIDE = -2, [-3, -1]


@pytest.fixture
def daily(places, postgres, connect):
    """A task whose rows have times, in a table with a row in the window and one on either side of it."""
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads",
        "DROP TABLE IF EXISTS readings",
        "CREATE TABLE readings (id bigint CHECK (id < 1000), at timestamptz)",
        "INSERT INTO readings VALUES (-1, '2026-10-31 23:59:59Z'), (-2, '2026-11-01 00:00Z'), (-3, '2026-11-02 00:00Z')",
    )
    return lambda **arguments: rest_to_sql(
        window_step=timedelta(hours=6), endpoint="readings", query={"from": "{start}"}, rows=None, columns=["id", "at"],
        destination_table="readings", load_mode="replace_window", window_column="at", **arguments,
    )  # fmt: skip


def ids(postgres) -> list[int]:
    return [row[0] for row in postgres.execute(READINGS)]


def one_reading(seen):
    return web.json_response([{"id": 1, "at": parse_qs(seen.query)["from"][0]}])


NO_ROWS = {
    "an empty list": lambda seen: web.json_response([]),
    "no content": lambda seen: 204,
    "a header alone": lambda seen: web.Response(text="id,at\r\n", content_type="text/csv"),
}


@pytest.mark.parametrize("answer", NO_ROWS.values(), ids=NO_ROWS)
def test_a_window_is_not_emptied_and_a_clear_asks_again(places, postgres, daily, supervisor, answer):
    places.answer = answer
    state, error = run_try(daily(), supervisor)
    assert state == "failed"
    assert "1 row that readings has in the window would be deleted, and none loaded; nothing is changed" in str(error)
    assert "allow_empty_window=True" in str(error)
    assert ids(postgres) == sorted([*OUTSIDE, INSIDE])
    places.reset()
    places.answer = one_reading
    assert run_try(daily(), supervisor, 2) == ("success", None)
    assert len(places.seen) == 4
    assert ids(postgres) == sorted([*OUTSIDE, 1, 1, 1, 1])


def test_it_is_where_that_is_said_after_a_failure_too(places, postgres, daily, supervisor):
    places.answer = NO_ROWS["an empty list"]
    assert run_try(daily(), supervisor)[0] == "failed"
    assert run_try(daily(allow_empty_window=True), supervisor, 2) == ("success", None)
    assert ids(postgres) == OUTSIDE


def test_a_window_that_is_empty_may_stay_so(places, postgres, daily, supervisor):
    postgres.execute(f"DELETE FROM readings WHERE id = {INSIDE}")
    places.answer = NO_ROWS["an empty list"]
    for number in (1, 2):
        assert run_try(daily(), supervisor, number) == ("success", None)
    assert ids(postgres) == OUTSIDE


def test_one_row_is_enough(places, postgres, daily, supervisor):
    places.answer = lambda seen: one_reading(seen) if "T12" in seen.query else 204
    assert run_try(daily(), supervisor) == ("success", None)
    assert ids(postgres) == sorted([*OUTSIDE, 1])


def test_rows_that_are_all_refused_empty_no_window(places, postgres, daily, supervisor):
    places.answer = lambda seen: web.json_response([{"id": 1000, "at": parse_qs(seen.query)["from"][0]}])
    state, error = run_try(daily(max_failures=10), supervisor)
    assert state == "failed"
    assert "would be deleted" in str(error) or "refuses" in str(error)
    assert ids(postgres) == sorted([*OUTSIDE, INSIDE])
    postgres.execute("ALTER TABLE readings DROP CONSTRAINT readings_id_check")
    assert run_try(daily(), supervisor, 2) == ("success", None)
    assert ids(postgres) == sorted([*OUTSIDE, 1000, 1000, 1000, 1000])


def test_null_empties_no_window_even_where_that_is_allowed(places, postgres, daily, supervisor):
    places.answer = lambda seen: web.json_response(None)
    assert run_try(daily(allow_empty_window=True), supervisor)[0] == "up_for_retry"
    assert ids(postgres) == sorted([*OUTSIDE, INSIDE])
    assert run_try(daily(allow_empty_window=True, empty_ok=True), supervisor, 2) == ("success", None)
    assert ids(postgres) == OUTSIDE


HEADER, ROW = b"id,at\r\n", b"1,2026-11-01T12:00:00Z\r\n"


@pytest.mark.parametrize("body", [b"", HEADER, HEADER + ROW])
@pytest.mark.parametrize(
    ("end", "extra", "words"),
    [("close", {}, "set trust_close of the connection"), ("reset", {"trust_close": True}, "broke off")],
)
def test_a_window_is_not_replaced_by_what_may_be_cut_off(postgres, daily, connect, supervisor, body, end, extra, words):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nConnection: close\r\n\r\n"
    with reading(len(head + body)) as was_read, raw_server(head + body, None, end, was_read) as port:
        connect("search_api", conn_type="async_rest", host=f"http://127.0.0.1:{port}", extra=json.dumps(extra))
        task = daily(allow_empty_window=True, empty_ok=True, concurrency=1)
        state, error = run_try(task, supervisor)
    assert state == "up_for_retry"
    assert words in str(error)
    assert ids(postgres) == sorted([*OUTSIDE, INSIDE])


@pytest.mark.parametrize(("body", "loaded"), [(HEADER, []), (HEADER + ROW, [1] * 4)])
def test_it_is_where_the_connection_trusts_a_close(postgres, daily, connect, supervisor, body, loaded):
    with raw_server(b"HTTP/1.0 200 OK\r\nContent-Type: text/csv\r\n\r\n" + body) as port:
        url, extra = f"http://127.0.0.1:{port}", json.dumps({"trust_close": True})
        connect("search_api", conn_type="async_rest", host=url, extra=extra)
        assert run_try(daily(allow_empty_window=True), supervisor) == ("success", None)
    assert ids(postgres) == sorted([*OUTSIDE, *loaded])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"allow_empty_window": 1}, "allow_empty_window=1: write True or False"),
        (
            {"allow_empty_window": True, "load_mode": "append", "window_column": None},
            "allow_empty_window belongs to load_mode='replace_window', but load_mode is 'append': write that one, or leave this out",
        ),
        ({"empty_ok": "yes"}, "empty_ok='yes': write True or False"),
        ({"missing_ok": "yes"}, "missing_ok='yes': write True or False"),
        ({"max_pages": 0}, "max_pages=0: write a whole number from 1 up"),
        ({"window_timezone": "Mars"}, "window_timezone='Mars': write a name such as 'Europe/Helsinki'"),
        ({"page_rows": "a..b"}, "page_rows: 'a..b' is not a path"),
        ({"rows": "items[?"}, "rows: 'items[?' cannot be read as JMESPath"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_request(places, daily, supervisor, arguments, words):
    task = daily()
    for name, value in arguments.items():
        setattr(task, name, value)
    state, error = run_try(task, supervisor)
    assert state == "failed"
    assert words in str(error)
    assert places.seen == []
