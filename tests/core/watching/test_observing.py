"""What an observer of a job sees: this try's work, each thing once, whatever the observer does."""

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
from engine import Rows, Store, make_bulk_job, make_job, run, within

from airflow_async_rest import Batch, RequestRetry
from airflow_async_rest.core.account.checkpoint import Checkpoint
from airflow_async_rest.core.account.report import Totals
from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import FailuresError
from airflow_async_rest.core.watching.observing import Activity

QUICK = RequestRetry(max_attempts=3, backoff_base_seconds=0.001)
OFTEN = within(write_every_seconds=0.005, progress_every_seconds=0.01)


def done(seen: list[Activity]) -> dict[str, int]:
    """Counts of the last activity, by name and reason."""
    assert [activity.ended for activity in seen] == [False] * (len(seen) - 1) + [True]
    return {" ".join(filter(None, names)): count for names, count in seen[-1].counts.items()}


def failing_once(status=503):
    """Answer the first request of each path with a status."""
    known = set()

    def answer(seen):
        first, _ = seen.path not in known, known.add(seen.path)
        return status if first else 200

    return answer


class Twice(Rows):
    """Rows that are read a second time, from the beginning; each time as given."""

    def __init__(self, readings):
        super().__init__(0)
        self.readings = readings

    def __iter__(self):
        return iter(self.readings.pop(0))


def test_the_last_thing_seen_is_all_that_was_done_and_why_it_was_done_again(api, tmp_path):
    seen = []
    api.answer = failing_once()
    run(make_job(api, tmp_path, 50, observe=seen.append, retry=QUICK))
    assert done(seen) == {"delivered": 50, "requests": 100, "retries http_503": 50}
    assert sum(seen[-1].latencies.to_json().values()) == 100
    assert seen[-1].in_flight == 0


def test_requests_without_an_answer_are_retries_for_their_own_reason(api, tmp_path):
    seen = []
    api.answer = failing_once("reset")
    run(make_job(api, tmp_path, 5, observe=seen.append, retry=QUICK))
    (reason,) = {reason for name, reason in seen[-1].counts if name == "retries"}
    assert reason not in {"", "http_503"}
    assert seen[-1].counts["retries", reason] == 5


def test_bulk_requests_count_their_items_and_their_retries(api, tmp_path):
    seen = []
    answers = iter([503, 200, 200, 200])
    api.answer = lambda _: next(answers)
    run(make_bulk_job(api, tmp_path, Batch(max_items=50, format="ndjson"), 150, observe=seen.append, concurrency=1))
    assert done(seen) == {"delivered": 150, "requests": 4, "retries http_503": 1}


def test_items_that_are_refused_one_by_one_are_retried_for_the_reason_of_the_item(api, tmp_path):
    from aiohttp import web

    seen, calls = [], []

    def answer(request):
        calls.append(request)
        status = 429 if len(calls) == 1 else 201
        return web.json_response([{"status": status}] * len(request.body.splitlines()), status=207)

    api.answer = answer
    batch = Batch(max_items=50, format="ndjson", results="multi_status")
    run(make_bulk_job(api, tmp_path, batch, 50, observe=seen.append))
    assert done(seen) == {"delivered": 50, "requests": 2, "retries http_429": 1}


def test_tries_add_up_to_the_report(api, tmp_path):
    store, tries = Store(), []
    api.answer = lambda request: 503 if request.path.endswith("7") else 200
    for _ in range(2):
        seen = []
        with pytest.raises(FailuresError):
            run(make_job(api, tmp_path, 100, observe=seen.append), store)
        tries.append(done(seen))
    api.answer = lambda _: 200
    seen = []
    report = run(make_job(api, tmp_path, 100, observe=seen.append), store)
    assert tries == [
        {"delivered": 90, "requests": 100, "failed http_503": 10},
        {"requests": 10, "failed http_503": 10},  # each time that it failed
    ]
    assert done(seen) == {"delivered": 10, "requests": 10}
    assert (report["delivered"], report["requests"]) == (100, 120)


def test_a_try_that_starts_over_counts_both_beginnings(api, tmp_path):
    class Waiting(Rows):
        """Goes on when the row that was dead has been sent: only then it is found that the rows are others."""

        def __iter__(self):
            for number, chunk in enumerate(super().__iter__()):
                if number == 1:
                    api.wait_for(lambda _: len(api.delivered) == 1)
                yield chunk

    store, seen = Store(), []
    api.answer = lambda request: 503 if request.path.endswith("/3") else 200
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, 200), store)
    api.answer = lambda _: 200
    api.reset()
    checkpoint = Checkpoint.from_json(store["checkpoint"]).to_json()
    store["checkpoint"] = {**checkpoint, "digest": "of other rows"}
    rows = [Waiting(200), Rows(200)]
    job = make_job(api, tmp_path, Twice(rows), observe=seen.append)
    report = run(job, store)
    assert (report["delivered"], report["requests"]) == (200, 200)
    assert done(seen) == {"delivered": 201, "requests": 201}
    assert len(api.seen) == 201


def test_it_is_seen_while_it_runs_at_the_interval_of_the_progress(api, tmp_path):

    async def slowly(_):
        await asyncio.sleep(0.01)
        return 200

    api.answer = slowly
    seen = []
    run(make_job(api, tmp_path, 100, observe=seen.append, concurrency=4, bounds=OFTEN))
    delivered = [activity.counts["delivered", ""] for activity in seen]
    assert len(delivered) > 3
    assert delivered == sorted(delivered)
    assert any(0 < count < 100 for count in delivered)
    assert delivered[-1] == 100
    assert 0 < max(activity.in_flight for activity in seen) <= 4


def test_an_observer_that_raises_costs_a_warning(api, tmp_path, caplog):
    def observe(_):
        raise OSError("the metrics' server is away")

    report = run(make_job(api, tmp_path, 10, observe=observe, log=logging.getLogger("job")))
    assert report["delivered"] == 10
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "Could not emit metrics: the metrics' server is away"
    ]


def test_an_observer_that_hangs_holds_up_neither_the_delivery_nor_for_long_its_end(api, tmp_path):
    released, calls = threading.Event(), Counter()

    def observe(_):
        calls["seen"] += 1
        released.wait(90)

    async def slowly(_):
        await asyncio.sleep(0.01)
        return 200

    api.answer = slowly
    started = time.monotonic()
    try:
        job = make_job(api, tmp_path, 40, observe=observe, concurrency=4, bounds=replace(OFTEN, observer_seconds=0.2))
        assert run(job)["delivered"] == 40
        assert time.monotonic() - started < 30
        assert calls["seen"] == 1
    finally:
        released.set()
    while calls["seen"] < 2:
        time.sleep(0.01)
    time.sleep(0.1)
    assert calls["seen"] == 2  # the last one: what could not be shown did not pile up


def test_what_is_of_this_try_is_in_no_checkpoint():
    totals = Totals()
    totals.failed_again("timeout")
    totals.meter.sending(2, "timeout")
    again = Totals(json.loads(json.dumps(totals.to_json())))
    assert (again.failed, again.meter.retries) == (1, 1)
    assert (again.failed_now.total(), again.meter.retried.total()) == (0, 0)


def test_a_source_that_fails_is_seen_to_the_last_row(api, tmp_path):
    seen, rows = [], Rows(100, RuntimeError("the database is gone"))
    with pytest.raises(RuntimeError, match="the database is gone"):
        run(make_job(api, tmp_path, rows, observe=seen.append, bounds=USUAL))
    assert done(seen)["delivered"] == len(api.delivered)
