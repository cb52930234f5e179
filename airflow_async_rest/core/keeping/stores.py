"""Where a checkpoint is kept: in the state store of the task, or beside the rows that it counts."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try
from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import ReplacedError
from airflow_async_rest.core.keeping.resuming import Continuing
from airflow_async_rest.core.keeping.try_store import TryStore
from airflow_async_rest.core.watching.log import JobLog
from airflow_async_rest.core.worker_thread import WorkerThread

_WRITING = "write the checkpoint, so a retry may send again more than it must"


class StateStore(Protocol):
    """What survives a retry, for one task instance: Airflow's own store, or a folder. Calls block."""

    def get(self, key: str) -> Any:
        """Return a JSON value, or None where there is none."""

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON value, instead of the one before. :raises ValueError: when it is None."""

    def delete(self, key: str) -> None:
        """Forget a key; one that is not there is forgotten."""


class CheckpointStore(Protocol):
    """Keeps the checkpoint of a task's tries."""

    @property
    def is_done(self) -> bool:
        """Whether an earlier try has done everything, and only its success did not get through."""
        ...

    async def open(self) -> None:
        """Find out what earlier tries have left. :raises ConfigurationError: when nothing can be kept."""

    async def read(self, this_try: Try | None) -> Checkpoint | None:
        """Return what the last try left for this one, or None.

        :raises ValueError: when this version cannot read it.
        :raises TimeoutError: when the store takes too long.
        """
        ...

    def check_start_over(self, how: str) -> None:
        """Check that a try may begin with the first row.

        :param how: why it would.
        :raises ConfigurationError: when it may not; says what to do.
        """

    async def begin(self, resume: Resume | None, this_try: Try | None) -> None:
        """Begin where ``resume`` ends; without it, what earlier tries have left is void.

        :raises SourceChangedError: when what the checkpoint counts is not there any more.
        """

    async def write(self, checkpoint: Checkpoint, *, is_done: bool) -> None:
        """Write a checkpoint, and the rows that it counts.

        :param is_done: whether nothing is left to do.
        :raises LoadError: when nobody knows whether it was written.
        """

    def rollback(self) -> None:
        """Undo what no checkpoint counts; never raises, and does not wait."""

    def close(self) -> None:
        """End, after what is queued."""


class State:
    """The state store of a task, on a thread of its own: one that fails or hangs never holds the delivery up.

    :param store: None when there is none.
    :param on_replaced: called with the error, when the store says that a later try has taken over.
    """

    def __init__(
        self,
        store: StateStore | None,
        log: JobLog,
        on_replaced: Callable[[ReplacedError], None] = lambda _: None,
        bounds: Bounds = USUAL,
    ) -> None:
        self._store = store
        self._bounds = bounds
        self._on_replaced = on_replaced
        self._log = log
        self._thread = WorkerThread("async-rest-state")
        self._next: dict[str, Any] = {}
        self._stored: dict[str, asyncio.Future[None]] = {}

    async def get(self, key: str) -> Any:
        """Return a value, or None."""
        return None if self._store is None else await self._thread.call(self._store.get, key)

    async def check_not_replaced(self) -> None:
        """Ask whether a later try has taken over; a store that does not say so in time says no.

        :raises ReplacedError: when it has.
        """
        try:
            async with asyncio.timeout(self._bounds.replaced_seconds):
                await self.get("life")  # whatever it is: before it reads, the store looks whose turn it is
        except ReplacedError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever the store raises)
            self._log.complain("ask whether a later try has taken over", error)

    async def keep_waits(self, waits: Any) -> None:
        """Keep what a try waits for, and whatever it will need as it starts once more.

        :raises LookupError: when there is no store.
        """
        if isinstance(self._store, TryStore):
            await self._thread.call(self._store.reschedule)
        await self.keep("waits", waits)

    async def keep(self, key: str, value: Any) -> None:
        """Keep a value, and wait for that. :raises LookupError: when there is no store."""
        if self._store is None:
            raise LookupError("there is no state store")
        await self._thread.call(self._store.set, key, value)

    def delete(self, key: str, doing: str) -> None:
        """Have a key forgotten; nobody waits for it. :param doing: what that is, for the log."""
        if self._store is not None:
            self._thread.submit(self._store.delete, key).add_done_callback(self._complaining(doing))

    def put(self, key: str, value: Any) -> None:
        """Add a value to the next write."""
        self._next[key] = value

    def write(self, *, last: bool) -> None:
        """Have the store keep what was put; nobody waits for it, and one that is still busy is left alone.

        What the last write finds in the queue is older than it, and gives way.
        """
        values, self._next = self._next, {}
        if self._store is None or (not last and not all(stored.done() for stored in self._stored.values())):
            return
        for stored in self._stored.values():
            stored.cancel()
        self._stored = {key: self._thread.submit(self._store.set, key, value) for key, value in values.items()}
        for stored in self._stored.values():
            stored.add_done_callback(self._complaining(_WRITING))

    def _complaining(self, doing: str) -> "Callable[[asyncio.Future[None]], None]":
        def complain(stored: "asyncio.Future[None]") -> None:
            if not stored.cancelled() and (error := stored.exception()) is not None:
                self._log.complain(doing, error)
                if isinstance(error, ReplacedError):
                    self._on_replaced(error)

        return complain

    async def wait(self, until: float) -> BaseException | None:
        """Wait until the last write is done, or the loop's time has come.

        :return: why a checkpoint that was part of it is not kept.
        """
        if not self._stored:
            return None
        left = until - asyncio.get_running_loop().time()
        _, waiting = await asyncio.wait(self._stored.values(), timeout=max(0.0, left))
        too_long = TimeoutError("the state store takes too long")
        for stored in waiting:  # Airflow's own calls would wait for those that have not begun
            stored.cancel()
        if waiting:
            self._log.complain(_WRITING, too_long)
        if (checkpoint := self._stored.get("checkpoint")) is None:
            return None
        return too_long if checkpoint in waiting or checkpoint.cancelled() else checkpoint.exception()

    def close(self) -> None:
        """End the thread, after what is queued."""
        self._thread.close()


class StateCheckpoints:
    """Checkpoints in a task's state store: as ``checkpoint``, and that of the last success as ``settled``, too.

    :param resuming: which of these a try goes on with.
    """

    is_done = False  # the report in a checkpoint says so

    def __init__(self, state: State, resuming: Continuing, bounds: Bounds = USUAL) -> None:
        self._state = state
        self._resuming = resuming
        self._bounds = bounds

    async def open(self) -> None:
        """Do nothing: reading is all it takes."""

    async def read(self, this_try: Try | None) -> Checkpoint | None:
        """Return what the last try left, or None; see :class:`CheckpointStore`."""
        bounds = self._bounds
        async with asyncio.timeout(bounds.load_seconds if _is_first(this_try) else bounds.patient_load_seconds):
            found = await self._resuming.choose(self._get, this_try)
        return found and await self._before_sending(found)

    async def _before_sending(self, found: Checkpoint) -> Checkpoint:
        """Have a checkpoint no longer say which rows the API has not acted on: from now on, it may act on any.

        :return: what it says of them; where it could not be written, no more than it will after a kill.
        """
        unknown = replace(found, uncertain=None)
        if found.uncertain is None:
            return found
        try:
            async with asyncio.timeout(self._bounds.wait_write_seconds):
                await self._state.keep("checkpoint", unknown.to_json())
        except ReplacedError:
            raise
        except Exception:  # noqa: BLE001  (whatever the store raises: the next write tells of it)
            return unknown
        return found

    async def _get(self, key: str) -> Checkpoint | None:
        value = await self._state.get(key)
        return None if value is None else Checkpoint.from_json(value)

    def check_start_over(self, how: str) -> None:
        """Do nothing: what is sent twice has the same idempotency key."""

    async def begin(self, resume: Resume | None, this_try: Try | None) -> None:
        """Forget the last success where a later try starts over."""
        if resume is None and not _is_first(this_try):
            self._state.delete("settled", "delete the account of the window's last success")

    async def write(self, checkpoint: Checkpoint, *, is_done: bool) -> None:
        """Put the checkpoint into the next write of the state store; not that of a job that cannot resume."""
        if not checkpoint.fingerprint:
            return
        written = checkpoint.to_json()
        self._state.put("checkpoint", written)
        if is_done:
            self._state.put("settled", written)

    def rollback(self) -> None:
        """Do nothing: nothing but a checkpoint is written."""

    def close(self) -> None:
        """Do nothing: the state store is not closed by its checkpoints."""


def _is_first(this_try: Try | None) -> bool:
    return this_try is None or this_try.number == 1
