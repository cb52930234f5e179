"""``AsyncRestHook.fetch``: rows for a plain task."""

import gc
import threading
from itertools import islice

import pytest
from aiohttp import web
from engine import run_within
from task_runner import run_try

from airflow_async_rest import NumberedPages, RequestRetry

ROWS_OF_AN_ITEM = 3


def answer(seen):
    number = int(seen.path.rpartition("/")[2])
    return web.json_response([{"id": number, "n": n} for n in range(ROWS_OF_AN_ITEM)])


@pytest.fixture
def hook(api, connect, tmp_path, monkeypatch):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    api.answer = answer
    return AsyncRestHook("search_api")


def fetch(hook, items, **arguments):
    return hook.fetch(items, endpoint="x/{item}", **arguments)


def fetching_threads():
    return [thread for thread in threading.enumerate() if thread.name == "async-rest-fetch"]


def fail_of(numbers, status=410):
    return lambda seen: status if int(seen.path.rpartition("/")[2]) in numbers else answer(seen)


def test_every_row_comes_once_and_then_there_is_the_report(hook):
    chunks, rows = fetch(hook, range(1000)), []
    assert (chunks.report, chunks.failed) == (None, [])
    for chunk in chunks:
        rows += chunk
    assert sorted((row["id"], row["n"]) for row in rows) == [(i, n) for i in range(1000) for n in range(3)]
    assert (chunks.report["delivered"], chunks.report["rows_loaded"]) == (1000, 3000)
    assert (list(chunks), chunks.failed) == ([], [])


def test_the_report_is_the_value_of_yield_from_as_well(hook):
    reports = []

    def take():
        reports.append((yield from fetch(hook, [1])))

    assert len(list(take())) == 1
    assert reports[0]["delivered"] == 1


def test_the_report_is_the_value_of_the_end_for_whoever_takes_chunk_by_chunk(hook):
    chunks = fetch(hook, [1])
    next(chunks)
    with pytest.raises(StopIteration) as end:
        next(chunks)
    assert end.value.value["delivered"] == 1


def test_columns_and_pages_are_as_in_the_operator(hook, api):
    api.answer = lambda seen: web.json_response([{"a": {"b": seen.query}}] if "page=3" not in seen.query else [])
    rows = [row for chunk in fetch(hook, [7], columns={"q": "a.b", "of": "item.item"}, paginate=NumberedPages())
            for row in chunk]  # fmt: skip
    assert rows == [{"q": "page=1", "of": 7}, {"q": "page=2", "of": 7}]


def test_what_failed_is_raised_at_the_end_when_the_rest_has_come(hook, api):
    from airflow.sdk.exceptions import AirflowFailException

    api.answer = fail_of({5})
    chunks, rows = fetch(hook, range(10)), []
    for _ in range(2):  # some of the rows never pass for all
        with pytest.raises(AirflowFailException, match=r"1 of 10 items failed \(1 http_410\).* handed over"):
            rows.extend(row for chunk in chunks for row in chunk)
    assert len(rows) == 9 * ROWS_OF_AN_ITEM
    assert (chunks.report["failed"], chunks.report["complete"]) == (1, True)
    assert [(letter["key"], letter["reason"]) for letter in chunks.failed] == [(5, "http_410")]


def test_every_item_that_failed_is_listed_in_its_place_and_can_be_asked_for_once_more(hook, api):
    items = [{"type": "pump & co", "id": 2**70 + number, "size": number / 8} for number in range(300)]
    arguments = {"endpoint": "x/{id}", "query": {"of": "{type}"}, "method": "POST", "body": {"size": "{size}"}}
    api.answer = lambda seen: 503 if int(seen.path.rpartition("/")[2]) % 2 else answer(seen)
    chunks = hook.fetch(items, **arguments, max_failures="100%", request_retry=RequestRetry(max_attempts=1))
    assert sum(map(len, chunks)) == 150 * ROWS_OF_AN_ITEM
    assert [letter["row"] for letter in chunks.failed] == items[1::2]
    first = chunks.failed[0]
    assert (first["key"], first["reason"], first["status"]) == (["pump & co", 2**70 + 1, 0.125], "http_503", 503)
    request = {"method": "POST", "path": f"x/{2**70 + 1}", "query": "of=pump%20%26%20co", "payload": {"size": 0.125}}
    assert {name: first[name] for name in request} == request

    first_keys = {seen.path: seen.key for seen in api.seen}
    api.reset()
    api.answer = answer
    again = hook.fetch([letter["row"] for letter in chunks.failed], **arguments)
    assert sum(map(len, again)) == 150 * ROWS_OF_AN_ITEM
    assert {seen.path for seen in api.seen} < first_keys.keys()
    assert again.failed == []


def test_what_failed_is_listed_where_no_dead_letter_can_be_written(hook, api, tmp_path):
    from airflow.sdk.exceptions import AirflowException

    (tmp_path / "file").touch()
    api.answer = fail_of({5})
    chunks = fetch(hook, range(10), dead_letter_path=f"{tmp_path}/file/below", max_failures=5)
    with pytest.raises(AirflowException, match="1 dead letter is not written"):
        list(chunks)
    assert [letter["row"] for letter in chunks.failed] == [{"item": 5}]


def test_a_part_of_what_failed_never_passes_for_all_of_it(hook, api, tmp_path):
    """Where no dead letter can be written, only as many as XCom takes are kept."""
    from airflow.sdk.exceptions import AirflowException

    api.answer = lambda seen: web.json_response({"why": "x" * 400}, status=410)
    (tmp_path / "file").touch()
    chunks = fetch(hook, range(150), max_failures=150, dead_letter_path=f"{tmp_path}/file/below")
    with pytest.raises(AirflowException, match="150 dead letters are not written"):
        list(chunks)
    with pytest.raises(
        AirflowException, match=r"of 150 failed items \d+ can be read: .* give another folder as dead_l"
    ):
        _ = chunks.failed


def leave_by_break(chunks):
    for _ in chunks:
        break


def leave_by_an_exception(chunks):
    with pytest.raises(ZeroDivisionError):
        [1 / 0 for _ in chunks]


def leave_a_with_block(chunks):
    with chunks:
        next(chunks)


def leave_a_with_block_by_an_exception(chunks):
    with pytest.raises(ZeroDivisionError), chunks as entered:
        next(entered)[1 / 0]


def leave_by_close(chunks):
    next(chunks)
    chunks.close()
    chunks.close()


def leave_by_a_function_that_takes_some(chunks):
    assert len(list(islice((row for chunk in chunks for row in chunk), 5))) == 5


def leave_it_to_another_generator(chunks):
    def take():
        yield from chunks

    taking = take()
    next(taking)
    with pytest.raises(ZeroDivisionError):
        taking.throw(ZeroDivisionError)


@pytest.mark.parametrize(
    "leave",
    [
        leave_by_break,
        leave_by_an_exception,
        leave_a_with_block,
        leave_a_with_block_by_an_exception,
        leave_by_close,
        leave_by_a_function_that_takes_some,
        leave_it_to_another_generator,
    ],
)
def test_whoever_stops_taking_stops_the_fetching_and_learns_what_was_done(hook, api, leave):
    from airflow.sdk.exceptions import AirflowException

    api.answer = fail_of({5})
    chunks = fetch(hook, range(1_000_000))
    leave(chunks)
    assert fetching_threads() == []
    assert len(api.seen) < 500_000
    report = chunks.report
    assert report["read"] == report["delivered"] + report["failed"] + report["unfinished"] < 500_000
    assert not report["complete"]
    assert [letter["key"] for letter in chunks.failed] == [5]
    for take in (list, next):  # what is left, which is nothing, does not pass for all
        with pytest.raises(AirflowException, match="the loop over them was left, or they were closed"):
            take(chunks)


def test_whoever_lets_the_chunks_go_stops_the_fetching(hook, api):
    chunks = fetch(hook, range(1_000_000))
    next(chunks)
    gc.disable()  # it needs none
    try:
        del chunks
        assert fetching_threads() == []
    finally:
        gc.enable()


def test_a_fetch_has_ended_when_its_last_chunk_is_taken_and_not_when_it_is_there(hook, api):
    from airflow.sdk.exceptions import AirflowFailException

    api.answer = fail_of({2})
    chunks = fetch(hook, range(4))
    rows = next(chunks)
    for thread in fetching_threads():
        thread.join(30)
    assert fetching_threads() == []
    assert (chunks.report, chunks.failed) == (None, [])
    with pytest.raises(AirflowFailException, match="1 of 4 items failed"):
        rows.extend(row for chunk in iter(chunks.__next__, None) for row in chunk)
    assert len(rows) == 3 * ROWS_OF_AN_ITEM
    assert (chunks.report["failed"], len(chunks.failed)) == (1, 1)


def test_what_is_left_does_not_pass_for_all_although_all_was_fetched(hook):
    from airflow.sdk.exceptions import AirflowException

    chunks = fetch(hook, range(4))
    for _ in chunks:
        for thread in fetching_threads():
            thread.join(30)
        break
    assert chunks.report["complete"]
    with pytest.raises(AirflowException, match="the loop over them was left"):
        list(chunks)


def test_a_chunk_that_is_looked_at_beforehand_does_not_end_the_rest(hook):
    chunks = fetch(hook, range(1000))
    first = next(chunks)
    assert len(first) + sum(map(len, chunks)) == 1000 * ROWS_OF_AN_ITEM


@pytest.mark.parametrize("leave", [lambda chunks: chunks.close(), lambda chunks: chunks.__exit__(None, None, None)])
def test_nothing_is_asked_for_before_the_first_chunk_is(hook, api, leave):
    from airflow.sdk.exceptions import AirflowException

    chunks = fetch(hook, range(10))
    leave(chunks)
    with pytest.raises(AirflowException, match="they were closed"):
        list(chunks)
    assert (api.seen, chunks.report, chunks.failed) == ([], None, [])


def test_a_fetch_that_cannot_go_on_says_so_and_what_failed_till_then(hook, api):
    from airflow.sdk.exceptions import AirflowException

    api.answer = lambda seen: 401 if seen.path == "/x/40" else fail_of({5})(seen)
    chunks = fetch(hook, range(100), concurrency=1)
    with pytest.raises(AirflowException, match="the API answers 401"):
        list(chunks)
    assert not chunks.report["complete"]
    assert [letter["key"] for letter in chunks.failed] == [5, 40]


def test_whoever_stops_taking_long_after_the_last_chunk_leaves_no_thread_behind(hook, api, monkeypatch):
    run_within(monkeypatch, chunk_rows=6)
    chunks = fetch(hook, range(100_000), concurrency=4)
    next(chunks)
    api.wait_for(lambda api: len(api.seen) > 20 and api.in_flight == 0)  # all that there is room for has come
    chunks.close()
    for thread in threading.enumerate():
        if thread.name == "async-rest-database":
            thread.join(60)
            assert not thread.is_alive()


def test_no_more_than_a_few_chunks_are_fetched_ahead_of_their_taker(hook, api, monkeypatch):
    chunk_rows, concurrency, items = 6, 4, 2_000
    run_within(monkeypatch, chunk_rows=chunk_rows)
    # Two chunks that are handed over, one that is about to be, and the buffer, each of ten at most; and what each
    # worker has in hand.
    most_ahead = 4 * 10 * chunk_rows // ROWS_OF_AN_ITEM + 5 * concurrency
    chunks, taken = fetch(hook, range(items), concurrency=concurrency), 0
    for chunk in chunks:
        taken += len(chunk)
        left = items - taken // ROWS_OF_AN_ITEM
        expected = min(left, 4 * chunk_rows // ROWS_OF_AN_ITEM)
        api.wait_for(lambda a, n=taken // ROWS_OF_AN_ITEM + expected: len(a.seen) >= n)
        assert len(api.seen) - taken // ROWS_OF_AN_ITEM <= most_ahead
    assert taken == items * ROWS_OF_AN_ITEM


@pytest.mark.parametrize("wrong", [{"paginate": "pages"}, {"concurrency": 0}, {"columns": 5}, {"max_failures": "x"}])
def test_wrong_arguments_are_said_at_the_call(hook, api, wrong):
    from airflow.sdk.exceptions import AirflowFailException

    [(name, value)] = wrong.items()
    with pytest.raises(AirflowFailException, match=f"{name}={value!r}"):
        fetch(hook, [1], **wrong)
    assert api.seen == []


def test_in_a_task_the_failed_items_are_in_xcom(hook, api, supervisor):
    from airflow.sdk import DAG, task

    api.answer = lambda seen: 410 if seen.path == "/x/5" else answer(seen)

    @task
    def take():
        return sum(len(chunk) for chunk in fetch(hook, range(10), max_failures=1))

    with DAG("fetching", schedule=None):
        operator = take().operator
    state, error = run_try(operator, supervisor)
    assert (state, error) == ("success", None)
    assert supervisor.data["xcom"]["return_value"] == 27
    assert [item["key"] for item in supervisor.data["xcom"]["failed_items"]] == [5]


def test_each_fetch_of_a_task_and_each_try_lists_its_own_failed_items(hook, api, supervisor):
    from airflow.sdk import DAG, task

    failing = [{5}, {7}, set(), {3}]

    @task
    def take():
        found = []
        for _ in range(2):
            api.answer = fail_of(failing.pop(0))
            chunks = fetch(hook, range(10), max_failures=1)
            assert sum(map(len, chunks)) >= 27
            found.append([letter["key"] for letter in chunks.failed])
        return found

    with DAG("fetching", schedule=None):
        operator = take().operator
    assert run_try(operator, supervisor)[0] == "success"
    assert supervisor.data["xcom"]["return_value"] == [[5], [7]]
    assert run_try(operator, supervisor, 2)[0] == "success"
    assert supervisor.data["xcom"]["return_value"] == [[], [3]]
