"""source -> workers -> recorder: as many items in flight as there are workers, until all are settled or a stop."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from airflow_async_rest.core.errors import AuthenticationError, KilledError, MostlyFailingError, StoppedError
from airflow_async_rest.core.models import DeadLetter, Item, Outcome
from airflow_async_rest.core.recorder import Recorder
from airflow_async_rest.core.source import ThreadedSource

# Requests in flight get this long after a stop. Airflow's SIGKILL comes 5 s after its SIGTERM, and the flush
# needs its share of them.
GRACE_SECONDS = 2.0


class StopSwitch:
    """A request to end early. Pulled from anywhere: another thread, a signal handler, before the loop runs."""

    def __init__(self) -> None:
        self.error: StoppedError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pulled: asyncio.Event | None = None

    def pull(self, error: StoppedError) -> None:
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


async def run_pipeline(
    source: ThreadedSource,
    deliver: Callable[[Item], Awaitable[Outcome]],
    recorder: Recorder,
    *,
    concurrency: int,
    stop: StopSwitch,
    on_stop: Callable[[], Collection[asyncio.Task[Any] | None]],
) -> None:
    """Deliver every item of the source.

    Returns when all are settled. When it raises, reading has ended, requests in flight had
    :data:`GRACE_SECONDS`, and what is not settled then stays unfinished in the recorder.

    :param on_stop: sees to it that no more requests begin, and tells which workers have one in flight.
    :raises StoppedError: when the stop was pulled, or nearly everything fails.
    :raises AuthenticationError: when the API refuses the credentials before it accepted anything.
    :raises Exception: whatever reading raised.
    """

    async def work() -> None:
        while (item := await source.next_item()) is not None:
            recorder.take(item)
            outcome = await deliver(item)
            recorder.record(outcome)
            if isinstance(outcome, DeadLetter):
                _give_up_when_hopeless(outcome, recorder)

    if stop.error is not None:
        raise stop.error
    workers = [asyncio.create_task(work()) for _ in range(concurrency)]
    stopped = asyncio.create_task(stop.wait())
    everything: asyncio.Future[Any] = asyncio.gather(*workers)
    ends: list[asyncio.Future[Any]] = [everything, stopped]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:  # Ctrl-C: asyncio.Runner cancels the main task
        stop.pull(KilledError("interrupted"))
    finally:
        stopped.cancel()
    if everything.done() and everything.exception() is None:
        return
    everything.add_done_callback(lambda done: done.cancelled() or done.exception())  # retrieved, not logged
    source.stop()
    await _end(workers, on_stop())
    if stop.error is not None:
        raise stop.error
    everything.result()


async def _end(workers: list[asyncio.Task[None]], in_flight: Collection[asyncio.Task[Any] | None]) -> None:
    """Let requests in flight come to their end, for a while; cancel the others now, and the late ones then."""
    for worker in workers:
        if worker not in in_flight:
            worker.cancel()
    _, late = await asyncio.wait(workers, timeout=GRACE_SECONDS)
    for worker in late:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


def _give_up_when_hopeless(letter: DeadLetter, recorder: Recorder) -> None:
    if letter.status in {401, 403} and recorder.delivered_now == 0 and not recorder.refused_again(letter):
        raise AuthenticationError(
            f"the API answers {letter.status} and has accepted nothing yet: check login, password or token of the "
            f"connection, and what they may do. It says: {letter.response_excerpt[:200]!r}"
        )
    if letter.reason == "tls" and recorder.delivered_now == 0:
        raise StoppedError(
            f"no TLS connection to the API could be made: check the connection's schema (http or https) and its "
            f"'verify'. {letter.response_excerpt[:200]}"
        )
    if recorder.mostly_failing:
        raise MostlyFailingError(
            f"at least 90 % of the last 200 items failed, the last one with {letter.reason}: "
            f"{letter.response_excerpt[:200]!r}"
        )
