"""A request until it is settled: sent when its turn has come, judged, and sent again as often as that helps."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import ItemError, SendError
from airflow_async_rest.core.limits.adaptive import AdaptiveConcurrency, Places
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.limits.quotas import COMMON, QuotaHeaders, ToldLimit
from airflow_async_rest.core.models import DeadLetter, Delivered, Item, Outcome, Request, Response, Verdict
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.sending.auth import Auth, Signing
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.sending.meter import Meter, Standstill
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import (
    Judgment,
    ResponseCheck,
    classify_response,
    is_fate_unknown,
    is_there_already,
    judge_error,
    pause_of,
)
from airflow_async_rest.core.transport.transport import Transport

_FIRST_SERVER_ERROR = 500
# Refusals that say themselves for how long, in headers that are more exact.
_FOR_NOW = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_NOT_SENT = Judgment(Verdict.RETRY)
# A request, the number of its attempt, and why the one before failed -> its answer.
Once = Callable[[Request, int, str], Awaitable[Response]]
# One answer that says something wrong must not hold all tasks for ever.
_MOST_SHARED_SECONDS = 86_400.0


@dataclass(kw_only=True)
class Sender:
    """Sends single requests; any number of workers share it. Made inside the running event loop.

    :param auth: signs requests; None: the connection's headers say all.
    :param redaction: is told what is secret in that.
    :param concurrency: finds out how many requests there may be; None: as many as there are workers.
    :param meter: counts requests, retries and latencies.
    :param on_pause: called when everybody begins to wait, with the seconds that the API asks for.
    :param quota_headers: in which the API may tell how many requests remain, beside ``RateLimit``.
    :param say: logs, once, what comes of that.
    :param standstill_seconds: how long there may be no progress before nothing more is sent.
    :ivar send: sends a request when its turn has come. It is given the number of the attempt, and why the one before
        failed; it raises :class:`~airflow_async_rest.core.errors.SendError` when there is no complete answer, and
        :class:`~airflow_async_rest.core.errors.MostlyFailingError` when nothing has been answered for too long.
    """

    transport: Transport
    limiter: Limiter
    auth: Auth | None = None
    redaction: Redaction = field(default_factory=Redaction)
    concurrency: AdaptiveConcurrency | None = None
    retry: RequestRetry
    meter: Meter
    on_pause: Callable[[float], None] = lambda _: None
    quota_headers: tuple[QuotaHeaders, ...] = COMMON
    say: Callable[..., None] = lambda *_: None
    standstill_seconds: float = USUAL.standstill_seconds
    clock: Callable[[], float] = time.monotonic
    send: Once = field(init=False)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        send = self.transport.send
        self._transmit = partial(self.concurrency.observe, send) if self.concurrency else send
        granted = partial(self._send, is_granted=True)
        once = Signing(self.auth, self.limiter, granted, self.redaction).send if self.auth else self._send
        self.send = partial(self._in_place, self.concurrency.requests, once) if self.concurrency else once
        self._standstill = Standstill(self.retry, self.standstill_seconds)
        self._told_limit = ToldLimit(
            self.limiter,
            lambda: self.meter.in_flight - 1,  # without the one whose answer tells it
            families=self.quota_headers,
            longest_seconds=self.retry.max_retry_after_seconds,
            say=self.say,
        )
        self._plain_headers: Mapping[str, str] | None = None
        self._in_flight: set[asyncio.Task[Any] | None] = set()
        self._stopped, self._all_ended = False, asyncio.Event()
        self._cut_off: set[asyncio.Task[Any] | None] = set()
        self.transport.before_redirect = self._before_redirect

    def stop(self) -> set[asyncio.Task[Any] | None]:
        """Begin no more requests: a worker that is about to is cancelled. :return: the workers with one in flight."""
        self._stopped = True
        if not self._in_flight:
            self._all_ended.set()
        return set(self._in_flight)

    def has_cut_off(self) -> bool:
        """Return whether the worker that asks was cancelled with a request in flight: the API may act on that."""
        return asyncio.current_task() in self._cut_off

    async def until_ended(self, seconds: float) -> None:
        """Wait until no request is in flight any more, after a stop. :param seconds: at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), seconds)

    async def _in_place(self, places: Places, once: Once, request: Request, attempt: int, reason: str) -> Response:
        await places.acquire()
        try:
            return await once(request, attempt, reason)
        finally:
            places.release()

    async def _send(self, request: Request, attempt: int, reason: str, *, is_granted: bool = False) -> Response:
        if not is_granted:
            await self.limiter.acquire()
        if self._stopped or self._standstill.is_too_long:
            raise self._end()
        worker = asyncio.current_task(self._loop)
        self._in_flight.add(worker)
        self.meter.sending(attempt, reason)
        sent_at, seconds = self.clock(), None
        try:
            response = await self._transmit(request)
        except SendError as error:
            self._standstill.failed(self.clock(), sent_at, f"{error.reason}: {error}")
            raise
        except asyncio.CancelledError:
            self._cut_off.add(worker)
            raise
        else:
            seconds = response.elapsed_seconds
            if response.headers is not self._plain_headers:
                self._heed_limit(response)
            return response
        finally:
            self._in_flight.discard(worker)
            if self._stopped and not self._in_flight:
                self._all_ended.set()
            self.meter.sent(seconds)

    def _heed_limit(self, response: Response) -> None:
        """Slow down as an answer tells; many answers have the very headers of the one before, and most tell nothing."""
        if not any(name in response.headers for name in self._told_limit.names):
            self._plain_headers = response.headers
        elif response.status not in _FOR_NOW:
            self._told_limit.heed(response.headers)

    async def _before_redirect(self) -> None:
        """Wait until one request more may be sent, and count it, though not as an attempt of the item's."""
        if self._stopped:
            raise asyncio.CancelledError
        worker = asyncio.current_task(self._loop)
        self._in_flight.discard(worker)  # while it waits it has nothing on its way that a stop would wait for
        await self.limiter.acquire()
        if self._stopped or self._standstill.is_too_long:
            raise self._end()
        self._in_flight.add(worker)
        self.meter.requests += 1

    def _end(self) -> BaseException:
        """Return why nothing more is sent, once the place that was granted is free for others."""
        self.limiter.give_back()
        return asyncio.CancelledError() if self._stopped else self._standstill.error()

    def judged(self, response: Response, verdict: Verdict) -> None:
        """Note what an answer means: whether the API goes on, or stands still.

        :param verdict: of a request for many items: of any that is not to be sent again.
        """
        now = self.clock()
        sent_at = now - response.elapsed_seconds
        if verdict is not Verdict.RETRY and response.status < _FIRST_SERVER_ERROR:
            self._standstill.progressed(now, sent_at)
        elif not self._pause_of(response):
            self._standstill.failed(now, sent_at, f"status {response.status}")

    def _pause_of(self, response: Response) -> float | None:
        return pause_of(response, self.quota_headers)

    def press(self, response: Response) -> None:
        """Note that the API could not take all items of a request for now: it asks for less."""
        if self.concurrency is not None:
            self.concurrency.press(response.elapsed_seconds)

    async def pause(self, response: Response | None, attempts: int) -> None:
        """Wait before a request is sent again: as long as the API asks everybody to, or as its backoff says.

        :param attempts: made so far.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        if not self.heed_pause(response):
            with self.concurrency.backing_off() if self.concurrency else contextlib.nullcontext():
                await asyncio.sleep(self.retry.backoff_seconds(attempts))

    def heed_pause(self, response: Response | None) -> bool:
        """Hold everybody back, not only this request, for as long as the API asks. :return: whether it did.

        :raises QuotaExhaustedError: when that is longer than we honour, by itself or after pauses that changed nothing.
        """
        pause = self._pause_of(response) if response else None
        if response is None or not pause:  # none, or "now": then backing off is wiser
            return False
        now = self.clock()
        if error := self._standstill.quota_error(now, now - response.elapsed_seconds, pause):
            self.limiter.pause(min(pause, _MOST_SHARED_SECONDS))  # all who share the limit wait, or end, as this task
            raise error
        if self.limiter.pause(pause):
            self.on_pause(pause)
        return True


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

    async def settle(self, request: Request, item: Item | None = None) -> Settled:
        """Send a request until it is delivered or refused, or its attempts are used up.

        :param item: that it delivers; it says whether an earlier try may have sent it, whose answer was lost, and is
            told when an attempt's is.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        judgment, attempts, most = _NOT_SENT, 0, self.retry.max_attempts
        uncertain = item is not None and item.uncertain
        while attempts < most:
            attempts += 1
            response, is_stale = None, False
            try:
                response = await self.sender.send(request, attempts, judgment.reason)
            except SendError as error:
                judgment, lost = judge_error(error), error.sent
                most += (is_stale := most == self.retry.max_attempts and self.retry.repeats(error, request.method))
            else:
                families = self.sender.quota_headers
                judgment = classify_response(
                    response, self.retry, self.response_check, needs_body=self.needs_body, families=families
                )
                self.sender.judged(response, judgment.verdict)
                if judgment.verdict is Verdict.DELIVERED:
                    return Settled(judgment, response, attempts, uncertain)
                lost = is_fate_unknown(response)
                if uncertain and self._is_there_already(request, response, judgment):
                    return Settled(Judgment(Verdict.DELIVERED), response, attempts, uncertain, already_there=True)
            if lost:
                uncertain = True
                self._note_lost(request, item, goes_again=judgment.verdict is Verdict.RETRY and attempts < most)
            if judgment.verdict is not Verdict.RETRY:
                break
            if attempts == most:
                self.sender.heed_pause(response)
                break
            if not is_stale:
                await self.sender.pause(response, attempts)
        return Settled(judgment, response, attempts, uncertain)

    def _note_lost(self, request: Request, item: Item | None, *, goes_again: bool) -> None:
        if item is not None:
            item.uncertain = True
        if goes_again:
            self.on_uncertain(request)

    def _is_there_already(self, request: Request, response: Response, judgment: Judgment) -> bool:
        return judgment.reason == f"http_{response.status}" and is_there_already(
            request, response.status, creates_only=self.creates_only
        )

    def dead_letter(
        self,
        item: Item,
        request: Request | None,
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
            request=self.excerpts.request(request, fetch=fetch) if request else None,
            fetch=fetch,
            uncertain=settled.uncertain,
        )

    def unread(self, item: Item, error: ItemError, request: Request | None, attempts: int) -> DeadLetter:
        """Make the dead letter of an item whose answer was wanted, and is none that can be taken.

        :param request: the last one; None when none could be built.
        """
        settled = Settled(Judgment(Verdict.REFUSED, error.reason, str(error)), None, attempts)
        return self.dead_letter(item, request, settled, fetch=True)


class Delivery:
    """Delivers items one at a time; any number of workers share it.

    :param settle: takes what became of an item.
    :param leave: takes items that are not settled, and the error that ends them.
    """

    def __init__(
        self,
        exchange: Exchange,
        settle: Callable[[Outcome], None],
        leave: Callable[[Sequence[Item], BaseException], None],
    ) -> None:
        self._exchange = exchange
        self._settle, self._leave = settle, leave

    async def deliver(self, item: Item) -> None:
        """Deliver one item, and settle it; one that is settled already only that.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        try:
            outcome: Outcome | None = item.settled
            if outcome is None:
                request = item.request
                assert request is not None  # noqa: S101  (its source has made it, or settled the item)
                settled = await self._exchange.settle(request, item)
                if settled.delivered:
                    outcome = Delivered(item.index, settled.attempts, settled.already_there)
                else:
                    outcome = self._exchange.dead_letter(item, request, settled)
            self._settle(outcome)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                item.uncertain |= self._exchange.sender.has_cut_off()
            self._leave((item,), error)
            raise
