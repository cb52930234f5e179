"""``AsyncRestHook.fetch``: rows for a plain task."""

import gc
import threading

import pytest
from aiohttp import web
from task_runner import run_try

from airflow_async_rest import NumberedPages

ROWS_OF_AN_ITEM = 3


def answer(seen):
    number = int(seen.path.rpartition("/")[2])
    return web.json_response([{"id": number, "n": n} for n in range(ROWS_OF_AN_ITEM)])


@pytest.fixture
def hook(api, connect, tmp_path, monkeypatch):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    api.answer = answer
    return AsyncRestHook("search_api")


def fetch(hook, items, **arguments):
    return hook.fetch(items, endpoint="x/{item}", **arguments)


def test_every_row_comes_once_and_the_report_is_the_generators_value(hook):
    rows, reports = [], []

    def take():
        reports.append((yield from fetch(hook, range(1000))))

    for chunk in take():
        rows += chunk
    assert sorted((row["id"], row["n"]) for row in rows) == [(i, n) for i in range(1000) for n in range(3)]
    assert (reports[0]["delivered"], reports[0]["rows_loaded"]) == (1000, 3000)


def test_columns_and_pages_are_as_in_the_operator(hook, api):
    api.answer = lambda seen: web.json_response([{"a": {"b": seen.query}}] if "page=3" not in seen.query else [])
    rows = [row for chunk in fetch(hook, [7], columns={"q": "a.b", "of": "item.item"}, paginate=NumberedPages())
            for row in chunk]  # fmt: skip
    assert rows == [{"q": "page=1", "of": 7}, {"q": "page=2", "of": 7}]


def test_what_failed_is_raised_at_the_end_when_the_rest_has_come(hook, api):
    from airflow.sdk.exceptions import AirflowFailException

    api.answer = lambda seen: 410 if seen.path == "/x/5" else answer(seen)
    rows = []
    with pytest.raises(AirflowFailException, match=r"1 of 10 items failed \(1 http_410\).* handed over"):
        rows.extend(row for chunk in fetch(hook, range(10)) for row in chunk)
    assert len(rows) == 9 * ROWS_OF_AN_ITEM


def test_whoever_stops_taking_stops_the_fetching(hook, api):
    chunks = fetch(hook, range(1_000_000))
    next(chunks)
    chunks.close()
    assert len(api.seen) < 500_000
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "async-rest-fetch"]


def test_whoever_stops_taking_long_after_the_last_chunk_leaves_no_thread_behind(hook, api, monkeypatch):
    monkeypatch.setattr("airflow_async_rest.core.loading.CHUNK_ROWS", 6)
    chunks = fetch(hook, range(100_000), concurrency=4)
    next(chunks)
    api.wait_for(lambda api: len(api.seen) > 20 and api.in_flight == 0)  # all that there is room for has come
    chunks.close()
    for thread in threading.enumerate():
        if thread.name == "async-rest-database":
            thread.join(10)
            assert not thread.is_alive()


def test_no_more_than_a_few_chunks_are_fetched_ahead_of_their_taker(hook, api, monkeypatch):
    chunk_rows, concurrency, items = 6, 4, 2_000
    monkeypatch.setattr("airflow_async_rest.core.loading.CHUNK_ROWS", chunk_rows)
    # Two chunks that are handed over, one that is about to be, and the buffer, each of ten at most; and what each
    # worker has in hand.
    most_ahead = 4 * 10 * chunk_rows // ROWS_OF_AN_ITEM + 5 * concurrency
    chunks, taken = fetch(hook, range(items), concurrency=concurrency), 0
    for chunk in chunks:
        taken += len(chunk)
        left = items - taken // ROWS_OF_AN_ITEM
        expected = min(left, 4 * chunk_rows // ROWS_OF_AN_ITEM)
        api.wait_for(lambda a, n=taken // ROWS_OF_AN_ITEM + expected: len(a.seen) >= n)
        assert len(api.seen) - taken // ROWS_OF_AN_ITEM <= most_ahead
    assert taken == items * ROWS_OF_AN_ITEM


def test_wrong_arguments_are_said_at_the_call_of_the_first_chunk(hook, api):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="paginate='pages'"):
        next(fetch(hook, [1], paginate="pages"))
    assert api.seen == []


def test_in_a_task_the_failed_items_are_in_xcom(hook, api, supervisor):
    from airflow.sdk import DAG, task

    api.answer = lambda seen: 410 if seen.path == "/x/5" else answer(seen)

    @task
    def take():
        return sum(len(chunk) for chunk in fetch(hook, range(10), max_failures=1))

    with DAG("fetching", schedule=None):
        operator = take().operator
    state, error = run_try(operator, supervisor)
    assert (state, error) == ("success", None)
    assert supervisor.data["xcom"]["return_value"] == 27
    assert [item["key"] for item in supervisor.data["xcom"]["failed_items"]] == [5]
