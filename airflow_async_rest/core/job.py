"""One window, from its checkpoint to its report: the pipeline, and what is written while and after it runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from airflow_async_rest.core.adaptive import MOST, AdaptiveConcurrency, Places
from airflow_async_rest.core.batch_delivery import BatchDelivery
from airflow_async_rest.core.batch_form import ItemBatch
from airflow_async_rest.core.checkpoint import Resume
from airflow_async_rest.core.client import RestClient
from airflow_async_rest.core.dead_letters import DeadLetterFolder, Record
from airflow_async_rest.core.delivery import Delivery
from airflow_async_rest.core.errors import DeadLetterStoreError, SourceChangedError, StoppedError
from airflow_async_rest.core.journal import Journal, Log
from airflow_async_rest.core.judgment import give_up_when_hopeless, judge
from airflow_async_rest.core.keeper import Keeper, StateStore
from airflow_async_rest.core.models import DeadLetter, Item, Outcome, Request
from airflow_async_rest.core.pipeline import StopSwitch, run_pipeline
from airflow_async_rest.core.rate_limit import RateLimiter
from airflow_async_rest.core.recorder import Recorder
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.response import ResponseCheck
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.sender import Sender
from airflow_async_rest.core.settings import ClientSettings
from airflow_async_rest.core.source import Source, ThreadedSource

# A call of the state store takes about 10 ms; what is done after the last checkpoint is sent again after a SIGKILL.
_WRITE_EVERY_SECONDS = 1.0
_PROGRESS_EVERY_WRITES = 2
_LOG_EVERY_WRITES = 10
# After a stop there are 5 s until Airflow's SIGKILL: 2 for requests in flight, these for the last writes.
_SECONDS_AFTER_STOP = 1.8
_SECONDS_AT_END = 30.0
# Of these, for XCom.
_SHARE_FOR_XCOM = 0.3
_MOST_UNWRITTEN = 10_000


@dataclass(kw_only=True)
class Job:
    """What to deliver, where, and how.

    :param target: what goes where, for people to read: ``Delivering to PUT sensors/{id} at http://host``.
    :param about: what the report begins with: the window.
    :param build: item -> request.
    :param source: the items.
    :param has_key: whether items have a key of their own; else the log warns.
    :param folder_uri: the dead-letter folder as the report names it (a replay: one or several).
    :param fingerprint: tells whether a checkpoint is this job's; None for a job that cannot resume.
    :param concurrency: requests in flight; None: as many as the API bears.
    :param max_failures: see :func:`~airflow_async_rest.core.settings.parse_max_failures`.
    :param publish: called once before the end, in any case, with the report, the sample of failed items and
        the error, if any; it may block, and runs on the thread of the Airflow calls.
    """

    settings: ClientSettings
    build: Callable[[Item], Request]
    source: Source[Item | ItemBatch]
    has_key: bool = True
    headers: Mapping[str, str] | None = None
    retry: RequestRetry
    response_check: ResponseCheck | None = None
    rate_limit: tuple[int, float] | None = None
    concurrency: int | None = 16
    max_failures: int | float = 0
    target: str = ""
    about: Mapping[str, Any]
    folder: DeadLetterFolder | Replay
    folder_uri: str | list[str]
    fingerprint: str | None = None
    sample_payloads: bool = True
    publish: Callable[[dict[str, Any], list[Record], BaseException | None], None] | None = None
    log: Log


class JobRun:
    """One try of a job. Made and run inside an event loop.

    :param store: the state that survives a retry; None when there is none.
    """

    def __init__(self, job: Job, stop: StopSwitch, store: StateStore | None) -> None:
        self._job = job
        self._stop = stop
        self._complete = False  # every row was read, and is delivered, skipped or dead
        self._journal = Journal(job.log, job.settings.redact)
        self._keeper = Keeper(job.folder, store, job.fingerprint, self._journal)
        self._limiter = RateLimiter(job.rate_limit)
        self._adaptive = AdaptiveConcurrency() if job.concurrency is None else None
        self._recorder = self._record(None)

    def _record(self, resume: Resume | None) -> Recorder:
        return Recorder(resume, sample_payloads=self._job.sample_payloads, retry=self._job.retry)

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
            self._complete = True
        except BaseException as failure:  # noqa: BLE001  (raised again below, once everything is written)
            error = failure
        error = error or judge(self._recorder.totals, self._job.max_failures, self._job.retry, self._job.folder_uri)
        report = await self._close(error)
        if error is not None:
            raise error
        return report

    async def _deliver_all(self) -> None:
        job = self._job
        resume, how = await self._keeper.load()
        self._journal.started(job.target, job.about, job.concurrency, job.rate_limit, how)
        if not job.has_key and job.fingerprint is not None:
            self._journal.without_key()
        try:
            await self._deliver(resume)
        except SourceChangedError as why:
            self._journal.starting_over(why)
            await self._deliver(None)

    async def _deliver(self, resume: Resume | None) -> None:
        """Send what there is to send: all rows, or on a retry those that are missing."""
        job = self._job
        self._recorder = recorder = self._record(resume)
        await self._keeper.begin(resume)
        workers = job.concurrency or MOST
        async with RestClient(job.settings, workers, job.headers) as client, self._writing():
            sender = Sender(
                client=client,
                limiter=self._limiter,
                concurrency=self._adaptive,
                retry=job.retry,
                meter=recorder.totals.meter,
            )
            await run_pipeline(
                ThreadedSource(job.source, resume, recorder.continue_digest),
                self._delivering(sender, recorder),
                workers=workers,
                in_hand=self._adaptive.in_hand if self._adaptive else Places(lambda: workers),
                stop=self._stop,
                on_stop=sender.stop,
            )

    def _delivering(self, sender: Sender, recorder: Recorder) -> Callable[[Item | ItemBatch], Awaitable[None]]:
        """Make the function that takes an item, or a batch, and settles it."""
        job = self._job

        def settle(outcome: Outcome) -> None:
            recorder.record(outcome)
            if isinstance(outcome, DeadLetter):
                self._journal.failed(outcome)
                give_up_when_hopeless(outcome, recorder)

        how: dict[str, Any] = {
            "sender": sender,
            "retry": job.retry,
            "response_check": job.response_check,
            "redact": job.settings.redact,
            "on_uncertain": self._journal.uncertain,
        }
        one_by_one = Delivery(build=job.build, **how)
        in_batches = BatchDelivery(recorder=recorder, settle=settle, **how)

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
        lost = await self._keeper.write_last(
            self._recorder, self._progress(), forget=error is None, until=end - seconds * _SHARE_FOR_XCOM
        )
        report = self.report()
        if (publish := self._job.publish) is not None:
            sample = self._recorder.sample()
            await self._keeper.publish(lambda: publish(report, sample, error or lost), end)
        self._keeper.close()
        self._journal.ended(report, error)
        if lost is not None:
            raise DeadLetterStoreError(f"{report['failed']} dead letters are not written: {lost}") from lost
        return report

    def report(self) -> dict[str, Any]:
        """Give the report of this moment."""
        report = {**self._job.about, **self._recorder.report()}
        report["dead_letters"] = self._job.folder_uri if report["failed"] else None
        report["complete"] = self._complete
        return report

    def _progress(self) -> dict[str, Any]:
        share = self._limiter.share_used()
        return {
            **self.report(),
            "in_flight": self._recorder.totals.meter.in_flight,
            "concurrency": self._job.concurrency if self._adaptive is None else self._adaptive.limit,
            "limit_share_used": None if share is None else round(share, 3),
        }

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Write and log at intervals while the block runs; a write under way at its end goes on."""
        ended = asyncio.Event()
        # Kept, because a loop holds its tasks weakly.
        self._writer = asyncio.create_task(self._write_at_intervals(ended))
        try:
            yield
        finally:
            ended.set()

    async def _write_at_intervals(self, ended: asyncio.Event) -> None:
        for tick in count(1):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _WRITE_EVERY_SECONDS)
            if ended.is_set():
                return
            with self._journal.complaining("write dead letters; they are kept in memory until it works"):
                await self._keeper.write(self._recorder, None if tick % _PROGRESS_EVERY_WRITES else self._progress())
            if self._recorder.unwritten > _MOST_UNWRITTEN:
                self._stop.pull(StoppedError(f"{self._recorder.unwritten} dead letters cannot be written"))
            if tick % _LOG_EVERY_WRITES == 0:
                self._journal.progress(self._progress())
