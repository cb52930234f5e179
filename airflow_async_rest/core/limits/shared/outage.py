"""A store that is away: asked, again and again, until it is back."""

import asyncio
from collections.abc import Callable

from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.errors import LimitStoreError
from airflow_async_rest.core.limits.shared.store import LimitStore
from airflow_async_rest.core.stores.address import StoreAwayError


class Outage:
    """Begins with its making, inside the running event loop.

    :param why: the store is thought to be away.
    :param key: of the limit, for people to read.
    :param for_ever: whether it is waited for as long as it takes.
    :param say: logs what somebody should know.
    """

    def __init__(
        self,
        why: BaseException,
        store: LimitStore,
        key: str,
        *,
        for_ever: bool,
        say: Callable[..., None],
        bounds: Bounds,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._key, self._for_ever = store, key, for_ever
        self._say, self._bounds, self._clock = say, bounds, clock
        says = "Until it is back, this task keeps to rate_limit_fallback, by itself."
        says = says if for_ever else "Nothing is sent until it is back."
        say("The shared limit %r is away: %s. %s", key, _text(why), says)
        self._waiting = asyncio.create_task(self._until_it_is_back(_text(why)))
        self._waiting.add_done_callback(let_pass)

    @property
    def is_over(self) -> bool:
        """Whether the store is back, or no longer waited for."""
        return self._waiting.done()

    async def over(self) -> None:
        """Return when the store is back. :raises LimitStoreError: when that takes too long."""
        await asyncio.shield(self._waiting)

    def cancel(self) -> None:
        """Wait no longer."""
        self._waiting.cancel()

    async def _until_it_is_back(self, why: str) -> None:
        bounds, since = self._bounds, self._clock()
        while True:
            await asyncio.sleep(bounds.store_retry_seconds)
            try:
                for patience in (
                    bounds.store_open_seconds,
                    bounds.store_answer_seconds,
                ):  # connected, and as it goes on
                    async with asyncio.timeout(patience):
                        await self._store.take(0, 0)
                break
            except (StoreAwayError, TimeoutError) as error:
                why = str(error) or why
            if not self._for_ever and self._clock() - since >= bounds.store_away_seconds:
                raise LimitStoreError(
                    f"the shared limit {self._key!r} has been away for {bounds.store_away_seconds:.0f} s: {why}. A "
                    "retry goes on where this try ended"
                )
        await asyncio.sleep(bounds.store_settle_seconds)
        self._say("The shared limit %r is back, after %.1f s.", self._key, self._clock() - since)


def _text(error: BaseException) -> str:
    return str(error) or "it does not answer in time"


def let_pass(task: asyncio.Task[None]) -> None:
    """Let an error be raised where the task is awaited, if anybody does that still."""
    if not task.cancelled():
        task.exception()
