"""Bulk requests under Airflow's real task runner, from a real database, to an API that tells by item."""

import json
import random
from collections import Counter

import pytest
from aiohttp import web
from task_runner import Supervisor, run_try, spawn_try
from tasks import READINGS, in_batches, make_task, sql_to_rest

from airflow_async_rest import Batch
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator


def ids_of(seen) -> list[int]:
    return [json.loads(line)["id"] for line in seen.body.splitlines()]


@pytest.fixture
def by_item(places):
    """Make the API tell about each item: ``refused`` may be changed. It counts what it stores."""
    places.refused, places.stored = set(), Counter()

    def answer(seen):
        entries = [{"id": i, "status": 422 if i in places.refused else 201} for i in ids_of(seen)]
        places.stored.update(entry["id"] for entry in entries if entry["status"] == 201)
        return web.json_response(entries, status=207)

    places.answer = answer
    return places


def test_a_window_goes_in_few_requests_and_bad_items_are_dead_letters_that_can_be_replayed(by_item, supervisor):
    by_item.refused = {3, 500, 1200}
    task = sql_to_rest(sql=READINGS.format(rows=1200), **in_batches(500))
    state, _ = run_try(task, supervisor)
    assert state == "failed"  # all that failed was refused for good
    report = supervisor.report
    assert (report["read"], report["delivered"], report["failed"], report["requests"]) == (1200, 1197, 3, 3)
    assert [item["key"] for item in supervisor.data["xcom"]["failed_items"]] == [3, 500, 1200]
    assert {(item["status"], item["payload"]["id"]) for item in supervisor.data["xcom"]["failed_items"]} == {
        (422, 3),
        (422, 500),
        (422, 1200),
    }
    by_item.refused = set()
    by_item.reset()
    replay = ReplayDeadLettersOperator(task_id="replay", dead_letters=report["dead_letters"], http_conn_id="search_api")
    state, _ = run_try(replay, supervisor)
    assert (state, len(by_item.seen)) == ("success", 1)
    assert by_item.stored == Counter(range(1, 1201))


def test_an_action_of_elasticsearch_has_the_key_as_its_id(places, supervisor):
    def answer(seen):
        actions = [json.loads(line)["index"]["_id"] for line in seen.body.splitlines()[::2]]
        items = [
            {
                "index": {"_id": i, "status": 400, "error": {"type": "mapper_parsing_exception"}}
                if i == "7"
                else {"_id": i, "status": 201}
            }
            for i in actions
        ]
        return web.json_response({"took": 1, "errors": True, "items": items})

    places.answer = answer
    batch = Batch(format="bulk", results="elasticsearch")
    state, _ = run_try(sql_to_rest(endpoint="readings/_bulk", method="POST", batch=batch, max_failures=1), supervisor)
    assert (state, supervisor.report["delivered"]) == ("success", 99)
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert (letter["key"], letter["payload"]["_id"], letter["batch"]["format"]) == (7, "7", "bulk")
    assert "mapper_parsing_exception" in letter["response_excerpt"]


@pytest.mark.release
def test_sigkill_at_random_moments_loses_nothing_and_sends_batches_again_with_the_same_key(
    by_item, supervisor, monkeypatch
):
    rows, kills, most = 40_000, 5, 20
    monkeypatch.setenv("ROWS", str(rows))
    monkeypatch.setenv("BATCH", str(most))
    monkeypatch.setenv("WRITE_EVERY_SECONDS", "0.03")
    by_item.refused = set(range(100, rows, 1000))
    chance, of_key, again, checkpoints = random.Random(20261121), {}, 0, [None]

    def look(after: dict | None) -> int:
        """Check one try's requests against the checkpoint it began with; return how many went out again."""
        repeated = 0
        for seen in by_item.seen:
            rows_sent = ids_of(seen)
            if seen.key in of_key and not by_item.refused.issuperset(rows_sent):  # those are tried on every retry
                repeated += 1
                first = rows_sent[0] - 1
                assert (
                    after is None
                    or first >= after["position"]
                    or first in {int(b.split()[0]) for b in after["batches"]}
                )
            assert of_key.setdefault(seen.key, rows_sent) == rows_sent
        by_item.seen.clear()
        return repeated

    for number in range(1, kills + 1):
        process = spawn_try("tasks", supervisor.path, number)
        enough = number * rows // most // (kills + 1) + chance.randrange(100)
        by_item.wait_for(lambda api, enough=enough: len(of_key) + len(api.seen) >= enough, 120)
        process.kill()
        process.join()
        by_item.wait_for(lambda api: api.in_flight == 0)
        again += look(checkpoints[-1])
        checkpoints.append(Supervisor(supervisor.path).checkpoint)
    run_try(make_task(), Supervisor(supervisor.path), kills + 1)
    again += look(checkpoints[-1])
    report, refused = Supervisor(supervisor.path).report, len(by_item.refused)
    assert set(by_item.stored) == set(range(1, rows + 1)) - by_item.refused
    assert (report["read"], report["delivered"], report["failed"]) == (rows, rows - refused, refused)
    positions = [checkpoint["position"] for checkpoint in checkpoints if checkpoint]
    assert positions == sorted(positions)
    assert any(checkpoint["batches"] for checkpoint in checkpoints if checkpoint)
    print(f"{rows} rows, {kills} kills at {positions}: {again} of {len(of_key)} requests sent again")
