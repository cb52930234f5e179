"""Writing while a job runs: checkpoint, progress and log at intervals, and rows as soon as there are many."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError, DeadLetterStoreError, LoadError, StoppedError
from airflow_async_rest.core.journal import Journal
from airflow_async_rest.core.keeper import Keeper
from airflow_async_rest.core.loading import RowBuffer
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.recorder import Recorder

# A call of the state store takes about 10 ms; what is done after the last checkpoint is sent again after a SIGKILL.
_WRITE_EVERY_SECONDS = 1.0
_PROGRESS_EVERY_SECONDS = 2.0
_LOG_EVERY_SECONDS = 10.0
_MOST_UNWRITTEN = 10_000


class Writing:
    """Writes what outlives a try, while it runs.

    :param progress: gives the progress of this moment.
    :param observe: called at the interval of the progress.
    :param buffer: rows that wait to be written; empty for a job that loads none.
    """

    def __init__(
        self,
        keeper: Keeper,
        journal: Journal,
        recorder: Recorder,
        progress: Callable[[], dict[str, Any]],
        stop: StopSwitch,
        *,
        observe: Callable[[], None],
        buffer: RowBuffer,
    ) -> None:
        self._keeper = keeper
        self._journal = journal
        self._recorder = recorder
        self._progress = progress
        self._stop = stop
        self._observe = observe
        self._buffer = buffer
        self._ended = False

    @contextlib.asynccontextmanager
    async def at_intervals(self) -> AsyncIterator[None]:
        """Write and log at intervals while the block runs; a write under way at its end goes on."""
        # Kept, because a loop holds its tasks weakly.
        self._writer = asyncio.create_task(self._write_at_intervals())
        try:
            yield
        finally:
            self._ended = True
            self._buffer.due.set()

    async def _write_at_intervals(self) -> None:
        clock = asyncio.get_running_loop().time
        progress_at, log_at = clock() + _PROGRESS_EVERY_SECONDS, clock() + _LOG_EVERY_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._buffer.due.wait(), _WRITE_EVERY_SECONDS)
            if self._ended:
                return
            now = clock()
            await self._write(self._progress() if now >= progress_at else None)
            if now >= progress_at:
                self._observe()
                progress_at = now + _PROGRESS_EVERY_SECONDS
            if now >= log_at:
                self._journal.progress(self._progress())
                log_at = now + _LOG_EVERY_SECONDS

    async def _write(self, progress: dict[str, Any] | None) -> None:
        try:
            await self._keeper.write(self._recorder, progress)
        except (LoadError, ConfigurationError) as error:  # what is fetched from now on could not be kept either
            self._stop.pull(error)
        except Exception as error:  # noqa: BLE001  (whatever the folder's storage raises)
            self._journal.complain("write dead letters; they are kept in memory until it works", error)
            if isinstance(error, DeadLetterStoreError) and not self._buffer.has_room and not self._ended:
                self._stop.pull(error)  # rows wait for them, too
            await asyncio.sleep(_WRITE_EVERY_SECONDS)
        if self._recorder.unwritten > _MOST_UNWRITTEN:
            self._stop.pull(StoppedError(f"{self._recorder.unwritten} dead letters cannot be written"))
