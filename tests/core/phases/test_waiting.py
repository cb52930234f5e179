"""A try whose quota is gone, and a state store that does not say what was waited for."""

import threading
import time
from datetime import datetime, timedelta

import pytest
from aiohttp import web
from engine import Store, make_job, run, within

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.errors import KilledError, QuotaExhaustedError, QuotaWaitError, ReplacedError
from airflow_async_rest.core.keeping.try_store import Claim, TryStore
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.sending.retry import RequestRetry


def job_of(api, tmp_path, **settings):
    api.answer = lambda seen: web.Response(status=429, headers={"Retry-After": "3600"})
    return make_job(api, tmp_path, 50, max_quota_wait=timedelta(days=1), this_try=Try(1, (3, 3)), **settings)


def test_a_wait_is_written_down_before_the_try_ends(api, tmp_path):
    store, published = Store(), []
    with pytest.raises(QuotaWaitError, match="a pause of 3600 s") as ended:
        run(job_of(api, tmp_path, publish=lambda report, *_: published.append(report)), store)
    [[since, until, _]] = store["waits"]["waits"]
    assert until == ended.value.until.isoformat(timespec="milliseconds")
    assert (store["waits"]["try"], store["waits"]["began"]) == ([1, 3, 3], since)
    assert (store["checkpoint"]["waits"], published[0]["waits"][0]["until"]) == (True, until)


@pytest.mark.parametrize(("asked", "least", "most"), [("2", 15, 15), ("14.9", 15, 17), ("100", 100, 110)])
def test_the_scheduler_has_time_to_hear_of_the_end_before_the_next_start(api, tmp_path, asked, least, most):
    job = job_of(api, tmp_path, retry=RequestRetry(max_attempts=1, max_retry_after_seconds=1))
    api.answer = lambda seen: web.Response(status=429, headers={"Retry-After": asked})
    with pytest.raises(QuotaWaitError):
        run(job, store := Store())
    since, until = map(datetime.fromisoformat, store["waits"]["waits"][0][:2])
    assert least <= (until - since).total_seconds() <= most


@pytest.mark.parametrize("fails_at", ["get", "set"])
def test_what_nobody_can_bound_is_not_waited_for(api, tmp_path, fails_at, lines):
    class Failing(Store):
        def at(self, call, key):
            if (call, key) == (fails_at, "waits"):
                raise ConnectionError("away")

        def get(self, key):
            self.at("get", key)
            return super().get(key)

        def set(self, key, value):
            self.at("set", key)
            super().set(key, value)

    with pytest.raises(QuotaExhaustedError):
        run(job_of(api, tmp_path, log=lines.log), Failing())
    with pytest.raises(QuotaExhaustedError):
        run(job_of(api, tmp_path), None)


@pytest.mark.parametrize("held", ["rescheduled", "waits"])
def test_a_stop_ends_a_store_that_hangs_as_the_wait_is_written_down(api, tmp_path, held):
    go, stop, published = threading.Event(), StopSwitch(), []

    class Hanging(Store):
        def set(self, key, value):
            if key == held:
                stop.pull(KilledError("killed"))
                go.wait(30)
            super().set(key, value)

        def wipe(self):
            self.clear()

    bounds = within(grace_seconds=20.0, after_stop_seconds=0.1)  # no request is in flight
    job = job_of(api, tmp_path, bounds=bounds, publish=lambda *of: published.append(of))
    began = time.monotonic()
    with pytest.raises(KilledError):
        run(job, TryStore(Hanging, Claim(1, "", "one")), stop)
    took = time.monotonic() - began
    go.set()
    assert took < 10
    [(report, _, error)] = published
    assert (report["waits"], report["error"], type(error)) == ([], "killed", KilledError)


def test_a_store_that_hangs_is_given_up_and_the_try_is_retried(api, tmp_path):
    go = threading.Event()

    class Hanging(Store):
        def set(self, key, value):
            if key == "waits":
                go.wait(30)

    bounds = within(load_seconds=60.0, wait_write_seconds=0.05, at_end_seconds=0.1)  # a later start may wait a minute
    with pytest.raises(QuotaExhaustedError):
        run(job_of(api, tmp_path, bounds=bounds), Hanging())
    go.set()


def test_a_sitting_that_is_replaced_as_it_writes_its_wait_down_writes_nothing_more(api, tmp_path):
    published = []

    class Replaced(Store):
        def set(self, key, value):
            if key == "waits":
                raise ReplacedError("a later one")
            super().set(key, value)

    with pytest.raises(ReplacedError):
        run(job_of(api, tmp_path, publish=lambda *of: published.append(of)), store := Replaced())
    assert (published, "progress" in store) == ([], False)


def test_a_kill_while_the_store_hangs_ends_the_try(api, tmp_path):
    go, stop = threading.Event(), StopSwitch()

    class Hanging(Store):
        def get(self, key):
            if key == "waits":
                stop.pull(KilledError("killed"))
                go.wait(30)
            return super().get(key)

    published = []
    with pytest.raises(KilledError):
        run(job_of(api, tmp_path, publish=lambda *of: published.append(of)), Hanging(), stop)
    go.set()
    assert (api.seen, published) == ([], [])  # it has no account to tell of
