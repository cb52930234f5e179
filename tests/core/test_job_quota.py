"""A whole job against an API that counts, and tells what remains."""

import time

import pytest
from counting import Counting, by_draft, by_epoch, by_family, without_limit
from engine import Store, counts, make_bulk_job, make_job, run
from limit_stores import MemoryServer, MemoryStore

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import FailuresError
from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.limits.quotas import QuotaHeaders
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.sending.retry import RequestRetry


@pytest.mark.slow("what an API gives in several of its seconds")
@pytest.mark.parametrize("concurrency", [64, None])
@pytest.mark.parametrize("say", [by_family, by_epoch, by_draft])
def test_a_job_sends_what_the_api_tells_remains_and_nothing_is_refused(tmp_path, api, say, concurrency):
    api.answer = counting = Counting(100, 1.0, say)
    assert counts(run(make_job(api, tmp_path, 250, concurrency=concurrency), Store())) == [250, 250, 0, 0]
    assert counting.refused == 0
    assert max(counting.used) >= 50  # of 100


@pytest.mark.slow("what an API gives in several of its half seconds")
def test_an_apis_own_names_are_heeded(tmp_path, api):
    api.answer = counting = Counting(50, 0.5, without_limit)
    names = (QuotaHeaders("X-Quota-Left", "X-Quota-Reset"),)
    assert counts(run(make_job(api, tmp_path, 120, quota_headers=names), Store())) == [120, 120, 0, 0]
    assert counting.refused == 0


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_refusal_says_for_how_long_in_an_apis_own_headers(tmp_path, api, lines, status, bulk):
    from aiohttp import web

    left = [status]
    told = {"X-Quota-Left": "0", "X-Quota-Reset": "0.2"}
    api.answer = lambda seen: web.Response(status=left.pop(), headers=told) if left else 200
    names = (QuotaHeaders("X-Quota-Left", "X-Quota-Reset"),)
    how = {"log": lines.log, "retry": RequestRetry(max_attempts=2), "quota_headers": names}
    batch = Batch(max_items=10)
    job = make_bulk_job(api, tmp_path, batch, 20, **how) if bulk else make_job(api, tmp_path, 20, **how)
    assert counts(run(job, Store())) == [20, 20, 0, 0]
    assert "INFO The API asks for a pause of 0.2 s: all requests wait." in lines.texts


def test_what_an_api_says_without_sense_changes_nothing(tmp_path, api, lines):
    from aiohttp import web

    api.answer = lambda seen: web.Response(headers={"X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "3000"})
    assert counts(run(make_job(api, tmp_path, 50, log=lines.log), Store())) == [50, 50, 0, 0]
    assert [text for text in lines.texts if "makes no sense" in text] == [
        "INFO The API tells of a limit in a way that makes no sense, which is ignored. (Logged once.)"
    ]


def test_a_refusal_that_says_for_how_long_is_taken_at_its_word(tmp_path, api, lines):
    from aiohttp import web

    told = {"Retry-After": "0.2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "250"}
    left = [429]
    api.answer = lambda seen: web.Response(status=left.pop(), headers=told) if left else 200
    job = make_job(api, tmp_path, 20, log=lines.log, retry=RequestRetry(max_attempts=2))
    assert counts(run(job, Store())) == [20, 20, 0, 0]
    assert "INFO The API asks for a pause of 0.2 s: all requests wait." in lines.texts


LIES = {
    "plenty, and a reset soon": {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "100", "X-RateLimit-Reset": "0"},
    "plenty, and a reset late": {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "100",
        "X-RateLimit-Reset": "900",
    },
    "plenty, as the draft says it": {"RateLimit-Policy": '"d";q=100;w=60', "RateLimit": '"d";r=100;t=0.01'},
    "nothing, and a reset now": {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"},
}


@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_an_api_that_refuses_in_spite_of_what_it_tells_is_sent_no_more_than_all_attempts(tmp_path, api, lie, shared):
    from aiohttp import web

    api.answer = lambda seen: web.Response(status=429, headers=LIES[lie])
    settings = {"limiter": shared_limiter} if shared else {}
    job = make_job(api, tmp_path, 40, retry=RequestRetry(max_attempts=3, backoff_base_seconds=0.01), **settings)
    with pytest.raises(FailuresError):
        run(job, store := Store())
    assert len(api.seen) == 40 * 3
    assert store["progress"]["failed"] == 40


def shared_limiter(_):
    server, limits = MemoryServer(time.monotonic), parse_limits("1000/s")
    store = MemoryStore(server, "api", limits)
    how = {"key": "api", "before": RateLimiter(None), "say": lambda *_: None, "longest_seconds": 300.0}
    return SharedLimiter(store, limits, **how)
