"""``order_by_key=``: rows of one key, one after another."""

import asyncio

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import in_batches, sql_to_rest

from airflow_async_rest.hooks.rest import AsyncRestHook

CHANGES = "SELECT i % 3 AS id, i AS number FROM generate_series(1, 300) AS i ORDER BY i"


class Record:
    """The numbers in the order in which an API has seen them, by key; each is refused once, as every fifth may be."""

    def __init__(self) -> None:
        self.numbers, self.put_off = {}, set()

    def __call__(self, seen):
        body = seen.json()
        statuses = [self._status(row) for row in (body if isinstance(body, list) else [body])]
        return web.json_response(
            [{"status": status} for status in statuses], status=200 if isinstance(body, list) else statuses[0]
        )

    def _status(self, row):
        if row["number"] % 5 == 0 and row["number"] not in self.put_off:
            self.put_off.add(row["number"])
            return 503
        self.numbers.setdefault(row["id"], []).append(row["number"])
        return 200

    def assert_in_order(self):
        assert self.numbers == {key: list(range(key or 3, 301, 3)) for key in range(3)}


@pytest.mark.parametrize("arguments", [{}, {"concurrency": "adaptive"}])
def test_what_is_put_off_holds_the_later_rows_of_its_key_up(places, supervisor, arguments):
    places.answer = record = Record()
    task = sql_to_rest(sql=CHANGES, order_by_key=True, **arguments)
    assert run_try(task, supervisor) == ("success", None)
    record.assert_in_order()


def test_so_it_does_in_batches_whose_answers_tell_by_item(places, supervisor):
    from airflow_async_rest import Batch

    places.answer = record = Record()
    batch = in_batches(10) | {"batch": Batch(max_items=10, results="list")}
    assert run_try(sql_to_rest(sql=CHANGES, order_by_key=True, **batch), supervisor) == ("success", None)
    record.assert_in_order()


def test_a_plain_call_has_it_too(airflow_db, connect, api):
    from airflow_async_rest import RequestRetry

    connect("search_api", conn_type="async_rest", host=api.url)
    api.answer = record = Record()
    rows = [{"id": number % 3, "number": number} for number in range(1, 301)]
    retry = RequestRetry(backoff_base_seconds=0.001)
    hook = AsyncRestHook("search_api")
    hook.deliver(rows, endpoint="x", key="id", order_by_key=True, request_retry=retry, concurrency=50)
    record.assert_in_order()


def test_a_row_without_a_key_is_one_of_its_own(places, supervisor):
    task = sql_to_rest(
        sql="SELECT NULL AS id, i AS number FROM generate_series(1, 50) i", endpoint="x", order_by_key=True
    )
    assert run_try(task, supervisor) == ("success", None)
    assert supervisor.report["delivered"] == 50


@pytest.mark.parametrize(
    "key",
    [
        "CASE i % 3 WHEN 0 THEN 1::numeric WHEN 1 THEN 1.0 ELSE 1.00 END",
        "CASE i % 2 WHEN 0 THEN 1e2::numeric ELSE 100.0 END",
    ],
)
def test_equal_numbers_are_one_key(places, supervisor, key):
    places.answer = one = OneAtATime()
    sql = f"SELECT {key} AS id, i AS number FROM generate_series(1, 30) AS i ORDER BY i"
    assert run_try(sql_to_rest(sql=sql, endpoint="x", order_by_key=True), supervisor) == ("success", None)
    assert (one.numbers, one.most) == (list(range(1, 31)), 1)


class OneAtATime:
    """The numbers in the order in which an API has seen them, and how many were under way at once."""

    def __init__(self) -> None:
        self.numbers, self.now, self.most = [], 0, 0

    async def __call__(self, seen):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.numbers.append(seen.json()["number"])
        self.now -= 1
        return 200


@pytest.mark.parametrize("bulk", [False, True])
def test_a_replay_keeps_the_order_too(places, supervisor, bulk):
    from airflow_async_rest import Batch, RequestRetry
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    batch = (in_batches(10) | {"batch": Batch(max_items=10, results="list")}) if bulk else {}
    task = sql_to_rest(sql=CHANGES, order_by_key=True, max_failures=1000, concurrency=1, **batch)

    def refuse_odd(seen):
        body = seen.json()
        statuses = [409 if row["number"] % 2 else 200 for row in (body if bulk else [body])]
        return web.json_response([{"status": status} for status in statuses]) if bulk else statuses[0]

    places.answer = refuse_odd
    assert run_try(task, supervisor)[0] == "success"
    assert supervisor.report["failed"] == 150
    places.answer = record = Record()
    retry = RequestRetry(backoff_base_seconds=0.01)
    again = ReplayDeadLettersOperator(
        task_id="again",
        dead_letters=supervisor.report["dead_letters"],
        http_conn_id="search_api",
        request_retry=retry,
    )
    assert run_try(again, supervisor) == ("success", None)
    assert record.numbers == {key: [n for n in range(key or 3, 301, 3) if n % 2] for key in range(3)}


def test_a_replay_goes_by_the_rows_though_some_failed_again_in_a_later_try(places, supervisor):
    from airflow_async_rest import RequestRetry
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    task = sql_to_rest(sql=CHANGES, order_by_key=True, retries=1, request_retry=RequestRetry(max_attempts=1))
    places.answer = lambda seen: 503 if seen.json()["number"] % 10 < 8 else 200
    assert run_try(task, supervisor)[0] == "up_for_retry"
    places.answer = lambda seen: 503  # the retry is given up, after some of the rows
    assert run_try(task, supervisor, 2, max_tries=1)[0] != "success"
    assert supervisor.report["failed"] > 100
    places.answer = record = Record()
    again = ReplayDeadLettersOperator(
        task_id="again",
        dead_letters=supervisor.report["dead_letters"],
        http_conn_id="search_api",
        request_retry=RequestRetry(backoff_base_seconds=0.001),
    )
    assert run_try(again, supervisor) == ("success", None)
    assert sum(map(len, record.numbers.values())) > 100
    assert all(numbers == sorted(numbers) for numbers in record.numbers.values())


@pytest.mark.parametrize("how", ["retry", "clear", "replay", "in task"])
def test_what_failed_by_itself_goes_before_a_later_batch_that_failed_as_a_whole(places, supervisor, how):
    from airflow_async_rest import Batch, RequestRetry
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    sql = "SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'a'), (4, 'c')) AS t (number, id) ORDER BY 1"
    status = 422 if how == "in task" else 503

    def refuse(seen):
        rows = seen.json()
        if rows[0]["number"] == 3:
            return status
        return web.json_response([{"status": status if row["number"] == 1 else 200} for row in rows])

    places.answer = refuse
    batches = in_batches(2) | {"batch": Batch(max_items=2, results="list")}
    arguments = {"order_by_key": True, "concurrency": 1, "request_retry": RequestRetry(max_attempts=1), "retries": 2}
    arguments |= {"max_failures": 9} if how == "in task" else {}
    run_try(sql_to_rest(sql=sql, **batches, **arguments), supervisor)
    places.answer = record = Record()
    task = sql_to_rest(sql=sql, **batches, **arguments)
    if how == "replay":
        folder = supervisor.report["dead_letters"]
        task = ReplayDeadLettersOperator(task_id="again", dead_letters=folder, http_conn_id="search_api")
    elif how == "in task":
        supervisor.data["state"]["replay"] = {"reasons": None, "search": "", "count": 3}
    tries = {"retry": (2, 3), "clear": (2, 5), "in task": (2, 4), "replay": (1, 3)}[how]
    assert run_try(task, supervisor, tries[0], max_tries=tries[1])[0] == "success"
    assert record.numbers["a"] == [1, 3]
