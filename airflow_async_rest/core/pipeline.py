"""source -> workers: as much on its way as there are workers, until all is done or a stop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import AsyncRestError, KilledError
from airflow_async_rest.core.limits.adaptive import Places
from airflow_async_rest.core.reading.source import ThreadedSource

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class StopSwitch:
    """A request to end early. Pulled from anywhere: another thread, a signal handler, before the loop runs."""

    def __init__(self) -> None:
        self.error: AsyncRestError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pulled: asyncio.Event | None = None

    def pull(self, error: AsyncRestError) -> None:
        """Ask for the end; the first error says why."""
        if self.error is None:
            self.error = error
        if self._loop is not None and self._pulled is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pulled.set)

    async def wait(self) -> None:
        """Return when it is pulled."""
        self._loop, self._pulled = asyncio.get_running_loop(), asyncio.Event()
        if self.error is not None:
            return
        await self._pulled.wait()


async def _wait_unless_pulled(doing: asyncio.Future[Any], stop: StopSwitch) -> None:
    """Wait until something has ended, or the stop was pulled."""
    stopped = asyncio.create_task(stop.wait())
    ends: list[asyncio.Future[Any]] = [doing, stopped]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:  # Ctrl-C: asyncio.Runner cancels the main task
        stop.pull(KilledError("interrupted"))
    finally:
        stopped.cancel()


@dataclass(frozen=True)
class Interruptible:
    """Waits for what a store or the database does, and cancels it at a stop.

    :param grace_seconds: that it may go on after that.
    :param cancel: makes the statement that is running raise; it may block.
    """

    stop: StopSwitch
    grace_seconds: float
    cancel: Callable[[], None]

    async def wait_for(self, doing: Coroutine[Any, Any, Result]) -> Result:
        """Wait for one thing that is done.

        :raises StoppedError: when the stop was pulled.
        """
        task = asyncio.create_task(doing)
        await _wait_unless_pulled(task, self.stop)
        if not task.done() and self.stop.error is not None:
            # Cancelling may itself wait for the network; it has its own thread and nobody waits for it.
            threading.Thread(target=self.cancel, name="async-rest-cancel", daemon=True).start()
            await asyncio.wait([task], timeout=self.grace_seconds)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise self.stop.error
        return await task


async def run_pipeline(
    source: ThreadedSource[Unit],
    deliver: Callable[[Unit], Awaitable[None]],
    *,
    workers: int,
    in_hand: Places,
    stop: StopSwitch,
    on_stop: Callable[[], Collection[asyncio.Task[Any] | None]],
    grace_seconds: float = USUAL.grace_seconds,
) -> None:
    """Deliver everything that the source gives, as much at a time as there are workers.

    Returns when all is done. When it raises, reading has ended, requests in flight had their time, and what was
    not done then was cancelled.

    :param deliver: delivers an item, or a batch of them; what it raises ends everything.
    :param in_hand: places for what the workers have.
    :param on_stop: sees to it that no more requests begin, and tells which workers have one in flight.
    :param grace_seconds: that these have after a stop.
    :raises StoppedError: when the stop was pulled.
    :raises Exception: whatever reading or ``deliver`` raised.
    """

    async def work() -> None:
        while True:
            unit: Unit | None = None  # what was delivered is let go before the wait for the next one
            await in_hand.acquire()
            try:
                if (unit := await source.next_unit()) is None:
                    return
                await deliver(unit)
            finally:
                in_hand.release()

    if stop.error is not None:
        raise stop.error
    working = [asyncio.create_task(work()) for _ in range(workers)]
    everything: asyncio.Future[Any] = asyncio.gather(*working)
    await _wait_unless_pulled(everything, stop)
    if everything.done() and everything.exception() is None:
        return
    everything.add_done_callback(lambda done: done.cancelled() or done.exception())  # retrieved, not logged
    source.stop()
    await _end(working, on_stop(), grace_seconds)
    if stop.error is not None:
        raise stop.error
    everything.result()


async def _end(
    workers: list[asyncio.Task[None]], in_flight: Collection[asyncio.Task[Any] | None], grace_seconds: float
) -> None:
    """Let requests in flight come to their end, for a while; cancel the others now, and the late ones then."""
    for worker in workers:
        if worker not in in_flight:
            worker.cancel()
    _, late = await asyncio.wait(workers, timeout=grace_seconds)
    for worker in late:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
