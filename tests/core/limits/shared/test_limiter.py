"""The limiter that several tasks share, in virtual time, with a store in memory."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from limit_stores import MemoryServer, MemoryStore, most_in_a_second
from tables import every_row, left_to_release
from virtual_time import run_virtually

from airflow_async_rest.core.errors import LimitStoreError, QuotaExhaustedError
from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.limits.shared.standing import SlowPace
from airflow_async_rest.core.limits.shared.store import AS_BEFORE, Slow

_OF_MANY = pytest.mark.slow("some ten thousand requests, each of them simulated")


class Tasks:
    """Several tasks with one limit; made inside the loop."""

    def __init__(self, limit="100/s", **settings) -> None:
        self.clock = asyncio.get_running_loop().time
        self.server, self.limit, self.settings = MemoryServer(self.clock), parse_limits(limit), settings
        self.said: list[str] = []
        self.sent: list[tuple[float, int]] = []

    def limiter(self, **settings) -> SharedLimiter:
        how = {"key": "api", "longest_seconds": 300.0, "before": RateLimiter(None, self.clock)}
        how |= {"say": lambda text, *values: self.said.append(text % values), "clock": self.clock}
        store = MemoryStore(self.server, "api", self.limit)
        return SharedLimiter(store, self.limit, **how | self.settings | settings)

    async def send(self, number: int, limiter: SharedLimiter, seconds: float, workers: int, latency: float) -> None:
        async def work() -> None:
            while self.clock() < until:
                await limiter.acquire()
                self.sent.append((self.clock(), number))
                await asyncio.sleep(latency)

        until, began = self.clock() + seconds, [asyncio.create_task(work()) for _ in range(workers)]
        try:
            await asyncio.gather(*began)
        finally:
            for one in began:
                one.cancel()
            await asyncio.gather(*began, return_exceptions=True)

    async def run(self, workers: list[int], seconds: float = 20.0, latency: float = 0.002) -> list[int]:
        """Send from a task for each number of workers. :return: how many requests each has sent in that time."""
        async with AsyncExitStack() as stack:
            limiters = [await stack.enter_async_context(self.limiter()) for _ in workers]
            await asyncio.gather(
                *(self.send(n, limiters[n], seconds, count, latency) for n, count in enumerate(workers))
            )
        return [sum(who == number for at, who in self.sent if at <= seconds) for number in range(len(workers))]

    def most_in_a_second(self) -> int:
        return most_in_a_second(at for at, _ in self.sent)


def virtually(play):
    """Run what a test plays, made inside the loop."""
    return run_virtually(play())[0]


class WarmingUp(MemoryServer):
    """Its first answers are slow, as those of a database that plans a statement."""

    slow, usual = 5, 0.001

    @property
    def way(self) -> float:
        return 0.02 if self.takes <= self.slow else self.usual

    @way.setter
    def way(self, _: float) -> None:
        pass


@pytest.mark.parametrize(("slow", "usual", "most"), [(0, 0.001, 2), (3, 0.001, 5), (5, 0.001, 7), (0, 0.05, 7)])
def test_before_the_first_place_it_is_known_how_fast_the_store_is(slow, usual, most):
    async def play():
        tasks = Tasks()
        tasks.server = WarmingUp(tasks.clock)
        tasks.server.slow, tasks.server.usual = slow, usual
        async with tasks.limiter() as limiter:
            return tasks.server.takes, limiter._way_back.seconds

    takes, seconds = virtually(play)
    assert takes <= most  # one of them to open it
    assert seconds < 1.2 * usual


@pytest.mark.parametrize(
    ("limit", "rate"),
    [("100/s", 100), pytest.param("1000/s", 1000, marks=_OF_MANY), ("6000/m", 100), ("50/s, 6000/m", 50)],
)
def test_all_together_keep_the_limit_and_use_it(limit, rate):
    async def play():
        tasks = Tasks(limit)
        return sum(await tasks.run([16] * 8, 10)), tasks.most_in_a_second()

    sent, most = virtually(play)
    assert most <= rate
    assert sent >= 0.95 * rate * 10


def shares_of(limit, workers) -> list[int]:
    async def play():
        return await Tasks(limit).run(workers)

    return virtually(play)


@pytest.mark.parametrize(
    ("limit", "workers"),
    [
        ("100/s", [16] * 8),
        pytest.param("1000/s", [16] * 8, marks=_OF_MANY),
        pytest.param("400/s", [64, 64, 64], marks=_OF_MANY),
    ],
)
def test_equal_tasks_get_equal_shares(limit, workers):
    shares = shares_of(limit, workers)
    assert max(shares) <= 1.1 * min(shares)


@pytest.mark.parametrize("limit", ["100/s", *left_to_release(("1000/s", "2000/s"), but_for=0)])
@pytest.mark.parametrize("workers", [[64, 8], [64, 8, 8, 8], [64, 64, 8]])
def test_many_in_flight_get_little_more_than_few(limit, workers):
    shares = shares_of(limit, workers)
    assert shares[0] <= 1.5 * sum(shares) / len(shares)
    assert shares[0] <= 1.5 * shares[-1]


def test_a_pause_reaches_everybody_at_once():
    async def play():
        tasks = Tasks("1000/s")
        async with tasks.limiter() as one, tasks.limiter() as other:
            sending = asyncio.gather(tasks.send(0, one, 1, 16, 0.01), tasks.send(1, other, 1, 16, 0.01))
            await asyncio.sleep(0.5)
            assert one.pause(30)
            assert not one.pause(1)
            await sending
        return [at for at, _ in tasks.sent if at > 0.5]

    assert min(virtually(play)) > 30.4


def test_a_pause_that_is_too_long_for_others_ends_them_and_those_that_come_later_and_none_sends_meanwhile():
    async def play():
        tasks, ended = Tasks("100/s", longest_seconds=300.0), []

        async def work(number):
            async with tasks.limiter() as limiter:
                try:
                    await tasks.send(number, limiter, 1000, 4, 0.01)
                except QuotaExhaustedError as error:
                    ended.append((tasks.clock(), error.seconds, str(error)))

        others = asyncio.gather(work(0), work(1))
        await asyncio.sleep(1)
        async with tasks.limiter() as first:
            first.pause(3600)  # and it ends at once
        await others
        await asyncio.sleep(60)
        await work(2)
        return [at for at, _ in tasks.sent], ended

    sent, ended = virtually(play)
    assert max(sent) < 1.1
    assert [round(seconds, -1) for _, seconds, _ in ended] == [3600, 3600, 3540]
    assert max(at for at, _, _ in ended[:2]) < 1.1
    assert "all who share the limit 'api' wait for 3600 s more, which is longer than" in ended[0][2]


def test_a_pause_that_some_can_wait_for_is_waited_for_by_these():
    async def play():
        tasks = Tasks("100/s")
        async with tasks.limiter(longest_seconds=4000.0) as patient, tasks.limiter() as other:
            other.pause(3600)
            with pytest.raises(QuotaExhaustedError):
                await other.acquire()
            await patient.acquire()
        return tasks.clock()

    assert 3600 <= virtually(play) < 3601


def test_a_slow_limit_is_no_pause():
    async def play():
        tasks = Tasks("1/h", longest_seconds=300.0)
        async with tasks.limiter() as limiter:
            await limiter.acquire()
            await limiter.acquire()
        return tasks.clock()

    assert 3600 <= virtually(play) < 3700


def test_a_place_whose_time_is_over_is_given_up():
    async def play():
        tasks = Tasks("100/s")
        async with tasks.limiter() as limiter:
            waiting = [asyncio.create_task(limiter.acquire()) for _ in range(8)]
            await asyncio.sleep(0.015)
            limiter._places._blocks[0].at -= 5  # as after a stall of this process
            await asyncio.gather(*waiting)
        return tasks.clock(), tasks.server.of("api")["granted"]

    ended, granted = virtually(play)
    assert granted > 8
    assert ended > 0.07


def test_who_is_cancelled_takes_nothing_from_the_others():
    async def play():
        tasks = Tasks("10/s, 20/d")
        async with tasks.limiter() as limiter:
            waiting = [asyncio.create_task(limiter.acquire()) for _ in range(10)]
            await asyncio.sleep(0.05)
            for one in waiting[1::2]:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return limiter.granted, tasks.server.of("api")["counts"][0]

    assert virtually(play) == (5, 5)


def test_a_days_limit_is_used_to_the_last_request_and_by_none_more():
    async def play():
        tasks = Tasks("100/s, 500/d")

        async def one(number):
            async with tasks.limiter() as limiter:
                with pytest.raises(QuotaExhaustedError, match=r"the day's limit of 'api' is used up.* 3600 s, which"):
                    await tasks.send(number, limiter, 1000, 7, 0.01)

        await asyncio.gather(*(one(number) for number in range(12)))
        return len(tasks.sent), tasks.server.of("api")["counts"][0]

    assert virtually(play) == (500, 500)


def test_a_day_that_is_soon_over_is_waited_for():
    async def play():
        tasks = Tasks("1/d", longest_seconds=4000.0)
        async with tasks.limiter() as limiter:
            await limiter.acquire()
            waiting = asyncio.create_task(limiter.acquire())
            await asyncio.sleep(1)
            tasks.server.of("api")["counts"].clear()
            await waiting
        return tasks.clock(), tasks.said

    ended, [said] = virtually(play)
    assert 3600 <= ended < 3602
    assert said == "The day's limit of 'api' is used up: all requests wait for 3600 s."


def test_nothing_is_sent_while_the_store_is_away_and_it_goes_on_soon_without_a_burst():
    async def play():
        tasks = Tasks("100/s")

        async def outage():
            await asyncio.sleep(5)
            tasks.server.away = True
            await asyncio.sleep(20)
            tasks.server.away = False

        await asyncio.gather(tasks.run([16] * 4, 40), outage())
        return [at for at, _ in tasks.sent], tasks.most_in_a_second(), tasks.said

    times, most, said = virtually(play)
    assert [at for at in times if 5.5 < at < 25] == []
    assert min(at for at in times if at > 25) < 25.5
    assert most <= 100
    assert said[0] == "The shared limit 'api' is away: nobody is there. Nothing is sent until it is back."
    assert said[-1].startswith("The shared limit 'api' is back, after 20.")


MANY_TASKS = [("10/s", [4] * 8), ("100/s", [4] * 8), ("400/s", [16] * 8), ("2/s", [2] * 30), ("60/m", [16] * 4)]


@_OF_MANY
@every_row(("limit", "workers"), MANY_TASKS)
@every_row("is_away", [False, True])
def test_a_store_that_forgets_what_it_handed_out_makes_no_burst(limit, workers, is_away):
    async def play():
        tasks = Tasks(limit)

        async def forget():
            await asyncio.sleep(5)
            tasks.server.keys.clear()
            tasks.server.away = is_away
            await asyncio.sleep(0.05)
            tasks.server.away = False

        await asyncio.gather(tasks.run(workers, 12), forget())
        return tasks.most_in_a_second(), [at for at, _ in tasks.sent if 6 + len(workers) / rate < at < 12]

    rate = parse_limits(limit).pace
    rate = rate.requests / rate.seconds
    most, later = virtually(play)
    assert most <= rate
    assert len(later) >= 0.9 * rate * (5 - len(workers) / rate)


def test_that_a_store_has_forgotten_is_said_once():
    async def play():
        tasks = Tasks("100/s, 1000/d")
        async with tasks.limiter() as limiter:
            for _ in range(2):
                await limiter.acquire()
                tasks.server.keys.clear()
                await asyncio.sleep(0.01)
            await limiter.acquire()
        return tasks.said, tasks.server.of("api")["counts"][0]

    assert virtually(play) == (["The store of the shared limit 'api' has forgotten it, and counts from zero again."], 1)


def test_a_share_of_its_own_is_kept_to_while_the_store_is_away_where_one_is_set():
    async def play():
        tasks = Tasks("100/s, 100000/d")
        tasks.settings["fallback"] = RateLimiter((10, 1.0), tasks.clock)
        tasks.server.away = True
        async with tasks.limiter() as limiter:
            sending = asyncio.create_task(tasks.send(0, limiter, 20, 16, 0.01))
            await asyncio.sleep(9.9)
            standing = limiter.standing()
            tasks.server.away = False
            await sending
        away, there = ([at for at, _ in tasks.sent if a <= at < b] for a, b in ((0, 10), (11, 20)))
        return len(away), len(there), standing["store"], tasks.server.of("api")["counts"][0] - len(tasks.sent)

    away, there, store, uncounted = virtually(play)
    assert 90 <= away <= 100
    assert 850 <= there <= 900
    assert store == "fallback"
    assert uncounted == 0  # what went out meanwhile is counted afterwards


@pytest.mark.parametrize(("told", "most"), [("pause", 0), ("slow_down", 2)])
def test_what_the_api_asks_for_while_the_store_is_away_holds_for_the_share_of_its_own(told, most):
    async def play():
        tasks = Tasks("100/s")
        tasks.server.away = True
        async with tasks.limiter(fallback=RateLimiter((10, 1.0), tasks.clock)) as limiter:
            sending = asyncio.create_task(tasks.send(0, limiter, 12, 16, 0.01))
            await asyncio.sleep(5)
            limiter.pause(5) if told == "pause" else limiter.slow_down(1.0, 5)
            await sending
        return [sum(a <= at < b for at, _ in tasks.sent) for a, b in ((0, 5), (6, 8), (10.5, 12))]

    before, meanwhile, after = virtually(play)
    assert before > 40
    assert meanwhile <= most
    assert after > 8


def test_a_store_that_stays_away_ends_the_try_retriably():
    async def play():
        tasks = Tasks("100/s")
        tasks.server.away = True
        async with tasks.limiter() as limiter:
            waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
            await asyncio.sleep(300)
            assert limiter.standing()["store"] == "closed"
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        return tasks.clock(), ended

    ended, errors = virtually(play)
    assert 600 <= ended < 601
    assert {type(error) for error in errors} == {LimitStoreError}
    assert str(errors[0]).startswith("the shared limit 'api' has been away for 600 s: nobody is there")


def test_a_pace_that_one_is_told_holds_for_all():
    async def play():
        tasks = Tasks("100/s")
        async with tasks.limiter() as one, tasks.limiter() as other:
            sending = asyncio.gather(tasks.send(0, one, 10, 8, 0.01), tasks.send(1, other, 10, 8, 0.01))
            await asyncio.sleep(2)
            assert one.slow_down(0.1, 5.0)
            assert not one.slow_down(0.1, 5.0)
            await sending
        return [len([at for at, _ in tasks.sent if a <= at < b]) for a, b in ((0, 2), (3, 7), (8, 10))]

    before, slow, after = virtually(play)
    assert before > 190
    assert slow <= 41
    assert after > 180


def test_a_pace_that_is_told_again_and_again_holds_on():
    """As by an API whose limit rolls: some of it remains for the next seconds, whenever it is asked."""

    async def play():
        tasks = Tasks("100/s")
        async with tasks.limiter() as one, tasks.limiter() as other:
            sending = asyncio.gather(tasks.send(0, one, 30, 8, 0.01), tasks.send(1, other, 30, 8, 0.01))
            for _ in range(60):
                one.slow_down(0.5, 5.0)
                await asyncio.sleep(0.5)
            await sending
        return len(tasks.sent)

    assert virtually(play) <= 60 + 16  # each worker waits for one more at the end


@every_row(
    ("told", "last"),
    [
        ([(0.5, 60, 0), (0.5, 59, 1), (0.5, 31, 29)], AS_BEFORE),  # of a window that ends
        ([(0.5, 60, 0), (0.5, 60, 29)], AS_BEFORE),  # of one that rolls
        ([(0.5, 60, 0), (0.5, 60, 31)], Slow(0.5, 60)),
        ([(0.5, 60, 0), (0.6, 60, 1)], Slow(0.6, 60)),
        ([(0.5, 60, 0), (0.0, 60, 1)], Slow(0.0, 0)),
        ([(0.5, 60, 0), (0.0, 60, 1), (0.0, 60, 90)], AS_BEFORE),  # others may have been told of less
        ([(0.0, 60, 5)], AS_BEFORE),
    ],
)
def test_a_store_is_told_of_a_slower_pace_while_it_does_not_know(told, last):
    slow = SlowPace()
    for interval, seconds, now in told:
        slow.change(interval, seconds, now)
        found = slow.to_tell(now)
    assert found == last


def test_the_tasks_own_limit_holds_too():
    async def play():
        tasks = Tasks("100/s")
        tasks.settings["before"] = RateLimiter((10, 1.0), tasks.clock)
        return await tasks.run([16], 10)

    assert virtually(play)[0] <= 100


def pausing(tasks):
    for listener in tasks.server.listeners:
        listener(5)


def losing(tasks):
    tasks.server.away = True


def finding(tasks):
    tasks.server.away = False


@every_row(
    ("limit", "first", "then", "most"),
    [
        ("400/s", pausing, pausing, 10),
        ("400/s", losing, finding, 10),
        ("400/s, 100000/d", pausing, pausing, 10),
        ("5/s, 400/s", pausing, pausing, 5),
    ],
)
def test_what_has_waited_for_others_goes_out_no_faster_than_the_tasks_own_limit(limit, first, then, most):
    async def play():
        tasks, own = Tasks(limit), parse_limits("10/s")
        async with tasks.limiter(before=RateLimiter(own.pace, tasks.clock), own=own.rates) as limiter:
            sending = asyncio.create_task(tasks.send(0, limiter, 30, 64, 0.01))
            for event in (first, then):
                await asyncio.sleep(8)
                event(tasks)
            await sending
        return tasks.most_in_a_second(), len(tasks.sent)

    most_seen, sent = virtually(play)
    assert most_seen <= most
    assert sent >= 15 * most


def test_what_others_did_not_need_any_longer_makes_no_burst_of_what_waits():
    async def play():
        tasks, own = Tasks("40/s"), parse_limits("10/s")
        async with AsyncExitStack() as stack:
            mine = tasks.limiter(before=RateLimiter(own.pace, tasks.clock), own=own.rates)
            others = [tasks.limiter() for _ in range(7)]
            for limiter in (mine, *others):
                await stack.enter_async_context(limiter)
            await asyncio.gather(
                tasks.send(0, mine, 30, 64, 0.01), *(tasks.send(1, limiter, 10, 16, 0.01) for limiter in others)
            )
        return most_in_a_second(at for at, who in tasks.sent if who == 0)

    assert virtually(play) == 10


def test_how_it_stands_is_shown():
    async def play():
        tasks = Tasks("100/s")
        async with tasks.limiter() as one, tasks.limiter() as other:
            sending = asyncio.gather(tasks.send(0, one, 10, 16, 0.01), tasks.send(1, other, 10, 16, 0.01))
            await asyncio.sleep(8)
            standing = one.standing()
            await sending
        return standing

    standing = virtually(play)
    assert standing["used"] == pytest.approx(0.49, abs=0.02)
    assert standing["used_by_all"] == pytest.approx(0.98, abs=0.03)
    assert standing["waiting"] >= 14
    assert (standing["key"], standing["store"]) == ("api", "there")


def test_a_stricter_limit_of_another_connection_is_said_once():
    async def play():
        tasks = Tasks("100/s")
        async with tasks.limiter() as strict:
            await strict.acquire()
        tasks.limit = parse_limits("1000/s")
        async with tasks.limiter() as lax:
            await asyncio.gather(*(lax.acquire() for _ in range(30)))
        return tasks.said

    [said] = virtually(play)
    assert said.startswith("The shared limit 'api' is kept to 98 requests a second, and not to 980: another connection")
