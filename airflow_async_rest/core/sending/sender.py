"""Requests on their way: each waits for its turn, is counted, and can be the last one."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from airflow_async_rest.core.errors import MostlyFailingError, QuotaExhaustedError, SendError
from airflow_async_rest.core.limits.adaptive import AdaptiveConcurrency
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.models import Request, Response, Verdict
from airflow_async_rest.core.sending.auth import REFUSALS, Auth, Signing
from airflow_async_rest.core.sending.meter import Meter
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.standstill import Standstill
from airflow_async_rest.core.sending.verdict import pause_of
from airflow_async_rest.core.transport.transport import Transport

_FIRST_FAILURE, _TOO_MANY, _FIRST_SERVER_ERROR = 300, 429, 500


class Sender:
    """Sends single requests; any number of workers share it.

    :param auth: signs requests; None: the connection's headers say all.
    :param concurrency: finds out how many requests there may be; None: as many as there are workers.
    :param meter: counts requests, retries and latencies.
    :param on_pause: called when everybody begins to wait, with the seconds that the API asks for.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        limiter: Limiter,
        auth: Auth | None = None,
        concurrency: AdaptiveConcurrency | None = None,
        retry: RequestRetry,
        meter: Meter,
        on_pause: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._limiter = limiter
        self._concurrency = concurrency
        self._signing = Signing(auth, limiter) if auth else None
        self._send_observed = partial(self._send_adapting, concurrency) if concurrency else self._send
        self._retry = retry
        self._meter = meter
        self._on_pause = on_pause
        self._clock = clock
        self._standstill = Standstill(retry)
        self._last_failure = ""
        self._in_flight: set[asyncio.Task[Any] | None] = set()
        self._stopped = False

    def stop(self) -> set[asyncio.Task[Any] | None]:
        """Begin no more requests: a worker that is about to is cancelled. :return: the workers with one in flight."""
        self._stopped = True
        return set(self._in_flight)

    async def send(self, request: Request, attempt: int, reason: str = "") -> Response:
        """Send a request when its turn has come.

        :param attempt: 1 for the first.
        :param reason: why the one before failed.
        :raises SendError: when there is no complete answer.
        :raises MostlyFailingError: instead of sending, when nothing has been answered for too long.
        """
        if self._concurrency is not None:
            await self._concurrency.requests.acquire()
        try:
            if self._signing is not None:
                return await self._send_signed(self._signing, request, attempt, reason)
            await self._limiter.acquire()
            return await self._send_observed(request, attempt, reason)
        finally:
            if self._concurrency is not None:
                self._concurrency.requests.release()

    async def _send_signed(self, signing: Signing, request: Request, attempt: int, reason: str) -> Response:
        """Send a request with what identifies it, and once more when it was refused for that, and that is renewed."""
        signed, renewals = await signing.sign(request)
        response = await self._send_observed(signed, attempt, reason)
        if response.status in REFUSALS and await signing.renews(response, renewals):
            signed, _ = await signing.sign(request)
            return await self._send_observed(signed, attempt + 1, f"http_{response.status}")
        return response

    async def _send(self, request: Request, attempt: int, reason: str) -> Response:
        if self._stopped:
            raise asyncio.CancelledError
        if self._standstill.is_too_long:
            raise self._stands_still()
        worker = asyncio.current_task()
        self._in_flight.add(worker)
        self._meter.sending(attempt, reason)
        sent_at = self._clock()
        try:
            response = await self._transport.send(request)
        except SendError as error:
            self._standstill.failed(self._clock(), sent_at)
            self._last_failure = f"{error.reason}: {error}"
            raise
        else:
            self._meter.answered(response.elapsed_seconds)
            return response
        finally:
            self._in_flight.discard(worker)
            self._meter.sent()

    def _stands_still(self) -> MostlyFailingError:
        stood = self._standstill
        return MostlyFailingError(
            f"the API has not answered well for {stood.seconds:.0f} s: {stood.failures} requests in a row failed, the "
            f"last one with {self._last_failure}. A retry goes on where this try ended"
        )

    def judged(self, response: Response, verdict: Verdict) -> None:
        """Note what an answer means: whether the API goes on, or stands still.

        :param verdict: of a request for many items: of any that is not to be sent again.
        """
        now = self._clock()
        if verdict is not Verdict.RETRY and response.status < _FIRST_SERVER_ERROR:
            self._standstill.progressed(now, now - response.elapsed_seconds)
        elif not pause_of(response):
            self._standstill.failed(now, now - response.elapsed_seconds)
            self._last_failure = f"status {response.status}"

    async def _send_adapting(
        self, concurrency: AdaptiveConcurrency, request: Request, attempt: int, reason: str
    ) -> Response:
        """Send, and let the concurrency learn from it."""
        sent_at, success, pressure = concurrency.sending(), False, False
        try:
            response = await self._send(request, attempt, reason)
        except SendError:
            pressure = True
            raise
        else:
            success = response.status < _FIRST_FAILURE
            pressure = response.status == _TOO_MANY or response.status >= _FIRST_SERVER_ERROR
            return response
        finally:
            concurrency.answered(sent_at, success=success, pressure=pressure)

    def press(self, response: Response) -> None:
        """Note that the API could not take all items of a request for now: it asks for less."""
        if self._concurrency is not None:
            self._concurrency.press(response.elapsed_seconds)

    async def pause(self, response: Response | None, attempts: int) -> None:
        """Wait before a request is sent again: as long as the API asks everybody to, or as its backoff says.

        :param attempts: made so far.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        if not self.heed_pause(response):
            with self._concurrency.backing_off() if self._concurrency else contextlib.nullcontext():
                await asyncio.sleep(self._retry.backoff_seconds(attempts))

    def heed_pause(self, response: Response | None) -> bool:
        """Hold everybody back, not only this request, for as long as the API asks. :return: whether it did.

        :raises QuotaExhaustedError: when that is longer than we honour, by itself or after pauses that changed nothing.
        """
        pause = pause_of(response) if response else None
        if response is None or not pause:  # none, or "now": then backing off is wiser
            return False
        if pause > self._retry.max_retry_after_seconds:
            raise QuotaExhaustedError(
                f"the API asks for a pause of {pause:.0f} s, which is longer than "
                f"RequestRetry(max_retry_after_seconds={self._retry.max_retry_after_seconds:g}): its quota is gone"
            )
        now = self._clock()
        if waited := self._standstill.paused(now, now - response.elapsed_seconds, pause):
            raise QuotaExhaustedError(
                f"the API asks for {pause:.0f} s more after pauses of {waited:.0f} s in which it took nothing: its "
                "quota is gone, or it is away. A retry goes on where this try ended"
            )
        if self._limiter.pause(pause):
            self._on_pause(pause)
        return True
