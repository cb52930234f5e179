"""One window, from its checkpoint to its report: the pipeline, and what is written while and after it runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Protocol

from airflow_async_rest.core.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.client import RestClient
from airflow_async_rest.core.dead_letters import RESET, DeadLetterFolder, PartId, Record
from airflow_async_rest.core.delivery import Delivery
from airflow_async_rest.core.errors import (
    ConfigurationError,
    DeadLetterStoreError,
    FailuresError,
    SourceChangedError,
    StoppedError,
)
from airflow_async_rest.core.journal import Journal, Log
from airflow_async_rest.core.models import DeadLetter, Item, Outcome, Request
from airflow_async_rest.core.pipeline import StopSwitch, run_pipeline
from airflow_async_rest.core.rate_limit import RateLimiter
from airflow_async_rest.core.recorder import Recorder
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.response import ResponseCheck, is_permanent
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.settings import ClientSettings
from airflow_async_rest.core.source import ItemSource, ThreadedSource
from airflow_async_rest.core.worker_thread import WorkerThread

# A call of the state store takes about 10 ms; what is done after the last checkpoint is sent again after a SIGKILL.
_WRITE_EVERY_SECONDS = 1.0
_PROGRESS_EVERY_WRITES = 2
_LOG_EVERY_WRITES = 10
# After a stop there are 5 s until SIGKILL: 2 for requests in flight, these for the state store and for XCom.
_STORE_SECONDS_AFTER_STOP = 1.0
_STORE_SECONDS = 10.0
_MOST_UNWRITTEN = 10_000
_SAMPLE = 200
_LARGEST_CONCURRENCY = 1000


class StateStore(Protocol):
    """What survives a retry: Airflow's ``context["task_state_store"]``, or a dict in tests. Calls block."""

    def get(self, key: str) -> Any:
        """Give a JSON value, or None."""

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON value."""

    def delete(self, key: str) -> None:
        """Forget a key."""


@dataclass(kw_only=True)
class Job:
    """What to deliver, where, and how.

    :param target: where it goes, for people to read: ``PUT http://host/sensors/_doc/{id}``.
    :param about: what the report begins with: the window.
    :param build: item -> request.
    :param source: the items.
    :param has_key: whether items have a key of their own; else the log warns.
    :param folder_uri: the dead-letter folder as the report names it (a replay: one or several).
    :param fingerprint: tells whether a checkpoint is this job's; None for a job that cannot resume.
    :param max_failures: see :func:`parse_max_failures`.
    :param publish: called once before the end, in any case, with the report, the sample of failed items and
        the error, if any; it may block, and runs on the thread of the Airflow calls.
    """

    settings: ClientSettings
    build: Callable[[Item], Request]
    source: ItemSource
    has_key: bool = True
    headers: Mapping[str, str] | None = None
    retry: RequestRetry
    response_check: ResponseCheck | None = None
    rate_limit: tuple[int, float] | None = None
    concurrency: int = 16
    max_failures: int | float = 0
    target: str = ""
    about: Mapping[str, Any]
    folder: DeadLetterFolder | Replay
    folder_uri: str | list[str]
    fingerprint: str | None = None
    sample_payloads: bool = True
    publish: Callable[[dict[str, Any], list[Record], BaseException | None], None] | None = None
    log: Log


def parse_max_failures(value: int | str) -> int | float:
    """Read ``0``, ``25`` (items) or ``"1%"`` (share of the rows read).

    :return: an int of items, or a float share of 0 to 1.
    :raises ConfigurationError: when it is anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        text = value.strip()
        if text.isdigit():
            return int(text)
        with contextlib.suppress(ValueError):
            share = float(text.removesuffix("%")) / 100
            if text.endswith("%") and 0 <= share <= 1:
                return share
    raise ConfigurationError(f"max_failures={value!r}: write a number of items, such as 25, or a share, such as '1%'.")


def check_concurrency(value: Any) -> int:
    """Give a valid concurrency. :raises ConfigurationError: when it is not one."""
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_CONCURRENCY:
        raise ConfigurationError(f"concurrency={value!r}: write a whole number from 1 to {_LARGEST_CONCURRENCY}.")
    return value


class JobRun:
    """One try of a job. Made and run inside an event loop.

    :param store: the state that survives a retry; None when there is none.
    """

    def __init__(self, job: Job, stop: StopSwitch, store: StateStore | None) -> None:
        self._job = job
        self._stop = stop
        self._store = store
        self._journal = Journal(job.log, job.settings.redact)
        self._airflow = WorkerThread("async-rest-airflow")
        self._files = WorkerThread("async-rest-files")
        self._stored: asyncio.Future[None] | None = None
        self._begin(None)

    def _begin(self, resume: Resume | None) -> None:
        self._recorder = Recorder(resume, sample_payloads=self._job.sample_payloads)
        self._parts: list[PartId] = list(resume.checkpoint.parts) if resume else []
        self._limiter = RateLimiter(self._job.rate_limit)

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
        except BaseException as failure:  # noqa: BLE001  (raised again below, once everything is written)
            error = failure
        error = error or self._judge()
        report = await self._close(error)
        if error is not None:
            raise error
        return report

    async def _deliver_all(self) -> None:
        resume = await self._load()
        try:
            await self._deliver(resume)
        except SourceChangedError as why:
            self._journal.starting_over(why)
            await self._deliver(None)

    async def _load(self) -> Resume | None:
        """Find out where to go on, and say it in the first line of the log."""
        job, resume, how = self._job, None, "from the first row"
        try:
            resume = await self._resume()
        except (ValueError, DeadLetterStoreError) as error:
            how = f"starting over from the first row: {error}"
        except Exception as error:  # noqa: BLE001  (a state store that fails costs resumability, not the delivery)
            how = f"from the first row, because the state store does not answer ({error or repr(error)})"
        if resume is not None:
            before = resume.checkpoint
            how = (
                f"resumed at row {before.position}, sending again {len(before.unfinished)} unfinished and "
                f"{len(resume.dead)} failed ones before it"
            )
        self._journal.started(job.target, job.about, job.concurrency, job.rate_limit, how)
        if not job.has_key and job.fingerprint is not None:
            self._journal.without_key()
        return resume

    async def _resume(self) -> Resume | None:
        """Read the checkpoint. :raises ValueError: when it is not this job's."""
        folder = self._job.folder
        if self._store is None or self._job.fingerprint is None or isinstance(folder, Replay):
            return None
        value = await self._airflow.call(self._store.get, "checkpoint", timeout_seconds=_STORE_SECONDS)
        if value is None:
            return None
        checkpoint = Checkpoint.from_json(value)
        if checkpoint.fingerprint != self._job.fingerprint:
            raise ValueError("the SQL, its binds, the window, method, endpoint or key is another than before")
        letters = await self._files.call(folder.read, checkpoint.parts)
        # One that was being sent again when the checkpoint was written counts as unfinished there, not as failed.
        counted = {index: reason for index, reason in letters.items() if index not in checkpoint.unfinished}
        known = await self._files.call(folder.read)
        return Resume(
            checkpoint,
            dead={index: reason for index, reason in counted.items() if index in known},
            resolved={index: reason for index, reason in counted.items() if index not in known},
            known_dead=frozenset(known),
            sample=await self._files.call(lambda: tuple(islice(folder.iter_records(), _SAMPLE))),
        )

    async def _deliver(self, resume: Resume | None) -> None:
        """Send what there is to send: all rows, or on a retry those that are missing."""
        job = self._job
        self._begin(resume)
        if resume is None and len(await self._files.call(job.folder.parts)) > 0:
            self._parts.append(await self._files.call(job.folder.write, [RESET]))
        async with RestClient(job.settings, job.concurrency) as client, self._writing():
            delivery = Delivery(
                client=client,
                limiter=self._limiter,
                build=job.build,
                retry=job.retry,
                response_check=job.response_check,
                headers=job.headers,
                redact=job.settings.redact,
                meter=self._recorder.totals.meter,
                on_uncertain=self._journal.uncertain,
            )

            async def deliver(item: Item) -> Outcome:
                outcome = item.settled or await delivery.deliver(item)
                if isinstance(outcome, DeadLetter):
                    self._journal.failed(outcome)
                return outcome

            source = ThreadedSource(job.source, resume, self._recorder.continue_digest)
            await run_pipeline(source, deliver, self._recorder, concurrency=job.concurrency, stop=self._stop)

    def _judge(self) -> Exception | None:
        """Decide whether what failed is too much."""
        totals, allowed = self._recorder.totals, self._job.max_failures
        limit = allowed if isinstance(allowed, int) else allowed * totals.read
        if totals.failed <= limit:
            return None
        permanent = all(is_permanent(reason, self._job.retry) for reason in totals.reasons)
        advice = (
            "All were refused for good, so a retry would change nothing: mend them and clear the task, or replay"
            if permanent
            else "A retry sends only these again; or replay"
        )
        reasons = ", ".join(f"{count} {reason}" for reason, count in totals.reasons.most_common())
        return FailuresError(
            f"{totals.failed} of {totals.read} items failed ({reasons}); max_failures allows {limit:g}. "
            f"{advice} the dead letters in {self._job.folder_uri}",
            permanent=permanent,
        )

    async def _close(self, error: BaseException | None) -> dict[str, Any]:
        """Write the last part, the checkpoint and what is published, in this order; log the last line."""
        seconds = _STORE_SECONDS_AFTER_STOP if isinstance(error, StoppedError) else _STORE_SECONDS
        lost: Exception | None = None
        try:
            await asyncio.wait_for(self._write(last=True), seconds)
        except (DeadLetterStoreError, TimeoutError) as failure:
            lost = failure
        if self._stored is not None:
            with self._journal.complaining("write the checkpoint, so a retry may send again more than it must"):
                await asyncio.wait_for(asyncio.shield(self._stored), seconds)
        if error is None and lost is None and self._store is not None and self._job.fingerprint is not None:
            with self._journal.complaining("delete the checkpoint, so clearing this task would resume it"):
                await self._airflow.call(self._store.delete, "checkpoint", timeout_seconds=seconds)
        report = self.report()
        if (publish := self._job.publish) is not None:
            with self._journal.complaining("publish the report"):
                sample = self._recorder.sample()
                await self._airflow.call(publish, report, sample, error or lost, timeout_seconds=seconds)
        self._airflow.close()
        self._files.close()
        self._journal.ended(report, error)
        if lost is not None:
            raise DeadLetterStoreError(f"{report['failed']} dead letters are not written: {lost}") from lost
        return report

    def report(self) -> dict[str, Any]:
        """Give the report of this moment."""
        report = {**self._job.about, **self._recorder.report()}
        report["dead_letters"] = self._job.folder_uri if report["failed"] else None
        return report

    @contextlib.asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Write and log at intervals while the block runs; a write under way at its end is waited for."""
        ended = asyncio.Event()
        writer = asyncio.create_task(self._write_at_intervals(ended))
        try:
            yield
        finally:
            ended.set()
            await asyncio.wait({writer}, timeout=_STORE_SECONDS_AFTER_STOP)

    async def _write_at_intervals(self, ended: asyncio.Event) -> None:
        for tick in count(1):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _WRITE_EVERY_SECONDS)
            if ended.is_set():
                return
            with self._journal.complaining("write dead letters; they are kept in memory until it works"):
                await self._write(progress=tick % _PROGRESS_EVERY_WRITES == 0)
            if self._recorder.unwritten > _MOST_UNWRITTEN:
                self._stop.pull(StoppedError(f"{self._recorder.unwritten} dead letters cannot be written"))
            if tick % _LOG_EVERY_WRITES == 0:
                self._journal.progress(self._progress())

    async def _write(self, *, progress: bool = True, last: bool = False) -> None:
        """Write a snapshot: first the dead letters, then the checkpoint that counts them, then the progress.

        It does not wait for the state store; a store that is still busy with the write before is left alone,
        but for the last one.

        :raises DeadLetterStoreError: when the dead letters cannot be written; they are kept.
        """
        snapshot = self._recorder.snapshot()
        if snapshot.records:
            try:
                self._parts.append(await self._files.call(self._job.folder.write, snapshot.records))
            except DeadLetterStoreError:
                self._recorder.give_back(snapshot)
                raise
        if self._store is None or (self._stored is not None and not self._stored.done() and not last):
            return
        state: dict[str, Any] = {}
        if self._job.fingerprint is not None:
            state["checkpoint"] = Checkpoint(
                self._job.fingerprint,
                snapshot.position,
                snapshot.digest,
                snapshot.unfinished,
                snapshot.totals,
                tuple(self._parts),
            ).to_json()
        if progress:
            state["progress"] = self._progress()
        self._stored = self._airflow.submit(_store_all, self._store, state)
        self._stored.add_done_callback(self._stored_or_not)

    def _stored_or_not(self, stored: "asyncio.Future[None]") -> None:
        if not stored.cancelled() and (error := stored.exception()) is not None:
            self._journal.complain("write the checkpoint, so a retry may send again more than it must", error)

    def _progress(self) -> dict[str, Any]:
        share = self._limiter.share_used()
        return {
            **self.report(),
            "in_flight": self._recorder.totals.meter.in_flight,
            "limit_share_used": None if share is None else round(share, 3),
        }


def _store_all(store: StateStore, state: Mapping[str, Any]) -> None:
    for key, value in state.items():
        store.set(key, value)
