"""AsyncRestHook.deliver: the engine from a plain TaskFlow task."""

import asyncio
import gc
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import NamedTuple

import attrs
import numpy as np
import pydantic
import pytest
from sqlalchemy import create_engine, text
from task_runner import run_try
from tasks import ids

from airflow_async_rest import Batch, RequestRetry


def task_of(function, **arguments):
    from airflow.providers.standard.operators.python import PythonOperator

    return PythonOperator(task_id="push", python_callable=function, **arguments)


def deliver(items, **arguments):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    settings = {"endpoint": "x/{id}", "key": "id", "request_retry": RequestRetry(max_attempts=1)}
    return AsyncRestHook("search_api").deliver(items, **(settings | arguments))


def test_items_are_delivered_and_the_report_is_the_tasks_result(places, supervisor):
    state, error = run_try(task_of(lambda: deliver({"id": i} for i in range(2500))), supervisor)
    assert (state, error) == ("success", None)
    assert sorted(ids(places.delivered)) == list(range(2500))
    assert supervisor.report["delivered"] == 2500
    assert supervisor.data["xcom"]["failed_items"] == []


def test_failures_are_in_xcom_and_dead_letters_and_a_retry_sends_all_with_the_same_keys(places, supervisor):
    places.answer = lambda seen: 500 if seen.path.endswith("/3") else 200
    task = task_of(lambda: deliver([{"id": i} for i in range(5)]))
    state, error = run_try(task, supervisor)
    assert state == "up_for_retry"
    assert "1 of 5 items failed (1 http_500)" in str(error)
    assert [item["key"] for item in supervisor.data["xcom"]["failed_items"]] == [3]
    folder = supervisor.report["dead_letters"]
    first = {seen.path: seen.key for seen in places.seen}
    places.reset()
    places.answer = lambda seen: 200
    run_try(task, supervisor, 2)
    assert {seen.path: seen.key for seen in places.seen} == first

    from airflow_async_rest.tasks.storage.folders import open_folder

    assert open_folder(folder).read() == {}  # everything was sent again, so what was dead is void


def test_a_function_that_makes_the_body_may_compress_it(places, supervisor):
    import gzip

    batch = Batch(format=lambda payloads: gzip.compress(json.dumps(payloads).encode()))
    headers = {"Content-Encoding": "gzip", "X-Team": "search\n"}
    state, error = run_try(task_of(lambda: deliver([{"id": 1}], endpoint="", batch=batch, headers=headers)), supervisor)
    assert (state, error) == ("success", None)
    [seen] = places.seen
    assert (json.loads(seen.body), seen.headers["X-Team"]) == ([{"id": 1}], "search")  # aiohttp's server unpacks it


def test_an_item_that_is_no_dict_becomes_one(places, supervisor):
    run_try(task_of(lambda: deliver([7, "a b"], endpoint="x/{item}", key="item")), supervisor)
    assert {seen.path: json.loads(seen.body) for seen in places.seen} == {
        "/x/7": {"item": 7},
        "/x/a%20b": {"item": "a b"},
    }


@pytest.mark.parametrize(
    ("items", "message"),
    [({"id": 1}, "items is a dict: give a list"), ("text", "items is a str"), (5, "items is a int")],
)
def test_items_that_are_none_are_refused(places, supervisor, items, message):
    state, error = run_try(task_of(lambda: deliver(items)), supervisor)
    assert state == "failed"
    assert message in str(error)


def test_two_calls_in_one_task_keep_their_dead_letters_apart(places, supervisor):
    from airflow_async_rest.tasks.storage.folders import open_folder

    def push():
        first = deliver([{"id": i} for i in range(5)], max_failures=5)
        second = deliver([{"id": i} for i in range(10, 15)], max_failures=5)
        return [first["dead_letters"], second["dead_letters"]]

    places.answer = lambda seen: 500 if seen.path[-1] in "34" else 200
    for try_number in (1, 2):
        state, _ = run_try(task_of(push), supervisor, try_number)
        assert state == "success"
        first, second = supervisor.data["xcom"]["return_value"]
        assert first != second
        assert [sorted(open_folder(uri).read()) for uri in (first, second)] == [[3, 4], [3, 4]]
        assert [item["key"] for item in supervisor.data["xcom"]["failed_items"]] == [3, 4]
        assert [item["key"] for item in supervisor.data["xcom"]["failed_items_2"]] == [13, 14]


def test_items_go_in_batches_too_and_the_concurrency_may_be_found(places, supervisor):
    batch = Batch(max_items=100, format={"values": "json_array"})
    task = task_of(lambda: deliver(range(250), endpoint="x", key=None, batch=batch, concurrency="adaptive"))
    state, _ = run_try(task, supervisor)
    assert (state, supervisor.report["requests"]) == ("success", 3)
    sent = [value["item"] for seen in places.seen for value in seen.json()["values"]]
    assert sorted(sent) == list(range(250))


def test_an_item_without_the_key_column_does_not_stop_the_others(places, supervisor):
    state, _ = run_try(task_of(lambda: deliver([{"id": 1}, {"x": 2}, {"id": 3}])), supervisor)
    assert state == "failed"
    assert sorted(ids(places.delivered)) == [1, 3]
    assert supervisor.report["reasons"] == {"endpoint": 1}


def test_outside_a_task_it_works_too(places):
    assert deliver([{"id": 1}, {"id": 2}])["delivered"] == 2


def test_a_kill_of_a_taskflow_task_keeps_what_is_done(places, supervisor):
    import os
    import signal
    import threading

    places.answer = lambda seen: 200 if seen.path.endswith("/0") else "hang"
    killer = threading.Thread(
        target=lambda: (places.wait_for(lambda api: api.in_flight == 16), os.kill(os.getpid(), signal.SIGTERM))
    )
    killer.start()
    state, error = run_try(task_of(lambda: deliver({"id": i} for i in range(100))), supervisor)
    killer.join()
    assert state == "up_for_retry"
    assert "the task was killed" in str(error)
    assert (supervisor.report["delivered"], supervisor.report["unfinished"]) == (1, 16)


def test_an_http_connection_serves_as_well(places, supervisor, connect):
    connect("search_api", conn_type="http", host=places.url, login="ann", password="pw", extra='{"X-Team": "a"}')
    run_try(task_of(lambda: deliver([{"id": 1}])), supervisor)
    assert places.seen[0].headers["X-Team"] == "a"
    assert places.seen[0].headers["Authorization"].startswith("Basic ")


class Reading(NamedTuple):
    id: int
    value: float


@dataclass(slots=True)
class Measured:
    id: int
    value: float


@attrs.define
class Attributed:
    id: int
    value: float


class Model(pydantic.BaseModel):
    id: int
    value: float


def rows_of_sqlalchemy(mappings):
    with create_engine("sqlite://").connect() as connection:
        result = connection.execute(text("SELECT 1 AS id, 2.5 AS value"))
        return result.mappings().all() if mappings else result.all()


def rows_of_sqlite():
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    return connection.execute("SELECT 1 AS id, 2.5 AS value").fetchall()


ROWS_BY_NAME = {
    "named tuples": [Reading(1, 2.5)],
    "dicts": [{"id": 1, "value": 2.5}],
    "SQLite's": rows_of_sqlite(),
    "SQLAlchemy's": rows_of_sqlalchemy(mappings=False),
    "SQLAlchemy's mappings": rows_of_sqlalchemy(mappings=True),
    "numpy's": np.array([(1, 2.5)], dtype=[("id", "i8"), ("value", "f8")]),
    "dataclasses": [Measured(1, 2.5)],
    "attrs": [Attributed(1, 2.5)],
    "pydantic's": [Model(id=1, value=2.5)],
}


@pytest.mark.parametrize("items", ROWS_BY_NAME.values(), ids=ROWS_BY_NAME.keys())
def test_rows_by_name_are_rows(places, supervisor, items):
    assert run_try(task_of(lambda: deliver(items, method="PUT")), supervisor)[0] == "success"
    assert [seen.json() for seen in places.seen] == [{"id": 1, "value": 2.5}]


def test_rows_of_a_cursor_have_their_names(places, supervisor, postgres):
    def push():

        with postgres.open() as connection:
            return deliver(connection.execute("SELECT 1 AS id, 2.5::float8 AS value"), method="PUT")

    assert run_try(task_of(push), supervisor)[0] == "success"
    assert [seen.json() for seen in places.seen] == [{"id": 1, "value": 2.5}]


def test_a_cursor_that_only_its_own_thread_may_read_is_refused(places, supervisor):
    state, error = run_try(task_of(lambda: deliver(sqlite3.connect(":memory:").execute("SELECT 1 AS id"))), supervisor)
    assert (state, places.seen) == ("failed", [])
    assert "items is a cursor of sqlite3: give its rows, cursor.fetchall()" in str(error)


class PandasTable(list):
    columns, iloc = ["id"], None


class PolarsTable(list):
    columns, to_dicts = ["id"], None


class ArrowTable:
    columns, to_pylist = ["id"], None


class Column:
    """As pandas has a row: it is no mapping."""

    iloc = None

    def to_dict(self):
        return {"id": 1}


async def rows_to_come():
    yield {"id": 1}


NO_ROWS = {
    "pandas'": (lambda: PandasTable(["id"]), 'give its rows, df.to_dict("records")'),
    "polars'": (lambda: PolarsTable(["id"]), "give its rows, df.to_dicts()"),
    "pyarrow's": (ArrowTable, "give its rows, df.to_pylist()"),
    "a list of tables": (lambda: [PandasTable(["id"])], 'one of the items is a PandasTable: give its rows, df.to_dict("records")'),
    "iterrows": (lambda: [(0, Column())], 'give df.to_dict("records")'),
    "to come": (rows_to_come, "[item async for item in items]"),
    "one row": (lambda: {"id": 1}, "[items] if it is one of them"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "instead"), NO_ROWS.values(), ids=NO_ROWS.keys())
def test_what_is_no_iterable_of_rows_is_refused_with_what_to_give_instead(places, supervisor, make, instead):
    state, error = run_try(task_of(lambda: deliver(make())), supervisor)
    assert state == "failed"
    assert instead in str(error)
    assert places.seen == []


def test_a_row_of_pandas_is_one(places, supervisor):
    assert run_try(task_of(lambda: deliver([Column()], method="PUT")), supervisor)[0] == "success"
    assert [seen.json() for seen in places.seen] == [{"id": 1}]


def test_a_coroutine_may_deliver(places, connect, tmp_path):
    async def push():
        return deliver([{"id": 1}], dead_letter_path=str(tmp_path))

    assert asyncio.run(push())["delivered"] == 1


def test_jobs_at_once_leave_the_garbage_collector_as_it_was(places, connect, tmp_path):
    before, together = gc.get_threshold(), threading.Barrier(2)

    def items():
        together.wait(60)  # both have begun
        yield {"id": 1}

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(deliver, items(), dead_letter_path=str(tmp_path / str(n))) for n in range(2)]
        assert [one.result()["delivered"] for one in running] == [1, 1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_a_kill_stops_all_that_a_task_runs_at_once(places, supervisor):
    places.answer = lambda seen: "hang"

    def push():
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(copy_context().run, deliver, [{"id": n}]) for n in range(2)]
            places.wait_for(lambda api: api.in_flight == 2)
            get_current_context()["ti"].task.on_kill()
            return [str(one.exception()) for one in running]

    from airflow.sdk import get_current_context

    task = task_of(push)
    assert run_try(task, supervisor)[0] == "success"
    assert [text.startswith("the task was killed") for text in supervisor.report] == [True, True]
