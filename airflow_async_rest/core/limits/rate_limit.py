"""At most so many requests in any second, minute or hour, evenly paced, and pauses for everyone."""

import asyncio
import re
import time
from collections.abc import Callable

from airflow_async_rest.core.errors import ConfigurationError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
# Pacing at exactly the limit lets timer jitter put one too many into a sliding second (measured: 202 of 200).
_PACE = 0.98
# How far the schedule may lag before the lost time is given up. It makes up for timers that wake a little late, and
# is too short for a burst after a stall: 200 a second at 98 % and 10 ms more are 199.
_MAX_LAG_SECONDS = 0.01


def parse_rate_limit(text: str | None) -> tuple[int, float] | None:
    """Read ``"100/s"``, ``"6000/m"`` or ``"10000/h"``.

    :return: (requests, period in seconds), or None for no limit.
    :raises ConfigurationError: when it is anything else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([smh])\s*", text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ConfigurationError(
            f"rate_limit={text!r}: write a number of requests and a unit, such as '100/s', '6000/m' or '10000/h', "
            "or None for no limit."
        )
    return int(match[1]), _UNITS[match[2]]


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
        self._next = 0.0
        requests, period = limit or (1, 0.0)
        self._interval = period / (requests * _PACE)

    async def acquire(self) -> None:
        """Return when one more request may be sent, now."""
        if not self._interval:
            while (wait := self._paused_until - self._clock()) > 0:
                await asyncio.sleep(wait)
            self.granted += 1
            return
        async with self._turn:  # first come, first served: only the first in line watches the clock
            while (wait := max(self._next, self._paused_until) - (now := self._clock())) > 0:
                await asyncio.sleep(wait)
            self._next = max(self._next, now - _MAX_LAG_SECONDS) + self._interval
            self.granted += 1

    def pause(self, seconds: float) -> bool:
        """Hold back everybody for this long from now; a longer pause under way stays as it is.

        :return: whether there was none under way.
        """
        now = self._clock()
        begins = self._paused_until <= now
        self._paused_until = max(self._paused_until, now + seconds)
        return begins

    def share_used(self) -> float | None:
        """Return how much of the limit the grants so far have used, 0 to 1; None without a limit."""
        elapsed = self._clock() - self._started
        return min(1.0, self.granted * self._interval * _PACE / elapsed) if self._interval and elapsed > 0 else None
