"""A whole job without Airflow: what is written, when, and what happens when writing fails."""

import asyncio
import json
import logging
import threading

import pytest

from airflow_async_rest.core.client import ClientSettings
from airflow_async_rest.core.dead_letters import DeadLetterFolder
from airflow_async_rest.core.encoding import json_encoder
from airflow_async_rest.core.errors import DeadLetterStoreError, FailuresError, KilledError, StoppedError
from airflow_async_rest.core.job import Job, JobRun
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.request import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.source import RowSource


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr("airflow_async_rest.core.pipeline.GRACE_SECONDS", 0.2)


class Rows:
    """``count`` rows in chunks of 100; knows how many were read."""

    def __init__(self, count: int, after: Exception | None = None) -> None:
        self.count, self.after, self.chunks_read = count, after, 0

    def __iter__(self):
        for start in range(0, self.count, 100):
            self.chunks_read += 1
            yield [{"id": i} for i in range(start, min(start + 100, self.count))]
        if self.after:
            raise self.after

    def cancel(self):
        pass


class Store(dict):
    """A state store; keeps what was ever set, in order."""

    def __init__(self):
        super().__init__()
        self.history = []

    def set(self, key, value):
        self.history.append((key, json.loads(json.dumps(value))))
        self[key] = self.history[-1][1]

    def delete(self, key):
        self.pop(key, None)


def make_job(api, path, rows=250, **settings) -> Job:
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/{id}"),
        method="PUT",
        encode=json_encoder(),
        identity=Identity(("dag", "task"), ("start", "end")),
        has_key=True,
    )
    return Job(
        **{
            "settings": ClientSettings(api.url),
            "build": builder.build,
            "source": RowSource(rows if isinstance(rows, Rows) else Rows(rows), key=("id",), endpoint_columns=("id",)),
            "retry": RequestRetry(max_attempts=1),
            "about": {"window_start": "start", "window_end": "end"},
            "folder": DeadLetterFolder(path, 1),
            "folder_uri": f"file://{path}",
            "fingerprint": "this job",
            "log": logging.getLogger("job"),
            **settings,
        }
    )


def run(job, store=None, stop=None):
    return asyncio.run(JobRun(job, stop or StopSwitch(), store).run())


def test_the_last_writes_come_in_order_dead_letters_checkpoint_then_what_is_published(api, tmp_path):
    order = []
    store = Store()

    class Folder(DeadLetterFolder):
        def write(self, records):
            order.append("part")
            return super().write(records)

    store.set = lambda key, value: order.append(key)
    api.answer = lambda seen: 422 if seen.path == "/x/7" else 200
    job = make_job(api, tmp_path, folder=Folder(tmp_path), publish=lambda report, sample, error: order.append("xcom"))
    with pytest.raises(FailuresError):
        run(job, store)
    assert order[-4:] == ["part", "checkpoint", "progress", "xcom"]


def test_at_most_three_chunks_are_read_while_nothing_is_delivered(api, tmp_path):
    api.answer = lambda seen: "hang"
    rows, stop = Rows(100_000), StopSwitch()

    def stop_when_stuck():
        api.wait_for(lambda api: api.in_flight == 4)
        stop.pull(KilledError("enough"))

    killer = threading.Thread(target=stop_when_stuck)
    killer.start()
    with pytest.raises(KilledError):
        run(make_job(api, tmp_path, rows, concurrency=4), Store(), stop)
    killer.join()
    assert rows.chunks_read <= 3


def test_requests_in_flight_are_exactly_as_many_as_allowed(api, tmp_path):
    async def answer(seen):
        await asyncio.sleep(0.01)
        return 200

    api.answer = answer
    assert run(make_job(api, tmp_path, 500, concurrency=23))["delivered"] == 500
    assert api.peak == 23


def test_a_store_that_hangs_costs_neither_the_delivery_nor_the_dead_letters(api, tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_async_rest.core.job._SECONDS_AT_END", 0.2)
    forever = threading.Event()
    store = Store()
    store.set = lambda key, value: forever.wait()
    api.answer = lambda seen: 422 if seen.path == "/x/7" else 200
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path), store)
    assert len(api.delivered) == 249
    assert DeadLetterFolder(tmp_path).read() == {7: "http_422"}
    forever.set()


def test_dead_letters_that_cannot_be_written_fail_the_task_and_are_still_published(api, tmp_path):
    file = tmp_path / "a file where the folder should be"
    file.write_text("")
    published = []
    api.answer = lambda seen: 422 if seen.path == "/x/7" else 200
    job = make_job(
        api, file / "folder", max_failures=10, publish=lambda report, sample, error: published.append((sample, error))
    )
    with pytest.raises(DeadLetterStoreError, match="1 dead letters are not written"):
        run(job, Store())
    ((sample, error),) = published
    assert [item["key"] for item in sample] == [7]
    assert isinstance(error, DeadLetterStoreError)


def test_an_error_while_reading_keeps_what_is_done_and_the_retry_goes_on(api, tmp_path):
    store = Store()
    with pytest.raises(ConnectionError, match="the database went away"):
        run(make_job(api, tmp_path, Rows(200, ConnectionError("the database went away"))), store)
    done = store["checkpoint"]
    assert done["position"] - len(done["unfinished"]) == len(api.delivered) == 200
    api.reset()
    assert run(make_job(api, tmp_path, 250), store)["read"] == 250
    assert len(api.seen) == 50


def test_a_second_stop_and_a_resume_keep_the_account(api, tmp_path):
    """Stopped again while it sends dead and unfinished rows again, it still knows each of them."""
    store = Store()

    def stop_at(condition):
        stop = StopSwitch()
        thread = threading.Thread(target=lambda: (api.wait_for(condition), stop.pull(KilledError("stop"))))
        thread.start()
        return stop

    api.answer = lambda seen: 422 if int(seen.path[3:]) % 10 == 3 else ("hang" if int(seen.path[3:]) >= 150 else 200)
    with pytest.raises(KilledError):
        run(make_job(api, tmp_path, concurrency=5), store, stop_at(lambda api: api.in_flight == 5))
    assert sorted(store["checkpoint"]["unfinished"]) == [150, 151, 152, 154, 155]
    api.answer = lambda seen: "hang"  # the dead ones 3, 13, 23, 33, 43 are being sent again
    api.reset()
    with pytest.raises(KilledError):
        run(make_job(api, tmp_path, concurrency=5), store, stop_at(lambda api: len(api.seen) == 5))
    again = store["checkpoint"]
    assert set(again["unfinished"]) == {3, 13, 23, 33, 43, 150, 151, 152, 154, 155}
    assert again["totals"]["reasons"] == {"http_422": 11}
    api.answer = lambda seen: 200
    api.reset()
    report = run(make_job(api, tmp_path, concurrency=5), store)
    assert [report[name] for name in ("read", "delivered", "failed", "unfinished")] == [250, 250, 0, 0]
    assert {int(seen.path[3:]) for seen in api.seen} == {*range(3, 150, 10), *range(150, 250)}
    assert DeadLetterFolder(tmp_path).read() == {}


def test_what_a_replay_delivered_between_two_tries_is_not_sent_again(api, tmp_path):
    store = Store()
    api.answer = lambda seen: 500 if int(seen.path[3:]) in {3, 4} else 200
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path), store)
    DeadLetterFolder(tmp_path).write([{"index": 3, "resolved": True}])
    api.reset()
    api.answer = lambda seen: 200
    report = run(make_job(api, tmp_path), store)
    assert [seen.path for seen in api.seen] == ["/x/4"]
    assert (report["delivered"], report["failed"]) == (250, 0)


def test_a_stop_before_the_start_sends_nothing(api, tmp_path):
    stop = StopSwitch()
    stop.pull(StoppedError("too early"))
    with pytest.raises(StoppedError, match="too early"):
        run(make_job(api, tmp_path), Store(), stop)
    assert len(api.seen) <= 16


def test_a_checkpoint_of_another_version_starts_over(api, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    store = Store()
    store["checkpoint"] = {"version": 99}
    assert run(make_job(api, tmp_path), store)["delivered"] == 250
    assert "starting over from the first row: not a checkpoint of this version" in caplog.text


def test_an_empty_source_is_a_success(api, tmp_path):
    report = run(make_job(api, tmp_path, 0), Store())
    assert (report["read"], report["latency_ms"]) == (0, {"p50": None, "p95": None, "p99": None})


def test_a_stop_while_the_database_is_slow_does_not_wait_for_it(api, tmp_path):
    """Nothing is in flight, so the end needs no grace; only the database is waited for, and it never answers."""
    reading, never, stop = threading.Event(), threading.Event(), StopSwitch()

    class Slow(Rows):
        def __iter__(self):
            reading.set()
            never.wait()
            yield []

    threading.Thread(target=lambda: (reading.wait(), stop.pull(KilledError("enough")))).start()
    waited = []

    async def end(workers):
        waited.append(await asyncio.wait(workers))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_async_rest.core.pipeline._end", end)  # without its bound: it would hang
        with pytest.raises(KilledError):
            run(make_job(api, tmp_path, Slow(1)), Store(), stop)
    assert waited
    never.set()
