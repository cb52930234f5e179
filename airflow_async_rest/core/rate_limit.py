"""At most so many requests in any second, minute or hour, evenly paced, and pauses for everyone."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable

from airflow_async_rest.core.errors import ConfigurationError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
# Pacing at exactly the limit lets timer jitter put one too many into a sliding second (measured: 202 of 200).
_PACE = 0.98
# How far the schedule may lag before the lost time is given up: it makes up for timers that wake a little late
# and is too short for a burst after a stall.
_MAX_LAG_SECONDS = 0.01
# Sending happens a moment after the grant; the guard's window is wider by this share, so that the moment may vary.
_GUARD = 1.01
# Above this the 2 % that pacing leaves free are more than lag and jitter can use up; a log of times would only cost
# memory.
_LARGEST_GUARDED_LIMIT = 10_000


def parse_rate_limit(text: str | None) -> tuple[int, float] | None:
    """Read ``"100/s"``, ``"6000/m"`` or ``"10000/h"``.

    :return: (requests, period in seconds), or None for no limit.
    :raises ConfigurationError: when it is anything else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*/\s*([smh])\s*", text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ConfigurationError(
            f"rate_limit={text!r}: write a number of requests and a unit, such as '100/s', '6000/m' or '10000/h', "
            "or None for no limit."
        )
    return int(match[1]), _UNITS[match[2]]


class RateLimiter:
    """Grants requests one by one. Made inside the running event loop.

    Its promise is hard, whatever the event loop suffers: ``limit`` grants never fall into one period. Grants
    are evenly paced a little under the limit; after a stall the lost time is not caught up with.

    :param limit: (requests, period in seconds), or None: then only pauses hold anybody back.
    """

    def __init__(self, limit: tuple[int, float] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._paused_until = 0.0
        self._started = clock()
        self.granted = 0
        self._interval = 0.0
        self._next = 0.0
        self._recent: deque[float] | None = None
        self._guard_seconds = 0.0
        if limit is not None:
            requests, period = limit
            self._interval = period / (requests * _PACE)
            if requests <= _LARGEST_GUARDED_LIMIT:
                self._recent = deque(maxlen=requests)
                self._guard_seconds = period * _GUARD

    async def acquire(self) -> None:
        """Return when one more request may be sent, now."""
        if not self._interval:
            while (wait := self._paused_until - self._clock()) > 0:
                await asyncio.sleep(wait)
            self.granted += 1
            return
        async with self._turn:  # first come, first served: only the first in line watches the clock
            while (wait := self._earliest() - (now := self._clock())) > 0:
                await asyncio.sleep(wait)
            self._next = max(self._next, now - _MAX_LAG_SECONDS) + self._interval
            if self._recent is not None:
                self._recent.append(now)
            self.granted += 1

    def pause(self, seconds: float) -> None:
        """Hold back everybody for this long from now; a longer pause under way stays as it is."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def share_used(self) -> float | None:
        """How much of the limit the grants so far have used, 0 to 1; None without a limit."""
        elapsed = self._clock() - self._started
        return min(1.0, self.granted * self._interval * _PACE / elapsed) if self._interval and elapsed > 0 else None

    def _earliest(self) -> float:
        earliest = max(self._next, self._paused_until)
        if self._recent is not None and len(self._recent) == self._recent.maxlen:
            earliest = max(earliest, self._recent[0] + self._guard_seconds)
        return earliest
