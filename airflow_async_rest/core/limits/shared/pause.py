"""A pause of all who share a limit: this task keeps to it, and tells the others where they do not know of it."""

import asyncio
from collections.abc import Awaitable, Callable

from airflow_async_rest.core.errors import ConfigurationError, QuotaExhaustedError
from airflow_async_rest.core.stores.address import StoreAwayError

_NEWS_SECONDS = 0.1  # a pause that ends so much later than the others know is told


class SharedPause:
    """Holds back one task of several. Made inside the running event loop.

    :param tell: tells all others of a pause of so many seconds.
    :param key: of the limit, for people to read.
    :param longest_seconds: that the end of a pause is waited for.
    :param say: logs, once, what somebody should know.
    """

    def __init__(
        self,
        tell: Callable[[float], Awaitable[None]],
        key: str,
        *,
        longest_seconds: float,
        say: Callable[..., None],
        clock: Callable[[], float],
    ) -> None:
        self._tell, self._key, self._longest_seconds = tell, key, longest_seconds
        self._say, self._clock = say, clock
        self._until = self._known_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()

    def hold(self, seconds: float) -> None:
        """Hold back this task alone for so long from now; a longer pause under way stays as it is."""
        self._until = max(self._until, self._clock() + seconds)

    def told(self, seconds: float) -> None:
        """Keep to a pause that the others know of."""
        self._known_until = max(self._known_until, self._clock() + seconds)
        self.hold(seconds)

    def forgotten(self) -> None:
        """Note that the others may know of no pause: the next one is told."""
        self._known_until = 0.0

    def begin(self, seconds: float) -> bool:
        """Hold back everybody for so long from now; a longer pause under way stays as it is.

        :return: whether there was none under way.
        """
        now = self._clock()
        begins = self._until <= now
        self.hold(seconds)
        if now + seconds > self._known_until + _NEWS_SECONDS:
            self._known_until = now + seconds
            telling = asyncio.create_task(self._tell_others(seconds))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
        return begins

    async def _tell_others(self, seconds: float) -> None:
        try:
            await self._tell(seconds)
        except StoreAwayError:  # who asks for places next finds that out
            self.forgotten()
        except ConfigurationError as error:
            self._say("Pauses of the shared limit %r are not told to all at once: %s", self._key, error)

    async def wait_until(self, at: float) -> None:
        """Return at this time, or at the end of the pause, whichever is later.

        :raises QuotaExhaustedError: when the pause is longer than we wait.
        """
        while (wait := max(at, self._until) - self._clock()) > 0:
            if at < self._until and wait > self._longest_seconds + _NEWS_SECONDS:
                raise QuotaExhaustedError(
                    f"the API has asked another task for a pause, and all who share the limit {self._key!r} wait for "
                    f"{wait:.0f} s more, which is longer than "
                    f"RequestRetry(max_retry_after_seconds={self._longest_seconds:g}): its quota is gone",
                    wait,
                )
            await asyncio.sleep(wait)

    async def close(self, seconds: float) -> None:
        """Wait until the others are told, for so long at most."""
        if self._telling and seconds:
            await asyncio.wait(self._telling, timeout=seconds)
        for telling in self._telling:
            telling.cancel()
