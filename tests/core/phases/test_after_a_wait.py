"""What a wait for the quota leaves of the rows that were under way: after it they are judged as without one."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web
from engine import Store, counts, make_bulk_job, make_job, run, within

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import QuotaWaitError
from airflow_async_rest.core.sending.retry import RequestRetry

GONE = {"Retry-After": "3600"}
SITTINGS = {"max_quota_wait": timedelta(days=1), "this_try": Try(1, (3, 3)), "concurrency": 1}


def sit(job, store):
    """Run a sitting that ends in a wait."""
    with pytest.raises(QuotaWaitError):
        run(job, store)


@pytest.mark.parametrize(("attempts", "requests"), [(1, 2), (2, 2), (5, 2)])
def test_a_row_that_a_bulk_answer_refuses_is_settled_whenever_the_pause_comes(api, tmp_path, attempts, requests):
    store, retry = Store(), RequestRetry(max_attempts=attempts)
    statuses = [{1: 201, 3: 422, 7: 429}, {}]

    def answer(seen):
        said = statuses.pop(0)
        results = [{"status": said.get(row["id"], 201)} for row in seen.json()]
        return web.json_response(results, status=207, headers=GONE if said else {})

    def job():
        batch = Batch(results="list")
        return make_bulk_job(api, tmp_path, batch, 10, retry=retry, max_failures=1, **SITTINGS)

    api.answer = answer
    sit(job(), store)
    report = run(job(), store)
    assert (counts(report), report["reasons"], len(api.seen)) == ([10, 9, 1, 0], {"http_422": 1}, requests)
    assert [row["id"] for row in api.seen[1].json()] == [7]


@pytest.mark.parametrize("order_by_key", [False, True])
def test_what_is_in_flight_as_the_quota_ends_is_not_done_twice(api, tmp_path, order_by_key):
    store, later = Store(), asyncio.Event()

    async def answer(seen):
        if len(api.seen) == 1:
            await later.wait()
            return 200
        asyncio.get_running_loop().call_later(0.1, later.set)  # long after the grace of a stop
        return web.Response(status=429, headers=GONE)

    def job():
        settings = {**SITTINGS, "concurrency": 2, "order_by_key": order_by_key}
        return make_job(api, tmp_path, 10, bounds=within(grace_seconds=0.001), **settings)

    api.answer = answer
    sit(job(), store)
    api.answer = lambda seen: 200
    assert counts(run(job(), store)) == [10, 10, 0, 0]
    assert len(api.seen) == 11
