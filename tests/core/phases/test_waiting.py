"""A try whose quota is gone, and a state store that does not say what was waited for."""

import threading
import time
from datetime import datetime, timedelta

import pytest
from aiohttp import web
from engine import Database, Store, make_fetch_job, make_job, number_of, rows_of, run, within

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.errors import (
    KilledError,
    LoadError,
    QuotaExhaustedError,
    QuotaWaitError,
    ReplacedError,
)
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


class Refusing(Store):
    """Fails at these keys, from the moment at which a wait is written down."""

    def __init__(self, *keys):
        super().__init__()
        self.keys = keys

    def set(self, key, value):
        if key in self.keys and "waits" in self:
            raise ConnectionError("it is full")
        super().set(key, value)


@pytest.mark.parametrize(("refused", "error"), [(["checkpoint"], QuotaExhaustedError), (["progress"], QuotaWaitError)])
def test_a_wait_whose_checkpoint_is_not_kept_is_taken_back(api, tmp_path, refused, error, lines):
    """The next sitting would send everything once more, and come no further each time."""
    published, store = [], Refusing(*refused)
    with pytest.raises(error) as ended:
        run(job_of(api, tmp_path, publish=lambda *of: published.append(of), log=lines.log), store)
    [(report, _, _)] = published
    if error is QuotaWaitError:
        assert len(report["waits"]) == len(store["waits"]["waits"]) == 1
        return
    assert "the checkpoint is not written: it is full" in str(ended.value)
    assert (
        report["error"] == "the quota is gone, and is not waited for, because the checkpoint is not written: it is full"
    )
    assert report["waits"] == store["waits"]["waits"] == store["progress"]["waits"] == []
    assert (store["waits"]["began"], store["progress"]["error"]) == (None, report["error"])


def test_a_wait_before_it_stays_when_one_is_taken_back(api, tmp_path):
    store = Store()
    with pytest.raises(QuotaWaitError):
        run(job_of(api, tmp_path), store)
    kept, later = dict(store), Refusing("checkpoint")
    later |= kept
    with pytest.raises(QuotaExhaustedError):
        run(job_of(api, tmp_path), later)
    assert [later["waits"][name] for name in ("began", "waits")] == [kept["waits"][name] for name in ("began", "waits")]


@pytest.mark.slow("a store that hangs, in real time")
def test_a_store_that_hangs_after_the_wait_is_a_retry(api, tmp_path):
    go = threading.Event()

    class Hanging(Store):
        def set(self, key, value):
            if "waits" in self:
                go.wait(30)
            super().set(key, value)

    with pytest.raises(QuotaExhaustedError, match="the state store takes too long"):
        run(job_of(api, tmp_path, bounds=within(at_end_seconds=2.0)), Hanging())
    go.set()


def test_a_load_whose_last_rows_cannot_be_staged_does_not_wait(api, tmp_path):
    def fail(call):
        if call == "stage":
            raise LoadError("the destination is away")

    def answer(seen):
        return rows_of(seen) if number_of(seen) < 20 else web.Response(status=429, headers={"Retry-After": "3600"})

    api.answer, database = answer, Database()
    database.before = fail
    waiting = {"max_quota_wait": timedelta(days=1), "this_try": Try(1, (3, 3))}
    job = make_fetch_job(api, tmp_path, database, 50, bounds=within(write_every_seconds=60), **waiting)
    with pytest.raises(QuotaExhaustedError, match="not written: the destination is away"):
        run(job, store := Store())
    assert store["waits"]["waits"] == []


def test_a_wait_that_was_written_down_as_the_task_is_killed_is_taken_back(api, tmp_path):
    stop = StopSwitch()

    class Killing(Store):
        def set(self, key, value):
            super().set(key, value)
            if key == "waits" and value["waits"]:
                stop.pull(KilledError("killed"))

    with pytest.raises(KilledError):
        run(job_of(api, tmp_path), store := Killing(), stop)
    assert (store["waits"]["waits"], store["waits"]["began"]) == ([], None)


@pytest.mark.slow("waits for real")
@pytest.mark.parametrize("held", ["rescheduled", "waits"])
def test_a_stop_ends_a_store_that_hangs_as_the_wait_is_written_down(api, tmp_path, held):
    go, stop, published = threading.Event(), StopSwitch(), []

    class Hanging(Store):
        def set(self, key, value):
            if key == held:
                stop.pull(KilledError("killed"))
                go.wait(90)
            super().set(key, value)

        def wipe(self):
            self.clear()

    bounds = within(grace_seconds=60.0, after_stop_seconds=2.0)  # no request is in flight
    job = job_of(api, tmp_path, bounds=bounds, publish=lambda *of: published.append(of))
    began = time.monotonic()
    with pytest.raises(KilledError):
        run(job, TryStore(Hanging, Claim(1, "", "one")), stop)
    took = time.monotonic() - began
    go.set()
    assert took < 30
    [(report, _, error)] = published
    assert (report["waits"], report["error"], type(error)) == ([], "killed", KilledError)


@pytest.mark.slow("a store that hangs, in real time")
def test_a_store_that_hangs_is_given_up_and_the_try_is_retried(api, tmp_path):
    go = threading.Event()

    class Hanging(Store):
        def set(self, key, value):
            if key == "waits":
                go.wait(30)

    bounds = within(load_seconds=60.0, wait_write_seconds=0.05, at_end_seconds=2.0)  # a later start may wait a minute
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
