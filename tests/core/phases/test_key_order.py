"""Rows of one key go one after another, in the order of the rows, and hold no others up."""

import asyncio
import json
from collections import Counter, defaultdict
from types import SimpleNamespace

import pytest
from aiohttp import web
from engine import Rows, Store, counts, make_job, run, within
from hypothesis import given
from hypothesis import strategies as st

from airflow_async_rest import Batch, RequestRetry
from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.batches.source import BatchSource
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import KilledError
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.phases.key_order import KeyOrder
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder


def item(index: int, key: int) -> Item:
    return Item(index, key, {"key": key}, None, b"%d" % key)


@pytest.mark.slow("fifty examples")
@given(
    batches=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), max_size=40),
    workers=st.integers(1, 8),
    room=st.integers(0, 5),
    turns=st.randoms(use_true_random=False),
)
def test_units_with_a_key_in_common_never_overlap_and_keep_their_order(batches, workers, room, turns):
    """Whatever each takes, however many are put aside, all are delivered, by as many at a time as there are workers."""
    units, numbers = [], iter(range(1000))
    for keys in batches:
        items = [item(next(numbers), key) for key in keys]
        units.append(items[0] if len(items) == 1 else ItemBatch(items, SimpleNamespace()))
    under_way, done, most = Counter(), [], 0

    async def deliver(unit) -> None:
        nonlocal most
        items = [unit] if isinstance(unit, Item) else unit.items
        keys = {each.key for each in items}
        assert not any(under_way[key] for key in keys)
        under_way.update(keys)
        most = max(most, len(under_way))
        for _ in range(turns.randrange(6)):
            await asyncio.sleep(0)
        under_way.subtract(keys)
        done.extend(items)

    async def everything() -> None:
        left, order = iter(units), KeyOrder(deliver, room)

        async def work() -> None:
            for unit in left:
                await order.deliver(unit)
            await order.finish()

        async with asyncio.timeout(30):
            await asyncio.gather(*(work() for _ in range(workers)))
        assert (order._last, order._items_aside, order._bytes_aside, order._not_done) == ({}, 0, 0, 0)

    asyncio.run(everything())
    assert sorted(each.index for each in done) == list(range(sum(map(len, batches))))
    by_key = defaultdict(list)
    for each in done:
        by_key[each.key].append(each.index)
    assert all(indexes == sorted(indexes) for indexes in by_key.values())


class Keyed(Rows):
    """Rows of which every ``keys``-th has the same key, and each a number."""

    def __init__(self, count: int, keys: int) -> None:
        super().__init__(count)
        self._keys = keys

    def __iter__(self):
        for chunk in super().__iter__():
            yield [{"id": row["id"] % self._keys, "number": row["id"]} for row in chunk]


class Overlaps:
    """Answers as the API of a test, and records which rows were under way together, and in which order they went.

    :param answer: tells the status of a row's number, and of how often it was sent before.
    """

    def __init__(self, answer=lambda number, sent: 200) -> None:
        self._answer = answer
        self.under_way, self.overlaps = Counter(), []
        self.order, self.sent = defaultdict(list), Counter()
        self.most = 0

    async def __call__(self, seen):
        body = seen.json()
        rows = body if isinstance(body, list) else [body]
        keys = {row["id"] for row in rows}
        self.overlaps += [key for key in keys if self.under_way[key]]
        self.under_way.update(keys)
        self.most = max(self.most, +self.under_way and len(+self.under_way))
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            for row in rows:
                self.order[row["id"]].append(row["number"])
            statuses = [self._answer(row["number"], self.sent[row["number"]]) for row in rows]
            self.sent.update(row["number"] for row in rows)
            return self.told(body, statuses)
        finally:
            self.under_way.subtract(keys)

    def told(self, body, statuses):
        if isinstance(body, list):
            return web.json_response([{"status": status} for status in statuses])
        return statuses[0]

    def assert_in_order(self):
        assert self.overlaps == []
        for key, numbers in self.order.items():
            assert numbers == sorted(numbers), key


QUICK = RequestRetry(max_attempts=4, backoff_base_seconds=0.001)


def ordered(api, path, rows: int, keys: int, **settings):
    source = RowSource(Keyed(rows, keys), key=("id",))
    return make_job(api, path, **{"source": source, "order_by_key": True, "retry": QUICK, "concurrency": 8} | settings)


def ordered_batches(api, path, rows: int, keys: int, *, results="list", **settings):
    encode = JsonEncoder()
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/_bulk"), method="POST", encode=encode, identity=Identity(), has_key=True
    )
    batch = Batch(max_items=10, results=results)
    form = BatchForm(batch, encode=encode, retry=QUICK, key=("id",), request=builder.build_batch)
    source = BatchSource(RowSource(Keyed(rows, keys), key=("id",)), form, by_key=True)
    return ordered(api, path, rows, keys, source=source, **settings)


MANY = pytest.mark.slow("500 rows, for each number of keys")


def some_are_put_off(number: int, sent: int) -> int:
    return 503 if number % 7 == 3 and sent < 2 else 422 if number % 31 == 5 else 200


@pytest.mark.parametrize("make", [ordered, ordered_batches])
@pytest.mark.parametrize("keys", [3, 500, *(pytest.param(keys, marks=MANY) for keys in (1, 50))])
@pytest.mark.parametrize("answer", [lambda number, sent: 200, some_are_put_off])
def test_the_api_sees_each_key_in_order_and_one_at_a_time(api, tmp_path, make, keys, answer):
    api.answer = overlaps = Overlaps(answer)
    report = run(make(api, tmp_path, 110, keys, max_failures=110))
    overlaps.assert_in_order()
    dead = sum(answer(number, 9) == 422 for number in range(110))
    assert counts(report) == [110, 110 - dead, dead, 0]


def test_without_it_they_do_not(api, tmp_path):
    api.answer = overlaps = Overlaps(some_are_put_off)
    run(ordered(api, tmp_path, 250, 3, max_failures=250, order_by_key=False))
    assert overlaps.overlaps


def test_others_go_on_while_a_key_waits(api, tmp_path):
    """The first key's rows wait for a first answer that comes after all others."""
    others = asyncio.Event()
    gone = set()

    async def answer(seen):
        row = seen.json()
        if row["id"] == 0:
            await others.wait()
        else:
            gone.add(row["number"])
            if len(gone) == 225:
                others.set()
        return 200

    api.answer = answer
    assert counts(run(ordered(api, tmp_path, 250, 10, concurrency=2))) == [250, 250, 0, 0]


@pytest.mark.parametrize("make", [ordered, ordered_batches])
def test_what_waited_for_one_goes_out_side_by_side(api, tmp_path, make):
    """Of 20 keys there are 20 rows, and after them the same keys again: all of these wait for the first answers."""
    most, first = set(), asyncio.Event()

    async def answer(seen):
        body = seen.json()
        rows = body if isinstance(body, list) else [body]
        if rows[0]["number"] < 20:
            await asyncio.sleep(0)
        else:
            most.add(rows[0]["number"])
            if len(most) == 2:
                first.set()
            async with asyncio.timeout(60):
                await first.wait()  # until two are under way
        return web.json_response([{"status": 200} for _ in rows]) if isinstance(body, list) else 200

    api.answer = answer
    assert counts(run(make(api, tmp_path, 40, 20))) == [40, 40, 0, 0]


def test_batches_that_wait_for_one_batch_alone_go_out_side_by_side(api, tmp_path):
    under_way, most = 0, 0
    others = asyncio.Event()

    async def answer(seen):
        nonlocal under_way, most
        numbers = [row["number"] for row in seen.json()]
        under_way += 1
        most = max(most, under_way)
        if most == 5:
            others.set()
        if numbers[0] >= 10:
            async with asyncio.timeout(60):
                await others.wait()
        under_way -= 1
        return 200

    class WaitingForTheFirst(Rows):
        def __iter__(self):
            for chunk in super().__iter__():  # each batch after the first has one key of it
                yield [
                    {"id": row["id"] if row["id"] % 10 or row["id"] < 10 else row["id"] // 10 - 1, "number": row["id"]}
                    for row in chunk
                ]

    api.answer = answer
    job = ordered_batches(api, tmp_path, 100, 1000, results=None)
    job.source._source.chunks = WaitingForTheFirst(100)
    assert counts(run(job)) == [100, 100, 0, 0]
    assert most >= 5


def test_whole_answers_keep_rows_of_a_key_in_one_batch_in_order(api, tmp_path):
    api.answer = overlaps = Overlaps()
    run(ordered_batches(api, tmp_path, 100, 3, results=None))
    overlaps.assert_in_order()
    assert [len(seen.json()) for seen in api.seen] == [10] * 10


def test_a_wrong_path_of_batches_is_found_though_all_have_one_key(api, tmp_path):
    api.answer = lambda seen: 404
    report = run(ordered_batches(api, tmp_path, 100, 1, results=None, max_failures=100))
    assert counts(report) == [100, 0, 100, 0]


@pytest.mark.slow("2,000 rows, and again")
@pytest.mark.parametrize("concurrency", [8, None])
@pytest.mark.parametrize("make", [ordered, ordered_batches])
def test_a_stop_in_the_middle_loses_nothing_and_a_retry_goes_on_in_order(api, tmp_path, make, concurrency):
    stop, store = StopSwitch(), Store()
    overlaps = Overlaps()

    async def answer(seen):
        if len(api.seen) == 20:
            stop.pull(KilledError("killed"))
        return await overlaps(seen)

    api.answer = answer
    bounds = within()
    with pytest.raises(KilledError):
        run(make(api, tmp_path, 2000, 5, concurrency=concurrency, bounds=bounds), store, stop)
    overlaps.assert_in_order()
    before = {key: list(numbers) for key, numbers in overlaps.order.items()}
    api.answer = later = Overlaps()
    report = run(make(api, tmp_path, 2000, 5, concurrency=concurrency), store)
    later.assert_in_order()
    assert counts(report) == [2000, 2000, 0, 0]
    for key, numbers in later.order.items():  # what was under way goes again, and nothing before it
        assert set(before.get(key, [])) | set(numbers) == set(range(key, 2000, 5))
        assert len(set(before.get(key, [])) & set(numbers)) <= 2


@pytest.mark.slow("5,000 rows, four at a time")
def test_the_checkpoint_stays_small(api, tmp_path):
    """However many rows of one key there are, a bounded number of them is under way."""
    store = Store()
    api.answer = Overlaps()
    run(ordered(api, tmp_path, 5000, 1, concurrency=4, bounds=within()), store)
    assert max(len(json.dumps(value)) for _, value in store.history) < 60_000
