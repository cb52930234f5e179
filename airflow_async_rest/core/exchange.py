"""One request until it is settled: sent, judged, and sent again as often as that helps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.errors import ResponseTooLargeError, SendError
from airflow_async_rest.core.models import DeadLetter, Item, Request, Response, Verdict
from airflow_async_rest.core.response import ResponseCheck, classify_response
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.sender import Sender


@dataclass(frozen=True, slots=True)
class Settled:
    """How a request ended.

    :param verdict: of its last attempt; RETRY when there are no more attempts.
    :param reason: the word for reports; empty when delivered.
    :param detail: for people.
    :param response: None when there was none.
    """

    verdict: Verdict
    reason: str
    detail: str
    response: Response | None
    attempts: int


class Exchange:
    """Sends requests until they are settled; any number of workers share it.

    :param redact: takes secrets out of what the API answers.
    :param on_uncertain: called when a request whose fate is unknown (timeout, reset) is about to be sent again.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        retry: RequestRetry,
        response_check: ResponseCheck | None,
        redact: Callable[[str], str],
        on_uncertain: Callable[[Request], None],
    ) -> None:
        self._sender = sender
        self._retry = retry
        self._check = response_check
        self._redact = redact
        self._on_uncertain = on_uncertain

    async def settle(self, request: Request) -> Settled:
        """Send a request until it is delivered or refused, or its attempts are used up.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        reason = ""
        for attempts in range(1, self._retry.max_attempts + 1):
            response: Response | None = None
            try:
                response = await self._sender.send(request, attempts, reason)
            except ResponseTooLargeError as error:  # and would be again
                return Settled(Verdict.REFUSED, error.reason, str(error), None, attempts)
            except SendError as error:
                verdict, reason, detail = Verdict.RETRY, error.reason, str(error)
            else:
                verdict, reason, detail = classify_response(response, self._retry, self._check)
            if verdict is not Verdict.RETRY:
                break
            if attempts == self._retry.max_attempts:
                self._sender.heed_retry_after(response)
                break
            if response is None:
                self._on_uncertain(request)
            await self._sender.pause(response, attempts)
        return Settled(verdict, reason, detail, response, attempts)

    def dead_letter(self, item: Item, request: Request, settled: Settled, **more: Any) -> DeadLetter:
        """Make the dead letter of an item whose request was not delivered.

        :param more: see :meth:`DeadLetter.of`.
        """
        response = settled.response
        excerpt = "; ".join(part for part in (settled.detail, response.text if response else "") if part)
        about = {"attempts": settled.attempts, "request": request, **more}
        status = response.status if response else None
        return DeadLetter.of(item, settled.reason, detail=self._redact(excerpt), status=status, **about)

    def unsent(self, item: Item, reason: str, detail: str, **more: Any) -> DeadLetter:
        """Make the dead letter of an item that failed for what it is, or for what its answer is."""
        return DeadLetter.of(item, reason, detail=self._redact(detail), **more)
