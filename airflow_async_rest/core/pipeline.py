"""source -> workers: read by a thread, one chunk ahead; as much on its way as there are workers, until all is done."""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import AbandonedError, AsyncRestError, KilledError, QuotaExhaustedError
from airflow_async_rest.core.limits.adaptive import Places
from airflow_async_rest.core.reading.source import OnDigest, Source

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class StopSwitch:
    """A request to end early. Pulled from anywhere: another thread, a signal handler, before the loop runs."""

    def __init__(self) -> None:
        self.error: AsyncRestError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pulled: asyncio.Event | None = None
        self._cancel: Callable[[], None] | None = None

    def pull(self, error: AsyncRestError) -> None:
        """Ask for the end; the first error says why."""
        if self.error is None:
            self.error = error
        if self._cancel is not None:
            _cancel_aside(self._cancel)
        if self._loop is not None and self._pulled is not None:
            with contextlib.suppress(RuntimeError):  # it is closed, maybe only now: there is nothing left to end
                self._loop.call_soon_threadsafe(self._pulled.set)

    async def wait(self) -> None:
        """Return when it is pulled."""
        self._loop, self._pulled = asyncio.get_running_loop(), asyncio.Event()
        if self.error is not None:
            return
        await self._pulled.wait()

    @contextlib.contextmanager
    def ending(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Have a pull end what blocks this thread meanwhile.

        :param cancel: makes it raise, soon.
        :raises AsyncRestError: the pull's, whatever that was.
        """
        self._cancel = cancel
        try:
            if self.error is None:
                yield
        except Exception:
            if self.error is None:
                raise
        finally:
            self._cancel = None
        if self.error is not None:
            raise self.error

    async def unless_pulled(self, doing: Coroutine[Any, Any, Result]) -> Result:
        """Return what something returns. :raises AsyncRestError: the pull's, which ends it."""
        task = asyncio.create_task(doing)
        await _wait_unless_pulled(task, self)
        if self.error is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise self.error
        return await task


def _cancel_aside(cancel: Callable[[], None]) -> None:
    """Have a statement that is running raise; on a thread of its own, for that may itself wait for the network."""

    def run() -> None:
        with contextlib.suppress(Exception):
            cancel()

    threading.Thread(target=run, name="async-rest-cancel", daemon=True).start()


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


@dataclass(eq=False)
class ThreadedSource(Generic[Unit]):
    """Items, or batches of them, from a daemon thread.

    Drivers dislike hopping threads, and a blocked read must not hold the end up. The thread is at most one chunk
    ahead of the workers, so memory does not grow with the table.

    :param on_end: called when there is nothing more to take.
    :param until_room: tells what to wait for until there is room for what may become of one more; None for nothing.
    :ivar has_changes: whether all is read, and reading has changed something: that waits for :meth:`end`.
    """

    source: Source[Unit]
    resume: Resume | None
    on_digest: OnDigest
    on_end: Callable[[], None] | None = None
    until_room: Callable[[], Awaitable[None] | None] | None = None
    has_changes: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._ready: deque[Unit] = deque()
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Sequence[Unit] | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(1)
        self._stopped = threading.Event()
        self._commits: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ended = False
        self._thread: threading.Thread | None = None

    async def next_unit(self) -> Unit | None:
        """Return the next one; None when there are no more.

        :raises Exception: whatever reading raised.
        """
        while True:
            # Right before one is taken, with no wait between: others would take later rows first, or the room.
            if self.until_room is not None and (room := self.until_room()) is not None:
                await room
            if self._ready:
                return self._ready.popleft()
            async with self._turn:
                if not self._ready and not await self._has_more():
                    return None

    async def _has_more(self) -> bool:
        """Wait for the next chunk. :return: whether there is one."""
        if self._ended or self._stopped.is_set():
            return False
        self._start()
        arrived = await self._arrived.get()
        self._room.release()
        if isinstance(arrived, Sequence) and not self._stopped.is_set():
            self._ready.extend(arrived)
            return True
        self._ended = True
        if self.on_end is not None:
            self.on_end()
        if isinstance(arrived, BaseException):
            raise arrived
        return False

    async def end(self, *, commit: bool) -> None:
        """Commit what reading has changed, or undo it.

        :raises Exception: why it could not be committed, or may not have been.
        """
        self._commits.put(commit)
        failure = await self._arrived.get()
        if commit and isinstance(failure, BaseException):
            raise failure

    def stop(self) -> None:
        """Read no more, cancel the statement that is running, and undo what it has changed."""
        self._stopped.set()
        self._commits.put(False)
        self._ready.clear()
        self._arrived.put_nowait(None)  # for a worker that waits for rows
        self._room.release()  # for the thread, if it waits for room
        if self._thread is not None and self._thread.is_alive():
            _cancel_aside(self.source.cancel)

    def _start(self) -> None:
        if self._thread is None:
            # The context carries Airflow's log and trace variables into the thread.
            self._thread = threading.Thread(
                target=copy_context().run, args=(self._read,), name="async-rest-reader", daemon=True
            )
            self._thread.start()

    def _read(self) -> None:
        try:
            with contextlib.closing(self.source.open(self.resume, self.on_digest)) as chunks:
                for items in chunks:
                    if items is None:
                        self.has_changes = True
                        if not self._hand_over(None):
                            return
                        if not self._commits.get():
                            break
                    elif self._stopped.is_set() or (items and not self._hand_over(items)):
                        return
                    del items  # what is sent is let go, however long the next ones take
        except BaseException as error:  # noqa: BLE001  (raised again where the items are awaited)
            self._hand_over(error)
        else:
            self._hand_over(None)

    def _hand_over(self, what: Sequence[Unit] | BaseException | None) -> bool:
        """Hand a chunk to the loop, when it has taken the one before. :return: False when nobody reads any more."""
        self._room.acquire()
        if not self._stopped.is_set():
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
                self._loop.call_soon_threadsafe(self._arrived.put_nowait, what)
        return not self._stopped.is_set()


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
            _cancel_aside(self.cancel)
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
    in_hand: Places | None,
    stop: StopSwitch,
    on_stop: Callable[[], Collection[asyncio.Task[Any] | None]],
    until_ended: Callable[[], Coroutine[Any, Any, None]],
    grace_seconds: float = USUAL.grace_seconds,
    finish: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Deliver everything that the source gives, as much at a time as there are workers.

    Returns when all is done. When it raises, reading has ended, requests in flight had their time, and what was
    not done then was cancelled.

    :param deliver: delivers an item, or a batch of them; what it raises ends everything.
    :param in_hand: places for what the workers have, where there may be fewer; None: each has its own.
    :param on_stop: sees to it that no more requests begin, and tells which workers have one in flight.
    :param until_ended: waits after that until these have come to their end, or their time is over: where the quota is
        gone nothing is urgent, and what is cut off would be done twice.
    :param grace_seconds: that these have after a stop.
    :param finish: what a worker does when there is nothing more to take.
    :raises StoppedError: when the stop was pulled.
    :raises Exception: whatever reading or ``deliver`` raised.
    """

    async def work() -> None:
        while True:
            unit: Unit | None = None  # what was delivered is let go before the wait for the next one
            if in_hand is not None:
                await in_hand.acquire()
            try:
                if (unit := await source.next_unit()) is None:
                    return await finish() if finish else None
                await deliver(unit)
            finally:
                if in_hand is not None:
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
    in_flight = on_stop()
    if stop.error is None and isinstance(everything.exception(), QuotaExhaustedError):
        await _wait_unless_pulled(asyncio.create_task(until_ended()), stop)
    is_wanted = not isinstance(stop.error, AbandonedError)
    await _end(working, in_flight, grace_seconds if is_wanted else 0.0)
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
