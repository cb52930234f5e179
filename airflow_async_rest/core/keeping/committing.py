"""The end of a transaction whose rows are read to be delivered, or fetched for: after them, not after the reading."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.errors import StoppedError
from airflow_async_rest.core.keeping.keeper import Keeper
from airflow_async_rest.core.reading.source import ThreadedSource


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


async def commit_changes(
    source: ThreadedSource[Any], keeper: Keeper, recorder: Recorder, progress: Mapping[str, Any], seconds: float
) -> None:
    """Commit what reading has changed, once what became of all rows is written.

    :param seconds: that the writing may take.
    :raises StoppedError: when it cannot be written, or committed: a retry reads the same rows.
    """
    totals = recorder.totals
    totals.commit = Commit.BEGUN
    until = asyncio.get_running_loop().time() + seconds
    lost = await keeper.write_last(recorder, progress, report=None, until=until)
    if lost is not None or recorder.unfinished:
        totals.commit = Commit.NONE
        raise StoppedError(
            f"what became of the rows could not be written{f': {lost}' if lost else ''}. What the sql has changed is "
            "undone; a retry reads the same rows, and sends only what is missing"
        ) from lost
    await source.end(commit=True)
    totals.commit = Commit.DONE


async def undo_changes(source: ThreadedSource[Any], recorder: Recorder) -> None:
    """Undo what reading has changed, though all rows are settled."""
    await source.end(commit=False)
    recorder.totals.commit = Commit.UNDONE
