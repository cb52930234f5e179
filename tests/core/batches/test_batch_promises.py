"""What bulk requests promise where several things go wrong at once."""

import asyncio
import json
from collections import Counter

import pytest
from aiohttp import web
from engine import Store, counts, make_bulk_job, replay_folder, run

from airflow_async_rest import RESULTS, Results
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import FailuresError, KilledError, MostlyFailingError, QuotaExhaustedError
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.sending.retry import RequestRetry


def ids_of(seen) -> list[int]:
    text = seen.body.decode()
    rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    return [row["id"] for row in rows]


def test_quota_on_last_attempt_keeps_delivered(api, tmp_path):
    store = Store()
    stored = Counter()
    quota = [True]

    def answer(seen):
        ids = ids_of(seen)
        good = [n for n in ids if not (quota[0] and n == 5)]
        stored.update(good)
        return web.json_response(
            [{"status": 201 if n in good else 503} for n in ids], headers={"Retry-After": "4000"} if quota[0] else {}
        )

    api.answer = answer
    with pytest.raises(QuotaExhaustedError):
        run(make_bulk_job(api, tmp_path, Batch(results="list"), 10, retry=RequestRetry(max_attempts=1)), store)
    quota[0] = False
    run(make_bulk_job(api, tmp_path, Batch(results="list"), 10, folder=DeadLetterFolder(tmp_path, 2)), store)
    assert max(stored.values()) == 1, stored


def test_early_stop_does_not_tear_a_lost_batch_apart(api, tmp_path):
    """It was stored, its answer lost; the early stop comes in the midst of its dead letters."""
    store, by_key = Store(), {}

    def answer(seen):
        by_key.setdefault(seen.key, ids_of(seen))
        return "reset" if down[0] else 200

    down = [True]
    api.answer = answer
    with pytest.raises(MostlyFailingError):
        run(make_bulk_job(api, tmp_path, Batch(max_items=500), 500, concurrency=1), store)
    down[0] = False
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=500), 500, folder=DeadLetterFolder(tmp_path, 2)), store)
    assert counts(report) == [500, 500, 0, 0]
    stored = Counter(n for ids in by_key.values() for n in ids)
    assert max(stored.values()) == 1


def test_retry_goes_on_though_the_dead_are_many_transform(api, tmp_path):
    store, stop = Store(), StopSwitch()

    def transform(row):
        if row["id"] % 20 == 0:
            raise ValueError("bad")
        return row

    def answer(seen):
        if len(api.seen) == 60:
            stop.pull(KilledError("x"))
        return 200

    api.answer = answer
    with pytest.raises(KilledError):
        run(
            make_bulk_job(
                api, tmp_path, Batch(max_items=100), 10000, transform=transform, concurrency=1, max_failures=10000
            ),
            store,
            stop,
        )
    assert store["checkpoint"]["totals"]["reasons"]["transform"] > 200
    report = run(
        make_bulk_job(
            api,
            tmp_path,
            Batch(max_items=100),
            10000,
            transform=transform,
            concurrency=1,
            max_failures=10000,
            folder=DeadLetterFolder(tmp_path, 2),
        ),
        store,
    )
    assert counts(report) == [10000, 9500, 500, 0]


def test_replay_goes_on_though_many_were_never_sent(api, tmp_path):
    def transform(row):
        if row["id"] < 5000 and row["id"] % 20 == 0:
            raise ValueError("bad")
        return row

    api.answer = lambda seen: 503 if 5000 in ids_of(seen) else 200
    run(
        make_bulk_job(
            api, tmp_path, Batch(max_items=100), 10000, transform=transform, concurrency=1, max_failures=10000
        )
    )
    api.answer = lambda seen: 200
    report = replay_folder(api, tmp_path)
    assert report["delivered"] == 100


def test_smaller_max_items_holds_for_what_is_sent_again(api, tmp_path):
    store = Store()
    api.answer = lambda seen: 504 if len(ids_of(seen)) > 20 else 200
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, Batch(max_items=100), 100), store)
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=20), 100, folder=DeadLetterFolder(tmp_path, 2)), store)
    assert counts(report) == [100, 100, 0, 0]


def test_smaller_max_items_of_a_replay_holds(api, tmp_path):
    api.answer = lambda seen: 504 if len(ids_of(seen)) > 20 else 200
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, Batch(max_items=100), 100))
    report = replay_folder(api, tmp_path, Batch(max_items=20))
    assert counts(report) == [100, 100, 0, 0]


@pytest.mark.parametrize("attempts", [1, 5])
def test_transactional_api_that_tells_of_one_culprit_at_a_time(api, tmp_path, attempts):
    bad = [3, 50, 100, 150, 200, 250, 300]

    def answer(seen):
        ids = ids_of(seen)
        first = next((n for n in ids if n in bad), None)
        return web.json_response(
            [{"id": n, "error": "bad" if n == first else None} for n in ids], status=422 if first is not None else 200
        )

    api.answer = answer
    report = run(
        make_bulk_job(
            api,
            tmp_path,
            Batch(results="list"),
            500,
            max_failures=500,
            retry=RequestRetry(max_attempts=attempts, backoff_base_seconds=0.001),
        )
    )
    assert counts(report) == [500, 493, 7, 0], (report["reasons"], report["requests"])


def test_null_ids_of_refused_entries(api, tmp_path):
    def answer(seen):
        return web.json_response(
            [{"id": None, "status": 422} if n == 5 else {"id": n, "status": 201} for n in ids_of(seen)]
        )

    api.answer = answer
    report = run(make_bulk_job(api, tmp_path, Batch(results="list"), 10, max_failures=10))
    assert counts(report) == [10, 9, 1, 0], report["reasons"]


def test_learned_413_does_not_split_what_may_be_stored(api, tmp_path):
    by_key, n = {}, [0]

    async def answer(seen):
        ids = ids_of(seen)
        if 0 in ids and len(ids) == 100:
            n[0] += 1
            if n[0] == 1:
                by_key[seen.key] = ids
                await asyncio.sleep(0.3)
                return "reset"
        if len(seen.body) > 2000:
            return 413
        by_key.setdefault(seen.key, ids)
        return 200

    api.answer = answer

    def transform(row):
        return {"id": row["id"], "x": "y" * (6 if row["id"] >= 100 else 1)}

    report = run(make_bulk_job(api, tmp_path, Batch(max_items=100), 200, transform=transform, concurrency=2))
    assert counts(report) == [200, 200, 0, 0]
    stored = Counter(i for ids in by_key.values() for i in ids)
    assert max(stored.values()) == 1, [(k, len(v), v[0]) for k, v in by_key.items()]


def test_what_a_replay_delivered_meanwhile_is_not_sent_again_and_counted_once(api, tmp_path):
    """Dead, on its way again when its task was killed, delivered by a replay; then two more tries."""
    store, rows = Store(), 300

    def killed(number, moment, answer):
        stop = StopSwitch()

        def do(seen):
            if len(api.seen) == moment:
                stop.pull(KilledError("x"))
                return "hang"
            return answer(seen)

        api.reset()
        api.answer = do
        folder = DeadLetterFolder(tmp_path, number)
        with pytest.raises(KilledError):
            run(make_bulk_job(api, tmp_path, Batch(max_items=10), rows, folder=folder, concurrency=1), store, stop)

    killed(1, 5, lambda seen: 404 if 7 in ids_of(seen) else 200)
    killed(2, 1, lambda seen: 200)
    assert len(store["checkpoint"]["batches"]) == 2
    api.answer = lambda seen: 200
    assert replay_folder(api, tmp_path)["delivered"] == 10
    killed(3, 3, lambda seen: 200)
    assert not any(7 in ids_of(seen) for seen in api.seen)
    api.reset()
    api.answer = lambda seen: 200
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=10), rows, folder=DeadLetterFolder(tmp_path, 4)), store)
    assert counts(report) == [rows, rows, 0, 0]
    assert not any(7 in ids_of(seen) for seen in api.seen)


def test_a_replay_sends_a_dead_request_in_the_order_it_had(api, tmp_path):
    api.answer = lambda seen: web.json_response([{"status": 503 if n % 2 else 422} for n in ids_of(seen)])
    retry = RequestRetry(max_attempts=1)
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, Batch(results="list"), 10, retry=retry))
    replay_folder(api, tmp_path)
    assert len({(seen.key, seen.body) for seen in api.seen}) == 1


def test_a_row_without_the_key_makes_no_other_rows_result_another_ones(api, tmp_path):
    """Ids in reverse order, 100 of 1,000 refused, and one row whose payload has no id."""
    refused, stored = set(range(5, 1000, 10)), set()

    def drop_id(row):
        return {"value": 1} if row["id"] == 1000 else row

    def answer(seen):
        rows = json.loads(seen.body)
        stored.update(row.get("id", 1000) for row in rows if row.get("id") not in refused)
        return web.json_response(
            [{"id": row.get("id"), "status": 422 if row.get("id") in refused else 201} for row in reversed(rows)]
        )

    api.answer = answer
    job = make_bulk_job(api, tmp_path, Batch(max_items=10, results="list"), 1001, transform=drop_id, max_failures=100)
    assert counts(run(job)) == [1001, 901, 100, 0]
    assert {record["key"] for record in DeadLetterFolder(tmp_path).iter_records()} == refused
    assert stored == set(range(1001)) - refused


@pytest.mark.parametrize("batch", [Batch(), Batch(format="ndjson"), Batch(results=lambda response, payloads: None)])
def test_a_207_that_nobody_reads_is_no_success(api, tmp_path, batch):
    api.answer = lambda seen: web.json_response([{"status": 422}], status=207)
    with pytest.raises(FailuresError, match="unmatched_results"):
        run(make_bulk_job(api, tmp_path, batch, 5))
    [detail] = {record["response_excerpt"] for record in DeadLetterFolder(tmp_path).iter_records()}
    assert "a 207, which tells about each item, and nothing reads it: choose Batch(results=...)" in detail
    assert all(repr(name) in detail for name in RESULTS)


def actions(seen, status=201):
    ids = [json.loads(line)["index"]["_id"] for line in seen.body.splitlines()[::2]]
    items = [{"index": {"_id": one, "status": 400 if one == "3" else status}} for one in ids]
    return web.json_response({"errors": True, "items": items})


def test_the_answer_to_a_bulk_body_is_read_as_elasticsearch_gives_it(api, tmp_path):
    api.answer = actions
    report = run(make_bulk_job(api, tmp_path, Batch(format="bulk"), 10, max_failures=1))
    assert (counts(report), report["reasons"]) == ([10, 9, 1, 0], {"http_400": 1})
    [record] = DeadLetterFolder(tmp_path).iter_records()
    assert record["batch"]["results"] is None  # as dead letters of before have it
    assert counts(replay_folder(api, tmp_path)) == [1, 0, 1, 0]


def test_a_reader_of_ones_own_is_in_the_dead_letters_and_a_replay_reads_with_it(api, tmp_path):
    """By the id that was sent, which is not the row's: transform has made it."""
    own = Results(entries="failed", lists="failures", at="of", key="meta.ref", text="why")
    bad = {3, 7}

    def answer(seen):
        rows = json.loads(seen.body)
        failed = [{"of": row["meta"]["ref"], "why": f"no {row['id']}"} for row in reversed(rows) if row["id"] in bad]
        return web.json_response({"failed": failed})

    api.answer = answer
    job = make_bulk_job(
        api,
        tmp_path,
        Batch(results=own),
        10,
        transform=lambda row: {"id": row["id"], "meta": {"ref": f"r{row['id'] * 10}"}},
        max_failures=2,
    )
    assert counts(run(job)) == [10, 8, 2, 0]
    records = {record["key"]: record for record in DeadLetterFolder(tmp_path).iter_records()}
    assert {key: record["response_excerpt"] for key, record in records.items()} == {3: "no 3", 7: "no 7"}
    assert Results(**records[3]["batch"]["results"]) == own
    bad.remove(7)
    assert counts(replay_folder(api, tmp_path)) == [2, 1, 1, 0]
