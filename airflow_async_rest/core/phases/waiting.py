"""What a try does whose quota is gone: it ends, to be started again by itself when the API takes requests again."""

import asyncio
import random
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_async_rest.core.account.waits import Waits
from airflow_async_rest.core.errors import QuotaExhaustedError, QuotaWaitError, ReplacedError, StoppedError
from airflow_async_rest.core.phases.opening import Start
from airflow_async_rest.core.phases.shared import Shared

# A tenth of the wait, so that a short one is not doubled; a minute is as much as scheduling spreads by itself.
_JITTER_SHARE, _MOST_JITTER_SECONDS = 0.1, 60.0


class Waiting:
    """Knows what earlier sittings have waited for, and decides whether this one ends in a wait.

    It is written to the state store beside the checkpoint: the bound has to outlive an account that starts over, and a
    job that has none.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._is_known = True
        self._before = Waits()

    async def beside(self, opening: Coroutine[Any, Any, Start | None]) -> Start | None:
        """Find out what was waited for, while a try opens: a state store that hangs costs that time once.

        :return: what opening returns.
        :raises StoppedError: when the stop was pulled.
        """
        reading = asyncio.create_task(self._read())
        reading.add_done_callback(lambda done: done.cancelled() or done.exception())  # opening may say the same
        try:
            start = await opening
            waits = await self._shared.calls.wait_for(asyncio.wait_for(reading, None))
        finally:
            reading.cancel()
        resumes = start is not None and start.resume is not None
        self._shared.standing.waits = waits.of(self._shared.job.this_try, resumes=resumes)
        return start

    async def _read(self) -> Waits:
        job = self._shared.job
        if not job.max_quota_wait:
            return Waits()
        is_first = job.this_try is None or job.this_try.number == 1
        try:
            async with asyncio.timeout(job.bounds.load_seconds if is_first else job.bounds.patient_load_seconds):
                return Waits.from_json(await self._shared.keeper.state.get("waits"))
        except ReplacedError:
            raise
        except Exception:  # noqa: BLE001  (whatever the store raises: nobody knows how long the task may wait still)
            self._is_known = False
            return Waits()

    async def instead_of(self, error: BaseException | None) -> BaseException | None:
        """Return what a try ends with: a wait, where its quota is gone and it may be waited for."""
        job, standing = self._shared.job, self._shared.standing
        if not isinstance(error, QuotaExhaustedError) or not job.max_quota_wait or not self._is_known:
            return error
        now = datetime.now(UTC)
        until = standing.waits.end_of(error.seconds, _more_than(error.seconds), job.max_quota_wait, now)
        if until is None:
            return _too_long(error, standing.waits, job.max_quota_wait)
        self._before = standing.waits
        waits = standing.waits.and_then(now, until, job.settings.redact(error.why), standing.settled())
        writing = self._shared.keeper.state.keep_waits(waits.to_json())
        try:
            await self._shared.calls.stop.unless_pulled(asyncio.wait_for(writing, job.bounds.wait_write_seconds))
        except StoppedError as stopped:  # pulled meanwhile; or another one has taken over, and this writes nothing more
            self._forget()
            return stopped
        except Exception as failure:  # noqa: BLE001  (whatever the store raises)
            self._shared.log.complain("write down that the quota is waited for, so the task ends instead", failure)
            self._forget()
            return error
        standing.waits, self._shared.keeper.waits = waits, True
        return QuotaWaitError(str(error), until)

    def take_back(self, wait: QuotaWaitError, why: BaseException) -> QuotaExhaustedError:
        """Take a wait back that will not be, with the next write: the next sitting would not find what this one did.

        :param why: the last write has failed.
        :return: what the try ends with instead.
        """
        self._forget()
        summary = f"the quota is gone, and is not waited for, because the checkpoint is not written: {_said(why)}"
        return QuotaExhaustedError(f"{wait}. {summary}", summary=summary)

    def _forget(self) -> None:
        """Have the next write say what was waited for before: a write that has failed may be kept all the same."""
        self._shared.standing.waits = self._before
        self._shared.keeper.state.put("waits", self._before.to_json())


def _more_than(seconds: float) -> float:
    """Return by how much a wait is longer than it must be."""
    return random.uniform(0, min(_MOST_JITTER_SECONDS, seconds * _JITTER_SHARE))  # noqa: S311


def _said(why: BaseException) -> str:
    return str(why) or type(why).__name__


def _too_long(error: QuotaExhaustedError, waits: Waits, most: timedelta) -> QuotaExhaustedError:
    since = f", counted from {waits.began.isoformat(timespec='seconds')}" if waits.began else ""
    summary = f"the quota is not waited for: the wait would end after max_quota_wait ({most}{since})"
    return QuotaExhaustedError(f"{error}. {summary}", error.seconds, summary=summary)
