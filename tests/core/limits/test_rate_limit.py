import asyncio
import time
from datetime import date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from virtual_time import run_virtually

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.limits import Day, parse_limits
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
    "text", ["", "100", "0/s", "-1/s", "1.5/s", "100/w", "100/d/", "100/S", "100/sec", "s/100", "/s", 100, True, ("1", "s"), "1/s;", [], [None], "1/s,", {"1/s": 1}, ["1/s"] * 9]
)  # fmt: skip
async def test_a_wrong_limit_is_refused_with_an_example(text):
    with pytest.raises(ConfigurationError, match=r"rate_limit=.*'100/s', '6000/m' or '10000/h'"):
        parse_rate_limit(text)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("10/s, 100/m", (100, 60.0)),
        (["10/s", "100/m"], (100, 60.0)),
        (["10/s", "6000/m"], (10, 1.0)),
        (("5/s", "1/h"), (1, 3600.0)),
    ],
)
async def test_of_several_limits_the_strictest_is_kept_to(value, limit):
    assert parse_rate_limit(value) == limit


@pytest.mark.parametrize("value", ["100/d", "10/s, 100/d", ["100/d Europe/Prague"], "1/d UTC"])
async def test_one_task_cannot_count_a_day(value):
    with pytest.raises(ConfigurationError, match=r"rate_limit_x=.*: a day's requests are counted in a store"):
        parse_rate_limit(value, "rate_limit_x")


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("100/d", [(100, None)]),
        ("10/s,100 / d  UTC", [(100, "UTC")]),
        (["1/d America/Argentina/Buenos_Aires", "2/d Etc/GMT+5"], [(1, "America/Argentina/Buenos_Aires"), (2, "Etc/GMT+5")]),
    ],
)  # fmt: skip
async def test_a_days_limit_is_read(value, days):
    assert list(parse_limits(value).days) == days


@pytest.mark.parametrize("zone", ["Mars", "Europe", "Europe/Prag", "UTC+1", "utc/", "x" * 300])
async def test_what_is_no_zone_is_said(zone):
    with pytest.raises(ConfigurationError, match="is no time zone; write a name such as 'UTC' or 'Europe/Prague'"):
        parse_limits(f"5/d {zone}")


@pytest.mark.parametrize(
    ("zone", "today", "hours"),
    [
        ("Europe/Prague", date(2026, 3, 29), 23),
        ("Europe/Prague", date(2026, 10, 25), 25),
        ("Asia/Kathmandu", date(2026, 1, 1), 24),
        ("Pacific/Kiritimati", date(2026, 1, 1), 24),
    ],
)
async def test_days_begin_where_the_calendar_of_the_zone_says(zone, today, hours):
    starts = Day(1, zone).starts(today)
    begins = datetime(today.year, today.month, today.day, tzinfo=ZoneInfo(zone)).timestamp()
    at = starts.index(begins)
    assert starts[at + 1] - begins == hours * 3600
    assert all(start % 900 == 0 for start in starts)  # days are counted in quarters of an hour
    assert starts[0] <= begins - 24 * 3600
    assert starts[-1] >= begins + 48 * 3600


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


@pytest.mark.parametrize("limit", [None, (100, 1.0)])
async def test_a_slower_pace_is_kept_to_until_its_end(clock, limit):
    limiter = RateLimiter(limit, clock)
    await limiter.acquire()
    assert limiter.slow_down(0.5, 10)
    assert not limiter.slow_down(0.5, 10)
    times = await grants(limiter, clock, 20)
    assert times == pytest.approx([1000.5 + 0.5 * number for number in range(19)] + [1010.0], abs=0.02)
    assert (await grants(limiter, clock, 50))[-1] < 1010.8


def test_who_waits_for_the_end_of_a_pause_learns_of_a_slower_pace():
    async def play():
        clock = asyncio.get_running_loop().time
        limiter, times = RateLimiter(None, clock), []

        async def send():
            await limiter.acquire()
            times.append(clock())

        limiter.pause(2)
        waiting = [asyncio.create_task(send()) for _ in range(8)]
        await asyncio.sleep(1)
        limiter.slow_down(0.5, 10)
        await asyncio.gather(*waiting)
        return times

    assert run_virtually(play())[0] == pytest.approx([2.0 + 0.5 * number for number in range(8)], abs=0.02)


@pytest.mark.parametrize("limit", [None, (100, 1.0)])
async def test_who_waits_at_a_slower_pace_learns_of_a_faster_one(clock, limit):
    limiter = RateLimiter(limit, clock)
    await limiter.acquire()
    limiter.slow_down(60, 100)
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.slow_down(0, 100)
    await waiting
    assert clock.now < 1001


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
