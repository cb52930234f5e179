"""At most so many requests in any second, minute or hour, evenly paced, and pauses for everyone."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.limits import PACE, Rate, parse_limits

# How far the schedule may lag before the lost time is given up. It makes up for timers that wake a little late, and
# is too short for a burst after a stall: 200 a second at 98 % and 10 ms more are 199.
MAX_LAG_SECONDS = 0.01
_LOOK_SECONDS = 0.25
# Of more requests than these, what the pace leaves is more than all that can wait somewhere at a time.
_MOST_REMEMBERED = 50_000
# As much longer than its period a limit is kept to: of what the pace leaves, one half.
_LONGER = (1 + 1 / PACE) / 2


def parse_rate_limit(value: Any, name: str = "rate_limit") -> Rate | None:
    """Read the limits of one task, which nobody else keeps to: ``"100/s"``, ``["10/s", "100/m"]``.

    :param name: of the argument, or of the connection's field.
    :return: the strictest, or None for no limit.
    :raises ConfigurationError: when it is anything else, or a day's, whose count has to outlive the task.
    """
    limits = parse_limits(value, name)
    if limits.days:
        raise ConfigurationError(
            f"{name}={value!r}: a day's requests are counted in a store that outlives the task: name its connection in "
            "rate_limit_conn_id of the API's connection, or write a limit a second, a minute or an hour."
        )
    return limits.pace


class RateLimiter:
    """The limiter of one task. Made inside the running event loop.

    Grants are evenly paced a little under the limit, and after a stall the lost time is not caught up with: so no
    period, wherever it begins, has more of them than the limit.

    :param limit: (requests, period in seconds), or None: then only pauses hold anybody back.
    """

    def __init__(self, limit: tuple[int, float] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._paused_until = 0.0
        self._started = clock()
        self.granted = 0
        self._last = -math.inf  # when the last one was due
        self._interval = Rate(*limit).interval if limit else 0.0
        self._slow, self._slow_until = 0.0, -math.inf

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def acquire(self) -> None:
        """Return when one more request may be sent, now."""
        while not self._interval and self._slow_until <= (now := self._clock()):
            if now >= self._paused_until:
                self.granted += 1
                return
            await asyncio.sleep(self._paused_until - now)
        async with self._turn:  # first come, first served: only the first in line watches the clock
            while (wait := max(self._due(now := self._clock()), self._paused_until) - now) > 0:
                await asyncio.sleep(self._at_most(wait, now))
            self._last = max(self._due(now), now - MAX_LAG_SECONDS)
            self.granted += 1

    def _due(self, now: float) -> float:
        """Return when the next one may go out, as far as is known now."""
        return self._last + (max(self._interval, self._slow) if now < self._slow_until else self._interval)

    def _at_most(self, wait: float, now: float) -> float:
        """Return how long to sleep: the API may tell of another pace meanwhile, or no longer of one."""
        return min(wait, _LOOK_SECONDS, self._slow_until - now) if now < self._slow_until else wait

    def give_back(self) -> None:
        """Do nothing: the pace goes on from the last one that was due."""

    def pause(self, seconds: float) -> bool:
        """Hold back everybody for this long from now; a longer pause under way stays as it is.

        :return: whether there was none under way.
        """
        now = self._clock()
        begins = self._paused_until <= now
        self._paused_until = max(self._paused_until, now + seconds)
        return begins

    def slow_down(self, interval: float, seconds: float) -> bool:
        """Send at most one request in so many seconds, for this long from now; 0: as fast as the limit allows.

        :return: whether it was faster before.
        """
        now = self._clock()
        begins = interval > 0 and self._slow_until <= now
        if begins and not self._interval:
            self._last = now
        self._slow, self._slow_until = interval, now + seconds if interval else -math.inf
        return begins

    def standing(self) -> None:
        """Return None: nothing is shared."""

    def share_used(self) -> float | None:
        """Return how much of the limit the grants so far have used, 0 to 1; None without a limit."""
        elapsed = self._clock() - self._started
        return min(1.0, self.granted * self._interval * PACE / elapsed) if self._interval and elapsed > 0 else None


class Sent:
    """What went out lately, by which limits are kept to whatever held it back on its way. No clock of its own."""

    def __init__(self, rates: tuple[Rate, ...]) -> None:
        few = [rate for rate in rates if rate.requests <= _MOST_REMEMBERED]
        self._lately = [(deque[float](maxlen=rate.requests), rate.seconds * _LONGER) for rate in few]

    def add(self, now: float) -> None:
        """Note that a request goes out."""
        for times, _ in self._lately:
            times.append(now)

    @property
    def free_at(self) -> float:
        """When one more may go out."""
        return max((times[0] + seconds for times, seconds in self._lately if len(times) == times.maxlen), default=0.0)
