"""Whole jobs, and what answers mean for them: lost ones, unreadable ones, refused credentials, a wrong path."""

import asyncio
import json
import threading

import pytest
from aiohttp import web
from engine import (
    Database,
    Store,
    counts,
    make_bulk_job,
    make_fetch_job,
    make_job,
    number_of,
    replay_folder,
    rows_of,
    run,
)

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import AuthenticationError, CredentialsError, FailuresError, KilledError
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.retry import RequestRetry


def false_gzip(status=201):
    return web.Response(status=status, body=b"{}", headers={"Content-Encoding": "gzip"})


def test_what_the_api_took_and_nobody_can_read_is_sent_again_only_by_its_name(api, tmp_path):
    def check(response):
        return None

    store = Store()
    api.answer = lambda seen: false_gzip() if number_of(seen) in {7, 8} else 422 if number_of(seen) == 9 else 200
    for sent in (250, 1):  # a retry sends only the one that was refused
        api.reset()
        with pytest.raises(FailuresError) as raised:
            run(make_job(api, tmp_path, response_check=check), store)
        assert raised.value.permanent
        assert len(api.seen) == sent
        report = store["progress"]
        assert counts(report) == [250, 247, 3, 0]
        assert report["reasons"] == {"answer_unreadable": 2, "http_422": 1}
    api.reset()
    api.answer = lambda seen: 200
    report = replay_folder(api, tmp_path)  # of all: those stay dead, and are counted
    assert [seen.path for seen in api.seen] == ["/x/9"]
    assert counts(report) == [3, 1, 2, 0]
    letters = sorted(DeadLetterFolder(tmp_path).iter_records(), key=lambda letter: letter["index"])
    assert [(letter["index"], letter["path"]) for letter in letters] == [(7, "x/7"), (8, "x/8")]
    assert all(letter["response_excerpt"].count("not sent: the API has taken it") == 1 for letter in letters)
    replay_folder(api, tmp_path)
    assert next(DeadLetterFolder(tmp_path).iter_records())["response_excerpt"].count("not sent") == 1
    api.reset()
    assert counts(replay_folder(api, tmp_path, reasons=["answer_unreadable"])) == [2, 2, 0, 0]
    assert sorted(seen.path for seen in api.seen) == ["/x/7", "/x/8"]
    report = run(make_job(api, tmp_path, response_check=check), store)
    assert counts(report) == [250, 250, 0, 0]


@pytest.mark.parametrize(
    ("at_first", "at_the_replay", "reason", "sent"),
    [(503, false_gzip, "answer_unreadable", []), (false_gzip, lambda: 503, "http_503", [7])],
)
def test_what_a_replay_found_out_decides_what_a_retry_sends(api, tmp_path, at_first, at_the_replay, reason, sent):
    def check(response):
        return None

    store, first = Store(), at_first if callable(at_first) else lambda: at_first
    api.answer = lambda seen: first() if number_of(seen) == 7 else 200
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, response_check=check), store)
    api.answer = lambda seen: at_the_replay()
    named = ["http_503", "answer_unreadable"]
    assert counts(replay_folder(api, tmp_path, reasons=named, response_check=check)) == [1, 0, 1, 0]
    assert DeadLetterFolder(tmp_path).read() == {7: reason}
    api.reset()
    api.answer = lambda seen: 200
    report = run(
        make_job(api, tmp_path, folder=DeadLetterFolder(tmp_path, 2), max_failures=1, response_check=check), store
    )
    assert counts(report) == [250, 250 - 1 + len(sent), 1 - len(sent), 0]
    assert [number_of(seen) for seen in api.seen] == sent


def test_a_batch_that_nobody_can_read_is_left_alone_too(api, tmp_path):
    store = Store()
    api.answer = lambda seen: false_gzip(200)
    batch = Batch(max_items=50, results="list")
    for sent in (1, 0):
        api.reset()
        with pytest.raises(FailuresError):
            run(make_bulk_job(api, tmp_path, batch, 50), store)
        assert len(api.seen) == sent
    assert counts(replay_folder(api, tmp_path)) == [50, 0, 50, 0]
    assert api.seen == []
    api.answer = lambda seen: web.json_response([{"status": 200}] * 50)
    assert counts(replay_folder(api, tmp_path, reasons=["answer_unreadable"])) == [50, 50, 0, 0]
    assert len(api.seen) == 1


def test_what_was_fetched_and_cannot_be_read_is_asked_for_again(api, tmp_path):
    database = Database()
    api.answer = lambda seen: false_gzip(200) if number_of(seen) == 7 else rows_of(seen)
    with pytest.raises(FailuresError, match="1 answer_unreadable") as raised:
        run(make_fetch_job(api, tmp_path, database))
    assert raised.value.permanent
    assert sum(number_of(seen) == 7 for seen in api.seen) == 1
    api.answer = rows_of
    assert counts(run(make_fetch_job(api, tmp_path, database))) == [60, 60, 0, 0]


def deletes(api, path, **settings):
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/{id}"),
        method="DELETE",
        encode=JsonEncoder(),
        identity=Identity(("dag", "task"), ("start", "end")),
        has_key=True,
    )
    return make_job(api, path, prepare=builder.prepare, **settings)


def test_rows_that_were_in_flight_at_a_kill_are_there_already_in_the_retry(api, tmp_path):
    store, stop, gone = Store(), StopSwitch(), set()

    def answer(seen):
        number = number_of(seen)
        if number in gone:
            return 404
        gone.add(number)
        return "hang" if number >= 100 else 200

    api.answer = answer
    killer = threading.Thread(
        target=lambda: (api.wait_for(lambda api: api.in_flight == 4), stop.pull(KilledError("killed")))
    )
    killer.start()
    with pytest.raises(KilledError):
        run(deletes(api, tmp_path, concurrency=4), store, stop)
    killer.join()
    api.answer = lambda seen: 404 if number_of(seen) in gone else 200
    report = run(deletes(api, tmp_path, concurrency=4), store)
    assert counts(report) == [250, 250, 0, 0]
    assert report["already_there"] == 4


@pytest.mark.parametrize("again", ["retry", "replay"])
def test_a_lost_answer_is_remembered_by_its_dead_letter(api, tmp_path, again):
    store = Store()
    api.answer = lambda seen: "reset" if number_of(seen) == 7 else 200
    with pytest.raises(FailuresError):
        run(deletes(api, tmp_path), store)
    api.answer = lambda seen: 404
    report = run(deletes(api, tmp_path), store) if again == "retry" else replay_folder(api, tmp_path)
    assert (report["failed"], report["already_there"]) == (0, 1)
    assert DeadLetterFolder(tmp_path).read() == {}


@pytest.mark.parametrize(
    ("action", "status", "there"), [("create", 409, True), ("delete", 404, True), ("index", 409, False)]
)
def test_an_action_of_bulk_that_is_done_was_done_by_the_attempt_whose_answer_was_lost(
    api, tmp_path, action, status, there
):
    answers = [
        "reset",
        web.json_response(
            {"items": [{action: {"_id": str(n), "status": status if n < 5 else 201}} for n in range(10)]}
        ),
    ]
    api.answer = lambda seen: answers.pop(0)
    batch = Batch(format="bulk", results="elasticsearch")
    job = make_bulk_job(
        api, tmp_path, batch, 10, transform=lambda row: {"_op_type": action, **row}, max_failures=5, concurrency=1
    )
    report = run(job)
    assert report["already_there"] == (5 if there else 0)
    assert counts(report) == ([10, 10, 0, 0] if there else [10, 5, 5, 0])


def test_a_whole_batch_may_be_there_already(api, tmp_path):
    answers = ["reset", 412]
    api.answer = lambda seen: answers.pop(0)
    report = run(make_bulk_job(api, tmp_path, Batch(), 20, headers={"if-none-match": "*"}))
    assert (counts(report), report["already_there"]) == ([20, 20, 0, 0], 20)


def test_a_token_that_ends_stops_the_task_and_a_retry_goes_on(api, tmp_path):
    store = Store()
    api.answer = lambda seen: 401 if number_of(seen) >= 200 else 200
    with pytest.raises(CredentialsError, match=r"connection 'search_api'.* \d+ items were accepted before"):
        run(make_job(api, tmp_path, conn_id="search_api"), store)
    assert len(api.seen) < 200 + 2 * 16
    with pytest.raises(CredentialsError):  # not renewed yet: there is another retry
        run(make_job(api, tmp_path, conn_id="search_api"), store)
    api.answer = lambda seen: 200
    api.reset()
    assert counts(run(make_job(api, tmp_path), store)) == [250, 250, 0, 0]
    assert len(api.seen) <= 50 + 16


def test_credentials_that_were_never_good_fail_for_good(api, tmp_path):
    api.answer = lambda seen: 401
    with pytest.raises(AuthenticationError, match="connection 'search_api', and its auth_type.* Nothing was accepted"):
        run(make_job(api, tmp_path, conn_id="search_api"))
    assert len(api.seen) <= 16


def test_a_401_that_comes_first_is_judged_when_what_is_in_flight_has_ended(api, tmp_path):
    refused = asyncio.Event()

    async def answer(seen):
        if number_of(seen) == 0:
            refused.set()
            return 401
        await refused.wait()
        return 200

    api.answer = answer
    with pytest.raises(CredentialsError, match="items were accepted before"):
        run(make_job(api, tmp_path, concurrency=8))


def test_a_401_stops_a_replay_too(api, tmp_path):
    api.answer = lambda seen: 422
    run(make_job(api, tmp_path, rows=100, max_failures=100))
    api.reset()
    api.answer = lambda seen: 401
    with pytest.raises(AuthenticationError):
        replay_folder(api, tmp_path)
    assert len(api.seen) <= 16


@pytest.mark.parametrize("number", [0, 249])
def test_a_403_of_a_single_row_is_its_own(api, tmp_path, number):
    api.answer = lambda seen: 403 if number_of(seen) == number else 200
    report = run(make_job(api, tmp_path, concurrency=8, max_failures=1))
    assert counts(report) == [250, 249, 1, 0]
    assert report["reasons"] == {"http_403": 1}


@pytest.mark.parametrize(("status", "hint"), [(403, "allowed to do that"), (404, "Is the path right")])
def test_where_every_row_is_refused_alike_the_cause_is_named(api, tmp_path, status, hint):
    api.answer = lambda seen: status
    with pytest.raises(FailuresError, match=hint) as raised:
        run(make_job(api, tmp_path, rows=50))
    assert raised.value.permanent


def test_a_proxy_that_asks_who_asks_stops_the_task(api, tmp_path):
    api.answer = lambda seen: 407
    settings = ClientSettings("http://api.example.com", proxy=api.url)
    with pytest.raises(AuthenticationError, match="proxy that connection 'search_api' uses"):
        run(make_job(api, tmp_path, settings=settings, conn_id="search_api", retry=RequestRetry()))
    assert len(api.seen) <= 16


def test_a_401_of_one_item_in_an_answer_about_many_is_its_own(api, tmp_path):
    def answer(seen):
        rows = json.loads(seen.body)
        return web.json_response([{"status": 401 if row["id"] == 7 else 201} for row in rows])

    api.answer = answer
    report = run(make_bulk_job(api, tmp_path, Batch(max_items=10, results="list"), 100, max_failures=1))
    assert counts(report) == [100, 99, 1, 0]


def test_a_replay_gets_the_good_rows_out_of_a_batch_whose_answer_was_lost_once(api, tmp_path):
    def answer(seen):
        return 504 if not api.seen[1:] else 409 if any(row["id"] == 2 for row in json.loads(seen.body)) else 201

    api.answer = answer
    with pytest.raises(FailuresError):
        run(make_bulk_job(api, tmp_path, Batch(), 8))
    assert len(api.seen) == 2
    report = replay_folder(api, tmp_path)
    assert (report["delivered"], report["failed"]) == (7, 1)
    assert api.seen[2].key == api.seen[1].key


def test_a_check_is_asked_before_results_are_read(api, tmp_path):
    api.answer = lambda seen: web.json_response([{"status": 201}] * 4)
    job = make_bulk_job(api, tmp_path, Batch(results="list"), 4, response_check=lambda response: False, max_failures=4)
    assert run(job)["reasons"] == {"response_check": 4}
