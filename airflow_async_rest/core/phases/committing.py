"""The end of a transaction whose rows are read to be delivered, or fetched for: after them, not after the reading."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from airflow_async_rest.core.account.judgment import keeps_changes
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.errors import StoppedError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.keeper import Keeper
from airflow_async_rest.core.pipeline import ThreadedSource


@contextlib.asynccontextmanager
async def ending(source: ThreadedSource[Any], end: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Undo what reading has changed, if the block raises.

    :param end: called after the block, if there is something to commit.
    """
    try:
        yield
        if source.has_changes:
            await end()
    except BaseException:
        source.stop()
        raise


async def keep_or_undo(
    source: ThreadedSource[Any],
    job: Job,
    keeper: Keeper,
    recorder: Recorder,
    progress: Callable[[], Mapping[str, Any]],
    *,
    can_replay: bool,
) -> None:
    """Commit what reading the rows has changed, all of which are settled now, or undo it.

    :param can_replay: whether all dead letters can be sent again.
    :raises StoppedError: when it cannot be written, or committed: a retry reads the same rows.
    """
    if job.fetch:
        await keeper.write(recorder, None, last=True)  # then it is known what comes of the rows
    totals, needs_rows = recorder.totals, bool(job.fetch and job.fetch.rows.needs_rows)
    if keeps_changes(totals, job.max_failures, can_replay=can_replay, needs_rows=needs_rows):
        await _commit(source, keeper, recorder, progress(), job.bounds.at_end_seconds)
    else:
        await source.end(commit=False)
        totals.commit = Commit.UNDONE


async def _commit(
    source: ThreadedSource[Any], keeper: Keeper, recorder: Recorder, progress: Mapping[str, Any], seconds: float
) -> None:
    """Commit what reading has changed, once what became of all rows is written.

    :param seconds: that the writing may take.
    """
    totals = recorder.totals
    totals.commit = Commit.BEGUN
    until = asyncio.get_running_loop().time() + seconds
    lost, _ = await keeper.write_last(recorder, progress, report=None, until=until)
    if lost is not None or recorder.unfinished:
        totals.commit = Commit.NONE
        raise StoppedError(
            f"what became of the rows could not be written{f': {lost}' if lost else ''}. What the sql has changed is "
            "undone; a retry reads the same rows, and sends only what is missing"
        ) from lost
    await source.end(commit=True)
    totals.commit = Commit.DONE
