"""A job once more: after all was delivered, after a full disk, beside a store that is slow, and beside another try."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from engine import Rows, Store, counts, make_bulk_job, make_job, replay_folder, run, within

from airflow_async_rest import Batch
from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import DeadLetterStoreError, FailuresError, KilledError
from airflow_async_rest.core.keeping.keeper import Keeper
from airflow_async_rest.core.keeping.resuming import CONTINUING
from airflow_async_rest.core.keeping.row_sink import RowBuffer
from airflow_async_rest.core.keeping.stores import State, StateCheckpoints
from airflow_async_rest.core.letters.folder import RESET, DeadLetterFolder
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.watching.log import JobLog

SERIES = (3, 3)
CLEARED = (4, 3)
SAMPLES = Path(__file__).parents[1] / "samples"


def number_of(seen) -> int:
    return int(seen.path[3:])


def failing(*numbers, status=422):
    return lambda seen: status if number_of(seen) in numbers else 200


class FullDisk(DeadLetterFolder):
    """Takes so many parts, and no more."""

    room = 0

    def write(self, records):
        if self.room <= 0:
            raise DeadLetterStoreError("No space left on device")
        self.room -= 1
        return super().write(records)


def often(**bounds):
    """Checkpoints are written all the time."""
    return within(write_every_seconds=0.01, **bounds)


@pytest.fixture
def one_try(api, tmp_path):
    """Run one try against a store: ``one_try(2)``; after a Clear ``one_try(2, CLEARED)``."""

    def run_it(number, series=SERIES, rows=250, *, store, stop=None, **parts):
        api.reset()
        folder = parts.pop("folder", DeadLetterFolder(tmp_path, number))
        return run(make_job(api, tmp_path, rows, this_try=Try(number, series), folder=folder, **parts), store, stop)

    return run_it


# After everything was delivered.


def test_a_retry_after_all_was_delivered_sends_nothing_and_gives_the_same_report(api, one_try, lines):
    store, published = Store(), []
    keep = lambda report, sample, error: published.append((report, sample, error))  # noqa: E731
    api.answer = failing(3, 7)
    first = one_try(1, store=store, max_failures=2, publish=keep)
    for number in (2, 3):  # whose success does not get through either
        assert one_try(number, store=store, max_failures=2, publish=keep, log=lines.log) == first
        assert api.seen == []
    assert published[0] == published[1] == published[2]
    assert [item["index"] for item in published[2][1]] == [3, 7]
    assert "an earlier try has done everything" in lines.texts[0]


def test_a_clear_after_all_was_delivered_sends_all(api, one_try):
    store = Store()
    one_try(1, store=store)
    assert counts(one_try(2, CLEARED, store=store)) == [250, 250, 0, 0]
    assert len(api.seen) == 250


def test_what_was_dead_and_accepted_is_shown_even_if_its_parts_are_gone(api, one_try, tmp_path):
    store = Store()
    api.answer = failing(3)
    first = one_try(1, store=store, max_failures=1)
    for part in tmp_path.glob("*.jsonl"):
        part.unlink()
    assert one_try(2, store=store, max_failures=1) == first
    assert api.seen == []


def test_what_is_done_is_done_no_more_once_a_try_that_did_not_know_it_has_made_its_dead_letters_void(
    api, one_try, tmp_path
):
    store = Store()
    api.answer = failing(3)
    one_try(1, store=store, max_failures=1)
    DeadLetterFolder(tmp_path, 2).write([RESET])  # it started over, and was killed
    api.answer = failing()
    assert counts(one_try(3, store=store, max_failures=1)) == [250, 250, 0, 0]
    assert len(api.seen) == 250


def test_another_job_in_the_place_of_one_that_is_done_is_delivered(api, one_try):
    store = Store()
    one_try(1, store=store)
    one_try(2, store=store, fingerprint="another job")
    assert len(api.seen) == 250


def test_a_try_that_failed_is_not_done(api, one_try):
    store = Store()
    api.answer = failing(3)
    with pytest.raises(FailuresError):
        one_try(1, store=store)
    assert "report" not in store["checkpoint"]
    with pytest.raises(FailuresError):
        one_try(2, store=store)
    assert [number_of(seen) for seen in api.seen] == [3]


def test_a_success_of_an_earlier_release_is_no_reason_to_send_nothing(api, one_try):
    store = Store()
    store["settled"] = json.loads((SAMPLES / "settled-checkpoint-version-2" / "checkpoint.json").read_text())
    one_try(2, store=store)
    assert len(api.seen) == 250


@pytest.mark.parametrize(
    ("name", "sent"),
    [("delivery", {*range(3, 150, 10), *range(150, 250)}), ("settled", {3, 4})],
)
def test_a_retry_goes_on_from_the_checkpoint_of_an_earlier_release(api, one_try, tmp_path, name, sent):
    sample, store = SAMPLES / f"{name}-checkpoint-version-2", Store()
    store["checkpoint"] = json.loads((sample / "checkpoint.json").read_text())
    (tmp_path / "1-1.jsonl").write_bytes((sample / "1-1.jsonl").read_bytes())
    assert counts(one_try(2, store=store)) == [250, 250, 0, 0]
    assert {number_of(seen) for seen in api.seen} == sent


# After the disk for dead letters was full.


def test_a_retry_after_a_full_disk_sends_only_what_is_in_no_part(api, one_try, tmp_path):
    store = Store()
    api.answer = failing(3, 7, 249)
    with pytest.raises(DeadLetterStoreError, match="3 dead letters are not written"):
        one_try(1, store=store, max_failures=3, folder=FullDisk(tmp_path, 1), bounds=often())
    assert store["checkpoint"]["unfinished"] == [3, 7, 249]
    assert "report" not in store["checkpoint"]
    assert counts(one_try(2, store=store, max_failures=3, bounds=often())) == [250, 247, 3, 0]
    assert sorted(map(number_of, api.seen)) == [3, 7, 249]
    assert DeadLetterFolder(tmp_path).read().keys() == {3, 7, 249}


def test_a_disk_that_is_full_from_the_middle_on_keeps_what_was_written_before(api, one_try, tmp_path):
    store, folder = Store(), FullDisk(tmp_path, 1)
    folder.room = 1

    async def answer(seen):
        while number_of(seen) >= 100 and folder.room:  # until the first part is there
            await asyncio.sleep(0)
        return failing(3, 200)(seen)

    api.answer = answer
    with pytest.raises(DeadLetterStoreError):
        one_try(1, store=store, max_failures=3, folder=folder, bounds=often(most_unwritten=1))
    assert store["checkpoint"]["unfinished"] == [200]
    assert store["checkpoint"]["totals"]["reasons"] == {"http_422": 1}
    api.answer = failing()
    assert counts(one_try(2, store=store)) == [250, 250, 0, 0]
    assert sorted(map(number_of, api.seen)) == [3, 200]


def test_what_was_delivered_while_the_disk_was_full_is_not_sent_again(api, one_try, tmp_path):
    store = Store()
    api.answer = failing(3, 7)
    with pytest.raises(FailuresError):
        one_try(1, store=store)
    api.answer = failing()
    with pytest.raises(DeadLetterStoreError):  # 3 and 7 are delivered, and no part can say so
        one_try(2, store=store, folder=FullDisk(tmp_path, 2))
    assert DeadLetterFolder(tmp_path).read().keys() == {3, 7}
    with pytest.raises(DeadLetterStoreError):
        one_try(3, store=store, folder=FullDisk(tmp_path, 3))
    assert api.seen == []
    assert counts(one_try(4, store=store)) == [250, 250, 0, 0]
    assert api.seen == []
    assert DeadLetterFolder(tmp_path).read() == {}


def test_what_was_delivered_while_the_disk_was_full_and_by_a_replay_counts_once(api, one_try, tmp_path):
    store = Store()
    api.answer = failing(3, 7, 9)
    with pytest.raises(FailuresError):
        one_try(1, store=store)
    api.answer = failing(9)
    with pytest.raises(DeadLetterStoreError):
        one_try(2, store=store, folder=FullDisk(tmp_path, 2))
    api.answer = failing()
    replay_folder(api, tmp_path)
    for number in (3, 4):
        assert counts(one_try(number, store=store)) == [250, 250, 0, 0]
        assert api.seen == []
        del store["checkpoint"]["report"]


def test_bulk_requests_that_a_full_disk_kept_no_letters_of_go_again_with_their_keys(api, tmp_path):
    store, batch = Store(), Batch(max_items=20, format="ndjson", split_on=())
    once = {"retry": RequestRetry(max_attempts=1), "this_try": Try(1, SERIES)}
    api.answer = lambda seen: 503 if b'{"id":47}' in seen.body else 200
    with pytest.raises(DeadLetterStoreError):
        run(make_bulk_job(api, tmp_path, batch, folder=FullDisk(tmp_path, 1), max_failures=20, **once), store)
    [dead] = [(seen.key, seen.body) for seen in api.seen if b'{"id":47}' in seen.body]
    api.reset()
    api.answer = lambda seen: 200
    assert counts(run(make_bulk_job(api, tmp_path, batch, **once), store)) == [250, 250, 0, 0]
    assert [(seen.key, seen.body) for seen in api.seen] == [dead]


# Beside a state store that is slow, or never answers.


class Away(Store):
    """A state store that takes, and tells, nothing."""

    def get(self, key):
        raise ConnectionError("the API server is away")

    def set(self, key, value):
        raise ConnectionError("the API server is away")


def test_what_is_dead_only_to_a_try_that_knew_of_no_account_is_dead_no_more(api, one_try, tmp_path):
    store = Store()
    stop = StopSwitch()
    api.answer = lambda seen: 200 if number_of(seen) < 150 else stop.pull(KilledError("killed")) or 200
    with pytest.raises(KilledError):
        one_try(1, store=store, stop=stop)
    assert store["checkpoint"]["parts"] == []
    api.answer = failing(3, 7)
    with pytest.raises(FailuresError):  # it has sent all once more
        one_try(2, store=Away())
    assert DeadLetterFolder(tmp_path).read().keys() == {3, 7}
    api.answer = failing()
    assert counts(one_try(3, store=store)) == [250, 250, 0, 0]
    assert {number_of(seen) for seen in api.seen}.isdisjoint({3, 7})
    assert DeadLetterFolder(tmp_path).read() == {}


class Slow(Store):
    """A store of which some calls wait until the test lets them go."""

    def __init__(self, *slow) -> None:
        super().__init__()
        self.slow, self.calls = set(slow), []
        self.asked, self.go = threading.Event(), threading.Event()

    def _wait(self, call):
        self.calls.append(call)
        if call[0] in self.slow:
            self.asked.set()
            assert self.go.wait(60)

    def get(self, key):
        self._wait(("get", key))
        return super().get(key)

    def set(self, key, value):
        self._wait(("set", key))
        super().set(key, value)

    def delete(self, key):
        self._wait(("delete", key))
        super().delete(key)


SHORT = within(load_seconds=0.1, patient_load_seconds=30.0, at_end_seconds=30.0, grace_seconds=0.1)


@pytest.mark.slow("a store that hangs, in real time")
def test_a_store_that_never_answers_is_waited_for_once_and_xcom_gets_through(api, one_try, lines):
    store, published = Slow("get", "set", "delete"), []
    keep = lambda report, sample, error: published.append(report)  # noqa: E731
    report = one_try(1, store=store, publish=keep, log=lines.log, bounds=replace(SHORT, at_end_seconds=2.0))
    assert counts(report) == [250, 250, 0, 0]
    assert published == [report]
    assert store.calls == [("get", "checkpoint")]  # what came after is still waiting, or has given way
    assert "the state store does not answer" in lines.texts[0]
    store.go.set()


def test_a_retry_waits_longer_for_a_slow_store_than_it_would_for_one_that_has_nothing(api, one_try):
    store = Slow()
    api.answer = failing(3)
    with pytest.raises(FailuresError):
        one_try(1, store=store, bounds=SHORT)
    store.slow = {"get"}
    threading.Thread(target=lambda: (store.asked.wait(30), store.go.set())).start()
    api.answer = failing()
    assert counts(one_try(2, store=store, bounds=replace(SHORT, load_seconds=0.0))) == [250, 250, 0, 0]
    assert [number_of(seen) for seen in api.seen] == [3]


@pytest.mark.anyio
async def test_the_last_checkpoint_does_not_wait_for_older_progress(tmp_path, lines):
    store = Slow("set")
    log, recorder = JobLog(lines.log, str), Recorder()
    state = State(store, log)
    parts = DeadLetterFolder(tmp_path), state, StateCheckpoints(state, CONTINUING), None, log
    keeper = Keeper(*parts, fingerprint="this job", resuming=CONTINUING, buffer=RowBuffer())
    await keeper.begin(None, "")
    await keeper.write(recorder, {"number": 1})
    await asyncio.to_thread(store.asked.wait, 30)
    asyncio.get_running_loop().call_later(0, store.go.set)  # once the last write waits
    until = asyncio.get_running_loop().time() + 30
    await keeper.write_last(recorder, {"number": 2}, report=None, until=until)
    assert [key for call, key in store.calls if call == "set"] == ["checkpoint", "checkpoint", "progress"]
    assert store["progress"] == {"number": 2}
    keeper.close()


def test_a_stop_while_the_store_is_slow_does_not_wait_for_it(api, one_try):
    store, stop = Slow("get"), StopSwitch()
    threading.Thread(target=lambda: (store.asked.wait(30), stop.pull(KilledError("enough")))).start()
    with pytest.raises(KilledError):
        one_try(2, store=store, stop=stop, bounds=SHORT)
    assert api.seen == []
    store.go.set()


# Beside another try of the same task.


@pytest.mark.parametrize("first_to_end", [1, 2])
def test_two_tries_at_once_leave_an_account_that_adds_up(api, one_try, tmp_path, first_to_end):
    """A try that its supervisor has lost goes on beside its retry; whoever ends last, a Clear delivers everything."""
    store, other_began, may_end = Store(), threading.Event(), threading.Event()
    reports = {}

    async def answer(seen):
        if number_of(seen) == 150 and not other_began.is_set():
            other_began.set()
            second.start()
        while (
            number_of(seen) == 249
            and seen.headers.get("X-Try", str(first_to_end)) != str(first_to_end)
            and not may_end.is_set()
        ):
            await asyncio.sleep(0.001)
        return 422 if number_of(seen) % 50 == 3 else 200

    def deliver(number):
        job = make_job(
            api,
            tmp_path,
            this_try=Try(number, SERIES),
            folder=DeadLetterFolder(tmp_path, number),
            max_failures=5,
            headers={"X-Try": str(number)},
            bounds=often(),
        )
        reports[number] = run(job, store)
        if number == first_to_end:
            may_end.set()

    second = threading.Thread(target=deliver, args=(2,))
    api.answer = answer
    deliver(1)
    second.join()
    for report in reports.values():
        assert (
            report["read"] == report["delivered"] + report["failed"] + report["skipped"] + report["unfinished"] == 250
        )
    assert one_try(3, store=store, max_failures=5, bounds=often())["read"] == 250
    assert one_try(4, CLEARED, store=store, max_failures=5, bounds=often())["read"] == 250
    assert len(api.seen) == 250


def test_a_checkpoint_written_beside_a_try_that_succeeded_is_void_after_a_clear(api, one_try):
    store = Store()
    with pytest.raises(ConnectionError):
        one_try(1, rows=Rows(100, ConnectionError("away")), store=store)
    late = store["checkpoint"]
    one_try(2, store=store)
    store["checkpoint"] = late  # after Airflow knew of the success
    assert counts(one_try(3, CLEARED, store=store)) == [250, 250, 0, 0]
    assert len(api.seen) == 250


def test_a_clear_of_a_try_that_failed_after_an_earlier_success_resumes(api, one_try):
    store = Store()
    one_try(1, store=store)
    with pytest.raises(ConnectionError):
        one_try(2, CLEARED, rows=Rows(100, ConnectionError("away")), store=store, bounds=USUAL)
    assert counts(one_try(3, (5, 3), store=store)) == [250, 250, 0, 0]
    assert len(api.seen) == 150
