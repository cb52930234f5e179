"""How many requests a server can handle at a time, found while sending."""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.models import Request, Response

# Additive increase, multiplicative decrease, with the numbers of Vector's adaptive request concurrency.
_DECREASE = 0.9
_SMOOTHING = 0.4
_DEVIATIONS = 2.5
# Without it, servers that are always equally fast would be thought slow at every little thing.
_LEAST_DEVIATION = 0.05
# The first sign of too much comes while the limit doubles: half of it was still right.
_FIRST_DECREASE = 0.5
# While the limit doubles, a latency of this much of the least is more than chance.
_RISE = 1.4
# Of three times the least latency two thirds are waiting: more in flight would only wait longer. The least is
# forgotten by half in a minute, because a server may get slower for good.
_MOST_RISE = 3
_FORGOTTEN_SECONDS = 60.0
START, MOST = 4, 256
_FIRST_FAILURE, _TOO_MANY, _FIRST_SERVER_ERROR = 300, 429, 500


class Smoothed:
    """A mean and a deviation in which older values count less and less (EWMA).

    Of one value nobody knows how far others are from it: half of it is taken, as TCP does (RFC 6298, section 2.2).
    """

    def __init__(self, first: float) -> None:
        self.mean = first
        self._variance = (first / 2) ** 2

    def add(self, value: float) -> None:
        """Take in a value."""
        away = value - self.mean
        self.mean += _SMOOTHING * away
        self._variance = (1 - _SMOOTHING) * (self._variance + _SMOOTHING * away * away)

    @property
    def deviation(self) -> float:
        """The standard deviation; of values that hardly differ, a share of the mean."""
        return max(math.sqrt(self._variance), _LEAST_DEVIATION * self.mean)


class ConcurrencyLimit:
    """Decides, once in every round trip, how many requests there may be. No waiting, no clock of its own.

    It begins with few, and doubles them in every round trip until something speaks against it (TCP calls that slow
    start: adding one at a time would take a minute to get from 4 to 256 at 200 ms). From then on it adds one where
    the limit was reached and the latency has not risen, and takes a tenth away on 429, 5xx, timeouts, and when the
    latency rises by more than 2.5 deviations.
    """

    def __init__(self, start: int, most: int) -> None:
        self.limit = start
        self._most = most
        self._doubling = True
        self._decreased_at = -math.inf
        self._least = math.inf
        self._latency: Smoothed | None = None
        self._begin_round(-math.inf)

    def _begin_round(self, now: float) -> None:
        self._round_began = now
        self._round_ends = now + (self._latency.mean if self._latency else 0.0)
        self._reached = False
        self._seconds = 0.0
        self._answers = 0

    def sending(self, in_flight: int) -> None:
        """Note that a request goes out, so that this many are in flight."""
        if in_flight >= self.limit:
            self._reached = True

    def answered(self, now: float, sent_at: float, *, success: bool, pressure: bool) -> None:
        """Note that a request has come to its end.

        :param success: only then its latency counts.
        :param pressure: whether the server asks for less.
        """
        if success and sent_at >= self._round_began:
            self._seconds += now - sent_at
            self._answers += 1
        if pressure:
            self.press(now, sent_at)
        elif self._answers >= self.limit and now >= self._round_ends:
            self._judge(now, self._seconds / self._answers)

    def press(self, now: float, sent_at: float) -> None:
        """Note that the server asks for less.

        At once, or places that are free would be refused again and again until the round's end. What was sent before
        the last decrease says nothing about the limit since.
        """
        if sent_at >= self._decreased_at:
            self._decrease(now, _FIRST_DECREASE if self._doubling else _DECREASE)

    def _judge(self, now: float, latency: float) -> None:
        self._least = min(latency, self._least * 2 ** ((now - self._round_began) / _FORGOTTEN_SECONDS))
        before = self._latency or Smoothed(latency)
        if self._doubling and latency > self._least * _RISE:
            # Little's law: what is more than this only waits.
            self._decrease(now, self._least / latency)
        elif latency > before.mean + _DEVIATIONS * before.deviation:
            self._decrease(now, _DECREASE)
        elif self._reached and self._doubling:
            self._doubling = self.limit < self._most
            self.limit = min(self._most, self.limit * 2)
        elif self._reached and latency <= min(before.mean, self._least * _MOST_RISE):
            self.limit = min(self._most, self.limit + 1)
        if self._latency is None:
            self._latency = before
        else:
            before.add(latency)
        self._begin_round(now)

    def _decrease(self, now: float, share: float) -> None:
        self.limit = max(1, int(self.limit * share))
        self._doubling = False
        self._decreased_at = now
        self._begin_round(now)


class Places:
    """As many places as there are at the moment, first come, first served. Made inside the running event loop.

    :ivar capacity: gives how many there are.
    """

    def __init__(self, capacity: Callable[[], int]) -> None:
        self.capacity = capacity
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take_free(self) -> bool:
        """Take a place that nobody waits for. :return: whether there was one."""
        is_free = self._taken < self.capacity() and not self._waiting
        self._taken += is_free
        return is_free

    async def acquire(self) -> None:
        """Return when there is a place. It is the caller's until :meth:`release`."""
        if self.take_free():
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was given, and nobody takes it
                self.release()
            raise

    def release(self) -> None:
        """Release a place."""
        self._taken -= 1
        if self._waiting:
            self.hand_out()

    def hand_out(self) -> None:
        """Hand free places to those who wait."""
        while self._waiting and self._taken < self.capacity():
            place = self._waiting.popleft()
            if not place.done():
                self._taken += 1
                place.set_result(None)


class AdaptiveConcurrency:
    """How many requests may be in flight, and how much may be in hand for them. Made inside the running event loop.

    :ivar requests: a place for each request in flight.
    :ivar in_hand: a place for each item, or batch of them, that a worker has: what waits to be sent again, too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = ConcurrencyLimit(START, MOST)
        self._clock = clock
        self._in_flight = self._backing_off = 0
        self.requests = Places(lambda: self._limit.limit)
        # As much as may be in flight, so that nobody waits for a place to send (which would cost a tenth of the
        # throughput), and what waits to be sent again; but not all that workers could take: each may have a batch.
        self.in_hand = Places(lambda: self._limit.limit + min(self._backing_off, self._limit.limit))

    @property
    def limit(self) -> int:
        """Requests that may be in flight, at this moment."""
        return self._limit.limit

    @contextlib.contextmanager
    def backing_off(self) -> Iterator[None]:
        """Let others work while the block waits to send something again."""
        self._backing_off += 1
        self.in_hand.hand_out()
        try:
            yield
        finally:
            self._backing_off -= 1

    async def observe(self, send: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        """Send a request, and learn from what becomes of it."""
        self._in_flight += 1
        self._limit.sending(self._in_flight)
        sent_at, success, pressure = self._clock(), False, False
        try:
            response = await send(request)
        except SendError as error:
            pressure = not error.stale
            raise
        else:
            success = response.status < _FIRST_FAILURE
            pressure = response.status == _TOO_MANY or response.status >= _FIRST_SERVER_ERROR
            if response.elapsed_seconds:  # without what a redirect has waited for the limit
                sent_at = self._clock() - response.elapsed_seconds
            return response
        finally:
            self._in_flight -= 1
            self._limit.answered(self._clock(), sent_at, success=success, pressure=pressure)

    def press(self, elapsed_seconds: float) -> None:
        """Note that a server has taken only a part of what was sent this long ago, and asks for less."""
        now = self._clock()
        self._limit.press(now, now - elapsed_seconds)
