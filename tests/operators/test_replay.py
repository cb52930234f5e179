"""ReplayDeadLettersOperator in Airflow's task runner."""

from collections import Counter

import pytest
from task_runner import Supervisor, run_try
from tasks import READINGS, given_later, ids, rest_to_sql, sql_to_rest

from airflow_async_rest import RequestRetry

ONCE = RequestRetry(max_attempts=1)


def replay(dead_letters, **arguments):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    settings = {"task_id": "replay", "http_conn_id": "search_api", "request_retry": ONCE}
    return ReplayDeadLettersOperator(dead_letters=dead_letters, **(settings | arguments))


@pytest.fixture
def folder(places, supervisor):
    """The dead letters of a delivery: 503 for ids ending in 3, 422 for those ending in 7."""
    places.answer = lambda seen: {"3": 503, "7": 422}.get(seen.path[-1], 200)
    run_try(sql_to_rest(request_retry=ONCE), supervisor)
    places.reset()
    return supervisor.report["dead_letters"]


def test_a_replay_resends_the_very_requests_and_marks_them_resolved(places, folder, tmp_path):
    from airflow_async_rest.tasks.storage.folders import open_folder

    dead = {record["key"]: record for record in open_folder(folder).iter_records()}
    places.answer = lambda seen: 200
    supervisor = Supervisor(tmp_path / "replay.json")
    state, error = run_try(replay(folder), supervisor)
    assert (state, error) == ("success", None)
    assert sorted(ids(places.seen)) == sorted(dead) == sorted([*range(3, 101, 10), *range(7, 101, 10)])
    for seen in places.seen:
        record = dead[seen.json()["id"]]
        assert (seen.method, seen.path, seen.key) == (record["method"], "/" + record["path"], record["idempotency_key"])
    report = supervisor.report
    assert [report[name] for name in ("read", "delivered", "failed", "dead_letters")] == [20, 20, 0, None]
    [note] = open_folder(folder).replays()
    assert note["by"] == {
        "dag_id": "the_dag",
        "run_id": "scheduled__2026-11-01",
        "task_id": "replay",
        "map_index": -1,
        "try_number": 1,
    }
    assert [note[name] for name in ("delivered", "failed", "left")] == [20, 0, 0]
    places.reset()
    run_try(replay(folder), supervisor)
    assert (places.seen, supervisor.report["read"]) == ([], 0)
    assert len(open_folder(folder).replays()) == 1  # what sends nothing is none


def test_what_fails_again_stays_dead_with_its_new_reason(places, folder, supervisor):
    from airflow_async_rest.tasks.storage.folders import open_folder

    places.answer = lambda seen: 500 if seen.path.endswith("33") else 200
    state, _ = run_try(replay(folder), supervisor)
    assert state == "up_for_retry"
    assert supervisor.report["dead_letters"] == folder
    assert open_folder(folder).read() == {32: "http_500"}
    assert [open_folder(folder).replays()[0][name] for name in ("delivered", "failed", "left")] == [19, 1, 1]
    assert [item["key"] for item in supervisor.data["xcom"]["failed_items"]] == [33]
    places.reset()
    places.answer = lambda seen: 200
    assert run_try(replay(folder), supervisor, 2)[0] == "success"  # a retry sends only what is left
    assert ids(places.seen) == [33]


def test_reasons_choose_and_preview_sends_nothing(places, folder, supervisor):
    run_try(replay(folder, preview=True), supervisor)
    report = supervisor.report
    assert (report["reasons"], report["dead_letters"]) == ({"http_503": 10, "http_422": 10}, [folder])
    counts = [report[name] for name in ("read", "delivered", "failed", "skipped", "unfinished")]
    assert (counts, report["complete"]) == ([20, 0, 0, 0, 20], False)
    run_try(replay(folder, preview=True, reasons=["http_422"]), supervisor)
    assert supervisor.report["read"] == 10
    assert places.seen == []
    places.answer = lambda seen: 200
    run_try(replay(folder, reasons=["http_503"]), supervisor)
    assert sorted(ids(places.seen)) == list(range(3, 101, 10))


def test_several_folders_are_one_replay_and_null_is_none(places, folder, supervisor, tmp_path):
    from airflow_async_rest.tasks.storage.folders import open_folder

    places.answer = lambda seen: 500
    another = Supervisor(tmp_path / "another.json")
    run_try(sql_to_rest(task_id="another", sql=READINGS.format(rows=5), request_retry=ONCE), another)
    other_folder = another.report["dead_letters"]
    places.reset()
    places.answer = lambda seen: 500 if seen.path.endswith("/2") else 200
    run_try(replay([folder, None, other_folder]), supervisor)
    assert Counter(ids(places.seen))[3] == 2  # one of each folder
    assert (supervisor.report["read"], supervisor.report["failed"]) == (25, 1)
    assert (open_folder(folder).read(), open_folder(other_folder).read()) == ({}, {1: "http_500"})
    assert run_try(replay(f"[None, {other_folder!r}]", preview=True), supervisor)[0] == "success"
    assert supervisor.report["read"] == 1
    for nothing in (None, "", "None", []):
        assert run_try(replay(nothing), supervisor)[0] == "success"
        assert supervisor.report["read"] == 0


def test_numbers_come_back_exactly_as_they_were_sent(places, supervisor):
    sql = "SELECT 1 AS id, 12345678901234567890.10::numeric AS exact, 99999999999999999999::numeric AS big"
    places.answer = lambda seen: 500
    run_try(sql_to_rest(sql=sql, request_retry=ONCE), supervisor)
    folder = supervisor.report["dead_letters"]
    places.answer = lambda seen: 200
    run_try(replay(folder), supervisor)
    assert (
        places.seen[0].body
        == places.seen[1].body
        == b'{"id":1,"exact":12345678901234567890.10,"big":99999999999999999999}'
    )


def test_a_row_that_never_was_a_request_says_what_to_do(places, supervisor):
    run_try(sql_to_rest(sql="SELECT 1 AS id", transform=lambda row: {"x": float("nan")}), supervisor)
    state, error = run_try(replay(supervisor.report["dead_letters"]), supervisor)
    assert (state, places.seen) == ("failed", [])
    assert "1 encode" in str(error)
    assert "clear its task" in supervisor.data["xcom"]["failed_items"][0]["response_excerpt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dead_letters": 5}, "dead_letters=5: write a folder's URI"),
        ({"dead_letters": [5]}, "write a folder's URI"),
        ({"dead_letters": "nosuch://x"}, "'nosuch://x' cannot be used"),
        ({"dead_letters": None, "reasons": "http_422"}, "reasons='http_422': write a list"),
        (
            {"dead_letters": None, "reasons": []},
            "reasons=[]: write a list such as ['http_503', 'timeout'], or leave it",
        ),
        ({"dead_letters": None, "rate_limit": "1"}, "rate_limit='1'"),
    ],
)
def test_a_wrong_argument_is_named(places, supervisor, arguments, message):
    state, error = run_try(given_later(replay(None), **arguments), supervisor)
    assert state == "failed"
    assert message in str(error)


def test_a_folder_that_never_was_is_an_error_and_no_success(places, folder, supervisor):
    for arguments in ({}, {"preview": True}):
        state, error = run_try(replay(f"{folder}-misspelt", **arguments), supervisor)
        assert state == "failed"
        assert f"there is no folder '{folder}-misspelt' with dead letters" in str(error)


def test_a_preview_counts_what_stays_dead_apart(places, supervisor, capsys):
    """What never was a request, and what the API took, is not sent."""

    def make(row):
        return {"x": float("nan")} if row["id"] == 1 else row

    places.answer = lambda seen: 503
    check = RequestRetry(max_attempts=1)
    run_try(sql_to_rest(sql=READINGS.format(rows=4), transform=make, request_retry=check), supervisor)
    folder = supervisor.report["dead_letters"]
    assert run_try(replay(folder, preview=True), supervisor)[0] == "success"
    assert (supervisor.report["read"], supervisor.report["reasons"]) == (3, {"http_503": 3})
    assert "1 dead letter would stay dead: {'encode': 1}" in capsys.readouterr().out


def test_a_preview_of_what_cannot_be_replayed_says_so(places, warehouse, supervisor):
    places.answer = lambda seen: 503
    run_try(rest_to_sql(items=[{"id": 1}], request_retry=ONCE), supervisor)
    state, error = run_try(replay(supervisor.report["dead_letters"], preview=True), supervisor)
    assert state == "failed"
    assert "these are of a task that fetches rows" in str(error)
