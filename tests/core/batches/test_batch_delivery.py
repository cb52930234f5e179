"""Whole jobs with bulk requests, against a server that takes some items and refuses others."""

import asyncio
import contextlib
import json
import random
from collections import Counter

import pytest
from aiohttp import web
from engine import Store, counts, make_bulk_job, replay_folder, run, within

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import (
    AuthenticationError,
    ConfigurationError,
    FailuresError,
    KilledError,
    MostlyFailingError,
)
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.models import Verdict
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.retry import RequestRetry

LINES = Batch(format="ndjson")


def ids_of(seen) -> list[int]:
    """The rows of a request, whatever its format."""
    text = seen.body.decode()
    rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    return [row["id"] for row in rows if "id" in row]


class Bulk:
    """A bulk endpoint: ``status`` decides about each item; what it says of the whole, ``answer`` does."""

    def __init__(self, api, status=lambda number: 201) -> None:
        self.api, self.status = api, status
        self.stored = Counter()
        api.answer = self.answer

    def answer(self, seen):
        """Refuse all when one is bad."""
        statuses = [self.status(number) for number in ids_of(seen)]
        worst = max(statuses)
        if worst < 300:
            self.stored.update(ids_of(seen))
        return worst


class ByItem(Bulk):
    """Tells about each item, as a list in a 207."""

    def answer(self, seen):
        statuses = {number: self.status(number) for number in ids_of(seen)}
        self.stored.update(number for number, status in statuses.items() if status < 300)
        return web.json_response(
            [
                {"status": status, "error": f"no {number}" if status >= 300 else None}
                for number, status in statuses.items()
            ],
            status=207,
        )


def letters(path) -> dict[int, dict]:
    return {record["key"]: record for record in DeadLetterFolder(path).iter_records()}


def test_many_items_go_in_one_request(api, tmp_path):
    bulk = Bulk(api)
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=100, format="ndjson"), 250))
    assert counts(report) == [250, 250, 0, 0]
    assert (report["requests"], report["retries"]) == (3, 0)
    assert bulk.stored == Counter(range(250))
    assert {(seen.path, seen.headers["Content-Type"]) for seen in api.seen} == {("/x/_bulk", "application/x-ndjson")}


BAD = sorted(random.Random(7).sample(range(500), 7))


@pytest.mark.parametrize("bad", [BAD, [0], [499], [249, 250], list(range(7)), list(range(493, 500)), []])
@pytest.mark.parametrize("status", [400, 422])
def test_a_batch_refused_whole_is_split_until_the_culprits_are_alone(api, tmp_path, bad, status):
    bulk = Bulk(api, lambda number: status if number in bad else 201)
    report = run(make_bulk_job(api, tmp_path, LINES, 500, max_failures=len(bad)))
    assert counts(report) == [500, 500 - len(bad), len(bad), 0]
    assert bulk.stored == Counter(set(range(500)) - set(bad))
    assert report["requests"] == len(api.seen) <= 100
    assert report["reasons"] == ({f"http_{status}": len(bad)} if bad else {})
    assert sorted(letters(tmp_path)) == bad


def test_where_the_answer_tells_by_item_one_request_is_enough(api, tmp_path):
    bulk = ByItem(api, lambda number: 422 if number in BAD else 201)
    report = run(make_bulk_job(api, tmp_path, Batch(format="ndjson", results="multi_status"), 500, max_failures=7))
    assert counts(report) == [500, 493, 7, 0]
    assert (report["requests"], len(api.seen)) == (1, 1)
    assert bulk.stored == Counter(set(range(500)) - set(BAD))
    dead = letters(tmp_path)
    assert sorted(dead) == BAD
    assert all(f"no {number}" in record["response_excerpt"] for number, record in dead.items())
    assert {(record["status"], record["reason"], record["attempts"]) for record in dead.values()} == {
        (422, "http_422", 1)
    }


def test_what_may_pass_goes_again_in_one_request_and_the_rest_does_not(api, tmp_path):
    tries = Counter()

    def status(number):
        tries[number] += 1
        return 503 if number % 3 == 0 and tries[number] < 3 else 422 if number % 10 == 1 else 201

    bulk = ByItem(api, status)
    job = make_bulk_job(api, tmp_path, Batch(results="list"), 90, max_failures=9)
    report = run(job)
    assert counts(report) == [90, 81, 9, 0]
    assert [len(ids_of(seen)) for seen in api.seen] == [90, 30, 30]
    assert (report["requests"], report["retries"]) == (3, 2)
    assert max(bulk.stored.values()) == 1
    attempts = {key: record["attempts"] for key, record in letters(tmp_path).items()}
    assert attempts == {1: 1, 11: 1, 31: 1, 41: 1, 61: 1, 71: 1} | dict.fromkeys((21, 51, 81), 3)


def test_an_item_that_never_passes_ends_after_its_attempts(api, tmp_path):
    ByItem(api, lambda number: 503 if number == 5 else 201)
    report = run(make_bulk_job(api, tmp_path, Batch(results="list"), 10, max_failures=1))
    assert counts(report) == [10, 9, 1, 0]
    assert [len(ids_of(seen)) for seen in api.seen] == [10, 1, 1, 1, 1]
    assert letters(tmp_path)[5]["reason"] == "http_503"


@pytest.mark.parametrize(("answers", "requests"), [((503, 200), 2), (("reset", 429, 200), 3)])
def test_a_batch_that_fails_for_a_while_goes_again_with_the_same_key(api, tmp_path, answers, requests):
    left = list(answers)
    api.answer = lambda seen: left.pop(0)
    report = run(make_bulk_job(api, tmp_path, LINES, 100))
    assert (counts(report), report["requests"], report["retries"]) == ([100, 100, 0, 0], requests, requests - 1)
    assert len({(seen.key, seen.body) for seen in api.seen}) == 1


@pytest.mark.parametrize(("answers", "delivered"), [((503, "reset", 200), 100), ((503, "reset", "reset"), 0)])
def test_a_kept_connection_that_is_closed_costs_a_batch_no_attempt(api, tmp_path, answers, delivered):
    left = list(answers)
    api.answer = lambda seen: left.pop(0)
    retry = RequestRetry(backoff_base_seconds=0.001, max_attempts=2)
    report = run(make_bulk_job(api, tmp_path, LINES, 100, concurrency=1, retry=retry, max_failures=100))
    assert (report["delivered"], report["requests"], report["retries"]) == (delivered, 3, 2)
    assert len({seen.key for seen in api.seen}) == 1
    assert all(record["uncertain"] for record in letters(tmp_path).values())


@pytest.mark.slow("thousands of rows, and again")
def test_a_wrong_path_costs_one_request_a_batch_and_the_cause_is_named(api, tmp_path):
    api.answer = lambda seen: 404
    with pytest.raises(FailuresError, match="Is the path right") as raised:
        run(make_bulk_job(api, tmp_path, LINES, 2_500))
    assert raised.value.permanent
    assert len(api.seen) == 5


@pytest.mark.slow("a long window: 20,000 rows")
def test_a_wrong_path_ends_a_long_window_after_ten_batches(api, tmp_path):
    api.answer = lambda seen: 404
    with pytest.raises(MostlyFailingError, match="Is the path right"):
        run(make_bulk_job(api, tmp_path, LINES, 20_000, concurrency=1))
    assert len(api.seen) == 10


@pytest.mark.parametrize("status", [404, 409])
def test_once_a_batch_was_accepted_one_row_holds_nothing_hostage(api, tmp_path, status):
    bulk = Bulk(api, lambda number: status if number == 1_234 else 201)
    report = run(make_bulk_job(api, tmp_path, LINES, 2_000, concurrency=1, max_failures=1))
    assert counts(report) == [2_000, 1_999, 1, 0]
    assert bulk.stored == Counter(set(range(2_000)) - {1_234})
    assert len(api.seen) <= 4 + 2 * 9


def test_a_batch_that_is_refused_first_waits_for_what_becomes_of_the_others(api, tmp_path):
    refused, stored = asyncio.Event(), Counter()

    async def answer(seen):
        if 7 in (ids := ids_of(seen)):
            refused.set()
            return 409
        await refused.wait()
        stored.update(ids)
        return 201

    api.answer = answer
    report = run(make_bulk_job(api, tmp_path, LINES, 2_000, concurrency=4, max_failures=1))
    assert counts(report) == [2_000, 1_999, 1, 0]
    assert stored == Counter(set(range(2_000)) - {7})


@pytest.mark.slow("thousands of rows, and again")
def test_before_that_one_batch_fails_alone_and_a_retry_and_a_replay_get_its_good_rows_out(api, tmp_path):
    bulk, store = Bulk(api, lambda number: 409 if number == 7 else 201), Store()
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path / "a", LINES, 1_000, concurrency=1), store)
    assert (len(api.seen), bulk.stored) == (2, Counter(range(500, 1_000)))
    for again in (
        lambda: run(make_bulk_job(api, tmp_path / "a", LINES, 1_000, concurrency=1, max_failures=1), store),
        lambda: replay_folder(api, tmp_path / "b"),
    ):
        with pytest.raises(FailuresError):  # a folder of its own for the replay
            run(make_bulk_job(api, tmp_path / "b", LINES, 500, concurrency=1))
        bulk.stored.clear()
        api.seen.clear()
        report = again()
        assert report["failed"] == 1
        assert bulk.stored == Counter(set(range(500)) - {7})
        assert len(api.seen) <= 1 + 2 * 9


def test_a_replay_against_a_wrong_path_costs_little(api, tmp_path):
    api.answer = lambda seen: 404
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, LINES, 500))
    api.seen.clear()
    report = replay_folder(api, tmp_path)
    assert (report["failed"], report["delivered"]) == (500, 0)
    assert len(api.seen) <= 1 + 19


@pytest.mark.slow("thousands of rows, and again")
@pytest.mark.parametrize("bad", [[700], [500, 999], list(range(700, 720))])
def test_a_server_error_of_one_row_is_looked_for_with_few_requests(api, tmp_path, bad):
    bulk = Bulk(api, lambda number: 500 if number in bad else 201)
    batch = Batch(format="ndjson", split_on=(400, 413, 422, 500))
    retry = RequestRetry(backoff_base_seconds=0.001, max_attempts=3)
    job = make_bulk_job(api, tmp_path, batch, 1_500, concurrency=1, retry=retry, max_failures=500)
    report = run(job)
    assert len(api.seen) <= 2 + 3 + 19
    assert counts(report) == [1_500, sum(bulk.stored.values()), 1_500 - len(bulk.stored), 0]
    assert set(range(1_500)) - bulk.stored.keys() >= set(bad)
    assert len(bad) > 1 or sorted(letters(tmp_path)) == bad
    assert {record["attempts"] for record in letters(tmp_path).values()} <= set(range(3, 3 + 10))


def test_a_server_error_is_not_split_where_nobody_asks_for_it(api, tmp_path):
    Bulk(api, lambda number: 500 if number == 700 else 201)
    retry = RequestRetry(backoff_base_seconds=0.001, max_attempts=2)
    report = run(make_bulk_job(api, tmp_path, LINES, 1_500, concurrency=1, retry=retry, max_failures=500))
    assert (report["failed"], len(api.seen)) == (500, 4)


@pytest.mark.parametrize("lost", ["reset", 502, 504])
@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_batch_whose_answer_was_lost_is_never_split(api, tmp_path, lost, status):
    batch, answers = Batch(format="ndjson", max_items=50), [200, lost, status]
    api.answer = lambda seen: answers.pop(0)
    report = run(make_bulk_job(api, tmp_path, batch, 100, concurrency=1, max_failures=50))
    assert counts(report) == [100, 50, 50, 0]
    assert (
        api.seen[1].key
        == api.seen[2].key
        == {record["batch"]["request"] for record in letters(tmp_path).values()}.pop()
    )
    assert all(record["uncertain"] for record in letters(tmp_path).values())


def test_statuses_that_are_not_to_be_split_are_not(api, tmp_path):
    Bulk(api, lambda number: 422 if number == 7 else 201)
    report = run(make_bulk_job(api, tmp_path, Batch(split_on=()), 500, max_failures=500))
    assert (report["failed"], len(api.seen)) == (500, 1)


def test_refused_credentials_end_it_at_once_and_nothing_is_lost(api, tmp_path):
    store = Store()
    api.answer = lambda seen: 401
    with pytest.raises(AuthenticationError):
        run(make_bulk_job(api, tmp_path, LINES, 500, concurrency=1), store)
    api.answer = lambda seen: 200
    assert counts(run(make_bulk_job(api, tmp_path, LINES, 500), store)) == [500, 500, 0, 0]


def test_a_body_that_is_too_large_makes_later_ones_smaller(api, tmp_path):
    bulk = Bulk(api)
    take = bulk.answer
    api.answer = lambda seen: 413 if len(seen.body) > 1000 else take(seen)
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=200, format="ndjson"), 4000, concurrency=1))
    assert counts(report) == [4000, 4000, 0, 0]
    too_large = [len(seen.body) for seen in api.seen if len(seen.body) > 1000]
    assert len(too_large) <= 4  # 2 KB and a little, one and a half, one: then it has learned
    assert len(api.seen) <= 20 * 4 + 4


def test_an_item_that_is_too_large_alone_is_a_dead_letter_and_makes_nothing_smaller(api, tmp_path):
    def widen(row):
        return {**row, "x": "y" * (9000 if row["id"] == 50 else 9)}

    api.answer = lambda seen: 413 if len(seen.body) > 5000 else 200
    report = run(make_bulk_job(api, tmp_path, LINES, 100, transform=widen, max_failures=1, concurrency=1))
    assert counts(report) == [100, 99, 1, 0]
    assert report["reasons"] == {"http_413": 1}


@pytest.mark.parametrize("body", ["[]", "", '[{"status": 200}]', '{"ok": true}', "<html>"])
def test_an_answer_that_cannot_be_matched_is_an_error_never_a_success(api, tmp_path, body):
    api.answer = lambda seen: web.Response(text=body)
    with pytest.raises(FailuresError, match="unmatched_results") as raised:
        run(make_bulk_job(api, tmp_path, Batch(results="list"), 50))
    assert raised.value.permanent
    assert {(record["reason"], record["status"]) for record in letters(tmp_path).values()} == {
        ("unmatched_results", 200)
    }


def test_a_transactional_api_gets_the_good_ones_again_without_the_bad(api, tmp_path):
    stored = []

    def answer(seen):
        entries = [{"id": number, "error": "bad" if number in BAD else None} for number in ids_of(seen)]
        if any(entry["error"] for entry in entries):
            return web.json_response({"results": entries}, status=422)
        stored.extend(ids_of(seen))
        return web.json_response({"results": entries})

    api.answer = answer
    report = run(make_bulk_job(api, tmp_path, Batch(results="list"), 500, max_failures=7))
    assert counts(report) == [500, 493, 7, 0]
    assert len(api.seen) == 2
    assert sorted(stored) == sorted(set(range(500)) - set(BAD))


def test_the_check_of_the_author_judges_the_whole_answer(api, tmp_path):
    api.answer = lambda seen: web.json_response({"taken": len(ids_of(seen)) - (0 in ids_of(seen))})
    job = make_bulk_job(
        api,
        tmp_path,
        Batch(max_items=10),
        20,
        max_failures=10,
        response_check=lambda response: response.json()["taken"] == 10,
    )
    assert run(job)["reasons"] == {"response_check": 10}


def test_what_cannot_be_encoded_fails_alone(api, tmp_path):
    bulk = Bulk(api)
    job = make_bulk_job(
        api,
        tmp_path,
        LINES,
        20,
        max_failures=2,
        transform=lambda row: {"id": row["id"], "v": float("nan") if row["id"] in (3, 4) else 1},
    )
    assert run(job)["reasons"] == {"encode": 2}
    assert (len(api.seen), sum(bulk.stored.values())) == (1, 18)


def test_a_format_function_that_fails_for_one_item_fails_only_that_one(api, tmp_path):
    def make(payloads):
        return "\n".join(json.dumps({"id": 1000 // (payload["id"] - 30)}) for payload in payloads)

    api.answer = lambda seen: 200
    report = run(make_bulk_job(api, tmp_path, Batch(format=make), 100, max_failures=1))
    assert counts(report) == [100, 99, 1, 0]
    assert list(letters(tmp_path)) == [30]
    assert "ZeroDivisionError" in letters(tmp_path)[30]["response_excerpt"]


def test_secrets_do_not_get_into_dead_letters(api, tmp_path):
    api.answer = lambda seen: web.json_response([{"error": "you sent s3cret"}] * len(ids_of(seen)))
    settings = ClientSettings(api.url, secrets=frozenset({"s3cret"}))
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, Batch(results="list"), 3, settings=settings))
    assert all("***" in record["response_excerpt"] for record in letters(tmp_path).values())


def test_limits_count_requests_and_the_account_counts_items(api, tmp_path):
    api.answer = lambda seen: 200
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=10), 200, rate_limit=(80, 1.0), concurrency=3))
    assert (report["requests"], report["delivered"]) == (20, 200)
    assert api.peak <= 3
    times = sorted(seen.at for seen in api.seen)
    assert times[-1] - times[0] > 19 / 80 * 0.8  # 20 requests, evenly: about a quarter of a second, not two and a half


# Tries, one after the other.


def test_after_a_sudden_end_batches_are_sent_again_as_they_were_with_the_same_key(api, tmp_path):
    store, stop = Store(), StopSwitch()

    def hang(seen):
        if len(api.seen) == 8:
            stop.pull(KilledError("enough"))
        return "hang" if len(api.seen) > 4 else 200

    api.answer = hang
    with pytest.raises(KilledError):
        run(make_bulk_job(api, tmp_path, Batch(max_items=10), 200), store, stop)
    hung = {(seen.key, seen.body) for seen in api.seen} - {(seen.key, seen.body) for seen in api.delivered}
    assert len(hung) == 4
    assert len(store["checkpoint"]["batches"]) == 4
    api.reset()
    api.answer = lambda seen: 200
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=10), 200), store)
    assert counts(report) == [200, 200, 0, 0]
    assert hung <= {(seen.key, seen.body) for seen in api.seen}
    assert len(api.seen) == 16


def test_halves_and_remainders_are_sent_again_as_they_were_too(api, tmp_path):
    """A kill while the pieces of a batch are on their way, which an API may have stored already."""
    store, stop, first = Store(), StopSwitch(), []

    def answer(seen):
        ids = ids_of(seen)
        if 13 in ids and len(ids) > 4:
            return 422
        if len(first) == 2:
            first.append((seen.key, seen.body))
            stop.pull(KilledError("enough"))
            return "hang"
        first.append((seen.key, seen.body))
        return 200

    api.answer = answer
    with pytest.raises(KilledError):
        run(make_bulk_job(api, tmp_path, Batch(max_items=50), 50, concurrency=1), store, stop)
    api.reset()
    api.answer = lambda seen: 200
    assert counts(run(make_bulk_job(api, tmp_path, Batch(max_items=50), 50), store)) == [50, 50, 0, 0]
    again = [(seen.key, seen.body) for seen in api.seen]
    assert first[2] in again
    assert not set(first[:2]) & set(again)


def test_dead_letters_are_replayed_in_batches_and_judged_by_item_again(api, tmp_path):
    batch = Batch(max_items=100, format="ndjson", results="multi_status")
    bad = set(range(0, 250, 5))
    ByItem(api, lambda number: 422 if number in bad else 201)
    run(make_bulk_job(api, tmp_path, batch, 250, max_failures=50))
    api.reset()
    bulk = ByItem(api, lambda number: 422 if number == 245 else 201)
    report = replay_folder(api, tmp_path)
    assert counts(report) == [50, 49, 1, 0]
    assert len(api.seen) == 1
    assert {(seen.path, seen.method, seen.headers["Content-Type"]) for seen in api.seen} == {
        ("/x/_bulk", "POST", "application/x-ndjson")
    }
    assert list(letters(tmp_path)) == [245]
    assert bulk.stored == Counter(bad - {245})
    api.reset()
    bulk.status = lambda number: 201
    assert counts(replay_folder(api, tmp_path)) == [1, 1, 0, 0]
    assert letters(tmp_path) == {}


def test_a_replay_of_one_item_has_its_own_key_every_time(api, tmp_path):
    bulk = ByItem(api, lambda number: 503 if number == 7 else 201)
    run(make_bulk_job(api, tmp_path, Batch(results="list"), 20, max_failures=1))
    key = letters(tmp_path)[7]["idempotency_key"]
    assert key == api.seen[-1].key  # it was alone in the last attempts
    assert letters(tmp_path)[7]["batch"] == {
        "format": "json_array",
        "results": "list",
        "max_items": 500,
        "max_bytes": 5_000_000,
        "split_on": [400, 404, 409, 413, 422],
        "key": ["id"],
        "request": key,
        "items": 1,
    }
    api.reset()
    bulk.status = lambda number: 201
    replay_folder(api, tmp_path)
    assert [seen.key for seen in api.seen] == [key]


def test_a_batch_whose_answer_was_lost_is_replayed_with_its_own_key_also_beside_others(api, tmp_path):
    """The API may have stored it: only by the key it had can it know."""
    batch = Batch(max_items=10, format="ndjson", results="list")
    ByItem(api, lambda number: 422 if number in (3, 33) else 201)
    take = api.answer
    api.answer = lambda seen: "reset" if 15 in ids_of(seen) else take(seen)
    run(make_bulk_job(api, tmp_path, batch, 40, max_failures=12))
    [lost] = {(seen.key, seen.body) for seen in api.seen if 15 in ids_of(seen)}
    api.reset()
    ByItem(api)
    assert counts(replay_folder(api, tmp_path)) == [12, 12, 0, 0]
    assert lost in {(seen.key, seen.body) for seen in api.seen}
    assert sorted(len(ids_of(seen)) for seen in api.seen) == [2, 10]


def test_a_retry_sends_such_a_batch_with_its_own_key_too(api, tmp_path):
    store, batch = Store(), Batch(max_items=10, format="ndjson", results="list")
    ByItem(api, lambda number: 422 if number in (3, 33) else 201)
    take = api.answer
    api.answer = lambda seen: "reset" if 15 in ids_of(seen) else take(seen)
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, batch, 40), store)
    [lost] = {(seen.key, seen.body) for seen in api.seen if 15 in ids_of(seen)}
    api.reset()
    ByItem(api)
    assert counts(run(make_bulk_job(api, tmp_path, batch, 40, folder=DeadLetterFolder(tmp_path, 2)), store))[1] == 40
    assert lost in {(seen.key, seen.body) for seen in api.seen}
    assert sorted(len(ids_of(seen)) for seen in api.seen) == [2, 10]


def test_a_part_of_a_batch_that_is_dead_is_another_request(api, tmp_path):
    """The rest was resolved meanwhile, or is left out for its reason: it has a key that is no other's."""
    batch = Batch(max_items=10, format="ndjson")
    api.answer = lambda seen: 503
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, batch, 10))
    keys = {seen.key for seen in api.seen}
    DeadLetterFolder(tmp_path).write([{"index": 4, "resolved": True}])
    api.reset()
    api.answer = lambda seen: 200
    assert counts(replay_folder(api, tmp_path)) == [9, 9, 0, 0]
    assert len(api.seen) == 1
    assert not keys & {seen.key for seen in api.seen}


def test_a_replay_makes_batches_no_larger_than_the_tasks(api, tmp_path):
    batch = Batch(max_items=7, format="ndjson", results="list")
    ByItem(api, lambda number: 422 if number % 2 else 201)
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, batch, 100))
    api.reset()
    ByItem(api)
    assert counts(replay_folder(api, tmp_path)) == [50, 50, 0, 0]
    assert [len(ids_of(seen)) for seen in api.seen].count(7) == 7


@pytest.mark.parametrize(
    "batch",
    [
        Batch(format=lambda payloads: payloads),
        Batch(results=lambda response, payloads: [response.status] * len(payloads)),
    ],
)
def test_functions_are_asked_for_in_a_replay(api, tmp_path, batch):
    api.answer = lambda seen: 503
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, batch, 20))
    api.answer = lambda seen: 200
    with pytest.raises(ConfigurationError, match=r"give the replay the same batch=Batch"):
        replay_folder(api, tmp_path)
    assert counts(replay_folder(api, tmp_path, batch)) == [20, 20, 0, 0]


def test_actions_are_replayed_with_the_id_they_had(api, tmp_path):
    seen_ids = []

    def answer(seen):
        actions = [json.loads(line) for line in seen.body.splitlines()][::2]
        seen_ids.append([action["index"]["_id"] for action in actions])
        status = 429 if len(seen_ids) < 2 else 201
        items = [{"index": {"_id": number, "status": status}} for number in seen_ids[-1]]
        return web.json_response({"errors": status == 429, "items": items})

    api.answer = answer
    batch = Batch(format="bulk", results="elasticsearch")
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, batch, 5, retry=RequestRetry(max_attempts=1)))
    assert counts(replay_folder(api, tmp_path)) == [5, 5, 0, 0]
    assert seen_ids == [["0", "1", "2", "3", "4"]] * 2


@pytest.mark.slow("seven jobs a seed")
@pytest.mark.parametrize("seed", range(3))
def test_tries_of_all_kinds_end_with_every_row_stored(api, tmp_path, seed):
    """Stops and refusals of all kinds, by chance; a key is always that of the same rows."""
    often = within(grace_seconds=0.05, write_every_seconds=0.02)
    chance, store, of_key, stored = random.Random(seed), Store(), {}, set()

    def one_try(number):
        results, bad = chance.choice([None, "list"]), set(chance.sample(range(600), chance.choice([0, 3, 30])))
        stop, moment = StopSwitch(), chance.randrange(2, 60)
        if number == 7:
            bad, moment = set(), None
        endpoint = (Bulk if results is None else ByItem)(
            api, lambda row: chance.choice([422, 503]) if row in bad else 201
        )

        def answer(seen):
            ids = ids_of(seen)
            assert of_key.setdefault(seen.key, ids) == ids
            if len(api.seen) == moment:
                stop.pull(KilledError("by chance"))
                return chance.choice(["hang", "reset", 503])
            response = endpoint.answer(seen)
            stored.update(endpoint.stored)
            return response

        api.reset()
        api.answer = answer
        parts = {"folder": DeadLetterFolder(tmp_path, number), "bounds": often}
        job = make_bulk_job(api, tmp_path, Batch(max_items=25, results=results), 600, **parts)
        with contextlib.suppress(KilledError, FailuresError, MostlyFailingError):
            return run(job, store, stop)

    reports = [one_try(number) for number in range(1, 8)]
    assert counts(reports[-1]) == [600, 600, 0, 0]
    assert stored == set(range(600))
    assert letters(tmp_path) == {}


def test_a_retry_verdict_of_a_function_goes_again(api, tmp_path):
    said = []

    def results(response, payloads):
        said.append(len(payloads))
        return [Verdict.RETRY if payload["id"] == 3 and len(said) < 3 else True for payload in payloads]

    assert counts(run(make_bulk_job(api, tmp_path, Batch(results=results), 10))) == [10, 10, 0, 0]
    assert said == [10, 1, 1]


def test_ids_that_the_api_makes_up_are_not_taken_for_keys_that_were_not_sent(api, tmp_path):
    """They may look like keys: here the first one's id is the second one's key."""
    api.answer = lambda seen: web.json_response(
        [{"id": number + 1, "status": 201} for number in range(len(seen.body.splitlines()))]
    )
    batch = Batch(format="ndjson", results="list")
    job = make_bulk_job(api, tmp_path, batch, 10, transform=lambda row: {"value": row["id"]})
    assert counts(run(job)) == [10, 10, 0, 0]
    with pytest.raises(FailuresError, match="unmatched_results"):
        run(make_bulk_job(api, tmp_path, batch, 10))


@pytest.mark.slow("4,000 rows")
@pytest.mark.parametrize("share", [2, 4])
def test_rows_that_fail_before_they_are_sent_end_no_delivery_of_the_others(api, tmp_path, share):
    def transform(row):
        if row["id"] % share:
            raise ValueError("no such sensor")
        return row

    batch = Batch(max_items=50, format="ndjson")
    job = make_bulk_job(api, tmp_path, batch, 4_000, transform=transform, concurrency=16, max_failures=4_000)
    failed = 4_000 - 4_000 // share
    assert counts(run(job)) == [4_000, 4_000 - failed, failed, 0]


def test_a_delivery_of_which_nothing_can_be_sent_ends_early(api, tmp_path):
    def transform(row):
        raise ValueError("no such sensor")

    with pytest.raises(MostlyFailingError):
        run(make_bulk_job(api, tmp_path, Batch(max_items=50), 4_000, transform=transform))
    assert api.seen == []
