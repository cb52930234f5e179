"""What the phases of one try share: how it stands, its job, its stores, its log, and the stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.account.judgment import judge
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.account.waits import Waits
from airflow_async_rest.core.errors import FailuresError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.keeper import Keeper
from airflow_async_rest.core.keeping.row_sink import RowBuffer
from airflow_async_rest.core.keeping.stores import State, StateCheckpoints, StateStore
from airflow_async_rest.core.pipeline import Interruptible, StopSwitch
from airflow_async_rest.core.watching.log import JobLog
from airflow_async_rest.core.watching.observing import Observing


class Standing:
    """The account of a try, which begins once more when it starts over.

    :ivar recorder: the account.
    :ivar earlier_report: that of an earlier try which has done everything; None where there is something left to do.
    :ivar waits: for the quota.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self.earlier_report: Mapping[str, Any] | None = None
        self.waits = Waits()
        self.recorder = self.begin(None)

    def begin(self, resume: Resume | None) -> Recorder:
        """Begin the account where ``resume`` ends, or with what an earlier sitting has settled."""
        if resume is None and self.waits.counts:
            resume = Resume(Checkpoint("", 0, "", frozenset(), self.waits.counts, ()))
        job, totals = self._job, resume.checkpoint.totals if resume else {}
        counts = {"ignored": totals.get("keys_ignored"), "unfound": totals.get("paths_not_found")}
        tally = job.fetch.plan.tally(**counts, shown=job.settings.redact) if job.fetch else None
        self.recorder = Recorder(
            resume, sample_payloads=job.sample_payloads, retry=job.retry, tally=tally, bounds=job.bounds
        )
        self.recorder.totals.is_after_clear = job.this_try is not None and job.this_try.is_after_clear
        job.resuming.begin(self.recorder.totals, job.this_try)
        return self.recorder

    def end(self) -> None:
        """Note that there is nothing more to send."""
        self._job.resuming.end(self.recorder.totals)

    def judge(self) -> FailuresError | None:
        """Decide whether the window is done, or why not."""
        job, totals = self._job, self.recorder.totals
        if self.earlier_report is not None:
            return None
        return job.resuming.find_fault(totals, self.recorder.unfinished) or judge(
            totals, job.max_failures, job.retry, job.folder_uri, resumes=job.fingerprint is not None
        )

    def settled(self) -> dict[str, Any]:
        """Return what a later sitting of this try begins with, where no checkpoint has it."""
        return self.recorder.totals.settled() if self._job.reads_what_is_left else {}

    def is_good(self) -> bool:
        """Return whether the window is done."""
        return self.judge() is None

    def report(self) -> dict[str, Any]:
        """Return the report of this moment, or that of an earlier try that has done everything."""
        if self.earlier_report is not None:
            return dict(self.earlier_report)
        job, recorder = self._job, self.recorder
        report = {**job.about, **recorder.report()}
        report["dead_letters"] = job.folder_uri if recorder.totals.failures else None
        report["repeated_keys"] = job.repeated.count if job.repeated is not None else 0
        place = job.settings.redact(job.settings.place)
        return report | {
            "complete": recorder.totals.complete,
            "error": None,
            "waits": self.waits.report(),
            "api": place,
        }


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all phases of a try use. Made inside the running event loop.

    :param keeper: writes and reads what outlives the try.
    :param calls: waits for those of the stores.
    """

    job: Job
    keeper: Keeper
    standing: Standing
    log: JobLog
    observing: Observing
    calls: Interruptible

    @classmethod
    def of(cls, job: Job, stop: StopSwitch, store: StateStore | None) -> Self:
        """Make it for a job. :param store: the state that survives a retry; None when there is none."""
        log = JobLog(job.log, job.settings.redact)
        state = State(store, log, stop.pull, job.bounds)
        fetch = job.fetch
        keeper = Keeper(
            job.folder,
            state,
            (fetch and fetch.checkpoints) or StateCheckpoints(state, job.resuming, job.bounds),
            fetch.rows if fetch else None,
            log,
            fingerprint=job.fingerprint,
            this_try=job.this_try,
            resuming=job.resuming,
            buffer=RowBuffer(job.bounds),
        )
        return cls(
            job=job,
            keeper=keeper,
            standing=Standing(job),
            log=log,
            observing=Observing(job.observe, log),
            calls=Interruptible(stop, job.bounds.grace_seconds, keeper.cancel),
        )
