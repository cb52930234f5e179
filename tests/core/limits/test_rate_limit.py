import asyncio
import time
from itertools import pairwise

import pytest

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.rate_limit import RateLimiter, parse_rate_limit

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that the sleeping itself moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock, really = Clock(), asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds > 0:
            clock.now += seconds
        await really(0)

    monkeypatch.setattr("asyncio.sleep", sleep)
    return clock


def most_in_a_window(times: list[float], seconds: float) -> int:
    times = sorted(times)
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


async def grants(limiter: RateLimiter, clock: Clock, count: int) -> list[float]:
    times = []
    for _ in range(count):
        await limiter.acquire()
        times.append(clock.now)
    return times


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (None, None),
        ("100/s", (100, 1.0)),
        (" 6000 / m ", (6000, 60.0)),
        ("10000/h", (10000, 3600.0)),
        ("1/h", (1, 3600.0)),
    ],
)
async def test_a_limit_is_read(text, limit):
    assert parse_rate_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "100", "0/s", "-1/s", "1.5/s", "100/d", "100/S", "100/sec", "s/100", "/s", 100, True, ("1", "s"), "1/s;"]
)  # fmt: skip
async def test_a_wrong_limit_is_refused_with_an_example(text):
    with pytest.raises(ConfigurationError, match=r"rate_limit=.*'100/s', '6000/m' or '10000/h'"):
        parse_rate_limit(text)


@pytest.mark.parametrize("limit", [(1, 1.0), (10, 1.0), (200, 1.0), (90, 60.0), (20_000, 1.0)])
async def test_no_window_has_more_grants_than_the_limit(clock, limit):
    requests, period = limit
    times = await grants(RateLimiter(limit, clock), clock, min(3 * requests, 30_000) + 3)
    assert most_in_a_window(times, period) <= requests


async def test_grants_are_evenly_paced_a_little_under_the_limit(clock):
    times = await grants(RateLimiter((100, 1.0), clock), clock, 300)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < 0.03
    assert 295 / 100 < times[-1] - times[0] < 320 / 100


async def test_a_stall_is_not_caught_up_with(clock):
    limiter = RateLimiter((100, 1.0), clock)
    await grants(limiter, clock, 10)
    clock.now += 5
    times = await grants(limiter, clock, 50)
    assert times[-1] - times[0] > 0.4


async def test_the_first_request_does_not_wait(clock):
    assert await grants(RateLimiter((1, 3600.0), clock), clock, 1) == [1000.0]


@pytest.mark.parametrize("limit", [None, (100, 1.0)])
async def test_a_pause_holds_everybody_back(clock, limit):
    limiter = RateLimiter(limit, clock)
    limiter.pause(30)
    await asyncio.gather(*(limiter.acquire() for _ in range(5)))
    assert clock.now >= 1030


@pytest.mark.parametrize("limit", [None, (100, 1.0)])
async def test_a_shorter_pause_does_not_end_a_longer_one(clock, limit):
    limiter = RateLimiter(limit, clock)
    limiter.pause(30)
    limiter.pause(1)
    limiter.pause(0)
    await limiter.acquire()
    assert clock.now >= 1030


@pytest.mark.parametrize("limit", [None, (100, 1.0)])
async def test_a_pause_that_grows_while_waiting_counts(clock, limit):
    limiter = RateLimiter(limit, clock)
    limiter.pause(10)
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.pause(60)
    await waiting
    assert clock.now >= 1060


async def test_without_a_limit_nobody_waits(clock):
    assert await grants(RateLimiter(None, clock), clock, 100) == [1000.0] * 100


async def test_who_is_cancelled_in_the_queue_does_not_block_the_others(clock):
    limiter = RateLimiter((10, 1.0), clock)
    limiter.pause(5)
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert limiter.granted == 1
    assert not waiting[2].cancelled()


async def test_requests_are_granted_first_come_first_served(clock):
    limiter, order = RateLimiter((10, 1.0), clock), []

    async def ask(number: int) -> None:
        await limiter.acquire()
        order.append(number)

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert order == list(range(20))


async def test_the_share_of_the_limit_that_is_used_is_known(clock):
    limiter = RateLimiter((100, 1.0), clock)
    await grants(limiter, clock, 200)
    assert limiter.share_used() > 0.95
    clock.now += 1000
    assert limiter.share_used() < 0.01
    assert RateLimiter(None, clock).share_used() is None
    assert RateLimiter((1, 1.0), clock).share_used() is None


@pytest.mark.slow("two and a half real seconds")
async def test_no_real_second_has_more_grants_than_the_limit():
    limiter, times = RateLimiter(parse_rate_limit("200/s")), []
    end = time.monotonic() + 2.5

    async def work() -> None:
        while time.monotonic() < end:
            await limiter.acquire()
            times.append(time.monotonic())

    await asyncio.gather(*(work() for _ in range(16)))
    assert most_in_a_window(times, 1.0) <= 200
    assert limiter.granted == len(times)
