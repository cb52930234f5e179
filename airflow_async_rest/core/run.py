"""One try of a job, from its checkpoint to its report: the order of its phases."""

from typing import Any

from airflow_async_rest.core.account.judgment import explain
from airflow_async_rest.core.errors import RowsTakenError, SourceChangedError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.stores import StateStore
from airflow_async_rest.core.phases.delivering import Delivering
from airflow_async_rest.core.phases.ending import Ending
from airflow_async_rest.core.phases.opening import Opening
from airflow_async_rest.core.phases.shared import Shared
from airflow_async_rest.core.phases.waiting import Waiting
from airflow_async_rest.core.pipeline import StopSwitch


class JobRun:
    """One try of a job. Made and run inside an event loop.

    :param store: the state that survives a retry; None when there is none.
    """

    def __init__(self, job: Job, stop: StopSwitch, store: StateStore | None) -> None:
        shared = Shared.of(job, stop, store)
        self._standing = shared.standing
        self._opening = Opening(shared)
        self._waiting = Waiting(shared)
        self._delivering = Delivering(shared)
        self._ending = Ending(shared, self._delivering.progress, self._waiting.take_back)

    async def run(self) -> dict[str, Any]:
        """Run to the end, however that is, and return the report.

        On every way out the dead letters, the checkpoint and what ``publish`` does are written first.

        :raises StoppedError: with rows left; of them :class:`~...core.errors.QuotaWaitError`, to be started again.
        :raises ConfigurationError: nothing can go on like this.
        :raises FailuresError: everything was tried, and more failed than ``max_failures``.
        """
        error: BaseException | None = None
        try:
            await self._deliver_all()
            self._standing.end()
        except BaseException as failure:  # noqa: BLE001  (raised again below, once everything is written)
            error = explain(failure, self._standing.recorder.accepted)
        self._standing.recorder.totals.stop_clock()
        error = await self._ending.unless_replaced(error or self._standing.judge())
        error = await self._waiting.instead_of(error)
        return await self._ending.close(error)

    async def _deliver_all(self) -> None:
        if (start := await self._waiting.beside(self._opening.open())) is None:
            return
        try:
            await self._delivering.deliver(start)
        except (SourceChangedError, RowsTakenError) as why:
            if (again := self._opening.begin_again(start, why)) is not None:
                await self._delivering.deliver(again)
        await self._ending.merge()
