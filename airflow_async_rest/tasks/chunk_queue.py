"""Rows on their way from the event loop that fetches them to the thread that takes them."""

import asyncio
import contextlib
import queue
from collections.abc import Collection, Generator, Sequence
from typing import Any

from airflow_async_rest.core.errors import LoadError
from airflow_async_rest.core.keeping.loading import Merged, PlacedRow, RowSink, Staged

Chunk = list[dict[str, Any]]
_AHEAD = 2


class ChunkQueue(RowSink):
    """Hands rows over to another thread, two chunks ahead."""

    def __init__(self) -> None:
        self._chunks: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._loop: asyncio.AbstractEventLoop | None = None  # that hands rows over, once it does
        self._abandoned = False
        self._count = 0

    def __iter__(self) -> Generator[Chunk, None, None]:
        """Yield chunks until the end."""
        while (chunk := self._chunks.get()) is not None:
            yield chunk
            self._make_room()

    def _make_room(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: nobody waits for room
                self._loop.call_soon_threadsafe(self._room.release)

    def end(self) -> None:
        """Tell the reader of the chunks that there are no more."""
        self._chunks.put(None)

    def cancel(self) -> None:
        """Take no more."""
        self._abandoned = True
        self._make_room()

    async def stage(self, rows: Sequence[PlacedRow], removed: Collection[int]) -> Staged:
        """Hand rows over, when there is room; no item fails of which rows were handed over, so none are removed."""
        del removed
        if rows:
            self._loop = asyncio.get_running_loop()
            await self._room.acquire()
            if self._abandoned:
                self._room.release()  # so that later callers do not wait
                raise LoadError("the rows are no longer taken")
            self._count += len(rows)
            self._chunks.put([dict(row.values) for row in rows])
        return Staged()

    async def merge(self, *, first: bool) -> Merged:
        """Count all as loaded."""
        del first
        return Merged(self._count, [])
