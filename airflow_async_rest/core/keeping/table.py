"""A table as the place of rows, and of the checkpoint that counts them: one transaction writes both."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try
from airflow_async_rest.core.errors import AsyncRestError, ConfigurationError, LoadError, SourceChangedError
from airflow_async_rest.core.keeping.row_sink import Earlier, Loader, LoadState, Merged, PlacedRow, Staged
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.worker_thread import WorkerThread

Result = TypeVar("Result")


class Table:
    """Stages rows, and merges them at the end: a row sink that is its own checkpoint store.

    Unlike with a state store, an error of the database ends the job: nothing can be loaded.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._thread = WorkerThread("async-rest-database")
        self._earlier: Earlier | None = None
        self._state = self._next_state = LoadState.STAGING  # as it is committed, and as it is to be
        self.replaces, self.needs_rows, self.can_remove = loader.replaces, loader.needs_rows, loader.can_remove

    @property
    def is_done(self) -> bool:
        """Whether an earlier try has loaded everything, and only its success did not get through."""
        return self._earlier is not None and self._earlier.state is LoadState.DONE

    async def open(self) -> None:
        """Connect, and find out what earlier tries have left.

        :raises ConfigurationError: when rows cannot be loaded.
        """
        self._thread = WorkerThread("async-rest-database")  # of this try: the one before has ended its own
        self._earlier = await self._thread.call(self._loader.open)

    async def read(self, this_try: Try | None) -> Checkpoint | None:
        """Return the checkpoint that lies beside the rows.

        :raises ValueError: when the rows are gone, or this version cannot read it.
        """
        if self._earlier is not None and self._earlier.state is LoadState.LOST:
            raise ValueError("what was staged is gone: it was removed, because nobody went on with it for days")
        if self._earlier is None or self._earlier.checkpoint is None:
            return None
        found = Checkpoint.from_json(self._earlier.checkpoint)
        # After a Clear all is loaded again, unless it would be there twice.
        return found if not self.is_done or self._loader.appends or found.may_be_of_series(this_try) else None

    def check_start_over(self, how: str) -> None:
        """Check that starting over appends no rows a second time.

        :raises ConfigurationError: when it would.
        """
        if self._earlier is not None and self._earlier.loaded and self._loader.appends:
            raise ConfigurationError(
                f"load_mode='append': an earlier try of this task has appended {counted(self._earlier.loaded, 'row')}, "
                f"and this one would append {'it' if self._earlier.loaded == 1 else 'them'} again ({how}). Put that "
                "right, or delete those rows, and the line of this dag_id, run_id and task_id in async_rest_loads, and "
                "clear it; "
                "or upsert, or replace_window."
            )

    async def begin(self, resume: Resume | None, this_try: Try | None) -> None:
        """Begin where ``resume`` ends; without it, what earlier tries have staged is removed.

        :raises SourceChangedError: when what should be staged is not there any more.
        """
        del this_try
        self._state = self._next_state = self._earlier.state if resume and self._earlier else LoadState.STAGING
        staged = resume.checkpoint.totals["rows"]["staged"] if resume else 0
        try:
            await self._thread.call(lambda: self._loader.begin(resumed=resume is not None, staged=staged))
        except LookupError as error:
            raise SourceChangedError(str(error)) from error
        self._thread.submit(self._loader.clean_up)  # while requests are on their way

    async def stage(self, rows: Sequence[PlacedRow], removed: Collection[int]) -> Staged:
        """Stage rows, and remove those of some items before; see :class:`RowSink`."""
        gone = await self._call(lambda: self._loader.remove(removed)) if removed else 0
        refused = await self._call(lambda: self._loader.stage(rows)) if rows else []
        self._next_state = LoadState.STAGING if rows else self._next_state
        return Staged(refused, gone)

    async def merge(self, *, first: bool) -> Merged:
        """Move what is staged into the destination."""
        merged = await self._call(lambda: self._loader.merge(first=first))
        self._next_state = LoadState.MERGED
        return merged

    async def write(self, checkpoint: Checkpoint, *, is_done: bool) -> None:
        """Commit rows and checkpoint; whether all is done is said by the load's state, and by no report."""
        state = LoadState.DONE if is_done else self._next_state
        written, loaded = replace(checkpoint, report=None).to_json(), checkpoint.totals["rows"]["loaded"]
        await self._call(lambda: self._loader.commit(written, state, loaded))
        self._state = self._next_state = state

    async def _call(self, call: Callable[[], Result]) -> Result:
        """Run a call. :raises LoadError: for whatever it raises that is no error of this package."""
        try:
            return await self._thread.call(call)
        except AsyncRestError:
            raise
        except Exception as error:
            raise LoadError(f"rows cannot be loaded: {type(error).__name__}: {error}") from error

    def rollback(self) -> None:
        """Undo what was not committed; not awaited, because the statement may hang."""
        self._next_state = self._state
        self._thread.submit(self._loader.rollback)

    def cancel(self) -> None:
        """Make a statement that is under way raise, soon; from any thread."""
        self._loader.cancel()

    def close(self) -> None:
        """End the connection and the thread, after what is queued."""
        self._thread.queue(self._loader.close)
        self._thread.close()
