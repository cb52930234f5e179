"""What outlives a try that loads rows: its checkpoint lies beside the rows, and is written in their transaction."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from airflow_async_rest.core.account import failed_items
from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try
from airflow_async_rest.core.account.recorder import Recorder, Snapshot
from airflow_async_rest.core.account.report import RowTotals, Totals
from airflow_async_rest.core.errors import (
    AsyncRestError,
    ConfigurationError,
    DeadLetterStoreError,
    LoadError,
    SourceChangedError,
)
from airflow_async_rest.core.keeping.keeper import Keeper, StateStore
from airflow_async_rest.core.keeping.loading import (
    Earlier,
    Loader,
    LoadState,
    PlacedRow,
    RefusedRow,
    RowBuffer,
    item_of,
    place_of,
)
from airflow_async_rest.core.letters.folder import RESET, DeadLetterFolder, Record, refused_record
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.watching.log import Journal
from airflow_async_rest.core.worker_thread import WorkerThread


class _Effect(NamedTuple):
    """What became of rows in one transaction.

    :param refused: by the database.
    :param again: places of rows that the totals count as refused, and that were tried again.
    :param taken: places of rows that some part calls refused, and that are no longer.
    """

    refused: Sequence[RefusedRow]
    again: Collection[int]
    taken: Collection[int]


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
        *,
        this_try: Try | None = None,
    ) -> None:
        super().__init__(folder, store, fingerprint, journal, this_try=this_try)
        self._loader = loader
        self._database = WorkerThread("async-rest-database")
        self._earlier: Earlier | None = None
        self._state = LoadState.STAGING
        # Nothing more is written to the database: all is merged, or nobody knows whether the last commit went through.
        self._over = False
        # Places of rows that some part of an earlier try calls refused, until it is known what became of them now.
        self._refused: set[int] = set()
        self._counted: set[int] = set()  # of these, those that the totals count
        self._of_open_items: set[int] = set()  # those that this try has had refused, of items that may still fail
        self._failed: dict[int, str] = {}
        self._letters_are_lost = False
        self.buffer = RowBuffer()

    @property
    def is_done(self) -> bool:
        """Whether an earlier try has loaded everything, and only its success did not get through."""
        return self._earlier is not None and self._earlier.state is LoadState.DONE

    async def load(self) -> tuple[Resume | None, str]:
        """Find out where to go on. :raises ConfigurationError: when rows cannot be loaded."""
        self._earlier = await self._database.call(self._loader.open)
        resume, how = await super().load()
        if resume is not None and self.is_done:
            how += "; all is loaded already (for all of it once more, delete this run's line in async_rest_loads)"
        if self._letters_are_lost:
            how += "; their dead letters cannot be read, and are counted as the database has them"
        return resume, how

    async def _read_checkpoint(self) -> Checkpoint | None:
        if self._earlier is not None and self._earlier.state is LoadState.LOST:
            raise ValueError("what was staged is gone: it was removed, because nobody went on with it for days")
        if self._earlier is None or self._earlier.checkpoint is None:
            return None
        found = Checkpoint.from_json(self._earlier.checkpoint)
        # After a Clear all is loaded again, unless it would be there twice.
        return found if not self.is_done or self._loader.appends or found.may_be_of_series(self._try) else None

    async def _load(self) -> Resume | None:
        try:
            resume = await super()._load()
        except (ValueError, DeadLetterStoreError) as error:
            return self._resume_without_letters(error)
        if resume is None:
            return None
        # Nobody replays a fetch, and asking once more is harmless.
        # What is resolved in a part of no checkpoint was not committed with its rows.
        dead = {**resume.dead, **resume.resolved}
        checkpoint = resume.checkpoint
        return replace(
            resume,
            checkpoint=replace(checkpoint, unfinished=checkpoint.unfinished | resume.delivered),
            delivered=frozenset(),
            dead=dead,
            resolved={},
            known_dead=resume.known_dead.union(dead, resume.delivered),
        )

    def _resume_without_letters(self, why: Exception) -> Resume:
        """Go on by what the checkpoint itself says of failed items.

        :raises Exception: ``why``, when it does not say all: of rows that the database refused, only a letter has the
            values.
        """
        found = self._earlier.checkpoint if self._earlier and self._earlier.state is not LoadState.LOST else None
        failed = failed_items.from_json(found)
        if failed is None or isinstance(why, SourceChangedError):
            raise why
        checkpoint = Checkpoint.from_json(found)
        if checkpoint.fingerprint != self._fingerprint or checkpoint.totals["rows"]["refused"]:
            raise why
        self._letters_are_lost = True
        others = checkpoint.unfinished | checkpoint.resolved
        dead = {index: reason for index, reason in failed.items() if index not in others}
        return Resume(replace(checkpoint, parts=()), dead=dead, known_dead=frozenset(dead))

    @staticmethod
    def _left_alone(indexes: Collection[int], reasons: Mapping[int, str]) -> frozenset[int]:
        del indexes, reasons
        return frozenset()

    async def begin_load(self, resume: Resume | None, how: str) -> None:
        """Begin where ``resume`` ends; rows that the database refused before are staged once more.

        :param how: why it is all rows.
        :raises ConfigurationError: when starting over would append rows a second time.
        :raises SourceChangedError: when what should be staged is not there any more.
        """
        if resume is None and self._earlier is not None and self._earlier.loaded and self._loader.appends:
            raise ConfigurationError(
                f"load_mode='append': an earlier try of this task has appended {self._earlier.loaded} rows, and this "
                f"one would append them again ({how}). Put that right, or delete those rows, and the line of this "
                "dag_id, run_id and task_id in async_rest_loads, and clear it; or upsert, or replace_window."
            )
        async with self._turn:  # a write that is still under way is of rows that are not wanted any more
            self.buffer.take()
            await self.begin(resume)
            await self._take_refused(resume.removed if resume else frozenset())

    async def begin(self, resume: Resume | None) -> None:
        """Begin where ``resume`` ends; without it, what earlier tries have staged is removed."""
        self._begun = False
        await super().begin(resume)
        if resume and self._letters_are_lost:  # of those that can be read, nobody knows which are still true
            self._parts.append(await self._files.call(self._folder.write, [RESET]))
        self._failed = dict(resume.dead) if resume else {}
        self._of_open_items = set()
        self._begun, self._over = False, False
        self._state = self._earlier.state if resume and self._earlier else LoadState.STAGING
        staged = resume.checkpoint.totals["rows"]["staged"] if resume else 0
        try:
            await self._database.call(lambda: self._loader.begin(resumed=resume is not None, staged=staged))
        except LookupError as error:
            raise SourceChangedError(str(error)) from error
        self._database.submit(self._loader.clean_up)  # while requests are on their way
        self._begun = True

    async def _take_refused(self, removed: Collection[int]) -> None:
        """Take rows that the database refused in earlier tries as rows to be staged, but for those of some items."""
        if isinstance(self._folder, Replay):
            return
        records = await self._files.call(self._folder.read_refused, self._parts)
        rows = [PlacedRow(_place_in(record), record["row"]) for record in records]
        self._counted = {row.place for row in rows}
        self._refused = self._counted.union(map(_place_in, await self._files.call(self._folder.read_refused)))
        self.buffer.put_back([row for row in rows if item_of(row.place)[0] not in removed])

    async def show_refused(self, recorder: Recorder, resume: Resume) -> None:
        """Show the rows that the database refused in earlier tries."""
        if not isinstance(self._folder, Replay):
            for record in await self._files.call(self._folder.read_refused, resume.checkpoint.parts):
                recorder.show_refused(record)

    async def _write(
        self,
        recorder: Recorder,
        progress: Mapping[str, Any] | None,
        *,
        last: bool,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        del report  # the load's own state tells that all is done
        failure = None if self._over else await self._stage(recorder, last=last)
        if progress is not None:
            self._store_soon({"progress": progress}, last=last)
        if failure is not None:
            raise failure

    async def _stage(self, recorder: Recorder, *, last: bool) -> DeadLetterStoreError | None:
        """Stage the rows there are, with the checkpoint.

        :return: why dead letters of items could not be written, where it is the last time: the rows are kept, and a
            retry fetches these items again.
        """
        rows, failure = self.buffer.take(), None
        with self._transaction(recorder, rows, letters=last or recorder.is_due) as snapshot:
            if rows or snapshot.records or snapshot.removed or self._fingerprint is not None:
                removed = await self._database.call(self._loader.remove, snapshot.removed) if snapshot.removed else 0
                refused = await self._database.call(self._loader.stage, rows) if rows else []
                _rows_of(recorder.totals).staged += len(rows) - len(refused) - removed
                self._state = LoadState.STAGING if rows else self._state
                effect = self._effect(snapshot, rows, refused)
                failure = await self._commit(recorder, snapshot, effect, self._state, without_letters=last)
        if failure is not None:
            recorder.give_back(replace(snapshot, fetched=[], removed=frozenset()))
        return failure

    @contextlib.contextmanager
    def _transaction(
        self, recorder: Recorder, rows: Sequence[PlacedRow], *, letters: bool = True
    ) -> Iterator[Snapshot]:
        """Take a snapshot, which counts when the block has committed it; else all is as it was before.

        :param rows: that go with it.
        :param letters: see :meth:`~airflow_async_rest.core.account.recorder.Recorder.snapshot`.
        :raises LoadError: for whatever the block raises that is no error of this package.
        """
        snapshot, before = recorder.snapshot(letters=letters), replace(_rows_of(recorder.totals))
        try:
            yield snapshot
        except BaseException as error:
            recorder.totals.rows = before
            # Not awaited: the statement may hang.
            self._database.submit(self._loader.rollback)
            if not self._over:
                recorder.give_back(snapshot)
                self.buffer.put_back(rows)
            if isinstance(error, Exception) and not isinstance(error, AsyncRestError):
                raise LoadError(f"rows cannot be loaded: {type(error).__name__}: {error}") from error
            raise
        recorder.confirm(snapshot)

    def _effect(self, snapshot: Snapshot, rows: Sequence[PlacedRow], refused: Sequence[RefusedRow]) -> _Effect:
        """Look at rows that are staged: they may have been refused before, or are of an item that is fetched once more.

        What was refused of an item that is removed is no longer.
        """
        if not self._refused and not self._of_open_items:
            return _Effect(refused, (), ())
        fetched, places = frozenset(snapshot.fetched), {row.place for row in rows}
        known = {place for place in self._refused if place in places or item_of(place)[0] in fetched}
        removed = {p for p in self._refused | self._of_open_items if item_of(p)[0] in snapshot.removed}
        again = self._counted & (places | removed) | self._of_open_items & removed
        return _Effect(refused, again, (known | removed).difference(row.place for row in refused))

    async def _commit(
        self,
        recorder: Recorder,
        snapshot: Snapshot,
        effect: _Effect,
        state: LoadState,
        *,
        without_letters: bool = False,
    ) -> DeadLetterStoreError | None:
        """Write what the database refused as dead letters, then the checkpoint that counts them, with the rows.

        :param without_letters: whether it is done without those of items, too, when they cannot be written.
        :return: why they could not.
        """
        counts = _rows_of(recorder.totals)
        counts.refused += len(effect.refused) - len(effect.again)
        letters = [
            refused_record(*item_of(row.place), row.values, self._journal.redact(row.words)) for row in effect.refused
        ]
        taken = [item_of(place) for place in sorted(effect.taken)]
        resolved = [{"index": index, "row_number": number, "resolved": True} for index, number in taken]
        failure = await self._write_part([*snapshot.records, *letters, *resolved])
        checkpoint = self._checkpoint(snapshot, {**snapshot.totals, "rows": asdict(counts)})
        failed = failed_items.failed_after(self._failed, snapshot.records)
        if failure is not None:
            if letters or resolved or not without_letters:
                raise failure
            checkpoint = checkpoint.before(snapshot.records)
        written = {**checkpoint.to_json(), **failed_items.to_json(failed)}
        self._over = True  # until the answer is there
        await self._database.call(self._loader.commit, written, state, counts.loaded)
        self._over, self._failed = False, failed
        newly_refused = [row.place for row in effect.refused]
        self._counted.difference_update(effect.again)
        self._refused.difference_update(effect.taken, newly_refused)
        standing = self._of_open_items.difference(effect.again).union(newly_refused)
        self._of_open_items = {place for place in standing if item_of(place)[0] in snapshot.bookmarks}
        for record, row in zip(letters, effect.refused, strict=True):
            recorder.show_refused(record)
            self._journal.refused(*item_of(row.place), row.words)
        for index, number in taken:
            recorder.hide_refused(index, number)
        return failure

    async def merge(self, recorder: Recorder, is_good: Callable[[], bool]) -> None:
        """Move everything into the destination.

        :param is_good: tells, once it is known which rows were refused, whether anything is left to do.
        :raises LoadError: when the database does not do it; then it has done nothing, unless only the answer to its
            commit was lost, which the next try finds out.
        :raises DeadLetterStoreError: when parts are missing: the next try begins anew, so nothing may be loaded yet.
        """
        await self.write(recorder, None, last=True)
        if missing := await self._find_missing_parts():
            raise missing
        async with self._turn:
            if self._over or recorder.unfinished:
                raise LoadError("not all rows could be staged; a retry goes on from those that are")
            with self._transaction(recorder, []) as snapshot:
                counts = _rows_of(recorder.totals)
                first = counts.loaded == 0
                merged = await self._database.call(lambda: self._loader.merge(first=first))
                counts.loaded, counts.staged = counts.loaded + merged.loaded, 0
                counts.refused += len(merged.refused)
                state = LoadState.DONE if is_good() else LoadState.MERGED
                counts.refused -= len(merged.refused)
                taken = self._refused.difference(row.place for row in merged.refused)
                await self._commit(recorder, snapshot, _Effect(merged.refused, (), taken), state)
                self._over = True

    def cancel(self) -> None:
        """Make a statement that is under way raise, soon; from any thread."""
        with contextlib.suppress(Exception):
            self._loader.cancel()

    async def write_last(
        self, recorder: Recorder, progress: Mapping[str, Any], *, report: Mapping[str, Any] | None, until: float
    ) -> Exception | None:
        """Write the last snapshot; what does not get into the database in time is unfinished, and no loss."""
        lost = await super().write_last(recorder, progress, report=report, until=until)
        if isinstance(lost, TimeoutError):
            self._journal.complain("stage the last rows; a retry fetches them again", LoadError("it takes too long"))
            return None
        return lost

    def close(self) -> None:
        """End the threads, after what is queued."""
        self._database.submit(self._loader.close)
        self._database.close()
        super().close()


def _place_in(record: Record) -> int:
    return place_of(record["index"], record["row_number"])


def _rows_of(totals: Totals) -> RowTotals:
    assert totals.rows is not None  # noqa: S101  (a job with a loader counts rows)
    return totals.rows
