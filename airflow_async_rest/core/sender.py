"""Requests on their way: each waits for its turn, is counted, and can be the last one."""

import asyncio
from collections.abc import Mapping
from typing import Any

from airflow_async_rest.core.client import RestClient
from airflow_async_rest.core.errors import QuotaExhaustedError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.rate_limit import RateLimiter
from airflow_async_rest.core.report import Meter
from airflow_async_rest.core.retry import RequestRetry, parse_retry_after


class Sender:
    """Sends single requests; any number of workers share it.

    :param headers: of this job, added to the connection's.
    :param meter: counts requests, retries and latencies.
    """

    def __init__(
        self,
        *,
        client: RestClient,
        limiter: RateLimiter,
        retry: RequestRetry,
        headers: Mapping[str, str] | None,
        meter: Meter,
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._retry = retry
        self._headers = headers
        self._meter = meter
        self._in_flight: set[asyncio.Task[Any] | None] = set()
        self._stopped = False

    def stop(self) -> set[asyncio.Task[Any] | None]:
        """Begin no more requests: a worker that is about to is cancelled. :return: the workers with one in flight."""
        self._stopped = True
        return set(self._in_flight)

    async def send(self, request: Request, attempt: int) -> Response:
        """Send a request when its turn has come.

        :param attempt: 1 for the first.
        :raises SendError: when there is no complete answer.
        """
        await self._limiter.acquire()
        if self._stopped:
            raise asyncio.CancelledError
        worker = asyncio.current_task()
        self._in_flight.add(worker)
        self._meter.sending(attempt)
        try:
            response = await self._client.send(request, self._headers)
            self._meter.answered(response.elapsed_seconds)
            return response
        finally:
            self._in_flight.discard(worker)
            self._meter.sent()

    async def pause(self, response: Response | None, attempts: int) -> None:
        """Wait before a request is sent again: as long as the API asks everybody to, or as its backoff says.

        :param attempts: made so far.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        if not self.heed_retry_after(response):
            await asyncio.sleep(self._retry.backoff_seconds(attempts))

    def heed_retry_after(self, response: Response | None) -> bool:
        """Hold everybody back, not only this request, for as long as the API asks. :return: whether it did.

        :raises QuotaExhaustedError: when that is longer than we honour.
        """
        pause = parse_retry_after(response.headers.get("Retry-After")) if response else None
        if not pause:  # none, or "now": then backing off is wiser
            return False
        if pause > self._retry.max_retry_after_seconds:
            raise QuotaExhaustedError(
                f"the API asks for a pause of {pause:.0f} s (Retry-After), which is longer than "
                f"RequestRetry(max_retry_after_seconds={self._retry.max_retry_after_seconds:g}): its quota is gone"
            )
        self._limiter.pause(pause)
        return True
