"""A shared limit whose store cannot do all that is asked of it, or forgets: in virtual time, with a store in memory."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from limit_stores import MemoryServer, MemoryStore
from tables import every_row
from virtual_time import run_virtually

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.limits import Limits, parse_limits
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.limits.shared.store import AS_BEFORE
from airflow_async_rest.core.stores.address import StoreAwayError


def virtually(play):
    """Run what a test plays, made inside the loop."""
    return run_virtually(play())[0]


@dataclass
class Without(MemoryStore):
    """A store that answers some questions with an error."""

    server: MemoryServer
    limits: Limits
    faults: dict
    asked: list = field(default_factory=list)
    key: str = "api"
    block_seconds: float = 0.05
    is_open: bool = False

    async def open(self, on_pause):
        self.is_open = True
        self.fail("open")
        await super().open(on_pause)

    async def pause(self, seconds):
        self.fail("pause")

    async def take(self, places, counted, slow=AS_BEFORE):
        if counted < 0:
            self.fail("give back")
        return await super().take(places, counted, slow)

    async def close(self):
        self.is_open = False
        self.fail("close")

    def fail(self, what):
        self.asked.append(what)
        if error := self.faults.get(what):
            raise error


def shared_over(faults, said=None):
    """Make a limiter with another one before it, over stores that are asked in vain. :return: it, and both stores."""
    server, clock = MemoryServer(asyncio.get_running_loop().time), asyncio.get_running_loop().time
    inner, outer = (Without(server, parse_limits("100/s, 20/d"), each) for each in ({}, faults))
    limiter = RateLimiter(None, clock)
    for store in (inner, outer):
        limiter = SharedLimiter(
            store, store.limits, key="api", before=limiter, longest_seconds=300.0, clock=clock,
            say=lambda text, *values: said.append(text % values),
        )  # fmt: skip
    return limiter, inner, outer


@every_row("error", [ConfigurationError("no rights"), asyncio.CancelledError(), OSError("broken")])
@every_row("further", [{}, {"close": ConfigurationError("no rights")}])
def test_what_was_opened_is_closed_where_the_store_cannot_be(error, further):
    async def play():
        limiter, inner, outer = shared_over({"open": error} | further)
        with pytest.raises(type(error)):
            await limiter.__aenter__()
        return inner.asked, inner.is_open, outer.asked, outer.is_open

    assert virtually(play) == (["open", "close"], False, ["open", "close"], False)


@pytest.mark.parametrize("error", [ConfigurationError("no rights"), StoreAwayError("nobody"), OSError("broken")])
def test_what_cannot_be_given_back_keeps_nothing_open(error):
    async def play():
        limiter, inner, outer = shared_over({"give back": error, "close": error})
        async with AsyncExitStack() as stack:
            if isinstance(error, OSError):
                stack.enter_context(pytest.raises(OSError, match="broken"))
            async with limiter:
                waiting = [asyncio.create_task(limiter.acquire()) for _ in range(5)]
                await asyncio.gather(*waiting[:2])  # the second one's place was taken together with the others'
                for one in waiting:
                    one.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        return outer.asked[-2:], outer.is_open, inner.is_open

    assert virtually(play) == (["give back", "close"], False, False)


def test_that_pauses_may_not_be_told_is_said_once():
    async def play():
        said = []
        limiter, _, _ = shared_over({"pause": ConfigurationError("give rights.")}, said)
        async with limiter:
            for seconds in (1, 5, 9):
                limiter.pause(seconds)
                await asyncio.sleep(0.01)
        return said

    assert virtually(play) == ["Pauses of the shared limit 'api' are not told to all at once: give rights."]


def limiter_of(server, limit, **settings):
    limits = parse_limits(limit)
    how = {"key": "api", "before": RateLimiter(None, server.clock), "longest_seconds": 4000.0, "clock": server.clock}
    return SharedLimiter(MemoryStore(server, "api", limits), limits, **{"say": lambda *_: None, **how, **settings})


def test_only_a_pause_that_is_news_is_told():
    async def play():
        server, told = MemoryServer(asyncio.get_running_loop().time), []
        async with limiter_of(server, "1000/s") as one, limiter_of(server, "1000/s") as other:
            server.listeners.append(told.append)
            for seconds in (30, 30, 1, 30.05, 31, 31):
                one.pause(seconds)
            await asyncio.sleep(0.01)
            other.pause(20)
            other.pause(60)
            await asyncio.sleep(0.01)
            one.pause(50)
            await asyncio.sleep(61)
            one.pause(1)
            await asyncio.sleep(0.01)
            server.away = True
            one.pause(40)
            await asyncio.sleep(0.01)
            server.away = False
            one.pause(40)
            await asyncio.sleep(0.01)
        return told

    assert virtually(play) == [30, 31, 60, 1, 40]


@pytest.mark.parametrize("waits_for", ["a place that is far ahead", "the end of a pause"])
def test_who_waits_while_the_store_is_lost_does_not_ask_it_too(waits_for):
    """Places are asked for ahead where the store is far away, so it may be lost while somebody waits."""

    async def play():
        server, said = MemoryServer(asyncio.get_running_loop().time), []
        server.way, fallback = 0.02, RateLimiter((1000, 1.0), server.clock)
        async with limiter_of(server, "2/s", fallback=fallback, say=lambda *text: said.append(text)) as limiter:
            for _ in range(4):
                await limiter.acquire()
            if waits_for == "the end of a pause":
                limiter.pause(3)
                await asyncio.sleep(2)  # the place that there is still is over by then
            server.away, begins = True, server.clock()
            waiting = asyncio.create_task(limiter.acquire())
            await asyncio.sleep(0.1)
            server.way = 1.5  # who asks now gets no answer in time
            await waiting
            return server.clock() - begins, [text for text, *_ in said if "is away" in text]

    seconds, said = virtually(play)
    assert seconds < (0.3 if waits_for == "a place that is far ahead" else 1.1)
    assert len(said) == 1


def test_what_went_out_uncounted_is_charged_once_by_a_store_that_has_forgotten():
    async def play():
        server = MemoryServer(asyncio.get_running_loop().time)
        server.away = True
        async with limiter_of(server, "100/s, 10/d", fallback=RateLimiter((1000, 1.0), server.clock)) as limiter:
            await asyncio.gather(*(limiter.acquire() for _ in range(13)))
            server.away = False
            await asyncio.sleep(10)
            waiting = [asyncio.create_task(limiter.acquire()) for _ in range(5)]
            await asyncio.sleep(1)
            charged = server.of("api")["counts"][0]  # three of the thirteen are not
            server.keys.clear()
            await asyncio.gather(*waiting)
        return charged, server.of("api")["counts"][0]

    assert virtually(play) == (10, 3 + 5)


@pytest.mark.parametrize(
    ("before", "after", "while_both", "later"),
    [
        ("100/s", "20/s", 20, 20),  # lowered: at once, for the old tasks, too
        ("20/s", "100/s", 20, 100),  # raised: as soon as the last old task has been gone for a minute
    ],
)
def test_of_a_limit_that_is_changed_the_strictest_holds_while_tasks_run_with_the_old_one(
    before, after, while_both, later
):
    async def play():
        clock = asyncio.get_running_loop().time
        server, sent = MemoryServer(clock), []

        async def task(limit, begins, ends):
            async def work():
                while clock() < ends:
                    await limiter.acquire()
                    sent.append(clock())

            await asyncio.sleep(begins)
            async with limiter_of(server, limit) as limiter:
                await asyncio.gather(*(work() for _ in range(8)))

        await asyncio.gather(task(before, 0, 20), task(before, 0, 20), task(after, 10, 100))
        return [sum(a <= at < a + 5 for at in sent) / 5 for a in (12, 90)]

    both, alone = virtually(play)
    assert 0.9 * while_both <= both <= while_both
    assert 0.9 * later <= alone <= later
