"""One item -> one outcome: build, then [limit, send, classify] until it is settled."""

import asyncio
from collections.abc import Callable
from typing import Any

from airflow_async_rest.core.client import RestClient
from airflow_async_rest.core.errors import ItemError, QuotaExhaustedError, SendError
from airflow_async_rest.core.models import DeadLetter, Delivered, Item, Outcome, Request, Response, Verdict
from airflow_async_rest.core.rate_limit import RateLimiter
from airflow_async_rest.core.report import Meter
from airflow_async_rest.core.response import ResponseCheck, classify_response
from airflow_async_rest.core.retry import RequestRetry, parse_retry_after


class Delivery:
    """Delivers items one at a time; any number of workers share it.

    :param build: item -> request; raises :class:`ItemError` when there is none.
    :param redact: takes secrets out of what the API answers.
    :param meter: counts requests, retries and latencies.
    :param on_uncertain: called when a request whose fate is unknown (timeout, reset) is about to be sent again.
    """

    def __init__(
        self,
        *,
        client: RestClient,
        limiter: RateLimiter,
        build: Callable[[Item], Request],
        retry: RequestRetry,
        response_check: ResponseCheck | None,
        redact: Callable[[str], str],
        meter: Meter,
        on_uncertain: Callable[[Request], None],
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._build = build
        self._retry = retry
        self._check = response_check
        self._redact = redact
        self._meter = meter
        self._on_uncertain = on_uncertain
        self._in_flight: set[asyncio.Task[Any] | None] = set()
        self._stopped = False

    def stop(self) -> set[asyncio.Task[Any] | None]:
        """Begin no more requests: a worker that is about to is cancelled. :return: the workers with one in flight."""
        self._stopped = True
        return set(self._in_flight)

    async def deliver(self, item: Item) -> Outcome:
        """Deliver one item, or say why it could not be delivered.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        try:
            request = self._build(item)
        except ItemError as error:
            return DeadLetter.of(item, error.reason, detail=self._redact(str(error)))
        for attempts in range(1, self._retry.max_attempts + 1):
            await self._limiter.acquire()
            if self._stopped:
                raise asyncio.CancelledError
            worker = asyncio.current_task()
            self._in_flight.add(worker)
            self._meter.sending(attempts)
            response: Response | None = None
            try:
                response = await self._client.send(request)
            except SendError as error:
                verdict, reason, detail = Verdict.RETRY, error.reason, str(error)
            else:
                self._meter.answered(response.elapsed_seconds)
                verdict, reason, detail = classify_response(response, self._retry, self._check)
            finally:
                self._in_flight.discard(worker)
                self._meter.sent()
            if verdict is Verdict.DELIVERED:
                return Delivered(item.index, attempts)
            paused = verdict is Verdict.RETRY and self._heed_retry_after(response)
            if verdict is Verdict.REFUSED or attempts == self._retry.max_attempts:
                break
            if response is None:
                self._on_uncertain(request)
            if not paused:
                await asyncio.sleep(self._retry.backoff_seconds(attempts))
        excerpt = "; ".join(part for part in (detail, response.text if response else "") if part)
        return DeadLetter.of(
            item,
            reason,
            detail=self._redact(excerpt),
            status=response.status if response else None,
            attempts=attempts,
            request=request,
        )

    def _heed_retry_after(self, response: Response | None) -> bool:
        """Hold everybody back, not only this item, for as long as the API asks. :return: whether it did."""
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
