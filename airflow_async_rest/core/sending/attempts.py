"""One request, or one item, until it is settled: sent, judged, and sent again as often as that helps."""

from collections.abc import Callable
from dataclasses import dataclass

from airflow_async_rest.core.errors import ItemError, SendError, let_go
from airflow_async_rest.core.models import NO_VALUES, DeadLetter, Delivered, Item, Outcome, Request, Response, Verdict
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.sender import Sender
from airflow_async_rest.core.sending.verdict import (
    Judgment,
    ResponseCheck,
    classify_response,
    is_fate_unknown,
    is_there_already,
    judge_error,
)

_NOT_SENT = Judgment(Verdict.RETRY)


@dataclass(slots=True)  # frozen ones take twice as long to make
class Settled:
    """How a request ended.

    :param judgment: of its last attempt; RETRY when there are no more attempts.
    :param response: None when there was none.
    :param uncertain: whether the API may have acted on an attempt whose answer was lost.
    :param already_there: whether it did, as its last answer says.
    """

    judgment: Judgment
    response: Response | None
    attempts: int
    uncertain: bool = False
    already_there: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the API took it, or answered it."""
        return self.judgment.verdict is Verdict.DELIVERED


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Sends requests until they are settled; any number of workers share it.

    :param needs_body: whether answers are read, so that one whose body is broken is no success.
    :param creates_only: whether requests carry ``If-None-Match: *``.
    :param excerpts: says what the API answered.
    :param on_uncertain: called when a request whose fate is unknown (timeout, reset) is about to be sent again.
    """

    sender: Sender
    retry: RequestRetry
    response_check: ResponseCheck | None
    excerpts: Excerpts
    on_uncertain: Callable[[Request], None]
    needs_body: bool = False
    creates_only: bool = False

    async def settle(self, request: Request, *, uncertain: bool = False) -> Settled:
        """Send a request until it is delivered or refused, or its attempts are used up.

        :param uncertain: whether an earlier try may have sent it, and its answer was lost.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        judgment = _NOT_SENT
        for attempts in range(1, self.retry.max_attempts + 1):
            response: Response | None = None
            try:
                response = await self.sender.send(request, attempts, judgment.reason)
            except SendError as error:
                judgment, lost = judge_error(error), error.sent
            else:
                judgment = classify_response(response, self.retry, self.response_check, needs_body=self.needs_body)
                self.sender.judged(response, judgment.verdict)
                if judgment.verdict is Verdict.DELIVERED:
                    return Settled(judgment, response, attempts, uncertain)
                lost = is_fate_unknown(response)
                if uncertain and self._is_there_already(request, response, judgment):
                    return Settled(Judgment(Verdict.DELIVERED), response, attempts, uncertain, already_there=True)
            uncertain |= lost
            if judgment.verdict is not Verdict.RETRY:
                break
            if attempts == self.retry.max_attempts:
                self.sender.heed_pause(response)
                break
            if lost:
                self.on_uncertain(request)
            await self.sender.pause(response, attempts)
        return Settled(judgment, response, attempts, uncertain)

    def _is_there_already(self, request: Request, response: Response, judgment: Judgment) -> bool:
        return judgment.reason == f"http_{response.status}" and is_there_already(
            request, response.status, creates_only=self.creates_only
        )

    def dead_letter(
        self,
        item: Item,
        request: Request,
        settled: Settled,
        *,
        where: str = "",
        attempts: int | None = None,
        fetch: bool = False,
    ) -> DeadLetter:
        """Make the dead letter of an item whose request was not delivered.

        :param where: which of its requests it was; stands before what the API says.
        :param attempts: of all its requests; None: of this one.
        :param fetch: whether the answer was wanted.
        """
        judgment, response = settled.judgment, settled.response
        return DeadLetter.of(
            item,
            judgment.reason,
            detail=where + self.excerpts.of(request, response, judgment.detail),
            status=response.status if response else None,
            attempts=settled.attempts if attempts is None else attempts,
            request=self.excerpts.request(request, fetch=fetch),
            fetch=fetch,
            uncertain=settled.uncertain,
        )

    def unsent(
        self,
        item: Item,
        reason: str,
        detail: str,
        *,
        request: Request | None = None,
        attempts: int = 0,
        fetch: bool = False,
    ) -> DeadLetter:
        """Make the dead letter of an item that failed for what it is, or for what its answer is."""
        kept = self.excerpts.request(request, fetch=fetch) if request else None
        return DeadLetter.of(
            item, reason, detail=self.excerpts.text(detail), attempts=attempts, request=kept, fetch=fetch
        )


class Delivery:
    """Delivers items one at a time; any number of workers share it.

    :param build: item -> request; raises :class:`ItemError` when there is none.
    """

    def __init__(self, build: Callable[[Item], Request], exchange: Exchange) -> None:
        self._build = build
        self._exchange = exchange

    async def deliver(self, item: Item) -> Outcome:
        """Deliver one item, or say why it could not be delivered.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        try:
            request = self._build(item)
        except ItemError as error:
            let_go(error)
            return self._exchange.unsent(item, error.reason, str(error))
        # They need not be kept until the answer is there: the request has them.
        item.row = NO_VALUES
        item.payload = None
        settled = await self._exchange.settle(request, uncertain=item.uncertain)
        if settled.delivered:
            return Delivered(item.index, settled.attempts, settled.already_there)
        return self._exchange.dead_letter(item, request, settled)
