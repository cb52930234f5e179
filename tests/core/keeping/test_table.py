"""A whole load without Airflow: which rows are in the destination, and which the checkpoint counts, whatever happens."""

import asyncio
import contextlib
import json
import random
import shutil
import threading
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web
from engine import Database, Rows, Store, make_fetch_job, number_of, rows_of, run, within
from tables import left_to_release

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.errors import (
    AsyncRestError,
    ConfigurationError,
    DeadLetterStoreError,
    FailuresError,
    KilledError,
    LoadError,
    StoppedError,
)
from airflow_async_rest.core.keeping.row_sink import Earlier, LoadState, PlacedRow, item_of, place_of
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.pages import CursorPages, NumberedPages
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.run import JobRun

OLD = {"id": "old", "item": -1, "day": "this"}
SIZE = len(json.dumps([{"id": f"10-{n}", "item": 10, "day": "this"} for n in range(2)]))  # of an answer
OLDER = {"id": "older", "item": -2, "day": "before"}


def small(**bounds):
    """Small chunks, and no long waits for what hangs."""
    usual = {"chunk_rows": 10, "write_every_seconds": 0.02, "after_stop_seconds": 2.0}
    return within(**{**usual, **bounds})


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def fetch(api, tmp_path, database):
    """Run one try of a load of 60 items, two rows each; the numbers of its dead-letter parts are its own."""
    api.answer = rows_of
    tries = count(1)

    def one_try(items=60, *, store=None, stop=None, **parts):
        folder = DeadLetterFolder(tmp_path, next(tries))
        return run(
            make_fetch_job(api, tmp_path, database, items, **{"folder": folder, "bounds": small(), **parts}),
            store,
            stop,
        )

    return one_try


def ids(database) -> list[str]:
    return sorted(row["id"] for row in database.rows)


def expected_ids(items, count=2) -> list[str]:
    return sorted(f"{item}-{n}" for item in items for n in range(count))


def failing(*numbers, status=500):
    return lambda seen: status if number_of(seen) in numbers else rows_of(seen)


def account(report) -> tuple:
    """Return an account that adds up: read, delivered, failed, skipped, unfinished."""
    names = ("read", "delivered", "failed", "skipped", "unfinished")
    assert report["read"] == sum(report[name] for name in names[1:])
    return tuple(report[name] for name in names)


def raising(error, *calls):
    """Make what raises before some calls of a loader: ``("stage", 2)`` is the second one of its kind."""
    seen = Counter()

    def before(call):
        seen[call] += 1
        if (call, seen[call]) in calls:
            raise error

    return before


# What a load leaves.


def test_all_rows_are_staged_in_chunks_and_merged_at_the_end(fetch, database):
    report = fetch()
    assert ids(database) == expected_ids(range(60))
    assert account(report) == (60, 60, 0, 0, 0)
    assert (report["rows_loaded"], report["rows_refused"], report["rows_staged"]) == (120, 0, 0)
    assert database.calls.count("stage") > 1
    assert database.calls.count("merge") == 1
    assert database.closed.wait(60)
    assert database.calls[-1] == "close"
    assert (database.line.state, database.line.loaded, database.staged) == (LoadState.DONE, 120, None)


@pytest.mark.parametrize(("mode", "kept"), [("append", [OLD, OLDER]), ("upsert", [OLD, OLDER]), ("replace", [OLDER])])
def test_what_was_there_stays_but_for_a_window_that_is_replaced(fetch, database, mode, kept):
    database.mode, database.rows = mode, [OLD, OLDER]
    fetch()
    assert ids(database) == sorted(expected_ids(range(60)) + [row["id"] for row in kept])


def test_an_empty_source_replaces_the_window_by_nothing(fetch, database):
    database.mode, database.rows = "replace", [OLD, OLDER]
    report = fetch(0)
    assert database.rows == [OLDER]
    assert (report["read"], report["rows_loaded"]) == (0, 0)


def test_an_item_without_rows_is_delivered(fetch, database, api):
    api.answer = lambda seen: rows_of(seen, 0 if number_of(seen) == 5 else 2)
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(set(range(60)) - {5})


def test_an_item_whose_404_is_accepted_is_skipped(fetch, database, api):
    api.answer = failing(5, status=404)
    assert account(fetch(missing_ok=True)) == (60, 59, 0, 1, 0)
    assert ids(database) == expected_ids(set(range(60)) - {5})


def test_the_rows_of_an_item_keep_their_order(fetch, database):
    fetch()
    assert [row["id"] for row in database.rows] == [f"{item}-{n}" for item in range(60) for n in range(2)]


def test_keys_that_are_no_columns_are_counted_over_all_tries(fetch, api):
    shape = RowShape(["id"])
    api.answer = failing(3)
    with pytest.raises(FailuresError):
        fetch(shape=shape)
    api.answer = rows_of
    assert fetch(shape=RowShape(["id"]))["keys_ignored"] == {"item": 120, "day": 120}


def test_progress_adds_up_and_says_nothing_of_rows_that_are_not_committed(fetch, database):
    store, committed = Store(), []
    database.after = lambda call: call == "commit" and committed.append(database.checkpoint["totals"]["delivered"])
    fetch(store=store, bounds=small(progress_every_seconds=0.0))
    seen = [value for key, value in store.history if key == "progress"]
    assert seen
    for progress in seen:
        account(progress)
        assert progress["delivered"] in {0, *committed}
    assert {key for key, _ in store.history} == {"progress"}


@pytest.mark.slow("waits for real")
@pytest.mark.parametrize("chunk", [{"chunk_rows": 10}, {"chunk_rows": 10_000, "chunk_bytes": 5 * 4 * SIZE}])
def test_no_more_than_a_buffer_full_and_what_the_workers_have_wait_for_the_database(fetch, database, api, chunk):
    hangs, stop = threading.Event(), StopSwitch()

    def before(call):
        if call == "stage":
            hangs.set()
            database.cancelled.wait()
            raise LoadError("cancelled")

    database.before = before

    def stop_when_still():
        hangs.wait()
        api.wait_for(lambda api: len(api.seen) >= (10 + 20) / 2 and api.in_flight == 0)  # a chunk, and the buffer
        stop.pull(KilledError("enough"))

    killer = threading.Thread(target=stop_when_still)
    killer.start()
    with pytest.raises(KilledError):
        fetch(1000, stop=stop, bounds=small(**chunk))
    killer.join()
    database.cancelled.set()
    # Two chunks, and what four workers bring at once, are being staged; as many wait in the buffer, and the workers. When
    # the stop cancels the database, each of these may ask for one more before it is stopped itself, and what is let go by
    # the database then may let in as much as the buffer holds.
    assert len(api.seen) <= 2 * (20 + 4 * 2) / 2 + 4 + 4 + 20


# What a checkpoint counts.


def staged_items(database) -> set[int]:
    return {item_of(row.place)[0] for row in database.staged or ()}


def test_a_checkpoint_counts_an_item_only_with_its_rows(fetch, database, api):
    """At every commit: what is below the position and neither unfinished nor dead has its rows in the same commit."""
    moments = []

    def after(call):
        if call == "commit" and database.line.state is LoadState.STAGING:
            checkpoint = database.checkpoint
            counted = set(range(checkpoint["position"])) - set(checkpoint["unfinished"]) - {7, 31}
            totals = checkpoint["totals"]
            assert totals["read"] == totals["delivered"] + totals["skipped"] + sum(totals["reasons"].values()) + len(
                checkpoint["unfinished"]
            )
            moments.append((counted <= staged_items(database), len(database.staged or ()) == totals["rows"]["staged"]))

    database.after = after
    api.answer = failing(7, 31)
    with pytest.raises(FailuresError):
        fetch()
    assert len(moments) > 2
    assert set(moments) == {(True, True)}


def test_what_was_not_committed_does_not_count_as_delivered(fetch, database):
    reports = []

    def before(call):
        if call == "commit" and database.staged:
            raise LoadError("the disk is full")

    database.before = before
    with pytest.raises(LoadError, match="the disk is full"):
        fetch(publish=lambda report, sample, error: reports.append(report))
    totals = database.checkpoint["totals"]
    assert reports[0]["delivered"] == totals["delivered"] == len(database.staged) / 2 > 0
    account(reports[0])
    assert database.rows == []


@pytest.mark.slow("waits for real")
def test_rows_that_hang_on_their_way_into_the_database_do_not_count_as_delivered(fetch, database, api):
    hangs, stop, reports = threading.Event(), StopSwitch(), []

    def before(call):
        if call == "stage" and database.calls.count("stage") == 2:
            hangs.set()
            database.cancelled.wait()
            raise LoadError("cancelled")

    database.before = before
    killer = threading.Thread(target=lambda: (hangs.wait(), stop.pull(KilledError("enough"))))
    killer.start()
    with pytest.raises(KilledError, match="enough"):
        fetch(stop=stop, publish=lambda report, sample, error: reports.append(report))
    killer.join()
    database.cancelled.set()
    account(reports[0])
    assert reports[0]["delivered"] == len(database.staged) / 2


# Failures, and the next try.


def test_only_the_item_that_failed_is_fetched_again(fetch, database, api):
    api.answer = failing(7)
    with pytest.raises(FailuresError, match=r"1 of 60 items failed \(1 http_500\)") as caught:
        fetch()
    assert not caught.value.permanent
    assert ids(database) == expected_ids(set(range(60)) - {7})
    assert database.line.state is LoadState.MERGED
    api.reset()
    api.answer = rows_of
    report = fetch()
    assert [seen.path for seen in api.seen] == ["/x/7"]
    assert ids(database) == expected_ids(range(60))
    assert account(report) == (60, 60, 0, 0, 0)
    assert report["rows_loaded"] == 120
    assert database.line.state is LoadState.DONE


def test_a_page_that_fails_keeps_all_rows_of_its_item_out(fetch, database, api):
    def answer(seen):
        page = int(seen.query.rpartition("=")[2])
        if number_of(seen) == 7 and page == 3:
            return 410
        return web.json_response([{"id": f"{number_of(seen)}-{page}"}] if page <= 3 else [])

    api.answer = answer
    with pytest.raises(FailuresError):
        fetch(10, pages=NumberedPages())
    assert ids(database) == sorted(f"{item}-{page}" for item in range(10) for page in (1, 2, 3) if item != 7)


def test_a_window_is_not_replaced_when_items_failed_and_is_when_they_have_come(fetch, database, api):
    database.mode, database.rows = "replace", [OLD, OLDER]
    api.answer = failing(7)
    with pytest.raises(FailuresError):
        fetch()
    assert database.rows == [OLD, OLDER]
    assert "merge" not in database.calls
    assert len(database.staged) == 118
    api.answer = rows_of
    api.reset()
    assert fetch()["rows_loaded"] == 120
    assert len(api.seen) == 1
    assert ids(database) == sorted([*expected_ids(range(60)), "older"])


def test_a_window_is_replaced_when_no_more_items_failed_than_are_accepted(fetch, database, api):
    database.mode, database.rows = "replace", [OLD]
    api.answer = failing(7)
    report = fetch(max_failures=1)
    assert account(report) == (60, 59, 1, 0, 0)
    assert ids(database) == expected_ids(set(range(60)) - {7})
    assert database.line.state is LoadState.DONE


@pytest.mark.parametrize("call", ["open", "begin", "stage", "merge", "commit"])
def test_an_error_of_the_database_ends_the_job_and_the_next_try_goes_on(fetch, database, call):
    database.before = raising(LoadError(f"away at {call}"), *[(call, number) for number in range(1, 99)])
    with pytest.raises(LoadError, match=f"away at {call}"):
        fetch()
    assert database.rows == []
    database.before = lambda call: None
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(range(60))


def test_a_wrong_argument_that_the_first_rows_show_ends_the_job_at_once(fetch, database, api):
    database.before = raising(ConfigurationError("no key is a column"), *[("stage", number) for number in range(1, 99)])
    with pytest.raises(ConfigurationError, match="no key is a column"):
        fetch(10_000)
    assert len(api.seen) < 5_000


def test_a_commit_that_fails_while_rows_come_in_ends_the_job(ends, fetch, database, api):
    """More rows are due by then, and nobody stages them any more."""

    def before(call):
        if call == "commit" and database.calls.count("commit") > 1:
            seen = len(api.seen)
            api.wait_for(lambda api: len(api.seen) > seen + 20)
            raise LoadError("a deferred trigger")

    database.before = before
    with pytest.raises(LoadError, match="a deferred trigger"):
        fetch(20_000)
    assert len(api.seen) < 5_000
    assert database.rows == []


@pytest.mark.parametrize("error", [TypeError("a bug"), DeadLetterStoreError("the storage is away")])
def test_an_error_that_nobody_expects_ends_the_job_too(fetch, database, api, error):
    database.before = raising(error, *[("stage", number) for number in range(1, 9999)])
    with pytest.raises(AsyncRestError, match=str(error)):
        fetch(10_000)
    assert len(api.seen) < 5_000
    assert database.rows == []


class Failing(DeadLetterFolder):
    """Cannot be written so many times."""

    times = 0
    failed: threading.Event | None = None  # set when it has failed

    def write(self, records):
        if self.times > 0:
            self.times -= 1
            if self.failed is not None:
                self.failed.set()
            raise DeadLetterStoreError("the storage is away")
        return super().write(records)


def test_dead_letters_that_can_be_written_a_little_later_lose_no_rows(fetch, database, api, tmp_path):
    bounds = small(chunk_rows=1000, longest_unwritten_seconds=0.0)
    folder = Failing(tmp_path, 1)
    folder.times, folder.failed = 1, threading.Event()

    async def answer(seen):
        if number_of(seen) == 59:  # while it runs; at its end there is no later any more
            assert await asyncio.to_thread(folder.failed.wait, 30)
        return failing(0, 1)(seen)

    api.answer = answer
    assert account(fetch(max_failures=2, folder=folder, bounds=bounds)) == (60, 58, 2, 0, 0)
    assert ids(database) == expected_ids(range(2, 60))
    assert folder.read() == {0: "http_500", 1: "http_500"}


def test_dead_letters_that_cannot_be_written_end_the_job_before_memory_does(fetch, database, api, tmp_path):
    folder = Failing(tmp_path, 1)
    folder.times = 10**9
    api.answer = failing(*range(100))
    with pytest.raises(DeadLetterStoreError, match="the storage is away"):
        fetch(10_000, max_failures=100, folder=folder)
    assert len(api.seen) < 5_000
    api.answer = rows_of
    assert account(fetch(100)) == (100, 100, 0, 0, 0)
    assert ids(database) == expected_ids(range(100))


def test_a_retry_after_a_full_disk_fetches_only_what_failed(fetch, database, api, tmp_path):
    at_the_end = small(chunk_rows=1000)
    folder = Failing(tmp_path, 1)
    folder.times = 10**9
    api.answer = failing(5, 7)
    with pytest.raises(DeadLetterStoreError, match="2 dead letters are not written"):
        fetch(max_failures=2, folder=folder, bounds=at_the_end)
    assert database.checkpoint["unfinished"] == [5, 7]
    assert (database.checkpoint["totals"]["reasons"], database.rows) == ({}, [])
    api.reset()
    api.answer = failing(7)
    assert account(fetch(max_failures=2, bounds=at_the_end)) == (60, 59, 1, 0, 0)
    assert sorted(map(number_of, api.seen)) == [5, 7]
    assert ids(database) == expected_ids(set(range(60)) - {7})
    assert DeadLetterFolder(tmp_path).read() == {7: "http_500"}


@pytest.mark.parametrize("max_failures", [0, 2])
def test_nothing_is_loaded_when_the_dead_letters_are_gone_so_that_the_next_try_can_begin_again(
    fetch, database, api, tmp_path, max_failures
):
    folder = tmp_path / "folder"

    def before(call):
        if call == "commit" and (folder / "1-1.jsonl").exists():
            shutil.rmtree(folder)

    database.before = before
    api.answer = failing(5, 7)
    with pytest.raises(DeadLetterStoreError, match=r"1-1\.jsonl cannot be read: missing"):
        fetch(max_failures=max_failures, folder=DeadLetterFolder(folder, 1), bounds=small(most_unwritten=1))
    assert database.rows == []
    api.answer = failing()
    assert account(fetch(folder=DeadLetterFolder(folder, 2))) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(range(60))


def test_a_retry_goes_on_from_the_checkpoint_of_an_earlier_release(fetch, database, api, tmp_path):
    sample = Path(__file__).parents[1] / "samples" / "fetch-checkpoint-version-2"
    (tmp_path / "1-1.jsonl").write_bytes((sample / "1-1.jsonl").read_bytes())
    done = [item for item in range(40) if item != 3]
    rows = [{"id": f"{item}-{n}", "item": item, "day": "this"} for item in done for n in range(2)]
    database.staged = [PlacedRow(place_of(row["item"], number % 2), row) for number, row in enumerate(rows)]
    database.line = Earlier(json.loads((sample / "checkpoint.json").read_text()), LoadState.STAGING, 0)
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert sorted(map(number_of, api.seen)) == [3, *range(40, 60)]
    assert ids(database) == expected_ids(range(60))


def test_an_answer_to_a_commit_that_is_lost_doubles_nothing(fetch, database):
    """The rows and the checkpoint are there, and nobody knows: nothing is written over them."""
    lost = []

    def after(call):
        if call == "commit" and database.calls.count("commit") == 2:
            lost.append(database.line)
            raise LoadError("the connection was lost")

    database.after = after
    with pytest.raises(LoadError, match="the connection was lost"):
        fetch()
    assert database.line == lost[0]
    database.calls.clear()
    database.after = lambda call: None
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(range(60))


def test_an_answer_to_the_final_commit_that_is_lost_doubles_nothing(fetch, database, api):
    def after(call):
        if call == "commit" and database.line.state is LoadState.DONE:
            raise LoadError("the connection was lost")

    database.after = after
    with pytest.raises(LoadError, match="the connection was lost"):
        fetch()
    assert database.line.state is LoadState.DONE
    database.after = lambda call: None
    api.reset()
    assert fetch()["rows_loaded"] == 120
    assert api.seen == []
    assert ids(database) == expected_ids(range(60))


# Stops.


def stop_at(condition, error=None):
    """Pull the stop as soon as something is true; return the switch and the thread."""
    stop = StopSwitch()
    thread = threading.Thread(target=lambda: (condition(), stop.pull(error or KilledError("enough"))))
    thread.start()
    return stop


def test_a_stop_stages_what_has_come_and_the_next_try_fetches_the_rest(fetch, database, api):
    api.answer = lambda seen: "hang" if number_of(seen) >= 40 else rows_of(seen)
    with pytest.raises(KilledError):
        fetch(stop=stop_at(lambda: api.wait_for(lambda api: api.in_flight == 4 and len(api.delivered) == 40)))
    assert staged_items(database) == set(range(40))
    assert database.rows == []
    api.answer = rows_of
    api.reset()
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert sorted(map(number_of, api.seen)) == list(range(40, 60))
    assert ids(database) == expected_ids(range(60))


@pytest.mark.parametrize("error", [LoadError("away"), ConfigurationError("no key is a column"), TypeError("a bug")])
def test_a_stop_whose_last_rows_cannot_be_staged_is_still_that_stop(fetch, database, api, error):
    database.before = raising(error, ("stage", 1))
    api.answer = lambda seen: "hang" if number_of(seen) >= 4 else rows_of(seen)
    reports = []
    with pytest.raises(KilledError, match="enough"):
        fetch(
            stop=stop_at(lambda: api.wait_for(lambda api: api.in_flight == 4 and len(api.delivered) == 4)),
            publish=lambda report, *_: reports.append(report),
            bounds=small(write_every_seconds=60),
        )
    assert account(reports[0]) == (8, 0, 0, 0, 8)
    database.before = lambda call: None
    api.answer = rows_of
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(range(60))


def test_a_stop_cancels_the_merge_and_undoes_it(fetch, database, api):
    merging, reports = threading.Event(), []

    def before(call):
        if call == "merge" and not merging.is_set():
            merging.set()
            assert database.cancelled.wait(60)
            raise LoadError("cancelled on request")

    database.before = before
    with pytest.raises(KilledError, match="enough"):
        fetch(stop=stop_at(merging.wait), publish=lambda report, sample, error: reports.append(report))
    assert database.rows == []
    assert (reports[0]["rows_staged"], reports[0]["rows_loaded"]) == (120, 0)
    api.reset()
    assert fetch()["rows_loaded"] == 120
    assert api.seen == []
    assert ids(database) == expected_ids(range(60))


@pytest.mark.parametrize("goes_through", [True, False])
def test_a_stop_while_the_final_commit_hangs_writes_nothing_over_it(fetch, database, api, goes_through):
    committing, free = threading.Event(), threading.Event()

    def before(call):
        if call == "commit" and "merge" in database.calls and not committing.is_set():
            committing.set()
            free.wait()
            if not goes_through:
                raise LoadError("it did not go through")

    database.before = before
    with pytest.raises(KilledError, match="enough"):
        fetch(stop=stop_at(committing.wait))
    free.set()
    database.before = lambda call: None
    assert database.closed.wait(60)
    assert (database.line.state is LoadState.DONE) is goes_through
    api.reset()
    assert fetch()["rows_loaded"] == 120
    assert api.seen == []
    assert ids(database) == expected_ids(range(60))


def test_an_interrupt_while_merging_ends_as_a_stop_does(api, tmp_path, database):
    """Ctrl-C: asyncio.Runner cancels the main task."""

    def before(call):
        if call == "merge" and not database.cancelled.is_set():
            running.get_loop().call_soon_threadsafe(running.cancel)
            assert database.cancelled.wait(60)
            raise LoadError("cancelled on request")

    async def interrupted():
        nonlocal running
        running = asyncio.create_task(
            JobRun(make_fetch_job(api, tmp_path, database, bounds=small()), StopSwitch(), None).run()
        )
        await running

    running = None
    api.answer, database.before = rows_of, before
    with pytest.raises(KilledError, match="interrupted"):
        asyncio.run(interrupted())
    assert (database.rows, len(database.staged)) == ([], 120)


@pytest.mark.parametrize("call", ["open", "begin"])
def test_a_stop_does_not_wait_for_a_database_that_hangs(fetch, database, call):
    hangs, free = threading.Event(), threading.Event()

    def before(name):
        if name == call:
            hangs.set()
            free.wait(60)

    database.before = before
    with pytest.raises(KilledError, match="enough"):
        fetch(stop=stop_at(hangs.wait))
    assert not free.is_set()
    assert database.cancelled.is_set()
    free.set()


def test_a_stop_before_the_start_fetches_nothing(fetch, database, api):
    stop = StopSwitch()
    stop.pull(StoppedError("too early"))
    with pytest.raises(StoppedError, match="too early"):
        fetch(stop=stop)
    assert api.seen == []


# Rows that the database refuses.


def refusing(*numbers):
    return lambda values: f"no {values['id']}" if values["item"] in numbers else None


@pytest.mark.parametrize("when", ["refused", "refused_at_merge"])
def test_refused_rows_are_dead_letters_and_are_staged_again_in_the_next_try(fetch, database, api, tmp_path, when):
    setattr(database, when, refusing(5, 20))
    published = []
    with pytest.raises(FailuresError, match="0 of 60 items failed and 4 rows were refused") as caught:
        fetch(publish=lambda report, sample, error: published.append((report, sample)))
    assert caught.value.permanent
    [(report, sample)] = published
    assert account(report) == (60, 60, 0, 0, 0)
    assert (report["rows_loaded"], report["rows_refused"], report["reasons"]) == (116, 4, {"row_refused": 4})
    assert [(one["index"], one["row_number"], one["response_excerpt"]) for one in sample] == [
        (5, 0, "no 5-0"), (5, 1, "no 5-1"), (20, 0, "no 20-0"), (20, 1, "no 20-1"),
    ]  # fmt: skip
    folder = DeadLetterFolder(tmp_path)
    assert sorted(record["row"]["id"] for record in folder.read_refused()) == ["20-0", "20-1", "5-0", "5-1"]
    setattr(database, when, refusing(20))  # mended for some
    api.reset()
    with pytest.raises(FailuresError, match="and 2 rows were refused"):
        fetch()
    assert api.seen == []
    assert ids(database) == expected_ids(set(range(60)) - {20})
    setattr(database, when, refusing())
    report = fetch()
    assert (report["rows_loaded"], report["rows_refused"]) == (120, 0)
    assert ids(database) == expected_ids(range(60))
    assert folder.read_refused() == []


@pytest.mark.parametrize("when", ["refused", "refused_at_merge"])
def test_a_refused_row_is_quoted_in_the_log_and_in_the_error(fetch, database, caplog, when):
    setattr(database, when, lambda values: f"{values['id']} is too long" if values["item"] < 2 else None)
    with pytest.raises(FailuresError, match="The last one: '1-1 is too long'"):
        fetch(concurrency=1)
    said = [record.getMessage() for record in caplog.records if "is not loaded" in record.getMessage()]
    assert said[:2] == [
        "Row 0 of item 0 (both counted from 0, as in the dead letters) is not loaded: 0-0 is too long",
        "Row 1 of item 0 (both counted from 0, as in the dead letters) is not loaded: 0-1 is too long",
    ]
    assert len(said) == 3
    assert said[2].endswith("(further ones like it are only counted)")


def test_as_many_refused_rows_as_are_accepted_are_a_success(fetch, database):
    database.refused, database.refused_at_merge = refusing(5), refusing(6)
    report = fetch(max_failures=4)
    assert (report["rows_loaded"], report["rows_refused"]) == (116, 4)
    assert database.line.state is LoadState.DONE


def test_refused_rows_that_did_not_get_through_are_still_refused_in_the_next_try(fetch, database, tmp_path):
    database.refused = refusing(5)
    with pytest.raises(FailuresError):
        fetch()
    database.refused = refusing()
    reports = []
    database.before = raising(LoadError("away"), *[("stage", number) for number in range(1, 99)])
    with pytest.raises(LoadError):
        fetch(publish=lambda report, sample, error: reports.append(report))
    assert reports[0]["rows_refused"] == 2
    database.before = lambda call: None
    assert fetch()["rows_refused"] == 0
    assert ids(database) == expected_ids(range(60))


# What only a part that belongs to no checkpoint says.


def killed_at_the_first_commit(database):
    """Let a try write its first dead-letter part, and nothing after; before there are rows, there is none."""
    database.calls.clear()

    def before(call):
        if call == "commit" and "stage" in database.calls:
            raise LoadError("killed")

    database.before = before


def test_an_item_whose_recovery_was_not_committed_is_fetched_again(fetch, database, api):
    api.answer = failing(7)
    with pytest.raises(FailuresError):
        fetch()
    api.answer = rows_of
    killed_at_the_first_commit(database)
    with pytest.raises(LoadError):
        fetch()  # the folder says that 7 is resolved, and its rows are nowhere
    database.before = lambda call: None
    report = fetch()
    assert account(report) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(range(60))


def test_rows_whose_refusal_was_not_committed_are_no_longer_refused_when_they_have_come(fetch, database, tmp_path):
    database.refused = refusing(*range(60))  # whichever come first
    killed_at_the_first_commit(database)
    with pytest.raises(LoadError):
        fetch()
    assert DeadLetterFolder(tmp_path).read_refused() != []
    database.before, database.refused = lambda call: None, refusing()
    report = fetch()
    assert (report["rows_loaded"], report["rows_refused"]) == (120, 0)
    assert DeadLetterFolder(tmp_path).read_refused() == []


# Beginning again.


def test_a_load_that_is_done_fetches_nothing_and_gives_the_same_report(fetch, database, api):
    api.answer = failing(7)
    database.refused = refusing(5)
    published = []
    publish = lambda report, sample, error: published.append((report, sample))  # noqa: E731
    first = fetch(max_failures=3, publish=publish)
    api.reset()
    before = database.line, list(database.rows)
    second = fetch(max_failures=3, publish=publish)
    assert api.seen == []
    assert (database.line, database.rows) == before
    changing = {"elapsed_seconds", "items_per_second", "resumed_from"}
    assert {k: v for k, v in second.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }
    assert [one["index"] for one in published[1][1]] == [one["index"] for one in published[0][1]] == [5, 5, 7]


def test_a_load_that_is_done_but_for_what_is_no_longer_accepted_goes_on(fetch, database, api):
    api.answer = failing(7)
    fetch(max_failures=1)
    api.answer = rows_of
    api.reset()
    assert account(fetch(max_failures=0)) == (60, 60, 0, 0, 0)
    assert [seen.path for seen in api.seen] == ["/x/7"]
    assert ids(database) == expected_ids(range(60))


@pytest.mark.parametrize(("mode", "fetched"), [("upsert", 60), ("replace", 60), ("append", 0)])
def test_a_clear_loads_again_what_is_done_unless_it_would_be_there_twice(fetch, database, api, mode, fetched, lines):
    database.mode = mode
    fetch(this_try=Try(1, (3, 3)))  # its success did not get through, or the register's line could not be removed
    api.reset()
    assert account(fetch(this_try=Try(2, (3, 3)))) == (60, 60, 0, 0, 0)
    assert api.seen == []
    assert account(fetch(this_try=Try(3, (5, 3)), log=lines.log)) == (60, 60, 0, 0, 0)
    assert len(api.seen) == fetched
    assert ids(database) == expected_ids(range(60))
    assert ("all is loaded already" in lines.texts[0]) is not bool(fetched)


@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test_another_job_in_the_place_of_one_that_is_done_begins_again(fetch, database, api, mode):
    database.mode = mode
    fetch()
    api.reset()
    assert account(fetch(fingerprint="another job")) == (60, 60, 0, 0, 0)
    assert len(api.seen) == 60
    assert ids(database) == expected_ids(range(60))


@pytest.mark.parametrize("fails", [True, False])
def test_rows_are_not_appended_a_second_time(fetch, database, api, fails):
    api.answer = failing(7) if fails else rows_of
    with contextlib.suppress(FailuresError):
        fetch()
    before = list(database.rows)
    with pytest.raises(ConfigurationError, match=r"load_mode='append': .* has appended 1(18|20) rows") as caught:
        fetch(fingerprint="another job")
    assert "async_rest_loads" in str(caught.value)
    assert database.rows == before


LOST = {
    "the folder": lambda folder: [part.unlink() for part in folder.glob("*.jsonl")],
    "a part": lambda folder: min(folder.glob("*.jsonl")).unlink(),
    "the end of a part": lambda folder: max(folder.glob("*.jsonl")).write_bytes(b'{"index"'),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
def test_lost_dead_letters_are_no_reason_to_begin_again(fetch, database, api, tmp_path, lines, mode, lost):
    database.mode = mode
    api.answer = failing(7, 50)
    with pytest.raises(FailuresError):
        fetch()
    LOST[lost](tmp_path)
    api.answer = failing(50)
    with pytest.raises(FailuresError):
        fetch(log=lines.log)  # with letters of its own from here on
    assert "their dead letters cannot be read" in lines.texts[0]
    api.answer = rows_of
    api.reset()
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert [seen.path for seen in api.seen] == ["/x/50"]
    assert ids(database) == expected_ids(range(60))


def test_lost_dead_letters_are_no_reason_after_a_kill_either(fetch, database, api, tmp_path):
    api.answer = failing(7, 8, 50)
    with pytest.raises(FailuresError):
        fetch()
    LOST["a part"](tmp_path)
    for commit in (1, 2):
        database.before = raising(LoadError("killed"), ("commit", commit))
        api.answer = failing(8)
        with pytest.raises(LoadError):
            fetch()
    database.before = lambda call: None
    api.answer = rows_of
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(range(60))


@pytest.mark.parametrize(("status", "expected"), [(500, (60, 60, 0, 0, 0)), (404, (60, 59, 0, 1, 0))])
def test_lost_dead_letters_are_no_reason_after_a_full_disk_either(fetch, database, api, tmp_path, status, expected):
    """What could not be written of item 7, the checkpoint says: that it is unfinished, or no longer dead."""
    api.answer = failing(7)
    with pytest.raises(FailuresError):
        fetch()
    folder = Failing(tmp_path, 2)
    folder.times = 10**9
    api.answer = failing(7, status=status)
    with pytest.raises(DeadLetterStoreError):
        fetch(folder=folder, missing_ok=True)
    LOST["the folder"](tmp_path)
    api.answer = rows_of
    api.reset()
    assert account(fetch(missing_ok=True)) == expected
    assert list(map(number_of, api.seen)) == ([7] if status == 500 else [])


def test_an_item_that_is_no_longer_dead_is_not_dead_again_where_its_letter_is_lost(fetch, database, api, tmp_path):
    some_fail = failing(7)
    api.answer = lambda seen: "hang" if number_of(seen) >= 30 else some_fail(seen)
    with pytest.raises(KilledError):
        fetch(stop=stop_at(lambda: api.wait_for(lambda api: api.in_flight == 4 and len(api.seen) == 34)))

    def kill(call):
        if call == "commit" and "resolved" in database.checkpoint:
            raise LoadError("killed")

    database.before = kill
    api.answer = failing(7, status=404)
    with pytest.raises(LoadError):
        fetch(missing_ok=True)
    assert database.checkpoint["resolved"]  # and no part says so yet
    LOST["the folder"](tmp_path)
    database.before = lambda call: None
    api.answer = rows_of
    assert account(fetch(missing_ok=True)) == (60, 59, 0, 1, 0)
    assert ids(database) == expected_ids(set(range(60)) - {7})


def test_of_refused_rows_that_are_lost_it_is_said_what_to_do(fetch, database, api, tmp_path):
    database.refused = refusing(5)
    with pytest.raises(FailuresError):
        fetch()
    LOST["the folder"](tmp_path)
    expected = "would append them again .*dead-letter part .* cannot be read: .* or delete those rows, and the line of "
    with pytest.raises(ConfigurationError, match=expected) as caught:
        fetch()
    assert "clear the task that failed" not in str(caught.value)  # that is what was done


def test_a_start_over_says_why_rows_would_be_appended_again(fetch, database, api):
    api.answer = failing(7)
    with pytest.raises(FailuresError):
        fetch()
    with pytest.raises(ConfigurationError, match="the query now returns 50 rows"):
        fetch(50)


def test_what_was_staged_and_is_gone_is_fetched_again(fetch, database, api):
    api.answer = lambda seen: "hang" if number_of(seen) >= 40 else rows_of(seen)
    with pytest.raises(KilledError):
        fetch(stop=stop_at(lambda: api.wait_for(lambda api: api.in_flight == 4 and len(api.delivered) == 40)))
    database.staged = []  # the server crashed
    api.answer = rows_of
    api.reset()
    assert account(fetch()) == (60, 60, 0, 0, 0)
    assert len(api.seen) == 60
    assert ids(database) == expected_ids(range(60))


def test_what_was_removed_because_nobody_went_on_with_it_is_fetched_again(fetch, database, api, lines):
    database.mode = "upsert"
    api.answer = failing(7)
    with pytest.raises(FailuresError):
        fetch()
    database.line = database.line._replace(state=LoadState.LOST)
    api.answer = rows_of
    assert account(fetch(log=lines.log)) == (60, 60, 0, 0, 0)
    assert "what was staged is gone" in lines.texts[0]


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
def test_another_source_after_some_of_it_was_staged_stages_nothing_twice(fetch, database, api, mode):
    """Dead and refused rows are fetched, and staged, again before the source turns out to be another."""
    database.mode, database.refused = mode, refusing(5)
    api.answer = lambda seen: "hang" if number_of(seen) >= 50 else failing(1, 2, 3)(seen)
    with pytest.raises(KilledError):
        fetch(stop=stop_at(lambda: api.wait_for(lambda api: api.in_flight == 4 and len(api.seen) >= 54)))
    api.answer, database.refused = rows_of, refusing()

    class Other(Rows):
        def __iter__(self):
            yield [{"id": i} for i in range(20)]
            yield [{"id": i} for i in range(21, 60)]

    assert account(fetch(Other(1))) == (59, 59, 0, 0, 0)
    assert ids(database) == expected_ids(set(range(60)) - {20})


def test_a_try_that_was_given_up_does_no_harm_to_the_next(fetch, database, api):
    """It still runs when another one has taken over: what it stages is not committed."""
    second = threading.Event()

    def answer(seen):
        if number_of(seen) == 30 and not second.is_set():
            second.set()
            other.start()
            other.join()
        return rows_of(seen)

    reports = []
    other = threading.Thread(target=lambda: reports.append(fetch()))

    async def waiting(seen):
        return await asyncio.to_thread(answer, seen)

    api.answer = waiting
    with pytest.raises(LoadError, match="taken over"):
        fetch()
    other.join()  # the first may notice before the second has ended
    assert account(reports[0]) == (60, 60, 0, 0, 0)
    assert ids(database) == expected_ids(range(60))


# By chance.

ITEMS = 40
MANY = pytest.mark.slow("many tries, by chance")


class Disturbed:
    """One try that ends at a random moment: by a stop, an error of the database or the folder, or a kill."""

    def __init__(self, chance, database, ending) -> None:
        self.chance, self.database, self.ending = chance, database, ending
        self.stop, self.gone, self.reports = StopSwitch(), threading.Event(), []
        self.calls, self.at_call = count(1), chance.randrange(2, 18)
        self.at_request = chance.randrange(1, ITEMS)
        strikes_after = chance.random() < 0.5  # the call has been done, and nobody gets to know
        database.before = self.strike if not strikes_after else self.live
        database.after = self.strike if strikes_after else lambda call: None

    def live(self, call):
        if self.gone.is_set():  # nothing has an effect any more
            raise LoadError("gone")

    def strike(self, call):
        self.live(call)
        if next(self.calls) == self.at_call and self.ending in {"kill", "error"}:
            if self.ending == "kill":
                self.kill()
            raise LoadError(self.ending)

    def kill(self):
        self.gone.set()
        self.stop.pull(KilledError("gone"))

    def folder(self, path, number):
        class Folder(DeadLetterFolder):
            def write(folder, records):  # noqa: N805
                if self.gone.is_set() or (self.ending == "folder" and self.chance.random() < 0.5):
                    raise DeadLetterStoreError("gone")
                part = super().write(records)
                if self.ending == "kill" and self.chance.random() < 0.1:
                    self.kill()
                return part

        return Folder(path, number)

    def run(self, api, path, number, failing_items, paged=None):
        """Return the report of a try that was a success, or None.

        :param paged: the page style of items of many pages; None: each is one.
        """

        def answer(seen):
            if self.ending == "stop" and len(api.seen) >= self.at_request:
                self.stop.pull(KilledError("stop"))
            if paged is not None:
                return page_of(seen, number, failing_items)
            return failing_items.get(number_of(seen)) or rows_of(seen)

        api.reset()
        api.answer = answer
        job = make_fetch_job(
            api, path, self.database, ITEMS, folder=self.folder(path, number),
            concurrency=self.chance.choice([1, 4, 9]), publish=lambda report, *_: self.reports.append(report),
            **({} if paged is None else {"pages": paged, "rows": "items"}),
        )  # fmt: skip
        with contextlib.suppress(StoppedError, FailuresError, DeadLetterStoreError):
            return run(job, None, self.stop)


def page_of(seen, of_try, failing_items):
    """Answer with a page of one to nine; an odd item's cursors are no longer known to the API in another try."""
    number = number_of(seen)
    name, _, asked = seen.query.partition("=")
    asked = f"{of_try}.{int(asked) - 1}" if name == "page" else asked or f"{of_try}.0"
    giver, page = map(int, asked.split("."))
    if number % 2 and giver != of_try:
        return 410
    pages, status = 1 + number % 9, failing_items.get(number)
    if status is not None and page == pages // 2:
        return status
    rows = [{"id": f"{number}-{n}", "item": number, "day": "this"} for n in range(page * 2, page * 2 + 2)]
    following = f"{of_try}.{page + 1}" if page + 1 < pages else None
    return web.json_response({"items": rows, "cursor": following, "pages": pages})


@pytest.mark.parametrize(
    "paged",
    [None, CursorPages("cursor"), NumberedPages(pages="pages", concurrent=True)],
    ids=["one page", "one after the other", "side by side"],
)
@pytest.mark.parametrize("mode", ["append", *(pytest.param(mode, marks=MANY) for mode in ("upsert", "replace"))])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=MANY), *left_to_release(range(2, 4), but_for=0)])
def test_stops_kills_and_failures_of_all_kinds_neither_lose_nor_double_a_row(api, tmp_path, mode, seed, paged):
    chance, database = random.Random(f"{mode} {seed}"), Database(mode, [OLD, OLDER])
    expected = [f"{item}-{n}" for item in range(ITEMS) for n in range(2 * (1 + item % 9) if paged else 2)]

    def some(*shares):
        share = chance.choice(shares)
        return [number for number in range(ITEMS) if chance.random() < share]

    report = None
    for number in range(1, 8):
        one_try = Disturbed(chance, database, chance.choice(["none", "stop", "kill", "kill", "error", "folder"]))
        database.refused, database.refused_at_merge = refusing(*some(0, 0.1)), refusing(*some(0, 0.1))
        failing_items = {item: chance.choice([404, 500]) for item in some(0, 0.1, 0.3)}
        report = one_try.run(api, tmp_path, number, failing_items, paged)
        for published in one_try.reports:
            account(published)
            assert min(published[name] for name in ("rows_loaded", "rows_refused", "rows_staged")) >= 0
        assert mode != "replace" or "old" not in ids(database) or database.rows == [OLD, OLDER]
    if report is None:
        database.refused = database.refused_at_merge = refusing()
        report = Disturbed(chance, database, "none").run(api, tmp_path, 99, {}, paged)
    kept = ["older"] if mode == "replace" else ["old", "older"]
    assert ids(database) == sorted([*expected, *kept])
    assert account(report) == (ITEMS, ITEMS, 0, 0, 0)
    assert (report["rows_loaded"], report["rows_refused"], report["rows_staged"]) == (len(expected), 0, 0)
    folder = DeadLetterFolder(tmp_path)
    assert (folder.read(), folder.read_refused()) == ({}, [])
