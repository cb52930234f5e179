"""How long an API that answers nothing, or only asks for pauses, keeps a task busy; in virtual time."""

import asyncio
import itertools
from dataclasses import replace
from functools import partial

import pytest
from engine import Database, Store, make_bulk_job, make_fetch_job, make_job, rows_of, run
from tables import every_row
from virtual_time import run_virtually

from airflow_async_rest.core.account.judgment import give_up_when_hopeless
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.errors import (
    AsyncRestError,
    KilledError,
    MostlyFailingError,
    RequestTimeoutError,
)
from airflow_async_rest.core.limits.adaptive import MOST, AdaptiveConcurrency
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.models import DeadLetter, Item, Request, Response
from airflow_async_rest.core.pipeline import StopSwitch, run_pipeline
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.attempts import Delivery, Exchange, Sender
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.sending.meter import Meter, Standstill
from airflow_async_rest.core.sending.retry import RequestRetry


class Source:
    """``count`` items, for each of which it takes its time."""

    def __init__(self, count, wait):
        self.left, self.wait, self.index = count, wait, itertools.count()

    async def next_unit(self):
        index = next(self.index)
        await asyncio.sleep(self.wait(index))
        request = Request("PUT", str(index), "", None, "")
        return Item(index, index, {}, None, request=request) if index < self.left else None

    def stop(self):
        self.left = 0


def outcome(api, *, rows=10_000, concurrency=16, retry=None, limit=None, wait=lambda index: 0.0, kill_at=None):
    """Deliver rows to an API: ``api(seconds, index, number of the request)`` -> (seconds, status or None, headers).

    :return: (name of the error or "", seconds, items settled, items that failed).
    """
    retry = retry or RequestRetry()
    recorder = Recorder(retry=retry)

    async def deliver_all():
        loop, number = asyncio.get_running_loop(), itertools.count()

        class Transport:
            async def send(self, request):
                seconds, status, headers = api(loop.time(), int(request.path), next(number))
                await asyncio.sleep(seconds)
                if status is None:
                    raise RequestTimeoutError("no complete answer within 60 s")
                return Response(status, headers, b"", seconds)

        adaptive = AdaptiveConcurrency(loop.time) if concurrency is None else None
        sender = Sender(
            transport=Transport(),
            limiter=RateLimiter(limit, loop.time),
            concurrency=adaptive,
            retry=retry,
            meter=Meter(),
            clock=loop.time,
        )
        exchange = Exchange(
            sender=sender,
            retry=retry,
            response_check=None,
            excerpts=Excerpts(ClientSettings("http://api")),
            on_uncertain=lambda _: None,
        )

        def settle(outcome):
            recorder.record(outcome)
            if isinstance(outcome, DeadLetter):
                give_up_when_hopeless(outcome, recorder, "api")

        delivery = Delivery(exchange, settle, recorder.leave)

        def deliver(item):
            recorder.take(item)
            return delivery.deliver(item)

        workers, stop = concurrency or MOST, StopSwitch()
        if kill_at is not None:
            loop.call_later(kill_at, stop.pull, KilledError("killed"))
        try:
            await run_pipeline(
                Source(rows, wait),
                deliver,
                workers=workers,
                in_hand=adaptive.in_hand if adaptive else None,
                stop=stop,
                on_stop=sender.stop,
                until_ended=partial(sender.until_ended, 70.0),
            )
        except AsyncRestError as error:
            return type(error).__name__
        return ""

    error, seconds = run_virtually(deliver_all())
    return error, seconds, recorder.totals.delivered, recorder.totals.failed


def after(rows, then):
    """An API that is quick for the first rows, and then does something else."""
    return lambda now, index, number: (0.05, 200, {}) if index < rows else then(now, index, number)


def hanging(seconds=60.0):
    return lambda *_: (seconds, None, {})


def asking(status, pause):
    return lambda *_: (0.05, status, {"Retry-After": str(pause)})


# Before: 66 minutes; 5 hours; with one worker, 17 hours and more.
@every_row("concurrency", [16, 64, 4, 1, None])
@every_row(
    ("api", "error"),
    [
        (hanging(), "MostlyFailingError"),
        (hanging(10), "MostlyFailingError"),  # no connection
        (lambda *_: (55, 504, {}), "MostlyFailingError"),
        (lambda *_: (55, 429, {}), "MostlyFailingError"),
        (after(100, hanging()), "MostlyFailingError"),
        (asking(429, 300), "QuotaExhaustedError"),
        (asking(503, 300), "QuotaExhaustedError"),
        (asking(403, 300), "QuotaExhaustedError"),
        (asking(409, 299), "QuotaExhaustedError"),
        (asking(429, 60), "QuotaExhaustedError"),
        (lambda *_: (59, 503, {"Retry-After": "1"}), "QuotaExhaustedError"),
        (after(100, asking(429, 300)), "QuotaExhaustedError"),
    ],
)  # fmt: skip
def test_an_api_that_stands_still_stops_the_task_after_about_five_minutes(api, error, concurrency):
    said, seconds, *_ = outcome(api, concurrency=concurrency)
    assert said in {error, "MostlyFailingError"}
    assert seconds < 380  # the last request may begin just before five minutes are over


@pytest.mark.parametrize("limit", [(10, 60.0), (100, 3600.0)])
def test_a_slow_pace_does_not_put_the_end_off(limit):
    said, seconds, *_ = outcome(lambda *_: (0.1, 503, {}), limit=limit)
    assert said == "MostlyFailingError"
    assert seconds < 380


def test_fewer_attempts_and_statuses_that_are_not_retried_do_not_put_the_end_off():
    for retry in (RequestRetry(max_attempts=1), RequestRetry(statuses={429})):
        said, seconds, *_ = outcome(lambda *_: (60, 504, {}), retry=retry)
        assert said == "MostlyFailingError"
        assert seconds < 310


def poison(*rows, seconds=60.0):
    """An API that hangs on some rows."""
    return lambda now, index, number: (seconds, None, {}) if index in rows else (0.1, 200, {})


@every_row(
    ("api", "how", "failed"),
    [
        (lambda *_: (25, 200, {}), {"rows": 100, "concurrency": 2}, 0),
        (lambda *_: (290, 200, {}), {"rows": 10, "concurrency": 1}, 0),
        (lambda *_: (290, 422, {}), {"rows": 10, "concurrency": 1}, 10),  # it answers
        (poison(0, 40, 50), {"rows": 100, "concurrency": 1}, 3),
        (poison(*range(90, 100)), {"rows": 100, "concurrency": 16}, 10),  # the last ones: judged by max_failures
        # one in four attempts has a good answer
        (lambda now, index, number: (60, None if number % 4 else 200, {}), {"rows": 60, "concurrency": 4}, None),
        # away for four minutes
        (lambda now, *_: (60, None, {}) if now < 240 else (0.1, 200, {}), {"rows": 100, "concurrency": 16}, 0),
        # asks for a pause as long as we honour, and has a quota after it
        (lambda now, *_: (0.1, 429, {"Retry-After": "300"}) if now < 300 else (0.1, 200, {}), {"rows": 100}, 0),
        # ten requests a minute
        (lambda now, index, number: (0.1, 429 if number % 26 > 10 else 200, {"Retry-After": "60"}), {"rows": 60}, None),
        # a source that gives one row in ten minutes, some of which hang
        (poison(3, 5, seconds=10.0), {"rows": 8, "concurrency": 4, "wait": lambda index: 600.0 * index}, 2),
        # the author honours longer pauses
        (
            lambda now, *_: (0.1, 429, {"Retry-After": "1000"}) if now < 3000 else (0.1, 200, {}),
            {"rows": 10, "retry": RequestRetry(max_retry_after_seconds=4000)},
            0,
        ),
    ],
)  # fmt: skip
def test_slow_progress_and_rows_that_hang_for_themselves_stop_nothing(api, how, failed):
    said, _, delivered, dead = outcome(api, **how)
    assert said == ""
    assert delivered + dead == how["rows"]
    assert failed is None or dead == failed


def gone_beside(*seconds, status=200):
    """An API whose quota is gone after the first requests: of these, each takes its time."""
    times = dict(enumerate(seconds))
    gone = (0.05, 429, {"Retry-After": "3600"})
    return lambda now, index, number: (times[index], status, {}) if index in times else gone


@every_row(
    ("api", "how", "error", "ends", "settled"),
    [
        (gone_beside(1.0, 50.0, 59.0), {}, "QuotaExhaustedError", 59.0, 3),
        (gone_beside(50.0, 55.0, status=422), {}, "QuotaExhaustedError", 55.0, 2),
        (gone_beside(50.0, 55.0), {"concurrency": None}, "QuotaExhaustedError", 55.0, 2),
        (gone_beside(0.05), {}, "QuotaExhaustedError", 0.05, 1),
        # Nothing is sent again: that would wait for the pause.
        (gone_beside(10.0, 20.0, status=503), {}, "QuotaExhaustedError", 22.0, 0),
        (gone_beside(1.0, 100.0), {}, "QuotaExhaustedError", 72.05, 1),  # that there is a bound is the caller's to say
        (gone_beside(1.0, 50.0), {"kill_at": 30.0}, "KilledError", 32.0, 1),
        (gone_beside(31.0, 50.0), {"kill_at": 30.0}, "KilledError", 32.0, 1),
        (gone_beside(1.0, 50.0), {"kill_at": 0.01}, "KilledError", 2.01, 1),
    ],
)  # fmt: skip
def test_what_is_in_flight_comes_to_its_end_where_only_the_quota_is_gone(api, how, error, ends, settled):
    said, seconds, delivered, failed = outcome(api, **how)
    assert (said, delivered + failed) == (error, settled)
    assert seconds == pytest.approx(ends, abs=0.5)


@every_row(
    ("failures", "attempts", "too_long"),
    [
        ([(0, 60), (0, 120), (0, 180), (0, 240), (240, 301), (0, 301)], 5, True),
        ([(0, 60), (60, 120), (120, 180), (180, 240), (240, 301)], 5, False),  # may be one row
        ([(0, 1)] * 99, 5, False),
        ([(0, 100)] * 10 + [(200, 301)], 10, True),
        ([(0, 300)] * 10, 10, False),
        ([(0, 300)] * 5, 1, True),
    ],
)  # fmt: skip
def test_only_failures_of_more_than_one_row_over_five_minutes_are_a_standstill(failures, attempts, too_long):
    still = Standstill(RequestRetry(max_attempts=attempts))
    still.progressed(-1.0, -2.0)
    for sent_at, now in failures:
        still.failed(now, sent_at, "timeout")
    assert still.is_too_long is too_long
    still.progressed(302.0, 0.0)
    assert not still.is_too_long


@pytest.mark.parametrize(
    ("pauses", "longest", "waited"),
    [
        ([(0.1, 0, 300), (0.2, 0, 300), (59, 0, 300)], 300, 0),  # asked for before anybody waited
        ([(0.1, 0, 60), (61, 60.1, 60), (122, 121, 60)], 300, 0),
        ([(0.1, 0, 300), (301, 300.2, 5)], 300, 300.2),
        ([(0.1, 0, 1000), (1001, 1000.1, 1000)], 3600, 0),
        ([(0.1, 0, 10), (11, 10.1, 10), (21, 20.1, 10)], 10, 0),  # it bounds a single one only
    ],
)
def test_pauses_in_a_row_are_honoured_up_to_the_longest_one(pauses, longest, waited):
    still = Standstill(RequestRetry(max_retry_after_seconds=longest))
    *_, last = [still.paused(now, sent_at, seconds) for now, sent_at, seconds in pauses]
    assert last == pytest.approx(waited)


def test_only_an_answer_to_what_was_asked_after_a_pause_ends_it():
    still = Standstill(RequestRetry())
    still.paused(1.0, 0.0, 300)
    still.progressed(2.0, 0.5)
    assert still.paused(302.0, 301.5, 300)
    still.progressed(303.0, 302.5)
    assert not still.paused(304.0, 303.5, 300)


def _bulk(api, path, **settings):
    return make_bulk_job(api, path, Batch(max_items=3), **settings)


def _fetch(api, path, **settings):
    return make_fetch_job(api, path, Database(), **{"items": 250, **settings})


@pytest.mark.slow("a standstill, in real time")
@pytest.mark.parametrize("make", [make_job, _bulk, _fetch])
@pytest.mark.parametrize("answer", ["hang", 503])
@pytest.mark.parametrize("good", [0, 8])
def test_a_job_that_was_stopped_goes_on_where_it_was(api, tmp_path, make, answer, good):
    settings = ClientSettings(api.url, request_timeout_seconds=0.1)
    retry = RequestRetry(max_attempts=3, backoff_base_seconds=0.02, max_retry_after_seconds=0)
    store, reports = Store(), []
    publish = lambda report, sample, error: reports.append(report)  # noqa: E731
    job = make(
        api,
        tmp_path,
        settings=settings,
        retry=retry,
        concurrency=2,
        publish=publish,
        bounds=Bounds(standstill_seconds=0.5),  # before 200 items have failed, which ends it, too
    )
    order, good_answer = {}, rows_of if make is _fetch else lambda seen: 200
    # A good answer that comes too late is asked for again.
    api.answer = lambda seen: good_answer(seen) if order.setdefault(seen.key, len(order)) < good else answer
    with pytest.raises(MostlyFailingError, match=r"not answered well .* requests in a row failed"):
        run(job, store)
    report = reports[0]
    assert report["read"] < 250
    assert report["delivered"] == (good * 3 if make is _bulk else good)
    assert report["read"] == sum(report[name] for name in ("delivered", "failed", "skipped", "unfinished"))
    api.answer = good_answer
    patient = replace(job, settings=ClientSettings(api.url), bounds=Bounds())
    assert run(patient, store)["delivered"] == 250
