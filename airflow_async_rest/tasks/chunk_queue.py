"""Rows on their way from the thread that fetches them to the one that takes them."""

import queue
import threading
from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any

from airflow_async_rest.core.errors import LoadError
from airflow_async_rest.core.keeping.loading import Earlier, LoadState, Merged, PlacedRow, RefusedRow

Chunk = list[dict[str, Any]]


class ChunkQueue:
    """Hands rows over to another thread, two chunks ahead: a loader, as the engine sees it."""

    replaces = appends = needs_rows = can_remove = False

    def __init__(self) -> None:
        self._chunks: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(2)
        self._abandoned = False
        self._count = 0

    def __iter__(self) -> Generator[Chunk, None, None]:
        """Yield chunks until the end."""
        while (chunk := self._chunks.get()) is not None:
            yield chunk
            self._room.release()

    def end(self) -> None:
        """Tell the reader of the chunks that there are no more."""
        self._chunks.put(None)

    def abandon(self) -> None:
        """Take no more."""
        self._abandoned = True
        self._room.release()

    def open(self) -> Earlier | None:
        """Know of nothing earlier."""
        return None

    def begin(self, *, resumed: bool, staged: int) -> None:
        """Begin."""

    def clean_up(self) -> None:
        """Find nothing to remove."""

    def remove(self, items: Collection[int]) -> int:
        """Remove nothing: no item fails of which rows were handed over."""
        del items
        return 0

    def stage(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Hand rows over, when there is room."""
        self._room.acquire()
        if self._abandoned:
            self._room.release()  # so that later callers do not wait
            raise LoadError("the rows are no longer taken")
        self._count += len(rows)
        self._chunks.put([dict(row.values) for row in rows])
        return []

    def merge(self, *, first: bool) -> Merged:
        """Count all as loaded."""
        del first
        return Merged(self._count, [])

    def commit(self, checkpoint: Mapping[str, Any], state: LoadState, loaded: int) -> None:
        """Keep nothing."""

    def rollback(self) -> None:
        """Undo nothing."""

    def cancel(self) -> None:
        """Wait no longer."""
        self.abandon()

    def close(self) -> None:
        """Close nothing."""
