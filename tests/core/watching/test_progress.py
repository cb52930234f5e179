"""The progress that a running job keeps for whoever watches it."""

import asyncio
import time
from datetime import datetime

import pytest
from engine import Store, make_job, run, within

from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.reading.source import Expected
from airflow_async_rest.core.watching.progress import Progress, report_of

# A checkpoint is written every 5 ms, and the progress every 50 ms at most.
OFTEN = within(write_every_seconds=0.005, progress_every_seconds=0.05)


def progress_of(store) -> list[dict]:
    return [value for key, value in store.history if key == "progress"]


async def slowly(seen):
    await asyncio.sleep(0.004)
    return 200


def test_it_tells_the_total_the_limit_and_the_last_minutes(api, tmp_path):
    async def slowly_but_one(seen):
        await slowly(seen)
        return 422 if seen.path.endswith("/7") else 200

    api.answer = slowly_but_one
    store = Store()
    about = {"expected": lambda: Expected(160, "about"), "rate_limit": (500, 1.0), "bounds": OFTEN}
    about |= {"target": "Delivering to the API", "max_failures": 1}
    run(make_job(api, tmp_path, 150, concurrency=4, **about), store)
    *running, last = progress_of(store)
    assert running, "it ended before anything was written"
    assert all(one["rate_limit"] == {"count": 500, "seconds": 1.0} for one in running)
    assert running[-1]["expected"] == {"items": 160, "how": "about"}
    assert last["target"] == "Delivering to the API"
    times, done, failed = zip(*last["history"], strict=True)
    assert (list(times), list(done)) == (sorted(times), sorted(done))
    assert done[-1] == last["delivered"] + last["failed"] == 150
    assert failed[-1] == last["failed"] == 1
    assert datetime.fromisoformat(last["updated_at"]).timestamp() == pytest.approx(times[-1], abs=60)


def test_it_is_written_no_more_often_than_its_interval(api, tmp_path):
    api.answer = slowly
    store = Store()
    began = time.monotonic()
    run(make_job(api, tmp_path, 200, concurrency=4, bounds=OFTEN), store)
    intervals = (time.monotonic() - began) / OFTEN.progress_every_seconds
    *running, _ = progress_of(store)
    assert 1 < len(running) <= intervals
    assert len(running) < [key for key, _ in store.history].count("checkpoint")


def test_it_stays_small_however_long_it_takes(api, tmp_path):
    few = within(most_moments=5, write_every_seconds=0.001, progress_every_seconds=0.001)
    api.answer = slowly
    store = Store()
    run(make_job(api, tmp_path, 100, concurrency=4, bounds=few), store)
    assert max(len(one["history"]) for one in progress_of(store)) == 5 < len(progress_of(store))


def test_the_report_in_it_is_found_again():
    report = {"delivered": 5, "failed": 1, "skipped": 0, "complete": False}
    progress = Progress("to the API", RateLimiter(None), (5, 1.0), lambda: 4, lambda: Expected(9, "about"), 10)
    assert report_of(progress.of(report, in_flight=3)) == report
