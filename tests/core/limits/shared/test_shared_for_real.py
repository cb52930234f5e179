"""A shared limit with real stores: what several processes send, and what a store that is killed costs."""

import asyncio
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, replace
from uuid import uuid4

import pytest
from limit_stores import address_of, most_in_a_second, running_redis, store_at

from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import QuotaExhaustedError
from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.stores.address import StoreAddress
from benchmarks.limited import Asking, ask_together

pytestmark = [pytest.mark.anyio, pytest.mark.slow("real servers, for seconds")]


@contextmanager
def running(kind: str, request, *options: str):
    """A store's address."""
    if kind == "redis":
        with running_redis(*options) as server:
            yield server.address
    else:
        yield address_of(request.getfixturevalue("postgres"))


def limiter_at(address: StoreAddress, limit: str, key: str = "api", **settings) -> SharedLimiter:
    """:param key: of a database that other tests use, too, one of the test's own."""
    limits = parse_limits(limit)
    how = {"key": key, "before": RateLimiter(None), "say": lambda *_: None, "longest_seconds": 300.0}
    return SharedLimiter(store_at(address, key, limits), limits, **how | settings)


async def send(limiter: SharedLimiter, sent: list[float], until) -> None:
    async def work() -> None:
        while not until():
            await limiter.acquire()
            sent.append(time.monotonic())

    async with asyncio.TaskGroup() as workers:
        for _ in range(8):
            workers.create_task(work())


@pytest.mark.release
@pytest.mark.parametrize("rate", [100, 1000])
@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_eight_processes_never_exceed_the_limit_in_any_second(request, kind, rate):
    with running(kind, request) as address:
        clocks = [2.0, *[0.0] * 7]  # one is ahead
        found = ask_together(
            [Asking(f"{rate}/s", 4.0, skew=skew, address=asdict(address), key=f"{kind}{rate}") for skew in clocks]
        )
    assert most_in_a_second(at for one in found for at in one.times) <= rate
    assert sum(len(one.times) for one in found) > rate  # a busy machine gives places up


@pytest.mark.release
async def test_of_a_slow_limit_no_place_outlives_a_store_that_forgets():
    with running_redis() as server:
        sent: list[float] = []
        limiters = [limiter_at(server.address, "10/s") for _ in range(8)]
        async with AsyncExitStack() as stack:
            for limiter in limiters:
                await stack.enter_async_context(limiter)
            ends = False
            sending = asyncio.gather(*(send(limiter, sent, lambda: ends) for limiter in limiters))
            for until in (12, 30):
                while len(sent) < until:
                    await asyncio.sleep(0.01)
                server.kill()
                await asyncio.to_thread(server.start)
            while len(sent) < 45:
                await asyncio.sleep(0.01)
            ends = True
            await sending
    assert most_in_a_second(sent) <= 10


async def test_a_store_that_is_killed_stops_all_and_goes_on_without_a_burst():
    with running_redis() as server:
        sent: list[float] = []
        async with limiter_at(server.address, "100/s") as one, limiter_at(server.address, "100/s") as other:
            ends = False
            sending = asyncio.gather(*(send(limiter, sent, lambda: ends) for limiter in (one, other)))
            while len(sent) < 50:
                await asyncio.sleep(0.01)
            server.kill()
            while one.standing()["store"] == "there" or other.standing()["store"] == "there":
                await asyncio.sleep(0.01)
            before = len(sent)
            await asyncio.sleep(0.3)
            assert len(sent) == before
            await asyncio.to_thread(server.start)
            while len(sent) < before + 60:
                await asyncio.sleep(0.01)
            ends = True
            await sending
    assert most_in_a_second(sent) <= 100


async def test_a_pause_of_one_reaches_another_at_once():
    with running_redis() as server:
        async with limiter_at(server.address, "1000/s") as one, limiter_at(server.address, "1000/s") as other:
            sent: list[float] = []
            sending = asyncio.create_task(send(other, sent, lambda: False))
            while len(sent) < 200:
                await asyncio.sleep(0.01)
            one.pause(60)
            while other._pause._until < time.monotonic():
                await asyncio.sleep(0.001)
            before = len(sent)
            await asyncio.sleep(0.3)
            sending.cancel()
            assert len(sent) == before


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_pause_of_one_that_ends_with_it_is_known_to_all_who_come_later(request, kind):
    key = uuid4().hex
    with running(kind, request) as address:
        async with limiter_at(address, "100/s", key) as first:
            await first.acquire()
            first.pause(3600)
        async with limiter_at(address, "100/s", key) as later:
            with pytest.raises(QuotaExhaustedError) as ended:
                await later.acquire()
    assert 3590 < ended.value.seconds <= 3600


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_days_budget_outlives_the_restart_of_its_store(request, tmp_path, kind):
    sent: list[float] = []
    key = uuid4().hex

    async def task(address: StoreAddress) -> None:
        async with limiter_at(address, "1000/s, 500/d UTC", key) as limiter:
            with pytest.raises(ExceptionGroup) as ended:
                await send(limiter, sent, lambda: False)
        assert ended.group_contains(QuotaExhaustedError)

    if kind == "postgres":
        with running(kind, request) as address:
            await asyncio.gather(*(task(address) for _ in range(12)))
    else:
        kept = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
        with running_redis(*kept) as server:
            tasks = asyncio.gather(*(task(server.address) for _ in range(12)))
            while len(sent) < 150:
                await asyncio.sleep(0.005)
            server.kill()
            await asyncio.to_thread(server.start)
            await tasks
    assert 500 - 12 * 10 <= len(sent) <= 500  # what a killed store has charged, and not told, is not sent


async def test_after_its_time_a_store_that_is_away_ends_the_try():
    from airflow_async_rest.core.errors import LimitStoreError

    away = StoreAddress(conn_id="limits", kind="redis", host="127.0.0.1", port=1)
    pytest.importorskip("redis")
    bounds = replace(USUAL, store_away_seconds=0.3)
    async with limiter_at(away, "10/s", bounds=bounds) as limiter:
        with pytest.raises(
            LimitStoreError, match=r"shared limit 'api' has been away for \d+ s: redis at 127\.0\.0\.1:1"
        ):
            await limiter.acquire()
