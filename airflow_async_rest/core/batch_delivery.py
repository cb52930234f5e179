"""One batch -> an outcome for each of its items: sent together, split until the culprits are alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from airflow_async_rest.core.batch_form import BatchForm, ItemBatch
from airflow_async_rest.core.errors import ItemError, ResultsError, SendError, StoppedError
from airflow_async_rest.core.models import DELIVERED, DeadLetter, Item, ItemResult, Outcome, Request, Response, Verdict
from airflow_async_rest.core.recorder import Recorder
from airflow_async_rest.core.response import UNMATCHED, ResponseCheck, classify_response, classify_status
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.sender import Sender

_TOO_LARGE = 413
# A refusal of all that may be the fault of one.
_SPLIT_AT = frozenset({400, _TOO_LARGE, 422})
# Of a body that was too large, this much is sent from then on: its half, and room for rows of uneven sizes.
_SHARE_AFTER_TOO_LARGE = 2 / 3


@dataclass(slots=True)
class _Group:
    """Items of one request.

    :param requests: that they were in so far.
    :param failures: of these, the last ones that are worth another attempt.
    :param reason: why it is sent again, of its first item.
    :param key: the idempotency key of their request.
    """

    items: list[Item]
    form: BatchForm
    requests: int = 0
    failures: int = 0
    reason: str = ""
    key: str | None = None

    @property
    def size(self) -> int:
        return sum(len(item.part) + 1 for item in self.items)

    def halves(self) -> tuple["_Group", "_Group"]:
        middle = (len(self.items) + 1) // 2
        return (
            _Group(self.items[:middle], self.form, self.requests),
            _Group(self.items[middle:], self.form, self.requests),
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What became of the items of a group.

    :param response: None when there was none.
    :param may_be_one_items_fault: whether all were refused, perhaps because of one.
    """

    results: list[ItemResult]
    response: Response | None = None
    may_be_one_items_fault: bool = False


class BatchDelivery:
    """Delivers batches; any number of workers share it.

    A batch is only ever halved, and its halves again: so the same rows make the same requests on every try, whatever
    was learned before.

    :param recorder: is told what goes together, and what was delivered.
    :param settle: takes the outcome of an item that was not delivered.
    :param redact: takes secrets out of what the API answers.
    :param on_uncertain: called when a request whose fate is unknown (timeout, reset) is about to be sent again.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        recorder: Recorder,
        settle: Callable[[Outcome], None],
        retry: RequestRetry,
        response_check: ResponseCheck | None,
        redact: Callable[[str], str],
        on_uncertain: Callable[[Request], None],
    ) -> None:
        self._sender = sender
        self._recorder = recorder
        self._settle = settle
        self._retry = retry
        self._check = response_check
        self._redact = redact
        self._on_uncertain = on_uncertain
        self._largest_bytes = math.inf

    async def deliver(self, batch: ItemBatch) -> None:
        """Deliver the items of a batch, and settle each.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        for item in batch.items:
            if item.settled is not None:
                self._settle(item.settled)
        items = [item for item in batch.items if item.settled is None]
        if items:
            await self._deliver(_Group(items, batch.form))

    async def _deliver(self, group: _Group, *, culprit_inside: bool = False) -> bool:
        """Deliver a group. :return: whether all of it was delivered."""
        # What may be stored although its answer was lost goes again as it was: its halves would have other keys.
        if len(group.items) > 1 and (culprit_inside or (self._is_too_large(group) and not group.failures)):
            return await self._deliver_halves(group, culprit_inside=culprit_inside)
        answer = await self._send(group)
        if answer.may_be_one_items_fault and len(group.items) > 1:
            too_large = answer.response is not None and answer.response.status == _TOO_LARGE
            if too_large:
                self._largest_bytes = min(self._largest_bytes, group.size * _SHARE_AFTER_TOO_LARGE)
            return await self._deliver_halves(group, culprit_inside=not too_large)
        again, failed = self._settle_all(group, answer)
        if not again:
            return not failed
        self._recorder.send_together(again)
        await self._sender.pause(answer.response, group.failures)
        rest = _Group(again, group.form, group.requests, group.failures, group.reason)
        return await self._deliver(rest) and not failed

    def _is_too_large(self, group: _Group) -> bool:
        return self._largest_bytes < math.inf and group.size > self._largest_bytes

    async def _deliver_halves(self, group: _Group, *, culprit_inside: bool) -> bool:
        """Deliver a group as two.

        :param culprit_inside: whether an item is known to be at fault: if it is not in the first half, the second
            one need not be sent whole to know that it is refused.
        """
        first, second = group.halves()
        self._recorder.send_together(first.items)
        self._recorder.send_together(second.items)
        good = await self._deliver(first)
        return await self._deliver(second, culprit_inside=culprit_inside and good) and good

    async def _send(self, group: _Group) -> _Answer:
        """Send a group once."""
        try:
            request = group.form.build(group.items)
        except ItemError as error:
            result = ItemResult(Verdict.REFUSED, error.reason, str(error))
            return _Answer([result] * len(group.items), may_be_one_items_fault=True)
        group.requests += 1
        group.key = request.idempotency_key
        try:
            response = await self._sender.send(request, group.failures + 1, group.reason)
        except SendError as error:
            if group.failures + 1 < self._retry.max_attempts:
                self._on_uncertain(request)
            return _Answer([ItemResult(Verdict.RETRY, error.reason, str(error))] * len(group.items))
        try:
            results = group.form.read(response, group.items, checked=self._check is not None)
        except ResultsError as error:
            detail = f"{error}; {response.text}"
            results = [ItemResult(Verdict.REFUSED, UNMATCHED, detail, response.status)] * len(group.items)
        if results is not None:
            return _Answer(results, response)
        result = result_of_response(response, self._retry, self._check)
        splits = result.verdict is Verdict.REFUSED and response.status in _SPLIT_AT
        return _Answer([result] * len(group.items), response, may_be_one_items_fault=splits)

    def _settle_all(self, group: _Group, answer: _Answer) -> tuple[list[Item], int]:
        """Settle what is delivered or failed for good. :return: what is to be sent again, and how many failed."""
        if answer.results.count(DELIVERED) == len(group.items):
            self._recorder.delivered(group.items)
            return [], 0
        of_verdict: dict[Verdict, list[tuple[Item, ItemResult]]] = {verdict: [] for verdict in Verdict}
        pairs = list(zip(group.items, answer.results, strict=True))
        for item, result in pairs:
            of_verdict[result.verdict].append((item, result))
        again, failed = of_verdict[Verdict.RETRY], of_verdict[Verdict.REFUSED]
        # Without its culprits, a request that was refused for them is another one: this was no attempt at it.
        if not (failed and self._is_refused(answer.response)):
            group.failures += 1
        last = group.failures >= self._retry.max_attempts
        if again and answer.response is not None and of_verdict[Verdict.DELIVERED]:
            self._sender.press(answer.response)
        # First, so that what fails is judged in the light of what does not, and is all that a stop leaves unfinished.
        self._recorder.delivered([item for item, _ in of_verdict[Verdict.DELIVERED]])
        if again and last:
            self._sender.heed_retry_after(answer.response)
            # In the order of the request: a replay sends dead letters in the order in which they were written.
            again, failed = [], [pair for pair in pairs if pair[1].verdict is not Verdict.DELIVERED]
        group.reason = again[0][1].reason if again else ""
        stopped: StoppedError | None = None
        for item, result in failed:
            try:
                self._settle(self._letter(group, item, result))
            except StoppedError as error:  # after all of them: a part of the request would have another key in a retry
                stopped = stopped or error
        if stopped is not None:
            raise stopped
        return [item for item, _ in again], len(failed)

    def _is_refused(self, response: Response | None) -> bool:
        return response is not None and classify_status(response.status, self._retry) is Verdict.REFUSED

    def _letter(self, group: _Group, item: Item, result: ItemResult) -> DeadLetter:
        try:
            request = group.form.build_alone(item)
        except ItemError:
            request = None
        return DeadLetter.of(
            item,
            result.reason,
            detail=self._redact(result.detail),
            status=result.status,
            attempts=group.requests,
            request=request,
            batch={**group.form.names, "request": group.key, "items": len(group.items)},
        )


def result_of_response(response: Response, retry: RequestRetry, check: ResponseCheck | None) -> ItemResult:
    """Judge all items of an answer alike."""
    verdict, reason, detail = classify_response(response, retry, check)
    if verdict is Verdict.DELIVERED:
        return DELIVERED
    excerpt = "; ".join(part for part in (detail, response.text) if part)
    return ItemResult(verdict, reason, excerpt, response.status)
