"""demo/backfill.py sees when a backfill has ended, and reads dead-letter folders by itself, not with the code it judges."""

import json
from unittest.mock import create_autospec

import pytest

from demo.airflow_client import Airflow
from demo.backfill import Backfill, dead_ids
from demo.week import DAYS


@pytest.fixture
def states():
    """The states of the seven runs."""
    return ["success"] * 6 + ["running"]


@pytest.fixture
def airflow(states):
    airflow = create_autospec(Airflow, instance=True)
    airflow.runs.side_effect = lambda dag_id: [
        {"dag_run_id": f"run {day:%d}", "data_interval_start": f"{day:%Y-%m-%d}T00:00", "state": state}
        for day, state in zip(DAYS, states, strict=True)
    ]
    airflow.call.return_value = {"state": "failed"}  # a task ends a moment before its run does
    airflow.find.side_effect = lambda *path, **query: {
        "progress": {"value": {"read": 1}},
        "return_value": {"value": {"read": 2, "dead_letters": None}},
        "failed_items": {"value": [{"key": 7, "response_excerpt": "withdrawn"}]},
    }[path[-1]]
    return airflow


def test_a_backfill_has_ended_with_its_runs_and_not_with_their_tasks(airflow, states):
    backfill = Backfill(airflow, "sensors")
    assert (backfill.days()[-1].state, backfill.has_ended) == ("failed", False)
    states[-1] = "failed"
    last = backfill.days()[-1]
    assert (last.report["read"], last.failed, backfill.has_ended) == (2, {7: "withdrawn"}, True)


def test_a_day_that_is_cleared_is_to_end_once_more(airflow, states):
    backfill = Backfill(airflow, "fetch_readings", "fetch_readings")
    states[-1] = "success"
    backfill.clear(backfill.days()[0])
    (path, what), (cleared,) = airflow.insist.call_args.args[2:], airflow.insist.call_args.kwargs.values()
    assert (path, what, cleared["task_ids"]) == ("fetch_readings", "clearTaskInstances", ["fetch_readings"])
    assert cleared["dag_run_id"] == "run 02"
    states[0] = "queued"
    backfill.days()
    assert not backfill.has_ended
    states[0] = "success"
    backfill.days()
    assert backfill.has_ended


def test_a_later_part_counts_and_what_is_resolved_or_void_is_gone(tmp_path):
    parts = {
        "1-1": [{"index": 9, "key": 90}],
        "1-2": [{"reset": True}, {"index": 0, "key": 10}, {"index": 1, "key": 11}],
        "1-10": [{"index": 1, "resolved": True}],
        "2-1": [{"index": 2, "key": 12}, {"index": 0, "key": 10}],
    }
    for name, records in parts.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert sorted(dead_ids(f"file://{tmp_path}")) == [10, 12]
    assert dead_ids(None) == []


def test_runs_are_made_while_the_dag_is_not_switched_on_so_that_airflow_can_take_them_back(airflow):
    Backfill(airflow, "sensors").make()
    assert [asked[0] for asked in airflow.method_calls] == ["backfill"]
