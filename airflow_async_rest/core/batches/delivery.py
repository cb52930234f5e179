"""One batch -> an outcome for each of its items: sent together, split until the culprits are alone."""

import asyncio
import math
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.batches.answer import BatchAnswer, alike, read_answer
from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.batches.split import Acceptance, Probe, Refusal
from airflow_async_rest.core.errors import ItemError, SendError, StoppedError, let_go
from airflow_async_rest.core.letters.folder import UNREADABLE
from airflow_async_rest.core.models import DELIVERED, DeadLetter, Item, ItemResult, Outcome, Request, Response, Verdict
from airflow_async_rest.core.sending.attempts import Exchange
from airflow_async_rest.core.sending.verdict import NEVER_SENT, UNMATCHED, classify_status, is_fate_unknown, judge_error

_settled_of = attrgetter("settled")
_TOO_LARGE = 413
# Of a body that was too large, this much is sent from then on: its half, and room for rows of uneven sizes.
_SHARE_AFTER_TOO_LARGE = 2 / 3
_AS_A_WHOLE = "refused as a whole, perhaps because of one row: a replay, or a Clear, halves it until that is alone"
# Of a batch that is refused whole, so many items count when it is judged how things go: one row may be at fault, and
# that should not look like the end of all. Ten such batches do.
_MOST_NEWS = 20


@dataclass(slots=True)
class _Group:
    """Items of one request.

    :param requests: that they were in so far.
    :param failures: of these, the last ones that are worth another attempt.
    :param reason: why it is sent again, of its first item.
    :param key: the idempotency key of their request.
    :param lost: whether an attempt of it may have been acted on, and its answer was lost.
    :param stale: requests whose connection turned out to be closed, which are no attempts.
    :param probe: what halving a larger one, of which this is a part, may cost; None: as much as it takes.
    :param refusal: what that was refused with.
    """

    items: list[Item]
    form: BatchForm
    requests: int = 0
    failures: int = 0
    reason: str = ""
    key: str | None = None
    lost: bool = False
    stale: int = 0
    probe: Probe | None = None
    refusal: ItemResult | None = None

    @property
    def size(self) -> int:
        return sum(len(item.part) + 1 for item in self.items)

    def halves(self) -> tuple["_Group", "_Group"]:
        middle = (len(self.items) + 1) // 2
        return self._part(self.items[:middle]), self._part(self.items[middle:])

    def _part(self, items: list[Item]) -> "_Group":
        return _Group(items, self.form, self.requests, probe=self.probe, refusal=self.refusal)


class Settle(Protocol):
    """Takes the outcome of an item.

    :param is_news: whether it counts when it is judged how things go.
    :param is_own: whether it is the item's own, and not that of a whole request.
    """

    def __call__(self, outcome: Outcome, *, is_news: bool = True, is_own: bool = False) -> None:
        """Settle the item.

        :raises StoppedError: when nothing more is to be sent.
        """


class BatchDelivery:
    """Delivers batches; any number of workers share it.

    A batch is only ever halved, and its halves again: so the same rows make the same requests on every try, whatever
    was learned before.

    :param exchange: how single requests are sent and judged; here, each answer says what is sent next.
    :param recorder: is told what goes together, and what was delivered.
    :param settle: takes the outcome of an item that was not delivered.
    :param acceptance: tells whether the API takes batches at all.
    """

    def __init__(self, *, exchange: Exchange, recorder: Recorder, settle: Settle, acceptance: Acceptance) -> None:
        self._exchange = exchange
        self._sender = exchange.sender
        self._recorder = recorder
        self._settle = settle
        self._retry = exchange.retry
        self._largest_bytes = math.inf
        self._acceptance = acceptance
        # What an earlier try has sent well, this one would not get out at all if it had to be the first to be accepted.
        self._accepted_before = recorder.totals.delivered > 0

    async def deliver(self, batch: ItemBatch) -> None:
        """Deliver the items of a batch, and settle each.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        try:
            await self._deliver_batch(batch)
        except BaseException as error:
            self._recorder.leave(batch.items, error)
            raise

    async def _deliver_batch(self, batch: ItemBatch) -> None:
        unsent = 0
        settled = list(filter(None, map(_settled_of, batch.items)))
        for outcome in settled:
            unsent += isinstance(outcome, DeadLetter) and not self._recorder.refused_again(outcome)
            self._settle(outcome, is_news=False)
        if settled:
            batch.items = [item for item in batch.items if item.settled is None]
        items = batch.items
        if items:
            with self._acceptance.delivering():
                await self._deliver(_Group(items, batch.form))
        # After the others: a share of each batch, it would be all that there is before the first answer comes.
        self._recorder.note_failed(unsent)

    async def _deliver(self, group: _Group, *, culprit_inside: bool = False) -> bool:
        """Deliver a group. :return: whether all of it was delivered."""
        if group.probe is not None and group.refusal is not None and group.probe.requests <= 0:
            self._settle_all(group, alike(group.items, group.refusal), last=True)
            return False
        if len(group.items) > 1 and (culprit_inside or self._is_too_large(group)):
            return await self._deliver_halves(group, culprit_inside=culprit_inside)
        answer = await self._send(group)
        last = group.failures + 1 >= self._most_attempts(group)
        if len(group.items) > 1 and await self._may_split(group, answer, last=last):
            too_large = answer.response is not None and answer.response.status == _TOO_LARGE
            if too_large:
                self._largest_bytes = min(self._largest_bytes, group.size * _SHARE_AFTER_TOO_LARGE)
            return await self._deliver_halves(group, culprit_inside=not too_large)
        again, failed = self._settle_all(group, answer, last=last)
        if not again:
            return not failed
        self._recorder.send_together(again)
        await self._sender.pause(answer.response, group.failures)
        rest = _Group(again, group.form, group.requests, group.failures, group.reason, lost=group.lost)
        return await self._deliver(rest) and not failed

    def _is_too_large(self, group: _Group) -> bool:
        # What may be stored although its answer was lost goes again as it was: its halves would have other keys.
        certain = not group.failures and not any(item.uncertain for item in group.items)
        return self._largest_bytes < math.inf and certain and group.size > self._largest_bytes

    def _most_attempts(self, group: _Group) -> int:
        return (group.probe.attempts if group.probe else None) or self._retry.max_attempts

    async def _may_split(self, group: _Group, answer: BatchAnswer, *, last: bool) -> bool:
        """Decide whether a group is sent in halves because of what all of it was answered, and bound what that costs.

        :param last: whether this was its last attempt.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        if answer.of_all is None or answer.of_all.verdict is Verdict.DELIVERED:
            return False
        if answer.response is None:  # it could not be built for one of its items, or nobody has answered
            return answer.of_all.reason in NEVER_SENT
        status, form = answer.response.status, group.form
        if status not in form.batch.split_on or not (answer.of_all.verdict is Verdict.REFUSED or last):
            return False
        replayed = group.items[0].replayed  # its request has gone again as it was, and is refused: it is not stored
        uncertain = not replayed and any(item.uncertain for item in group.items)
        refusal = Refusal(status, len(group.items), group.lost, uncertain)
        if not refusal.may_split:
            return False
        accepted = not refusal.needs_acceptance or await self._acceptance.known()
        if not (accepted or self._accepted_before or replayed):
            hint = ItemResult(
                answer.of_all.verdict, answer.of_all.reason, f"{_AS_A_WHOLE}; {answer.of_all.detail}", status
            )
            answer.results[:] = [hint] * len(group.items)
            return False
        group.refusal = answer.of_all
        group.probe = group.probe or refusal.probe(accepted=accepted)
        if answer.of_all.verdict is Verdict.RETRY:
            self._sender.heed_pause(answer.response)  # the halves wait, too
        return True

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

    async def _send(self, group: _Group) -> BatchAnswer:
        """Send a group once."""
        try:
            request = group.form.build(group.items)
        except ItemError as error:
            let_go(error)
            return alike(group.items, ItemResult(Verdict.REFUSED, error.reason, str(error)))
        if group.probe is not None:
            group.probe.take()
        group.requests += 1
        group.key = request.idempotency_key
        try:
            response = await self._sender.send(request, group.failures + group.stale + 1, group.reason)
        except SendError as error:
            if error.sent:
                self._note_lost(group, request)
            if not group.stale and self._retry.repeats(error, request.method):
                group.stale, group.reason = 1, error.reason
                return await self._send(group)
            return alike(group.items, ItemResult(*judge_error(error)))
        except asyncio.CancelledError:
            if self._sender.has_cut_off():
                _note_uncertain(group)
            raise
        answer = read_answer(self._exchange, group.form, group.items, request, response)
        settling = next((one.verdict for one in answer.results if one.verdict is not Verdict.RETRY), Verdict.RETRY)
        self._sender.judged(response, settling)
        if is_fate_unknown(response) and answer.of_all is not None and answer.of_all is not DELIVERED:
            self._note_lost(group, request)
        return answer

    def _note_lost(self, group: _Group, request: Request) -> None:
        """Note that the API may have acted on a request whose answer is lost."""
        _note_uncertain(group)
        if group.failures + 1 < self._most_attempts(group):
            self._exchange.on_uncertain(request)

    def _settle_all(self, group: _Group, answer: BatchAnswer, *, last: bool) -> tuple[list[Item], int]:
        """Settle what is delivered or failed for good. :return: what is to be sent again, and how many failed.

        :param last: whether nothing is sent again after this attempt.
        """
        if answer.results.count(DELIVERED) == len(group.items):
            self._note_delivered(group.items, answer.already_there)
            return [], 0
        of_verdict: dict[Verdict, list[tuple[Item, ItemResult]]] = {verdict: [] for verdict in Verdict}
        pairs = list(zip(group.items, answer.results, strict=True))
        for item, result in pairs:
            of_verdict[result.verdict].append((item, result))
        again, failed = of_verdict[Verdict.RETRY], of_verdict[Verdict.REFUSED]
        stopped: StoppedError | None = None
        # Without its culprits, a request that was refused for them is another one: this was no attempt at it.
        if failed and self._is_refused(answer.response):
            last = group.failures >= self._retry.max_attempts
        else:
            group.failures += 1
        if again and answer.response is not None and of_verdict[Verdict.DELIVERED]:
            self._sender.press(answer.response)
        # First, so that what fails is judged in the light of what does not, and is all that a stop leaves unfinished.
        self._note_delivered([item for item, _ in of_verdict[Verdict.DELIVERED]], answer.already_there)
        if again and last:
            try:
                self._sender.heed_pause(answer.response)
            except StoppedError as error:  # what may pass is left for after the pause, and is no failure
                stopped = error
            else:
                # In the order of the request: a replay sends dead letters in the order in which they were written.
                again, failed = [], [pair for pair in pairs if pair[1].verdict is not Verdict.DELIVERED]
        group.reason = again[0][1].reason if again else ""
        answered_alike = answer.of_all is not None and answer.of_all.status is not None
        most_news = _MOST_NEWS if answered_alike else len(failed)
        self._settle_failed(group, failed, stopped, most_news=most_news, by_item=answer.of_all is None)
        return [item for item, _ in again], len(failed)

    def _note_delivered(self, items: list[Item], already_there: int) -> None:
        if items:
            self._acceptance.note()
        self._recorder.delivered(items, already_there)

    def _settle_failed(
        self,
        group: _Group,
        failed: list[tuple[Item, ItemResult]],
        stopped: StoppedError | None,
        *,
        most_news: int,
        by_item: bool,
    ) -> None:
        """Settle what failed.

        :param stopped: why nothing more is sent.
        :raises StoppedError: that, or what settling raised, once all of them are settled.
        """
        for place, (item, result) in enumerate(failed):
            try:
                self._settle(self._letter(group, item, result), is_news=place < most_news, is_own=by_item)
            except StoppedError as error:  # after all of them: a part of the request would have another key in a retry
                stopped = stopped or error
        if stopped is not None:
            raise stopped

    def _is_refused(self, response: Response | None) -> bool:
        return response is not None and classify_status(response.status, self._retry) is Verdict.REFUSED

    def _letter(self, group: _Group, item: Item, result: ItemResult) -> DeadLetter:
        try:
            request = self._exchange.excerpts.request(group.form.build_alone(item))
        except ItemError as error:
            let_go(error)
            request = None
        return DeadLetter.of(
            item,
            result.reason,
            detail=self._exchange.excerpts.text(result.detail),
            status=result.status,
            attempts=group.requests,
            request=request,
            batch={**group.form.names, "request": group.key, "items": len(group.items)},
            uncertain=result.reason in {UNREADABLE, UNMATCHED},
        )


def _note_uncertain(group: _Group) -> None:
    group.lost = True
    for item in group.items:
        item.uncertain = True
