"""What ``AsyncRestHook.fetch`` returns: rows in chunks, while a thread fetches more of them."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Any, Self

from airflow_async_rest.compat.names import AirflowException
from airflow_async_rest.compat.task_context import current_context, read_by_any_thread
from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.errors import KilledError, LoadError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.row_sink import Merged, PlacedRow, RowSink, Staged
from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.reading.given_items import GivenItems
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.tasks.arguments import Asking, Given
from airflow_async_rest.tasks.dead_letters import iter_letters
from airflow_async_rest.tasks.errors import airflow_errors, explained
from airflow_async_rest.tasks.fetch_jobs import fetch_job
from airflow_async_rest.tasks.runtime import TaskRun, begin_call
from airflow_async_rest.tasks.storage.folders import open_folder

Chunk = list[dict[str, Any]]
Report = dict[str, Any]
_CHUNKS_AHEAD = 2
_LEFT = "the rows are no longer wanted: the loop over them was left, or they were closed"


def fetch_rows(
    hook: RestConnection, items: Iterable[Any], arguments: Mapping[str, Any], log: Log, **preview: Any
) -> "FetchedChunks":
    """Fetch rows from a plain task; see :meth:`AsyncRestHook.fetch`, and :meth:`AsyncRestHook.preview`."""
    with explained(current_context(), log):
        run, scope = begin_call(**preview)
    with explained(run.context, log, is_preview=run.preview is not None):
        chunks = ChunkQueue()
        asking = Asking.of(arguments)
        given = Given.of(GivenItems(read_by_any_thread(items)))
        job = fetch_job(hook, asking, scope, given, log, shape=RowShape(asking.columns), rows=chunks)
    if run.preview is not None:
        run.run(job)
    return FetchedChunks(run, job, chunks)


class ChunkQueue(RowSink):
    """Hands rows from the loop that fetches them to the thread that takes them, two chunks ahead."""

    def __init__(self) -> None:
        self._chunks: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_CHUNKS_AHEAD)
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
        """Hand rows over, when there is room; none are removed: an item whose rows were handed over cannot fail."""
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


@dataclass
class _End:
    """How a fetch has ended.

    :param sample: of the failed items, should their folder not have them.
    :param error: why there are no further rows; None when all were taken.
    """

    report: Report | None = None
    sample: list[Record] = field(default_factory=list)
    error: BaseException | None = field(default_factory=lambda: AirflowException(_LEFT))


class FetchedChunks:
    """Rows of an API in chunks, lists of dicts, to iterate once; with a report, and what failed, at the end.

    Fetching begins with the first chunk that is asked for. It ends with the last one; when a loop over the chunks is
    left, by ``break`` or by an exception; by :meth:`close`, and by the end of a ``with`` block.

    :raises AirflowException: after the last chunk, when more items failed than ``max_failures`` allows, and when the
        fetch was stopped; by each further loop as well, so that a part of the rows is never taken for all.
    """

    def __init__(self, call: TaskRun, job: Job, chunks: ChunkQueue) -> None:
        self._end = _End()
        # It does not know of this object, which nobody may close: its own end closes it.
        self._chunks = _take(call, job, chunks, self._end)
        self._failed: list[Record] | None = None

    def __iter__(self) -> Generator[Chunk, None, Report | None]:
        """Yield chunks. Leaving the loop over them ends the fetch. The value of ``yield from`` is the report."""
        self._check_not_left()
        yield from self._chunks
        return self.report

    def __next__(self) -> Chunk:
        """Return the next chunk; the fetch goes on, whatever is done with it."""
        self._check_not_left()
        return next(self._chunks)

    def _check_not_left(self) -> None:
        """Raise when a further loop would yield no rows, which would look as if there were none."""
        if self._has_ended and self._end.error is not None:
            raise self._end.error

    @property
    def _has_ended(self) -> bool:
        return getgeneratorstate(self._chunks) == GEN_CLOSED  # all may be fetched before all is taken

    @property
    def report(self) -> Report | None:
        """The report, as a task's; None until the last chunk is taken or the fetch closed, and where it never began."""
        return self._end.report if self._has_ended else None

    @property
    def failed(self) -> list[Record]:
        """The items that failed, in their order, as their dead letters; none until there is the report.

        A record has ``key``, ``reason``, ``status``, the ``row`` by which ``fetch`` asks for it once more, the request
        (``method``, ``path``, ``query``, ``payload``) and the beginning of the answer, as
        :func:`~airflow_async_rest.read_dead_letters` yields it.

        :raises AirflowException: when they cannot be read, or are not all there because they could not be written.
        """
        if self._failed is None and self.report is not None:
            with airflow_errors():
                folders = [open_folder(uri)] if (uri := self.report["dead_letters"]) else []
            by_index = {letter["index"]: letter for letter in (*self._end.sample, *iter_letters(folders))}
            if len(by_index) < (failed := self.report["failed"]):
                raise AirflowException(
                    f"of {failed} failed items {len(by_index)} can be read: the dead letters of the others could not "
                    f"be written to {uri}; give another folder as dead_letter_path"
                )
            self._failed = [by_index[index] for index in sorted(by_index)]
        return self._failed or []

    def close(self) -> None:
        """Stop fetching, and return when that is done, which takes up to 4 s; nothing, when it has ended."""
        self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _take(call: TaskRun, job: Job, chunks: ChunkQueue, end: _End) -> Generator[Chunk, None, Report | None]:
    """Yield the chunks of a job that runs in a thread meanwhile, until the end of it, or of this generator."""

    def keep(report: Report, sample: list[Record], _: BaseException | None) -> None:
        end.report, end.sample = report, sample

    errors: list[BaseException] = []

    def run() -> None:
        try:
            end.report = call.run(replace(job, publish=keep))
        except BaseException as error:  # noqa: BLE001  (raised again below)
            errors.append(error)
        finally:
            chunks.end()

    # With the context variables of the task: its log, and the span that the fetch's own belongs to.
    thread = threading.Thread(target=copy_context().run, args=(run,), name="async-rest-fetch", daemon=True)
    thread.start()
    try:
        yield from chunks
    finally:
        call.stop.pull(KilledError(_LEFT))
        chunks.cancel()
        if threading.current_thread() is not thread:  # the garbage collector may run this in that thread
            thread.join()
    end.error = errors[0] if errors else None
    if end.error is not None:
        raise end.error
    return end.report
