"""A task's part of a limit that several share: it takes places in time, and grants a request at each."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Self

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import ConfigurationError, QuotaExhaustedError
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.limits.limits import PACE, Limits, Rate
from airflow_async_rest.core.limits.rate_limit import Sent
from airflow_async_rest.core.limits.shared.outage import Outage, let_pass
from airflow_async_rest.core.limits.shared.pause import SharedPause
from airflow_async_rest.core.limits.shared.places import Ahead, Block, Places, block_seconds, is_far, is_time
from airflow_async_rest.core.limits.shared.standing import OTHER_PACE, Samples, SlowPace
from airflow_async_rest.core.limits.shared.store import Grant, LimitStore
from airflow_async_rest.core.limits.shared.way_back import WayBack
from airflow_async_rest.core.stores.address import StoreAwayError

_MOST_PLACES = 1_000  # the store hands out fewer: a moment's
_FIRST_ASKS = 6  # PostgreSQL plans a statement for each of its first five values, which takes several times as long


class SharedLimiter:
    """Grants a request when its place in time has come. Made inside the running event loop.

    As many places are asked for at once as requests wait. A place whose time is over is given up, so that no stall
    makes a burst.

    :param key: for people to read.
    :param before: whose grant each request needs first: the task's own limit.
    :param own: what that limit is of: what has waited long since ``before`` granted it goes out no faster either.
    :param fallback: grants while the store is away; None: nothing is sent then.
    :param say: logs what somebody should know.
    :param longest_seconds: that a day's limit which is used up is waited for, or a pause of all.
    """

    def __init__(
        self,
        store: LimitStore,
        limits: Limits,
        *,
        key: str,
        before: Limiter,
        own: tuple[Rate, ...] = (),
        fallback: Limiter | None = None,
        say: Callable[..., None],
        longest_seconds: float,
        bounds: Bounds = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._key, self._before, self._fallback = store, key, before, fallback
        self._say, self._longest_seconds, self._bounds, self._clock = say, longest_seconds, bounds, clock
        self._block_seconds = store.block_seconds
        pace = limits.pace
        self._interval = pace.interval if pace else 0.0
        self._latest, self._counts = limits.latest_seconds, bool(limits.days)
        self._sent = Sent(own)
        self._turn = asyncio.Lock()
        self._places, self._ahead = Places(), Ahead()
        self._taking: asyncio.Task[None] | None = None
        self._outage: Outage | None = None
        self._way_back = WayBack()
        self._credit = 0  # of what the days' limits were charged with
        self._pause = SharedPause(store.pause, key, longest_seconds=longest_seconds, say=self._say_once, clock=clock)
        self._slow = SlowPace()
        self._count_began: float | None = None  # by the store's clock
        self._answered_at = 0.0
        self._began, self._by_all = clock(), Samples()
        self._has_said: set[str] = set()
        self.granted = self.waiting = 0

    async def __aenter__(self) -> Self:
        """Open the store; where it is away, wait for it with the first request.

        :raises ConfigurationError: when it will never work like this; then all is closed again.
        """
        await self._before.__aenter__()
        try:
            async with asyncio.timeout(self._bounds.store_open_seconds):
                await self._store.open(self._pause.told)
                await self._get_to_know_it()
        except (StoreAwayError, TimeoutError) as error:
            self._lose(error)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _get_to_know_it(self) -> None:
        """Ask until it is known how fast an answer is, so that no first place is late: the first answers are slow."""
        for _ in range(_FIRST_ASKS):
            await self._take(0)
            if self._outage is not None or not is_far(self._way_back.seconds):
                return

    async def __aexit__(self, *error: object) -> None:
        """Disconnect, once others know of the pause, and the places of a day that were not used are given back."""
        await self._pause.close(self._bounds.store_close_seconds if self._outage is None else 0.0)
        if self._counts and self._taking is not None:  # its answer says what was charged
            await asyncio.wait({self._taking}, timeout=self._bounds.store_close_seconds)
        if self._taking is not None:
            self._taking.cancel()
        if self._outage is not None:
            self._outage.cancel()
        self._drop_places()
        unused = self._credit if self._counts and self._outage is None else 0
        self._credit, self._taking, self._outage, self._count_began = 0, None, None, None
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(self._before.__aexit__, *error)
            closing.push_async_callback(self._end, self._store.close)
            if unused > 0:  # else fewer are sent on that day than might be
                await self._end(partial(self._store.take, 0, -unused))

    async def _end(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask the store for the last time, as far as that goes: nothing hangs on its answer."""
        with contextlib.suppress(StoreAwayError, ConfigurationError, TimeoutError):
            async with asyncio.timeout(self._bounds.store_close_seconds):
                await ask()

    async def acquire(self) -> None:
        """Return when one more request may be sent, now.

        :raises LimitStoreError: when the store has been away for too long.
        :raises QuotaExhaustedError: when a day's limit is used up, or all pause, for longer than we wait.
        """
        await self._before.acquire()
        self.waiting += 1
        try:
            async with self._turn:  # first come, first served
                if (wait := self._sent.free_at - self._clock()) > 0:
                    await asyncio.sleep(wait)
                while not await self._is_granted():
                    pass
                self._sent.add(self._clock())
            self.granted += 1
        finally:
            self.waiting -= 1

    def give_back(self) -> None:
        """Take back what was granted: a day's limit is not charged with it."""
        self._before.give_back()
        self._credit += 1
        self.granted -= 1

    async def _is_granted(self) -> bool:
        if self._outage is not None:
            if self._fallback is None:
                await self._outage.over()
            elif not self._outage.is_over:
                await self._fallback.acquire()
                await self._pause.wait_until(0.0)
                self._credit -= 1  # counted when the store is back
                return True
            self._outage, self._count_began = None, None
            self._drop_places()
        if not self._places:
            self._ahead.ran_dry()
            await self._pause.wait_until(0.0)
            await self._ask()
            return False
        at, block = self._places.take()
        if is_time(self._clock(), self._places.ends, self._way_back.seconds):
            self._begin_to_take()
        is_used = False
        try:
            is_used = await self._has_come(at, block)
        finally:
            self._credit += not is_used
        return is_used

    async def _has_come(self, at: float, block: Block) -> bool:
        """Return at the time of a place; whether it is one still."""
        if self._is_over(at, block):
            self._ahead.lapsed()
            return False
        if not (block.is_remembered or await self._is_remembered(at, block)):
            return False
        await self._pause.wait_until(at)
        return not self._is_over(at, block)

    def _is_over(self, at: float, block: Block) -> bool:
        return bool(block.interval) and self._clock() - at > self._latest

    async def _is_remembered(self, at: float, block: Block) -> bool:
        """Return whether the store still knows of places: those that it handed out long before their last one."""
        places, asked_from = self._places, at + block.left * block.interval - self._bounds.store_settle_seconds
        if self._answered_at < asked_from:
            way = self._way_back.seconds
            await self._pause.wait_until(min(asked_from, at - way))
            await self._ask(0)
        block.is_remembered = self._places is places and self._outage is None
        return block.is_remembered

    async def _ask(self, wanted: int | None = None) -> None:
        """Take places, unless the store was lost meanwhile.

        :param wanted: how many; None: as many as there are requests for.
        """
        if self._outage is None:
            await asyncio.shield(self._begin_to_take(wanted))

    def _begin_to_take(self, wanted: int | None = None) -> asyncio.Task[None]:
        """Take places in a task of its own: a worker may be cancelled meanwhile, or need none yet."""
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take(wanted))
            self._taking.add_done_callback(let_pass)
        return self._taking

    async def _take(self, wanted: int | None) -> None:
        asked_at = self._clock()
        if wanted is None:
            wanted = self._ahead.wanted(self.waiting, len(self._places), self._way_back.seconds)
            wanted = min(max(wanted, 1), _MOST_PLACES)
        slow = self._slow.to_tell(asked_at)
        try:
            async with asyncio.timeout(self._bounds.store_answer_seconds):
                grant = await self._store.take(wanted, wanted - self._credit if self._counts and wanted else 0, slow)
        except (StoreAwayError, TimeoutError) as error:
            self._slow.is_lost(slow)
            self._lose(error)
            return
        now = self._answered_at = self._clock()
        longer = self._way_back.excess(asked_at, now, grant.now)
        self._by_all.add(now, grant.granted)
        if grant.pause_seconds > 0:
            self._pause.told(grant.pause_seconds)
        if self._count_began not in {None, grant.began}:
            self._start_over(grant)
        elif wanted:
            self._accept(grant, now - longer)
        self._count_began = grant.began

    def _accept(self, grant: Grant, now: float) -> None:
        """Have the places of a grant.

        :param now: when its answer would have come if it had been as fast as others: so no place is early, nor late by
            more than the shortest way back.
        """
        if self._counts:
            self._credit += grant.counted - grant.places
        self._ahead.got(grant.places, grant.wait_seconds, self._way_back.seconds)
        if not grant.places and not self._places:
            self._wait_for_a_day(grant.wait_seconds)
        if grant.interval > self._interval * (1 + OTHER_PACE) and not self._slow.holds(now):
            self._say_once(
                "The shared limit %r is kept to %.3g requests a second, and not to %.3g: another connection with this "
                "rate_limit_key has a stricter rate_limit, or the API has told another task that little of its limit "
                "remains.",
                self._key,
                1 / grant.interval,
                1 / self._interval if self._interval else float("inf"),
            )
        self._places.add(Block(grant.places, now + grant.wait_seconds, grant.interval))
        self._store.block_seconds = max(self._block_seconds, block_seconds(self._way_back.seconds))

    def _start_over(self, grant: Grant) -> None:
        """Wait until the places are used that the store handed out, and has forgotten, as others have some, too."""
        self._say_once("The store of the shared limit %r has forgotten it, and counts from zero again.", self._key)
        self._pause.hold(self._bounds.store_settle_seconds)
        self._pause.forgotten()
        self._places = Places()
        # What was charged before is forgotten, too; what went out uncounted is charged now, with the places.
        self._credit = min(0, self._credit) + grant.counted

    def _drop_places(self) -> None:
        self._credit += len(self._places)
        self._places = Places()

    def _wait_for_a_day(self, seconds: float) -> None:
        if seconds > self._longest_seconds:
            raise QuotaExhaustedError(
                f"the day's limit of {self._key!r} is used up, by all who share it: the next request may go out in "
                f"{seconds:.0f} s, which is longer than "
                f"RequestRetry(max_retry_after_seconds={self._longest_seconds:g})",
                seconds,
            )
        self._say_once("The day's limit of %r is used up: all requests wait for %.0f s.", self._key, seconds)
        self._pause.hold(seconds)

    def _lose(self, error: BaseException) -> None:
        """Begin to wait until the store is back."""
        self._outage = Outage(
            error,
            self._store,
            self._key,
            for_ever=self._fallback is not None,
            say=self._say,
            bounds=self._bounds,
            clock=self._clock,
        )

    def pause(self, seconds: float) -> bool:
        """Hold back everybody, in all tasks, for this long from now; a longer pause under way stays as it is.

        :return: whether there was none under way.
        """
        return self._pause.begin(seconds)

    def slow_down(self, interval: float, seconds: float) -> bool:
        """Keep everybody, in all tasks, to this pace; with the next places.

        :return: whether nothing was slowed down before.
        """
        if self._fallback is not None:
            self._fallback.slow_down(interval, seconds)
        return self._slow.change(interval, seconds, self._clock())

    def share_used(self) -> float | None:
        """Return how much of the limit this task's grants have used, 0 to 1; None where nothing is paced."""
        elapsed = self._clock() - self._began
        return min(1.0, self.granted * self._interval * PACE / elapsed) if self._interval and elapsed > 0 else None

    def standing(self) -> Mapping[str, Any]:
        """Return how the limit stands: who uses how much of it, and how many requests wait for it."""
        rate, used = self._by_all.rate, self.share_used()
        by_all = None if rate is None or not self._interval else min(1.0, rate * self._interval * PACE)
        away = "closed" if self._fallback is None else "fallback"
        return {
            "key": self._key,
            "used": None if used is None else round(used, 3),
            "used_by_all": None if by_all is None else round(by_all, 3),
            "waiting": self.waiting,
            "store": "there" if self._outage is None or self._outage.is_over else away,
        }

    def _say_once(self, text: str, *values: Any) -> None:
        if text not in self._has_said:
            self._has_said.add(text)
            self._say(text, *values)
