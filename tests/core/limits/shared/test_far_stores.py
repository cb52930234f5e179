"""A shared limit whose store is far away: places are asked for before the last ones are used."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from limit_stores import MemoryServer, MemoryStore, address_of, far_away, most_in_a_second, running_redis, store_at
from tables import every_row
from virtual_time import run_virtually

from airflow_async_rest.core.errors import LimitStoreError
from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.limits.shared.places import Ahead, Block, Places, is_time

NEAR, FAR = 0.001, 0.2
SECONDS = 10.0
OF_MANY = pytest.mark.slow("some ten thousand requests, each of them simulated")


class Sending:
    """Tasks that share a limit, in one loop, and when each of them has sent a request."""

    def __init__(self, clock, latency: float) -> None:
        self.clock, self.latency, self.sent = clock, latency, []

    async def run(self, make_store, limit: str, workers: list[int], seconds: float) -> None:
        async with AsyncExitStack() as opened:
            tasks = [opened.enter_async_context(self._limiter(make_store(), limit)) for _ in workers]
            limiters = await asyncio.gather(*tasks)
            until = self.clock() + seconds
            async with asyncio.TaskGroup() as group:
                for number, count in enumerate(workers):
                    for _ in range(count):
                        group.create_task(self._work(limiters[number], number, until))

    def _limiter(self, store, limit: str) -> SharedLimiter:
        how = {"key": "api", "before": RateLimiter(None, self.clock), "say": lambda *_: None, "longest_seconds": 300.0}
        return SharedLimiter(store, parse_limits(limit), **how, clock=self.clock)

    async def _work(self, limiter: SharedLimiter, number: int, until: float) -> None:
        while self.clock() < until:
            await limiter.acquire()
            self.sent.append((self.clock(), number))
            await asyncio.sleep(self.latency)

    def share_used(self, rate: float, after: float, until: float) -> float:
        """How much of the limit is used after the first seconds, in which it becomes known how far the store is."""
        begins = self.sent[0][0]
        return sum(after <= at - begins < until for at, _ in self.sent) / (until - after) / rate


def virtually(limit: str, workers: list[int], way: float, latency: float = 0.0005) -> tuple[Sending, MemoryServer]:
    """Send for ten seconds by a store in memory that is so far away."""

    async def play():
        clock = asyncio.get_running_loop().time
        server, sending = MemoryServer(clock), Sending(clock, latency)
        server.way = way
        await sending.run(lambda: MemoryStore(server, "api", parse_limits(limit)), limit, workers, SECONDS)
        return sending, server

    return run_virtually(play())[0]


@pytest.mark.parametrize("way", [NEAR, 0.02, FAR])
@pytest.mark.parametrize(
    ("limit", "workers"),
    [
        ("100/s", [8]),
        ("100/s", [16] * 8),
        pytest.param("1000/s", [16], marks=OF_MANY),
        pytest.param("1000/s", [16] * 4, marks=OF_MANY),
        pytest.param("1000/s", [8] * 8, marks=OF_MANY),
        pytest.param("400/s", [64, 8], marks=OF_MANY),
    ],
)
def test_the_limit_is_used_and_kept_wherever_the_store_is(way, limit, workers):
    rate = parse_limits(limit).pace.requests
    sending, _ = virtually(limit, workers, way)
    assert sending.share_used(rate, 4, SECONDS - 1) >= 0.9
    assert most_in_a_second(at for at, _ in sending.sent) <= rate


@pytest.mark.parametrize(
    ("limit", "questions"),
    [
        ("100/s", 2 / 4),
        ("200/s", 2 / 9),
        *(pytest.param(*row, marks=OF_MANY) for row in (("400/s", 2 / 16), ("1000/s", 1 / 8))),
    ],
)
def test_places_that_come_late_are_asked_for_once_more_all_together(limit, questions):
    sending, server = virtually(limit, [16] * 8, NEAR, latency=0.02)
    assert server.takes / len(sending.sent) <= questions * 1.1


@OF_MANY
@pytest.mark.parametrize("workers", [[16] * 4, [8] * 8])
def test_shares_are_about_equal_far_away(workers):
    sending, _ = virtually("1000/s", workers, FAR)
    shares = [sum(who == number for _, who in sending.sent) for number in range(len(workers))]
    assert max(shares) <= 1.5 * min(shares)


def test_places_of_a_slow_limit_are_asked_for_once_more_early_enough():
    async def play():
        clock = asyncio.get_running_loop().time
        server, limits, sent = MemoryServer(clock), parse_limits("2/s"), []
        server.way = NEAR
        async with Sending(clock, 0.0)._limiter(MemoryStore(server, "api", limits), "2/s") as limiter:
            for _ in range(20):
                await limiter.acquire()
                sent.append(clock())
                server.way = 0.05  # slower than before
        return sent[-1] - sent[0]

    assert run_virtually(play())[0] < 19 / 2 / 0.95


@pytest.mark.parametrize("way", [NEAR, FAR])
def test_of_a_day_nothing_is_lost_that_was_asked_for_ahead(way):
    async def play():
        clock = asyncio.get_running_loop().time
        server, limits, sent = MemoryServer(clock), parse_limits("1000/s, 2000/d"), []
        server.way = way

        async def task(begins):
            await asyncio.sleep(begins)
            async with Sending(clock, 0.0)._limiter(MemoryStore(server, "api", limits), "1000/s, 2000/d") as limiter:
                workers = [asyncio.create_task(work(limiter)) for _ in range(8)]
                await asyncio.wait(workers, timeout=1.0)  # some end while places are on their way
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

        async def work(limiter):
            while True:
                await limiter.acquire()
                sent.append(clock())

        await asyncio.gather(*(task(begins) for begins in range(8)))
        return len(sent), sum(server.of("api")["counts"].values())

    sent, charged = run_virtually(play())[0]
    assert 500 < sent == charged <= 2000


@pytest.mark.parametrize("first", [0.001, 1.5])
def test_a_store_that_is_too_far_away_is_away_for_good(first):
    async def play():
        clock = asyncio.get_running_loop().time
        server, limits = MemoryServer(clock), parse_limits("10/s")
        server.way = first
        async with Sending(clock, 0.0)._limiter(MemoryStore(server, "api", limits), "10/s") as limiter:
            server.way = 1.5  # more than an answer may take, and less than a connection may
            with pytest.raises(LimitStoreError, match="has been away for 600 s"):
                await limiter.acquire()
        return clock()

    assert 600 < run_virtually(play())[0] < 610


def test_who_cannot_use_more_asks_for_little_more():
    sending, server = virtually("1000/s", [16], FAR, latency=0.5)
    assert server.of("api")["granted"] <= 2 * len(sending.sent)


def test_the_first_place_is_no_later_than_others_though_its_answer_is_slow():
    async def play():
        clock = asyncio.get_running_loop().time
        server = MemoryServer(clock)
        server.way = NEAR

        def be_near_again():
            server.way = NEAR

        limits = parse_limits("10/s")
        async with Sending(clock, 0.0)._limiter(MemoryStore(server, "api", limits), "10/s") as limiter:
            server.way = 0.05
            asyncio.get_running_loop().call_later(0.04, be_near_again)
            await limiter.acquire()
        return clock() - (server.of("api")["next"] - limits.pace.interval)

    assert run_virtually(play())[0] <= 0.02


@pytest.mark.parametrize(
    ("now", "ends", "way", "is_it"),
    [
        (10.0, 10.0, NEAR, False),  # asked when nothing is left: the lag makes up for it
        (10.0, 10.3, FAR, False),
        (10.0, 10.21, FAR, True),
        (10.0, 9.0, FAR, True),
    ],
)
def test_when_more_places_are_asked_for(now, ends, way, is_it):
    assert is_time(now, ends, way) == is_it


DRY, LAPSE = "dry", "lapse"


@every_row(
    ("came", "wanted"),
    [
        ([], 6),  # no more than wait for one: 16 do, 10 places are left
        ([DRY, (16, 0.0)], 32),
        ([(16, 0.0)], 6),  # it was enough
        ([DRY, (16, 0.0), DRY, (32, -0.005)], 64),
        ([DRY, (16, 0.5)], 16),  # others have places before: more would only make their queue longer
        ([DRY, (16, 0.0), *[LAPSE] * 4, DRY, (32, 0.0)], 28),
        ([DRY, (16, 0.0), *[LAPSE] * 30, (32, 0.0)], 16),  # half at most, as after a stall
    ],
)
def test_how_many_places_are_asked_for(came, wanted):
    ahead = Ahead()
    for one in came:
        if one == DRY:
            ahead.ran_dry()
        elif one == LAPSE:
            ahead.lapsed()
        else:
            ahead.got(*one, FAR)
    assert ahead.wanted(16, 10, FAR) == wanted
    assert ahead.wanted(16, 10, NEAR) == 6


def test_places_are_used_in_their_order():
    places = Places()
    for block in (Block(2, 10.0, 0.1), Block(0, 11.0, 0.1), Block(1, 12.0, 0.5)):
        places.add(block)
    assert (len(places), places.ends) == (3, 12.5)
    assert [places.take()[0] for _ in range(3)] == pytest.approx([10.0, 10.1, 12.0])
    assert not places


@pytest.mark.anyio
@pytest.mark.slow("real stores, for seconds")
@pytest.mark.parametrize(("kind", "rate"), [("redis", 100), ("postgres", 1000)])
async def test_the_limit_of_a_real_store_far_away_is_kept_and_used(request, kind, rate):
    async with AsyncExitStack() as stack:
        if kind == "redis":
            address = stack.enter_context(running_redis()).address
        else:
            address = address_of(request.getfixturevalue("postgres"))
        far = await stack.enter_async_context(far_away(address, FAR))
        sending, limits = Sending(time.monotonic, 0.0), parse_limits(f"{rate}/s")
        await sending.run(lambda: store_at(far, request.node.name, limits), f"{rate}/s", [8] * 4, 5.0)
    assert most_in_a_second(at for at, _ in sending.sent) <= rate
    # How much of it a busy machine uses is for nobody to say: what it is else, virtual time shows.
    assert sending.share_used(rate, 2, 5) > 0
