"""The end of a try: rows are merged, what is left is written, and the report goes out."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from airflow_async_rest.core.account.judgment import is_whole
from airflow_async_rest.core.errors import (
    AbandonedError,
    DeadLetterStoreError,
    EmptyWindowError,
    QuotaWaitError,
    ReplacedError,
    StoppedError,
)
from airflow_async_rest.core.phases.shared import Shared
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.watching.log import sentence_of
from airflow_async_rest.core.worker_thread import WorkerThread


class Ending:
    """Ends a try.

    :param progress: gives that of this moment.
    :param take_back: takes back a wait that will not be.
    """

    def __init__(
        self,
        shared: Shared,
        progress: Callable[[], Mapping[str, Any]],
        take_back: Callable[[QuotaWaitError, BaseException], BaseException],
    ) -> None:
        self._job, self._keeper, self._standing = shared.job, shared.keeper, shared.standing
        self._log, self._observing, self._calls = shared.log, shared.observing, shared.calls
        self._progress, self._take_back = progress, take_back
        self._xcom_thread = WorkerThread("async-rest-xcom")

    async def merge(self) -> None:
        """Move what was fetched into the destination; a stop meanwhile undoes that."""
        job, totals = self._job, self._standing.recorder.totals
        if job.fetch is None:
            return
        if job.fetch.rows.replaces and not is_whole(totals, job.max_failures):
            self._log.not_replaced()
            return
        try:
            await self._calls.wait_for(self._keeper.merge(self._standing.recorder, self._standing.is_good))
        except EmptyWindowError:
            totals.complete = True
            raise

    async def unless_replaced(self, error: BaseException | None) -> BaseException | None:
        """Return what a try ends with: another one may do its work by now, and nothing that this one did is news."""
        if not isinstance(error, AbandonedError):
            try:
                await self._keeper.state.check_not_replaced()
            except ReplacedError as replaced:
                return replaced
        return error

    async def close(self, error: BaseException | None) -> dict[str, Any]:
        """Write what is left to write, publish the report, and log the last line.

        A try that nobody wants to know of only logs it. So does one that could not begin: it has no account, and that
        of the tries before stands.

        :return: the report.
        :raises BaseException: the error; where dead letters could not be written a
            :class:`~airflow_async_rest.core.errors.DeadLetterStoreError`, and where nobody wants to know of this try an
            :class:`~airflow_async_rest.core.errors.AbandonedError`.
        """
        bounds, standing = self._job.bounds, self._standing
        is_hurried = isinstance(error, StoppedError) and not isinstance(error, QuotaWaitError)
        seconds = bounds.after_stop_seconds if is_hurried else bounds.at_end_seconds
        end = asyncio.get_running_loop().time() + seconds
        done = standing.report() if error is None else None
        progress = {**self._progress(), "error": self._sentence(error)}
        lost, instead = await self._write(error, progress, done, until=end - seconds * bounds.share_for_xcom)
        failure = instead or error
        report = (done or standing.report()) | {"error": self._sentence(failure)}
        if lost is not None:  # what is in no file can only come of the rows, once more
            report["complete"] = False
        if instead is not None:
            self._tell(progress | {name: report[name] for name in ("error", "complete", "waits")})
        self._observing.end()
        if (done or self._keeper.has_begun) and not isinstance(lost, AbandonedError):
            await self._publish(report, failure, end)
        if instead is not None:
            await self._keeper.state.wait(end)
        await self._observing.close(bounds.observer_seconds)
        self._keeper.close()
        self._xcom_thread.close()
        self._log_last(report, failure)
        if isinstance(lost, AbandonedError):
            raise lost
        if instead is not None:
            raise instead from lost
        if error is not None:
            raise error
        return report

    async def _write(
        self, error: BaseException | None, progress: Mapping[str, Any], done: Mapping[str, Any] | None, *, until: float
    ) -> tuple[BaseException | None, BaseException | None]:
        """Write what is left to write.

        :return: why it is lost; and what the try ends with instead, where it cannot end as it was to.
        """
        if isinstance(error, AbandonedError):
            return error, None
        recorder = self._standing.recorder
        lost, unkept = await self._keeper.write_last(recorder, progress, report=done, until=until)
        why = lost or unkept
        if isinstance(why, AbandonedError):
            return why, None
        instead: BaseException | None = None
        if isinstance(error, QuotaWaitError) and why is not None:
            instead = self._take_back(error, why)
        return lost, instead if lost is None else self._unwritten(lost)

    def _tell(self, progress: Mapping[str, Any]) -> None:
        """Have the progress say what became known once it was written."""
        self._keeper.state.put("progress", progress)
        self._keeper.state.write(last=True)

    def _sentence(self, error: BaseException | None) -> str | None:
        if error is None or isinstance(error, QuotaWaitError):  # it goes on by itself
            return None
        return sentence_of(error, self._log.redact)

    def _unwritten(self, why: Exception) -> DeadLetterStoreError:
        failures = self._standing.recorder.totals.failures.total()
        which = (
            counted(failures, "dead letter is", "dead letters are")
            if failures
            else "what was dead, and is delivered now, is"
        )
        return DeadLetterStoreError(f"{which} not written: {why}")

    async def _publish(self, report: dict[str, Any], error: BaseException | None, until: float) -> None:
        """Publish the report; a failure to is only logged.

        :param until: the loop's time at which waiting ends.
        """
        if (publish := self._job.publish) is None:
            return
        sample = self._job.settings.redaction.redact_all(self._standing.recorder.sample())
        with self._log.complaining("publish the report"):
            async with asyncio.timeout_at(until):
                await self._xcom_thread.call(publish, report, sample, error)

    def _log_last(self, report: Mapping[str, Any], error: BaseException | None) -> None:
        if report["repeated_keys"] and not self._job.order_by_key:  # with it, they are what was asked for
            self._log.keys_repeated(report["repeated_keys"])
        if self._job.fetch is not None and report["complete"]:
            tally = self._standing.recorder.totals.tally
            self._log.paths_not_found(report, tally.unfound.nearest)
            misspelled = tally.unfound_next.misspelled()
            self._log.next_page_misspelled(misspelled)
            if tally.unasked is not None and not misspelled:
                self._log.next_page_unasked(tally.unasked)
        if isinstance(error, QuotaWaitError):  # said once all is written that may stand in its way
            self._log.waits(self._standing.waits.latest[-1])
        self._log.ended(report, error)
