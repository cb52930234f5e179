"""One try of a job, from its checkpoint to its report: the order of its phases."""

import contextlib
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_async_rest.core.account.judgment import explain
from airflow_async_rest.core.errors import RowsTakenError, SourceChangedError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.stores import StateStore
from airflow_async_rest.core.phases.delivering import Delivering
from airflow_async_rest.core.phases.ending import Ending
from airflow_async_rest.core.phases.opening import Opening
from airflow_async_rest.core.phases.shared import Shared
from airflow_async_rest.core.pipeline import StopSwitch

# A few chunks of rows; Python's own default is 700.
_NEW_OBJECTS_BEFORE_A_COLLECTION = 50_000


class JobRun:
    """One try of a job. Made and run inside an event loop.

    :param store: the state that survives a retry; None when there is none.
    """

    def __init__(self, job: Job, stop: StopSwitch, store: StateStore | None) -> None:
        shared = Shared.of(job, stop, store)
        self._standing = shared.standing
        self._opening = Opening(shared)
        self._delivering = Delivering(shared)
        self._ending = Ending(shared, self._delivering.progress)

    async def run(self) -> dict[str, Any]:
        """Run to the end, however that is, and return the report.

        On every way out the dead letters, the checkpoint and what ``publish`` does are written first.

        :raises StoppedError: with rows left.
        :raises ConfigurationError: nothing can go on like this.
        :raises FailuresError: everything was tried, and more failed than ``max_failures``.
        """
        error: BaseException | None = None
        try:
            await self._deliver_all()
            self._standing.end()
        except BaseException as failure:  # noqa: BLE001  (raised again below, once everything is written)
            error = explain(failure, self._standing.recorder.accepted)
        error = error or self._standing.judge()
        report = await self._ending.close(error)
        if error is not None:
            raise error
        return report

    async def _deliver_all(self) -> None:
        if (start := await self._opening.open()) is None:
            return
        try:
            await self._delivering.deliver(start)
        except (SourceChangedError, RowsTakenError) as why:
            if (again := self._opening.begin_again(start, why)) is not None:
                await self._delivering.deliver(again)
        await self._ending.merge()


@contextlib.contextmanager
def collecting_new_garbage_only() -> Iterator[None]:
    """Have the garbage collector ignore what is there already, and run less often.

    A task's process has some hundred thousand objects, and rows are made so fast that it would look through all of them
    again and again: half the time of a bulk delivery. Rows need none: their memory is freed with the last reference.
    """
    with _collector.lock:
        if not _collector.jobs:
            _collector.thresholds = gc.get_threshold()
            gc.freeze()
            gc.set_threshold(_NEW_OBJECTS_BEFORE_A_COLLECTION, *_collector.thresholds[1:])
        _collector.jobs += 1
    try:
        yield
    finally:
        with _collector.lock:
            _collector.jobs -= 1
            if not _collector.jobs:
                gc.set_threshold(*_collector.thresholds)
                gc.unfreeze()


@dataclass
class _Collector:
    """The garbage collector is the process's: the first of several jobs at once sets it, the last one puts it back."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: int = 0
    thresholds: tuple[int, int, int] = (0, 0, 0)


_collector = _Collector()
