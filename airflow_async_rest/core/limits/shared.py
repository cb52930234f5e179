"""One limit for all tasks that name the same key: places in time, handed out by a store."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import LimitStoreError, QuotaExhaustedError
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.limits.limits import PACE, Limits
from airflow_async_rest.core.limits.store import AS_BEFORE, LimitStore, Slow
from airflow_async_rest.core.stores.address import StoreAwayError

_SAMPLE_SECONDS = 2.0
_MOST_PLACES = 1_000  # the store hands out fewer: a moment's
# A pace that the API tells is handed on when it is this much another one.
_OTHER_PACE = 0.1


@dataclass(slots=True)
class _Places:
    """Places that were taken, and are not used yet.

    :param at: when the first of them is.
    :param late: by how much the answer that brought them was slower than others: they may be over already.
    """

    left: int = 0
    at: float = 0.0
    interval: float = 0.0
    late: float = 0.0


class SharedLimiter:
    """Grants a request when its place in time has come. Made inside the running event loop.

    As many places are asked for at once as requests wait. A place whose time is over is given up, so that no stall
    makes a burst.

    :param key: for people to read.
    :param before: whose grant each request needs first: the task's own limit.
    :param fallback: grants while the store is away; None: nothing is sent then.
    :param say: logs what somebody should know.
    :param longest_seconds: that a day's limit which is used up is waited for.
    """

    def __init__(
        self,
        store: LimitStore,
        limits: Limits,
        *,
        key: str,
        before: Limiter,
        fallback: Limiter | None = None,
        say: Callable[..., None],
        longest_seconds: float,
        bounds: Bounds = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._key, self._before, self._fallback = store, key, before, fallback
        self._say, self._longest_seconds, self._bounds, self._clock = say, longest_seconds, bounds, clock
        pace = limits.pace
        self._interval = pace.interval if pace else 0.0
        self._latest, self._counts = limits.latest_seconds, bool(limits.days)
        self._turn = asyncio.Lock()
        self._places = _Places()
        self._taking: asyncio.Task[None] | None = None
        self._outage: asyncio.Task[None] | None = None
        self._pausing: set[asyncio.Task[None]] = set()
        self._fastest = float("inf")
        self._credit = 0  # of what the days' limits were charged with
        self._paused_until = 0.0
        self._slow, self._slow_until, self._slow_is_told = 0.0, 0.0, True
        self._began, self._by_all = clock(), Samples()
        self._has_said: set[str] = set()
        self.granted = self.waiting = 0

    async def __aenter__(self) -> Self:
        """Open the store; where it is away, wait for it with the first request."""
        await self._before.__aenter__()
        try:
            async with asyncio.timeout(self._bounds.store_answer_seconds * 2):
                await self._store.open(self._paused_by_others)
        except (StoreAwayError, TimeoutError) as error:
            self._lose(error)
        return self

    async def __aexit__(self, *error: object) -> None:
        """Give back what the days' limits were charged with for requests that were not sent, and disconnect."""
        for task in filter(None, (self._taking, self._outage, *self._pausing)):
            task.cancel()
        self._credit += self._places.left
        if self._credit > 0 and self._counts and self._outage is None:
            with contextlib.suppress(StoreAwayError, TimeoutError):  # else fewer are sent on that day than might be
                async with asyncio.timeout(self._bounds.store_close_seconds):
                    await self._store.take(0, -self._credit)
        self._credit, self._places, self._taking, self._outage = 0, _Places(), None, None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._bounds.store_close_seconds):
                await self._store.close()
        await self._before.__aexit__(*error)

    async def acquire(self) -> None:
        """Return when one more request may be sent, now.

        :raises LimitStoreError: when the store has been away for too long.
        :raises QuotaExhaustedError: when a day's limit is used up, for longer than we wait.
        """
        await self._before.acquire()
        self.waiting += 1
        try:
            async with self._turn:  # first come, first served
                while not await self._is_granted():
                    pass
            self.granted += 1
        finally:
            self.waiting -= 1

    async def _is_granted(self) -> bool:
        if self._outage is not None:
            if self._fallback is None:
                await asyncio.shield(self._outage)
            elif not self._outage.done():
                await self._fallback.acquire()
                self._credit -= 1  # counted when the store is back
                return True
            self._outage = None
        if not self._places.left:
            await self._wait_until(0.0)
            return await self._take()
        places = self._places
        at, places.at, places.left = places.at, places.at + places.interval, places.left - 1
        self._credit += 1
        await self._wait_until(at)
        if places.interval and self._clock() - at + places.late > self._latest:
            return False
        self._credit -= 1
        return True

    async def _wait_until(self, at: float) -> None:
        while (wait := max(at, self._paused_until) - self._clock()) > 0:
            await asyncio.sleep(wait)

    async def _take(self) -> bool:
        """Take places, in a task of its own: a worker may be cancelled meanwhile. :return: False: none is used yet."""
        taking = self._taking
        if taking is None or taking.done():
            taking = self._taking = asyncio.create_task(self._ask())
            taking.add_done_callback(_let_pass)
        try:
            await asyncio.shield(taking)
        except (StoreAwayError, TimeoutError) as error:
            self._lose(error)
        return False

    async def _ask(self) -> None:
        slow, self._slow_is_told = AS_BEFORE if self._slow_is_told else self._slower(), True
        wanted, asked_at = max(1, min(self.waiting, _MOST_PLACES)), self._clock()
        try:
            async with asyncio.timeout(self._bounds.store_answer_seconds):
                grant = await self._store.take(wanted, wanted - self._credit if self._counts else 0, slow)
        except (StoreAwayError, TimeoutError):
            self._slow_is_told = slow is AS_BEFORE
            raise
        now = self._clock()
        seconds = now - asked_at
        self._fastest = min(seconds, self._fastest * 1.02)
        self._by_all.add(now, grant.granted)
        if grant.pause_seconds > 0:
            self._paused_by_others(grant.pause_seconds)
        if self._counts:
            self._credit += grant.counted - grant.places
        if not grant.places:
            self._wait_for_a_day(grant.wait_seconds)
        if grant.interval > self._interval * (1 + _OTHER_PACE) and not self._slow_until > now:
            self._say_once(
                "The shared limit %r is kept to %.3g requests a second, and not to %.3g: another connection with this "
                "rate_limit_key has a stricter rate_limit, or the API has told another task that little of its limit "
                "remains.",
                self._key,
                1 / grant.interval,
                1 / self._interval if self._interval else float("inf"),
            )
        # Counted from the answer, a place may come late by the way back, and never early.
        late = max(0.0, seconds - self._fastest)
        self._places = _Places(grant.places, now + grant.wait_seconds, grant.interval, late)

    def _wait_for_a_day(self, seconds: float) -> None:
        if seconds > self._longest_seconds:
            raise QuotaExhaustedError(
                f"the day's limit of {self._key!r} is used up, by all who share it: the next request may go out in "
                f"{seconds:.0f} s, which is longer than "
                f"RequestRetry(max_retry_after_seconds={self._longest_seconds:g}). A retry goes on where this try ended"
            )
        self._say_once("The day's limit of %r is used up: all requests wait for %.0f s.", self._key, seconds)
        self._paused_by_others(seconds)

    def _lose(self, error: BaseException) -> None:
        """Begin to wait until the store is back."""
        self._say(
            "The shared limit %r is away: %s. %s",
            self._key,
            str(error) or "it does not answer in time",
            "Nothing is sent until it is back."
            if self._fallback is None
            else "Until it is back, this task keeps to rate_limit_fallback, by itself.",
        )
        self._outage = asyncio.create_task(self._until_it_is_back(str(error) or "no answer in time"))
        self._outage.add_done_callback(_let_pass)

    async def _until_it_is_back(self, why: str) -> None:
        bounds, since = self._bounds, self._clock()
        while True:
            await asyncio.sleep(bounds.store_retry_seconds)
            try:
                async with asyncio.timeout(bounds.store_answer_seconds):
                    await self._store.take(0, 0)
                break
            except (StoreAwayError, TimeoutError) as error:
                why = str(error) or why
            if self._fallback is None and self._clock() - since >= bounds.store_away_seconds:
                raise LimitStoreError(
                    f"the shared limit {self._key!r} has been away for {bounds.store_away_seconds:.0f} s: {why}. A "
                    "retry goes on where this try ended"
                )
        await asyncio.sleep(bounds.store_settle_seconds)
        self._say("The shared limit %r is back, after %.1f s.", self._key, self._clock() - since)

    def _paused_by_others(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def pause(self, seconds: float) -> bool:
        """Hold back everybody, in all tasks, for this long from now; a longer pause under way stays as it is.

        :return: whether there was none under way.
        """
        begins = self._paused_until <= self._clock()
        self._paused_by_others(seconds)
        telling = asyncio.create_task(self._tell(seconds))
        self._pausing.add(telling)
        telling.add_done_callback(self._pausing.discard)
        return begins

    async def _tell(self, seconds: float) -> None:
        with contextlib.suppress(StoreAwayError):  # who asks for places next finds that out
            await self._store.pause(seconds)

    def slow_down(self, interval: float, seconds: float) -> bool:
        """Keep everybody, in all tasks, to this pace; with the next places.

        :return: whether nothing was slowed down before.
        """
        now = self._clock()
        was_slow, before = self._slow_until > now, self._slow
        self._slow, self._slow_until = interval, now + seconds if interval else 0.0
        if abs(interval - before) > _OTHER_PACE * before or was_slow != bool(interval):
            self._slow_is_told = False
        return bool(interval) and not was_slow

    def _slower(self) -> Slow:
        return Slow(self._slow, max(0.0, self._slow_until - self._clock()))

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
            "store": "there" if self._outage is None or self._outage.done() else away,
        }

    def _say_once(self, text: str, *values: Any) -> None:
        if text not in self._has_said:
            self._has_said.add(text)
            self._say(text, *values)


def _let_pass(task: asyncio.Task[None]) -> None:
    """Let an error be raised where the task is awaited, if anybody does that still."""
    if not task.cancelled():
        task.exception()


class Samples:
    """How many places all have taken, at a few moments: what they take in a second at present."""

    def __init__(self) -> None:
        self._earlier = self._later = self._last = (0.0, 0)
        self._has_begun = False

    def add(self, now: float, granted: int) -> None:
        """Note how many there are."""
        if not self._has_begun or granted < self._last[1]:  # a store may forget
            self._earlier = self._later = (now, granted)
            self._has_begun = True
        elif now - self._later[0] >= _SAMPLE_SECONDS:
            self._earlier, self._later = self._later, (now, granted)
        self._last = (now, granted)

    @property
    def rate(self) -> float | None:
        """Places a second; None where that is not known."""
        seconds = self._last[0] - self._earlier[0]
        return (self._last[1] - self._earlier[1]) / seconds if seconds > 0 else None
