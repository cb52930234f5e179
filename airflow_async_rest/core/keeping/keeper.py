"""What outlives a try: dead-letter parts, checkpoint, progress and rows, written while it runs and read by the next."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, asdict, dataclass, field, replace
from typing import Any

from airflow_async_rest.core.account.bookmarks import Bookmark
from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try, failed_after
from airflow_async_rest.core.account.recorder import Recorder, Snapshot
from airflow_async_rest.core.errors import ConfigurationError, DeadLetterStoreError, LoadError, ReplacedError
from airflow_async_rest.core.keeping.parts import LetterSink, Parts
from airflow_async_rest.core.keeping.refusals import Effect, Refusals
from airflow_async_rest.core.keeping.resuming import Continuing, resume_done, resume_without_letters
from airflow_async_rest.core.keeping.row_sink import PlacedRow, RowBuffer, RowSink, item_of
from airflow_async_rest.core.keeping.stores import CheckpointStore, State
from airflow_async_rest.core.watching.log import JobLog

_STAGING = "stage the last rows; a retry fetches them again"


@dataclass(eq=False)
class Keeper:
    """Writes and reads what outlives a try.

    :param letters: where dead letters go.
    :param state: of the task; the progress goes there.
    :param checkpoints: where the checkpoint lies; a table of rows has it beside them.
    :param rows: where the rows of answers go; None for a job that delivers.
    :param fingerprint: tells whether a checkpoint is this job's; None for a job that cannot resume.
    :param this_try: None where a try cannot be told from others.
    :param resuming: how the account of earlier tries is taken on.
    :param buffer: rows that wait to be staged.
    :ivar waits: whether the try ends in a wait for its quota.
    :ivar has_begun: whether there is an account to be written: before that, an earlier one stays as it is.
    """

    letters: InitVar[LetterSink]
    state: State
    checkpoints: CheckpointStore
    rows: RowSink | None
    log: JobLog
    _: KW_ONLY
    fingerprint: str | None
    this_try: Try | None = None
    resuming: Continuing
    buffer: RowBuffer
    has_begun: bool = field(default=False, init=False)
    waits: bool = field(default=False, init=False)
    # No checkpoint is written any more: all is merged, or nobody knows whether the last one was.
    _over: bool = field(default=False, init=False)

    def __post_init__(self, letters: LetterSink) -> None:
        self._parts = Parts(letters)
        self._refusals = Refusals()
        self._failed: Mapping[int, str] = {}
        self._turn = asyncio.Lock()

    async def resume(self) -> tuple[Resume | None, str]:
        """Find out where this try goes on. :return: that, None for the first row; and a sentence for the log.

        :raises ConfigurationError: when rows cannot be loaded, or there is no account that a replay could go on with.
        :raises StoppedError: when the state store does not answer in a replay.
        """
        await self.checkpoints.open()
        try:
            resume = await self._load()
        except ReplacedError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever the state store, the folder or their clients raise)
            return None, self.resuming.without_account(error)
        if resume is None:
            return None, self.resuming.without_account(None)
        return resume, self.resuming.described(resume, is_done=self.checkpoints.is_done)

    async def _load(self) -> Resume | None:
        checkpoint = None if self.fingerprint is None else await self.checkpoints.read(self.this_try)
        if checkpoint is None:
            return None
        self.resuming.check(checkpoint, self.fingerprint or "")
        if checkpoint.is_done_for(self.this_try):
            return await self._parts.read_history(lambda folder: resume_done(folder, checkpoint, self.log))
        try:
            return await self._parts.read_history(
                lambda folder: self.resuming.resume(folder, checkpoint, self.this_try, fetches=self.rows is not None)
            )
        except (ValueError, DeadLetterStoreError) as error:
            return resume_without_letters(checkpoint, error)

    async def begin(self, resume: Resume | None, how: str) -> None:
        """Begin where ``resume`` ends; without it, what earlier tries have left becomes void.

        :param how: why it is all rows.
        :raises ConfigurationError: when starting over would append rows a second time.
        :raises DeadLetterStoreError: when the folder cannot be read or written.
        :raises SourceChangedError: when what should be staged is not there any more.
        :raises ReplacedError: when a later try has taken over.
        """
        if resume is None:
            self.checkpoints.check_start_over(how)
        await self.state.check_not_replaced()  # since it was read what there is to go on with
        async with self._turn:  # a write that is still under way is of rows that are not wanted any more
            self.buffer.take()
            self.has_begun = False
            await self._parts.begin(resume)
            if resume is not None:  # of a replay, whatever the arguments are now
                self.fingerprint = resume.checkpoint.fingerprint
            self._failed = {**resume.left, **resume.dead} if resume else {}
            await self.checkpoints.begin(resume, self.this_try)
            self.has_begun, self._over = True, False
            if self.rows is not None:
                await self._take_refused(resume)

    async def _take_refused(self, resume: Resume | None) -> None:
        """Stage once more what was refused in earlier tries, but for the rows of items that begin again."""
        counted = await self._parts.read_history(lambda folder: folder.read_refused(self._parts.counted)) or ()
        known = await self._parts.read_history(lambda folder: folder.read_refused()) or ()
        removed = resume.removed if resume else frozenset()
        rows = self._refusals.begin(counted, known)
        self.buffer.put_back([row for row in rows if item_of(row.place)[0] not in removed])

    async def show_refused(self, recorder: Recorder, resume: Resume) -> None:
        """Show the rows that were refused in earlier tries."""
        parts = resume.checkpoint.parts
        for record in await self._parts.read_history(lambda folder: folder.read_refused(parts)) or ():
            recorder.show_refused(record)

    async def write(
        self,
        recorder: Recorder,
        progress: Mapping[str, Any] | None,
        *,
        last: bool = False,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a snapshot: first the dead letters, then rows and the checkpoint that counts them, then the progress.

        It does not wait for the state store; a store that is still busy with the write before is left alone,
        but for the last one.

        :param report: of a try that succeeds with this.
        :raises DeadLetterStoreError: when the dead letters cannot be written; the recorder keeps them, and the
            checkpoint does not count them.
        :raises LoadError: when rows cannot be staged.
        :raises ReplacedError: when a later try has taken over.
        """
        if not self.has_begun:
            return
        async with self._turn:  # a part that is being written comes before the checkpoint that counts it
            # Missing parts and a report: the next try would take it for done.
            missing = await self._parts.find_missing() if report is not None and not self._over else None
            report = report if missing is None else None
            failure = None if self._over else await self._stage(recorder, report, last=last) or missing
            if progress is not None:
                self.state.put("progress", progress)
            self.state.write(last=last)
            if failure is not None:
                raise failure

    async def _stage(
        self, recorder: Recorder, report: Mapping[str, Any] | None, *, last: bool
    ) -> DeadLetterStoreError | None:
        """Stage the rows there are, with the checkpoint.

        :return: why dead letters of items could not be written, where rows must not wait for that: they are kept, and
            a retry sends these items again.
        """
        rows = self.buffer.take()
        with self._transaction(recorder, rows, letters=last or recorder.unwritten.are_due, last=last) as snapshot:
            snapshot = await self._parts.resolve_strays(snapshot) if last else snapshot  # noqa: PLW2901
            effect = Effect()
            if self.rows is not None:
                refused, removed = await self.rows.stage(rows, snapshot.removed)
                recorder.totals.row_totals.staged += len(rows) - len(refused) - removed
                effect = self._refusals.of_staging(snapshot, rows, refused)
            may_wait = last or self.rows is None
            failure = await self._commit(recorder, snapshot, effect, report=report, letters_may_wait=may_wait)
        if failure is not None:
            recorder.give_back(replace(snapshot, fetched=[], removed=frozenset()))
        return failure

    @contextlib.contextmanager
    def _transaction(
        self, recorder: Recorder, rows: Sequence[PlacedRow], *, letters: bool = True, last: bool = False
    ) -> Iterator[Snapshot]:
        """Take a snapshot, which counts when the block has committed it; else all is as it was before.

        :param rows: that go with it.
        :param letters: see :meth:`~airflow_async_rest.core.account.recorder.Recorder.snapshot`; ``last``, too.
        """
        snapshot, before = (
            recorder.snapshot(letters=letters, last=last),
            recorder.totals.rows and replace(recorder.totals.rows),
        )
        try:
            yield snapshot
        except BaseException:
            recorder.totals.rows = before
            self.checkpoints.rollback()
            if not self._over:
                recorder.give_back(snapshot)
                self.buffer.put_back(rows)
            raise
        recorder.confirm(snapshot)

    async def _commit(
        self,
        recorder: Recorder,
        snapshot: Snapshot,
        effect: Effect,
        *,
        report: Mapping[str, Any] | None = None,
        is_done: bool = False,
        letters_may_wait: bool = False,
    ) -> DeadLetterStoreError | None:
        """Write what was refused as dead letters, then the checkpoint that counts them, with the rows.

        :param letters_may_wait: whether it is done without the letters of items, too, when they cannot be written.
        :return: why they could not.
        """
        letters, resolved = effect.letters(self.log.redact), effect.resolved()
        if recorder.totals.rows is not None:
            recorder.totals.rows.refused += len(effect.refused) - len(effect.again)
        records = [*snapshot.records, *letters, *resolved]
        if records:  # a part has a number, which a later try may give to another
            await self.state.check_not_replaced()
        failure = await self._parts.write(records)
        checkpoint = self._checkpoint(recorder, snapshot)
        if failure is None:
            checkpoint = replace(checkpoint, report=report)
        elif letters or resolved or not letters_may_wait:
            raise failure
        else:
            checkpoint = checkpoint.before(snapshot.records)
        self._over = True  # until the answer is there
        await self.checkpoints.write(checkpoint, is_done=is_done or checkpoint.report is not None)
        self._over, self._failed = False, checkpoint.failed or {}
        self._refusals.confirm(effect, snapshot)
        for record, row in zip(letters, effect.refused, strict=True):
            recorder.show_refused(record)
            self.log.refused(*item_of(row.place), row.message)
        for place in sorted(effect.taken):
            recorder.hide_refused(*item_of(place))
        return failure

    def _checkpoint(self, recorder: Recorder, snapshot: Snapshot) -> Checkpoint:
        rows = recorder.totals.rows
        checkpoint = Checkpoint(
            self.fingerprint or "",
            snapshot.position,
            snapshot.digest,
            snapshot.unfinished,
            {**snapshot.totals, **({"rows": asdict(rows)} if rows else {})},
            tuple(self._parts.counted),
            snapshot.batches,
            bookmarks={index: self._kept(bookmark) for index, bookmark in snapshot.bookmarks.items()},
            written_by=self.this_try,
            waits=self.waits,
            failed=failed_after(self._failed, snapshot.records) if rows else None,
            uncertain=snapshot.uncertain,
        )
        return checkpoint.before(snapshot.held) if snapshot.held else checkpoint

    def _kept(self, bookmark: Bookmark) -> Bookmark | None:
        """Return a bookmark that may be written: without a secret, which an API may have put into a link."""
        text = json.dumps(bookmark.to_json())
        return bookmark if self.log.redact(text) == text else None

    async def merge(self, recorder: Recorder, is_good: Callable[[], bool]) -> None:
        """Bring all rows to where they belong.

        :param is_good: tells, once it is known which rows were refused, whether anything is left to do.
        :raises LoadError: when the database does not do it; then it has done nothing, unless only the answer to its
            commit was lost, which the next try finds out.
        :raises DeadLetterStoreError: when parts are missing: the next try starts over, so nothing may be loaded yet.
        :raises ReplacedError: when a later try has taken over.
        """
        assert self.rows is not None  # noqa: S101  (a job that delivers has nothing to merge)
        await self.write(recorder, None, last=True)
        if missing := await self._parts.find_missing():
            raise missing
        await self.state.check_not_replaced()  # that of a load without dead letters was not looked at since it began
        async with self._turn:
            if self._over or recorder.unfinished:
                raise LoadError("not all rows could be staged; a retry goes on from those that are")
            with self._transaction(recorder, []) as snapshot:
                counts = recorder.totals.row_totals
                merged = await self.rows.merge(first=counts.loaded == 0)
                counts.loaded, counts.staged = counts.loaded + merged.loaded, 0
                counts.refused += len(merged.refused)
                is_done = is_good()
                counts.refused -= len(merged.refused)
                await self._commit(recorder, snapshot, self._refusals.of_merge(merged.refused), is_done=is_done)
                self._over = True

    def cancel(self) -> None:
        """Make a statement that is under way raise, soon; from any thread."""
        if self.rows is not None:
            self.rows.cancel()

    async def write_last(
        self, recorder: Recorder, progress: Mapping[str, Any], *, report: Mapping[str, Any] | None, until: float
    ) -> tuple[Exception | None, BaseException | None]:
        """Write the last snapshot, and wait for it.

        :param report: when all is done; the checkpoint says so, until Airflow knows of the success.
        :param until: the loop's time at which waiting ends.
        :return: why dead letters could not be written; and why the checkpoint, or rows, could not: that is no loss.
        """
        lost: Exception | None = None
        unkept: Exception | None = None
        try:
            async with asyncio.timeout_at(until):
                await self.write(recorder, progress, last=True, report=report)
                lost = await self._parts.find_missing() if self.has_begun else None
        except (LoadError, ConfigurationError) as failure:
            unkept = failure
        except TimeoutError:
            late = "it takes too long"
            lost, unkept = (TimeoutError(late), None) if self.rows is None else (None, LoadError(late))
        except (DeadLetterStoreError, ReplacedError) as failure:
            lost = failure
        if unkept is not None:
            self.log.complain(_STAGING, unkept)
        return lost, await self.state.wait(until) or unkept

    def close(self) -> None:
        """End the threads, after what is queued."""
        self.checkpoints.close()
        self.state.close()
        self._parts.close()
