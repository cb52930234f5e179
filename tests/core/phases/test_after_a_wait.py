"""What a wait for the quota leaves of the rows that were under way: after it they are judged as without one."""

import asyncio
import contextlib
import json
from datetime import timedelta
from functools import partial

import pytest
from aiohttp import web
from engine import Store, counts, make_bulk_job, make_job, run, within

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import KilledError, MostlyFailingError, QuotaWaitError, StoppedError
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
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


def method_job(api, tmp_path, method, endpoint="x/{id}", rows=10, **settings):
    """Make a job whose refusals may say that it is all done already."""
    builder = RequestBuilder(
        endpoint=EndpointTemplate(endpoint),
        method=method,
        encode=JsonEncoder(),
        identity=Identity(("dag", "task"), ("start", "end")),
        has_key=True,
    )
    return make_job(api, tmp_path, rows, prepare=builder.prepare, **{**SITTINGS, "max_failures": 1000, **settings})


@pytest.mark.parametrize(("status", "split_on"), [(503, (503,)), (429, (429,)), (422, (422,))])
def test_halves_of_a_batch_wait_as_their_whole_does(api, tmp_path, status, split_on):
    store, retry = Store(), RequestRetry(max_attempts=1)
    api.answer = lambda seen: web.Response(status=status, headers=GONE) if len(api.seen) > 1 else 200
    batch = Batch(max_items=10, split_on=split_on)
    sit(make_bulk_job(api, tmp_path, batch, 30, retry=retry, **SITTINGS), store)
    assert len(api.seen) == 2
    api.answer = lambda seen: 200
    assert counts(run(make_bulk_job(api, tmp_path, batch, 30, retry=retry, **SITTINGS), store)) == [30, 30, 0, 0]


MANY = pytest.mark.slow("each answer, after each wait")
THERE_ALREADY = [
    ({"method": "DELETE"}, 404),
    pytest.param({"method": "DELETE"}, 410, marks=MANY),
    pytest.param({"method": "PUT", "headers": {"If-None-Match": "*"}}, 412, marks=MANY),
    pytest.param({"method": "PUT", "endpoint": "x/_create/{id}"}, 409, marks=MANY),
]


@pytest.mark.parametrize(("how", "there"), THERE_ALREADY)
@pytest.mark.parametrize(
    ("before", "already_there"),
    [
        ([429], False),
        ([503], False),
        ([502, 429], True),
        (["reset", 429], True),
        ([429, 504, 429], True),
        ([503, 503, 429], False),
    ],
)
def test_only_a_row_whose_answer_was_lost_may_be_done_already(api, tmp_path, how, there, before, already_there):
    store = Store()
    row, left = "4", list(before)

    def answer(seen):
        if not seen.path.endswith(row) or not left:
            return there if seen.path.endswith(row) and not left else 200
        said = left.pop(0)
        return web.Response(status=said, headers=GONE if not left else {}) if said != "reset" else said

    def job():
        retry = RequestRetry(max_attempts=5, backoff_base_seconds=0.001)
        return method_job(api, tmp_path, retry=retry, **how)

    api.answer = answer
    sit(job(), store)
    assert store["checkpoint"]["unfinished"] == [int(row)]
    left = [429]
    sit(job(), store)  # a second wait changes nothing
    report = run(job(), store)
    assert counts(report) == [10, 10, 0, 0] if already_there else [10, 9, 1, 0]
    assert report["already_there"] == already_there


def test_rows_that_were_never_sent_are_not_done_already(api, tmp_path):
    store = Store()

    def job():
        endpoint = {"method": "PUT", "endpoint": "x/_create/{id}"}
        return method_job(api, tmp_path, rows=300, order_by_key=True, **{**SITTINGS, "concurrency": 4}, **endpoint)

    api.answer = lambda seen: web.Response(status=429, headers=GONE)
    sit(job(), store)
    api.answer = lambda seen: 409
    with pytest.raises(MostlyFailingError):
        run(job(), store)
    assert (store["progress"]["delivered"], store["progress"]["already_there"]) == (0, 0)
    assert not any("uncertain" in record for record in DeadLetterFolder(tmp_path).iter_records())


@pytest.mark.parametrize(("before", "dead"), [([429], 1), ([503, 429], 1), ([502, 429], 10)])
def test_a_batch_that_was_only_refused_before_a_wait_is_halved_as_any_other(api, tmp_path, before, dead):
    """With halves of one whose answer was lost, an API that goes by keys would store its rows twice."""
    store, left = Store(), list(before)

    def answer(seen):
        if left and len(api.seen) > 1:
            return web.Response(status=left.pop(0), headers={} if left else GONE)
        return 409 if 17 in [row["id"] for row in seen.json()] else 200

    def job():
        batch, retry = Batch(max_items=10, split_on={409}), RequestRetry(backoff_base_seconds=0.001)
        return make_bulk_job(api, tmp_path, batch, 30, retry=retry, max_failures=30, **SITTINGS)

    api.answer = answer
    sit(job(), store)
    assert counts(run(job(), store)) == [30, 30 - dead, dead, 0]
    uncertain = [bool(record.get("uncertain")) for record in DeadLetterFolder(tmp_path).iter_records()]
    assert uncertain == [dead > 1] * dead


def deleting(api, tmp_path, number=1):
    return method_job(api, tmp_path, method="DELETE", this_try=Try(number, (3, 3)))


def there_no_more(seen):
    return 404 if seen.path.endswith("4") else 200


@pytest.fixture
def waiting(api, tmp_path):
    """A store whose checkpoint says that the row in it was only refused."""
    api.answer = lambda seen: web.Response(status=429, headers=GONE) if seen.path.endswith("4") else 200
    sit(deleting(api, tmp_path), store := Store())
    assert (store["checkpoint"]["unfinished"], store["checkpoint"]["uncertain"]) == ([4], "")
    return store


@pytest.mark.parametrize("number", [1, 2])
def test_after_a_kill_by_force_whatever_is_unfinished_may_be_done(api, tmp_path, waiting, number):
    left = []

    def answer(seen):
        left.append(json.loads(json.dumps(waiting)))  # all that a sitting leaves which is killed now
        return there_no_more(seen)

    api.answer = answer
    assert run(deleting(api, tmp_path), waiting)["already_there"] == 0
    (killed := Store()).update(left[0])
    report = run(deleting(api, tmp_path, number), killed)
    assert (counts(report), report["already_there"]) == ([10, 10, 0, 0], 1)


def test_it_may_be_where_the_store_cannot_note_that_more_is_sent(api, tmp_path, waiting):
    class Failing(Store):
        failures = 1

        def set(self, key, value):
            if key == "checkpoint" and self.failures:
                self.failures -= 1
                raise ConnectionError("away")
            super().set(key, value)

    (failing := Failing()).update(waiting)
    api.answer = there_no_more
    report = run(deleting(api, tmp_path), failing)
    assert (counts(report), report["already_there"]) == ([10, 10, 0, 0], 1)


def test_it_may_be_by_a_checkpoint_of_an_earlier_release(api, tmp_path, waiting):
    del waiting["checkpoint"]["uncertain"]
    api.answer = there_no_more
    assert run(deleting(api, tmp_path), waiting)["already_there"] == 1


@pytest.mark.parametrize("order_by_key", [False, True])
def test_a_kill_leaves_only_what_was_in_flight_uncertain(api, tmp_path, order_by_key):
    """What waits for its turn was not sent: after the kill it is judged as if it had come later."""
    store, stop = Store(), StopSwitch()

    def answer(seen):
        stop.pull(KilledError("killed"))
        return "hang"

    api.answer = answer
    settings = {"rate_limit": (1, 3600.0), "concurrency": 4, "order_by_key": order_by_key}
    with pytest.raises(KilledError):
        run(method_job(api, tmp_path, method="DELETE", **settings), store, stop)
    assert (store["checkpoint"]["unfinished"], store["checkpoint"]["uncertain"]) == ([0, 1, 2, 3], "0 1")
    api.answer = lambda seen: 404
    report = run(method_job(api, tmp_path, method="DELETE"), store)
    assert (counts(report), report["already_there"]) == ([10, 1, 9, 0], 1)


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize(("error", "uncertain"), [(StoppedError("x"), ""), (RuntimeError("x"), None)])
def test_what_a_fault_of_ours_has_ended_may_be_done(api, tmp_path, bulk, error, uncertain):
    """Nobody knows how far it was."""

    class Faulty:
        async def send(self, request):
            raise error

    @contextlib.asynccontextmanager
    async def opened(*_):
        yield Faulty()

    make = partial(make_bulk_job, batch=Batch()) if bulk else make_job
    with pytest.raises(type(error)):
        run(make(api, tmp_path, rows=10, transport=opened, concurrency=1), store := Store())
    assert store["checkpoint"].get("uncertain") == uncertain
