"""Two sittings of one try at once: the later one goes on, and the earlier one stops at its next write."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from engine import Database, Store, make_fetch_job, make_job, rows_of, run, within

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.errors import ReplacedError
from airflow_async_rest.core.keeping.try_store import Claim, TryStore
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.models import DeadLetter, Item
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.run import JobRun

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
CONCURRENCY = 8


def claim(minute, owner, number=1):
    return Claim.of(number, NOON + timedelta(minutes=minute), owner, NOON)


def sitting(store, minute, owner, number=1):
    return TryStore(lambda: store, claim(minute, owner, number), outlives_run=False)


class Suspended:
    """A store whose writes wait, as those of a process do that is stopped between its look and its write."""

    def __init__(self, store, key):
        self.store, self.key, self.get, self.delete = store, key, store.get, store.delete
        self.reached, self.go = threading.Event(), threading.Event()

    def set(self, key, value):
        if key == self.key:
            self.reached.set()
            assert self.go.wait(30)
        self.store.set(key, value)


def test_an_earlier_start_of_the_same_try_writes_nothing_more_whatever_the_clocks_say():
    store = Store()
    first, later = sitting(store, 0, "a"), sitting(store, 0, "b")  # where Airflow keeps the date of the first start
    first.set("checkpoint", 1)
    assert later.get("checkpoint") == 1
    for call in (lambda: first.set("checkpoint", 2), lambda: first.get("life"), lambda: first.delete("checkpoint")):
        with pytest.raises(ReplacedError, match="a later try of this task has taken over its state"):
            call()
    later.set("checkpoint", 3)
    assert store["checkpoint"] == 3


def test_what_goes_with_the_run_is_never_wiped():
    store = Store()
    store.set("checkpoint", 1)
    assert sitting(store, 0, "a").get("checkpoint") == 1
    assert sitting(store, 5, "b").get("checkpoint") == 1


def test_of_two_that_take_over_at_once_one_goes_on():
    """The worst order: the earlier one has looked, the later one takes over, and then the earlier one's claim lands."""
    store = Store()
    slow = Suspended(store, "try")
    first, later = sitting(slow, 0, "a"), sitting(store, 5, "b")
    starting = threading.Thread(target=first.get, args=("checkpoint",))
    starting.start()
    assert slow.reached.wait(30)
    later.set("checkpoint", 1)
    slow.go.set()
    starting.join(30)
    with pytest.raises(ReplacedError):
        later.set("checkpoint", 2)
    first.set("checkpoint", 3)
    assert store["checkpoint"] == 3


class Beside:
    """A job that runs in a thread of its own."""

    def __init__(self, job, store):
        self.error, self.published = None, []
        publish = lambda report, *_: self.published.append(report)  # noqa: E731
        object.__setattr__(job, "publish", publish)
        self.thread = threading.Thread(target=self.run, args=(job, store))
        self.thread.start()

    def run(self, job, store):
        try:
            asyncio.run(JobRun(job, StopSwitch(), store).run())
        except BaseException as error:  # noqa: BLE001  (looked at by the test)
            self.error = error

    def join(self):
        self.thread.join(30)
        assert not self.thread.is_alive()


# However long the machine stands still, what the store says comes in time.
BOUNDS = within(write_every_seconds=0.05, replaced_seconds=30.0)


def job_of(api, tmp_path, rows=200, **settings):
    how = {"concurrency": CONCURRENCY, "this_try": Try(1, (3, 3)), "bounds": BOUNDS}
    return make_job(api, tmp_path, rows, **how | settings)


def test_a_sitting_that_hangs_stops_when_a_later_one_has_begun(api, tmp_path):
    go, hangs = threading.Event(), True

    async def answer(seen):
        if hangs and len(api.delivered) >= 50:
            while not go.is_set():
                await asyncio.sleep(0.01)
            return 422
        return 200

    api.answer = answer
    store = Store()
    first = Beside(job_of(api, tmp_path), sitting(store, 0, "a"))
    api.wait_for(lambda api: len(api.delivered) >= 50 and api.in_flight == CONCURRENCY)
    hangs = False
    later = Beside(job_of(api, tmp_path), sitting(store, 5, "b"))
    later.join()
    first.join()
    go.set()
    assert isinstance(first.error, ReplacedError)
    assert (first.published, later.error) == ([], None)
    assert later.published[0]["delivered"] == 200
    assert not list(tmp_path.glob("*.jsonl"))
    assert store["checkpoint"]["report"]["delivered"] == 200
    assert len(api.seen) <= 200 + 50 + CONCURRENCY


def test_a_checkpoint_that_lands_after_the_later_one_has_ended_loses_nothing(api, tmp_path):
    """The worst order of steps: looked, replaced, and written after all that the later one wrote."""
    store = Store()
    slow = Suspended(store, "checkpoint")
    first = Beside(job_of(api, tmp_path), sitting(slow, 0, "a"))
    assert slow.reached.wait(30)
    api.answer = lambda seen: 503 if seen.json()["id"] == 150 else 200
    later = Beside(job_of(api, tmp_path), sitting(store, 5, "b"))
    later.join()
    assert later.published[0]["failed"] == 1
    slow.go.set()
    first.join()
    api.answer = lambda seen: 200
    retry = Beside(job_of(api, tmp_path, this_try=Try(2, (3, 3))), sitting(store, 9, "c", 2))
    retry.join()
    assert retry.error is None
    [report] = retry.published
    assert [report[name] for name in ("read", "delivered", "failed", "unfinished")] == [200, 200, 0, 0]
    assert {seen.json()["id"] for seen in api.delivered} == set(range(200))


def test_a_sitting_that_is_replaced_before_it_begins_sends_nothing(api, tmp_path):
    store = Store()
    sitting(store, 5, "b").set("checkpoint", 1)
    late = Beside(job_of(api, tmp_path), sitting(store, 0, "a"))
    late.join()
    assert isinstance(late.error, ReplacedError)
    assert (api.seen, late.published) == ([], [])


def test_a_state_store_that_is_away_does_not_stop_anybody(api, tmp_path):
    class Away:
        def get(self, key):
            raise ConnectionError("away")

        set = delete = get

    job = Beside(job_of(api, tmp_path), TryStore(Away, claim(0, "a"), outlives_run=False))
    job.join()
    assert (job.error, job.published[0]["delivered"]) == (None, 200)


def test_dead_letters_that_land_while_a_later_one_runs_do_not_count_at_its_end(api, tmp_path):
    """The worst order of steps: the earlier one has looked, and writes its file when the later one has begun."""
    late = threading.Event()

    async def answer(seen):
        if seen.json()["id"] == 199:
            while not late.is_set():
                await asyncio.sleep(0.01)
        return 422 if seen.json()["id"] in {7, 199} else 200

    api.answer = answer
    folder = DeadLetterFolder(tmp_path, 1)
    folder.write([letter(3)])  # what an earlier try has left is not of one beside this one
    store = Store()
    running = Beside(job_of(api, tmp_path, max_failures=2), sitting(store, 5, "b"))
    api.wait_for(lambda api: len(api.delivered) == 198)
    DeadLetterFolder(tmp_path, 1).write([letter(i) for i in (7, 50, 199)])
    late.set()
    running.join()
    assert running.error is None
    assert DeadLetterFolder(tmp_path).read() == {7: "http_422", 199: "http_422"}
    assert running.published[0]["failed"] == 2


def letter(index):
    return DeadLetter.of(Item(index, index, {"id": index}, None), "timeout", attempts=1)


def test_one_that_is_replaced_between_its_last_look_and_its_last_write_writes_nothing(api, tmp_path):
    class Overtaken(Store):
        """Somebody takes it over right after it was asked who has it."""

        def get(self, key):
            found = super().get(key)
            if key == "life":
                self.set("try", list(claim(5, "b")))
            return found

    api.answer = lambda seen: 422 if seen.json()["id"] == 7 else 200
    first = Beside(job_of(api, tmp_path, 50, max_failures=1), sitting(Overtaken(), 0, "a"))
    first.join()
    assert isinstance(first.error, ReplacedError)
    assert (first.published, list(tmp_path.glob("*.jsonl"))) == ([], [])


def test_a_load_that_is_replaced_before_it_merges_does_not(api, tmp_path):
    looks, database = [], Database()

    class Replaced(Store):
        def get(self, key):
            if key == "life" and looks:
                raise ReplacedError("a later one")
            looks.extend([key] * (key == "life"))
            return super().get(key)

    api.answer = rows_of
    with pytest.raises(ReplacedError):
        run(make_fetch_job(api, tmp_path, database, 5), Replaced())
    assert ("stage" in database.calls, "merge" in database.calls, database.rows) == (True, False, [])
