"""A whole job without Airflow: what is written, when, and what happens when writing fails."""

import asyncio
import contextlib
import logging
import random
import threading
import tracemalloc

import pytest
from engine import Rows, Store, counts, make_job, replay_folder, run, within

from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import (
    DeadLetterStoreError,
    FailuresError,
    KilledError,
    MostlyFailingError,
    StoppedError,
)
from airflow_async_rest.core.letters.folder import RESET, DeadLetterFolder
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.requests.settings import ClientSettings, parse_max_failures
from airflow_async_rest.core.sending.excerpts import Excerpts


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
    together = asyncio.Event()

    async def answer(seen):
        if api.in_flight == 23:
            together.set()
        await asyncio.wait_for(together.wait(), 30)
        await asyncio.sleep(0.01)  # time for one too many
        return 200

    api.answer = answer
    assert run(make_job(api, tmp_path, 500, concurrency=23))["delivered"] == 500
    assert api.peak == 23


@pytest.mark.slow("waits for real")
def test_a_store_that_hangs_costs_neither_the_delivery_nor_the_dead_letters(api, tmp_path):
    forever = threading.Event()
    store = Store()
    store.set = lambda key, value: forever.wait()
    api.answer = lambda seen: 422 if seen.path == "/x/7" else 200
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, bounds=within(at_end_seconds=2.0)), store)
    assert len(api.delivered) == 249
    assert DeadLetterFolder(tmp_path).read() == {7: "http_422"}
    forever.set()


def test_dead_letters_that_cannot_be_written_fail_the_task_and_are_still_published(api, tmp_path):
    file = tmp_path / "a file where the folder should be"
    file.write_text("")
    published = []
    api.answer = lambda seen: 422 if seen.path == "/x/7" else 200
    job = make_job(api, file / "folder", max_failures=10, publish=lambda *what: published.append(what))
    with pytest.raises(DeadLetterStoreError, match="1 dead letter is not written"):
        run(job, store := Store())
    ((report, sample, error),) = published
    assert report["complete"] is False  # or a replay would take what is in the folder for all
    assert (store["progress"]["error"], store["progress"]["complete"]) == (report["error"], False)
    assert report["error"].startswith("1 dead letter is not written")
    assert [item["key"] for item in sample] == [7]
    assert isinstance(error, DeadLetterStoreError)


@pytest.mark.parametrize(
    ("kills", "fails"), [(True, OSError("no space left")), (False, OSError("no space left")), (False, None)]
)
def test_what_is_known_after_the_last_write_is_in_the_progress_too(api, tmp_path, monkeypatch, kills, fails):
    """A part that cannot be written, of a try that is killed or not; and one that is gone by then."""
    from airflow_async_rest.core.letters.part_files import PartFiles

    stop = StopSwitch()

    def answer(seen):
        if kills and seen.path == "/x/9":
            stop.pull(KilledError("killed"))
        return 422 if seen.path == "/x/7" else 200

    def write(files, part, data):
        if fails:
            raise fails
        return True  # and there is no file

    api.answer = answer
    monkeypatch.setattr(PartFiles, "write", write)
    with pytest.raises(DeadLetterStoreError):
        run(make_job(api, tmp_path, max_failures=10, concurrency=1), store := Store(), stop)
    progress = store["progress"]
    assert "dead letter is not written" in progress["error"]
    assert progress["complete"] is False
    assert store.history[-1][0] == "progress"


def test_an_error_while_reading_keeps_what_is_done_and_the_retry_goes_on(api, tmp_path):
    store = Store()
    with pytest.raises(ConnectionError, match="the database went away"):
        run(make_job(api, tmp_path, Rows(200, ConnectionError("the database went away")), bounds=USUAL), store)
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
    assert api.seen == []


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

    async def end(workers, in_flight, grace_seconds):
        assert not in_flight
        for worker in workers:
            worker.cancel()
        waited.append(await asyncio.wait(workers))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_async_rest.core.pipeline._end", end)  # without its bound: it would hang
        with pytest.raises(KilledError):
            run(make_job(api, tmp_path, Slow(1)), Store(), stop)
    assert waited
    never.set()


# Several tries, and what happens between them.


def fail_for(reasons):
    """Answer some rows with a status that is not 2xx: {row: status}."""
    return lambda seen: reasons.get(int(seen.path[3:]), 200)


def test_what_a_replay_resolved_is_counted_once_however_many_tries_follow(api, tmp_path):
    store, dead = Store(), dict.fromkeys(range(20), 422)
    api.answer = fail_for(dead)
    with pytest.raises(FailuresError, match="20 of 250"):
        run(make_job(api, tmp_path), store)
    api.answer = fail_for(dict.fromkeys(range(9, 20), 422))
    replay_folder(api, tmp_path)
    for number in (2, 3, 4):
        with pytest.raises(FailuresError, match="11 of 250"):
            run(make_job(api, tmp_path, folder=DeadLetterFolder(tmp_path, number), max_failures=9), store)
    assert len(DeadLetterFolder(tmp_path).read()) == 11


def test_a_start_over_that_left_no_checkpoint_is_not_taken_for_a_replay(api, tmp_path):
    store = Store()
    api.answer = fail_for({4: 500, 104: 500})
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path), store)
    kept = dict(store)
    DeadLetterFolder(tmp_path, 2).write([RESET])  # the state store was away, and then the try was killed
    store.clear()
    store.update(kept)
    api.reset()
    api.answer = fail_for({})
    assert counts(run(make_job(api, tmp_path, folder=DeadLetterFolder(tmp_path, 3)), store)) == [250, 250, 0, 0]
    assert len(api.seen) == 250


def test_a_start_over_makes_earlier_dead_letters_void_even_unreadable_ones(api, tmp_path):
    store = Store()
    api.answer = fail_for({4: 500})
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path), store)
    (tmp_path / "1-1.jsonl").write_text("not what was written")
    api.answer = fail_for({5: 500})
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, folder=DeadLetterFolder(tmp_path, 2)), store)
    assert DeadLetterFolder(tmp_path).read() == {5: "http_500"}
    api.reset()
    api.answer = fail_for({})
    run(make_job(api, tmp_path, folder=DeadLetterFolder(tmp_path, 3)), store)
    assert [seen.path for seen in api.seen] == ["/x/5"]


def test_a_slow_write_of_dead_letters_is_in_the_checkpoint_that_counts_it(api, tmp_path):
    often = within(longest_unwritten_seconds=0.0, write_every_seconds=0.01)
    store, writing = Store(), threading.Event()

    class SlowFolder(DeadLetterFolder):
        def write(self, records):
            if not writing.is_set():
                writing.set()
                api.wait_for(lambda api: len(api.delivered) == 245)
                threading.Event().wait(0.1)  # longer than the rest of the job takes
            return super().write(records)

    async def answer(seen):
        while len(api.seen) > 100 and not writing.is_set():
            await asyncio.sleep(0)
        return 500 if len(api.seen) <= 5 else 200

    api.answer = answer
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, folder=SlowFolder(tmp_path, 1), bounds=often), store)
    parts = [tuple(part) for part in DeadLetterFolder(tmp_path).parts()]
    assert sum(store["checkpoint"]["totals"]["reasons"].values()) == len(DeadLetterFolder(tmp_path).read())
    assert store["checkpoint"]["parts"] == [[1, parts[0][1], parts[-1][1]]]


@pytest.mark.slow("1,250 rows, and again")
def test_rows_refused_again_do_not_keep_a_retry_or_a_replay_from_the_others(api, tmp_path):
    store, refused = Store(), {**dict.fromkeys(range(0, 1000, 4), 422), 5: 403}
    rows = Rows(1000, ConnectionError("the database went away"))
    api.answer = fail_for(refused)
    with pytest.raises(ConnectionError):
        run(make_job(api, tmp_path, rows), store)
    with pytest.raises(FailuresError, match="251 of 1,250"):
        run(make_job(api, tmp_path, 1250), store)
    api.reset()
    api.answer = fail_for(dict([*list(refused.items())[:230], (5, 403)]))
    assert replay_folder(api, tmp_path)["delivered"] == 20


def test_a_try_that_cannot_begin_leaves_the_checkpoint_alone(api, tmp_path):
    store = Store()
    api.answer = fail_for({4: 500})
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path), store)
    before = dict(store)

    class Away(DeadLetterFolder):
        def parts(self):
            raise DeadLetterStoreError("the storage is away")

        read = live_parts = iter_records = parts

    with pytest.raises(DeadLetterStoreError, match="the storage is away"):
        run(make_job(api, tmp_path, folder=Away(tmp_path, 2)), store)
    assert store["checkpoint"] == before["checkpoint"]


def test_after_a_stop_no_request_begins(api, tmp_path):
    stop = StopSwitch()

    def answer(seen):
        if len(api.seen) == 5:
            stop.pull(KilledError("enough"))
        return 200

    api.answer = answer
    with pytest.raises(KilledError):
        run(make_job(api, tmp_path, rate_limit=(20, 1.0), concurrency=50), Store(), stop)
    assert len(api.seen) <= 6  # one may be on its way when the word comes


def test_too_many_dead_letters_that_cannot_be_written_stop_the_job(api, tmp_path):
    few = within(much_unwritten_bytes=5 * 500, most_failed_writes=3, write_every_seconds=0.01)
    (tmp_path / "file").write_text("")
    api.answer = lambda seen: 422 if len(api.seen) <= 10 else ("hang" if len(api.seen) > 100 else 200)
    reports = []
    publish = lambda report, sample, error: reports.append(report)  # noqa: E731
    with pytest.raises(DeadLetterStoreError):
        run(make_job(api, tmp_path / "file" / "folder", max_failures=100, publish=publish, bounds=few), Store())
    assert reports[0]["read"] < 250


def test_the_share_of_failures_allowed_is_exact_at_its_bound(api, tmp_path):
    api.answer = fail_for(dict.fromkeys(range(29), 422))
    assert counts(run(make_job(api, tmp_path, 100, max_failures=parse_max_failures("29%"))))[2] == 29


def test_a_part_that_another_writer_has_written_is_not_overwritten(tmp_path):
    task, replay = DeadLetterFolder(tmp_path, 2), DeadLetterFolder(tmp_path)
    parts = [task.write([{"index": 1, "reason": "x"}]), replay.write([{"index": 2, "reason": "y"}])]
    parts.append(task.write([{"index": 3, "reason": "z"}]))
    assert parts == [(2, 1), (2, 2), (2, 3)]
    assert DeadLetterFolder(tmp_path).read() == {1: "x", 2: "y", 3: "z"}


def test_a_replay_sends_numbers_as_they_were_written(api, tmp_path):
    values = [1e-7, 1e22, 0.1, 10**30, 10**4000, -0.0]
    bodies = JsonEncoder()(values)
    api.answer = lambda seen: 500
    source = RowSource(Rows(1), key=("id",), transform=lambda row: values)
    run(make_job(api, tmp_path, source=source, max_failures=1))
    replay_folder(api, tmp_path)
    assert {seen.body for seen in api.seen} == {bodies}


@pytest.mark.slow("eight jobs and as many replays a seed")
@pytest.mark.parametrize("seed", [0, 3, 48])
def test_tries_of_all_kinds_one_after_the_other_end_with_every_row_delivered(api, tmp_path, seed):
    """Stops, sudden ends (nothing is written any more), replays and changes of the source, by chance."""
    often = within(grace_seconds=0.05, write_every_seconds=0.02)
    chance, state, rows, delivered = random.Random(seed), Store(), list(range(300)), set()

    class Source(Rows):
        def __iter__(self):
            size, left = chance.choice([7, 50, 400]), list(rows)
            yield from ([{"id": i} for i in left[start : start + size]] for start in range(0, len(left), size))

    def one_try(number, ending, failing):
        stop, gone, moment = StopSwitch(), threading.Event(), chance.randrange(1, 320)

        class Folder(DeadLetterFolder):
            def write(self, records):
                if gone.is_set():
                    raise DeadLetterStoreError("gone")
                return super().write(records)

        def answer(seen):
            row = int(seen.path[3:])
            if ending and len(api.seen) >= moment:
                if ending == "sudden":
                    gone.set()
                stop.pull(KilledError(ending))
            if failing.get(row, 200) == 200:
                delivered.add(row)
            return failing.get(row, 200)

        store = Store()
        store.get, store.delete = state.get, lambda key: None if gone.is_set() else state.pop(key, None)
        store.set = lambda key, value: None if gone.is_set() else state.set(key, value)
        api.reset()
        api.answer = answer
        parts = {"folder": Folder(tmp_path, number), "concurrency": chance.choice([1, 5, 30])}
        job = make_job(api, tmp_path, Source(1), bounds=often, **parts)
        with contextlib.suppress(KilledError, FailuresError, MostlyFailingError, DeadLetterStoreError):
            return run(job, store, stop)

    for number in range(1, 8):
        share = chance.choice([0, 0.1, 0.3])
        failing = {row: chance.choice([422, 500]) for row in rows if chance.random() < share}
        one_try(number, chance.choice([None, "stop", "sudden"]), failing)
        match chance.choice(["nothing", "replay", "insert", "remove", "grow"]):
            case "replay":
                api.answer = lambda seen: 200 if delivered.add(int(seen.path[3:])) is None else 500
                replay_folder(api, tmp_path, bounds=often)
            case "insert":
                rows.insert(chance.randrange(len(rows)), 1000 + number)
            case "remove":
                rows.pop(chance.randrange(len(rows)))
            case "grow":
                rows.append(2000 + number)
    report = one_try(8, None, {})
    assert set(rows) <= delivered
    assert counts(report) == [len(rows), len(rows), 0, 0]
    assert DeadLetterFolder(tmp_path).read() == {}


def test_dead_letters_with_large_bodies_are_written_before_the_interval_is_over(api, tmp_path):
    rows = Rows(150)
    large = RowSource(rows, key=("id",), transform=lambda row: {**row, "v": "x" * 100_000})
    api.answer = lambda seen: 422
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, source=large), Store())
    sizes = [part.stat().st_size for part in tmp_path.glob("*.jsonl")]
    assert sum(sizes) > 150 * 100_000
    assert len(sizes) >= 2  # one, if they waited


def test_of_a_large_answer_only_the_beginning_is_read_for_a_dead_letter(response_of, request_of):
    settings = ClientSettings("http://127.0.0.1", secrets=frozenset({"s3cr3t"}))
    response = response_of(400, b"no s3cr3t " + b"x" * 5_000_000)
    tracemalloc.start()
    try:
        text = Excerpts(settings).of(request_of(), response, "why")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert text.startswith("why; no *** xxx")
    assert len(text) == 500
    assert peak < 1_000_000


def test_a_job_that_cannot_resume_keeps_its_progress_and_no_checkpoint(api, tmp_path):
    store = Store()
    run(make_job(api, tmp_path, fingerprint=None), store)
    assert {key for key, _ in store.history} == {"progress"}
