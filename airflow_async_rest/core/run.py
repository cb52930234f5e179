"""One try of a job, from its checkpoint to its report: the pipeline, and what is written while and after it runs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.judgment import (
    came_to_nothing,
    explain,
    give_up_when_hopeless,
    is_whole,
    judge,
    keeps_changes,
)
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.batches.delivery import BatchDelivery
from airflow_async_rest.core.batches.form import ItemBatch
from airflow_async_rest.core.batches.split import Acceptance
from airflow_async_rest.core.errors import (
    DeadLetterStoreError,
    EmptyWindowError,
    FailuresError,
    RowsTakenError,
    SourceChangedError,
    StoppedError,
)
from airflow_async_rest.core.fetching.fetching import Fetching
from airflow_async_rest.core.fetching.page_by_page import PageByPage
from airflow_async_rest.core.job import Fetch, Job
from airflow_async_rest.core.keeping.checkpoints import State, StateCheckpoints, StateStore
from airflow_async_rest.core.keeping.committing import commit_changes, ending, undo_changes
from airflow_async_rest.core.keeping.keeper import Keeper
from airflow_async_rest.core.keeping.loading import RowSink
from airflow_async_rest.core.keeping.writing import Writing
from airflow_async_rest.core.limits.adaptive import MOST, AdaptiveConcurrency, Places
from airflow_async_rest.core.models import DeadLetter, Item, Outcome
from airflow_async_rest.core.pipeline import GRACE_SECONDS, StopSwitch, run_pipeline, unless_stopped
from airflow_async_rest.core.reading.source import ThreadedSource
from airflow_async_rest.core.replay import can_replay
from airflow_async_rest.core.requests.headers import creates_only
from airflow_async_rest.core.sending.attempts import Delivery, Exchange, Sender
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.watching.log import Journal
from airflow_async_rest.core.watching.observing import Observing
from airflow_async_rest.core.watching.progress import Progress

Result = TypeVar("Result")

# After a stop there are 5 s until Airflow's SIGKILL: 2 for requests in flight, these for the last writes.
_SECONDS_AFTER_STOP = 1.8
_SECONDS_AT_END = 30.0
# Of these, for XCom.
_SHARE_FOR_XCOM = 0.3


class JobRun:
    """One try of a job. Made and run inside an event loop.

    :param store: the state that survives a retry; None when there is none.
    """

    def __init__(self, job: Job, stop: StopSwitch, store: StateStore | None) -> None:
        self._job = job
        self._stop = stop
        self._journal = Journal(job.log, job.settings.redact)
        self._observing = Observing(job.observe, self._journal)
        state = State(store, self._journal)
        self._rows = job.fetch.rows if job.fetch else None
        self._keeper = Keeper(
            job.folder,
            state,
            (job.fetch and job.fetch.checkpoints) or StateCheckpoints(state, replays=job.replays),
            self._rows,
            self._journal,
            fingerprint=job.fingerprint,
            this_try=job.this_try,
            replays=job.replays,
        )
        self._limiter = job.limiter(job.rate_limit)
        self._adaptive = AdaptiveConcurrency() if job.concurrency is None else None
        self._watched = Progress(self._limiter, job.rate_limit, self._concurrency, job.expected)
        self._recorder = self._record(None)
        self._can_replay = True
        self._earlier_report: Mapping[str, Any] | None = None  # of a try that has done everything

    def _concurrency(self) -> int:
        return self._adaptive.limit if self._adaptive else self._job.concurrency or MOST

    def _record(self, resume: Resume | None) -> Recorder:
        tally = self._tally(resume.checkpoint.totals if resume else {}, self._job.fetch) if self._job.fetch else None
        recorder = Recorder(resume, sample_payloads=self._job.sample_payloads, retry=self._job.retry, tally=tally)
        recorder.totals.complete &= self._job.replays  # which reads no rows, so nothing changes about that
        return recorder

    def _tally(self, earlier: Mapping[str, Any], fetch: Fetch) -> Tally:
        counts = {"ignored": earlier.get("keys_ignored"), "unfound": earlier.get("paths_not_found")}
        return fetch.plan.tally(**counts, shown=self._job.settings.redact)

    async def run(self) -> dict[str, Any]:
        """Run to the end, however that is, and give the report.

        On every way out the dead letters, the checkpoint and what ``publish`` does are written first.

        :raises StoppedError: with rows left.
        :raises ConfigurationError: nothing can go on like this.
        :raises FailuresError: everything was tried, and more failed than ``max_failures``.
        """
        error: BaseException | None = None
        try:
            await self._deliver_all()
            self._recorder.totals.complete |= not (self._job.replays or self._recorder.totals.commit is Commit.UNDONE)
        except BaseException as failure:  # noqa: BLE001  (raised again below, once everything is written)
            error = explain(failure, self._recorder.accepted)
        error = error or (None if self._earlier_report is not None else self._judge())
        report = await self._close(error)
        if error is not None:
            raise error
        return report

    def _judge(self) -> FailuresError | None:
        if self._job.replays and (self._recorder.unfinished or not self._recorder.totals.complete):
            return FailuresError(
                "the dead letters are sent, but an earlier try of this task stopped before it had read all its rows: "
                "clear the task, and it goes on there",
                permanent=True,
            )
        job = self._job
        resumes = job.fingerprint is not None
        return judge(self._recorder.totals, job.max_failures, job.retry, job.folder_uri, resumes=resumes)

    async def _deliver_all(self) -> None:
        job = self._job
        resume, how = await self._unless_stopped(self._keeper.load())
        if self._rows and self._rows.replaces and came_to_nothing(resume):
            resume, how = None, "an earlier try got no rows for the window; all is asked for again"
        self._journal.started(job.target, job.about, job.concurrency, job.rate_limit, how)
        if not job.has_key and job.fingerprint is not None:
            self._journal.without_key()
        if await self._is_done(resume):
            return
        try:
            await self._deliver(resume, how)
        except (SourceChangedError, RowsTakenError) as why:
            if (
                isinstance(why, RowsTakenError)
                and resume is not None
                and (self._rows or resume.stands_for(self._job.this_try))
            ):
                self._journal.rows_taken(why)
                self._recorder.totals.commit = Commit.DONE
            else:
                self._journal.starting_over(why)
                await self._deliver(None, str(why))
        if self._rows:
            await self._merge(self._rows)

    async def _is_done(self, resume: Resume | None) -> bool:
        """Return whether an earlier try has done all, and go on with its account."""
        if resume is None or (resume.report is None and not self._keeper.is_done):
            return False
        self._recorder, self._earlier_report = self._record(resume), resume.report
        if self._rows:
            await self._keeper.show_refused(self._recorder, resume)
        return self._judge() is None

    async def _merge(self, rows: RowSink) -> None:
        """Move what was fetched into the destination; a stop meanwhile undoes that."""
        if rows.replaces and not is_whole(self._recorder.totals, self._job.max_failures):
            self._journal.not_replaced()
            return
        try:
            await self._unless_stopped(self._keeper.merge(self._recorder, lambda: self._judge() is None))
        except EmptyWindowError:
            self._recorder.totals.complete = True
            raise

    async def _unless_stopped(self, doing: Coroutine[Any, Any, Result]) -> Result:
        """Wait for what a store or the database does, and cancel it at a stop.

        :raises StoppedError: when the stop was pulled.
        """
        return await unless_stopped(doing, self._stop, GRACE_SECONDS, self._keeper.cancel)

    async def _deliver(self, resume: Resume | None, how: str) -> None:
        """Send what there is to send: all rows, or on a retry those that are missing.

        :param how: why it is all rows.
        """
        job = self._job
        self._recorder = recorder = self._record(resume)
        self._can_replay = True
        self._observing.begin(recorder.totals)
        await self._unless_stopped(self._keeper.begin(resume, how))
        workers = job.concurrency or MOST
        writing = Writing(
            self._keeper,
            self._journal,
            recorder,
            self._progress,
            self._stop,
            observe=self._observing.show,
            buffer=self._keeper.buffer,
        )
        acceptance = Acceptance(job.concurrency or 0)
        source = ThreadedSource(job.source, resume, recorder.continue_digest, acceptance.end, writing.room)
        async with (
            ending(source, lambda: self._unless_stopped(self._keep_or_undo(source))),
            job.transport(job.settings, workers, job.headers) as transport,
            writing.at_intervals(),
        ):
            sender = Sender(
                transport=transport,
                limiter=self._limiter,
                auth=job.auth,
                concurrency=self._adaptive,
                retry=job.retry,
                meter=recorder.totals.meter,
                on_pause=self._journal.paused,
                standstill_seconds=job.standstill_seconds,
            )
            await run_pipeline(
                source,
                self._delivering(sender, recorder, acceptance),
                workers=workers,
                in_hand=self._adaptive.in_hand if self._adaptive else None,
                stop=self._stop,
                on_stop=sender.stop,
            )

    async def _keep_or_undo(self, source: ThreadedSource[Any]) -> None:
        """Commit what reading the rows has changed, all of which are settled now, or undo it."""
        if self._rows:
            await self._keeper.write(self._recorder, None, last=True)  # then it is known what comes of the rows
        needs_rows = self._rows is not None and self._rows.needs_rows
        account = self._recorder.totals, self._job.max_failures
        if keeps_changes(*account, can_replay=self._can_replay, needs_rows=needs_rows):
            await commit_changes(source, self._keeper, self._recorder, self._progress(), _SECONDS_AT_END)
        else:
            await undo_changes(source, self._recorder)

    def _delivering(
        self, sender: Sender, recorder: Recorder, acceptance: Acceptance
    ) -> Callable[[Item | ItemBatch], Awaitable[None]]:
        """Make the function that takes an item, or a batch, and settles it."""
        job = self._job

        def settle(outcome: Outcome, *, is_news: bool = True, is_own: bool = False) -> None:
            recorder.record(outcome, is_news=is_news)
            if isinstance(outcome, DeadLetter):
                self._journal.failed(outcome)
                self._can_replay &= can_replay(outcome)
                give_up_when_hopeless(outcome, recorder, job.conn_id, is_own=is_own)

        exchange = Exchange(
            sender=sender,
            retry=job.retry,
            response_check=job.response_check,
            excerpts=Excerpts(job.settings, job.hidden),
            on_uncertain=self._journal.uncertain,
            needs_body=job.fetch is not None,
            creates_only=job.fetch is None and creates_only(job.settings.headers, job.headers),
        )
        if job.fetch is not None:
            return PageByPage(
                Fetching(job.fetch.plan, exchange, Places(self._concurrency), recorder.totals.tally),
                recorder,
                settle,
                self._keeper.buffer,
                self._journal,
                keeps_pages=job.fetch.rows.can_remove,
                conn_id=job.conn_id,
            ).fetch
        assert job.build is not None  # noqa: S101  (a job delivers or fetches)
        one_by_one = Delivery(job.build, exchange)
        in_batches = BatchDelivery(exchange=exchange, recorder=recorder, settle=settle, acceptance=acceptance)

        async def deliver(unit: Item | ItemBatch) -> None:
            if isinstance(unit, Item):
                recorder.take(unit)
                settle(unit.settled or await one_by_one.deliver(unit))
            else:
                recorder.take_batch(unit.items)
                await in_batches.deliver(unit)

        return deliver

    async def _close(self, error: BaseException | None) -> dict[str, Any]:
        """Write what is left to write, publish the report, and log the last line."""
        seconds = _SECONDS_AFTER_STOP if isinstance(error, StoppedError) else _SECONDS_AT_END
        end = asyncio.get_running_loop().time() + seconds
        done = self.report() if error is None else None
        lost = await self._keeper.write_last(
            self._recorder, self._progress(), report=done, until=end - seconds * _SHARE_FOR_XCOM
        )
        report = done or self.report()
        if lost is not None:  # what is in no file can only come of the rows, once more
            report["complete"] = False
        self._observing.end()
        # A replay that could not begin has nothing to say of the window, and what was said before stands.
        publish = self._job.publish if done or self._keeper.has_begun or not self._job.replays else None
        if publish is not None:
            sample = self._job.settings.redaction.redact_all(self._recorder.sample())
            await self._keeper.publish(lambda: publish(report, sample, error or lost), end)
        await self._observing.close()
        self._keeper.close()
        if report["repeated_keys"]:
            self._journal.keys_repeated(report["repeated_keys"])
        if self._job.fetch is not None and report["complete"]:
            self._journal.paths_not_found(report, self._recorder.totals.tally.unfound.nearest)
            self._journal.next_page_misspelled(self._recorder.totals.tally.unfound_next.misspelled())
        self._journal.ended(report, error)
        if lost is not None:
            failures = self._recorder.totals.failures.total()
            which = f"{failures} dead letters are" if failures else "what was dead, and is delivered now, is"
            raise DeadLetterStoreError(f"{which} not written: {lost}") from lost
        return report

    def report(self) -> dict[str, Any]:
        """Return the report of this moment, or that of an earlier try that has done everything."""
        if self._earlier_report is not None:
            return dict(self._earlier_report)
        report = {**self._job.about, **self._recorder.report()}
        report["dead_letters"] = self._job.folder_uri if self._recorder.totals.failures else None
        report["repeated_keys"] = self._job.repeated.count if self._job.repeated is not None else 0
        report["complete"] = self._recorder.totals.complete
        if self._job.replays:
            report["replay"] = self._recorder.replayed()
        return report

    def _progress(self) -> dict[str, Any]:
        return self._watched.of(self.report(), self._recorder.totals.meter.in_flight)
