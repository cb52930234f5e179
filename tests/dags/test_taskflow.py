"""dags/taskflow.py: the engine from a plain ``@task``."""

import pytest
from dag_runs import dead_letters


@pytest.mark.release
def test_the_highest_value_of_every_sensor_is_posted(sensors, run_dag):
    run = run_dag("taskflow")
    assert run.state == "success"
    assert {seen.path: seen.json()["value"] for seen in sensors.delivered} == {
        f"/highest/sensor%20{number}": 115.25 + number for number in range(5)
    }
    assert run.report("post_highest")["delivered"] == 5


@pytest.mark.release
def test_the_query_takes_the_parameter(sensors, run_dag):
    run = run_dag("taskflow", above=117)
    assert sorted(seen.json()["id"] for seen in sensors.delivered) == [118, 119, 120]
    assert run.report("post_highest")["read"] == 3


def test_a_failing_item_fails_the_task_and_is_a_dead_letter(sensors, run_dag):
    sensors.answer = lambda seen: 422 if seen.path.endswith("3") else 200
    run = run_dag("taskflow")
    assert run.state == "failed"
    report = run.report("post_highest")
    assert (report["delivered"], report["failed"]) == (4, 1)
    assert [item["key"] for item in run.xcom("post_highest", "failed_items")] == ["sensor 3"]
    assert dead_letters(report["dead_letters"]) == {"sensor 3": "http_422"}
