"""What the phases of one try share: the job, its stores, its account, its log, and the stop."""

from dataclasses import dataclass
from typing import Self

from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.checkpoints import State, StateCheckpoints, StateStore
from airflow_async_rest.core.keeping.keeper import Keeper
from airflow_async_rest.core.keeping.loading import RowBuffer
from airflow_async_rest.core.phases.standing import Standing
from airflow_async_rest.core.pipeline import Interruptible, StopSwitch
from airflow_async_rest.core.watching.log import Journal
from airflow_async_rest.core.watching.observing import Observing


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all phases of a try use. Made inside the running event loop.

    :param keeper: writes and reads what outlives the try.
    :param calls: waits for those of the stores.
    """

    job: Job
    keeper: Keeper
    standing: Standing
    journal: Journal
    observing: Observing
    calls: Interruptible

    @classmethod
    def of(cls, job: Job, stop: StopSwitch, store: StateStore | None) -> Self:
        """Make it for a job. :param store: the state that survives a retry; None when there is none."""
        journal = Journal(job.log, job.settings.redact)
        state = State(store, journal)
        fetch = job.fetch
        keeper = Keeper(
            job.folder,
            state,
            (fetch and fetch.checkpoints) or StateCheckpoints(state, job.resuming, job.bounds),
            fetch.rows if fetch else None,
            journal,
            fingerprint=job.fingerprint,
            this_try=job.this_try,
            resuming=job.resuming,
            buffer=RowBuffer(job.bounds),
        )
        return cls(
            job=job,
            keeper=keeper,
            standing=Standing(job),
            journal=journal,
            observing=Observing(job.observe, journal),
            calls=Interruptible(stop, job.bounds.grace_seconds, keeper.cancel),
        )
