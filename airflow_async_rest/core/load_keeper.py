"""What outlives a try that loads rows: its checkpoint lies beside the rows, and is written in their transaction."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from airflow_async_rest.core.checkpoint import Resume
from airflow_async_rest.core.dead_letters import DeadLetterFolder, Record, refused_record
from airflow_async_rest.core.errors import ConfigurationError, SourceChangedError
from airflow_async_rest.core.journal import Journal
from airflow_async_rest.core.keeper import Keeper, StateStore
from airflow_async_rest.core.loading import (
    Earlier,
    Loader,
    LoadState,
    PlacedRow,
    RefusedRow,
    RowBuffer,
    RowTotals,
    item_of,
    place_of,
)
from airflow_async_rest.core.recorder import Recorder, Snapshot
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.report import Totals
from airflow_async_rest.core.worker_thread import WorkerThread


class LoadKeeper(Keeper):
    """Stages rows, and with them the checkpoint that counts them; merges them at the end.

    The state store gets the progress only. Unlike there, an error of the database ends the job: nothing can be loaded.
    """

    def __init__(
        self,
        folder: DeadLetterFolder | Replay,
        store: StateStore | None,
        fingerprint: str | None,
        journal: Journal,
        loader: Loader,
    ) -> None:
        super().__init__(folder, store, fingerprint, journal)
        self._loader = loader
        self._database = WorkerThread("async-rest-database")
        self._earlier: Earlier | None = None
        self._state = LoadState.STAGING
        self._refused: set[int] = set()  # places of rows that the dead letters call refused
        self.buffer = RowBuffer()

    @property
    def is_done(self) -> bool:
        """Whether an earlier try has loaded everything, and only its success did not get through."""
        return self._earlier is not None and self._earlier.state is LoadState.DONE

    async def load(self) -> tuple[Resume | None, str]:
        """Find out where to go on. :raises ConfigurationError: when rows cannot be loaded, or not once more."""
        self._earlier = await self._database.call(self._loader.open)
        return await super().load()

    async def _read_checkpoint(self) -> Any:
        if self._earlier is not None and self._earlier.state is LoadState.LOST:
            raise ValueError("what was staged is gone: it was removed, because nobody went on with it for days")
        return self._earlier.checkpoint if self._earlier else None

    async def begin(self, resume: Resume | None) -> None:
        """Begin where ``resume`` ends; rows that the database refused before are staged once more.

        :raises ConfigurationError: when starting over would append rows a second time.
        :raises SourceChangedError: when what should be staged is not there any more.
        """
        if resume is None and self._earlier is not None and self._earlier.loaded and self._loader.appends:
            raise ConfigurationError(
                f"load_mode='append': an earlier try of this task has appended {self._earlier.loaded} rows, and now "
                "the query or the arguments are others, so that it cannot go on from there, and would append them "
                "again. Delete those rows, and the line of this run in the table async_rest_loads; or use "
                "load_mode='upsert' or 'replace_window'."
            )
        await super().begin(resume)
        self._state = self._earlier.state if resume and self._earlier else LoadState.STAGING
        staged = resume.checkpoint.totals["rows"]["staged"] if resume else 0
        try:
            await self._database.call(lambda: self._loader.begin(resumed=resume is not None, staged=staged))
        except LookupError as error:
            raise SourceChangedError(str(error)) from error

    async def take_refused(self, recorder: Recorder) -> None:
        """Take rows that the database refused in earlier tries as rows to be staged."""
        if not self._parts or isinstance(self._folder, Replay):
            return
        records = await self._files.call(self._folder.read_refused, self._parts)
        rows = [PlacedRow(place_of(record["index"], record["row_number"]), record["row"]) for record in records]
        self._refused = {row.place for row in rows}
        _rows_of(recorder.totals).refused -= len(rows)
        self.buffer.put_back(rows)

    async def _write(self, recorder: Recorder, progress: Mapping[str, Any] | None, *, last: bool) -> None:
        snapshot, rows = recorder.snapshot(), self.buffer.take()
        counts = _rows_of(recorder.totals)
        before = RowTotals(**asdict(counts))
        try:
            if rows or snapshot.records or self._fingerprint is not None:
                refused = await self._database.call(self._loader.stage, rows) if rows else []
                counts.staged += len(rows) - len(refused)
                self._state = LoadState.STAGING if rows else self._state
                await self._commit(recorder, snapshot, rows, refused, self._state)
        except BaseException:
            counts.staged, counts.refused = before.staged, before.refused
            recorder.give_back(snapshot)
            self.buffer.put_back(rows)
            # Not awaited: the statement may hang.
            self._database.submit(self._loader.rollback)
            raise
        if progress is not None:
            self._store_soon({"progress": progress}, last=last)

    async def _commit(
        self,
        recorder: Recorder,
        snapshot: Snapshot,
        rows: Sequence[PlacedRow],
        refused: Sequence[RefusedRow],
        state: LoadState,
    ) -> None:
        """Write what the database refused as dead letters, then the checkpoint that counts them, with the rows."""
        counts = _rows_of(recorder.totals)
        counts.refused += len(refused)
        records = [*snapshot.records, *self._records_of(recorder, rows, refused)]
        await self._write_part(records)
        checkpoint = self._checkpoint(snapshot, {**snapshot.totals, "rows": asdict(counts)})
        await self._database.call(self._loader.commit, checkpoint, state, counts.loaded)

    def _records_of(self, recorder: Recorder, rows: Sequence[PlacedRow], refused: Sequence[RefusedRow]) -> list[Record]:
        records: list[Record] = []
        for row in refused:
            index, number = item_of(row.place)
            record = refused_record(index, number, row.values, row.words)
            records.append(record)
            recorder.show_refused(record)
        if self._refused:
            places = {row.place for row in refused}
            for place in [row.place for row in rows if row.place in self._refused and row.place not in places]:
                self._refused.discard(place)
                index, number = item_of(place)
                records.append({"index": index, "row_number": number, "resolved": True})
        return records

    async def merge(self, recorder: Recorder, is_good: Callable[[], bool]) -> None:
        """Move everything into the destination.

        :param is_good: tells, once it is known which rows were refused, whether anything is left to do.
        :raises LoadError: when the database does not do it; then it has done nothing.
        """
        await self.write(recorder, None, last=True)
        async with self._turn:
            snapshot, counts = recorder.snapshot(), _rows_of(recorder.totals)
            before = RowTotals(**asdict(counts))
            try:
                first = counts.loaded == 0
                merged = await self._database.call(lambda: self._loader.merge(first=first))
                counts.loaded, counts.staged = counts.loaded + merged.loaded, 0
                counts.refused += len(merged.refused)
                state = LoadState.DONE if is_good() else LoadState.MERGED
                counts.refused -= len(merged.refused)
                await self._commit(recorder, snapshot, [], merged.refused, state)
                self._state = state
            except BaseException:
                counts.staged, counts.loaded, counts.refused = before.staged, before.loaded, before.refused
                recorder.give_back(snapshot)
                self._database.submit(self._loader.rollback)
                raise

    def cancel_merge(self) -> None:
        """Make a merge that is under way raise, soon; from any thread."""
        with contextlib.suppress(Exception):
            self._loader.cancel()

    async def write_last(
        self, recorder: Recorder, progress: Mapping[str, Any], *, forget: bool, until: float
    ) -> Exception | None:
        """Write the last snapshot; items whose rows could not be staged count as unfinished."""
        lost = await super().write_last(recorder, progress, forget=forget, until=until)
        recorder.lose_fetched()
        return lost

    async def _forget(self) -> None:
        """Leave the checkpoint: it says that all is loaded, until Airflow knows of the success."""

    def close(self) -> None:
        """End the threads, after what is queued."""
        self._database.submit(self._loader.close)
        self._database.close()
        super().close()


def _rows_of(totals: Totals) -> RowTotals:
    assert totals.rows is not None  # noqa: S101  (a job with a loader counts rows)
    return totals.rows
