import asyncio
import heapq
import random
import statistics
import threading
from unittest.mock import AsyncMock

import pytest
from aiohttp import web
from engine import Store, counts, make_bulk_job, make_job, run

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import KilledError, SendError
from airflow_async_rest.core.limits.adaptive import MOST, START, AdaptiveConcurrency, ConcurrencyLimit, Places, Smoothed
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.transport.transport import Response


class Server:
    """A server of a made-up time: so many places, so long a time in each, and what waits for one waits in line.

    :param refuses_above: requests in it, above which it refuses at once.
    :param spread: sigma of lognormal service times; 0: always the same.
    """

    def __init__(self, places: int, service: float = 0.1, *, refuses_above=None, spread=0.0, seed=1) -> None:
        self.free, self.service, self.refuses_above = [0.0] * places, service, refuses_above
        self.spread, self.chance = spread, random.Random(seed)
        self.now, self.done, self.refused, self.inside = 0.0, 0, 0, 0
        self.limits: list[tuple[float, int]] = []
        self._ends: list = []

    def run(self, limit: ConcurrencyLimit, seconds: float, most_in_flight=10**6) -> None:
        """Keep as many in flight as the limit says (or as there is work for)."""
        in_flight, until = len(self._ends), self.now + seconds
        while self.now < until:
            while in_flight < min(limit.limit, most_in_flight):
                in_flight += 1
                limit.sending(in_flight)
                self._take()
            self.now, _, sent_at, taken = heapq.heappop(self._ends)
            in_flight -= 1
            self.inside -= taken
            self.done += taken
            self.refused += not taken
            limit.answered(self.now, sent_at, success=taken, pressure=not taken)
            self.limits.append((self.now, limit.limit))

    def _take(self) -> None:
        if self.refuses_above is not None and self.inside >= self.refuses_above:
            heapq.heappush(self._ends, (self.now + 0.001, self.chance.random(), self.now, False))
            return
        self.inside += 1
        time = self.service * (self.chance.lognormvariate(0, self.spread) if self.spread else 1)
        ends = max(self.now, heapq.heappop(self.free)) + time
        heapq.heappush(self.free, ends)
        heapq.heappush(self._ends, (ends, self.chance.random(), self.now, True))

    def after(self, seconds: float) -> list[int]:
        return [limit for now, limit in self.limits if now > seconds]


@pytest.mark.parametrize(("places", "spread"), [(8, 0.0), (8, 0.3), (32, 0.3), (100, 0.1)])
def test_it_finds_how_many_a_server_works_on_at_a_time_and_stays_there(places, spread):
    server, limit = Server(places, spread=spread), ConcurrencyLimit(START, MOST)
    server.run(limit, 8)
    found = server.after(3)
    assert places * 0.8 <= statistics.mean(found) <= places * 2
    best = places / (0.1 * (1.0 + spread**2 / 2))
    assert server.done / 8 >= 0.88 * best


def test_where_nothing_speaks_against_it_it_has_all_within_a_few_round_trips():
    latency = 0.2
    server, limit = Server(10_000, latency), ConcurrencyLimit(START, MOST)
    server.run(limit, 16 * latency)
    assert limit.limit == MOST


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_a_server_that_refuses_is_asked_for_as_much_as_it_takes_and_hardly_ever_for_more(spread):
    server, limit = Server(10_000, 0.05, refuses_above=20, spread=spread), ConcurrencyLimit(START, MOST)
    server.run(limit, 6)
    assert 16 <= statistics.mean(server.after(2)) <= 21
    assert server.refused < 0.02 * server.done
    assert server.done / 6 >= 0.85 * 20 / (0.05 * (1 + spread**2 / 2))


def test_it_follows_a_server_that_gets_slower_and_recovers():
    server, limit = Server(10_000, 0.05, refuses_above=40), ConcurrencyLimit(START, MOST)
    server.run(limit, 3)
    server.refuses_above = 10
    server.run(limit, 3)
    assert 7 <= statistics.mean(server.after(4)) <= 11
    server.refuses_above = 40
    server.run(limit, 4)
    assert 30 <= limit.limit <= 41


def test_a_limit_that_is_not_reached_does_not_grow():
    server, limit = Server(1000), ConcurrencyLimit(START, MOST)
    server.run(limit, 5, most_in_flight=3)
    assert limit.limit == START


def test_there_is_always_room_for_one():
    limit = ConcurrencyLimit(START, MOST)
    for now in range(100):
        limit.answered(float(now), float(now), success=False, pressure=True)
    assert limit.limit == 1


def test_what_was_sent_before_a_decrease_is_no_reason_for_another():
    limit = ConcurrencyLimit(64, MOST)
    for number in range(30):
        limit.answered(5.0 + number / 1000, 4.9, success=False, pressure=True)
    assert limit.limit == 32
    limit.answered(5.2, 5.1, success=False, pressure=True)
    assert limit.limit == 28


def test_what_is_refused_for_the_items_sake_says_nothing():
    limit = ConcurrencyLimit(START, MOST)
    limit.sending(START)
    for now in range(100):
        limit.answered(float(now), now - 0.1, success=False, pressure=False)
    assert limit.limit == START


def test_a_smoothed_value_follows_slowly_and_knows_how_far_values_are():
    smoothed = Smoothed(1.0)
    for _ in range(50):
        smoothed.add(3.0)
    assert smoothed.mean == pytest.approx(3.0)
    assert smoothed.deviation == pytest.approx(0.15)
    smoothed.add(4.0)
    assert smoothed.mean == pytest.approx(3.4)
    assert smoothed.deviation > 0.4


# Places, and who gets them.


@pytest.mark.anyio
async def test_places_go_to_who_came_first():
    places, order = Places(lambda: START), []

    async def come(number):
        await places.acquire()
        order.append(number)

    tasks = [asyncio.create_task(come(number)) for number in range(START + 3)]
    await asyncio.sleep(0)
    assert order == list(range(START))
    for _ in range(3):
        places.release()
    await asyncio.gather(*tasks)
    assert order == list(range(START + 3))


@pytest.mark.anyio
async def test_a_place_is_not_lost_with_one_who_waited_for_it():
    places = Places(lambda: START)
    for _ in range(START):
        await places.acquire()
    gone, given, last = (asyncio.create_task(places.acquire()) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    places.release()  # given has it, and is cancelled before it runs
    given.cancel()
    await asyncio.gather(gone, given, return_exceptions=True)
    await last
    assert given.cancelled()


@pytest.mark.anyio
async def test_who_takes_less_gives_places_back_without_others_taking_them(monkeypatch):
    concurrency = AdaptiveConcurrency()
    places = concurrency.requests
    for _ in range(START):
        await places.acquire()
    waiting = asyncio.create_task(places.acquire())
    await asyncio.sleep(0)
    with pytest.raises(SendError):
        await concurrency.observe(AsyncMock(side_effect=SendError("too much")), None)
    assert concurrency.limit == START // 2
    for _ in range(START - concurrency.limit):
        places.release()
        await asyncio.sleep(0)
        assert not waiting.done()
    places.release()
    await waiting


@pytest.mark.anyio
async def test_a_redirect_that_waits_for_the_limit_does_not_make_the_api_slow():
    now, started = 0.0, []
    concurrency = AdaptiveConcurrency(clock=lambda: now)
    all_began = asyncio.Event()

    async def send(waited):
        nonlocal now
        started.append(waited)
        if len(started) == concurrency.limit:
            all_began.set()
        await all_began.wait()
        now += 0.1 + waited
        return Response(200, {}, b"", elapsed_seconds=0.1)

    async def round_of(waited):
        started.clear()
        all_began.clear()
        await asyncio.gather(*(concurrency.observe(send, waited) for _ in range(concurrency.limit)))

    await round_of(0.0)
    before = concurrency.limit
    for _ in range(5):
        await round_of(10.0)
    assert concurrency.limit >= before


# In a job.


def test_a_job_sends_as_much_as_the_api_takes(api, tmp_path):
    async def answer(seen):
        if api.in_flight > 20:
            return 503
        await asyncio.sleep(0.01)
        return 200

    api.answer = answer
    job = make_job(api, tmp_path, 500, concurrency=None, retry=RequestRetry(backoff_base_seconds=0.01))
    store = Store()
    report = run(job, store)
    assert counts(report) == [500, 500, 0, 0]
    assert START <= store["progress"]["concurrency"] <= 64  # for whoever watches
    assert report["retries"] < 50
    assert 10 < api.peak <= 64  # it doubled from 4, and went on from there


def test_a_batch_of_which_only_a_part_is_taken_is_a_sign_of_too_much(api, tmp_path):

    tries = []

    def answer(seen):
        tries.append(seen)
        count = len(seen.body.splitlines())
        return web.json_response([{"status": 429 if number % 2 and len(tries) < 4 else 200} for number in range(count)])

    api.answer = answer
    limits = []
    job = make_bulk_job(api, tmp_path, Batch(max_items=10, format="ndjson", results="list"), 300, concurrency=None)
    answered = ConcurrencyLimit.answered
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ConcurrencyLimit,
            "answered",
            lambda self, *a, **m: (limits.append(self.limit), answered(self, *a, **m))[1],
        )
        assert counts(run(job)) == [300, 300, 0, 0]
    assert min(limits) < START


def test_no_more_is_in_hand_than_the_api_may_need(api, tmp_path):
    """A batch may have thousands of rows: 256 workers with one each would be a table."""
    api.answer = lambda seen: "hang"
    stop, store = StopSwitch(), Store()
    job = make_bulk_job(api, tmp_path, Batch(max_items=10, format="ndjson"), 5000, concurrency=None)
    killer = threading.Thread(
        target=lambda: (api.wait_for(lambda api: api.in_flight == START), stop.pull(KilledError("enough")))
    )
    killer.start()
    with pytest.raises(KilledError):
        run(job, store, stop)
    killer.join()
    assert len(store["checkpoint"]["batches"]) <= 2 * START
