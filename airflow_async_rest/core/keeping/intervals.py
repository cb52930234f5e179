"""What is written while a job runs: checkpoint, progress and log at intervals, rows as soon as there are many."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import AsyncRestError, DeadLettersGoneError, DeadLetterStoreError, StoppedError
from airflow_async_rest.core.keeping.keeper import Keeper
from airflow_async_rest.core.keeping.row_sink import RowBuffer
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.watching.log import JobLog


@dataclass(eq=False)
class Writing:
    """Writes what outlives a try, while it runs.

    :param progress: gives the progress of this moment.
    :param observe: called at the interval of the progress.
    :param buffer: rows that wait to be written, empty for a job that loads none; and what says that something is due.
    """

    keeper: Keeper
    log: JobLog
    recorder: Recorder
    progress: Callable[[], dict[str, Any]]
    stop: StopSwitch
    _: KW_ONLY
    observe: Callable[[], None]
    buffer: RowBuffer
    bounds: Bounds = USUAL
    _ended: bool = field(default=False, init=False)
    _failed_writes: int = field(default=0, init=False)  # one after the other, without room for more dead letters

    @contextlib.asynccontextmanager
    async def at_intervals(self) -> AsyncIterator[None]:
        """Write and log at intervals while the block runs; a write under way at its end goes on.

        What cannot be written pulls the stop.
        """
        # Kept, because a loop holds its tasks weakly.
        self._writer = asyncio.create_task(self._write_at_intervals())
        self._writer.add_done_callback(self._stop_without_writer)
        try:
            yield
        finally:
            self._ended = True
            self.buffer.due.set()

    async def _write_at_intervals(self) -> None:
        clock, bounds = asyncio.get_running_loop().time, self.bounds
        progress_at, log_at = clock() + bounds.progress_every_seconds, clock() + bounds.log_every_seconds
        while True:
            await self._rows_or_interval()
            if self._ended:
                return
            self.buffer.due.clear()
            now = clock()
            await self._write(self.progress() if now >= progress_at else None)
            if now >= progress_at:
                self.observe()
                progress_at = now + bounds.progress_every_seconds
            if now >= log_at:
                self.log.progress(self.progress())
                log_at = now + bounds.log_every_seconds

    async def _rows_or_interval(self) -> None:
        """Wait until rows or dead letters are due, one interval at most."""
        await asyncio.sleep(0)  # wait_for lets nobody else run when rows are due already (Python 3.12 and later)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.buffer.due.wait(), self.bounds.write_every_seconds)

    async def _write(self, progress: dict[str, Any] | None) -> None:
        """Write what there is; dead letters that cannot be written wait for an interval.

        :raises AsyncRestError: when what is done from now on could not be kept either.
        """
        try:
            await self.keeper.write(self.recorder, progress)
            self._failed_writes = 0
        except DeadLettersGoneError:
            raise  # trying again cannot help
        except Exception as error:  # whatever the folder's storage raises
            if isinstance(error, AsyncRestError) and not isinstance(error, DeadLetterStoreError):
                raise
            self.log.complain("write dead letters; they are kept in memory until it works", error)
            if isinstance(error, DeadLetterStoreError) and not self.buffer.has_room and not self._ended:
                self.stop.pull(error)  # rows wait for them, too
            self._failed_writes = self._failed_writes + 1 if self.recorder.unwritten.are_much else 0
            if self._failed_writes >= self.bounds.most_failed_writes:
                self.stop.pull(
                    StoppedError(f"{counted(len(self.recorder.unwritten), 'dead letter')} cannot be written: {error}")
                )
            await asyncio.sleep(self.bounds.write_every_seconds)

    def _stop_without_writer(self, writer: asyncio.Task[None]) -> None:
        """Pull the stop when the writer has failed: rows that wait for it would wait for ever."""
        error = None if writer.cancelled() else writer.exception()
        if isinstance(error, AsyncRestError):
            self.stop.pull(error)
        elif error is not None:
            self.stop.pull(StoppedError(f"nothing more can be written: {error!r}"))
