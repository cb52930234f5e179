"""One item -> one outcome: build, then send and classify until it is settled."""

from collections.abc import Callable

from airflow_async_rest.core.errors import ItemError, SendError
from airflow_async_rest.core.models import DeadLetter, Delivered, Item, Outcome, Request, Response, Verdict
from airflow_async_rest.core.response import ResponseCheck, classify_response
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.sender import Sender


class Delivery:
    """Delivers items one at a time; any number of workers share it.

    :param build: item -> request; raises :class:`ItemError` when there is none.
    :param redact: takes secrets out of what the API answers.
    :param on_uncertain: called when a request whose fate is unknown (timeout, reset) is about to be sent again.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        build: Callable[[Item], Request],
        retry: RequestRetry,
        response_check: ResponseCheck | None,
        redact: Callable[[str], str],
        on_uncertain: Callable[[Request], None],
    ) -> None:
        self._sender = sender
        self._build = build
        self._retry = retry
        self._check = response_check
        self._redact = redact
        self._on_uncertain = on_uncertain

    async def deliver(self, item: Item) -> Outcome:
        """Deliver one item, or say why it could not be delivered.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        try:
            request = self._build(item)
        except ItemError as error:
            return DeadLetter.of(item, error.reason, detail=self._redact(str(error)))
        for attempts in range(1, self._retry.max_attempts + 1):
            response: Response | None = None
            try:
                response = await self._sender.send(request, attempts)
            except SendError as error:
                verdict, reason, detail = Verdict.RETRY, error.reason, str(error)
            else:
                verdict, reason, detail = classify_response(response, self._retry, self._check)
            if verdict is Verdict.DELIVERED:
                return Delivered(item.index, attempts)
            if verdict is Verdict.REFUSED:
                break
            if attempts == self._retry.max_attempts:
                self._sender.heed_retry_after(response)
                break
            if response is None:
                self._on_uncertain(request)
            await self._sender.pause(response, attempts)
        excerpt = "; ".join(part for part in (detail, response.text if response else "") if part)
        return DeadLetter.of(
            item,
            reason,
            detail=self._redact(excerpt),
            status=response.status if response else None,
            attempts=attempts,
            request=request,
        )
