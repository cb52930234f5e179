"""The beginning of a try: what earlier ones left, and whether anything is left to do."""

from typing import NamedTuple

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.judgment import came_to_nothing
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.errors import RowsTakenError, SourceChangedError
from airflow_async_rest.core.phases.shared import Shared


class Start(NamedTuple):
    """Where a try begins.

    :param resume: None: with the first row.
    :param how: for people to read; with the first row, why.
    """

    resume: Resume | None
    how: str


class Opening:
    """Finds out where a try begins."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def open(self) -> Start | None:
        """Return where the try begins; None where an earlier one has done all, and go on with its account."""
        job, log = self._shared.job, self._shared.log
        start = Start(*await self._shared.calls.wait_for(self._shared.keeper.resume()))
        if job.fetch and job.fetch.rows.replaces and came_to_nothing(start.resume):
            start = Start(None, "an earlier try got no rows for the window; all is asked for again")
        log.started(job.target, job.about, job.concurrency, job.rate_limit, start.how)
        if not job.has_key and job.fingerprint is not None:
            log.without_key()
        return None if start.resume is not None and await self._is_done(start.resume) else start

    async def _is_done(self, resume: Resume) -> bool:
        if resume.report is None and not self._shared.keeper.checkpoints.is_done:
            return False
        recorder = self._shared.standing.begin(resume)
        if self._shared.job.fetch:
            await self._shared.keeper.show_refused(recorder, resume)
        is_done = self._shared.standing.is_good()
        self._shared.standing.earlier_report = resume.report
        return is_done

    def begin_again(self, start: Start, why: SourceChangedError | RowsTakenError) -> Start | None:
        """Return where the try begins instead; None where the account of rows that are gone stands."""
        resume = start.resume
        if (
            isinstance(why, RowsTakenError)
            and resume
            and (self._shared.job.fetch or resume.stands_for(self._shared.job.this_try))
        ):
            self._shared.log.rows_taken(why)
            self._shared.standing.recorder.totals.commit = Commit.DONE
            return None
        self._shared.log.starting_over(why)
        return Start(None, str(why))
