"""The middle of a try: everything that there is to send goes out, and is settled and written down as it comes."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from airflow_async_rest.core.account.judgment import give_up_when_hopeless
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.batches.delivery import BatchDelivery
from airflow_async_rest.core.batches.form import ItemBatch
from airflow_async_rest.core.batches.split import Acceptance
from airflow_async_rest.core.fetching.fetching import Fetching
from airflow_async_rest.core.job import Fetch, Job
from airflow_async_rest.core.keeping.intervals import Writing
from airflow_async_rest.core.limits.adaptive import MOST, AdaptiveConcurrency, Places
from airflow_async_rest.core.models import DeadLetter, Item, Outcome
from airflow_async_rest.core.phases.committing import ending, keep_or_undo
from airflow_async_rest.core.phases.key_order import KeyOrder
from airflow_async_rest.core.phases.opening import Start
from airflow_async_rest.core.phases.shared import Shared
from airflow_async_rest.core.pipeline import ThreadedSource, run_pipeline
from airflow_async_rest.core.replay import can_replay
from airflow_async_rest.core.requests.headers import creates_only
from airflow_async_rest.core.sending.attempts import Delivery, Exchange, Sender
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.transport.transport import Transport
from airflow_async_rest.core.watching.log import JobLog
from airflow_async_rest.core.watching.progress import Progress

Deliver = Callable[[Item | ItemBatch], Awaitable[None]]
Finish = Callable[[], Awaitable[None]]


class Delivering:
    """Sends what there is to send, from one start or another. Made inside the running event loop."""

    def __init__(self, shared: Shared) -> None:
        job = shared.job
        self._job, self._keeper, self._standing = job, shared.keeper, shared.standing
        self._log, self._observing, self._calls = shared.log, shared.observing, shared.calls
        self._limiter = job.limiter(job.rate_limit)
        self._adaptive = AdaptiveConcurrency() if job.concurrency is None else None
        self._workers = job.concurrency or MOST
        self._progress = Progress(
            job.target, self._limiter, job.rate_limit, self._concurrency, job.expected, job.bounds.most_moments
        )

    def _concurrency(self) -> int:
        return self._adaptive.limit if self._adaptive else self._workers

    def progress(self) -> dict[str, Any]:
        """Return the progress of this moment."""
        return self._progress.of(self._standing.report(), self._standing.recorder.totals.meter.in_flight)

    async def deliver(self, start: Start) -> None:
        """Send all rows, or on a retry those that are missing.

        :raises SourceChangedError: when the rows are not those that an earlier try read.
        :raises RowsTakenError: when an earlier try has taken them.
        :raises StoppedError: when the stop was pulled.
        """
        job, keeper = self._job, self._keeper
        recorder = self._standing.begin(start.resume)
        self._observing.begin(recorder.totals)
        await self._calls.wait_for(keeper.begin(start.resume, start.how))
        # Workers that wait for a row of the same key bring no other batch.
        acceptance = Acceptance(0 if job.order_by_key else job.concurrency or 0)
        settling = _Settling(job, recorder, self._log)
        until_room = partial(recorder.until_room, keeper.buffer.due)
        source = ThreadedSource(job.source, start.resume, recorder.continue_digest, acceptance.end, until_room)

        async def end() -> None:
            may_replay = settling.can_replay
            ended = keep_or_undo(source, job, keeper, recorder, self.progress, can_replay=may_replay)
            await self._calls.wait_for(ended)

        writing = Writing(
            keeper,
            self._log,
            recorder,
            self.progress,
            self._calls.stop,
            observe=self._observing.show,
            buffer=keeper.buffer,
            bounds=job.bounds,
        )
        async with (
            ending(source, end),
            self._limiter,
            job.transport(job.settings, self._workers, job.headers) as transport,
            writing.at_intervals(),
        ):
            await self._send_all(source, transport, settling, acceptance)

    async def _send_all(
        self, source: ThreadedSource[Any], transport: Transport, settling: "_Settling", acceptance: Acceptance
    ) -> None:
        job = self._job
        sender = Sender(
            transport=transport,
            limiter=self._limiter,
            auth=job.auth,
            redaction=job.settings.redaction,
            concurrency=self._adaptive,
            retry=job.retry,
            meter=self._standing.recorder.totals.meter,
            on_pause=self._log.paused,
            quota_headers=job.quota_headers,
            say=job.log.info,
            standstill_seconds=job.bounds.standstill_seconds,
        )
        exchange = self._exchange(sender)
        deliver, finish = (
            (self._fetching(job.fetch, exchange, settling), None)
            if job.fetch
            else settling.delivering(exchange, acceptance)
        )
        await run_pipeline(
            source,
            deliver,
            workers=self._workers,
            in_hand=self._adaptive.in_hand if self._adaptive else None,
            stop=self._calls.stop,
            on_stop=sender.stop,
            until_ended=partial(sender.until_ended, job.settings.longest_seconds),
            grace_seconds=job.bounds.grace_seconds,
            finish=finish,
        )

    def _exchange(self, sender: Sender) -> Exchange:
        job = self._job
        return Exchange(
            sender=sender,
            retry=job.retry,
            response_check=job.response_check,
            excerpts=Excerpts(job.settings, job.hidden),
            on_uncertain=self._log.uncertain,
            needs_body=job.fetch is not None,
            creates_only=job.fetch is None and creates_only(job.settings.headers, job.headers),
        )

    def _fetching(self, fetch: Fetch, exchange: Exchange, settling: "_Settling") -> Deliver:
        recorder = self._standing.recorder
        return Fetching(
            plan=fetch.plan,
            exchange=exchange,
            places=Places(self._concurrency),
            recorder=recorder,
            settle=settling.settle,
            buffer=self._keeper.buffer,
            log=self._log,
            keeps_pages=fetch.rows.can_remove,
            conn_id=self._job.conn_id,
        ).fetch


class _Settling:
    """Takes items, or batches of them, and settles each.

    :ivar can_replay: whether all dead letters so far can be sent again.
    """

    def __init__(self, job: Job, recorder: Recorder, log: JobLog) -> None:
        self._job = job
        self._recorder = recorder
        self._log = log
        self.can_replay = True

    def settle(self, outcome: Outcome, *, is_news: bool = True, is_own: bool = False) -> None:
        """Settle an item; see :class:`~airflow_async_rest.core.batches.delivery.Settle`."""
        self._recorder.record(outcome, is_news=is_news)
        if isinstance(outcome, DeadLetter) and not outcome.is_kept:
            self._log.failed(outcome)
            self.can_replay &= can_replay(outcome)
            give_up_when_hopeless(outcome, self._recorder, self._job.conn_id, is_own=is_own)

    def delivering(self, exchange: Exchange, acceptance: Acceptance) -> tuple[Deliver, Finish | None]:
        """Make the function that delivers an item, or a batch; and what a worker does that finds no more of them."""
        recorder, settle = self._recorder, self.settle
        one_by_one = Delivery(exchange, settle, recorder.leave)
        in_batches = BatchDelivery(exchange=exchange, recorder=recorder, settle=settle, acceptance=acceptance)

        def deliver_taken(unit: Item | ItemBatch) -> Awaitable[None]:
            return one_by_one.deliver(unit) if isinstance(unit, Item) else in_batches.deliver(unit)

        order = KeyOrder(deliver_taken) if self._job.order_by_key else None
        go_on = order.deliver if order else deliver_taken

        def deliver(unit: Item | ItemBatch) -> Awaitable[None]:
            if isinstance(unit, Item):
                recorder.take(unit)
            else:
                recorder.take_batch(unit.items)
            return go_on(unit)

        return deliver, order.finish if order else None
